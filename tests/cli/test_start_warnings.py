"""What `serve` warns of when it starts."""

import os
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpleindex.cli.start_warnings import warnings_at_start
from simpleindex.config import Config
from simpleindex.serving.tls import Tls
from tests.cli.commands import Cli, run
from tests.server import running_server

NEEDS_MODES = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
TLS = Tls(Path("cert"), Path("key"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ())


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize(
    ("addresses", "shown"),
    [
        ([("127.0.0.1", 3141)], None),
        ([("127.0.0.53", 3141), ("::1", 3141, 0, 0), "/run/socket", ""], None),
        ([("0.0.0.0", 3141)], "to 0.0.0.0:3141:"),
        ([("::", 3141, 0, 0)], "to [::]:3141:"),
        ([("127.0.0.1", 1), ("192.0.2.1", 2), ("fe80::1%eth0", 3, 0, 2)],
         "to 192.0.2.1:2, [fe80::1%eth0]:3:"),
    ],
)  # fmt: skip
def test_what_travels_unencrypted_to_other_computers_is_warned_of(
    addresses: list[Any], shown: str | None, private: Path
) -> None:
    lines = warnings_at_start(Config(serverdir=private), None, addresses)
    if shown is None:
        assert lines == []
        return
    (line,) = lines
    assert shown in line
    assert "tls_cert" in line and "outside_url" in line


def test_with_https_there_is_nothing_to_warn_of(private: Path) -> None:
    everywhere = [("0.0.0.0", 3141)]
    assert warnings_at_start(Config(serverdir=private), TLS, everywhere) == []
    proxied = Config(serverdir=private, outside_url="https://packages.example")
    assert warnings_at_start(proxied, None, everywhere) == []
    plain = Config(serverdir=private, outside_url="http://packages.example")
    assert len(warnings_at_start(plain, None, everywhere)) == 1


def test_a_certificate_that_clients_refuse_is_warned_of(private: Path) -> None:
    expired = replace(TLS, warnings=("it has expired",))
    assert warnings_at_start(Config(serverdir=private), expired, []) == ["it has expired"]


@NEEDS_MODES
def test_a_directory_that_others_can_enter_is_warned_of_in_one_line(
    cli: Cli, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    cli.init(data)
    data.chmod(0o755)
    (data / "secret").chmod(0o644)
    with running_server(data) as server:
        (line,) = [each for each in server.log.read_text().splitlines() if "warning" in each]
    assert line.startswith(
        f"simpleindex-server: warning: other users of this computer can get at {data} and 1 more,"
    )
    assert line.endswith(f"`chmod -R go= {data}` keeps them out")


@NEEDS_MODES
def test_whatever_the_umask_is_only_the_owner_gets_at_the_directory(tmp_path: Path) -> None:
    data, wheels = tmp_path / "data", tmp_path / "wheels"
    data.mkdir()
    data.chmod(0o777)
    umask = os.umask(0)
    try:
        wheels.mkdir()
        assert run("init", f"--serverdir={data}", "--root-passwd=chosen").exit_code == 0
        assert run("add", str(wheels), f"--serverdir={data}").exit_code == 0
        with running_server(data):
            opened = modes_below(data)
    finally:
        os.umask(umask)
    assert {"catalog.sqlite", "catalog.sqlite-wal", "journal.jsonl", "failures", "files"} <= set(
        opened
    )
    assert {name: mode for name, mode in opened.items() if mode not in ("0o700", "0o600")} == {}
    assert data.stat().st_mode & 0o777 == 0o700


def modes_below(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): oct(path.stat().st_mode & 0o777) for path in root.rglob("*")
    }


@NEEDS_MODES
def test_a_verb_leaves_the_umask_of_its_caller_as_it_was(cli: Cli, tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        cli.init(tmp_path / "data")
        assert cli("passwd", "nobody", f"--serverdir={tmp_path / 'data'}").exit_code == 1
        (tmp_path / "file").touch(0o666)
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(umask)
