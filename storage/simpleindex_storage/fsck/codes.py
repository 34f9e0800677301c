"""What can be wrong with a server directory, and what follows: a table, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from simpleindex_storage.model import Attachment, DistFile, Sidecar


class Code(StrEnum):
    """A kind of fault. The words stay what they are: people and scripts look for them."""

    CATALOG_PAGES = "catalog-pages"
    RECORD_ORPHAN = "record-orphan"
    RECORD_SERIAL = "record-serial"
    RECORD_NAMES = "record-names"
    RECORD_UNREADABLE = "record-unreadable"
    FILE_MISSING = "file-missing"
    FILE_NOT_PLAIN = "file-not-plain"
    FILE_SIZE = "file-size"
    FILE_BYTES = "file-bytes"
    SIDECAR_MISSING = "sidecar-missing"
    SIDECAR_BYTES = "sidecar-bytes"
    SIDECAR_UNANNOUNCED = "sidecar-unannounced"
    STRAY_FILE = "stray-file"
    JOURNAL_MISSING = "journal-missing"
    JOURNAL_SHORT = "journal-short"
    JOURNAL_LINE = "journal-line"
    JOURNAL_GAP = "journal-gap"
    JOURNAL_FILES = "journal-files"
    EMPTY_FOLDER = "empty-folder"
    REMOVAL_LEFT = "removal-left"
    DRAFT_LEFT = "draft-left"
    OPEN_TO_OTHERS = "open-to-others"
    CACHE_DAMAGED = "cache-damaged"
    CACHE_LEFT = "cache-left"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table."""

    meaning: str
    repair: str
    """What `--repair` does; empty: nothing can be done without more."""
    advice: str
    """What an admin does where that is not enough."""
    is_fault: bool = True
    """False: worth telling, and harmless."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong."""

    code: Code
    path: str
    """Below the server directory, with forward slashes; a directory ends with one."""
    what: str
    """The end of a sentence that begins with the path."""
    record: DistFile | Attachment | None = None
    """What the catalog says of a file that is not as it should be."""
    sidecar: Sidecar | None = None

    @property
    def sha256(self) -> str | None:
        """What is on record of the bytes at the path."""
        if self.sidecar is not None and isinstance(self.record, DistFile):
            return self.record.sha256_of(self.sidecar)
        return None if self.record is None else self.record.sha256

    @property
    def kind(self) -> Kind:
        """Its row in the table."""
        return KINDS[self.code]


_REBUILD = "`simpleindex-server rebuild` makes the catalog anew; or restore a backup"
_SEND_AGAIN = (
    "upload the same file again, which puts it right, or copy it from a backup; "
    "`simpleindex-server fsck --forget-missing` forgets it"
)
_SAVE_NOW = "the catalog is the truth; take a backup now, since a rebuild would lack something"


def _note(meaning: str, repair: str, advice: str) -> Kind:
    return Kind(meaning, repair, advice, is_fault=False)


_BACK = "puts the bytes back, if another index or the cache of mirrors has them"

KINDS: Mapping[Code, Kind] = {
    Code.CATALOG_PAGES: Kind("SQLite finds the catalog damaged", "", _REBUILD),
    Code.RECORD_ORPHAN: Kind("a record belongs to one that is not there", "", _REBUILD),
    Code.RECORD_SERIAL: Kind("a record is newer than the catalog", "", _REBUILD),
    Code.RECORD_NAMES: Kind("a record does not fit the name of its file", "", _REBUILD),
    Code.RECORD_UNREADABLE: Kind("a record cannot be read", "", _REBUILD),
    Code.FILE_MISSING: Kind("a recorded file is not there", _BACK, _SEND_AGAIN),
    Code.FILE_NOT_PLAIN: Kind(
        "a link or folder lies in its place", f"sets that aside and {_BACK}", _SEND_AGAIN
    ),
    Code.FILE_SIZE: Kind(
        "a file has not its recorded size", f"sets it aside and {_BACK}", _SEND_AGAIN
    ),
    Code.FILE_BYTES: Kind(
        "a file has not its recorded sha256", f"sets it aside and {_BACK}", _SEND_AGAIN
    ),
    Code.SIDECAR_MISSING: Kind(
        "recorded metadata, signature or provenance is not there",
        "makes metadata anew out of the file; takes the others from another index",
        "upload the same file again, with what belongs to it",
    ),
    Code.SIDECAR_BYTES: Kind(
        "metadata, signature or provenance has not its recorded sha256",
        "sets it aside and does the same",
        "upload the same file again, with what belongs to it",
    ),
    Code.SIDECAR_UNANNOUNCED: Kind(
        "metadata, signature or provenance lies there that is not recorded",
        "sets it aside",
        "it is shown to nobody",
    ),
    Code.STRAY_FILE: Kind(
        "a file has no record",
        "sets it aside",
        "it is shown to nobody; if it is a package that was copied here, "
        "`simpleindex-server add FILE` takes it in, and --repair then sets this one aside",
    ),
    Code.JOURNAL_MISSING: Kind("there is no journal", "", _SAVE_NOW),
    Code.JOURNAL_SHORT: Kind("the journal is shorter than it was", "", _SAVE_NOW),
    Code.JOURNAL_LINE: Kind("a line of the journal cannot be read", "", _SAVE_NOW),
    Code.JOURNAL_GAP: Kind("changes are missing in the journal", "", _SAVE_NOW),
    Code.JOURNAL_FILES: Kind("journal and catalog tell of other files", "", _SAVE_NOW),
    Code.EMPTY_FOLDER: _note("a file's folder is empty", "removes it", "it does no harm"),
    Code.REMOVAL_LEFT: _note(
        "a removed file is still to be deleted", "deletes it", "the next start deletes it"
    ),
    Code.DRAFT_LEFT: _note(
        "a process that died has left drafts", "removes them", "the next start removes them"
    ),
    Code.OPEN_TO_OTHERS: _note(
        "other users of the machine can read or write it", "takes their rights away", "chmod it"
    ),
    Code.CACHE_DAMAGED: _note(
        "what mirrors have kept cannot be read", "begins it anew", "the next start begins it anew"
    ),
    Code.CACHE_LEFT: _note(
        "mirrors keep a file without a record, or a record without its file",
        "removes it",
        "`simpleindex-server gc` removes it",
    ),
}
