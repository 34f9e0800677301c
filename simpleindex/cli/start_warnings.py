"""What `serve` says at its start about what is at risk. It starts all the same."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from simpleindex.config import Config
from simpleindex.serving.tls import Tls
from simpleindex.wire.clients import is_loopback
from simpleindex_storage.privacy import wide_open


def warn_at_start(config: Config, tls: Tls | None, addresses: Iterable[Any]) -> None:
    """Print the warnings that there are to the standard error, one line each.

    `addresses`: those that are listened to, as `socket.getsockname` tells them.
    """
    for line in warnings_at_start(config, tls, addresses):
        click.echo(f"simpleindex-server: warning: {line}", err=True)


def warnings_at_start(config: Config, tls: Tls | None, addresses: Iterable[Any]) -> list[str]:
    """What is at risk, and what to do about it; a line for each."""
    found = [] if tls is None else list(tls.warnings)
    is_encrypted = tls is not None or (config.outside_url or "").startswith("https://")
    beyond = [_shown(address) for address in addresses if _is_beyond(address)]
    if beyond and not is_encrypted:
        found.append(
            f"passwords, tokens and packages travel unencrypted to {', '.join(beyond)}: whoever is "
            "on the way can read and change them; set tls_cert and tls_key, or outside_url if a "
            "proxy in front speaks https"
        )
    found += _of_modes(config.serverdir)
    return found


def _of_modes(root: Path) -> list[str]:
    found = wide_open(root)
    if not found:
        return []
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return [
        f"other users of this computer can get at {found[0]}{more}, and so at packages, hashes of "
        f"passwords and the key that signs logins; `chmod -R go= {root}` keeps them out"
    ]


def _is_beyond(address: Any) -> bool:
    """Whether other computers reach it. The address of a Unix socket is its path."""
    return not isinstance(address, str) and not is_loopback(address[0])


def _shown(address: Any) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
