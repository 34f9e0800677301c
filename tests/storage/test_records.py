"""What is written down as JSON is read back as it was."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex_storage.model import (
    Event,
    Fields,
    IndexSettings,
    LogEntry,
    MirrorSettings,
    StageSettings,
)
from simpleindex_storage.names import IndexName
from simpleindex_storage.records import (
    attachment_json,
    fields_from_json,
    fields_json,
    file_json,
    index_json,
    log_from_json,
    log_json,
    release_json,
    settings_from_json,
    settings_json,
    time_from_text,
    time_text,
    token_json,
    user_json,
)
from tests.storage.contract_catalog import ROOT, TOKEN
from tests.storage.stores import NOW, a_file, a_release, a_result, a_stage, documentation

TEXT = st.text(max_size=20)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
NAMES = st.sampled_from(["root/local", "root/pypi", "ada/x"]).map(IndexName)
EXTRA = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
STAGES = st.builds(
    StageSettings,
    volatile=st.booleans(),
    bases=st.lists(NAMES, max_size=3).map(tuple),
    acl_upload=TEXTS,
    acl_project_upload=st.dictionaries(TEXT, TEXTS, max_size=3),
    acl_read=TEXTS,
    challenge=st.booleans(),
    acl_toxresult_upload=TEXTS,
    mirror_whitelist=TEXTS,
    mirror_whitelist_inheritance=TEXT,
    strict_archives=st.booleans(),
    extra=EXTRA,
)
MIRRORS = st.builds(
    MirrorSettings,
    volatile=st.booleans(),
    mirror_url=st.none() | TEXT,
    mirror_web_url_fmt=st.none() | TEXT,
    mirror_cache_expiry_seconds=st.none() | st.integers(),
    mirror_no_project_list=st.none() | st.booleans(),
    mirror_use_external_urls=st.none() | st.booleans(),
    min_age_days=st.none() | st.floats(0, 3650) | st.integers(0, 3650),
    min_age_from=TEXT,
    approved=TEXTS,
    allow=TEXTS,
    deny=TEXTS,
    reserved_names=TEXTS,
    file_hosts=TEXTS,
    offline=st.booleans(),
    acl_read=TEXTS,
    challenge=st.booleans(),
    extra=EXTRA,
)


@given(st.one_of(STAGES, MIRRORS))
def test_settings_are_read_back_as_they_were(settings: IndexSettings) -> None:
    written = json.dumps(settings_json(settings))
    assert settings_from_json(json.loads(written)) == settings


def test_a_mirrors_settings_of_an_older_catalog_are_read_with_defaults_for_the_rest() -> None:
    older = {
        "type": "mirror",
        "volatile": False,
        "mirror_url": "https://index.example/simple/",
        "mirror_web_url_fmt": None,
        "mirror_cache_expiry_seconds": 60,
        "mirror_no_project_list": None,
        "mirror_use_external_urls": None,
        "mirror_ignore_serial_header": None,
        "mirror_provides_core_metadata": None,
        "acl_read": [":ANONYMOUS:"],
        "challenge": False,
        "extra": {"title": "T"},
    }
    assert settings_from_json(older) == MirrorSettings(
        volatile=False,
        mirror_url="https://index.example/simple/",
        mirror_cache_expiry_seconds=60,
        extra={"title": "T"},
    )


@given(st.dictionaries(TEXT, TEXT | TEXTS, max_size=5))
def test_fields_are_read_back_as_they_were(fields: Fields) -> None:
    assert fields_from_json(json.loads(json.dumps(fields_json(fields)))) == fields


ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=ZONES)


@given(TIMES)
def test_times_are_read_back_as_they_were_in_utc(time: datetime) -> None:
    again = time_from_text(time_text(time))
    assert again == time
    assert again.utcoffset() == timedelta(0)


LOGS = st.lists(
    st.builds(
        LogEntry,
        what=st.sampled_from(Event),
        who=st.none() | TEXT,
        when=TIMES,
        source=st.none() | NAMES,
        target=st.none() | NAMES,
        count=st.none() | st.integers(0),
    ),
    max_size=3,
).map(tuple)


@given(LOGS)
def test_logs_are_read_back_as_they_were(log: tuple[LogEntry, ...]) -> None:
    assert log_from_json(json.loads(json.dumps(log_json(log)))) == log


@given(TIMES, TIMES)
def test_texts_of_times_sort_like_the_times(one: datetime, other: datetime) -> None:
    assert (time_text(one) < time_text(other)) is (one < other)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 11, 22, 13, 2, 46, 123_456, UTC), "2026-11-22T13:02:46.123456Z"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00.000000Z"),
        (
            datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            "2025-12-31T22:00:00.000000Z",
        ),
    ],
    ids=["microseconds", "none", "elsewhere"],
)
def test_times_are_written_to_the_microsecond(time: datetime, text: str) -> None:
    assert time_text(time) == text


def test_the_journals_words_for_users_and_indexes_stay_as_they_are() -> None:
    # Journals outlive versions: what is written today is read by a rebuild in ten years.
    assert user_json(ROOT) == {
        "name": "root",
        "password_hash": "a hash",
        "password_version": 1,
        "created_at": "2026-01-02T03:04:05.678901Z",
        "modified_at": None,
        "profile": {},
    }
    assert index_json(a_stage()) == {
        "name": "root/local",
        "automatic": False,
        "settings": {
            "type": "stage",
            "volatile": False,
            "bases": [],
            "acl_upload": [],
            "acl_project_upload": {},
            "acl_read": [":ANONYMOUS:"],
            "challenge": False,
            "acl_toxresult_upload": [":ANONYMOUS:"],
            "mirror_whitelist": [],
            "mirror_whitelist_inheritance": "intersection",
            "strict_archives": True,
            "extra": {},
        },
    }
    assert settings_json(MirrorSettings()) == {
        "type": "mirror",
        "volatile": True,
        "mirror_url": None,
        "mirror_web_url_fmt": None,
        "mirror_cache_expiry_seconds": None,
        "mirror_no_project_list": None,
        "mirror_use_external_urls": None,
        "mirror_ignore_serial_header": None,
        "mirror_provides_core_metadata": None,
        "min_age_days": None,
        "min_age_from": "upload-time",
        "approved": [],
        "allow": [],
        "deny": [],
        "reserved_names": [],
        "file_hosts": [],
        "offline": False,
        "acl_read": [":ANONYMOUS:"],
        "challenge": False,
        "extra": {},
    }


def test_the_journals_words_for_tokens_stay_as_they_are() -> None:
    assert token_json(TOKEN) == {
        "id": "1a2b",
        "user": "root",
        "name": "robot",
        "sha256": "ab" * 32,
        "created_at": "2026-01-02T03:04:05.678901Z",
        "expires_at": None,
        "actions": ["read", "upload"],
        "indexes": [],
        "projects": [],
    }
    assert token_json(replace(TOKEN, expires_at=NOW))["expires_at"] == time_text(NOW)


def test_the_journals_words_for_releases_and_files_stay_as_they_are() -> None:
    file = a_file(requires_python=">=3", yanked="broken", findings=("zip-comment",))
    assert release_json(a_release(file), "Demo") == {
        "index": "root/local",
        "project": "demo",
        "display_name": "Demo",
        "version": "1.0",
        "fields": {"summary": "a demonstration"},
    }
    assert file_json(file) == {
        "index": "root/local",
        "project": "demo",
        "version": "1.0",
        "filename": "demo-1.0-py3-none-any.whl",
        "key": "demo-1.0-py3-none-any.whl",
        "size_bytes": 9,
        "sha256": file.sha256,
        "md5": file.md5,
        "blake2b_256": file.blake2b_256,
        "uploaded_at": time_text(NOW),
        "uploaded_by": "root",
        "requires_python": ">=3",
        "metadata_sha256": file.metadata_sha256,
        "signature_sha256": None,
        "provenance_sha256": None,
        "yanked": "broken",
        "findings": ["zip-comment"],
        "log": [],
    }


def test_the_journals_words_for_attachments_stay_as_they_are() -> None:
    pages = documentation()
    assert attachment_json(pages) == {
        "kind": "doczip",
        "index": "root/local",
        "project": "demo",
        "version": "1.0",
        "sha256_prefix": pages.sha256[:16],
        "filename": "demo-1.0.doc.zip",
        "size_bytes": 9,
        "sha256": pages.sha256,
        "uploaded_at": time_text(NOW),
        "uploaded_by": "root",
        "file_key": None,
        "log": log_json(pages.log),
    }
    file = a_file()
    result = attachment_json(a_result(file))
    assert result["kind"] == "toxresult"
    assert result["file_key"] == file.key
    assert result["sha256_prefix"] == file.sha256[:16]
    assert result["filename"] == "demo-1.0-py3-none-any.whl.toxresult-20260102030405-0"
    assert result["log"] == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            LogEntry(Event.UPLOAD, "ada", NOW, target=IndexName("root/local")),
            {"what": "upload", "who": "ada", "target": "root/local"},
        ),
        (
            LogEntry(Event.PUSH, None, NOW, IndexName("ada/dev"), IndexName("root/local")),
            {"what": "push", "source": "ada/dev", "target": "root/local"},
        ),
        (LogEntry(Event.OVERWRITE, None, NOW, count=2), {"what": "overwrite", "count": 2}),
    ],
    ids=["upload", "push", "overwrite"],
)
def test_the_journals_words_for_what_happened_stay_as_they_are(
    entry: LogEntry, words: dict[str, object]
) -> None:
    empty = dict.fromkeys(("who", "source", "target", "count"))
    assert log_json([entry]) == [{**empty, "when": time_text(NOW), **words}]
