"""Options that several verbs share, made from the list of settings."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from subprocess import list2cmdline
from typing import Any, TextIO, TypeVar

import click

from simpleindex.archive import archive
from simpleindex.config import Config, network_text, read_config, settings

ROOT_PASSWORD_VARIABLE = "SIMPLEINDEX_ROOT_PASSWD"  # noqa: S105  the name of a variable

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

# What devpi-server's unit files and scripts may pass, and what has no meaning here.
_DEVPI_WITH_VALUE = (
    "connection-limit", "documentation-path", "file-replication-skip-indexes",
    "file-replication-threads", "indexer-backend", "keyfs-cache-size", "logger-cfg", "master-url",
    "primary-url", "profile-requests", "proxy-timeout",
    "replica-file-search-path", "request-timeout", "role", "storage", "theme", "threads",
    "trusted-proxy-count", "trusted-proxy-headers", "unix-socket-perms",
)  # fmt: skip
_DEVPI_FLAGS = (
    "absolute-urls", "autocreate-users", "debug", "debug-macros", "enable-core-metadata",
    "hard-links", "keep-docs-packed", "no-replica-streaming", "requests-only",
)  # fmt: skip


def setting_options(*names: str, has_short_config: bool = True) -> Callable[[Decorated], Decorated]:
    """Options for the settings of these names, and `--config`. No names: for all settings.

    `has_short_config`: `-c` is `--config`, too; a verb may mean something else by it.
    """
    config_flags = ("-c", "--config") if has_short_config else ("--config",)

    def decorate(function: Decorated) -> Decorated:
        wanted = [entry for entry in settings() if not names or entry.name in names]
        for entry in reversed(wanted):
            option = entry.name.replace("_", "-")
            spellings = [f"--{spelling}" for spelling in (option, *entry.metadata["also"])]
            shown = "" if entry.default in (None, ()) else f" [default: {_shown(entry.default)}]"
            help_text = entry.metadata["help"] + shown
            arguments: dict[str, Any] = {"default": None, "help": help_text}
            if isinstance(entry.default, bool):
                spellings = [f"--{option}/--no-{option}"]
            elif entry.name == "listen":
                arguments |= {"multiple": True, "callback": _none_if_empty}
            if entry.metadata["metavar"]:
                arguments["metavar"] = entry.metadata["metavar"]
            function = click.option(*spellings, entry.name, **arguments)(function)
        return click.option(
            *config_flags,
            "config_file",
            type=click.Path(path_type=Path),
            help="Settings file [default: SERVERDIR/simpleindex.toml].",
        )(function)

    return decorate


def devpi_options(function: Decorated) -> Decorated:
    """devpi-server's options that make no sense here: taken, so that old scripts keep working."""
    for option in _DEVPI_WITH_VALUE:
        function = click.option(f"--{option}", hidden=True, expose_value=False, callback=_ignore)(
            function
        )
    for option in _DEVPI_FLAGS:
        function = click.option(
            f"--{option}",
            is_flag=True,
            default=None,
            hidden=True,
            expose_value=False,
            callback=_ignore,
        )(function)
    return function


def warn_of_ignored(context: click.Context) -> None:
    """One line for all options of devpi-server that were given and do nothing here."""
    ignored = sorted(context.meta.get(_IGNORED, ()))
    if ignored:
        click.echo(
            f"simpleindex-server: warning: ignored, since it has no meaning here: "
            f"{', '.join(ignored)}",
            err=True,
        )


@dataclass(slots=True)
class Run:
    """One call of the command line."""

    serverdir: Path | None = None
    """Of the settings that the verb has read; None: none yet."""


def config_from(config_file: Path | None, flags: dict[str, object]) -> Config:
    """The settings, with the flags of a command line on top. Raises ConfigError."""
    config = read_config(flags, os.environ, config_file)
    run = _this_run()
    if run is not None:
        run.serverdir = config.serverdir
    return config


def part_text(part: object) -> str:
    """One of several values of a setting, as people write it."""
    if isinstance(part, tuple):
        host, port = part
        return f"{host}:{port}"
    return network_text(part) if isinstance(part, IPv4Network | IPv6Network) else str(part)


def require_owner(root: Path) -> None:
    """Refuse to work as somebody else than the directory's owner.

    What another user creates there, root above all, the server could not read or remove.
    """
    if not hasattr(os, "getuid") or not root.exists():
        return
    owner = root.stat().st_uid
    if owner != os.getuid():
        raise click.ClickException(
            f"{root} belongs to {_user_name(owner)}, and you are {_user_name(os.getuid())}; "
            "run this command as its owner"
        )


def first_line(file: TextIO) -> str:
    """The first line of a file that holds a password."""
    try:
        return file.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name} is not text in UTF-8") from None


def ask_for_password(question: str) -> str:
    """Ask twice, at a terminal."""
    if not sys.stdin.isatty():
        raise click.ClickException(
            "there is no terminal to ask for the password at; give --password-file "
            "(- for standard input)"
        )
    password: str = click.prompt(question, hide_input=True, confirmation_prompt=True)
    return password


def this_command() -> str:
    """How the user can call us again."""
    running = archive()
    if running is not None:
        return f"{_python()} {_relative(running)}"
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_python()} -m simpleindex"
    found = shutil.which(called.name)
    return called.name if found and Path(found) == called.absolute() else _relative(called)


def usual_command() -> str:
    """How people call us on another computer, where we are as we are here: installed, or a file."""
    running = archive()
    return "simpleindex-server" if running is None else f"python3 {running.name}"


def as_typed(text: str, root: Path | None = None) -> str:
    """A text for people, with each command in it as it can be typed for this directory.

    A command stands in backticks and begins with our name: `simpleindex-server fsck --repair`.
    Without `root` those are for no directory that do not name one.
    """

    def typed(match: re.Match[str]) -> str:
        arguments = match[1]
        if root is not None and "--serverdir" not in arguments:
            arguments += f" --serverdir={path_text(root)}"
        return f"`{this_command()} {arguments}`"

    return _COMMAND.sub(typed, text)


def typed_here(text: str) -> str:
    """The same for the server directory of the verb that runs, once it has read its settings."""
    run = _this_run()
    return as_typed(text, None if run is None else run.serverdir)


def path_text(path: Path) -> str:
    """A path as it is typed in a command."""
    return list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))


def _this_run() -> Run | None:
    context = click.get_current_context(silent=True)
    return None if context is None else context.find_object(Run)


_COMMAND = re.compile(r"`simpleindex-server ([^`]+)`")
_IGNORED = "simpleindex.ignored_options"


def _python() -> str:
    """The Python that runs, as it can be typed."""
    running = Path(sys.executable)
    found = shutil.which(running.name)
    return running.name if found and Path(found) == running else _relative(running)


def _ignore(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None:
        context.meta.setdefault(_IGNORED, set()).add(parameter.opts[0])


def _none_if_empty(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...] | None:
    return value or None


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return (
        ",".join(map(part_text, value))
        if isinstance(value, Iterable) and not isinstance(value, str)
        else str(value)
    )


def _user_name(uid: int) -> str:
    try:
        import pwd  # noqa: PLC0415  not there on Windows

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return f"user {uid}"


def _relative(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
