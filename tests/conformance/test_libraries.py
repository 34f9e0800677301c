"""The pages as other people's parsers read them; a warning of theirs is a failure here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version
from pypi_simple import (
    ACCEPT_HTML_ONLY,
    ACCEPT_JSON_ONLY,
    NoSuchProjectError,
    ProjectPage,
    PyPISimple,
)

from tests.builders import a_wheel
from tests.conformance.checklist import covers
from tests.conformance.conftest import REQUIRES_PYTHON, Shelf
from tests.conformance.site import Site


@pytest.fixture(params=[ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY], ids=["html", "json"])
def client(site: Site, request: pytest.FixtureRequest) -> Iterator[PyPISimple]:
    """A client that takes one of the forms."""
    session = requests.Session()
    session.trust_env = False  # no proxies, no netrc
    accept: str = request.param
    with PyPISimple(site.base_url, session=session, accept=accept) as client:
        yield client


def page_of(client: PyPISimple, project: str) -> ProjectPage:
    """A page on which nothing is amiss."""
    page = client.get_project_page(project)
    assert page.project == project
    assert page.repository_version is not None
    return page


@covers(1, 9, 33)
def test_pypi_simple_reads_the_list(client: PyPISimple, shelf: Shelf) -> None:
    """Simple repository API, Project List, as pypi-simple reads it."""
    page = client.get_index_page()
    streamed = list(client.stream_project_names())
    assert page.projects == streamed
    assert {shelf.project, shelf.neighbour} <= {canonicalize_name(name) for name in streamed}


@covers(12, 17, 28, 29, 53)
def test_pypi_simple_reads_all_of_a_project(client: PyPISimple, shelf: Shelf) -> None:
    """Simple repository API, Project Detail, as pypi-simple reads it."""
    page = page_of(client, shelf.project)
    found = {package.filename: package for package in page.packages}
    assert set(found) == {built.filename for built in shelf.files}
    for built in shelf.files:
        package = found[built.filename]
        kind = "wheel" if built.filename.endswith(".whl") else "sdist"
        assert package.package_type == kind
        assert canonicalize_name(package.project or "") == shelf.project
        assert package.digests == {"sha256": built.sha256}
        assert package.is_yanked is False
        assert package.size in (len(built.content), None)
    assert found[shelf.wheel.filename].requires_python == REQUIRES_PYTHON


@covers(15, 20)
def test_pypi_simple_downloads_and_verifies_what_it_found(
    client: PyPISimple, shelf: Shelf, tmp_path: Path
) -> None:
    """Simple repository API, Project Detail, as pypi-simple follows it."""
    for package in page_of(client, shelf.project).packages[:3]:
        path = tmp_path / package.filename
        client.download_package(package, path, verify=True)


@covers(34, 37)
def test_pypi_simple_reads_and_verifies_metadata(client: PyPISimple, shelf: Shelf) -> None:
    """PEP 658, as pypi-simple follows it."""
    (package,) = (
        package for package in page_of(client, shelf.project).packages
        if package.filename == shelf.wheel.filename
    )  # fmt: skip
    assert package.has_metadata
    assert REQUIRES_PYTHON in client.get_package_metadata(package, verify=True)


@covers(23, 24, 64)
def test_pypi_simple_reads_yanks_and_statuses(client: PyPISimple, site: Site) -> None:
    """File yanking and Project status markers, as pypi-simple reads them."""
    project = site.a_name("marked")
    site.store(a_wheel(project))
    site.yank(project, "1.0", "eats <files>")
    site.set_status(project, "archived", "see & other")
    page = page_of(client, project)
    (package,) = page.packages
    assert (package.is_yanked, package.yanked_reason) == (True, "eats <files>")
    assert (str(page.status), page.status_reason) == ("archived", "see & other")


@covers(7)
def test_pypi_simple_finds_no_project_that_is_not_there(client: PyPISimple, site: Site) -> None:
    """Simple repository API, Project Detail, as pypi-simple reads it."""
    with pytest.raises(NoSuchProjectError):
        client.get_project_page(site.a_name("missing"))


@covers(56, 97, 98)
def test_packaging_parses_every_name_and_version_of_a_page(site: Site, shelf: Shelf) -> None:
    """Binary and Source distribution format, file names; Version specifiers."""
    page = site.json(shelf.project)
    for file in page["files"]:
        name = file["filename"]
        parse = parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename
        project, version = parse(name)[:2]
        assert project == shelf.project
        assert str(version) in {str(Version(each)) for each in page["versions"]}
        assert SpecifierSet(file.get("requires-python") or "").contains("3.10")


@covers(35, 104)
def test_packaging_finds_no_fault_with_any_metadata(client: PyPISimple, shelf: Shelf) -> None:
    """Core metadata."""
    packages = [each for each in page_of(client, shelf.project).packages if each.has_metadata]
    assert len(packages) > 1
    for package in packages:
        raw = client.get_package_metadata_bytes(package, verify=True)
        metadata = Metadata.from_email(raw, validate=True)
        assert canonicalize_name(metadata.name) == shelf.project
        assert str(metadata.version) == package.version
