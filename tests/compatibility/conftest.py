"""Which server the suite is run against, and that server: one for all tests."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.programs import Terminal
from tests.compatibility.desk import Desk
from tests.compatibility.differences import DIFFERENCES, DIFFERENT
from tests.compatibility.far import FarIndex, far_index
from tests.compatibility.sites import ALICE_PASSWORD, Site, devpi_site, our_site

_VARIABLE = "SIMPLEINDEX_COMPARE_WITH"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server",
        choices=["simpleindex", "devpi"],
        help=f"the server that tests/compatibility runs against; ${_VARIABLE} says it too",
    )


@pytest.fixture(scope="session")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The server; every test works in indexes and with projects of its own."""
    # Of a whole run this file is read too late for options.
    chosen = request.config.getoption("--server", default=None) or os.environ.get(_VARIABLE)
    make = {None: our_site, "": our_site, "simpleindex": our_site, "devpi": devpi_site}
    with make[chosen](tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def root(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Where root works with devpi's client, logged in."""
    desk = Desk(site, Terminal(tmp_path_factory.mktemp("root") / "home"))
    desk.must("use", site.url)
    desk.must("login", "root", f"--password={site.root_password}")
    desk.must("use", site.an_index())
    return desk


@pytest.fixture(scope="session")
def alice(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Where a user without particular rights works, logged in."""
    desk = Desk(site, Terminal(tmp_path_factory.mktemp("alice") / "home"))
    desk.must("use", f"{site.url}/{site.an_index('alice')}")
    desk.must("login", "alice", f"--password={ALICE_PASSWORD}")
    return desk


@pytest.fixture
def far() -> Iterator[FarIndex]:
    """Another index, that releases can be pushed to."""
    with far_index() as index:
        yield index


@pytest.fixture
def expected(request: pytest.FixtureRequest, site: Site) -> Any:
    """What this server has to answer in a test that `differs`."""
    difference = DIFFERENCES[DIFFERENT[request.function.__name__]]
    return difference.devpi if site.server == "devpi" else difference.ours
