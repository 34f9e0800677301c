"""Whether a web server in front sends a file by itself, once it was found that it may be sent."""

from dataclasses import dataclass

from starlette.requests import Request

from simpleindex.config import Config, HandOver, Network
from simpleindex.routes.asking import joined
from simpleindex.wire.hand_over import Shelf, check_hand_over, hand_over_header
from simpleindex.wire.origin import is_forwarded, is_trusted
from simpleindex_storage.names import FilePlace

_JUDGED_BY_THE_FILE = ("if-match", "if-modified-since", "if-unmodified-since")
"""Conditions that nginx holds against the date of the file on the disk, and an ETag of its own."""


@dataclass(frozen=True, slots=True)
class LiesAt:
    """Where the bytes of a file are, for a program that opens it after us."""

    shelf: Shelf
    place: FilePlace


@dataclass(frozen=True, slots=True)
class HandingOver:
    """Decides it for one server directory."""

    hand_over: HandOver | None
    """None: all files are sent from here."""
    serverdir: str
    """Its path, with forward slashes."""
    trusted_proxies: tuple[Network, ...]

    @classmethod
    def of(cls, config: Config) -> "HandingOver":
        """As the settings say. Raises Refused."""
        serverdir = config.serverdir.as_posix()
        if config.send_files_by is not None:
            check_hand_over(config.send_files_by, serverdir)
        return cls(config.send_files_by, serverdir, config.trusted_proxy)

    def header(self, request: Request, lies_at: LiesAt) -> tuple[str, str] | None:
        """The header that stands for the bytes; None: they are to be sent from here."""
        if self.hand_over is None or not self._comes_from_front(request):
            return None
        # What takes no bytes, and conditions that would be judged otherwise there.
        if request.method != "GET" or any(name in request.headers for name in _JUDGED_BY_THE_FILE):
            return None
        return hand_over_header(self.hand_over, self.serverdir, lies_at.shelf, lies_at.place)

    def _comes_from_front(self, request: Request) -> bool:
        """Whether the request was passed on by a trusted proxy.

        What a program on such a proxy's computer sends is forwarded for nobody: an installer that
        asks from there could make nothing of an empty answer.
        """
        client = request.scope.get("client")
        if client is None or not is_trusted(client[0], self.trusted_proxies):
            return False
        return is_forwarded(joined(request, "x-forwarded-for"))
