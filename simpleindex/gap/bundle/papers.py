"""What is in every bundle for people: `verify.py`, and what the bundle is in their languages."""

from collections.abc import Mapping
from importlib.resources import files

_TEXTS = ("README.txt", "README.ja.txt", "README.zh-Hant.txt")
_MARK = b"\xef\xbb\xbf"


def papers() -> Mapping[str, bytes]:
    """Their bytes, by their names in a bundle."""
    folder = files("simpleindex.gap.bundle")
    return {
        "verify.py": _lines(folder.joinpath("verify.py").read_bytes()),
        **{name: _text(folder.joinpath(name).read_bytes()) for name in _TEXTS},
    }


def _lines(content: bytes) -> bytes:
    """With the same ends of lines, whatever a checkout has."""
    return content.replace(b"\r\n", b"\n")


def _text(content: bytes) -> bytes:
    """As old editors of Windows show it, too: they need its ends of lines, and a mark of UTF-8."""
    is_ascii = content.isascii()
    return (b"" if is_ascii else _MARK) + _lines(content).replace(b"\n", b"\r\n")
