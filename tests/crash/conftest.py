"""Prints at the end what was tried, and what came of it."""

import pytest

from tests.crash.tally import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = table()
    if lines:
        terminalreporter.section("calls at which the server was killed, or its disk failed")
        for line in lines:
            terminalreporter.write_line(line)
