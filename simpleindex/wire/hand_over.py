"""Files that a web server in front sends by itself: the header that tells it which one.

nginx is told a path of its own (`X-Accel-Redirect`), and undoes percent-encoding. Apache and
lighttpd are told one on the disk (`X-Sendfile`): lighttpd undoes it as well, mod_xsendfile 0.12
takes the path as it stands. So that path is sent as it is, and must mean the same to both.
"""

from collections.abc import Mapping
from enum import Enum
from urllib.parse import quote

from simpleindex.config import ACCEL, HandOver
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import FilePlace

_FOR_NGINX = "x-accel-cache-control"


class Shelf(Enum):
    """Which of our folders a file lies in: its path in the server in front, and on the disk."""

    STORED = ("files/", "/files/")
    KEPT = ("cache/", "/cache/files/")


def check_hand_over(hand_over: HandOver, serverdir: str) -> None:
    """Raises Refused if files of this server directory cannot be named so.

    `serverdir`: its absolute path, with forward slashes.
    """
    is_plain = serverdir.isascii() and serverdir.isprintable() and "%" not in serverdir
    if hand_over.location is None and not is_plain:
        raise Refused(
            f"send_files_by = {hand_over}",
            "it needs a server directory whose path is plain ASCII without %, unlike "
            f"{serverdir!r}",
        )


def hand_over_header(
    hand_over: HandOver, serverdir: str, shelf: Shelf, place: FilePlace
) -> tuple[str, str]:
    """The name and value of the header that stands for the bytes of a file.

    `serverdir`: as `check_hand_over` has found it good. In a place there is nothing that ends a
    header, or that is encoded.
    """
    path_there, path_on_disk = shelf.value
    if hand_over.location is None:
        return hand_over.header, f"{serverdir.rstrip('/')}{path_on_disk}{place.path}"
    return hand_over.header, f"{hand_over.location}{path_there}{quote(place.path)}"


def handed_over(headers: Mapping[str, str], instead: tuple[str, str]) -> dict[str, str]:
    """The headers of an answer without its bytes: what is said of the file, and what it is.

    nginx passes on `Cache-Control` with a failure of its own as well: that there is no such file,
    or that it may not read it, would be kept for a year. So it finds that under another name, and
    gives it back its own where it sends the file (`docs/running.md` has the settings).
    """
    said = dict(headers)
    said.pop("accept-ranges", None)  # they say so by themselves: nginx would say it twice
    name, value = instead
    if name == ACCEL and "cache-control" in said:
        said[_FOR_NGINX] = said.pop("cache-control")
    return said | {name: value}
