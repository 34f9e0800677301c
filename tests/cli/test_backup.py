"""`backup` while clients upload, replace and remove; and `restore`."""

import hashlib
import itertools
import json
import os
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from simpleindex.cli.options import this_command
from tests.builders import BuiltFile, a_wheel, an_upload_body
from tests.cli.asking import ask, ask_json
from tests.cli.commands import ROOT_PASSWORD, Cli
from tests.cli.directories import stored
from tests.server import RunningServer, running_server

_WRITERS = 3
_VERSIONS = 12
"""How many files each writer has, which it uploads, replaces and removes over and over."""


class Load:
    """Clients that are told what became of each request, and remember it."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._known: dict[str, str] = {}
        """By name, the sha256 of files that are there, as far as the server has said."""
        self._touched: set[str] = set()
        """Names that something was tried with since the last look."""
        self._writers: list[Future[None]] = []
        self.requests = 0

    def look(self) -> dict[str, str]:
        """What is acknowledged, and nobody is about to change."""
        with self._lock:
            known = dict(self._known)
            self._touched.clear()
            return known

    def untouched(self, known: dict[str, str]) -> dict[str, str]:
        """What of that nobody has tried to change since."""
        with self._lock:
            return {name: sha for name, sha in known.items() if name not in self._touched}

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(_WRITERS) as threads:
            self._writers = [threads.submit(self._write, number) for number in range(_WRITERS)]
            try:
                yield
            finally:
                self._stop.set()
        for writer in self._writers:
            writer.result()

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests were answered, unless a client fails."""
        while self.requests < requests and not any(writer.done() for writer in self._writers):
            self._stop.wait(0.01)

    def _write(self, writer: int) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            version = f"1.{number % _VERSIONS}"
            content = {"payload.txt": f"{writer} {number}".encode() * 100}
            built = a_wheel(f"load{writer}", version, extra_files=content)
            with self._lock:
                self._touched.add(built.filename)
                self._known.pop(built.filename, None)
            if number % 5 == 4:
                status = self._remove(f"load{writer}", version)
                assert status in (200, 404), status
            else:
                assert self._upload(built) == 200
                with self._lock:
                    self._known[built.filename] = built.sha256
            self.requests += 1

    def _upload(self, built: BuiltFile) -> int:
        content_type, body = an_upload_body(built)
        login = b64encode(f"root:{ROOT_PASSWORD}".encode()).decode()
        headers = {"Content-Type": content_type, "Authorization": f"Basic {login}"}
        return ask(self._server.port, "POST", "/root/busy/", body, headers)[0]

    def _remove(self, project: str, version: str) -> int:
        login = ("root", ROOT_PASSWORD)
        path = f"/root/busy/{project}/{version}"
        return ask_json(self._server.port, "DELETE", path, login=login)[0]


def test_backups_under_load_restore_to_consistent_servers(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    cli.must("index", "create", "root/busy", "volatile=True", f"--serverdir={data}")
    backups: list[tuple[Path, dict[str, str]]] = []
    with running_server(data, "--no-access-log") as server:
        load = Load(server)
        with load.running():
            for number in range(3):
                load.wait_for(40 * (number + 1))
                known = load.look()
                told = cli.must("backup", tmp_path / "saved", "--json", f"--serverdir={data}")
                backups.append((Path(json.loads(told)["backup"]), load.untouched(known)))
    assert len({backup for backup, _ in backups}) == 3
    for number, (backup, expected) in enumerate(backups):
        new = tmp_path / f"restored{number}"
        cli.must("restore", backup, "--verify", f"--serverdir={new}")
        assert cli.must("fsck", f"--serverdir={new}").endswith(": 0 faults\n")
        there = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in stored(new, "root/busy").items()
        }
        assert {name: there.get(name) for name in expected} == expected
        with running_server(new) as server:
            assert ask(server.port, "GET", "/root/busy/+simple/load0/")[0] == 200
    assert cli.must("fsck", f"--serverdir={data}").endswith(": 0 faults\n")


def test_what_was_saved_is_told_in_a_line(
    cli: Cli, data: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    a_wheel("demo").save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    (line,) = cli.must("backup", tmp_path / "saved", f"--serverdir={data}").splitlines()
    (backup,) = (tmp_path / "saved").glob("*Z")
    assert line.startswith(f"{backup}: 1 file, ") and line.endswith("0 bytes copied")
    (line,) = cli.must("restore", backup, f"--serverdir={tmp_path / 'new'}").splitlines()
    assert line.startswith(f"{tmp_path / 'new'}: 1 file, ") and ", as of 20" in line
    assert stored(tmp_path / "new") == stored(data)
    first = cli.must("backup", tmp_path / "saved", "--keep=1", f"--serverdir={data}")
    assert first.startswith(f"removed  {backup}\n")


def test_a_file_that_was_lost_is_told_of_with_exit_code_1(
    cli: Cli, data: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    for name in ("demo", "other"):
        a_wheel(name).save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    (wheel,) = (data / "files").rglob("demo*.whl")
    wheel.unlink()
    called = cli("backup", tmp_path / "saved", f"--serverdir={data}")
    assert (called.exit_code, called.err) == (1, "")
    assert called.out.startswith("damaged  files/root/local/+f/")
    (backup,) = (tmp_path / "saved").glob("*Z")
    into = f"--serverdir={tmp_path / 'new'}"
    assert "restore what there is with --despite-faults" in cli("restore", backup, into).complaint
    assert not (tmp_path / "new").exists()
    called = cli("restore", backup, "--despite-faults", into)
    assert called.exit_code == 1 and "was so before it was saved" in called.out
    assert cli("list", f"--serverdir={tmp_path / 'new'}").exit_code == 0


def test_a_file_that_only_an_earlier_backup_has_is_told_of_with_exit_code_1(
    cli: Cli, data: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    a_wheel("demo").save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    cli.must("backup", tmp_path / "saved", f"--serverdir={data}")
    (wheel,) = (data / "files").rglob("demo*.whl")
    wheel.unlink()
    called = cli("backup", tmp_path / "saved", f"--serverdir={data}")
    first, _, last = called.out.splitlines()
    below = wheel.relative_to(data).as_posix()
    assert (called.exit_code, called.err) == (1, "")
    assert first.startswith(f"recovered  {below} is lost or damaged; its bytes came from ")
    assert f"`{this_command()} fsck --serverdir={data}` tells what to do" in last


def test_a_damaged_catalog_is_told_of_in_one_line(cli: Cli, data: Path, tmp_path: Path) -> None:
    os.truncate(data / "catalog.sqlite", 8192)
    complaint = cli("backup", tmp_path / "saved", f"--serverdir={data}").complaint
    assert "the catalog is damaged" in complaint
    assert f"`{this_command()} rebuild --serverdir={data}`" in complaint
    assert not (tmp_path / "saved").exists()


def test_what_mirrors_have_kept_comes_along_on_request(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    cli.must("gc", f"--serverdir={data}")  # which makes the cache
    kept = data / "cache" / "files" / "root" / "pypi" / "kept.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"bytes")
    cli.must("backup", tmp_path / "saved", f"--serverdir={data}")
    cli.must("backup", tmp_path / "saved", "--with-cache", f"--serverdir={data}")
    without, with_it = sorted((tmp_path / "saved").glob("*Z*"))
    assert not (without / "cache").exists()
    cli.must("restore", with_it, f"--serverdir={tmp_path / 'new'}")
    assert (tmp_path / "new" / kept.relative_to(data)).read_bytes() == b"bytes"
