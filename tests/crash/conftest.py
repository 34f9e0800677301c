"""Prints at the end what was tried, and what came of it."""

from typing import Any

import pytest

from tests.crash.tally import add_of_others, added, table

_TALLIES = "crash tallies"


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Of a process that shares the tests with others; that which started them prints.
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_TALLIES] = added()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    add_of_others(getattr(node, "workeroutput", {}).get(_TALLIES, ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = table()
    if lines:
        terminalreporter.section("calls at which the server was killed, or its disk failed")
        for line in lines:
            terminalreporter.write_line(line)
