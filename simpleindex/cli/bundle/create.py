"""`bundle create`: find out what the hosts of a closed site need, fetch it, write it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from simpleindex.cli.bundle.create_inputs import Given, parse_size, read_order
from simpleindex.cli.bundle.create_telling import plan_document, plan_lines, telling_progress
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, say, size_text, tell
from simpleindex.gap.bundle.cache import open_cache, usual_cache
from simpleindex.gap.bundle.creating import Contents, Creation
from simpleindex.gap.bundle.manifest import stamp
from simpleindex.gap.bundle.planning import Plan
from simpleindex.gap.bundle.sdists import Policy
from simpleindex.gap.bundle.sent import FILE_NAME as SENT
from simpleindex.gap.bundle.sent import Sent, add_sent
from simpleindex.gap.bundle.signatures import sign_with
from simpleindex.gap.bundle.writing import Sign, Written, write_bundle
from simpleindex.gap.pyz.building import MEMBER as SERVER
from simpleindex.gap.pyz.building import server_pyz
from simpleindex.gap.small_files import read_bytes
from simpleindex.gap.source import open_source, usual_url
from simpleindex.gap.target_file import FILE_NAME as TARGETS
from simpleindex.version import __version__
from simpleindex_storage.errors import Damaged, NotStored, Refused
from simpleindex_storage.model import JsonValue

INCOMPLETE = 3
REFUSED = 2

_PATH = click.Path(path_type=Path, dir_okay=False)
_THERE = click.Path(path_type=Path, dir_okay=False, exists=True)
_SERVER_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class _Output:
    """Where and how a bundle is written."""

    path: Path
    max_bytes: int | None
    extras: Mapping[str, bytes]
    sign: Sign | None


@click.command("create")
@click.argument("words", nargs=-1, metavar="REQUIREMENT...")
@click.option(
    "-r",
    "--requirement",
    "requirements",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="A requirements file, with those that it names. Repeatable.",
)
@click.option(
    "-c",
    "--constraint",
    "constraints",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="A constraints file. Repeatable.",
)
@click.option(
    "--pylock",
    "pylocks",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="A pylock.toml: its pins, for each target by their markers.",
)
@click.option(
    "--uv-lock",
    "uv_locks",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="A uv.lock: what its projects need, as it is locked.",
)
@click.option(
    "--request",
    "requests",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="What the site has written with `request`: targets, wishes, and what it has.",
)
@click.option(
    "--target",
    "target_names",
    multiple=True,
    metavar="NAME",
    help="A kind of host, like cp39-win_amd64. Repeatable.",
)
@click.option(
    "--targets",
    "target_files",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help=f"A list of targets [default: SERVERDIR/{TARGETS}].",
)
@click.option(
    "--index-url",
    "index_url",
    metavar="URL",
    help="The simple index to ask [default: the one that pip here uses].",
)
@click.option(
    "--have",
    "have",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="A request whose list of files counts, and no wishes in it.",
)
@click.option(
    "--since",
    metavar="STAMP|DAY|last",
    help="Send what was not sent by then, to a site that cannot say what it has.",
)
@click.option("--full", is_flag=True, help="All files, also those that the site has.")
@click.option(
    "--update",
    multiple=True,
    metavar="none|PROJECT|all",
    help="What shall be the newest even if the site has another release [default: none].",
)
@click.option("--pre", "pre_releases", is_flag=True, help="Pre-releases are as good as others.")
@click.option(
    "--uploaded-before",
    metavar="TIME",
    help="The index as it was then: a day, or a time in UTC. Gives the same again.",
)
@click.option(
    "--sdist",
    type=click.Choice([str(policy) for policy in Policy]),
    default=str(Policy.REFUSE),
    show_default=True,
    help="Where there is no wheel: tell so; let the source come along, with what builds it; or "
    "make a wheel of it here, which runs its code.",
)
@click.option(
    "--max-size", metavar="SIZE", help="Write several volumes of no more than that, like 4000M."
)
@click.option(
    "--sign",
    "key",
    type=_THERE,
    metavar="KEY",
    help="Sign it with this Ed25519 key of ssh; ssh-keygen does that.",
)
@click.option(
    "--with-server",
    "server",
    type=_THERE,
    metavar="PYZ",
    help="Put this server.pyz in, for a site that has no server yet [default: this program, where "
    "nothing is known of what the site has].",
)
@click.option("--without-server", is_flag=True, help="Put no server in.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The bundle to write: NAME.pkgbundle.zip.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be sent.")
@click.option("--strict", is_flag=True, help="Write nothing unless all that is wanted can be met.")
@click.option(
    "--cache",
    "cache_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where fetched files are kept [default: this user's cache].",
)
@click.option(
    "--ledger",
    type=_PATH,
    metavar="FILE",
    help=f"What was sent before [default: {SENT} in the cache].",
)
@setting_options("serverdir", "private_upstreams", has_short_config=False)
@json_option
def command(
    *,
    index_url: str | None,
    max_size: str | None,
    key: Path | None,
    server: Path | None,
    without_server: bool,
    output: Path | None,
    dry_run: bool,
    strict: bool,
    cache_folder: Path | None,
    ledger: Path | None,
    as_json: bool,
    config_file: Path | None,
    **given: Any,
) -> None:
    """Find out what each kind of host needs, fetch it, and write it in one file to be carried.

    Every line gets a verdict on every target, with the reason where it cannot be met. Exit code 0:
    complete. 3: written, but some lines are not met. 2: refused, nothing is written. 1: an error;
    what was fetched is kept, and not fetched again.
    """
    flags = {name: given.pop(name) for name in ("serverdir", "private_upstreams")}
    config = config_from(config_file, flags)
    folder = usual_cache(os.environ) if cache_folder is None else cache_folder
    where = folder / SENT if ledger is None else ledger
    told = read_order(Given(**given, ledger=where, usual_targets=config.serverdir / TARGETS))
    if output is None and not dry_run:
        raise click.UsageError("where to? Name the bundle with -o NAME.pkgbundle.zip")
    if server is not None and without_server:
        raise click.UsageError("--with-server and --without-server exclude each other")
    to, notes = None, list(told.notes)
    if output is not None and not dry_run:
        sign = None if key is None else sign_with(key)
        max_bytes = _bytes_max(max_size)
        extras: dict[str, bytes] = {}
        if server is not None:
            extras[SERVER] = read_bytes(server, _SERVER_BYTES_MAX)
        elif not without_server and not told.order.holdings.is_known:
            brought = _this_program(max_bytes)
            if isinstance(brought, bytes):
                extras[SERVER] = brought
            else:
                notes.append(brought)
        to = _Output(output, max_bytes, extras, sign)
    with (
        open_cache(folder) as cache,
        open_source(
            index_url or usual_url(os.environ), private_hosts=config.private_upstreams
        ) as source,
    ):
        making = _Making(
            creation=Creation(
                told.order,
                source,
                cache,
                build_environment=_build_environment(index_url),
                tell=(lambda line: None) if as_json else say,
            ),
            notes=tuple(notes),
            as_json=as_json,
            strict=strict,
        )
        exit_code = making.run(to, where)
    if exit_code:
        raise click.exceptions.Exit(exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """One run, from the plan to the file, told as it goes."""

    creation: Creation
    notes: tuple[str, ...]
    as_json: bool
    strict: bool

    def run(self, to: _Output | None, ledger: Path) -> int:
        """The exit code."""
        plan = self._planned()
        refusal = self._refusal(plan, to)
        to_fetch = [file.size_bytes for file in self.creation.to_fetch(plan)]
        if not self.as_json:
            for line in plan_lines(plan, to_fetch):
                say(line)
        document: dict[str, JsonValue] = {"written": [], "refused": refusal}
        if to is not None and refusal is None:
            with telling_progress(quiet=self.as_json) as tell_progress:
                fetched = self.creation.fetch(plan, tell_progress)
            if fetched is not plan:
                plan = replace(fetched, notes=(*self.notes, *fetched.notes))
                refusal = document["refused"] = self._refusal(plan, to)
                if not self.as_json:
                    say("what came is not what the index had told; so this is what is sent:")
                    for line in plan_lines(plan, []):
                        say(line)
            if refusal is None:
                contents = self.creation.contents(plan, datetime.now(UTC), _TOOL)
                report = "\n".join(plan_lines(plan, [])) + "\n"
                document |= self._written(contents, report, to, ledger)
        lines = [f"refused, and nothing is written: {refusal}"] if refusal is not None else []
        tell({**document, **plan_document(plan)}, lines, as_json=self.as_json)
        if refusal is not None:
            return REFUSED
        return 0 if plan.is_complete else INCOMPLETE

    def _planned(self) -> Plan:
        plan = self.creation.plan()
        return replace(plan, notes=(*self.notes, *plan.notes))

    def _refusal(self, plan: Plan, to: _Output | None) -> str | None:
        if plan.is_empty:
            return "nothing that is wanted can be met on any target"
        if self.strict and not plan.is_complete:
            return "some lines are not met, and with --strict all have to be"
        max_bytes = None if to is None else to.max_bytes
        for planned in plan.files:
            size_bytes = planned.file.size_bytes or 0
            if max_bytes is not None and size_bytes > max_bytes:
                return (
                    f"{planned.name.text} alone has {size_bytes} bytes, and --max-size allows "
                    f"{max_bytes}"
                )
        return None

    def _written(
        self, contents: Contents, report: str, to: _Output, ledger: Path
    ) -> dict[str, JsonValue]:
        if not self.as_json:
            say(f"writing {to.path}")
        written = write_bundle(
            contents.manifest,
            lambda file: contents.paths[file.sha256].open("rb"),
            to.path,
            extras={**to.extras, "report.txt": report.encode()},
            max_bytes=to.max_bytes,
            sign=to.sign,
        )
        state = contents.manifest.result_stamp or stamp(contents.site)
        created = contents.manifest.created
        add_sent(ledger, Sent(state, created, to.path.name, contents.site))
        if not self.as_json:
            for line in _written_lines(written, contents, state):
                say(line)
        return {
            "written": [
                {
                    "path": str(each.path),
                    "digest": each.digest,
                    "bytes": each.size_bytes,
                    "written_over": each.is_written_over,
                }
                for each in written
            ],
            "fetched_bytes": contents.fetched_bytes,
            "stamp": state,
        }


def _build_environment(index_url: str | None) -> dict[str, str]:
    """What pip runs in: as here, with the index that was named. It may have a password in it."""
    named = {} if index_url is None else {"PIP_INDEX_URL": index_url}
    return {**os.environ, **named}


_TOOL = f"simpleindex-server {__version__}"


def _written_lines(written: tuple[Written, ...], contents: Contents, state: str) -> list[str]:
    lines = [
        f"{each.path}: {size_text(each.size_bytes)}, digest {each.digest}"
        f"{', written over what lay there' if each.is_written_over else ''}"
        for each in written
    ]
    files = count_text(len(contents.manifest.files), "file")
    targets = count_text(len(contents.manifest.targets), "target")
    line = f"{files} for {targets}; {size_text(contents.fetched_bytes)} were fetched"
    return [*lines, f"{line}; the stamp of the site is {state} then"]


def _this_program(max_bytes: int | None) -> bytes | str:
    """It as a `server.pyz`; or why there is none, which is told and keeps nobody from going on."""
    try:
        content = server_pyz()
    except (NotStored, Refused, Damaged) as error:
        return f"there is no {SERVER} in it, as none can be made of this program: {error}"
    if max_bytes is not None and len(content) > max_bytes // 2:
        return f"there is no {SERVER} in it, for which --max-size is too small"
    return content


def _bytes_max(max_size: str | None) -> int | None:
    return None if max_size is None else parse_size(max_size)
