"""`fsck`: whether every record has its bytes, and every byte its record; and mending it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import click

from simpleindex.cli.directory import require_ours
from simpleindex.cli.options import as_typed, config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, say, size_text, tell
from simpleindex_storage.errors import StoreError
from simpleindex_storage.fsck.check import Check
from simpleindex_storage.fsck.codes import Code, Fault
from simpleindex_storage.fsck.mend import NOTHING, Done, Mender
from simpleindex_storage.model import JsonValue
from simpleindex_storage.opening import utc_now
from simpleindex_storage.processes import check_one_version


@click.command("fsck")
@click.option("--quick", is_flag=True, help="Compare sizes only; read no file.")
@click.option("--repair", is_flag=True, help="Mend what can be mended without losing anything.")
@click.option(
    "--forget-missing",
    is_flag=True,
    help="With --repair, which it implies: forget records whose bytes are nowhere to be found.",
)
@json_option
@setting_options("serverdir")
def command(
    *,
    quick: bool,
    repair: bool,
    forget_missing: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Check that every record has its bytes, and every byte its record.

    The server may be running. Reads every file and compares it with its recorded sha256, checks
    the catalog, the journal, and what mirrors have kept. Nothing is changed without --repair. That
    deletes only what the program itself has left: drafts, empty folders, remainders of the cache.
    What has no record, or wrong bytes, is moved to SERVERDIR/set-aside; a file for which no right
    bytes are found keeps its record, and clients get a 404 until it is uploaded again. The exit
    code is 1 if there are faults (with --repair: that could not be mended). Each fault is told
    with a word that stays the same, and with what to do about it.
    """
    root = config_from(config_file, flags).serverdir
    require_ours(root)
    mends = repair or forget_missing
    if mends:
        check_one_version(root / "incoming")
    began = monotonic()
    found: list[_Found] = []
    with (
        _progress(root, is_shown=not as_json and not quick) as progress,
        _mending(root, forget_missing=forget_missing, is_wanted=mends) as mend,
    ):
        check = Check(root, is_quick=quick, progress=progress)
        for fault in check.faults():
            each = _Found(fault, mend(fault), as_typed(fault.kind.advice, root))
            found.append(each)
            if not as_json:
                for line in each.lines():
                    say(line)
    report = _Report(check.file_count, check.size_bytes, monotonic() - began, quick, found)
    # Where the catalog can tell of no file, there is nothing to sum up.
    is_blind = not report.files and any(it.fault.code is Code.CATALOG_PAGES for it in found)
    tell(report.document(), [] if is_blind else [report.line()], as_json=as_json)
    if report.fault_count:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class _Found:
    fault: Fault
    done: Done
    advice: str

    @property
    def is_fault(self) -> bool:
        return self.fault.kind.is_fault and not self.done.is_mended

    def lines(self) -> Iterator[str]:
        fault = self.fault
        level = "fault" if fault.kind.is_fault else "note"
        yield f"{level}  {fault.code}  {fault.path} {fault.what}"
        yield f"       {self.done.what or self.advice}"

    def document(self) -> JsonValue:
        return {
            "level": "fault" if self.fault.kind.is_fault else "note",
            "code": self.fault.code,
            "path": self.fault.path,
            "what": self.fault.what,
            "advice": self.advice,
            "mended": self.done.what if self.done.is_mended else None,
            "done": self.done.what or None,
        }


@dataclass(frozen=True, slots=True)
class _Report:
    files: int
    size_bytes: int
    seconds: float
    is_quick: bool
    found: list[_Found]

    @property
    def fault_count(self) -> int:
        """Those that are still there."""
        return sum(each.is_fault for each in self.found)

    def line(self) -> str:
        """What was looked at, how fast, and with what result."""
        looked = f"{count_text(self.files, 'file')}, {size_text(self.size_bytes)}"
        if not self.is_quick:
            looked += f" read at {size_text(int(self.size_bytes / max(self.seconds, 0.001)))}/s"
        mended = sum(each.done.is_mended for each in self.found)
        notes = len(self.found) - mended - self.fault_count
        told = [f"{mended} mended"] if mended else []
        told += [count_text(notes, "note")] if notes else []
        return f"{looked}: {', '.join([count_text(self.fault_count, 'fault'), *told])}"

    def document(self) -> JsonValue:
        return {
            "files": self.files,
            "bytes": self.size_bytes,
            "seconds": round(self.seconds, 3),
            "quick": self.is_quick,
            "faults": self.fault_count,
            "found": [each.document() for each in self.found],
        }


@contextmanager
def _mending(
    root: Path, *, forget_missing: bool, is_wanted: bool
) -> Iterator[Callable[[Fault], Done]]:
    """What to do with a fault; opened with the first that is to be mended."""
    menders: list[Mender] = []

    def mend(fault: Fault) -> Done:
        if not is_wanted or fault.code is Code.CATALOG_PAGES:
            return NOTHING
        if not menders:
            menders.append(Mender(root, utc_now, forget_missing=forget_missing))
        return menders[0].mend(fault)

    try:
        yield mend
    finally:
        for mender in menders:
            mender.close()


@contextmanager
def _progress(root: Path, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; nothing anywhere else."""
    total_bytes = _expected_bytes(root) if is_shown and sys.stderr.isatty() else None
    if total_bytes is None:
        yield lambda _: None
        return
    with closing(_Bar(total_bytes)) as bar:
        yield bar.add


def _expected_bytes(root: Path) -> int | None:
    try:
        return Check(root).expected_bytes()
    except StoreError:  # of a catalog that cannot be read, which the check itself tells of
        return None


class _Bar:
    """How much of the bytes was read, in a line of its own that is written over."""

    def __init__(self, total_bytes: int) -> None:
        self._total = max(total_bytes, 1)
        self._done = 0
        self._told = -1

    def add(self, size_bytes: int) -> None:
        """So many more are done."""
        self._done += size_bytes
        percent = min(100 * self._done // self._total, 100)
        if percent != self._told:
            self._told = percent
            click.echo(f"\r{percent:3d} %", nl=False, err=True)

    def close(self) -> None:
        """Leave the line empty."""
        click.echo("\r     \r", nl=False, err=True)
