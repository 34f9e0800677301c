"""Reading and changing the catalog inside one SQLite transaction."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import catalog_sql as sql
from . import records
from .errors import AlreadyStored, Refused
from .model import DistFile, Index, JsonValue, Project, ProjectStatus, Release, User
from .names import FilePlace, IndexName, ProjectName, UserName, parse_filename
from .search_text import Found, Term, fields_with, search_text
from .sqlite_file import fact


class SqliteSnapshot:
    """What one transaction sees."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._serial = int(fact(connection, "serial"))

    @property
    def serial(self) -> int:
        """Of the last change that is seen."""
        return self._serial

    def user(self, name: UserName) -> User | None:
        """One user."""
        return next(self._users(sql.USER, name), None)

    def users(self) -> tuple[User, ...]:
        """All users."""
        return tuple(self._users(sql.USERS))

    def index(self, name: IndexName) -> Index | None:
        """One index."""
        return next(self._indexes(sql.INDEX, name), None)

    def indexes(self) -> tuple[Index, ...]:
        """All indexes."""
        return tuple(self._indexes(sql.INDEXES))

    def projects(self, index: IndexName) -> tuple[Project, ...]:
        """An index's own projects."""
        return tuple(self._projects(sql.PROJECTS, index))

    def project(self, index: IndexName, name: ProjectName) -> Project | None:
        """One of an index's own projects."""
        return next(self._projects(sql.PROJECT, index, name), None)

    def release(self, index: IndexName, project: ProjectName, version: str) -> Release | None:
        """One release."""
        return next(self._releases(sql.RELEASE, index, project, version), None)

    def releases(self, index: IndexName, project: ProjectName) -> tuple[Release, ...]:
        """All releases of a project."""
        return tuple(self._releases(sql.RELEASES, index, project))

    def files(self, index: IndexName, project: ProjectName) -> tuple[DistFile, ...]:
        """All files of a project."""
        return tuple(self._files(sql.FILES, index, project))

    def search(self, index: IndexName, terms: Sequence[Term]) -> Iterator[Found]:
        """Releases in which all terms are found."""
        # SQL drops most of what does not match; which field a word stands in, the text tells.
        statement = sql.SEARCH + sql.SEARCH_WORD * len(terms) + sql.SEARCH_ORDER
        patterns = [_pattern(term.word) for term in terms]
        for row in self._connection.execute(statement, (index, *patterns)):
            in_index, name, display_name, serial, status, status_reason, version, text = row
            matched = fields_with(text, terms)
            if matched is not None:
                named = (in_index, name, display_name, serial)
                yield Found(Project(*named, ProjectStatus(status), status_reason), version, matched)

    def file_at(self, place: FilePlace) -> DistFile | None:
        """The file that is recorded at a place."""
        try:
            key = parse_filename(place.filename).key
        except Refused:
            return None
        found = self._files(sql.FILE_AT, place.index, key, place.filename, place.sha256_prefix)
        return next(found, None)

    def file_named(self, index: IndexName, key: str) -> DistFile | None:
        """The file that has a name."""
        return next(self._files(sql.FILE_NAMED, index, key), None)

    def _users(self, statement: str, *values: str) -> Iterator[User]:
        for row in self._connection.execute(statement, values):
            name, password_hash, password_version, created_at, modified_at, profile = row
            yield User(
                name=UserName(name),
                password_hash=password_hash,
                password_version=password_version,
                created_at=records.time_from_text(created_at),
                modified_at=records.time_from_text(modified_at) if modified_at else None,
                profile=json.loads(profile),
            )

    def _indexes(self, statement: str, *values: str) -> Iterator[Index]:
        for name, settings, automatic, serial in self._connection.execute(statement, values):
            yield Index(
                name=IndexName(name),
                settings=records.settings_from_json(json.loads(settings)),
                automatic=bool(automatic),
                serial=serial,
            )

    def _projects(self, statement: str, *values: str) -> Iterator[Project]:
        for row in self._connection.execute(statement, values):
            index, name, display_name, serial, status, status_reason = row
            yield Project(index, name, display_name, serial, ProjectStatus(status), status_reason)

    def _releases(
        self, statement: str, index: IndexName, project: ProjectName, *values: str
    ) -> Iterator[Release]:
        for version, fields in self._connection.execute(statement, (index, project, *values)):
            yield Release(index, project, version, records.fields_from_json(json.loads(fields)))

    def _files(self, statement: str, *values: str) -> Iterator[DistFile]:
        for row in self._connection.execute(statement, values):
            index, project, version, filename, key, size_bytes, sha256, md5, blake2b_256 = row[:9]
            uploaded_at, uploaded_by, requires_python, metadata_sha256 = row[9:13]
            signature_sha256, provenance_sha256, yanked, findings = row[13:]
            yield DistFile(
                index=index,
                project=project,
                version=version,
                filename=filename,
                key=key,
                size_bytes=size_bytes,
                sha256=sha256,
                md5=md5,
                blake2b_256=blake2b_256,
                uploaded_at=records.time_from_text(uploaded_at),
                uploaded_by=uploaded_by,
                requires_python=requires_python,
                metadata_sha256=metadata_sha256,
                signature_sha256=signature_sha256,
                provenance_sha256=provenance_sha256,
                yanked=yanked,
                findings=tuple(json.loads(findings)),
            )


class SqliteChange(SqliteSnapshot):
    """One change, inside its savepoint."""

    def __init__(self, connection: sqlite3.Connection, new_serial: int) -> None:
        super().__init__(connection)
        self._new_serial = new_serial
        self.facts: list[JsonValue] = []
        """What the journal is told, in order. Without facts there is no new serial."""
        self.changed = False

    def put_user(self, user: User) -> None:
        """Create or change a user. Raises AlreadyStored."""
        row = (
            user.name,
            user.name.casefold(),
            user.password_hash,
            user.password_version,
            records.time_text(user.created_at),
            records.time_text(user.modified_at) if user.modified_at else None,
            json.dumps(dict(user.profile)),
        )
        with _taken("User", user.name, "names that differ only in case count as one"):
            self._write(sql.PUT_USER, row)
        self._tell("user", records.user_json(user))

    def put_index(self, index: Index) -> None:
        """Create or change an index. Raises AlreadyStored."""
        settings = json.dumps(records.settings_json(index.settings))
        row = (index.name, index.name.casefold(), settings, index.automatic, self._new_serial)
        with _taken("Index", index.name, "names that differ only in case count as one"):
            self._write(sql.PUT_INDEX, row)
        self._tell("index", records.index_json(index))

    def put_release(self, release: Release, display_name: str) -> None:
        """Create or change a release, and its project where there is none."""
        project = (release.index, release.project)
        self._write(sql.PUT_PROJECT, (*project, display_name, self._new_serial))
        fields = json.dumps(records.fields_json(release.fields))
        text = search_text(release, display_name)
        self._write(sql.PUT_RELEASE, (*project, release.version, text, fields))
        self._tell("release", records.release_json(release, display_name))

    def put_file(self, file: DistFile) -> None:
        """Record a file. Raises AlreadyStored."""
        row = (
            file.index, file.project, file.version, file.filename, file.key, file.size_bytes,
            file.sha256, file.md5, file.blake2b_256, records.time_text(file.uploaded_at),
            file.uploaded_by, file.requires_python, file.metadata_sha256, file.signature_sha256,
            file.provenance_sha256, file.yanked, json.dumps(file.findings),
        )  # fmt: skip
        with _taken("File", file.filename, f"{file.index} has it already"):
            self._write(sql.PUT_FILE, row)
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        self._tell("file", records.file_json(file))

    def mark_project(self, project: Project) -> None:
        """Change the status of a project that is there."""
        named = (project.index, project.name)
        self._write(
            sql.MARK_PROJECT, (*named, self._new_serial, project.status, project.status_reason)
        )
        self._tell("project", records.project_json(project))

    def yank_file(self, file: DistFile, reason: str | None) -> None:
        """Mark a file as yanked, or as not yanked."""
        self._write(sql.YANK_FILE, (file.index, file.key, reason))
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        self._tell("yanked", {"index": file.index, "filename": file.filename, "reason": reason})

    def remove_file(self, file: DistFile) -> None:
        """Forget a file, and keep its place in mind."""
        self._write(sql.REMOVE_FILE, (file.index, file.key))
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        place = file.place
        self._write(sql.ADD_REMOVAL, (place.index, place.sha256_prefix, place.filename))
        self._tell("file removed", {"index": file.index, "filename": file.filename})

    def removals(self) -> tuple[FilePlace, ...]:
        """Places whose files were forgotten."""
        rows = self._connection.execute(sql.REMOVALS)
        return tuple(FilePlace(*row) for row in rows)

    def forget_removal(self, place: FilePlace) -> None:
        """The file is gone."""
        self._write(sql.FORGET_REMOVAL, (place.index, place.sha256_prefix, place.filename))

    def _write(self, statement: str, values: Sequence[str | int | None]) -> None:
        self.changed = True
        self._connection.execute(statement, values)

    def _tell(self, kind: str, fact: dict[str, JsonValue]) -> None:
        self.facts.append([kind, fact])


def _pattern(word: str) -> str:
    """What LIKE takes for any text with a word in it."""
    for special in "!%_":
        word = word.replace(special, f"!{special}")
    return f"%{word}%"


@contextmanager
def _taken(kind: str, name: str, advice: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise AlreadyStored(kind, name, advice) from None
