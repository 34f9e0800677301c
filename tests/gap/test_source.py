"""An index as a source for resolvers: one of ours, and one that is as bad as it is told to be."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from simpleindex.gap.releases import Described, SourceTrouble, describe, releases_of
from simpleindex.gap.source import IndexSource, open_source, usual_url
from simpleindex.upstream.client import Patience
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.errors import Refused
from tests.builders import a_wheel, an_sdist, core_metadata
from tests.clients.server_side import add
from tests.hostile.behaviours import (
    CutAfter,
    Gate,
    HtmlOnly,
    NoRanges,
    SilentDrop,
    Status,
    Together,
    WithBody,
    WrongBytes,
)
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import clean_environment, running_server

DEMO = canonicalize_name("demo")
WHEEL = a_wheel(
    "demo", "1.0", requires_python=">=3.6", requires_dist=["other>=2; os_name == 'nt'"],
    extra_files={"demo/data.bin": bytes(range(256)) * 500},
)  # fmt: skip
METADATA = f"{WHEEL.filename}.metadata"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture
def source(upstream: Upstream) -> Iterator[IndexSource]:
    with open_source(upstream.url) as opened:
        yield opened


def files_of(source: IndexSource) -> list[PageFile]:
    releases = source.releases(DEMO)
    assert releases is not None
    return [file for files in releases.files.values() for file in files]


def read(source: IndexSource) -> Described:
    """What the metadata of the one wheel of demo says."""
    (file,) = files_of(source)
    return source.described(file)


def assert_as_built(described: Described) -> None:
    assert [str(each) for each in described.requires] == ['other>=2; os_name == "nt"']
    assert described.requires_python == ">=3.6"


def test_an_index_of_ours_tells_all(tmp_path: Path) -> None:
    WHEEL.save(tmp_path)
    an_sdist("demo", "2.0").save(tmp_path)
    with running_server(tmp_path / "data") as server:
        add(server, tmp_path / WHEEL.filename, tmp_path / "demo-2.0.tar.gz")
        with open_source(f"{server.url}/root/local/+simple/") as source:
            releases = source.releases(DEMO)
            assert releases is not None
            assert list(map(str, releases.files)) == ["2.0", "1.0"]
            described = source.described(releases.files[Version("1.0")][0])
            assert source.releases(canonicalize_name("nowhere")) is None
    assert_as_built(described)
    assert described.is_proven


def test_announced_metadata_is_fetched_and_nothing_of_the_wheel(
    source: IndexSource, upstream: Upstream
) -> None:
    upstream.add(WHEEL)
    described = read(source)
    assert_as_built(described)
    assert described.is_proven
    assert upstream.requests.count(f"{METADATA}$") == 1
    assert upstream.requests.count(".whl$") == 0


def test_metadata_without_a_digest_is_not_proven(source: IndexSource, upstream: Upstream) -> None:
    upstream.add(WHEEL, metadata=True)
    described = read(source)
    assert_as_built(described)
    assert not described.is_proven


@pytest.mark.parametrize("announced", ["html", "nothing"])
def test_else_the_end_of_the_wheel_is_read(
    announced: str, source: IndexSource, upstream: Upstream
) -> None:
    upstream.add(WHEEL, metadata=False)
    if announced == "html":
        upstream.behave("/simple/demo/", HtmlOnly())
    described = read(source)
    assert_as_built(described)
    assert not described.is_proven
    asked = upstream.requests.of(".whl$")
    assert asked
    assert all(each.headers.get("range") for each in asked)


@pytest.mark.parametrize(
    "fault", [WithBody(b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"), WrongBytes(),
              Status(404), Status(403), Status(500)],
)  # fmt: skip
def test_what_is_not_the_announced_metadata_is_not_believed(
    fault: WithBody | WrongBytes | Status, source: IndexSource, upstream: Upstream
) -> None:
    upstream.add(WHEEL)
    upstream.behave(METADATA, fault)
    assert_as_built(read(source))
    assert upstream.requests.count(".whl$") >= 1


def test_where_there_are_no_ranges_the_whole_wheel_is_fetched_and_checked(
    source: IndexSource, upstream: Upstream
) -> None:
    upstream.add(WHEEL, metadata=False)
    upstream.add(a_wheel("demo", "2.0"), metadata=False)
    upstream.behave(".whl", NoRanges())
    for file in files_of(source):
        assert source.described(file).is_proven
    # The second time it is known, so that nobody asks for a part of that host's files.
    assert sum("range" in each.headers for each in upstream.requests.of(".whl$")) == 1


def test_a_wheel_with_another_digest_is_refused(source: IndexSource, upstream: Upstream) -> None:
    upstream.add(WHEEL, metadata=False)
    upstream.behave(".whl", Together(WrongBytes(), NoRanges()))
    with pytest.raises(SourceTrouble, match="has another sha256 than its page promises"):
        read(source)


@pytest.mark.parametrize("size", ["told", "untold"])
def test_no_more_of_a_wheel_is_fetched_than_is_allowed(size: str, upstream: Upstream) -> None:
    if size == "told":
        upstream.add(WHEEL, metadata=False)
    else:
        upstream.add(WHEEL, metadata=False, size="untold")
    upstream.behave(".whl", NoRanges())
    with (
        open_source(upstream.url, whole_bytes_max=1000) as source,
        pytest.raises(SourceTrouble, match="over 1000 bytes, and its index gives"),
    ):
        read(source)


def test_a_page_and_a_metadata_are_fetched_once_for_all_who_ask(
    source: IndexSource, upstream: Upstream
) -> None:
    upstream.add(WHEEL)
    source.expect([DEMO])
    with ThreadPoolExecutor(8) as threads:
        for described in threads.map(lambda _: read(source), range(20)):
            assert_as_built(described)
    assert upstream.requests.count("/simple/demo/") == 1
    assert upstream.requests.count(f"{METADATA}$") == 1


def test_what_is_expected_is_fetched_side_by_side_within_the_bound(upstream: Upstream) -> None:
    gate = threading.Event()
    names = [canonicalize_name(f"demo-{number}") for number in range(6)]
    for name in names:
        upstream.add(a_wheel(name))
        upstream.behave(f"/simple/{name}/", Gate(gate))
    with open_source(upstream.url, at_once=4) as source:
        source.expect(names)
        upstream.wait_for("/simple/demo-", count=4)
        assert upstream.requests.count("/simple/demo-") == 4
        gate.set()
        assert all(source.releases(name) is not None for name in names)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Status(503), "the page of demo cannot be had: 127.0.0.1:.* answered with status 503"),
        (CutAfter(20), "the page of demo cannot be had: "),
        (WithBody(b"<html>log in</html>"), "the page of demo cannot be had: it is "),
        (SilentDrop(), "the page of demo cannot be had: .* took too long"),
    ],
)
def test_an_index_in_trouble_is_told_in_a_line(
    fault: Status | CutAfter | WithBody | SilentDrop, why: str, upstream: Upstream
) -> None:
    upstream.add(WHEEL)
    upstream.behave("/simple/demo/", fault)
    with (
        open_source(upstream.url, patience=Patience(page_seconds=0.5)) as source,
        pytest.raises(SourceTrouble, match=why) as trouble,
    ):
        source.releases(DEMO)
    assert "\n" not in str(trouble.value)


def test_a_wheel_that_is_none_is_told_by_name(source: IndexSource, upstream: Upstream) -> None:
    upstream.add(b"no zip", filename="demo-1.0-py3-none-any.whl", metadata=False)
    with pytest.raises(SourceTrouble, match=r"demo-1.0-py3-none-any.whl: it is no wheel"):
        read(source)


def test_passwords_are_sent_and_not_told(upstream: Upstream) -> None:
    upstream.add(WHEEL)
    upstream.require_login("bob", "s3cret")
    with open_source(upstream.url.replace("//", "//bob:s3cret@")) as source:
        assert_as_built(read(source))
    with (
        open_source(upstream.url.replace("//", "//bob:wr0ng@")) as source,
        pytest.raises(SourceTrouble, match="status 401") as trouble,
    ):
        source.releases(DEMO)
    assert "wr0ng" not in str(trouble.value)


def test_hosts_that_a_page_leads_to_must_be_public_or_named(
    source: IndexSource, upstream: Upstream
) -> None:
    upstream.add(WHEEL, metadata=False, url="http://127.0.0.2:9/demo-1.0-py3-none-any.whl")
    with pytest.raises(SourceTrouble, match=r"127.0.0.2 is a loopback address"):
        read(source)
    with (
        open_source(upstream.url, private_hosts=["127.0.0.2"]) as allowed,
        pytest.raises(SourceTrouble, match=r"127.0.0.2:9 cannot be reached"),
    ):
        read(allowed)


@pytest.mark.parametrize("url", ["", "file:///srv/packages", "http://", "http://[", "x"])
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    why = "the URL of the index: it is none of http or https"
    with pytest.raises(Refused, match=why), open_source(url):
        pass


def test_where_no_index_is_named_it_is_that_of_pip(upstream: Upstream, tmp_path: Path) -> None:
    upstream.add(WHEEL)
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {upstream.url}\n")
    with open_source(usual_url(clean_environment(PIP_CONFIG_FILE=str(settings)))) as source:
        assert_as_built(read(source))
    settings.write_text("[global]\nno-index = true\n")
    with pytest.raises(Refused, match="pip on this computer uses none"):
        usual_url(clean_environment(PIP_CONFIG_FILE=str(settings)))


def test_requests_under_way_are_given_up_at_the_end(upstream: Upstream) -> None:
    upstream.add(WHEEL)
    upstream.behave("/simple/demo/", SilentDrop())
    with ThreadPoolExecutor(1) as threads:
        with open_source(upstream.url) as source:
            waiting = threads.submit(source.releases, DEMO)
            upstream.wait_for("/simple/demo/")
        with pytest.raises(SourceTrouble):
            waiting.result(timeout=10)


# Records


def test_versions_are_sorted_by_their_order_and_not_by_their_text() -> None:
    names = ["demo-1.10-py3-none-any.whl", "demo-1.9.tar.gz", "demo-1.9-py2-none-any.whl",
             "demo-2.0rc1.zip"]  # fmt: skip
    releases = releases_of(DEMO, [PageFile(name, name, {}) for name in names])
    assert list(map(str, releases.files)) == ["2.0rc1", "1.10", "1.9"]
    assert [len(files) for files in releases.files.values()] == [1, 1, 2]
    assert releases.has_final


def test_requirements_that_no_standard_knows_are_told_and_left_out() -> None:
    raw = core_metadata(requires_dist=["good>=1", "old (>=3.6.*)", "bad >=", "worse; os = x"])
    described = describe(raw, "demo", is_proven=True)
    assert [str(each) for each in described.requires] == ["good>=1", "old>=3.6"]
    assert described.unreadable == ("bad >=", "worse; os = x")


def test_extras_are_compared_by_their_normal_form() -> None:
    raw = core_metadata(headers=[("Provides-Extra", "Some_Thing")])
    assert describe(raw, "demo", is_proven=True).extras == {"some-thing"}
