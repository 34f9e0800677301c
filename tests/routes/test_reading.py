"""Who may read an index: tried at every door, for the index itself and through others."""

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from simpleindex.access import Authenticator
from simpleindex.routes.asking import in_thread
from simpleindex.wire.credentials import Credentials
from simpleindex_storage.model import Index, StageSettings, User
from simpleindex_storage.names import IndexName, UserName
from simpleindex_storage.ports import Change
from simpleindex_storage.sqlite_transaction import SqliteSnapshot
from tests.asgi import Answer
from tests.builders import BuiltFile, a_wheel, a_zip
from tests.documents import send_documentation, send_result
from tests.routes.sites import DEVPI, NOW, V1_HTML, V1_JSON, MakeSite, Site, a_site, basic

T = TypeVar("T")

# A word that no answer has by chance; whatever has it, has leaked.
SECRET = "hushhush"
WHEEL = a_wheel(SECRET)
OPEN_WHEEL = a_wheel("art")
DOCUMENTATION = BuiltFile(
    f"{SECRET}-1.0.doc.zip", a_zip({"index.html": f"<h1>{SECRET}</h1>".encode()})
)
FILE = f"/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"
ZIP = f"/+f/{DOCUMENTATION.sha256[:3]}/{DOCUMENTATION.sha256[3:16]}/{DOCUMENTATION.filename}"
TEXT = "text/html,application/xhtml+xml"

BELOW_INDEX: list[tuple[str, str | None]] = [
    ("", None),
    ("/", None),
    ("/", V1_JSON),
    ("/", DEVPI),
    ("?no_projects=", DEVPI),
    ("/", TEXT),
    ("/+simple/", V1_HTML),
    ("/+simple/", V1_JSON),
    ("/simple/", None),
    (f"/+simple/{SECRET}/", None),
    (f"/+simple/{SECRET}/", V1_JSON),
    (f"/simple/{SECRET}/", None),
    (f"/{SECRET}/", None),
    (f"/{SECRET}", DEVPI),
    (f"/{SECRET}?ignore_bases=", DEVPI),
    (f"/{SECRET}/1.0", DEVPI),
    (f"/{SECRET}/1.0/+d/", None),
    (f"/{SECRET}/1.0/+doc/index.html", None),
    (f"/{SECRET}/latest/+doc/index.html", None),
    (f"/pypi/{SECRET}/json", None),
    (f"/pypi/{SECRET}/1.0/json", None),
    ("/+search?q=hush", None),
    (FILE, None),
    (FILE, DEVPI),
    (f"{FILE}.metadata", None),
    (ZIP, None),
    (ZIP, DEVPI),
]
"""Every kind of URL below an index that shows something, with what is accepted."""


def fill(site: Site) -> None:
    """`alice/secret`, which only alice (and root) may read, becomes a base of `root/local`.

    It has a project, its documentation and the result of a test. `carol` may read nothing more
    than anybody.
    """
    make_user(site, "carol")
    site.make_index("alice/secret", acl_upload=("alice",), acl_read=())
    site.make_index("root/local", acl_upload=("root",), bases=(IndexName("alice/secret"),))
    assert site.upload(WHEEL, "/alice/secret/", by="alice").status == 200
    sent = send_documentation(site, DOCUMENTATION, "/alice/secret/", by="alice", name=SECRET)
    assert sent.status == 200
    assert send_result(site, f"/alice/secret{FILE}", by="alice").status == 200
    assert site.upload(OPEN_WHEEL).status == 200


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A server that tests may change."""
    site = make_site()
    fill(site)
    return site


@pytest.fixture(scope="module")
def guarded(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same, for tests that only read."""
    folder = tmp_path_factory.mktemp("guarded") / "data"
    shutil.copytree(prepared, folder)
    with a_site(folder) as site:
        fill(site)
        yield site


def make_user(site: Site, name: str) -> None:
    user = User(UserName(name), "no hash", 1, NOW)
    site.change(lambda change: change.put_user(user))


def change_settings(site: Site, name: str, **settings: Any) -> None:
    def work(change: Change) -> None:
        change.put_index(Index(IndexName(name), StageSettings(**settings)))

    site.change(work)


def get(site: Site, target: str, accept: str | None = None, by: str | None = None) -> Answer:
    headers = site.sent_by(by)
    if accept is not None:
        headers["accept"] = accept
    return site.ask("GET", target, headers)


def tells(answer: Answer) -> bool:
    """Whether there is anything of the secret in it."""
    told = answer.body + json.dumps(answer.headers).encode()
    return SECRET.encode() in told or WHEEL.sha256.encode() in told or b"PK" in answer.body[:2]


# Every door


@pytest.mark.parametrize("by", [None, "carol"])
@pytest.mark.parametrize(("below", "accept"), BELOW_INDEX)
def test_nobody_else_sees_anything_of_the_index(
    below: str, accept: str | None, by: str | None, guarded: Site
) -> None:
    answer = get(guarded, f"/alice/secret{below}", accept, by)
    if answer.status == 302:  # to the proper URL, which is asked next
        target = answer.header("location")
        assert target in ("secret/", f"{SECRET}/", "+d/")
        return
    assert answer.status == 403
    assert "alice/secret" in answer.line
    assert "www-authenticate" not in dict(answer.headers)
    assert WHEEL.sha256.encode() not in answer.body


@pytest.mark.parametrize("by", ["alice", "root"])
@pytest.mark.parametrize(("below", "accept"), BELOW_INDEX)
def test_those_who_may_see_it_all(
    below: str, accept: str | None, by: str | None, guarded: Site
) -> None:
    answer = get(guarded, f"/alice/secret{below}", accept, by)
    assert answer.status in (200, 302)
    if answer.status == 200 and not below.startswith(("?", FILE + ".")):
        assert tells(answer)


@pytest.mark.parametrize("by", [None, "carol"])
@pytest.mark.parametrize(("below", "accept"), BELOW_INDEX)
def test_an_index_shows_nothing_of_a_base_that_one_may_not_read(
    below: str, accept: str | None, by: str | None, guarded: Site
) -> None:
    # Somebody who may read it has just made every page be remembered.
    get(guarded, f"/root/local{below}", accept, "alice")
    answer = get(guarded, f"/root/local{below}", accept, by)
    assert answer.status in (200, 302, 404)
    if answer.status == 200:
        assert not tells(answer)
    get(guarded, f"/root/local{below}", accept, "alice")
    assert get(guarded, f"/root/local{below}", accept, by).body == answer.body


@pytest.mark.parametrize("by", ["alice", "root"])
def test_whoever_may_read_the_base_sees_it_through_the_index(by: str, guarded: Site) -> None:
    for target in ("/root/local/+simple/", f"/root/local/+simple/{SECRET}/"):
        get(guarded, target)  # what is remembered for others
        answer = get(guarded, target, by=by)
        assert (answer.status, tells(answer)) == (200, True)
        assert answer.header("cache-control") == "private, no-cache"
        again = get(guarded, target, by=by)
        assert (again.body, again.header("etag")) == (answer.body, answer.header("etag"))
    assert get(guarded, "/root/local/+search?q=hush", by=by).json["total"] == 1
    assert get(guarded, "/root/local/+search?q=hush").json["total"] == 0


def test_an_etag_does_not_tell_what_one_may_not_see(guarded: Site) -> None:
    target = "/root/local/+simple/"
    etag = get(guarded, target, by="alice").header("etag")
    assert etag is not None
    assert guarded.get(target, if_none_match=etag).status == 200
    secret = f"/alice/secret{FILE}"
    etag = get(guarded, secret, by="alice").header("etag")
    assert etag is not None
    for headers in ({"if-none-match": etag}, {"range": "bytes=0-1"}):
        assert guarded.ask("GET", secret, headers).status == 403
        assert guarded.ask("HEAD", secret, headers).status == 403


def test_zipped_pages_are_kept_apart_too(site: Site) -> None:
    for number in range(30):
        many = a_wheel(f"{SECRET}-{number}")
        assert site.upload(many, "/alice/secret/", by="alice").status == 200
    gzip = {"accept-encoding": "gzip"}
    target = "/root/local/+simple/"
    hers = site.ask("GET", target, site.sent_by("alice") | gzip)
    assert hers.header("content-encoding") == "gzip"
    ours = site.ask("GET", target, gzip)
    assert ours.header("content-encoding") is None
    assert not tells(ours)
    again = site.ask("GET", target, site.sent_by("alice") | gzip)
    assert again.body == hers.body


@pytest.mark.parametrize("by", [None, "carol"])
@pytest.mark.parametrize(
    ("target", "accept"), [("/", DEVPI), ("/", TEXT), ("/", None), ("/alice", DEVPI)]
)
def test_lists_tell_no_more_than_that_the_index_is_there(
    target: str, accept: str | None, by: str | None, guarded: Site
) -> None:
    answer = get(guarded, target, accept, by)
    assert answer.status == 200
    assert not tells(answer)
    if accept == TEXT:
        assert "alice/secret" not in answer.text
    else:
        result = answer.json["result"]
        alice = result if target == "/alice" else result["alice"]
        assert alice["indexes"]["secret"] == {"type": "stage"}
        hers = get(guarded, target, accept, "alice").json["result"]
        alice = hers if target == "/alice" else hers["alice"]
        assert alice["indexes"]["secret"]["acl_read"] == []


@pytest.mark.parametrize(
    "below", [FILE, f"{FILE}.metadata", ZIP, "/+simple/", f"/{SECRET}/1.0/+doc/index.html", "/"]
)
def test_a_front_server_hears_who_may_have_a_file(below: str, guarded: Site) -> None:
    asked = {"x-original-uri": f"/alice/secret{below}"}
    for by in (None, "carol"):
        assert guarded.ask("GET", "/+authcheck", guarded.sent_by(by) | asked).status in (401, 403)
    assert guarded.ask("GET", "/+authcheck", guarded.sent_by("alice") | asked).status == 200


@pytest.mark.parametrize("by", [None, "carol", "root"])
def test_nothing_is_pushed_from_an_index_that_one_may_not_read(by: str | None, site: Site) -> None:
    change_settings(site, "root/open", acl_upload=(":ANONYMOUS:",))
    order = {"name": SECRET, "version": "1.0", "targetindex": "root/open"}
    headers = site.sent_by(by, DEVPI) | {"accept": DEVPI}
    answer = site.ask("PUSH", "/alice/secret", headers, json.dumps(order).encode())
    assert answer.status == (200 if by == "root" else 403)
    assert tells(get(site, "/root/open/+simple/")) is (by == "root")


def test_a_result_cannot_be_sent_to_find_out_what_is_there(site: Site) -> None:
    for target in (f"/alice/secret{FILE}", f"/alice/secret{FILE.replace(SECRET, 'other')}"):
        assert send_result(site, target, by=None).status == 403


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("below", ["", f"/{SECRET}", "/other", f"/{SECRET}/1.0", FILE])
def test_whoever_may_not_change_it_learns_nothing_by_trying(
    method: str, below: str, guarded: Site
) -> None:
    headers = guarded.sent_by("carol", DEVPI)
    answer = guarded.ask(method, f"/alice/secret{below}", headers, b'{"yanked": true}')
    assert answer.status in (400, 403, 405)


# What is asked, and what is said


def test_an_index_asks_for_a_password_only_if_it_is_set_so(site: Site) -> None:
    target = "/alice/secret/+simple/"
    assert site.get(target).status == 403
    change_settings(site, "alice/secret", acl_read=(), acl_upload=("alice",), challenge=True)
    answer = site.get(target)
    assert (answer.status, answer.header("www-authenticate")) == (
        401,
        'Basic realm="simpleindex-server"',
    )
    assert get(site, target, by="carol").status == 403
    assert get(site, target, by="alice").status == 200
    assert site.get("/root/local/+simple/").status == 200


def test_a_compressed_page_is_no_longer_everybodys_once_a_base_is_restricted(site: Site) -> None:
    change_settings(site, "alice/secret", acl_upload=("alice",))
    target, name = "/root/local/+simple/many/", "many"
    site.add(*(a_wheel(name, f"1.{minor}") for minor in range(20)))
    zipped = {"accept-encoding": "gzip"}
    public = site.ask("GET", target, zipped)
    assert (public.header("content-encoding"), public.header("cache-control")) == (
        "gzip",
        "no-cache",
    )
    change_settings(site, "alice/secret", acl_upload=("alice",), acl_read=())
    assert site.ask("GET", target, zipped).header("cache-control") == "private, no-cache"
    assert site.upload(a_wheel(name, "2.0"), "/alice/secret/", by="alice").status == 200
    assert site.ask("GET", target, zipped).body == public.body
    seen = site.ask("GET", target, zipped | site.sent_by("alice"))
    assert b"many-2.0-py3-none-any.whl" in gzip.decompress(seen.body)


def test_files_of_a_restricted_index_are_kept_by_nobody_but_the_reader(site: Site) -> None:
    secret = get(site, f"/alice/secret{FILE}", by="alice")
    assert secret.header("cache-control") == "private, max-age=31536000, immutable"
    open_file = f"/+f/{OPEN_WHEEL.sha256[:3]}/{OPEN_WHEEL.sha256[3:16]}/{OPEN_WHEEL.filename}"
    public = get(site, f"/root/local{open_file}")
    assert public.header("cache-control") == "public, max-age=31536000, immutable"


def test_a_change_of_the_rights_counts_at_once(site: Site) -> None:
    targets = [
        f"/alice/secret{FILE}",
        "/alice/secret/+simple/",
        f"/alice/secret/+simple/{SECRET}/",
        f"/alice/secret/pypi/{SECRET}/json",
    ]
    through = f"/root/local/+simple/{SECRET}/"
    for acl, status in [((":ANONYMOUS:",), 200), ((), 403), ((":ANONYMOUS:",), 200), ((), 403)]:
        change_settings(site, "alice/secret", acl_upload=("alice",), acl_read=acl)
        assert {site.get(target).status for target in targets} == {status}
        assert site.get(through).status == (404 if acl == () else 200)


def test_the_rights_are_set_as_devpi_client_sets_them(site: Site) -> None:
    headers = site.sent_by("root", DEVPI) | {"accept": DEVPI}
    changes = ["acl_read=carol", "challenge=true", 'acl_project_upload={"De_mo*": ["carol"]}']
    answer = site.ask("PATCH", "/alice/secret", headers, json.dumps(changes).encode())
    assert answer.status == 200
    result = answer.json["result"]
    assert (result["acl_read"], result["challenge"]) == (["carol"], True)
    assert result["acl_project_upload"] == {"de-mo*": ["carol"]}
    assert get(site, "/alice/secret/+simple/", by="carol").status == 200
    more = {"acl_project_upload": {"x": "alice,carol"}, "acl_read": [":anonymous:"]}
    answer = site.ask("PATCH", "/alice/secret", headers, json.dumps(more).encode())
    assert answer.json["result"]["acl_project_upload"] == {"x": ["alice", "carol"]}
    assert answer.json["result"]["acl_read"] == [":ANONYMOUS:"]
    assert site.get("/alice/secret/+simple/").status == 200


@pytest.mark.parametrize(
    "value", ['"a*"', "[]", '{"a/b": ["alice"]}', '{"a": 1}', '{"a": [1]}', '{"": ["alice"]}']
)
def test_rights_that_make_no_sense_are_refused(value: str, guarded: Site) -> None:
    headers = guarded.sent_by("root", DEVPI)
    body = f'{{"acl_project_upload": {value}}}'.encode()
    assert guarded.ask("PATCH", "/alice/secret", headers, body).status == 400


# What it costs


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of users whose credentials were looked at."""
    users: list[str] = []
    recognise = Authenticator.recognise

    def noting(self: Authenticator, credentials: Credentials, *rest: Any) -> Any:
        users.append(credentials.user)
        return recognise(self, credentials, *rest)

    monkeypatch.setattr(Authenticator, "recognise", noting)
    yield users


@pytest.mark.parametrize(
    "target",
    [
        "/root/open/+simple/",
        "/root/open/+simple/art/",
        "/root/open/pypi/art/json",
        "/root/open/+search?q=a",
        f"/root/open/+f/{OPEN_WHEEL.sha256[:3]}/{OPEN_WHEEL.sha256[3:16]}/{OPEN_WHEEL.filename}",
    ],
)
def test_where_all_may_read_nobodys_credentials_are_looked_at(
    target: str, site: Site, asked: list[str]
) -> None:
    site.add(OPEN_WHEEL, index="root/open")
    for _ in range(3):
        assert get(site, target, by="alice").status == 200
    assert asked == []


def test_credentials_are_looked_at_once_for_each_request_where_it_matters(
    site: Site, asked: list[str]
) -> None:
    target = f"/root/local/+simple/{SECRET}/"
    assert get(site, target, by="alice").status == 200
    assert asked == ["alice"]
    assert get(site, target).status == 404
    assert asked == ["alice"]


def test_a_file_of_an_open_index_costs_no_look_at_the_index(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"/root/local/+f/{OPEN_WHEEL.sha256[:3]}/{OPEN_WHEEL.sha256[3:16]}"
    assert site.get(f"{target}/{OPEN_WHEEL.filename}").status == 200
    looks: list[IndexName] = []
    monkeypatch.setattr(SqliteSnapshot, "index", lambda _, name: looks.append(name))
    assert site.get(f"{target}/{OPEN_WHEEL.filename}").status == 200
    assert looks == []


@pytest.mark.parametrize("below", [f"/+simple/{SECRET}/", FILE, f"{FILE}.metadata"])
def test_who_need_not_be_hashed_is_shown_what_is_closed_in_one_hop(
    below: str, guarded: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops: list[object] = []

    async def counted(job: Callable[[], T]) -> T:
        hops.append(job)
        return await in_thread(job)

    for room in ("readers", "doorkeeper"):
        monkeypatch.setattr(f"simpleindex.routes.{room}.in_thread", counted)
    assert get(guarded, f"/alice/secret{below}", by="alice").status == 200
    assert len(hops) == 1


# Tokens


@pytest.mark.parametrize(
    ("limits", "page", "listed", "documents"),
    [
        pytest.param({}, 200, 200, 200, id="without limits"),
        pytest.param({"actions": ["read"]}, 200, 200, 200, id="for reading"),
        pytest.param({"actions": ["upload"]}, 403, 403, 403, id="for uploads"),
        pytest.param({"indexes": ["alice/*"]}, 200, 200, 200, id="for the index"),
        pytest.param({"indexes": ["root/*"]}, 403, 403, 403, id="for others"),
        pytest.param({"projects": [f"{SECRET[:3]}*"]}, 200, 403, 403, id="for the project"),
        pytest.param({"projects": ["art"]}, 403, 403, 403, id="for another project"),
    ],
)
def test_a_token_opens_what_it_is_for(
    limits: dict[str, Any], page: int, listed: int, documents: int, guarded: Site
) -> None:
    headers = guarded.sent_by("alice", DEVPI)
    made = guarded.ask("POST", "/alice/+tokens", headers, json.dumps(limits).encode())
    assert made.status == 201
    robot = {"authorization": basic("__token__", made.json["result"]["token"])}
    for below in (f"/+simple/{SECRET}/", FILE, f"/pypi/{SECRET}/json", f"{FILE}.metadata"):
        assert guarded.ask("GET", f"/alice/secret{below}", robot).status == page
    for below in ("/+simple/", "/+search?q=hush"):
        assert guarded.ask("GET", f"/alice/secret{below}", robot).status == listed
    assert guarded.ask("GET", f"/alice/secret{ZIP}", robot).status == documents
    through = guarded.ask("GET", f"/root/local/+simple/{SECRET}/", robot)
    assert through.status == (200 if page == 200 else 404)


def test_a_line_that_refuses_names_the_reader_and_what_would_help(site: Site) -> None:
    line = get(site, "/alice/secret/+simple/", by="carol").line
    assert re.fullmatch(
        r"user carol may not read .* alice/secret; its acl_read names who may", line
    )
