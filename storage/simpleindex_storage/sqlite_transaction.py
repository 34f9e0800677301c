"""Reading and changing the catalog inside one SQLite transaction."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import catalog_sql as sql
from . import records
from .errors import AlreadyStored, NotStored, Refused
from .model import (
    ApiToken,
    Attachment,
    AttachmentKind,
    Delivery,
    DistFile,
    Index,
    JsonValue,
    ListedFile,
    Project,
    ProjectStatus,
    Release,
    TokenAction,
    User,
)
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

    @property
    def journal_name(self) -> str:
        """The file of the journal that is being written."""
        return str(fact(self._connection, "journal_name"))

    def user(self, name: UserName) -> User | None:
        """One user."""
        return next(self._users(sql.USER, name), None)

    def users(self) -> tuple[User, ...]:
        """All users."""
        return tuple(self._users(sql.USERS))

    def tokens(self, user: UserName) -> tuple[ApiToken, ...]:
        """All tokens of a user."""
        return tuple(self._tokens(sql.TOKENS, user))

    def token_by_digest(self, sha256: str) -> ApiToken | None:
        """The token whose secret has this digest."""
        return next(self._tokens(sql.TOKEN_BY_DIGEST, sha256), None)

    def index(self, name: IndexName) -> Index | None:
        """One index."""
        return next(self._indexes(sql.INDEX, name), None)

    def indexes(self) -> tuple[Index, ...]:
        """All indexes."""
        return tuple(self._indexes(sql.INDEXES))

    def projects(self, index: IndexName) -> tuple[Project, ...]:
        """An index's own projects."""
        return tuple(self._projects(sql.PROJECTS, index))

    def listed_projects(
        self, index: IndexName, after: str, at_most: int
    ) -> tuple[tuple[ProjectName, int], ...]:
        """The next of an index's own projects, and their serials."""
        rows = self._connection.execute(sql.LISTED_PROJECTS, (index, after, at_most))
        return tuple(rows.fetchall())

    def count_projects(self, index: IndexName, at_most: int | None = None) -> int:
        """How many projects an index has, as far as that is asked for."""
        limit = -1 if at_most is None else at_most
        row = self._connection.execute(sql.COUNT_PROJECTS, (index, limit)).fetchone()
        return int(row[0])

    def project(self, index: IndexName, name: ProjectName) -> Project | None:
        """One of an index's own projects."""
        return next(self._projects(sql.PROJECT, index, name), None)

    def had_project(self, index: IndexName, name: ProjectName) -> bool:
        """Whether the index has, or ever had, the project."""
        return self._connection.execute(sql.HAD_PROJECT, (index, name)).fetchone() is not None

    def release(self, index: IndexName, project: ProjectName, version: str) -> Release | None:
        """One release."""
        return next(self._releases(sql.RELEASE, index, project, version), None)

    def releases(self, index: IndexName, project: ProjectName) -> tuple[Release, ...]:
        """All releases of a project."""
        return tuple(self._releases(sql.RELEASES, index, project))

    def files(self, index: IndexName, project: ProjectName) -> tuple[DistFile, ...]:
        """All files of a project."""
        return tuple(self._files(sql.FILES, index, project))

    def listed_files(self, index: IndexName, project: ProjectName) -> tuple[ListedFile, ...]:
        """All files of a project, as far as a page shows them."""
        rows = self._connection.execute(sql.LISTED_FILES, (index, project))
        return tuple(map(ListedFile._make, rows))

    def has_files(self, index: IndexName, project: ProjectName, version: str) -> bool:
        """Whether a release has files."""
        row = self._connection.execute(sql.HAS_FILES, (index, project, version)).fetchone()
        return bool(row[0])

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

    def all_facts(self) -> Iterator[tuple[str, dict[str, JsonValue]]]:
        """All of it, each thing behind what it belongs to, and in order of arrival."""
        for user in self._users(sql.USERS):
            yield "user", records.user_json(user)
            for token in self._tokens(sql.TOKENS, user.name):
                yield "token", records.token_json(token)
        for index in self._indexes(sql.INDEXES):
            yield "index", {**records.index_json(index), "serial": index.serial}
            for (name,) in self._connection.execute(sql.FORMER, (index.name,)):
                yield "former project", {"index": index.name, "project": name}
            for project in self._projects(sql.PROJECTS, index.name):
                yield from self._facts_of(project)
        for delivery in self._deliveries():
            yield "delivery", {**records.delivery_json(delivery), "serial": delivery.serial}
        for row in self._connection.execute(sql.REMOVALS):
            yield "file to remove", records.place_json(FilePlace(*row))

    def _facts_of(self, project: Project) -> Iterator[tuple[str, dict[str, JsonValue]]]:
        named = (project.index, project.name)
        yield "project", {**records.project_json(project), "serial": project.serial}
        for release in self._releases(sql.RELEASES, *named):
            yield "release", records.release_json(release, project.display_name)
        for file in self._files(sql.FILES, *named):
            yield "file", records.file_json(file)
        for attachment in self._attachments(sql.ATTACHMENTS, *named):
            yield "attachment", records.attachment_json(attachment)

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

    def attachments(self, index: IndexName, project: ProjectName) -> tuple[Attachment, ...]:
        """What belongs to the releases of a project."""
        return tuple(self._attachments(sql.ATTACHMENTS, index, project))

    def attachment_at(self, place: FilePlace) -> Attachment | None:
        """What is recorded at a place and is no file of a release."""
        named = (place.index, place.sha256_prefix, place.filename)
        return next(self._attachments(sql.ATTACHMENT_AT, *named), None)

    def deliveries(self) -> tuple[Delivery, ...]:
        """What came together."""
        return tuple(self._deliveries())

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

    def _tokens(self, statement: str, *values: str) -> Iterator[ApiToken]:
        for row in self._connection.execute(statement, values):
            token_id, user, name, sha256, created_at, expires_at, actions, indexes, projects = row
            yield ApiToken(
                id=token_id,
                user=UserName(user),
                name=name,
                sha256=sha256,
                created_at=records.time_from_text(created_at),
                expires_at=records.time_from_text(expires_at) if expires_at else None,
                actions=tuple(map(TokenAction, json.loads(actions))),
                indexes=tuple(json.loads(indexes)),
                projects=tuple(json.loads(projects)),
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
            signature_sha256, provenance_sha256, yanked, findings, log = row[13:]
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
                log=records.log_from_json(json.loads(log)),
            )

    def _attachments(self, statement: str, *values: str) -> Iterator[Attachment]:
        for row in self._connection.execute(statement, values):
            kind, index, project, version, sha256_prefix, filename = row[:6]
            size_bytes, sha256, uploaded_at, uploaded_by, file_key, log = row[6:]
            yield Attachment(
                kind=AttachmentKind(kind),
                index=index,
                project=project,
                version=version,
                place=FilePlace(index, sha256_prefix, filename),
                size_bytes=size_bytes,
                sha256=sha256,
                uploaded_at=records.time_from_text(uploaded_at),
                uploaded_by=uploaded_by,
                file_key=file_key,
                log=records.log_from_json(json.loads(log)),
            )

    def _deliveries(self) -> Iterator[Delivery]:
        for row in self._connection.execute(sql.DELIVERIES):
            serial, taken_at, taken_by, subject, undone_serial, document = row
            yield Delivery(
                taken_at=records.time_from_text(taken_at),
                taken_by=taken_by,
                subject=subject,
                document=json.loads(document),
                undone_serial=undone_serial,
                serial=serial,
            )


class SqliteChange(SqliteSnapshot):
    """One change, inside its savepoint."""

    def __init__(self, connection: sqlite3.Connection, new_serial: int) -> None:
        super().__init__(connection)
        self._new_serial = new_serial
        self.facts: list[JsonValue] = []
        """What the journal is told, in order. Without facts there is no new serial."""
        self.changed = False

    @property
    def new_serial(self) -> int:
        """The serial of this change."""
        return self._new_serial

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

    def put_token(self, token: ApiToken) -> None:
        """Record a token. Raises AlreadyStored."""
        row = (
            token.id, token.user, token.name, token.sha256, records.time_text(token.created_at),
            records.time_text(token.expires_at) if token.expires_at else None,
            json.dumps(token.actions), json.dumps(token.indexes), json.dumps(token.projects),
        )  # fmt: skip
        with _taken("Token", token.id, "make another one"):
            self._write(sql.PUT_TOKEN, row)
        self._tell("token", records.token_json(token))

    def remove_token(self, token: ApiToken) -> None:
        """Forget a token."""
        self._write(sql.REMOVE_TOKEN, (token.id,))
        self._tell("token removed", {"id": token.id, "user": token.user})

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
            json.dumps(records.log_json(file.log)),
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

    def put_project(self, project: Project) -> None:
        """Create a project as it was, for a rebuild, which knows all of it at once."""
        named = (project.index, project.name)
        self._write(sql.PUT_PROJECT, (*named, project.display_name, self._new_serial))
        self.mark_project(project)

    def put_former(self, index: IndexName, name: ProjectName) -> None:
        """Keep the name of a project that was removed in mind, for a rebuild."""
        self._write(sql.ADD_FORMER, (index, name))

    def put_removal(self, place: FilePlace) -> None:
        """Keep a place in mind whose file was forgotten, for a rebuild."""
        self._add_removal(place)

    def yank_file(self, file: DistFile, reason: str | None) -> None:
        """Mark a file as yanked, or as not yanked."""
        self._write(sql.YANK_FILE, (file.index, file.key, reason))
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        self._tell("yanked", {"index": file.index, "filename": file.filename, "reason": reason})

    def remove_file(self, file: DistFile) -> None:
        """Forget a file, and keep its place in mind."""
        self._write(sql.REMOVE_FILE, (file.index, file.key))
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        self._add_removal(file.place)
        self._tell("file removed", {"index": file.index, "filename": file.filename})

    def put_attachment(self, attachment: Attachment) -> None:
        """Record what belongs to a release."""
        place = attachment.place
        row = (
            attachment.index, attachment.project, attachment.version, place.sha256_prefix,
            place.filename, attachment.kind, attachment.size_bytes, attachment.sha256,
            records.time_text(attachment.uploaded_at), attachment.uploaded_by,
            attachment.file_key, json.dumps(records.log_json(attachment.log)),
        )  # fmt: skip
        self._write(sql.PUT_ATTACHMENT, row)
        self._write(sql.TOUCH_PROJECT, (*row[:2], self._new_serial))
        self._tell("attachment", records.attachment_json(attachment))

    def remove_attachment(self, attachment: Attachment) -> None:
        """Forget what belongs to a release, and keep its place in mind."""
        place = attachment.place
        self._write(sql.REMOVE_ATTACHMENT, (place.index, place.sha256_prefix, place.filename))
        self._write(sql.TOUCH_PROJECT, (attachment.index, attachment.project, self._new_serial))
        self._add_removal(place)
        self._tell("attachment removed", records.place_json(place))

    def remove_release(self, index: IndexName, project: ProjectName, version: str) -> None:
        """Forget a release. Raises Refused while it has files or attachments."""
        with _bare(f"{project} {version} in {index}", "it has files or attachments"):
            self._write(sql.REMOVE_RELEASE, (index, project, version))
        self._write(sql.TOUCH_PROJECT, (index, project, self._new_serial))
        self._tell("release removed", {"index": index, "project": project, "version": version})

    def remove_project(self, index: IndexName, name: ProjectName) -> None:
        """Forget a project, and keep its name in mind. Raises Refused while it has releases."""
        with _bare(f"{name} in {index}", "it has releases"):
            self._write(sql.REMOVE_PROJECT, (index, name))
        self._write(sql.ADD_FORMER, (index, name))
        self._tell("project removed", {"index": index, "project": name})

    def forget_former(self, index: IndexName, name: ProjectName) -> None:
        """Give up the name of a project that was removed."""
        self._write(sql.FORGET_FORMER, (index, name))
        self._tell("name given up", {"index": index, "project": name})

    def remove_index(self, name: IndexName) -> None:
        """Forget an index. Raises Refused while it has projects; their names go with it."""
        with _bare(name, "it has projects"):
            self._write(sql.REMOVE_INDEX, (name,))
        self._tell("index removed", {"index": name})

    def remove_user(self, name: UserName) -> None:
        """Forget a user."""
        self._write(sql.REMOVE_USER, (name,))
        self._tell("user removed", {"user": name})

    def put_delivery(self, delivery: Delivery) -> None:
        """Record what came together."""
        row = (
            self._new_serial, records.time_text(delivery.taken_at), delivery.taken_by,
            delivery.subject, delivery.undone_serial, json.dumps(dict(delivery.document)),
        )  # fmt: skip
        with _taken("Delivery", str(self._new_serial), "a change takes in one"):
            self._write(sql.PUT_DELIVERY, row)
        self._tell("delivery", records.delivery_json(delivery))

    def undo_delivery(self, serial: int) -> None:
        """Note that what came together is taken back. Raises NotStored."""
        done = self._connection.execute(sql.UNDO_DELIVERY, (serial, self._new_serial))
        if not done.rowcount:
            raise NotStored(f"delivery {serial}")
        self.changed = True
        self._tell("delivery undone", {"serial": serial})

    def removals(self) -> tuple[FilePlace, ...]:
        """Places whose files were forgotten."""
        rows = self._connection.execute(sql.REMOVALS)
        return tuple(FilePlace(*row) for row in rows)

    def forget_removal(self, place: FilePlace) -> None:
        """The file is gone."""
        self._write(sql.FORGET_REMOVAL, (place.index, place.sha256_prefix, place.filename))

    def _add_removal(self, place: FilePlace) -> None:
        self._write(sql.ADD_REMOVAL, (place.index, place.sha256_prefix, place.filename))

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
def _bare(what: str, rule: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        # One change is wrong; those of others in the same commit are not.
        raise Refused(what, f"{rule}, which must go first") from None


@contextmanager
def _taken(kind: str, name: str, advice: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise AlreadyStored(kind, name, advice) from None
