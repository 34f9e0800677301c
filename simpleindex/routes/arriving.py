"""Answers with a file of a mirror that is still arriving."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from simpleindex.mirror.transfers import Growing, Transfer, read_along


class ArrivingResponse(Response):
    """Sends a file as it comes in. Its end is sent only when its digest is known to be right.

    If that fails the connection is cut: no client takes what it has for the whole file.
    """

    def __init__(self, transfer: Transfer, growing: Growing, headers: dict[str, str]) -> None:
        super().__init__(status_code=200, headers=headers)
        # Without a length, the answer is sent in chunks, of which the last would be missing.
        del self.headers["content-length"]
        if transfer.size_bytes is not None:
            self.headers["content-length"] = str(transfer.size_bytes)
        self._transfer = transfer
        self._growing = growing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is there, and go on as more comes."""
        # To send to a client that has gone is no error in ASGI.
        gone = asyncio.create_task(client_gone(receive))
        try:
            async with aclosing(read_along(self._transfer, self._growing)) as chunks:
                start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                await send(start)
                async for chunk in chunks:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            gone.cancel()
            self._growing.close()


async def passing_response(
    passing: AsyncGenerator[bytes, None], headers: dict[str, str], size_bytes: int | None
) -> Response:
    """The answer with a file as upstream sends it. Raises what makes its first bytes fail.

    Without Range: nothing of it stays here.
    """
    try:
        first = await anext(passing)
    except BaseException:
        await passing.aclose()
        raise

    async def all_pieces() -> AsyncGenerator[bytes, None]:
        async with aclosing(passing):
            yield first
            async for piece in passing:
                yield piece

    headers = {name: value for name, value in headers.items() if name != "accept-ranges"}
    if size_bytes is not None:
        headers["content-length"] = str(size_bytes)
    return StreamingResponse(all_pieces(), headers=headers)


def unfetched(headers: dict[str, str], size_bytes: int | None) -> Response:
    """The answer to HEAD for a file that nobody has asked for yet: as far as upstream tells."""
    response = Response(headers=headers)
    del response.headers["content-length"]
    if size_bytes is not None:
        response.headers["content-length"] = str(size_bytes)
    return response


async def client_gone(receive: Receive) -> None:
    """Wait until the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
