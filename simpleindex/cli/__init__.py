"""The command line: `simpleindex-server VERB ...`. Every verb lies in a file of its own.

Verbs are imported when they are asked for, so that none pays for the others.
"""

import os
import sys
from collections.abc import Sequence

import click

from simpleindex.cli.options import Run, as_typed, this_command
from simpleindex.cli.telling import say
from simpleindex.cli.verbs import verbs_of
from simpleindex.config import ConfigError
from simpleindex.version import __version__
from simpleindex_storage.errors import NotStored, StoreError

_VERBS = {
    "serve": "serve:command",
    "init": "init:command",
    "add": "add:command",
    "import-devpi": "import_devpi:command",
    "export": "export:command",
    "inspect": "inspect:command",
    "list": "look:list_",
    "show": "look:show",
    "push": "push:command",
    "remove": "remove:command",
    "yank": "marks:yank",
    "unyank": "marks:unyank",
    "archive": "marks:archive",
    "deprecate": "marks:deprecate",
    "quarantine": "marks:quarantine",
    "activate": "marks:activate",
    "prefetch": "prefetch:command",
    "approve": "approve:command",
    "why": "why:command",
    "gc": "gc:command",
    "doctor": "doctor:command",
    "fsck": "fsck:command",
    "log": "log:command",
    "rebuild": "rebuild:command",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "user": "user:command",
    "index": "index:command",
    "passwd": "passwd:command",
    "token": "token:command",
    "target": "target:command",
    "trust": "trust:command",
    "bundle": "bundle:command",
    "pyz": "pyz:command",
    "request": "request:command",
    "config": "config:command",
    "shims": "shims:command",
}
"""Where each verb's command is: module in this folder, and name in it."""
_HELP_FLAGS = ("-h", "--help", "--version")


@click.group(
    cls=verbs_of(__name__, _VERBS), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="%(version)s")
def _main() -> None:
    """A Python package index that you host yourself.

    Without a verb, or with options only (--serverdir=/srv/index), it serves. `VERB --help` tells
    all about a verb.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code. Whatever fails is told in one line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in _HELP_FLAGS):
        given.insert(0, "serve")
    run = Run()
    umask = os.umask(0o077)
    os.umask(umask)  # there is no other way to ask for it
    try:
        # What comes back is the code of an Exit, or else what the verb returns, which is None.
        exit_code: int | None = _main.main(
            given, prog_name=this_command(), standalone_mode=False, obj=run
        )
    except click.Abort:
        return _fail("interrupted")
    except click.UsageError as error:
        return _fail(_with_help(error))
    except click.ClickException as error:
        return _fail(as_typed(error.format_message()))
    except NotStored as error:  # the hint is what names those that are there
        return _fail(as_typed(str(error), run.serverdir))
    except (StoreError, ConfigError) as error:
        return _fail(as_typed(str(error)))
    except OSError as error:  # a path that was named and cannot be looked at, for example
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    finally:
        os.umask(umask)  # which verbs may have changed, for whoever calls this in their process
    return exit_code or 0


def _with_help(error: click.UsageError) -> str:
    """What is wrong with the command line, and where to read how it should be."""
    message = as_typed(error.format_message())
    command = error.ctx.command_path if error.ctx else this_command()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{command} --help`."


def _fail(line: str) -> int:
    say(f"simpleindex-server: {' '.join(line.split())}", err=True)
    return 1
