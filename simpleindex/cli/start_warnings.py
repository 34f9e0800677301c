"""What `serve` says at its start about what is at risk. It starts all the same."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from simpleindex.config import Config
from simpleindex.doctor.exposure import in_the_open
from simpleindex.serving.tls import Tls
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
    # That of a Unix socket is its path; those of IPv6 have more than a host and a port.
    internet = [each[:2] for each in addresses if not isinstance(each, str)]
    opened = in_the_open(internet, config.outside_url, has_tls=tls is not None)
    if opened:
        found.append(
            f"passwords, tokens and packages travel unencrypted to {', '.join(opened)}: whoever is "
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
