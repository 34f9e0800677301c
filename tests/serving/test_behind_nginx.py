"""Downloads through a real nginx that sends the bytes, set up as the documents tell."""

import functools
import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest

from tests.builders import BuiltFile, a_big_wheel
from tests.clients.programs import Terminal
from tests.clients.server_side import add
from tests.hostile.upstream import Upstream, running_upstream
from tests.mirror.sites import JSON, a_client
from tests.server import RunningServer, running_server
from tests.serving.clients import Root
from tests.serving.nginx import documented_locations, nginx, running_nginx

MB = 1_000_000
MID = "mid-1.0+local.1-py3-none-any.whl"
MID_BYTES = MB
BIG = "big-1!2.0-py3-none-any.whl"
BIG_BYTES = 50 * MB
FAR = "far-1.0-py3-none-any.whl"
FAR_BYTES = 2 * MB
OF_A_HOP = {"connection", "date", "server"}
"""What a proxy says of its own in each answer."""


@dataclass(frozen=True, slots=True)
class Site:
    """A server, the nginx before it, and clients of both."""

    server: RunningServer
    upstream: Upstream
    url: str
    """Of the server, as clients see it: below nginx."""
    client: httpx2.Client

    def file_url(self, filename: str, index: str = "root/local") -> str:
        """Where the page says that a file is, for who comes through nginx."""
        page = f"{self.url}/{index}/+simple/{filename.partition('-')[0]}/"
        answer = self.client.get(page, headers={"accept": JSON}, auth=self.login)
        assert answer.status_code == 200, answer.text
        urls = {file["filename"]: file["url"] for file in answer.json()["files"]}
        return urljoin(page, str(urls[filename]))

    @property
    def login(self) -> tuple[str, str]:
        return ("root", self.server.root_password)

    def directly(self, url: str) -> str:
        """The same URL, past nginx."""
        return url.replace(self.url, self.server.url)

    def wait_for_bytes_logged(self, path: str, sent_bytes: int, after: int) -> None:
        """Wait until the server's log tells of a request with so many bytes."""
        self.server.wait_for_log(f'{path} HTTP/1.1" 200 {sent_bytes} ', after=after)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with large files, one that only root may read, and a mirror."""
    nginx()
    folder = tmp_path_factory.mktemp("behind-nginx")
    with ExitStack() as stack:
        upstream = stack.enter_context(running_upstream())
        upstream.add_big(FAR, FAR_BYTES)
        server = stack.enter_context(
            running_server(
                folder / "data", "--private-upstreams=127.0.0.1",
                f"--upstream-url={upstream.url}", "--trusted-proxy=127.0.0.1",
                "--send-files-by=x-accel-redirect:/+send/",
            )
        )  # fmt: skip
        for name, size_bytes in ((MID, MID_BYTES), (BIG, BIG_BYTES)):
            a_big_wheel(folder / name, size_bytes)
        add(server, folder / MID, folder / BIG)
        locations = documented_locations(server.port, server.serverdir)
        url = stack.enter_context(running_nginx(folder / "nginx", locations))
        client = stack.enter_context(a_client(url))
        yield Site(server, upstream, f"{url}/index", client)


def said(answer: httpx2.Response) -> list[tuple[str, str]]:
    """What the headers of an answer tell of the file."""
    items = answer.headers.multi_items()
    return sorted(
        (name, value)
        for name, value in items
        # Clients of devpi look for theirs in answers of JSON.
        if name not in OF_A_HOP and not name.startswith("x-devpi-")
    )


def test_pip_downloads_a_large_file_that_nginx_sends(site: Site, tmp_path: Path) -> None:
    after = len(site.server.log.read_text("utf-8"))
    index = ("--index-url", f"{site.url}/root/local/+simple/", "--no-deps", "--no-cache-dir")
    pip = (sys.executable, "-m", "pip", "download", "--disable-pip-version-check")
    Terminal(tmp_path / "home").must(*pip, *index, "-d", tmp_path, "big")
    (stored,) = (site.server.serverdir / "files").rglob(BIG)
    assert digest_of(tmp_path / BIG) == digest_of(stored)
    assert (tmp_path / BIG).stat().st_size > BIG_BYTES
    site.wait_for_bytes_logged(BIG, 0, after)


def test_all_that_the_server_says_of_a_file_comes_through(site: Site) -> None:
    url = site.file_url(MID)
    for method in ("GET", "HEAD"):
        through, direct = (
            site.client.request(method, each, headers={"accept": "*/*"})
            for each in (url, site.directly(url))
        )
        assert through.status_code == direct.status_code == 200
        assert said(through) == said(direct)
        assert through.content == direct.content
    named = {name for name, _ in said(direct)}
    assert {"etag", "last-modified", "vary", "content-security-policy", "accept-ranges"} <= named


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"range": "bytes=0-9"}, 206),
        ({"range": "bytes=-10"}, 206),
        ({"range": f"bytes={MID_BYTES - 5}-"}, 206),
        ({"range": "bytes=5-99999999"}, 206),
        ({"range": "bytes=0-9", "if-range": "ETAG"}, 206),
        ({"range": "bytes=0-9", "if-range": "DATE"}, 206),
        ({"range": "bytes=0-9", "if-range": '"another"'}, 200),
        ({"range": "bytes=0-9", "if-range": "Sun, 22 Nov 2020 13:02:46 GMT"}, 200),
        ({"range": "bytes=99999999-"}, 416),
        ({"range": "bytes=5-2"}, 200),
        ({"range": "bytes=0-1,5-6"}, 200),
        ({"if-none-match": "ETAG"}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": "ETAG", "range": "bytes=0-9"}, 304),
        ({"if-none-match": '"another"'}, 200),
        ({"if-none-match": '"another"', "range": "bytes=0-9"}, 206),
        ({"if-modified-since": "DATE"}, 200),
        ({"if-modified-since": "ON DISK"}, 200),
        ({"if-unmodified-since": "DATE"}, 200),
        ({"if-match": "ETAG"}, 200),
        ({"if-match": '"another"'}, 200),
    ],
    ids=str,
)
def test_conditions_and_ranges_come_out_as_without_nginx(
    headers: dict[str, str], status: int, site: Site
) -> None:
    url = site.file_url(MID)
    known = site.client.head(url).headers
    (stored,) = (site.server.serverdir / "files").rglob(MID)
    stands_for = {
        "ETAG": known["etag"],
        "DATE": known["last-modified"],
        "ON DISK": formatdate(stored.stat().st_mtime, usegmt=True),
    }
    asked = {name: stands_for.get(value, value) for name, value in headers.items()}
    through, direct = (
        site.client.get(each, headers={"accept": "*/*"} | asked)
        for each in (url, site.directly(url))
    )
    assert through.status_code == direct.status_code == status
    assert through.content == direct.content
    # nginx leaves out of its 206 that it takes ranges, which is plain to see.
    assert set(said(direct)) - set(said(through)) <= {("accept-ranges", "bytes")}
    assert set(said(through)) <= set(said(direct))


def test_what_is_not_there_is_a_404_of_the_server(site: Site) -> None:
    answer = site.client.get(site.file_url(MID).replace("mid-1.0", "mid-1.1"))
    assert answer.status_code == 404
    assert answer.text == "there is no file mid-1.1+local.1-py3-none-any.whl here\n"


def test_who_may_not_read_gets_nothing(site: Site, tmp_path: Path) -> None:
    name = "secret-1.0-py3-none-any.whl"
    a_big_wheel(tmp_path / name, MB)
    settings = {"type": "stage", "acl_read": "root"}
    made = site.client.put(f"{site.url}/root/secret", json=settings, auth=site.login)
    assert made.status_code == 200, made.text
    built = BuiltFile(name, (tmp_path / name).read_bytes())
    front = Root(httpx2.URL(site.url).port or 0, site.server.root_password)
    assert front.upload(built, "index/root/secret").status == 200
    url = site.file_url(name, "root/secret")
    assert site.client.get(url).status_code == 403
    answer = site.client.get(url, auth=site.login)
    assert (answer.status_code, answer.content) == (200, built.content)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"


def test_nobody_asks_nginx_for_files_by_themselves(site: Site) -> None:
    (stored,) = (site.server.serverdir / "files").rglob(MID)
    below = stored.relative_to(site.server.serverdir).as_posix()
    front = site.url.removesuffix("/index")
    for path in (f"/+send/{below}", "/+send/cache/", "/+send/", "/+send/files/../secret"):
        assert site.client.get(front + path).status_code == 404


def test_that_nginx_cannot_open_a_file_is_nothing_to_keep(site: Site, tmp_path: Path) -> None:
    locations = documented_locations(site.server.port, tmp_path)
    with running_nginx(tmp_path / "nginx", locations) as elsewhere:
        answer = site.client.get(site.file_url(MID).replace(site.url, f"{elsewhere}/index"))
    assert answer.status_code == 404
    assert not {"cache-control", "etag", "last-modified"} & {name for name, _ in said(answer)}


def test_a_file_that_a_mirror_keeps_is_sent_by_nginx(site: Site) -> None:
    url = site.file_url(FAR, "root/pypi")
    first = site.client.get(url)
    assert first.status_code == 200
    site.server.wait_for_log(FAR)
    after = len(site.server.log.read_text("utf-8"))
    second = site.client.get(url)
    assert (second.status_code, second.content) == (200, first.content)
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers["content-length"] == str(len(first.content))
    site.wait_for_bytes_logged(FAR, 0, after)
    part = site.client.get(url, headers={"range": "bytes=-7"})
    assert (part.status_code, part.content) == (206, first.content[-7:])


def test_a_kept_file_that_a_rule_denies_is_sent_no_more(site: Site) -> None:
    url = site.file_url(FAR, "root/pypi")
    assert site.client.get(url).status_code == 200
    change = functools.partial(
        site.client.patch, f"{site.url}/root/pypi", headers={"accept": JSON}, auth=site.login
    )
    assert change(json=["deny+=far"]).status_code == 200
    refused = site.client.get(url)
    assert refused.status_code == 403
    assert "denied" in refused.text
    assert change(json=["deny-=far"]).status_code == 200
    assert site.client.get(url).status_code == 200


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
