import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simpleindex.wire import devpi_json
from simpleindex.wire.index_settings import index_config, parse_index_change, parse_new_index
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Index, IndexSettings, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName, parse_project_name

DEV = IndexName("alice/dev")


def new_index(content: object, known: StageSettings | None = None) -> IndexSettings:
    return parse_new_index(json.dumps(content).encode(), DEV, known)


def changed(content: object, known: IndexSettings | None = None) -> IndexSettings:
    return parse_index_change(json.dumps(content).encode(), known or alices())


def alices(**settings: Any) -> StageSettings:
    return StageSettings(**{"acl_upload": ("alice",)} | settings)


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        pytest.param({}, alices(), id="nothing"),
        pytest.param({"type": "stage", "projects": ["x"]}, alices(), id="type and projects"),
        pytest.param({"volatile": False}, alices(volatile=False), id="flag"),
        pytest.param({"volatile": "No"}, alices(volatile=False), id="flag as text"),
        pytest.param({"volatile": "TRUE"}, alices(), id="flag in capitals"),
        pytest.param(
            {"bases": ["root/pypi", "alice/prod"]},
            alices(bases=(IndexName("root/pypi"), IndexName("alice/prod"))),
            id="list",
        ),
        pytest.param(
            {"bases": " root/pypi ,, alice/prod "},
            alices(bases=(IndexName("root/pypi"), IndexName("alice/prod"))),
            id="list as text",
        ),
        pytest.param({"bases": ""}, alices(), id="empty list as text"),
        pytest.param(
            {"acl_upload": "bob,:anonymous:,:Authenticated:"},
            alices(acl_upload=("bob", ":ANONYMOUS:", ":AUTHENTICATED:")),
            id="acl",
        ),
        pytest.param({"acl_upload": []}, alices(acl_upload=()), id="nobody may upload"),
        pytest.param({"acl_toxresult_upload": []}, alices(acl_toxresult_upload=()), id="tox"),
        pytest.param(
            {"mirror_whitelist": "*,Big_Name"},
            alices(mirror_whitelist=("*", parse_project_name("big-name"))),
            id="whitelist",
        ),
        pytest.param(
            {"strict_archives": "False"}, alices(strict_archives=False), id="legacy archives"
        ),
        pytest.param(
            {"mirror_whitelist_inheritance": "Union"},
            alices(mirror_whitelist_inheritance="union"),
            id="inheritance",
        ),
        pytest.param(
            {"title": "T", "custom_data": {"a": [1, None]}},
            alices(extra={"title": "T", "custom_data": {"a": [1, None]}}),
            id="extra",
        ),
        pytest.param({"type": "mirror"}, MirrorSettings(), id="mirror"),
        pytest.param(
            {
                "type": "mirror", "mirror_url": "https://up.example/simple/", "bases": "x",
                "mirror_cache_expiry": "600", "mirror_no_project_list": "yes", "volatile": False,
            },
            MirrorSettings(
                volatile=False, mirror_url="https://up.example/simple/",
                mirror_cache_expiry_seconds=600, mirror_no_project_list=True,
            ),
            id="mirror with settings",
        ),
        pytest.param(
            {
                "type": "mirror", "min_age": 7, "min_age_from": "First-Seen",
                "approved": ["De_mo == 1.0.0-RC1"], "allow": ["Acme_*", "demo >= 1, < 2"],
                "deny": ["demo~=1.4"], "reserved_names": ["Acme_*"],
                "file_hosts": ["Files.Example.org", "*.example.net"], "offline": True,
            },
            MirrorSettings(
                min_age_days=7, min_age_from="first-seen", approved=("de-mo==1.0.0rc1",),
                allow=("acme-*", "demo<2,>=1"), deny=("demo~=1.4",), reserved_names=("acme-*",),
                file_hosts=("files.example.org", "*.example.net"), offline=True,
            ),
            id="mirror with rules",
        ),
        pytest.param(
            {
                "type": "mirror", "min_age": "0.5", "min_age_from": "upload-time",
                "approved": "demo==1.0, other==2", "allow": "acme-*>=1,,!=3,other,",
                "deny": "demo>=1,<2,other", "reserved_names": "acme-*,demo",
                "file_hosts": "files.example.org, 10.0.0.7,[::1]", "offline": "yes",
            },
            MirrorSettings(
                min_age_days=0.5, approved=("demo==1.0", "other==2"),
                allow=("acme-*!=3,>=1", "other"), deny=("demo<2,>=1", "other"),
                reserved_names=("acme-*", "demo"),
                file_hosts=("files.example.org", "10.0.0.7", "::1"), offline=True,
            ),
            id="mirror with rules as text",
        ),
        pytest.param(
            {
                "type": "mirror", "min_age": 0, "min_age_from": None, "approved": [], "allow": "",
                "deny": None, "reserved_names": None, "file_hosts": None, "offline": None,
            },
            MirrorSettings(),
            id="mirror without rules",
        ),
    ],
)  # fmt: skip
def test_a_new_index_has_what_is_given_and_defaults(
    content: object, settings: IndexSettings
) -> None:
    assert new_index(content) == settings


def test_an_automatic_index_keeps_what_is_not_given() -> None:
    automatic = StageSettings(volatile=False, acl_upload=("root",), extra={"title": "T"})
    assert new_index({}, automatic) == automatic
    assert new_index({"volatile": True, "description": "D"}, automatic) == StageSettings(
        volatile=True, acl_upload=("root",), extra={"title": "T", "description": "D"}
    )


WRONG_VALUES = [
    pytest.param({"volatile": "maybe"}, "volatile", id="no flag"),
    pytest.param({"volatile": 1}, "volatile", id="number as flag"),
    pytest.param({"volatile": None}, "volatile", id="null as flag"),
    pytest.param({"bases": "pypi"}, "pypi", id="no index name"),
    pytest.param({"bases": "root/pypi/x"}, "pypi/x", id="too long an index name"),
    pytest.param({"bases": 7}, "bases", id="number as list"),
    pytest.param({"bases": ["a/b", 7]}, "bases", id="number in a list"),
    pytest.param({"bases": {"a/b": 1}}, "bases", id="object as list"),
    pytest.param({"acl_upload": None}, "acl_upload", id="null as list"),
    pytest.param({"mirror_whitelist": ["?"]}, "'?'", id="no project"),
    pytest.param({"mirror_whitelist_inheritance": "both"}, "inheritance", id="inheritance"),
    pytest.param({"strict_archives": "maybe"}, "strict_archives", id="word as flag"),
    pytest.param({"mirror_whitelist_inheritance": []}, "inheritance", id="list as word"),
    pytest.param({"type": "replica"}, "type", id="type"),
    pytest.param({"type": ["stage"]}, "type", id="list as type"),
    pytest.param({"title": ["x"]}, "title", id="list as text"),
    pytest.param({"mirror_url": "https://x"}, "mirror_url", id="mirror's key on a stage"),
    pytest.param({"volatil": True, "a": 1}, "a, volatil", id="unknown keys"),
    pytest.param("x", "JSON object", id="text"),
    pytest.param(None, "JSON object", id="null"),
    pytest.param({"title": "\ud800"}, "Unicode", id="half a character"),
]
WRONG_MIRRORS = [
    pytest.param({"mirror_url": "ftp://x"}, "mirror_url", id="scheme"),
    pytest.param({"mirror_url": "https://"}, "mirror_url", id="no host"),
    pytest.param({"mirror_url": "https://u:p/w@host/"}, "%40", id="odd password"),
    pytest.param({"mirror_url": "https://[::1/"}, "mirror_url", id="half an address"),
    pytest.param({"mirror_url": "https://a b/"}, "mirror_url", id="blank"),
    pytest.param({"mirror_url": 7}, "mirror_url", id="number as url"),
    pytest.param({"mirror_cache_expiry": -1}, "expiry", id="in the past"),
    pytest.param({"mirror_cache_expiry": 10**12}, "expiry", id="too late"),
    pytest.param({"mirror_cache_expiry": True}, "expiry", id="flag as time"),
    pytest.param({"mirror_cache_expiry": "1h"}, "expiry", id="unit"),
    pytest.param({"mirror_cache_expiry": "\u0663"}, "expiry", id="other digits"),
    pytest.param({"mirror_no_project_list": 0}, "no_project", id="number as flag"),
    pytest.param({"min_age": -1}, "min_age", id="younger than new"),
    pytest.param({"min_age": 3651}, "min_age", id="too old"),
    pytest.param({"min_age": True}, "min_age", id="flag as number"),
    pytest.param({"min_age": "7 days"}, "min_age", id="unit of days"),
    pytest.param({"min_age": "1e2"}, "min_age", id="exponent"),
    pytest.param({"min_age": ""}, "min_age", id="no number"),
    pytest.param({"min_age": [7]}, "min_age", id="list as number"),
    pytest.param({"min_age_from": "birth"}, "upload-time or first-seen", id="beginning of age"),
    pytest.param({"approved": "demo"}, "NAME==VERSION", id="approval without version"),
    pytest.param({"approved": "demo>=1"}, "NAME==VERSION", id="approval of many"),
    pytest.param({"approved": "demo-*==1.0"}, "project name", id="approval of a pattern"),
    pytest.param({"approved": "demo==1.*"}, "version", id="approval of a range"),
    pytest.param({"approved": "demo===1.0"}, "version", id="approval of a text"),
    pytest.param({"approved": "demo==1.0,==2.0"}, "version", id="approval of two"),
    pytest.param({"approved": 7}, "approved", id="number as approvals"),
    pytest.param({"allow": "demo 1.0"}, "pattern 'demo 1.0'", id="version without operator"),
    pytest.param({"allow": ">=1,<2"}, "pattern ''", id="no name"),
    pytest.param({"allow": ["demo", "<2"]}, "pattern ''", id="versions alone in a list"),
    pytest.param({"deny": "demo=>1"}, "specifiers", id="no operator"),
    pytest.param({"deny": "demo>=one"}, "specifiers", id="no version"),
    pytest.param({"deny": "demo===\x1b"}, "specifiers", id="unprintable version"),
    pytest.param({"deny": "demo>=" + "1" * 1000}, "specifiers", id="long version"),
    pytest.param({"deny": "demo[x]>=1"}, "pattern", id="extra"),
    pytest.param({"deny": [7]}, "deny", id="number as rule"),
    pytest.param({"reserved_names": "acme/x"}, "pattern", id="no pattern"),
    pytest.param({"file_hosts": "https://files.example.org/"}, "without https", id="url as host"),
    pytest.param({"file_hosts": "files.example.org:443"}, "without https", id="port"),
    pytest.param({"file_hosts": "*"}, "no name of a host", id="every host"),
    pytest.param({"file_hosts": "files.*.org"}, "no name of a host", id="star inside"),
    pytest.param({"file_hosts": "-x.org"}, "no name of a host", id="label that begins with -"),
    pytest.param({"file_hosts": "x." * 127 + "org"}, "no name of a host", id="long host"),
    pytest.param({"offline": "maybe"}, "offline", id="word as offline"),
]


@pytest.mark.parametrize(
    ("content", "named"), [*WRONG_VALUES, pytest.param([], "JSON object", id="list")]
)
def test_a_refusal_of_a_new_index_names_what_is_wrong(content: object, named: str) -> None:
    with pytest.raises(Refused, match=named.replace("?", r"\?")):
        new_index(content)


@pytest.mark.parametrize(("content", "named"), WRONG_MIRRORS)
def test_a_refusal_of_a_mirror_names_what_is_wrong(content: dict[str, object], named: str) -> None:
    with pytest.raises(Refused, match=named):
        new_index({"type": "mirror", **content})
    with pytest.raises(Refused, match=named):
        changed(content, MirrorSettings())


# Changes


BASES = (IndexName("root/pypi"), IndexName("alice/prod"))


@pytest.mark.parametrize(
    ("operations", "settings"),
    [
        pytest.param([], alices(), id="nothing"),
        pytest.param(["volatile=False"], alices(volatile=False), id="set"),
        pytest.param(["title=a=b"], alices(extra={"title": "a=b"}), id="a value with ="),
        pytest.param(["acl_upload"], alices(acl_upload=()), id="no ="),
        pytest.param(["title"], alices(extra={"title": ""}), id="no = of a text"),
        pytest.param(["acl_upload+=bob"], alices(acl_upload=("alice", "bob")), id="add"),
        pytest.param(["acl_upload+=alice"], alices(), id="add what is there"),
        pytest.param(
            ["acl_upload+=:anonymous:,bob,bob"],
            alices(acl_upload=("alice", ":ANONYMOUS:", "bob")),
            id="add several",
        ),
        pytest.param(["acl_upload-=alice"], alices(acl_upload=()), id="take out"),
        pytest.param(["bases=root/pypi", "bases+=alice/prod"], alices(bases=BASES), id="in order"),
        pytest.param(
            ["bases=root/pypi,alice/prod", "bases-=root/pypi"],
            alices(bases=BASES[1:]),
            id="take out of several",
        ),
        pytest.param(
            ["mirror_whitelist=Big_Name,*", "mirror_whitelist-=big.name"],
            alices(mirror_whitelist=("*",)),
            id="take out in another spelling",
        ),
        pytest.param(["title=x", "title-="], alices(), id="remove"),
        pytest.param(["title-="], alices(), id="remove what is not there"),
        pytest.param(["type=stage", "projects=x"], alices(), id="what cannot change"),
        pytest.param(["strict_archives=no"], alices(strict_archives=False), id="ours"),
    ],
)
def test_operations_are_done_in_order(operations: list[str], settings: IndexSettings) -> None:
    assert changed(operations) == settings


@pytest.mark.parametrize(
    ("operations", "named"),
    [
        (["colour=red"], "colour"),
        (["colour+=red"], "colour"),
        (["colour-=red"], "colour"),
        (["colour-="], "colour"),
        (["=x"], "unknown"),
        (["+=x"], "unknown"),
        ([""], "unknown"),
        (["volatile+=True"], "volatile"),
        (["volatile-=True"], "volatile"),
        (["volatile-="], "volatile"),
        (["title+=x"], "title"),
        (["bases-="], "bases"),
        (["bases-=root/pypi"], "root/pypi"),
        (["acl_upload-=bob"], "bob"),
        (["acl_upload-=alice,bob"], "bob"),
        (["bases+=pypi"], "pypi"),
        (["type=mirror"], "type"),
        (["type-="], "type"),
        (["type+=mirror"], "type"),
        (["mirror_url=https://x"], "mirror_url"),
        (["volatile=False", 7], "text"),
        ([["volatile", False]], "text"),
        ([None], "text"),
    ],
    ids=str,
)
def test_an_operation_that_cannot_be_done_is_named(operations: list[object], named: str) -> None:
    with pytest.raises(Refused, match=named):
        changed(operations)


MIRROR = MirrorSettings(approved=("demo==1.0",), deny=("demo<2,>=1", "other"), min_age_days=7)


@pytest.mark.parametrize(
    ("operations", "settings"),
    [
        (["approved+=demo==1.1"], {"approved": ("demo==1.0", "demo==1.1")}),
        (["approved+=De.mo==2"], {"approved": ("demo==1.0", "de-mo==2")}),
        (["approved+=demo==1.0"], {}),
        (["approved-=Demo==1.0"], {"approved": ()}),
        (["approved=other==2"], {"approved": ("other==2",)}),
        (["deny+=more>=3,!=3.1,most"], {"deny": ("demo<2,>=1", "other", "more!=3.1,>=3", "most")}),
        (["deny-=demo >= 1, < 2"], {"deny": ("other",)}),
        (["deny-=other,demo<2,>=1"], {"deny": ()}),
        (["deny="], {"deny": ()}),
        (["deny-="], {"deny": ()}),
        (["allow=acme-*"], {"allow": ("acme-*",)}),
        (
            ["reserved_names+=acme-*", "reserved_names+=Acme"],
            {"reserved_names": ("acme-*", "acme")},
        ),
        (["file_hosts+=*.example.org"], {"file_hosts": ("*.example.org",)}),
        (["min_age=0.25"], {"min_age_days": 0.25}),
        (["min_age=0"], {"min_age_days": None}),
        (["min_age-="], {"min_age_days": None}),
        (["min_age_from=first-seen"], {"min_age_from": "first-seen"}),
        (["min_age_from=first-seen", "min_age_from-="], {}),
        (["offline=yes"], {"offline": True}),
        (["offline=yes", "offline-="], {}),
    ],
    ids=str,
)
def test_the_rules_of_a_mirror_are_changed_one_by_one(
    operations: list[str], settings: dict[str, Any]
) -> None:
    assert changed(operations, MIRROR) == replace(MIRROR, **settings)


@pytest.mark.parametrize(
    ("operations", "named"),
    [
        (["approved-=demo==1.1"], "demo==1.1 is not in it"),
        (["deny-=demo>=1"], "demo>=1 is not in it"),
        (["deny+=<2"], "pattern ''"),
        (["min_age+=1"], "min_age"),
        (["offline+=yes"], "offline"),
    ],
    ids=str,
)
def test_a_change_of_a_rule_that_cannot_be_done_is_named(operations: list[str], named: str) -> None:
    with pytest.raises(Refused, match=named):
        changed(operations, MIRROR)


def test_an_object_changes_the_keys_that_it_has() -> None:
    known = alices(bases=BASES, extra={"title": "T", "description": "D"})
    assert changed({}, known) == known
    assert changed({"volatile": "no", "title": None}, known) == alices(
        volatile=False, bases=BASES, extra={"description": "D"}
    )


@pytest.mark.parametrize(("content", "named"), WRONG_VALUES)
def test_a_wrong_value_changes_nothing(content: object, named: str) -> None:
    with pytest.raises(Refused, match=named.replace("?", r"\?")):
        changed(content)


@pytest.mark.parametrize(
    "settings",
    [
        alices(bases=BASES, extra={"title": "T", "custom_data": {"a": []}}),
        MirrorSettings(mirror_url="https://up.example/", mirror_cache_expiry_seconds=7),
        MIRROR,
    ],
    ids=["stage", "mirror", "mirror with rules"],
)
def test_a_whole_reply_sent_back_changes_nothing(settings: IndexSettings) -> None:
    told = json.loads(devpi_json.reply(index_config(Index(DEV, settings)), "indexconfig"))
    told["result"]["projects"] = ["demo"]
    assert changed(told, settings) == changed(told["result"], settings) == settings
    for wrong in ({"type": "indexconfig", "result": 7}, {"type": "indexconfig", "result": []}):
        with pytest.raises(Refused, match="JSON object"):
            changed(wrong, settings)


def test_what_a_mirror_need_not_have_can_be_removed() -> None:
    known = MirrorSettings(mirror_url="https://up.example/", mirror_cache_expiry_seconds=7)
    assert changed(["mirror_url-=", "mirror_cache_expiry-="], known) == MirrorSettings()
    assert changed({"mirror_url": None}, known) == MirrorSettings(mirror_cache_expiry_seconds=7)


# What is shown


def test_a_stage_is_shown_with_all_its_settings() -> None:
    config = index_config(Index(DEV, alices(extra={"title": "T"})))
    assert config == {
        "type": "stage",
        "volatile": True,
        "bases": [],
        "acl_upload": ["alice"],
        "acl_project_upload": {},
        "acl_toxresult_upload": [":ANONYMOUS:"],
        "acl_read": [":ANONYMOUS:"],
        "challenge": False,
        "mirror_whitelist": [],
        "mirror_whitelist_inheritance": "intersection",
        "strict_archives": True,
        "title": "T",
    }


def test_what_was_never_given_of_a_mirror_is_left_out() -> None:
    settings = MirrorSettings(mirror_cache_expiry_seconds=60, mirror_no_project_list=False)
    config = index_config(Index(DEV, settings))
    assert config["mirror_cache_expiry"] == 60
    assert config["mirror_no_project_list"] is False
    assert not {"mirror_url", "mirror_web_url_fmt", "mirror_use_external_urls"} & config.keys()
    assert index_config(Index(DEV, MirrorSettings())) == {
        "type": "mirror",
        "volatile": True,
        "acl_read": [":ANONYMOUS:"],
        "challenge": False,
    }


def test_the_rules_of_a_mirror_are_shown_as_they_are_kept() -> None:
    settings = {
        "min_age": 7,
        "min_age_from": "first-seen",
        "approved": ["demo==1.0"],
        "allow": ["acme-*", "demo<2,>=1"],
        "deny": ["other"],
        "reserved_names": ["mine-*"],
        "file_hosts": ["*.example.org"],
        "offline": True,
    }
    shown = index_config(Index(DEV, new_index({"type": "mirror", **settings})))
    assert {key: shown.get(key) for key in settings} == settings
    assert json.dumps(shown["min_age"]) == "7"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pa%40ss@up.example/simple/", "https://up.example/simple/"),
        ("http://token@up.example:8080/", "http://up.example:8080/"),
        ("https://a@b@up.example/", "https://up.example/"),
        ("https://up.example/@scope/x", "https://up.example/@scope/x"),
        ("https://up.example?at=a@b", "https://up.example?at=a@b"),
    ],
)
def test_a_password_in_a_url_is_shown_only_where_it_may_be(url: str, shown: str) -> None:
    index = Index(DEV, MirrorSettings(mirror_url=url))
    assert index_config(index)["mirror_url"] == shown
    assert index_config(index, with_secrets=True)["mirror_url"] == url


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_index_keys = st.sampled_from(
    [
        "type", "volatile", "bases", "acl_upload", "acl_toxresult_upload", "mirror_whitelist",
        "mirror_whitelist_inheritance", "mirror_url", "mirror_web_url_fmt", "mirror_cache_expiry",
        "mirror_no_project_list", "mirror_use_external_urls", "min_age", "min_age_from",
        "approved", "allow", "deny", "reserved_names", "file_hosts", "offline", "title",
        "custom_data", "projects", "pwhash", "user", "password", "email",
    ]
)  # fmt: skip
_likely = st.sampled_from(
    [
        "stage", "mirror", "yes", "a/b", "a/b,c/d", "*", ["a/b"], [""], "union", "https://x", 600,
        [], 0, 0.5, "1.5", "first-seen", "a==1", "a>=1,<2,b", ["a-*~=1.0"], "*.x.org",
    ]
)  # fmt: skip
_operations = st.lists(
    st.builds(
        "{}{}{}".format,
        _index_keys,
        st.sampled_from(["=", "+=", "-=", ""]),
        st.sampled_from(["", "yes", "a/b", "*", "https://x", "a==1", "a>=1,<2"])
        | st.text(max_size=5),
    ),
    max_size=4,
)


@given(
    content=_json_values | st.dictionaries(_index_keys, _likely | _json_values, max_size=6),
    raw=st.binary(),
)
@example(content={"type": {}}, raw=b"\xef\xbb\xbf{}")
def test_any_body_gives_settings_or_is_refused(content: object, raw: bytes) -> None:
    for body in (json.dumps(content).encode(), raw):
        try:
            settings = parse_new_index(body, DEV, None)
        except Refused:
            continue
        config = index_config(Index(DEV, settings), with_secrets=True)
        shown = devpi_json.reply(config, "indexconfig")
        again = json.loads(shown, parse_constant=pytest.fail)["result"]
        assert parse_new_index(json.dumps(again).encode(), DEV, None) == settings


@given(
    content=_json_values | _operations | st.dictionaries(_index_keys, _likely, max_size=6),
    known=st.sampled_from([alices(bases=BASES), MirrorSettings(mirror_url="https://x")]),
)
def test_any_change_gives_settings_of_the_same_type_or_is_refused(
    content: object, known: IndexSettings
) -> None:
    try:
        settings = changed(content, known)
    except Refused:
        return
    assert type(settings) is type(known)
    devpi_json.reply(index_config(Index(DEV, settings)), "indexconfig")
