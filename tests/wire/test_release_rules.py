import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from simpleindex.wire.release_rules import (
    parse_approval,
    parse_release_rule,
    split_rules,
)
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import parse_project_name


@pytest.mark.parametrize(
    ("rule", "project", "version", "is_meant"),
    [
        ("demo", "demo", "1.0", True),
        ("De_Mo", "de-mo", "1.0", True),
        ("demo", "demo-x", "1.0", False),
        ("demo-*", "demo-x", "1.0", True),
        ("demo-*", "demo", "1.0", False),
        ("*", "demo", "1.0", True),
        ("demo>=1,<2", "demo", "1.9", True),
        ("demo>=1,<2", "demo", "2.0", False),
        ("demo>=1,<2", "other", "1.9", False),
        ("demo ~= 1.4", "demo", "1.5", True),
        ("demo>=1", "demo", "2.0a1", True),
        ("demo>=1", "demo", "2.0.dev3", True),
        ("demo<2", "demo", "2.0rc1", False),
        ("demo==1.0", "demo", "1", True),
        ("demo==1.0", "demo", "1.0+local", True),
        ("demo==1.*", "demo", "1.7", True),
        ("acme-*!=1.0", "acme-x", "1.0", False),
        ("acme-*!=1.0", "acme-x", "1.1", True),
    ],
    ids=str,
)
def test_a_rule_means_releases_by_name_and_version(
    rule: str, project: str, version: str, is_meant: bool
) -> None:
    parsed = parse_release_rule(rule)
    assert (
        parsed.names(parse_project_name(project)) and parsed.takes(Version(version))
    ) is is_meant


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", []),
        ("demo", ["demo"]),
        ("demo,other", ["demo", "other"]),
        ("demo>=1,<2,other", ["demo>=1,<2", "other"]),
        (" demo >=1 , <2 ,, other ", ["demo >=1,<2", "other"]),
        ("demo,~=1,!=1.1,==1.*,===1", ["demo,~=1,!=1.1,==1.*,===1"]),
        ("<2,demo", ["<2", "demo"]),
    ],
)
def test_what_begins_with_an_operator_belongs_to_the_rule_before(
    text: str, rules: list[str]
) -> None:
    assert split_rules(text) == rules


_versions = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}((a|rc)[0-9])?", fullmatch=True)
_operators = st.sampled_from([">=", "<", "<=", ">", "==", "!="])
_texts = st.builds(
    "{}{}".format,
    st.sampled_from(["demo", "Demo_x", "acme-*"]),
    st.lists(st.builds("{} {}".format, _operators, _versions), max_size=3).map(" ,".join),
)


@given(st.lists(_texts | st.text(max_size=8), max_size=4))
def test_rules_are_read_back_as_they_are_shown(texts: list[str]) -> None:
    shown = []
    for text in texts:
        try:
            shown.append(str(parse_release_rule(text)))
        except Refused:
            continue
    assert [str(parse_release_rule(text)) for text in shown] == shown
    assert [str(parse_release_rule(text)) for text in split_rules(",".join(shown))] == shown


def test_an_approval_names_one_release() -> None:
    assert parse_approval(" De.Mo == 1.0-rc.1 ") == "de-mo==1.0rc1"
    for wrong in ("demo", "demo>=1", "*==1", "demo==1.*", "==1", "demo==", "demo===1", "a;b==1"):
        with pytest.raises(Refused):
            parse_approval(wrong)
