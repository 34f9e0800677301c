"""What somebody who knows the site has decided: what it shall have, and which names to pass over.

A small file in the server directory (`wanted.json`), and part of backups. It can be edited.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simpleindex.gap.fields import parse_fields
from simpleindex.gap.small_files import alone, read_bytes_if_there
from simpleindex.gap.wishes import Line, parse_line
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import ProjectName, parse_project_name

FILE_NAME = "wanted.json"

_ENTRIES_MAX = 10_000
_BYTES_MAX = 4 << 20
_MODE = 0o644  # less what the umask takes: there is no secret in it


@dataclass(frozen=True, slots=True)
class Decisions:
    """All that was decided so far, in the order in which it was."""

    wanted: tuple[Line, ...] = ()
    """Each is a requirement."""
    ignored: tuple[ProjectName, ...] = ()
    """Clients may ask for these as long as they like, and bundles may have been made for them."""

    @property
    def wanted_projects(self) -> frozenset[ProjectName]:
        """What the lines are about."""
        return frozenset(line.project for line in self.wanted if line.project is not None)


def want(decisions: Decisions, lines: tuple[Line, ...]) -> Decisions:
    """These are wanted, in place of what was of the same text; they are ignored no more."""
    texts = {line.text for line in lines}
    kept = tuple(line for line in decisions.wanted if line.text not in texts)
    projects = {line.project for line in lines}
    ignored = tuple(name for name in decisions.ignored if name not in projects)
    return Decisions((*kept, *lines), ignored)


def ignore(decisions: Decisions, projects: tuple[ProjectName, ...]) -> Decisions:
    """These are passed over, and wanted no more."""
    kept = tuple(line for line in decisions.wanted if line.project not in projects)
    ignored = tuple(dict.fromkeys((*decisions.ignored, *projects)))
    return Decisions(kept, ignored)


def wanted_line(text: str) -> Line:
    """A requirement that an index can meet. Raises Refused."""
    line = parse_line(text)
    if line.requirement is None:
        raise Refused(f"requirement {text[:80]!r}", line.refusal or "it cannot be read")
    if line.text != text.strip():  # which shows only the beginning of a long one
        raise Refused(f"requirement {text[:80]!r}", "it has over 200 characters")
    return line


def read_decisions(serverdir: Path) -> Decisions:
    """What was decided; nothing if there is no file. Raises Refused, Unavailable."""
    path = serverdir / FILE_NAME
    content = read_bytes_if_there(path, _BYTES_MAX)
    if content is None:
        return Decisions()
    fields = parse_fields(content, str(path))
    unknown = sorted(set(fields.document) - {"wanted", "ignored"})
    if unknown:
        raise Refused(str(path), f"{unknown[0][:40]!r} is neither 'wanted' nor 'ignored'")
    return Decisions(
        tuple(map(wanted_line, fields.texts("wanted", most=_ENTRIES_MAX))),
        tuple(map(parse_project_name, fields.texts("ignored", most=_ENTRIES_MAX))),
    )


def change_decisions(serverdir: Path, change: Callable[[Decisions], Decisions]) -> Decisions:
    """Write anew what `change` makes of the decisions; what they are now.

    One process at a time, and whole or not at all. Raises Refused, Unavailable, and what `change`
    raises: then nothing has changed.
    """
    path = serverdir / FILE_NAME
    with alone(path):
        before = read_decisions(serverdir)
        after = change(before)
        if max(len(after.wanted), len(after.ignored)) > _ENTRIES_MAX:
            raise Refused(str(path), f"a list has {_ENTRIES_MAX} entries at the most")
        if after != before:
            document = {
                "wanted": [line.text for line in after.wanted],
                "ignored": list(after.ignored),
            }
            content = json.dumps(document, indent=2).encode() + b"\n"
            with unavailable_on_failure(f"{path} cannot be written"):
                write_file(path, content, mode=_MODE)
    return after
