"""Which version of the API the pages say they have, and whether they keep to it."""

import re
from typing import Any

from packaging.version import Version

from tests.builders import a_wheel
from tests.conformance.checklist import covers
from tests.conformance.conftest import Shelf
from tests.conformance.pages import parse_html
from tests.conformance.site import Site
from tests.conformance.talking import FORMS, HTML, V1_HTML, V1_JSON, ask
from tests.conformance.test_base import followed

MAJOR_MINOR = re.compile(r"1\.(0|[1-9][0-9]*)")
PAGE_KEYS_SINCE = {"versions": "1.1", "project-status": "1.4", "namespaces": "1.5"}
FILE_KEYS_SINCE = {"size": "1.1", "upload-time": "1.1", "provenance": "1.3"}


def told(site: Site, project: str) -> Version:
    """The version that a JSON page says it has."""
    return Version(site.json(project)["meta"]["api-version"])


@covers(28)
def test_every_html_page_tells_its_version_once(site: Site, shelf: Shelf) -> None:
    """Simple repository API, Versioning; PEP 629."""
    for project in ("", shelf.project):
        for form in (HTML, V1_HTML):
            page = parse_html(site.get(project, form).text, site.base_url)
            (version,) = page.meta("pypi:repository-version")
            assert MAJOR_MINOR.fullmatch(version)


@covers(29)
def test_every_json_page_tells_its_version_as_a_string(site: Site, shelf: Shelf) -> None:
    """Simple repository API, JSON Serialization; PEP 691."""
    for project in ("", shelf.project):
        version = site.json(project)["meta"]["api-version"]
        assert isinstance(version, str)
        assert MAJOR_MINOR.fullmatch(version)


@covers(30)
def test_a_page_has_what_its_version_makes_mandatory(site: Site, shelf: Shelf) -> None:
    """Simple repository API, History; PEP 700: versions and sizes from 1.1."""
    page = site.json(shelf.project)
    if told(site, shelf.project) >= Version("1.1"):
        assert isinstance(page["versions"], list)
        assert all(isinstance(file["size"], int) for file in page["files"])


@covers(30)
def test_a_page_has_nothing_that_its_version_does_not_know(site: Site, shelf: Shelf) -> None:
    """Simple repository API, History; Versioning: a key is known from some version on."""
    page: dict[str, Any] = site.json(shelf.project)
    version = told(site, shelf.project)
    for key, since in PAGE_KEYS_SINCE.items():
        assert key not in page or version >= Version(since)
    for file in page["files"]:
        for key, since in FILE_KEYS_SINCE.items():
            assert file.get(key) is None or version >= Version(since)


@covers(31)
def test_the_html_form_goes_no_further_than_1_4(site: Site, shelf: Shelf) -> None:
    """PEP 833: HTML is frozen."""
    for project in ("", shelf.project):
        (version,) = site.html(project).meta("pypi:repository-version")
        assert Version(version) <= Version("1.4")


@covers(32)
def test_nothing_of_namespaces_is_shown_as_long_as_not_all_of_it_is_there(
    site: Site, shelf: Shelf
) -> None:
    """PEP 752, API version 1.5: the keys, and two URLs beside those of the projects."""
    for project in ("", shelf.project):
        page = site.json(project)
        assert "namespaces" not in page
        assert Version(page["meta"]["api-version"]) < Version("1.5")
    for below in ("namespaces", f"namespace/{shelf.project}"):
        for form in (V1_JSON, "application/json"):
            _, reply = followed(f"{site.base_url}{below}", form)
            assert reply.status in (404, 406)


@covers(32)
def test_projects_may_have_the_names_of_the_urls_of_namespaces(site: Site) -> None:
    """PEP 752: those URLs mean something else only where namespaces are offered."""
    other = site.new_index()
    for project in ("namespaces", "namespace"):
        other.store(a_wheel(project))
        for form in FORMS:
            url, reply = followed(f"{other.base_url}{project}", form)
            assert (url, reply.status) == (other.page_url(project), 200)


@covers(33)
def test_the_major_version_is_1_in_both_forms(site: Site, shelf: Shelf) -> None:
    """Simple repository API, Versioning; PEP 629: clients fail on any greater one."""
    for project in ("", shelf.project):
        (html,) = site.html(project).meta("pypi:repository-version")
        assert Version(html).major == told(site, project).major == 1
        reply = ask("GET", site.base_url, {"accept": "application/vnd.pypi.simple.v2+json"})
        assert reply.media_type != "application/vnd.pypi.simple.v2+json"
