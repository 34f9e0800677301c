from datetime import UTC, datetime
from typing import Any

import pytest

from simpleindex.wire.devpi_releases import StoredRelease, file_meta, version_data
from simpleindex_storage.model import (
    Attachment,
    AttachmentKind,
    DistFile,
    Event,
    LogEntry,
    Release,
)
from simpleindex_storage.names import FilePlace, IndexName, parse_project_name

ROOT_URL = "http://index.example:3141"
LOCAL, PROD = IndexName("root/local"), IndexName("root/prod")
DEMO = parse_project_name("demo")
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
SHA256 = "0a1" + "b" * 61

TEXTS = {
    "name", "version", "metadata_version", "summary", "home_page", "author", "author_email",
    "maintainer", "maintainer_email", "license", "description", "keywords", "download_url",
    "comment", "requires_python", "description_content_type", "license_expression",
}  # fmt: skip
LISTS = {
    "platform", "classifiers", "supported_platform", "provides", "requires", "obsoletes",
    "project_urls", "provides_dist", "obsoletes_dist", "requires_dist", "requires_external",
    "provides_extras", "dynamic", "license_file",
}  # fmt: skip


def stored(
    files: tuple[DistFile, ...] = (),
    attachments: tuple[Attachment, ...] = (),
    **fields: str | tuple[str, ...],
) -> StoredRelease:
    release = Release(LOCAL, DEMO, "1.0", {"name": "Demo", "version": "v1.0", **fields})
    return StoredRelease(release, "DEMO", files, attachments)


def a_file(filename: str = "demo-1.0+x.tar.gz", *log: LogEntry) -> DistFile:
    return DistFile(
        LOCAL, DEMO, "1.0", filename, filename, 7, SHA256, "0" * 32, "0" * 64, AT, "root", log=log
    )


def an_attachment(kind: AttachmentKind, filename: str, **more: Any) -> Attachment:
    place = FilePlace(LOCAL, SHA256[:16], filename)
    return Attachment(kind, LOCAL, DEMO, "1.0", place, 7, SHA256, AT, "root", **more)


def test_every_field_is_there_and_empty_where_nothing_was_given() -> None:
    data = version_data(ROOT_URL, stored())
    assert {key for key, value in data.items() if isinstance(value, str)} == TEXTS
    assert {key for key, value in data.items() if value == []} == LISTS
    assert data["name"] == "Demo"
    assert data.keys() == TEXTS | LISTS


def test_fields_are_told_as_they_were_given_and_the_version_as_it_is_stored() -> None:
    data = version_data(
        ROOT_URL, stored(summary="A demo", classifiers=("A", "B"), name="", size="7")
    )
    assert data["summary"] == "A demo"
    assert data["classifiers"] == ["A", "B"]
    assert data["version"] == "1.0"
    assert data["name"] == "DEMO"
    assert "size" not in data


def test_links_are_absolute_and_tell_digests_and_history() -> None:
    overwrite = LogEntry(Event.OVERWRITE, None, AT, count=2)
    push = LogEntry(Event.PUSH, "root", AT, source=LOCAL, target=PROD)
    upload = LogEntry(Event.UPLOAD, "alice", AT, target=LOCAL)
    data = version_data(ROOT_URL, stored((a_file("demo-1.0+x.tar.gz", overwrite, upload, push),)))
    when = [2026, 1, 2, 3, 4, 5]
    assert data["+links"] == [
        {
            "rel": "releasefile",
            "href": f"{ROOT_URL}/root/local/+f/0a1/{'b' * 13}/demo-1.0+x.tar.gz",
            "hash_spec": f"sha256={SHA256}",
            "hashes": {"sha256": SHA256},
            "log": [
                {"what": "overwrite", "who": None, "when": when, "count": 2},
                {"what": "upload", "who": "alice", "when": when, "dst": "root/local"},
                {
                    "what": "push", "who": "root", "when": when, "src": "root/local",
                    "dst": "root/prod",
                },
            ],
        }
    ]  # fmt: skip


def test_documentation_and_results_are_linked_and_results_name_their_file() -> None:
    file = a_file()
    doc = an_attachment(AttachmentKind.DOCUMENTATION, "demo-1.0.doc.zip")
    result = an_attachment(AttachmentKind.TOX_RESULT, "demo.toxresult-1", file_key=file.key)
    links: Any = version_data(ROOT_URL, stored((file,), (doc, result)))["+links"]
    assert [link["rel"] for link in links] == ["releasefile", "doczip", "toxresult"]
    assert [link.get("for_href") for link in links] == [None, None, links[0]["href"]]
    assert links[1]["href"].endswith("/demo-1.0.doc.zip")


def test_what_further_indexes_have_of_a_release_is_shadowed() -> None:
    data = version_data(ROOT_URL, stored(summary="near"), [stored((a_file(),), summary="far")])
    assert "+links" not in data
    assert data["+shadowing"] == [version_data(ROOT_URL, stored((a_file(),), summary="far"))]


@pytest.mark.parametrize(
    "kept", [a_file(), an_attachment(AttachmentKind.DOCUMENTATION, "demo-1.0.doc.zip")], ids=type
)
def test_a_file_is_told_of_without_its_bytes(kept: DistFile | Attachment) -> None:
    assert file_meta(kept) == {
        "last_modified": "Fri, 02 Jan 2026 03:04:05 GMT",
        "hash_spec": f"sha256={SHA256}",
        "hashes": {"sha256": SHA256},
        "project": "demo",
        "version": "1.0",
    }
