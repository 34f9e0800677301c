"""Which files a catalog records: what a backup has to hold, and what one has that another lacks."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from simpleindex_storage.catalog_sql import RECORDED
from simpleindex_storage.model import Sidecar
from simpleindex_storage.names import FilePlace, IndexName

_WANTED = """
    SELECT index_name, sha256_prefix, filename, size_bytes, sha256,
        metadata_sha256, signature_sha256, provenance_sha256
    FROM ({})
"""
_EXCEPT = "SELECT * FROM ({}) EXCEPT SELECT * FROM ({})"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file below `files/`."""

    path: str
    sha256: str
    size_bytes: int | None
    """None: of what lies beside a file only the digest is on record."""


def wanted_files(catalog: Path, without: Path | None = None) -> Iterator[Wanted]:
    """What a catalog records, but for what another one records just so. In constant memory."""
    with closing(sqlite3.connect(catalog)) as connection:
        statement = _WANTED.format(RECORDED.format("main"))
        if without is not None:
            connection.execute("ATTACH ? AS other", (str(without),))
            statement = _EXCEPT.format(statement, _WANTED.format(RECORDED.format("other")))
        for index, prefix, filename, size_bytes, sha256, *beside in connection.execute(statement):
            path = FilePlace(IndexName(index), prefix, filename).path
            yield Wanted(path, sha256, size_bytes)
            for sidecar, digest in zip(Sidecar, beside, strict=True):
                if digest is not None:
                    yield Wanted(path + sidecar, digest, None)
