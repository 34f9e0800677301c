"""What is not taken: a 4xx with a reason, nothing stored, and no empty project left."""

from collections.abc import Callable, Mapping

import pytest

from tests.builders import (
    BuiltFile,
    a_multipart_body,
    a_wheel,
    an_sdist,
    an_upload_body,
    core_metadata,
    upload_fields,
)
from tests.conformance.checklist import covers
from tests.conformance.forms import a_form_of, least_fields
from tests.conformance.samples import (
    BOMBS,
    BROKEN,
    LEGACY,
    OUTSIDE,
    Fault,
    a_wheel_that_says,
    a_wheel_with,
    an_sdist_that_says,
    dist_info_of,
)
from tests.conformance.site import Site, assert_nothing_of, assert_refused, fetched
from tests.conformance.talking import HTML, V1_JSON, ask, exchange, head_of

ODD_FIELDS: Mapping[str, Mapping[str, str | None]] = {
    "wrong sha256": {"sha256_digest": "0" * 64},
    "wrong md5": {"md5_digest": "0" * 32},
    "wrong blake2": {"blake2_256_digest": "0" * 64},
    "a digest that is none": {"sha256_digest": "sha256"},
    "unknown action": {":action": "file_uploaded"},
    "no action": {":action": None},
    "unknown protocol": {"protocol_version": "2"},
    "unknown filetype": {"filetype": "bdist_spam"},
    "filetype of an sdist": {"filetype": "sdist"},
    "filetype of an installer": {"filetype": "bdist_wininst"},
    "no name": {"name": None},
    "no version": {"version": None},
    "a version that is none": {"version": "one"},
    "another name": {"name": "another-{}"},
    "another version": {"version": "9.9"},
}

ODD_NAMES = {
    "a control character": "{}-1.0-py3-none-any.whl\x07",
    "a folder": "x/{}-1.0-py3-none-any.whl",
    "a folder above": "../{}-1.0-py3-none-any.whl",
    "an absolute path": "/tmp/{}-1.0-py3-none-any.whl",
    "a backslash": "..\\{}-1.0-py3-none-any.whl",
    "a drive": "C:{}-1.0-py3-none-any.whl",
    "a leading dot": ".{}-1.0-py3-none-any.whl",
    "a leading hyphen": "-{}-1.0-py3-none-any.whl",
    "a trailing dot": "{}-1.0-py3-none-any.whl.",
    "a trailing blank": "{}-1.0-py3-none-any.whl ",
    "a blank": "{} -1.0-py3-none-any.whl",
    "too long": "{}" + "x" * 220 + "-1.0-py3-none-any.whl",
    "no ascii": "{}é-1.0-py3-none-any.whl",
    "a device of windows": "con.whl",
    "another device": "nul-1.0.tar.gz",
    "no name": "",
    "an exe": "{}-1.0.exe",
    "an rpm": "{}-1.0.rpm",
    "a tar.bz2": "{}-1.0.tar.bz2",
    "another case": "{}-1.0-py3-none-any.WHL",
    "metadata": "{}-1.0-py3-none-any.whl.metadata",
    "a signature": "{}-1.0-py3-none-any.whl.asc",
}

ODD_WHEEL_NAMES = {
    "three parts": "{}-1.0-any.whl",
    "four parts": "{}-1.0-none-any.whl",
    "seven parts": "{}-1.0-1-py3-none-any-x.whl",
    "a build without a digit": "{}-1.0-x1-py3-none-any.whl",
    "a version that is none": "{}-one-py3-none-any.whl",
    "no version": "{}--py3-none-any.whl",
    "an empty tag": "{}-1.0-py3--any.whl",
    "no name": "-1.0-py3-none-any.whl",
    "two underscores": "{}__x-1.0-py3-none-any.whl",
}

ODD_SDIST_NAMES = {
    "no version": "{}.tar.gz",
    "a version that is none": "{}-one.tar.gz",
    "no name": "-1.0.tar.gz",
    "no extension": "{}-1.0",
    "a tgz": "{}-1.0.tgz",
    "nothing else": ".tar.gz",
}


def faults(samples: tuple[Fault, ...]) -> pytest.MarkDecorator:
    """A test for each of the samples."""
    ids = [fault.__name__.replace("_", " ") for fault in samples]
    return pytest.mark.parametrize("fault", samples, ids=ids)


def named(project: str, pattern: str) -> str:
    """A file name with the project's in it."""
    return pattern.format(project.replace("-", "_"))


def assert_not_taken(site: Site, project: str, built: BuiltFile) -> None:
    """The file is refused whatever the form says, and nothing is left of it."""
    filetype = "bdist_wheel" if built.filename.lower().endswith(".whl") else "sdist"
    for fields in (least_fields(project), [*least_fields(project), ("filetype", filetype)]):
        assert_refused(site.post(a_form_of(fields, built)))
    assert_nothing_of(site, project)


# The form


@covers(95)
@pytest.mark.parametrize("changed", ODD_FIELDS.values(), ids=ODD_FIELDS)
def test_a_form_that_contradicts_its_file_or_says_nothing_known_is_refused(
    site: Site, changed: Mapping[str, str | None]
) -> None:
    """Legacy upload API."""
    project = site.a_name("refused")
    told = {field: value and value.format(project) for field, value in changed.items()}
    assert_refused(site.upload(a_wheel(project), **told))
    for name in (project, f"another-{project}"):
        assert_nothing_of(site, name)


@covers(95)
def test_a_form_without_a_file_or_with_an_empty_one_is_refused(site: Site) -> None:
    """Legacy upload API: `content` is the file."""
    project = site.a_name("refused")
    built = a_wheel(project)
    empty = BuiltFile(built.filename, b"")
    for body in (
        a_multipart_body(upload_fields(built)),
        a_multipart_body(upload_fields(built), ("file", built.filename, built.content)),
        an_upload_body(empty),
        a_form_of(least_fields(project), empty),
    ):
        assert_refused(site.post(body))
    assert_nothing_of(site, project)


@covers(95)
@pytest.mark.parametrize(
    "body",
    [
        ("application/json", b"{}"), ("text/plain", b"x"), ("", b""),
        ("multipart/form-data", b"--x--\r\n"), ("multipart/form-data; boundary=x", b"--x"),
        ("multipart/form-data; boundary=x", b""), ("application/x-www-form-urlencoded", b"a=b"),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x--\r\n"),
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_form_is_refused(site: Site, body: tuple[str, bytes]) -> None:
    """RFC 7578, 4; RFC 2046, 5.1."""
    assert_refused(site.post(body))


@covers(79, 95)
def test_a_form_that_is_cut_off_is_refused_wherever_that_is(site: Site) -> None:
    """RFC 2046, 5.1.1: the last boundary ends with two hyphens."""
    project = site.a_name("refused")
    content_type, body = an_upload_body(a_wheel(project))
    for length in (0, 10, 300, len(body) // 2, len(body) - 6):
        assert_refused(site.post((content_type, body[:length])))
    assert_nothing_of(site, project)


# File names


@covers(96, 122)
@pytest.mark.parametrize("pattern", ODD_NAMES.values(), ids=ODD_NAMES)
def test_a_file_name_that_some_disk_or_path_cannot_bear_is_refused(
    site: Site, pattern: str
) -> None:
    """Binary distribution format, File name convention; Windows: Naming files."""
    project = site.a_name("refused")
    assert_not_taken(site, project, BuiltFile(named(project, pattern), a_wheel(project).content))


@covers(97)
@pytest.mark.parametrize("pattern", ODD_WHEEL_NAMES.values(), ids=ODD_WHEEL_NAMES)
def test_a_wheel_name_that_is_none_is_refused(site: Site, pattern: str) -> None:
    """Binary distribution format, File name convention."""
    project = site.a_name("refused")
    assert_not_taken(site, project, BuiltFile(named(project, pattern), a_wheel(project).content))


@covers(97)
@pytest.mark.parametrize(
    ("version", "tag"),
    [
        ("1.0", "py2.py3-none-any"),
        ("1.0", "1-py3-none-any"),
        ("1.0", "2build3-py3-none-any"),
        ("1.0+vendor.1", "py3-none-any"),
        ("1!1.0", "py3-none-any"),
        ("1.0rc1.post2.dev3", "py3-none-any"),
        ("1.0", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("1.0", "cp311-abi3-macosx_11_0_universal2"),
    ],
)
def test_a_wheel_name_with_all_that_may_be_in_it_is_taken(
    site: Site, version: str, tag: str
) -> None:
    """Binary distribution format, File name convention; Platform compatibility tags."""
    project = site.a_name("tags")
    built = a_wheel(project, version, tag=tag)
    site.store(built)
    assert fetched(site.file(project, built).url) == built.content


@covers(97)
@pytest.mark.parametrize("pattern", ["{}", "{}.x", "{}_X"])
def test_a_wheel_name_in_an_old_spelling_is_served_if_it_is_taken(site: Site, pattern: str) -> None:
    """Binary distribution format, Escaping and Unicode: consumers must know old spellings."""
    project = f"{site.a_name('Old')}-x"
    name = pattern.format(project.removesuffix("-x").title().replace("-", "_"))
    project = name.lower().replace("_", "-").replace(".", "-")
    built = BuiltFile(f"{name}-1.0-py3-none-any.whl", a_wheel(project).content)
    reply = site.post(a_form_of(least_fields(project), built))
    if reply.status == 200:
        assert fetched(site.file(project, built).url) == built.content
    else:
        assert_refused(reply)
        assert_nothing_of(site, project)


@covers(98)
@pytest.mark.parametrize("pattern", ODD_SDIST_NAMES.values(), ids=ODD_SDIST_NAMES)
def test_an_sdist_name_that_is_none_is_refused(site: Site, pattern: str) -> None:
    """Source distribution format, Source distribution file name; PEP 625."""
    project = site.a_name("refused")
    assert_not_taken(site, project, BuiltFile(named(project, pattern), an_sdist(project).content))


@covers(95, 98)
@faults(LEGACY)
def test_what_old_tools_wrote_is_refused_by_default(site: Site, fault: Fault) -> None:
    """PEP 527; PEP 625; Binary distribution format, The .dist-info directory, RECORD."""
    project = site.a_name("refused")
    assert_not_taken(site, project, fault(project))


@covers(95, 98)
@faults(LEGACY)
def test_what_old_tools_wrote_is_taken_by_an_index_for_it(lenient: Site, fault: Fault) -> None:
    """PEP 625, Backwards compatibility: old Pythons have nothing else."""
    project = lenient.a_name("legacy")
    built = fault(project)
    assert lenient.post(a_form_of(least_fields(project), built)).status == 200
    for form in (HTML, V1_JSON):
        assert fetched(lenient.files(project, form)[built.filename].url) == built.content


@covers(95, 98)
def test_an_sdist_in_a_zip_is_served_if_it_is_taken(site: Site) -> None:
    """PEP 625: .tar.gz for new ones; PEP 527: old releases have nothing else."""
    project = site.a_name("zip")
    built = an_sdist(project, format=".zip")
    reply = site.upload(built)
    if reply.status == 200:
        assert fetched(site.file(project, built).url) == built.content
    else:
        assert_refused(reply)
        assert_nothing_of(site, project)


@covers(99, 122)
def test_a_name_that_differs_from_a_stored_one_in_spelling_alone_is_refused(site: Site) -> None:
    """Names and normalization: one distribution; some disks know no other case."""
    project = site.a_name("same")
    built = a_wheel(project)
    site.store(built)
    other = a_wheel(project, extra_files={f"{project.replace('-', '_')}/x.py": b"x"})
    for name in (
        built.filename.title().replace("Py3-None-Any.Whl", "py3-none-any.whl"),
        built.filename.replace("_", ".", 1),
        built.filename.replace("-1.0-", "-v1.0-"),
    ):
        assert name != built.filename
        reply = site.post(a_form_of(least_fields(project), BuiltFile(name, other.content)))
        assert_refused(reply)
    assert set(site.files(project)) == {built.filename}


# What lies in the file


@covers(100)
@pytest.mark.parametrize(
    "lines", [("Name: another",), ("Version: 9.9",), ("Name: another", "Version: 9.9")]
)
@pytest.mark.parametrize("build", [a_wheel_that_says, an_sdist_that_says])
def test_a_file_whose_metadata_names_another_release_is_refused(
    site: Site, build: Callable[..., BuiltFile], lines: tuple[str, ...]
) -> None:
    """Core metadata, Name and Version; Binary distribution format, The .dist-info directory."""
    project = site.a_name("refused")
    assert_not_taken(site, project, build(project, *lines))


@covers(100)
def test_a_file_under_the_name_of_another_release_is_refused(site: Site) -> None:
    """Binary distribution format, File name convention."""
    project = site.a_name("refused")
    renamed = BuiltFile(a_wheel(project, "2.0").filename, a_wheel(project, "1.0").content)
    for version in ("1.0", "2.0"):
        assert_refused(site.post(a_form_of(least_fields(project, version), renamed)))
    assert_nothing_of(site, project)


@covers(101)
@faults(BROKEN)
def test_an_archive_that_is_not_what_it_should_be_is_refused(site: Site, fault: Fault) -> None:
    """Binary distribution format, File contents; Source distribution format."""
    project = site.a_name("refused")
    assert_not_taken(site, project, fault(project))


@covers(102)
@faults(BOMBS)
def test_an_archive_that_fills_disks_or_memory_is_refused(site: Site, fault: Fault) -> None:
    """Legacy upload API: at PyPI, more than 64 MiB and fifty times what was sent."""
    project = site.a_name("refused")
    assert_refused(site.post(a_form_of(least_fields(project), fault(project))))
    assert_nothing_of(site, project)


@covers(103)
@faults(OUTSIDE)
def test_an_archive_with_members_outside_of_it_is_refused(site: Site, fault: Fault) -> None:
    """Source distribution format, Source distribution archive features; PEP 721."""
    project = site.a_name("refused")
    assert_not_taken(site, project, fault(project))


ODD_METADATA = {
    "no name": ("Name:",),
    "no version": ("Version:",),
    "a greater major version": ("Metadata-Version: 3.0",),
    "an odd version": ("Version: one",),
    "an odd name": ("Name: x y",),
}


@covers(104)
@pytest.mark.parametrize("lines", ODD_METADATA.values(), ids=ODD_METADATA)
@pytest.mark.parametrize("build", [a_wheel_that_says, an_sdist_that_says])
def test_metadata_without_what_it_must_say_is_refused(
    site: Site, build: Callable[..., BuiltFile], lines: tuple[str, ...]
) -> None:
    """Core metadata, Metadata-Version, Name and Version: fail on a greater major version."""
    project = site.a_name("refused")
    assert_not_taken(site, project, build(project, *lines))


@covers(104)
@pytest.mark.parametrize("line", ["Metadata-Version:", "Metadata-Version: one"])
def test_metadata_that_does_not_tell_its_version_is_refused(site: Site, line: str) -> None:
    """Core metadata, Metadata-Version: required."""
    project = site.a_name("refused")
    assert_not_taken(site, project, a_wheel_that_says(project, line))


@covers(104)
def test_metadata_that_is_not_utf8_is_refused(site: Site) -> None:
    """Core metadata: UTF-8."""
    project = site.a_name("refused")
    raw = core_metadata(project) + "Author: Zoë\n".encode("latin-1")
    assert_not_taken(site, project, a_wheel(project, metadata=raw))


@covers(104)
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"])
def test_metadata_of_every_version_that_there_is_is_taken(site: Site, version: str) -> None:
    """Core metadata, Metadata-Version."""
    project = site.a_name("metadata")
    site.store(a_wheel_that_says(project, f"Metadata-Version: {version}"))
    assert site.get(project).status == 200


@covers(104)
def test_metadata_of_a_later_minor_version_is_taken(site: Site) -> None:
    """Core metadata, Metadata-Version: a greater minor version SHOULD only be warned of."""
    project = site.a_name("metadata")
    site.store(a_wheel_that_says(project, "Metadata-Version: 2.99"))
    assert site.get(project).status == 200


ODD_SPECIFIERS = {
    "requires-python": ("Requires-Python: three",),
    "another": ("Requires-Python: >=3.x,",),
    "requires-dist": ("Requires-Dist: one two",),
    "a version that is none": ("Requires-Dist: one (>=x)",),
    "a marker that is none": ("Requires-Dist: one; python",),
}


@covers(105)
@pytest.mark.parametrize("lines", ODD_SPECIFIERS.values(), ids=ODD_SPECIFIERS)
def test_requirements_that_nobody_can_read_are_refused(site: Site, lines: tuple[str, ...]) -> None:
    """Version specifiers; Dependency specifiers; Core metadata, Requires-Dist."""
    project = site.a_name("refused")
    assert_not_taken(site, project, a_wheel_that_says(project, *lines))


@covers(105)
@pytest.mark.parametrize("make", [a_wheel, an_sdist])
def test_local_versions_are_taken(site: Site, make: Callable[..., BuiltFile]) -> None:
    """Version specifiers, Local version identifiers: vendors mark their builds with them."""
    project = site.a_name("local")
    built = make(project, "1.0+ubuntu.2")
    site.store(built)
    assert fetched(site.file(project, built).url) == built.content


@covers(105)
def test_a_requirement_with_a_url_is_taken_or_refused_with_a_reason(site: Site) -> None:
    """Version specifiers, Direct references: a public index refuses them."""
    project = site.a_name("direct")
    line = "Requires-Dist: other @ https://packages.example/other-1.0-py3-none-any.whl"
    reply = site.upload(a_wheel_that_says(project, line))
    if reply.status == 200:
        assert site.get(project).status == 200
    else:
        assert_refused(reply)
        assert_nothing_of(site, project)


ODD_LICENSES = {
    "no expression": ("License-Expression: anything goes",),
    "an unknown identifier": ("License-Expression: MITT",),
    "both fields": ("License-Expression: MIT", "License: MIT"),
    "a file that is missing": ("License-Expression: MIT", "License-File: LICENSE"),
}


@covers(106)
@pytest.mark.parametrize("lines", ODD_LICENSES.values(), ids=ODD_LICENSES)
def test_a_license_that_the_standard_does_not_know_is_refused(
    site: Site, lines: tuple[str, ...]
) -> None:
    """PEP 639; Core metadata, License-Expression and License-File."""
    project = site.a_name("refused")
    assert_not_taken(site, project, a_wheel_that_says(project, "Metadata-Version: 2.4", *lines))


@covers(106)
def test_a_license_with_its_file_is_taken(site: Site) -> None:
    """PEP 639; Binary distribution format, The .dist-info directory: below `licenses/`."""
    project = site.a_name("license")
    lines = ("Metadata-Version: 2.4", "License-Expression: MIT OR Apache-2.0", "License-File: L/X")
    said = a_wheel_that_says(project, *lines)
    metadata = "".join(f"{line}\n" for line in (*lines, f"Name: {project}", "Version: 1.0"))
    dist_info = dist_info_of(project)
    files = {f"{dist_info}/METADATA": metadata.encode(), f"{dist_info}/licenses/L/X": b"MIT"}
    built = a_wheel_with(project, files)
    assert built.filename == said.filename
    site.store(built)
    assert site.get(project).status == 200


@covers(107)
@pytest.mark.parametrize(
    ("lines", "tag"),
    [
        (("Classifier: Private :: Do Not Upload",), "py3-none-any"),
        (("Classifier: no :: such :: thing",), "py3-none-any"),
        (("Description-Content-Type: text/x-rst", "Description: .. broken:: ::"), "py3-none-any"),
        ((), "cp311-cp311-linux_x86_64"),
    ],
)
def test_what_only_a_public_index_minds_is_taken(
    site: Site, lines: tuple[str, ...], tag: str
) -> None:
    """Legacy upload API: rules that PyPI has for everybody's sake."""
    project = site.a_name("private")
    metadata = core_metadata(project) + "".join(f"{line}\n" for line in lines).encode()
    site.store(a_wheel(project, metadata=metadata, tag=tag))
    assert site.get(project).status == 200


@covers(108)
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_connection_that_breaks_leaves_nothing(site: Site, part: float) -> None:
    """RFC 9112, 8: an incomplete request is none."""
    project = site.a_name("broken")
    content_type, body = an_upload_body(a_wheel(project))
    head = head_of(
        "POST", site.upload_url, f"Content-Type: {content_type}", f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in site.authorized().items()),
    )  # fmt: skip
    received = exchange(site.upload_url, head + body[: int(len(body) * part)], ended=True)
    assert b" 200 " not in received.partition(b"\r\n")[0]
    assert_nothing_of(site, project)
    assert ask("GET", site.base_url).status == 200
    site.store(a_wheel(project))
