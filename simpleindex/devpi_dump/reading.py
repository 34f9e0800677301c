"""From the text of a dump to a `Dump`. Nothing here opens a file.

A dump that is whole but odd in places is taken as far as it makes sense, with a note for each
place; only what is no dump at all is Refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, ParamSpec, TypeVar

from simpleindex_storage.errors import Refused
from simpleindex_storage.metadata import LIST_FIELDS, SINGLE_FIELDS, stated
from simpleindex_storage.model import AttachmentKind, Fields, MirrorSettings, StageSettings, User
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    parse_filename,
    parse_index_name,
    parse_place,
    parse_project_name,
    parse_user_name,
    parse_version,
)

from .records import (
    DATA_FILE,
    UNUSABLE_HASH,
    BareRelease,
    Dump,
    DumpedAttachment,
    DumpedFile,
    DumpedIndex,
    DumpedProject,
)
from .settings import parse_settings
from .side_file import SideFacts
from .values import (
    Notes,
    as_list,
    as_object,
    as_text,
    author_of,
    http_time_of,
    is_sound,
    log_of,
    parse_json_object,
    promised_digests,
    shown,
    time_of,
)

P = ParamSpec("P")
T = TypeVar("T")

_DUMP_VERSIONS = ("1", "2")
_PROFILE_KEYS = ("email", "title", "description", "custom_data")
_USER_KEYS = {*_PROFILE_KEYS, "username", "created", "modified", "pwhash", "pwsalt", "indexes"}
_ARGON2 = ("$argon2id$", "$argon2i$", "$argon2d$")
_HASH_CHARACTERS_MAX = 500
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When users were made of whom it is not known, as devpi-import has it."""


def parse_dump(raw: bytes, folder: Path, side: SideFacts | None = None) -> Dump:
    """What `dataindex.json` says. Raises Refused for what is no dump that we can read."""
    content = parse_json_object(raw, DATA_FILE)
    version = shown(content.get("dumpversion"))
    if version not in _DUMP_VERSIONS:
        raise Refused(
            DATA_FILE,
            f"its dumpversion is {version}, and 1 and 2 are known here; is it from devpi-export?",
        )
    users, indexes = content.get("users"), content.get("indexes")
    if not isinstance(users, dict) or not isinstance(indexes, dict):
        raise Refused(DATA_FILE, "it has no users or no indexes, so it is no dump of devpi-server")
    reading = _Reading(Notes(), side or SideFacts(), is_old=version == "1")
    read_users = reading.users(users)
    read_indexes = reading.indexes(indexes, {user.name for user in read_users})
    reading.warn_of_missing_bases(read_indexes)
    return Dump(
        folder=folder,
        source=_source(content.get("devpi_server")),
        users=read_users,
        indexes=in_order_of_bases(read_indexes),
        notes=reading.notes.all(),
    )


def in_order_of_bases(indexes: Iterable[DumpedIndex]) -> tuple[DumpedIndex, ...]:
    """Bases first. In a circle of bases, somebody has to be the first."""
    waiting = {index.name: index for index in indexes}
    ordered: list[DumpedIndex] = []
    while waiting:
        ready = [
            index
            for index in waiting.values()
            if not any(base in waiting and base != index.name for base in _bases(index))
        ]
        for index in ready or list(waiting.values())[:1]:
            ordered.append(waiting.pop(index.name))
    return tuple(ordered)


def safe_relpath(text: str) -> str:
    """A path below the dump. Raises Refused for one that could lead out of it."""
    path = PurePosixPath(text)
    is_plain = text.isprintable() and "\\" not in text and ":" not in text
    if not text or not is_plain or path.is_absolute() or ".." in path.parts:
        raise Refused(f"path {shown(text)!r}", "it does not lie below the dump")
    return str(path)


def parse_fields(metadata: Mapping[str, Any]) -> Fields:
    """The metadata of a release, without what says nothing."""
    fields: dict[str, str | tuple[str, ...]] = {}
    for key, value in metadata.items():
        if key in SINGLE_FIELDS:
            # Keywords are a list in some.
            given = as_list(value) if isinstance(value, list) else [value]
            text = stated(key, ",".join(filter(None, map(as_text, given))))
            if text is not None:
                fields[key] = text
        elif key in LIST_FIELDS:
            several = [value] if isinstance(value, str) else as_list(value)
            texts = tuple(text for each in several if (text := stated(key, as_text(each))))
            if texts:
                fields[key] = texts
    return fields


def _source(told: object) -> str:
    text = shown(told) if told else "of an unknown version"
    return text if text.startswith("simpleindex-server ") else f"devpi-server {text}"


def _bases(index: DumpedIndex) -> tuple[IndexName, ...]:
    return index.settings.bases if isinstance(index.settings, StageSettings) else ()


@dataclass(slots=True)
class _Gathered:
    """A project while its spellings are brought together."""

    versions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    files: list[DumpedFile] = field(default_factory=list)
    attachments: list[DumpedAttachment] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    """Of the files: each is there once, however it is spelled."""
    released: set[str] = field(default_factory=set)
    """Versions, as they are spelled in the dump, that have files."""

    def metadata_of(self, version: str) -> Mapping[str, Any]:
        """What a version's author says of it, whichever way the version is spelled."""
        if version in self.versions:
            return self.versions[version]
        alike = (told for each, told in self.versions.items() if _normal(each) == _normal(version))
        return next(alike, {})


@dataclass(frozen=True, slots=True)
class _Reading:
    notes: Notes
    side: SideFacts
    is_old: bool

    def users(self, told: Mapping[str, Any]) -> tuple[User, ...]:
        found: dict[str, User] = {}
        for name, config in told.items():
            user = self._try(f"user {shown(name)}", self._user, name, as_object(config))
            if user is None:
                continue
            if user.name.casefold() in found:
                self.notes.lost(f"user {name}", "its name differs only in case from another user's")
                continue
            found[user.name.casefold()] = user
        return tuple(found.values())

    def indexes(self, told: Mapping[str, Any], owners: set[str]) -> tuple[DumpedIndex, ...]:
        found: dict[str, DumpedIndex] = {}
        for name, content in told.items():
            subject = f"index {shown(name)}"
            index = self._try(subject, self._index, name, as_object(content))
            if index is None:
                self._warn_of_files(subject, as_object(content))
            elif index.name.casefold() in found:
                self.notes.lost(subject, "its name differs only in case from another index's")
                self._warn_of_files(subject, as_object(content))
            elif index.name.partition("/")[0] not in owners:
                self.notes.lost(subject, "its user was not taken over")
                self._warn_of_files(subject, as_object(content))
            else:
                found[index.name.casefold()] = index
        return tuple(found.values())

    def warn_of_missing_bases(self, indexes: Iterable[DumpedIndex]) -> None:
        known = {index.name for index in indexes}
        for index in indexes:
            missing = [base for base in _bases(index) if base not in known]
            if missing:
                self.notes.remark(
                    f"index {index.name}",
                    f"the dump lacks some of its bases: {', '.join(missing)}; the names are kept",
                )

    def _try(
        self, subject: str, parse: Callable[P, T], *arguments: P.args, **named: P.kwargs
    ) -> T | None:
        try:
            return parse(*arguments, **named)
        except Refused as error:
            self.notes.lost(subject, str(error))
            return None

    def _user(self, text: str, config: Mapping[str, Any]) -> User:
        name = parse_user_name(text)
        if name in self.side.users:
            return self.side.users[name]
        unknown = sorted(shown(key) for key in config.keys() - _USER_KEYS)
        if unknown:
            self.notes.lost(f"user {name}", f"what plugins have kept: {', '.join(unknown)}")
        profile = {key: config[key] for key in _PROFILE_KEYS if config.get(key)}
        for key in [key for key, value in profile.items() if not is_sound(value)]:
            self.notes.lost(f"user {name}", f"{key}, which is nested too deep or no valid text")
            del profile[key]
        return User(
            name=name,
            password_hash=_password_hash(config),
            password_version=1,
            created_at=time_of(config.get("created")) or _LONG_AGO,
            modified_at=time_of(config.get("modified")),
            profile=profile,
        )

    def _index(self, text: str, content: Mapping[str, Any]) -> DumpedIndex | None:
        name = parse_index_name(text)
        settings = parse_settings(as_object(content.get("indexconfig")), name, self.notes)
        if settings is None:
            return None
        ours = self.side.indexes.get(name)
        if ours is not None:
            settings = ours.settings
        if isinstance(settings, MirrorSettings):
            files = as_list(content.get("files"))
            if files:
                self.notes.lost(
                    f"index {name}",
                    f"the {len(files)} files that it has cached of its upstream; "
                    "`simpleindex-server add` takes them from their folder in the dump into an "
                    "index of your own",
                )
            return DumpedIndex(name, settings)
        projects = self._projects(name, content)
        return DumpedIndex(name, settings, projects, automatic=ours is not None and ours.automatic)

    def _projects(self, index: IndexName, content: Mapping[str, Any]) -> tuple[DumpedProject, ...]:
        gathered: dict[ProjectName, _Gathered] = {}
        for spelling, versions in as_object(content.get("projects")).items():
            subject = f"{index}: project {shown(spelling)}"
            name = self._try(subject, parse_project_name, spelling)
            if name is not None:
                gathered.setdefault(name, _Gathered()).versions.update(
                    {version: as_object(told) for version, told in as_object(versions).items()}
                )
        for entry in as_list(content.get("files")):
            told = as_object(entry)
            subject = shown(told.get("relpath", f"{index}: a file without a path"))
            self._try(subject, self._put_file, index, gathered, told)
        return tuple(self._project(index, name, found) for name, found in gathered.items())

    def _project(self, index: IndexName, name: ProjectName, found: _Gathered) -> DumpedProject:
        return DumpedProject(
            name,
            files=tuple(found.files),
            attachments=tuple(found.attachments),
            bare_releases=tuple(self._bare_releases(index, name, found)),
            facts=self.side.projects.get((index, name)),
        )

    def _bare_releases(
        self, index: IndexName, name: ProjectName, found: _Gathered
    ) -> Iterable[BareRelease]:
        released = {_normal(version) for version in found.released}
        for version, metadata in found.versions.items():
            if _normal(version) in released:
                continue
            subject = f"{index}: {name} {shown(version)}"
            normalised = self._try(subject, parse_version, version)
            if normalised is not None:
                fields = parse_fields(metadata)
                display_name = fields.get("name", name)
                yield BareRelease(
                    version=normalised,
                    display_name=display_name if isinstance(display_name, str) else name,
                    fields={"name": name, **fields, "version": normalised},
                )

    def _put_file(
        self, index: IndexName, gathered: dict[ProjectName, _Gathered], told: Mapping[str, Any]
    ) -> None:
        """Take a file into its project. Raises Refused."""
        relpath = safe_relpath(as_text(told.get("relpath")))
        project = parse_project_name(as_text(told.get("projectname")))
        found = gathered.setdefault(project, _Gathered())
        kind = told.get("type")
        if kind == "releasefile":
            file = self._release_file(relpath, told, found)
            key = parse_filename(file.filename).key
            if key in found.keys:
                raise Refused(relpath, "another file has the same name in another spelling")
            found.keys.add(key)
            found.files.append(file)
        elif kind in tuple(AttachmentKind):
            found.attachments.append(self._attachment(index, project, relpath, told))
        else:
            raise Refused(relpath, f"it is of the type {shown(kind)}, which is not known here")

    def _release_file(self, relpath: str, told: Mapping[str, Any], found: _Gathered) -> DumpedFile:
        filename = PurePosixPath(relpath).name
        version = self._version(told, lambda: parse_filename(filename).version)
        # Also if it is refused later on: its release is then not one without files.
        found.released.add(version)
        parse_filename(filename)
        facts = self.side.files.get(relpath)
        mapping, log = as_object(told.get("entrymapping")), log_of(told.get("log"))
        fields = parse_fields(found.metadata_of(version))
        promised = promised_digests(mapping)
        if facts is not None:
            return DumpedFile(
                relpath, filename, promised, facts.uploaded_at, facts.uploaded_by, facts.log,
                fields, facts.yanked, facts.has_signature, facts.has_provenance,
            )  # fmt: skip
        uploaded_at = http_time_of(mapping.get("last_modified"))
        return DumpedFile(relpath, filename, promised, uploaded_at, author_of(log), log, fields)

    def _attachment(
        self, index: IndexName, project: ProjectName, relpath: str, told: Mapping[str, Any]
    ) -> DumpedAttachment:
        kind = AttachmentKind(told["type"])
        path = PurePosixPath(relpath)
        mapping, log = as_object(told.get("entrymapping")), log_of(told.get("log"))
        promised = promised_digests(mapping)
        about = PurePosixPath(as_text(told.get("for_entrypath"))).name
        if kind is AttachmentKind.DOCUMENTATION:
            version = parse_version(
                self._version(told, lambda: path.name.removesuffix(".doc.zip").rpartition("-")[2])
            )
            filename = f"{project}-{version}.doc.zip"
        else:
            version, filename = parse_filename(about).version, path.name
            if promised.get("sha256") == path.parent.name.removeprefix("sha256="):
                promised = {}  # devpi-server 6.5 to 6.8 wrote down that of the file tested
        parse_place(index, "0" * 16, filename)
        facts = self.side.files.get(relpath)
        if facts is not None:
            return DumpedAttachment(
                kind, relpath, version, promised, facts.uploaded_at, facts.uploaded_by, facts.log,
                filename, about,
            )  # fmt: skip
        uploaded_at = http_time_of(mapping.get("last_modified")) or (log[0].when if log else None)
        return DumpedAttachment(
            kind, relpath, version, promised, uploaded_at, author_of(log), log, filename, about
        )

    def _version(self, told: Mapping[str, Any], by_name: Callable[[], str]) -> str:
        """As the dump spells it; in old ones the file's name has to tell it."""
        return (not self.is_old and as_text(told.get("version"))) or by_name()

    def _warn_of_files(self, subject: str, content: Mapping[str, Any]) -> None:
        count = len(as_list(content.get("files")))
        if count:
            self.notes.lost(subject, f"the {count} files in it")


def _password_hash(config: Mapping[str, Any]) -> str:
    """argon2 as it is. What devpi-server had before has a salt of its own, or another beginning."""
    told = as_text(config.get("pwhash"))
    is_argon2 = told.startswith(_ARGON2) and len(told) < _HASH_CHARACTERS_MAX
    return told if is_argon2 and not config.get("pwsalt") else UNUSABLE_HASH


def _normal(version: str) -> str:
    try:
        return parse_version(version)
    except Refused:
        return version
