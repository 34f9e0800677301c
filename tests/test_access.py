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
from simpleindex.wire.credentials import Credentials
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName, UserName
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
    return Authenticator(catalog, Logins(secret, 36_000, clock), clock.seconds)


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
    settings = StageSettings(acl_upload=acl_upload)
    for rules in (ROOT_ONLY, OPEN):
        allowed = {who.name for who in (ROOT, ALICE, ANYBODY) if rules.may_upload(who, settings)}
        assert allowed == may


def test_nobody_uploads_to_a_mirror() -> None:
    assert not OPEN.may_upload(ROOT, MirrorSettings())


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
