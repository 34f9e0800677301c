"""What is counted: the words for it, which any room may use. Who counts is passed in."""

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

CLIENT_GONE = 499
"""The status of a request whose client went away before there was an answer (as nginx has it)."""


class Door(IntEnum):
    """What answers a request; `metrics` and the access log tell it by its name in lower case."""

    LIST = 0
    """The list of an index's projects."""
    PAGE = 1
    """The page of a project."""
    FILE = 2
    """Files, and what lies beside them but for metadata."""
    METADATA = 3
    UPLOAD = 4
    """Whatever is sent in a body to be kept: files, documentation, results of tests."""
    PUSH = 5
    LOGIN = 6
    DEVPI = 7
    """The rest of devpi's JSON API."""
    JSON = 8
    """Documents of projects and releases for tools."""
    SEARCH = 9
    WEB = 10
    """Pages for people, documentation among them."""
    SERVER = 11
    """Health and metrics."""
    OTHER = 12
    """URLs at which there is nothing."""


class Event(Enum):
    """What happens besides answers: the series that counts it, and the value of its label."""

    def __init__(self, series: str, outcome: str) -> None:
        self.series = series
        self.outcome = outcome
        self.turn = len(type(self).__members__)

    UPLOAD_ADDED = ("uploads", "added")
    UPLOAD_REPLACED = ("uploads", "replaced")
    UPLOAD_ALREADY_THERE = ("uploads", "already-there")
    UPLOAD_DOCUMENTATION = ("uploads", "documentation")
    UPLOAD_REGISTERED = ("uploads", "registered")
    UPLOAD_REFUSED = ("uploads", "refused")
    UPLOAD_FAILED = ("uploads", "failed")
    UPLOAD_CUT = ("uploads", "cut")

    LOGIN_FAILED = ("failed_logins", "")

    PAGE_REMEMBERED = ("rendered_pages", "remembered")
    PAGE_CONFIRMED = ("rendered_pages", "confirmed")
    PAGE_MADE = ("rendered_pages", "made")

    MIRROR_LOOK_FRESH = ("mirror_page_looks", "fresh")
    MIRROR_LOOK_STALE = ("mirror_page_looks", "stale")
    MIRROR_LOOK_MISSING = ("mirror_page_looks", "missing")
    MIRROR_LOOK_TROUBLED = ("mirror_page_looks", "troubled")
    MIRROR_LOOK_OFFLINE = ("mirror_page_looks", "offline")

    MIRROR_PAGE_FETCHED = ("mirror_page_fetches", "fetched")
    MIRROR_PAGE_UNCHANGED = ("mirror_page_fetches", "unchanged")
    MIRROR_PAGE_ABSENT = ("mirror_page_fetches", "absent")
    MIRROR_PAGE_FAILED = ("mirror_page_fetches", "failed")

    MIRROR_LIST_FETCHED = ("mirror_list_fetches", "fetched")
    MIRROR_LIST_UNCHANGED = ("mirror_list_fetches", "unchanged")
    MIRROR_LIST_FAILED = ("mirror_list_fetches", "failed")

    MIRROR_FILE_KEPT = ("mirror_files", "kept")
    MIRROR_FILE_MISSING = ("mirror_files", "missing")

    MIRROR_FILE_FETCHED = ("mirror_file_fetches", "fetched")
    MIRROR_FILE_PASSED_ON = ("mirror_file_fetches", "passed-on")
    MIRROR_FILE_FAILED = ("mirror_file_fetches", "failed")

    MIRROR_FILE_BYTES = ("mirror_file_received_bytes", "")

    TOLD_SILENT = ("protocol_refusals", "silent")
    TOLD_HANDSHAKE_FAILED = ("protocol_refusals", "handshake-failed")
    TOLD_HEADER_TOO_SLOW = ("protocol_refusals", "header-too-slow")
    TOLD_HEADER_TOO_LARGE = ("protocol_refusals", "header-too-large")
    TOLD_BODY_TOO_SLOW = ("protocol_refusals", "body-too-slow")
    TOLD_MADE_ROOM = ("protocol_refusals", "made-room")
    TOLD_TOO_MANY_CONNECTIONS = ("protocol_refusals", "too-many-connections")
    TOLD_STOPPING = ("protocol_refusals", "stopping")
    TOLD_UNREAD = ("protocol_refusals", "unread")
    TOLD_MALFORMED = ("protocol_refusals", "malformed")
    TOLD_OTHER = ("protocol_refusals", "other")

    LOG_LINES_DROPPED = ("log_lines_dropped", "")


class Answered(NamedTuple):
    """A request that is over, as it is counted and logged. A tuple: there are thousands a second.

    Bytes are as they came, and not to be trusted to be text.
    """

    door: Door
    method: str
    status: int
    seconds: float
    """From the request's head to the end of the answer."""
    received_bytes: int
    """Of the request's body."""
    sent_bytes: int
    """Of the answer's body."""
    target: bytes = b""
    """The path as it was sent, without a query: that may hold secrets."""
    http_version: str = "1.1"
    address: str | None = None
    """Of the client; None where it cannot be known."""
    user: str | None = None
    """Who it was, if anybody had to ask for that."""
    user_agent: bytes | None = None


Line: TypeAlias = tuple[bytes, bytes]
"""Of the access log, but for the time that stands in it."""

Count: TypeAlias = Callable[[Event, int], None]
"""Counts an event that many times. May be called from any thread; never fails, never waits."""


def nobody_counts(_event: Event, _times: int) -> None:
    """Where nobody wants to know."""
