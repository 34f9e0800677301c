"""What is known of mirrors: read in threads from what is kept, without ever asking upstream.

Where that is not enough to answer, a read raises `UpstreamNeeded`, and is begun again once
upstream was asked (`pages` does it). So a page that is kept never waits for anybody.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol
from urllib.parse import urlsplit

from simpleindex.errors import Forbidden
from simpleindex.events import Count, Event, nobody_counts
from simpleindex.mirror.sources import Sources
from simpleindex.policy import MirrorPolicy, Verdict
from simpleindex.wire import mirror_page
from simpleindex.wire.mirror_page import MirrorFile, MirrorPage
from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.mirrored import KeptPage, PageHead
from simpleindex_storage.model import DistFile, Index, MirrorSettings
from simpleindex_storage.names import FilePlace, IndexName, ProjectName, split_filename

_log = logging.getLogger("simpleindex")

ABSENT_SECONDS = 60.0
"""How long "upstream has no such project" is believed; somebody may just be releasing it."""
_ASKED_SECONDS = 1.0
"""How long a page that is being refreshed is told as it was, before it is looked at again."""
_OFFLINE_SECONDS = 5.0
"""Likewise where only what is kept counts: files come and go without a new page."""
_CLOCK_SECONDS_MAX = 60.0
"""What was checked later than this from now was checked under a wrong clock."""
_DECODED_FILES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class WantedPage:
    """The page of a project that a mirror has to ask for."""

    index: Index
    project: ProjectName
    checked_at: datetime | None = None
    """When what is kept was checked, as it was seen by who wants it; None: nothing is kept."""


class UpstreamNeeded(Exception):
    """A read cannot be answered before upstream was asked for these pages."""

    def __init__(self, *wanted: WantedPage) -> None:
        super().__init__(", ".join(f"{page.project} of {page.index.name}" for page in wanted))
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class MirroredFile:
    """A file that a mirror shows."""

    index: IndexName
    project: ProjectName
    known: MirrorFile

    @property
    def place(self) -> FilePlace:
        """Where its bytes are kept, if they are; and its URL."""
        return FilePlace(self.index, self.known.sha256_prefix, self.known.file.filename)

    @property
    def changed_at(self) -> datetime:
        """When its bytes came to be: when upstream took them, as far as that is known."""
        return self.known.file.uploaded_at or self.known.first_seen_at

    @property
    def sha256(self) -> str | None:
        """The digest that was told first; None where upstream tells none."""
        return self.known.file.hashes.get("sha256")


@dataclass(frozen=True, slots=True)
class MirrorLook:
    """What one mirror shows of one project."""

    index: IndexName
    page: MirrorPage | None
    """None: there is no such project, or nobody can tell."""
    files: tuple[MirroredFile, ...] = ()
    fingerprint: Hashable = None
    """Equal for two looks that show the same."""
    valid_until: datetime | None = None
    """When it should be looked at anew; None: when anything has changed."""
    trouble: str | None = None
    """Why nobody can tell."""
    verdict: Verdict | None = None
    """Why upstream is not asked for this project at all."""
    is_offline: bool = False
    """Nobody may be asked."""

    @property
    def advice(self) -> str:
        """Why there is nothing, for people; empty where upstream just has nothing."""
        if self.verdict is not None:
            return self.verdict.reason
        return f"{self.index} is offline, and has kept nothing of it" if self.is_offline else ""


class SeenMirrors(Protocol):
    """What is shown of mirrors, in the words of those who show it."""

    def look(self, index: Index, project: ProjectName) -> MirrorLook:
        """What a mirror shows of a project. Raises UpstreamNeeded."""
        ...


class NoMirrors:
    """Where mirrors show nothing."""

    def look(self, index: Index, project: ProjectName) -> MirrorLook:
        """Nothing."""
        return MirrorLook(index.name, None)


NO_MIRRORS = NoMirrors()


class Mirrored:
    """Reads what is kept of all mirrors. May be used from any thread."""

    def __init__(
        self,
        cache: Cache,
        sources: Sources,
        *,
        expiry_seconds: int,
        offline: bool,
        now: Callable[[], datetime],
        count: Count = nobody_counts,
    ) -> None:
        self.cache = cache
        self.count = count
        self.troubles = Troubles(now)
        self.wishes: deque[WantedPage] = deque()
        """Pages that were told although they are out of date; to be refreshed behind the answer."""
        self._sources = sources
        self._expiry_seconds = expiry_seconds
        self._offline = offline
        self._now = now
        self._decoded = _DecodedPages()

    def look(self, index: Index, project: ProjectName) -> MirrorLook:
        """What a mirror shows of a project. Raises UpstreamNeeded."""
        settings = settings_of(index)
        policy = MirrorPolicy.of(settings)
        verdict = policy.of_project(project)
        if not verdict.is_shown:
            return MirrorLook(index.name, None, fingerprint=verdict.rule, verdict=verdict)
        now = self._now()
        known = self._known(index.name, project)
        valid_until = self._valid_until(index, project, known, now)
        if known is None or known.page is None:
            is_offline = self.is_offline(settings)
            asks = known is None and not is_offline
            return MirrorLook(
                index.name,
                None,
                valid_until=valid_until,
                trouble=self.troubles.line(index, project) if asks else None,
                is_offline=is_offline,
            )
        page = known.page
        verdicts = [policy.of_file(project, file, page.status, now) for file in page.files]
        files = [
            MirroredFile(index.name, project, file)
            for file, verdict in zip(page.files, verdicts, strict=True)
            if verdict.is_shown
        ]
        if self.is_offline(settings):
            here = self.cache.filenames(index.name, project)
            files = [file for file in files if file.known.file.filename in here]
        moments = (valid_until, MirrorPolicy.next_change_at(verdicts))
        shown = tuple(file.known.file.filename for file in files)
        return MirrorLook(
            index.name,
            page,
            tuple(files),
            fingerprint=(known.head.serial, hash(shown)),
            valid_until=min((moment for moment in moments if moment is not None), default=None),
        )

    def file(self, index: Index, place: FilePlace) -> tuple[MirroredFile, Verdict, frozenset[str]]:
        """The file that a mirror lists at a place, whether it may be had, and from which hosts.

        Raises NotStored, Forbidden, UpstreamNeeded.
        """
        try:
            project, _ = split_filename(place.filename)
        except Refused:
            raise NotStored(f"file {place.filename}") from None
        policy, now = MirrorPolicy.of(settings_of(index)), self._now()
        ruling = policy.of_project(project)
        if not ruling.is_shown:
            raise Forbidden(ruling.reason)
        # Of this one file, without a look at all the others: there may be thousands.
        known = self._known(index.name, project)
        self._valid_until(index, project, known, now)
        decoded = None if known is None else known.decoded
        file = None if decoded is None else decoded.files.get(place.filename)
        if decoded is None or file is None or file.sha256_prefix != place.sha256_prefix:
            look = self.look(index, project)
            raise NotStored(f"file {place.filename} in {index.name}", look.trouble or look.advice)
        verdict = policy.of_file(project, file, decoded.page.status, now)
        return MirroredFile(index.name, project, file), verdict, decoded.hosts

    def verdicts(self, index: Index, project: ProjectName) -> list[tuple[MirrorFile, Verdict]]:
        """All that is known of a project's files, and what is ruled of each."""
        known = self._known(index.name, project)
        if known is None or known.page is None:
            return []
        policy, now, page = MirrorPolicy.of(settings_of(index)), self._now(), known.page
        return [(file, policy.of_file(project, file, page.status, now)) for file in page.files]

    def keep(self, told: KeptPage, make: Callable[["Known | None"], MirrorPage | None]) -> None:
        """Keep what upstream tells: what `make` makes of what is kept; None: no such project.

        It is made again if somebody has changed what is kept meanwhile.
        """
        kept = None
        while kept is None:
            known = self._known(told.index, told.project)
            page = make(known)
            content = None if page is None else mirror_page.encode(page)
            before = None if known is None else known.head.serial
            kept = self.cache.replace_page(replace(told, content=content), before)
        if page is not None:
            self._decoded.put((kept.index, kept.project), kept.serial, Decoded.of(page))

    def change_page(self, file: MirroredFile, change: Callable[[MirrorPage], MirrorPage]) -> None:
        """Change what is kept of the page of a file, while nobody else does. Blocks.

        Raises Unavailable.
        """

        def changed(content: bytes) -> bytes:
            return mirror_page.encode(change(mirror_page.decode(content)))

        self.cache.change_page(file.index, file.project, changed)

    def is_offline(self, settings: MirrorSettings) -> bool:
        """Whether nobody may be asked."""
        return self._offline or settings.offline

    def source_label(self, index: Index) -> str | None:
        """The index that is mirrored, without secrets; None while nobody has looked for it."""
        source = self._sources.known(settings_of(index))
        return None if source is None else source.label

    def is_of_source(self, label: str, index: Index) -> bool:
        """Whether the index that something was fetched from is the one that is mirrored now."""
        return self.source_label(index) in (None, label)

    def wanted(self, index: Index, project: ProjectName) -> WantedPage | None:
        """The page, if upstream may be asked for it at all."""
        settings = settings_of(index)
        if self.is_offline(settings) or not MirrorPolicy.of(settings).of_project(project).is_shown:
            return None
        return WantedPage(index, project)

    def _valid_until(
        self, index: Index, project: ProjectName, known: "Known | None", now: datetime
    ) -> datetime:
        """Until when what is kept may be told. Raises UpstreamNeeded if it may not be told at all.

        Whatever trouble there is with upstream, what is kept is told.
        """
        settings = settings_of(index)
        if self.is_offline(settings):
            self.count(Event.MIRROR_LOOK_OFFLINE, 1)
            return now + timedelta(seconds=_OFFLINE_SECONDS)
        is_absent = known is not None and known.is_absent
        seconds: float | None = settings.mirror_cache_expiry_seconds
        if seconds is None:
            seconds = self._expiry_seconds
        if known is not None and self.is_of_source(known.head.source, index):
            if is_absent:
                # At least as long as it takes to tell it to those who have just asked for it.
                seconds = max(_ASKED_SECONDS, min(seconds, ABSENT_SECONDS))
            lifetime = timedelta(seconds=seconds)
            if is_younger(known.head.checked_at, lifetime, now):
                self.count(Event.MIRROR_LOOK_FRESH, 1)
                return known.head.checked_at + lifetime
            may_be_told = known.page is not None
        else:
            may_be_told = False
        trouble_until = self.troubles.until(index, project)
        if trouble_until is not None:
            self.count(Event.MIRROR_LOOK_TROUBLED, 1)
            return trouble_until
        wanted = WantedPage(index, project, None if known is None else known.head.checked_at)
        if not may_be_told:
            self.count(Event.MIRROR_LOOK_MISSING, 1)
            raise UpstreamNeeded(wanted)
        self.count(Event.MIRROR_LOOK_STALE, 1)
        self.wishes.append(wanted)
        return now + timedelta(seconds=_ASKED_SECONDS)

    def _known(self, index: IndexName, project: ProjectName) -> "Known | None":
        """What is kept of a page. One that cannot be read is forgotten, and so fetched again.

        Its content is read only if it is not in memory: every request for a file comes here.
        """
        head = self.cache.page_head(index, project)
        if head is None or not head.has_content:
            return None if head is None else Known(head)
        decoded = self._decoded.get((index, project), head.serial)
        if decoded is not None:
            return Known(head, decoded)
        kept = self.cache.page(index, project)
        if kept is None or kept.content is None:  # it has changed in this moment
            return self._known(index, project)
        try:
            decoded = Decoded.of(mirror_page.decode(kept.content))
        except ValueError as error:
            _log.error("%s: what is kept of %s cannot be used: %s", index, project, error)
            self.cache.forget_page(index, project)
            return None
        self._decoded.put((index, project), kept.serial, decoded)
        validators = (kept.etag, kept.last_modified)
        head = PageHead(kept.source, True, *validators, kept.checked_at, kept.serial)
        return Known(head, decoded)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page as a record, with what is looked up in it."""

    page: MirrorPage
    files: Mapping[str, MirrorFile]
    """By name."""
    hosts: frozenset[str]
    """Those that it names as hosts of its files."""

    @classmethod
    def of(cls, page: MirrorPage) -> "Decoded":
        """Reads the page once, for all that look things up in it."""
        return cls(page, {file.file.filename: file for file in page.files}, _hosts(page))


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a project, at one serial."""

    head: PageHead
    decoded: Decoded | None = None
    """None: upstream has no such project."""

    @property
    def page(self) -> MirrorPage | None:
        """What upstream has, and once had."""
        return None if self.decoded is None else self.decoded.page

    @property
    def is_absent(self) -> bool:
        """Whether upstream had no such project when it was last asked, maybe by mistake."""
        page = self.page
        return page is None or (
            bool(page.files) and not page.versions and all(file.gone for file in page.files)
        )


def is_younger(checked_at: datetime, lifetime: timedelta, now: datetime) -> bool:
    """Whether what was checked then may be told now without asking again."""
    return timedelta(seconds=-_CLOCK_SECONDS_MAX) <= now - checked_at < lifetime


def as_dist_file(mirrored: MirroredFile) -> DistFile | None:
    """What is told of a mirror's file where stored files are told of; None without its digest."""
    file, sha256 = mirrored.known.file, mirrored.sha256
    if sha256 is None or not sha256.startswith(mirrored.known.sha256_prefix):
        return None
    metadata = file.metadata if isinstance(file.metadata, dict) else {}
    return DistFile(
        index=mirrored.index,
        project=mirrored.project,
        version=mirrored.known.version,
        filename=file.filename,
        key=file.filename,
        size_bytes=file.size_bytes or 0,
        sha256=sha256,
        md5=file.hashes.get("md5", ""),
        blake2b_256=file.hashes.get("blake2b_256", ""),
        uploaded_at=mirrored.changed_at,
        uploaded_by="",
        requires_python=file.requires_python,
        metadata_sha256=metadata.get("sha256"),
        yanked=file.yanked,
    )


class Troubles:
    """What went wrong with upstream a short while ago, so that nobody waits for it again.

    Each process finds out for itself. May be used from any thread.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = Lock()
        self._of_projects: OrderedDict[tuple[IndexName, ProjectName], Trouble] = OrderedDict()
        self._of_indexes: dict[IndexName, Trouble] = {}

    def note(self, index: Index, project: ProjectName, line: str, *, is_down: bool) -> None:
        """Something went wrong; `is_down`: it would with every project."""
        now = self._now()
        with self._lock:
            if is_down:
                before = self._of_indexes.get(index.name)
                seconds = _DOWN_SECONDS
                if before is not None and now >= before.until:
                    seconds = min(before.seconds * 2, _DOWN_SECONDS_MAX)
                elif before is not None:
                    seconds = before.seconds
                until = now + timedelta(seconds=seconds)
                self._of_indexes[index.name] = Trouble(index.serial, line, until, seconds)
                return
            until = now + timedelta(seconds=_TROUBLE_SECONDS)
            trouble = Trouble(index.serial, line, until, _TROUBLE_SECONDS)
            self._of_projects[index.name, project] = trouble
            while len(self._of_projects) > _TROUBLES_MAX:
                self._of_projects.popitem(last=False)

    def forget(self, index: IndexName, project: ProjectName) -> None:
        """Upstream has answered."""
        with self._lock:
            self._of_indexes.pop(index, None)
            self._of_projects.pop((index, project), None)

    def until(self, index: Index, project: ProjectName) -> datetime | None:
        """Until when there is no use in asking; None: it may be asked now."""
        found = self._current(index, project)
        return None if found is None else found.until

    def line(self, index: Index, project: ProjectName) -> str | None:
        """What is wrong, for people."""
        found = self._current(index, project)
        return None if found is None else found.line

    def of_index(self, index: Index) -> str | None:
        """What is wrong with all of an upstream, for people."""
        now = self._now()
        with self._lock:
            found = self._of_indexes.get(index.name)
        return found.line if found is not None and found.stands(index, now) else None

    def _current(self, index: Index, project: ProjectName) -> "Trouble | None":
        now, name = self._now(), index.name
        with self._lock:
            found = (self._of_indexes.get(name), self._of_projects.get((name, project)))
        current = [each for each in found if each is not None and each.stands(index, now)]
        return max(current, key=lambda trouble: trouble.until, default=None)


_TROUBLE_SECONDS = 10.0
_DOWN_SECONDS = 15.0
_DOWN_SECONDS_MAX = 120.0
_TROUBLES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with an upstream, and how long there is no use in trying again."""

    index_serial: int
    """Of the settings with which it came about: others may be the remedy."""
    line: str
    until: datetime
    seconds: float

    def stands(self, index: Index, now: datetime) -> bool:
        """Whether it is to be believed still."""
        # Not longer than it was meant to: the clock may have been put back.
        is_time = timedelta(0) < self.until - now <= timedelta(seconds=self.seconds)
        return is_time and index.serial == self.index_serial


class _DecodedPages:
    """A bounded memory of pages as records."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Hashable, tuple[int, Decoded]] = OrderedDict()
        self._files = 0
        self._lock = Lock()

    def get(self, key: Hashable, serial: int) -> Decoded | None:
        with self._lock:
            found = self._pages.get(key)
            if found is None or found[0] != serial:
                return None
            self._pages.move_to_end(key)
            return found[1]

    def put(self, key: Hashable, serial: int, page: Decoded) -> None:
        with self._lock:
            before = self._pages.pop(key, None)
            if before is not None:
                self._files -= len(before[1].files)
            self._pages[key] = (serial, page)
            self._files += len(page.files)
            while self._files > _DECODED_FILES_MAX and self._pages:
                _, (_, oldest) = self._pages.popitem(last=False)
                self._files -= len(oldest.files)


def settings_of(index: Index) -> MirrorSettings:
    """Of an index that is known to be a mirror."""
    assert isinstance(index.settings, MirrorSettings)
    return index.settings


def _hosts(page: MirrorPage) -> frozenset[str]:
    """The hosts that a page names as those of its files."""
    hosts = (urlsplit(file.file.url).hostname for file in page.files)
    return frozenset(host for host in hosts if host)
