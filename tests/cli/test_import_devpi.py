"""`import-devpi`: what is taken over, what is told of the rest, and that it can be interrupted."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage.model import (
    Attachment,
    AttachmentKind,
    DistFile,
    Event,
    MirrorSettings,
    StageSettings,
)
from simpleindex_storage.names import IndexName, parse_project_name
from tests.builders import BuiltFile, a_wheel, a_zip, an_egg, an_sdist
from tests.cli.asking import shown_filenames
from tests.cli.commands import ROOT_PASSWORD, Cli, listing, run_as_nobody
from tests.cli.directories import catalog_of, index_of, root_has, stored, user
from tests.devpi_dump.contents import contents
from tests.devpi_dump.dumps import ALICE_ARGON2, ADump, a_user
from tests.devpi_dump.stand_in import with_argon2, without_argon2
from tests.server import running_server, server_environment, simpleindex

DEMO = parse_project_name("demo")
DOCS = a_zip({"index.html": b"<p>It is explained.</p>"})


@pytest.fixture
def dump(tmp_path: Path) -> ADump:
    dump = ADump(tmp_path / "dump")
    dump.users["alice"] = a_user("alice", pwhash=ALICE_ARGON2, email="a@example.org")
    return dump


@pytest.fixture(autouse=True)
def argon2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_argon2(monkeypatch, tmp_path, ALICE_ARGON2)


def fill(dump: ADump) -> None:
    """One of everything."""
    dump.index("alice/dev", bases=["root/pypi"])
    dump.index("root/pypi", type="mirror", mirror_url="https://upstream.example/simple/")
    demo = a_wheel("demo")
    dump.release("alice/dev", demo)
    dump.release("alice/dev", an_sdist("demo"))
    dump.result("alice/dev", demo, b'{"testenvs": {}}')
    dump.documentation("alice/dev", "demo", "1.0", DOCS)
    dump.indexes["alice/dev"]["projects"]["early"] = {"0.1": {"name": "Early", "summary": "soon"}}


def import_json(cli: Cli, data: Path, folder: Path, *options: str) -> tuple[int, Any]:
    called = cli("import-devpi", folder, f"--serverdir={data}", "--json", *options)
    assert called.err == ""
    return called.exit_code, json.loads(called.out)


def test_everything_is_taken_over(cli: Cli, data: Path, dump: ADump) -> None:
    fill(dump)
    dump.users["root"]["pwhash"] = ALICE_ARGON2
    out = cli("import-devpi", dump.write(), f"--serverdir={data}")
    assert out.exit_code == 0
    assert out.out == (
        "From devpi-server 6.20.3:\n"
        "  users: 1 taken, 1 already here\n"
        "  indexes: 1 taken, 1 already here\n"
        "  files: 2 taken, 0 already here\n"
        "  docs and test results: 2 taken, 0 already here\n"
        "  releases without files: 1 taken, 0 already here\n"
        "  Nothing is missing.\n"
    )
    assert user(data, "alice").profile == {"email": "a@example.org"}
    assert root_has(data, "alicepw")
    assert not (data / "root-password").exists()
    dev, pypi = index_of(data, "alice/dev"), index_of(data, "root/pypi")
    assert dev is not None and isinstance(dev.settings, StageSettings)
    assert dev.settings.bases == ("root/pypi",)
    assert pypi is not None and isinstance(pypi.settings, MirrorSettings)
    assert pypi.settings.mirror_url == "https://upstream.example/simple/"
    assert stored(data, "alice/dev").keys() == {"demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"}


def test_times_authors_and_histories_are_those_of_the_dump(
    cli: Cli, data: Path, dump: ADump
) -> None:
    fill(dump)
    cli("import-devpi", dump.write(), f"--serverdir={data}")
    at, dev = datetime(2024, 2, 29, 13, 2, 46, tzinfo=UTC), IndexName("alice/dev")
    with catalog_of(data) as seen:
        attachments = seen.attachments(dev, DEMO)
        recorded: list[DistFile | Attachment] = [*seen.files(dev, DEMO), *attachments]
        (early,) = seen.releases(dev, parse_project_name("early"))
    assert len(recorded) == 4
    for each in recorded:
        assert (each.uploaded_at, each.uploaded_by) == (at, "alice")
        (entry,) = each.log
        assert (entry.what, entry.who, entry.when, entry.target) == (Event.UPLOAD, "alice", at, dev)
    assert {found.kind: found.version for found in attachments} == {
        AttachmentKind.DOCUMENTATION: "1.0",
        AttachmentKind.TOX_RESULT: "1.0",
    }
    assert early.fields == {"name": "Early", "version": "0.1", "summary": "soon"}


def test_a_second_run_changes_nothing(cli: Cli, data: Path, dump: ADump) -> None:
    fill(dump)
    cli("import-devpi", dump.write(), f"--serverdir={data}")
    before, journal = contents(data), (data / "journal.jsonl").read_bytes()
    code, report = import_json(cli, data, dump.folder)
    assert (report["files"], report["attachments"]) == ({"taken": 0, "there": 2},) * 2
    assert report["releases"] == {"taken": 0, "there": 1}
    assert report["remarks"] == []
    assert code == 3  # root's password is still not the one of the dump
    assert contents(data) == before
    assert (data / "journal.jsonl").read_bytes() == journal


def test_a_dry_run_tells_the_same_and_changes_nothing(cli: Cli, data: Path, dump: ADump) -> None:
    fill(dump)
    dump.release("alice/dev", BuiltFile(a_wheel("broken").filename, b"no zip"))
    before = contents(data)
    dry_code, dry = import_json(cli, data, dump.write(), "--dry-run")
    assert contents(data) == before
    code, report = import_json(cli, data, dump.folder)
    assert dry.pop("dry_run") is not report.pop("dry_run")
    assert (dry_code, dry) == (code, report)


def test_while_the_server_runs_files_show_at_once(cli: Cli, data: Path, dump: ADump) -> None:
    fill(dump)
    with running_server(data) as server:
        assert shown_filenames(server.port, "demo", "alice/dev") == set()
        cli("import-devpi", dump.write(), f"--serverdir={data}")
        shown = shown_filenames(server.port, "demo", "alice/dev")
    assert shown == {"demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"}


def test_old_and_sloppy_files_are_taken(cli: Cli, data: Path, dump: ADump) -> None:
    built = [an_egg("old"), an_sdist("old", format=".zip")]
    for each in built:
        dump.release("alice/dev", each)
    cli("import-devpi", dump.write(), f"--serverdir={data}")
    assert stored(data, "alice/dev") == {each.filename: each.content for each in built}


def test_what_is_refused_is_told_and_kept_where_asked(
    cli: Cli, data: Path, dump: ADump, tmp_path: Path
) -> None:
    fill(dump)
    broken = dump.release("alice/dev", a_wheel("demo", "2.0"))
    (dump.folder / broken["relpath"]).write_bytes(b"rotten")
    gone = dump.release("alice/dev", a_wheel("demo", "3.0"))
    (dump.folder / gone["relpath"]).unlink()
    away = dump.release("alice/dev", a_wheel("demo", "4.0"))
    (dump.folder / away["relpath"]).unlink()
    (dump.folder / away["relpath"]).symlink_to(a_wheel("demo", "4.0").save(tmp_path))
    no_zip = dump.documentation("alice/dev", "demo", "2.0", b"no zip")
    keep = tmp_path / "not-imported"
    code, report = import_json(cli, data, dump.write(), f"--keep-refused={keep}")
    told = {entry["what"]: entry["why"] for entry in report["not_taken"]}
    assert code == 3
    assert "the sha256 digest should be" in told[broken["relpath"]]
    assert told[gone["relpath"]] == "the file is missing in the dump"
    assert "a link that leads out" in told[away["relpath"]]
    assert no_zip["relpath"] in told
    assert report["files"]["taken"] == 2
    kept = [path.relative_to(keep).as_posix() for path in keep.rglob("*") if path.is_file()]
    assert kept == [broken["relpath"]]


def test_other_bytes_that_are_here_already_stay(cli: Cli, data: Path, dump: ADump) -> None:
    entry = dump.release("root/local", a_wheel(requires_python=">=3"))
    dump.index("root/local", volatile=True)
    dump.indexes["root/local"]["projects"] = {"demo": {"1.0": {"name": "demo"}}}
    dump.indexes["root/local"]["files"] = [entry]
    mine = a_wheel()
    mine.save(data.parent)
    cli.must("add", data.parent / mine.filename, f"--serverdir={data}")
    code, report = import_json(cli, data, dump.write())
    assert code == 3
    assert "has other bytes under this name" in report["not_taken"][-1]["why"]
    assert stored(data) == {mine.filename: mine.content}


def test_an_index_that_was_made_automatically_gets_the_settings_of_the_dump(
    cli: Cli, data: Path, dump: ADump
) -> None:
    a_wheel().save(data.parent)
    cli.must("add", data.parent / a_wheel().filename, f"--serverdir={data}")
    dump.index("root/local", volatile=True, acl_upload=["alice"])
    import_json(cli, data, dump.write())
    local = index_of(data, "root/local")
    assert local is not None and isinstance(local.settings, StageSettings)
    assert (local.settings.volatile, local.settings.acl_upload) == (True, ("alice",))
    assert not local.automatic


def test_what_an_admin_has_changed_here_stays(cli: Cli, data: Path, dump: ADump) -> None:
    dump.users["root"]["pwhash"] = ALICE_ARGON2
    passwords = data.parent / "password"
    passwords.write_text("chosen-here\n", "utf-8")
    cli.must("passwd", "root", f"--password-file={passwords}", f"--serverdir={data}")
    _, report = import_json(cli, data, dump.write())
    assert root_has(data, "chosen-here")
    assert [remark["what"] for remark in report["remarks"]] == ["user root"]


def test_the_file_with_the_first_password_goes_with_the_first_password(
    cli: Cli, dump: ADump, tmp_path: Path
) -> None:
    data, dumped = tmp_path / "made", dump.write()
    cli.must("init", f"--serverdir={data}")
    cli("import-devpi", dumped, f"--serverdir={data}")
    assert (data / "root-password").exists()
    dump.users["root"]["pwhash"] = ALICE_ARGON2
    cli("import-devpi", dump.write(), f"--serverdir={data}", "--dry-run")
    assert (data / "root-password").exists()
    cli("import-devpi", dumped, f"--serverdir={data}")
    assert not (data / "root-password").exists()


@pytest.mark.parametrize("pwhash", ["", "4a5b6c", ALICE_ARGON2.replace("m=65536", "m=9999999")])
def test_root_keeps_the_password_of_this_server_if_the_other_is_no_use(
    pwhash: str, cli: Cli, data: Path, dump: ADump
) -> None:
    dump.users["root"]["pwhash"] = pwhash
    code, report = import_json(cli, data, dump.write())
    assert code == 3
    assert report["not_taken"] == [
        {"what": "user root", "why": "the password; root keeps the one of this server"}
    ]
    assert root_has(data, ROOT_PASSWORD)


def test_without_argon2_the_report_tells_who_cannot_log_in(
    cli: Cli, data: Path, dump: ADump, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_argon2(monkeypatch)
    dump.users["root"]["pwhash"] = ALICE_ARGON2
    _, report = import_json(cli, data, dump.write())
    told = {entry["what"]: entry["why"] for entry in report["not_taken"]}
    assert told.keys() == {"user alice", "user root"}
    assert "argon2-cffi" in told["user alice"] and "passwd alice" in told["user alice"]
    assert user(data, "alice").password_hash == ALICE_ARGON2
    assert root_has(data, ROOT_PASSWORD)


def test_only_one_index_and_its_user_are_taken_if_it_is_named(
    cli: Cli, data: Path, dump: ADump
) -> None:
    fill(dump)
    dump.users["bob"] = a_user("bob")
    dump.release("root/other", a_wheel("other"))
    code, report = import_json(cli, data, dump.write(), "--only=alice/dev")
    assert (code, report["users"]["taken"], report["indexes"]["taken"]) == (0, 1, 1)
    assert index_of(data, "root/other") is None
    called = cli("import-devpi", dump.folder, "--only=no/such", f"--serverdir={data}")
    assert called.complaint.startswith("there is no index no/such here; the dump has: alice/dev")


def a_devpi_directory(folder: Path) -> Path:
    """What a stopped devpi-server leaves, without its database."""
    files = folder / "+files" / "alice" / "dev" / "+f"
    for built in (a_wheel(), a_wheel("other")):
        place = files / built.sha256[:3] / built.sha256[3:16]
        place.mkdir(parents=True)
        built.save(place)
    (folder / ".serverversion").write_text("4", "utf-8")
    (folder / ".nodeinfo").write_text("{}", "utf-8")
    return folder


def test_of_a_stopped_servers_directory_the_admin_is_told_how_to_export(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    folder = a_devpi_directory(tmp_path / "devpi")
    complaint = cli("import-devpi", folder, f"--serverdir={data}").complaint
    assert f"devpi-export --serverdir={folder} DUMP" in complaint
    assert "alice/dev (2 files)" in complaint


def test_of_a_stopped_servers_directory_the_files_of_an_index_can_be_taken(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    folder = a_devpi_directory(tmp_path / "devpi")
    before = listing(folder)
    code, report = import_json(cli, data, folder, "--only=alice/dev")
    assert code == 3
    assert len(stored(data, "alice/dev")) == 2
    assert str(folder) in [entry["what"] for entry in report["not_taken"]]
    assert listing(folder) == before


def test_an_interpreter_without_devpi_server_is_told_of_in_one_line(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    folder = a_devpi_directory(tmp_path / "devpi")
    python = f"--python={sys.executable}"
    elsewhere = cli("import-devpi", folder, python, f"--serverdir={data}").complaint
    assert "its database is not in it" in elsewhere
    (folder / ".sqlite").touch()
    complaint = cli("import-devpi", folder, python, f"--serverdir={data}").complaint
    assert "could not export" in complaint and "devpi_server" in complaint
    assert not list(data.glob("import-devpi*"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "is neither a folder that devpi-export has written"),
        (b"", "dataindex.json: it is not valid JSON"),
        (b'{"dumpversion": "7", "users": {}, "indexes": {}}', "dumpversion is 7"),
    ],
    ids=["nothing", "empty", "newer"],
)
def test_what_is_no_dump_is_refused_in_one_line(
    content: bytes | None, complaint: str, cli: Cli, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if content is not None:
        (folder / "dataindex.json").write_bytes(content)
    assert complaint in cli("import-devpi", folder, f"--serverdir={data}").complaint


def test_only_the_owner_of_the_directory_may_import(data: Path, dump: ADump) -> None:
    fill(dump)
    dump.write()
    called = run_as_nobody("import-devpi", dump.folder, f"--serverdir={data}")
    assert called.exit_code == 1


@pytest.mark.parametrize("files_before_the_kill", [1, 7, 30])
def test_an_import_that_is_killed_and_run_again_ends_as_one_that_was_not(
    files_before_the_kill: int, cli: Cli, data: Path, dump: ADump, tmp_path: Path
) -> None:
    fill(dump)
    for number in range(60):
        dump.release("alice/dev", a_wheel(f"project-{number % 20}", f"1.{number}"))
    dump.write()
    _kill_when_told(data, dump.folder, files_before_the_kill)
    assert len(stored(data, "alice/dev")) < 62
    import_json(cli, data, dump.folder)

    cli.init(tmp_path / "other")
    import_json(cli, tmp_path / "other", dump.folder)
    killed, whole = contents(data), contents(tmp_path / "other")
    assert len(whole.files) == 62
    assert killed.files == whole.files
    assert killed.on_disk == whole.on_disk
    assert (killed.projects, killed.releases) == (whole.projects, whole.releases)
    assert (killed.indexes, killed.attachments) == (whole.indexes, whole.attachments)
    assert killed.users["alice"] == whole.users["alice"]


def _kill_when_told(data: Path, folder: Path, files: int) -> None:
    """Start an import, and end it as a power cut would once the journal has so many files.

    It has them a moment before they are recorded.
    """
    command = simpleindex("import-devpi", str(folder), f"--serverdir={data}")
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=server_environment(),
    )
    try:
        while _told(data / "journal.jsonl") < files and process.poll() is None:
            try:
                process.wait(0.005)
            except subprocess.TimeoutExpired:
                continue
    finally:
        process.kill()
        process.wait()


def _told(journal: Path) -> int:
    return journal.read_bytes().count(b'["file",')
