"""Pages of projects with very many files: made in pieces, and the same as if made whole."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from simpleindex import project_page
from simpleindex.library import Sight, SightState
from simpleindex.mirror.known import MirroredFile
from simpleindex.project_page import page_of, render_page
from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.negotiate import Form
from simpleindex.wire.pieces import NOTHING, Pieced
from simpleindex.wire.simple_page import page_depth
from simpleindex_storage.model import ListedFile, ProjectStatus
from simpleindex_storage.names import IndexName, parse_project_name
from tests.fakes import FakeMirrors

LOCAL = IndexName("root/local")
DEMO = parse_project_name("demo")
DEPTH = page_depth("+simple/demo/")
PER_PIECE = project_page._FILES_PER_PIECE

forms = pytest.mark.parametrize("form", Form)

Files = tuple[ListedFile, ...]


def a_listed_file(number: int) -> ListedFile:
    return ListedFile(
        index_name=LOCAL,
        version=f"1.{number}",
        filename=f"demo-1.{number}-py3-none-any.whl",
        key=f"demo-1.{number}-py3-none-any.whl",
        size_bytes=1000 + number,
        sha256=f"{number:064x}",
        uploaded_at_text="2026-11-22T13:02:46.123456Z",
        requires_python=[">=3.8", ">=3.9,<4", None, "no specifier"][number % 4],
        metadata_sha256=f"{number + 1:064x}",
        signature_sha256=None,
        provenance_sha256="1" * 64 if number % 3 == 0 else None,
        yanked=[None, "", "bro<ken>"][number % 3],
    )


def a_sight(
    files: Sequence[ListedFile], mirrored: Sequence[MirroredFile] = ()
) -> Sight[ListedFile]:
    return Sight(
        index=LOCAL,
        project=DEMO,
        files=tuple(files),
        state=SightState(None),
        serial=7,
        status=ProjectStatus.DEPRECATED,
        status_reason="use another",
        mirrored=tuple(mirrored),
    )


def some_mirrored(count: int) -> list[MirroredFile]:
    mirrors, pypi = FakeMirrors(), IndexName("root/pypi")
    known = (mirrors.put_file(pypi, f"demo-2.{n}-py3-none-any.whl") for n in range(count))
    return [MirroredFile(pypi, DEMO, file) for file in known]


def whole(sight: Sight[ListedFile], form: Form, secure_url: str | None = None) -> bytes:
    """The page, made in one piece."""
    page = page_of(sight, DEPTH, secure_url)
    if form is Form.JSON:
        return simple_json.render_project(page)
    return simple_html.render_project(page)


MANY = tuple(map(a_listed_file, range(3 * PER_PIECE + 7)))

SIGHTS = {
    "short": a_sight(MANY[:3]),
    "long": a_sight(MANY),
    "as long as its pieces": a_sight(MANY[: 2 * PER_PIECE]),
    "signed": a_sight((*MANY, MANY[0]._replace(signature_sha256="2" * 64))),
    "quarantined": replace(a_sight(MANY), status=ProjectStatus.QUARANTINED),
    "with a mirror": a_sight(MANY, some_mirrored(20)),
    "of a mirror": a_sight((), some_mirrored(PER_PIECE + 1)),
}


@forms
@pytest.mark.parametrize("secure_url", [None, "https://pypi.example.org"])
@pytest.mark.parametrize("sight", SIGHTS.values(), ids=SIGHTS)
def test_a_page_in_pieces_is_the_page(
    sight: Sight[ListedFile], secure_url: str | None, form: Form
) -> None:
    assert render_page(sight, form, DEPTH, secure_url).body == whole(sight, form, secure_url)


CHANGES: dict[str, Callable[[Files], Files]] = {
    "nothing": lambda files: files,
    "one more": lambda files: (*files, a_listed_file(99_999)),
    "one yanked": lambda files: (files[0]._replace(yanked="late"), *files[1:]),
    "another size": lambda files: (*files[:-1], files[-1]._replace(size_bytes=5)),
    "the first removed": lambda files: files[1:],
    "a middle one removed": lambda files: (*files[:700], *files[701:]),
    "the first pieces removed": lambda files: files[PER_PIECE:],
    "the first signature": lambda files: (files[0]._replace(signature_sha256="2" * 64), *files[1:]),
    "in another order": lambda files: files[::-1],
    "very few left": lambda files: files[:2],
}


@forms
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_page_is_the_same_as_one_that_is_made_anew(
    change: Callable[[Files], Files], form: Form
) -> None:
    before = render_page(a_sight(MANY), form, DEPTH)
    changed = a_sight(change(MANY))
    assert render_page(changed, form, DEPTH, None, before).body == whole(changed, form)


@forms
def test_of_a_page_that_has_one_more_file_only_the_last_piece_is_made_again(form: Form) -> None:
    before = render_page(a_sight(MANY), form, DEPTH)
    # Spoilt, so that it shows where it is taken from.
    spoilt = Pieced(b"#" * len(before.body), before.pieces)
    grown = a_sight((*MANY, a_listed_file(99_999)))
    made, fresh = (render_page(grown, form, DEPTH, None, each) for each in (spoilt, NOTHING))
    kept = [made.body[start:end].strip(b"#") == b"" for _, start, end in made.pieces]
    assert kept == [False, True, True, True, False, False]
    last = made.pieces[-2]
    assert made.body[last.start :] == fresh.body[fresh.pieces[-2].start :]


def test_a_page_elsewhere_takes_over_nothing() -> None:
    before = render_page(a_sight(MANY), Form.HTML, DEPTH)
    spoilt = Pieced(b"#" * len(before.body), before.pieces)
    for index, depth in ((LOCAL, page_depth("demo/")), (IndexName("root/other"), DEPTH)):
        sight = replace(a_sight(MANY), index=index)
        assert b"#" * 300 not in render_page(sight, Form.HTML, depth, None, spoilt).body


def test_versions_are_told_in_order_and_each_once() -> None:
    page = json.loads(render_page(a_sight(MANY[::-1]), Form.JSON, DEPTH).body)
    assert page["versions"] == [f"1.{number}" for number in range(len(MANY))]
