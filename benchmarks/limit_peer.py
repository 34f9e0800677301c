"""What no server on our event loop can surpass: one that says again what ours has said."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.asking import FILE_HEADERS
from benchmarks.corpus import Corpus
from benchmarks.peers import Served, SimpleindexPeer
from benchmarks.processes import pinned, running

LIMIT = "limit"
PROGRAM = Path(__file__).with_name("parrot.py")


@dataclass(frozen=True, slots=True)
class LimitPeer:
    """`parrot` under the interpreter of ours, in front of ours, which it asks everything once."""

    ours: SimpleindexPeer
    name: str = LIMIT

    def missing(self) -> str | None:
        return self.ours.missing()

    def version(self) -> str:
        return f"an event loop that repeats answers of {self.ours.name}"

    def fill(self, corpus: Corpus, folder: Path) -> None:
        self.ours.fill(corpus, folder)

    @contextmanager
    def started(self, folder: Path, core: int | None) -> Iterator[Served]:
        with self.ours.started(folder, None) as ours:
            command = pinned([self.ours.python, str(PROGRAM), str(ours.port)], core)
            with running(command) as server:
                port = server.announced_port()
                server.wait_for_answer(port, "/", FILE_HEADERS)
                yield replace(
                    ours, name=self.name, server=server, port=port, upload_path=None, repeats=True
                )
