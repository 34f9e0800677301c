"""The index that pip on this machine installs from: it is pip that is asked.

So no index is named here: without any configuration, it is the one that pip itself has built in.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_log = logging.getLogger("simpleindex")

_SECONDS_MAX = 20.0

# Run by itself, as pip is made to be: it changes the state of the process that imports it.
# `install` reads the environment and all configuration files, weighs their sections, and knows
# the default. A machine without pip has one in the wheel that `ensurepip` would install.
_QUESTION = """
import glob, json, os, sys, sysconfig

def settings():
    import pip
    from pip._internal.commands import create_command
    from pip._internal.models.index import PyPI
    options, _ = create_command("install").parse_args([])
    return {
        "url": options.index_url,
        "is_default": options.index_url == PyPI.simple_url,
        "no_index": bool(options.no_index),
        "version": pip.__version__,
    }

def wheels():
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
    try:
        import ensurepip
        folders.insert(0, os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
    except ImportError:
        pass
    for folder in filter(None, folders):
        yield from sorted(glob.glob(os.path.join(glob.escape(folder), "pip-*.whl")))

try:
    answer = settings()
except ImportError:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pip"]:
        del sys.modules[name]
    wheel = next(wheels(), None)
    if wheel is None:
        sys.exit("there is no pip, and none in ensurepip")
    sys.path.insert(0, wheel)
    answer = settings()
print(json.dumps(answer))
"""


@dataclass(frozen=True, slots=True)
class PipIndex:
    """An index over HTTP."""

    url: str = field(repr=False)
    """It may hold a user and a password."""
    from_where: str
    """Who says so, for people."""


def find_pip_index(environment: Mapping[str, str]) -> PipIndex | None:
    """The index of a pip that runs in this environment. It takes up to a second, rarely more.

    None: pip uses none, or none that a server could mirror; why is logged.
    """
    url = environment.get("PIP_INDEX_URL", "").strip()
    if url:
        return _over_http(url, "the environment variable PIP_INDEX_URL")
    answer = _ask_pip(environment)
    if answer is None:
        return None
    if answer["no_index"]:
        _log.warning("pip is configured to use no index")
        return None
    if answer["is_default"]:
        from_where = f"the default of pip {answer['version']}"
    else:
        from_where = "pip's configuration"
    return _over_http(str(answer["url"]).strip(), from_where)


def _over_http(url: str, from_where: str) -> PipIndex | None:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if is_usable:
        return PipIndex(url, from_where)
    # Not the URL itself: where it is wrong, a password may be anywhere in it.
    _log.warning("the index that pip uses is no URL of http or https (%s)", from_where)
    return None


def _ask_pip(environment: Mapping[str, str]) -> dict[str, object] | None:
    # -P: nothing that happens to lie in the current folder is taken for pip.
    command = [sys.executable, "-P", "-c", _QUESTION]
    try:
        finished = subprocess.run(  # noqa: S603  the command is the one above
            command,
            capture_output=True,
            check=True,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS_MAX,
        )
        answer = json.loads(finished.stdout.strip().rpartition("\n")[2])
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        _log.warning("pip cannot be asked for its index (%s)", type(error).__name__)
        return None
    return answer if isinstance(answer, dict) else None
