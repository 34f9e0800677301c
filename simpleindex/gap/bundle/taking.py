"""Takes bundles and packages into an index: all that they bring, in one change, or nothing.

What is looked at before saves work; what counts is looked at again within the change, where nobody
else writes. A crash at any moment leaves the index as it was, or with all of it.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from simpleindex import library
from simpleindex.access import ROOT, Principal, Rules
from simpleindex.gap.bundle.loads import Arriving, Load
from simpleindex.gap.bundle.manifest import AssumedFile, Notice
from simpleindex.gap.bundle.reading import Bundle
from simpleindex.gap.bundle.site_ledger import Import, TakenBundle, TakenFile, imports, note_import
from simpleindex.reading import Reader
from simpleindex_storage.errors import (
    AlreadyStored,
    Refused,
    StoreError,
    Unavailable,
)
from simpleindex_storage.inspecting import Inspect, Inspectors
from simpleindex_storage.model import (
    Actor,
    Admitted,
    DistFile,
    Event,
    Index,
    LogEntry,
    Outcome,
    StageSettings,
    Upload,
)
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Change, Snapshot
from simpleindex_storage.store import Checked, Store

WHAT = "bundle import"
"""How the journal names it."""
RESERVE_BYTES = 64 << 20
"""What has to be free yet when all is in."""

_AT_ONCE_MAX = 4
"""Files that are looked through: more processes would wait for the one that copies."""
_PROCESSES_FROM_FILES = 200
"""Fewer are looked through before another process has come up."""
_BESIDE_BYTES = 32 << 10
"""Of a file: its metadata, twice in the journal and catalog, and what is lost in blocks."""
_REASON_CHARACTERS_MAX = 500
_ADMIN = Reader(Rules(), Principal(ROOT))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where something is taken in, and how."""

    index: IndexName
    make_index: Index | None = None
    """Made if it is not there."""
    may_replace: bool = False
    """Whether files with other bytes may go, where the index lets them."""
    strict_archives: bool | None = None
    """None: as the index is set. Of bundles: no, since others use what is in them already."""
    signed_by: Mapping[str, str] = field(default_factory=dict)
    """Who has signed, by the digests of volumes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do, as far as a first look tells."""

    new: tuple[Arriving, ...]
    """Files that have to be copied; of some it will turn out that they are there."""
    there: tuple[DistFile, ...]
    missing: tuple[AssumedFile, ...]
    """Files that the site was thought to have."""
    clashes: tuple[str, ...]
    """Files of which the index has one with other bytes, in sentences."""
    missing_volumes: tuple[str, ...]
    mixed: tuple[ProjectName, ...]
    """Projects of which the index has files that no bundle has brought, and gets more now."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Why nothing can be taken in; none: as far as can be seen, it can."""
        return (*self.clashes, *self.missing_told)

    @property
    def missing_told(self) -> tuple[str, ...]:
        """What is missing, in sentences."""
        return tuple(
            f"{each.name.text} is not here, and the bundle needs it to be" for each in self.missing
        )

    @property
    def size_bytes(self) -> int:
        """To be copied."""
        return sum(arriving.size_bytes for arriving in self.new)


@dataclass(frozen=True, slots=True)
class Staged:
    """Files that lie ready, out of sight."""

    checked: tuple[Checked, ...]
    faults: tuple[str, ...]
    """Why nothing can be taken in."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was taken in."""

    serial: int | None
    """Of the import; None: it was there already, all of it."""
    admitted: tuple[Admitted, ...]
    there: tuple[DistFile, ...]
    """Those that did not have to be copied."""
    yanked: tuple[TakenFile, ...]
    left_unyanked: tuple[Notice, ...]
    """The bundle is older than what was taken in before, so it only adds."""
    new_projects: tuple[ProjectName, ...]
    new_releases: int

    def with_outcome(self, outcome: Outcome) -> tuple[DistFile, ...]:
        """The files that were added, replaced, or there already."""
        found = [each.file for each in self.admitted if each.outcome is outcome]
        if outcome is Outcome.ALREADY_THERE:
            found += self.there
        return tuple(found)


def check_room(root: Path, plan: Plan) -> None:
    """Raises Unavailable for a disk on which not all of it would fit."""
    needed = plan.size_bytes + len(plan.new) * _BESIDE_BYTES + RESERVE_BYTES
    free = shutil.disk_usage(root).free
    if free < needed:
        raise Unavailable(
            f"{root} has room for {free:,} bytes, and {needed:,} are needed, with a reserve of "
            f"{RESERVE_BYTES:,}; make room there",
            full=True,
        )


@dataclass(frozen=True, slots=True)
class Taking:
    """A load on its way into an index: `look`, then `stage`, then `take_in`."""

    store: Store
    load: Load
    wanted: Wanted
    by: Actor
    now: datetime

    def look(self) -> Plan:
        """What there is to do."""
        new: list[Arriving] = []
        there: list[DistFile] = []
        clashes: list[str] = []
        wanted = self.wanted
        with self.store.catalog.snapshot() as seen:
            for arriving in self.load.files:
                stored = seen.file_named(wanted.index, arriving.name.key)
                is_same = stored is not None and stored.sha256 == arriving.sha256
                if stored is not None and is_same and _has_bytes(self.store, stored):
                    there.append(stored)
                    continue
                new.append(arriving)
                if stored is not None and not is_same and arriving.sha256 is not None:
                    clashes += _clash(seen, stored, wanted)
            return Plan(
                tuple(new),
                tuple(there),
                tuple(_missing(seen, self.load, wanted.index)),
                tuple(clashes),
                tuple(_missing_volumes(self.load)),
                tuple(_mixed(seen, new, wanted.index)),
            )

    def stage(
        self,
        plan: Plan,
        drafts: ExitStack,
        progress: Callable[[int], object] = lambda size_bytes: None,
    ) -> Staged:
        """Copy files to where they are out of sight, and look through each, side by side.

        They last as long as `drafts`. `progress` hears of bytes, from any thread. Raises
        Unavailable.
        """

        at_once = min(_AT_ONCE_MAX, os.cpu_count() or 1)
        processes = at_once - 1 if len(plan.new) >= _PROCESSES_FROM_FILES else 0
        with Inspectors(processes) as inspectors:
            stage_one = partial(self._stage, drafts, progress, inspectors.inspect)
            # One copies while another waits for the disk, or for a stick.
            threads = ThreadPoolExecutor(max(2, at_once), "taking in")
            try:
                results = list(threads.map(stage_one, plan.new))
            finally:
                threads.shutdown(cancel_futures=True)
        by_key: dict[str, Checked] = {}
        faults = [result for result in results if isinstance(result, str)]
        for result in results:
            if isinstance(result, str):
                continue
            first = by_key.setdefault(result.file.key, result)
            if first.file.sha256 != result.file.sha256:
                faults.append(f"{result.file.filename} comes twice, with different bytes")
        checked = tuple(by_key.values())
        faults += self._objections(checked)
        return Staged(checked, tuple(dict.fromkeys(faults)))

    def take_in(self, plan: Plan, staged: Staged) -> Done:
        """Record it, in one change. If it raises, nothing was taken in.

        Once it returns, a crash or power cut loses nothing. Raises Refused, AlreadyStored,
        NotStored, Unavailable.
        """
        recording = _Recording(self, plan)
        admitted = self.store.admit_checked(
            staged.checked,
            by=self.by,
            make_index=self.wanted.make_index,
            what=WHAT,
            then=recording.finish,
        )
        return recording.done(admitted)

    def _stage(
        self,
        drafts: ExitStack,
        progress: Callable[[int], object],
        look_through: Inspect,
        arriving: Arriving,
    ) -> Checked | str:
        """A file that may be stored, or why it may not. Raises Unavailable."""
        draft = drafts.enter_context(self.store.stage())
        strict = self.wanted.strict_archives
        if strict is None and arriving.sha256 is not None:
            strict = False
        try:
            for chunk in arriving.read():
                draft.write(chunk)
                progress(len(chunk))
            upload = self._upload(arriving)
            return self.store.check(upload, draft.finish(), strict, look_through=look_through)
        except Unavailable:
            raise
        except StoreError as error:
            return str(error)

    def _upload(self, arriving: Arriving) -> Upload:
        return Upload(
            index=self.wanted.index,
            filename=arriving.name.text,
            sender=self.by.name,
            promised={} if arriving.sha256 is None else {"sha256": arriving.sha256},
            uploaded_at=arriving.uploaded_at,
            yanked=arriving.yanked,
            # When it came here: when it came to where it is from is another matter.
            log=(LogEntry(Event.UPLOAD, self.by.name, self.now, target=self.wanted.index),),
        )

    def _objections(self, checked: Sequence[Checked]) -> Iterator[str]:
        """Why files that are ready may not be stored, now that all is known of them."""
        for error in self.store.objections(checked, self.wanted.make_index):
            if not isinstance(error, AlreadyStored):
                yield str(error)
        with self.store.catalog.snapshot() as seen:
            for arrival in checked:
                stored = seen.file_named(self.wanted.index, arrival.file.key)
                if stored is not None and stored.sha256 != arrival.file.sha256:
                    yield from _clash(seen, stored, self.wanted)


class _Recording:
    """What is done in the change that records the files."""

    def __init__(self, taking: Taking, plan: Plan) -> None:
        self._load = taking.load
        self._plan = plan
        self._wanted = taking.wanted
        self._by = taking.by
        self._now = taking.now
        with taking.store.catalog.snapshot() as seen:
            self._projects_before = {each.name for each in seen.projects(self._wanted.index)}
        self._serial: int | None = None
        self._yanked: tuple[TakenFile, ...] = ()
        self._left_unyanked: tuple[Notice, ...] = ()

    def finish(self, change: Change, admitted: tuple[Admitted, ...]) -> None:
        """Look once more, yank, and write the ledger. Raises what undoes all of it."""
        self._check_again(change, admitted)
        known = imports(change)
        notices = [each for it in self._load.bundles for each in it.manifest.yanks]
        if notices and _is_older(self._load, known, self._wanted.index):
            self._left_unyanked = tuple(notices)
        else:
            self._yanked = tuple(_yank(change, notices, self._wanted.index))
        taken = Import(
            index=self._wanted.index,
            sources=self._load.sources,
            bundles=tuple(_taken_bundle(it, self._wanted) for it in self._load.bundles),
            loose_files=tuple(self._loose_files(admitted)),
            added=tuple(
                TakenFile(it.file.filename, it.file.sha256)
                for it in admitted
                if it.outcome is not Outcome.ALREADY_THERE
            ),
            yanked=self._yanked,
        )
        if taken.added or taken.yanked or not any(_is_same(taken, each) for each in known):
            note_import(change, taken, at=self._now, by=self._by.name)
            self._serial = change.new_serial

    def done(self, admitted: tuple[Admitted, ...]) -> Done:
        """What came of it."""
        added = [it.file for it in admitted if it.outcome is not Outcome.ALREADY_THERE]
        projects = {file.project for file in added} - self._projects_before
        return Done(
            self._serial,
            admitted,
            self._plan.there,
            self._yanked,
            self._left_unyanked,
            tuple(sorted(projects)),
            len({(file.project, file.version) for file in added}),
        )

    def _check_again(self, change: Change, admitted: tuple[Admitted, ...]) -> None:
        if not self._wanted.may_replace:
            for each in admitted:
                if each.outcome is Outcome.REPLACED:
                    raise AlreadyStored(
                        "File", each.file.filename, "it came a moment ago, with different bytes"
                    )
        for file in self._plan.there:
            stored = change.file_named(file.index, file.key)
            if stored is None or stored.sha256 != file.sha256:
                raise Unavailable(f"{file.filename} was removed a moment ago; do the same again")
        for missing in _missing(change, self._load, self._wanted.index):
            raise Refused(missing.name.text, "it was removed a moment ago, and the bundle needs it")

    def _loose_files(self, admitted: Iterable[Admitted]) -> Iterator[TakenFile]:
        bundled = {file.sha256 for it in self._load.bundles for file in it.manifest.files}
        for each in admitted:
            if each.file.sha256 not in bundled:
                yield TakenFile(each.file.filename, each.file.sha256)


def _has_bytes(store: Store, file: DistFile) -> bool:
    """Whether the bytes of a recorded file are there, as far as their number tells."""
    try:
        _, content = store.open(file.place)
        with content:
            return os.fstat(content.fileno()).st_size == file.size_bytes
    except (StoreError, OSError):
        return False


def _clash(seen: Snapshot, stored: DistFile, wanted: Wanted) -> Iterator[str]:
    """Why a file does not get in whose name is taken; nothing if the other one may go."""
    index = seen.index(stored.index)
    is_fixed = index is not None and not index.settings.volatile
    if wanted.may_replace and not is_fixed:
        return
    yield (
        f"{stored.filename} is in {stored.index} with different bytes "
        f"(sha256 {stored.sha256[:16]}..., uploaded by {stored.uploaded_by or 'nobody known'})"
        + ("" if is_fixed else "; --replace puts this one in its place")
    )


def _missing(seen: Snapshot, load: Load, index: IndexName) -> Iterator[AssumedFile]:
    """What bundles assume to be here, and is neither here nor in any of them."""
    arriving = {arriving.sha256 for arriving in load.files}
    indexes = searched_indexes(seen, index)
    told = set[str]()
    for bundle in load.bundles:
        for assumed in bundle.manifest.assumes:
            if assumed.sha256 in arriving or assumed.sha256 in told:
                continue
            stored = (seen.file_named(each, assumed.name.key) for each in indexes)
            if not any(file is not None and file.sha256 == assumed.sha256 for file in stored):
                told.add(assumed.sha256)
                yield assumed


def searched_indexes(seen: Snapshot, index: IndexName) -> list[IndexName]:
    """An index and its bases, but for mirrors."""
    if seen.index(index) is None:
        return []
    view = library.look(seen, index, _ADMIN)
    return [it.name for it in view.indexes if isinstance(it.settings, StageSettings)]


def _missing_volumes(load: Load) -> Iterator[str]:
    for bundle in load.bundles:
        part = bundle.manifest.part
        if part is not None:
            here = {it.manifest.part.number for it in bundle.volumes if it.manifest.part}
            gone = [str(number) for number in range(1, part.count + 1) if number not in here]
            yield f"{bundle.subject}: {', '.join(gone)} of {part.count}"


def _mixed(seen: Snapshot, new: Iterable[Arriving], index: IndexName) -> Iterator[ProjectName]:
    claimed = {sha256 for each in imports(seen) for sha256 in each.brought | each.assumed}
    for project in sorted({arriving.name.project for arriving in new}):
        files = seen.listed_files(index, project)
        if files and not any(file.sha256 in claimed for file in files):
            yield project


def _is_older(load: Load, known: Iterable[Import], index: IndexName) -> bool:
    """Whether what is taken in was made before what was taken in last."""
    before = [
        bundle.manifest.created
        for each in known
        if each.index == index and each.undone_serial is None
        for bundle in each.bundles
    ]
    created = min(bundle.manifest.created for bundle in load.bundles)
    return bool(before) and created < max(before)


def _yank(change: Change, notices: Iterable[Notice], index: IndexName) -> Iterator[TakenFile]:
    """Yank what is there, with these very bytes, and is not yanked yet."""
    for notice in notices:
        stored = change.file_named(index, notice.name.key)
        if stored is None or stored.sha256 != notice.sha256 or stored.yanked is not None:
            continue
        change.yank_file(stored, yank_reason(notice))
        yield TakenFile(stored.filename, stored.sha256)


def yank_reason(notice: Notice) -> str:
    """The reason of a notice, as the index keeps it."""
    printable = "".join(each if each.isprintable() else "?" for each in notice.reason)
    return printable[:_REASON_CHARACTERS_MAX]


def _taken_bundle(bundle: Bundle, wanted: Wanted) -> TakenBundle:
    signers = {wanted.signed_by.get(volume.digest) for volume in bundle.volumes}
    return TakenBundle(
        bundle.manifest,
        tuple(sha256(volume.raw_manifest).hexdigest() for volume in bundle.volumes),
        tuple(volume.digest for volume in bundle.volumes),
        signers.pop() if len(signers) == 1 else None,
    )


def _is_same(taken: Import, other: Import) -> bool:
    """Whether the same was taken in before, and counts."""
    return (
        other.undone_serial is None
        and other.index == taken.index
        and {it.sha256s for it in taken.bundles} == {it.sha256s for it in other.bundles}
        and set(taken.loose_files) == set(other.loose_files)
    )
