"""What of a mirror is shown and served, rule by rule."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.policy import MirrorPolicy, Rule, Verdict
from simpleindex.wire.mirror_page import MirrorFile
from simpleindex.wire.patterns import fits_any
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.model import MirrorSettings, ProjectStatus
from simpleindex_storage.names import parse_filename, parse_project_name

DEMO = parse_project_name("demo")
NOW = datetime(2026, 11, 22, 13, 2, 46, tzinfo=UTC)
DAY = timedelta(days=1)
LONG_AGO = NOW - 1000 * DAY


def a_file(
    filename: str = "demo-1.0.tar.gz",
    *,
    uploaded_at: datetime | None = LONG_AGO,
    first_seen_at: datetime = NOW,
    absent_at: datetime | None = None,
    changed_to: str | None = None,
    gone: bool = False,
) -> MirrorFile:
    """A file that was there when its page was first seen, now; and that is old itself."""
    url = f"https://files.example/{filename}"
    return MirrorFile(
        file=PageFile(filename, url, {"sha256": "ab" * 32}, uploaded_at=uploaded_at),
        version=parse_filename(filename).version,
        sha256_prefix="ab" * 8,
        first_seen_at=first_seen_at,
        absent_at=absent_at,
        changed_to=changed_to,
        gone=gone,
    )


def verdict_on(
    file: MirrorFile,
    now: datetime = NOW,
    status: ProjectStatus = ProjectStatus.ACTIVE,
    **settings: Any,
) -> Verdict:
    policy = MirrorPolicy.of(MirrorSettings(**settings))
    return policy.of_file(parse_filename(file.file.filename).project, file, status, now)


# By name and version


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        pytest.param({}, Rule.OK, id="without rules all is shown"),
        pytest.param({"deny": ("demo",)}, Rule.DENIED, id="a name is denied"),
        pytest.param({"deny": ("dem*",)}, Rule.DENIED, id="a pattern is denied"),
        pytest.param({"deny": ("demo-*", "dem")}, Rule.OK, id="other names are denied"),
        pytest.param({"deny": ("demo==1.0",)}, Rule.DENIED, id="a version is denied"),
        pytest.param({"deny": ("demo<1",)}, Rule.OK, id="other versions are denied"),
        pytest.param({"deny": ("d*>=1,<2",)}, Rule.DENIED, id="versions of a pattern are denied"),
        pytest.param({"allow": ("demo",)}, Rule.OK, id="a name is allowed"),
        pytest.param({"allow": ("dem*",)}, Rule.OK, id="a pattern is allowed"),
        pytest.param({"allow": ("other",)}, Rule.NOT_ALLOWED, id="another name is allowed"),
        pytest.param({"allow": ("other", "demo<2")}, Rule.OK, id="a version is allowed"),
        pytest.param({"allow": ("demo>1",)}, Rule.NOT_ALLOWED, id="other versions are allowed"),
        pytest.param({"allow": ("demo>1", "*<=1")}, Rule.OK, id="one of two rules allows it"),
        pytest.param(
            {"allow": ("demo",), "deny": ("demo==1.0",)}, Rule.DENIED, id="deny wins over allow"
        ),
        pytest.param(
            {"allow": ("demo==1.0",), "deny": ("*",)}, Rule.DENIED, id="a wide deny wins as well"
        ),
        pytest.param({"reserved_names": ("demo",)}, Rule.RESERVED, id="the name is reserved"),
        pytest.param({"reserved_names": ("d?mo",)}, Rule.RESERVED, id="a pattern is reserved"),
        pytest.param({"reserved_names": ("demo-*",)}, Rule.OK, id="other names are reserved"),
        pytest.param(
            {"reserved_names": ("demo",), "allow": ("demo",)},
            Rule.RESERVED,
            id="reserved wins over allow",
        ),
        pytest.param(
            {"approved": ("demo==1.0",), "deny": ("demo",)},
            Rule.DENIED,
            id="deny wins over approved",
        ),
        pytest.param(
            {"approved": ("demo==1.0",), "allow": ("other",)},
            Rule.NOT_ALLOWED,
            id="approved does not allow",
        ),
    ],
)
def test_names_and_versions_decide(settings: dict[str, Any], rule: Rule) -> None:
    verdict = verdict_on(a_file(), **settings)
    assert verdict.rule is rule
    assert verdict.is_shown is verdict.may_be_served is (rule is Rule.OK)
    assert verdict.until is None
    assert (verdict.reason == "") is (rule is Rule.OK)


def test_pre_releases_are_versions_like_others() -> None:
    beta = a_file("demo-2.0b1.tar.gz")
    assert verdict_on(beta, deny=("demo>=1.5",)).rule is Rule.DENIED
    assert verdict_on(beta, allow=("demo>=1.5",)).is_shown


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        pytest.param({}, Rule.OK, id="no rules"),
        pytest.param({"reserved_names": ("dem*",)}, Rule.RESERVED, id="reserved"),
        pytest.param({"deny": ("demo",)}, Rule.DENIED, id="denied wholly"),
        pytest.param({"deny": ("demo>1",)}, Rule.OK, id="denied in part"),
        pytest.param({"allow": ("other", "x-*>1")}, Rule.NOT_ALLOWED, id="not allowed at all"),
        pytest.param({"allow": ("demo>1",)}, Rule.OK, id="allowed in part"),
        pytest.param({"min_age_days": 7}, Rule.OK, id="age is a matter of files"),
    ],
)
def test_a_project_of_which_nothing_could_be_shown_need_not_be_asked_for(
    settings: dict[str, Any], rule: Rule
) -> None:
    policy = MirrorPolicy.of(MirrorSettings(**settings))
    assert policy.of_project(DEMO).rule is rule
    assert policy.reserved(DEMO) is (rule is Rule.RESERVED)


_some_names = st.text("ab-", min_size=1, max_size=4).filter(lambda text: text.strip("-") == text)
_some_patterns = st.lists(
    st.text("ab*?-", min_size=1, max_size=4).filter(lambda text: text.strip("-") == text),
    max_size=3,
).map(tuple)


@given(_some_names, _some_patterns, _some_patterns, _some_patterns)
def test_a_pattern_means_the_same_for_a_project_and_for_its_files(
    name: str, reserved_names: tuple[str, ...], deny: tuple[str, ...], allow: tuple[str, ...]
) -> None:
    project = parse_project_name(name)
    policy = MirrorPolicy.of(MirrorSettings(reserved_names=reserved_names, deny=deny, allow=allow))
    verdict = policy.of_project(project)
    assert policy.of_file(project, a_file(), ProjectStatus.ACTIVE, NOW).rule is verdict.rule
    assert (verdict.rule is Rule.RESERVED) is fits_any(project, reserved_names)
    assert verdict.is_shown is (
        not fits_any(project, (*reserved_names, *deny)) and (not allow or fits_any(project, allow))
    )


# By age


@pytest.mark.parametrize(
    ("filed", "settings", "until"),
    [
        pytest.param({}, {}, None, id="an old file is shown"),
        pytest.param(
            {"uploaded_at": NOW - 3 * DAY}, {}, NOW + 4 * DAY, id="a young one is held back"
        ),
        pytest.param(
            {"uploaded_at": NOW - 7 * DAY}, {}, None, id="one that has just the age is shown"
        ),
        pytest.param(
            {"uploaded_at": NOW - DAY / 4}, {"min_age_days": 0.5}, NOW + DAY / 4, id="half a day"
        ),
        pytest.param(
            {"uploaded_at": NOW + 30 * DAY},
            {},
            NOW + 37 * DAY,
            id="one of the future is held back until it has the age",
        ),
        pytest.param(
            {"absent_at": NOW - DAY},
            {},
            NOW + 6 * DAY,
            id="a date before its page was last seen without it is not believed",
        ),
        pytest.param(
            {"uploaded_at": NOW - 2 * DAY, "absent_at": NOW - 3 * DAY},
            {},
            NOW + 5 * DAY,
            id="a date after that is",
        ),
        pytest.param(
            {"first_seen_at": NOW - 2 * DAY},
            {"min_age_from": "first-seen"},
            NOW + 5 * DAY,
            id="from first sight, also if it was there before",
        ),
        pytest.param(
            {"first_seen_at": NOW - 2 * DAY, "absent_at": NOW - 3 * DAY, "uploaded_at": None},
            {"min_age_from": "first-seen"},
            NOW + 5 * DAY,
            id="from first sight, without any date",
        ),
        pytest.param(
            {"first_seen_at": NOW - 8 * DAY, "uploaded_at": NOW},
            {"min_age_from": "first-seen"},
            None,
            id="from first sight, whatever the date",
        ),
    ],
)
def test_a_file_is_held_back_until_it_has_the_age(
    filed: dict[str, Any], settings: dict[str, Any], until: datetime | None
) -> None:
    verdict = verdict_on(a_file(**filed), **{"min_age_days": 7} | settings)
    assert verdict.until == until
    assert verdict.is_shown is verdict.may_be_served is (until is None)
    assert verdict.rule is (Rule.OK if until is None else Rule.TOO_YOUNG)


@pytest.mark.parametrize(
    "uploaded_at", [None, datetime.max.replace(tzinfo=UTC)], ids=["none", "impossible"]
)
def test_a_file_of_unknown_age_is_held_back_and_told_how_to_count_otherwise(
    uploaded_at: datetime | None,
) -> None:
    verdict = verdict_on(a_file(uploaded_at=uploaded_at), min_age_days=7)
    assert (verdict.rule, verdict.until) == (Rule.TOO_YOUNG, None)
    assert "min_age_from=first-seen" in verdict.reason


@pytest.mark.parametrize(
    ("filename", "approved", "is_shown"),
    [
        ("demo-1.0.tar.gz", "demo==1.0", True),
        ("demo-1.0.0-py3-none-any.whl", "demo==1.0", True),
        ("demo-1.1.tar.gz", "demo==1.0", False),
        ("demo-1.0+local-py3-none-any.whl", "demo==1.0", False),
        ("other-1.0.tar.gz", "demo==1.0", False),
    ],
)
def test_an_approved_release_is_shown_at_any_age(
    filename: str, approved: str, is_shown: bool
) -> None:
    for uploaded_at in (NOW, None):
        file = a_file(filename, uploaded_at=uploaded_at)
        assert verdict_on(file, min_age_days=7, approved=(approved,)).is_shown is is_shown


_moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(
    uploaded_at=st.none() | _moments,
    first_seen_at=_moments,
    absent_at=st.none() | _moments,
    gone=st.booleans(),
    now=_moments,
    min_age_days=st.floats(0.001, 3650),
    min_age_from=st.sampled_from(["upload-time", "first-seen"]),
)
def test_a_file_that_is_held_back_is_shown_when_its_time_has_come_and_not_before(
    uploaded_at: datetime | None,
    first_seen_at: datetime,
    absent_at: datetime | None,
    gone: bool,
    now: datetime,
    **settings: Any,
) -> None:
    file = a_file(
        uploaded_at=uploaded_at, first_seen_at=first_seen_at, absent_at=absent_at, gone=gone
    )
    until = verdict_on(file, now, **settings).until
    if until is not None:
        assert until > now
        assert not verdict_on(file, until - timedelta(microseconds=1), **settings).is_shown
        assert verdict_on(file, until, **settings).is_shown


def test_the_next_change_is_the_first_one_that_comes_by_itself() -> None:
    files = [
        a_file(uploaded_at=time) for time in (NOW - DAY, None, NOW - 2 * DAY, LONG_AGO, NOW)
    ]  # fmt: skip
    verdicts = [verdict_on(file, min_age_days=7) for file in files]
    assert MirrorPolicy.next_change_at(verdicts) == NOW + 5 * DAY
    assert MirrorPolicy.next_change_at(verdicts[1:2]) is None
    assert MirrorPolicy.next_change_at([]) is None


# By what its index does with it


OTHER_BYTES = "sha256=" + "cd" * 32


def test_other_bytes_under_a_known_name_are_neither_shown_nor_served() -> None:
    rules: list[dict[str, Any]] = [{}, {"approved": ("demo==1.0",)}, {"min_age_days": 7}]
    for settings in rules:
        verdict = verdict_on(a_file(changed_to=OTHER_BYTES), **settings)
        assert verdict.rule is Rule.CHANGED
        assert not verdict.may_be_served
        assert OTHER_BYTES in verdict.reason
        assert "ab" * 32 in verdict.reason


def test_what_is_gone_is_not_shown_and_may_be_served() -> None:
    verdict = verdict_on(a_file(gone=True))
    assert (verdict.rule, verdict.is_shown, verdict.may_be_served) == (Rule.GONE, False, True)


@pytest.mark.parametrize(
    ("filed", "settings", "rule"),
    [
        pytest.param({}, {"deny": ("demo",)}, Rule.DENIED, id="denied"),
        pytest.param({"changed_to": OTHER_BYTES}, {}, Rule.CHANGED, id="changed"),
        pytest.param({"uploaded_at": NOW}, {"min_age_days": 1}, Rule.TOO_YOUNG, id="too young"),
        pytest.param({"uploaded_at": None}, {"min_age_days": 1}, Rule.TOO_YOUNG, id="no age"),
    ],
)
def test_what_is_gone_is_not_served_against_another_rule(
    filed: dict[str, Any], settings: dict[str, Any], rule: Rule
) -> None:
    verdict = verdict_on(a_file(gone=True, **filed), **settings)
    assert (verdict.rule, verdict.may_be_served, verdict.until) == (rule, False, None)


@pytest.mark.parametrize("status", ProjectStatus)
def test_only_quarantine_takes_files_away(status: ProjectStatus) -> None:
    is_open = status is not ProjectStatus.QUARANTINED
    rules: list[dict[str, Any]] = [{}, {"approved": ("demo==1.0",), "min_age_days": 7}]
    for settings in rules:
        for file in (a_file(), a_file(gone=True)):
            verdict = verdict_on(file, status=status, **settings)
            assert verdict.may_be_served is is_open
            assert (verdict.rule is Rule.QUARANTINED) is not is_open


# What people are told


@pytest.mark.parametrize(
    ("filed", "settings", "words"),
    [
        ({}, {"reserved_names": ("de*",)}, ["demo", "reserved_names", "reserved_names-=de*"]),
        ({}, {"deny": ("demo<2,>=1",)}, ["demo 1.0", "denied", "deny-=demo<2,>=1"]),
        ({}, {"deny": ("de*",)}, ["demo", "denied", "deny-=de*"]),
        ({}, {"allow": ("x",)}, ["demo", "allow+=demo "]),
        ({}, {"allow": ("demo>2",)}, ["demo 1.0", "allow+=demo==1.0"]),
        (
            {"uploaded_at": NOW},
            {"min_age_days": 1.5},
            [
                "demo-1.0.tar.gz",
                "until 2026-11-24 01:02 UTC",
                "1.5 days since its upload",
                "approved+=demo==1.0",
            ],
        ),
        (
            {"absent_at": NOW},
            {"min_age_days": 7},
            ["demo-1.0.tar.gz", "7 days since its page was last seen without it"],
        ),
        (
            {},
            {"min_age_days": 7, "min_age_from": "first-seen"},
            ["demo-1.0.tar.gz", "7 days since it was first seen here"],
        ),
        (
            {"uploaded_at": None},
            {"min_age_days": 7},
            ["demo-1.0.tar.gz", "does not tell when", "approved+=demo==1.0"],
        ),
        (
            {"uploaded_at": NOW, "gone": True},
            {"min_age_days": 7},
            ["demo-1.0.tar.gz", "took it away"],
        ),
        ({"gone": True}, {}, ["demo-1.0.tar.gz", "any more"]),
        ({"changed_to": OTHER_BYTES}, {}, ["demo-1.0.tar.gz", "other bytes"]),
    ],
    ids=str,
)
def test_a_reason_names_the_thing_the_rule_and_a_way_out(
    filed: dict[str, Any], settings: dict[str, Any], words: list[str]
) -> None:
    reason = verdict_on(a_file(**filed), **settings).reason
    assert [word for word in words if word not in reason] == []
    assert "\n" not in reason
    assert not reason.endswith(".")


# Speed


EVERYTHING: dict[str, Any] = {
    "min_age_days": 7,
    "approved": tuple(f"demo==1.{number}" for number in range(50)),
    "allow": ("demo>=0,<100", *(f"demo-{number}" for number in range(50))),
    "deny": ("demo==2.5.*", "demo>=200,<201", *(f"bad-{number}-*" for number in range(50))),
    "reserved_names": tuple(f"acme-{number}-*" for number in range(50)),
}


@pytest.mark.parametrize(
    ("settings", "seconds_max"), [({}, 0.05), (EVERYTHING, 0.4)], ids=["no rules", "all rules"]
)
def test_a_large_project_takes_a_moment(settings: dict[str, Any], seconds_max: float) -> None:
    # The bounds are ten times what it takes: only a change of its order breaks them.
    files = [
        a_file(f"demo-1.{number}-py3-none-any.whl", uploaded_at=NOW - number * DAY / 100)
        for number in range(2000)
    ]
    policy = MirrorPolicy.of(MirrorSettings(**settings))
    began = time.perf_counter()
    verdicts = [policy.of_file(DEMO, file, ProjectStatus.ACTIVE, NOW) for file in files]
    assert time.perf_counter() - began < seconds_max
    assert len(verdicts) == 2000


def test_the_same_rules_are_read_once() -> None:
    one = MirrorSettings(deny=("demo",), extra={"title": "One"})
    other = MirrorSettings(deny=("demo",), mirror_url="https://up.example/")
    assert MirrorPolicy.of(one) is MirrorPolicy.of(other)
    assert MirrorPolicy.of(one) is not MirrorPolicy.of(MirrorSettings())


def test_policies_of_two_mirrors_do_not_mix() -> None:
    for _ in range(2):
        assert MirrorPolicy.of(MirrorSettings(deny=("demo",))).of_project(DEMO).rule is Rule.DENIED
        assert MirrorPolicy.of(MirrorSettings(deny=("x",))).of_project(DEMO).is_shown
