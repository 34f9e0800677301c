import gzip
import hashlib
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.builders import a_wheel, an_sdist
from tests.hostile import pages
from tests.hostile.behaviours import (
    Always304,
    BadJson,
    BadRange,
    Behaviour,
    Chunked,
    Compressed,
    CutAfter,
    FixedEtag,
    Gate,
    GzipBomb,
    Hang,
    HangUp,
    HtmlOnly,
    HugePage,
    IgnoreConditional,
    JsonOfWrongShape,
    JsonOnly,
    LastModifiedOnly,
    ManyLinks,
    NoRanges,
    NotAJson,
    NoValidators,
    Page,
    Rate,
    RawBytes,
    Redirect,
    RedirectLoop,
    SameEtagOtherBytes,
    SilentDrop,
    SlowDrip,
    Status,
    Together,
    UntilClose,
    WithBody,
    WithHeaders,
    WrongBytes,
    WrongLength,
)
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import clean_environment

DEMO = a_wheel("demo", "1.0", requires_dist=["other"])
PATH = f"/files/demo/{DEMO.filename}"
PAGE = "/simple/demo/"
_SECONDS_MAX = 20.0


class Heard:
    """An answer, or as much of it as came."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        try:
            self.body, self.is_whole = response.read(), True
        except http.client.IncompleteRead as cut:
            self.body, self.is_whole = cut.partial, False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(upstream: Upstream, path: str, method: str = "GET", **headers: str) -> Heard:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=_SECONDS_MAX)
    with closing(connection):
        connection.request(method, path, headers={"Accept-Encoding": "identity", **named})
        return Heard(connection.getresponse())


def get_json(upstream: Upstream, path: str = PAGE, **headers: str) -> Heard:
    return get(upstream, path, Accept=pages.JSON, **headers)


def raw(upstream: Upstream, path: str = PATH) -> socket.socket:
    """A connection on which a request has been sent."""
    connection = socket.create_connection(("127.0.0.1", upstream.port), timeout=_SECONDS_MAX)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: upstream\r\n\r\n".encode())
    return connection


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        running.add(DEMO)
        yield running


def test_a_page_has_both_forms(upstream: Upstream) -> None:
    upstream.add(an_sdist("demo", "2.0"), yanked="broken", requires_python=">=3.9")
    as_json = get_json(upstream)
    assert as_json.headers["content-type"] == pages.JSON
    wheel, sdist = as_json.json["files"]
    assert wheel["hashes"] == {"sha256": DEMO.sha256}
    assert wheel["size"] == len(DEMO.content)
    assert set(wheel["core-metadata"]) == {"sha256"}
    assert "core-metadata" not in sdist
    assert (sdist["yanked"], sdist["requires-python"]) == ("broken", ">=3.9")
    assert as_json.json["versions"] == ["1.0", "2.0"]
    as_html = get(upstream, PAGE)
    assert as_html.headers["content-type"] == pages.HTML
    assert f"../..{PATH}#sha256={DEMO.sha256}".encode() in as_html.body
    assert b'data-yanked="broken"' in as_html.body


def test_a_page_says_what_it_is_told_to(upstream: Upstream) -> None:
    upstream.add(
        DEMO, size="untold", sha256="0" * 64, url="https://files.example/x.whl", uploaded_at=None
    )
    upstream.add_project("demo", status="archived", reason="over")
    page = get_json(upstream).json
    (file,) = page["files"]
    assert (file["url"], file["hashes"]) == ("https://files.example/x.whl", {"sha256": "0" * 64})
    assert not {"size", "upload-time"} & set(file)
    assert page["meta"]["api-version"] == "1.0"
    assert page["project-status"] == {"status": "archived", "reason": "over"}
    assert b"over" in get(upstream, PAGE).body


def test_metadata_and_provenance_lie_beside_the_file(upstream: Upstream) -> None:
    upstream.add(DEMO, metadata=b"Name: liar\n", provenance=b"{}")
    (file,) = get_json(upstream).json["files"]
    assert get(upstream, f"{PATH}.metadata").body == b"Name: liar\n"
    digest = hashlib.sha256(b"Name: liar\n").hexdigest()
    assert file["core-metadata"] == {"sha256": digest}
    assert file["provenance"] == f"{upstream.root_url}{PATH}.provenance"
    assert get(upstream, f"{PATH}.provenance").body == b"{}"
    upstream.add(a_wheel("demo", "3.0"), metadata=False)
    assert get_json(upstream).json["files"][1]["core-metadata"] is False
    assert get(upstream, "/files/demo/demo-3.0-py3-none-any.whl.metadata").status == 404


def test_a_page_is_packed_for_those_who_can_unpack_it(upstream: Upstream) -> None:
    packed = get_json(upstream, Accept_Encoding="deflate, gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == get_json(upstream).body
    assert "content-encoding" not in get_json(upstream, Accept_Encoding="gzip;q=0").headers


def test_a_page_that_has_not_changed_is_not_sent_again(upstream: Upstream) -> None:
    first = get_json(upstream)
    by_etag = {"If_None_Match": first.headers["etag"]}
    by_date = {"If_Modified_Since": first.headers["last-modified"]}
    assert get_json(upstream, **by_etag).status == 304
    assert get_json(upstream, **by_date).status == 304
    upstream.add(a_wheel("demo", "2.0"))
    assert get_json(upstream, **by_etag).status == 200
    assert get_json(upstream, **by_date).status == 200
    upstream.remove(DEMO.filename)
    assert [file["filename"] for file in get_json(upstream).json["files"]] == [
        "demo-2.0-py3-none-any.whl"
    ]
    assert get(upstream, PATH).status == 200


def test_names_are_redirected_to_the_normalised_ones(upstream: Upstream) -> None:
    assert get(upstream, "/simple/De.Mo/").status == 404
    moved = get(upstream, "/simple/DEMO/")
    assert (moved.status, moved.headers["location"]) == (301, PAGE)
    assert get(upstream, "/simple/demo").headers["location"] == PAGE
    assert get(upstream, PAGE, "POST").status == 405
    upstream.remove_project("demo")
    assert get(upstream, PAGE).status == 404


def test_the_list_has_both_forms_and_many_names(upstream: Upstream) -> None:
    names = upstream.many_names(10_000)
    page = get_json(upstream, "/simple/").json
    assert [project["name"] for project in page["projects"]] == ["demo", *names]
    assert get(upstream, "/simple/").body.count(b"<a href=") == 10_001


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=10-19", 10, 20), ("bytes=500-", 500, None), ("bytes=-7", -7, None)],
)
def test_parts_of_a_file_can_be_had(
    upstream: Upstream, asked: str, start: int, stop: int | None
) -> None:
    part = get(upstream, PATH, Range=asked)
    assert (part.status, part.body) == (206, DEMO.content[start:stop])
    etag = part.headers["etag"]
    assert get(upstream, PATH, Range=asked, If_Range=etag).status == 206
    assert get(upstream, PATH, Range=asked, If_Range='"another"').status == 200


def test_a_part_beyond_the_end_is_refused(upstream: Upstream) -> None:
    beyond = get(upstream, PATH, Range="bytes=999999-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(DEMO.content)}")


def test_a_head_has_no_body(upstream: Upstream) -> None:
    head = get(upstream, PATH, "HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(DEMO.content)))


def test_a_connection_is_kept(upstream: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=_SECONDS_MAX)
    with closing(connection):
        for path in (PAGE, PATH, "/nothing"):
            connection.request("GET", path)
            connection.getresponse().read()
    assert upstream.connections_made == 1


def test_requests_are_logged(upstream: Upstream) -> None:
    get(upstream, PATH, X_Mark="here")
    get(upstream, f"{PATH}.metadata", "HEAD")
    (asked,) = upstream.wait_for(".whl", over=True)
    assert (asked.method, asked.path, asked.headers["x-mark"]) == ("GET", PATH, "here")
    assert (asked.status, asked.bytes_sent, asked.is_whole) == (200, len(DEMO.content), True)
    assert upstream.requests.count("demo-1.0") == 1
    assert upstream.requests.count("demo-1.0", method=None) == 2
    assert upstream.requests.count(".whl$", method=None) == 1
    assert upstream.requests.paths() == [PATH, f"{PATH}.metadata"]


def test_waiting_for_requests_that_do_not_come_fails(upstream: Upstream) -> None:
    with pytest.raises(AssertionError, match="0 of 1 requests for 'never'"):
        upstream.wait_for("never", timeout_seconds=0.01)


def test_a_login_can_be_required(upstream: Upstream) -> None:
    upstream.require_login("user", "secret", also_for_files=False)
    refused = get(upstream, PAGE)
    assert (refused.status, refused.headers["www-authenticate"][:5]) == (401, "Basic")
    assert get(upstream, PAGE, Authorization="Basic dXNlcjpzZWNyZXQ=").status == 200
    assert get(upstream, PATH).status == 200
    upstream.require_login("user", "secret")
    assert get(upstream, PATH).status == 401


def test_an_unplugged_upstream_refuses_connections(upstream: Upstream) -> None:
    with raw(upstream) as open_connection:
        assert open_connection.recv(1)
        upstream.unplug()
        with pytest.raises(ConnectionRefusedError):
            get(upstream, PAGE)
        upstream.plug_in()
    assert get(upstream, PAGE).status == 200


def test_unplugging_ends_what_hangs(upstream: Upstream) -> None:
    upstream.behave(PATH, SilentDrop())
    with raw(upstream) as connection:
        upstream.wait_for(PATH)
        upstream.unplug()
        assert _until_end(connection) == b""
    (asked,) = upstream.wait_for(PATH, over=True)
    assert not asked.is_whole
    upstream.plug_in()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems queue connections otherwise")
def test_a_deaf_upstream_lets_connections_time_out(upstream: Upstream) -> None:
    upstream.go_deaf()
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", upstream.port), timeout=0.2)
    upstream.plug_in()
    assert get(upstream, PAGE).status == 200


def test_turns_come_one_by_one_and_then_it_is_as_before(upstream: Upstream) -> None:
    upstream.behave(PATH, Status(500))
    upstream.behave(PATH, [Status(503, {"Retry-After": "1"}, b"later"), None])
    first = get(upstream, PATH)
    assert (first.status, first.headers["retry-after"], first.body) == (503, "1", b"later")
    assert [get(upstream, PATH).status for _ in range(2)] == [200, 500]
    upstream.behave(PATH, None)
    assert get(upstream, PATH).status == 200


def test_a_body_is_cut(upstream: Upstream) -> None:
    upstream.behave(".whl", CutAfter(100))
    cut = get(upstream, PATH)
    assert (cut.is_whole, cut.body) == (False, DEMO.content[:100])
    assert cut.headers["content-length"] == str(len(DEMO.content))
    (asked,) = upstream.wait_for(PATH, over=True)
    assert (asked.bytes_sent, asked.is_whole) == (100, False)


@pytest.mark.parametrize("behaviour", [CutAfter(100, reset=True), HangUp(reset=True)], ids=repr)
def test_a_connection_is_reset(upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.behave(".whl", behaviour)
    with raw(upstream) as connection:
        upstream.wait_for(PATH, over=True)
        with pytest.raises(ConnectionResetError):
            _until_end(connection)


@pytest.mark.parametrize(
    ("behaviour", "heard"),
    [(HangUp(), b""), (RawBytes(b"SSH-2.0-nothing\r\n"), b"SSH-2.0-nothing\r\n")],
    ids=repr,
)
def test_what_comes_is_no_answer(upstream: Upstream, behaviour: Behaviour, heard: bytes) -> None:
    upstream.behave(".whl", behaviour)
    with raw(upstream) as connection:
        assert _until_end(connection) == heard


def test_a_body_hangs_until_the_test_says_so(upstream: Upstream) -> None:
    go_on = threading.Event()
    upstream.behave(".whl", Hang(100, go_on))
    with raw(upstream) as connection:
        head, _, begun = _until(connection, b"\r\n\r\n", 100).partition(b"\r\n\r\n")
        assert (head.split()[1], begun) == (b"200", DEMO.content[:100])
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(_SECONDS_MAX)
        go_on.set()
        rest = connection.recv(1 << 16)
        assert begun + rest == DEMO.content


@pytest.mark.parametrize(
    "behaviour",
    [Hang(), SilentDrop(), Gate(threading.Event())],
    ids=["hang", "silent drop", "gate"],
)
def test_a_client_that_has_waited_in_vain_is_seen_to_go(
    upstream: Upstream, behaviour: Behaviour
) -> None:
    upstream.behave(".whl", behaviour)
    with raw(upstream):
        upstream.wait_for(PATH)
    (asked,) = upstream.wait_for(PATH, over=True)
    assert (asked.bytes_sent, asked.is_whole) == (0, False)


def test_an_answer_waits_behind_a_gate(upstream: Upstream) -> None:
    gate = threading.Event()
    upstream.behave(".whl", Gate(gate))
    heard: list[Heard] = []
    clients = [threading.Thread(target=lambda: heard.append(get(upstream, PATH))) for _ in range(5)]
    for client in clients:
        client.start()
    assert {asked.status for asked in upstream.wait_for(PATH, count=5)} == {None}
    gate.set()
    for client in clients:
        client.join()
    assert [each.body for each in heard] == [DEMO.content] * 5


def test_a_silent_upstream_says_nothing(upstream: Upstream) -> None:
    upstream.behave(".whl", SilentDrop())
    with raw(upstream) as connection:
        upstream.wait_for(PATH)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_rate_is_kept(upstream: Upstream) -> None:
    size_bytes = 10_000_000
    upstream.add_big("big-1.0-py3-none-any.whl", size_bytes)
    upstream.behave("big-1.0", Rate(20_000_000))
    started = time.perf_counter()
    assert len(get(upstream, "/files/big/big-1.0-py3-none-any.whl").body) > size_bytes
    assert 0.49 <= time.perf_counter() - started < 1.5


def test_a_drip_begins_with_the_head(upstream: Upstream) -> None:
    upstream.put("/few", b"12345678")
    upstream.behave("/few", SlowDrip(1_000))
    started = time.perf_counter()
    heard = get(upstream, "/few")
    assert heard.body == b"12345678"
    assert time.perf_counter() - started > 0.1  # the head has well over 100 bytes


def test_behaviours_go_together(upstream: Upstream) -> None:
    upstream.behave(PATH, Together(WithBody(b"0123456789"), Chunked(), CutAfter(5)))
    cut = get(upstream, PATH)
    assert (cut.is_whole, cut.body) == (False, b"01234")
    assert cut.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("behaviour", [Chunked(), UntilClose()], ids=repr)
def test_a_length_may_be_left_out(upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.behave(PATH, behaviour)
    heard = get(upstream, PATH)
    assert (heard.is_whole, heard.body) == (True, DEMO.content)
    assert "content-length" not in heard.headers


@pytest.mark.parametrize(("delta", "is_whole"), [(5, False), (-5, True)])
def test_a_length_may_be_wrong(upstream: Upstream, delta: int, is_whole: bool) -> None:
    upstream.behave(PATH, WrongLength(delta))
    heard = get(upstream, PATH)
    promised = len(DEMO.content) + delta
    assert (heard.is_whole, heard.headers["content-length"]) == (is_whole, str(promised))
    assert heard.body == DEMO.content[: min(promised, len(DEMO.content))]


def test_bytes_may_be_wrong(upstream: Upstream) -> None:
    etag = get(upstream, PATH).headers["etag"]
    upstream.behave(PATH, WrongBytes())
    wrong = get(upstream, PATH)
    assert len(wrong.body) == len(DEMO.content)
    assert not any(a == b for a, b in zip(wrong.body, DEMO.content, strict=True))
    assert wrong.headers["etag"] != etag
    upstream.behave(PATH, SameEtagOtherBytes())
    part = get(upstream, PATH, Range="bytes=100-", If_Range=etag)
    assert (part.status, part.headers["etag"], part.body) == (206, etag, wrong.body[100:])


def test_a_file_may_come_packed(upstream: Upstream) -> None:
    upstream.behave(PATH, Compressed())
    packed = get(upstream, PATH)
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == DEMO.content


def test_headers_may_be_others(upstream: Upstream) -> None:
    upstream.behave(PAGE, WithHeaders({"cache-control": "max-age=600", "ETag": None}))
    heard = get(upstream, PAGE)
    assert heard.headers["cache-control"] == "max-age=600"
    assert "etag" not in heard.headers


def test_redirects_lead_elsewhere_or_round_in_circles(upstream: Upstream) -> None:
    upstream.behave(PATH, [Redirect("http://192.0.2.1/", code=307)])
    away = get(upstream, PATH)
    assert (away.status, away.headers["location"]) == (307, "http://192.0.2.1/")
    upstream.behave(PATH, RedirectLoop())
    targets = [PATH]
    for _ in range(3):
        targets.append(get(upstream, targets[-1]).headers["location"])
    assert targets == [PATH, f"{PATH}?turn=1", f"{PATH}?turn=2", f"{PATH}?turn=3"]


def test_ranges_may_be_ignored_or_wrong(upstream: Upstream) -> None:
    upstream.behave(PATH, NoRanges())
    whole = get(upstream, PATH, Range="bytes=100-")
    assert (whole.status, whole.body) == (200, DEMO.content)
    upstream.behave(PATH, BadRange())
    shifted = get(upstream, PATH, Range="bytes=100-199")
    assert (shifted.status, shifted.body) == (206, DEMO.content[99:199])
    assert shifted.headers["content-range"].startswith("bytes 99-")
    upstream.behave(PATH, BadRange(keeps_quiet=True))
    hidden = get(upstream, PATH, Range="bytes=100-199")
    assert hidden.headers["content-range"] == f"bytes 100-199/{len(DEMO.content)}"
    assert hidden.body == DEMO.content[99:199]


@pytest.mark.parametrize(
    ("behaviour", "by_etag", "by_date"),
    [
        (IgnoreConditional(), 200, 200),
        (LastModifiedOnly(), 200, 304),
        (NoValidators(), 200, 200),
        (Always304(), 304, 304),
    ],
    ids=repr,
)
def test_conditions_may_be_ignored(
    upstream: Upstream, behaviour: Behaviour, by_etag: int, by_date: int
) -> None:
    honest = get(upstream, PAGE).headers
    upstream.behave(PAGE, behaviour)
    assert get(upstream, PAGE, If_None_Match=honest["etag"]).status == by_etag
    assert get(upstream, PAGE, If_Modified_Since=honest["last-modified"]).status == by_date


def test_an_etag_may_stay_while_the_page_changes(upstream: Upstream) -> None:
    upstream.behave(PAGE, FixedEtag('"x"'))
    before = get(upstream, PAGE)
    upstream.add(a_wheel("demo", "2.0"))
    assert get(upstream, PAGE, If_None_Match='"x"').status == 304
    after = get(upstream, PAGE)
    assert before.headers["etag"] == after.headers["etag"] == '"x"'
    assert before.body != after.body


def test_a_page_may_know_one_form_only(upstream: Upstream) -> None:
    upstream.behave(PAGE, HtmlOnly())
    assert get_json(upstream).headers["content-type"] == pages.HTML
    upstream.behave(PAGE, JsonOnly())
    assert get(upstream, PAGE).headers["content-type"] == pages.JSON


def test_json_may_be_none(upstream: Upstream) -> None:
    for behaviour in (NotAJson(), BadJson()):
        upstream.behave(PAGE, behaviour)
        heard = get_json(upstream)
        assert heard.headers["content-type"] == pages.JSON
        with pytest.raises(json.JSONDecodeError):
            assert heard.json
    upstream.behave(PAGE, JsonOfWrongShape(["a", None]))
    assert get_json(upstream).json == ["a", None]
    upstream.behave(PAGE, Page(b"\x00", None))
    heard = get_json(upstream)
    assert (heard.body, heard.headers.get("content-type")) == (b"\x00", None)


@pytest.mark.parametrize("accept", [pages.JSON, "text/html"])
def test_a_page_may_be_a_bomb(upstream: Upstream, accept: str) -> None:
    upstream.behave(PAGE, GzipBomb(50_000_000))
    packed = get(upstream, PAGE, Accept=accept)
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < 100_000
    unpacked = zlib.decompressobj(31).decompress(packed.body)
    assert len(unpacked) == 50_000_000
    assert gzip.decompress(packed.body) == unpacked
    assert b"demo" in (json.dumps(json.loads(unpacked)).encode() if "json" in accept else unpacked)


def test_a_page_may_be_huge(upstream: Upstream) -> None:
    upstream.behave(PAGE, HugePage(30_000_000))
    heard = get_json(upstream)
    assert len(heard.body) == 30_000_000
    assert heard.json["name"] == "demo"
    upstream.behave(PAGE, ManyLinks(1_000))
    assert len(get_json(upstream).json["files"]) == 1_000
    assert get(upstream, PAGE).body.count(b"<a href=") == 1_000


def test_a_fault_of_ones_own_is_not_taken_for_a_behaviour() -> None:
    with pytest.raises(AssertionError, match="is at fault"), running_upstream() as upstream:
        upstream.behave(PAGE, Status(200, {"X": "\N{SNOWMAN}"}))
        with raw(upstream, PAGE) as connection:
            assert _until_end(connection) == b""


def test_pip_installs_from_it(upstream: Upstream, tmp_path: Path) -> None:
    upstream.add(a_wheel("other", "1.0"))
    upstream.add_big("big-1.0-py3-none-any.whl", 3_000_000)
    pip = [sys.executable, "-m", "pip", "install", "--isolated", "--no-cache-dir", "--no-compile"]
    where = ["--index-url", upstream.url, "--target", str(tmp_path / "site")]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", *where, "demo", "big"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"Successfully installed big-1.0 demo-1.0 other-1.0", done.stdout)


def _until_end(connection: socket.socket) -> bytes:
    received = b""
    while more := connection.recv(1 << 16):
        received += more
    return received


def _until(connection: socket.socket, mark: bytes, more_bytes: int) -> bytes:
    received = b""
    while mark not in received or len(received.partition(mark)[2]) < more_bytes:
        received += connection.recv(1 << 16)
    return received
