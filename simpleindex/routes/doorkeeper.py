"""Who is at the door: asked without letting anybody else wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from starlette.requests import Request

from simpleindex.access import ANYBODY, Authenticator, Principal, hash_password
from simpleindex.config import Network
from simpleindex.errors import TooManyFailures
from simpleindex.routes.asking import address_of, credentials_of, in_thread
from simpleindex.routes.seen import say_user
from simpleindex.wire.credentials import Credentials
from simpleindex_storage.model import User

T = TypeVar("T")


class Doorkeeper:
    """Does the hashing of passwords in two threads of their own, one job at a time in each.

    A hash takes 16 MiB and about 50 ms of a core: a burst of logins must not take them all. One
    thread is for strangers; those who are known where they are do not stand behind them.

    In the threads that all requests share, two hundred wrong logins would stand in front of every
    page. And each thread that has hashed keeps the memory for it: glibc gives a block of that size
    back to the thread's own arena, not to the system.
    """

    def __init__(
        self, authenticator: Authenticator, trusted_proxies: tuple[Network, ...] = ()
    ) -> None:
        self._authenticator = authenticator
        self._trusted_proxies = trusted_proxies
        self._for_strangers = ThreadPoolExecutor(1, "hashing-for-strangers")
        self._for_known = ThreadPoolExecutor(1, "hashing")

    async def identify(self, request: Request) -> Principal:
        """Who sent the request, and from where; anybody, if it proves nothing.

        Raises TooManyFailures.
        """
        known = await in_thread(lambda: self.recognise(request))
        return await self._identify_in_turn(request) if known is None else known

    async def identify_and(self, request: Request, work: Callable[[Principal], T]) -> T:
        """What `work`, which waits for the disk, makes of who sent the request. As `identify`.

        Those who are recognised without hashing, as most are, leave the event loop once for both.
        """

        def recognise() -> "_Done[T] | None":
            known = self.recognise(request)
            return None if known is None else _Done(work(known))

        done = await in_thread(recognise)
        if done is not None:
            return done.result
        principal = await self._identify_in_turn(request)
        return await in_thread(lambda: work(principal))

    def recognise(self, request: Request) -> Principal | None:
        """As `identify`, in a thread of the caller's; None where a password has to be hashed."""
        address, credentials = self._claim(request)
        if credentials is None:
            return replace(ANYBODY, address=address)
        known = self._authenticator.recognise(credentials, address)
        return None if known is None else _told(request, address, known)

    async def identify_reader(self, request: Request) -> Principal:
        """As `identify`; but whoever was wrong too often is anybody, who may read as before."""
        try:
            return await self.identify(request)
        except TooManyFailures:
            return ANYBODY

    async def log_in(self, request: Request, credentials: Credentials) -> tuple[User, str] | None:
        """The user and a token, if the password is right. Raises TooManyFailures."""
        address = address_of(request, self._trusted_proxies)
        user = await self._in_turn(
            lambda: self._authenticator.log_in(credentials, address), credentials, address
        )
        if user is None:
            return None
        say_user(request.scope, user.name)
        return user, self._authenticator.logins.issue(user)

    def token(self, user: User) -> str:
        """What a login of the user gives."""
        return self._authenticator.logins.issue(user)

    async def hash(self, password: str) -> str:
        """The hash of a new password."""
        return await _run(self._for_known, lambda: hash_password(password))

    def _claim(self, request: Request) -> tuple[str | None, Credentials | None]:
        """Where a request comes from, and who it says that it is from."""
        return address_of(request, self._trusted_proxies), credentials_of(request)

    async def _identify_in_turn(self, request: Request) -> Principal:
        address, credentials = self._claim(request)
        assert credentials is not None  # who sends none is anybody, and known as that
        known = await self._in_turn(
            lambda: self._authenticator.identify(credentials, address), credentials, address
        )
        return _told(request, address, known)

    async def _in_turn(
        self, job: Callable[[], T], credentials: Credentials, address: str | None
    ) -> T:
        is_at_home = self._authenticator.is_at_home(credentials, address)
        return await _run(self._for_known if is_at_home else self._for_strangers, job)

    @property
    def login_seconds(self) -> int:
        """How long a token is good for."""
        return self._authenticator.logins.valid_seconds


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """What has come of some work, None even."""

    result: T


def _told(request: Request, address: str | None, known: Principal) -> Principal:
    """Who was found to have sent a request, as the rest of it is told."""
    say_user(request.scope, known.name)
    return replace(known, address=address, is_unproven=known.name is None)


async def _run(executor: ThreadPoolExecutor, job: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, job)
