"""`prefetch`: fill a mirror ahead of time."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import click
from packaging.version import Version

from simpleindex.cli.mirrors import mirror_option, opened, the_mirror
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, size_text, tell
from simpleindex.errors import RequestError
from simpleindex.mirror.files import KeptCopy
from simpleindex.mirror.known import MirroredFile, UpstreamNeeded
from simpleindex.mirror.opening import Mirroring
from simpleindex_storage.errors import NotStored, Refused, StoreError
from simpleindex_storage.model import Index, JsonValue
from simpleindex_storage.names import ProjectName, parse_project_name, parse_version

_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class _Wish:
    """A line of the list."""

    project: ProjectName
    version: Version | None
    """None: the newest."""

    def __str__(self) -> str:
        return self.project if self.version is None else f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of a wish, or of one of its files."""

    what: str
    size_bytes: int = 0
    was_here: bool = False
    error: str | None = None


@click.command("prefetch")
@click.argument("releases", nargs=-1, metavar="NAME[==VERSION]...")
@click.option(
    "--from-file",
    "list_file",
    type=click.File(encoding="utf-8"),
    metavar="LIST",
    help="More of them, one a line, as `uv pip compile` and `pip freeze` write them; - for "
    "standard input.",
)
@click.option(
    "--only",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only files with such a name, like '*-py3-none-any.whl'; repeatable.",
)
@click.option("--no-sdists", is_flag=True, help="No source distributions.")
@mirror_option
@json_option
@setting_options(
    "serverdir", "upstream_url", "private_upstreams", "cache_bytes_max", "keep_free_bytes"
)
def command(
    *,
    releases: tuple[str, ...],
    list_file: Iterable[str] | None,
    patterns: tuple[str, ...],
    no_sdists: bool,
    index_text: str,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Fetch all files of releases into a mirror, before anybody asks for them.

    NAME alone stands for its newest release. Dependencies are not looked for: name them too.
    Works while the server runs; what is here already is not fetched again.
    """
    wishes = [_wish(text, "") for text in releases]
    wishes += _wishes(list_file or ())
    if not wishes:
        raise click.UsageError("nothing to fetch: give NAME==VERSION, or --from-file LIST")
    wanted = _Selection(patterns, no_sdists)
    config = config_from(config_file, flags)
    with opened(config) as mirrors:
        with mirrors.store.catalog.snapshot() as seen:
            index = the_mirror(seen, index_text)
        results = asyncio.run(_prefetch(mirrors.mirroring, index, wishes, wanted, quiet=as_json))
    failed = [each for each in results if each.error is not None]
    here = [each for each in results if each.error is None]
    fetched = [each for each in here if not each.was_here]
    document: dict[str, JsonValue] = {
        "fetched": [each.what for each in fetched],
        "here_already": [each.what for each in here if each.was_here],
        "failed": {each.what: each.error for each in failed},
        "bytes": sum(each.size_bytes for each in fetched),
    }
    lines = [f"{each.what}: {each.error}" for each in failed]
    lines.append(
        f"{count_text(len(fetched), 'file')} fetched "
        f"({size_text(sum(each.size_bytes for each in fetched))}), "
        f"{len(here) - len(fetched)} here already, {len(failed)} failed"
    )
    tell(document, lines, as_json=as_json)
    if failed:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which files of a release are wanted."""

    patterns: tuple[str, ...]
    no_sdists: bool

    def takes(self, filename: str) -> bool:
        if self.no_sdists and filename.endswith((".tar.gz", ".zip")):
            return False
        return not self.patterns or any(fnmatchcase(filename, each) for each in self.patterns)


def _wishes(lines: Iterable[str]) -> Iterator[_Wish]:
    """Those of a list: comments, hashes, markers and options of pip say nothing here."""
    for number, line in enumerate(lines, 1):
        text = _AFTER_RELEASE.sub("", line).strip()
        if text.startswith("-"):
            continue
        if " @ " in text:
            click.echo(f"line {number} is left out: {text} comes from no index", err=True)
        elif text:
            yield _wish(text, f" (line {number})")


_AFTER_RELEASE = re.compile(r"(^|\s)#.*|\s*;.*|\s+--hash.*|\s*\\\s*$")


def _wish(text: str, where: str) -> _Wish:
    name, equals, version = (part.strip() for part in text.partition("=="))
    try:
        project = parse_project_name(name)
        return _Wish(project, Version(parse_version(version)) if equals else None)
    except Refused:
        raise click.UsageError(
            f"{text!r}{where} is not NAME or NAME==VERSION; only exact versions are fetched"
        ) from None


async def _prefetch(
    mirroring: Mirroring,
    index: Index,
    wishes: Sequence[_Wish],
    wanted: _Selection,
    *,
    quiet: bool,
) -> list[_Result]:
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def find(wish: _Wish) -> tuple[list[MirroredFile], _Result | None]:
        async with turn:
            try:
                return await _files_of(mirroring, index, wish, wanted), None
            except (StoreError, RequestError) as error:
                return [], _Result(str(wish), error=str(error))

    try:
        found = await asyncio.gather(*(find(wish) for wish in dict.fromkeys(wishes)))
        results = [result for _, result in found if result is not None]
        files = list({file.place: file for some, _ in found for file in some}.values())
        total_bytes = sum(file.known.file.size_bytes or 0 for file in files)
        with click.progressbar(
            length=total_bytes, label=f"Fetching {count_text(len(files), 'file')}", hidden=quiet
        ) as progress:

            async def fetch(file: MirroredFile) -> _Result:
                async with turn:
                    result = await _fetch(mirroring, index, file)
                progress.update(file.known.file.size_bytes or 0)
                return result

            results += await asyncio.gather(*(fetch(file) for file in files))
    finally:
        await mirroring.stop()
    return results


async def _files_of(
    mirroring: Mirroring, index: Index, wish: _Wish, wanted: _Selection
) -> list[MirroredFile]:
    """The files of one release that are shown. Raises NotStored, UpstreamFailed."""
    page = mirroring.mirrored.wanted(index, wish.project)
    if page is not None:
        with_trouble = mirroring.mirrored.troubles.line(index, wish.project) is not None
        if not with_trouble:
            await mirroring.pages.refresh([page])
    try:
        look = await asyncio.to_thread(mirroring.mirrored.look, index, wish.project)
    except UpstreamNeeded:
        raise NotStored(f"project {wish.project} in {index.name}") from None
    if look.page is None:
        raise NotStored(f"project {wish.project} in {index.name}", look.trouble or look.advice)
    version = wish.version
    if version is None:
        version = _newest(look.files)
    of_release = [file for file in look.files if Version(file.known.version) == version]
    if not of_release:
        hidden = (
            verdict.reason
            for file, verdict in mirroring.mirrored.verdicts(index, wish.project)
            if Version(file.version) == version and not verdict.is_shown
        )
        advice = next(hidden, f"`why {wish}` tells what is known of it")
        raise NotStored(f"release {wish} in {index.name}", advice)
    files = [file for file in of_release if wanted.takes(file.known.file.filename)]
    if not files:
        raise NotStored(
            f"file of {wish.project} {version} that is wanted",
            f"it has {count_text(len(of_release), 'other')}",
        )
    return files


def _newest(files: Iterable[MirroredFile]) -> Version | None:
    """The version that pip would take: no pre-release or yanked one where there are others."""
    known = [(Version(file.known.version), file.known.file.yanked is None) for file in files]
    best = max(
        ((stands, not version.is_prerelease, version) for version, stands in known), default=None
    )
    return None if best is None else best[2]


async def _fetch(mirroring: Mirroring, index: Index, file: MirroredFile) -> _Result:
    """Fetch one file. Its metadata is in it, for whoever asks for that later."""
    filename = file.known.file.filename
    try:
        found = await asyncio.to_thread(mirroring.files.find, index, file.place)
        was_here = isinstance(found, KeptCopy)
        copy = found if isinstance(found, KeptCopy) else await mirroring.files.whole(found, ())
        copy.content.close()
    except (StoreError, RequestError) as error:
        return _Result(filename, error=str(error))
    except UpstreamNeeded as needed:
        return _Result(filename, error=f"upstream gives no page of {needed}")
    return _Result(filename, copy.kept.size_bytes, was_here)
