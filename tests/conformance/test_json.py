"""The JSON form, and that it says the same as HTML."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import pytest
from packaging.utils import (
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from tests.builders import a_wheel
from tests.conformance.checklist import covers
from tests.conformance.conftest import REQUIRES_PYTHON, Shelf
from tests.conformance.pages import HASH_NAMES
from tests.conformance.site import Site, upload_time
from tests.conformance.talking import HTML, V1_JSON, ask

LIST_KEYS = {"meta", "projects"}
PAGE_KEYS = {"meta", "name", "files", "versions", "project-status", "alternate-locations"}
FILE_KEYS = {
    "filename", "url", "hashes", "requires-python", "core-metadata", "gpg-sig", "yanked", "size",
    "upload-time", "provenance",
}  # fmt: skip
NEVER_NULL = ("filename", "url", "hashes", "size", "upload-time", "yanked", "gpg-sig")
ATTRIBUTES = {
    "href", "data-requires-python", "data-yanked", "data-gpg-sig", "data-core-metadata",
    "data-dist-info-metadata", "data-provenance",
}  # fmt: skip


@pytest.fixture(scope="module")
def documents(site: Site, shelf: Shelf) -> dict[str, Any]:
    """The list and two projects' pages."""
    return {project: site.json(project) for project in ("", shelf.project, shelf.neighbour)}


def pages_in(documents: dict[str, Any]) -> list[Any]:
    return [page for project, page in documents.items() if project]


def release_of(filename: str) -> tuple[str, Version]:
    """Project and version that a file name tells."""
    if filename.endswith(".whl"):
        return parse_wheel_filename(filename)[:2]
    return parse_sdist_filename(filename)


@covers(51)
def test_a_page_is_an_object_with_meta_and_no_keys_of_its_own_making(
    documents: dict[str, Any],
) -> None:
    """Simple repository API, JSON Serialization: keys of a server's own begin with `_`."""
    for project, page in documents.items():
        assert isinstance(page, dict)
        assert isinstance(page["meta"], dict)
        known = PAGE_KEYS if project else LIST_KEYS
        keys = [set(page) - known, set(page["meta"]) - {"api-version", "tracks"}]
        keys += [set(each) - {"name"} for each in page.get("projects", ())]
        keys += [set(each) - FILE_KEYS for each in page.get("files", ())]
        assert [key for each in keys for key in each if not key.startswith("_")] == []


@covers(52)
def test_a_project_page_has_its_normalised_name_its_files_and_their_urls(
    site: Site, documents: dict[str, Any]
) -> None:
    """Simple repository API, JSON Serialization, Project Detail."""
    for project, page in documents.items():
        if not project:
            continue
        assert page["name"] == project == canonicalize_name(project)
        assert isinstance(page["files"], list)
        for file in page["files"]:
            url = urljoin(site.page_url(project), file["url"])
            assert "#" not in url
            assert ask("HEAD", url).status == 200


@covers(53)
def test_a_file_has_what_it_must_have_in_the_types_that_are_asked(
    documents: dict[str, Any], shelf: Shelf
) -> None:
    """Simple repository API, JSON Serialization, Project Detail; PEP 700."""
    sizes = {}
    for file in (file for page in pages_in(documents) for file in page["files"]):
        assert isinstance(file["filename"], str)
        assert isinstance(file["url"], str)
        assert type(file["size"]) is int
        assert set(file["hashes"]) <= HASH_NAMES
        assert file["hashes"]["sha256"] == file["hashes"]["sha256"].lower()
        assert isinstance(file.get("gpg-sig", False), bool)
        assert isinstance(file.get("provenance") or "", str)
        sizes[file["filename"]] = file["size"]
    for built in shelf.files:
        assert sizes[built.filename] == len(built.content)


@covers(53)
def test_hashes_are_those_of_the_bytes(site: Site, shelf: Shelf) -> None:
    """Simple repository API, JSON Serialization, Project Detail: at least one secure hash."""
    shown = site.files(shelf.project)
    for built in shelf.files:
        assert shown[built.filename].hashes["sha256"] == built.sha256


@covers(54)
def test_what_is_not_known_is_left_out_and_never_null(documents: dict[str, Any]) -> None:
    """Simple repository API, JSON Serialization: types; uv refuses a page with such a null."""
    files = [file for page in pages_in(documents) for file in page["files"]]
    assert files
    assert [key for file in files for key in NEVER_NULL if file.get(key, "") is None] == []


@covers(55)
def test_requires_python_is_not_escaped(site: Site, shelf: Shelf) -> None:
    """Simple repository API, JSON Serialization, Project Detail."""
    files = {file["filename"]: file for file in site.json(shelf.project)["files"]}
    assert files[shelf.wheel.filename]["requires-python"] == REQUIRES_PYTHON


@covers(56)
def test_versions_are_a_set_with_those_of_all_files_in_their_normal_form(
    documents: dict[str, Any], shelf: Shelf
) -> None:
    """PEP 700, Specification; Version specifiers, Normalization."""
    for page in pages_in(documents):
        versions = page["versions"]
        assert len(set(versions)) == len(versions)
        assert [str(Version(version)) for version in versions] == versions
        of_files = {str(release_of(file["filename"])[1]) for file in page["files"]}
        assert of_files <= set(versions)
    assert {"1.0", "2.0+local.1", "1!3.0"} <= set(documents[shelf.project]["versions"])


@covers(57)
def test_upload_times_are_in_utc_and_true(site: Site) -> None:
    """PEP 700, Specification; uv leaves out files without one under --exclude-newer."""
    project, leeway = site.a_name("time"), timedelta(minutes=5)
    before = datetime.now(UTC) - leeway
    site.store(a_wheel(project))
    (file,) = site.json(project)["files"]
    assert before < upload_time(file["upload-time"]) < datetime.now(UTC) + leeway


@covers(57)
def test_an_upload_time_stays_when_the_file_is_sent_again(site: Site) -> None:
    """PEP 700, Specification: when the file was uploaded, not when it was last offered."""
    project = site.a_name("time")
    site.store(a_wheel(project))
    before = site.json(project)["files"][0]["upload-time"]
    site.store(a_wheel(project))
    assert site.json(project)["files"][0]["upload-time"] == before


@covers(58)
def test_both_forms_say_the_same_of_every_file(site: Site, shelf: Shelf) -> None:
    """Simple repository API, JSON Serialization: one API in two forms."""
    for project in (shelf.project, shelf.neighbour):
        assert site.files(project, HTML) == site.files(project, V1_JSON)


@covers(58)
def test_both_forms_of_the_list_name_the_same_projects(site: Site, shelf: Shelf) -> None:
    """Simple repository API, Project List."""
    texts = {canonicalize_name(anchor.text) for anchor in site.html().anchors}
    assert shelf.project in texts
    assert {canonicalize_name(name) for name in site.projects()} == texts


@covers(59)
def test_html_has_no_attributes_but_those_of_the_standard(site: Site, shelf: Shelf) -> None:
    """PEP 833: nothing new in HTML; sizes and times are JSON's."""
    for anchor in site.html(shelf.project).anchors:
        assert set(anchor.attributes) <= ATTRIBUTES
