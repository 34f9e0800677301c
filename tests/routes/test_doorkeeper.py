"""Hashing waits in a queue of its own."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread, current_thread

import pytest
from starlette.requests import Request

import simpleindex.access
from simpleindex.access import ANYBODY, Authenticator, Logins, Principal
from simpleindex.errors import TooManyFailures
from simpleindex.limits import FailureLimits
from simpleindex.routes.asking import in_thread
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex_storage.failures import MemoryNotes
from simpleindex_storage.names import UserName
from tests.fakes import FakeCatalog
from tests.routes.sites import NOW, basic

SHARED_THREADS = 40
"""As many as anyio lets wait at a time."""


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Hashing takes until the event is set, and no password fits."""
    go_on = Event()

    def verify(_password: str, _stored: str) -> bool:
        return not go_on.wait(60)

    monkeypatch.setattr(simpleindex.access, "verify_password", verify)
    yield go_on
    go_on.set()


LOGINS = Logins(b"k" * 32, 60, lambda: NOW)


def a_doorkeeper(catalog: FakeCatalog) -> Doorkeeper:
    limits = FailureLimits(MemoryNotes(), time.monotonic)
    return Doorkeeper(Authenticator(catalog, LOGINS, limits))


def from_(user: str, secret: str) -> Request:
    headers = [(b"authorization", basic(user, secret).encode())]
    return Request({"type": "http", "headers": headers})


def test_who_is_recognised_leaves_the_loop_once_for_that_and_for_what_is_to_be_done() -> None:
    threads: list[Thread] = []

    class WatchedCatalog(FakeCatalog):
        @contextmanager
        def snapshot(self) -> Iterator[FakeCatalog]:
            threads.append(current_thread())
            with super().snapshot() as seen:
                yield seen

    def work(principal: Principal) -> Principal:
        threads.append(current_thread())
        return principal

    async def ask() -> Principal:
        catalog = WatchedCatalog()
        token = LOGINS.issue(catalog.put_user("root", "a hash"))
        request = from_("root", token)
        return await a_doorkeeper(catalog).identify_and(request, work)

    assert asyncio.run(ask()) == Principal(UserName("root"))
    assert len(threads) == 2
    assert len(set(threads)) == 1
    assert threads[0] is not current_thread()


def test_what_is_to_be_done_is_told_of_those_who_prove_nothing_too(stuck: Event) -> None:
    stuck.set()

    async def ask(request: Request) -> bool:
        keeper = a_doorkeeper(FakeCatalog())
        return await keeper.identify_and(request, lambda principal: principal.is_unproven)

    assert asyncio.run(ask(from_("root", "wrong")))
    assert not asyncio.run(ask(Request({"type": "http", "headers": []})))


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_wrong_passwords_hold_up_nobody_else(stuck: Event, user: str) -> None:
    async def crowd() -> list[Principal | BaseException]:
        catalog = FakeCatalog()
        token = LOGINS.issue(catalog.put_user("root", "a hash"))
        keeper = a_doorkeeper(catalog)
        wrong = [
            asyncio.create_task(keeper.identify(from_(user, f"wrong {number}")))
            for number in range(SHARED_THREADS * 3)
        ]
        # Answered while all of them wait: a page that is read in a thread, and a login's token.
        assert await asyncio.wait_for(in_thread(lambda: "page"), 30) == "page"
        known = await asyncio.wait_for(keeper.identify(from_("root", token)), 30)
        assert known == Principal(UserName("root"))
        stuck.set()
        return await asyncio.gather(*wrong, return_exceptions=True)

    answers = asyncio.run(crowd())
    # One stranger is hashed at a time; behind the tenth nobody is hashed at all.
    assert answers.count(ANYBODY) == 10
    assert {type(answer) for answer in answers} == {Principal, TooManyFailures}


def test_no_more_threads_than_a_few_ever_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed_in: set[str] = set()

    def verify(_password: str, _stored: str) -> bool:
        hashed_in.add(current_thread().name)
        return False

    async def ask(keeper: Doorkeeper) -> None:
        for number in range(20):
            await in_thread(lambda: None)  # the shared threads take turns
            request = from_(f"nobody{number % 4}", f"wrong {number}")
            request.scope["client"] = (
                "127.0.0.1" if number % 4 == 0 else f"192.0.2.{number}",
                50_000,
            )
            await keeper.identify(request)

    monkeypatch.setattr(simpleindex.access, "verify_password", verify)
    asyncio.run(ask(a_doorkeeper(FakeCatalog())))
    assert len(hashed_in) == 2


def test_who_sits_at_this_computer_does_not_stand_behind_strangers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = Event()

    def verify(password: str, _stored: str) -> bool:
        return password == "right" or not go_on.wait(60)

    monkeypatch.setattr(simpleindex.access, "verify_password", verify)

    async def crowd() -> None:
        catalog = FakeCatalog()
        catalog.put_user("root", "a hash")
        keeper = a_doorkeeper(catalog)
        waiting = [
            asyncio.create_task(keeper.identify(from_(f"user{number}", "wrong")))
            for number in range(100)
        ]
        right = from_("root", "right")
        right.scope["client"] = ("127.0.0.1", 50_000)
        known = await asyncio.wait_for(keeper.identify(right), 30)
        assert known == Principal(UserName("root"))
        assert not any(task.done() for task in waiting)
        go_on.set()
        await asyncio.gather(*waiting)

    asyncio.run(crowd())


def test_without_credentials_one_is_anybody_at_once(stuck: Event) -> None:
    request = Request({"type": "http", "headers": []})
    assert asyncio.run(a_doorkeeper(FakeCatalog()).identify(request)) == ANYBODY
