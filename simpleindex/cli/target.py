"""`target`: the kinds of hosts that a site without internet has."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from simpleindex.cli.directory import named_or_ours
from simpleindex.cli.options import as_typed, config_from, path_text, setting_options
from simpleindex.cli.telling import count_text, json_option, table, tell
from simpleindex.gap.learned import Seen, by_name, read_learned
from simpleindex.gap.probe import SCRIPT, one_line
from simpleindex.gap.pythons import newest_tools
from simpleindex.gap.target_file import FILE_NAME, change_targets, parse_targets, read_targets
from simpleindex.gap.targets import (
    Target,
    assumed_note,
    dump_target,
    installer_tags,
    parse_installer,
    parse_target,
    stands_for,
    supported_tags,
    without_guesses,
)
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import JsonValue

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_PROBES_BYTES_MAX = 1 << 20
_NONE_YET = "there is no target yet; `simpleindex-server target add --help` tells how to name one"
_LEARNED_LIST = "`simpleindex-server target list --learned` tells which"


def _places(function: _Decorated) -> _Decorated:
    """Where the targets are: in the server directory, or in a file of their own."""
    option = click.option(
        "--targets",
        "targets_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=f"The list of targets [default: SERVERDIR/{FILE_NAME}].",
    )
    return option(setting_options("serverdir")(function))


@click.group("target")
def command() -> None:
    """Say what kinds of hosts there are: which Python, on which platform, with which pip.

    A target is named like cp39-win_amd64 (the newest known 3.9), 3.9.18-manylinux_2_17_x86_64
    (Linux with glibc 2.17 or newer) or 3.12.1-macosx_13_0_arm64; or a host is probed.
    """


@command.command("add")
@click.argument("names", nargs=-1, metavar="TARGET...")
@click.option(
    "--from",
    "probes",
    multiple=True,
    type=click.File("rb"),
    metavar="FILE",
    help="What `target probe` has printed on hosts, or another list of targets; - for standard "
    "input. Repeatable.",
)
@click.option(
    "--installer",
    "installer_text",
    metavar="PIP",
    help="What the hosts that are named have now, like 'pip 18.1'.",
)
@click.option(
    "--learned",
    "is_learned",
    is_flag=True,
    help="Take targets that installers have told the server: those named, or all new ones.",
)
@_places
@json_option
def add(
    *,
    names: tuple[str, ...],
    is_learned: bool,
    probes: tuple[BinaryIO, ...],
    installer_text: str | None,
    targets_file: Path | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Add targets by their names, or as hosts have told them. One of the same name is replaced.

    One of which something was assumed gives way to one of the same kind that a host has told.
    """
    if not names and not probes and not is_learned:
        raise click.UsageError("nothing to add: give names of targets, --from FILE, or --learned")
    path = _path(targets_file, config_file, flags)
    installer = None if installer_text is None else parse_installer(installer_text)
    if is_learned:
        learned = _learned(targets_file, config_file, flags)
        named = _chosen(learned, names, {target.name for target in read_targets(path)})
        if installer is not None:
            named = [replace(target, installer=installer) for target in named]
    else:
        named = [parse_target(name, installer=installer) for name in names]
    added = {target.name: target for target in named}
    told = {**added} if is_learned else {}
    for file in probes:
        content = file.read(_PROBES_BYTES_MAX + 1)
        if len(content) > _PROBES_BYTES_MAX:
            raise click.UsageError(f"{file.name} is no list of targets: it is too long")
        told |= {target.name: target for target in parse_targets(content, file.name)}
    added |= told
    if not added:
        raise click.UsageError("nothing to add: there is no target in what was given")
    gone: list[Target] = []

    def with_them(known: tuple[Target, ...]) -> Iterable[Target]:
        before = [each for each in known if each.name not in added]
        kept = without_guesses(before, told.values())
        gone[:] = [each for each in before if each not in kept]
        return {**{each.name: each for each in known if each not in gone}, **added}.values()

    change_targets(path, with_them)
    tell(
        {
            "added": [_document(target) for target in added.values()],
            "gave_way": [target.name for target in gone],
        },
        _added_lines(added.values(), gone),
        as_json=as_json,
    )


@command.command("list")
@click.option(
    "--learned", "is_learned", is_flag=True, help="Those that installers have told the server."
)
@_places
@json_option
def list_(
    *,
    is_learned: bool,
    targets_file: Path | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """List all targets, and what is to be known about each."""
    if is_learned:
        _tell_learned(targets_file, config_file, flags, as_json=as_json)
        return
    path = _path(targets_file, config_file, flags)
    targets = read_targets(path)
    rows = table([_row(target) for target in targets]) if targets else []
    lines: list[str] = []
    for target, row in zip(targets, rows, strict=True):
        lines += [row, *(f"  {note}" for note in _notes(target))]
    note = assumed_note(targets)
    if note is not None:
        lines.append(as_typed(f"{note}; `simpleindex-server target probe` asks a host"))
    if not targets:
        lines = [as_typed(_NONE_YET)]
    if targets_file is None:
        learned = _learned(None, config_file, flags)
        new = len(_chosen(learned, (), {target.name for target in targets}))
        if new:
            count = count_text(new, "other was", "others were")
            lines.append(as_typed(f"{count} told by installers; {_LEARNED_LIST}", path.parent))
    tell([_document(target) for target in targets], lines, as_json=as_json)


@command.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="TARGET...")
@_places
@json_option
def remove(
    *,
    names: tuple[str, ...],
    targets_file: Path | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Remove targets, by the names that `target list` shows."""
    path = _path(targets_file, config_file, flags)

    def without(known: tuple[Target, ...]) -> tuple[Target, ...]:
        for name in names:
            if name not in {target.name for target in known}:
                hint = f"`simpleindex-server target list{_of(targets_file)}` names all"
                raise NotStored(f"target {name[:80]}", hint)
        return tuple(target for target in known if target.name not in names)

    change_targets(path, without)
    removed = list(dict.fromkeys(names))
    tell(
        {"removed": list(removed)},
        [f"{count_text(len(removed), 'target')} removed"],
        as_json=as_json,
    )


@command.command("probe")
@click.option("--script", is_flag=True, help="Print it as a script that can be read.")
def probe(*, script: bool) -> None:
    """Print one line to run on a host; what it prints there is for `target add --from`.

    It needs a Python (2.7, or 3.6 and later) and nothing else, and changes nothing. Begin the line
    with the Python that shall install packages: python3, py, or a path.
    """
    click.echo(SCRIPT.rstrip("\n") if script else one_line())


def _tell_learned(
    targets_file: Path | None, config_file: Path | None, flags: dict[str, object], *, as_json: bool
) -> None:
    learned = _learned(targets_file, config_file, flags)
    listed = read_targets(_path(targets_file, config_file, flags))
    known = {target.name for target in listed}
    documents: list[JsonValue] = []
    rows = []
    for target, seen in learned:
        is_known = target.name in known
        guesses = [] if is_known else [it.name for it in listed if stands_for(target, it)]
        new = f"new, in place of {', '.join(guesses)}" if guesses else "new"
        documents.append(
            {
                **dump_target(target),
                "description": target.words,
                "times": seen.times,
                "days": seen.days,
                "last_day": seen.last_day.isoformat(),
                "is_known": is_known,
                "in_place_of": [*guesses],
            }
        )
        rows.append((target.name, target.words, str(seen), "in the list" if is_known else new))
    lines = table(rows) if rows else ["no installer has told what kind of host it is on"]
    tell(documents, lines, as_json=as_json)


def _learned(
    targets_file: Path | None, config_file: Path | None, flags: dict[str, object]
) -> tuple[tuple[Target, Seen], ...]:
    if targets_file is not None:
        raise click.UsageError("--learned is of a server directory, which --targets FILE is not")
    path = _path(None, config_file, flags)
    return by_name(read_learned(path.parent))


def _chosen(
    learned: Sequence[tuple[Target, Seen]], names: Sequence[str], known: Collection[str]
) -> list[Target]:
    """The learned targets of these names; without names, those that are not known."""
    found = {target.name: target for target, _ in learned}
    for name in names:
        if name not in found:
            hint = "`simpleindex-server target list --learned` names all"
            raise NotStored(f"target {name[:80]}", hint)
    if names:
        return [found[name] for name in names]
    return [target for target in found.values() if target.name not in known]


def _path(targets_file: Path | None, config_file: Path | None, flags: dict[str, object]) -> Path:
    return named_or_ours(targets_file, FILE_NAME, lambda: config_from(config_file, flags))


def _of(targets_file: Path | None) -> str:
    return "" if targets_file is None else f" --targets={path_text(targets_file)}"


def _document(target: Target) -> JsonValue:
    notes: list[JsonValue] = list(_notes(target))
    return {**dump_target(target), "description": target.words, "notes": notes}


def _row(target: Target) -> tuple[str, str, str]:
    assumed = target.assumed_words
    return target.name, target.words, f"assumed: {assumed}" if assumed else ""


def _added_lines(targets: Iterable[Target], gone: Iterable[Target]) -> Iterator[str]:
    for target in targets:
        yield f"{target.name}: {target.words}"
        for note in _notes(target):
            yield f"  {note}"
    for target in gone:
        yield f"{target.name} gave way: assumed was {target.assumed_words}"


def _notes(target: Target) -> Iterator[str]:
    if target.installer is not None and set(installer_tags(target)) != set(supported_tags(target)):
        newest = newest_tools(target.minor).pip
        yield (
            f"{target.installer} is too old for many wheels of today; such a host can install them "
            f"after `pip install pip=={newest}`"
        )
