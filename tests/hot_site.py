"""An application whose answers hold, for tests of those that are given again."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.types import Receive, Scope, Send

from simpleindex.config import parse_networks
from simpleindex.events import Answered, Door, Event, Line
from simpleindex.hot import RECORDING_KEY, HotAnswers, Standing
from simpleindex.routes.seen import say_agreed, say_standing
from tests.lines import Desk
from tests.lines import Line as Connected

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HEAD = b"GET /page/ HTTP/1.1\r\nHost: x\r\n"
REQUEST = HEAD + b"\r\n"
SPOKEN_FOR = "198.51.100.7"
EARLIER = "Fri, 02 Jan 2026 03:04:04 GMT"


@dataclass
class Site:
    """An application whose answers hold, what they depend on, and who watches."""

    serials: tuple[int, int] | None = (1, 1)
    standing: Standing | None = field(default_factory=Standing)
    body: bytes = b"the page"
    now: float = NOW.timestamp()
    is_logging: bool = False
    calls: int = 0
    answered_often: int = 0
    words: dict[bytes, int] = field(default_factory=dict)
    """How often requests came in which bytes."""
    events: int = 0
    lines: list[str] = field(default_factory=list)
    """What was logged."""
    waiting: list[str] = field(default_factory=list)
    """What will be."""
    agents: list[bytes | None] = field(default_factory=list)
    """Of the clients for whom lines were made up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the doors do."""
        self.calls += 1
        say_agreed(scope, self.serials)
        if self.standing is not None:
            say_standing(scope, self.standing)
        while (await receive())["more_body"]:
            pass
        headers = [(b"content-length", b"%d" % len(self.body)), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})
        if RECORDING_KEY in scope:
            answered = Answered(
                Door.PAGE, scope["method"], 200, 0.5, 0, len(body), address=SPOKEN_FOR
            )
            scope[RECORDING_KEY].finish(answered)

    def note_words(self, answered: Answered, sent: bytes, times: int) -> None:
        """Hear in which words they came."""
        assert times
        self.words[sent] = self.words.get(sent, 0) + times

    def line_of(self, answered: Answered) -> Line | None:
        """What there is to say of an answer."""
        self.agents.append(answered.user_agent)
        return ((answered.address or "").encode(), b"") if self.is_logging else None

    def log_again(self, line: Line) -> None:
        """Hear of an answer, as the access log does."""
        self.waiting.append(line[0].decode())

    def log_all(self) -> None:
        """Take in what was heard, as the access log does."""
        self.lines += self.waiting
        self.waiting.clear()

    def note_often(self, answered: Answered, times: int, event: Event | None) -> None:
        """Hear how many there were."""
        assert answered.seconds == 0
        self.answered_often += times
        self.events += times if event else 0


def hot_answers(site: Site, *proxies: str) -> HotAnswers:
    return HotAnswers(
        1 << 20, lambda: site.serials, site, parse_networks(list(proxies)), lambda: site.now
    )


def ask(line: Connected, *parts: bytes) -> bytes:
    """What comes back."""
    line.heard.clear()
    line.send(*parts)
    return bytes(line.heard)


def heated(desk: Desk, request: bytes = REQUEST) -> Connected:
    """A client that has asked often enough for its answer to be kept."""
    line = desk.connect()
    ask(line, request)
    ask(line, request)
    return line
