"""`log`, as people read it and as tools do."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex_storage.model import Actor, Index, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName
from simpleindex_storage.opening import open_store, utc_now
from simpleindex_storage.ports import Change
from simpleindex_storage.records import time_text
from tests.builders import a_wheel
from tests.cli.commands import ROOT_PASSWORD, Cli
from tests.cli.directories import make_unreadable
from tests.server import hearing_ctrl_c, server_environment, simpleindex
from tests.storage.stores import journal_of, send

DEV = IndexName("root/dev")
SECRET = "of-the-upstream"
WAIT_SECONDS_MAX = 30.0
NOTHING_FITS = "simpleindex-server: nothing in the log fits\n"


@pytest.fixture
def data(cli: Cli, tmp_path: Path) -> Path:
    """A server on which something was done: by whom, from where, and when is known."""
    data = tmp_path / "data"
    password = tmp_path / "password"
    password.write_text("of-alice\n")
    cli.init(data)
    cli.must("user", "create", "alice", f"--password-file={password}", f"--serverdir={data}")
    cli.must("token", "create", "alice", "--name=ci", f"--serverdir={data}")
    store = open_store(data)
    mirror = MirrorSettings(mirror_url=f"https://me:{SECRET}@far.example/simple")
    change = store.catalog.change
    change(lambda it: it.put_index(Index(DEV, StageSettings())), by=ROOT_AT_CONSOLE, what="index")
    change(
        lambda it: it.put_index(Index(IndexName("root/far"), mirror)),
        by=Actor("alice", "2001:db8::7"),
        what="create index",
    )
    for number in (1, 2):
        send(store, a_wheel("Demo", f"{number}.0"), DEV, sender="alice")
    send(store, a_wheel("art"), DEV, sender="")
    store.close()
    cli.must("yank", "demo", "1.0", "--index=root/dev", "--reason=bad", f"--serverdir={data}")
    cli.must("remove", "art", "--index=root/dev", "--force", f"--serverdir={data}")
    return data


def log(cli: Cli, data: Path, *options: str) -> list[dict[str, Any]]:
    """The log as a tool reads it."""
    called = cli("log", "--json", f"--serverdir={data}", *options)
    assert (called.exit_code, called.err) == (0, "" if called.out else NOTHING_FITS)
    return [json.loads(line) for line in called.out.splitlines()]


def test_a_tool_reads_every_change_a_line_each_oldest_first(cli: Cli, data: Path) -> None:
    lines = log(cli, data)
    keys = ["serial", "time", "who", "from", "what", "subject", "facts"]
    assert [list(line) for line in lines] == [keys] * len(lines)
    assert [line["serial"] for line in lines] == list(range(len(lines)))
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    told = [(line["who"], line["from"], line["what"], line["subject"]) for line in lines]
    token = lines[2]["subject"]
    assert token.startswith("alice ")
    assert told == [
        ("", "console", "init", "root"),
        ("root", "console", "create user", "alice"),
        ("root", "console", "create token", token),
        ("root", "console", "index", "root/dev"),
        ("alice", "2001:db8::7", "create index", "root/far"),
        ("alice", None, "upload", "root/dev demo-1.0-py3-none-any.whl"),
        ("alice", None, "upload", "root/dev demo-2.0-py3-none-any.whl"),
        ("", None, "upload", "root/dev art-1.0-py3-none-any.whl"),
        ("root", "console", "yank", "root/dev demo-1.0-py3-none-any.whl: bad"),
        ("root", "console", "remove", "root/dev art"),
    ]


def test_the_facts_are_those_of_the_journal_but_for_its_secrets(cli: Cli, data: Path) -> None:
    in_journal = journal_of(data)
    secrets = {
        fact[key]
        for line in in_journal
        for kind, fact in line["facts"]
        for key in ("password_hash", "sha256")
        if key in fact and kind in ("user", "token")
    } | {SECRET}
    assert len(secrets) == 4
    assert all(secret in json.dumps(in_journal) for secret in secrets)
    for options in ([], ["--json"]):
        told = cli.must("log", f"--serverdir={data}", "-n0", *options)
        assert [secret for secret in secrets if secret in told] == []
    for line, entry in zip(in_journal, log(cli, data), strict=True):
        assert [kind for kind, _ in entry["facts"]] == [kind for kind, _ in line["facts"]]
        for (kind, fact), (_, shown) in zip(line["facts"], entry["facts"], strict=True):
            assert shown.keys() == fact.keys()
            if kind not in ("user", "token", "index"):
                assert shown == fact
    assert log(cli, data, "--index=root/far")[0]["facts"][0][1]["settings"]["mirror_url"] == (
        "https://far.example/simple"
    )


def test_people_read_a_line_for_each_change(cli: Cli, data: Path) -> None:
    lines = cli.must("log", f"--serverdir={data}").splitlines()
    time = log(cli, data)[4]["time"]
    told = f"{time[:10]} {time[11:19]}Z  alice  2001:db8::7  create index  root/far"
    assert lines[4] == told
    assert lines[0].endswith("Z  -  console  init  root")


@pytest.mark.parametrize(
    ("options", "serials"),
    [
        (["--user=alice"], [4, 5, 6]),
        (["--index=root/dev"], [3, 5, 6, 7, 8, 9]),
        (["--project=DEMO"], [5, 6, 8]),
        (["--project=art"], [7, 9]),
        (["--what=upload"], [5, 6, 7]),
        (["--what=create"], [1, 2, 4]),
        (["--what=yank", "--what=remove"], [8, 9]),
        (["-n", "2"], [8, 9]),
        (["--what=upload", "-n1"], [7]),
        (["--since=1h"], list(range(10))),
        (["--until=2020-01-01"], []),
        (["--since=2999-01-01"], []),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_what_is_asked_for_is_told(
    options: list[str], serials: list[int], cli: Cli, data: Path
) -> None:
    assert [line["serial"] for line in log(cli, data, *options)] == serials


def test_a_time_is_told_to_the_second_and_a_day_to_its_end(cli: Cli, data: Path) -> None:
    times = [line["time"] for line in log(cli, data)]
    assert [line["time"] for line in log(cli, data, f"--since={times[3]}")] == times[3:]
    assert [line["time"] for line in log(cli, data, f"--until={times[3]}")] == times[:3]
    today = utc_now()
    assert len(log(cli, data, f"--until={time_text(today + timedelta(days=1))[:10]}")) == 10
    assert log(cli, data, f"--until={time_text(today - timedelta(days=2))[:10]}") == []


@pytest.mark.parametrize("text", ["yesterday", "7y", "2026-13-01", "", "99999999d", "999999w"])
def test_a_time_that_is_none_is_refused_in_words(text: str, cli: Cli, data: Path) -> None:
    complaint = cli("log", f"--since={text}", f"--serverdir={data}").complaint
    assert complaint.startswith(f"time {text!r}: give a day")


def test_people_see_the_last_fifty_and_tools_all(cli: Cli, data: Path) -> None:
    store = open_store(data)
    for number in range(60):

        def work(it: Change, number: int = number) -> None:
            it.put_index(Index(IndexName(f"root/i{number}"), StageSettings()))

        store.catalog.change(work, by=Actor("root"), what="index")
    store.close()
    assert len(cli.must("log", f"--serverdir={data}").splitlines()) == 50
    assert len(cli.must("log", f"--serverdir={data}", "-n0").splitlines()) == 70
    assert len(log(cli, data)) == 70


# Whatever state the journal is in


def test_all_segments_are_read_in_their_order(cli: Cli, data: Path) -> None:
    before = len(log(cli, data))
    store = open_store(data)
    store.catalog.begin_segment()
    store.close()
    cli.must("unyank", "demo", "1.0", "--index=root/dev", f"--serverdir={data}")
    assert [line["serial"] for line in log(cli, data)] == list(range(before + 1))


@pytest.mark.parametrize("torn", [b'{"serial": 10, "ti', b"\x00" * 80, b"\x00" * 80 + b"\n"])
def test_a_last_line_that_was_cut_short_is_left_out(torn: bytes, cli: Cli, data: Path) -> None:
    with (data / "journal.jsonl").open("ab") as journal:
        journal.write(torn)
    assert len(log(cli, data)) == 10


def test_a_line_of_a_commit_that_never_happened_is_not_told(cli: Cli, data: Path) -> None:
    lines = (data / "journal.jsonl").read_bytes().splitlines(keepends=True)
    with (data / "journal.jsonl").open("ab") as journal:
        journal.write(lines[-1].replace(b'"serial":9', b'"serial":10'))
    assert len(log(cli, data)) == 10


def test_a_damaged_line_is_named_and_the_others_are_told(cli: Cli, data: Path) -> None:
    lines = (data / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (data / "journal.jsonl").write_bytes(b"".join([*lines[:3], b"damaged\n", *lines[4:]]))
    called = cli("log", f"--serverdir={data}", "--json")
    assert (called.exit_code, len(called.out.splitlines())) == (0, 9)
    assert called.err.startswith("simpleindex-server: warning: a line of journal.jsonl is damaged")


def test_the_log_of_a_server_without_its_catalog_can_be_read(cli: Cli, data: Path) -> None:
    make_unreadable(data)
    assert len(log(cli, data)) == 10
    (data / "catalog.sqlite").unlink()
    assert len(log(cli, data)) == 10


def test_lines_of_older_versions_tell_no_address(cli: Cli, data: Path) -> None:
    path = data / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"from":"console",', b""))
    assert {line["from"] for line in log(cli, data)} == {None, "2001:db8::7"}


def test_what_is_not_printable_does_not_reach_the_terminal(cli: Cli, data: Path) -> None:
    store = open_store(data)
    store.catalog.change(
        lambda it: it.put_index(Index(IndexName("root/x"), StageSettings())),
        by=Actor("root", "\x1b[2J"),
        what="two\nlines",
    )
    store.close()
    assert cli.must("log", f"--serverdir={data}", "-n1").endswith("?[2J  two?lines  root/x\n")
    assert log(cli, data, "-n1")[0]["what"] == "two\nlines"


# While the server runs


def test_what_is_done_is_told_as_it_is_done(cli: Cli, data: Path) -> None:
    command = hearing_ctrl_c("log", "--follow", "--json", "-n1", f"--serverdir={data}")
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, env=server_environment(), text=True
        ) as following,
        ended(following),
    ):
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["serial"] == 9
        cli.must("unyank", "demo", "1.0", "--index=root/dev", f"--serverdir={data}")
        assert json.loads(following.stdout.readline())["serial"] == 10
        store = open_store(data)
        store.catalog.begin_segment()
        store.close()
        cli.must("yank", "demo", "1.0", "--index=root/dev", f"--serverdir={data}")
        assert json.loads(following.stdout.readline())["serial"] == 11
        following.send_signal(signal.SIGINT)
        assert following.wait(WAIT_SECONDS_MAX) == 0


@contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Whatever goes wrong in the block: nobody waits for a process that follows for ever."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def test_a_reader_that_has_seen_enough_is_no_failure(data: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    finished = subprocess.run(
        simpleindex("log", f"--serverdir={data}"),
        check=False,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=server_environment(),
        timeout=WAIT_SECONDS_MAX,
    )
    os.close(writing)
    assert (finished.returncode, finished.stderr) == (0, b"")


# How long it is kept


def test_old_lines_go_when_that_is_set_and_asked_for(cli: Cli, data: Path) -> None:
    path = data / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"time":"20', b'"time":"19'))
    kept = cli.must("log", "--trim", f"--serverdir={data}")
    assert kept.startswith("The log is kept for ever; the setting log_days")
    assert len(log(cli, data)) == 10
    options = ("--trim", "--log-days=30", f"--serverdir={data}")
    document = json.loads(cli.must("log", *options, "--json"))
    assert document == {"log_days": 30, "removed": ["journal.jsonl"], "state_serial": 9}
    assert log(cli, data) == []
    assert cli.must("log", *options).startswith("Nothing has to go yet")


def test_a_folder_that_is_no_server_directory_is_named(cli: Cli, tmp_path: Path) -> None:
    complaint = cli("log", f"--serverdir={tmp_path}").complaint
    assert complaint.startswith(f"{tmp_path} is not a directory of simpleindex-server")
    assert ROOT_PASSWORD not in complaint


@pytest.mark.parametrize("option", ["--what=bogus", "--user=nobody", "--index=root/none"])
def test_that_nothing_fits_is_said(cli: Cli, data: Path, option: str) -> None:
    for more in ([], ["--json"]):
        called = cli("log", option, f"--serverdir={data}", *more)
        assert (called.exit_code, called.out) == (0, "")
        assert called.err == NOTHING_FITS
