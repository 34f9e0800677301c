"""What lies beside the simple API: PyPI's JSON, drafts, old APIs, and the URL of the index."""

import json
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.builders import BuiltFile, a_wheel, an_sdist
from tests.conformance.checklist import covers
from tests.conformance.conftest import REQUIRES_PYTHON, Shelf
from tests.conformance.forms import a_form_of, least_fields
from tests.conformance.pages import files_of_html, files_of_json, parse_html
from tests.conformance.site import (
    PIP,
    Site,
    assert_nothing_of,
    assert_refused,
    fetched,
    root_of,
    upload_time,
)
from tests.conformance.talking import FORMS, HTML, V1_JSON, Reply, ask
from tests.conformance.test_base import followed

FILE_KEYS = {
    "filename", "packagetype", "python_version", "digests", "size", "url", "upload_time_iso_8601",
    "requires_python", "yanked", "yanked_reason", "core-metadata",
}  # fmt: skip


def project_json(site: Site, below: str) -> Reply:
    """PyPI's JSON of a project or release."""
    return ask("GET", f"{site.index_url}pypi/{below}/json", {"accept": "application/json"})


def object_of(site: Site, below: str) -> Any:
    """PyPI's JSON, which must be there."""
    reply = project_json(site, below)
    assert (reply.status, reply.media_type) == (200, "application/json")
    return reply.json


# PyPI's JSON API


@covers(117)
def test_the_json_of_a_project_tells_of_its_latest_release_and_of_all(
    site: Site, shelf: Shelf
) -> None:
    """JSON API of PyPI, Get a project."""
    told = object_of(site, shelf.project)
    assert told["info"]["version"] == "1!3.0"
    assert [file["filename"] for file in told["urls"]] == [shelf.epoch.filename]
    assert {"1.0", "1!3.0", "2.0+local.1"} <= set(told["releases"])
    names = [file["filename"] for files in told["releases"].values() for file in files]
    assert sorted(names) == sorted(built.filename for built in shelf.files)
    assert told["vulnerabilities"] == []
    assert isinstance(told["last_serial"], int)


@covers(117)
def test_the_json_of_a_release_tells_of_that_alone(site: Site, shelf: Shelf) -> None:
    """JSON API of PyPI, Get a release."""
    told = object_of(site, f"{shelf.project}/1.0")
    assert told["info"]["version"] == "1.0"
    assert told["info"]["requires_python"] == REQUIRES_PYTHON
    assert [file["filename"] for file in told["urls"]] == [shelf.wheel.filename]
    assert "releases" not in told
    assert told["vulnerabilities"] == []
    assert isinstance(told["last_serial"], int)


@covers(117)
def test_a_file_in_the_json_has_the_facts_of_the_simple_page(site: Site, shelf: Shelf) -> None:
    """JSON API of PyPI, Get a release."""
    (file,) = object_of(site, f"{shelf.project}/1.0")["urls"]
    assert set(file) >= FILE_KEYS
    assert file["packagetype"] == "bdist_wheel"
    assert file["python_version"] == "py3"
    assert file["digests"]["sha256"] == shelf.wheel.sha256
    assert file["size"] == len(shelf.wheel.content)
    assert file["requires_python"] == REQUIRES_PYTHON
    assert (file["yanked"], file["yanked_reason"]) == (False, None)
    assert file["core-metadata"] == site.file(shelf.project, shelf.wheel).core_metadata
    assert file["url"].startswith(root_of(site.index_url))
    assert fetched(file["url"]) == shelf.wheel.content
    (shown,) = (
        each for each in site.json(shelf.project)["files"]
        if each["filename"] == shelf.wheel.filename
    )  # fmt: skip
    assert upload_time(file["upload_time_iso_8601"]) == upload_time(shown["upload-time"])


@covers(117)
def test_an_sdist_in_the_json_is_one(site: Site, shelf: Shelf) -> None:
    """JSON API of PyPI, Get a release."""
    (file,) = object_of(site, f"{shelf.project}/2.0+local.1")["urls"]
    assert (file["packagetype"], file["python_version"]) == ("sdist", "source")


@covers(117)
def test_a_yank_is_in_the_json_at_once(site: Site) -> None:
    """JSON API of PyPI; File yanking."""
    project = site.a_name("yank")
    site.store(a_wheel(project))
    for value, reason in ((True, None), ("eats files", "eats files")):
        site.yank(project, "1.0", value)
        (file,) = object_of(site, f"{project}/1.0")["urls"]
        assert (file["yanked"], file["yanked_reason"] or None) == (True, reason)


@covers(117)
def test_other_sites_may_read_the_json(site: Site, shelf: Shelf) -> None:
    """JSON API of PyPI: CORS; Fetch, 3.3."""
    for below in (shelf.project, f"{shelf.project}/1.0"):
        assert project_json(site, below).header("access-control-allow-origin") == "*"


@covers(117)
def test_what_is_not_there_has_no_json(site: Site, shelf: Shelf) -> None:
    """JSON API of PyPI: 404."""
    for below in (site.a_name("missing"), f"{shelf.project}/9.9", f"{site.a_name('missing')}/1.0"):
        assert project_json(site, below).status == 404


@covers(117)
def test_the_json_is_found_under_other_spellings(site: Site, shelf: Shelf) -> None:
    """Names and normalization; Version specifiers, Normalization."""
    for below in (shelf.display_name, f"{shelf.display_name}/1.0", f"{shelf.project}/v1.0.0"):
        url = f"{site.index_url}pypi/{below}/json"
        _, reply = followed(url, "application/json")
        assert (reply.status, reply.media_type) == (200, "application/json")


# Drafts


@covers(109, 110, 111, 112, 113, 114)
def test_nothing_of_upload_2_is_offered(site: Site) -> None:
    """PEP 694, a draft: who asks for it is refused, and is not taken for an upload."""
    project = site.a_name("session")
    kind = "application/vnd.pypi.upload.v2+json"
    body = {"meta": {"api-version": "2.0"}, "name": project, "version": "1.0"}
    reply = site.post((kind, json.dumps(body).encode()), headers={"accept": kind})
    assert_refused(reply)
    assert reply.header("location") is None
    assert_nothing_of(site, project)


@covers(115)
def test_discovery_of_trusted_publishing_finds_nothing(site: Site) -> None:
    """PEP 807, a draft: 404 where it is not supported."""
    url = urljoin(site.upload_url, "/.well-known/pytp?discover=%2F")
    assert ask("GET", url, {"accept": "application/json"}).status == 404


@covers(116)
@pytest.mark.parametrize("pattern", ["{}-1.0-variants.json", "{}-1.0-py3-none-any-x86_64_v3.whl"])
def test_files_of_wheel_variants_are_refused(site: Site, pattern: str) -> None:
    """PEP 825, a draft: today's parsers know no such names."""
    project = site.a_name("variant")
    name = pattern.format(project.replace("-", "_"))
    content = b"{}" if name.endswith(".json") else a_wheel(project).content
    assert_refused(site.post(a_form_of(least_fields(project), BuiltFile(name, content))))
    assert_nothing_of(site, project)


@covers(116)
def test_there_is_no_metadata_in_json(site: Site, shelf: Shelf) -> None:
    """PEP 819, a draft."""
    url = site.file(shelf.project, shelf.wheel).url
    assert ask("GET", f"{url}.metadata.json").status == 404


# Old APIs


@covers(118)
@pytest.mark.parametrize("method", ["search", "list_packages", "changelog_last_serial"])
def test_xml_rpc_is_refused(site: Site, method: str) -> None:
    """XML-RPC of PyPI, which retired it: an HTTP error is all that its clients need."""
    body = f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName></methodCall>"
    for url in (site.index_url, site.base_url, root_of(site.index_url), f"{site.index_url}pypi"):
        assert 400 <= site.post(("text/xml", body.encode()), to=url).status < 500


@covers(119, 120)
@pytest.mark.parametrize(
    "path",
    [
        "rss/packages.xml", "rss/updates.xml", "rss/project/demo/releases.xml", "stats/",
        "packages/source/d/demo/demo-1.0.tar.gz", "packages/py3/d/demo/demo-1.0-py3-none-any.whl",
    ],
)  # fmt: skip
def test_what_a_public_index_has_besides_is_not_found(site: Site, path: str) -> None:
    """RFC 9110, 15.5.5: feeds, statistics and predictable URLs, which no installer needs."""
    for base in (root_of(site.index_url), site.index_url):
        _, reply = followed(f"{base}{path}", "*/*")
        assert reply.status == 404


# The URL of the index itself


@covers(121)
@pytest.mark.parametrize(
    ("accept", "form"),
    [(HTML, HTML), (None, HTML), ("*/*", HTML), (PIP, V1_JSON), (f"{V1_JSON}, */*;q=0.1", V1_JSON)],
)
def test_the_index_is_an_index_for_installers_without_anything_behind_it(
    site: Site, shelf: Shelf, accept: str | None, form: str
) -> None:
    """Simple repository API, Base API: OMFLOW's hosts have the URL of the index alone."""
    headers = {} if accept is None else {"accept": accept}
    for below in ("", f"{shelf.project}/"):
        reply = ask("GET", f"{site.index_url}{below}", headers)
        assert (reply.status, reply.media_type) == (200, form)
    url = f"{site.index_url}{shelf.project}/"
    shown = (
        files_of_json(reply.json, url) if form == V1_JSON
        else files_of_html(parse_html(reply.text, url))
    )  # fmt: skip
    assert fetched(shown[shelf.wheel.filename].url) == shelf.wheel.content


@covers(121)
@pytest.mark.parametrize("form", FORMS)
def test_the_list_at_the_index_leads_to_pages_too(site: Site, shelf: Shelf, form: str) -> None:
    """Simple repository API, Project List; RFC 3986, 5.2."""
    reply = ask("GET", site.index_url, {"accept": form})
    if form == V1_JSON:
        assert shelf.project in {project["name"] for project in reply.json["projects"]}
    else:
        page = parse_html(reply.text, site.index_url)
        (anchor,) = (each for each in page.anchors if each.text == shelf.project)
        assert ask("GET", page.absolute(anchor.href), {"accept": form}).status == 200


@covers(121)
def test_a_module_name_with_dots_leads_to_its_project(site: Site) -> None:
    """Names and normalization: OMFLOW asks for the name of a module that it misses."""
    project = site.a_name("google.cloud").replace(".", "-")
    site.store(a_wheel(project))
    dotted = project.replace("google-cloud", "google.cloud")
    for base in (site.index_url, site.base_url):
        _, reply = followed(f"{base}{dotted}/", HTML)
        assert reply.status == 200


@covers(121)
@pytest.mark.parametrize("name", ["_ctypes", "__main__", "a..b", "-", "win32api.", "sk\u00f6n"])
@pytest.mark.parametrize("accept", ["text/html", PIP])
def test_what_no_project_can_be_called_is_a_404_below_the_index(
    site: Site, name: str, accept: str
) -> None:
    """RFC 9110, 15.5.5: pip 18.1 ends with a traceback on a 5xx."""
    quoted = name.encode().decode("latin-1") if name.isascii() else "sk%C3%B6n"
    for base in (site.index_url, site.base_url):
        _, reply = followed(f"{base}{quoted}/", accept)
        assert reply.status == 404


@covers(116)
def test_only_distributions_are_on_pages(site: Site) -> None:
    """Simple repository API, Project Detail: wheels and sdists, as long as all else is a draft."""
    project = site.a_name("kinds")
    files = (a_wheel(project), an_sdist(project))
    site.store(*files)
    for form in (HTML, V1_JSON):
        assert set(site.files(project, form)) == {built.filename for built in files}
