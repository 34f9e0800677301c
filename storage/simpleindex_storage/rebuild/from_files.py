"""The catalog, made from the files alone: for when the journal and `state.json` are lost too.

What a path and an archive say is there again: indexes, projects, releases, files. What only the
journal knew is not: passwords, tokens, settings and bases of indexes, mirrors, yanks, statuses,
who uploaded what. Nothing below `files/` is changed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from simpleindex_storage.documentation import check_documentation
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Damaged, Refused, StoreError
from simpleindex_storage.inspection import inspect
from simpleindex_storage.journal import segments
from simpleindex_storage.journal_lines import last_entry
from simpleindex_storage.model import (
    Actor,
    Attachment,
    AttachmentKind,
    Digests,
    DistFile,
    Event,
    Index,
    LogEntry,
    Release,
    Sidecar,
    StageSettings,
    User,
)
from simpleindex_storage.names import (
    DistFilename,
    FilePlace,
    IndexName,
    UserName,
    owner_of,
    parse_filename,
    parse_project_name,
    parse_version,
)
from simpleindex_storage.ports import Change
from simpleindex_storage.provenance import check_provenance, check_signature
from simpleindex_storage.sqlite_file import CATALOG_FILE, standing_of
from simpleindex_storage.state_file import STATE_FILE, State, state_of

from .again import Rebuilt, counts_of, rebuild_line, settle
from .beginning import draft_journal
from .draft import alone, draft_catalog, keep_aside
from .stored import FILES_FOLDER, stored_files

NO_PASSWORD = "!"  # noqa: S105  no password has it as its hash
_BLOCK_BYTES = 1 << 20
_DOCUMENTATION_ENDING = ".doc.zip"
_RESULT_MARK = ".toxresult-"


def rebuild_from_files(
    root: Path,
    now: datetime,
    *,
    by: Actor,
    root_user: User,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Rebuilt:
    """Make the catalog anew from what lies below `files/`.

    Files count as uploaded when they were last changed, by nobody. Whoever owns an index is a user
    without a password. What is no sound file, or has a name that a newer file has too, is left out
    and told of. A crash leaves the old catalog or the new one. Raises Refused, also while another
    process has the directory open, and Unavailable, also for what the disk does not let it read.
    """
    with alone(root), draft_catalog(root) as draft, draft_journal(root) as journal:
        former = standing_of(root / CATALOG_FILE)
        if former is not None:
            draft.set_fact("uuid", former.uuid)
        serial = _last_serial(root, former.serial if former else -1) + 1
        taking = _Taking(root, draft.change(serial))
        taking.put_user(root_user)
        with unavailable_on_failure("files cannot be read"):
            taking.take_all(progress)
        journal.begin(State(serial, draft.uuid, now), draft.seen().all_facts())
        journal.append(rebuild_line(serial + 1, now, by, []))
        settle(draft, serial + 1, journal.name, journal.size_bytes)
        rebuilt = Rebuilt(
            serial=serial + 1,
            lines=0,
            counts=counts_of(draft),
            has_new_uuid=former is None,
            skipped=tuple(taking.skipped),
            without_password=tuple(sorted(taking.users - {root_user.name})),
        )
        keep_aside(root / STATE_FILE, now)
        kept = draft.finish(now)
        journal.put_in_place()
        return replace(rebuilt, kept=kept)


def _last_serial(root: Path, known: int) -> int:
    """The highest serial that is known of: what is made now comes after it."""
    try:
        state = state_of(root)
    except Refused:
        state = None
    serials = [known, state.serial if state else -1]
    for segment in segments(root):
        last = last_entry(segment.path)
        serials += [segment.first_serial - 1, last.serial if last else -1]
    return max(serials)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, as its path tells."""

    modified_at: float
    path: str
    place: FilePlace


class _Taking:
    """Takes what lies there into a catalog."""

    def __init__(self, root: Path, change: Change) -> None:
        self._files = root / FILES_FOLDER
        self._change = change
        self.users: set[UserName] = set()
        self.skipped: list[str] = []

    def put_user(self, user: User) -> None:
        """Somebody who is to be there."""
        self._change.put_user(user)
        self.users.add(user.name)

    def take_all(self, progress: Callable[[int, int], object]) -> None:
        """Files in order of their times, and then what belongs to them."""
        found, attached = self._look()
        for number, each in enumerate([*found, *attached], 1):
            try:
                (self._take_file if number <= len(found) else self._take_attachment)(each)
            except StoreError as error:
                self.skipped.append(f"{each.path}: {error}")
            progress(number, len(found) + len(attached))

    def _look(self) -> tuple[list[_Found], list[_Found]]:
        """The files, of each name the newest; and what is attached to releases."""
        newest: dict[tuple[IndexName, str], _Found] = {}
        attached: list[_Found] = []
        for path, place in stored_files(self._files.parent):
            if place is None:
                self.skipped.append(f"{path}: no file of an index can lie there")
            elif path == place.path:  # else it lies beside a file
                each = _Found((self._files / path).lstat().st_mtime, path, place)
                if _is_attached(place.filename):
                    attached.append(each)
                else:
                    self._keep_newest(newest, each)
        by_age = sorted(newest.values(), key=lambda each: (each.modified_at, each.path))
        return by_age, sorted(attached, key=lambda each: (each.modified_at, each.path))

    def _keep_newest(self, newest: dict[tuple[IndexName, str], _Found], each: _Found) -> None:
        try:
            name = (each.place.index, parse_filename(each.place.filename).key)
        except Refused as error:
            self.skipped.append(f"{each.path}: {error}")
            return
        other = newest.get(name)
        older, newer = sorted([other or each, each], key=lambda it: (it.modified_at, it.path))
        if other is not None:
            self.skipped.append(f"{older.path}: {newer.path} has the same name, and is newer")
        newest[name] = newer

    def _take_file(self, found: _Found) -> None:
        place, path = found.place, self._files / found.path
        filename = parse_filename(place.filename)
        digests, size_bytes = _digests_of(path)
        _check_place(place, digests.sha256)
        metadata, findings = inspect(path, filename)
        beside = self._beside(path, filename, metadata.raw, digests.sha256)
        self._make_index(place.index)
        uploaded_at = datetime.fromtimestamp(found.modified_at, UTC)
        file = DistFile(
            index=place.index,
            project=filename.project,
            version=filename.version,
            filename=filename.text,
            key=filename.key,
            size_bytes=size_bytes,
            sha256=digests.sha256,
            md5=digests.md5,
            blake2b_256=digests.blake2b_256,
            uploaded_at=uploaded_at,
            uploaded_by="",
            requires_python=metadata.requires_python,
            metadata_sha256=beside.get(Sidecar.METADATA),
            signature_sha256=beside.get(Sidecar.SIGNATURE),
            provenance_sha256=beside.get(Sidecar.PROVENANCE),
            findings=tuple(finding.rule for finding in findings),
            log=(LogEntry(Event.UPLOAD, None, uploaded_at, target=place.index),),
        )
        release = Release(file.index, file.project, file.version, metadata.fields)
        self._change.put_release(release, metadata.name)
        self._change.put_file(file)

    def _beside(
        self, path: Path, filename: DistFilename, metadata: bytes, sha256: str
    ) -> Mapping[Sidecar, str]:
        """The digests of what lies beside a file and is sound; of the rest it is told."""
        checks: Mapping[Sidecar, Callable[[bytes], None]] = {
            Sidecar.METADATA: lambda content: _check_same(content, metadata, filename),
            Sidecar.SIGNATURE: lambda content: check_signature(content, filename),
            Sidecar.PROVENANCE: lambda content: check_provenance(content, filename, sha256),
        }
        digests = {}
        for sidecar, check in checks.items():
            beside = path.with_name(path.name + sidecar)
            if beside.is_file():
                content = beside.read_bytes()
                try:
                    check(content)
                    digests[sidecar] = hashlib.sha256(content).hexdigest()
                except Refused as error:
                    self.skipped.append(f"{beside.relative_to(self._files).as_posix()}: {error}")
        return digests

    def _take_attachment(self, found: _Found) -> None:
        place = found.place
        digests, size_bytes = _digests_of(self._files / found.path)
        about, mark, _ = place.filename.partition(_RESULT_MARK)
        if mark:
            kind = AttachmentKind.TOX_RESULT
            file = self._change.file_named(place.index, parse_filename(about).key)
            if file is None or file.place.sha256_prefix != place.sha256_prefix:
                raise Refused(place.filename, f"{about}, which it is about, is not there")
            project, version, key = file.project, file.version, file.key
        else:
            kind, key = AttachmentKind.DOCUMENTATION, None
            _check_place(place, digests.sha256)
            check_documentation(self._files / found.path, place.filename)
            name, _, number = place.filename.removesuffix(_DOCUMENTATION_ENDING).rpartition("-")
            project, version = parse_project_name(name), parse_version(number)
            self._make_index(place.index)
            if self._change.release(place.index, project, version) is None:
                bare = Release(place.index, project, version, {"name": name, "version": version})
                self._change.put_release(bare, name)
        uploaded_at = datetime.fromtimestamp(found.modified_at, UTC)
        self._change.put_attachment(
            Attachment(
                kind=kind,
                index=place.index,
                project=project,
                version=version,
                place=place,
                size_bytes=size_bytes,
                sha256=digests.sha256,
                uploaded_at=uploaded_at,
                uploaded_by="",
                file_key=key,
                log=(LogEntry(Event.UPLOAD, None, uploaded_at, target=place.index),),
            )
        )

    def _make_index(self, name: IndexName) -> None:
        if self._change.index(name) is not None:
            return
        owner = owner_of(name)
        if owner not in self.users:
            self.put_user(User(owner, NO_PASSWORD, 1, datetime.fromtimestamp(0, UTC)))
        settings = StageSettings(volatile=False, acl_upload=(owner,))
        self._change.put_index(Index(name, settings, automatic=True))


def _is_attached(filename: str) -> bool:
    return filename.endswith(_DOCUMENTATION_ENDING) or _RESULT_MARK in filename


def _check_place(place: FilePlace, sha256: str) -> None:
    if not sha256.startswith(place.sha256_prefix):
        raise Damaged(place.filename, "sha256", f"{place.sha256_prefix}...", sha256)


def _check_same(content: bytes, metadata: bytes, filename: DistFilename) -> None:
    if content != metadata:
        raise Refused(filename.text, "what lies beside it is not its metadata")


def _digests_of(path: Path) -> tuple[Digests, int]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    blake2b = hashlib.blake2b(digest_size=32)
    size_bytes = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            size_bytes += len(block)
            for digest in (sha256, md5, blake2b):
                digest.update(block)
    return Digests(sha256.hexdigest(), md5.hexdigest(), blake2b.hexdigest()), size_bytes
