"""What the hostile upstream has been asked, for tests to look at and to wait for."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.hostile.answers import Request


@dataclass(slots=True, eq=False)
class Asked:
    """One request, and what has become of it so far."""

    method: str
    path: str
    """As it was sent: quoted, and with the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    status: int | None = None
    """None until an answer is chosen, and where none was given."""
    bytes_sent: int = 0
    """Of the body, as far as it has left us."""
    is_over: bool = False
    """Nothing more will be sent: all of it was, or the connection is gone."""
    is_whole: bool = False
    """All of the body was sent."""


class RequestLog:
    """Every request in the order of arrival. Safe to read from any thread."""

    def __init__(self) -> None:
        self._asked: list[Asked] = []
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._snapshot())

    def __iter__(self) -> Iterator[Asked]:
        return iter(self._snapshot())

    def __getitem__(self, place: int) -> Asked:
        return self._snapshot()[place]

    def of(self, path_part: str, method: str | None = "GET") -> list[Asked]:
        """Those whose path contains this part, see `matches`; a method of None means any."""
        return [
            asked
            for asked in self._snapshot()
            if matches(asked.path, path_part) and method in {None, asked.method}
        ]

    def count(self, path_part: str, method: str | None = "GET") -> int:
        """How many there are of those."""
        return len(self.of(path_part, method))

    def paths(self) -> list[str]:
        """What was asked for, in the order of arrival."""
        return [asked.path for asked in self._snapshot()]

    def clear(self) -> None:
        """Forget all of them."""
        with self._changed:
            self._asked.clear()

    def add(self, request: Request) -> Asked:
        """Note a request that has arrived."""
        asked = Asked(request.method, request.target, dict(request.headers))
        with self._changed:
            self._asked.append(asked)
            self._changed.notify_all()
        return asked

    def end(self, asked: Asked, *, whole: bool) -> None:
        """Note that nothing more will be sent."""
        with self._changed:
            asked.is_whole, asked.is_over = whole, True
            self._changed.notify_all()

    def wait_for(
        self,
        path_part: str,
        count: int,
        timeout_seconds: float,
        *,
        method: str | None,
        over: bool,
    ) -> list[Asked]:
        """Block until there are so many, or so many that are over. Fails after the time."""

        def those() -> list[Asked]:
            return [each for each in self.of(path_part, method) if each.is_over or not over]

        return self._wait(those, count, timeout_seconds, path_part)

    def _wait(
        self,
        those: Callable[[], list[Asked]],
        count: int,
        timeout_seconds: float,
        path_part: str,
    ) -> list[Asked]:
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while len(found := those()) < count:
                if not self._changed.wait(deadline - time.monotonic()):
                    heard = [f"{asked.method} {asked.path}" for asked in self._asked]
                    raise AssertionError(
                        f"{len(found)} of {count} requests for {path_part!r} in"
                        f" {timeout_seconds} s; there were {heard}"
                    )
            return found

    def _snapshot(self) -> list[Asked]:
        with self._changed:
            return list(self._asked)


def matches(path: str, path_part: str) -> bool:
    """Whether the path contains the part; one that ends in `$` must stand at the path's end."""
    if path_part.endswith("$"):
        return path.endswith(path_part[:-1])
    return path_part in path
