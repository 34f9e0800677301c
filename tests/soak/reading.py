"""What clients ask for, and how each answer is checked."""

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.soak import pages
from tests.soak.model import (
    STOCK_INDEX,
    VOLATILE_INDEX,
    Expectation,
    FileState,
    Model,
    Seen,
    Slot,
    WrongAnswer,
)
from tests.soak.session import Answer, Session, break_off

_PIP = f"{pages.JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
_ACCEPTS = (pages.HTML, "*/*", pages.JSON, _PIP)
_LARGE_BYTES = 300_000
"""Files from this size on are not answered in one piece."""
_LARGE_CHANCE = 0.03
_PART_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Action:
    """Something a client does, and how often in comparison to others."""

    kind: str
    weight: float
    do: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _View:
    """A page in one of its forms."""

    project: str
    path: str
    accept: str
    zipped: bool

    @property
    def headers(self) -> dict[str, str]:
        encoding = "gzip, deflate" if self.zipped else "identity"
        return {"Accept": self.accept, "Accept-Encoding": encoding}


class Reader:
    """A client that reads, and remembers the pages that it has seen."""

    def __init__(self, session: Session, model: Model, chance: Random) -> None:
        self._session = session
        self._model = model
        self._chance = chance
        self._remembered: dict[_View, tuple[str, Seen]] = {}
        self._large = [
            slot
            for slot in model.slots
            if slot.index == STOCK_INDEX and slot.now.size_bytes >= _LARGE_BYTES
        ]
        self._wheels = [slot for slot in model.slots if slot.filename.endswith(".whl")]

    def actions(self) -> list[Action]:
        """95 of 100 parts of all that is done."""
        return [
            Action("page", 39, lambda: self.look_at(self._chance.choice(self._model.projects))),
            Action("page again", 23, self._page_again),
            Action("list", 4, self._list),
            Action("file", 14, lambda: self.download(self._any_slot())),
            Action("file in parts", 4, self._parts),
            Action("metadata", 6, self._metadata),
            Action("unknown name", 3, self._unknown),
            Action("devpi json", 1.5, self._devpi_json),
            Action("broken download", 0.5, self._broken_download),
        ]

    def look_at(self, project: str, kind: str = "page") -> None:
        """Ask for the page of a project, in any form."""
        view = self._a_view(project)
        expectation = self._model.expect(project)
        answer = self._session.ask(kind, view.path, view.headers)
        self._check_page(view, answer, expectation)

    def download(self, slot: Slot, kind: str = "file") -> None:
        """Get a file whole, or be told that it has not changed."""
        number = slot.settled
        state = slot.since(number)[0]
        has_it = self._chance.random() < 0.1
        headers = {"If-None-Match": f'"{state.sha256}"'} if has_it else {}
        expected = (304, 404) if has_it else (200, 404)
        answer = self._session.ask(kind, slot.path_of(state), headers, expected=expected)
        if _is_there(answer, slot, state, number) and not has_it:
            _check_bytes(slot, state, answer.body)

    def _page_again(self) -> None:
        """A page that was seen before, on the condition that it has changed."""
        if not self._remembered:
            self.look_at(self._chance.choice(self._model.projects), "page again")
            return
        view = self._chance.choice(list(self._remembered))
        etag, shown = self._remembered[view]
        expectation = self._model.expect(view.project)
        headers = {**view.headers, "If-None-Match": etag}
        answer = self._session.ask("page again", view.path, headers, expected=(200, 304))
        if answer.status == 304:
            if answer.etag != etag or answer.body:
                raise WrongAnswer(f"{view}: a 304 with {answer.etag}, {answer.body[:80]!r}")
            expectation.check(shown)
            return
        if answer.etag == etag or expectation.is_untouched:
            raise WrongAnswer(f"{view} is sent again although it has not changed")
        self._check_page(view, answer, expectation)

    def _check_page(self, view: _View, answer: Answer, expectation: Expectation) -> None:
        shown = pages.files_on(answer.content_type, view.path, _plain(answer, view.zipped))
        expectation.check(shown)
        if not answer.etag:
            raise WrongAnswer(f"{view} has no ETag")
        self._remembered[view] = answer.etag, shown

    def _list(self) -> None:
        index = self._chance.choice((STOCK_INDEX, VOLATILE_INDEX))
        path = f"/{index}/{self._below()}"
        zipped = self._chance.random() < 0.5
        view = _View("", path, self._chance.choice(_ACCEPTS), zipped)
        answer = self._session.ask("list", path, view.headers)
        names = pages.projects_on(answer.content_type, path, _plain(answer, zipped))
        if names != self._model.shown_at(index):
            differing = sorted(names ^ self._model.shown_at(index))
            raise WrongAnswer(f"the list {path} is wrong about {differing[:10]}")

    def _parts(self) -> None:
        """A file in three ranges, as somebody does whose downloads break off."""
        slot = self._any_slot()
        number = slot.settled
        state = slot.since(number)[0]
        first = self._chance.randrange(1, state.size_bytes // 2)
        last_bytes = self._chance.randrange(1, state.size_bytes // 2)
        middle_end = state.size_bytes - last_bytes - 1
        received = b""
        for part in (f"0-{first - 1}", f"{first}-{middle_end}", f"-{last_bytes}"):
            answer = self._part(slot, state, part, 206)
            if not _is_there(answer, slot, state, number):
                return
            received += answer.body
        _check_bytes(slot, state, received)
        _is_there(self._part(slot, state, f"{state.size_bytes}-", 416), slot, state, number)

    def _part(self, slot: Slot, state: FileState, part: str, expected: int) -> Answer:
        headers = {"Range": f"bytes={part}", "If-Range": f'"{state.sha256}"'}
        path = slot.path_of(state)
        return self._session.ask("file in parts", path, headers, expected=(expected, 404))

    def _metadata(self) -> None:
        slot = self._chance.choice(self._wheels)
        number = slot.settled
        state = slot.since(number)[0]
        path = f"{slot.path_of(state)}.metadata"
        answer = self._session.ask("metadata", path, expected=(200, 404))
        if _is_there(answer, slot, state, number) and _sha256(answer.body) != state.metadata_sha256:
            raise WrongAnswer(f"the metadata of {slot.filename} is wrong: {answer.body[:200]!r}")

    def _unknown(self) -> None:
        """What is not there; of endlessly many names, so that none may be kept in memory."""
        name = self._chance.randbytes(10).hex()
        index = self._chance.choice((STOCK_INDEX, VOLATILE_INDEX))
        path = self._chance.choice(
            (
                f"/{index}/+simple/{name}/",
                f"/{index}/{name}/",
                f"/{index}/+simple/demo/",  # bad archives are of this project
                f"/root/{name}/+simple/",
                f"/{index}/+f/{name[:3]}/{name[3:16]}/{name}-1.0-py3-none-any.whl",
                f"/{index}/+f/{name[:3]}/{name[3:16]}/{name}-1.0-py3-none-any.whl.metadata",
            )
        )
        self._session.ask("unknown name", path, expected=(404,))

    def _devpi_json(self) -> None:
        path, kind = self._chance.choice(
            (
                ("/+api", "apiconfig"),
                (f"/{VOLATILE_INDEX}/+api", "apiconfig"),
                (f"/{VOLATILE_INDEX}", "indexconfig"),
                ("/root", "userconfig"),
                ("/", "list:userconfig"),
            )
        )
        answer = self._session.ask("devpi json", path, {"Accept": "application/json"})
        said = json.loads(answer.body)
        if said["type"] != kind:
            raise WrongAnswer(f"{path} is of type {said['type']!r}")
        if kind == "indexconfig":
            names = frozenset(said["result"]["projects"])
            if names != self._model.stored_at(VOLATILE_INDEX):
                raise WrongAnswer(f"{path} has the projects {sorted(names)}")

    def _broken_download(self) -> None:
        slot = self._chance.choice(self._large)
        connection = self._session.another_connection()
        try:
            with self._session.timed("broken download"):
                connection.request("GET", slot.path_of(slot.now))
                with connection.getresponse() as response:
                    status, part = response.status, response.read(_PART_BYTES)
        finally:
            break_off(connection, rudely=self._chance.random() < 0.5)
        if status != 200 or len(part) != _PART_BYTES:
            raise WrongAnswer(f"{slot.filename} begins with {status} and {part[:200]!r}")

    def _a_view(self, project: str) -> _View:
        index = self._chance.choice(self._model.indexes_of(project))
        path = f"/{index}/{self._below()}{project}/"
        accept = self._chance.choice(_ACCEPTS)
        return _View(project, path, accept, self._chance.random() < 0.7)

    def _below(self) -> str:
        return "" if self._chance.random() < 0.2 else "+simple/"

    def _any_slot(self) -> Slot:
        if self._chance.random() < _LARGE_CHANCE:
            return self._chance.choice(self._large)
        return self._chance.choice(self._model.slots)


def _plain(answer: Answer, zipped: bool) -> bytes:
    encoding = answer.headers.get("Content-Encoding")
    if encoding is None:
        return answer.body
    if encoding != "gzip" or not zipped:
        raise WrongAnswer(f"an answer is encoded as {encoding}, which was not asked for")
    return gzip.decompress(answer.body)


def _is_there(answer: Answer, slot: Slot, state: FileState, number: int) -> bool:
    """Whether the bytes are still there. Raises WrongAnswer if they had to be."""
    if answer.status != 404:
        return True
    if not slot.may_be_gone(state, number):
        raise WrongAnswer(f"{slot.path_of(state)} was acknowledged and is not found")
    return False


def _check_bytes(slot: Slot, state: FileState, content: bytes) -> None:
    if _sha256(content) != state.sha256:
        raise WrongAnswer(
            f"{slot.path_of(state)} came with {len(content)} other bytes than the "
            f"{state.size_bytes} that were sent"
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
