"""`shims`: launchers under devpi's names, so that old scripts keep working."""

import os
import shlex
import sys
from pathlib import Path

import click

from simpleindex.archive import archive
from simpleindex_storage.durable import unavailable_on_failure

_VERB_OF = {"devpi-init": "init", "devpi-server": "serve", "devpi-passwd": "passwd"}
_MARK = "made by simpleindex-server shims"


@click.command("shims")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def command(folder: Path) -> None:
    """Write devpi-init, devpi-server and devpi-passwd into DIR; they call this program.

    Put DIR in front of PATH, and scripts written for devpi-server run as they are. A file of that
    name that is not ours is left alone.
    """
    windows = os.name == "nt"
    targets = {
        folder / (f"{name}.cmd" if windows else name): verb for name, verb in _VERB_OF.items()
    }
    with unavailable_on_failure(f"{folder} cannot be written"):
        for path in targets:
            if path.exists() and _MARK not in path.read_text(errors="replace"):
                raise click.ClickException(f"{path} is something else; remove it first")
        folder.mkdir(parents=True, exist_ok=True)
        for path, verb in targets.items():
            path.write_text(_for_windows(verb) if windows else _for_posix(verb))
            path.chmod(0o755)
            click.echo(f"wrote {path}")


def _for_posix(verb: str) -> str:
    return f'#!/bin/sh\n# {_MARK}\nexec {shlex.join(_this_program())} {verb} "$@"\n'


def _for_windows(verb: str) -> str:
    program = " ".join(f'"{part}"' for part in _this_program())
    return f"@rem {_MARK}\n@{program} {verb} %*\n"


def _this_program() -> list[str]:
    """How to call us again from anywhere: the beginning of a command line."""
    running = archive()
    return [sys.executable, *(["-m", "simpleindex"] if running is None else [str(running)])]
