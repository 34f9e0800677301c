"""`serve`: answer requests until told to stop."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click

from simpleindex.cli.directory import keep_others_out, meant_instead
from simpleindex.cli.options import (
    ROOT_PASSWORD_VARIABLE,
    config_from,
    devpi_options,
    require_owner,
    setting_options,
    this_command,
    warn_of_ignored,
)
from simpleindex.cli.start_warnings import warn_at_start
from simpleindex.config import Config
from simpleindex.initialise import PASSWORD_FILE, initialise
from simpleindex.log_lines import StderrLog, log_to_stderr
from simpleindex.serving.hangup import on_hangup
from simpleindex.serving.memory import give_memory_back
from simpleindex.serving.server import Server
from simpleindex.serving.settings import Settings, try_out
from simpleindex.serving.sockets import bind
from simpleindex.serving.tls import Tls, tls_of
from simpleindex.serving.workers import WorkerFailed, Workers
from simpleindex.version import __version__
from simpleindex.wire.origin import host_to_trust
from simpleindex_storage.errors import Refused
from simpleindex_storage.opening import FolderState, lacks_catalog, state_of, utc_now


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
    tls = tls_of(config)
    sockets = bind(config)  # before anything is made: the port may be in use
    keep_others_out()  # after the sockets, which a proxy may have to get at
    try:
        told_as_new: tuple[str, ...] = ()
        if state_of(config.serverdir) is FolderState.EMPTY:
            told_as_new = tuple(_newness(config.serverdir))
            password = os.environ.get(ROOT_PASSWORD_VARIABLE)
            initialise(config.serverdir, utc_now(), password=password, with_pypi=not no_root_pypi)
        warn_at_start(config, tls, [listening.getsockname() for listening in sockets])
        with closing(log_to_stderr(as_json=config.log_format == "json")) as log:
            read_again = partial(config_from, config_file, flags)
            greeting = _greeting(config, sockets, told_as_new)
            _serve(config, tls, sockets, read_again, log=log, greeting=greeting)
    finally:
        for listening in sockets:
            listening.close()
        if config.unix_socket is not None:
            config.unix_socket.unlink(missing_ok=True)


def _why_foreign(serverdir: Path) -> str:
    if (serverdir / ".serverversion").exists():
        return (
            "this is a directory of devpi-server; make a new one with "
            "`simpleindex-server init --serverdir=NEW`, and take all over with "
            f"`simpleindex-server import-devpi {serverdir} --serverdir=NEW`"
        )
    if lacks_catalog(serverdir):
        return (
            f"its catalog is lost; `{this_command()} rebuild --serverdir={serverdir}` makes it "
            "anew from the journal and the files, or restore a backup"
        )
    return (
        "other things lie in this folder; choose an empty one, or a directory of simpleindex-server"
    )


def _serve(
    config: Config,
    tls: Tls | None,
    sockets: Sequence[socket.socket],
    read_again: Callable[[], Config],
    *,
    log: StderrLog,
    greeting: str,
) -> None:
    def greet() -> None:
        click.echo(greeting)
        sys.stdout.flush()

    settings = Settings(config, read_again)
    if config.workers == 1:
        server = Server(config, tls, sockets, greet, log)
        on_hangup(lambda: server.reload(settings.read, settings.take), server.stop)
        server.run()
        return
    try_out(config)
    try:
        Workers(settings, sockets).run(greet)
    except WorkerFailed:
        raise click.ClickException(
            "a worker could not be started; the lines above say why"
        ) from None


def _newness(root: Path) -> Iterator[str]:
    """What is told of a directory that is to be made: its name may have been mistyped."""
    yield "  New       made just now, and empty: there was no server in this folder"
    other = meant_instead(root)
    if other is not None:
        yield f"            ({other} is one, too: --serverdir={other} serves that)"


def _greeting(
    config: Config, sockets: Sequence[socket.socket], told_as_new: Sequence[str] = ()
) -> str:
    """What an admin needs to know now, and the next thing to type."""
    root = config.serverdir
    scheme = "http" if config.tls_cert is None else "https"
    urls = [_url(listening, scheme) for listening in sockets]
    lines = [f"simpleindex-server {__version__}", f"  Open      {urls[0]}"]
    lines += [f"            {url}" for url in urls[1:]]
    lines.append(f"  Packages  {root}")
    lines += told_as_new
    if os.path.lexists(root / PASSWORD_FILE):  # where that cannot be seen, it is not told of
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


def _url(listening: socket.socket, scheme: str) -> str:
    address = listening.getsockname()
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
