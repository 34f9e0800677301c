"""Pages that are kept: how long they count, and what becomes of them when upstream is not there."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.hostile.behaviours import HangUp, LastModifiedOnly, NoValidators
from tests.mirror.sites import MirrorSite, a_mirror, a_site, until
from tests.server import RunningServer

DEMO, NEWER = a_wheel("demo", "1.0"), a_wheel("demo", "2.0")
PAGE = "/simple/demo/"


def test_a_page_that_is_fresh_is_told_without_asking_upstream(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    assert [site.filenames("demo") for _ in range(3)] == [[DEMO.filename]] * 3
    assert site.upstream.requests.paths() == [PAGE]


def test_the_server_says_how_long_pages_are_fresh_unless_the_index_does(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    serverdir = tmp_path_factory.mktemp("expiry") / "data"
    with a_site(serverdir, "--mirror-cache-expiry=0") as site:
        site.upstream.add(DEMO)
        site.page("demo")
        until(lambda: bool(site.page("demo")) and _asked(site) > 1, "the page is asked for again")
        site.change("mirror_cache_expiry=3600")
        site.refresh("demo")
        asked = _asked(site)
        assert [site.filenames("demo") for _ in range(3)] == [[DEMO.filename]] * 3
        assert _asked(site) == asked


def test_not_modified_renews_a_page(shared_server: RunningServer) -> None:
    expiry_seconds = 2
    with a_mirror(shared_server, mirror_cache_expiry=expiry_seconds) as site:
        site.upstream.add(DEMO)
        site.page("demo")
        until(lambda: bool(site.page("demo")) and _asked(site) > 1, "the page is out of date")
        begun = time.monotonic()
        assert site.refresh("demo").status_code == 302
        first, *again = site.upstream.requests.of(PAGE)
        assert first.status == 200
        assert {asked.status for asked in again} == {304}
        assert all("if-none-match" in asked.headers for asked in again)
        assert [site.filenames("demo") for _ in range(3)] == [[DEMO.filename]] * 3
        if time.monotonic() - begun < expiry_seconds:
            assert _asked(site) == 1 + len(again)


def test_a_page_is_asked_for_conditionally_by_what_upstream_gives(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(PAGE, LastModifiedOnly())
    site.page("demo")
    site.refresh("demo")
    first, second = site.upstream.requests.of(PAGE)
    assert "if-modified-since" not in first.headers
    assert "if-modified-since" in second.headers
    assert (first.status, second.status) == (200, 304)
    assert site.filenames("demo") == [DEMO.filename]


def test_a_page_without_validators_is_asked_for_as_if_it_were_new(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(PAGE, NoValidators())
    site.page("demo")
    site.upstream.add(NEWER)
    site.refresh("demo")
    conditions = [
        name
        for asked in site.upstream.requests.of(PAGE)
        for name in asked.headers
        if name.startswith("if-")
    ]
    assert conditions == []
    assert site.filenames("demo") == [DEMO.filename, NEWER.filename]


def test_a_page_that_is_the_same_again_keeps_the_etag_of_ours(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(PAGE, NoValidators())
    etag = site.page("demo").headers["etag"]
    site.refresh("demo")
    assert site.page("demo").headers["etag"] == etag
    assert site.page("demo", if_none_match=etag).status_code == 304
    site.upstream.add(NEWER)
    site.refresh("demo")
    assert site.page("demo", if_none_match=etag).status_code == 200


@pytest.mark.parametrize("way", ["refused", "hangs up"])
def test_pages_go_on_being_told_when_upstream_is_gone(
    way: str, shared_server: RunningServer
) -> None:
    with a_mirror(shared_server, mirror_cache_expiry=0) as site:
        site.upstream.add(DEMO)
        before = site.page("demo").content
        if way == "refused":
            site.upstream.unplug()
        else:
            site.upstream.behave(PAGE, HangUp())
        assert site.refresh("demo").status_code == 502
        for _ in range(3):
            assert site.page("demo").content == before
        line = f"{site.index}: page of demo not fetched: 127.0.0.1:{site.upstream.port}"
        site.wait_for_log(line)


def test_an_old_page_is_told_by_a_server_that_has_just_started_without_upstream(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    serverdir = tmp_path_factory.mktemp("restart") / "data"
    with a_site(serverdir, "--mirror-cache-expiry=0") as before:
        before.upstream.add(DEMO)
        page = before.page("demo").content
        before.server.stop()
        before.upstream.unplug()
        with a_site(serverdir, "--mirror-cache-expiry=0", upstream=before.upstream) as after:
            assert after.page("demo").content == page


def test_upstream_is_asked_again_as_soon_as_somebody_refreshes(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.unplug()
    assert site.page("demo").status_code == 504
    site.upstream.plug_in()
    assert site.page("demo").status_code == 504
    assert site.refresh("demo").status_code == 302
    assert site.filenames("demo") == [DEMO.filename]


def test_a_name_that_upstream_does_not_have_is_remembered(site: MirrorSite) -> None:
    answers = [site.page("nobody") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert site.upstream.requests.count("/simple/nobody/") == 1


@pytest.mark.parametrize("expiry_seconds", [0, 1])
def test_a_name_that_upstream_does_not_have_is_told_even_where_nothing_is_remembered(
    expiry_seconds: int, shared_server: RunningServer
) -> None:
    with a_mirror(shared_server, mirror_cache_expiry=expiry_seconds) as site:
        stage = site.make_stage()
        assert site.page("nobody").status_code == 404
        assert site.page("nobody", index=stage).status_code == 404


def test_a_name_that_was_not_there_is_found_by_a_refresh(site: MirrorSite) -> None:
    assert site.page("demo").status_code == 404
    site.upstream.add(DEMO)
    assert site.refresh("demo").status_code == 302
    assert site.filenames("demo") == [DEMO.filename]


@pytest.mark.parametrize("way", ["refused", "hangs up"])
def test_nobody_asks_twice_for_a_name_that_upstream_failed_to_tell_of(
    way: str, site: MirrorSite
) -> None:
    if way == "refused":
        site.upstream.unplug()
        assert site.page("demo").status_code == 504
        site.upstream.plug_in()
    else:
        site.upstream.behave(PAGE, HangUp())
        assert site.page("demo").status_code == 504
    asked = len(site.upstream.requests)
    answer = site.page("demo")
    assert answer.status_code == 504
    assert "127.0.0.1" in answer.text
    assert len(site.upstream.requests) == asked


def test_an_upstream_that_is_down_is_asked_for_no_other_name_either(site: MirrorSite) -> None:
    site.upstream.unplug()
    assert site.page("demo").status_code == 504
    site.upstream.plug_in()
    assert site.page("other").status_code == 504
    assert site.upstream.connections_made == 0


def test_the_status_tells_which_upstream_cannot_be_reached(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    assert _figures(site)["trouble"] is None
    site.upstream.unplug()
    site.refresh("demo")
    assert _figures(site)["trouble"] == f"127.0.0.1:{site.upstream.port} cannot be reached"
    site.upstream.plug_in()
    site.refresh("demo")
    assert _figures(site)["trouble"] is None


@pytest.mark.parametrize("way", ["its page is empty", "there is no such project"])
def test_what_upstream_takes_away_goes_from_the_page_and_its_bytes_stay(
    way: str, site: MirrorSite
) -> None:
    site.upstream.add(DEMO)
    url = site.file_url("demo", DEMO.filename)
    assert site.get(url, "*/*").content == DEMO.content
    if way == "its page is empty":
        site.upstream.remove(DEMO.filename, bytes_too=True)
    else:
        site.upstream.remove_project("demo")
    assert site.refresh("demo").status_code == 302
    assert site.filenames("demo") == []
    assert site.get(url, "*/*").content == DEMO.content


@pytest.mark.parametrize("way", ["its page is empty", "there is no such project"])
def test_what_comes_back_with_other_bytes_is_still_known_by_the_first_ones(
    way: str, site: MirrorSite
) -> None:
    other = a_wheel("demo", "1.0", extra_files={"demo/evil.py": b""})
    site.upstream.add(DEMO)
    assert site.filenames("demo") == [DEMO.filename]
    if way == "its page is empty":
        site.upstream.remove(DEMO.filename)
    else:
        site.upstream.remove_project("demo")
    site.refresh("demo")
    site.upstream.add(other)
    site.refresh("demo")
    assert site.filenames("demo") == []
    site.upstream.add(DEMO)
    site.refresh("demo")
    assert site.filenames("demo") == [DEMO.filename]


def test_a_project_that_was_taken_away_and_comes_back_is_shown_again(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.remove_project("demo")
    site.refresh("demo")
    site.upstream.add(DEMO)
    site.refresh("demo")
    assert site.filenames("demo") == [DEMO.filename]
    assert site.download("demo", DEMO.filename).content == DEMO.content


def test_another_upstream_is_asked_at_once_and_without_validators_of_the_first(
    shared_server: RunningServer, site: MirrorSite
) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    with a_mirror(shared_server) as elsewhere:
        elsewhere.upstream.add(NEWER)
        site.change(f"mirror_url={elsewhere.upstream.url}")
        assert site.filenames("demo") == [NEWER.filename]
        (asked,) = elsewhere.upstream.requests.of(PAGE)
        assert "if-none-match" not in asked.headers


def test_who_names_another_upstream_need_not_wait_for_the_one_that_is_down(
    shared_server: RunningServer, site: MirrorSite
) -> None:
    site.upstream.unplug()
    assert site.page("demo").status_code == 504
    with a_mirror(shared_server) as elsewhere:
        elsewhere.upstream.add(DEMO)
        site.change(f"mirror_url={elsewhere.upstream.url}")
        assert site.filenames("demo") == [DEMO.filename]


@pytest.mark.parametrize("damage", ["a letter is another one", "it has another form"])
def test_a_page_that_cannot_be_read_any_more_is_fetched_again(damage: str, tmp_path: Path) -> None:
    with a_site(tmp_path / "data") as site:
        site.upstream.add(DEMO)
        assert site.download("demo", DEMO.filename).content == DEMO.content
        site.server.stop()
        _damage(tmp_path / "data" / "cache" / "cache.sqlite", damage)
        with a_site(tmp_path / "data", upstream=site.upstream) as after:
            assert after.filenames("demo") == [DEMO.filename]
            assert after.download("demo", DEMO.filename).content == DEMO.content
        assert site.upstream.requests.count(PAGE) == 2
        assert site.upstream.requests.count(DEMO.filename + "$") == 1


def _damage(path: Path, damage: str) -> None:
    """Spoil the one page that is kept."""
    with closing(sqlite3.connect(path)) as connection, connection:
        (content,) = connection.execute("SELECT content FROM contents").fetchone()
        is_packed = damage == "a letter is another one"
        content = content[:30] + bytes([content[30] ^ 1]) + content[31:] if is_packed else b"{}"
        connection.execute("UPDATE contents SET content = ?, is_packed = ?", (content, is_packed))


def _asked(site: MirrorSite) -> int:
    return site.upstream.requests.count(PAGE)


def _figures(site: MirrorSite) -> dict[str, object]:
    status = site.get("/+status", "application/json").json()
    figures: dict[str, object] = status["result"]["mirrors"][site.index]
    return figures


def test_the_status_tells_what_a_mirror_shows_and_what_is_wrong_with_it(site: MirrorSite) -> None:
    site.upstream.unplug()
    site.page("demo")
    figures = site.get("/+status").json()["result"]["mirrors"][site.index]
    assert figures["upstream"] == site.upstream.url
    assert "cannot be reached" in figures["trouble"]
    assert (figures["pages"], figures["files"], figures["bytes"]) == (0, 0, 0)
