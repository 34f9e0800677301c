"""`request`: what a site without internet asks for, in a text that is carried out."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from simpleindex.access import AUTOMATIC_INDEX
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import as_typed, config_from, setting_options, usual_command
from simpleindex.cli.telling import count_text, json_option, printable, say, table, tell
from simpleindex.gap.decisions import (
    Decisions,
    change_decisions,
    ignore,
    read_decisions,
    want,
    wanted_line,
)
from simpleindex.gap.request import Request, dump_request
from simpleindex.gap.site_request import SiteRequest, asked_for, site_request
from simpleindex.gap.wishes import Line, parse_line
from simpleindex.version import __version__
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import ProjectName, parse_index_name, parse_project_name
from simpleindex_storage.opening import utc_now

_MODE = 0o644  # less what the umask takes


@click.command("request")
@click.option(
    "-o",
    "--output",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the request there [default: print it].",
)
@click.option("--list", "is_list", is_flag=True, help="Only tell what there is to decide about.")
@click.option(
    "--want",
    "wanted",
    multiple=True,
    metavar="LINE",
    help="From now on, ask for this, like 'flask' or 'numpy<2'. Repeatable.",
)
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="NAME",
    help="From now on, ask for this one of those that clients asked for. Repeatable.",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="NAME",
    help="Never ask for this, whoever asks for it here; lines of bundles about it count no more "
    "(--want=NAME takes that back). Repeatable.",
)
@click.option(
    "--learned",
    "with_learned",
    is_flag=True,
    help="Ask for all kinds of hosts that were seen, not only for those in the list of targets.",
)
@click.option(
    "--index",
    "index_text",
    default=AUTOMATIC_INDEX,
    show_default=True,
    metavar="USER/INDEX",
    help="The index that hosts are given.",
)
@json_option
@setting_options("serverdir")
def command(
    *,
    output: Path | None,
    is_list: bool,
    wanted: tuple[str, ...],
    accepted: tuple[str, ...],
    ignored: tuple[str, ...],
    with_learned: bool,
    index_text: str,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Write what this site has, wants and is, for `bundle create --request` outside.

    It holds the targets, what earlier bundles were made for, what was decided with --want and
    --accept, and what projects that came without a bundle lack; and the names of all files here.
    What clients asked for and did not find is in it as `maybe`, which counts for nothing until
    somebody makes `wanted` out of it: anybody in the network can ask for any name.
    """
    serverdir = config_from(config_file, flags).serverdir
    index = parse_index_name(index_text)
    lines = tuple(map(wanted_line, wanted))
    good, bad = (tuple(map(parse_project_name, names)) for names in (accepted, ignored))
    with open_as_owner(serverdir) as store, store.catalog.snapshot() as seen:
        if good:
            known = asked_for(store, seen, serverdir)
            lines += tuple(_accepted(name, known, serverdir) for name in good)
        if lines or bad:
            decisions = change_decisions(serverdir, lambda it: ignore(want(it, lines), bad))
            if output is None and not is_list:
                _tell_decisions(decisions, as_json=as_json)
                return
        found = site_request(serverdir, store, seen, index, with_learned=with_learned)
    if is_list:
        _tell_list(found, read_decisions(serverdir), as_json=as_json)
        return
    text = dump_request(found.request, notes=list(_notes(found, index)), about=found.target_notes)
    if output is None:
        _print(text, found.request, as_json=as_json)
        return
    with unavailable_on_failure(f"{output} cannot be written"):
        write_file(output, text.encode(), mode=_MODE)
    document = {"file": str(output), **_document(found.request)}
    tell(document, _written_lines(output, found, serverdir), as_json=as_json)


def _accepted(name: ProjectName, known: Iterable[ProjectName], serverdir: Path) -> Line:
    if name not in known:
        raise NotStored(
            f"project {name} among those that clients asked for",
            as_typed(f"`simpleindex-server request --want={name}` asks for it anyhow", serverdir),
        )
    return wanted_line(name)


def _tell_decisions(decisions: Decisions, *, as_json: bool) -> None:
    document: JsonValue = {
        "wanted": [line.text for line in decisions.wanted],
        "ignored": list(decisions.ignored),
    }
    tell(document, _decision_lines(decisions), as_json=as_json)


def _decision_lines(decisions: Decisions) -> Iterator[str]:
    yield from (f"wanted   {line.text}" for line in decisions.wanted)
    yield from (f"ignored  {name}" for name in decisions.ignored)


def _tell_list(found: SiteRequest, decisions: Decisions, *, as_json: bool) -> None:
    document: JsonValue = {
        "maybe": [{"project": each.project, "why": each.why} for each in found.maybe],
        "wanted": [
            {"requirement": each.requirement, "why": each.why} for each in found.request.wanted
        ],
        "ignored": list(decisions.ignored),
        "withdrawn": list(found.withdrawn),
    }
    rows = [("maybe", str(each.project), each.why) for each in found.maybe]
    rows += [("wanted", each.requirement, each.why) for each in found.request.wanted]
    rows += [("ignored", str(name), _withdrawn(name, found)) for name in decisions.ignored]
    nothing = "clients asked for nothing that is not here, and nothing more is wanted"
    tell(document, table(rows) if rows else [nothing], as_json=as_json)


def _withdrawn(name: ProjectName, found: SiteRequest) -> str:
    lines = [line for line in found.withdrawn if parse_line(line).project == name]
    return f"withdraws lines of bundles: {', '.join(lines)}" if lines else ""


def _notes(found: SiteRequest, index: str) -> Iterator[str]:
    yield f"What {index} has and wants on {utc_now():%Y-%m-%d}, by simpleindex-server {__version__}"
    create = f"{usual_command()} bundle create --request=THIS-FILE -o BUNDLE"
    yield f"Where there is internet: {create}"
    if not found.request.targets:
        yield "No target is known: say there with --target for which hosts"
    for target in found.unlisted:
        note = found.target_notes.get(target.name, "")
        yield f"Not asked for, since it is not in the list: {target.name}, {note}"


def _print(text: str, request: Request, *, as_json: bool) -> None:
    if as_json:
        tell({"text": text, **_document(request)}, [], as_json=True)
        return
    for line in text.splitlines():
        say(printable(line))


def _document(request: Request) -> dict[str, JsonValue]:
    return {
        "stamp": request.stamp,
        "targets": [target.name for target in request.targets],
        "roots": list(request.roots),
        "wanted": [each.requirement for each in request.wanted],
        "maybe": [each.requirement for each in request.maybe],
        "files": len(request.have),
    }


def _written_lines(output: Path, found: SiteRequest, serverdir: Path) -> Iterator[str]:
    request = found.request
    counts = [
        count_text(len(request.targets), "target"),
        count_text(len(request.have), "file that is here", "files that are here"),
        f"{len(request.wanted)} wanted",
        f"{len(request.maybe)} to be decided",
    ]
    yield f"{output}: {', '.join(counts)}"
    if not request.targets:
        yield _hint("no target is known; `simpleindex-server target --help` tells more", serverdir)
    if found.unlisted:
        count = count_text(len(found.unlisted), "kind of host was", "kinds of hosts were")
        yield _hint(
            f"{count} seen that the list of targets has not; "
            "`simpleindex-server target list --learned` tells which",
            serverdir,
        )
    if request.maybe:
        yield _hint("`simpleindex-server request --list` tells what to decide about", serverdir)


def _hint(text: str, serverdir: Path) -> str:
    return as_typed(text, serverdir)
