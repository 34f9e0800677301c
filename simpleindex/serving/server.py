"""One process that answers requests, until it is told to stop."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from types import FrameType
from typing import Any, TypeAlias

import uvicorn

from simpleindex.app import create_app
from simpleindex.config import Config, ConfigError
from simpleindex.connections import STOPPING, Bounds, Connections
from simpleindex.handshake import encrypted_protocol
from simpleindex.observing import AccessLog
from simpleindex.protocol import bounded_protocol
from simpleindex.serving.memory import spare_what_stays
from simpleindex.serving.settings import Reading, log_unusable
from simpleindex.serving.stopping import on_stop
from simpleindex.serving.tls import Tls
from simpleindex_storage.errors import StoreError

GRACE_SECONDS = 8
"""For requests that are under way when the server is to stop; what takes longer is refused."""
_GOODBYE_SECONDS = 0.5
"""For refused clients to take the answer, and for their requests to end by themselves."""

_Errand: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Server:
    """An application on its sockets. Can be stopped, and given other settings, by any thread."""

    def __init__(
        self,
        config: Config,
        tls: Tls | None,
        sockets: Sequence[socket.socket],
        when_ready: Callable[[], None],
        access_log: AccessLog,
    ) -> None:
        """With `tls` it speaks HTTPS at all its addresses, the Unix socket among them.

        `when_ready` is called once requests are answered.
        """
        self._sockets = list(sockets)
        self._tls = tls
        self._app = create_app(config, access_log=access_log)
        self._connections = Connections(Bounds.of(config), config.trusted_proxy, self._app.refused)
        uvicorn_config = self._uvicorn_config(config.workers)
        self._uvicorn = _Uvicorn(uvicorn_config, when_ready, self._connections)
        connections = self._uvicorn.server_state.connections
        self._app.count_connections(lambda: len(connections))

    def run(self) -> None:
        """Open the directory, and answer until `stop` or a signal. Raises Refused, Unavailable.

        To be called in the main thread.
        """
        # For a signal that comes before uvicorn listens to them. And uvicorn raises the signal
        # that ended it again when all is done; ending so is no failure.
        on_stop(self.stop)
        self._app.open()
        try:
            self._uvicorn.run(self._sockets)
        finally:
            self._app.close()

    def stop(self) -> None:
        """Take no more requests, finish those under way, and return from `run`."""
        self._uvicorn.should_exit = True

    def reload(
        self, read: Callable[[], Reading], take: Callable[[Reading], None] = lambda _: None
    ) -> None:
        """Answer as `read` says, from the next request on; `take` is called then.

        `read` may block: it is called in a thread. Where the settings cannot be used, the log says
        why, and those in effect stay, all of them.
        """
        self._uvicorn.errands.append(lambda: self._reload(read, take))

    async def _reload(self, read: Callable[[], Reading], take: Callable[[Reading], None]) -> None:
        try:
            reading = await asyncio.to_thread(read)
            await self._app.reload(reading.config)
        except (ConfigError, StoreError) as error:
            log_unusable(error)
        else:
            self._tls = reading.tls
            self._connections.bound(Bounds.of(reading.config), reading.config.trusted_proxy)
            take(reading)

    def _uvicorn_config(self, workers: int) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http=self._protocol(),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # that of `log_lines` is written in batches
            server_header=False,
            proxy_headers=False,  # else every local process could say that it speaks for others
            timeout_graceful_shutdown=GRACE_SECONDS + 1,  # it would answer all with a bare 500
            workers=workers,  # for Windows, where several processes have to share a socket
        )

    def _protocol(self) -> type[asyncio.Protocol]:
        if self._tls is None:
            return bounded_protocol(self._connections, self._app.hot)
        return encrypted_protocol(self._connections, self._context, self._app.hot)

    def _context(self) -> ssl.SSLContext:
        assert self._tls is not None  # which `Settings.read` sees to
        return self._tls.context


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which says when it listens, and does what other threads ask of it."""

    def __init__(
        self, config: uvicorn.Config, when_ready: Callable[[], None], connections: Connections
    ) -> None:
        super().__init__(config)
        self._when_ready = when_ready
        self._connections = connections
        self.errands: deque[_Errand] = deque()
        """Done one after the other, in the event loop, as soon as there is one."""
        self._errand: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            spare_what_stays()
            self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, and finish what was begun, or refuse it when its time is over."""
        ending = asyncio.create_task(self._end_what_remains())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _end_what_remains(self) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        self._connections.refuse_running(STOPPING)
        await asyncio.sleep(_GOODBYE_SECONDS)
        for task in self.server_state.tasks:
            task.cancel()
        self._connections.cut()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, as after the first signal.

        uvicorn takes a Ctrl-C that comes while it is stopping for the second of somebody impatient,
        and breaks off. But a terminal sends the first one to workers, too, which are also told to
        stop by whoever looks after them; and no stop takes long.
        """
        self.should_exit = False
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; whether it is time to stop."""
        if self.errands and (self._errand is None or self._errand.done()):
            self._errand = asyncio.create_task(self.errands.popleft()())
        return await super().on_tick(counter)
