"""What reaches the disk before what, as the kernel saw it; and that the judge of it can judge."""

import os
import shutil
import signal
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.builders import a_wheel
from tests.crash.durable_order import order_violations
from tests.crash.harness import client_of, init, launched
from tests.crash.trace import Call, parse_trace, strace
from tests.server import STOP_SECONDS_MAX, RunningServer

ROOT = Path("/srv/index")
DRAFT, NOTED = "incoming/7-x/0", "incoming/7-x/root+local/ab+1+demo.whl"
FOLDER = "files/root/+f/ab"

Step: TypeAlias = tuple[str, str] | tuple[str, str, str]
"""Kind, path, and for a link or rename the new path."""

GOOD: list[Step] = [
    ("write", DRAFT),
    ("sync", DRAFT),
    ("mkdir", "incoming/7-x/root+local"),
    ("rename", DRAFT, NOTED),
    ("mkdir", "files/root"),
    ("sync", "files"),
    ("mkdir", "files/root/+f"),
    ("sync", "files/root"),
    ("mkdir", FOLDER),
    ("sync", "files/root/+f"),
    ("write", "incoming/7-x/2"),
    ("sync", "incoming/7-x/2"),
    ("link", "incoming/7-x/2", f"{FOLDER}/demo.whl.metadata"),
    ("unlink", "incoming/7-x/2"),
    ("link", NOTED, f"{FOLDER}/demo.whl"),
    ("sync", FOLDER),
    ("write", "journal.jsonl"),
    ("sync", "journal.jsonl"),
    ("write", "catalog.sqlite-wal"),
    ("write", "catalog.sqlite-wal"),
    ("sync", "catalog.sqlite-wal"),
    ("unlink", NOTED),
    ("send", "socket:[9]"),
]


def test_an_answer_comes_after_all_is_on_the_disk(tmp_path: Path) -> None:
    assert order_violations(traced_upload(tmp_path / "data")) == []


@pytest.mark.parametrize(
    ("sabotage", "violation"),
    [
        ("no-fsync", "came to its place before its bytes were synced"),
        ("no-fsync", "the journal was not written and synced before the commit"),
        ("no-fsync", "was not synced before the commit"),
        ("no-folder-sync", "was not synced before the commit"),
        ("rename", "was renamed to its place, not linked"),
        ("early-answer", "the client was answered before the commit was synced"),
    ],
)
def test_the_order_of_a_spoiled_server_is_found_fault_with(
    tmp_path: Path, sabotage: str, violation: str
) -> None:
    found = order_violations(traced_upload(tmp_path / "data", sabotage))
    assert any(violation in line for line in found), found


def test_the_order_that_must_hold_is_found_to_hold() -> None:
    assert order_violations(calls(GOOD)) == []


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_no_step_may_be_left_out(number: int) -> None:
    found = order_violations(calls(GOOD[:number] + GOOD[number + 1 :]))
    # Folders may be there already, one write of several is not missed, and what lies beside the
    # file needs no draft any more.
    may_be_missing = GOOD[number][0] == "mkdir" or GOOD[number] in (
        ("write", "catalog.sqlite-wal"),
        ("unlink", "incoming/7-x/2"),
    )
    assert (found == []) == may_be_missing


@pytest.mark.parametrize(
    ("earlier", "later", "violation"),
    [
        (("sync", DRAFT), ("write", DRAFT), "before its bytes were synced"),
        (("link", NOTED, f"{FOLDER}/demo.whl"), ("sync", DRAFT), "before its bytes were synced"),
        (("sync", FOLDER), ("link", NOTED, f"{FOLDER}/demo.whl"), "the name"),
        (("sync", "files"), ("mkdir", "files/root"), "the name files/root was not synced"),
        (("send", "socket:[9]"), ("sync", FOLDER), "answered before the commit"),
        (("sync", "journal.jsonl"), ("write", "journal.jsonl"), "the journal"),
        (("unlink", NOTED), ("sync", "catalog.sqlite-wal"), "was not there until the commit"),
        (("send", "socket:[9]"), ("sync", "catalog.sqlite-wal"), "answered before the commit"),
        (("send", "socket:[9]"), ("write", DRAFT), "answered before the commit"),
    ],
)
def test_no_step_may_come_too_early(earlier: Step, later: Step, violation: str) -> None:
    steps = [step for step in GOOD if step != earlier]
    steps.insert(steps.index(later), earlier)
    found = order_violations(calls(steps))
    assert any(violation in line for line in found), found


def test_a_call_that_has_not_ended_is_not_done() -> None:
    whole = calls(GOOD)
    sync = next(call for call in whole if (call.kind, call.path) == ("sync", "catalog.sqlite-wal"))
    slow = Call(sync.kind, sync.path, begun=sync.begun, ended=whole[-1].begun + 1)
    found = order_violations([slow if call is sync else call for call in whole])
    assert "the client was answered before the commit was synced" in found


def test_a_refusal_is_no_success() -> None:
    refused = calls(GOOD)
    refused[-1] = Call("send", "socket:[9]", "", "HTTP/1.1 507 Full", 99, 99)
    assert any("there was not one answer of success" in line for line in order_violations(refused))


def test_lines_of_a_trace_are_read() -> None:
    text = """\
12 write(24</srv/index/incoming/7-x/0>, "PK\\3\\4\\"<"..., 849) = 849
12 fsync(24</srv/index/incoming/7-x/0>) = 0
13 link("/srv/index/a", "/srv/index/files/b" <unfinished ...>
12 mkdir("/srv/index/files", 0777) = -1 EEXIST (File exists)
12 fdatasync(8</srv/index>)     = 0
13 <... link resumed>)               = 0
13 unlinkat(3</srv/index/incoming/7-x>, "root+local", AT_REMOVEDIR) = 0
13 renameat2(AT_FDCWD</home>, "x", AT_FDCWD</home>, "/srv/index/y", 0) = 0
13 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
12 sendto(21<socket:[122679]>, "HTTP/1.1 200 OK\\r\\nda"..., 354, 0, NULL, 0) = 354
12 fsync(3</srv/index/late> <unfinished ...>
12 +++ exited with 0 +++
"""
    assert parse_trace(text, ROOT) == [
        Call("write", "incoming/7-x/0", "", 'PK\\3\\4\\"<', 0, 0),
        Call("sync", "incoming/7-x/0", "", "", 1, 1),
        Call("link", "a", "files/b", "", 2, 5),
        Call("sync", ".", "", "", 4, 4),
        Call("unlink", "incoming/7-x/root+local", "", "", 6, 6),
        Call("rename", "/home/x", "y", "", 7, 7),
        Call("send", "socket:[122679]", "", "HTTP/1.1 200 OK\\r\\nda", 9, 9),
    ]


def traced_upload(serverdir: Path, sabotage: str | None = None) -> list[Call]:
    """What the server did, as far as it matters, from its start on, for one upload."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    init(serverdir)
    trace = serverdir.with_name("trace")
    with launched(serverdir, sabotage=sabotage, under=strace(trace)) as server:
        with client_of(server) as client:
            assert client.upload("root/local", a_wheel()).is_promised
        os.kill(traced_process(server), signal.SIGTERM)  # strace itself would not pass it on
        assert server.process.wait(STOP_SECONDS_MAX) == 0
    return parse_trace(trace.read_text(), serverdir)


def traced_process(server: RunningServer) -> int:
    """The server below strace, by the mark that says that it is alive."""
    (mark,) = (server.serverdir / "incoming").glob("*.lock")
    return int(mark.name.partition("-")[0])


def calls(steps: list[Step]) -> list[Call]:
    """Calls one after another; what is sent is success."""
    return [
        Call(step[0], step[1], step[2] if len(step) > 2 else "", text_of(step), number, number)
        for number, step in enumerate(steps)
    ]


def text_of(step: Step) -> str:
    return "HTTP/1.1 200 OK" if step[0] == "send" else ""
