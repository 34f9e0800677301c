"""Work that is under way, by what it is for: whoever wants the same waits for the same."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Flights(Generic[K, T]):
    """Tasks by key. Belongs to one event loop.

    They go on when whoever waits is cancelled: await them behind `asyncio.shield`.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def join(self, key: K, begin: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        """The task for a key, which is begun if there is none."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(begin())
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return task

    def under_way(self, key: K) -> "asyncio.Task[T] | None":
        """The task for a key, if there is one."""
        return self._tasks.get(key)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
