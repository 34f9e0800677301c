"""What is learned from installers that ask for pages, and what it costs."""

import logging
from collections.abc import Mapping
from datetime import date
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest

from simpleindex.gap.learned import Learned, Seen, read_learned
from simpleindex.learning import FILE_NAME, HOST, MISSING, READ, Learner, sightings_of
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.sightings import Sight, Sightings
from tests.gap.test_user_agents import agent
from tests.routes.sites import NOW, V1_JSON, WHEEL, Site, a_site, prepare
from tests.server import running_server

PIP, OLD_PIP = agent(), agent("pip/18.1")
ONCE = Seen(1, 1, date(2026, 11, 22))


class Counting(Sightings):
    """A place where sightings are counted in memory; it may be broken."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), {})
        self.seen: dict[Sight, int] = {}
        self.is_written = Event()
        self.is_broken = False

    def add(self, seen: Mapping[Sight, int], day: date) -> None:
        if self.is_broken:
            raise Unavailable("the disk is full")
        for sight, times in seen.items():
            self.seen[sight] = self.seen.get(sight, 0) + times
        self.is_written.set()


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def learner(counting: Counting) -> Learner:
    return Learner(counting, lambda: NOW)


def asked(counting: Counting, kind: str) -> dict[str, int]:
    return {sight.what: times for sight, times in counting.seen.items() if sight.kind == kind}


def test_hosts_and_what_they_looked_for_are_counted(learner: Learner, counting: Counting) -> None:
    for _ in range(3):
        learner.saw(PIP.encode(), "/root/local/+simple/Flask_Login/", is_found=False)
    learner.saw(PIP.encode(), "/root/local/demo/", is_found=True)
    learner.saw(OLD_PIP.encode(), "/root/local/+simple/demo/", is_found=True)
    assert counting.seen == {}
    learner.write()
    assert asked(counting, MISSING) == {"root/local/flask-login": 3}
    assert sorted(asked(counting, HOST).values()) == [1, 4]
    assert {sight.what for sight in counting.seen if sight.kind == READ} == {"root/local/demo"}


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("Mozilla/5.0", "/root/local/+simple/demo/"),
        (PIP, "/root/local/+simple/"),
        (PIP, "/root/local/+f/abc/0123456789def/demo-1.0.tar.gz"),
        (PIP, "/root/local/+simple/de%20mo/"),
        (PIP, "/ro ot/local/+simple/demo/"),
        (PIP, "/root/local/+simple/\u017fdemo/"),
        (PIP, "/root/local/+simple/" + "x" * 2000 + "/"),
        (PIP + " " * 5000, "/root/local/+simple/demo/"),
    ],
)
def test_what_is_no_installer_or_no_project_is_not_counted(
    who: str, path: str, learner: Learner, counting: Counting
) -> None:
    learner.saw(who.encode(), path, is_found=False)
    learner.write()
    assert counting.seen == {}


def test_requests_that_were_answered_from_memory_are_read_from_their_bytes(
    learner: Learner, counting: Counting
) -> None:
    head = "GET /root/local/+simple/d%65mo/?x HTTP/1.1\r\nHost: x\r\nUSER-agent:  {}\r\n\r\n"
    learner.saw_again(head.format(PIP).encode(), 7)
    learner.saw_again(head.format("curl/8").encode(), 7)
    learner.saw_again(b"GET /root/local/+simple/demo/ HTTP/1.1\r\nHost: x\r\n\r\n", 7)
    learner.write()
    assert asked(counting, READ) == {"root/local/demo": 7}


def test_a_flood_of_names_takes_bounded_memory(learner: Learner, counting: Counting) -> None:
    for number in range(50_000):
        learner.saw(PIP.encode(), f"/root/local/+simple/x{number}/", is_found=False)
    learner.write()
    assert len(asked(counting, MISSING)) == 1_000


def test_what_is_noted_is_counted_a_moment_later_by_itself(counting: Counting) -> None:
    learner = Learner(counting, lambda: NOW, written_seconds=0.01)
    for times in (1, 2):
        learner.saw(PIP.encode(), "/root/local/demo/", is_found=True)
        assert counting.is_written.wait(10)
        counting.is_written.clear()
        assert asked(counting, READ) == {"root/local/demo": times}
    learner.close()


def test_trouble_with_the_disk_is_told_once_and_hurts_nobody(
    learner: Learner, counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    counting.is_broken = True
    for _ in range(3):
        learner.saw(PIP.encode(), "/root/local/demo/", is_found=True)
        learner.write()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    counting.is_broken = False
    learner.saw(PIP.encode(), "/root/local/demo/", is_found=True)
    learner.close()
    assert asked(counting, READ) == {"root/local/demo": 1}


# A whole server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path / "data")
    return tmp_path / "data"


def install(site: Site, path: str, who: str = PIP) -> int:
    return site.get(path, V1_JSON, **{"user-agent": who}).status


def told(learned: Learned) -> list[tuple[str, str, str, int]]:
    return [
        (what, each.project, str(each.target.installer), each.seen.times)
        for what, those in (("missing", learned.missing), ("read", learned.read))
        for each in those
    ]


def test_a_server_learns_targets_and_names_and_keeps_them_over_its_end(folder: Path) -> None:
    for times in (1, 2):
        with a_site(folder) as site:
            site.add(WHEEL)
            assert install(site, "/root/local/+simple/demo/") == 200
            assert install(site, "/root/local/+simple/flask/", OLD_PIP) == 404
            assert install(site, "/root/local/+simple/Demo/") == 302
            assert site.get("/root/local/+simple/nothing/").status == 404  # by nobody who tells
        learned = read_learned(folder)
        assert told(learned) == [
            ("missing", "flask", "pip 18.1", times),
            ("read", "demo", "pip 23.0.1", times),
        ]
        assert [(target.name, seen.times) for target, seen in learned.targets] == [
            ("3.8.18-manylinux_2_36_x86_64", times),
            ("3.8.18-manylinux_2_36_x86_64", times),
        ]
    stored = (folder / FILE_NAME).read_bytes()
    assert b"127.0.0.1" not in stored
    assert b"6.1.0" not in stored  # the release of its kernel


def test_several_processes_learn_together(folder: Path) -> None:
    with a_site(folder) as one, a_site(folder) as other:
        for site in (one, other, other):
            install(site, "/root/local/+simple/flask/")
    assert told(read_learned(folder)) == [("missing", "flask", "pip 23.0.1", 3)]


def test_nothing_is_learned_where_that_is_not_wanted(folder: Path) -> None:
    with a_site(folder, learn=False) as site:
        assert install(site, "/root/local/+simple/flask/") == 404
    assert not (folder / FILE_NAME).exists()
    assert read_learned(folder) == Learned()


def test_a_server_whose_sightings_cannot_be_kept_answers_as_ever(folder: Path) -> None:
    (folder / FILE_NAME).mkdir()
    with a_site(folder) as site:
        assert install(site, "/root/local/+simple/flask/") == 404
        site.add(WHEEL)
        assert install(site, "/root/local/+simple/demo/") == 200


def test_workers_learn_from_answers_that_they_give_from_memory_too(folder: Path) -> None:
    with a_site(folder) as site:
        site.add(WHEEL)
    with running_server(folder, "--workers=2") as server:
        for who in (PIP, OLD_PIP):
            for _ in range(3):  # connections, which the workers share
                connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
                for _ in range(4):
                    connection.request("GET", "/root/local/demo/", headers={"User-Agent": who})
                    assert connection.getresponse().read()
                connection.close()
        assert server.stop() == 0
    assert told(read_learned(folder)) == [
        ("read", "demo", "pip 18.1", 12),
        ("read", "demo", "pip 23.0.1", 12),
    ]


def test_two_systems_with_the_same_c_library_are_one_target(folder: Path) -> None:
    libc = {"lib": "glibc", "version": "2.36"}
    with a_site(folder) as site:
        for name in ("Debian GNU/Linux", "Office Linux"):
            install(site, "/root/local/flask/", agent(distro={"name": name, "libc": libc}))
    ((_, seen),) = read_learned(folder).targets
    assert seen == Seen(2, 1, ONCE.last_day)


def test_what_others_have_written_into_the_file_is_passed_over(folder: Path) -> None:
    sights = (Sight(HOST, "x"), Sight(MISSING, "y", "z"), Sight(READ, "y", PIP))
    sightings_of(folder).add(dict.fromkeys(sights, 1), ONCE.last_day)
    learned = read_learned(folder)
    assert (learned.targets, learned.missing) == ((), ())


def test_whoever_makes_up_hosts_and_names_fills_no_disk(folder: Path) -> None:
    sightings = sightings_of(folder)
    learner = Learner(sightings, lambda: NOW)
    for _ in range(2):
        learner.saw(PIP.encode(), "/root/local/+simple/flask/", is_found=False)
        learner.write()
    for some in range(8):
        for number in range(1_000):
            made_up = agent(cpu=f"z{some}-{number}").encode()
            learner.saw(made_up, f"/root/x{number}/x{some}/", is_found=False)
        learner.write()
    kept = [each.sight for each in sightings.all()]
    assert len([sight for sight in kept if sight.kind == HOST]) == 200
    assert len([sight for sight in kept if sight.kind == MISSING]) == 5_000
    assert (folder / FILE_NAME).stat().st_size < 10_000_000
    # What was asked for twice on the same day stays before what was asked for once.
    assert told(read_learned(folder)) == [("missing", "flask", "pip 23.0.1", 2)]
