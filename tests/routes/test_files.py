"""Downloads of files and of the metadata beside them."""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpleindex.routes import files
from tests.asgi import Answer
from tests.builders import a_wheel
from tests.routes.sites import SDIST, V1_JSON, WHEEL, MakeSite, Site, basic

SIZE = len(WHEEL.content)
LAST_MODIFIED = "Sun, 22 Nov 2026 13:02:46 GMT"
ETAG = f'"{WHEEL.sha256}"'


def url_of(sha256: str, filename: str, index: str = "/root/local") -> str:
    return f"{index}/+f/{sha256[:3]}/{sha256[3:16]}/{filename}"


URL = url_of(WHEEL.sha256, WHEEL.filename)


def got(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


@pytest.mark.parametrize("accept", ["*/*", None, "text/html", V1_JSON])
def test_a_file_comes_as_it_was_sent(accept: str | None, filled: Site) -> None:
    answer = filled.get(URL, accept)
    assert got(answer) == (200, WHEEL.content)
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("content-encoding") is None
    assert answer.header("etag") == ETAG
    assert answer.header("last-modified") == LAST_MODIFIED
    assert answer.header("accept-ranges") == "bytes"
    assert answer.header("vary") == "Accept"  # who names JSON is told of the file
    assert answer.header("cache-control") == "public, max-age=31536000, immutable"
    assert answer.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize(
    "spelled",
    [
        URL.replace("+f", "%2Bf"),
        URL.replace("+f", "%2bf"),
        URL.replace("demo-", "%64emo-"),
        f"/{URL}",
        f"{URL}?x=y",
    ],
)
def test_a_url_may_be_spelled_differently(spelled: str, filled: Site) -> None:
    assert got(filled.get(spelled)) == (200, WHEEL.content)


@pytest.mark.parametrize("spelled", [SDIST.filename, SDIST.filename.replace("+", "%2B")])
def test_a_plus_in_a_file_name_may_be_quoted(spelled: str, filled: Site) -> None:
    assert got(filled.get(url_of(SDIST.sha256, spelled))) == (200, SDIST.content)


def test_head_tells_the_same_as_get(filled: Site) -> None:
    for url in (URL, f"{URL}.metadata"):
        whole, head = filled.get(url), filled.ask("HEAD", url)
        assert (head.status, head.headers, head.body) == (200, whole.headers, b"")


# Core metadata


def test_core_metadata_comes_byte_for_byte(site: Site) -> None:
    raw = (
        b"Metadata-Version: 2.1\r\nName: demo\nVersion: 1.0\nX-Odd:   \xc3\xa9\n"
        b"Description: one\n        two\n\n\r\nbody \t\n\n"
    )
    (added,) = site.add(a_wheel(metadata=raw))
    url = url_of(added.file.sha256, added.file.filename)
    answer = site.get(f"{url}.metadata")
    assert got(answer) == (200, raw)
    assert answer.header("etag") == f'"{added.file.metadata_sha256}"'
    assert answer.header("cache-control") == "public, max-age=31536000, immutable"
    assert got(site.get(f"{url}.metadata", range="bytes=0-7")) == (206, raw[:8])


def test_metadata_of_a_file_without_any_is_not_there(site: Site) -> None:
    (added,) = site.add(WHEEL)
    site.replace_files(replace(added.file, metadata_sha256=None))
    assert site.get(URL).status == 200
    refusal = site.get(f"{URL}.metadata")
    assert refusal.status == 404
    assert "metadata" in refusal.line


# Conditions


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "if_none_match", [ETAG, f"W/{ETAG}", "*", f'"a,b", {ETAG}'], ids=["strong", "weak", "*", "list"]
)
def test_a_file_that_the_client_has_is_not_sent_again(
    method: str, if_none_match: str, filled: Site
) -> None:
    answer = filled.ask(method, URL, {"if-none-match": if_none_match, "range": "bytes=0-1"})
    assert answer.status == 304
    assert answer.header("etag") == ETAG
    assert answer.header("cache-control") == "public, max-age=31536000, immutable"
    assert answer.header("content-type") is None


def test_a_file_that_the_client_has_in_another_version_is_sent(filled: Site) -> None:
    assert got(filled.get(URL, if_none_match=f'"{SDIST.sha256}"')) == (200, WHEEL.content)


# Ranges


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, SIZE - 1),
        (f"bytes=100-{SIZE * 10}", 100, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-100", SIZE - 100, SIZE - 1),
        (f"bytes=-{SIZE * 10}", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("Bytes = 5-9".replace(" ", ""), 5, 9),
    ],
)
def test_a_part_of_a_file_is_sent_as_it_is_asked_for(
    asked: str, first: int, last: int, filled: Site
) -> None:
    answer = filled.get(URL, range=asked)
    assert got(answer) == (206, WHEEL.content[first : last + 1])
    assert answer.header("content-range") == f"bytes {first}-{last}/{SIZE}"
    assert answer.header("etag") == ETAG


@pytest.mark.parametrize(
    "asked",
    [
        "", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=a-b", "bytes=9-5", "bytes=0-1,3-4",
        "bytes=0-1," * 1000, "lines=0-1", "bytes=--1", "bytes=0x0-0x1", "bytes=0-1-2",
        f"bytes=5-{'9' * 10_000}x",
    ],
    ids=range(14),
)  # fmt: skip
def test_a_range_that_means_nothing_gets_the_whole_file(asked: str, filled: Site) -> None:
    assert got(filled.get(URL, range=asked)) == (200, WHEEL.content)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={'9' * 10_000}-", "bytes=-0"], ids=len)
def test_a_range_behind_the_end_is_a_416(asked: str, filled: Site) -> None:
    refusal = filled.get(URL, range=asked)
    assert refusal.status == 416
    assert refusal.header("content-range") == f"bytes */{SIZE}"
    assert refusal.header("cache-control") == "no-store"
    assert str(SIZE) in refusal.line


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (ETAG, 206),
        (LAST_MODIFIED, 206),
        (f"W/{ETAG}", 200),
        (f'"{SDIST.sha256}"', 200),
        ("Sun, 22 Nov 2026 13:02:47 GMT", 200),
        ("", 200),
        ("*", 200),
    ],
)
def test_a_part_is_sent_only_if_it_fits_the_others(
    if_range: str, status: int, filled: Site
) -> None:
    assert filled.get(URL, range="bytes=0-9", if_range=if_range).status == status


def test_head_knows_no_ranges(filled: Site) -> None:
    answer = filled.ask("HEAD", URL, {"range": "bytes=0-9"})
    assert (answer.status, answer.header("content-length")) == (200, str(SIZE))


LARGE = a_wheel(extra_files={"demo/data.bin": random.Random(1).randbytes(5 << 20)})


def test_the_parts_of_a_large_file_are_the_file(site: Site) -> None:
    site.add(LARGE)
    url, size = url_of(LARGE.sha256, LARGE.filename), len(LARGE.content)
    assert got(site.get(url)) == (200, LARGE.content)
    step = size // 3
    parts = [
        site.get(url, range=f"bytes={first}-{first + step - 1}").body
        for first in range(0, size, step)
    ]
    assert b"".join(parts) == LARGE.content


PATHSEND = "http.response.pathsend"


def test_a_server_that_sends_files_by_their_paths_is_told_the_path(site: Site) -> None:
    site.add(LARGE)
    url = url_of(LARGE.sha256, LARGE.filename)
    start, sent = site.client.offer(PATHSEND, "GET", url, {})
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(LARGE.content)
    assert sent == {"type": PATHSEND, "path": str(site.folder / "files" / url.lstrip("/"))}
    assert Path(sent["path"]).read_bytes() == LARGE.content
    counted = site.ask("GET", "/-/metrics", host="127.0.0.1:3141", peer="127.0.0.1").body.decode()
    assert f'simpleindex_sent_bytes_total{{door="file"}} {len(LARGE.content)}' in counted


@pytest.mark.parametrize(
    ("method", "headers", "size_bytes"), [("GET", {"range": "bytes=9-18"}, 10), ("HEAD", {}, 0)]
)
def test_parts_of_files_and_nothing_of_them_are_sent_from_here(
    method: str, headers: dict[str, str], size_bytes: int, site: Site
) -> None:
    site.add(LARGE, SDIST)
    url = url_of(LARGE.sha256, LARGE.filename)
    _, *parts = site.client.offer(PATHSEND, method, url, headers)
    assert sum(len(part.get("body", b"")) for part in parts) == size_bytes
    (_, part) = site.client.offer(PATHSEND, "GET", url_of(SDIST.sha256, SDIST.filename), {})
    assert part["body"] == SDIST.content


def test_a_file_is_not_read_on_for_a_client_that_went_away(site: Site) -> None:
    site.add(LARGE)
    start, *parts = site.client.look_away(url_of(LARGE.sha256, LARGE.filename), after_chunks=2)
    assert start["status"] == 200
    assert 2 <= len(parts) <= 4
    assert len(LARGE.content) > 10 * len(parts[0]["body"])


def test_a_file_that_became_shorter_is_not_sent_as_a_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add(LARGE)
    path = site.folder / "files" / url_of(LARGE.sha256, LARGE.filename).lstrip("/")
    opened_file = files._opened

    def shrinking(*arguments: Any, **named: Any) -> Any:
        opened = opened_file(*arguments, **named)
        os.truncate(path, 1 << 20)
        return opened

    monkeypatch.setattr(files, "_opened", shrinking)
    with pytest.raises(OSError, match="shorter"):
        site.get(url_of(LARGE.sha256, LARGE.filename))


# What is not there


@pytest.mark.parametrize(
    "target",
    [
        url_of("0" * 64, WHEEL.filename),
        url_of(WHEEL.sha256, "demo-9.9-py3-none-any.whl"),
        url_of(WHEEL.sha256, WHEEL.filename.upper()),
        url_of(WHEEL.sha256, WHEEL.filename.replace("demo", "Demo")),
        url_of(WHEEL.sha256, WHEEL.filename, "/alice/dev"),
        url_of(WHEEL.sha256, WHEEL.filename, "/root/none"),
        url_of(WHEEL.sha256, WHEEL.filename, "/ROOT/local"),
        url_of(WHEEL.sha256.upper(), WHEEL.filename),
        f"{URL}/",
        f"{URL}.metadata.metadata",
        f"{URL}.asc",
        f"{URL}%00",
        f"{URL}%0A",
        f"{URL}%20",
        f"{URL}.",
        "/root/local/+f/",
        f"/root/local/+f/{WHEEL.sha256[:3]}/",
        f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/",
        f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/.metadata",
        f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:15]}/{WHEEL.filename}",
        f"/root/local/+f/{WHEEL.sha256}/{WHEEL.filename}",
        URL.replace("/+f/", "/+e/"),
        URL.replace("/+f/", "/f/"),
        URL.replace("/+f/", "//+f//"),
        "/root/local/+f/../../../../secret",
        "/root/local/+f/%2e%2e/%2e%2e/secret",
        "/root/local/+f/..%2f..%2f..%2fsecret",
        "/root/local/+f/abc/0123456789def/..%2f..%2f..%2f..%2f..%2f..%2fsecret",
        "/root/local/+f/abc/0123456789def/..%5c..%5csecret",
        "/root/local/+f/abc/0123456789def/%252e%252e",
        "/root/local/+f/%2F%2F/%2F%2Fetc/passwd",
        "/%2e%2e/%2e%2e/+f/abc/0123456789def/x-1.0.tar.gz",
        "/../secret",
        "/secret",
        "/root/local/+f/abc/0123456789def/%C0%AE%C0%AE",
        "/root/local/+f/abc/0123456789def/C:%5Cx-1.0.tar.gz",
        "/root/local/+f/abc/0123456789def/con",
        "/root/local/+f/abc/0123456789def/" + "x" * 3000 + "-1.0.tar.gz",
        "/root/local/+f/abc/0123456789def/" + "%2e" * 3000,
    ],
)
def test_what_names_no_stored_file_is_a_404(target: str, filled: Site) -> None:
    for method in ("GET", "HEAD"):
        refusal = filled.ask(method, target)
        assert refusal.status == 404
        assert refusal.header("cache-control") == "no-store"
    assert filled.get(target).line


def test_bytes_without_a_record_are_invisible(site: Site) -> None:
    site.add(WHEEL)
    folder = site.folder / "files" / Path(URL).parent.relative_to("/")
    for name in ("demo-9.9-py3-none-any.whl", "left-over.txt"):
        (folder / name).write_bytes(b"left over")
        assert site.get(f"{Path(URL).parent}/{name}").status == 404
    other = site.folder / "files/root/local/+f/abc/0123456789def"
    other.mkdir(parents=True)
    (other / WHEEL.filename).write_bytes(WHEEL.content)
    assert site.get(f"/root/local/+f/abc/0123456789def/{WHEEL.filename}").status == 404


def test_a_file_that_was_removed_is_not_there_any_more(site: Site) -> None:
    site.add(WHEEL)
    site.replace_files()
    assert (site.folder / "files" / URL.lstrip("/")).exists()
    assert site.get(URL).status == 404


def test_a_record_whose_bytes_are_gone_is_a_404_and_no_500(site: Site) -> None:
    site.add(WHEEL)
    (site.folder / "files" / URL.lstrip("/")).unlink()
    assert site.get(URL).status == 404
    assert site.get(f"{URL}.metadata").status == 200


def test_a_link_that_somebody_put_in_a_files_place_is_not_followed(site: Site) -> None:
    site.add(WHEEL)
    path = site.folder / "files" / URL.lstrip("/")
    path.unlink()
    path.symlink_to(site.folder / "secret")
    assert site.get(URL).status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_files_are_not_changed_by_their_urls(method: str, filled: Site) -> None:
    refusal = filled.ask(method, URL, filled.sent_by("root"), b"{}")
    assert refusal.status == 405
    assert got(filled.get(URL)) == (200, WHEEL.content)


def test_wrong_credentials_do_not_keep_anybody_from_reading(filled: Site) -> None:
    """A 401 would make pip wait at a prompt that nobody sees."""
    for target in (URL, "/root/local/demo/", "/root/local/", "/root/local/+simple/"):
        assert filled.get(target, authorization=basic("root", "wrong")).status == 200
        assert filled.get(target, x_devpi_auth="?").status == 200


def test_the_same_bytes_in_two_indexes_have_two_urls(make_site: MakeSite) -> None:
    site = make_site()
    site.make_index("alice/dev")
    site.add(WHEEL)
    site.add(WHEEL, index="alice/dev")
    for index in ("/root/local", "/alice/dev"):
        assert site.get(url_of(WHEEL.sha256, WHEEL.filename, index)).status == 200
