"""Reading and changing what the cache has on record, on one connection to its SQLite file."""

import hashlib
import sqlite3
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from . import cache_sql as sql
from .mirrored import KeptFile, KeptNames, KeptPage, PageHead, Usage
from .model import Sidecar
from .names import FilePlace, IndexName, ProjectName
from .records import time_from_text, time_text

ROWS_AT_ONCE_MAX = 100
"""How much one hold of the write lock, or one look at many rows, may take."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place with all that is recorded there."""

    id: int
    place: FilePlace
    file_bytes: int | None
    """None: only sidecars are here."""
    size_bytes: int
    used_at: datetime


class Content:
    """What a page says, and how it is written down: packed, where that is shorter."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    @cached_property
    def sha256(self) -> bytes:
        """Tells whether it is another one, without reading that."""
        return hashlib.sha256(self.content).digest()

    def pack(self) -> None:
        """Do the work that writing it down takes, ahead of that."""
        _ = self.stored

    @cached_property
    def stored(self) -> tuple[bool, bytes]:
        """Whether it is packed, and what is written."""
        packed = zlib.compress(self.content, 1)
        if len(packed) < len(self.content):
            return True, packed
        return False, self.content


class CacheReading:
    """What is on record, as one connection sees it. Each call sees the last commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def serial(self) -> int:
        """Of the last change of what pages and lists say."""
        return int(self._one(sql.FACT, "serial")[0])

    @property
    def size_bytes(self) -> int:
        """Of all files, and of what lies beside them."""
        return int(self._one(sql.FACT, "size_bytes")[0])

    def page(self, index: IndexName, project: ProjectName) -> KeptPage | None:
        """What upstream has said of a project."""
        row = self._one(sql.PAGE, index, project)
        if row is None:
            return None
        source, is_packed, content, etag, last_modified, checked_at, serial = row
        if is_packed:
            with suppress(zlib.error):  # damaged: whoever wants to know what it says finds that out
                content = zlib.decompress(content)
        checked = time_from_text(checked_at)
        return KeptPage(index, project, source, content, etag, last_modified, checked, serial)

    def page_head(self, index: IndexName, project: ProjectName) -> PageHead | None:
        """Likewise, without what it was."""
        row = self._one(sql.PAGE_HEAD, index, project)
        if row is None:
            return None
        source, has_content, etag, last_modified, checked_at, serial = row
        checked = time_from_text(checked_at)
        return PageHead(source, bool(has_content), etag, last_modified, checked, serial)

    def is_same(self, page: KeptPage, content: Content | None) -> bool:
        """Whether it is on record who said it, and what."""
        state = self._one(sql.PAGE_STATE, page.index, page.project)
        return state is not None and _says(state, page.source, content)

    def projects(self, index: IndexName, after: str, limit: int) -> list[ProjectName]:
        """Projects that upstream has, by name, from the one after `after`."""
        rows = self._connection.execute(sql.PROJECTS, (index, after, limit))
        return [ProjectName(name) for (name,) in rows]

    def file(self, place: FilePlace) -> KeptFile | None:
        """The file at a place."""
        row = self._one(sql.FILE, *_key(place))
        if row is None:
            return None
        project, size_bytes, sha256, kept_at, used_at = row
        kept, used = time_from_text(kept_at), time_from_text(used_at)
        return KeptFile(place, ProjectName(project), size_bytes, sha256, kept, used)

    def filenames(self, index: IndexName, project: ProjectName) -> frozenset[str]:
        """The names of a project's files."""
        rows = self._connection.execute(sql.FILENAMES, (index, project))
        return frozenset(filename for (filename,) in rows)

    def sidecar_bytes(self, place: FilePlace, sidecar: Sidecar) -> int | None:
        """The size of what lies beside a file; None where that is nothing."""
        row = self._one(sql.SIDECAR_BYTES, *_key(place), sidecar)
        return None if row is None else int(row[0])

    def place(self, place_id: int) -> Place | None:
        """A place, if it is still on record."""
        row = self._one(sql.PLACE_BY_ID, place_id)
        return None if row is None else _place(row)

    def sidecars(self, place_id: int) -> list[tuple[Sidecar, int]]:
        """All that lies beside a file, with the sizes."""
        rows = self._connection.execute(sql.SIDECARS, (place_id,))
        return [(Sidecar(kind), size_bytes) for kind, size_bytes in rows]

    def oldest_places(self, after: Place | None) -> list[Place]:
        """Some places, those first that were not used for longest."""
        position = ("", 0) if after is None else (time_text(after.used_at), after.id)
        return self._places(sql.OLDEST_PLACES, *position)

    def places(
        self, index: IndexName | None, project: ProjectName | None, after: Place | None
    ) -> list[Place]:
        """Some places, of one index or of all, of one project or of all."""
        after_id = 0 if after is None else after.id
        if index is None:
            return self._places(sql.ALL_PLACES, after_id)
        if project is None:
            return self._places(sql.PLACES_OF_INDEX, index, after_id)
        return self._places(sql.PLACES_OF_PROJECT, index, project, after_id)

    def arrivals(self) -> tuple[tuple[FilePlace, Sidecar | None], ...]:
        """What was about to lie at a place, and is not on record there."""
        return tuple(
            (FilePlace(IndexName(index), prefix, filename), Sidecar(kind) if kind else None)
            for index, prefix, filename, kind in self._connection.execute(sql.ARRIVALS)
        )

    def indexes(self) -> tuple[IndexName, ...]:
        """All indexes of which something is kept, by name."""
        return tuple(IndexName(name) for (name,) in self._connection.execute(sql.INDEXES))

    def usage(self) -> tuple[Usage, ...]:
        """What is kept for each index, by name."""
        pages: dict[str, int] = dict(self._connection.execute(sql.USAGE_OF_PAGES).fetchall())
        places: dict[str, tuple[int, int, str]] = {
            index: (files, size_bytes, used_at)
            for index, files, size_bytes, used_at in self._connection.execute(sql.USAGE_OF_PLACES)
        }
        usages = []
        for index in sorted(pages.keys() | places.keys()):
            files, size_bytes, used_at = places.get(index, (0, 0, None))
            oldest = None if used_at is None else time_from_text(used_at)
            usages.append(Usage(IndexName(index), pages.get(index, 0), files, size_bytes, oldest))
        return tuple(usages)

    def names(self, index: IndexName, path: Path) -> KeptNames | None:
        """The list of all projects of an upstream."""
        row = self._one(sql.NAMES, index)
        if row is None:
            return None
        source, count, size_bytes, sha256, etag, last_modified, checked_at = row
        checked = time_from_text(checked_at)
        return KeptNames(
            index, source, count, size_bytes, sha256, etag, last_modified, checked, path
        )

    def lists(self) -> list[IndexName]:
        """The indexes whose list of all projects is here."""
        return [IndexName(name) for (name,) in self._connection.execute(sql.LISTS)]

    def _places(self, statement: str, *values: Any) -> list[Place]:
        rows = self._connection.execute(statement, (*values, ROWS_AT_ONCE_MAX))
        return [_place(row) for row in rows]

    def _one(self, statement: str, *values: Any) -> Any:
        return self._connection.execute(statement, values).fetchone()


class CacheChange(CacheReading):
    """A change on its way, under the write lock."""

    def __init__(self, connection: sqlite3.Connection, new_serial: int) -> None:
        super().__init__(connection)
        self._new_serial = new_serial
        self.is_visible = False
        """Whether what a page or list says has changed."""

    def put_page(self, page: KeptPage, content: Content | None) -> KeptPage:
        """Write down what upstream says; with the serial of the last change, this one or not."""
        state = self._one(sql.PAGE_STATE, page.index, page.project)
        is_same = state is not None and _says(state, page.source, content)
        serial = int(state[3]) if is_same else self._new_serial
        values = (
            page.source, None if content is None else content.sha256, page.etag,
            page.last_modified, time_text(page.checked_at), serial,
        )  # fmt: skip
        if state is None:
            page_id = self._do(sql.ADD_PAGE, page.index, page.project, *values).lastrowid or 0
        else:
            page_id = state[0]
            self._do(sql.SET_PAGE, page_id, *values)
        if not is_same:
            self._put_content(page_id, content)
        return replace(page, serial=serial)

    def is_still(self, page: KeptPage, serial: int | None) -> bool:
        """Whether a page has this serial; None: whether there is none."""
        head = self.page_head(page.index, page.project)
        return serial == (None if head is None else head.serial)

    def renew_page(self, index: IndexName, project: ProjectName, checked_at: datetime) -> None:
        """Upstream has confirmed what is on record."""
        self._do(sql.RENEW_PAGE, index, project, time_text(checked_at))

    def put_content(self, index: IndexName, project: ProjectName, content: Content) -> None:
        """Let a page that is there say something else."""
        page_id, *_ = self._one(sql.PAGE_STATE, index, project)
        self._do(sql.SET_CONTENT_DIGEST, page_id, content.sha256, self._new_serial)
        self._put_content(page_id, content)

    def remove_page(self, index: IndexName, project: ProjectName) -> None:
        """Forget what upstream said of a project."""
        self.is_visible |= self._do(sql.REMOVE_PAGE, index, project).rowcount > 0

    def remove_some_pages(self, index: IndexName) -> bool:
        """Forget some of an index; whether there were any."""
        found = self._do(sql.REMOVE_SOME_PAGES, index, ROWS_AT_ONCE_MAX).rowcount > 0
        self.is_visible |= found
        return found

    def remove_absent_pages(self, before: datetime) -> None:
        """Forget that upstream had no such project, where it was last asked before a time."""
        self._do(sql.REMOVE_ABSENT_PAGES, time_text(before))

    def announce(self, place: FilePlace, sidecar: Sidecar | None = None) -> None:
        """Write down what is about to lie at a place; to be committed before it does."""
        self._do(sql.ADD_ARRIVAL, *_key(place), sidecar or "")

    def forget_arrival(self, place: FilePlace, sidecar: Sidecar | None = None) -> None:
        """It is on record, or not there."""
        self._do(sql.REMOVE_ARRIVAL, *_key(place), sidecar or "")

    def put_file(self, file: KeptFile) -> None:
        """Write down that the bytes of a file are here."""
        self.forget_arrival(file.place)
        used_at = time_text(file.used_at)
        place_id = self._place_id(file.place, file.project, used_at)
        self._do(
            sql.SET_FILE, place_id, file.project, file.size_bytes, file.sha256,
            time_text(file.kept_at), used_at,
        )  # fmt: skip
        self._do(sql.SUM_UP, place_id)

    def put_sidecar(
        self,
        place: FilePlace,
        project: ProjectName,
        sidecar: Sidecar,
        size_bytes: int,
        used_at: datetime,
    ) -> None:
        """Write down what lies beside a file, whether the file is here or not."""
        self.forget_arrival(place, sidecar)
        place_id = self._place_id(place, project, time_text(used_at))
        self.note_uses({place: used_at})
        self._do(sql.PUT_SIDECAR, place_id, sidecar, size_bytes)
        self._do(sql.SUM_UP, place_id)

    def clear(self, place: FilePlace, sidecar: Sidecar | None = None) -> None:
        """Forget a file, or what lies beside it; not the rest of the place."""
        row = self._one(sql.PLACE_ID, *_key(place))
        if row is None:
            return
        if sidecar is None:
            self._do(sql.CLEAR_FILE, *row)
        else:
            self._do(sql.CLEAR_SIDECAR, *row, sidecar)
        self._do(sql.SUM_UP, *row)
        self._do(sql.REMOVE_IF_EMPTY, *row)

    def remove_place(self, place_id: int) -> None:
        """Forget a file and what lies beside it."""
        self._do(sql.REMOVE_PLACE, place_id)

    def note_uses(self, uses: Mapping[FilePlace, datetime]) -> None:
        """Write down when files were read."""
        rows = [(time_text(used_at), *_key(place)) for place, used_at in uses.items()]
        self._connection.executemany(sql.USE_PLACE, rows)

    def put_names(self, names: KeptNames) -> None:
        """Write down that a list is here."""
        before = self._one(sql.NAMES, names.index)
        said = (names.source, names.count, names.size_bytes, names.sha256)
        self.is_visible |= before is None or tuple(before[:4]) != said
        self._do(
            sql.PUT_NAMES, names.index, *said, names.etag, names.last_modified,
            time_text(names.checked_at),
        )  # fmt: skip

    def renew_names(self, index: IndexName, checked_at: datetime) -> None:
        """Upstream has confirmed a list."""
        self._do(sql.RENEW_NAMES, index, time_text(checked_at))

    def remove_names(self, index: IndexName) -> None:
        """Forget a list."""
        self.is_visible |= self._do(sql.REMOVE_NAMES, index).rowcount > 0

    def _put_content(self, page_id: int, content: Content | None) -> None:
        self.is_visible = True
        if content is None:
            self._do(sql.REMOVE_CONTENT, page_id)
        else:
            self._do(sql.PUT_CONTENT, page_id, *content.stored)

    def _place_id(self, place: FilePlace, project: ProjectName, used_at: str) -> int:
        self._do(sql.ADD_PLACE, *_key(place), project, used_at)
        return int(self._one(sql.PLACE_ID, *_key(place))[0])

    def _do(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)


def _key(place: FilePlace) -> tuple[str, str, str]:
    return place.index, place.sha256_prefix, place.filename


def _place(row: Any) -> Place:
    place_id, index, prefix, filename, file_bytes, size_bytes, used_at = row
    place = FilePlace(IndexName(index), prefix, filename)
    return Place(place_id, place, file_bytes, size_bytes, time_from_text(used_at))


def _says(state: Any, source: str, content: Content | None) -> bool:
    digest = None if content is None else content.sha256
    return bool(state[1] == source and state[2] == digest)
