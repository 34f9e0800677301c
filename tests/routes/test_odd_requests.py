"""Every odd thing is answered with a 4xx and one line, and changes nothing for others."""

from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.asgi import Answer
from tests.routes.sites import DEVPI, V1_JSON, WHEEL, Site, basic

FILE = f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"

ODD_PATHS = [
    "/%00",
    "/%00/%00/",
    "/root/%00/",
    "/root/local/%00/",
    "/root/local/demo%00/",
    "/root/local/%FF%FE/",
    "/root/local/+simple/%C0%AE%C0%AE/",
    "/..",
    "/../",
    "/%2e%2e/%2e%2e/",
    "/root/../local/",
    "/root/local/../",
    "/root/local/%2e/",
    "/root/local/..%2f..%2f..%2fetc%2fpasswd",
    "/root/local/%5C..%5C..%5Csecret",
    "/root/local/%252e%252e%252fsecret",
    "/root//local/",
    "/root/local//",
    "/root/local/+simple//demo/",
    "/root/local/+simple/demo//",
    "/root/local/" + "a" * 3000 + "!/",
    "/root/local/" + "a" * 3000 + "/",
    "/a" * 3000,
    "/root/local/+simple/" + "%20" * 10,
    "/root/local/d%E2%80%AEemo/",
    "/root/local/%EF%BC%A4emo/",
    "/root/local/demo%0D%0Aset-cookie:x/",
    "/root/local/demo;x/",
    "/root/local/demo%3Fx/",
    "/root/local/demo%23x/",
    "/root/local/<script>/",
    "/root/local/%3Cscript%3E/",
    "/root/local/+simple/-demo/",
    "/root/local/+simple/demo-/",
    "/root/local/+f",
    "/root/local/+f/",
    f"{FILE}/",
    f"{FILE}/../{WHEEL.filename}",
    f"{FILE}%2F",
    "/+unknown",
    "/root/+login",
    "/root/local/+api/x",
    "/root/local/+status",
    "/root/local/demo/1.0/x/y",
    "/favicon.ico",
    "/robots.txt",
    "/.env",
    "/.well-known/pytp?discover=x",
    "/_/oidc/audience",
    "/con/nul/",
    "/root/local./",
    "/ROOT/LOCAL/",
    "/r%C3%B6ot/local/",
    "/root/local/%F0%9F%90%8D/",
]

METHODS = ["BREW", "get", "", "X" * 1000, "CONNECT", "TRACE", "OPTIONS"]
DOORS = [
    "/", "/root", "/root/local/", "/root/local/+simple/", "/root/local/demo/", FILE,
    f"{FILE}.metadata", "/+api", "/root/local/+api", "/+login", "/root/local/legacy/",
]  # fmt: skip

ODD_BODIES: list[tuple[str, str, Mapping[str, str], bytes]] = [
    ("POST", "/+login", {}, b"\xff"),
    ("POST", "/+login", {"content-type": "text/xml"}, b"<methodCall/>"),
    ("POST", "/+login", {"content-encoding": "gzip"}, b"\x1f\x8b"),
    ("POST", "/root/local/", {"content-type": "multipart/form-data; boundary="}, b"--\r\n"),
    ("POST", "/root/local/", {"content-type": "multipart/form-data; boundary=é"}, b"--\r\n"),
    ("POST", "/root/local/", {"content-type": "multipart/form-data; boundary=x"}, b"--x--"),
    ("POST", "/root/local/", {"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n"),
    ("POST", "/root/local/", {"content-type": "multipart/form-data; boundary=x"}, b"\0" * 9999),
    ("POST", "/root/local/", {"content-type": "multipart/form-data; boundary=" + "x" * 999}, b""),
    ("POST", "/root/local/", {"content-type": ";" * 9999}, b""),
    ("POST", "/root/local/", {"content-type": "text/xml"}, b"<methodCall/>"),
    ("POST", "/root/local/", {"content-length": "-1"}, b""),
    ("POST", "/root/local/", {"content-length": "9" * 999}, b""),
    ("POST", "/root/local/+simple/", {"content-type": "application/json"}, b"{}"),
    ("POST", "/root/local/demo/", {}, b"x"),
    ("POST", FILE, {}, b"x"),
    ("PUT", "/root/local/", {}, b"{}"),
    ("PUT", "/root/new", {}, b"{"),
    ("PUT", "/new", {"content-type": "text/plain"}, b"password=x"),
    ("PUT", "/%00", {}, b'{"password": "x"}'),
    ("PUT", "/root/%00", {}, b"{}"),
    ("PUT", FILE, {}, WHEEL.content),
]


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


@pytest.mark.parametrize("target", ODD_PATHS, ids=lambda target: target[:40])
def test_an_odd_path_is_not_found(target: str, filled: Site) -> None:
    for accept in ("*/*", "text/html", V1_JSON, DEVPI):
        answer = filled.get(target, accept)
        assert answer.status in (404, 406)
        assert refused(answer)
    for method in ("HEAD", "POST", "PUT", "DELETE", "BREW"):
        answer = filled.ask(method, target, filled_headers(filled))
        assert 400 <= answer.status < 500
    is_well(filled)


def filled_headers(site: Site) -> Mapping[str, str]:
    return {"authorization": basic("root", "wrong")}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method[:10])
def test_an_odd_method_is_not_allowed_at_any_door(method: str, filled: Site) -> None:
    by_root = filled.sent_by("root")
    for target in DOORS:
        answer = filled.ask(method, target, by_root, b"{}")
        assert answer.status == 405
        assert answer.header("allow")
        refused(answer)
    is_well(filled)


@pytest.mark.parametrize(("method", "target", "headers", "body"), ODD_BODIES, ids=range(22))
def test_an_odd_body_is_refused(
    method: str, target: str, headers: Mapping[str, str], body: bytes, filled: Site
) -> None:
    before = filled.stored()
    by_root = {**filled.sent_by("root"), **headers}
    refused(filled.ask(method, target, by_root, body))
    refused(filled.ask(method, target, headers, body))
    assert filled.stored() == before
    is_well(filled)


ODD_HEADERS: list[tuple[str, str]] = [
    ("accept", "," * 9999),
    ("accept", "é;q=\xff"),
    ("accept", "*/*;q=nan"),
    ("accept", '"' * 9999),
    ("authorization", "Basic " + "A" * 9999),
    ("authorization", "\xff"),
    ("x-devpi-auth", "\xff" * 99),
    ("if-none-match", '"' * 9999),
    ("if-none-match", "W/"),
    ("if-modified-since", "yesterday"),
    ("range", "bytes=" + "0-0," * 9999),
    ("range", "\xff"),
    ("if-range", "\xff"),
    ("cookie", "=;" * 9999),
    ("content-length", "x"),
    ("transfer-encoding", "gzip, chunked"),
    ("host", "\xff"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "javascript"),
    ("x-outside-url", "http://evil.example/"),
    ("x-forwarded-prefix", "/evil"),
    ("x-http-method-override", "DELETE"),
    ("expect", "200-ok"),
    ("upgrade", "h2c"),
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
