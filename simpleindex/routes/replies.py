"""What devpi's doors have in common: their replies, their refusals, and how they change things."""

from collections.abc import Callable
from typing import TypeVar

from starlette.responses import Response

from simpleindex.access import Principal
from simpleindex.errors import Forbidden
from simpleindex.routes.asking import in_thread
from simpleindex.wire import devpi_json
from simpleindex_storage.ports import Catalog, Change

T = TypeVar("T")


def devpi_reply(body: bytes, status: int = 200) -> Response:
    """A reply that is already written."""
    headers = {"cache-control": "no-cache", "vary": "Accept"}
    return Response(body, status, headers, devpi_json.MEDIA_TYPE)


def told(message: str, status: int = 200) -> Response:
    """A reply of one line."""
    return devpi_reply(devpi_json.reply(message=message), status)


def not_allowed(principal: Principal, action: str) -> Forbidden:
    """The refusal of what `restrict_modify` decides on."""
    return Forbidden(
        f"{principal} may not {action}; the server's setting restrict_modify names who may"
    )


async def changed(
    catalog: Catalog, work: Callable[[Change], T], principal: Principal, what: str
) -> T:
    """Do the work on the catalog, in somebody's name."""
    return await in_thread(lambda: catalog.change(work, by=principal.actor, what=what))
