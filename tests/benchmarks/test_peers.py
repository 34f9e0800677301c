"""The servers that are compared, as far as they are on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import one_sync
from benchmarks.clients import pip_seconds
from benchmarks.corpus import build_chain_corpus
from benchmarks.environments import Environment
from benchmarks.lineup import LineUp
from benchmarks.load import login_headers, prepare_uploads, run_uploads
from benchmarks.nginx import find_nginx
from benchmarks.nginx_peer import NginxPeer
from benchmarks.peers import SimpleindexPeer
from benchmarks.rivals import RIVALS, rivals

CHAIN = ("bench-one", "bench-two", "bench-three")


def test_pip_installs_from_nginx_what_it_installs_from_us(tmp_path: Path) -> None:
    if find_nginx() is None:
        pytest.skip("nginx is not installed")
    corpus = build_chain_corpus(tmp_path / "wheels", CHAIN)
    found = LineUp()
    ours = found.add(SimpleindexPeer(), corpus, tmp_path)
    assert ours is not None, found.missing
    with ours.started(None) as served:
        nginx = found.add(NginxPeer(served, is_whole=True), corpus, tmp_path)
    assert nginx is not None, found.missing
    for entrant in found.entrants:
        with entrant.started(None) as served:
            index = served.html_page_path.partition("{")[0]
            pip_seconds(f"http://127.0.0.1:{served.port}{index}", CHAIN, tmp_path)


def test_a_server_with_its_access_log_writes_it_beside_its_directory(tmp_path: Path) -> None:
    corpus = build_chain_corpus(tmp_path / "wheels", CHAIN[:1])
    logging = LineUp().add(SimpleindexPeer(has_access_log=True), corpus, tmp_path)
    assert logging is not None
    with logging.started(None):
        pass
    assert "GET /" in (logging.folder / "access.log").read_text()


def test_a_server_that_cannot_be_had_is_left_out_and_named(tmp_path: Path) -> None:
    corpus = build_chain_corpus(tmp_path / "wheels", CHAIN[:1])
    nowhere = Environment("nothing", (), given_bin_folder=tmp_path / "bin")
    found = LineUp()
    assert found.add(SimpleindexPeer("ours", nowhere), corpus, tmp_path) is None
    assert found.missing == {"ours": f"python: not in {tmp_path / 'bin'}"}


def test_every_rival_goes_by_its_name() -> None:
    assert tuple(rivals()) == RIVALS


def test_an_environment_is_made_anew_when_it_needs_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.environments.PEERS_FOLDER", tmp_path)
    asked: list[list[str]] = []

    def install(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr("benchmarks.environments.subprocess.run", install)
    one = Environment("peer", ("one",))
    other = Environment("peer", ("one", "two"))
    missing = [each.missing("python") for each in (one, one, other)]
    assert missing == [None, None, None]
    assert [command[-1] for command in asked] == ["one", "two"]


def test_an_environment_that_cannot_be_made_says_the_last_word_of_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.environments.PEERS_FOLDER", tmp_path)
    program = "print('Collecting', flush=True); raise SystemExit('ERROR: no such thing')"
    fails = [sys.executable, "-c", program]
    real = subprocess.run

    def run(_: list[str], **settings: object) -> object:
        return real(fails, **settings)  # type: ignore[call-overload]

    monkeypatch.setattr("benchmarks.environments.subprocess.run", run)
    missing = Environment("peer", ("thing",)).missing("python")
    assert missing == "thing cannot be installed: ERROR: no such thing"
    assert not (tmp_path / "peer").exists()


def test_ours_can_be_kept_from_all_syncs_but_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(one_sync, "_SYNC", synced.append)
    (tmp_path / "incoming").mkdir()
    for name in ("incoming/draft", "incoming/draft.metadata", "catalog"):
        with (tmp_path / name).open("wb") as file:
            one_sync.sync_drafts(file.fileno())
            received = [file.fileno()] if name == "incoming/draft" else []
            assert synced == received
            synced.clear()


def test_with_one_sync_ours_takes_uploads_as_ever(tmp_path: Path) -> None:
    corpus = build_chain_corpus(tmp_path / "wheels", CHAIN[:1])
    ours = LineUp().add(SimpleindexPeer(syncs_once=True), corpus, tmp_path)
    assert ours is not None
    with ours.started(None) as served:
        uploads = prepare_uploads(3, series="a")
        headers = login_headers(served)
        assert run_uploads(served, uploads, headers, connections=2, seconds_max=30) > 0
