"""Whether a catalog that was made anew and the files agree: what each has that the other lacks."""

from collections.abc import Iterator
from pathlib import Path

from simpleindex_storage import catalog_sql as sql
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.names import FilePlace, IndexName
from simpleindex_storage.plain_files import files_below, place_of
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.sqlite_transaction import SqliteChange

from .draft import DraftCatalog

FILES_FOLDER = "files"


def missing_places(root: Path, draft: DraftCatalog) -> list[FilePlace]:
    """Recorded files whose bytes are not there, or not as many as they should be.

    Raises Unavailable where nobody can say.
    """
    missing = []
    for index, prefix, filename, size_bytes in draft.connection.execute(sql.PLACES):
        place = FilePlace(IndexName(index), prefix, filename)
        path = root / FILES_FOLDER / place.path
        with unavailable_on_failure(f"{path} cannot be looked at"):
            try:
                is_there = path.lstat().st_size == size_bytes
            except (FileNotFoundError, NotADirectoryError):
                is_there = False
        if not is_there:
            missing.append(place)
    return missing


def unknown_paths(root: Path, seen: SqliteChange) -> list[str]:
    """Files below `files/` that nothing is recorded of; relative, with forward slashes.

    Those that are going to be removed are known. Raises Unavailable.
    """
    to_remove = set(seen.removals())
    return [
        path
        for path, place in stored_files(root)
        if place is None or not (place in to_remove or _is_recorded(seen, place))
    ]


def stored_files(root: Path) -> Iterator[tuple[str, FilePlace | None]]:
    """All files below `files/`, with the place that each lies at, or lies beside.

    Raises Unavailable for a folder that cannot be read: nobody knows what lies in there.
    """
    top = root / FILES_FOLDER
    try:
        for found in files_below(top):
            named = place_of(found.relative_to(top))
            yield found.relative_to(top).as_posix(), None if named is None else named[0]
    except OSError as error:
        raise Unavailable(f"{error.filename or top} cannot be read: {error.strerror}") from error


def _is_recorded(seen: Snapshot, place: FilePlace) -> bool:
    return seen.file_at(place) is not None or seen.attachment_at(place) is not None
