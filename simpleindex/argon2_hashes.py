"""Password hashes that devpi-server has made: argon2, as argon2-cffi checks them if it is there.

argon2-cffi is not pure Python, so it is an extra. Nothing is hashed this way here.
"""

import importlib
import importlib.util
import re
from typing import Protocol, cast

_MEMORY_KIB_MAX = 256 << 10
_PASSES_MAX = 16
_LANES_MAX = 16
_HASH = re.compile(
    r"\$argon2(?:id|i|d)\$v=\d{1,3}\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})"
    r"\$[A-Za-z0-9+/]{8,128}\$[A-Za-z0-9+/]{8,128}"
)


def is_argon2(stored: str) -> bool:
    """Whether a hash is one of these, and checking it costs no more than a server can spend."""
    match = _HASH.fullmatch(stored)
    if match is None:
        return False
    memory_kib, passes, lanes = map(int, match.groups())
    return memory_kib <= _MEMORY_KIB_MAX and passes <= _PASSES_MAX and lanes <= _LANES_MAX


def is_available() -> bool:
    """Whether such hashes can be checked: argon2-cffi is installed."""
    try:
        return importlib.util.find_spec("argon2") is not None
    except ValueError:  # it stands among the modules as something that is none
        return False


def fits_argon2(password: str, stored: str) -> bool:
    """Whether the hash was made from the password. Without argon2-cffi nothing fits."""
    if not is_argon2(stored) or not is_available():
        return False
    argon2 = cast("_Argon2", importlib.import_module("argon2"))
    try:
        return argon2.PasswordHasher().verify(stored, password)
    except (argon2.exceptions.Argon2Error, ValueError):
        return False


class _Exceptions(Protocol):
    Argon2Error: type[Exception]


class _Hasher(Protocol):
    def verify(self, stored: str, password: str, /) -> bool: ...


class _Argon2(Protocol):
    """What we call of argon2-cffi."""

    exceptions: _Exceptions

    def PasswordHasher(self) -> _Hasher: ...
