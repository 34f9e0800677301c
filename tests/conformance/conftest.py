"""Where the conformance tests go: a server of their own, or the index that the options name."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.builders import BuiltFile, a_wheel, an_sdist
from tests.conformance.pages import ShownFile
from tests.conformance.site import Site, foreign_site, site_at
from tests.server import running_server


@dataclass(frozen=True, slots=True)
class Shelf:
    """A project with files of many kinds, and one beside it; tests only read them."""

    project: str
    display_name: str
    neighbour: str
    """Its name begins with the other's."""
    wheel: BuiltFile
    """With a Requires-Python that HTML has to escape."""
    local: BuiltFile
    """An sdist with a `+` in its name."""
    epoch: BuiltFile
    """A wheel with a `!` in its name."""
    wheels: tuple[BuiltFile, ...]
    """Enough for a page that is worth compressing."""

    @property
    def files(self) -> tuple[BuiltFile, ...]:
        """All that lies in the project."""
        return (self.wheel, self.local, self.epoch, *self.wheels)


REQUIRES_PYTHON = ">=3.8,!=3.9.*,<4"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "an index to test, instead of a server of our own")
    group.addoption("--index-url", metavar="URL", help="the index, or the list of its projects")
    group.addoption("--upload-url", metavar="URL", help="where uploads go [the index]")
    group.addoption("--index-user", metavar="NAME", help="who uploads")
    group.addoption("--index-password", metavar="TEXT", help="and their password or token")


@pytest.fixture(scope="session")
def site(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The index that is tested."""

    def option(name: str) -> str | None:
        # Without this folder among the arguments of pytest, its options are not known.
        value: str | None = pytestconfig.getoption(name, default=None)
        return value

    user, password = option("index_user"), option("index_password")
    if index_url := option("index_url"):
        credentials = None if user is None else (user, password or "")
        yield foreign_site(index_url, upload_url=option("upload_url"), credentials=credentials)
        return
    with running_server(tmp_path_factory.mktemp("conformance") / "data") as server:
        ours = site_at(f"{server.url}/root/local/", credentials=("root", server.root_password))
        ours.store(a_wheel("first"))  # makes the index
        yield ours


@pytest.fixture(scope="session")
def shelf(site: Site) -> Shelf:
    """The project that most tests read."""
    project = site.a_name("shelf")
    display_name = project.replace("-", ".", 1).capitalize().replace("-", "_")
    shelf = Shelf(
        project,
        display_name,
        neighbour=f"{project}-extra",
        wheel=a_wheel(display_name, "1.0", requires_python=REQUIRES_PYTHON),
        local=an_sdist(display_name, "2.0+local.1"),
        epoch=a_wheel(display_name, "1!3.0"),
        wheels=tuple(a_wheel(display_name, f"1.{minor}") for minor in range(2, 12)),
    )
    # The form says so too, as that of every tool does: some servers believe nothing else.
    taken = site.upload(shelf.wheel, requires_python=REQUIRES_PYTHON)
    assert taken.status == 200, taken
    site.store(shelf.local, shelf.epoch, *shelf.wheels, a_wheel(shelf.neighbour))
    return shelf


@pytest.fixture(scope="session")
def shown_wheel(site: Site, shelf: Shelf) -> ShownFile:
    """The shelf's first wheel as its page shows it."""
    return site.file(shelf.project, shelf.wheel)


@pytest.fixture(scope="session")
def lenient(site: Site) -> Site:
    """An index that takes what old tools wrote."""
    return site.new_index(strict_archives=False, volatile=False)
