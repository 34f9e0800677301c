"""`serve`: starts, says where, stops, and refuses to begin what cannot go well."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from simpleindex import __version__
from simpleindex.cli.directory import meant_instead
from simpleindex.cli.options import this_command
from simpleindex.cli.serve import _greeting
from simpleindex.config import read_config
from simpleindex.initialise import PASSWORD_FILE
from simpleindex_storage.catalog_sql import MIGRATIONS
from tests.builders import a_wheel
from tests.cli.asking import ANSWER_SECONDS_MAX, ask, ask_json
from tests.cli.commands import RUN_SECONDS_MAX, Cli, listing, run_on_read_only_disk, run_program
from tests.cli.directories import (
    make_newer,
    make_unreadable,
    open_once,
    root_has,
    spoil_indexes_of,
)
from tests.server import free_port, running_server, server_environment, server_of, simpleindex

NEEDS_POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals and sockets")
STOPPING = [signal.SIGTERM, signal.SIGINT]

IGNORED_WITH_VALUE = [
    "connection-limit", "documentation-path", "file-replication-skip-indexes",
    "file-replication-threads", "indexer-backend", "keyfs-cache-size", "logger-cfg", "master-url",
    "primary-url", "profile-requests", "proxy-timeout",
    "replica-file-search-path", "request-timeout", "role", "storage", "theme", "threads",
    "trusted-proxy-count", "trusted-proxy-headers", "unix-socket-perms",
]  # fmt: skip
IGNORED_FLAGS = [
    "absolute-urls", "autocreate-users", "debug", "debug-macros", "enable-core-metadata",
    "hard-links", "keep-docs-packed", "no-replica-streaming", "requests-only",
]  # fmt: skip
IGNORED = [f"--{name}=1" for name in IGNORED_WITH_VALUE] + [f"--{name}" for name in IGNORED_FLAGS]


def test_a_first_run_takes_roots_password_from_the_environment(tmp_path: Path) -> None:
    command = simpleindex("serve", f"--serverdir={tmp_path / 'data'}", "--port=0")
    with server_of(
        command, tmp_path / "data", server_environment(SIMPLEINDEX_ROOT_PASSWD="chosen")
    ):
        assert root_has(tmp_path / "data", "chosen")
        assert not (tmp_path / "data" / PASSWORD_FILE).exists()


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        (["--host=127.0.0.1"], "http://127.0.0.1:PORT/root/local/ NAME"),
        (
            ["--host=0.0.0.0"],
            f"http://{socket.gethostname()}:PORT/root/local/ --trusted-host "
            f"{socket.gethostname()} NAME",
        ),
        (
            ["--outside-url=http://packages.example/index"],
            "http://packages.example/index/root/local/ --trusted-host packages.example NAME",
        ),
        (["--outside-url=https://packages.example"], "https://packages.example/root/local/ NAME"),
    ],
    ids=["this computer", "all addresses", "a proxy", "a proxy with https"],
)
def test_the_greeting_tells_how_to_install_from_another_host(
    settings: list[str], command: str
) -> None:
    config = read_config(dict(option[2:].replace("-", "_").split("=") for option in settings), {})
    with closing(socket.socket()) as listening:
        listening.bind((config.host, 0))
        port = listening.getsockname()[1]
        greeting = _greeting(config, [listening])
    told = greeting.splitlines()[-1]
    assert told == f"  Then      pip install --index-url {command.replace('PORT', str(port))}"


def test_an_address_of_another_computer_is_no_port_in_use(cli: Cli, tmp_path: Path) -> None:
    complaint = cli("serve", f"--serverdir={tmp_path}", "--host=192.0.2.1", "--port=0").complaint
    assert "192.0.2.1" in complaint and "no address of this computer" in complaint


def test_the_command_of_the_users_manual_starts_a_new_server(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    command = simpleindex(
        f"--serverdir={data}", "--restrict-modify=root", f"--port={port}", "--host=127.0.0.1"
    )
    with server_of(command, data) as server:
        assert server.port == port
        status, told = ask_json(port, "GET", "/+api")
        assert (status, told["result"]["login"]) == (200, f"http://127.0.0.1:{port}/+login")
        credentials = {"user": "root", "password": server.root_password}
        assert ask_json(port, "POST", "/+login", credentials)[0] == 200


def test_a_directory_that_init_made_is_served_as_it_is(cli: Cli, tmp_path: Path) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'data'}", "--root-passwd=chosen", "--no-root-pypi")
    with running_server(tmp_path / "data") as server:
        _, users = ask_json(server.port, "GET", "/")
        assert users["result"]["root"]["indexes"] == {}
        credentials = {"user": "root", "password": "chosen"}
        assert ask_json(server.port, "POST", "/+login", credentials)[0] == 200


def test_the_greeting_names_all_that_is_needed_next(tmp_path: Path) -> None:
    with greeting_of(f"--serverdir={tmp_path / 'data'}", "--port=0") as lines:
        told = "\n".join(lines)
    url = re.search(r"Open +(http://127\.0\.0\.1:\d+/)", told)
    assert url is not None, told
    assert lines[0] == f"simpleindex-server {__version__}"
    assert f"Packages  {tmp_path / 'data'}" in told
    assert f"Password  of the user root: in {tmp_path / 'data' / PASSWORD_FILE}" in told
    assert f"add FOLDER --serverdir={tmp_path / 'data'}" in told
    assert f"pip install --index-url {url[1]}root/local/ NAME" in told
    password = (tmp_path / "data" / PASSWORD_FILE).read_text().strip()
    assert password not in told


NEW = "  New       made just now, and empty: there was no server in this folder"


def test_a_server_that_was_made_just_now_is_told_as_new_and_only_then(tmp_path: Path) -> None:
    for is_new in (True, False):
        with greeting_of(f"--serverdir={tmp_path / 'data'}", "--port=0") as lines:
            assert (NEW in lines) is is_new
            assert "is one, too" not in "\n".join(lines)


@pytest.mark.parametrize(
    "mistyped", ["srv/pakages", "srv/Packages2", "svr/packages", "srv/packages/serverdir"]
)
def test_a_server_that_was_meant_instead_is_named(cli: Cli, tmp_path: Path, mistyped: str) -> None:
    meant = tmp_path / "srv" / "packages"
    cli.init(meant)
    (tmp_path / "srv" / "packagers").mkdir()
    with greeting_of(f"--serverdir={tmp_path / mistyped}", "--port=0") as lines:
        below = lines[lines.index(NEW) + 1]
    assert below == f"            ({meant} is one, too: --serverdir={meant} serves that)"


def test_a_server_of_another_name_is_not_what_was_meant(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "packages")
    assert meant_instead(tmp_path / "mirror") is None
    assert meant_instead(tmp_path / "not" / "there" / "at-all") is None


def test_the_password_is_not_spoken_of_once_it_was_changed(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    with greeting_of(f"--serverdir={tmp_path / 'data'}", "--port=0") as lines:
        assert "Password" not in "\n".join(lines)


def test_settings_come_from_the_file_in_the_directory(cli: Cli, tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    cli.init(data)
    (data / "simpleindex.toml").write_text(f'port = {port}\noutside-url = "https://x.example/i"\n')
    with server_of(simpleindex("serve", f"--serverdir={data}"), data) as server:
        assert server.port == port
        _, told = ask_json(port, "GET", "/+api")
        assert told["result"]["login"] == "https://x.example/i/+login"


def test_port_zero_is_any_free_one(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "one", "--port=0") as one,
        running_server(tmp_path / "two", "--port=0") as two,
    ):
        assert len({0, one.port, two.port}) == 3
        assert ask(one.port, "GET", "/+api")[0] == ask(two.port, "GET", "/+api")[0] == 200


def test_it_listens_on_every_address_that_is_named(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    addresses = [f"--listen=127.0.0.1:{port}" for port in (first, second)]
    with running_server(tmp_path / "data", *addresses) as server:
        assert server.port == first
        for port in (first, second):
            assert ask_json(port, "GET", "/+api")[0] == 200


@NEEDS_POSIX
def test_it_listens_on_a_unix_socket_too_and_takes_it_away(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running_server(tmp_path / "data", f"--unix-socket={path}") as server:
        assert status_by_socket(path) == b"HTTP/1.1 200"
        assert ask(server.port, "GET", "/+api")[0] == 200
    assert not path.exists()


@NEEDS_POSIX
def test_the_socket_of_a_server_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running_server(tmp_path / "data", f"--unix-socket={path}") as server:
        server.kill()
    assert path.exists()
    with running_server(tmp_path / "data", f"--unix-socket={path}"):
        assert status_by_socket(path) == b"HTTP/1.1 200"


@NEEDS_POSIX
@pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
def test_a_signal_to_stop_is_no_failure(tmp_path: Path, number: signal.Signals) -> None:
    with running_server(tmp_path / "data") as server:
        # A client that keeps its connection must not keep the server.
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS_MAX)) as kept:
            kept.request("GET", "/+api")
            assert kept.getresponse().read()
            server.process.send_signal(number)
            assert server.process.wait(RUN_SECONDS_MAX) == 0
        log = server.log.read_text()
    assert "Traceback" not in log
    assert not list((tmp_path / "data" / "incoming").iterdir())
    assert not list((tmp_path / "data").glob("catalog.sqlite-*"))


@NEEDS_POSIX
@pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
def test_a_signal_that_comes_early_counts(tmp_path: Path, number: signal.Signals) -> None:
    words = [number.name, "serve", f"--serverdir={tmp_path / 'data'}", "--port=0"]
    called = run_program([sys.executable, "-c", SIGNALLED_EARLY, *words])
    assert called.exit_code == 0, called


def test_requests_are_told_of_unless_that_is_not_wanted(tmp_path: Path) -> None:
    with running_server(tmp_path / "one") as server:
        ask(server.port, "GET", "/root")
    assert '"GET /root HTTP/1.1" 200' in server.log.read_text()
    with running_server(tmp_path / "two", "--no-access-log") as server:
        ask(server.port, "GET", "/root")
    assert server.log.read_text() == ""


def test_devpi_servers_other_options_cost_one_warning(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-access-log", *IGNORED) as server:
        assert ask(server.port, "GET", "/+api")[0] == 200
    assert_one_warning(server.log.read_text())


def test_init_takes_devpi_servers_other_options_too(cli: Cli, tmp_path: Path) -> None:
    called = cli("init", f"--serverdir={tmp_path / 'data'}", *IGNORED)
    assert called.exit_code == 0
    assert_one_warning(called.err)


def test_a_port_in_use_is_found_before_anything_is_made(cli: Cli, tmp_path: Path) -> None:
    with listener() as port:
        complaint = cli("serve", f"--serverdir={tmp_path / 'data'}", f"--port={port}").complaint
    assert complaint.startswith(f"cannot listen on 127.0.0.1:{port} (Address already in use); ")
    assert complaint.endswith("stop it, or choose another one with --port")
    assert not (tmp_path / "data").exists()


def test_one_address_in_use_among_several_lets_the_others_go(cli: Cli, tmp_path: Path) -> None:
    free = free_port()
    with listener() as port:
        addresses = [f"--listen=127.0.0.1:{each}" for each in (free, port)]
        complaint = cli("serve", f"--serverdir={tmp_path / 'data'}", *addresses).complaint
    assert complaint.startswith(f"cannot listen on 127.0.0.1:{port} ")
    assert not (tmp_path / "data").exists()
    with closing(socket.create_server(("127.0.0.1", free))):
        pass


@NEEDS_POSIX
def test_the_socket_of_a_server_that_lives_is_left_to_it(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running_server(tmp_path / "one", f"--unix-socket={path}"):
        words = [f"--serverdir={tmp_path / 'two'}", "--port=0", f"--unix-socket={path}"]
        complaint = cli("serve", *words).complaint
        assert complaint.startswith(f"cannot listen on {path} (Address already in use); ")
        assert status_by_socket(path) == b"HTTP/1.1 200"
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--host=a..b", "a..b is no address to listen on ("),
        ("--host=192.0.2.1", "cannot listen on 192.0.2.1:0 ("),
        pytest.param(f"--unix-socket=/{'x' * 200}", "cannot listen on /xxxx", marks=NEEDS_POSIX),
    ],
    ids=["impossible host", "somebody else's address", "path too long"],
)
def test_an_address_that_cannot_be_is_named(
    cli: Cli, tmp_path: Path, option: str, complaint: str
) -> None:
    called = cli("serve", f"--serverdir={tmp_path / 'data'}", "--port=0", option)
    assert called.complaint.startswith(complaint)
    assert "(None)" not in called.complaint
    assert not (tmp_path / "data").exists()


def test_a_host_that_nobody_knows_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    called = cli("serve", f"--serverdir={tmp_path / 'data'}", "--host=index.example")
    assert called.complaint == (
        "index.example is no address to listen on (Name or service not known); see --host"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (
            ["notes.txt"],
            "other things lie in this folder; choose an empty one, or a directory of "
            "simpleindex-server",
        ),
        (
            [".nodeinfo", ".serverversion", ".sqlite", "+files"],
            "this is a directory of devpi-server; make a new one with `{us} init --serverdir=NEW`, "
            "and take all over with `{us} import-devpi {folder} --serverdir=NEW`",
        ),
    ],
    ids=["of somebody's", "of devpi-server"],
)
def test_a_folder_of_other_things_is_left_alone(
    cli: Cli, tmp_path: Path, names: list[str], reason: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    before = listing(tmp_path)
    complaint = cli("serve", f"--serverdir={tmp_path}", "--port=0").complaint
    assert complaint == f"{tmp_path}: {reason.format(folder=tmp_path, us=this_command())}"
    assert listing(tmp_path) == before


def test_an_unreadable_catalog_is_left_as_it_is(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    open_once(tmp_path / "data")
    make_unreadable(tmp_path / "data")
    before = listing(tmp_path)
    complaint = cli("serve", f"--serverdir={tmp_path / 'data'}", "--port=0").complaint
    assert complaint == (
        f"{tmp_path / 'data' / 'catalog.sqlite'}: the catalog is damaged "
        f"(file is not a database); `{this_command()} rebuild --serverdir={tmp_path / 'data'}` "
        "makes it anew from the journal and the files, or restore a backup"
    )
    assert listing(tmp_path) == before


def test_damage_that_shows_while_it_runs_is_a_503_and_the_log_names_the_way_out(
    cli: Cli, tmp_path: Path
) -> None:
    data, wheels = tmp_path / "data", tmp_path / "wheels"
    wheels.mkdir()
    a_wheel("demo").save(wheels)
    cli.init(data)
    cli.must("add", wheels, f"--serverdir={data}")
    spoil_indexes_of(data, "files")
    with running_server(data) as server:
        status, told = ask(server.port, "GET", "/root/local/+simple/demo/")
        assert status == 503
        assert b"the catalog cannot be read" in told
        assert ask(server.port, "GET", "/+api")[0] == 200
    log = server.log.read_text()
    assert "`simpleindex-server fsck` tells what is damaged" in log
    assert "Traceback" not in log


def test_a_directory_that_lost_its_catalog_is_told_what_makes_it_anew(
    cli: Cli, tmp_path: Path
) -> None:
    cli.init(tmp_path / "data")
    open_once(tmp_path / "data")
    (tmp_path / "data" / "catalog.sqlite").unlink()
    complaint = cli("serve", f"--serverdir={tmp_path / 'data'}", "--port=0").complaint
    assert complaint.startswith(f"{tmp_path / 'data'}: its catalog is lost; ")
    assert f"rebuild --serverdir={tmp_path / 'data'}` makes it anew" in complaint


def test_a_newer_catalog_is_left_as_it_is(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    open_once(tmp_path / "data")
    make_newer(tmp_path / "data")
    before = listing(tmp_path)
    complaint = cli("serve", f"--serverdir={tmp_path / 'data'}", "--port=0").complaint
    assert complaint == (
        f"{tmp_path / 'data' / 'catalog.sqlite'}: a newer simpleindex-server made this catalog "
        f"(version 1000, this one knows {len(MIGRATIONS)}); install that one"
    )
    assert listing(tmp_path) == before


@NEEDS_POSIX
@pytest.mark.parametrize("verb", ["serve", "passwd", "add"])
def test_a_directory_on_a_read_only_disk_is_told_of(cli: Cli, tmp_path: Path, verb: str) -> None:
    cli.init(tmp_path / "data")
    before = listing(tmp_path)
    words = {"serve": ["serve", "--port=0"], "passwd": ["passwd"], "add": ["add", "/dev/null"]}
    called = run_on_read_only_disk(tmp_path, *words[verb], f"--serverdir={tmp_path / 'data'}")
    assert called.complaint == (
        f"{tmp_path / 'data'}: the directory cannot be written; give its owner the right to"
    )
    assert listing(tmp_path) == before


@NEEDS_POSIX
@pytest.mark.parametrize("words", [["serve", "--port=0"], ["init"]], ids=["serve", "init"])
@pytest.mark.parametrize("name", ["new", "."])
def test_a_new_directory_on_a_read_only_disk_is_told_of(
    tmp_path: Path, words: list[str], name: str
) -> None:
    called = run_on_read_only_disk(tmp_path, *words, f"--serverdir={tmp_path / name}")
    assert called.complaint == f"{tmp_path / name} cannot be written: Read-only file system"
    assert listing(tmp_path) == {}


def test_what_is_wrong_is_told_once_and_not_by_each_worker(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    called = cli("serve", f"--serverdir={tmp_path}", "--port=0", "--workers=2")
    assert (called.exit_code, called.err.count("thesis"), called.err.count("\n")) == (1, 0, 1)
    assert called.complaint.startswith(f"{tmp_path}: other things lie in this folder")


@pytest.mark.parametrize("number", ["0", "-1", "65", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(cli: Cli, number: str) -> None:
    called = cli("serve", "--port=0", f"--workers={number}")
    assert (called.exit_code, called.complaint.partition(" =")[0]) == (1, "workers")


@contextmanager
def greeting_of(*arguments: str) -> Iterator[list[str]]:
    """What a server says at its start, for as long as the block."""
    with subprocess.Popen(
        simpleindex("serve", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=server_environment(),
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if "pip install" in line:
                break
        try:
            yield lines
        finally:
            process.terminate()
    assert process.returncode == 0


@contextmanager
def listener() -> Iterator[int]:
    """A port that another program has."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        yield taken.getsockname()[1]


def status_by_socket(path: Path) -> bytes:
    """The beginning of a server's answer by its Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS_MAX)
        connection.connect(str(path))
        connection.sendall(b"GET /+api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    return answer[:12]


def assert_one_warning(log: str) -> None:
    (line,) = log.splitlines()
    start, _, names = line.rpartition(": ")
    assert start == "simpleindex-server: warning: ignored, since it has no meaning here"
    assert names.split(", ") == sorted(f"--{name}" for name in IGNORED_WITH_VALUE + IGNORED_FLAGS)


SIGNALLED_EARLY = """\
import signal, sys, uvicorn
from simpleindex.cli import main

run = uvicorn.Server.run

def signalled(server, sockets=None):
    signal.raise_signal(signal.Signals[sys.argv[1]])
    return run(server, sockets)

uvicorn.Server.run = signalled
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("entry", ["10.1.0.0/99", "http://corp/", "corp:80", "*"])
def test_a_private_upstream_that_is_no_host_is_told_in_one_line(
    cli: Cli, tmp_path: Path, entry: str
) -> None:
    cli.init(tmp_path / "data")
    where = (f"--serverdir={tmp_path / 'data'}", "--port=0")
    complaint = cli("serve", *where, f"--private-upstreams={entry}").complaint
    assert complaint.startswith("private_upstreams: ")
    assert entry in complaint
