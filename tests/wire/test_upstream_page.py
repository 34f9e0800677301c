"""Pages of other indexes: well-formed ones, sloppy ones and hostile ones."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter, process_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.simple_page import PageFile, ProjectPage
from simpleindex.wire.upstream_page import BadPage, parse_page
from simpleindex_storage.model import JsonValue, ProjectStatus
from tests.wire.pages import SHA256, WHEEL, a_file, a_page

DEMO = canonicalize_name("demo")
URL = "https://index.example/simple/demo/"
JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html; charset=utf-8"
FILES = "https://files.example/packages"


def parsed(body: bytes | str, content_type: str, url: str = URL) -> ProjectPage:
    content = body if isinstance(body, bytes) else body.encode()
    return parse_page(content, content_type, url, DEMO)


def a_json_page(*files: JsonValue, **keys: Any) -> bytes:
    page = {"meta": {"api-version": "1.4"}, "name": "demo", "files": list(files)}
    return json.dumps(page | {key.replace("_", "-"): keys[key] for key in keys}).encode()


def an_entry(**keys: Any) -> dict[str, JsonValue]:
    usual = {"filename": WHEEL, "url": f"{FILES}/{WHEEL}", "hashes": {"sha256": SHA256}}
    return usual | {key.replace("_", "-"): keys[key] for key in keys}


def the_file(**keys: Any) -> PageFile:
    """The only file of a JSON page, of which more is said."""
    (file,) = parsed(a_json_page(an_entry(**keys)), JSON).files
    return file


def an_html_page(*lines: str) -> str:
    return "\n".join(
        ["<html><head><title>Links for demo</title></head><body>", *lines, "</body></html>"]
    )


def the_link(attributes: str = "", href: str = f"{FILES}/{WHEEL}") -> PageFile:
    """The only file of an HTML page, with more attributes."""
    (file,) = parsed(an_html_page(f'<a href="{href}" {attributes}>{WHEEL}</a>'), HTML).files
    return file


# Both forms

FULL = a_page(
    a_file(
        url=f"{FILES}/{WHEEL}",
        requires_python=">=3.8,<4",
        metadata={"sha256": SHA256},
        yanked="it is <b>broken</b> & bad",
        gpg_sig=False,
        provenance="https://index.example/provenance",
    ),
    a_file("demo-1.0.tar.gz", url=f"{FILES}/demo-1.0.tar.gz", metadata=False, yanked=""),
    a_file("demo-2.0.zip", url=f"{FILES}/demo-2.0.zip", hashes={"md5": "0" * 32}, metadata=True),
    a_file("demo-2.0-py3.6.egg", url=f"{FILES}/demo-2.0-py3.6.egg", hashes={}),
    versions=("1.0", "2.0"),
    status=ProjectStatus.DEPRECATED,
    status_reason="use another",
    serial=12,
)


def test_what_we_write_as_json_we_read_again() -> None:
    assert parsed(simple_json.render_project(FULL), JSON) == FULL


def test_what_we_write_as_html_we_read_again() -> None:
    page = parsed(simple_html.render_project(FULL), HTML)
    assert page == ProjectPage(
        FULL.name,
        tuple(without_what_html_has_no_place_for(file) for file in FULL.files),
        FULL.versions,
        FULL.status,
        FULL.status_reason,
    )


def without_what_html_has_no_place_for(file: PageFile) -> PageFile:
    return PageFile(
        file.filename,
        file.url,
        file.hashes,
        requires_python=file.requires_python,
        metadata=file.metadata or None,
        yanked=file.yanked,
        gpg_sig=file.gpg_sig,
        provenance=file.provenance,
    )


@pytest.mark.parametrize(
    ("content_type", "body", "is_good"),
    [
        pytest.param("application/json", a_json_page(), True, id="plain JSON"),
        pytest.param("Application/JSON; charset=x", a_json_page(), True, id="in capitals"),
        pytest.param("", a_json_page(), True, id="JSON without a type"),
        pytest.param("text/plain", b"\xef\xbb\xbf \n" + a_json_page(), True, id="JSON as text"),
        pytest.param("text/html", a_json_page(), False, id="JSON as HTML"),
        pytest.param("", an_html_page().encode(), True, id="HTML without a type"),
        pytest.param("application/vnd.pypi.simple.v1+html", an_html_page().encode(), True, id="v1"),
        pytest.param("application/xhtml+xml", an_html_page().encode(), True, id="XHTML"),
        pytest.param("application/json", an_html_page().encode(), False, id="HTML as JSON"),
    ],
)
def test_the_type_says_what_it_is_or_else_the_body_does(
    content_type: str, body: bytes, is_good: bool
) -> None:
    if is_good:
        assert parsed(body, content_type).files == ()
    else:
        with pytest.raises(BadPage):
            parsed(body, content_type)


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("https://other.example/a/b.whl", "https://other.example/a/b.whl"),
        ("http://other.example:8080/b.whl?x=1&y=%20#sha256=1", "http://other.example:8080/b.whl?x=1&y=%20"),
        ("../../+f/012/345/b.whl", "https://index.example/+f/012/345/b.whl"),
        ("b.whl", "https://index.example/simple/demo/b.whl"),
        ("/b.whl", "https://index.example/b.whl"),
        ("//other.example/b.whl", "https://other.example/b.whl"),
        ("?file=b.whl", "https://index.example/simple/demo/?file=b.whl"),
        (" https://other.example/b.whl\n", "https://other.example/b.whl"),
        ("https://other.example/a b/ü%2Bc+d.whl", "https://other.example/a%20b/%C3%BC%2Bc+d.whl"),
        ("https://me:secret@other.example/b.whl", "https://other.example/b.whl"),
        ("https://[::1]:8080/b.whl", "https://[::1]:8080/b.whl"),
        ("HTTPS://other.example/b.whl", "https://other.example/b.whl"),
    ],
)  # fmt: skip
def test_urls_come_out_absolute_and_quoted(href: str, url: str) -> None:
    page = parsed(a_json_page(an_entry(url=href)), JSON, "https://u:p@index.example/simple/demo/")
    assert [file.url for file in page.files] == [url]


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd", "ftp://host/b.whl", "javascript:alert(1)", "data:,x", "mailto:a@b",
        "", " ", "#sha256=x", "http://[/b.whl", "http://[x]/b.whl", "https://ho st/b.whl",
        "https://host:99999/b.whl", "https://host:x/b.whl", "https://höst/b.whl",
        "https://host/\ud800.whl", "https://a<b/", "https://host:0/",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_leads_to_no_web_server_is_left_out(href: str) -> None:
    other = an_entry(filename="demo-2.0.zip", url="demo-2.0.zip")
    page = parsed(a_json_page(an_entry(url=href), other), JSON)
    assert [file.filename for file in page.files] == ["demo-2.0.zip"]


@pytest.mark.parametrize(
    "filename",
    [
        "other-1.0.zip", "demo-one.zip", "demo-1.0.exe", "demo-1.0.tar.bz2", "../demo-1.0.zip",
        "a/demo-1.0.zip", "demo-1.0.zip\n", "demo-1.0\x00.zip", "nul-1.0.zip", "",
        "demo\ud800-1.zip", "demo-" + "1" * 200 + ".zip", "demo-1.0-py3-none.whl",
    ],
    ids=lambda text: ascii(text[:20]),
)  # fmt: skip
def test_what_is_no_file_of_the_project_is_left_out(filename: str) -> None:
    page = parsed(a_json_page(an_entry(filename=filename), an_entry()), JSON)
    assert [file.filename for file in page.files] == [WHEEL]
    assert page.versions == ("1.0",)


def test_of_two_files_of_one_name_the_first_counts() -> None:
    page = parsed(a_json_page(an_entry(size=1), an_entry(size=2)), JSON)
    assert [file.size_bytes for file in page.files] == [1]
    lines = [f'<a href="{folder}/{WHEEL}">{WHEEL}</a>' for folder in ("a", "b")]
    assert [file.url for file in parsed(an_html_page(*lines), HTML).files] == [f"{URL}a/{WHEEL}"]


def test_old_spellings_of_the_projects_name_are_of_the_project() -> None:
    page = parsed(a_json_page(an_entry(filename="DEMO-1.0.tar.gz")), JSON)
    assert [file.filename for file in page.files] == ["DEMO-1.0.tar.gz"]


# JSON


@pytest.mark.parametrize(
    ("keys", "attribute", "value"),
    [
        ({"size": 0}, "size_bytes", 0),
        ({"size": -1}, "size_bytes", None),
        ({"size": True}, "size_bytes", None),
        ({"size": 1.5}, "size_bytes", None),
        ({"size": 1 << 80}, "size_bytes", None),
        ({"size": "1"}, "size_bytes", None),
        ({"hashes": {"sha256": SHA256.upper()}}, "hashes", {"sha256": SHA256}),
        ({"hashes": {"sha256": "0" * 63, "md5": "g" * 32, "sha1": "0" * 40}}, "hashes", {}),
        ({"hashes": {"sha256": 1, "md5": "0" * 32}}, "hashes", {"md5": "0" * 32}),
        ({"hashes": {"sha512": "a" * 128, "sha384": "b" * 96}}, "hashes",
         {"sha512": "a" * 128, "sha384": "b" * 96}),
        ({"hashes": [SHA256]}, "hashes", {}),
        ({"hashes": None}, "hashes", {}),
        ({"requires_python": ">=3.8"}, "requires_python", ">=3.8"),
        ({"requires_python": 3.8}, "requires_python", None),
        ({"requires_python": ">=3\x00"}, "requires_python", None),
        ({"requires_python": "\ud800"}, "requires_python", None),
        ({"yanked": True}, "yanked", ""),
        ({"yanked": False}, "yanked", None),
        ({"yanked": "broken"}, "yanked", "broken"),
        ({"yanked": "bro\ud800ken"}, "yanked", ""),
        ({"yanked": ""}, "yanked", None),
        ({"yanked": None}, "yanked", None),
        ({"yanked": ["x"]}, "yanked", None),
        ({"gpg_sig": True}, "gpg_sig", True),
        ({"gpg_sig": False}, "gpg_sig", False),
        ({"gpg_sig": 1}, "gpg_sig", None),
        ({"provenance": "https://host/p"}, "provenance", "https://host/p"),
        ({"provenance": "/p"}, "provenance", None),
        ({"provenance": "file:///p"}, "provenance", None),
        ({"provenance": 1}, "provenance", None),
        ({"core_metadata": True}, "metadata", True),
        ({"core_metadata": False}, "metadata", False),
        ({"core_metadata": {"sha256": SHA256}}, "metadata", {"sha256": SHA256}),
        ({"core_metadata": {"sha256": "x"}}, "metadata", True),
        ({"core_metadata": "yes"}, "metadata", None),
        ({"dist_info_metadata": {"sha256": SHA256}}, "metadata", {"sha256": SHA256}),
        ({"data_dist_info_metadata": {"sha256": SHA256}}, "metadata", {"sha256": SHA256}),
        ({"core_metadata": False, "dist_info_metadata": True}, "metadata", False),
        ({"core_metadata": "yes", "dist_info_metadata": True}, "metadata", True),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_key_is_understood_or_left_out(
    keys: dict[str, Any], attribute: str, value: object
) -> None:
    assert getattr(the_file(**keys), attribute) == value


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-06T07:08:09.123456Z", datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)),
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, 0, UTC)),
        ("2024-05-06T07:08:09+02:00", datetime(2024, 5, 6, 5, 8, 9, 0, UTC)),
        ("2024-05-06T07:08:09", None),
        ("0001-01-01T00:00:00+02:00", None),
        ("9999-12-31T23:59:59-02:00", None),
        ("yesterday", None),
        ("", None),
        (1715000000, None),
    ],
)
def test_upload_times_are_in_utc(text: JsonValue, moment: datetime | None) -> None:
    uploaded_at = the_file(upload_time=text).uploaded_at
    assert uploaded_at == moment
    assert uploaded_at is None or uploaded_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("told", "status", "reason"),
    [
        ({"status": "archived"}, ProjectStatus.ARCHIVED, None),
        ({"status": "quarantined", "reason": "bad"}, ProjectStatus.QUARANTINED, "bad"),
        ({"status": "active", "reason": ""}, ProjectStatus.ACTIVE, None),
        ({"status": "fallow", "reason": "bad"}, ProjectStatus.ACTIVE, None),
        ({"status": ["archived"], "reason": 1}, ProjectStatus.ACTIVE, None),
        ("archived", ProjectStatus.ACTIVE, None),
        (None, ProjectStatus.ACTIVE, None),
    ],
    ids=repr,
)
def test_a_status_that_no_standard_knows_is_none(
    told: JsonValue, status: ProjectStatus, reason: str | None
) -> None:
    page = parsed(a_json_page(project_status=told), JSON)
    assert (page.status, page.status_reason) == (status, reason)


@pytest.mark.parametrize(
    ("listed", "versions"),
    [
        (["0.9", "1.0"], ("0.9", "1.0")),
        (["2.0"], ("2.0", "1.0")),
        (["v1.0", "1.0", "1.0"], ("v1.0",)),
        (["one", 1, None, "1\ud800", ["1.0"]], ("1.0",)),
        ({"1.0": 1}, ("1.0",)),
        (None, ("1.0",)),
    ],
    ids=repr,
)
def test_versions_are_those_that_are_listed_and_those_of_files(
    listed: JsonValue, versions: tuple[str, ...]
) -> None:
    assert parsed(a_json_page(an_entry(), versions=listed), JSON).versions == versions


@pytest.mark.parametrize(
    ("meta", "serial"),
    [
        ({"api-version": "1.0", "_last-serial": 7}, 7),
        ({"api-version": "1.99", "_last-serial": "7"}, None),
        ({"_last-serial": -7}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
    ids=repr,
)
def test_the_page_may_tell_a_serial(meta: JsonValue, serial: int | None) -> None:
    assert parsed(a_json_page(an_entry(), meta=meta), JSON).serial == serial


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"meta": {"api-version": "1.0"}}', id="no files"),
        pytest.param(a_json_page(files={}), id="files are no list"),
        pytest.param(a_json_page(meta={"api-version": "2.0"}), id="version 2"),
        pytest.param(a_json_page(an_entry(), meta={"api-version": "10.0"}), id="version 10"),
        pytest.param(a_json_page(meta={"api-version": 1}), id="version is a number"),
        pytest.param(a_json_page(meta={"api-version": None}), id="version is null"),
        pytest.param(a_json_page(meta={}), id="neither version nor file"),
        pytest.param(a_json_page().decode().encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"files": [], "x": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"files": ' + b"[" * 100_000, id="deep"),
        pytest.param(b'{"files": ' + b"[" * 99_999 + b"]" * 99_999 + b"}", id="deep and whole"),
        pytest.param(b'{"files": [' + b"9" * 5000 + b"]}", id="a number without end"),
    ],
)
def test_json_that_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(BadPage) as raised:
        parsed(body, JSON)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "entry",
    [None, 1, "x", [], {}, {"filename": WHEEL}, {"url": "x"}, an_entry(url=None),
     an_entry(filename=["x"])],
    ids=ascii,
)  # fmt: skip
def test_an_entry_that_is_no_file_is_left_out(entry: JsonValue) -> None:
    assert len(parsed(a_json_page(entry, an_entry()), JSON).files) == 1


# HTML


@pytest.mark.parametrize(
    ("attributes", "attribute", "value"),
    [
        ('data-requires-python="&gt;=3.8"', "requires_python", ">=3.8"),
        ("data-requires-python", "requires_python", None),
        ('data-yanked="bad &amp; &lt;old>"', "yanked", "bad & <old>"),
        ('data-yanked=""', "yanked", ""),
        ("data-yanked", "yanked", ""),
        ("", "yanked", None),
        (f'data-core-metadata="sha256={SHA256}"', "metadata", {"sha256": SHA256}),
        (f'data-dist-info-metadata="sha256={SHA256}"', "metadata", {"sha256": SHA256}),
        ('data-core-metadata="true"', "metadata", True),
        ('data-core-metadata="sha256=x"', "metadata", True),
        ('data-core-metadata="false" data-dist-info-metadata="true"', "metadata", False),
        ("", "metadata", None),
        ('data-gpg-sig="true"', "gpg_sig", True),
        ('data-gpg-sig="false"', "gpg_sig", False),
        ('data-gpg-sig="maybe"', "gpg_sig", None),
        ('data-provenance="https://host/p"', "provenance", "https://host/p"),
        ('data-provenance="p"', "provenance", None),
        ('DATA-YANKED="first" data-yanked="second"', "yanked", "first"),
    ],
)
def test_an_attribute_is_understood_or_left_out(
    attributes: str, attribute: str, value: object
) -> None:
    assert getattr(the_link(attributes), attribute) == value


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        (f"#sha256={SHA256}", {"sha256": SHA256}),
        (f"#sha256={SHA256.upper()}&amp;egg=demo", {"sha256": SHA256}),
        (f"#egg=demo&sha256={SHA256}", {"sha256": SHA256}),
        (f"#md5={'0' * 32}", {"md5": "0" * 32}),
        ("#sha256=x", {}),
        ("#", {}),
        ("", {}),
    ],
)
def test_a_fragment_is_a_digest(fragment: str, hashes: dict[str, str]) -> None:
    file = the_link(href=f"{FILES}/{WHEEL}{fragment}")
    assert file.hashes == hashes
    assert file.url == f"{FILES}/{WHEEL}"


@pytest.mark.parametrize(
    ("link", "filename"),
    [
        ('<a href="demo-1.0%2Bcpu.zip">demo-1.0+cpu.zip</a>', "demo-1.0+cpu.zip"),
        ('<a href="demo-1.0.zip?token=1">demo-1...</a>', "demo-1.0.zip"),
        ('<a href="/download/17"> demo-1.0.zip\n</a>', "demo-1.0.zip"),
        ('<a href="/download/17"><span>demo-</span>1.0.zip</a>', "demo-1.0.zip"),
        ('<A HREF=demo-1.0.zip>x</A>', "demo-1.0.zip"),
        ('<a href="demo-1.0.zip">no end', "demo-1.0.zip"),
        ('<a href="x">no end<a href="demo-1.0.zip">of either', "demo-1.0.zip"),
        ('<a href="demo-1.0.zip" />', "demo-1.0.zip"),
    ],
)  # fmt: skip
def test_the_url_names_the_file_or_else_the_text_does(link: str, filename: str) -> None:
    page = parsed(f"<title>Links for demo</title>{link}", HTML)
    assert [file.filename for file in page.files] == [filename]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ('<base href="https://other.example/a/">', "https://other.example/a/b/demo-1.0.zip"),
        ('<base href="../x/"><base href="y/">', "https://index.example/simple/x/b/demo-1.0.zip"),
        ("<base><base target='x'>", "https://index.example/simple/demo/b/demo-1.0.zip"),
        ('<base href="ftp://host/">', "https://index.example/simple/demo/b/demo-1.0.zip"),
    ],
)
def test_links_are_relative_to_the_base(base: str, url: str) -> None:
    page = parsed(f'{base}<a href="b/demo-1.0.zip">demo-1.0.zip</a>', HTML)
    assert [file.url for file in page.files] == [url]


def test_the_head_tells_the_status() -> None:
    page = parsed(
        '<meta name="pypi:project-status" content="archived">'
        '<meta name="pypi:project-status-reason" content="a &lt;b>">'
        '<meta name="pypi:repository-version" content="1.4"><meta name="author"><meta>',
        HTML,
    )
    assert page == ProjectPage(DEMO, (), (), ProjectStatus.ARCHIVED, "a <b>")


def test_links_in_comments_and_scripts_are_none() -> None:
    link = '<a href="demo-1.0.zip">x</a>'
    page = parsed(an_html_page(f"<!-- {link} --><script>'{link}'</script>"), HTML)
    assert page.files == ()


def test_marks_in_attributes_that_are_not_escaped_end_no_tag() -> None:
    names = [f"demo-1.{n}.zip" for n in range(2000)]
    links = [f'<a href="{name}" data-requires-python=">=3.8, <4">{name}</a>' for name in names]
    page = parsed(an_html_page(*links), HTML)
    assert [file.filename for file in page.files] == names
    assert {file.requires_python for file in page.files} == {">=3.8, <4"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("not found", id="text"),
        pytest.param("<title>Please log in</title><a href='/login'>Log in</a>", id="login"),
        pytest.param("<h1>502 Bad Gateway</h1>", id="proxy"),
        pytest.param(a_json_page(an_entry()).decode(), id="JSON"),
        pytest.param(
            '<meta name="pypi:repository-version" content="2.0"><a href="demo-1.0.zip">x</a>',
            id="version 2",
        ),
        pytest.param('<meta name="pypi:repository-version">', id="no version"),
        pytest.param(f"<title>Links for demo</title>&#{'9' * 5000};", id="endless number"),
        pytest.param("<title>Links for demo</title><a " + "x" * 300_000, id="endless tag"),
        pytest.param(an_html_page().encode("utf-16").decode("latin-1"), id="UTF-16"),
    ],
)
def test_html_that_is_no_page_is_refused(body: str) -> None:
    with pytest.raises(BadPage) as raised:
        parsed(body, HTML)
    assert str(raised.value).isprintable()


def test_letters_in_another_encoding_do_no_harm() -> None:
    body = an_html_page('<a href="demo-1.0.zip" data-yanked="caf\u00e9">x</a>').encode("latin-1")
    assert [file.yanked for file in parsed(body, HTML).files] == ["caf\ufffd"]


@pytest.mark.parametrize("odd", ["<a ", "<a b=", "<!--", "</", "<", "<a b='\"", "&#1", "<title>"])
def test_odd_markup_takes_no_time(odd: str) -> None:
    body = an_html_page(odd * (1_000_000 // len(odd)))
    started_at = process_time()
    with suppress(BadPage):
        parsed(body, HTML)
    assert process_time() - started_at < 5


# Whatever the bytes

WORDS = [
    '{"meta": {"api-version": "1.0"}, "files": [', '{"filename": "demo-1.0.zip", ', '"url": "x"}',
    "]}", "}", '"hashes": {"sha256": 1},', '"yanked": ', '"\\ud800"', "9" * 4400, "[" * 2000, "NaN",
    ",", "<a href='demo-1.0.zip'>", "</a>", "<base href='http://['>", "<meta name='pypi:", "&#",
    "<title>Links for demo</title>", "<![", "<!--", "<?", "\x00", "'", '"', ">", "//[", "http://",
]  # fmt: skip


@settings(deadline=None)
@given(
    st.binary() | st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=9).map(
        lambda words: "".join(words).encode()
    ),
    st.sampled_from([JSON, HTML, ""]),
)  # fmt: skip
@example(b"<![x[ ]]>", HTML)
def test_no_bytes_do_worse_than_to_be_refused(body: bytes, content_type: str) -> None:
    try:
        page = parsed(body, content_type)
    except BadPage as bad:
        assert str(bad).isprintable()
        assert len(str(bad)) < 300
    else:
        simple_json.render_project(page)
        simple_html.render_project(page)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
KEYS = [
    "url", "hashes", "size", "upload-time", "requires-python", "core-metadata", "yanked", "gpg-sig",
    "provenance", "dist-info-metadata",
]  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(KEYS[1:]), json_values),
    st.dictionaries(
        st.sampled_from(["versions", "project-status", "name", "alternate-locations"]), json_values
    ),
)
def test_values_of_any_type_cost_no_file(
    file_keys: dict[str, JsonValue], page_keys: dict[str, JsonValue]
) -> None:
    page = parsed(a_json_page(an_entry() | file_keys, **page_keys), JSON)
    assert [file.filename for file in page.files] == [WHEEL]
    simple_json.render_project(page)


# Speed


def test_a_page_of_thousands_of_files_is_read_at_once() -> None:
    names = [f"demo-1.{n // 40}-cp3{n % 40}-cp3{n % 40}-linux_x86_64.whl" for n in range(2000)]
    entries = [an_entry(filename=name, url=f"{FILES}/{name}", size=1) for name in names]
    body = a_json_page(*entries)
    times = []
    for _ in range(5):
        started_at = perf_counter()
        page = parsed(body, JSON)
        times.append(perf_counter() - started_at)
    assert len(page.files) == 2000
    assert min(times) < 0.2  # it takes a tenth of it; a full look at each name takes all of it
