"""Files of a mirror, when many want them at once, and when a server ends in the middle."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.builders import a_wheel
from tests.hostile.behaviours import CutAfter, Gate, Hang, NoValidators, Together, WrongBytes
from tests.hostile.upstream import Upstream
from tests.mirror.kept import kept_filenames, parts
from tests.mirror.sites import MirrorSite, a_client, a_site, until
from tests.server import RunningServer

MB = 1_000_000
BIG = "big-1.0-py3-none-any.whl"
BIG_BYTES = 20 * MB
HALF = 10 * MB
CLIENTS = 20
GROWTH_BYTES_MAX = 32 << 20
STOP_SECONDS_MAX = 10.0
SECONDS_MAX = 30.0


def add_big(upstream: Upstream) -> bytes:
    """Publish a large file; its bytes."""
    upstream.add_big(BIG, BIG_BYTES)
    content = httpx2.get(f"{upstream.root_url}/files/big/{BIG}", trust_env=False).content
    upstream.requests.clear()
    return content


class Client:
    """Somebody who downloads a file, in a thread."""

    def __init__(self, url: str) -> None:
        self.content = b""
        self.status: int | None = None
        self.is_cut = False
        self.has_bytes = threading.Event()
        self._url = url
        self._thread = threading.Thread(target=self._download, daemon=True)
        self._thread.start()

    def done(self) -> "Client":
        """Wait until it has all, or is refused the rest."""
        self._thread.join(SECONDS_MAX)
        assert not self._thread.is_alive(), "the download does not end"
        return self

    def _download(self) -> None:
        chunks: list[bytes] = []
        try:
            with (
                httpx2.Client(trust_env=False, timeout=SECONDS_MAX) as client,
                client.stream("GET", self._url) as answer,
            ):
                self.status = answer.status_code
                for chunk in answer.iter_raw():
                    chunks.append(chunk)
                    self.has_bytes.set()
        except httpx2.TransportError:
            self.is_cut = True
        self.content = b"".join(chunks)


@contextmanager
def held_in_the_middle(site: MirrorSite, after_bytes: int = HALF) -> Iterator[threading.Event]:
    """Upstream stops in the middle of the large file until the event, or the end of the block."""
    go_on = threading.Event()
    site.upstream.behave(BIG, [Hang(after_bytes, until=go_on)])
    try:
        yield go_on
    finally:
        go_on.set()


def test_the_first_bytes_flow_before_the_last_have_come(site: MirrorSite) -> None:
    content = add_big(site.upstream)
    with held_in_the_middle(site) as go_on:
        client = Client(site.file_url("big", BIG))
        assert client.has_bytes.wait(SECONDS_MAX)
        assert kept_filenames(site) == []
        go_on.set()
        assert client.done().content == content
    assert site.upstream.requests.count(BIG) == 1


def test_who_comes_late_gets_the_file_from_its_first_byte(site: MirrorSite) -> None:
    content = add_big(site.upstream)
    with held_in_the_middle(site) as go_on:
        clients = []
        for _ in range(3):
            clients.append(Client(site.file_url("big", BIG)))
            assert clients[-1].has_bytes.wait(SECONDS_MAX)
        go_on.set()
        assert all(client.done().content == content for client in clients)
    assert site.upstream.requests.count(BIG) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc to look at")
def test_many_clients_of_a_large_file_cost_one_fetch_and_little_memory(site: MirrorSite) -> None:
    content = add_big(site.upstream)
    before_bytes = memory_bytes(site.server)
    with held_in_the_middle(site) as go_on:
        clients = [Client(site.file_url("big", BIG)) for _ in range(CLIENTS)]
        assert all(client.has_bytes.wait(SECONDS_MAX) for client in clients)
        go_on.set()
        assert all(client.done().content == content for client in clients)
    assert site.upstream.requests.count(BIG) == 1
    assert memory_bytes(site.server, peak=True) - before_bytes < GROWTH_BYTES_MAX


def memory_bytes(server: RunningServer, *, peak: bool = False) -> int:
    """What the server has of the memory; `peak`: the most that it had since it was last asked."""
    folder = Path(f"/proc/{server.process.pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    (folder / "clear_refs").write_text("5")  # the peak is that from now on
    return int(status["VmHWM" if peak else "VmRSS"].split()[0]) * 1024


def test_many_clients_of_a_small_file_cost_one_fetch(site: MirrorSite) -> None:
    built, go_on = a_wheel(), threading.Event()
    site.upstream.add(built)
    site.upstream.behave(".whl$", Gate(go_on))
    clients = [Client(site.file_url("demo", built.filename)) for _ in range(CLIENTS)]
    site.upstream.wait_for(".whl$")
    go_on.set()
    assert all(client.done().content == built.content for client in clients)
    assert site.upstream.requests.count(".whl$") == 1


def test_many_clients_of_metadata_cost_one_fetch(site: MirrorSite) -> None:
    built, go_on = a_wheel(), threading.Event()
    site.upstream.add(built)
    site.upstream.behave(".metadata$", Gate(go_on))
    url = site.file_url("demo", built.filename) + ".metadata"
    clients = [Client(url) for _ in range(CLIENTS)]
    site.upstream.wait_for(".metadata$")
    go_on.set()
    assert {client.done().status for client in clients} == {200}
    assert site.upstream.requests.count(".metadata$") == 1


def test_wrong_bytes_are_a_whole_answer_for_none_of_many(site: MirrorSite) -> None:
    content, go_on = add_big(site.upstream), threading.Event()
    site.upstream.behave(BIG, Together(WrongBytes(), Hang(HALF, until=go_on)))
    clients = [Client(site.file_url("big", BIG)) for _ in range(CLIENTS)]
    assert all(client.has_bytes.wait(SECONDS_MAX) for client in clients)
    go_on.set()
    assert all(client.done().is_cut for client in clients)
    assert site.upstream.requests.count(BIG) == 1
    assert kept_filenames(site) == []
    site.upstream.behave(BIG, None)
    assert site.download("big", BIG).content == content


def test_who_leaves_takes_the_file_from_nobody(site: MirrorSite) -> None:
    content = add_big(site.upstream)
    with held_in_the_middle(site) as go_on:
        url = site.file_url("big", BIG)
        with site.client.stream("GET", url) as answer:
            next(answer.iter_raw())
            client = Client(url)
            assert client.has_bytes.wait(SECONDS_MAX)
        go_on.set()
        assert client.done().content == content


def test_a_file_that_nobody_waits_for_any_more_is_kept_all_the_same(site: MirrorSite) -> None:
    content = add_big(site.upstream)
    with held_in_the_middle(site) as go_on:
        with site.client.stream("GET", site.file_url("big", BIG)) as answer:
            next(answer.iter_raw())
        go_on.set()
    until(lambda: kept_filenames(site) == [BIG], "the file is kept")
    assert site.download("big", BIG).content == content
    assert site.upstream.requests.count(BIG) == 1


def test_who_reads_slowly_holds_nobody_up(site: MirrorSite) -> None:
    content = add_big(site.upstream)
    url = site.file_url("big", BIG)
    with site.client.stream("GET", url) as slow:
        chunks = slow.iter_raw()
        first = next(chunks)
        assert Client(url).done().content == content
        assert first + b"".join(chunks) == content
    assert site.upstream.requests.count(BIG) == 1


# Two servers on one directory


def test_two_servers_on_one_directory_fetch_a_file_once(tmp_path: Path) -> None:
    serverdir = tmp_path / "data"
    with a_site(serverdir) as one, a_site(serverdir, upstream=one.upstream) as other:
        content, small, go_on = add_big(one.upstream), a_wheel(), threading.Event()
        with held_in_the_middle(one) as big_goes_on:
            big = [Client(site.file_url("big", BIG)) for site in (one, other)]
            assert all(client.has_bytes.wait(SECONDS_MAX) for client in big)
            big_goes_on.set()
            assert all(client.done().content == content for client in big)
        one.upstream.add(small)
        one.upstream.behave(small.filename, Gate(go_on))
        clients = [Client(site.file_url("demo", small.filename)) for site in (one, other) * 5]
        one.upstream.wait_for(small.filename)
        go_on.set()
        assert all(client.done().content == small.content for client in clients)
        assert [one.upstream.requests.count(name) for name in (BIG, small.filename)] == [1, 1]


def test_when_the_server_that_fetches_is_killed_the_other_one_goes_on(tmp_path: Path) -> None:
    serverdir = tmp_path / "data"
    with a_site(serverdir) as one, a_site(serverdir, upstream=one.upstream) as other:
        content = add_big(one.upstream)
        with held_in_the_middle(one):
            lost = Client(one.file_url("big", BIG))
            assert lost.has_bytes.wait(SECONDS_MAX)
            follower = Client(other.file_url("big", BIG))
            assert follower.has_bytes.wait(SECONDS_MAX)
            one.server.kill()
            assert follower.done().content == content
            assert lost.done().is_cut
        _, second = one.upstream.requests.of(BIG)
        assert second.headers["range"].startswith("bytes=")


# The end of a server


@pytest.mark.parametrize("has_validators", [True, False], ids=["with", "without"])
def test_after_a_kill_the_next_server_brings_the_right_bytes(
    tmp_path: Path, has_validators: bool
) -> None:
    serverdir = tmp_path / "data"
    with a_site(serverdir) as site:
        upstream, content = site.upstream, add_big(site.upstream)
        if not has_validators:
            upstream.behave(BIG, NoValidators())
        upstream.behave(BIG, [Together(*([] if has_validators else [NoValidators()]), Hang(HALF))])
        client = Client(site.file_url("big", BIG))
        assert client.has_bytes.wait(SECONDS_MAX)
        until(lambda: arrived_bytes(serverdir) > HALF - MB, "half of the file is there")
        site.server.kill()
        assert client.done().is_cut
        assert kept_filenames(site) == []
        upstream.requests.clear()
        with a_site(serverdir, upstream=upstream) as again:
            assert again.download("big", BIG).content == content
            (asked,) = upstream.requests.of(BIG)
            assert ("range" in asked.headers) is has_validators
            until(lambda: kept_filenames(again) == [BIG] and not parts(serverdir), "it is kept")


def arrived_bytes(serverdir: Path) -> int:
    return sum(path.stat().st_size for path in parts(serverdir))


def test_what_a_power_cut_has_damaged_is_fetched_anew(tmp_path: Path) -> None:
    serverdir = tmp_path / "data"
    with a_site(serverdir) as site:
        upstream, content = site.upstream, add_big(site.upstream)
        upstream.behave(BIG, CutAfter(2 * MB))
        assert Client(site.file_url("big", BIG)).done().is_cut
        (part,) = parts(serverdir)
        damaged = bytearray(part.read_bytes())
        damaged[MB] ^= 0xFF
        part.write_bytes(damaged)  # as after a power cut
        upstream.behave(BIG, None)
        url = site.file_url("big", BIG)
        assert Client(url).done().is_cut
        assert kept_filenames(site) == []
        assert Client(url).done().content == content


@pytest.mark.parametrize("somebody_waits", [True, False], ids=["with a client", "without"])
def test_a_server_that_is_told_to_stop_does_not_wait_for_a_silent_upstream(
    tmp_path: Path, somebody_waits: bool
) -> None:
    with a_site(tmp_path / "data") as site:
        add_big(site.upstream)
        site.upstream.behave(BIG, Hang(HALF))
        with a_client(site.server.url) as client:
            with client.stream("GET", site.file_url("big", BIG)) as answer:
                next(answer.iter_raw())
                if somebody_waits:
                    assert stopped_after_seconds(site.server) < STOP_SECONDS_MAX
            if not somebody_waits:
                assert stopped_after_seconds(site.server) < STOP_SECONDS_MAX
        assert "Traceback" not in site.log()
    assert kept_filenames(site) == []


def stopped_after_seconds(server: RunningServer) -> float:
    began_at = time.monotonic()
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.process.wait(STOP_SECONDS_MAX) == 0
    return time.monotonic() - began_at
