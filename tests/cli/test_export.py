"""`export`: what it writes, and that all of it comes back."""

import json
import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage.model import (
    Actor,
    Attachment,
    AttachmentKind,
    Event,
    Index,
    LogEntry,
    MirrorSettings,
    ProjectStatus,
    StageSettings,
    Upload,
    User,
)
from simpleindex_storage.names import FilePlace, IndexName, UserName, parse_project_name
from simpleindex_storage.opening import open_store
from simpleindex_storage.store import Store
from simpleindex_storage.upkeep import mark_project, yank_release
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
)
from tests.cli.asking import ask
from tests.cli.commands import ROOT_PASSWORD, Cli, listing, run_as_nobody
from tests.cli.directories import make_index, root_has
from tests.devpi_dump.contents import contents
from tests.devpi_dump.dumps import ALICE_ARGON2
from tests.devpi_dump.stand_in import with_argon2
from tests.server import running_server

AT = datetime(2025, 3, 4, 5, 6, 7, 890123, UTC)
DEV, DEMO = IndexName("alice/dev"), parse_project_name("demo")
DOCS = a_zip({"index.html": b"<p>It is explained.</p>"})


def put(store: Store, built: BuiltFile, **more: Any) -> None:
    """Take a file in, at a time that has microseconds."""
    count = len(contents_of(store))
    upload = Upload(DEV, built.filename, "alice", uploaded_at=AT + timedelta(seconds=count), **more)
    with store.stage() as draft:
        draft.write(built.content)
        store.admit([(upload, draft.finish())], by=Actor("root"), strict_archives=False)


def contents_of(store: Store) -> list[str]:
    with store.catalog.snapshot() as seen:
        projects = seen.projects(DEV)
        return [file.filename for each in projects for file in seen.files(DEV, each.name)]


def attach(store: Store, attachment: Attachment, content: bytes) -> None:
    with store.stage() as draft:
        draft.write(content)
        store.attach(attachment, draft.finish(), by=Actor("root"))


@pytest.fixture
def filled(cli: Cli, data: Path) -> Path:
    """A server directory with one of everything that there is."""
    umask = os.umask(0o077)  # as the server has it
    try:
        return _filled(data)
    finally:
        os.umask(umask)


def _filled(data: Path) -> Path:
    demo = a_wheel("demo")
    with closing(open_store(data)) as store:
        _make_accounts(store)
        provenance = a_provenance(an_attestation(a_statement(demo)))
        put(store, demo, signature=A_SIGNATURE, provenance=provenance)
        history = LogEntry(Event.PUSH, "bob", AT, IndexName("bob/dev"), DEV)
        put(store, an_sdist("demo"), log=(history,), fields={"summary": "One"})
        put(store, a_wheel("demo", "2.0"))
        put(store, an_egg("Demo-Two"))
        put(store, a_wheel("hidden"))
        _attach_all(store, demo)
        store.catalog.change(_mark, by=Actor("alice"), what="mark")
    return data


def _make_accounts(store: Store) -> None:
    alice = User(UserName("alice"), ALICE_ARGON2, 3, AT, AT, {"email": "a@example.org"})
    bob = User(UserName("bob"), "scrypt$16384$8$1$" + "00" * 16 + "$" + "11" * 32, 1, AT)
    stage = StageSettings(
        volatile=True,
        bases=(IndexName("root/pypi"), IndexName("gone/away")),
        acl_upload=("alice", ":AUTHENTICATED:"),
        mirror_whitelist=("*",),
        strict_archives=False,
        extra={"title": "Mine", "custom_data": {"a": [1]}},
    )
    mirror = MirrorSettings(
        mirror_url="https://upstream.example/simple/", mirror_cache_expiry_seconds=60
    )

    def work(change: Any) -> None:
        for user in (alice, bob):
            change.put_user(user)
        change.put_index(Index(DEV, stage))
        change.put_index(Index(IndexName("bob/mirror"), mirror))

    store.catalog.change(work, by=Actor("root"), what="accounts")


def _attach_all(store: Store, demo: BuiltFile) -> None:
    documentation = Attachment(
        AttachmentKind.DOCUMENTATION,
        DEV,
        DEMO,
        "1.0",
        FilePlace(DEV, sha256(DOCS).hexdigest()[:16], "demo-1.0.doc.zip"),
        len(DOCS),
        sha256(DOCS).hexdigest(),
        AT,
        "alice",
        log=(LogEntry(Event.UPLOAD, "alice", AT, target=DEV),),
    )
    attach(store, documentation, DOCS)
    result = replace(
        documentation,
        kind=AttachmentKind.TOX_RESULT,
        place=FilePlace(DEV, demo.sha256[:16], f"{demo.filename}.toxresult-20250304050607-0"),
        size_bytes=2,
        sha256=sha256(b"{}").hexdigest(),
        file_key=demo.filename,
    )
    attach(store, result, b"{}")


def _mark(change: Any) -> None:
    yank_release(change, DEV, DEMO, "2.0", "broken")
    hidden = parse_project_name("hidden")
    mark_project(change, DEV, hidden, ProjectStatus.QUARANTINED, "malware")
    mark_project(change, DEV, DEMO, ProjectStatus.ARCHIVED, None)


@pytest.fixture(autouse=True)
def argon2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_argon2(monkeypatch, tmp_path, ALICE_ARGON2)


def export(cli: Cli, data: Path, target: Path, *options: str) -> str:
    return cli.must("export", target, f"--serverdir={data}", *options)


def test_what_is_exported_and_imported_is_the_same_as_before(
    cli: Cli, filled: Path, tmp_path: Path
) -> None:
    export(cli, filled, tmp_path / "dump", "--with-secrets")
    other = tmp_path / "other"
    cli.init(other)
    called = cli("import-devpi", tmp_path / "dump", f"--serverdir={other}")
    assert called.exit_code == 0, called
    before, after = contents(filled), contents(other)
    assert after.files == before.files
    assert after.attachments == before.attachments
    assert after.on_disk == before.on_disk
    assert after == before


def test_pages_are_the_same_byte_for_byte(cli: Cli, filled: Path, tmp_path: Path) -> None:
    export(cli, filled, tmp_path / "dump")
    other = tmp_path / "other"
    cli.init(other)
    cli("import-devpi", tmp_path / "dump", f"--serverdir={other}")
    assert _pages(other) == _pages(filled)


def _pages(serverdir: Path) -> dict[str, tuple[int, bytes]]:
    paths = [
        "/alice/dev/+simple/",
        *(f"/alice/dev/+simple/{name}/" for name in ("demo", "demo-two", "hidden")),
    ]
    with running_server(serverdir) as server:
        # A link to a provenance names the host.
        host = {"Host": "127.0.0.1"}
        return {path: ask(server.port, "GET", path, headers=host) for path in paths}


def test_the_dump_has_the_form_of_devpi_server(cli: Cli, filled: Path, tmp_path: Path) -> None:
    out = export(cli, filled, tmp_path / "dump")
    assert out.splitlines()[0].startswith(f"{tmp_path / 'dump'}: 5 files and 2 with docs or test")
    data = json.loads((tmp_path / "dump" / "dataindex.json").read_bytes())
    assert data["dumpversion"] == "2"
    dev = data["indexes"]["alice/dev"]
    assert dev["indexconfig"] == {
        "type": "stage",
        "volatile": True,
        "bases": ["root/pypi", "gone/away"],
        "acl_upload": ["alice", ":AUTHENTICATED:"],
        "acl_toxresult_upload": [":ANONYMOUS:"],
        "mirror_whitelist": ["*"],
        "mirror_whitelist_inheritance": "intersection",
        "title": "Mine",
        "custom_data": {"a": [1]},
    }
    assert dev["projects"]["demo"]["1.0"]["summary"] == "One"
    files = {entry["relpath"]: entry for entry in dev["files"]}
    sdist = files["alice/dev/demo/1.0/demo-1.0.tar.gz"]
    assert sdist["entrymapping"]["last_modified"] == "Tue, 04 Mar 2025 05:06:08 GMT"
    assert sdist["log"] == [
        {
            "what": "push",
            "who": "bob",
            "when": [2025, 3, 4, 5, 6, 7],
            "src": "bob/dev",
            "dst": "alice/dev",
        }
    ]
    wheel = a_wheel("demo")
    (result,) = [entry for entry in dev["files"] if entry["type"] == "toxresult"]
    assert result["relpath"].startswith(f"alice/dev/demo/sha256={wheel.sha256}/{wheel.filename}.")
    assert result["for_entrypath"].endswith(f"/{wheel.filename}")
    assert "alice/dev/demo-1.0.doc.zip" in files
    assert all((tmp_path / "dump" / relpath).is_file() for relpath in files)
    assert "files" not in data["indexes"]["bob/mirror"]


def test_a_password_that_devpi_server_cannot_check_becomes_one_that_nobody_knows(
    cli: Cli, filled: Path, tmp_path: Path
) -> None:
    out = export(cli, filled, tmp_path / "dump", "--with-secrets")
    users = json.loads((tmp_path / "dump" / "dataindex.json").read_bytes())["users"]
    assert users["alice"]["pwhash"] == ALICE_ARGON2
    for name in ("root", "bob"):
        assert users[name]["pwhash"].startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert users["root"]["pwhash"] != users["bob"]["pwhash"]
    assert out.splitlines()[1].endswith("(`devpi-passwd`): bob, root")


@pytest.mark.parametrize("options", [[], ["--with-secrets"]], ids=["without", "with"])
def test_only_the_admin_can_look_into_a_dump(
    options: list[str], cli: Cli, filled: Path, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    umask = os.umask(0)
    try:
        export(cli, filled, dump, *options)
    finally:
        os.umask(umask)
    modes = {path: path.stat().st_mode & 0o777 for path in (dump, *dump.rglob("*"))}
    assert {modes[path] for path in modes if path.is_dir()} == {0o700}
    assert {modes[path] for path in modes if path.is_file()} == {0o600}


def test_a_dump_has_secrets_only_if_that_is_asked_for(
    cli: Cli, filled: Path, tmp_path: Path
) -> None:
    secret_url = "https://bob:far-secret@upstream.example/simple/"
    with closing(open_store(filled)) as store, store.catalog.snapshot() as seen:
        hashes = [user.password_hash for user in seen.users()]
    with closing(open_store(filled)) as store:
        settings = MirrorSettings(mirror_url=secret_url, extra={"trigger": {"urls": [secret_url]}})
        mirror = Index(IndexName("bob/mirror"), settings)
        store.catalog.change(lambda it: it.put_index(mirror), by=Actor("bob"), what="mirror")
    out = export(cli, filled, tmp_path / "dump")
    export(cli, filled, tmp_path / "whole", "--with-secrets")
    bare, whole = (_texts(tmp_path / name) for name in ("dump", "whole"))
    for secret in (*hashes, "far-secret"):
        assert secret not in bare
        assert secret in whole
    assert "https://upstream.example/simple/" in bare
    _, users, mirrors = out.splitlines()
    assert "--with-secrets" in users and users.endswith(": alice, bob, root")
    assert mirrors.endswith(": bob/mirror")


def _texts(dump: Path) -> str:
    return "".join((dump / name).read_text() for name in ("dataindex.json", "simpleindex.json"))


def test_who_comes_without_a_password_gets_a_new_one(
    cli: Cli, filled: Path, tmp_path: Path
) -> None:
    export(cli, filled, tmp_path / "dump")
    other = tmp_path / "other"
    cli.init(other)
    called = cli("import-devpi", tmp_path / "dump", f"--serverdir={other}")
    assert called.exit_code == 3
    assert "set a new one with `simpleindex-server passwd alice`" in called.out + called.err
    assert root_has(other, ROOT_PASSWORD)
    before, after = contents(filled), contents(other)
    assert after.files == before.files
    assert after.on_disk == before.on_disk
    # Where they come from, nobody loses a password by it.
    hashes = _hashes(filled)
    assert cli("import-devpi", tmp_path / "dump", f"--serverdir={filled}").exit_code in (0, 3)
    assert _hashes(filled) == hashes


def _hashes(data: Path) -> dict[str, str]:
    with closing(open_store(data)) as store, store.catalog.snapshot() as seen:
        return {user.name: user.password_hash for user in seen.users()}


def test_a_folder_that_is_not_empty_is_left_alone(cli: Cli, filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", "utf-8")
    before = listing(folder)
    assert "is not empty" in cli("export", folder, f"--serverdir={filled}").complaint
    assert listing(folder) == before


@pytest.mark.parametrize(("option", "links"), [([], 1), (["--hard-links"], 2)])
def test_files_are_copies_unless_links_are_asked_for(
    option: list[str], links: int, cli: Cli, filled: Path, tmp_path: Path
) -> None:
    export(cli, filled, tmp_path / "dump", *option)
    for name in ("demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl.asc"):
        path = tmp_path / "dump" / "alice" / "dev" / "demo" / "1.0" / name
        assert path.stat().st_nlink == links


def test_one_index_can_be_exported_alone(cli: Cli, filled: Path, tmp_path: Path) -> None:
    make_index(filled, "root/empty", volatile=True)
    export(cli, filled, tmp_path / "dump", "--index=root/empty")
    data = json.loads((tmp_path / "dump" / "dataindex.json").read_bytes())
    assert (list(data["users"]), list(data["indexes"])) == (["root"], ["root/empty"])
    called = cli("export", tmp_path / "none", "--index=no/such", f"--serverdir={filled}")
    assert called.complaint.startswith("there is no index no/such here; these are there:")


def test_a_file_that_is_gone_is_left_out_and_told(cli: Cli, filled: Path, tmp_path: Path) -> None:
    (lost,) = filled.rglob("demo-1.0-py3-none-any.whl")
    lost.unlink()
    called = cli("export", tmp_path / "dump", f"--serverdir={filled}")
    assert called.exit_code == 3
    assert called.err.startswith("left out alice/dev/demo/1.0/demo-1.0-py3-none-any.whl: ")
    data = json.loads((tmp_path / "dump" / "dataindex.json").read_bytes())
    kinds = [entry["type"] for entry in data["indexes"]["alice/dev"]["files"]]
    assert kinds.count("releasefile") == 4
    assert "toxresult" not in kinds  # it was about that file


def test_half_an_export_is_no_dump(cli: Cli, filled: Path, tmp_path: Path) -> None:
    export(cli, filled, tmp_path / "dump")
    (tmp_path / "dump" / "dataindex.json").unlink()
    complaint = cli("import-devpi", tmp_path / "dump", f"--serverdir={filled}").complaint
    assert "is neither a folder that devpi-export has written" in complaint


@pytest.mark.parametrize(
    "spoil",
    [
        b"{}",
        b"[]",
        b'{"format": "simpleindex-server export", "version": 2}',
        b'{"format": "simpleindex-server export", "version": 1}',
        b'{"format": "simpleindex-server export", "version": 1, "users": [{}], "indexes": [], '
        b'"projects": [], "files": {}}',
        b'{"format": "simpleindex-server export", "version": 1, "users": [], "indexes": [5], '
        b'"projects": [], "files": {}}',
        b'{"format": "simpleindex-server export", "version": 1, "users": [], "indexes": [], '
        b'"projects": [], "files": {"a": {"yanked": 1}}}',
    ],
    ids=["empty", "list", "newer", "cut", "user", "index", "file"],
)
def test_a_spoilt_side_file_is_refused_in_one_line(
    spoil: bytes, cli: Cli, filled: Path, tmp_path: Path
) -> None:
    export(cli, filled, tmp_path / "dump")
    (tmp_path / "dump" / "simpleindex.json").write_bytes(spoil)
    complaint = cli("import-devpi", tmp_path / "dump", f"--serverdir={filled}").complaint
    assert complaint.startswith("simpleindex.json: ")


def test_only_the_owner_of_the_directory_may_export(filled: Path, tmp_path: Path) -> None:
    called = run_as_nobody("export", tmp_path / "dump", f"--serverdir={filled}")
    assert called.exit_code == 1
    assert not (tmp_path / "dump").exists()
