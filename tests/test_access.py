"""Who is asking, and what they may do. Hashes are counted, not timed."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex import access
from simpleindex.access import (
    ANYBODY,
    Authenticator,
    Logins,
    Principal,
    Rules,
    check_new_password,
    hash_password,
    verify_password,
)
from simpleindex.api_tokens import issue
from simpleindex.errors import TooManyFailures
from simpleindex.limits import FailureLimits
from simpleindex.wire.credentials import Credentials
from simpleindex.wire.tokens_json import TokenWish
from simpleindex_storage.errors import Refused
from simpleindex_storage.failures import MemoryNotes
from simpleindex_storage.model import (
    ApiToken,
    Index,
    MirrorSettings,
    StageSettings,
    TokenAction,
)
from simpleindex_storage.names import IndexName, UserName, parse_project_name
from tests.fakes import AT, FakeCatalog

SECRET = b"a secret of the tests, 32 bytes!"
ROOT, ALICE = Principal(UserName("root")), Principal(UserName("alice"))


@dataclass
class Clock:
    """Both clocks: of the day, and the one that only goes on."""

    now: datetime = AT

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed; each hash is cheap, since here it is only counted."""
    passwords: list[str] = []

    def cheap(password: bytes, *, salt: bytes, n: int, r: int, p: int, **_: Any) -> bytes:
        passwords.append(password.decode())
        return hashlib.sha256(password + salt + bytes([n.bit_length(), r, p])).digest()

    monkeypatch.setattr(hashlib, "scrypt", cheap)
    return passwords


def a_catalog(**passwords: str) -> FakeCatalog:
    catalog = FakeCatalog()
    for name, password in passwords.items():
        catalog.put_user(name, hash_password(password))
    return catalog


def an_authenticator(
    catalog: FakeCatalog, clock: Clock | None = None, secret: bytes = SECRET
) -> Authenticator:
    clock = clock or Clock()
    limits = FailureLimits(MemoryNotes(), clock.seconds)
    return Authenticator(catalog, Logins(secret, 36_000, clock), limits, clock.seconds)


def token_of(authenticator: Authenticator, user: str, password: str) -> str:
    known = authenticator.log_in(Credentials(user, password))
    assert known is not None
    return authenticator.logins.issue(known)


# Passwords


def test_a_password_fits_its_own_hash_only() -> None:
    stored = hash_password("pässword")
    assert verify_password("pässword", stored)
    assert not verify_password("password", stored)
    assert stored != hash_password("pässword")
    assert "pässword" not in stored
    assert stored.startswith("scrypt$16384$8$1$")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "x",
        "argon2$16384$8$1$00$00",
        "scrypt$16384$8$1$00",
        "scrypt$a$8$1$00$00",
        "scrypt$16384$8$1$xx$00",
        "scrypt$15$8$1$00$00",
        "scrypt$16384$8$1$00$",
    ],
)
def test_a_hash_of_an_unknown_kind_fits_no_password(stored: str) -> None:
    assert not verify_password("", stored)
    assert not verify_password("x", stored)


@pytest.mark.parametrize(
    ("password", "is_tried"),
    [("", False), ("é" * 512, True), ("é" * 513, False), ("\ud800", False)],
    ids=["empty", "long", "too long", "no text"],
)
def test_what_cannot_be_a_password_is_not_hashed(
    monkeypatch: pytest.MonkeyPatch, password: str, is_tried: bool
) -> None:
    tried: list[str] = []

    def fits_all(password: str, stored: str) -> bool:
        tried.append(password)
        return bool(stored)

    monkeypatch.setattr(access, "fits_argon2", fits_all)
    monkeypatch.setattr(access, "is_available", lambda: True)
    stored = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g"
    assert verify_password(password, stored) is is_tried
    assert bool(tried) is is_tried


@pytest.mark.parametrize(
    ("password", "refusal"),
    [("", "empty"), ("é" * 513, "longer than 1024 bytes"), ("x" * 1024, None), ("é" * 512, None)],
    ids=["empty", "too long", "long", "long, not ascii"],
)
def test_a_new_password_has_bounds(password: str, refusal: str | None) -> None:
    if refusal is None:
        check_new_password(password)
        return
    with pytest.raises(Refused, match=refusal):
        check_new_password(password)


def test_a_password_beyond_the_bounds_is_not_hashed(hashed: list[str]) -> None:
    catalog = a_catalog(root="rootpw")
    hashed.clear()
    for user in ("root", "nobody"):
        assert an_authenticator(catalog).identify(Credentials(user, "x" * 1025)) == ANYBODY
    assert hashed == []


# Passwords and tokens of users


@pytest.mark.usefixtures("hashed")
def test_a_user_is_known_by_a_password_and_by_the_token_that_it_buys() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw", alice="alicepw"))
    assert authenticator.identify(Credentials("root", "rootpw")) == ROOT
    token = token_of(authenticator, "alice", "alicepw")
    assert authenticator.identify(Credentials("alice", token)) == ALICE


@pytest.mark.usefixtures("hashed")
@pytest.mark.parametrize(
    ("user", "secret"),
    [
        ("root", "alicepw"),
        ("root", ""),
        ("root", "rootpw "),
        ("Root", "rootpw"),
        ("root\0", "rootpw"),
        ("", "rootpw"),
        ("nobody", "rootpw"),
        ("../root", "rootpw"),
        ("root", "si1.9999999999.1."),
        ("root", "si1.9999999999.1.é"),
        ("root", "si1..."),
        ("root", "si1"),
        ("root", "rootpw\ud800"),
        ("r" * 100_000, "rootpw"),
    ],
)
def test_whoever_proves_nothing_is_anybody(user: str, secret: str) -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw", alice="alicepw"))
    assert authenticator.identify(Credentials(user, secret)) == ANYBODY
    assert authenticator.log_in(Credentials(user, secret)) is None


@pytest.mark.usefixtures("hashed")
def test_a_token_is_no_use_to_another_user() -> None:
    authenticator = an_authenticator(a_catalog(root="same", alice="same"))
    token = token_of(authenticator, "alice", "same")
    assert authenticator.identify(Credentials("root", token)) == ANYBODY


@pytest.mark.usefixtures("hashed")
def test_a_token_buys_no_other_token() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw"))
    token = token_of(authenticator, "root", "rootpw")
    assert authenticator.log_in(Credentials("root", token)) is None


@pytest.mark.usefixtures("hashed")
def test_a_token_expires() -> None:
    clock = Clock()
    authenticator = an_authenticator(a_catalog(root="rootpw"), clock)
    token = token_of(authenticator, "root", "rootpw")
    clock.pass_(35_999)
    assert authenticator.identify(Credentials("root", token)) == ROOT
    clock.pass_(1)
    assert authenticator.identify(Credentials("root", token)) == ANYBODY


@pytest.mark.usefixtures("hashed")
def test_a_change_of_the_password_ends_logins_and_the_old_password() -> None:
    catalog = a_catalog(root="rootpw")
    authenticator = an_authenticator(catalog)
    token = token_of(authenticator, "root", "rootpw")
    catalog.put_user("root", hash_password("new"), version=2)
    assert authenticator.identify(Credentials("root", token)) == ANYBODY
    assert authenticator.identify(Credentials("root", "rootpw")) == ANYBODY
    assert authenticator.identify(Credentials("root", "new")) == ROOT


@pytest.mark.usefixtures("hashed")
def test_a_token_is_no_use_to_a_later_user_of_the_same_name() -> None:
    catalog = a_catalog(alice="alicepw")
    authenticator = an_authenticator(catalog)
    token = token_of(authenticator, "alice", "alicepw")
    known = catalog.known_users["alice"]
    catalog.known_users["alice"] = replace(known, created_at=AT + timedelta(seconds=1))
    assert authenticator.identify(Credentials("alice", token)) == ANYBODY


@pytest.mark.usefixtures("hashed")
def test_a_token_holds_with_every_worker_and_after_a_restart() -> None:
    catalog = a_catalog(root="rootpw")
    token = token_of(an_authenticator(catalog), "root", "rootpw")
    assert an_authenticator(catalog).identify(Credentials("root", token)) == ROOT
    other_secret = an_authenticator(catalog, secret=SECRET[::-1])
    assert other_secret.identify(Credentials("root", token)) == ANYBODY


@pytest.mark.usefixtures("hashed")
@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda token: token[:-1], id="cut off"),
        pytest.param(lambda token: token[:-1] + "A" + token[-1], id="longer"),
        pytest.param(lambda token: token.swapcase(), id="other case"),
        pytest.param(lambda token: token.replace(".1.", ".2."), id="another version"),
        pytest.param(lambda token: re.sub(r"\d{5,}", "9999999999", token), id="later"),
        pytest.param(lambda token: re.sub(r"\d{5,}", "\N{FULLWIDTH DIGIT NINE}", token), id="wide"),
        pytest.param(lambda token: "si2" + token[3:], id="another kind"),
        pytest.param(lambda token: token + "=", id="padding"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".", id="no signature"),
        pytest.param(lambda token: " " + token, id="blank"),
    ],
)
def test_a_changed_token_proves_nothing(tamper: Callable[[str], str]) -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw"))
    token = token_of(authenticator, "root", "rootpw")
    assert tamper(token) != token
    assert authenticator.identify(Credentials("root", tamper(token))) == ANYBODY


@given(token=st.text() | st.text("si1.0923456789AZ-_").map("si1.{}".format))
def test_no_text_is_too_odd_for_a_token(token: str) -> None:
    catalog = FakeCatalog()
    user = catalog.put_user("root", "hash")
    assert not Logins(SECRET, 60, Clock()).accepts(token, user)


@given(secret=st.binary(min_size=1), user=st.from_regex(r"[A-Za-z0-9]{1,9}", fullmatch=True))
def test_a_token_fits_into_urls_and_is_not_taken_for_another_kind(secret: bytes, user: str) -> None:
    token = Logins(secret, 36_000, Clock()).issue(FakeCatalog().put_user(user, "hash"))
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", token)
    assert not token.startswith(("devpi-", "pypi-"))
    assert len(token) < 100


# What it costs


def test_an_unknown_user_costs_a_hash_too(hashed: list[str]) -> None:
    catalog = a_catalog(root="rootpw")
    authenticator = an_authenticator(catalog)
    hashed.clear()
    for user in ("root", "nobody", "no user's name"):
        for ask in (authenticator.identify, authenticator.log_in):
            ask(Credentials(user, "wrong"))
    assert hashed == ["wrong"] * 6


ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g"


@pytest.mark.parametrize("argon2_is_there", [True, False])
@pytest.mark.parametrize(
    ("user", "secret"),
    [
        ("root", "wrong"),
        ("ROOT", "rootpw"),
        ("nobody", "wrong"),
        ("deleted", "wrong"),
        ("no user's name", "wrong"),
        ("r" * 10_000, "wrong"),
        ("without", "wrong"),
        ("odd", "wrong"),
        ("devpis", "wrong"),
        ("__token__", "junk"),
        ("__token__", "sit_junk"),
        ("root", "si1.1.1.junk"),
    ],
)
def test_whoever_is_wrong_costs_one_hash(
    user: str,
    secret: str,
    argon2_is_there: bool,
    hashed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fits_none(password: str, _: str) -> bool:
        hashed.append(password)
        return False

    monkeypatch.setattr(access, "fits_argon2", fits_none)
    monkeypatch.setattr(access, "is_available", lambda: argon2_is_there)
    catalog = a_catalog(root="rootpw", deleted="pw")
    del catalog.known_users["deleted"]
    catalog.put_user("without", "unusable")
    catalog.put_user("odd", "scrypt$99$8$1$00$00")
    catalog.put_user("devpis", ARGON2)
    authenticator = an_authenticator(catalog)
    hashed.clear()
    assert authenticator.identify(Credentials(user, secret)) == ANYBODY
    assert hashed == [secret]


@pytest.mark.parametrize("secret", ["", "x" * 1025, "\ud800"], ids=["empty", "long", "no text"])
@pytest.mark.parametrize("user", ["root", "nobody", "without", "devpis"])
def test_what_no_password_can_be_costs_nobody_a_hash(
    user: str, secret: str, hashed: list[str]
) -> None:
    catalog = a_catalog(root="rootpw")
    catalog.put_user("without", "unusable")
    catalog.put_user("devpis", ARGON2)
    hashed.clear()
    assert an_authenticator(catalog).identify(Credentials(user, secret)) == ANYBODY
    assert hashed == []


def test_a_hash_of_nobody_is_as_dear_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[tuple[int, ...]] = []

    def costing(_: bytes, *, salt: bytes, n: int, r: int, p: int, dklen: int, **__: Any) -> bytes:
        costs.append((len(salt), n, r, p, dklen))
        return bytes(range(dklen))

    monkeypatch.setattr(hashlib, "scrypt", costing)
    catalog = a_catalog(root="rootpw")
    for user in ("root", "nobody"):
        an_authenticator(catalog).log_in(Credentials(user, "x"))
    assert len(costs) == 3
    assert len(set(costs)) == 1


def test_a_token_costs_no_hash(hashed: list[str]) -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw"))
    token = token_of(authenticator, "root", "rootpw")
    hashed.clear()
    assert authenticator.identify(Credentials("root", token)) == ROOT
    assert hashed == []


def test_a_password_that_was_right_is_not_hashed_again_for_a_minute(hashed: list[str]) -> None:
    clock = Clock()
    authenticator = an_authenticator(a_catalog(root="rootpw"), clock)
    hashed.clear()
    for _ in range(100):
        assert authenticator.identify(Credentials("root", "rootpw")) == ROOT
    assert hashed == ["rootpw"]
    clock.pass_(61)
    assert authenticator.identify(Credentials("root", "rootpw")) == ROOT
    assert hashed == ["rootpw"] * 2


def test_a_wrong_password_is_hashed_each_time(hashed: list[str]) -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw"))
    assert authenticator.identify(Credentials("root", "rootpw")) == ROOT
    hashed.clear()
    for _ in range(3):
        assert authenticator.identify(Credentials("root", "wrong")) == ANYBODY
    assert hashed == ["wrong"] * 3


def test_verified_passwords_are_remembered_in_bounds(
    hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_VERIFIED_MAX", 3)
    names = [f"user{number}" for number in range(10)]
    authenticator = an_authenticator(a_catalog(**dict.fromkeys(names, "pw")))
    for name in names:
        assert authenticator.identify(Credentials(name, "pw")) == Principal(UserName(name))
    hashed.clear()
    for name in names:
        authenticator.identify(Credentials(name, "pw"))
    assert len(hashed) >= 7


# Rules

OPEN = Rules(restrict_modify=())
ROOT_ONLY = Rules(restrict_modify=("root",))
CAROL_TOO = Rules(restrict_modify=("root", "carol"))
CAROL = Principal(UserName("carol"))
LOCAL, DEMO = IndexName("root/local"), parse_project_name("demo")


def an_index(**settings: Any) -> Index:
    return Index(LOCAL, StageSettings(**settings))


@pytest.mark.parametrize(
    ("rules", "principal", "users", "alices_index"),
    [
        pytest.param(ROOT_ONLY, ROOT, True, True, id="restricted, root"),
        pytest.param(ROOT_ONLY, ALICE, False, False, id="restricted, owner"),
        pytest.param(ROOT_ONLY, CAROL, False, False, id="restricted, other"),
        pytest.param(ROOT_ONLY, ANYBODY, False, False, id="restricted, anybody"),
        pytest.param(CAROL_TOO, CAROL, True, True, id="two may, one of them"),
        pytest.param(CAROL_TOO, ALICE, False, False, id="two may, owner"),
        pytest.param(Rules(("carol",)), ROOT, False, False, id="another may, root"),
        pytest.param(OPEN, ROOT, True, True, id="open, root"),
        pytest.param(OPEN, ALICE, True, True, id="open, owner"),
        pytest.param(OPEN, CAROL, True, False, id="open, other"),
        pytest.param(OPEN, ANYBODY, False, False, id="open, anybody"),
    ],
)
def test_restrict_modify_names_who_makes_users_and_indexes(
    rules: Rules, principal: Principal, users: bool, alices_index: bool
) -> None:
    assert rules.may_create_user(principal) is users
    assert rules.may_create_index(principal, UserName("alice")) is alices_index


def test_only_root_may_change_things_by_default() -> None:
    assert Rules() == ROOT_ONLY


@pytest.mark.parametrize(
    ("acl_upload", "may"),
    [
        pytest.param(("alice",), {"alice"}, id="a name"),
        pytest.param((), set(), id="nobody, and root is not implied"),
        pytest.param((":AUTHENTICATED:",), {"root", "alice"}, id="all who logged in"),
        pytest.param((":ANONYMOUS:",), {"root", "alice", None}, id="all"),
        pytest.param(("ALICE", ":group"), set(), id="other names"),
    ],
)
def test_uploads_are_for_those_whom_the_index_names(
    acl_upload: tuple[str, ...], may: set[str | None]
) -> None:
    index = an_index(acl_upload=acl_upload)
    for rules in (ROOT_ONLY, OPEN):
        everyone = (ROOT, ALICE, ANYBODY)
        assert {who.name for who in everyone if rules.may_upload(who, index, DEMO)} == may
        assert {who.name for who in everyone if rules.may_upload_some(who, index)} == may


@pytest.mark.parametrize(
    ("rules", "principal", "password", "email", "remove"),
    [
        pytest.param(ROOT_ONLY, ROOT, True, True, True, id="restricted, root"),
        pytest.param(ROOT_ONLY, ALICE, True, False, False, id="restricted, herself"),
        pytest.param(ROOT_ONLY, CAROL, False, False, False, id="restricted, other"),
        pytest.param(ROOT_ONLY, ANYBODY, False, False, False, id="restricted, anybody"),
        pytest.param(CAROL_TOO, CAROL, True, True, True, id="two may, one of them"),
        pytest.param(Rules(("carol",)), ROOT, False, False, False, id="another may, root"),
        pytest.param(Rules(("alice",)), ALICE, True, True, False, id="alone may, herself"),
        pytest.param(OPEN, ROOT, True, True, True, id="open, root"),
        pytest.param(OPEN, ALICE, True, True, True, id="open, herself"),
        pytest.param(OPEN, CAROL, False, False, False, id="open, other"),
        pytest.param(OPEN, ANYBODY, False, False, False, id="open, anybody"),
    ],
)
def test_users_change_their_passwords_and_admins_change_users(
    rules: Rules, principal: Principal, password: bool, email: bool, remove: bool
) -> None:
    alice = UserName("alice")
    assert rules.may_change_user(principal, alice, {"password"}) is password
    assert rules.may_change_user(principal, alice, {"email"}) is email
    assert rules.may_change_user(principal, alice, {"email", "password"}) is email
    assert rules.may_change_user(principal, alice, set()) is password
    assert rules.may_remove_user(principal, alice) is remove


@pytest.mark.parametrize("rules", [ROOT_ONLY, CAROL_TOO, Rules(("carol",)), OPEN], ids=str)
def test_nobody_removes_root(rules: Rules) -> None:
    for principal in (ROOT, ALICE, CAROL, ANYBODY):
        assert not rules.may_remove_user(principal, UserName("root"))


@pytest.mark.parametrize(
    ("rules", "principal", "change", "see"),
    [
        pytest.param(ROOT_ONLY, ROOT, True, True, id="restricted, root"),
        pytest.param(ROOT_ONLY, ALICE, False, True, id="restricted, owner"),
        pytest.param(ROOT_ONLY, CAROL, False, False, id="restricted, other"),
        pytest.param(ROOT_ONLY, ANYBODY, False, False, id="restricted, anybody"),
        pytest.param(Rules(("carol",)), CAROL, True, True, id="another may, that one"),
        pytest.param(Rules(("carol",)), ROOT, False, True, id="another may, root"),
        pytest.param(OPEN, ALICE, True, True, id="open, owner"),
        pytest.param(OPEN, CAROL, False, False, id="open, other"),
        pytest.param(OPEN, ANYBODY, False, False, id="open, anybody"),
    ],
)
def test_settings_are_changed_by_admins_and_their_secrets_seen_by_owners_too(
    rules: Rules, principal: Principal, change: bool, see: bool
) -> None:
    index = IndexName("alice/dev")
    assert rules.may_change_index(principal, index) is change
    assert rules.may_see_secrets(principal, index) is see


def test_nobody_uploads_to_a_mirror() -> None:
    mirror = Index(LOCAL, MirrorSettings())
    assert not OPEN.may_upload(ROOT, mirror, DEMO)
    assert not OPEN.may_upload_some(ROOT, mirror)


@pytest.mark.parametrize(
    ("project", "may"),
    [
        pytest.param("art", "root", id="no pattern"),
        pytest.param("demo", "carol", id="the name itself"),
        pytest.param("demo-x", "alice", id="a pattern"),
        pytest.param("demo-xyz", "root", id="the longer pattern"),
        pytest.param("shut", None, id="nobody"),
    ],
)
def test_a_project_is_for_those_whom_its_pattern_names(project: str, may: str | None) -> None:
    acls = {"demo*": ("alice",), "demo": ("carol",), "demo-xy*": ("root",), "shut": ()}
    index = an_index(acl_upload=("root",), acl_project_upload=acls)
    name = parse_project_name(project)
    allowed = {who.name for who in (ROOT, ALICE, CAROL) if ROOT_ONLY.may_upload(who, index, name)}
    assert allowed == ({may} if may else set())
    assert all(ROOT_ONLY.may_upload_some(who, index) for who in (ROOT, ALICE, CAROL))
    assert ROOT_ONLY.may_mark(ROOT, index, name)  # who could change the setting anyway
    assert ROOT_ONLY.may_mark(ALICE, index, name) is (may == "alice")


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        pytest.param({}, {"root", "alice", "carol", None}, id="as made"),
        pytest.param({"acl_read": ()}, {"root"}, id="nobody but owner and root"),
        pytest.param({"acl_read": ("alice",)}, {"root", "alice"}, id="a name"),
        pytest.param(
            {"acl_read": (":AUTHENTICATED:",)}, {"root", "alice", "carol"}, id="all who logged in"
        ),
        pytest.param({"acl_read": (), "acl_upload": ("carol",)}, {"root", "carol"}, id="uploader"),
        pytest.param(
            {"acl_read": (), "acl_project_upload": {"x": ("carol",)}},
            {"root", "carol"},
            id="uploader of a project",
        ),
        pytest.param(
            {"acl_read": ("alice",), "acl_upload": (":ANONYMOUS:",)},
            {"root", "alice"},
            id="everybody may drop files, not see them",
        ),
    ],
)
def test_an_index_is_read_by_those_whom_it_names(
    settings: dict[str, Any], may: set[str | None]
) -> None:
    index = an_index(**settings)
    for rules in (ROOT_ONLY, OPEN):
        everyone = (ROOT, ALICE, CAROL, ANYBODY)
        assert {who.name for who in everyone if rules.may_read(who, index)} == may
    assert CAROL_TOO.may_read(CAROL, index)


def test_the_owner_may_read() -> None:
    index = Index(IndexName("alice/dev"), StageSettings(acl_read=()))
    assert ROOT_ONLY.may_read(ALICE, index)
    assert not ROOT_ONLY.may_read(CAROL, index)


def test_a_mirror_is_read_by_those_whom_it_names() -> None:
    mirror = Index(LOCAL, MirrorSettings(acl_read=("alice",)))
    assert ROOT_ONLY.may_read(ALICE, mirror)
    assert not ROOT_ONLY.may_read(ANYBODY, mirror)


# Tokens with limits

TOKEN = ApiToken("1a2b", UserName("alice"), "ci", "0" * 64, AT)


def by_token(**limits: Any) -> Principal:
    return Principal(TOKEN.user, replace(TOKEN, **limits))


@pytest.mark.parametrize(
    ("limits", "reads", "uploads"),
    [
        pytest.param({}, True, True, id="none"),
        pytest.param({"actions": (TokenAction.READ,)}, True, False, id="read"),
        pytest.param({"actions": (TokenAction.UPLOAD,)}, False, True, id="upload"),
        pytest.param({"indexes": ("root/*",)}, True, True, id="index"),
        pytest.param({"indexes": ("alice/*", "root/other")}, False, False, id="other indexes"),
        pytest.param({"projects": ("de*",)}, True, True, id="project"),
        pytest.param({"projects": ("art",)}, False, False, id="other project"),
    ],
)
def test_a_token_may_do_what_its_user_may_within_its_limits(
    limits: dict[str, Any], reads: bool, uploads: bool
) -> None:
    index = an_index(acl_upload=("alice",), acl_read=("alice",))
    assert ROOT_ONLY.may_read(by_token(**limits), index, DEMO) is reads
    assert ROOT_ONLY.may_upload(by_token(**limits), index, DEMO) is uploads
    others = an_index(acl_upload=("carol",), acl_read=("carol",))
    assert not ROOT_ONLY.may_read(by_token(**limits), others, DEMO)
    assert not ROOT_ONLY.may_upload(by_token(**limits), others, DEMO)


def test_a_token_for_some_projects_does_not_open_the_index_as_a_whole() -> None:
    index = an_index(acl_upload=("alice",), acl_read=("alice",))
    principal = by_token(projects=("demo",))
    assert not ROOT_ONLY.may_read(principal, index)
    assert ROOT_ONLY.may_upload_some(principal, index)


def test_a_token_is_not_for_changing_anything_but_by_uploads() -> None:
    robot = Principal(UserName("root"), replace(TOKEN, user=UserName("root")))
    index = an_index(acl_upload=("root",))
    for rules in (ROOT_ONLY, OPEN):
        assert rules.may_upload(robot, index, DEMO)
        assert not rules.may_mark(robot, index, DEMO)
        assert not rules.may_remove(robot, index, DEMO)
        assert not rules.may_create_user(robot)
        assert not rules.may_change_user(robot, UserName("root"), {"password"})
        assert not rules.may_remove_user(robot, UserName("alice"))
        assert not rules.may_create_index(robot, UserName("root"))
        assert not rules.may_change_index(robot, LOCAL)
        assert not rules.may_see_secrets(robot, LOCAL)
        assert not rules.may_manage_tokens(robot, UserName("root"))


def test_users_and_root_manage_tokens() -> None:
    assert ROOT_ONLY.may_manage_tokens(ALICE, UserName("alice"))
    assert ROOT_ONLY.may_manage_tokens(ROOT, UserName("alice"))
    assert not ROOT_ONLY.may_manage_tokens(CAROL, UserName("alice"))
    assert not ROOT_ONLY.may_manage_tokens(ANYBODY, UserName("alice"))


@pytest.mark.usefixtures("hashed")
@pytest.mark.parametrize("user", ["__token__", "alice"])
def test_an_api_token_stands_for_its_user(user: str) -> None:
    catalog, secret = a_catalog_with_a_token()
    known = an_authenticator(catalog).identify(Credentials(user, secret))
    assert known == Principal(UserName("alice"), catalog.known_tokens[0])


@pytest.mark.parametrize(
    ("user", "change"),
    [
        pytest.param("root", lambda secret: secret, id="of another user"),
        pytest.param("nobody", lambda secret: secret, id="of nobody"),
        pytest.param("", lambda secret: secret, id="without a name"),
        pytest.param("__token__", lambda secret: secret[:-1], id="cut off"),
        pytest.param("__token__", lambda secret: secret + "A", id="longer"),
        pytest.param("__token__", lambda secret: secret.swapcase(), id="other case"),
        pytest.param("__token__", lambda secret: secret.removeprefix("sit_"), id="no prefix"),
        pytest.param("__token__", lambda _: "alicepw", id="a password"),
        pytest.param("__token__", lambda _: "sit_\ud800", id="half a character"),
    ],
)
def test_whatever_is_no_token_of_that_user_proves_nothing(
    user: str, change: Callable[[str], str], hashed: list[str]
) -> None:
    catalog, secret = a_catalog_with_a_token()
    hashed.clear()
    assert an_authenticator(catalog).identify(Credentials(user, change(secret))) == ANYBODY
    assert len(hashed) <= 1


@pytest.mark.usefixtures("hashed")
def test_an_api_token_ends_when_it_says_and_with_its_record() -> None:
    clock = Clock()
    catalog, secret = a_catalog_with_a_token(days=2)
    authenticator = an_authenticator(catalog, clock)
    robot = Credentials("__token__", secret)
    clock.pass_(2 * 86_400 - 1)
    assert authenticator.identify(robot).name == "alice"
    clock.pass_(1)
    assert authenticator.identify(robot) == ANYBODY
    catalog, secret = a_catalog_with_a_token()
    catalog.known_tokens.clear()
    assert an_authenticator(catalog).identify(Credentials("__token__", secret)) == ANYBODY


@pytest.mark.usefixtures("hashed")
def test_an_api_token_does_not_buy_a_login() -> None:
    catalog, secret = a_catalog_with_a_token()
    for user in ("__token__", "alice"):
        assert an_authenticator(catalog).log_in(Credentials(user, secret)) is None


def a_catalog_with_a_token(**wish: Any) -> tuple[FakeCatalog, str]:
    catalog = a_catalog(root="rootpw", alice="alicepw")
    token, secret = issue(UserName("alice"), TokenWish(**wish), AT)
    catalog.known_tokens.append(token)
    return catalog, secret


# Failures

HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"


def fail(authenticator: Authenticator, user: str, address: str | None, times: int = 10) -> None:
    for number in range(times):
        credentials = Credentials(user, f"wrong {number}")
        assert authenticator.identify(credentials, address) == ANYBODY


def test_a_user_is_not_guessed_at_more_than_ten_times(hashed: list[str]) -> None:
    clock = Clock()
    authenticator = an_authenticator(a_catalog(root="rootpw", alice="alicepw"), clock)
    for number in range(10):
        fail(authenticator, "root", f"192.0.2.{number}", times=1)
    hashed.clear()
    for ask in (authenticator.identify, authenticator.log_in):
        with pytest.raises(TooManyFailures, match="300 seconds") as refused:
            ask(Credentials("root", "rootpw"), ELSEWHERE)
        assert refused.value.headers == {"retry-after": "300"}
    assert hashed == []
    assert authenticator.identify(Credentials("alice", "alicepw"), ELSEWHERE) == ALICE
    clock.pass_(300)
    assert authenticator.identify(Credentials("root", "rootpw"), ELSEWHERE) == ROOT


@pytest.mark.usefixtures("hashed")
def test_an_address_does_not_guess_more_than_ten_times() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw", alice="alicepw"))
    for number in range(10):
        fail(authenticator, f"user{number}", HOME, times=1)
    with pytest.raises(TooManyFailures):
        authenticator.identify(Credentials("root", "rootpw"), HOME)
    assert authenticator.identify(Credentials("root", "rootpw"), ELSEWHERE) == ROOT


@pytest.mark.usefixtures("hashed")
def test_a_right_password_does_not_make_up_for_failures() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw", alice="alicepw"))
    fail(authenticator, "root", HOME, times=9)
    assert authenticator.identify(Credentials("alice", "alicepw"), HOME) == ALICE
    fail(authenticator, "root", HOME, times=1)
    with pytest.raises(TooManyFailures):
        fail(authenticator, "alice", HOME, times=1)


@pytest.mark.usefixtures("hashed")
def test_tokens_work_on_while_passwords_are_guessed_at() -> None:
    catalog, secret = a_catalog_with_a_token()
    authenticator = an_authenticator(catalog)
    login = token_of(authenticator, "alice", "alicepw")
    fail(authenticator, "alice", HOME)
    assert authenticator.identify(Credentials("alice", login), HOME) == ALICE
    assert authenticator.identify(Credentials("__token__", secret), HOME).name == "alice"


@pytest.mark.usefixtures("hashed")
def test_whoever_was_right_a_moment_ago_works_on_while_others_guess() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw"))
    right = Credentials("root", "rootpw")
    assert authenticator.identify(right, HOME) == ROOT
    fail(authenticator, "root", ELSEWHERE)
    assert authenticator.identify(right, HOME) == ROOT
    # To those who guess, the password that is remembered is no easier to find than any.
    with pytest.raises(TooManyFailures):
        authenticator.identify(right, ELSEWHERE)


def test_guesses_from_everywhere_keep_no_user_out(hashed: list[str]) -> None:
    clock = Clock()
    authenticator = an_authenticator(a_catalog(root="rootpw", alice="alicepw"), clock)
    right = Credentials("root", "rootpw")
    assert authenticator.identify(right, HOME) == ROOT
    clock.pass_(3600)
    for number in range(1000):
        try:
            authenticator.identify(Credentials("root", f"{number}"), f"198.18.0.{number}")
        except TooManyFailures:
            assert number >= 10
    hashed.clear()
    with pytest.raises(TooManyFailures):
        authenticator.identify(right, ELSEWHERE)
    assert hashed == []
    # By the way that they came before, and on the computer itself, they go in at once.
    for address in (HOME, "127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert authenticator.identify(right, address) == ROOT
    # Whoever guesses there is held up as everywhere.
    for address in (HOME, "127.0.0.1"):
        fail(authenticator, "root", address)
        with pytest.raises(TooManyFailures):
            authenticator.identify(right, address)


@pytest.mark.usefixtures("hashed")
def test_guesses_at_many_users_keep_nobody_out_where_they_are_known() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw", alice="alicepw"))
    authenticator.log_in(Credentials("root", "rootpw"), HOME)
    for number in range(1000):
        fail(authenticator, f"user{number}", f"198.18.{number // 250}.{number % 250}", times=1)
    with pytest.raises(TooManyFailures):
        authenticator.log_in(Credentials("alice", "alicepw"), HOME)
    assert authenticator.log_in(Credentials("root", "rootpw"), HOME) is not None
    assert authenticator.log_in(Credentials("alice", "alicepw"), "127.0.0.1") is not None


@pytest.mark.usefixtures("hashed")
def test_failures_on_the_computer_itself_shut_no_door_elsewhere() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw"))
    fail(authenticator, "root", "127.0.0.1")
    assert authenticator.identify(Credentials("root", "rootpw"), HOME) == ROOT


@pytest.mark.usefixtures("hashed")
def test_a_guess_at_a_remembered_password_counts_too() -> None:
    authenticator = an_authenticator(a_catalog(root="rootpw"))
    right = Credentials("root", "rootpw")
    for address in (HOME, None):
        authenticator.identify(right, address)
    fail(authenticator, "root", HOME)
    for address in (HOME, None):
        with pytest.raises(TooManyFailures):
            authenticator.identify(right, address)


@pytest.mark.usefixtures("hashed")
def test_a_guess_at_a_token_is_a_failure_of_its_address_and_of_no_user() -> None:
    catalog, _ = a_catalog_with_a_token()
    authenticator = an_authenticator(catalog)
    for number in range(10):
        guess = Credentials("__token__", f"sit_{number}")
        assert authenticator.identify(guess, HOME) == ANYBODY
    with pytest.raises(TooManyFailures):
        authenticator.identify(Credentials("__token__", "sit_x"), HOME)
    assert authenticator.identify(Credentials("__token__", "sit_x"), ELSEWHERE) == ANYBODY


def test_a_login_that_has_ended_is_no_failure(hashed: list[str]) -> None:
    clock = Clock()
    catalog = a_catalog(root="rootpw")
    authenticator = an_authenticator(catalog, clock)
    expired = token_of(authenticator, "root", "rootpw")
    clock.pass_(36_000)
    other = token_of(authenticator, "root", "rootpw")
    catalog.put_user("root", hash_password("new"), version=2)
    hashed.clear()
    for _ in range(20):
        for login in (expired, other):
            assert authenticator.identify(Credentials("root", login), HOME) == ANYBODY
    assert hashed == []
    assert authenticator.identify(Credentials("root", "new"), HOME) == ROOT


@pytest.mark.parametrize(
    ("principal", "index", "may"),
    [
        (ROOT, "root/local", True),
        (ROOT, "root/other", False),
        (ALICE, "root/local", False),
        (ANYBODY, "root/local", False),
    ],
)
def test_only_roots_upload_makes_only_root_local(
    principal: Principal, index: str, may: bool
) -> None:
    assert ROOT_ONLY.may_make_by_upload(principal, IndexName(index)) is may
