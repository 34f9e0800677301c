"""What a push takes along of a release, and what it says of each step."""

from dataclasses import dataclass

from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import (
    Attachment,
    AttachmentKind,
    DistFile,
    JsonValue,
    MirrorSettings,
    ProjectStatus,
    Release,
)
from simpleindex_storage.names import IndexName, ProjectName, same_version
from simpleindex_storage.ports import Snapshot


@dataclass(frozen=True, slots=True)
class Cargo:
    """A release as it is pushed."""

    index: IndexName
    """Where it comes from."""
    project: ProjectName
    display_name: str
    version: str
    releases: tuple[Release, ...]
    """What is said of it; several where its version is stored in several spellings."""
    files: tuple[DistFile, ...]
    results: tuple[Attachment, ...]
    """Of tests of these files."""
    documentation: tuple[Attachment, ...]

    def said_of(self, version: str) -> Release:
        """The release with this spelling of the version, or any."""
        return next((each for each in self.releases if each.version == version), self.releases[0])


@dataclass(frozen=True, slots=True)
class Step:
    """One line of devpi's action log."""

    status: int
    """As in HTTP; its client takes 200, 201 and 410 for good."""
    words: tuple[str, ...]

    @property
    def line(self) -> list[JsonValue]:
        """As devpi's JSON has it."""
        return [self.status, *self.words]


def load(
    seen: Snapshot,
    index: IndexName,
    project: ProjectName,
    version: str,
    *,
    with_files: bool = True,
    with_documentation: bool = True,
) -> Cargo:
    """What there is to push, of the index's own. Raises Refused, and NotStored if it is nothing."""
    known = seen.project(index, project)
    releases = tuple(
        each for each in seen.releases(index, project) if same_version(each.version, version)
    )
    source = seen.index(index)
    if source is not None and isinstance(source.settings, MirrorSettings):
        raise Refused(
            f"{project} {version}",
            f"{index} mirrors another index; the devpi client pushes out of it, through the server",
        )
    if known is None or not releases:
        raise Refused(f"{project} {version}", f"{index} has no such release of its own")
    if known.status is ProjectStatus.QUARANTINED:
        raise Refused(str(project), f"it is quarantined in {index}, and offered to nobody")
    files = [each for each in seen.files(index, project) if same_version(each.version, version)]
    files.sort(key=lambda file: file.filename)
    keys = {file.key for file in files}
    attached = [
        each for each in seen.attachments(index, project) if same_version(each.version, version)
    ]
    documentation = [each for each in attached if each.kind is AttachmentKind.DOCUMENTATION]
    cargo = Cargo(
        index=index,
        project=project,
        display_name=known.display_name,
        version=releases[0].version,
        releases=releases,
        files=tuple(files) if with_files else (),
        results=tuple(each for each in attached if each.file_key in keys) if with_files else (),
        documentation=tuple(documentation) if with_documentation else (),
    )
    if not cargo.files and not cargo.documentation:
        raise NotStored(f"file of {project} {version} to push", f"{index} has none to offer")
    return cargo
