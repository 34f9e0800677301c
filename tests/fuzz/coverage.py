"""Which inputs reach lines, or steps from line to line, that no input before them reached.

Python 3.12 tells of each line once and costs next to nothing. Before, each call into the modules
is traced; functions that have long brought nothing new are looked at now and then only.
"""

import sys
from collections.abc import Callable, Collection
from importlib import import_module
from types import CodeType, FrameType
from typing import Any, Protocol, TypeVar

_Value = TypeVar("_Value")

_PATIENCE_CALLS = 300
"""After so many calls of a function without anything new, one in so many is looked at."""
_SELDOM_CALLS = 16


class Coverage(Protocol):
    """Watches the modules under test."""

    def watch(self, work: Callable[[], _Value]) -> tuple[_Value, bool]:
        """What it gives, and whether it reached something new."""


def coverage_of(modules: Collection[str]) -> Coverage:
    """The cheapest way of this Python to watch them."""
    files = frozenset(str(import_module(name).__file__) for name in modules)
    if sys.version_info >= (3, 12):
        return _Monitored(files)
    return _Traced(files)


class _Traced:
    """By a trace function: pairs of lines that follow one another in a function."""

    def __init__(self, files: frozenset[str]) -> None:
        self._files = files
        self._steps: set[tuple[CodeType, int, int]] = set()
        self._calls_in_vain: dict[CodeType, int] = {}

    def watch(self, work: Callable[[], _Value]) -> tuple[_Value, bool]:
        known = len(self._steps)
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            value = work()
        finally:
            sys.settrace(before)
        return value, len(self._steps) > known

    def _enter(self, frame: FrameType, _event: str, _arg: object) -> Any:
        code = frame.f_code
        if code.co_filename not in self._files:
            return None
        calls = self._calls_in_vain[code] = self._calls_in_vain.get(code, 0) + 1
        if calls > _PATIENCE_CALLS and calls % _SELDOM_CALLS:
            return None
        steps, line = self._steps, 0

        def trace(frame: FrameType, event: str, _arg: object) -> Any:
            nonlocal line
            if event == "line":
                step = (code, line, frame.f_lineno)
                line = frame.f_lineno
                if step not in steps:
                    steps.add(step)
                    self._calls_in_vain[code] = 0
            return trace

        return trace


if sys.version_info >= (3, 12):
    from sys import monitoring

    class _Monitored:
        """By sys.monitoring: lines, each of which is told of once."""

        def __init__(self, files: frozenset[str]) -> None:
            self._files = files
            self._new = False
            monitoring.restart_events()  # tell of those lines again that others have seen

        def watch(self, work: Callable[[], _Value]) -> tuple[_Value, bool]:
            self._new = False
            tool = monitoring.COVERAGE_ID
            monitoring.use_tool_id(tool, "fuzz")
            monitoring.register_callback(tool, monitoring.events.LINE, self._line)
            monitoring.set_events(tool, monitoring.events.LINE)
            try:
                value = work()
            finally:
                monitoring.set_events(tool, 0)
                monitoring.free_tool_id(tool)
            return value, self._new

        def _line(self, code: CodeType, _line: int) -> object:
            if code.co_filename in self._files:
                self._new = True
            return monitoring.DISABLE
