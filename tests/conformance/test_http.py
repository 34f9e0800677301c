"""HTTP itself: methods, conditions, caching, ranges, encodings, connections, odd requests."""

import gzip
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast
from urllib.parse import urlsplit

import pytest

from tests.builders import a_wheel, an_sdist, an_upload_body
from tests.conformance.checklist import covers
from tests.conformance.conftest import Shelf
from tests.conformance.pages import ShownFile
from tests.conformance.site import Site, assert_refused, basic, fetched
from tests.conformance.talking import (
    FORMS,
    HTML,
    V1_JSON,
    Reply,
    ask,
    ask_again,
    connect,
    exchange,
    head_of,
    parsed,
)

# Methods


@pytest.fixture(scope="module")
def urls(site: Site, shelf: Shelf, shown_wheel: ShownFile) -> dict[str, str]:
    """Something of each kind that can be read."""
    return {
        "list": site.base_url,
        "page": site.page_url(shelf.project),
        "file": shown_wheel.url,
        "metadata": f"{shown_wheel.url}.metadata",
        "redirect": site.page_url(shelf.project)[:-1],
        "missing page": site.page_url(site.a_name("missing")),
        "missing file": shown_wheel.url.replace("-1.0-", "-1.9999-"),
    }


def steady(reply: Reply) -> list[tuple[str, str]]:
    """The headers that must not change from one request to the next."""
    pairs = [(name.lower(), value) for name, value in reply.headers]
    return sorted(pair for pair in pairs if pair[0] not in ("date", "connection"))


KINDS = ("list", "page", "file", "metadata", "redirect", "missing page", "missing file")
kinds = pytest.mark.parametrize("kind", KINDS)


@covers(67)
@kinds
@pytest.mark.parametrize("form", FORMS)
def test_head_answers_as_get_does(urls: dict[str, str], kind: str, form: str) -> None:
    """RFC 9110, 9.3.2."""
    headers = {"accept": form}
    got, asked = ask("GET", urls[kind], headers), ask("HEAD", urls[kind], headers)
    assert (asked.status, steady(asked)) == (got.status, steady(got))


@covers(67)
@kinds
def test_nothing_follows_the_head_of_an_answer_to_head(urls: dict[str, str], kind: str) -> None:
    """RFC 9110, 9.3.2; RFC 9112, 6.3: a body would be taken for the next answer."""
    raw = exchange(urls[kind], head_of("HEAD", urls[kind]))
    assert raw.endswith(b"\r\n\r\n")
    assert raw.count(b"\r\n\r\n") == 1


@covers(67)
@pytest.mark.parametrize("kind", ["list", "page", "file", "metadata"])
@pytest.mark.parametrize("method", ["PUT", "TRACE", "PATCH", "OPTIONS", "BREW", "get"])
def test_another_method_is_a_405_that_names_the_right_ones(
    urls: dict[str, str], kind: str, method: str
) -> None:
    """RFC 9110, 15.5.6 and 10.2.1."""
    reply = ask(method, urls[kind])
    assert reply.status == 405
    assert {"get", "head"} <= reply.words("allow")


# Conditions and caching


@covers(68)
@pytest.mark.parametrize("kind", ["list", "page", "file"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("sent", ["{}", "W/{}", '"x", {}', '"a,b" ,W/{}', "*"])
def test_what_a_client_has_is_not_sent_again(
    urls: dict[str, str], kind: str, method: str, sent: str
) -> None:
    """RFC 9110, 13.1.2 and 15.4.5: compared weakly, and headers repeated."""
    first = ask(method, urls[kind])
    tag = (first.header("etag") or "").removeprefix("W/")
    assert tag.startswith('"')
    again = ask(method, urls[kind], {"if-none-match": sent.format(tag)})
    assert (again.status, again.body) == (304, b"")
    for name in ("etag", "cache-control", "vary"):
        assert again.header(name) == first.header(name)


@covers(68)
@pytest.mark.parametrize("kind", ["list", "page", "file"])
def test_nothing_follows_the_head_of_a_304(urls: dict[str, str], kind: str) -> None:
    """RFC 9110, 15.4.5; RFC 9112, 6.3."""
    raw = exchange(urls[kind], head_of("GET", urls[kind], "If-None-Match: *"))
    assert parsed(raw).status == 304
    assert raw.endswith(b"\r\n\r\n")


@covers(68)
def test_a_tag_of_another_version_gets_the_page(site: Site, shelf: Shelf) -> None:
    """RFC 9110, 13.1.2."""
    for sent in ('"something-else"', 'W/"x", "y"', '""'):
        assert site.get(shelf.project, if_none_match=sent).status == 200


@covers(68)
@pytest.mark.parametrize("kind", ["list", "page"])
def test_forms_and_encodings_have_tags_of_their_own(urls: dict[str, str], kind: str) -> None:
    """RFC 9110, 8.8.1 and 8.8.3.3; uv asks again after a 304 for another form's tag."""
    bodies: dict[str, bytes] = {}
    for form in FORMS:
        for accepted in ("identity", "gzip"):
            reply = ask("GET", urls[kind], {"accept": form, "accept-encoding": accepted})
            tag = reply.header("etag") or ""
            mark = reply.body + (reply.header("content-type") or "").encode()
            assert tag.startswith("W/") or bodies.setdefault(tag, mark) == mark
    assert len(bodies) != 1
    json, html = (ask("GET", urls[kind], {"accept": form}) for form in (V1_JSON, HTML))
    tags = {"accept": HTML, "if-none-match": json.header("etag") or ""}
    assert json.header("etag") != html.header("etag")
    assert ask("GET", urls[kind], tags).status == 200


@covers(69)
@pytest.mark.parametrize("form", FORMS)
def test_an_upload_changes_the_tag_at_once(site: Site, form: str) -> None:
    """RFC 9110, 8.8.2.1 and 8.8.3: several uploads in one second."""
    project = site.a_name("tag")
    pages, lists = [], []
    for version in ("1.0", "1.1", "1.2", "1.3"):
        site.store(a_wheel(project, version), a_wheel(f"{project}-{version}"))
        reply = site.get(project, form)
        assert f"-{version}-py3".encode() in reply.body
        pages.append(reply.header("etag"))
        lists.append(site.get(accept=form).header("etag"))
    for tags in (pages, lists):
        assert None not in tags
        assert len(set(tags)) == 4


@covers(70)
@pytest.mark.parametrize("kind", ["list", "page"])
@pytest.mark.parametrize("form", FORMS)
def test_a_page_may_be_kept_and_must_be_asked_about(
    urls: dict[str, str], kind: str, form: str
) -> None:
    """RFC 9111, 5.2.2.4; pip 26.2 obeys max-age, uv takes Last-Modified for ten minutes."""
    reply = ask("GET", urls[kind], {"accept": form})
    assert "no-cache" in reply.words("cache-control")
    assert "no-store" not in reply.words("cache-control")


@covers(71)
def test_a_file_may_be_kept_for_ever(site: Site, shelf: Shelf) -> None:
    """RFC 9111, 5.2.2; RFC 8246; RFC 9110, 8.6, 8.8.3 and 14.3."""
    for built in (shelf.wheel, shelf.local):
        reply = ask("GET", site.file(shelf.project, built).url)
        assert {"max-age=31536000", "immutable"} <= reply.words("cache-control")
        assert reply.words("cache-control") & {"public", "private"}
        assert (reply.header("etag") or "").startswith('"')
        assert reply.header("content-length") == str(len(built.content))
        assert reply.header("accept-ranges") == "bytes"


@covers(71)
@pytest.mark.parametrize("kind", ["missing page", "missing file"])
def test_what_is_missing_is_not_kept(urls: dict[str, str], kind: str) -> None:
    """RFC 9111, 4.2.2: a cache may keep a 404 that says nothing."""
    reply = ask("GET", urls[kind])
    assert reply.status == 404
    assert reply.words("cache-control") & {"no-store", "no-cache", "max-age=0"}


@covers(71, 77)
def test_a_401_is_not_kept_and_asks_for_basic(site: Site) -> None:
    """RFC 9110, 15.5.2 and 11.6.1; pip asks its user or a keyring only then."""
    content_type, body = an_upload_body(a_wheel(site.a_name("unknown")))
    for authorization in (None, basic("root", "wrong"), basic("nobody", ""), "Bearer x", "Basic ?"):
        headers = {"content-type": content_type}
        if authorization is not None:
            headers["authorization"] = authorization
        reply = ask("POST", site.upload_url, headers, body)
        assert reply.status == 401
        assert (reply.header("www-authenticate") or "").lower().startswith("basic ")
        assert reply.words("cache-control") & {"no-store", "no-cache", "max-age=0"}


# Parts of files


@pytest.fixture(scope="module")
def content(shown_wheel: ShownFile) -> bytes:
    return fetched(shown_wheel.url)


PARTS = {
    "first byte": ("bytes=0-0", 0, 1),
    "some": ("bytes=10-99", 10, 100),
    "from": ("bytes=100-", 100, None),
    "last": ("bytes=-50", -50, None),
    "last byte": ("bytes=-1", -1, None),
    "more than all": ("bytes=-99999999", 0, None),
    "past the end": ("bytes=20-99999999", 20, None),
    "all": ("bytes=0-", 0, None),
}


@covers(72)
@pytest.mark.parametrize(("asked", "first", "end"), PARTS.values(), ids=PARTS)
def test_a_part_of_a_file_is_sent(
    shown_wheel: ShownFile, content: bytes, asked: str, first: int, end: int | None
) -> None:
    """RFC 9110, 14.1.2, 14.4 and 15.3.7; uv and poetry read wheels so."""
    reply = ask("GET", shown_wheel.url, {"range": asked})
    part = content[first:end]
    start = first if first >= 0 else len(content) + first
    assert (reply.status, reply.body) == (206, part)
    told = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
    assert reply.header("content-range") == told
    assert reply.header("content-length") == str(len(part))
    assert reply.header("etag") == f'"{(reply.header("etag") or "").strip(chr(34))}"'


@covers(72)
@pytest.mark.parametrize("asked", ["bytes={}-", "bytes={}-{}", "bytes=99999999999999999999-"])
def test_a_part_behind_the_end_is_a_416_with_the_size(
    shown_wheel: ShownFile, content: bytes, asked: str
) -> None:
    """RFC 9110, 15.5.17."""
    size = len(content)
    reply = ask("GET", shown_wheel.url, {"range": asked.format(size, size + 9)})
    assert reply.status == 416
    assert reply.header("content-range") == f"bytes */{size}"


@covers(72)
@pytest.mark.parametrize(
    "asked",
    ["lines=0-1", "bytes=", "bytes=a-b", "bytes=9-5", "bytes", "bytes=-", "bytes=1", "=0-1"],
)
def test_a_range_that_means_nothing_is_ignored(
    shown_wheel: ShownFile, content: bytes, asked: str
) -> None:
    """RFC 9110, 14.2."""
    reply = ask("GET", shown_wheel.url, {"range": asked})
    assert (reply.status, reply.body) == (200, content)


@covers(72)
def test_several_parts_are_sent_as_such_or_as_the_whole(
    shown_wheel: ShownFile, content: bytes
) -> None:
    """RFC 9110, 14.2 and 15.3.7.2."""
    for asked in ("bytes=0-1,5-6", "bytes=0-0, -1", "bytes=" + ",".join(["0-"] * 500)):
        reply = ask("GET", shown_wheel.url, {"range": asked})
        if reply.status == 206:
            assert reply.media_type == "multipart/byteranges"
        else:
            assert (reply.status, reply.body) == (200, content)


@covers(72)
def test_a_part_is_sent_only_of_the_version_that_the_client_has(shown_wheel: ShownFile) -> None:
    """RFC 9110, 13.1.5: a strong comparison; pip resumes downloads so."""
    tag = ask("HEAD", shown_wheel.url).header("etag") or ""
    statuses = {tag: 206, f"W/{tag}": 200, '"other"': 200, "Thu, 01 Jan 1970 00:00:00 GMT": 200}
    for if_range, status in statuses.items():
        headers = {"range": "bytes=0-9", "if-range": if_range}
        assert ask("GET", shown_wheel.url, headers).status == status


@covers(72)
def test_head_knows_no_parts(shown_wheel: ShownFile, content: bytes) -> None:
    """RFC 9110, 14.2: Range is defined for GET alone."""
    reply = ask("HEAD", shown_wheel.url, {"range": "bytes=0-9"})
    assert (reply.status, reply.header("content-length")) == (200, str(len(content)))


# Encodings and types


@covers(73)
@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br, zstd", "*", "identity;q=0, *"])
def test_files_have_no_content_encoding(site: Site, shelf: Shelf, accepted: str) -> None:
    """RFC 9110, 8.4: a client that decodes a .tar.gz gets other bytes than were hashed."""
    for built in (shelf.wheel, shelf.local):
        url = site.file(shelf.project, built).url
        for method in ("GET", "HEAD"):
            reply = ask(method, url, {"accept-encoding": accepted})
            assert reply.header("content-encoding") is None
            assert reply.body == (built.content if method == "GET" else b"")


@covers(73, 74)
def test_a_zip_has_no_content_encoding_either(lenient: Site) -> None:
    """RFC 9110, 8.3 and 8.4."""
    project = lenient.a_name("zip")
    built = an_sdist(project, format=".zip")
    lenient.store(built)
    reply = ask("GET", lenient.file(project, built).url, {"accept-encoding": "gzip"})
    assert reply.body == built.content
    assert reply.header("content-encoding") is None
    assert reply.media_type in ("application/octet-stream", "application/zip")


@covers(74)
def test_files_have_a_type_that_no_registry_changes_and_no_other_name(
    site: Site, shelf: Shelf
) -> None:
    """RFC 9110, 8.3; RFC 6266, 4.3: pip takes the file's name from Content-Disposition."""
    for built in (shelf.wheel, shelf.local, shelf.epoch):
        reply = ask("GET", site.file(shelf.project, built).url)
        assert reply.media_type in {
            "application/octet-stream", "application/zip", "application/gzip",
            "application/x-gzip", "application/x-tar", "binary/octet-stream",
        }  # fmt: skip
        disposition = reply.header("content-disposition")
        assert disposition is None or built.filename in disposition


@covers(75)
@pytest.mark.parametrize("form", FORMS)
def test_a_page_is_compressed_for_who_takes_that(site: Site, shelf: Shelf, form: str) -> None:
    """RFC 9110, 12.5.3 and 12.5.5: the list of a mirror has tens of megabytes."""
    plain = site.get(shelf.project, form, accept_encoding="identity")
    packed = site.get(shelf.project, form, accept_encoding="gzip, deflate")
    assert plain.header("content-encoding") is None
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    for reply in (plain, packed):
        assert "accept-encoding" in reply.words("vary")
        assert reply.header("content-length") == str(len(reply.body))


@covers(75)
@pytest.mark.parametrize("accepted", [None, "", "identity", "gzip;q=0", "gzip;q=0, *;q=0"])
def test_a_page_comes_plain_to_who_takes_nothing_else(
    site: Site, shelf: Shelf, accepted: str | None
) -> None:
    """RFC 9110, 12.5.3."""
    headers = {} if accepted is None else {"accept_encoding": accepted}
    reply = site.get(shelf.project, V1_JSON, **headers)
    assert reply.status == 200
    assert reply.header("content-encoding") is None
    assert reply.json["name"] == shelf.project


# Connections


@covers(76)
def test_a_connection_stays_open_over_every_kind_of_answer(urls: dict[str, str]) -> None:
    """RFC 9112, 9.3 and 6.3: each answer says where it ends."""
    connection = connect(next(iter(urls.values())))
    try:
        ask_again(connection, "GET", urls["list"])
        line = cast(socket.socket, connection.sock)
        for url in urls.values():
            for method, headers in (
                ("GET", {}), ("HEAD", {}), ("GET", {"if-none-match": "*"}),
                ("GET", {"range": "bytes=0-3"}), ("GET", {"accept": "image/png"}),
            ):  # fmt: skip
                reply = ask_again(connection, method, url, headers)
                ends = reply.header("content-length") or reply.header("transfer-encoding")
                assert ends or reply.status == 304 or method == "HEAD"
                assert connection.sock is line
    finally:
        connection.close()


@covers(76)
def test_requests_may_follow_each_other_without_waiting(urls: dict[str, str]) -> None:
    """RFC 9112, 9.3.2: answers come in the order of the requests."""
    kept = head_of("GET", urls["page"]).replace(b"Connection: close\r\n", b"")
    raw = exchange(urls["file"], kept * 3 + head_of("GET", urls["file"]))
    assert raw.count(b"HTTP/1.1 200") == 4
    assert raw.endswith(fetched(urls["file"]))


@covers(76)
def test_fifty_clients_are_served_at_once(urls: dict[str, str]) -> None:
    """RFC 9112, 9.4: uv opens up to fifty connections."""
    connections = [connect(urls["page"]) for _ in range(50)]
    try:
        for connection in connections:
            connection.connect()
        with ThreadPoolExecutor(10) as pool:
            asked = [urls["page"], urls["file"]] * 25
            replies = list(
                pool.map(lambda *pair: ask_again(pair[0], "GET", pair[1]), connections, asked)
            )
    finally:
        for connection in connections:
            connection.close()
    assert {reply.status for reply in replies} == {200}


# Who is asked for a password


@covers(77)
@pytest.mark.parametrize("kind", ["list", "page", "file", "metadata"])
def test_nobody_is_asked_for_a_password_to_read(urls: dict[str, str], kind: str) -> None:
    """RFC 9110, 15.5.2: an unneeded 401 stops a pip that has nobody to ask."""
    assert ask("GET", urls[kind]).status == 200
    for authorization in (basic("root", "wrong"), basic("nobody", "x"), "Basic ?", "Bearer x"):
        assert ask("GET", urls[kind], {"authorization": authorization}).status == 200


@covers(77)
def test_who_is_known_and_may_not_is_told_so(site: Site) -> None:
    """RFC 9110, 15.5.4: another password would not help."""
    other = site.new_index(acl_upload=["somebody-else"])
    reply = other.upload(a_wheel(other.a_name("closed")))
    assert reply.status == 403
    assert_refused(reply)


# Odd requests

ODD_PATHS = [
    "%00/", "{project}%00/", "%FF%FE/", "%C0%AE%C0%AE/", "..%2f..%2f..%2fetc%2fpasswd/",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "../../../../../../etc/passwd",
    "%5C..%5C..%5Csecret/", "%252e%252e%252fsecret/", "a" * 3000 + "!/", "a" * 3000 + "/",
    "{project}%0D%0Aset-cookie:x/", "{project}%2F/", "{project};x/", "<script>/", "%3Cscript%3E/",
    "d%E2%80%AEemo/", "-{project}/", "{project}-/", "con/", "%20/", "{project}//",
    "/{project}/x/y/",
]  # fmt: skip


@covers(78, 79)
@pytest.mark.parametrize("path", ODD_PATHS, ids=range(len(ODD_PATHS)))
def test_an_odd_path_is_the_clients_fault_and_leads_nowhere(
    site: Site, shelf: Shelf, path: str
) -> None:
    """RFC 9110, 15.5; RFC 3986, 5.2.4 and 7.3."""
    target = urlsplit(site.base_url).path + path.format(project=shelf.project)
    for form in FORMS:
        raw = exchange(
            site.base_url, head_of("GET", site.base_url, f"Accept: {form}", target=target)
        )
        reply = parsed(raw)
        assert 400 <= reply.status < 500, reply
        assert reply.header("set-cookie") is None
        assert "<script>" not in reply.text or reply.media_type == "text/plain"
        assert b"root:" not in reply.body


@covers(78)
@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "../../../../../../secret",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret", "{}%00", "{}%0A", "{}/", "{}%20", "{}.",
        "..%5c..%5c..%5c..%5c..%5c..%5csecret", "%2Fetc%2Fpasswd", "%C0%AE%C0%AE/secret", "con", "",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file_that_is_no_distribution(
    site: Site, shelf: Shelf, shown_wheel: ShownFile, path: str
) -> None:
    """RFC 3986, 7.3; RFC 9110, 17.3: attacks based on file and path names."""
    folder = urlsplit(shown_wheel.url).path.rpartition("/")[0]
    target = f"{folder}/{path.format(shelf.wheel.filename)}"
    reply = parsed(exchange(site.base_url, head_of("GET", site.base_url, target=target)))
    assert 400 <= reply.status < 500


ODD_HEADERS = {
    "accept": "Accept: " + "a/b," * 3000,
    "weights": "Accept: */*;q=" + "9" * 2000,
    "encoding": "Accept-Encoding: gzip;q=x, ,;;, \xff",
    "tags": "If-None-Match: " + '"' * 3001,
    "date": "If-Modified-Since: yesterday",
    "range": "Range: bytes=" + "0-0," * 3000,
    "if-range": "If-Range: \xff",
    "basic": "Authorization: Basic " + "A" * 4001,
    "bearer": "Authorization: \xff\xfe",
    "cookie": "Cookie: " + "=;" * 3000,
    "forwarded": "X-Forwarded-Host: evil.example",
    "proto": "X-Forwarded-Proto: javascript",
    "override": "X-HTTP-Method-Override: DELETE",
    "upgrade": "Upgrade: h2c",
}


@covers(78)
@pytest.mark.parametrize("line", ODD_HEADERS.values(), ids=ODD_HEADERS)
@pytest.mark.parametrize("kind", ["list", "page", "file"])
def test_an_odd_header_breaks_nothing(urls: dict[str, str], kind: str, line: str) -> None:
    """RFC 9110, 2.2 and 5.5."""
    reply = parsed(exchange(urls[kind], head_of("GET", urls[kind], line)))
    assert reply.status == 200 or 400 <= reply.status < 500
    assert b"evil.example" not in reply.body


@covers(78)
@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        bytes(range(1, 64)) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    ],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_request_is_refused_and_the_next_one_is_served(
    site: Site, shelf: Shelf, sent: bytes
) -> None:
    """RFC 9112, 2.2, 3 and 6.3."""
    raw = exchange(site.base_url, sent, ended=True)
    assert raw == b"" or 400 <= parsed(raw).status < 500
    assert site.get(shelf.project).status == 200


@pytest.fixture(autouse=True)
def unharmed(site: Site, shelf: Shelf) -> Iterator[None]:
    """Whatever a test here sends, the page that all others read is as it was."""
    before = site.get(shelf.project).body
    yield
    assert site.get(shelf.project).body == before
