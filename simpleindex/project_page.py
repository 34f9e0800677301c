"""From what is seen of a project to its page: our own files and those of mirrors, told alike.

A project may have many thousands of files, and gets one more of them. So a long page is made in
pieces of some hundred files each, and those that are as before are taken over.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import TypeVar

from packaging.version import InvalidVersion, Version

from simpleindex.library import Sight
from simpleindex.mirror.known import MirroredFile
from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.negotiate import Form
from simpleindex.wire.pieces import NOTHING, Pieced, assemble
from simpleindex.wire.simple_page import (
    PageDepth,
    PageFile,
    ProjectPage,
    provenance_url,
    relative_url,
)
from simpleindex_storage.model import ListedFile, ProjectStatus
from simpleindex_storage.records import time_from_text

T = TypeVar("T")

_FILES_PER_PIECE = 500
"""Some 200 KB: a few ms to render and to compress. A shorter page is made whole."""
_COMMAS = {form: b"," if form is Form.JSON else b"" for form in Form}


def render_page(
    sight: Sight[ListedFile],
    form: Form,
    depth: PageDepth,
    secure_url: str | None = None,
    before: Pieced = NOTHING,
) -> Pieced:
    """The page for a URL that lies `depth` levels below its index, in UTF-8.

    `secure_url` is our root as the client sees it, if its origin is secure: without that, PEP 740
    allows no link to a provenance. `before` is what this gave for an earlier sight.
    """
    if len(sight.files) + len(sight.mirrored) > _FILES_PER_PIECE:
        return assemble(_parts(_Told(sight, depth, secure_url), form), before)
    page = page_of(sight, depth, secure_url)
    if form is Form.JSON:
        return Pieced(simple_json.render_project(page))
    return Pieced(simple_html.render_project(page))


def page_of(
    sight: Sight[ListedFile], depth: PageDepth, secure_url: str | None = None
) -> ProjectPage:
    """The page as a record, with all its files; the arguments as for `render_page`."""
    told = _Told(sight, depth, secure_url)
    return ProjectPage(
        name=sight.project,
        files=(*told.own(sight.files), *told.mirrored(sight.mirrored)),
        versions=_versions(sight),
        status=sight.status,
        status_reason=sight.status_reason,
        serial=sight.serial,
    )


class _Told:
    """How the files of a sight are told on one page."""

    def __init__(self, sight: Sight[ListedFile], depth: PageDepth, secure_url: str | None) -> None:
        self.sight = sight
        self._depth = depth
        self._secure_url = secure_url
        # PEP 503: who tells of signatures should tell of each file whether it has one.
        self._tells_signatures = any(file.signature_sha256 is not None for file in sight.files)

    @property
    def besides(self) -> Hashable:
        """All by which our own files are told, besides themselves."""
        return self.sight.index, self._depth, self._secure_url, self._tells_signatures

    def own(self, files: Sequence[ListedFile]) -> list[PageFile]:
        """Files of ours."""
        return [
            PageFile(
                filename=file.filename,
                url=relative_url(file.place, index=self.sight.index, depth=self._depth),
                hashes={"sha256": file.sha256},
                size_bytes=file.size_bytes,
                uploaded_at=time_from_text(file.uploaded_at_text),
                requires_python=file.requires_python,
                metadata=_metadata_digests(file),
                yanked=file.yanked,
                gpg_sig=file.signature_sha256 is not None if self._tells_signatures else None,
                provenance=provenance_url(file.place, self._secure_url)
                if self._secure_url is not None and file.provenance_sha256 is not None
                else None,
            )
            for file in files
        ]

    def mirrored(self, files: Sequence[MirroredFile]) -> list[PageFile]:
        """Files of mirrors."""
        return [
            _mirrored_page_file(file, self.sight, self._depth, self._secure_url) for file in files
        ]


def _parts(told: _Told, form: Form) -> Iterator[tuple[bytes, Callable[[], bytes]]]:
    """A long page in parts; those of our own files have keys."""
    sight = told.sight
    is_offered = sight.status is not ProjectStatus.QUARANTINED
    own, mirrored = (sight.files, sight.mirrored) if is_offered else ((), ())
    head, tail = _frame(sight, form, mirrored)
    yield b"", lambda: head
    comma = b""
    for ours in _in_pieces(own):
        key = repr((form, told.besides, comma, ours)).encode(errors="backslashreplace")
        yield sha256(key).digest(), partial(_part, form, comma, told.own, ours)
        comma = _COMMAS[form]
    for others in _in_pieces(mirrored):
        yield b"", partial(_part, form, comma, told.mirrored, others)
        comma = _COMMAS[form]
    yield b"", lambda: tail


def _frame(
    sight: Sight[ListedFile], form: Form, mirrored: Sequence[MirroredFile]
) -> tuple[bytes, bytes]:
    """What stands before and behind the files."""
    is_json = form is Form.JSON
    page = ProjectPage(
        name=sight.project,
        files=(),
        versions=_versions(sight) if is_json else (),  # HTML tells none
        status=sight.status,
        status_reason=sight.status_reason,
        serial=sight.serial,
    )
    if not is_json:
        return simple_html.project_frame(page)
    # Of our own files, sizes are always known.
    has_all_sizes = all(file.known.file.size_bytes is not None for file in mirrored)
    return simple_json.project_frame(page, has_all_sizes=has_all_sizes)


def _part(
    form: Form,
    comma: bytes,
    tell: Callable[[Sequence[T]], Sequence[PageFile]],
    files: Sequence[T],
) -> bytes:
    if form is Form.JSON:
        return comma + simple_json.render_files(tell(files))
    return comma + simple_html.render_files(tell(files))


def _in_pieces(files: Sequence[T]) -> Iterator[Sequence[T]]:
    return (files[n : n + _FILES_PER_PIECE] for n in range(0, len(files), _FILES_PER_PIECE))


def _versions(sight: Sight[ListedFile]) -> tuple[str, ...]:
    versions = {file.version for file in sight.files}
    versions |= {file.known.version for file in sight.mirrored}
    return _in_order(versions, sight.told_versions)


def _mirrored_page_file(
    file: MirroredFile, sight: Sight[ListedFile], depth: PageDepth, secure_url: str | None
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


def _metadata_digests(file: ListedFile) -> dict[str, str] | None:
    """Installers may take a dependency list from a wheel's metadata; from an sdist's only in part.

    So that of sdists is stored and not announced (its Dynamic fields are for a build to fill).
    """
    if file.metadata_sha256 is None or not file.filename.endswith(".whl"):
        return None
    return {"sha256": file.metadata_sha256}
