"""One run: fill a server, let clients work on it, stop it, and look at what it leaves.

The state is stationary, so that any growth is a leak: names of projects and files stay the same
for the whole run, uploads replace files in a volatile index, and the memory for pages is set so
small that it is full in the warm-up already.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.bad_archives import BAD_ARCHIVES, BadArchive
from tests.server import RunningServer, running_server
from tests.soak.aftermath import broken_at_rest, broken_promises, strays
from tests.soak.model import STOCK_INDEX, VOLATILE_INDEX, Model, Slot
from tests.soak.reading import Action, Reader
from tests.soak.sampling import Sample, take_sample
from tests.soak.session import ANSWER_SECONDS_MAX, Ledger, Session, basic
from tests.soak.verdict import Outcome
from tests.soak.writing import ADD_SECONDS_MAX, Adder, Name, Owned, Writer, add_files

_OPTIONS = ("--page-memory-bytes=4000000", "--no-access-log")
_ERRORS_PER_CLIENT_MAX = 20
"""The run ends then: whatever it is, it is known."""
_REQUESTS_PER_CONNECTION = 200
_PROJECTS_PER_CLIENT = 3
_VERSIONS = ("1.0", "1.1", "2.0")
_PROJECTS_ADDED = ("added-0", "added-1")
_ADD = "add while it runs"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, and for how long."""

    seconds: float
    warm_up_seconds: float
    clients: int = 8
    seed: int = 0
    stock_projects: int = 300
    large_files_bytes: Sequence[int] = (1_000_000, 2_000_000, 4_000_000, 8_000_000)
    bad_archives: Sequence[BadArchive] = BAD_ARCHIVES
    requests_per_second: float = 30.0
    """Of each client, at the most: it thinks a little between two requests."""
    add_every_seconds: float = 20.0
    sample_seconds: float = 5.0


def soak(plan: Plan, folder: Path) -> Outcome:
    """Run it in an empty folder, which is left as it is in the end."""
    serverdir = folder / "data"
    with running_server(serverdir, *_OPTIONS) as server:
        stage = _fill(plan, server)
        samples, workers = _load(plan, server, stage)
        left = _stopped(server)
    # Before the restart, which would remove what was forgotten: it has to go when it is replaced.
    left += broken_at_rest(serverdir) + strays(serverdir, stage.model)
    with running_server(serverdir, *_OPTIONS) as server:
        left += broken_promises(server, stage.model)
        left += _stopped(server)
    left += broken_at_rest(serverdir)
    return Outcome(
        seconds={
            action.kind: [
                each for worker in workers for each in worker.ledger.seconds.get(action.kind, ())
            ]
            for worker in workers
            for action in worker.actions
        },
        errors=[error for worker in workers for error in worker.ledger.errors],
        samples=samples,
        warm_up_seconds=plan.warm_up_seconds,
        left=left,
    )


def make_volatile_index(server: RunningServer) -> None:
    """The index for all that changes, with that of the stock, which must exist, as its base."""
    session = Session(server.port, Ledger())
    session.ask(
        "make index",
        f"/{VOLATILE_INDEX}",
        {**basic("root", server.root_password), "Content-Type": "application/json"},
        method="PUT",
        body=b'{"volatile": true, "bases": ["%s"]}' % STOCK_INDEX.encode(),
        expected=(200, 201),
    )
    session.hang_up()


@dataclass(frozen=True, slots=True)
class _Stage:
    """What is on the server when the load begins."""

    model: Model
    stock: Sequence[tuple[Slot, Name]]
    owned: Sequence[Sequence[Owned]]
    """The files of each client; the last ones are those of `add`."""


def _fill(plan: Plan, server: RunningServer) -> _Stage:
    chance = Random(f"{plan.seed}/stock")
    names = [
        Name(f"stock-{number:03}", version, is_wheel=version != "1.1" or number % 5 > 0)
        for number in range(plan.stock_projects)
        for version in _VERSIONS[: 1 + number % len(_VERSIONS)]
    ]
    stock = [(name, name.build(chance, 1000)) for name in names]
    large = [
        (name := Name(f"large-{size_bytes}", "1.0"), name.build(chance, size_bytes))
        for size_bytes in plan.large_files_bytes
    ]
    add_files(server.serverdir, STOCK_INDEX, [built for _, built in stock + large])
    make_volatile_index(server)
    projects = [
        *(
            [f"client-{client}-{number}" for number in range(_PROJECTS_PER_CLIENT)]
            for client in range(plan.clients)
        ),
        _PROJECTS_ADDED,
    ]
    owned = [[_owned(name, chance) for name in _names_of(each)] for each in projects]
    add_files(server.serverdir, VOLATILE_INDEX, [each.built for some in owned for each in some])
    stock_slots = [
        (Slot(STOCK_INDEX, name.project, name.version, built), name)
        for name, built in stock + large
    ]
    slots = [slot for slot, _ in stock_slots] + [each.slot for some in owned for each in some]
    return _Stage(Model(slots), stock_slots[: len(stock)], owned)


def _names_of(projects: Sequence[str]) -> Iterator[Name]:
    for project in projects:
        for version in _VERSIONS:
            yield Name(project, version, is_wheel=version != "1.1")


def _owned(name: Name, chance: Random) -> Owned:
    built = name.build(chance)
    return Owned(name, Slot(VOLATILE_INDEX, name.project, name.version, built), built)


@dataclass(frozen=True, slots=True)
class _Worker:
    """Somebody who does one thing after the other until the time is over."""

    name: str
    actions: Sequence[Action]
    ledger: Ledger
    session: Session
    chance: Random
    pause_seconds: Callable[[], float]

    def run(self, over: threading.Event) -> None:
        """Everything once, then as the weights say."""
        try:
            for action in self.chance.sample(self.actions, len(self.actions)):
                self._do(action, over)
            weights = [action.weight for action in self.actions]
            while not over.wait(self.pause_seconds()):
                (action,) = self.chance.choices(self.actions, weights)
                self._do(action, over)
        finally:
            self.session.hang_up()

    def _do(self, action: Action, over: threading.Event) -> None:
        try:
            action.do()
        except Exception as error:  # a client that ended without a word would look like success
            self.ledger.errors.append((action.kind, f"{self.name}: {error!r}"))
            self.session.hang_up()
            if len(self.ledger.errors) >= _ERRORS_PER_CLIENT_MAX:
                over.set()
        if self.chance.random() * _REQUESTS_PER_CONNECTION < 1:
            self.session.hang_up()


def _load(
    plan: Plan, server: RunningServer, stage: _Stage
) -> tuple[list[Sample], Sequence[_Worker]]:
    workers = [_client(plan, server, stage, number) for number in range(plan.clients)]
    workers.append(_adder(plan, server, stage))
    begun = time.monotonic()
    samples = []
    with _working(workers) as over:
        while not over.wait(plan.sample_seconds):
            at_seconds = time.monotonic() - begun
            if server.process.poll() is not None or at_seconds > plan.seconds:
                break
            samples.append(take_sample(server, at_seconds))
    return samples, workers


@contextmanager
def _working(workers: Sequence[_Worker]) -> Iterator[threading.Event]:
    """All of them at work for the time of the block, or until somebody finds that it is over."""
    over = threading.Event()
    threads = [
        threading.Thread(target=worker.run, args=(over,), name=worker.name, daemon=True)
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    try:
        yield over
    finally:
        over.set()
        for thread, worker in zip(threads, workers, strict=True):
            thread.join(ANSWER_SECONDS_MAX + ADD_SECONDS_MAX)
            if thread.is_alive():
                worker.ledger.errors.append(("all", f"{worker.name} does not come to an end"))


def _client(plan: Plan, server: RunningServer, stage: _Stage, number: int) -> _Worker:
    chance = Random(f"{plan.seed}/{number}")
    session = Session(server.port, ledger := Ledger())
    reader = Reader(session, stage.model, chance)
    writer = Writer(
        session,
        reader,
        chance,
        password=server.root_password,
        owned=stage.owned[number],
        stock=stage.stock,
        bad_archives=plan.bad_archives[number % len(plan.bad_archives) :: plan.clients],
    )
    return _Worker(
        name=f"client {number}",
        actions=[*writer.actions(), *reader.actions()],
        ledger=ledger,
        session=session,
        chance=chance,
        pause_seconds=lambda: chance.expovariate(plan.requests_per_second),
    )


def _adder(plan: Plan, server: RunningServer, stage: _Stage) -> _Worker:
    chance = Random(f"{plan.seed}/add")
    session = Session(server.port, ledger := Ledger())
    adder = Adder(server, Reader(session, stage.model, chance), session, chance)
    return _Worker(
        name="add",
        actions=[Action(_ADD, 1, lambda: adder.add(_ADD, stage.owned[-1]))],
        ledger=ledger,
        session=session,
        chance=chance,
        pause_seconds=lambda: plan.add_every_seconds,
    )


def _stopped(server: RunningServer) -> list[str]:
    """Stop it; what is wrong with how it went."""
    try:
        exit_code = server.stop()
    except subprocess.TimeoutExpired:
        server.kill()
        return ["the server did not stop when it was told to"]
    return [] if exit_code == 0 else [f"the server ended with exit code {exit_code}"]
