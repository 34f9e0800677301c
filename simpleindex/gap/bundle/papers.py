"""What is in every bundle for people: `verify.py`, and what the bundle is in their languages."""

from collections.abc import Mapping
from importlib.resources import files

_TEXTS = ("README.txt", "README.ja.txt", "README.zh-Hant.txt")
_INSTALLED = b"    simpleindex-server "
_CARRIED = b"    python3 server.pyz "
_MARK = b"\xef\xbb\xbf"


def papers(*, has_server: bool = False) -> Mapping[str, bytes]:
    """Their bytes, by their names in a bundle; `has_server`: one in which there is a server.pyz.

    What is to be typed begins with what is there: that file, or the program as it is installed.
    """
    folder = files("simpleindex.gap.bundle")
    return {
        "verify.py": _lines(folder.joinpath("verify.py").read_bytes()),
        **{name: _text(_typed(folder.joinpath(name).read_bytes(), has_server)) for name in _TEXTS},
    }


def _lines(content: bytes) -> bytes:
    """With the same ends of lines, whatever a checkout has."""
    return content.replace(b"\r\n", b"\n")


def _typed(content: bytes, has_server: bool) -> bytes:
    return content.replace(_INSTALLED, _CARRIED) if has_server else content


def _text(content: bytes) -> bytes:
    """As old editors of Windows show it, too: they need its ends of lines, and a mark of UTF-8."""
    is_ascii = content.isascii()
    return (b"" if is_ascii else _MARK) + _lines(content).replace(b"\n", b"\r\n")
