"""What no server on a socket lets through, but other hosts of the application might.

All the rest is in `tests/hostile_requests`.
"""

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.asgi import Answer
from tests.routes.sites import DEVPI, V1_JSON, WHEEL, Site

FILE = f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"

DOORS = [
    "/", "/root", "/root/local/", "/root/local/+simple/", "/root/local/demo/", FILE,
    f"{FILE}.metadata", "/+api", "/root/local/+api", "/+login", "/root/local/legacy/",
]  # fmt: skip

ODD_LENGTHS = ["-1", "9" * 999, "x", "1, 2", "\xb2"]


def refused(answer: Answer) -> str:
    """The line of an answer that must be a refusal, and not ours to blame."""
    assert 400 <= answer.status < 500
    assert len(answer.line) <= 1000
    return answer.line


def is_well(site: Site) -> None:
    """A page that was good before is so still."""
    page = site.get("/root/local/demo/", V1_JSON)
    assert page.status == 200
    assert page.json["files"][0]["filename"] == WHEEL.filename
    assert site.get(FILE).body == WHEEL.content


@pytest.mark.parametrize("length", ODD_LENGTHS, ids=ascii)
def test_an_odd_length_is_refused(length: str, filled: Site) -> None:
    before = filled.stored()
    headers = {"content-type": "multipart/form-data; boundary=x", "content-length": length}
    refused(filled.ask("POST", "/root/local/", filled.sent_by("root") | headers, b"--x--\r\n"))
    assert filled.stored() == before
    is_well(filled)


ODD_HEADERS: list[tuple[str, str]] = [
    ("accept", "a\0b"),
    ("accept", "a\r\nx-injected: 1"),
    ("authorization", "Basic\n"),
    ("x-devpi-auth", "\0" * 99),
    ("if-none-match", "\n"),
    ("range", "bytes=0-0\n"),
    ("if-range", "\0"),
    ("content-length", "x"),
    ("transfer-encoding", "gzip, chunked"),
    ("host", "evil.example\r\n"),
    ("x-forwarded-host", "evil.example\0"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "value"), ODD_HEADERS, ids=range(len(ODD_HEADERS)))
def test_an_odd_header_breaks_no_door(name: str, value: str, filled: Site) -> None:
    for target in DOORS:
        usual = filled.ask("GET", target)
        odd = filled.ask("GET", target, [(name, value)])
        if odd.status in (401, 405, 406):
            refused(odd)
        else:
            assert odd.status == usual.status == 200
            assert "evil" not in odd.body.decode("latin-1")
    is_well(filled)


def test_a_body_whose_length_is_told_twice_is_refused_and_the_last_of_its_connection(
    filled: Site,
) -> None:
    both = {"content-length": "5", "transfer-encoding": "chunked"}
    for target in DOORS:
        answer = filled.ask("POST", target, filled.sent_by("root") | both, b"hello")
        assert answer.status == 400
        assert answer.header("connection") == "close"
        assert "told twice" in refused(answer)


def test_very_many_headers_break_no_door(filled: Site) -> None:
    for target in DOORS:
        many = [("x-odd", "y")] * 5000 + [("accept", "text/html")] * 500
        assert filled.ask("GET", target, many).status in (200, 405)


_segments = st.sampled_from(
    ["root", "local", "demo", "+simple", "simple", "+f", "+api", "+login", "legacy", "..", "", "x"]
)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH"])
    | st.text("GETPUSH", max_size=5),
    path=st.lists(_segments | st.text(max_size=8), max_size=6).map("/".join) | st.text(),
    query=st.text(max_size=20),
    accept=st.none() | st.sampled_from(["*/*", "text/html", V1_JSON, DEVPI, "image/png"]),
    body=st.binary(max_size=99),
)
@example(method="GET", path="root/local", query="\n", accept=None, body=b"")
def test_no_request_is_our_fault(
    *, method: str, path: str, query: str, accept: str | None, body: bytes, filled: Site
) -> None:
    headers = {} if accept is None else {"accept": accept}
    target = f"/{quote(path)}?{quote(query)}"
    answer = filled.ask(method, target, headers, body)
    assert answer.status < 500
    if answer.status >= 400 and method != "HEAD":
        refused(answer)
    if answer.status == 302:
        location = answer.header("location") or ""
        assert ":" not in location.partition("?")[0]
        assert not location.startswith(("/", "\\"))


def test_a_password_in_a_url_that_is_meant_for_a_proxy_is_not_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.ask("POST", "http://somebody:hush-hush@other.example/a/b")
    assert "'http://other.example/a/b' refused" in caplog.text
    assert "hush" not in caplog.text
