import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from simpleindex.wire.simple_json import render_list, render_project
from simpleindex.wire.simple_page import PageFile, ProjectListPage, ProjectPage
from simpleindex_storage.model import ProjectStatus
from tests.wire.pages import SHA256, WHEEL, FileFacts, a_file, a_list, a_page, page_files


def shown_file(file: PageFile) -> dict[str, Any]:
    (shown,) = json.loads(render_project(a_page(file)))["files"]
    assert isinstance(shown, dict)
    return shown


def nulls(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(nulls, value.values()))
    if isinstance(value, list):
        return sum(map(nulls, value))
    return int(value is None)


def test_a_page_shows_all_that_is_known() -> None:
    file = a_file(
        url="../../+f/012/3456789abcdef/x.whl",
        requires_python=">=3.8,<4",
        metadata={"sha256": "aa"},
        yanked="broken",
        gpg_sig=False,
        provenance="https://host/provenance",
    )
    page = a_page(
        file,
        versions=("1.0", "2.0"),
        status=ProjectStatus.DEPRECATED,
        status_reason="use another",
        serial=12,
    )
    assert json.loads(render_project(page)) == {
        "meta": {"api-version": "1.4", "_last-serial": 12},
        "name": "demo",
        "project-status": {"status": "deprecated", "reason": "use another"},
        "versions": ["1.0", "2.0"],
        "files": [
            {
                "filename": WHEEL,
                "url": "../../+f/012/3456789abcdef/x.whl",
                "hashes": {"sha256": SHA256},
                "requires-python": ">=3.8,<4",
                "size": 1234,
                "upload-time": "2024-05-06T07:08:09.000120Z",
                "core-metadata": {"sha256": "aa"},
                "yanked": "broken",
                "gpg-sig": False,
                "provenance": "https://host/provenance",
            }
        ],
    }


def test_what_is_not_known_is_left_out() -> None:
    page = a_page(PageFile(WHEEL, "x.whl", {}), versions=())
    assert json.loads(render_project(page)) == {
        "meta": {"api-version": "1.0"},
        "name": "demo",
        "versions": [],
        "files": [{"filename": WHEEL, "url": "x.whl", "hashes": {}}],
    }


@pytest.mark.parametrize(
    ("sizes", "api_version"),
    [
        ((), "1.4"),
        ((0,), "1.4"),
        ((1, 2), "1.4"),
        ((1, None), "1.0"),
        ((None,), "1.0"),
    ],
)
def test_a_page_claims_sizes_only_if_it_has_them_all(
    sizes: tuple[int | None, ...], api_version: str
) -> None:
    page = json.loads(render_project(a_page(*(a_file(size_bytes=size) for size in sizes))))
    assert page["meta"] == {"api-version": api_version}
    assert [file.get("size") for file in page["files"]] == list(sizes)
    assert page["versions"] == ["1.0"]


@pytest.mark.parametrize(
    ("facts", "key", "value"),
    [
        ({"yanked": ""}, "yanked", True),
        ({"yanked": "a <b> & c"}, "yanked", "a <b> & c"),
        ({"requires_python": ">=3.6.*"}, "requires-python", None),
        ({"requires_python": ""}, "requires-python", None),
        ({"requires_python": ">=3"}, "requires-python", ">=3"),
        ({"gpg_sig": True}, "gpg-sig", True),
        ({"hashes": MappingProxyType({"md5": "aa"})}, "hashes", {"md5": "aa"}),
    ],
    ids=repr,
)
def test_a_fact_is_spelled_as_the_standard_has_it(
    facts: FileFacts, key: str, value: object
) -> None:
    assert shown_file(a_file(**facts)).get(key) == value


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ({"sha256": "aa"}, {"core-metadata": {"sha256": "aa"}}),
        (MappingProxyType({"sha256": "aa"}), {"core-metadata": {"sha256": "aa"}}),
        ({}, {"core-metadata": True}),
        (True, {"core-metadata": True}),
        (False, {"core-metadata": False}),
        (None, {}),
    ],
    ids=repr,
)
def test_core_metadata_is_announced_under_its_one_name(
    metadata: Mapping[str, str] | bool | None, shown: dict[str, object]
) -> None:
    file = shown_file(a_file(metadata=metadata))
    assert {key: file[key] for key in file if "metadata" in key} == shown


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05.000000Z"),
        (datetime(2024, 1, 2, 3, 4, 5, 67, UTC), "2024-01-02T03:04:05.000067Z"),
        (datetime(999, 1, 2, tzinfo=UTC), "0999-01-02T00:00:00.000000Z"),
        (
            datetime(2024, 1, 2, 1, tzinfo=timezone(timedelta(hours=2))),
            "2024-01-01T23:00:00.000000Z",
        ),
    ],
)
def test_times_are_in_utc_with_six_digits_and_a_z(moment: datetime, text: str) -> None:
    assert shown_file(a_file(uploaded_at=moment))["upload-time"] == text


@pytest.mark.parametrize(
    ("status", "reason", "shown"),
    [
        (ProjectStatus.ACTIVE, None, None),
        (ProjectStatus.ACTIVE, "again", {"status": "active", "reason": "again"}),
        (ProjectStatus.ARCHIVED, None, {"status": "archived"}),
        (ProjectStatus.ARCHIVED, "", {"status": "archived"}),
        (ProjectStatus.QUARANTINED, "odd", {"status": "quarantined", "reason": "odd"}),
    ],
)
def test_the_status_stands_at_the_top_level(
    status: ProjectStatus, reason: str | None, shown: object
) -> None:
    page = json.loads(render_project(a_page(a_file(), status=status, status_reason=reason)))
    assert page.get("project-status") == shown


def test_a_quarantined_project_lists_versions_but_no_files() -> None:
    hidden = a_file(size_bytes=None)
    page = json.loads(render_project(a_page(hidden, status=ProjectStatus.QUARANTINED)))
    assert page["files"] == []
    assert page["versions"] == ["1.0"]
    assert page["meta"]["api-version"] == "1.4"


def test_half_a_surrogate_pair_does_not_go_out() -> None:
    body = render_project(a_page(a_file(yanked="a\ud800é")))
    assert b"ud800" not in body
    assert json.loads(body.decode())["files"][0]["yanked"] == "a?é"


@given(
    files=st.lists(page_files, max_size=4),
    status=st.sampled_from(ProjectStatus),
    reason=st.none() | st.text(),
    serial=st.none() | st.integers(min_value=0),
)
def test_no_page_holds_a_null(
    files: list[PageFile], status: ProjectStatus, reason: str | None, serial: int | None
) -> None:
    page = ProjectPage(a_page().name, tuple(files), (), status, reason, serial)
    document = json.loads(render_project(page).decode())
    assert nulls(document) == 0
    assert len(document["files"]) == len(page.offered_files)
    assert all(file.get("yanked") not in ("", False) for file in document["files"])


def test_the_list_names_each_project() -> None:
    assert json.loads(render_list(a_list("Some.Name", "other", serial=3))) == {
        "meta": {"api-version": "1.4", "_last-serial": 3},
        "projects": [{"name": "some-name"}, {"name": "other"}],
    }


def test_the_list_tells_mirrors_what_has_changed() -> None:
    page = ProjectListPage({canonicalize_name("demo"): 7}, serial=9)
    assert json.loads(render_list(page))["projects"] == [{"name": "demo", "_last-serial": 7}]


def test_an_empty_index_has_an_empty_list() -> None:
    assert json.loads(render_list(a_list())) == {"meta": {"api-version": "1.4"}, "projects": []}
