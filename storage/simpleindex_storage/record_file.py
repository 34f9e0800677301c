"""A wheel's RECORD: the list of its files with their digests, compared with what is really there.

Binary distribution format, "The .dist-info directory": sha256 or better, in the alphabet of
`base64.urlsafe_b64encode` without padding; RECORD itself has no digest, its signatures no line.
"""

import base64
import csv
import hashlib
import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from .faults import Faults, shown
from .member_names import MEMBERS_MAX, leaves_the_folder, plain_name

RECORD_BYTES_MAX = 16 << 20
_LINES_MAX = 2 * MEMBERS_MAX

_SURROGATE = re.compile(r"[\ud800-\udfff]")  # stands for a byte that is not UTF-8

_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


class Digest(Protocol):
    """A running digest, as hashlib makes them."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """The digest of all of them."""


_ALGORITHMS: Mapping[str, Callable[[], Digest]] = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}


class Record:
    """The lines of a RECORD, each of which waits for its member. Raises Refused."""

    def __init__(self, raw: bytes, folder: str, faults: Faults) -> None:
        self._faults = faults
        self._own_name = f"{folder}/RECORD"
        self._unlisted = {f"{folder}/{name}" for name in _SIGNATURES}
        self._lines: dict[str, str] = {}  # DIGEST,SIZE: one text, as there may be many
        self._read(raw)

    def digest_for(self, name: str) -> Digest | None:
        """What to feed with a member's bytes; None where there is nothing to compare with."""
        make = _ALGORITHMS.get(self._lines.get(name, "").partition("=")[0])
        return make() if make else None

    def compare(self, name: str, size_bytes: int, digest: Digest | None) -> None:
        """Take a member, and the digest of its bytes that `digest_for` began."""
        line = self._lines.pop(name, None)
        if name.endswith("/"):
            return  # a folder needs no line, and some have one
        if line is None:
            if name not in self._unlisted:
                self._faults.note("record-unlisted", f"its RECORD does not list {shown(name)}")
            return
        told, _, told_size = line.rpartition(",")
        if told_size and told_size != str(size_bytes):
            self._faults.note(
                "record-mismatch",
                f"its {shown(name)} has {size_bytes} bytes, RECORD says {shown(told_size)}",
            )
        elif digest is not None:
            self._compare_digest(name, told, digest)
        elif not told:
            if name != self._own_name and name not in self._unlisted:
                self._faults.note("record-unhashed", f"its RECORD has no digest of {shown(name)}")
        else:
            self._faults.note(
                "record-hash-kind",
                f"its RECORD has {shown(told.partition('=')[0])} of {shown(name)}, "
                "not sha256 or better",
            )

    def finish(self, tops: Collection[str]) -> None:
        """Look at the lines that no member has come for. `tops` are the wheel's own folders."""
        for name in self._lines:
            # pip copies such lines, and deletes what they name when it uninstalls.
            top = plain_name(name.replace("\\", "/")).partition("/")[0]
            if leaves_the_folder(name) or top not in tops:
                raise self._faults.fatal(
                    "record-outside", f"its RECORD lists {shown(name)}, outside of its folders"
                )
            self._faults.note(
                "record-missing-member", f"its RECORD lists {shown(name)}, which is not there"
            )

    def _read(self, raw: bytes) -> None:
        # Line by line: a text takes up to four times the bytes, a line its share of memory.
        lines = io.TextIOWrapper(io.BytesIO(raw), "utf-8", "surrogateescape", newline="")
        try:
            for number, row in enumerate(csv.reader(lines)):
                if number > _LINES_MAX:
                    raise self._faults.fatal(
                        "metadata-huge", f"its RECORD has more than {_LINES_MAX:,} lines"
                    )
                self._add(row)
        except csv.Error as error:
            self._faults.note("record-unreadable", f"its RECORD is no table ({error})")

    def _add(self, row: Sequence[str]) -> None:
        if not row:
            return
        if not (text := "".join(row)).isascii() and _SURROGATE.search(text):
            self._faults.note("record-unreadable", "its RECORD is not UTF-8")
        if len(row) != 3:
            self._faults.note(
                "record-unreadable", f"its RECORD has a line of {len(row)} columns, not 3"
            )
        name, told, size = [*row, "", ""][:3]
        if name in self._lines:
            self._faults.note("record-duplicate", f"its RECORD lists {shown(name)} twice")
        self._lines[name] = f"{told},{size}"

    def _compare_digest(self, name: str, told: str, digest: Digest) -> None:
        actual, promised = digest.digest(), told.partition("=")[2]
        if promised == actual.hex():
            self._faults.note(
                "record-hash-form", f"its RECORD has the digest of {shown(name)} in hexadecimal"
            )
        elif promised.rstrip("=") != base64.urlsafe_b64encode(actual).decode().rstrip("="):
            self._faults.note(
                "record-mismatch", f"its {shown(name)} is not the one that RECORD has a digest of"
            )
