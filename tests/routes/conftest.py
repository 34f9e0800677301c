"""Servers for the tests of the doors, each with a directory of its own."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage.names import IndexName
from tests.routes.sites import OTHER, SDIST, WHEEL, MakeSite, Site, a_site, prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server directory to copy: passwords take their time to hash."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(folder)
    return folder


@pytest.fixture
def make_site(prepared: Path, tmp_path: Path) -> Iterator[MakeSite]:
    """Makes servers with settings of their own, on one directory."""
    folder = tmp_path / "data"
    shutil.copytree(prepared, folder)
    with ExitStack() as sites:

        def make(**settings: Any) -> Site:
            return sites.enter_context(a_site(folder, **settings))

        yield make


@pytest.fixture(scope="session")
def filled(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with `WHEEL`, `SDIST` and `OTHER` in root/local, for tests that only read.

    `alice/dev` is empty itself, and has root/local as its base.
    """
    folder = tmp_path_factory.mktemp("filled") / "data"
    shutil.copytree(prepared, folder)
    with a_site(folder) as site:
        site.make_index("root/local", volatile=False, acl_upload=("root",))
        site.add(WHEEL, SDIST, OTHER)
        site.make_index("alice/dev", bases=(IndexName("root/local"),))
        yield site


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A server with the usual settings."""
    return make_site()
