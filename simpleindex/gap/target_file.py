"""The targets of a site, in a file that people read and edit: a list in JSON.

It lies in the server directory (`targets.json`), or wherever it is named: the side that has
internet may have no server at all. Both sides keep the same form, so that it can be carried.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from simpleindex.gap.small_files import alone, read_bytes_if_there
from simpleindex.gap.targets import Target, dump_target, load_target
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue

FILE_NAME = "targets.json"

_TARGETS_MAX = 1000
_BYTES_MAX = 1 << 20
_MODE = 0o644  # less what the umask takes: there is no secret in it


def read_targets(path: Path) -> tuple[Target, ...]:
    """The targets of a file, in its order; none if there is no file. Raises Refused, Unavailable.

    An entry is a record or just a name.
    """
    content = read_bytes_if_there(path, _BYTES_MAX)
    if content is None:
        return ()
    targets = parse_targets(content, str(path))
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise Refused(str(path), f"it has two targets {name}; remove one")
    return targets


def parse_targets(content: bytes, subject: str) -> tuple[Target, ...]:
    """The targets of a list, or of records one a line, as probes print them. Raises Refused.

    `subject` begins the sentence of what is Refused. One that is there twice comes twice.
    """
    try:
        text = content.decode("utf-8-sig")
        documents = list(_documents(text))
    except UnicodeDecodeError:
        raise Refused(subject, "it is no text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise Refused(subject, f"it is not JSON: line {error.lineno}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise Refused(subject, "it is not JSON") from None
    if len(documents) > _TARGETS_MAX:
        raise Refused(subject, f"it has over {_TARGETS_MAX} targets")
    targets = []
    for number, document in enumerate(documents, 1):
        try:
            targets.append(load_target(document))
        except Refused as refused:
            raise Refused(subject, f"entry {number}: {refused}") from None
    return tuple(targets)


def change_targets(
    path: Path, change: Callable[[tuple[Target, ...]], Iterable[Target]]
) -> tuple[Target, ...]:
    """Write anew what `change` makes of the targets of a file; what they are now.

    One process at a time, and whole or not at all. Raises Refused, Unavailable, and what `change`
    raises: then nothing has changed.
    """
    with alone(path):
        before = read_targets(path)
        after = tuple(change(before))
        if len(after) > _TARGETS_MAX:
            raise Refused(str(path), f"a list has {_TARGETS_MAX} targets at the most")
        if after != before:
            documents: JsonValue = [dump_target(target) for target in after]
            content = json.dumps(documents, indent=2).encode() + b"\n"
            with unavailable_on_failure(f"{path} cannot be written"):
                write_file(path, content, mode=_MODE)
    return after


def _documents(text: str) -> Iterator[JsonValue]:
    """The entries of a list, or several records one after the other."""
    decoder = json.JSONDecoder()
    place = _after_blanks(text, 0)
    while place < len(text):
        document, place = decoder.raw_decode(text, place)
        place = _after_blanks(text, place)
        if isinstance(document, list):
            yield from document
        else:
            yield document


def _after_blanks(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place
