from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex_storage.model import Fields, Release
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.search_text import FIELDS, Term, fields_with, folded, search_text

FIELDS_OF_ALL_KINDS: Mapping[str, str | tuple[str, ...]] = {
    "summary": "A Demonstration",
    "keywords": "first,second",
    "classifiers": ("Framework :: Django", "Topic :: Internet"),
    "author": "Ada",
    "author_email": "ada@example.org",
    "maintainer": "Bob",
    "maintainer_email": "bob@example.org",
    "license": "zlib",
    "license_expression": "MIT-0",
    "requires_dist": ("requests>=2", "attrs; extra == 'fast'"),
    "requires_python": ">=3.8",
    "provides_extras": ("fast",),
    "platform": ("win32",),
    "supported_platform": ("linux",),
    "home_page": "https://home.example/",
    "download_url": "https://download.example/",
    "project_urls": ("Docs, https://docs.example/",),
    "description": "hidden words",
}


def a_text(
    name: str = "Zope.Demo_x", fields: Fields = FIELDS_OF_ALL_KINDS, version: str = "1.0"
) -> str:
    project = parse_project_name(name)
    return search_text(Release(IndexName("root/local"), project, version, fields), name)


def found(text: str, *words: str, field: str | None = None) -> tuple[str, ...] | None:
    return fields_with(text, [Term(folded(word), field) for word in words])


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("zope.demo", ("name",)),
        ("zope-demo-x", ("name",)),
        ("ZOPE_DEMO_X", ("name",)),
        ("Zope.Demo_x", ("name",)),
        ("demonstr", ("summary",)),
        ("second", ("keywords",)),
        ("django", ("classifiers",)),
        ("ada", ("author",)),
        ("ada@example", ("author",)),
        ("bob", ("maintainer",)),
        ("bob@example", ("maintainer",)),
        ("zlib", ("license",)),
        ("mit-0", ("license",)),
        ("requests>=2", ("requires",)),
        (">=3.8", ("requires_python",)),
        ("fast", ("requires", "extras")),
        ("win32", ("platform",)),
        ("linux", ("platform",)),
        ("home.example", ("urls",)),
        ("download.example", ("urls",)),
        ("docs.example", ("urls",)),
        ("example", ("author", "maintainer", "urls")),
        ("hidden", None),
        ("missing", None),
        ("a\nb", None),
    ],
)
def test_a_word_is_found_in_the_fields_that_have_it(
    word: str, fields: tuple[str, ...] | None
) -> None:
    assert found(a_text(), word) == fields


@pytest.mark.parametrize("field", FIELDS)
def test_a_word_can_be_sought_in_one_field_alone(field: str) -> None:
    everywhere = a_text("needle", {name: "a needle" for names in FIELDS.values() for name in names})
    assert found(everywhere, "needle") == tuple(FIELDS)
    assert found(everywhere, "needle", field=field) == (field,)
    assert found(a_text("needle"), "needle", field=field) == (
        ("name",) if field == "name" else None
    )


def test_all_words_must_be_found_and_all_their_fields_are_told() -> None:
    assert found(a_text(), "ada", "zlib") == ("author", "license")
    assert found(a_text(), "ada", "missing") is None
    assert fields_with(a_text(), [Term("ada"), Term("zlib", "summary")]) is None


def test_a_word_is_not_found_across_fields_or_values() -> None:
    text = a_text("a", {"summary": "bc", "keywords": "de", "classifiers": ("fg", "hi")})
    assert [found(text, word) for word in ("ab", "bcde", "cd", "gh", "fghi")] == [None] * 5


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("GRÖSSE", "größe"),
        ("Größe", "GRÖSSE"),
        ("Zo\u0308e", "z\u00f6e"),
        ("Z\u00f6e", "ZO\u0308E"),
        ("100% a_b\\c!", "% a_b\\c!"),
        ("half \ud83d", "half \ud83d"),
        ("nul\0", "nul\0"),
    ],
)
def test_neither_case_nor_composition_matters(said: str, typed: str) -> None:
    assert found(a_text(fields={"summary": said}), typed) == ("summary",)


def test_a_release_that_says_nothing_has_its_name() -> None:
    text = a_text("demo", {})
    assert found(text, "demo") == ("name",)
    assert [found(text, "", field=field) for field in FIELDS] == [(field,) for field in FIELDS]


@given(
    st.dictionaries(st.sampled_from(sorted(FIELDS_OF_ALL_KINDS)), st.text() | st.tuples(st.text())),
    st.text(st.characters()),
)
def test_any_text_can_be_stored_and_searched(
    fields: dict[str, str | tuple[str, ...]], display_name: str
) -> None:
    release = Release(IndexName("root/local"), parse_project_name("demo"), "1.0", fields)
    text = search_text(release, display_name)
    text.encode()
    assert "\0" not in text
    assert "name" in (found(text, "demo") or ())
