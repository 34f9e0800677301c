"""The search for an input that breaks what must hold: mutate, try, keep what reaches new code.

The same seed tries the same inputs in the same order.
"""

import hashlib
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from tests.fuzz.coverage import coverage_of
from tests.fuzz.mutations import Ground, mutated
from tests.fuzz.targets import Target

CPU_SECONDS_MAX = 20
"""Of one input. Whatever takes longer is a failure."""

_MINIMISING_TRIES_MAX = 400
_TAKEN_MAX = 200
_TAKEN_ONE_IN = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that breaks what must hold."""

    target: str
    sentence: str
    data: bytes
    trace: str = field(compare=False, repr=False)


@dataclass(slots=True)
class Report:
    """What has been tried on one target."""

    target: str
    inputs: int = 0
    accepted: int = 0
    kept: int = 0
    seconds: float = field(default=0.0, compare=False)
    failures: dict[str, Failure] = field(default_factory=dict)
    """By where they come from, one each."""

    @property
    def refused(self) -> int:
        """How many inputs the parser refused."""
        return self.inputs - self.accepted


class TookTooLongError(BaseException):
    """An input that takes too much time. No parser catches it."""


class Fuzzer:
    """Tries one target. `keep` gets each input that is worth starting from again."""

    def __init__(
        self,
        target: Target,
        *,
        seed: int,
        earlier: Iterable[bytes] = (),
        keep: Callable[[bytes], object] = lambda _: None,
        failures_max: int = 10,
    ) -> None:
        self.report = Report(target.name)
        self._target = target
        self._rng = random.Random(f"{target.name} {seed}")
        self._coverage = coverage_of(target.modules)
        self._first = [*target.seeds(), *earlier]
        self._pool: list[bytes] = []
        self._taken: list[bytes] = []
        self._keep = keep
        self._failures_max = failures_max

    def run(self, *, inputs_max: int | None = None, seconds: float | None = None) -> Report:
        """Try so many inputs, the seeds among them, or for so long."""
        begun = time.monotonic()
        for data in self._inputs():
            self.report.seconds = time.monotonic() - begun
            if (
                self.report.inputs == inputs_max
                or (seconds is not None and self.report.seconds >= seconds)
                or len(self.report.failures) == self._failures_max
            ):
                break
            self._try(data)
        return self.report

    def _inputs(self) -> Iterator[bytes]:
        yield from self._first
        self._pool += [data for data in self._first if data not in self._pool]
        while True:
            from_taken = self._taken and self._rng.random() < 0.4
            ground = Ground(self._rng, self._target.tokens, self._pool, self._target.special)
            yield mutated(ground, self._rng.choice(self._taken if from_taken else self._pool))

    def _try(self, data: bytes) -> None:
        self.report.inputs += 1
        try:
            with _limited():
                accepted, is_new = self._coverage.watch(lambda: self._target.check(data))
        except (Exception, TookTooLongError) as error:
            self._fail(data, error)
            return
        self.report.accepted += accepted
        if is_new and self.report.inputs > len(self._first):
            self.report.kept += 1
            self._pool.append(data)
            self._keep(data)
        elif accepted and self._rng.randrange(_TAKEN_ONE_IN) == 0:
            self._wander(data)

    def _wander(self, data: bytes) -> None:
        """Go on from some inputs that were taken: one step more may be taken, too."""
        if len(self._taken) == _TAKEN_MAX:
            del self._taken[self._rng.randrange(_TAKEN_MAX)]
        self._taken.append(data)

    def _fail(self, data: bytes, error: BaseException) -> None:
        kind = _kind(error)
        if kind in self.report.failures:
            return
        data = self._minimised(data, kind)
        self.report.failures[kind] = Failure(
            self._target.name,
            f"{type(error).__name__}: {error}"[:500],
            data,
            "".join(traceback.format_exception(error)),
        )

    def _minimised(self, data: bytes, kind: str) -> bytes:
        """The same failure with fewer bytes: blocks are left out, ever smaller ones."""
        size, tries = max(len(data) // 2, 1), 0
        while size and tries < _MINIMISING_TRIES_MAX and not kind.startswith("TookTooLong"):
            at, found = 0, False
            while at < len(data) and tries < _MINIMISING_TRIES_MAX:
                shorter = data[:at] + data[at + size :]
                tries += 1
                if self._kind_of(shorter) == kind:
                    data, found = shorter, True
                else:
                    at += size
            if not found or size > 1:
                size //= 2
        return data

    def _kind_of(self, data: bytes) -> str:
        try:
            with _limited():
                self._target.check(data)
        except (Exception, TookTooLongError) as error:
            return _kind(error)
        return ""


def file_name(data: bytes) -> str:
    """Under which an input is kept."""
    return hashlib.sha256(data).hexdigest()[:16]


def _kind(error: BaseException) -> str:
    """Equal for failures that seem to be one: what is raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + (f" {where}" if isinstance(error, Exception) else "")


@contextmanager
def _limited() -> Iterator[None]:
    """Ends what takes too much of the processor, where the system has a timer for that."""
    if sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS_MAX)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TookTooLongError(f"more than {CPU_SECONDS_MAX} seconds of the processor")
