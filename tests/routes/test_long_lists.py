"""Lists of very many projects of our own: made while they are sent, and never whole in memory."""

import gzip
import http.client
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpleindex import library
from simpleindex.reading import ANY_READER
from simpleindex.wire import simple_html, simple_json
from simpleindex_storage import catalog_sql
from simpleindex_storage.model import Actor, Index, Release, StageSettings
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Change
from simpleindex_storage.sqlite_file import CATALOG_FILE, connect
from tests.asgi import Answer
from tests.routes.sites import V1_HTML, V1_JSON, MakeSite, Site, a_site, elsewhere, prepare
from tests.server import RunningServer, running_server

LOCAL, BASE = IndexName("root/local"), IndexName("root/base")
LIST = f"/{LOCAL}/+simple/"
SHORT_MAX = 5_000

forms = pytest.mark.parametrize("form", [V1_JSON, V1_HTML])


def put_projects(site: Site, index: IndexName, numbers: range) -> None:
    """Make projects without files, all in one change."""
    names = [ProjectName(f"p{number:06}") for number in numbers]
    releases = [Release(index, name, "1.0", {"name": name, "version": "1.0"}) for name in names]

    def put(change: Change) -> None:
        for release in releases:
            change.put_release(release, release.project)

    site.change(put)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`root/local` and its base have many projects each, some of them the same."""
    folder = tmp_path_factory.mktemp("long") / "data"
    prepare(folder)
    with a_site(folder) as site:
        site.make_index(BASE)
        site.make_index(LOCAL, bases=(BASE,), acl_upload=("root",))
        put_projects(site, LOCAL, range(4_000))
        put_projects(site, BASE, range(2_000, 6_001))
        put_projects(site, LOCAL, range(100))
        yield site


def made_whole(site: Site, form: str) -> bytes:
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        page = library.shown_projects(seen, library.look(seen, LOCAL, ANY_READER))
    if form == V1_JSON:
        return simple_json.render_list(page)
    return simple_html.render_list(page)


@forms
def test_a_long_list_is_the_same_as_if_it_were_made_whole(form: str, long: Site) -> None:
    answer = long.get(LIST, form)
    assert (answer.status, answer.header("content-type")) == (200, form)
    assert answer.body == made_whole(long, form)


def test_a_project_of_several_indexes_is_listed_once_with_its_last_change(long: Site) -> None:
    page = long.get(LIST, V1_JSON).json
    listed = [project["name"] for project in page["projects"]]
    assert listed == [f"p{number:06}" for number in range(6_001)]
    serials = {project["name"]: project["_last-serial"] for project in page["projects"]}
    again = page["meta"]["_last-serial"]
    base, local = again - 1, again - 2
    told = [serials[f"p{number:06}"] for number in (0, 99, 100, 1_999, 2_000, 6_000)]
    assert told == [again, again, local, local, base, base]


@forms
def test_a_long_list_is_whole_under_gzip(form: str, long: Site) -> None:
    packed = long.get(LIST, form, **{"accept-encoding": "gzip"})
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == made_whole(long, form)


@forms
def test_a_long_list_is_not_sent_to_who_has_it(form: str, long: Site) -> None:
    etag = long.get(LIST, form).header("etag")
    assert etag is not None
    known = long.get(LIST, form, **{"if-none-match": etag})
    assert (known.status, known.body, known.header("etag")) == (304, b"", etag)
    head = long.ask("HEAD", LIST, {"accept": form})
    assert (head.status, head.body, head.header("etag")) == (200, b"", etag)


def test_forms_and_encodings_of_a_long_list_have_tags_of_their_own(long: Site) -> None:
    below = f"/{LOCAL}/"  # where the links of the HTML form are others
    asked = [(LIST, V1_JSON), (LIST, V1_HTML), (below, V1_HTML)]
    tags = [
        long.get(target, form, **{"accept-encoding": encoding}).header("etag")
        for target, form in asked
        for encoding in ("identity", "gzip")
    ]
    assert len(set(tags)) == len(tags) == 6
    assert f'href="+simple/p{0:06}/"' in long.get(below, V1_HTML).text


@forms
def test_a_list_that_grows_long_is_told_anew_with_each_project(
    form: str, make_site: MakeSite
) -> None:
    site = make_site()
    site.make_index(LOCAL)
    tags: set[str | None] = set()
    for count in (SHORT_MAX - 1, SHORT_MAX, SHORT_MAX + 1, SHORT_MAX + 2):
        put_projects(site, LOCAL, range(count - 1, count) if tags else range(count))
        before = len(tags)
        answer = site.get(LIST, form)
        assert answer.body == made_whole(site, form)
        assert names_in(answer) == count
        tags.add(answer.header("etag"))
        assert len(tags) == before + 1
        assert site.get(LIST, form).header("etag") in tags


def test_a_long_list_shows_nobody_what_they_may_not_read(make_site: MakeSite) -> None:
    site = make_site()
    site.make_index(BASE, acl_read=("alice",))
    site.make_index(LOCAL, bases=(BASE,))
    put_projects(site, LOCAL, range(SHORT_MAX + 1))
    put_projects(site, BASE, range(SHORT_MAX + 1, SHORT_MAX + 10))
    by_nobody = site.get(LIST, V1_JSON)
    by_alice = site.get(LIST, V1_JSON, **site.sent_by("alice"))
    assert (names_in(by_nobody), names_in(by_alice)) == (SHORT_MAX + 1, SHORT_MAX + 10)
    assert by_nobody.header("etag") != by_alice.header("etag")
    for answer in (by_nobody, by_alice):
        assert answer.header("cache-control") == "private, no-cache"


def names_in(answer: Answer) -> int:
    return len(re.findall(rb"p[0-9]{6}(?=[\"<])", answer.body))


PROJECTS = 200_000
GROWTH_BYTES_MAX = 8 << 20
"""Less than one of the lists has, of which four are asked for one after the other."""
RESIDENT_BYTES_MAX = 128_000_000


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("huge") / "data"
    prepare(folder)
    with elsewhere(folder) as store:
        index = Index(LOCAL, StageSettings())
        store.catalog.change(lambda it: it.put_index(index), by=Actor("root"), what="test")
    connection = connect(folder / CATALOG_FILE)
    connection.execute("BEGIN")
    rows = ((LOCAL, f"p{number:06}", f"p{number:06}", 1) for number in range(PROJECTS))
    connection.executemany(catalog_sql.PUT_PROJECT, rows)
    connection.execute("COMMIT")
    connection.close()
    with running_server(folder, "--no-access-log") as server:
        yield server


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_lists_of_200_000_projects_take_little_memory(huge: RunningServer) -> None:
    assert count_names(huge, V1_JSON, at_most_bytes=1) == 0  # what a first request loads
    before = resident_bytes(huge, "VmRSS")
    for form in (V1_JSON, V1_HTML):
        for encoding in ("identity", "gzip"):
            assert count_names(huge, form, encoding) == PROJECTS
    highest = resident_bytes(huge, "VmHWM")
    assert highest - before < GROWTH_BYTES_MAX
    assert highest < RESIDENT_BYTES_MAX


def test_a_client_who_leaves_a_long_list_leaves_nothing_behind(huge: RunningServer) -> None:
    for _ in range(3):
        count_names(huge, V1_JSON, at_most_bytes=1_000)
    assert count_names(huge, V1_JSON) == PROJECTS
    assert "Traceback" not in huge.log.read_text("utf-8")


def count_names(
    server: RunningServer, form: str, encoding: str = "identity", at_most_bytes: int | None = None
) -> int:
    """Read a list as it comes, and leave after so many bytes; how many whole names were in it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", LIST, headers={"accept": form, "accept-encoding": encoding})
    answer = connection.getresponse()
    assert answer.status == 200
    body = answer.read(at_most_bytes)
    connection.close()
    if at_most_bytes is None and encoding == "gzip":
        body = gzip.decompress(body)
    return len(re.findall(rb"p[0-9]{6}(?=[\"<])", body)) if at_most_bytes is None else 0


def resident_bytes(server: RunningServer, field: str) -> int:
    """Of the process: what it holds now (VmRSS), or what it held at most (VmHWM)."""
    status = Path(f"/proc/{server.process.pid}/status").read_text("ascii")
    found = re.search(rf"{field}:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1]) << 10
