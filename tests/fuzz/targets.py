"""The parsers that strangers can reach, each with what must hold of it and what to try it with."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.fuzz import (
    archive_checks,
    bundle_checks,
    seeds,
    tar_mutations,
    upstream_checks,
    wire_checks,
    zip_mutations,
)
from tests.fuzz.mutations import Mutation, change_lines, change_the_cuts

Check: TypeAlias = Callable[[bytes], bool]
"""Whether the input was taken. Raises for what must not be."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser."""

    name: str
    check: Check
    seeds: Callable[[], Sequence[bytes]]
    tokens: Sequence[bytes] = ()
    special: Sequence[Mutation] = ()
    """Mutations that know its format."""
    modules: Sequence[str] = ()
    """Those in which a line that no input reached before makes an input worth keeping."""


_UPSTREAM = ("simpleindex.wire.upstream_page", "simpleindex.wire.upstream_list")
_ZIP = ("simpleindex_storage.zip_directory", "simpleindex_storage.zip_walk")
_TAR = ("simpleindex_storage.tar_walk",)
_INSPECTION = (
    "simpleindex_storage.inspection",
    "simpleindex_storage.member_names",
    "simpleindex_storage.metadata_rules",
    "simpleindex_storage.record_file",
    "simpleindex_storage.wheel_files",
)
_ZIP_MUTATIONS = (
    zip_mutations.rebuild_zip,
    zip_mutations.rebuild_zip,
    zip_mutations.change_a_zip_record,
)
_TAR_MUTATIONS = (
    tar_mutations.change_a_tar_header,
    tar_mutations.rebuild_tar,
    tar_mutations.repack_gzip,
)

_ALL = (
    Target(
        "multipart", wire_checks.multipart, seeds.forms, seeds.FORM_TOKENS, (change_the_cuts,),
        ("simpleindex.wire.multipart",),
    ),
    Target(
        "upload-form", wire_checks.form_fields, seeds.form_fields, seeds.FIELD_TOKENS,
        (change_lines,), ("simpleindex.wire.upload_form",),
    ),
    Target(
        "accept", wire_checks.accept, seeds.accepts, seeds.ACCEPT_TOKENS, (),
        ("simpleindex.wire.negotiate",),
    ),
    Target(
        "accept-encoding", wire_checks.accept_encoding, seeds.accept_encodings,
        seeds.ENCODING_TOKENS, (), ("simpleindex.wire.negotiate",),
    ),
    Target(
        "range", wire_checks.byte_range, seeds.ranges, seeds.RANGE_TOKENS, (),
        ("simpleindex.wire.conditional",),
    ),
    Target(
        "if-none-match", wire_checks.entity_tags, seeds.tags, seeds.TAG_TOKENS, (),
        ("simpleindex.wire.conditional",),
    ),
    Target(
        "credentials", wire_checks.authorization, seeds.authorizations, seeds.LOGIN_TOKENS, (),
        ("simpleindex.wire.credentials",),
    ),
    Target(
        "json", wire_checks.json_bodies, seeds.json_bodies, seeds.JSON_TOKENS, (),
        ("simpleindex.wire.devpi_json", "simpleindex.wire.marks_json"),
    ),
    Target(
        "path", wire_checks.paths, seeds.paths, seeds.PATH_TOKENS, (),
        ("simpleindex.wire.locations",),
    ),
    Target(
        "file-name", wire_checks.file_names, seeds.file_names, seeds.NAME_TOKENS, (),
        ("simpleindex_storage.names",),
    ),
    Target(
        "name", wire_checks.plain_names, seeds.plain_names, seeds.NAME_TOKENS, (),
        ("simpleindex_storage.names",),
    ),
    Target(
        "upstream-json", upstream_checks.json_page, seeds.upstream_json_pages,
        seeds.UPSTREAM_JSON_TOKENS, (), _UPSTREAM,
    ),
    Target(
        "upstream-html", upstream_checks.html_page, seeds.upstream_html_pages,
        seeds.UPSTREAM_HTML_TOKENS, (), _UPSTREAM,
    ),
    Target(
        "upstream-json-list", upstream_checks.json_list, seeds.upstream_json_lists,
        seeds.UPSTREAM_JSON_TOKENS, (), _UPSTREAM,
    ),
    Target(
        "upstream-html-list", upstream_checks.html_list, seeds.upstream_html_lists,
        seeds.UPSTREAM_HTML_TOKENS, (), _UPSTREAM,
    ),
    Target(
        "zip", archive_checks.zip_walk, seeds.zips, seeds.ARCHIVE_TOKENS, _ZIP_MUTATIONS, _ZIP
    ),
    Target(
        "tar", archive_checks.tar_walk, seeds.tars, seeds.ARCHIVE_TOKENS, _TAR_MUTATIONS, _TAR
    ),
    Target(
        "wheel", archive_checks.wheel, seeds.zips, seeds.ARCHIVE_TOKENS, _ZIP_MUTATIONS,
        (*_INSPECTION, *_ZIP),
    ),
    Target(
        "sdist", archive_checks.sdist, seeds.tars, seeds.ARCHIVE_TOKENS, _TAR_MUTATIONS,
        (*_INSPECTION, *_TAR),
    ),
    Target(
        "metadata", archive_checks.metadata, seeds.metadata, seeds.METADATA_TOKENS,
        (change_lines,), ("simpleindex_storage.metadata", "simpleindex_storage.metadata_rules"),
    ),
    Target(
        "wheel-file", archive_checks.wheel_file, seeds.wheel_files, seeds.METADATA_TOKENS,
        (change_lines,), ("simpleindex_storage.wheel_files",),
    ),
    Target(
        "entry-points", archive_checks.entry_points, seeds.entry_points,
        seeds.ENTRY_POINT_TOKENS, (change_lines,), ("simpleindex_storage.wheel_files",),
    ),
    Target(
        "record", archive_checks.record, seeds.records, seeds.RECORD_TOKENS, (change_lines,),
        ("simpleindex_storage.record_file",),
    ),
    Target(
        "bundle", bundle_checks.bundle, bundle_checks.bundles, seeds.ARCHIVE_TOKENS,
        _ZIP_MUTATIONS, ("simpleindex.gap.bundle.reading", "simpleindex.gap.bundle.stored_zip"),
    ),
    Target(
        "bundle-manifest", bundle_checks.bundle_manifest, bundle_checks.manifests,
        bundle_checks.MANIFEST_TOKENS, (change_lines,),
        ("simpleindex.gap.bundle.manifest", "simpleindex.gap.bundle.volumes"),
    ),
    Target(
        "ssh-signature", bundle_checks.ssh_signature, bundle_checks.signatures,
        bundle_checks.SIGNATURE_TOKENS, (change_lines,), ("simpleindex.gap.bundle.verify",),
    ),
)  # fmt: skip

TARGETS: Mapping[str, Target] = {target.name: target for target in _ALL}
"""By name. They need nothing but Python."""

UNZIP = Target(
    "unzip", archive_checks.unzip, seeds.zips, seeds.ARCHIVE_TOKENS, _ZIP_MUTATIONS, _ZIP
)


def available() -> Mapping[str, Target]:
    """Those that can be run on this machine: with the commands that it has."""
    return {**TARGETS, UNZIP.name: UNZIP} if shutil.which("unzip") else TARGETS
