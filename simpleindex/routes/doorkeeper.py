"""Who is at the door: asked without letting anybody else wait."""

import anyio
import anyio.to_thread
from starlette.requests import Request

from simpleindex.access import ANYBODY, Authenticator, Principal, hash_password
from simpleindex.routes.asking import credentials_of, in_thread
from simpleindex.wire.credentials import Credentials
from simpleindex_storage.model import User

_HASHING_AT_A_TIME = 2
"""Each hash takes 16 MiB and about 50 ms of a core: a burst of logins must not take them all."""


class Doorkeeper:
    """Does the hashing of passwords a few at a time, in a queue of its own.

    In the threads that all requests share, two hundred wrong logins would stand in front of
    every page.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._hashing = anyio.CapacityLimiter(_HASHING_AT_A_TIME)

    async def identify(self, request: Request) -> Principal:
        """Who sent the request; anybody, if it proves nothing."""
        credentials = credentials_of(request)
        if credentials is None:
            return ANYBODY
        known = await in_thread(lambda: self._authenticator.recognise(credentials))
        if known is not None:
            return known
        return await anyio.to_thread.run_sync(
            self._authenticator.identify, credentials, limiter=self._hashing
        )

    async def log_in(self, credentials: Credentials) -> tuple[User, str] | None:
        """The user and a token, if the password is right."""
        user = await anyio.to_thread.run_sync(
            self._authenticator.log_in, credentials, limiter=self._hashing
        )
        return (user, self._authenticator.logins.issue(user)) if user else None

    async def hash(self, password: str) -> str:
        """The hash of a new password."""
        return await anyio.to_thread.run_sync(hash_password, password, limiter=self._hashing)

    @property
    def login_seconds(self) -> int:
        """How long a token is good for."""
        return self._authenticator.logins.valid_seconds
