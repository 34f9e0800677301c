"""Upload forms as each tool sends them, and what is wrong with forms."""

import base64
import hashlib
import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex.wire import multipart, upload_form
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Upload
from simpleindex_storage.names import IndexName
from tests.builders import BuiltFile, FormFields, a_wheel, an_sdist, an_upload_body, upload_fields

INDEX = IndexName("root/local")
WHEEL = a_wheel(requires_python=">=3.8")
SDIST = an_sdist()
MD5 = hashlib.md5(WHEEL.content).hexdigest()
BLAKE2 = hashlib.blake2b(WHEEL.content, digest_size=32).hexdigest()
PROMISED = {"sha256": WHEEL.sha256, "md5": MD5, "blake2b_256": BLAKE2}


def parse(fields: Iterable[tuple[str, str]], filename: str = WHEEL.filename) -> Upload:
    return upload_form.parse(fields, filename, index=INDEX, sender="alice")


def parse_changed(**changed: str | list[str] | None) -> Upload:
    return parse(upload_fields(WHEEL, **changed))


def refusal(fields: FormFields, filename: str = WHEEL.filename) -> str:
    with pytest.raises(Refused) as refused:
        parse(fields, filename)
    line = str(refused.value)
    assert line.startswith("upload of '")
    assert line.isprintable()
    return line


def receive(content_type: str, body: bytes) -> tuple[Upload, bytes]:
    """What a server makes of a body: the upload, and the bytes of the file."""
    parser = multipart.MultipartParser(content_type)
    fields, filename, content = [], "", b""
    for at in range(0, len(body), 100):
        for event in parser.feed(body[at : at + 100]):
            match event:
                case multipart.Field(name, value):
                    fields.append((name, value))
                case multipart.FileStart(_, filename):
                    pass
                case multipart.FileChunk(data):
                    content += data
    parser.finish()
    return parse(fields, filename), content


# Tools, as recorded. Each body is written as its tool writes it.


def as_requests(fields: FormFields, *, file_headers: str = "") -> tuple[str, bytes]:
    """requests and its toolbelt: devpi-client, twine, flit."""
    boundary = "3bbb5b8f2b3923c5f5d6c096f1b034e7"
    return f"multipart/form-data; boundary={boundary}", encode(fields, boundary, file_headers)


def encode(fields: FormFields, boundary: str, file_headers: str = "") -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="content"; '
    head += f'filename="{WHEEL.filename}"\r\n{file_headers}\r\n'
    return b"".join([*parts, head.encode(), WHEEL.content, f"\r\n--{boundary}--\r\n".encode()])


def as_setup_py(fields: FormFields, file_at: int) -> tuple[str, bytes]:
    """distutils: each boundary brings its own CRLF, and the file stands amid the fields."""
    boundary = "--------------GHSKFJDLGDS7543FJKLFHRE75642756743254"
    separator = f"\r\n--{boundary}".encode()
    parts = [
        f'\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields
    ]
    head = f'\r\nContent-Disposition: form-data; name="content"; filename="{WHEEL.filename}"'
    parts.insert(file_at, f"{head}\r\n\r\n".encode() + WHEEL.content)
    body = b"".join(separator + part for part in parts) + separator + b"--\r\n"
    return f"multipart/form-data; boundary={boundary}", body


def test_devpi_client_sends_pkginfos_names_and_no_digest() -> None:
    content_type, body = as_requests(
        [
            ("metadata_version", "2.1"),
            ("name", "demo"),
            ("version", "1.0"),
            ("platforms", "any"),
            ("platforms", "linux"),
            ("supported_platforms", "x86"),
            ("summary", "A demo"),
            ("description", "# Demo\n\nText\n"),
            ("author_email", "A <a@example.com>"),
            ("classifiers", "Topic :: A"),
            ("classifiers", "Topic :: B"),
            ("requires_dist", 'b>=1; extra == "x"'),
            ("project_urls", "Home, http://demo.example/"),
            ("requires_python", ">=3.8"),
            ("provides_extras", "x"),
            ("description_content_type", "text/markdown"),
            ("dynamic", "license-file"),
            ("license_file", "LICENSE"),
            ("license_file", "NOTICE"),
            ("pyversion", "py3"),
            ("filetype", "bdist_wheel"),
            (":action", "file_upload"),
            ("protocol_version", "1"),
        ]
    )
    upload, content = receive(content_type, body)
    assert content == WHEEL.content
    assert upload == Upload(
        index=INDEX,
        filename=WHEEL.filename,
        sender="alice",
        name="demo",
        version="1.0",
        promised={},
        fields={
            "metadata_version": "2.1",
            "name": "demo",
            "version": "1.0",
            "platform": ("any", "linux"),
            "supported_platform": ("x86",),
            "summary": "A demo",
            "description": "# Demo\n\nText\n",
            "author_email": "A <a@example.com>",
            "classifiers": ("Topic :: A", "Topic :: B"),
            "requires_dist": ('b>=1; extra == "x"',),
            "project_urls": ("Home, http://demo.example/",),
            "requires_python": ">=3.8",
            "provides_extras": ("x",),
            "description_content_type": "text/markdown",
            "dynamic": ("license-file",),
            "license_file": ("LICENSE", "NOTICE"),
        },
    )


def test_twine_sends_fields_in_any_order_and_no_md5() -> None:
    content_type, body = as_requests(
        [
            ("version", "1.0"),
            ("requires_dist", "b (>=1)"),
            ("provides_extra", "x"),
            ("keywords", "a, b"),
            ("metadata_version", "2.1"),
            ("name", "demo"),
            ("pyversion", "py3"),
            ("filetype", "bdist_wheel"),
            ("sha256_digest", WHEEL.sha256),
            ("blake2_256_digest", BLAKE2),
            (":action", "file_upload"),
            ("protocol_version", "1"),
        ],
        file_headers="Content-Type: application/octet-stream\r\n",
    )
    upload, content = receive(content_type, body)
    assert content == WHEEL.content
    assert upload.promised == {"sha256": WHEEL.sha256, "blake2b_256": BLAKE2}
    assert upload.fields == {
        "version": "1.0",
        "requires_dist": ("b (>=1)",),
        "provides_extras": ("x",),
        "keywords": "a, b",
        "metadata_version": "2.1",
        "name": "demo",
    }


def test_uv_sends_its_control_fields_first_and_a_long_boundary() -> None:
    boundary = "9f9a8aa85ffed6a4-8df3503c7a39e021-f37e813d02e783c2-019949a33d8ad06f"
    fields = [
        (":action", "file_upload"),
        ("sha256_digest", WHEEL.sha256),
        ("blake2_256_digest", BLAKE2),
        ("protocol_version", "1"),
        ("metadata_version", "2.1"),
        ("name", "demo"),
        ("version", "1.0"),
        ("filetype", "bdist_wheel"),
        ("pyversion", "py3"),
        ("requires_python", ""),
        ("import_names", "demo"),
        ("requires_dist", "b (>=1)"),
    ]
    upload, content = receive(f"multipart/form-data; boundary={boundary}", encode(fields, boundary))
    assert content == WHEEL.content
    assert upload.promised == {"sha256": WHEEL.sha256, "blake2b_256": BLAKE2}
    assert upload.fields.keys() == {"metadata_version", "name", "version", "requires_dist"}


def test_flit_sends_md5_and_sha256() -> None:
    content_type, body = as_requests(
        [
            (":action", "file_upload"),
            ("name", "demo"),
            ("version", "1.0"),
            ("metadata_version", "2.3"),
            ("summary", "A demo"),
            ("keywords", "a,b"),
            ("provides", "demo"),
            ("provides_extra", "more"),
            ("protocol_version", "1"),
            ("filetype", "bdist_wheel"),
            ("pyversion", "py3"),
            ("md5_digest", MD5),
            ("sha256_digest", WHEEL.sha256),
        ]
    )
    upload, _ = receive(content_type, body)
    assert upload.promised == {"sha256": WHEEL.sha256, "md5": MD5}
    assert upload.fields["keywords"] == "a,b"
    assert upload.fields["provides"] == ("demo",)


def test_setup_py_sends_unknown_for_nothing_and_a_field_for_each_keyword() -> None:
    content_type, body = as_setup_py(
        [
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("name", "demo"),
            ("version", "1.0"),
            ("filetype", "bdist_wheel"),
            ("pyversion", ""),
            ("md5_digest", MD5),
            ("metadata_version", "1.0"),
            ("summary", "UNKNOWN"),
            ("home_page", "UNKNOWN"),
            ("description", "UNKNOWN"),
            ("keywords", "a"),
            ("keywords", "b"),
            ("platform", "UNKNOWN"),
            ("classifiers", "Topic :: A"),
            ("download_url", "UNKNOWN"),
            ("comment", ""),
        ],
        file_at=4,
    )
    upload, content = receive(content_type, body)
    assert content == WHEEL.content
    assert upload.promised == {"md5": MD5}
    assert upload.fields == {
        "name": "demo",
        "version": "1.0",
        "metadata_version": "1.0",
        "keywords": "a,b",
        "classifiers": ("Topic :: A",),
    }


@pytest.mark.parametrize("built", [WHEEL, SDIST, an_sdist(format=".zip")])
def test_the_builders_form_is_one_too(built: BuiltFile) -> None:
    upload, content = receive(*an_upload_body(built))
    assert (upload.name, upload.version, upload.filename) == ("demo", "1.0", built.filename)
    assert hashlib.sha256(content).hexdigest() == upload.promised["sha256"]
    assert upload.promised.keys() == PROMISED.keys()


# Control fields


def test_the_protocol_version_may_be_missing() -> None:
    assert parse_changed(protocol_version=None) == parse_changed(protocol_version="")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (":action", None, "the form has no ':action'"),
        (":action", "", "the form has no ':action'"),
        (":action", "submit", "':action' is not 'file_upload'"),
        (":action", "doc_upload", "':action' is not 'file_upload'"),
        (":action", "remove\n\x1b", "those of forms here are file_upload, doc_upload, submit"),
        (":action", ["file_upload", "submit"], "':action' more than once"),
        ("protocol_version", "2", "protocol_version is '2'"),
        ("name", None, "the form has no 'name'"),
        ("name", "UNKNOWN", "the form has no 'name'"),
        ("name", ["demo", "other"], "'name' more than once"),
        ("version", " ", "the form has no 'version'"),
        ("version", ["1.0", "1.0.0"], "'version' more than once"),
        ("filetype", "bdist_rpm", "only wheels (bdist_wheel) and source distributions (sdist)"),
        ("filetype", "sdist", "does not end in .tar.gz or .zip"),
        ("filetype", ["bdist_wheel", "sdist"], "'filetype' more than once"),
        ("sha256_digest", "abc", "sha256_digest is 'abc', which is not 64 hex digits"),
        ("sha256_digest", MD5, "not 64 hex digits"),
        ("sha256_digest", "g" * 64, "not 64 hex digits"),
        ("sha256_digest", "\u0661" * 64, "not 64 hex digits"),
        ("sha256_digest", [WHEEL.sha256, "0" * 64], "'sha256_digest' more than once"),
        ("blake2_256_digest", "0" * 63, "not 64 hex digits"),
        ("md5_digest", "0" * 31, "not 32 hex digits"),
        ("md5_digest", "=" * 32, "not 32 hex digits"),
        ("md5_digest", base64.urlsafe_b64encode(b"x" * 15).decode(), "not 32 hex digits"),
        ("md5_digest", "A" * 22 + "!!", "not 32 hex digits"),
        ("md5_digest", "\u00fc", "not 32 hex digits"),
    ],
)
def test_a_form_that_is_wrong_is_refused(
    field: str, value: str | list[str] | None, words: str
) -> None:
    assert words in refusal(upload_fields(WHEEL, **{field: value}))


@pytest.mark.parametrize(
    ("filename", "filetype", "taken"),
    [
        ("demo-1.0-py3-none-any.whl", "bdist_wheel", True),
        ("demo-1.0-py3-none-any.whl", None, True),
        ("demo-1.0.tar.gz", "sdist", True),
        ("demo-1.0.zip", "sdist", True),
        ("demo-1.0.tar.gz", "bdist_wheel", False),
        ("demo-1.0-py3-none-any.whl", "sdist", False),
        ("demo-1.0.tar.bz2", "sdist", False),
        ("demo-1.0.win32.exe", "bdist_wininst", False),
        ("", "sdist", False),
    ],
)
def test_the_filetype_goes_with_the_file_name(
    filename: str, filetype: str | None, taken: bool
) -> None:
    fields = upload_fields(WHEEL, filetype=filetype)
    if taken:
        assert parse(fields, filename).filename == filename
    else:
        refusal(fields, filename)


def test_the_file_name_in_a_refusal_is_made_harmless() -> None:
    line = refusal([], "../\r\nX: 1\x1b[31m" + "x" * 500)
    assert len(line) < 400


# Digests


def test_digests_are_promised_in_small_letters() -> None:
    assert parse_changed().promised == PROMISED
    upload = parse_changed(
        sha256_digest=[WHEEL.sha256.upper(), f" {WHEEL.sha256} "],
        md5_digest=MD5.upper(),
        blake2_256_digest=BLAKE2.upper(),
    )
    assert upload.promised == PROMISED


@pytest.mark.parametrize("padding", ["", "=="])
def test_md5_may_come_as_urlsafe_base64(padding: str) -> None:
    for digest in (bytes.fromhex(MD5), b"\xfb\xff" * 8):
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=") + padding
        assert parse_changed(md5_digest=text).promised["md5"] == digest.hex()


def test_digests_that_are_empty_are_absent() -> None:
    upload = parse_changed(sha256_digest="", md5_digest="UNKNOWN", blake2_256_digest=None)
    assert upload.promised == {}


# Metadata


def test_of_a_descriptive_field_the_last_value_that_says_something_counts() -> None:
    upload = parse_changed(summary=["first", "last", "UNKNOWN", ""])
    assert upload.fields["summary"] == "last"


def test_the_same_name_twice_is_no_contradiction() -> None:
    assert parse_changed(name=["demo", "demo", ""]).name == "demo"


def test_fields_that_mean_the_same_are_collected_under_one_name() -> None:
    upload = parse_changed(
        classifier="a",
        classifiers=["b", "UNKNOWN", ""],
        provides_extra="c",
        provides_extras="d",
        license_files="e",
        license_file="f",
        project_url="g",
    )
    assert upload.fields["classifiers"] == ("a", "b")
    assert upload.fields["provides_extras"] == ("c", "d")
    assert upload.fields["license_file"] == ("e", "f")
    assert upload.fields["project_urls"] == ("g",)


def test_unknown_fields_are_ignored() -> None:
    upload = parse_changed(
        attestations="[]", comment="c", import_name="demo", import_namespaces="x", whatever="y"
    )
    assert upload == parse_changed()


def test_attestations_become_a_provenance_that_names_the_account() -> None:
    upload = parse_changed(attestations='[{"version": 1}]')
    assert upload.provenance is not None
    assert json.loads(upload.provenance) == {
        "version": 1,
        "attestation_bundles": [
            {
                "publisher": {
                    "kind": "account", "claims": None, "index": "root/local", "user": "alice",
                },
                "attestations": [{"version": 1}],
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["{}", "null", "x", "[", "[" * 100_000, "[" * 900 + "]" * 900, "[" + "1" * 5000 + "]"]
)
def test_attestations_that_are_no_list_are_refused(text: str) -> None:
    try:
        upload = parse_changed(attestations=text)
    except Refused as refused:
        assert "'attestations' are not a list in JSON" in str(refused)
    else:
        assert text.startswith("[[[[[[[")  # deep, but not too deep
        assert upload.provenance is not None


def test_no_nul_is_kept() -> None:
    upload = parse_changed(summary="a\0b", description="\0")
    assert upload.fields["summary"] == "a\N{REPLACEMENT CHARACTER}b"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [":action", "name", "version", "md5_digest", "sha256_digest", "filetype", "x"]
            ),
            st.one_of(
                st.text(max_size=40),
                st.sampled_from(["file_upload", "demo", "1.0", "sdist", MD5, "A" * 22]),
            ),
        ),
        max_size=12,
    ),
    st.text(max_size=30),
)
def test_any_form_is_an_upload_or_refused(fields: list[tuple[str, str]], filename: str) -> None:
    try:
        upload = parse(fields, filename)
    except Refused as refused:
        assert str(refused).isprintable()
    else:
        assert upload.filename == filename
        assert upload.name
