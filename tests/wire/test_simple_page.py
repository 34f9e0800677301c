from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.wire.simple_page import (
    page_depth,
    relative_url,
    valid_requires_python,
)
from simpleindex_storage.model import ProjectStatus
from simpleindex_storage.names import FilePlace, index_name
from tests.wire.pages import a_file, a_page

LOCAL = index_name("root", "local")
PLACES_OF_PAGES = [
    "+simple/demo/",
    "+simple/demo",
    "demo/",
    "demo",
    "simple/demo/",
    "simple/demo",
]


def a_place(index: str = "root/local", filename: str = "x.whl") -> FilePlace:
    user, _, name = index.partition("/")
    return FilePlace(index_name(user, name), "abc0123456789def", filename)


@pytest.mark.parametrize(
    ("asked", "in_the_index", "in_a_base"),
    [
        (
            "+simple/demo/",
            "../../+f/abc/0123456789def/x.whl",
            "../../../../root/base/+f/abc/0123456789def/x.whl",
        ),
        (
            "+simple/demo",
            "../+f/abc/0123456789def/x.whl",
            "../../../root/base/+f/abc/0123456789def/x.whl",
        ),
        (
            "demo/",
            "../+f/abc/0123456789def/x.whl",
            "../../../root/base/+f/abc/0123456789def/x.whl",
        ),
        ("demo", "+f/abc/0123456789def/x.whl", "../../root/base/+f/abc/0123456789def/x.whl"),
    ],
)
def test_a_link_leads_down_from_where_index_and_base_part(
    asked: str, in_the_index: str, in_a_base: str
) -> None:
    depth = page_depth(asked)
    assert relative_url(a_place(), index=LOCAL, depth=depth) == in_the_index
    assert relative_url(a_place("root/base"), index=LOCAL, depth=depth) == in_a_base


@pytest.mark.parametrize("asked", PLACES_OF_PAGES)
@pytest.mark.parametrize("mounted_at", ["/", "/pypi/", "/a/b/"])
@pytest.mark.parametrize("index", ["root/local", "root/base", "ann/local", "A.b@c/d-e_f"])
def test_a_client_that_resolves_a_link_arrives_at_the_file(
    asked: str, mounted_at: str, index: str
) -> None:
    place = a_place(index)
    link = relative_url(place, index=LOCAL, depth=page_depth(asked))
    page_url = f"http://host{mounted_at}{LOCAL}/{asked}"
    assert urljoin(page_url, link) == f"http://host{mounted_at}{place.path}"


@pytest.mark.parametrize(
    ("filename", "quoted"),
    [
        ("demo-1.0+cu118-py3-none-any.whl", "demo-1.0%2Bcu118-py3-none-any.whl"),
        ("demo-1!2.0.tar.gz", "demo-1!2.0.tar.gz"),
        ("de_mo-1.0.tar.gz", "de_mo-1.0.tar.gz"),
        ("odd name#1?.zip", "odd%20name%231%3F.zip"),
    ],
)
def test_a_link_quotes_the_file_name_and_leaves_the_path_alone(filename: str, quoted: str) -> None:
    link = relative_url(a_place(filename=filename), index=LOCAL, depth=page_depth("demo/"))
    assert link == f"../+f/abc/0123456789def/{quoted}"


@given(filename=st.text(st.characters(codec="ascii", exclude_characters="/"), min_size=1))
def test_the_last_part_of_a_link_unquoted_is_the_file_name(filename: str) -> None:
    link = relative_url(a_place(filename=filename), index=LOCAL, depth=page_depth("demo"))
    assert unquote(link.rpartition("/")[2]) == filename


@pytest.mark.parametrize("status", ProjectStatus)
def test_only_a_quarantined_project_offers_no_files(status: ProjectStatus) -> None:
    page = a_page(a_file(), status=status)
    offered = () if status is ProjectStatus.QUARANTINED else page.files
    assert page.offered_files == offered


@pytest.mark.parametrize(
    ("status", "reason", "shown"),
    [
        (ProjectStatus.ACTIVE, None, False),
        (ProjectStatus.ACTIVE, "", False),
        (ProjectStatus.ACTIVE, "back to life", True),
        (ProjectStatus.ARCHIVED, None, True),
    ],
)
def test_that_a_project_is_active_goes_unsaid(
    status: ProjectStatus, reason: str | None, shown: bool
) -> None:
    assert a_page(status=status, status_reason=reason).shows_status is shown


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (None, False),
        ("", False),
        (" ", False),
        (",", False),
        ("UNKNOWN", False),
        (">=3.8", True),
        (">=2.7, !=3.0.*, <4", True),
        ("~=3.6", True),
        (">=3.6.*", False),
        ("3.6", False),
        (">=" + "1" * 5000, False),
        (">=3.8," * 100_000, False),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_requires_python_that_no_installer_understands_is_not_valid(
    value: str | None, valid: bool
) -> None:
    files = [a_file(requires_python=value), a_file(requires_python=value)]
    assert valid_requires_python(files) == ({value} if valid else set())
