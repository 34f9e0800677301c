import pytest

from simpleindex.wire.patterns import (
    fits_any,
    most_specific,
    parse_index_pattern,
    parse_project_pattern,
)
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import IndexName, parse_project_name


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("demo", "demo"),
        ("De_mo.X", "de-mo-x"),
        ("demo-*", "demo-*"),
        ("Demo_*", "demo-*"),
        ("*", "*"),
        ("?x?", "?x?"),
        ("a*b..c", "a*b-c"),
    ],
)
def test_a_pattern_is_normalised_as_the_names_are(text: str, pattern: str) -> None:
    assert parse_project_pattern(text) == pattern


@pytest.mark.parametrize(
    "text", ["", "-", "demo-", ".x", "a/b", "a b", "[ab]", "a\n", "é", "x" * 131, "a*\0"]
)
def test_what_no_project_could_be_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="it is the name of a project"):
        parse_project_pattern(text)


@pytest.mark.parametrize("text", ["root/local", "root/*", "*/dev", "*", "a.b-c@d/e?", "R/L"])
def test_a_pattern_of_indexes_is_kept_as_it_is(text: str) -> None:
    assert parse_index_pattern(text) == text


@pytest.mark.parametrize("text", ["", "root", "root/", "/x", "a/b/c", "**", "a b/c", "[a]/b"])
def test_what_no_index_could_be_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="it is the name of an index"):
        parse_index_pattern(text)


def test_a_name_fits_any_of_its_patterns() -> None:
    assert fits_any(IndexName("root/local"), ["alice/*", "root/*"])
    assert not fits_any(IndexName("Root/local"), ["root/*"])
    assert not fits_any(IndexName("root/local"), [])
    assert not fits_any(IndexName("xroot/local"), ["root/*"])


@pytest.mark.parametrize(
    ("name", "patterns", "counts"),
    [
        ("demo", ["*", "d*", "demo"], "demo"),
        ("demo", ["demo", "d*", "*"], "demo"),
        ("demo-x", ["*", "demo*", "d*"], "demo*"),
        ("demo-x", ["*x", "demo*"], "demo*"),
        ("demo", ["dem?", "dem*", "*"], "dem*"),
        ("demo", ["de?*", "de*"], "de?*"),
        ("demo", ["*demo", "demo*"], "*demo"),
        ("demo", ["other", "dem"], None),
        ("demo", [], None),
    ],
)
def test_the_most_specific_pattern_counts(
    name: str, patterns: list[str], counts: str | None
) -> None:
    project = parse_project_name(name)
    assert most_specific(project, patterns) == counts
    assert most_specific(project, patterns[::-1]) == counts
