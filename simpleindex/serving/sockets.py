"""The addresses that a server listens on, taken before anything else is done."""

import errno
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from simpleindex.config import Config, ConfigError


def bind(config: Config) -> list[socket.socket]:
    """Take the addresses. Nothing is answered there yet, but nobody else can have them.

    Raises ConfigError.
    """
    with ExitStack() as taken:
        sockets = []
        for address in config.addresses:
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
        raise ConfigError(
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
        raise ConfigError(f"cannot listen on {host}:{port} ({_why(error)}); {advice}") from None
    return listening


def _bind_unix(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError("this system has no Unix sockets; leave --unix-socket away")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_answered(path):
            path.unlink(missing_ok=True)  # of a server that was killed
        listening.bind(str(path))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"cannot listen on {path} ({_why(error)}); another program may have it: stop it, or "
            "choose another path with --unix-socket"
        ) from None
    return listening


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        return caller.connect_ex(str(path)) == 0


def _why(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error)
