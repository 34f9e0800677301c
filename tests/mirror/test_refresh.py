"""Pages that are refreshed: behind an answer, by many at once, and because somebody wants it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.builders import a_wheel
from tests.clients.programs import Terminal, program
from tests.hostile.behaviours import Gate, Status, Together
from tests.listening import Connection
from tests.mirror.sites import JSON, MirrorSite, a_mirror, a_site, until
from tests.server import RunningServer

DEMO, NEWER = a_wheel("demo", "1.0"), a_wheel("demo", "2.0")
PAGE = "/simple/demo/"
MANY = 20
TOO_OLD = "mirror_cache_expiry=0"
"""To be set once the page is there: else the first answer begins to refresh it, any time later."""


def test_an_old_page_is_told_while_upstream_is_asked_and_the_new_one_afterwards(
    shared_server: RunningServer,
) -> None:
    gate = threading.Event()
    with a_mirror(shared_server) as site:
        site.upstream.add(DEMO)
        site.page("demo")
        site.change(TOO_OLD)
        site.upstream.add(NEWER)
        site.upstream.behave(PAGE, Gate(gate))
        assert site.filenames("demo") == [DEMO.filename]
        site.upstream.wait_for(PAGE, 2)
        assert site.filenames("demo") == [DEMO.filename]
        gate.set()
        until(lambda: NEWER.filename in site.filenames("demo"), "the page has the new file")


def test_an_old_page_is_asked_for_once_however_many_want_it(shared_server: RunningServer) -> None:
    gate = threading.Event()
    with a_mirror(shared_server) as site:
        site.upstream.add(DEMO)
        before = site.page("demo").content
        site.change(TOO_OLD)
        site.upstream.behave(PAGE, Gate(gate))
        with many_asking(site) as asking:
            answers = [each.hear() for each in asking]
        assert [(answer.status, answer.body) for answer in answers] == [(200, before)] * MANY
        site.upstream.wait_for(PAGE, 2)
        assert site.upstream.requests.count(PAGE) == 2
        gate.set()


def test_many_who_want_a_page_that_nobody_had_make_upstream_answer_once(site: MirrorSite) -> None:
    gate = threading.Event()
    site.upstream.add(DEMO)
    site.upstream.behave(PAGE, Gate(gate))
    with many_asking(site) as asking:
        gate.set()
        answers = [each.hear() for each in asking]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert site.upstream.requests.count(PAGE) == 1


def test_many_who_want_a_page_that_upstream_fails_to_give_are_all_told(site: MirrorSite) -> None:
    gate = threading.Event()
    site.upstream.behave(PAGE, Together(Status(500), Gate(gate)))
    with many_asking(site) as asking:
        gate.set()
        assert {each.hear().status for each in asking} == {504}
    assert site.upstream.requests.count(PAGE) == 1


@contextmanager
def many_asking(site: MirrorSite) -> Iterator[list[Connection]]:
    """Many who have asked for the page of demo, and have all been let in."""
    with ExitStack() as stack:
        url = site.server.url
        connections = [stack.enter_context(Connection(url)) for _ in range(MANY)]
        for each in connections:
            each.request(f"GET /{site.index}/+simple/demo/", Accept=JSON)
        site.upstream.wait_for(PAGE)
        _let_in(site)
        yield connections


def _let_in(site: MirrorSite) -> None:
    """Wait until all who have asked are heard: who comes after them is answered."""
    for _ in range(3):
        assert site.page("nobody").status_code == 404


def test_who_gives_up_takes_the_page_from_nobody(site: MirrorSite) -> None:
    gate = threading.Event()
    site.upstream.add(DEMO)
    site.upstream.behave(PAGE, Gate(gate))
    with pytest.raises(httpx2.ReadTimeout):
        site.client.get(f"/{site.index}/+simple/demo/", timeout=0.5)
    site.upstream.wait_for(PAGE)
    patient = site.meanwhile(lambda: site.page("demo"))
    gate.set()
    assert [answer.status_code for answer in patient.all()] == [200]
    assert site.upstream.requests.count(PAGE) == 1


def test_a_refresh_shows_at_once_what_is_new(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.add(NEWER)
    answer = site.refresh("demo")
    assert answer.status_code == 302
    assert answer.headers["location"] == "../demo/"
    assert site.filenames("demo") == [DEMO.filename, NEWER.filename]


def test_a_refresh_is_not_content_with_what_was_asked_for_before(
    shared_server: RunningServer,
) -> None:
    gate = threading.Event()
    with a_mirror(shared_server) as site:
        site.upstream.add(DEMO)
        site.page("demo")
        site.change(TOO_OLD)
        site.upstream.behave(PAGE, [Gate(gate)])
        site.page("demo")
        site.upstream.wait_for(PAGE, 2)
        site.upstream.add(NEWER)  # after upstream has begun to answer
        with Connection(site.server.url) as refreshing:
            refreshing.request(f"POST /{site.index}/+simple/demo/refresh")
            _let_in(site)
            gate.set()
            assert refreshing.hear().status == 302
        assert site.filenames("demo") == [DEMO.filename, NEWER.filename]


def test_a_refresh_reaches_the_mirror_behind_a_stage(site: MirrorSite) -> None:
    stage = site.make_stage()
    site.upstream.add(DEMO)
    assert site.filenames("demo", index=stage) == [DEMO.filename]
    site.upstream.add(NEWER)
    assert site.refresh("demo", index=stage).status_code == 302
    assert site.filenames("demo", index=stage) == [DEMO.filename, NEWER.filename]


def test_a_refresh_while_upstream_is_down_says_so_in_a_line(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.unplug()
    answer = site.refresh("demo")
    assert answer.status_code == 502
    message = answer.json()["message"]
    assert f"127.0.0.1:{site.upstream.port} cannot be reached" in message
    assert "\n" not in message
    assert site.filenames("demo") == [DEMO.filename]


def test_a_refresh_of_what_upstream_does_not_have_is_a_404(site: MirrorSite) -> None:
    assert site.refresh("nobody").status_code == 404


def test_the_real_client_refreshes_a_project(site: MirrorSite, tmp_path: Path) -> None:
    terminal, devpi = Terminal(tmp_path / "home"), program("devpi")
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.add(NEWER)
    terminal.must(devpi, "use", f"{site.server.url}/{site.index}")
    assert "Refreshed demo" in terminal.must(devpi, "refresh", "demo")
    assert site.filenames("demo") == [DEMO.filename, NEWER.filename]


def test_the_real_client_is_told_that_a_refresh_failed(site: MirrorSite, tmp_path: Path) -> None:
    terminal, devpi = Terminal(tmp_path / "home"), program("devpi")
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.unplug()
    terminal.must(devpi, "use", f"{site.server.url}/{site.index}")
    finished = terminal.run(devpi, "refresh", "demo")
    assert "Couldn't refresh demo" in finished.sentence
    assert "502" in finished.sentence


def test_what_one_process_has_refreshed_others_show_at_once(tmp_path: Path) -> None:
    with a_site(tmp_path / "data") as one:
        one.upstream.add(DEMO)
        with a_site(tmp_path / "data", upstream=one.upstream) as two:
            assert one.filenames("demo") == two.filenames("demo") == [DEMO.filename]
            assert one.upstream.requests.count(PAGE) == 1
            for version in ("2.0", "3.0", "4.0"):
                added = one.upstream.add(a_wheel("demo", version))
                assert one.refresh("demo").status_code == 302
                assert added.filename in two.filenames("demo")
            assert two.download("demo", added.filename).status_code == 200
