"""Archives with one fault each, of a project whose name is given; their version is 1.0."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace

from tests import builders
from tests.builders import (
    BuiltFile,
    a_wheel,
    a_zip,
    an_sdist,
    core_metadata,
    record,
    wheel_members,
)
from tests.raw_archives import (
    RawMember,
    a_tar,
    descriptor,
    raw_members,
    raw_zip,
    tar_header,
    tar_member,
)

_ZEROS_BYTES = 65 << 20
"""As much as a public index lets a small archive inflate to, and a little more."""


def a_wheel_with(project: str, files: Mapping[str, bytes] = {}, *, without: str = "") -> BuiltFile:
    """A wheel with more files, or without one of those that there have to be."""
    return BuiltFile(a_wheel(project).filename, a_zip(_members(project, files, without)))


def an_sdist_of(project: str, *parts: bytes) -> BuiltFile:
    """An sdist that has its PKG-INFO and these parts."""
    info = tar_member(f"{_top(project)}/PKG-INFO", core_metadata(project))
    return BuiltFile(an_sdist(project).filename, a_tar(info, *parts))


def a_wheel_that_says(project: str, *lines: str) -> BuiltFile:
    """A wheel with these lines in its METADATA, which win over the usual ones."""
    return a_wheel(project, metadata=_metadata(project, lines))


def an_sdist_that_says(project: str, *lines: str) -> BuiltFile:
    """An sdist with these lines in its PKG-INFO."""
    return an_sdist(project, metadata=_metadata(project, lines))


def dist_info_of(project: str) -> str:
    """The folder of a wheel's own metadata."""
    return f"{_top(project)}.dist-info"


# What is no archive, or not a whole one, or two at once


def a_web_page(project: str) -> BuiltFile:
    return BuiltFile(a_wheel(project).filename, b"<html>not found</html>")


def a_web_page_as_an_sdist(project: str) -> BuiltFile:
    return BuiltFile(an_sdist(project).filename, b"<html>not found</html>")


def an_sdist_as_a_wheel(project: str) -> BuiltFile:
    return BuiltFile(a_wheel(project).filename, an_sdist(project).content)


def a_wheel_as_an_sdist(project: str) -> BuiltFile:
    return BuiltFile(an_sdist(project).filename, a_wheel(project).content)


def half_a_wheel(project: str) -> BuiltFile:
    built = a_wheel(project)
    return BuiltFile(built.filename, built.content[: len(built.content) // 2])


def half_an_sdist(project: str) -> BuiltFile:
    built = an_sdist(project)
    return BuiltFile(built.filename, built.content[: len(built.content) // 2])


def a_gzip_without_a_tar(project: str) -> BuiltFile:
    return BuiltFile(an_sdist(project).filename, gzip.compress(b"x" * 2000))


def an_sdist_that_is_a_zip_too(project: str) -> BuiltFile:
    inner = tar_member(f"{_top(project)}/x.zip", a_zip({"x": b"x"}))
    info = tar_member(f"{_top(project)}/PKG-INFO", core_metadata(project))
    packer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packer, mtime=0, compresslevel=0) as out:
        out.write(info + inner + bytes(1024))
    return BuiltFile(an_sdist(project).filename, packer.getvalue())


# Zips that readers see differently


def data_behind_the_zip(project: str) -> BuiltFile:
    return _raw_wheel(project, trailing=b"more")


def data_ahead_of_the_zip(project: str) -> BuiltFile:
    return _raw_wheel(project, prepended=b"#!/bin/sh\n")


def a_comment_behind_the_zip(project: str) -> BuiltFile:
    return _raw_wheel(project, comment=b"hello")


def a_member_that_the_directory_does_not_name(project: str) -> BuiltFile:
    hidden = raw_zip([RawMember("hidden.py", b"")])
    return _raw_wheel(project, behind=hidden[: hidden.index(b"PK\1\2")])


def a_member_whose_size_follows(project: str) -> BuiltFile:
    first = raw_members(_members(project, {}, ""))[0]
    return _raw_wheel(
        project,
        flags=8,
        local={"crc": 0, "packed": 0, "size": 0},
        behind=descriptor(first.content, first.packed),
    )


def a_member_that_is_there_twice(project: str) -> BuiltFile:
    members = [*_members(project, {}, "").items(), (f"{dist_info_of(project)}/METADATA", b"")]
    return BuiltFile(a_wheel(project).filename, a_zip(members))


def a_member_in_bzip2(project: str) -> BuiltFile:
    content = a_zip(_members(project, {}, ""), compression=zipfile.ZIP_BZIP2)
    return BuiltFile(a_wheel(project).filename, content)


def a_sparse_member(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_header(f"{_top(project)}/x", b"S"))


# What has to lie in them


def a_wheel_without_metadata(project: str) -> BuiltFile:
    return a_wheel_with(project, without="METADATA")


def a_wheel_without_wheel_file(project: str) -> BuiltFile:
    return a_wheel_with(project, without="WHEEL")


def a_wheel_without_record(project: str) -> BuiltFile:
    return a_wheel_with(project, without="RECORD")


def a_wheel_with_two_dist_info_folders(project: str) -> BuiltFile:
    return a_wheel_with(project, {"other-1.0.dist-info/METADATA": core_metadata("other")})


def a_wheel_of_another_project(project: str) -> BuiltFile:
    return BuiltFile(a_wheel(project).filename, a_wheel("other").content)


def an_sdist_without_pkg_info(project: str) -> BuiltFile:
    content = a_tar(tar_member(f"{_top(project)}/setup.py", b""))
    return BuiltFile(an_sdist(project).filename, content)


def an_sdist_with_two_folders(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_member("other/x", b"x"))


# Bombs


def a_wheel_that_is_a_bomb(project: str) -> BuiltFile:
    return a_wheel_with(project, {"zeros.py": bytes(_ZEROS_BYTES)})


def an_sdist_that_is_a_bomb(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_member(f"{_top(project)}/zeros", bytes(_ZEROS_BYTES)))


def a_wheel_with_metadata_without_end(project: str) -> BuiltFile:
    return a_wheel(project, metadata=core_metadata(project) + b"\n" + b" " * _ZEROS_BYTES)


# Members that lead out of the folder


def a_member_outside(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_member(f"{_top(project)}/../../evil", b"x"))


def an_absolute_member(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_member("/etc/evil", b"x"))


def a_link_outside(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_header(f"{_top(project)}/x", b"2", linkname="../../etc"))


def an_absolute_link(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_header(f"{_top(project)}/x", b"2", linkname="/etc/passwd"))


def a_hard_link_outside(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_header(f"{_top(project)}/x", b"1", linkname="../../etc/passwd"))


def a_device(project: str) -> BuiltFile:
    return an_sdist_of(project, tar_header(f"{_top(project)}/x", tarfile.CHRTYPE))


def a_wheel_member_outside(project: str) -> BuiltFile:
    return a_wheel_with(project, {"../evil.py": b""})


# What is old rather than broken


def an_egg(project: str) -> BuiltFile:
    return builders.an_egg(project)


def a_record_without_hashes(project: str) -> BuiltFile:
    members = _members(project, {}, "")
    lines = [f"{name},,\n" for name in members]
    members[f"{dist_info_of(project)}/RECORD"] = "".join(lines).encode()
    return BuiltFile(a_wheel(project).filename, a_zip(members))


Fault = Callable[[str], BuiltFile]

BROKEN: tuple[Fault, ...] = (
    a_web_page, a_web_page_as_an_sdist, an_sdist_as_a_wheel, a_wheel_as_an_sdist, half_a_wheel,
    half_an_sdist, a_gzip_without_a_tar, an_sdist_that_is_a_zip_too, data_behind_the_zip,
    data_ahead_of_the_zip, a_comment_behind_the_zip, a_member_that_the_directory_does_not_name,
    a_member_whose_size_follows, a_member_that_is_there_twice, a_member_in_bzip2, a_sparse_member,
    a_wheel_without_metadata, a_wheel_without_wheel_file, a_wheel_without_record,
    a_wheel_with_two_dist_info_folders, a_wheel_of_another_project, an_sdist_without_pkg_info,
    an_sdist_with_two_folders,
)  # fmt: skip

BOMBS: tuple[Fault, ...] = (
    a_wheel_that_is_a_bomb, an_sdist_that_is_a_bomb, a_wheel_with_metadata_without_end,
)  # fmt: skip

LEGACY: tuple[Fault, ...] = (an_egg, a_record_without_hashes)

OUTSIDE: tuple[Fault, ...] = (
    a_member_outside, an_absolute_member, a_link_outside, an_absolute_link, a_hard_link_outside,
    a_device, a_wheel_member_outside,
)  # fmt: skip


def _raw_wheel(
    project: str,
    *,
    flags: int = 0,
    local: Mapping[str, int | bytes] = {},
    behind: bytes = b"",
    prepended: bytes = b"",
    comment: bytes = b"",
    trailing: bytes = b"",
) -> BuiltFile:
    """A wheel written byte by byte, with something odd about its first member or around all."""
    first, *rest = raw_members(_members(project, {}, ""))
    first = replace(first, flags=flags, local=local, behind=behind)
    content = raw_zip([first, *rest], prepended=prepended, comment=comment, trailing=trailing)
    return BuiltFile(a_wheel(project).filename, content)


def _members(project: str, files: Mapping[str, bytes], without: str) -> dict[str, bytes]:
    dist_info = dist_info_of(project)
    members = wheel_members(project, "1.0", metadata=core_metadata(project)) | dict(files)
    members.pop(f"{dist_info}/{without}", None)
    members[f"{dist_info}/RECORD"] = record(members, dist_info)
    members.pop(f"{dist_info}/{without}", None)
    return members


def _metadata(project: str, lines: tuple[str, ...]) -> bytes:
    usual = ("Metadata-Version: 2.1", f"Name: {project}", "Version: 1.0")
    said = {line.partition(":")[0] for line in lines}
    kept = [line for line in usual if line.partition(":")[0] not in said]
    return "".join(f"{line}\n" for line in [*kept, *lines] if not line.endswith(":")).encode()


def _top(project: str) -> str:
    return f"{project.replace('-', '_')}-1.0"
