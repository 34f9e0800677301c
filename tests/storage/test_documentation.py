"""Zips of pages: which are taken, and how pages come out of them."""

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from simpleindex_storage import documentation
from simpleindex_storage.documentation import (
    Documentation,
    check_documentation,
    documentation_name,
)
from simpleindex_storage.errors import NotStored, Refused, Unavailable
from simpleindex_storage.names import parse_project_name
from tests.builders import a_zip

NAME = "demo-1.0.doc.zip"
PAGES = {
    "index.html": b"<h1>demo</h1>",
    "_static/style.css": b"body {}",
    "guide/index.html": b"<h1>guide</h1>",
    "empty.txt": b"",
    "large.bin": bytes(range(256)) * 4000,
}


def read(content: bytes, path: str) -> bytes:
    pages = Documentation(io.BytesIO(content), NAME)
    entry = pages.page(path)
    blocks = list(pages.blocks(entry))
    assert all(blocks), "an empty block would end the answer"
    assert sum(map(len, blocks)) == entry.size_bytes
    return b"".join(blocks)


def check(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "draft"
    path.write_bytes(content)
    check_documentation(path, NAME)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_page_comes_out_as_it_went_in(compression: int, tmp_path: Path) -> None:
    content = a_zip(PAGES, compression=compression)
    check(tmp_path, content)
    assert {path: read(content, path) for path in PAGES} == PAGES


def test_a_page_of_incompressible_and_of_endless_bytes_comes_out_in_blocks() -> None:
    zeros = bytes(3 << 20)
    content = a_zip({"zeros": zeros})
    pages = Documentation(io.BytesIO(content), NAME)
    blocks = list(pages.blocks(pages.page("zeros")))
    assert b"".join(blocks) == zeros
    assert max(map(len, blocks)) <= 256 << 10


@pytest.mark.parametrize(
    ("path", "page"),
    [("", "index.html"), ("guide/", "guide/index.html"), ("./guide/index.html", None)],
)
def test_a_folder_shows_its_index(path: str, page: str | None) -> None:
    content = a_zip(PAGES)
    if page is None:
        with pytest.raises(NotStored):
            read(content, path)
    else:
        assert read(content, path) == PAGES[page]


@pytest.mark.parametrize("path", ["none", "guide", "_static/", "index.html/", "INDEX.html"])
def test_what_is_no_page_is_not_there(path: str) -> None:
    with pytest.raises(NotStored):
        read(a_zip(PAGES), path)


def test_folders_are_known_by_what_lies_in_them() -> None:
    pages = Documentation(io.BytesIO(a_zip({"a/b/c.html": b""})), NAME)
    assert pages.is_folder("a")
    assert pages.is_folder("a/b")
    assert not pages.is_folder("a/b/c.html")
    assert not pages.is_folder("b")


def a_link(target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
    return buffer.getvalue()


BAD: dict[str, Callable[[], bytes]] = {
    "no zip": lambda: b"no zip at all",
    "nothing": lambda: b"",
    "cut off": lambda: a_zip(PAGES)[:-30],
    "data behind": lambda: a_zip(PAGES) + b"x",
    "data ahead": lambda: b"x" + a_zip(PAGES),
    "outside": lambda: a_zip({"../x": b""}),
    "absolute": lambda: a_zip({"/x": b""}),
    "windows": lambda: a_zip({"C:\\x": b""}),
    "twice": lambda: a_zip([("x", b"1"), ("x", b"2")]),
    "link": lambda: a_link("index.html"),
    "wrong checksum": lambda: a_zip({"x": b"12345"}, compression=0).replace(b"12345", b"12346"),
    "bomb": lambda: a_zip({"x": bytes(80 << 20)}),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_a_zip_that_does_harm_or_has_two_readings_is_refused(
    make: Callable[[], bytes], tmp_path: Path
) -> None:
    with pytest.raises(Refused) as raised:
        check(tmp_path, make())
    assert str(raised.value).startswith(NAME)


@pytest.mark.parametrize(
    ("bound", "value"), [("DOCUMENTATION_BYTES_MAX", 100), ("DOCUMENTATION_MEMBERS_MAX", 2)]
)
def test_pages_are_bounded_in_number_and_in_size(
    bound: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = a_zip({"a": bytes(40), "b": bytes(40), "c": bytes(40)})
    check(tmp_path, content)
    monkeypatch.setattr(documentation, bound, value)
    with pytest.raises(Refused, match="more than"):
        check(tmp_path, content)


def test_bytes_that_went_bad_on_the_disk_are_no_page() -> None:
    content = a_zip({"x": b"y" * 1000})
    for at in (26, 35, len(content) // 2, len(content) - 10):
        bad = bytearray(content)
        bad[at : at + 4] = b"\xff" * 4
        with pytest.raises((Unavailable, NotStored)):
            read(bytes(bad), "x")


def test_a_name_is_made_of_project_and_version() -> None:
    assert documentation_name(parse_project_name("Some.Demo"), "1.0") == "some-demo-1.0.doc.zip"
    with pytest.raises(Refused):
        documentation_name(parse_project_name("x" * 200), "1.0")
