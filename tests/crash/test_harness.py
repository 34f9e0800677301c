"""The judge of crashes finds everything that a crash could leave behind."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.crash import harness
from tests.crash.harness import (
    Sent,
    client_of,
    init,
    journal_violations,
    launched,
    restarted,
    violations,
)

INDEX = "root/local"
ONE, TWO = a_wheel("demo", "1.0"), a_wheel("demo", "2.0")
OTHER = a_wheel("demo", "1.0", extra_files={"demo/more.py": b"more"})


def remove_a_file(serverdir: Path) -> None:
    stored(serverdir, ONE.filename).unlink()


def change_a_file(serverdir: Path) -> None:
    stored(serverdir, TWO.filename).write_bytes(TWO.content[:-1] + b"x")


def remove_metadata(serverdir: Path) -> None:
    stored(serverdir, f"{TWO.filename}.metadata").unlink()


def leave_a_file(serverdir: Path) -> None:
    stored(serverdir, TWO.filename).with_name("half.whl").write_bytes(b"half")


def leave_drafts(serverdir: Path) -> None:
    (serverdir / "incoming" / "1-dead" / "root+local").mkdir(parents=True)
    (serverdir / "incoming" / "1-dead.lock").touch()
    (serverdir / "incoming" / "1-dead" / "0").write_bytes(b"half")


def leave_an_own_draft(serverdir: Path) -> None:
    (own,) = (path for path in (serverdir / "incoming").iterdir() if "dead" not in path.name
              and path.is_dir())  # fmt: skip
    (own / "17").write_bytes(b"half")


def stored(serverdir: Path, name: str) -> Path:
    (path,) = (serverdir / "files").rglob(name)
    return path


def test_damage_on_the_disk_is_told(tmp_path: Path) -> None:
    damages: list[tuple[Callable[[Path], None], str]] = [
        (remove_a_file, f"{ONE.filename} is shown and does not download (status 404)"),
        (change_a_file, f"{TWO.filename} is shown and does not download (status 200)"),
        (remove_metadata, f"{TWO.filename} is shown and its metadata does not download"),
        (leave_a_file, "/half.whl lies there without a record"),
        (leave_drafts, "incoming/1-dead is left over"),
        (leave_an_own_draft, "/17 is left over"),
    ]
    data = tmp_path / "data"
    init(data)
    with launched(data) as server, client_of(server) as client:
        sent = [client.upload(INDEX, built) for built in (ONE, TWO)]
        assert violations(server, sent) == []
        for damage, line in damages:
            assert not is_told(line, violations(server, sent))
            damage(data)
            assert is_told(line, violations(server, sent))
        assert is_told("incoming/1-dead.lock is left over", violations(server, sent))
        assert is_told("incoming/1-dead/0 is left over", violations(server, sent))


def test_other_files_than_those_that_were_sent_are_told(tmp_path: Path) -> None:
    init(tmp_path / "data")
    with launched(tmp_path / "data") as server, client_of(server) as client:
        sent = [client.upload(INDEX, ONE)]
        lost = [*sent, Sent(INDEX, TWO, 200)]
        assert is_told(f"{TWO.filename} was answered with success", violations(server, lost))
        strange = [Sent(INDEX, TWO, None)]
        assert is_told(f"{ONE.filename} is shown, and nobody", violations(server, strange))
        mixed = [Sent(INDEX, OTHER, 200)]
        assert is_told("with the bytes of another upload", violations(server, mixed))
        refused = [*sent, Sent(INDEX, TWO, 503)]
        assert violations(server, refused) == [f"{TWO.filename} was refused with 503"]


def test_an_upload_without_an_answer_may_be_there_or_not(tmp_path: Path) -> None:
    init(tmp_path / "data")
    with launched(tmp_path / "data") as server, client_of(server) as client:
        sent = [client.upload(INDEX, ONE)]
        assert violations(server, [*sent, Sent(INDEX, TWO, None)]) == []
        assert violations(server, [Sent(INDEX, ONE, None)]) == []
        assert violations(server, [Sent(INDEX, OTHER, 200), Sent(INDEX, ONE, None)]) == []
        replaced = [*sent, Sent(INDEX, OTHER, 200)]
        assert is_told("with the bytes of another upload", violations(server, replaced))


def test_a_journal_that_tells_something_else_is_told(tmp_path: Path) -> None:
    init(tmp_path / "data")
    with launched(tmp_path / "data") as server, client_of(server) as client:
        sent = [client.upload(INDEX, built) for built in (ONE, TWO)]
        assert journal_violations(server, sent) == []
        journal = tmp_path / "data" / "journal.jsonl"
        lines = journal.read_text("utf-8").splitlines()
        for spoiled in (lines[:-1], [*lines, lines[-1]], [*lines[:-1], without_files(lines[-1])]):
            journal.write_text(joined(spoiled), "utf-8")
            assert journal_violations(server, sent) != []
        journal.write_text(joined(lines), "utf-8")
        assert journal_violations(server, sent) == []


def test_a_slow_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "RESTART_SECONDS_MAX", 0.0)
    init(tmp_path / "data")
    broken: list[str] = []
    with restarted(tmp_path / "data", broken):
        pass
    assert is_told("the restart answered with 200 after ", broken)


def is_told(line: str, found: Sequence[str]) -> bool:
    return any(line in each for each in found)


def joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def without_files(line: str) -> str:
    entry = json.loads(line)
    return json.dumps({**entry, "facts": []})
