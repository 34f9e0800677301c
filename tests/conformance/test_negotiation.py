"""Which form of a page a client gets."""

from urllib.parse import quote

import pytest

from tests.conformance.checklist import covers
from tests.conformance.conftest import Shelf
from tests.conformance.site import Site
from tests.conformance.talking import FORMS, HTML, V1_HTML, V1_JSON, Reply, ask

LATEST_JSON = "application/vnd.pypi.simple.latest+json"
LATEST_HTML = "application/vnd.pypi.simple.latest+html"

EITHER_HTML = (HTML, V1_HTML)
OF_APPLICATION = (V1_JSON, V1_HTML)

# What is sent, every type that it accepts, and those of the highest weight.
WEIGHTS = {
    "pip": (f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01", FORMS, (V1_JSON,)),
    "uv": (f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", FORMS, (V1_JSON,)),
    "poetry": (f"{V1_JSON}, */*;q=0.1", FORMS, (V1_JSON,)),
    "order does not count": (f"text/html;q=0.1, {V1_JSON}", (HTML, V1_JSON), (V1_JSON,)),
    "html above json": (f"{V1_JSON};q=0.1, text/html", (HTML, V1_JSON), (HTML,)),
    "three decimals": (f"{V1_JSON};q=0.499, {V1_HTML};q=0.500", OF_APPLICATION, (V1_HTML,)),
    "no weight is 1": (f"{V1_HTML};q=0.999, {V1_JSON}", OF_APPLICATION, (V1_JSON,)),
    "0 is never": (f"{V1_JSON};q=0, text/html;q=0.1", (HTML,), (HTML,)),
    "0.000 is never": (f"{V1_JSON};q=0.000, text/html;q=0.001", (HTML,), (HTML,)),
    "0 wins over a range": ("*/*, text/html;q=0", OF_APPLICATION, OF_APPLICATION),
    "the specific decides": (
        f"text/*;q=0.9, text/html;q=0, {V1_JSON};q=0.1", (V1_JSON,), (V1_JSON,),
    ),
    "a range of types": ("application/*;q=0.5, text/html;q=0.1", FORMS, OF_APPLICATION),
    "text": ("text/*", (HTML,), (HTML,)),
    "any case": (f"{V1_JSON.upper()};Q=1.000", (V1_JSON,), (V1_JSON,)),
    "blanks": (f"{V1_JSON} ; q=0.1 , text/html\t;\tq=0.2", (HTML, V1_JSON), (HTML,)),
    "empty elements": (f", ,{V1_HTML}, ,", (V1_HTML,), (V1_HTML,)),
    "a charset": ("text/html;charset=utf-8;q=0.5, image/png", (HTML,), (HTML,)),
    "others beside": (f"image/png, application/json, {V1_JSON};q=0.2", (V1_JSON,), (V1_JSON,)),
    "chrome": (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
        FORMS,
        (HTML,),
    ),
}  # fmt: skip

MALFORMED = [
    "q", "text/html;q", f"{V1_JSON};q=nan, text/html", "text/html;q=2", "text/html;q=-1",
    "text/html;q=0.1.2", '"', ";;;", "," * 2000, "é/ü;q=1", "/", "text/html;q=1e9",
]  # fmt: skip

NOTHING_OF_OURS = ["image/png", f"{V1_JSON};q=0", "application/vnd.pypi.simple.v2+json", "x/*"]


def both_pages(site: Site, shelf: Shelf, accept: str | None, query: str = "") -> list[Reply]:
    """The list and a project's page."""
    headers = {} if accept is None else {"accept": accept}
    urls = (site.base_url, site.page_url(shelf.project))
    return [ask("GET", f"{url}{query}", headers) for url in urls]


@covers(42)
@pytest.mark.parametrize("form", FORMS)
def test_each_of_the_three_forms_is_there_under_its_name(
    site: Site, shelf: Shelf, form: str
) -> None:
    """Simple repository API, Content Types; PEP 691."""
    for reply in both_pages(site, shelf, form):
        assert (reply.status, reply.media_type) == (200, form)


@covers(43)
@pytest.mark.parametrize("accept", [None, "*/*", "", "*/*;q=0.5"])
def test_who_does_not_say_what_they_take_gets_html(
    site: Site, shelf: Shelf, accept: str | None
) -> None:
    """RFC 9110, 12.5.1: no Accept is any; hatch, easy_install and urllib read HTML alone."""
    for reply in both_pages(site, shelf, accept):
        assert (reply.status, reply.media_type) == (200, HTML)


@covers(44)
def test_text_html_keeps_its_name(site: Site, shelf: Shelf) -> None:
    """Simple repository API, Content Types: an alias; pip before 22.2 takes nothing else."""
    for reply in both_pages(site, shelf, HTML):
        assert reply.media_type == HTML
        assert "charset=utf-8" in (reply.header("content-type") or "").lower().replace(" ", "")


@covers(45)
@pytest.mark.parametrize(("accept", "types", "best"), WEIGHTS.values(), ids=WEIGHTS)
def test_the_answer_has_a_type_that_was_accepted(
    site: Site, shelf: Shelf, accept: str, types: tuple[str, ...], best: tuple[str, ...]
) -> None:
    """RFC 9110, 12.4.2 and 12.5.1; Simple repository API, Version + Format Selection."""
    assert set(best) <= set(types)
    for reply in both_pages(site, shelf, accept):
        assert reply.status == 200
        assert reply.media_type in types


@covers(45)
@pytest.mark.parametrize(("accept", "types", "best"), WEIGHTS.values(), ids=WEIGHTS)
def test_the_answer_has_the_type_of_the_highest_weight(
    site: Site, shelf: Shelf, accept: str, types: tuple[str, ...], best: tuple[str, ...]
) -> None:
    """Simple repository API, Server-Driven Content Negotiation: best practice."""
    for reply in both_pages(site, shelf, accept):
        assert reply.media_type in best


@covers(45)
def test_several_headers_count_as_one_with_commas(site: Site) -> None:
    """RFC 9110, 5.3."""
    headers = [("Accept", "image/png"), ("Accept", f"{V1_JSON};q=0"), ("Accept", "text/html")]
    assert ask("GET", site.base_url, headers).media_type == HTML


@covers(45)
@pytest.mark.parametrize("accept", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_header_is_no_fault_of_the_server(
    site: Site, shelf: Shelf, accept: str
) -> None:
    """RFC 9110, 2.2 and 12.5.1."""
    for reply in both_pages(site, shelf, accept):
        assert reply.status in (200, 400, 406)
        if reply.status == 200:
            assert reply.media_type in FORMS


@covers(46)
@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (LATEST_JSON, V1_JSON),
        (LATEST_HTML, V1_HTML),
        (f"{LATEST_JSON};q=0.2, {LATEST_HTML};q=0.9", V1_HTML),
        (f"text/html;q=0.1, {LATEST_JSON}", V1_JSON),
    ],
)
def test_who_asks_for_the_latest_is_told_which_that_is(
    site: Site, shelf: Shelf, accept: str, form: str
) -> None:
    """Simple repository API, Version + Format Selection: never `latest` in the answer."""
    for reply in both_pages(site, shelf, accept):
        assert (reply.status, reply.media_type) == (200, form)


@covers(47)
@pytest.mark.parametrize("accept", NOTHING_OF_OURS)
def test_who_takes_none_of_the_forms_gets_a_406_or_a_default(
    site: Site, shelf: Shelf, accept: str
) -> None:
    """Simple repository API, Version + Format Selection; RFC 9110, 15.5.7."""
    for reply in both_pages(site, shelf, accept):
        assert reply.status in (406, 200)
        if reply.status == 406:
            assert all(form in reply.text for form in FORMS)
        else:
            assert reply.media_type in FORMS


@covers(48)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("accept", [None, "image/png", "text/html", V1_JSON])
def test_the_query_goes_before_the_header(
    site: Site, shelf: Shelf, form: str, accept: str | None
) -> None:
    """Simple repository API, URL Parameter: optional, and if offered it takes precedence."""
    for spelled in (quote(form, safe=""), form, form.replace("+", "%20")):
        for reply in both_pages(site, shelf, accept, f"?format={spelled}"):
            assert (reply.status, reply.media_type) == (200, form)


@covers(48)
@pytest.mark.parametrize("query", ["?format=", "?format=nothing", "?format=%FF%00", "?format"])
def test_a_query_that_names_no_form_is_ignored_or_refused(
    site: Site, shelf: Shelf, query: str
) -> None:
    """Simple repository API, URL Parameter."""
    for reply in both_pages(site, shelf, HTML, query):
        assert reply.status in (200, 400, 404, 406)
        assert reply.status != 200 or reply.media_type == HTML


@covers(50)
def test_every_negotiated_answer_varies_with_accept_and_no_other_identity(
    site: Site, shelf: Shelf
) -> None:
    """RFC 9110, 12.5.5 and 15.4.5."""
    for form in FORMS:
        for reply in both_pages(site, shelf, form):
            tag = reply.header("etag") or ""
            url = site.page_url(shelf.project)
            same = ask("GET", url, {"accept": form, "if-none-match": tag})
            for each in (reply, same):
                assert "accept" in each.words("vary")
                assert not each.words("vary") & {"user-agent", "*"}


@covers(50)
def test_a_406_and_a_304_vary_with_accept_too(site: Site, shelf: Shelf) -> None:
    """RFC 9110, 12.5.5 and 15.4.5."""
    tag = site.get(shelf.project).header("etag") or ""
    same = site.get(shelf.project, if_none_match=tag)
    assert same.status == 304
    assert "accept" in same.words("vary")
    for reply in both_pages(site, shelf, "image/png"):
        assert "accept" in reply.words("vary")
