"""What the tests of mirrors share: one server, on which each makes a mirror of its own."""

from collections.abc import Iterator

import pytest

from tests.hostile.upstream import running_upstream
from tests.mirror.sites import MirrorSite, a_mirror
from tests.server import RunningServer, running_server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that may mirror what is on this machine. Its own `root/pypi` leads nowhere."""
    serverdir = tmp_path_factory.mktemp("mirrors") / "data"
    with running_upstream() as nowhere:
        nowhere_url = nowhere.url
    options = ("--private-upstreams=127.0.0.1", f"--upstream-url={nowhere_url}")
    with running_server(serverdir, *options) as server:
        yield server


@pytest.fixture
def site(shared_server: RunningServer) -> Iterator[MirrorSite]:
    """A mirror with an upstream of its own."""
    with a_mirror(shared_server) as made:
        yield made
