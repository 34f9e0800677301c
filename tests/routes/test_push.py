"""PUSH: releases that go to another index, here and elsewhere."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from simpleindex.pushing import posting
from simpleindex.pushing.cargo import load
from simpleindex.pushing.posting import Patience
from simpleindex.upstream.addresses import Addresses
from simpleindex.wire.push_json import OtherServer
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.files_disk import DiskFiles
from simpleindex_storage.model import (
    Actor,
    ApiToken,
    Attachment,
    DistFile,
    Event,
    Index,
    MirrorSettings,
    ProjectStatus,
    Release,
    Upload,
)
from simpleindex_storage.names import IndexName, UserName, parse_project_name
from simpleindex_storage.ports import Arrival
from simpleindex_storage.store import Store
from simpleindex_storage.upkeep import mark_project, yank_release
from tests.asgi import Answer
from tests.builders import (
    A_SIGNATURE,
    BuiltFile,
    a_provenance,
    a_statement,
    a_wheel,
    a_zip,
    an_attestation,
    an_egg,
    an_sdist,
    an_upload_body,
)
from tests.documents import TOX_RESULT, send_documentation, send_result
from tests.listening import listening
from tests.routes.sites import DEVPI, NOW, WHEEL, MakeSite, Site, basic, elsewhere
from tests.server import free_port

LOCAL, PROD = IndexName("root/local"), IndexName("root/prod")
DEMO = parse_project_name("demo")
SDIST = an_sdist()
CHANGED = a_wheel(extra_files={"demo/changed.py": b"changed"})


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A server that may send to servers on this computer."""
    return make_site(private_upstreams=("127.0.0.1",))


def push(
    site: Site,
    *,
    source: str = "/root/local",
    by: str | None = "root",
    method: str = "PUSH",
    **content: Any,
) -> Answer:
    order = {"name": "demo", "version": "1.0", "targetindex": "root/prod"} | content
    body = json.dumps({key: value for key, value in order.items() if value is not None}).encode()
    return site.ask(method, source, site.sent_by(by, DEVPI) | {"accept": DEVPI}, body)


def url_of(built: BuiltFile, index: str = "root/local") -> str:
    return f"/{index}/+f/{built.sha256[:3]}/{built.sha256[3:16]}/{built.filename}"


def files_in(site: Site, index: IndexName = PROD) -> dict[str, DistFile]:
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        return {file.filename: file for file in seen.files(index, DEMO)}


def attached_in(site: Site, index: IndexName = PROD) -> tuple[Attachment, ...]:
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        return seen.attachments(index, DEMO)


def release_in(site: Site, index: IndexName = PROD) -> Release | None:
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        return seen.release(index, DEMO, "1.0")


def indexes(site: Site, **settings: Any) -> None:
    site.make_index("root/local", volatile=False, acl_upload=("root",))
    site.make_index("root/prod", **({"volatile": False, "acl_upload": ("root",)} | settings))


# To another index


@pytest.mark.parametrize("method", ["PUSH", "POST"])
def test_a_push_brings_all_files_and_tells_each(method: str, site: Site) -> None:
    indexes(site)
    site.add(WHEEL, SDIST)
    answer = push(site, method=method)
    assert (answer.status, answer.json["type"]) == (200, "actionlog")
    assert answer.header("content-type") == DEVPI
    assert answer.json["result"] == [
        [200, "register", "demo", "1.0", "->", "root/prod"],
        [200, "store_releasefile", url_of(WHEEL, "root/prod")[1:]],
        [200, "store_releasefile", url_of(SDIST, "root/prod")[1:]],
    ]
    for built in (WHEEL, SDIST):
        assert site.get(url_of(built, "root/prod")).body == built.content
        here, there = (site.folder / "files" / url_of(built, it)[1:] for it in (LOCAL, PROD))
        assert here.samefile(there)
    assert set(files_in(site, LOCAL)) == {WHEEL.filename, SDIST.filename}


def test_history_yanks_signature_and_provenance_come_along(site: Site) -> None:
    indexes(site)
    content_type, body = an_upload_body(
        WHEEL, attestations=json.dumps([an_attestation(a_statement(WHEEL))])
    )
    assert site.ask("POST", "/root/local/", site.sent_by("root", content_type), body).status == 200
    site.change(lambda it: yank_release(it, LOCAL, DEMO, "1.0", "broken"))
    assert push(site).status == 200
    source, arrived = files_in(site, LOCAL)[WHEEL.filename], files_in(site)[WHEEL.filename]
    assert arrived.yanked == "broken"
    assert arrived.uploaded_at == source.uploaded_at
    assert arrived.provenance_sha256 == source.provenance_sha256 is not None
    beside = f"{url_of(WHEEL, 'root/prod')}.provenance"
    assert site.get(beside).body == site.get(beside.replace("prod", "local")).body
    assert [(entry.what, entry.who, entry.source, entry.target) for entry in arrived.log] == [
        (Event.UPLOAD, "root", None, LOCAL),
        (Event.PUSH, "root", LOCAL, PROD),
    ]
    assert arrived.log[-1].when == NOW


def test_a_signature_comes_along(site: Site) -> None:
    indexes(site)
    with elsewhere(site.folder) as store:
        _add_signed(store)
    assert push(site).status == 200
    assert site.get(f"{url_of(WHEEL, 'root/prod')}.asc").body == A_SIGNATURE


def _add_signed(store: Store) -> None:
    with store.stage() as draft:
        draft.write(WHEEL.content)
        provenance = a_provenance(an_attestation(a_statement(WHEEL)))
        upload = Upload(LOCAL, WHEEL.filename, "root", signature=A_SIGNATURE, provenance=provenance)
        store.admit([(upload, draft.finish())], by=Actor("root"))


def test_what_is_said_of_a_release_and_its_display_name_are_copied(site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    said = Release(LOCAL, DEMO, "1.0", {"name": "De.Mo", "version": "1.0", "summary": "said anew"})
    site.change(lambda it: it.put_release(said, "De.Mo"))
    assert push(site).json["result"][0] == [200, "register", "De.Mo", "1.0", "->", "root/prod"]
    arrived = release_in(site)
    assert arrived is not None
    assert arrived.fields == said.fields
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        project = seen.project(PROD, DEMO)
    assert project is not None
    assert project.display_name == "De.Mo"


def test_results_and_documentation_come_along(site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    send_result(site, url_of(WHEEL))
    send_documentation(site)
    answer = push(site)
    assert [line[1] for line in answer.json["result"]] == [
        "register", "store_releasefile", "store_toxresult", "store_doczip",
    ]  # fmt: skip
    assert answer.json["result"][-1] == [200, "store_doczip", "demo", "1.0", "->", "root/prod"]
    path = answer.json["result"][2][2]
    assert path == f"{url_of(WHEEL, 'root/prod')[1:]}.toxresult-20261122130246-0"
    assert site.get(f"/{path}").json == TOX_RESULT
    assert site.get("/root/prod/demo/1.0/+doc/").status == 200
    for attached in attached_in(site):
        assert [entry.what for entry in attached.log] == [Event.UPLOAD, Event.PUSH]


@pytest.mark.parametrize(
    ("option", "steps"),
    [
        ("no_docs", ["register", "store_releasefile"]),
        ("only_docs", ["register", "store_doczip"]),
    ],
)
def test_documentation_may_stay_or_go_alone(option: str, steps: list[str], site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    send_documentation(site)
    chosen: dict[str, Any] = {option: True}
    answer = push(site, **chosen)
    assert [line[1] for line in answer.json["result"]] == steps
    assert bool(files_in(site)) == (option == "no_docs")
    assert bool(attached_in(site)) == (option == "only_docs")
    source, arrived = release_in(site, LOCAL), release_in(site)
    assert source is not None
    assert arrived is not None
    assert arrived.fields == source.fields


def test_to_push_the_same_again_is_fine_and_changes_nothing(site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    send_result(site, url_of(WHEEL))
    send_documentation(site)
    push(site)
    before = site.stored()
    again = push(site)
    assert again.status == 200
    assert again.json["result"][1][-1] == "(already there)"
    assert site.stored() == before


def test_what_came_later_follows_with_the_next_push(site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    push(site)
    site.add(SDIST)
    send_result(site, url_of(WHEEL))
    assert push(site).status == 200
    assert set(files_in(site)) == {WHEEL.filename, SDIST.filename}
    assert len(attached_in(site)) == 1


def test_one_file_that_is_refused_keeps_all_away(site: Site) -> None:
    indexes(site)
    site.add(WHEEL, SDIST)
    send_documentation(site)
    site.add(CHANGED, index="root/prod")
    before = site.stored()
    refusal = push(site)
    assert refusal.status == 409
    assert f"File already exists: {WHEEL.filename}" in refusal.line
    assert site.stored() == before


def test_documentation_that_is_refused_keeps_the_files_away(site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    send_documentation(site)
    other = BuiltFile("demo-1.0.doc.zip", a_zip({"index.html": b"other"}))
    send_documentation(site, other, "/root/prod/")
    before = site.stored()
    refusal = push(site)
    assert refusal.status == 409
    assert "documentation" in refusal.line
    assert site.stored() == before
    assert push(site, no_docs=True).status == 200


def test_a_full_disk_keeps_all_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes(site)
    site.add(WHEEL, SDIST)
    before = site.stored()
    publish_all = DiskFiles.publish_all

    def publish_the_first(files: DiskFiles, arrivals: Sequence[Arrival]) -> None:
        assert len(arrivals) == 2
        publish_all(files, arrivals[:1])
        raise Unavailable("the disk is full", full=True)

    monkeypatch.setattr(DiskFiles, "publish_all", publish_the_first)
    assert push(site).status == 507
    monkeypatch.undo()
    assert site.stored() == before


def test_a_volatile_target_lets_files_be_replaced(site: Site) -> None:
    indexes(site, volatile=True)
    site.add(WHEEL)
    site.add(CHANGED, index="root/prod")
    assert push(site).status == 200
    assert files_in(site)[WHEEL.filename].sha256 == WHEEL.sha256
    assert [entry.what for entry in files_in(site)[WHEEL.filename].log] == [
        Event.OVERWRITE, Event.UPLOAD, Event.PUSH,
    ]  # fmt: skip


def test_what_was_overwritten_in_the_source_is_not_told_in_the_target(site: Site) -> None:
    site.make_index("root/local", volatile=True, acl_upload=("root",))
    site.make_index("root/prod", volatile=False, acl_upload=("root",))
    site.add(WHEEL, CHANGED)
    push(site)
    log = files_in(site)[WHEEL.filename].log
    assert [entry.what for entry in log] == [Event.UPLOAD, Event.PUSH]


def test_a_strict_target_refuses_what_a_lenient_source_has_unless_it_is_there(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",), strict_archives=False)
    site.make_index("root/prod", volatile=False, acl_upload=("root",), strict_archives=True)
    egg = an_egg()
    site.add(WHEEL, egg)
    before = site.stored()
    refusal = push(site)
    assert refusal.status == 400
    assert egg.filename in refusal.line
    assert "strict_archives=False" in refusal.line
    assert site.stored() == before

    site.make_index("root/prod", volatile=False, acl_upload=("root",), strict_archives=False)
    assert push(site).status == 200
    site.make_index("root/prod", volatile=False, acl_upload=("root",), strict_archives=True)
    assert push(site).status == 200


def test_files_of_bases_are_not_the_indexs_own(site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    site.make_index("root/dev", bases=(LOCAL,))
    assert push(site, source="/root/dev").status == 400


def test_a_version_may_be_spelled_in_several_ways(site: Site) -> None:
    indexes(site)
    longer = a_wheel(version="1.0.0")
    site.add(SDIST, longer)
    assert push(site, name="DEMO", version="v1.0").status == 200
    assert set(files_in(site)) == {SDIST.filename, longer.filename}


# Who may, and what is refused


@pytest.mark.parametrize(
    ("by", "target", "status"),
    [
        (None, "root/prod", 401),
        ("alice", "root/prod", 403),
        ("root", "root/far", 403),
        ("root", "root/none", 404),
        (None, "root/none", 404),
        ("root", "prod", 400),
    ],
)
def test_who_may_not_upload_to_the_target_may_not_push(
    by: str | None, target: str, status: int, site: Site
) -> None:
    indexes(site)
    site.change(lambda it: it.put_index(Index(IndexName("root/far"), MirrorSettings())))
    site.add(WHEEL)
    before = site.stored()
    refusal = push(site, by=by, targetindex=target)
    assert refusal.status == status
    assert refusal.line
    assert refusal.header("location") is None
    assert site.stored() == before


def test_anybody_may_push_where_anybody_may_upload(site: Site) -> None:
    indexes(site, acl_upload=(":ANONYMOUS:",))
    site.add(WHEEL)
    assert push(site, by=None).status == 200
    assert files_in(site)[WHEEL.filename].log[-1].who is None


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"name": "other"}, 400),
        ({"version": "2.0"}, 400),
        ({"version": None}, 400),
        ({"only_docs": True}, 404),
        ({"only_docs": True, "no_docs": True}, 400),
        ({"extra": 1}, 400),
    ],
    ids=str,
)
def test_what_is_not_there_cannot_be_pushed(
    content: Mapping[str, Any], status: int, site: Site
) -> None:
    indexes(site)
    site.add(WHEEL)
    before = site.stored()
    assert push(site, **content).status == status
    assert site.stored() == before


def test_a_release_without_files_is_nothing_to_push(site: Site) -> None:
    indexes(site)
    bare = Release(LOCAL, DEMO, "1.0", {"name": "demo", "version": "1.0"})
    site.change(lambda it: it.put_release(bare, "demo"))
    assert push(site).status == 404


def test_an_index_that_is_not_there_has_nothing_to_push(site: Site) -> None:
    assert push(site, source="/root/none").status == 404
    assert push(site, source="/root/%20").status == 404


@pytest.mark.parametrize(
    ("index", "status"), [(LOCAL, ProjectStatus.QUARANTINED), (PROD, ProjectStatus.ARCHIVED)]
)
def test_closed_projects_neither_give_nor_take(
    index: IndexName, status: ProjectStatus, site: Site
) -> None:
    indexes(site)
    site.add(WHEEL)
    site.add(a_wheel(version="0.1"), index="root/prod")
    site.change(lambda it: mark_project(it, index, DEMO, status, None))
    before = site.stored()
    assert push(site).status == 400
    assert site.stored() == before


def test_what_one_may_not_read_one_may_not_push(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",), acl_read=("root",))
    site.make_index("alice/dev", acl_upload=("alice",))
    site.add(WHEEL)
    before = site.stored()
    assert push(site, by="alice", targetindex="alice/dev").status == 403
    assert site.stored() == before


# To another server


@dataclass
class Receiver:
    """An index elsewhere that answers as it is told to, and keeps what it got."""

    url: str = ""
    status: int = 200
    reason: str = "OK"
    headers: Mapping[str, str] = field(default_factory=dict)
    received: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)


@contextmanager
def a_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(receiver.status, receiver.reason)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/legacy/"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


def post(site: Site, url: str, *, by: str | None = "root", **content: Any) -> Answer:
    account = {"username": "deploy", "password": "far-secret"}
    return push(site, by=by, targetindex=None, posturl=url, **(account | content))


def test_another_server_of_ours_takes_a_whole_release(make_site: MakeSite, tmp_path: Any) -> None:
    site = make_site(private_upstreams=("127.0.0.1",))
    indexes(site)
    site.add(WHEEL, SDIST)
    send_documentation(site)
    # The server that pushes listens too: both are in this process, each in a loop of its own.
    with listening(site.app) as url:
        answer = post(site, f"{url}/root/prod/", username="root", password="rootpw")
    assert (answer.status, answer.json["type"]) == (200, "actionlog")
    assert answer.json["result"] == [
        [200, "upload", url_of(WHEEL)[1:]],
        [200, "upload", url_of(SDIST)[1:]],
        [200, "docfile", "demo"],
    ]
    assert set(files_in(site)) == {WHEEL.filename, SDIST.filename}
    assert site.get("/root/prod/demo/1.0/+doc/").status == 200
    source, arrived = release_in(site, LOCAL), release_in(site)
    assert source is not None
    assert arrived is not None
    assert arrived.fields == source.fields


def test_each_file_is_sent_as_twine_would(site: Site, receiver: Receiver) -> None:
    indexes(site)
    site.add(WHEEL)
    assert post(site, receiver.url, register_project=True).status == 200
    (registration, said), (upload, form) = receiver.received
    for headers in (registration, upload):
        assert headers["authorization"] == basic("deploy", "far-secret")
        assert headers["user-agent"].startswith("simpleindex-server/")
    assert registration["content-type"] == "application/x-www-form-urlencoded"
    assert b"%3Aaction=submit" in said
    assert upload["content-type"].startswith("multipart/form-data; boundary=")
    assert int(upload["content-length"]) == len(form)
    assert "transfer-encoding" not in upload
    assert WHEEL.content in form
    assert WHEEL.sha256.encode() in form


def test_no_log_has_the_password_for_the_other_server(
    site: Site, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    indexes(site)
    site.add(WHEEL)
    assert post(site, receiver.url, register_project=True).status == 200
    sent = receiver.received[0][0]["authorization"].partition(" ")[2]
    assert "push of demo 1.0" in caplog.text
    assert "far-secret" not in caplog.text
    assert sent not in caplog.text


def test_a_large_file_is_read_as_it_is_sent(site: Site, receiver: Receiver) -> None:
    indexes(site)
    large = a_wheel(extra_files={"demo/data.bin": b"x" * (4 << 20)})
    site.add(large)
    assert post(site, receiver.url).status == 200
    assert large.content in receiver.received[0][1]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int, site: Site, receiver: Receiver) -> None:
    indexes(site)
    site.add(WHEEL)
    with a_receiver() as elsewhere_yet:
        receiver.status, receiver.reason = status, "Moved"
        receiver.headers = {"location": elsewhere_yet.url}
        answer = post(site, receiver.url)
        assert elsewhere_yet.received == []
    assert answer.status == 502
    assert answer.json["result"] == [[status, "upload", url_of(WHEEL)[1:], "Moved"]]


def test_the_first_refusal_ends_the_push_and_is_told(site: Site, receiver: Receiver) -> None:
    indexes(site)
    site.add(WHEEL, SDIST)
    receiver.status, receiver.reason = 403, "no such\x1b account"
    answer = post(site, receiver.url)
    assert answer.status == 502
    (line,) = answer.json["result"]
    assert line[:3] == [403, "upload", url_of(WHEEL)[1:]]
    assert line[3].startswith("no such") and line[3].isprintable()
    assert "far-secret" not in answer.text


def test_a_server_that_knows_no_registration_still_gets_files(
    site: Site, receiver: Receiver
) -> None:
    indexes(site)
    site.add(WHEEL)
    receiver.status, receiver.reason = 410, "Gone"
    answer = post(site, receiver.url, register_project=True)
    assert [line[:2] for line in answer.json["result"]] == [[410, "register"], [410, "upload"]]
    assert answer.status == 502


def test_a_server_that_cannot_be_reached_is_told(site: Site, caplog: Any) -> None:
    indexes(site)
    site.add(WHEEL)
    answer = post(site, f"http://127.0.0.1:{free_port()}/")
    assert answer.status == 502
    (line,) = answer.json["result"]
    assert line == [502, "upload", url_of(WHEEL)[1:], "the other server cannot be reached"]
    assert "far-secret" not in answer.text + caplog.text


def test_a_server_that_is_silent_is_given_up(site: Site) -> None:
    site.add(WHEEL)
    with socket.create_server(("127.0.0.1", 0)) as listener, elsewhere(site.folder) as store:
        with store.catalog.snapshot() as seen:
            cargo = load(seen, LOCAL, DEMO, "1.0")
        server = OtherServer(f"http://127.0.0.1:{listener.getsockname()[1]}/", "alice", "secret")
        patience, here = Patience(request_seconds=0.2), Addresses(["127.0.0.1"])
        (step,) = asyncio.run(posting.post(store, cargo, server, here, patience))
    assert (step.status, step.words[-1]) == (502, "the other server took too long")
    assert not posting.is_done(step)


def test_only_who_is_logged_in_may_push_elsewhere(site: Site, receiver: Receiver) -> None:
    indexes(site)
    site.add(WHEEL)
    refusal = post(site, receiver.url, by=None)
    assert refusal.status == 401
    assert receiver.received == []


def test_only_who_may_upload_and_root_push_elsewhere(site: Site, receiver: Receiver) -> None:
    indexes(site)
    site.make_index("alice/dev", acl_upload=("alice",))
    site.add(WHEEL)
    site.add(WHEEL, index="alice/dev")
    assert site.get(url_of(WHEEL), "*/*").status == 200  # she may read it, and no more
    refusal = post(site, receiver.url, by="alice")
    assert refusal.status == 403
    assert "acl_upload names who may" in refusal.line
    assert receiver.received == []
    for who in ("alice", "root"):
        assert post(site, receiver.url, by=who, source="/alice/dev").status == 200
    assert len(receiver.received) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_nothing_is_sent_to_private_addresses_that_are_not_allowed(
    host: str, make_site: MakeSite, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site()
    indexes(site)
    site.add(WHEEL)
    answer = post(site, receiver.url.replace("127.0.0.1", host))
    assert answer.status == 502
    (line,) = answer.json["result"]
    assert line[:2] == [502, "upload"]
    assert "private_upstreams" in line[-1]
    assert "127.0.0.1" not in line[-1]
    assert "loopback address" in caplog.text
    assert receiver.received == []


@pytest.mark.parametrize(
    ("target", "status"), [("root/prod", 200), ("root/other", 403), (None, 403)]
)
def test_a_token_pushes_no_further_than_it_reaches(
    target: str | None, status: int, site: Site, receiver: Receiver
) -> None:
    indexes(site)
    site.make_index("root/other", acl_upload=("root",))
    site.add(WHEEL)
    token = ApiToken(
        "1", UserName("root"), "robot", sha256(b"sit_x").hexdigest(), NOW, indexes=("root/prod",)
    )
    site.change(lambda it: it.put_token(token))
    order = {"name": "demo", "version": "1.0"}
    order |= {"posturl": receiver.url} if target is None else {"targetindex": target}
    headers = {"authorization": basic("__token__", "sit_x"), "content-type": DEVPI}
    assert site.ask("PUSH", "/root/local", headers, json.dumps(order).encode()).status == status
    assert receiver.received == []


def test_a_url_with_a_password_in_it_is_refused_without_showing_it(site: Site) -> None:
    indexes(site)
    site.add(WHEEL)
    refusal = post(site, "http://u:in-the-url@127.0.0.1:9/")
    assert refusal.status == 400
    assert "in-the-url" not in refusal.text
