import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.wire.simple_html import render_list, render_project
from simpleindex.wire.simple_page import PageFile, ProjectPage
from simpleindex_storage.model import ProjectStatus
from tests.wire.pages import SHA256, WHEEL, FileFacts, a_file, a_list, a_page, page_files

# As hatch looks for anchors: a raw `>` in an attribute would hide the file from it.
HATCH_ANCHOR = re.compile(r"<a [^>]+>([^<]*)</a>")


class Document(HTMLParser):
    """What an installer sees: anchors with their attributes and texts, and meta elements."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.text = page.decode()
        self.anchors: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.meta: dict[str | None, str | None] = {}
        self.tags: set[str] = set()
        self._in_anchor = False
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "a":
            self._in_anchor = True
            self.anchors.append(dict(attrs))
            self.texts.append("")
        elif tag == "meta" and "name" in dict(attrs):
            self.meta[dict(attrs)["name"]] = dict(attrs)["content"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_anchor = False

    def handle_data(self, data: str) -> None:
        if self._in_anchor:
            self.texts[-1] += data


def attributes(file: PageFile) -> dict[str, str | None]:
    document = Document(render_project(a_page(file)))
    assert len(document.anchors) == 1
    return document.anchors[0]


def test_a_page_is_an_html5_document_with_one_anchor_for_each_file() -> None:
    page = a_page(a_file(WHEEL), a_file("demo-1.0.tar.gz"))
    document = Document(render_project(page))
    assert document.text.startswith("<!DOCTYPE html>\n<html")
    assert document.tags == {"html", "head", "meta", "title", "body", "h1", "a", "br"}
    assert document.meta == {"pypi:repository-version": "1.4"}
    assert document.texts == [WHEEL, "demo-1.0.tar.gz"]
    assert document.anchors[0] == {
        "href": f"../../+f/012/3456789abcdef/{WHEEL}#sha256={SHA256}",
    }


def test_a_project_without_files_has_a_page_without_anchors() -> None:
    document = Document(render_project(a_page()))
    assert document.anchors == []
    assert document.meta == {"pypi:repository-version": "1.4"}


@pytest.mark.parametrize(
    ("hashes", "fragment"),
    [
        ({}, ""),
        ({"sha256": "aa"}, "#sha256=aa"),
        ({"md5": "bb", "sha512": "cc", "sha256": "aa"}, "#sha256=aa"),
        ({"md5": "bb", "sha384": "cc"}, "#sha384=cc"),
        ({"md5": "bb"}, "#md5=bb"),
        ({"sha1": "dd", "sha224": "ee", "blake2b": "ff"}, ""),
        ({"sha1": "dd", "md5": "bb"}, "#md5=bb"),
    ],
)
def test_a_link_has_at_most_one_hash_and_none_that_uv_refuses(
    hashes: Mapping[str, str], fragment: str
) -> None:
    assert attributes(a_file(url="x.whl", hashes=hashes)) == {"href": f"x.whl{fragment}"}


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"requires_python": ">=3.8,<4"}, {"data-requires-python": ">=3.8,<4"}),
        ({"requires_python": ">=3.6.*"}, {}),
        ({"requires_python": ""}, {}),
        ({"yanked": ""}, {"data-yanked": ""}),
        ({"yanked": 'a "bad" <one> & more\n'}, {"data-yanked": 'a "bad" <one> & more\n'}),
        ({"gpg_sig": True}, {"data-gpg-sig": "true"}),
        ({"gpg_sig": False}, {"data-gpg-sig": "false"}),
        ({"provenance": "https://host/p?a=1&b=2"}, {"data-provenance": "https://host/p?a=1&b=2"}),
        ({"size_bytes": None, "uploaded_at": None}, {}),
    ],
    ids=repr,
)
def test_a_fact_is_an_attribute_and_an_unknown_one_is_none(
    facts: FileFacts, shown: dict[str, str]
) -> None:
    href = f"x.whl#sha256={SHA256}"
    assert attributes(a_file(**FileFacts(url="x.whl") | facts)) == {"href": href} | shown


@pytest.mark.parametrize(
    ("metadata", "value"),
    [
        ({"sha256": "aa"}, "sha256=aa"),
        (MappingProxyType({"sha512": "bb", "sha256": "aa"}), "sha256=aa"),
        ({"sha1": "dd"}, "true"),
        ({}, "true"),
        (True, "true"),
        (False, None),
        (None, None),
    ],
    ids=repr,
)
def test_core_metadata_is_announced_under_both_names(
    metadata: Mapping[str, str] | bool | None, value: str | None
) -> None:
    shown = attributes(a_file(metadata=metadata))
    assert shown.get("data-core-metadata") == value
    assert shown.get("data-dist-info-metadata") == value
    assert ("data-core-metadata" in shown) is (value is not None)


@pytest.mark.parametrize(
    ("status", "reason", "shown"),
    [
        (ProjectStatus.ACTIVE, None, {}),
        (ProjectStatus.ARCHIVED, None, {"pypi:project-status": "archived"}),
        (
            ProjectStatus.DEPRECATED,
            'use "other" & <better>',
            {
                "pypi:project-status": "deprecated",
                "pypi:project-status-reason": 'use "other" & <better>',
            },
        ),
        (ProjectStatus.QUARANTINED, "", {"pypi:project-status": "quarantined"}),
    ],
)
def test_the_status_stands_in_the_head(
    status: ProjectStatus, reason: str | None, shown: dict[str, str]
) -> None:
    page = a_page(a_file(), status=status, status_reason=reason)
    document = Document(render_project(page))
    assert document.meta == {"pypi:repository-version": "1.4"} | shown
    assert len(document.anchors) == len(page.offered_files)


def test_what_no_document_may_hold_is_replaced() -> None:
    assert attributes(a_file(yanked="a\x00b\ud800c\x9fd\te"))["data-yanked"] == (
        "a\ufffdb\ufffdc\ufffdd\te"
    )


def test_text_of_every_script_is_utf_8() -> None:
    assert "zurückgezogen 撤回".encode() in render_project(
        a_page(a_file(yanked="zurückgezogen 撤回"))
    )


def test_facts_of_the_json_form_do_not_change_the_html_form() -> None:
    old = a_file(uploaded_at=datetime(2001, 1, 1, tzinfo=UTC), size_bytes=1)
    new = a_file(uploaded_at=None, size_bytes=None)
    assert render_project(a_page(old, serial=7)) == render_project(a_page(new, versions=()))


@given(files=st.lists(page_files, max_size=4), reason=st.none() | st.text())
def test_no_text_breaks_out_of_its_place(files: list[PageFile], reason: str | None) -> None:
    page = ProjectPage(a_page().name, tuple(files), (), status_reason=reason)
    document = Document(render_project(page))
    assert document.tags <= {"html", "head", "meta", "title", "body", "h1", "a", "br"}
    assert len(document.anchors) == len(HATCH_ANCHOR.findall(document.text)) == len(files)
    for file, anchor in zip(files, document.anchors, strict=True):
        assert str(anchor["href"]).partition("#")[0] == file.url
        assert ("data-yanked" in anchor) is (file.yanked is not None)
        assert set(anchor) <= {
            "href",
            "data-requires-python",
            "data-core-metadata",
            "data-dist-info-metadata",
            "data-yanked",
            "data-gpg-sig",
            "data-provenance",
        }


@given(text=st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_a_client_reads_the_very_text_that_was_put_in(text: str) -> None:
    document = Document(render_project(a_page(a_file(filename=text, yanked=text))))
    assert document.texts == [text]
    assert document.anchors[0]["data-yanked"] == text


@pytest.mark.parametrize(
    ("prefix", "href"),
    [("", "some-name/"), ("+simple/", "+simple/some-name/"), ("a&b/", "a&b/some-name/")],
)
def test_the_list_links_each_project_to_its_page(prefix: str, href: str) -> None:
    document = Document(render_list(a_list("Some.Name", "other"), href_prefix=prefix))
    assert document.texts == ["some-name", "other"]
    assert document.anchors[0] == {"href": href}
    assert document.meta == {"pypi:repository-version": "1.4"}
    assert document.text.startswith("<!DOCTYPE html>\n<html")


def test_an_empty_index_has_a_list_without_anchors() -> None:
    assert Document(render_list(a_list())).anchors == []


def test_a_name_that_nobody_checked_does_no_harm_in_a_list() -> None:
    document = Document(render_list(a_list('x"><script>', "good")))
    assert document.texts == ['x"><script>', "good"]
    assert "script" not in document.tags
