"""`serve`: answer requests until told to stop."""

import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import click
import uvicorn

from simpleindex.app import Application, create_app
from simpleindex.cli.memory import give_memory_back
from simpleindex.cli.options import (
    ROOT_PASSWORD_VARIABLE,
    config_from,
    devpi_options,
    require_owner,
    setting_options,
    this_command,
    warn_of_ignored,
)
from simpleindex.config import Config
from simpleindex.errors import RequestError
from simpleindex.initialise import PASSWORD_FILE, initialise
from simpleindex.protocol import IndexProtocol
from simpleindex.version import __version__
from simpleindex.wire.origin import host_to_trust
from simpleindex_storage.errors import Refused, StoreError
from simpleindex_storage.opening import FolderState, state_of, utc_now

_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 10


@click.command("serve")
@click.version_option(__version__, message="%(version)s")
@setting_options()
@click.option("--no-root-pypi", is_flag=True, help="At the first run, do not create root/pypi.")
@devpi_options
@click.pass_context
def command(
    context: click.Context, /, config_file: Path | None, no_root_pypi: bool, **flags: object
) -> None:
    """Serve the index. Makes the server directory at the first run, as `init` does."""
    config = config_from(config_file, flags)
    give_memory_back()
    warn_of_ignored(context)
    if state_of(config.serverdir) is FolderState.FOREIGN:
        raise Refused(str(config.serverdir), _why_foreign(config.serverdir))
    require_owner(config.serverdir)
    sockets = _bind(config)  # before anything is made: the port may be in use
    try:
        if state_of(config.serverdir) is FolderState.EMPTY:
            password = os.environ.get(ROOT_PASSWORD_VARIABLE)
            initialise(config.serverdir, utc_now(), password=password, with_pypi=not no_root_pypi)
        app = create_app(config)
        app.open()
        _log_to_stderr(config.access_log)
        _serve(app, config, sockets)
    finally:
        for listening in sockets:
            listening.close()
        if config.unix_socket is not None:
            config.unix_socket.unlink(missing_ok=True)


def _why_foreign(serverdir: Path) -> str:
    if (serverdir / ".serverversion").exists():
        return (
            "this is a directory of devpi-server; make a new one with `init --serverdir=NEW`, and "
            f"take all over with `import-devpi {serverdir} --serverdir=NEW`"
        )
    return (
        "other things lie in this folder; choose an empty one, or a directory of simpleindex-server"
    )


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, greeting: str) -> None:
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            click.echo(self._greeting)
            sys.stdout.flush()


def _serve(app: Application, config: Config, sockets: list[socket.socket]) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            http=IndexProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=config.access_log,
            server_header=False,
            proxy_headers=False,  # else every local process could say that it speaks for others
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        ),
        _greeting(config, sockets),
    )

    def stop(*_: object) -> None:
        server.should_exit = True

    # For a signal that comes before uvicorn listens to them. And uvicorn raises the signal that
    # ended it again when all is done; ending so is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run(sockets)


def _bind(config: Config) -> list[socket.socket]:
    """Take the addresses. Nothing is answered there yet, but nobody else can have them."""
    with ExitStack() as taken:
        sockets = []
        for address in config.listen or [(config.host, config.port)]:
            sockets.append(taken.enter_context(_bind_tcp(*address)))
        if config.unix_socket is not None:
            sockets.append(taken.enter_context(_bind_unix(config.unix_socket)))
        taken.pop_all()
    return sockets


def _bind_tcp(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # the latter from names that DNS could not have
        raise click.ClickException(
            f"{host} is no address to listen on ({_why(error)}); see --host"
        ) from None
    try:
        if sys.platform != "win32":  # there it means that two servers may share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        # Now, not when the server is ready: a port that is bound only can be bound twice.
        listening.listen(2048)
    except OSError as error:
        listening.close()
        advice = "another program may have the port: stop it, or choose another one with --port"
        if error.errno == errno.EADDRNOTAVAIL:
            advice = "it is no address of this computer; 0.0.0.0 stands for all that it has"
        raise click.ClickException(
            f"cannot listen on {host}:{port} ({_why(error)}); {advice}"
        ) from None
    return listening


def _bind_unix(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise click.ClickException("this system has no Unix sockets; leave --unix-socket away")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_answered(path):
            path.unlink(missing_ok=True)  # of a server that was killed
        listening.bind(str(path))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise click.ClickException(
            f"cannot listen on {path} ({_why(error)}); another program may have it: stop it, or "
            "choose another path with --unix-socket"
        ) from None
    return listening


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        return caller.connect_ex(str(path)) == 0


def _why(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _greeting(config: Config, sockets: Sequence[socket.socket]) -> str:
    """What an admin needs to know now, and the next thing to type."""
    root = config.serverdir
    urls = [_url(listening) for listening in sockets]
    lines = [f"simpleindex-server {__version__}", f"  Open      {urls[0]}"]
    lines += [f"            {url}" for url in urls[1:]]
    lines.append(f"  Packages  {root}")
    if (root / PASSWORD_FILE).exists():
        lines.append(f"  Password  of the user root: in {root / PASSWORD_FILE}")
    lines += [
        f"  Next      {this_command()} add FOLDER --serverdir={root}",
        "            (takes a folder of wheels and source distributions into root/local)",
        f"  Then      {_install_command(config.outside_url or urls[0])}",
    ]
    return "\n".join(lines)


def _install_command(root_url: str) -> str:
    """What to type on the hosts of the site. pip trusts only https and its own computer."""
    parts = urlsplit(root_url)
    if parts.hostname in ("0.0.0.0", "::"):  # noqa: S104  all addresses; the name leads to one
        root_url = f"{parts.scheme}://{socket.gethostname()}:{parts.port}"
    host = host_to_trust(root_url)
    trust = f" --trusted-host {host}" if host else ""
    return f"pip install --index-url {root_url.rstrip('/')}/root/local/{trust} NAME"


def _url(listening: socket.socket) -> str:
    address = listening.getsockname()
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _in_one_line(record: logging.LogRecord) -> bool:
    """Tell of an answer that had to be cut, because upstream failed, without a traceback.

    To raise is the only way in which ASGI lets a connection be cut.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RequestError | StoreError):
        record.msg, record.args = "an answer was cut: %s", (str(error),)
        record.exc_info = None
    return True


def _log_to_stderr(access_log: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_in_one_line)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for name, level in (
        ("simpleindex", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("uvicorn.access", logging.INFO if access_log else logging.WARNING),
        ("python_multipart", logging.ERROR),  # it warns of each body that the sender got wrong
    ):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.addHandler(handler)
