"""What uvicorn does not do for us, below ASGI. In effect under `serve` only.

ASGI has no way to say a reason phrase, and twine shows its user nothing else of a refusal; so a
refusal's line travels in a header up to here, and leaves in the status line.
"""

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from simpleindex.errors import REASON_HEADER

_REASON = REASON_HEADER.encode()


class IndexProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol on h11 (which also lets devpi's method PUSH through)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.config.h11_max_incomplete_event_size
        self.conn = _SpeakingConnection(h11.SERVER, limit if limit is not None else 64 << 10)


class _SpeakingConnection(h11.Connection):
    """Turns the header with a refusal's line into the reason phrase."""

    def send(self, event: h11.Event) -> Any:  # bytes, or None when the connection closes
        """Serialise an event."""
        if isinstance(event, h11.Response):
            reason = next((value for name, value in event.headers if name == _REASON), None)
            if reason is not None:
                event = h11.Response(
                    status_code=event.status_code,
                    headers=[header for header in event.headers if header[0] != _REASON],
                    http_version=event.http_version,
                    reason=reason,
                )
        return super().send(event)
