"""Hashing waits in a queue of its own."""

import asyncio
from collections.abc import Iterator
from threading import Event, current_thread

import pytest
from starlette.requests import Request

import simpleindex.access
from simpleindex.access import ANYBODY, Authenticator, Logins, Principal
from simpleindex.errors import TooManyFailures
from simpleindex.routes.asking import in_thread
from simpleindex.routes.doorkeeper import Doorkeeper
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
    return Doorkeeper(Authenticator(catalog, LOGINS))


def from_(user: str, secret: str) -> Request:
    headers = [(b"authorization", basic(user, secret).encode())]
    return Request({"type": "http", "headers": headers})


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
    assert answers.count(ANYBODY) >= 10
    # Two are hashed at a time, so that one more may have begun; the rest is not hashed at all.
    assert answers.count(ANYBODY) <= 11
    assert {type(answer) for answer in answers} == {Principal, TooManyFailures}


def test_no_more_threads_than_a_few_ever_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed_in: set[str] = set()

    def verify(_password: str, _stored: str) -> bool:
        hashed_in.add(current_thread().name)
        return False

    async def ask(keeper: Doorkeeper) -> None:
        for number in range(20):
            await in_thread(lambda: None)  # the shared threads take turns
            await keeper.identify(from_(f"nobody{number % 4}", f"wrong {number}"))

    monkeypatch.setattr(simpleindex.access, "verify_password", verify)
    asyncio.run(ask(a_doorkeeper(FakeCatalog())))
    assert 1 <= len(hashed_in) <= 2


def test_without_credentials_one_is_anybody_at_once(stuck: Event) -> None:
    request = Request({"type": "http", "headers": []})
    assert asyncio.run(a_doorkeeper(FakeCatalog()).identify(request)) == ANYBODY
