"""Core metadata beside the files: announced only where it is, and byte for byte."""

import hashlib
from collections.abc import Callable
from urllib.parse import urljoin

import pytest

from tests.builders import (
    BuiltFile,
    a_wheel,
    a_zip,
    an_sdist,
    core_metadata,
    record,
    wheel_members,
)
from tests.conformance.checklist import covers
from tests.conformance.conftest import Shelf
from tests.conformance.pages import ShownFile
from tests.conformance.site import Site, fetched
from tests.conformance.talking import FORMS, HTML, V1_JSON, ask
from tests.conformance.test_base import followed

BOTH = pytest.mark.parametrize("form", [HTML, V1_JSON])


def metadata_of(file: ShownFile) -> bytes:
    """What lies beside a file."""
    return fetched(f"{file.url}.metadata")


def with_another_metadata_first(project: str) -> BuiltFile:
    """A wheel that brings other packages along, with theirs ahead of its own."""
    dist_info = f"{project.replace('-', '_')}-1.0.dist-info"
    vendored = f"{project.replace('-', '_')}/_vendor/other-9.0.dist-info/METADATA"
    members = {vendored: core_metadata("other", "9.0")}
    members |= wheel_members(project, "1.0", metadata=core_metadata(project))
    members[f"{dist_info}/RECORD"] = record(members, dist_info)
    return BuiltFile(a_wheel(project).filename, a_zip(members))


@covers(34)
@BOTH
def test_announced_metadata_is_at_the_url_of_the_file_plus_metadata(
    site: Site, shelf: Shelf, form: str
) -> None:
    """Simple repository API, Project Detail; PEP 658: before query and fragment."""
    file = site.files(shelf.project, form)[shelf.wheel.filename]
    assert file.core_metadata is not None
    assert metadata_of(file).startswith(b"Metadata-Version: ")


@covers(35)
@pytest.mark.parametrize(
    "end", ["", "\n", "\r\n", "\n\n\n", "\n\nbody é \t\r\n\n", "\nSummary:   two  blanks  \n"]
)
def test_metadata_is_served_byte_for_byte(site: Site, end: str) -> None:
    """PEP 658: the contents of the METADATA file, which pip 26.2 compares with the wheel's."""
    project = site.a_name("bytes")
    raw = core_metadata(project).rstrip() + end.encode()
    built = a_wheel(project, metadata=raw)
    site.store(built)
    assert metadata_of(site.file(project, built)) == raw


@covers(36)
def test_html_announces_metadata_under_its_name_and_maybe_under_the_old_one(
    site: Site, shelf: Shelf
) -> None:
    """PEP 714, Specification: the same value for both; pip 22.3 to 23.1 know the old one alone."""
    for anchor in site.html(shelf.project).anchors:
        said = anchor.attributes
        if "data-dist-info-metadata" in said:
            assert said["data-core-metadata"] == said["data-dist-info-metadata"]
        if anchor.text.endswith(".whl"):
            assert said["data-core-metadata"]


@covers(36)
def test_json_announces_metadata_under_its_name_alone(site: Site, shelf: Shelf) -> None:
    """PEP 714, Specification: pip 22.3 to 23.1 fail on a dictionary under the old name."""
    for file in site.json(shelf.project)["files"]:
        assert "dist-info-metadata" not in file
        assert "data-dist-info-metadata" not in file
        if file["filename"].endswith(".whl"):
            assert file["core-metadata"]


@covers(37)
@BOTH
def test_the_digest_of_metadata_is_told_and_right(site: Site, shelf: Shelf, form: str) -> None:
    """Simple repository API, Project Detail; PEP 658: a hash rather than `true`."""
    file = site.files(shelf.project, form)[shelf.wheel.filename]
    digest = hashlib.sha256(metadata_of(file)).hexdigest()
    assert file.core_metadata == {"sha256": digest}


@covers(38)
@BOTH
def test_metadata_is_there_wherever_it_is_announced(site: Site, shelf: Shelf, form: str) -> None:
    """Simple repository API, Project Detail; pip and uv stop where it is announced and missing."""
    announced = [file for file in site.files(shelf.project, form).values() if file.core_metadata]
    assert len(announced) > 1
    for file in announced:
        for method in ("GET", "HEAD"):
            assert ask(method, f"{file.url}.metadata").status == 200


@covers(38)
def test_metadata_that_is_said_to_be_missing_is(site: Site, shelf: Shelf) -> None:
    """PEP 714, Specification; Simple repository API, Project Detail: false is a promise too."""
    url = site.page_url(shelf.project)
    for file in site.json(shelf.project)["files"]:
        if file.get("core-metadata") is False:
            assert ask("GET", urljoin(url, f"{file['url']}.metadata")).status == 404
        else:
            assert file.get("core-metadata") not in ("", {}, "false")


@covers(39)
def test_metadata_is_that_of_the_wheel_and_not_of_what_it_brings_along(site: Site) -> None:
    """Binary distribution format, The .dist-info directory; PEP 658."""
    project = site.a_name("vendor")
    built = with_another_metadata_first(project)
    site.store(built)
    assert metadata_of(site.file(project, built)) == core_metadata(project)


def fixed(project: str) -> bytes:
    """Metadata that a build does not change: 2.2, and nothing is dynamic."""
    return core_metadata(project).replace(b"2.1", b"2.2", 1)


def dynamic(project: str) -> bytes:
    """Metadata whose requirements come with the build."""
    return fixed(project) + b"Dynamic: Requires-Dist\n"


@covers(39)
@pytest.mark.parametrize("write", [core_metadata, dynamic], ids=["before 2.2", "dynamic"])
def test_metadata_of_an_sdist_that_a_build_may_change_is_not_announced(
    site: Site, write: Callable[[str], bytes]
) -> None:
    """PEP 643: only from 2.2 on, and not for what is dynamic, does an sdist speak for its wheel."""
    project = site.a_name("source")
    built = an_sdist(project, metadata=write(project))
    site.store(built)
    assert site.file(project, built).core_metadata is None


@covers(39)
def test_metadata_of_an_sdist_is_that_of_its_pkg_info_if_it_is_announced(site: Site) -> None:
    """PEP 643; PEP 658: it may be announced where nothing that matters is dynamic."""
    project = site.a_name("source")
    built = an_sdist(project, metadata=fixed(project))
    site.store(built)
    file = site.file(project, built)
    reply = ask("GET", f"{file.url}.metadata")
    if file.core_metadata is not None or reply.status != 404:
        assert (reply.status, reply.body) == (200, fixed(project))


@covers(40)
def test_metadata_is_served_as_files_are(shown_wheel: ShownFile) -> None:
    """RFC 9110, 8.8.3, 9.3.2 and 13.1.2; RFC 9111, 5.2.2."""
    url = f"{shown_wheel.url}.metadata"
    got, asked = ask("GET", url), ask("HEAD", url)
    assert got.header("content-length") == str(len(got.body))
    assert asked.header("content-length") == got.header("content-length")
    assert asked.body == b""
    assert {"immutable", "max-age=31536000"} <= got.words("cache-control")
    tag = got.header("etag") or ""
    assert tag.startswith('"')
    assert ask("GET", url, {"if-none-match": tag}).status == 304


@covers(40)
@pytest.mark.parametrize("accepted", ["identity", "gzip, deflate", "gzip, deflate, zstd"])
def test_metadata_comes_in_an_encoding_that_was_accepted(
    shown_wheel: ShownFile, accepted: str
) -> None:
    """RFC 9110, 12.5.3: pip accepts identity, uv zstd and others."""
    reply = ask("GET", f"{shown_wheel.url}.metadata", {"accept-encoding": accepted})
    assert reply.status == 200
    coding = reply.header("content-encoding")
    assert coding is None or coding in accepted.split(", ")
    if coding is None:
        digest = hashlib.sha256(reply.body).hexdigest()
        assert shown_wheel.core_metadata == {"sha256": digest}


@covers(41)
def test_metadata_of_anything_else_is_not_there(
    site: Site, shelf: Shelf, shown_wheel: ShownFile
) -> None:
    """PEP 658: only what is announced is served."""
    for url in (
        f"{shown_wheel.url}.metadata.metadata",
        f"{shown_wheel.url}.metadata.json",
        shown_wheel.url.replace("-1.0-", "-1.9999-") + ".metadata",
        f"{site.page_url(shelf.project)[:-1]}.metadata",
        f"{site.page_url(shelf.project)}.metadata",
    ):
        for form in FORMS:
            _, reply = followed(url, form)
            assert reply.status == 404
