"""Passwords that devpi-server has hashed, with and without the library that can check them."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from simpleindex.access import Authenticator, Logins, verify_password
from simpleindex.argon2_hashes import is_argon2
from simpleindex.limits import FailureLimits
from simpleindex.wire.credentials import Credentials
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.failures import MemoryNotes
from simpleindex_storage.model import User
from simpleindex_storage.names import UserName
from simpleindex_storage.opening import create_store, open_store, utc_now
from simpleindex_storage.store import Store
from tests.devpi_dump.dumps import ALICE_ARGON2
from tests.devpi_dump.stand_in import with_argon2, without_argon2

ALICE = UserName("alice")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    alice = User(ALICE, ALICE_ARGON2, 1, utc_now())
    create_store(tmp_path / "data", lambda change: change.put_user(alice), utc_now())
    with closing(open_store(tmp_path / "data")) as store:
        yield store


def log_in(store: Store, password: str) -> User | None:
    logins = Logins(b"a secret of the tests, 32 bytes!", 60, utc_now)
    limits = FailureLimits(MemoryNotes(), time.monotonic)
    return Authenticator(store.catalog, logins, limits).log_in(Credentials("alice", password))


def alice_of(store: Store) -> User:
    with store.catalog.snapshot() as seen:
        alice = seen.user(ALICE)
    assert alice is not None
    return alice


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "unusable",
        "$argon2id$",
        ALICE_ARGON2 + "$",
        ALICE_ARGON2.replace("argon2id", "argon2x"),
        ALICE_ARGON2.replace("m=65536", "m=9999999"),
        ALICE_ARGON2.replace("t=3", "t=999"),
        ALICE_ARGON2.replace("p=4", "p=999"),
        "$6$salt$hash",
    ],
)
def test_other_hashes_and_those_that_cost_too_much_are_none_of_these(stored: str) -> None:
    assert not is_argon2(stored)
    assert is_argon2(ALICE_ARGON2)
    assert not verify_password("alicepw", stored)


def test_a_password_fits_where_the_library_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_argon2(monkeypatch, tmp_path, ALICE_ARGON2)
    assert verify_password("alicepw", ALICE_ARGON2)
    assert not verify_password("other", ALICE_ARGON2)


def test_an_empty_password_never_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_argon2(monkeypatch, tmp_path, ALICE_ARGON2)
    module = (tmp_path / "argon2.py").read_text("utf-8").replace('"alicepw"', '""')
    (tmp_path / "argon2.py").write_text(module, "utf-8")
    assert not verify_password("", ALICE_ARGON2)
    assert "argon2" not in sys.modules


def test_a_right_login_leaves_a_hash_of_ours_and_no_login_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_argon2(monkeypatch, tmp_path, ALICE_ARGON2)
    assert log_in(store, "wrong") is None
    assert alice_of(store).password_hash == ALICE_ARGON2
    before = alice_of(store)
    assert log_in(store, "alicepw") == alice_of(store)
    after = alice_of(store)
    assert after.password_hash.startswith("scrypt$")
    assert after.password_version == before.password_version
    without_argon2(monkeypatch)
    assert log_in(store, "alicepw") == after


def test_a_login_succeeds_though_the_new_hash_cannot_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_argon2(monkeypatch, tmp_path, ALICE_ARGON2)

    def full(*_: object, **__: object) -> None:
        raise Unavailable("the disk is full", full=True)

    monkeypatch.setattr(store.catalog, "change", full)
    user = log_in(store, "alicepw")
    assert user is not None
    assert user.password_hash == ALICE_ARGON2


def test_without_the_library_nobody_gets_in_and_the_log_tells_why(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_argon2(monkeypatch)
    with caplog.at_level(logging.WARNING, "simpleindex"):
        assert log_in(store, "alicepw") is None
    assert "simpleindex-server passwd alice" in caplog.text
    assert alice_of(store).password_hash == ALICE_ARGON2
