"""The list, the pages and their links."""

import re
from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from packaging.utils import canonicalize_name

from tests.builders import a_wheel
from tests.conformance.checklist import covers
from tests.conformance.conftest import REQUIRES_PYTHON, Shelf
from tests.conformance.forms import a_form_of, least_fields
from tests.conformance.pages import HASH_NAMES, files_of_html, parse_html
from tests.conformance.site import PIP, Site, assert_nothing_of, assert_refused, fetched
from tests.conformance.talking import FORMS, HTML, V1_JSON, Reply, ask

REDIRECTS = (301, 302, 307, 308)
AGENTS = {
    "pip": "pip/26.2 {}",
    "uv": "uv/0.13.9",
    "easy_install": "Python-urllib/3.8 setuptools/40.6.2",
    "nobody": "",
}

agents = pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
forms = pytest.mark.parametrize("form", FORMS)


def followed(url: str, accept: str, agent: str = "") -> tuple[str, Reply]:
    """The answer behind all redirects, and its URL."""
    for _ in range(5):
        reply = ask("GET", url, {"accept": accept, "user-agent": agent})
        if reply.status not in REDIRECTS:
            return url, reply
        url = urljoin(url, reply.header("location"))
    raise AssertionError(f"redirected without end: {url}")


def a_wheel_of_any_name(name: str) -> bytes:
    """The bytes of a wheel that claims a name which may be none."""
    return a_wheel(metadata=f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()).content


# The list and its names


@covers(1)
def test_the_list_leads_to_the_page_of_each_project(site: Site, shelf: Shelf) -> None:
    """Simple repository API, Base API."""
    page = site.html()
    pages = {page.absolute(anchor.href) for anchor in page.anchors}
    for project in (shelf.project, shelf.neighbour):
        assert site.page_url(project) in pages
        assert site.get(project).status == 200


@covers(2)
@pytest.mark.parametrize("spelled", ["{}.A_B", "{}--a.-_b", "{}_A__b"])
def test_a_project_lies_under_its_normalised_name(site: Site, spelled: str) -> None:
    """Simple repository API, Base API; Names and normalization, Name normalization."""
    project = f"{site.a_name('names')}-a-b"
    name = spelled.format(project.removesuffix("-a-b"))
    assert canonicalize_name(name) == project
    site.store(a_wheel(name))
    assert site.json(project)["name"] == project
    assert site.get(project, HTML).status == 200


@covers(2)
@pytest.mark.parametrize("name", ["-{}", "{}-", "{} x", "{}é", "{}\u017f", "{}%0A", "_{}", "{}/x"])
def test_what_is_no_name_is_refused_and_has_no_page(site: Site, name: str) -> None:
    """Names and normalization, Name format."""
    project = site.a_name("odd")
    odd = name.format(project)
    fields = least_fields(odd.replace("%0A", "\nx"))
    claimed = a_wheel(project)
    assert_refused(site.post(a_form_of(fields, claimed)))
    assert_nothing_of(site, project)
    for form in FORMS:
        url = f"{site.base_url}{quote(odd, safe='%')}/"
        assert ask("GET", url, {"accept": form}).status == 404


@covers(3)
def test_two_spellings_of_a_name_are_one_project(site: Site) -> None:
    """Names and normalization, Name normalization."""
    project = site.a_name("spelled")
    site.store(a_wheel(project.replace("-", ".").title(), "1.0"), a_wheel(project, "2.0"))
    assert len(site.files(project)) == 2
    names = [each["name"] for each in site.json()["projects"]]
    assert [canonicalize_name(name) for name in names].count(canonicalize_name(project)) == 1


@covers(9)
def test_the_list_has_one_anchor_for_each_project_with_its_name(site: Site, shelf: Shelf) -> None:
    """Simple repository API, Project List; PEP 503."""
    page = site.html()
    assert shelf.project in {canonicalize_name(anchor.text) for anchor in page.anchors}
    targets = [page.absolute(anchor.href) for anchor in page.anchors]
    assert len(set(targets)) == len(targets)
    for anchor, target in zip(page.anchors, targets, strict=True):
        assert target == f"{site.base_url}{canonicalize_name(anchor.text)}/"


# URLs


@covers(4)
@forms
def test_a_url_without_its_slash_leads_to_the_page_and_keeps_its_query(
    site: Site, shelf: Shelf, form: str
) -> None:
    """Simple repository API, Project Detail."""
    for url in (site.page_url(shelf.project), site.base_url):
        reply = ask("GET", f"{url[:-1]}?a=b%20c", {"accept": form})
        assert reply.status in REDIRECTS
        assert urljoin(url[:-1], reply.header("location")) == f"{url}?a=b%20c"


@covers(5)
@agents
@forms
def test_links_lead_to_files_from_a_url_without_its_slash_too(
    site: Site, shelf: Shelf, form: str, agent: str
) -> None:
    """Simple repository API, Project Detail; RFC 3986, 5.2."""
    url, reply = followed(site.page_url(shelf.project)[:-1], form, agent)
    assert reply.status == 200
    if form == V1_JSON:
        target = urljoin(url, reply.json["files"][0]["url"])
    else:
        target = next(iter(files_of_html(parse_html(reply.text, url)).values())).url
    assert ask("HEAD", target).status == 200


@covers(6)
@agents
def test_another_spelling_of_a_name_leads_to_the_page(site: Site, shelf: Shelf, agent: str) -> None:
    """Simple repository API, Project Detail; easy_install asks for the name as it was typed."""
    for spelled in (shelf.display_name, shelf.project.upper(), shelf.project.replace("-", "_.")):
        for slash in ("/", ""):
            url, reply = followed(f"{site.base_url}{spelled}{slash}", HTML, agent)
            assert reply.status == 200
            assert shelf.wheel.filename in files_of_html(parse_html(reply.text, url))


@covers(7)
@pytest.mark.parametrize("accept", [*FORMS, PIP, "*/*", "application/json, */*;q=0.1"])
def test_a_project_that_is_not_there_is_a_404_and_at_once(site: Site, accept: str) -> None:
    """Simple repository API, Project Detail; RFC 9110, 15.5.5; pip asks for itself at each run."""
    for project in (site.a_name("missing"), f"{site.a_name('missing')}-Pip"):
        _, reply = followed(site.page_url(project), accept)
        assert reply.status == 404
        assert reply.seconds < 2


@covers(8, 65)
def test_a_project_that_has_no_file_to_offer_has_a_page_all_the_same(site: Site) -> None:
    """Simple repository API, Project Detail; Project status markers, quarantined."""
    project = site.a_name("empty")
    site.store(a_wheel(project))
    site.set_status(project, "quarantined")
    assert site.json(project)["files"] == []
    assert site.html(project).anchors == ()


@covers(10)
def test_both_forms_of_the_list_agree_on_a_quarantined_project(site: Site) -> None:
    """Simple repository API, Project List; no standard says whether it is there."""
    project = site.a_name("hidden")
    site.store(a_wheel(project))
    site.set_status(project, "quarantined")
    texts = {canonicalize_name(anchor.text) for anchor in site.html().anchors}
    assert (project in site.projects()) is (project in texts)


# HTML


@covers(11)
@pytest.mark.parametrize("form", [HTML, "application/vnd.pypi.simple.v1+html"])
def test_a_page_is_a_well_formed_document_of_html5(site: Site, shelf: Shelf, form: str) -> None:
    """Simple repository API, HTML Serialization; HTML, 13.1."""
    for project in ("", shelf.project):
        reply = site.get(project, form)
        page = parse_html(reply.text, site.page_url(project))
        assert page.faults == ()
        assert "charset=" in f"{reply.header('content-type')} {reply.text[:1024]}"


@covers(12)
def test_the_text_of_an_anchor_is_the_file_name_in_its_url(site: Site, shelf: Shelf) -> None:
    """Simple repository API, HTML Serialization, Project Detail."""
    page = site.html(shelf.project)
    names = [urlsplit(page.absolute(each.href)).path.rpartition("/")[2] for each in page.anchors]
    assert [anchor.text for anchor in page.anchors] == [unquote(name) for name in names]
    assert {unquote(name) for name in names} == {built.filename for built in shelf.files}


@covers(13)
@forms
def test_links_hold_under_every_host_name(site: Site, shelf: Shelf, form: str) -> None:
    """Simple repository API, Project Detail: relative URLs are allowed."""
    host = "packages.example:8080"
    url = site.page_url(shelf.project)
    reply = ask("GET", url, {"host": host, "accept": form})
    assert reply.status == 200
    if form == V1_JSON:
        hrefs = [file["url"] for file in reply.json["files"]]
    else:
        hrefs = [anchor.href for anchor in parse_html(reply.text, url).anchors]
    for href in hrefs:
        seen = urlsplit(urljoin(urlsplit(url)._replace(netloc=host).geturl(), href))
        assert seen.netloc == host
        assert ask("HEAD", seen._replace(netloc=urlsplit(url).netloc).geturl()).status == 200


@covers(14)
def test_a_plus_in_a_link_is_quoted_once(site: Site, shelf: Shelf) -> None:
    """RFC 3986, 2.1 and 2.2; some proxies take a literal plus for a space."""
    assert "+" in shelf.local.filename
    for form in (HTML, V1_JSON):
        file = site.files(shelf.project, form)[shelf.local.filename]
        name = urlsplit(file.url).path.rpartition("/")[2]
        assert "%2B" in name
        assert unquote(name) == shelf.local.filename


@covers(14)
def test_a_plus_may_be_asked_for_in_either_spelling(site: Site, shelf: Shelf) -> None:
    """RFC 3986, 2.2."""
    folder = site.file(shelf.project, shelf.local).url.rpartition("/")[0]
    for name in (shelf.local.filename, shelf.local.filename.replace("+", "%2B")):
        assert fetched(f"{folder}/{name}") == shelf.local.content
    twice = shelf.local.filename.replace("+", "%252B")
    assert ask("GET", f"{folder}/{twice}").status == 404


@covers(15)
def test_a_link_has_the_sha256_of_its_file_as_its_fragment(site: Site, shelf: Shelf) -> None:
    """Simple repository API, HTML Serialization; PEP 503."""
    for anchor in site.html(shelf.project).anchors:
        name, _, digest = anchor.href.partition("#")[2].partition("=")
        assert name in HASH_NAMES - {"sha1", "sha224"}
        assert re.fullmatch(r"[0-9a-f]+", digest)
    shown = site.files(shelf.project, HTML)
    for built in shelf.files:
        assert shown[built.filename].hashes == {"sha256": built.sha256}


@covers(16)
def test_requires_python_is_escaped_so_that_every_reader_finds_the_anchor(
    site: Site, shelf: Shelf
) -> None:
    """Simple repository API, HTML Serialization; PEP 503; hatch looks for `<a [^>]+>`."""
    page = site.html(shelf.project)
    tags = [tag for tag in re.findall(r"<a [^>]+>", page.source) if shelf.wheel.sha256 in tag]
    assert len(tags) == 1
    assert 'data-requires-python="&gt;=3.8,!=3.9.*,&lt;4"' in tags[0]
    assert files_of_html(page)[shelf.wheel.filename].requires_python == REQUIRES_PYTHON


@covers(17)
@forms
def test_requires_python_is_told_as_the_metadata_says_it(
    site: Site, shelf: Shelf, form: str
) -> None:
    """Simple repository API, Project Detail; Core metadata, Requires-Python."""
    shown = site.files(shelf.project, V1_JSON if form == V1_JSON else HTML)
    assert shown[shelf.wheel.filename].requires_python == REQUIRES_PYTHON
    assert shown[shelf.local.filename].requires_python is None


@covers(17)
@forms
def test_a_requires_python_that_is_none_is_left_out(lenient: Site, form: str) -> None:
    """Simple repository API, Project Detail; Version specifiers; installers cannot read it."""
    project = lenient.a_name("three")
    built = a_wheel(project, requires_python="three")
    lenient.store(built)
    shown = lenient.files(project, V1_JSON if form == V1_JSON else HTML)
    assert shown[built.filename].requires_python is None


@covers(19)
def test_every_anchor_of_a_page_is_a_file_and_none_has_a_rel(site: Site, shelf: Shelf) -> None:
    """Simple repository API, HTML Serialization; easy_install follows rel=homepage."""
    page = site.html(shelf.project)
    assert all(anchor.text.endswith((".whl", ".tar.gz")) for anchor in page.anchors)
    assert re.search(r"(?i)<(a|link)\s[^>]*\brel=", page.source) is None


@covers(20)
@forms
def test_every_link_leads_to_its_file(site: Site, shelf: Shelf, form: str) -> None:
    """Simple repository API, HTML Serialization; HTML, 2.4.2: a `<base>` counts if there is one."""
    shown = site.files(shelf.project, V1_JSON if form == V1_JSON else HTML)
    for built in (shelf.wheel, shelf.local, shelf.epoch):
        assert fetched(shown[built.filename].url) == built.content


@covers(21)
@forms
def test_a_page_shows_the_files_of_its_project_and_no_others(
    site: Site, shelf: Shelf, form: str
) -> None:
    """Simple repository API, Project Detail."""
    shown = site.files(shelf.project, V1_JSON if form == V1_JSON else HTML)
    assert set(shown) == {built.filename for built in shelf.files}


@covers(22)
def test_what_a_yank_and_a_status_say_cannot_leave_their_place(site: Site) -> None:
    """Simple repository API, HTML Serialization; HTML, 13.1.2.3."""
    project, evil = site.a_name("evil"), "<script>alert('&\"')</script> a > b"
    site.store(a_wheel(project))
    site.yank(project, "1.0", evil)
    site.set_status(project, "deprecated", evil)
    page = site.html(project)
    assert page.faults == ()
    assert "<script" not in page.source
    (anchor,) = page.anchors
    assert anchor.attributes["data-yanked"] == evil
    assert page.meta("pypi:project-status-reason") == [evil]
    assert site.json(project)["files"][0]["yanked"] == evil
