"""`bundle diff`: what one bundle brings that another does not."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from simpleindex.cli.bundle.given import open_given
from simpleindex.cli.telling import count_text, json_option, size_text, table, tell
from simpleindex.gap.bundle.comparing import Difference, ListedFile, compare, problems_of
from simpleindex.gap.bundle.manifest import Manifest
from simpleindex_storage.model import JsonValue

_BUNDLE = click.Path(path_type=Path, exists=True)


@click.command("diff")
@click.argument("before", metavar="BEFORE", type=_BUNDLE)
@click.argument("after", metavar="AFTER", type=_BUNDLE)
@json_option
def command(*, before: Path, after: Path, as_json: bool) -> None:
    """Tell what the bundle AFTER brings that BEFORE does not, and the other way round.

    A file that only one of them holds, and that must be at the site for the other, is in both.
    """
    old, new = open_given([before]).manifest, open_given([after]).manifest
    difference = compare(old, new)
    tell(_document(difference), _lines(difference, new), as_json=as_json)


def _document(found: Difference) -> JsonValue:
    return {
        "new": [_file_document(file) for file in found.new],
        "gone": [_file_document(file) for file in found.gone],
        "changed": [
            {"before": _file_document(before), "after": _file_document(after)}
            for before, after in found.changed
        ],
        "same": found.same,
        "new_bytes": _bytes_of(found.new),
        "gone_bytes": _bytes_of(found.gone),
        "new_targets": list(found.new_targets),
        "gone_targets": list(found.gone_targets),
        "targets": [
            {
                "target": each.name,
                "problems_before": each.problems_before,
                "problems_after": each.problems_after,
                "new_problems": list(each.new),
                "solved": list(each.solved),
            }
            for each in found.targets
        ],
        "new_roots": list(found.new_roots),
        "gone_roots": list(found.gone_roots),
    }


def _file_document(file: ListedFile) -> JsonValue:
    return {"filename": file.name.text, "sha256": file.sha256, "size": file.size_bytes}


def _lines(found: Difference, after: Manifest) -> Iterator[str]:
    rows = [("new", file.name.text, _size(file)) for file in found.new]
    rows += [("gone", file.name.text, _size(file)) for file in found.gone]
    rows += [("changed", file.name.text, _size(file)) for _, file in found.changed]
    yield from table(rows) if rows else ()
    for word, names in (
        ("target  new", found.new_targets),
        ("target  gone", found.gone_targets),
        ("line  new", found.new_roots),
        ("line  gone", found.gone_roots),
    ):
        yield from (f"{word}  {name}" for name in names)
    for each in found.targets:
        yield (
            f"{each.name}  {count_text(each.problems_before, 'problem')} before, "
            f"{each.problems_after} now"
        )
        chains = problems_of(after, each.name)
        for line in each.new:
            yield f"  cannot have {line} any more: {' -> '.join(chains[line])}"
        for line in each.solved:
            yield f"  solved, or not asked for any more: {line}"
    if found.is_none:
        yield f"no difference; {count_text(found.same, 'file')} in both"
        return
    yield (
        f"{count_text(len(found.new), 'file')} new ({size_text(_bytes_of(found.new))}), "
        f"{len(found.gone)} gone ({size_text(_bytes_of(found.gone))}), {len(found.changed)} "
        f"changed, {found.same} the same"
    )


def _size(file: ListedFile) -> str:
    return "at the site" if file.size_bytes is None else size_text(file.size_bytes)


def _bytes_of(files: Iterable[ListedFile]) -> int:
    return sum(file.size_bytes or 0 for file in files)
