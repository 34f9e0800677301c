"""Tells at the end how many hostile requests there were."""

import pytest

from tests.hostile_requests.tally import Tally

_TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    """Where the requests of this run are counted."""
    counted: Tally = request.config.stash.setdefault(_TALLY, Tally())
    return counted


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The count, in a line of its own."""
    counted = config.stash.get(_TALLY, None)
    if counted is not None and counted.answers:
        terminalreporter.write_line(str(counted))
