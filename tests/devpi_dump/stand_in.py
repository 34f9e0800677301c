"""A stand-in for argon2-cffi, which is no dependency of the tests: it knows Alice's hash."""

import sys
from pathlib import Path

import pytest

_MODULE = """\
class exceptions:
    class Argon2Error(Exception):
        pass


class PasswordHasher:
    def verify(self, stored, password):
        if (stored, password) != ({stored!r}, "alicepw"):
            raise exceptions.Argon2Error("no")
        return True
"""


def with_argon2(monkeypatch: pytest.MonkeyPatch, folder: Path, stored: str) -> None:
    """Let it be installed, for the time of the test."""
    (folder / "argon2.py").write_text(_MODULE.format(stored=stored), "utf-8")
    monkeypatch.delitem(sys.modules, "argon2", raising=False)
    monkeypatch.syspath_prepend(str(folder))


def without_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it not be there, wherever the tests run."""
    monkeypatch.setitem(sys.modules, "argon2", None)
