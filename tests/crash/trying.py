"""Does one operation again and again, each time with another call that goes wrong.

Nothing is sampled: the calls are counted while the operation runs, the first one goes wrong, then
the second, and so on, until a run comes to its end in peace. One server directory lives through
all of it.
"""

import errno
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.builders import a_wheel
from tests.crash.harness import Answer, Client, client_of, init, launched, restarted
from tests.crash.leavings import journal_gaps, left_behind, strays
from tests.crash.operations import SOURCE, Operation, fill_source
from tests.crash.seeing import Seen, index_of, see_index
from tests.crash.shim import CHANGES, FAILING, LASTING, Kind, Shim, a_shim
from tests.crash.tally import Harm, Tally, tally_of
from tests.server import STOP_SECONDS_MAX, RunningServer

_OPTIONS = ("--private-upstreams=127.0.0.1",)
_DIFFERS = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")
"""Numbers of processes and drafts, and what else stands in names for once."""
_QUIET_SECONDS = 0.3
_QUIET_SECONDS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Tried:
    """One time that an operation was done with something going wrong."""

    word: str
    call: str
    """Which call went wrong, to be shown."""
    answer: Answer


@dataclass(frozen=True, slots=True)
class _Way:
    """How calls fail."""

    error: int
    for_good: bool

    def __str__(self) -> str:
        return f"{errno.errorcode[self.error]}{' for good' if self.for_good else ''}"

    @property
    def word(self) -> str:
        """That of the operations that meet it."""
        return f"{errno.errorcode[self.error].lower()}{'-on' if self.for_good else ''}"

    @property
    def kinds(self) -> Kind:
        """The calls that can."""
        return LASTING[self.error] if self.for_good else FAILING[self.error]


class Trial:
    """One operation, the directory that lives through all of it, and what went wrong."""

    def __init__(
        self, operation: Operation, serverdir: Path, shim: Shim, sabotage: str | None
    ) -> None:
        self.tally = tally_of(operation.name) if sabotage is None else Tally(operation.name)
        self._operation = operation
        self._serverdir = serverdir
        self._shim = shim
        self._sabotage = sabotage
        self._before = self._after = Seen("", frozenset())
        self.calls: list[str] = []
        """The changes that the operation makes in peace."""
        self.calls_in_the_end: list[str] = []
        """The same, the last time that it was done: pages of a catalog that has grown are more or
        less."""
        self._words: list[str] = []
        self._numbers = count()

    def begin(self) -> None:
        """Do the operation in peace, to know what is seen before and after it."""
        init(self._serverdir)
        # By a server that is not spoiled: one that answers early may not know yet what it has got.
        with launched(self._serverdir, *_OPTIONS) as server, client_of(server) as client:
            fill_source(client)
        with self._server() as server, client_of(server) as client:
            self._operation.prepare(client, "peace")
            self._before = self._operation.see(client, "peace")
            self._shim.count(CHANGES)
            answer = self._act(client, "peace")
            self._shim.disarm()
            assert answer.is_success, answer.line
            self.calls = self._shim.calls()
            seen = self._operation.see(client, "peace")
            assert not seen.broken, seen.broken
            self._after = seen

    def kill_at_every_change(self, moments: Iterable[int] | None = None) -> None:
        """Kill the server in front of each call that changes the disk, and start it again.

        Or only in front of those that are named by their number.
        """
        numbers = count() if moments is None else [*moments, len(self.calls) + 100]
        self._die_each_time(numbers, ("kill", "killed"), self._shim.kill_at, lambda _: None)

    def fail_every_call(self, error: int, *, for_good: bool = False) -> None:
        """Let each call fail that can fail so, once or from then on; the server must live on."""
        way = _Way(error, for_good)
        with self._server() as server, client_of(server) as client:
            for number in count():
                if not self._fail_once(server, client, way, number):
                    break
            self.tally.points += self._shim.passed
            usual = self._masked_calls()
            self._judge_all(server, client)
        for number in self._calls_of_a_new_process(way, usual):
            with self._server() as server, client_of(server) as client:
                # The last ones may be there no more: it is not always as many pages of a catalog.
                if self._fail_once(server, client, way, number, "-new"):
                    self.tally.points += 1
        self._judge_in_the_end()

    def _fail_once(
        self, server: RunningServer, client: Client, way: "_Way", number: int, mark: str = ""
    ) -> bool:
        """False: the operation has no such call, and came to its end in peace."""
        word = f"{way.word}-{number}{mark}"
        self._prepare(client, word)
        self._shim.fail(way.error, number, for_good=way.for_good)
        answer = self._act(client, word)
        if not self._shim.has_hit:
            self._shim.disarm()
            self._judge_peace(client, Tried(word, "no call", answer))
            return False
        tried = Tried(word, f"{way} at {number}: {self._shim.calls()[number]}", answer)
        self.tally.failures += 1
        if way.for_good:
            self._judge_reading(client, tried)
        self._shim.disarm()
        self._judge_failure(server, client, tried)
        return True

    def _calls_of_a_new_process(self, way: "_Way", usual: Sequence[str]) -> list[int]:
        """The numbers of those that a server makes which has not done the like before."""
        with self._server() as server, client_of(server) as client:
            word = f"{way.word}-new"
            self._prepare(client, word)
            self._shim.count(way.kinds)
            answer = self._act(client, word)
            self._shim.disarm()
            self._judge_peace(client, Tried(word, "no call", answer))
        left, numbers = Counter(usual), []
        for number, call in enumerate(self._masked_calls()):
            left[call] -= 1
            if left[call] < 0:
                numbers.append(number)
        return numbers

    def _masked_calls(self) -> list[str]:
        """What was counted last, without what differs from time to time."""
        return [
            _DIFFERS.sub("N", call.replace(self._words[-1], "WORD")) for call in self._shim.calls()
        ]

    def die_of_every_failure(self, error: int, only: Kind | None = None) -> None:
        """Let each call fail that can fail so, once, and kill the server when it has answered.

        So nothing that it has put off till later is done, and what it had written, and was told
        that it had not, is found by the next start. `only` chooses among the calls.
        """
        name, before = errno.errorcode[error], self.tally.kills
        self._die_each_time(
            count(),
            (f"{name.lower()}-killed", f"killed after {name}"),
            lambda number: self._shim.fail(error, number, only=only),
            lambda server: server.process.kill(),
        )
        self.tally.failures += self.tally.kills - before

    def _die_each_time(
        self,
        numbers: Iterable[int],
        names: tuple[str, str],
        arm: Callable[[int], None],
        end: Callable[[RunningServer], None],
    ) -> None:
        """Let one call after the other be the last of a server, and start it again.

        `names`: in words, and of what happened. `arm` chooses the call. `end` kills a server that
        has lived through it.
        """
        for number in numbers:
            tried = self._die_once(number, names, arm, end)
            if tried is None:
                break
            with self._restarted(tried) as server, client_of(server) as client:
                self._judge_death(server, client, tried)
        self._judge_in_the_end()

    def _die_once(
        self,
        number: int,
        names: tuple[str, str],
        arm: Callable[[int], None],
        end: Callable[[RunningServer], None],
    ) -> Tried | None:
        """None: the operation has no such call, and came to its end in peace."""
        word_name, how = names
        # Started for this alone: one that has done the like before makes fewer calls.
        with self._server() as server, client_of(server) as client:
            word = f"{word_name}-{number}"
            self._prepare(client, word)
            arm(number)
            answer = self._act(client, word)
            if not self._shim.has_hit:
                self._shim.disarm()
                self.calls_in_the_end = self._shim.calls()
                self.tally.points += len(self.calls_in_the_end)
                self._judge_peace(client, Tried(word, "no call", answer))
                return None
            end(server)
            assert server.process.wait(STOP_SECONDS_MAX) == -signal.SIGKILL
            self.tally.kills += 1
            call = self._shim.calls()[number]
            self._shim.disarm()
            return Tried(word, f"{how} at {number}: {call}", answer)

    @contextmanager
    def _server(self) -> Iterator[RunningServer]:
        with launched(
            self._serverdir, *_OPTIONS, shim=self._shim, sabotage=self._sabotage
        ) as server:
            yield server

    @contextmanager
    def _restarted(self, tried: Tried | None) -> Iterator[RunningServer]:
        """As a server is started after a death: nothing else has to be done."""
        broken: list[str] = []
        with restarted(
            self._serverdir, broken, *_OPTIONS, shim=self._shim, sabotage=self._sabotage
        ) as server:
            self.tally.add(Harm.WEDGED, broken, "" if tried is None else tried.call)
            yield server

    def _prepare(self, client: Client, word: str) -> None:
        self._words.append(word)
        self._operation.prepare(client, word)

    def _act(self, client: Client, word: str) -> Answer:
        answer = self._operation.act(client, word)
        if self._operation.goes_on or self._sabotage is not None:
            self._wait_for_quiet()
        return answer

    def _wait_for_quiet(self) -> None:
        """Until the server has done nothing for a while: there is no event that says so."""
        deadline, passed = time.monotonic() + _QUIET_SECONDS_MAX, -1
        while passed != self._shim.passed and time.monotonic() < deadline:
            passed = self._shim.passed
            time.sleep(_QUIET_SECONDS)

    # Judging

    def _judge_death(self, server: RunningServer, client: Client, tried: Tried) -> None:
        self.tally.add(Harm.LEFT_OVER, left_behind(server), tried.call)
        seen = self._see(client, tried)
        if tried.answer.is_success and seen.text != self._after.text:
            self.tally.add(Harm.LOST, ["it was answered with success"], tried.call)
        paths = see_index(client, tried.word).paths
        left = strays(server.serverdir, index_of(tried.word), paths)
        self.tally.add(Harm.LEFT_OVER, left, tried.call)
        if seen.text != self._after.text:
            self._judge_again(client, tried)

    def _judge_failure(self, server: RunningServer, client: Client, tried: Tried) -> None:
        answer = tried.answer
        if not answer.is_success:
            is_told = answer.status in self._operation.statuses and "retry-after" in answer.headers
            if not is_told:
                self.tally.add(Harm.WEDGED, [f"it was answered with {answer.line}"], tried.call)
        if server.process.poll() is not None:
            self.tally.add(Harm.WEDGED, ["the server ended"], tried.call)
        seen = self._see(client, tried)
        if answer.is_success and seen.text != self._after.text:
            self.tally.add(Harm.LOST, ["it was answered with success"], tried.call)
        if seen.text != self._after.text:
            self._judge_again(client, tried)

    def _judge_peace(self, client: Client, tried: Tried) -> None:
        if not tried.answer.is_success:
            self.tally.add(Harm.WEDGED, [f"in peace: {tried.answer.line}"], tried.call)
        if self._see(client, tried).text != self._after.text:
            self.tally.add(Harm.LOST, ["it was answered with success"], tried.call)

    def _judge_again(self, client: Client, tried: Tried) -> None:
        """The same again works, without anybody's help."""
        answer = self._act(client, tried.word)
        if not answer.is_success or self._see(client, tried).text != self._after.text:
            self.tally.add(Harm.WEDGED, [f"the same again: {answer.line}"], tried.call)

    def _judge_reading(self, client: Client, tried: Tried) -> None:
        """Whoever reads is served while the disk takes nothing."""
        seen = see_index(client, SOURCE.removeprefix("root/"))
        if not seen.paths or seen.broken:
            self.tally.add(Harm.WEDGED, ["nothing can be read", *seen.broken], tried.call)

    def _see(self, client: Client, tried: Tried) -> Seen:
        seen = self._operation.see(client, tried.word)
        if not self._is_whole(seen):
            line = f"{tried.word} is neither as before nor as after"
            self.tally.add(Harm.HALF_VISIBLE, [line], tried.call)
        self.tally.add(Harm.HALF_VISIBLE, seen.broken, tried.call)
        return seen

    def _is_whole(self, seen: Seen) -> bool:
        """As before or as after; in between only what the operation promises no more of."""
        if self._operation.in_steps:
            return seen.files in (self._before.files, self._after.files)
        return seen.text in (self._before.text, self._after.text)

    def _judge_in_the_end(self) -> None:
        """Start once more: all of it is there, and nothing else is."""
        with self._restarted(None) as server, client_of(server) as client:
            self._judge_all(server, client)
            self.tally.add(Harm.HALF_VISIBLE, journal_gaps(server.serverdir, client.serial()))

    def _judge_all(self, server: RunningServer, client: Client) -> None:
        """Look at all that was done; and what is done next tidies up what could not be before."""
        sent = client.upload(SOURCE, a_wheel("afterwards", f"1.{next(self._numbers)}"))
        if not sent.is_promised:
            self.tally.add(Harm.WEDGED, [f"in the end an upload got {sent.status}"])
        paths = see_index(client, SOURCE.removeprefix("root/")).paths
        for word in ("peace", *self._words):
            seen = self._operation.see(client, word)
            if seen.text != self._after.text:
                self.tally.add(Harm.LOST, [f"{word} is not as it was"])
            self.tally.add(Harm.HALF_VISIBLE, seen.broken)
            paths |= seen.paths | see_index(client, word).paths
        self.tally.add(Harm.LEFT_OVER, left_behind(server))
        self.tally.add(Harm.LEFT_OVER, strays(server.serverdir, "", paths))


def one_of_each_kind(calls: Sequence[str]) -> list[int]:
    """The first call of each kind, and the last; by number."""
    kinds = kinds_of(calls)
    first = {kinds.index(kind) for kind in kinds}
    last = {len(kinds) - 1 - kinds[::-1].index(kind) for kind in kinds}
    return sorted(first | last)


def kinds_of(calls: Sequence[str]) -> list[str]:
    """What is done by each, and where: names that differ from time to time are left out."""
    named = (call.split(" ") for call in calls)
    return [" ".join([name, *(path.partition("/")[0] for path in paths)]) for name, *paths in named]


@contextmanager
def a_trial(
    operation: Operation, serverdir: Path, *, sabotage: str | None = None
) -> Iterator[Trial]:
    """A new server directory in which an operation has been done once."""
    with a_shim(serverdir) as shim:
        trial = Trial(operation, serverdir, shim, sabotage)
        trial.begin()
        yield trial
