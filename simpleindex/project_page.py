"""From what is seen of a project to its page: our own files and those of mirrors, told alike."""

from collections.abc import Sequence
from contextlib import suppress

from packaging.version import InvalidVersion, Version

from simpleindex.library import Sight
from simpleindex.mirror.known import MirroredFile
from simpleindex.wire.simple_page import (
    PageDepth,
    PageFile,
    ProjectPage,
    provenance_url,
    relative_url,
)
from simpleindex_storage.model import DistFile


def page_of(sight: Sight, depth: PageDepth, secure_url: str | None = None) -> ProjectPage:
    """The page for a URL that lies `depth` levels below its index.

    `secure_url` is our root as the client sees it, if its origin is secure: without that, PEP 740
    allows no link to a provenance.
    """
    # PEP 503: who tells of signatures should tell of each file whether it has one.
    tells_signatures = any(file.signature_sha256 is not None for file in sight.files)
    own = (
        PageFile(
            filename=file.filename,
            url=relative_url(file.place, index=sight.index, depth=depth),
            hashes={"sha256": file.sha256},
            size_bytes=file.size_bytes,
            uploaded_at=file.uploaded_at,
            requires_python=file.requires_python,
            metadata=_metadata_digests(file),
            yanked=file.yanked,
            gpg_sig=file.signature_sha256 is not None if tells_signatures else None,
            provenance=provenance_url(file.place, secure_url)
            if secure_url is not None and file.provenance_sha256 is not None
            else None,
        )
        for file in sight.files
    )
    mirrored = (_mirrored_page_file(file, sight, depth, secure_url) for file in sight.mirrored)
    versions = {file.version for file in sight.files}
    versions |= {file.known.version for file in sight.mirrored}
    return ProjectPage(
        name=sight.project,
        files=(*own, *mirrored),
        versions=_in_order(versions, sight.told_versions),
        status=sight.status,
        status_reason=sight.status_reason,
        serial=sight.serial,
    )


def _mirrored_page_file(
    file: MirroredFile, sight: Sight, depth: PageDepth, secure_url: str | None
) -> PageFile:
    """A mirror's file as upstream tells of it, but from here."""
    told, place = file.known.file, file.place
    metadata = told.metadata
    if not metadata and place.filename.endswith(".whl"):
        metadata = True  # else it is taken out of the wheel when somebody asks for it
    has_provenance = secure_url is not None and told.provenance is not None
    # Not `replace`, which takes four times as long: pages of mirrors have thousands of files.
    return PageFile(
        filename=told.filename,
        url=relative_url(place, index=sight.index, depth=depth),
        hashes=told.hashes,
        size_bytes=told.size_bytes,
        uploaded_at=told.uploaded_at,
        requires_python=told.requires_python,
        metadata=metadata,
        yanked=told.yanked,
        gpg_sig=told.gpg_sig,
        provenance=provenance_url(place, secure_url) if has_provenance and secure_url else None,
    )


def _in_order(versions: set[str], told: Sequence[str]) -> tuple[str, ...]:
    """All versions, each once: those that mirrors tell, and those of the files."""
    found: dict[Version, str] = {}
    for text in (*told, *versions):
        with suppress(InvalidVersion):  # upstream may tell anything
            found.setdefault(Version(text), text)
    return tuple(found[version] for version in sorted(found))


def _metadata_digests(file: DistFile) -> dict[str, str] | None:
    """Installers may take a dependency list from a wheel's metadata; from an sdist's only in part.

    So that of sdists is stored and not announced (its Dynamic fields are for a build to fill).
    """
    if file.metadata_sha256 is None or not file.filename.endswith(".whl"):
        return None
    return {"sha256": file.metadata_sha256}
