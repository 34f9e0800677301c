"""Files that a trusted proxy is told to send by itself, and all that it is not told of."""

import random
from pathlib import Path
from typing import Any

import pytest

from simpleindex.app import create_app
from simpleindex.config import Config, HandOver, parse_networks
from simpleindex_storage.errors import Refused
from tests.asgi import Answer
from tests.builders import BuiltFile, a_wheel, a_zip
from tests.documents import send_documentation
from tests.routes.sites import WHEEL, MakeSite, Site, basic

PROXY, CLIENT = "192.0.2.7", "198.51.100.1"
LARGE = a_wheel("large", extra_files={"large/payload.bin": random.Random(1).randbytes(300_000)})
SIZE = len(LARGE.content)
ETAG = f'"{LARGE.sha256}"'
LAST_MODIFIED = "Sun, 22 Nov 2026 13:02:46 GMT"
HEADERS = ("x-accel-redirect", "x-sendfile")


def path_of(sha256: str, filename: str, index: str = "root/local") -> str:
    return f"{index}/+f/{sha256[:3]}/{sha256[3:16]}/{filename}"


URL = "/" + path_of(LARGE.sha256, LARGE.filename)
NAMED = f"/+send/files{URL}".replace("/+f/", "/%2Bf/")


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A server with a large file and a small one, behind nginx."""
    site = make_site(
        trusted_proxy=parse_networks(PROXY),
        send_files_by=HandOver("x-accel-redirect", "/+send/"),
    )
    site.add(LARGE, WHEEL)
    return site


def ask(site: Site, url: str = URL, method: str = "GET", **headers: str) -> Answer:
    """Ask as the proxy does for one of its clients."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.ask(method, url, {"x-forwarded-for": CLIENT} | named, peer=PROXY)


def sent_from_here(answer: Answer) -> bool:
    return all(answer.header(name) is None for name in HEADERS)


def test_the_proxy_is_told_of_the_file_and_of_all_that_is_said_of_it(site: Site) -> None:
    answer, whole = ask(site), site.get(URL)
    assert (answer.status, answer.body) == (200, b"")
    instead = {"x-accel-redirect": NAMED, "content-length": "0"}
    expected = {**dict(whole.headers), **instead}
    del expected["accept-ranges"]  # which nginx would say twice
    # nginx would say this of a failure of its own as well.
    expected["x-accel-cache-control"] = expected.pop("cache-control")
    assert dict(answer.headers) == expected
    assert expected["etag"] == ETAG
    assert expected["last-modified"] == LAST_MODIFIED
    assert expected["x-accel-cache-control"] == "public, max-age=31536000, immutable"


def test_apache_and_lighttpd_are_told_the_path_on_the_disk(make_site: MakeSite) -> None:
    site = make_site(trusted_proxy=parse_networks(PROXY), send_files_by=HandOver("x-sendfile"))
    site.add(LARGE)
    answer, whole = ask(site), site.get(URL)
    named = answer.header("x-sendfile")
    assert named is not None
    assert answer.header("cache-control") == whole.header("cache-control") is not None
    path = Path(named)
    assert path.read_bytes() == LARGE.content
    assert path.is_relative_to(site.folder / "files")


def test_a_server_directory_that_cannot_be_named_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "100%"
    app = create_app(Config(serverdir=folder, send_files_by=HandOver("x-sendfile")))
    with pytest.raises(Refused, match="without %, unlike"):
        app.open()


@pytest.mark.parametrize(
    ("peer", "forwarded_for"),
    [
        pytest.param(CLIENT, None, id="a client"),
        pytest.param(CLIENT, "203.0.113.9", id="a client that says it is a proxy"),
        pytest.param(CLIENT, PROXY, id="a client that says it is that proxy"),
        pytest.param(PROXY, None, id="an installer on the proxy's computer"),
        pytest.param(PROXY, " , ", id="nobody to forward for"),
    ],
)
def test_who_is_no_trusted_proxy_gets_the_bytes(
    peer: str, forwarded_for: str | None, site: Site
) -> None:
    headers = {} if forwarded_for is None else {"x-forwarded-for": forwarded_for}
    answer = site.ask("GET", URL, headers, peer=peer)
    assert (answer.status, answer.body) == (200, LARGE.content)
    assert sent_from_here(answer)


def test_who_comes_over_a_unix_socket_gets_the_bytes(site: Site) -> None:
    answer = site.ask("GET", URL, {"x-forwarded-for": CLIENT}, client=None)
    assert (answer.body, sent_from_here(answer)) == (LARGE.content, True)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"trusted_proxy": parse_networks(PROXY)}, id="not asked for"),
        pytest.param({"send_files_by": HandOver("x-sendfile")}, id="no proxy is trusted"),
    ],
)
def test_nothing_is_handed_over_unless_both_settings_say_so(
    settings: dict[str, Any], make_site: MakeSite
) -> None:
    site = make_site(**settings)
    site.add(LARGE)
    answer = ask(site)
    assert (answer.body, sent_from_here(answer)) == (LARGE.content, True)


def test_small_files_and_what_lies_beside_files_are_sent_from_here(site: Site) -> None:
    for url in ("/" + path_of(WHEEL.sha256, WHEEL.filename), f"{URL}.metadata"):
        answer = ask(site, url)
        assert answer.status == 200
        assert answer.body
        assert sent_from_here(answer)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"range": "bytes=0-9"}, id="beginning"),
        pytest.param({"range": "bytes=-10"}, id="end"),
        pytest.param({"range": "bytes=5-", "if_range": ETAG}, id="still the same, by its ETag"),
        pytest.param({"range": "bytes=5-", "if_range": LAST_MODIFIED}, id="by its date"),
        pytest.param({"if_none_match": '"another"'}, id="another version"),
        pytest.param({"if_range": '"another"'}, id="no range"),
    ],
)
def test_a_part_is_left_to_the_proxy_as_the_whole_is(headers: dict[str, str], site: Site) -> None:
    answer = ask(site, **headers)
    assert (answer.status, answer.header("x-accel-redirect")) == (200, NAMED)
    assert answer.header("content-range") is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"if_none_match": ETAG}, 304, id="the client has it"),
        pytest.param({"range": f"bytes={SIZE}-"}, 416, id="behind the end"),
        pytest.param({"range": "bytes=5-2"}, 200, id="malformed"),
        pytest.param({"range": "bytes=0-1,5-6"}, 200, id="two ranges"),
        pytest.param({"range": "lines=0-1"}, 200, id="of another unit"),
        pytest.param({"range": "bytes=0-1", "if_range": '"another"'}, 200, id="changed"),
        # nginx would hold these against what it knows itself.
        pytest.param({"if_match": ETAG}, 200, id="if match"),
        pytest.param({"if_modified_since": LAST_MODIFIED}, 200, id="if modified since"),
        pytest.param({"if_unmodified_since": LAST_MODIFIED}, 200, id="if unmodified since"),
        pytest.param({"if_match": ETAG, "range": "bytes=0-1"}, 206, id="if match, of a range"),
    ],
)
def test_what_the_proxy_would_answer_otherwise_is_answered_here(
    headers: dict[str, str], status: int, site: Site
) -> None:
    answer = ask(site, **headers)
    direct = site.get(URL, **headers)
    assert (answer.status, answer.headers, answer.body) == (status, direct.headers, direct.body)
    assert sent_from_here(answer)


def test_head_is_answered_here(site: Site) -> None:
    answer = ask(site, method="HEAD")
    assert (answer.status, answer.header("content-length")) == (200, str(SIZE))
    assert answer.header("accept-ranges") == "bytes"
    assert sent_from_here(answer)


def test_a_file_that_is_not_on_record_is_not_told_of(site: Site) -> None:
    left = site.folder / "files" / path_of("ab" * 32, LARGE.filename)
    left.parent.mkdir(parents=True)
    left.write_bytes(LARGE.content)
    answer = ask(site, "/" + path_of("ab" * 32, LARGE.filename))
    assert (answer.status, sent_from_here(answer)) == (404, True)


def test_a_file_that_is_lost_is_not_told_of(site: Site) -> None:
    (site.folder / "files" / URL.removeprefix("/")).unlink()
    answer = ask(site)
    assert (answer.status, sent_from_here(answer)) == (404, True)


def test_a_link_in_the_place_of_a_file_is_not_told_of(site: Site) -> None:
    stored = site.folder / "files" / URL.removeprefix("/")
    moved = stored.rename(site.folder / "elsewhere")
    stored.symlink_to(moved)
    answer = ask(site)
    assert (answer.status, sent_from_here(answer)) == (404, True)


def test_who_may_not_read_is_told_of_no_file(site: Site) -> None:
    site.make_index("alice/secret", acl_upload=("alice",), acl_read=("alice",))
    site.add(LARGE, index="alice/secret")
    url = "/" + path_of(LARGE.sha256, LARGE.filename, "alice/secret")
    stranger = ask(site, url)
    assert (stranger.status, sent_from_here(stranger)) == (403, True)
    alice = ask(site, url, authorization=basic("alice", site.token("alice")))
    assert alice.status == 200
    assert alice.header("x-accel-redirect") is not None
    assert alice.header("x-accel-cache-control") == "private, max-age=31536000, immutable"


def test_large_documentation_is_handed_over_as_what_it_is(site: Site) -> None:
    pages = a_zip({"index.html": random.Random(2).randbytes(300_000)})
    documentation = BuiltFile("large-1.0.doc.zip", pages)
    assert send_documentation(site, documentation, name="large").status == 200
    path = path_of(documentation.sha256, documentation.filename)
    answer = ask(site, f"/{path}")
    assert answer.header("x-accel-redirect") == f"/+send/files/{path}".replace("/+f/", "/%2Bf/")
    assert answer.header("content-type") == "application/zip"
    assert answer.header("content-disposition") == "attachment"
