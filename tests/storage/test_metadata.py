"""What a METADATA or PKG-INFO says, as we keep it; and that it belongs to its file."""

from email.parser import HeaderParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex_storage.errors import Refused
from simpleindex_storage.metadata import (
    LIST_FIELDS,
    SINGLE_FIELDS,
    parse_core_metadata,
    stated,
)
from simpleindex_storage.model import CoreMetadata

LEAST = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"


def parse(text: str) -> CoreMetadata:
    return parse_core_metadata(text.encode())


def fields_of(headers: str) -> dict[str, object]:
    """The fields that these headers add to the least that there must be."""
    least = {"metadata_version": "2.1", "name": "demo", "version": "1.0"}
    found = dict(parse(LEAST + headers).fields)
    assert {field: found.pop(field) for field in least} == least
    return dict(found)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Summary", "summary"),
        ("Home-page", "home_page"),
        ("Author", "author"),
        ("Author-email", "author_email"),
        ("Maintainer", "maintainer"),
        ("Maintainer-email", "maintainer_email"),
        ("License", "license"),
        ("Description", "description"),
        ("Keywords", "keywords"),
        ("Download-URL", "download_url"),
        ("Requires-Python", "requires_python"),
        ("Description-Content-Type", "description_content_type"),
        ("License-Expression", "license_expression"),
    ],
)
def test_a_header_that_has_one_value_becomes_a_text(header: str, field: str) -> None:
    assert field in SINGLE_FIELDS
    assert fields_of(f"{header}:  a value \n") == {field: "a value"}
    assert fields_of(f"{header.upper()}: a value\n") == {field: "a value"}
    assert fields_of(f"{header}: UNKNOWN\n") == fields_of(f"{header}:\n") == {}


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Platform", "platform"),
        ("Classifier", "classifiers"),
        ("Supported-Platform", "supported_platform"),
        ("Provides", "provides"),
        ("Requires", "requires"),
        ("Obsoletes", "obsoletes"),
        ("Project-URL", "project_urls"),
        ("Provides-Dist", "provides_dist"),
        ("Obsoletes-Dist", "obsoletes_dist"),
        ("Requires-Dist", "requires_dist"),
        ("Requires-External", "requires_external"),
        ("Provides-Extra", "provides_extras"),
        ("Dynamic", "dynamic"),
        ("License-File", "license_file"),
    ],
)
def test_a_header_that_may_be_repeated_becomes_several_texts(header: str, field: str) -> None:
    assert field in LIST_FIELDS
    assert fields_of(f"{header}: b\n{header}: UNKNOWN\n{header}:\n{header}: a, c\n") == {
        field: ("b", "a, c")
    }
    assert fields_of(f"{header}: UNKNOWN\n") == {}


@pytest.mark.parametrize("version", ["1.0", "1.2", "2.0", "2.1", "2.4", "2.5", "2.6", "2.99", "x"])
def test_all_fields_are_read_whatever_the_minor_metadata_version(version: str) -> None:
    metadata = parse(
        f"Metadata-Version: {version}\nName: demo\nVersion: 1.0\nClassifier: a\nRequires-Dist: b\n"
        "Provides-Extra: c\nLicense-Expression: MIT\nRequires-Python: >=3.8\n"
    )
    assert metadata.fields == {
        "metadata_version": version,
        "name": "demo",
        "version": "1.0",
        "classifiers": ("a",),
        "requires_dist": ("b",),
        "provides_extras": ("c",),
        "license_expression": "MIT",
        "requires_python": ">=3.8",
    }


@pytest.mark.parametrize("version", ["3", "3.0", "03.1", "10.0"])
def test_metadata_of_a_coming_major_version_is_refused(version: str) -> None:
    with pytest.raises(Refused, match=r"^core metadata: .* which this server does not know yet"):
        parse(f"Metadata-Version: {version}\nName: demo\nVersion: 1.0\n")


def test_the_raw_bytes_stay_as_they_are() -> None:
    raw = b"Metadata-Version: 2.1\r\nname: Demo \r\nVersion:1.0\n\r\n  text \xff\r"
    metadata = parse_core_metadata(raw)
    assert metadata.raw is raw
    assert (metadata.name, metadata.version) == ("Demo", "1.0")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
def test_the_description_is_the_body_with_its_lines(end: str) -> None:
    body = f"  Demo{end}===={end}{end}Name: not a header{end}"
    raw = (LEAST + "Summary: s\n\n").replace("\n", end) + body
    found = parse_core_metadata(raw.encode()).fields
    assert found["description"] == body
    assert (found["name"], found["summary"]) == ("demo", "s")


def test_a_description_among_the_headers_loses_its_indentation() -> None:
    headers = "Description: One\n        two\n          three\nKeywords: a\n        b\n"
    assert fields_of(headers) == {"description": "One\ntwo\n  three", "keywords": "a b"}


def test_a_content_type_among_the_headers_does_not_change_what_the_description_is() -> None:
    body = "--x\nContent-Type: text/plain\n\ninner\n--x--\n"
    headers = "Content-Type: multipart/mixed; boundary=x\n\n"
    assert fields_of(headers + body) == {"description": body}


def test_a_description_that_nests_messages_without_end_is_kept() -> None:
    body = "Content-Type: message/rfc822\n\n" * 5000
    assert fields_of("Content-Type: message/rfc822\n\n" + body) == {"description": body}


@pytest.mark.parametrize("body", ["", "\n\n", "UNKNOWN\n\n\n"])
def test_an_empty_description_is_none(body: str) -> None:
    assert fields_of("\n" + body) == {}


def test_old_metadata_in_latin_1_is_read() -> None:
    metadata = parse_core_metadata((LEAST + "Author: J\xfcrgen\n\n\xe9t\xe9\n").encode("latin-1"))
    assert metadata.fields["author"] == "J\xfcrgen"
    assert metadata.fields["description"] == "\xe9t\xe9\n"
    assert parse(LEAST + "Author: J\xfcrgen\n").fields["author"] == "J\xfcrgen"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("Requires-Python:  >=3.8, <4 \n", ">=3.8, <4"),
        ("Requires-Python: >=3.8,\n <4\n", ">=3.8, <4"),
        ("Requires-Python: UNKNOWN\n", None),
        ("Requires-Python:\n", None),
        ("", None),
        ("Requires-Python: nonsense\n", "nonsense"),
    ],
)
def test_requires_python_is_what_the_file_says(header: str, wanted: str | None) -> None:
    assert parse(LEAST + header).requires_python == wanted


@pytest.mark.parametrize(
    ("raw", "missing"),
    [
        (b"", "Name"),
        (b"Name: \nVersion: 1.0\n", "Name"),
        (b"Name: UNKNOWN\nVersion: 1.0\n", "Name"),
        (b"Name: demo\n", "Version"),
        (b"\nName: demo\nVersion: 1.0\n", "Name"),
        (b"\xef\xbb\xbfName: demo\nVersion: 1.0\n", "Name"),
        (b"Name: demo\nno header\nVersion: 1.0\n", "Version"),
        (b"\0" * 1000, "Name"),
    ],
)
def test_metadata_without_a_name_or_version_is_refused(raw: bytes, missing: str) -> None:
    with pytest.raises(Refused, match=rf"^a.whl: its metadata has no {missing};"):
        parse_core_metadata(raw, subject="a.whl")


def test_an_absurd_number_of_headers_is_refused() -> None:
    for end in "\n\r":
        with pytest.raises(Refused, match="more than 100000 lines of headers"):
            parse(f"a:{end}" * 100_001 + LEAST)


def test_no_nul_is_kept() -> None:
    assert fields_of("Summary: a\0b\n") == {"summary": "a\N{REPLACEMENT CHARACTER}b"}
    assert stated("description", "\0") == "\N{REPLACEMENT CHARACTER}"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [b"Name: demo", b"Version: 1.0", b"\n", b"\r\n", b"\r", b":", b" ", b"Description:"]
            ),
        ),
        max_size=12,
    )
)
def test_any_bytes_are_a_record_or_refused(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    try:
        metadata = parse_core_metadata(raw)
    except Refused as refused:
        assert str(refused).isprintable()
    else:
        assert metadata.raw == raw
        assert metadata.name == metadata.fields["name"]


@pytest.mark.parametrize(
    "headers",
    [
        "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        "Metadata-Version:2.1\nName: demo\nVersion: 1.0\n",
        "Name: demo\nMetadata-Version: 2.1\nVersion: 1.0\n",
        "metadata-version: 2.1\nMetadata-Version: 1.0\nName: demo\nVersion: 1.0\n",
        "Metadata-Version: 2.1\r\nName: demo\r\nVersion: 1.0\r\n",
        "Metadata-Version: \n 2.1\nName: demo\nVersion: 1.0\n",
        "Metadata-Version: 2.1\nMetadata-Version: 1.0\nName: demo\nVersion: 1.0\n",
    ],
)
def test_the_first_metadata_version_counts_however_it_is_written(headers: str) -> None:
    assert parse_core_metadata(headers.encode()).fields["metadata_version"] == "2.1"


def test_a_version_that_goes_on_in_the_next_line_is_read_whole() -> None:
    raw = b"Metadata-Version: 2.1\n .5\nName: demo\nVersion: 1.0\n"
    whole = HeaderParser().parsestr(raw.decode())["Metadata-Version"]
    assert parse_core_metadata(raw).fields["metadata_version"] == whole
