"""Files of a mirror: fetched when they are wanted, checked before anybody has all of them."""

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.builders import BuiltFile, a_wheel, an_egg, an_sdist
from tests.hostile.behaviours import (
    BadRange,
    Behaviour,
    Chunked,
    Compressed,
    CutAfter,
    Hang,
    HangUp,
    NoRanges,
    NoValidators,
    Rate,
    RawBytes,
    Redirect,
    RedirectLoop,
    SameEtagOtherBytes,
    SlowDrip,
    Status,
    Together,
    UntilClose,
    WithBody,
    WrongBytes,
    WrongLength,
)
from tests.hostile.request_log import Asked
from tests.hostile.upstream import Upstream
from tests.mirror.kept import figures, kept_filenames, parts
from tests.mirror.sites import MirrorSite, a_site, until

MB = 1_000_000
DEMO = a_wheel("demo", "1.0")
"""A small file: it is answered for when all of it is here."""
WHEEL = DEMO.filename
BIG = "big-1.0-py3-none-any.whl"
BIG_BYTES = 10 * MB
"""A large file: it flows as it comes."""
CUT_AT = 9 * MB
ELSEWHERE = "localhost"
"""Another name for 127.0.0.1."""


@pytest.fixture
def big(site: MirrorSite) -> bytes:
    """The bytes of a large file that upstream has."""
    return add_big(site)


def add_big(site: MirrorSite) -> bytes:
    offered = site.upstream.add_big(BIG, BIG_BYTES)
    return raw(site.upstream, urlsplit(offered.url.removeprefix("../..")).path)


def raw(upstream: Upstream, path: str) -> bytes:
    """What lies upstream, honestly; the request leaves no trace."""
    content = httpx2.get(upstream.root_url + path, trust_env=False).content
    upstream.requests.clear()
    return content


def files_asked(site: MirrorSite, path_part: str = "/files/") -> list[Asked]:
    return site.upstream.requests.of(path_part, None)


def file_fails(site: MirrorSite, filename: str = BIG, project: str = "big") -> int:
    """Ask for a file that flows, and see it break off; how many bytes came."""
    received_bytes = 0
    with (
        pytest.raises(httpx2.RemoteProtocolError),
        site.client.stream("GET", site.file_url(project, filename)) as answer,
    ):
        assert answer.status_code == 200
        for chunk in answer.iter_raw():
            received_bytes += len(chunk)
    assert received_bytes < int(answer.headers["content-length"])
    return received_bytes


# In good times


@pytest.mark.parametrize(
    "built",
    [a_wheel(), an_sdist(), an_sdist(format=".zip"), an_egg()],
    ids=["wheel", "sdist", "zip", "egg"],
)
def test_a_file_comes_from_upstream_once(site: MirrorSite, built: BuiltFile) -> None:
    site.upstream.add(built, project="demo")
    for _ in range(2):
        answer = site.download("demo", built.filename)
        assert (answer.status_code, answer.content) == (200, built.content)
        assert answer.headers["etag"] == f'"{built.sha256}"'
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(files_asked(site)) == 1
    assert kept_filenames(site) == [built.filename]
    assert figures(site)["files"] == 1


def test_a_large_file_comes_from_upstream_once(site: MirrorSite, big: bytes) -> None:
    for _ in range(2):
        answer = site.download("big", BIG)
        assert answer.status_code == 200
        assert answer.content == big
        assert answer.headers["content-length"] == str(len(big))
        assert answer.headers["accept-ranges"] == "bytes"
    assert len(files_asked(site)) == 1
    assert figures(site)["bytes"] == len(big)


@pytest.mark.parametrize("framing", [Chunked(), UntilClose()], ids=["chunked", "until close"])
def test_a_file_of_untold_length_is_taken_all_the_same(
    site: MirrorSite, framing: Behaviour
) -> None:
    site.upstream.add(DEMO, size="untold")
    content = add_big(site)
    site.upstream.behave("/files/", framing)
    assert site.download("demo", WHEEL).content == DEMO.content
    answer = site.download("big", BIG)
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))


def test_what_only_upstreams_account_opens_is_fetched_with_it(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.require_login("reader", "s3cret")
    assert "401" in site.page("demo").text
    host = site.upstream.url.removeprefix("http://")
    index = site.make_mirror(mirror_url=f"http://reader:s3cret@{host}")
    answer = site.download("demo", WHEEL, index=index)
    assert answer.content == DEMO.content
    assert "s3cret" not in site.log()


def test_where_files_are_not_to_be_kept_clients_are_sent_upstream(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.change("mirror_use_external_urls=True")
    answer = site.download("demo", WHEEL)
    assert answer.status_code == 302
    assert answer.headers["location"] == f"{site.upstream.root_url}/files/demo/{WHEEL}"
    assert (files_asked(site), kept_filenames(site)) == ([], [])


# Only what a page lists


@pytest.mark.parametrize(
    "place",
    [
        f"000/0000000000000/{WHEEL}",
        f"{DEMO.sha256[:3]}/{DEMO.sha256[3:16]}/demo-1.1-py3-none-any.whl",
        f"{DEMO.sha256[:3]}/{DEMO.sha256[3:16]}/secret.txt",
    ],
)
def test_what_no_page_lists_is_asked_of_nobody(site: MirrorSite, place: str) -> None:
    site.upstream.add(DEMO)
    site.upstream.put("/files/demo/demo-1.1-py3-none-any.whl", b"not on any page")
    assert site.get(f"/{site.index}/+f/{place}").status_code == 404
    assert files_asked(site) == []


def test_what_upstream_has_no_more_is_served_from_what_is_kept(site: MirrorSite) -> None:
    lost = a_wheel("demo", "0.9")
    for built in (DEMO, lost):
        site.upstream.add(built)
    kept_url, lost_url = (site.file_url("demo", each.filename) for each in (DEMO, lost))
    site.get(kept_url)
    for built in (DEMO, lost):
        site.upstream.remove(built.filename, bytes_too=True)
    site.refresh("demo")
    assert site.filenames("demo") == []
    assert site.get(kept_url).content == DEMO.content
    answer = site.get(lost_url)
    assert (answer.status_code, answer.text) == (
        404,
        f"there is no file {lost.filename} here; upstream has it no more\n",
    )


def test_a_listed_file_that_upstream_does_not_have_is_not_found(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(WHEEL, Status(404))
    answer = site.download("demo", WHEEL)
    assert answer.status_code == 404
    assert "upstream has it no more" in answer.text
    site.upstream.behave(WHEEL, None)
    assert site.download("demo", WHEEL).content == DEMO.content


# Questions that need no bytes


def test_head_fetches_nothing(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    answer = site.get(site.file_url("demo", WHEEL), "*/*", method="HEAD")
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(DEMO.content))
    assert answer.headers["etag"] == f'"{DEMO.sha256}"'
    assert files_asked(site) == []


def test_head_tells_no_length_that_nobody_knows(site: MirrorSite) -> None:
    site.upstream.add(DEMO, size="untold", sha256="untold")
    answer = site.get(site.file_url("demo", WHEEL), "*/*", method="HEAD")
    assert answer.status_code == 200
    assert "content-length" not in answer.headers
    assert "etag" not in answer.headers
    assert files_asked(site) == []


def test_who_has_the_file_already_causes_no_fetch(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    answer = site.download("demo", WHEEL, if_none_match=f'"{DEMO.sha256}"')
    assert (answer.status_code, answer.content) == (304, b"")
    assert files_asked(site) == []


# Ranges


def test_a_part_of_a_small_file_comes_once_all_of_it_is_here(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    answer = site.download("demo", WHEEL, range="bytes=10-19")
    assert (answer.status_code, answer.content) == (206, DEMO.content[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(DEMO.content)}"
    (asked,) = files_asked(site)
    assert "range" not in asked.headers


def test_of_a_large_file_that_is_arriving_nobody_gets_a_part(site: MirrorSite, big: bytes) -> None:
    go_on = threading.Event()
    site.upstream.behave(BIG, Hang(5 * MB, until=go_on))
    url = site.file_url("big", BIG)
    with site.client.stream("GET", url, headers={"range": "bytes=10-19"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(len(big))
        go_on.set()
        assert answer.read() == big
    until(lambda: kept_filenames(site) == [BIG], "the file is kept")
    afterwards = site.get(url, range="bytes=10-19")
    assert (afterwards.status_code, afterwards.content) == (206, big[10:20])


# Cut off


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_large_file_that_is_cut_is_gone_on_with(
    site: MirrorSite, big: bytes, reset: bool
) -> None:
    site.upstream.behave(BIG, [CutAfter(CUT_AT, reset=reset)])
    answer = site.download("big", BIG)
    assert (answer.status_code, answer.content == big) == (200, True)
    first, second = files_asked(site)
    assert "range" not in first.headers
    begin = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begin <= CUT_AT
    assert second.headers["if-range"].startswith('"')
    assert (second.status, second.bytes_sent) == (206, len(big) - begin)


def test_a_small_file_that_is_cut_is_gone_on_with(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(WHEEL, [CutAfter(100)])
    assert site.download("demo", WHEEL).content == DEMO.content
    assert [asked.headers.get("range") for asked in files_asked(site)] == [None, "bytes=100-"]


@pytest.mark.parametrize(
    ("then", "asked_from"),
    [
        pytest.param(NoRanges(), "bytes=9000000-", id="it knows no ranges"),
        pytest.param(Together(NoRanges(), Chunked()), "bytes=9000000-", id="nor lengths"),
    ],
)
def test_what_was_cut_and_cannot_be_gone_on_with_is_begun_anew(
    site: MirrorSite, big: bytes, then: Behaviour, asked_from: str
) -> None:
    site.upstream.behave(BIG, [CutAfter(CUT_AT), then])
    assert site.download("big", BIG).content == big
    assert [asked.headers.get("range") for asked in files_asked(site)] == [None, asked_from]


def test_without_validators_what_was_cut_is_begun_anew(site: MirrorSite, big: bytes) -> None:
    site.upstream.behave(BIG, [Together(NoValidators(), CutAfter(CUT_AT)), NoValidators()])
    assert site.download("big", BIG).content == big
    assert [asked.headers.get("range") for asked in files_asked(site)] == [None, None]


def test_a_small_file_that_is_cut_for_good_is_a_clean_refusal(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(WHEEL, CutAfter(100))
    answer = site.download("demo", WHEEL)
    assert answer.status_code == 502
    assert answer.text.startswith(f"{WHEEL} cannot be fetched: 127.0.0.1")
    site.wait_for_log(f"{site.index}: {WHEEL} cannot be fetched: 127.0.0.1")
    assert (kept_filenames(site), figures(site)["files"]) == ([], 0)
    site.upstream.behave(WHEEL, None)
    assert site.download("demo", WHEEL).content == DEMO.content


def test_a_large_file_that_is_cut_for_good_is_a_whole_answer_for_nobody(
    site: MirrorSite, big: bytes
) -> None:
    site.upstream.behave(BIG, CutAfter(2 * MB))
    assert file_fails(site) < 4 * 2 * MB
    assert len(files_asked(site)) == 4
    assert (kept_filenames(site), figures(site)["files"]) == ([], 0)
    site.upstream.behave(BIG, None)
    assert site.download("big", BIG).content == big
    assert files_asked(site)[-1].status == 206  # what had come is not fetched again


def test_a_file_whose_end_is_cut_unseen_is_not_kept(site: MirrorSite) -> None:
    # Neither a length nor a digest: only the page can tell how much it should be.
    site.upstream.add(DEMO, sha256="untold")
    site.upstream.behave(WHEEL, Together(UntilClose(), CutAfter(100)))
    assert site.download("demo", WHEEL).status_code == 502
    assert kept_filenames(site) == []
    site.upstream.behave(WHEEL, None)
    assert site.download("demo", WHEEL).content == DEMO.content


def test_of_a_file_that_never_ends_no_more_is_taken_than_was_told(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    endless = Together(WithBody(b"x" * 60 * MB), Chunked())
    site.upstream.behave(WHEEL, endless)
    assert site.download("demo", WHEEL).status_code == 502
    (asked,) = site.upstream.wait_for(WHEEL, over=True)
    assert asked.bytes_sent < 30 * MB
    assert kept_filenames(site) == []


@pytest.mark.parametrize("answer", [BadRange(), Status(416)], ids=["another part", "416"])
def test_a_rest_that_upstream_never_sends_keeps_nobody_from_the_file(
    site: MirrorSite, big: bytes, answer: Behaviour
) -> None:
    site.upstream.behave(BIG, [CutAfter(CUT_AT), answer])
    assert site.download("big", BIG).content == big
    assert [asked.headers.get("range") for asked in files_asked(site)] == [
        None,
        f"bytes={CUT_AT}-",
        None,
    ]


def test_what_has_come_to_its_last_byte_is_not_fetched_again(tmp_path: Path) -> None:
    serverdir = tmp_path / "data"
    with a_site(serverdir) as site:
        upstream, content = site.upstream, add_big(site)
        upstream.behave(BIG, CutAfter(2 * MB))
        file_fails(site)
        site.server.stop()
        (part,) = parts(serverdir)
        with part.open("ab") as file:
            file.write(content[part.stat().st_size :])
        upstream.requests.clear()
        with a_site(serverdir, upstream=upstream) as again:
            assert again.download("big", BIG).content == content
            assert files_asked(again) == []


# Other bytes


def test_other_bytes_of_a_small_file_are_a_clean_refusal(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(WHEEL, WrongBytes())
    answer = site.download("demo", WHEEL)
    assert answer.status_code == 502
    assert "upstream sent other bytes than it promised: their sha256 is " in answer.text
    assert (kept_filenames(site), figures(site)["files"]) == ([], 0)
    site.upstream.behave(WHEEL, None)
    assert site.download("demo", WHEEL).content == DEMO.content


def test_other_bytes_of_a_large_file_are_a_whole_answer_for_nobody(
    site: MirrorSite, big: bytes
) -> None:
    told_before = len(site.log())
    site.upstream.behave(BIG, WrongBytes())
    assert file_fails(site) < len(big)
    assert (kept_filenames(site), figures(site)["files"]) == ([], 0)
    site.upstream.behave(BIG, None)
    assert site.download("big", BIG).content == big
    told = site.wait_for_log("an answer was cut: ", after=told_before)
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "rest",
    [SameEtagOtherBytes(), WrongBytes(), BadRange(keeps_quiet=True)],
    ids=["under the same ETag", "of another file", "of another place"],
)
def test_a_wrong_rest_of_a_file_that_was_cut_is_no_whole_answer(
    site: MirrorSite, big: bytes, rest: Behaviour
) -> None:
    site.upstream.behave(BIG, rest)
    site.upstream.behave(BIG, [CutAfter(CUT_AT)])
    file_fails(site)
    until(lambda: f"{site.index}: {BIG} cannot be fetched" in site.log(), "it is given up")
    assert kept_filenames(site) == []
    site.upstream.behave(BIG, None)
    assert site.download("big", BIG).content == big


def test_what_was_handed_out_before_is_the_beginning_of_what_comes_after(
    site: MirrorSite, big: bytes
) -> None:
    # The digest of what comes the second time is right, but clients have others of its bytes.
    site.upstream.behave(BIG, [Together(WrongBytes(), CutAfter(CUT_AT))])
    file_fails(site)
    assert site.download("big", BIG).content == big


@pytest.mark.parametrize(
    ("facts_size", "behaviour"),
    [
        pytest.param(len(DEMO.content), WrongLength(+10), id="more promised"),
        pytest.param(len(DEMO.content), WrongLength(-10), id="less promised"),
        pytest.param(None, WrongLength(+10), id="more promised, page silent"),
        pytest.param(None, WrongLength(-10), id="less promised, page silent"),
        pytest.param(len(DEMO.content), WithBody(DEMO.content + b"more"), id="more"),
        pytest.param(len(DEMO.content), WithBody(DEMO.content[:-4]), id="less"),
        pytest.param(
            len(DEMO.content),
            Together(WithBody(DEMO.content + b"more"), Chunked()),
            id="more, in chunks",
        ),
        pytest.param(len(DEMO.content) + 1, None, id="the page says more"),
        pytest.param(len(DEMO.content) - 1, None, id="the page says less"),
        pytest.param(len(DEMO.content), Compressed(), id="compressed"),
        pytest.param(len(DEMO.content), Status(500), id="status 500"),
        pytest.param(len(DEMO.content), Status(403), id="status 403"),
        pytest.param(len(DEMO.content), Status(206), id="a part of what nobody knows"),
        pytest.param(len(DEMO.content), HangUp(), id="nothing"),
        pytest.param(len(DEMO.content), RawBytes(b"\x15\x03\x01 what?\r\n\r\n"), id="no HTTP"),
        pytest.param(len(DEMO.content), RedirectLoop(), id="a circle"),
    ],
)
def test_what_cannot_be_the_file_is_refused(
    site: MirrorSite, facts_size: int | None, behaviour: Behaviour | None
) -> None:
    site.upstream.add(DEMO, size="untold" if facts_size is None else facts_size)
    site.upstream.behave(WHEEL, behaviour)
    answer = site.download("demo", WHEEL)
    assert answer.status_code == 502
    assert answer.text.startswith(f"{WHEEL} cannot be fetched: ")
    assert kept_filenames(site) == []
    site.upstream.behave(WHEEL, None)
    if behaviour is not None:
        assert site.download("demo", WHEEL).content == DEMO.content


# Slow


def test_who_says_nothing_for_long_is_given_up(site: MirrorSite, big: bytes) -> None:
    crawling, steady, silent = (a_wheel(name) for name in ("crawling", "steady", "silent"))
    for built in (crawling, steady, silent):
        site.upstream.add(built)
    site.upstream.behave(crawling.filename, SlowDrip(10))
    site.upstream.behave(steady.filename, Rate(400))
    site.upstream.behave(silent.filename, Hang())
    site.upstream.behave(BIG, [Hang(CUT_AT)])
    urls = [site.file_url(built.filename.partition("-")[0], built.filename) for built in
            (crawling, steady, silent)]  # fmt: skip
    urls.append(site.file_url("big", BIG))
    answers = site.meanwhile(*(fetching(site, url) for url in urls)).all()
    assert [answer.status_code for answer in answers] == [502, 200, 502, 200]
    assert answers[1].content == steady.content
    assert answers[3].content == big
    assert files_asked(site, BIG)[-1].status == 206
    assert kept_filenames(site) == [BIG, steady.filename]


def fetching(site: MirrorSite, url: str) -> Callable[[], httpx2.Response]:
    return lambda: site.get(url)


# Elsewhere


def test_another_host_is_asked_only_if_the_page_or_an_admin_names_it(tmp_path: Path) -> None:
    other, also = f"--private-upstreams=127.0.0.1,{ELSEWHERE}", a_wheel("also")
    with a_site(tmp_path / "data", other) as site:
        there = site.upstream.put(f"/elsewhere/{WHEEL}", DEMO.content)
        there = there.replace("127.0.0.1", ELSEWHERE)
        site.upstream.add(DEMO)
        site.upstream.behave(f"/files/demo/{WHEEL}", Redirect(there))
        answer = site.download("demo", WHEEL)
        assert answer.status_code == 502
        assert f"leads to the host {ELSEWHERE}:" in answer.text
        assert "file_hosts" in answer.text
        assert files_asked(site, "/elsewhere/") == []
        site.change(f"file_hosts+={ELSEWHERE}")
        assert site.download("demo", WHEEL).content == DEMO.content
        site.change(f"file_hosts-={ELSEWHERE}")
        url = site.upstream.put(f"/elsewhere/{also.filename}", also.content)
        site.upstream.add(also, url=url.replace("127.0.0.1", ELSEWHERE))
        assert site.download("also", also.filename).content == also.content


def test_a_redirect_on_the_same_host_is_followed(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    there = site.upstream.put(f"/elsewhere/{WHEEL}", DEMO.content)
    site.upstream.behave(f"/files/demo/{WHEEL}", Redirect(there))
    assert site.download("demo", WHEEL).content == DEMO.content


@pytest.mark.parametrize("host", ["127.0.0.2", "10.0.0.1", "169.254.169.254", "[::1]"])
def test_an_address_of_the_sites_own_network_is_not_asked(site: MirrorSite, host: str) -> None:
    site.upstream.add(DEMO, url=f"http://{host}:{site.upstream.port}/files/demo/{WHEEL}")
    answer = site.download("demo", WHEEL)
    assert answer.status_code == 502
    assert "address" in answer.text
    assert "private_upstreams" in answer.text


# Pinned


def test_a_file_keeps_the_bytes_that_upstream_first_promised(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    url = site.file_url("demo", WHEEL)
    other = a_wheel("demo", "1.0", extra_files={"demo/evil.py": b"print('!')\n"})
    assert other.filename == WHEEL
    site.upstream.add(other)
    site.refresh("demo")
    assert site.filenames("demo") == []
    answer = site.get(url)
    assert answer.status_code == 403
    assert f"other bytes under this name (sha256={other.sha256})" in answer.text
    assert files_asked(site) == []
    line = f"{site.index}: upstream offers other bytes under the name {WHEEL} "
    assert site.wait_for_log(line).count(line) == 1
    site.refresh("demo")
    assert site.log().count(line) == 1
    told = site.verb("why", "demo", f"--index={site.index}")
    assert f"{WHEEL} is not served: its index offers other bytes under this name" in told
    assert DEMO.sha256 in told
    site.upstream.add(DEMO)  # it was an accident
    site.refresh("demo")
    assert site.download("demo", WHEEL).content == DEMO.content


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_file_without_a_digest_is_pinned_by_its_first_fetch(site: MirrorSite, told: bool) -> None:
    site.upstream.add(DEMO, sha256="untold")
    url = site.file_url("demo", WHEEL)
    assert site.files("demo")[WHEEL]["hashes"] == {}
    assert site.get(url).content == DEMO.content
    assert site.files("demo")[WHEEL]["hashes"] == {"sha256": DEMO.sha256}
    assert site.file_url("demo", WHEEL) == url
    other = a_wheel("demo", "1.0", extra_files={"demo/evil.py": b"print('!')\n"})
    if told:
        site.upstream.add(other)
        site.refresh("demo")
        assert site.filenames("demo") == []
        assert site.get(url).status_code == 403
    else:
        site.upstream.add(other, sha256="untold")
        site.refresh("demo")
        assert site.get(url).content == DEMO.content
    assert len(files_asked(site)) == 1
