"""What the doctor says of a site: one thing is wrong, and that is what is told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from simpleindex.config import read_config
from simpleindex.doctor.checks import findings
from simpleindex.doctor.examined import (
    Certificate,
    Directory,
    Examined,
    Known,
    Machine,
    Package,
    Upstream,
)
from simpleindex.doctor.finding import Finding, Level
from simpleindex_storage.backup.last import LastBackup
from simpleindex_storage.model import EVERYBODY, ApiToken, Index, StageSettings, User
from simpleindex_storage.names import IndexName, UserName
from simpleindex_storage.opening import FolderState

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA"
ROOT = User(UserName("root"), "scrypt", 1, NOW)
TOKEN = ApiToken("t1", UserName("root"), "ci", "0" * 64, NOW)

MACHINE = Machine(
    python=(3, 12, 1),
    sqlite=(3, 40, 1),
    packages=(Package("starlette", Requirement("starlette>=1.5.1"), "1.6.0"),),
    has_argon2=False,
    open_files_max=4096,
)
DIRECTORY = Directory(
    path=Path("/srv/index"),
    state=FolderState.OURS,
    is_there=True,
    is_its_owners=True,
    filesystem="ext4",
    free_bytes=100 << 30,
    free_inodes=1_000_000,
    has_links=True,
    is_synced=True,
    ignores_case=False,
    open_to_others=(),
    is_in_use=True,
    wal_bytes=0,
    has_ballast=True,
    has_first_password=False,
    last_backup=LastBackup(Path("/backups/1"), NOW - timedelta(days=1)),
)
KNOWN = Known(damage=(), users=(ROOT,), indexes=(Index(IndexName("root/local"), StageSettings()),))


def a_site(
    *,
    settings: Mapping[str, object] = {},
    variables: Mapping[str, str] = {},
    machine: Machine = MACHINE,
    directory: Directory = DIRECTORY,
    known: Known | None = KNOWN,
    now: datetime = NOW,
    is_answered: bool = True,
    certificate: Certificate | None = None,
    upstreams: tuple[Upstream, ...] = (),
) -> Examined:
    """A site in which all is well, but for what is said."""
    config = read_config({"serverdir": "/srv/index", **settings}, {})
    return Examined(
        now=now,
        config=config,
        variables=variables,
        machine=machine,
        directory=directory,
        known=known,
        is_answered=is_answered,
        certificate=certificate,
        upstreams=upstreams,
    )


def with_stage(settings: StageSettings) -> Known:
    return replace(KNOWN, indexes=(Index(IndexName("root/local"), settings),))


def told(seen: Examined) -> list[Finding]:
    """What is not as it should be."""
    return [each for each in findings(seen) if each.level is not Level.OK]


def package(version: str | None) -> Machine:
    return replace(MACHINE, packages=(replace(MACHINE.packages[0], version=version),))


SITES: dict[str, tuple[Level, Examined]] = {
    "python-old": (Level.ERROR, a_site(machine=replace(MACHINE, python=(3, 10, 9)))),
    "sqlite-old": (Level.ERROR, a_site(machine=replace(MACHINE, sqlite=(3, 7, 17)))),
    "package-missing": (Level.ERROR, a_site(machine=package(None))),
    "package-old": (Level.UNSAFE, a_site(machine=package("1.5.0"))),
    "open-files": (Level.NOTE, a_site(machine=replace(MACHINE, open_files_max=256))),
    "directory-missing": (
        Level.ERROR,
        a_site(
            directory=replace(DIRECTORY, is_there=False, state=FolderState.EMPTY), known=None
        ),
    ),
    "directory-closed": (
        Level.ERROR, a_site(directory=replace(DIRECTORY, state=None), known=None)
    ),
    "directory-foreign": (
        Level.ERROR, a_site(directory=replace(DIRECTORY, state=FolderState.FOREIGN), known=None)
    ),
    "directory-owner": (
        Level.ERROR, a_site(directory=replace(DIRECTORY, is_its_owners=False), known=None)
    ),
    "open-to-others": (
        Level.UNSAFE, a_site(directory=replace(DIRECTORY, open_to_others=("./ has 0755",)))
    ),
    "disk-network": (Level.ERROR, a_site(directory=replace(DIRECTORY, filesystem="nfs4"))),
    "disk-forgets": (Level.NOTE, a_site(directory=replace(DIRECTORY, filesystem="tmpfs"))),
    "disk-inodes": (Level.ERROR, a_site(directory=replace(DIRECTORY, free_inodes=3))),
    "disk-links": (Level.NOTE, a_site(directory=replace(DIRECTORY, has_links=False))),
    "disk-sync": (Level.ERROR, a_site(directory=replace(DIRECTORY, is_synced=False))),
    "disk-case": (Level.NOTE, a_site(directory=replace(DIRECTORY, ignores_case=True))),
    "wal-large": (Level.NOTE, a_site(directory=replace(DIRECTORY, wal_bytes=100 << 20))),
    "clock-past": (Level.ERROR, a_site(now=datetime(1970, 1, 1, tzinfo=UTC))),
    "clock-behind": (
        Level.ERROR, a_site(known=replace(KNOWN, newest_at=NOW + timedelta(hours=1)))
    ),
    "catalog-damaged": (Level.ERROR, a_site(known=Known(("is damaged",)))),
    "server-elsewhere": (Level.NOTE, a_site(is_answered=False)),
    "port-taken": (Level.NOTE, a_site(directory=replace(DIRECTORY, is_in_use=False))),
    "variable-unknown": (Level.NOTE, a_site(variables={"SIMPLEINDEX_PROT": "1"})),
    "plain-http": (Level.UNSAFE, a_site(settings={"host": "0.0.0.0"})),
    "certificate-unusable": (Level.ERROR, a_site(certificate=Certificate(fault="no key"))),
    "certificate-refused": (
        Level.ERROR, a_site(certificate=Certificate(warnings=("it has expired",)))
    ),
    "proxy-untrusted": (Level.NOTE, a_site(settings={"outside_url": "https://x.example"})),
    "sending-idle": (Level.NOTE, a_site(settings={"send_files_by": "x-sendfile"})),
    "modify-open": (Level.UNSAFE, a_site(settings={"restrict_modify": ""})),
    "first-password": (Level.NOTE, a_site(directory=replace(DIRECTORY, has_first_password=True))),
    "password-unusable": (
        Level.ERROR, a_site(known=replace(KNOWN, users=(replace(ROOT, password_hash=ARGON2),)))
    ),
    "token-lasting": (Level.NOTE, a_site(known=replace(KNOWN, tokens=(TOKEN,)))),
    "upload-open": (Level.UNSAFE, a_site(known=with_stage(StageSettings(acl_upload=EVERYBODY)))),
    "whitelist-open": (
        Level.UNSAFE,
        a_site(
            known=with_stage(
                StageSettings(mirror_whitelist=("*",), bases=(IndexName("root/pypi"),))
            )
        ),
    ),
    "automatic-volatile": (
        Level.NOTE,
        a_site(known=replace(KNOWN, indexes=(replace(KNOWN.indexes[0], automatic=True),))),
    ),
    "upload-limit": (Level.NOTE, a_site(settings={"upload_bytes_max": 200 << 30})),
    "upstream-silent": (
        Level.ERROR, a_site(upstreams=(Upstream("root/pypi", "packages.example", False),))
    ),
    "backup-none": (Level.NOTE, a_site(directory=replace(DIRECTORY, last_backup=None))),
    "backup-old": (
        Level.NOTE,
        a_site(
            directory=replace(
                DIRECTORY, last_backup=LastBackup(Path("/b"), NOW - timedelta(days=30))
            )
        ),
    ),
}  # fmt: skip


def test_of_a_site_in_which_all_is_well_nothing_is_told() -> None:
    assert told(a_site()) == []
    upstream = Upstream("root/pypi", "packages.example", None)
    assert told(a_site(settings={"port": 0}, is_answered=True, upstreams=(upstream,))) == []


@pytest.mark.parametrize("code", SITES)
def test_what_is_wrong_is_told_with_its_level_and_what_to_do(code: str) -> None:
    level, site = SITES[code]
    (found,) = told(site)
    assert (found.level, found.code) == (level, code)
    assert found.what and found.advice
    assert "\n" not in found.what + found.advice


def test_a_full_disk_is_an_error_and_too_small_for_the_largest_upload() -> None:
    found = told(a_site(directory=replace(DIRECTORY, free_bytes=1 << 20)))
    assert {each.code for each in found} == {"disk-full", "upload-limit"}


def test_that_nothing_is_set_aside_is_told_only_where_there_is_no_room_for_it() -> None:
    assert told(a_site(directory=replace(DIRECTORY, has_ballast=False))) == []
    found = told(a_site(directory=replace(DIRECTORY, has_ballast=False, free_bytes=1000)))
    assert [each.level for each in found if each.code == "ballast-missing"] == [Level.NOTE]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(hours=2), "was made today: "),
        (timedelta(hours=20), "was made yesterday: "),
        (timedelta(days=5), "was made 5 days ago: "),
    ],
)
def test_the_age_of_the_last_backup_is_told_in_words(age: timedelta, expected: str) -> None:
    last = LastBackup(Path("/backups/1"), NOW - age)
    (what,) = (
        each.what
        for each in findings(a_site(directory=replace(DIRECTORY, last_backup=last)))
        if each.code == "backup"
    )
    assert expected in what


def test_one_is_told_as_one() -> None:
    (what,) = (each.what for each in findings(a_site()) if each.code == "catalog")
    assert what == "the catalog is whole: 1 user, 1 index"


def test_with_https_in_front_all_addresses_are_safe() -> None:
    settings = {
        "host": "0.0.0.0", "outside_url": "https://x.example", "trusted_proxy": "10.0.0.1",
    }  # fmt: skip
    assert told(a_site(settings=settings)) == []


def test_what_proxies_send_by_themselves_is_told_with_what_they_need() -> None:
    sender = "x-accel-redirect:/+send/"
    site = a_site(settings={"send_files_by": sender, "trusted_proxy": "127.0.0.1"})
    assert told(site) == []
    (what,) = (each.what for each in findings(site) if each.code == "sending")
    assert f"({sender}); they have to run as the directory's owner" in what


def test_with_a_certificate_of_its_own_all_addresses_are_safe() -> None:
    site = a_site(settings={"listen": "0.0.0.0:3141,[::]:3142"}, certificate=Certificate())
    assert told(site) == []
    assert [each.code for each in findings(site) if each.code == "certificate"]


def test_every_address_that_others_reach_in_the_open_is_told() -> None:
    listen = "127.0.0.1:1,localhost:2,[::1]:3,192.0.2.1:4,[::]:5,index.example:6"
    (found,) = told(a_site(settings={"listen": listen}))
    assert "on 192.0.2.1:4, [::]:5, index.example:6 without https" in found.what


def test_what_a_setting_or_argon2_makes_good_is_not_told() -> None:
    variables = {"SIMPLEINDEX_PORT": "1", "SIMPLEINDEX_ROOT_PASSWD": "x", "PATH": "/bin"}
    machine = replace(MACHINE, has_argon2=True)
    known = replace(KNOWN, users=(replace(ROOT, password_hash=ARGON2),))
    assert told(a_site(variables=variables, machine=machine, known=known)) == []
