"""Writes `server.pyz`: the same bytes, whenever and wherever it is made out of the same."""

import io
from importlib import resources
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from simpleindex.archive import archive
from simpleindex.gap.pyz.contents import Part, installed_parts

MEMBER = "server.pyz"
"""Its usual name, also in a bundle."""

_LEVEL = 9
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_READABLE = 0o100644 << 16
_WRITTEN_FOR = {
    "__main__.py": "entry.py",
    "simpleindex_compiling.py": "compiling.py",
    "simpleindex_unpacking.py": "unpacking.py",
}
_LIST = "CONTENTS.txt"


def server_pyz() -> bytes:
    """The program and all that it needs, in one file that a Python without pip can run.

    Out of what is installed here; a program that runs from such a file is copied. Raises NotStored,
    Refused and Damaged as `installed_parts` does.
    """
    running = archive()
    return build(installed_parts()) if running is None else running.read_bytes()


def build(parts: tuple[Part, ...]) -> bytes:
    """An archive of these parts."""
    here = resources.files(__package__)
    members = {name: (here / source).read_bytes() for name, source in _WRITTEN_FOR.items()}
    members[_LIST] = _list(parts).encode()
    for part in parts:
        members |= part.files
    content = io.BytesIO()
    with ZipFile(content, "w") as file:
        for name in sorted(members):
            member = ZipInfo(name, _EPOCH)
            member.create_system, member.external_attr = _UNIX, _READABLE
            file.writestr(member, members[name], ZIP_DEFLATED, _LEVEL)
    return content.getvalue()


def _list(parts: tuple[Part, ...]) -> str:
    """What is inside, for people: its version, its licence, and where that stands."""
    lines = ["What is in this file, and under which licence.", ""]
    for part in parts:
        lines.append(f"{part.name} {part.version}: {part.licence or 'see below'}")
        lines += [f"    {name}" for name in sorted(part.files) if "/licenses/" in name]
    return "\n".join(lines) + "\n"
