"""`/-/health`, as load balancers and orchestrators ask for it."""

import pytest

from simpleindex import __version__
from simpleindex_storage.catalog_sqlite import SqliteCatalog
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.files_disk import DiskDraft
from tests.asgi import Answer
from tests.routes.sites import WHEEL, Site

ALL = ("", "/live", "/ready", "/writable")


def health(site: Site, what: str = "") -> Answer:
    answer = site.get(f"/-/health{what}")
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-type") == "application/json"
    return answer


@pytest.mark.parametrize("what", ALL)
@pytest.mark.parametrize("slash", ["", "/"], ids=["", "slash"])
def test_a_server_that_is_well_says_so_to_everybody(what: str, slash: str, site: Site) -> None:
    answer = health(site, what + slash)
    assert (answer.status, answer.json["status"]) == (200, "ok")
    head = site.ask("HEAD", f"/-/health{what}{slash}")
    assert (head.status, head.body) == (200, b"")


def test_the_whole_answer_tells_what_an_admin_wants_to_know(site: Site) -> None:
    site.add(WHEEL)
    told = health(site).json
    assert told.keys() == {"status", "serial", "writable", "version", "free_bytes"}
    assert told["writable"] is True
    assert told["version"] == __version__
    assert told["serial"] > 0
    assert told["free_bytes"] > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_sent_there(method: str, site: Site) -> None:
    assert site.ask(method, "/-/health").status == (404 if method == "POST" else 405)


@pytest.mark.parametrize("path", ["/-", "/-/", "/-/health/else", "/-/health/live/x", "/-/else"])
def test_there_is_nothing_else_below_the_dash(path: str, site: Site) -> None:
    assert site.get(path).status == 404


def test_a_full_disk_keeps_no_installer_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add(WHEEL)

    def no_room(*_: object) -> None:
        raise Unavailable("no file can be received: the disk is full", full=True)

    monkeypatch.setattr(DiskDraft, "write", no_room)
    assert health(site, "/live").status == 200
    assert health(site, "/ready").status == 200
    assert health(site, "/writable").status == 503
    told = health(site)
    assert (told.status, told.json["writable"]) == (200, False)
    assert site.get("/root/local/+simple/demo/").status == 200


def test_a_trial_leaves_nothing_behind_and_is_not_made_for_every_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = DiskDraft.write

    def watched(draft: DiskDraft, chunk: bytes) -> None:
        written.append(len(chunk))
        write(draft, chunk)

    monkeypatch.setattr(DiskDraft, "write", watched)
    for _ in range(20):
        assert health(site, "/writable").status == 200
    assert 1 <= len(written) < 20
    assert site.stored().drafts == ()


def test_a_catalog_that_cannot_be_read_is_told_without_the_reason(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    health(site)

    def unreadable(_: SqliteCatalog) -> None:
        raise Unavailable(f"the catalog cannot be read: {site.folder} is gone")

    monkeypatch.setattr(SqliteCatalog, "snapshot", unreadable)
    for what in ("", "/ready"):
        answer = health(site, what)
        assert answer.status == 503
        assert str(site.folder) not in answer.text
        assert str(site.folder) in caplog.text
    assert health(site, "/live").status == 200
