"""What every backend of `ports.Catalog` must do. A backend's own tests inherit these."""

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from simpleindex_storage.errors import AlreadyStored, NotStored, Refused, Unavailable
from simpleindex_storage.model import (
    Actor,
    ApiToken,
    Attachment,
    Delivery,
    DistFile,
    Event,
    Fields,
    Index,
    LogEntry,
    MirrorSettings,
    Project,
    ProjectStatus,
    Release,
    StageSettings,
    TokenAction,
    User,
)
from simpleindex_storage.names import (
    FilePlace,
    IndexName,
    UserName,
    parse_filename,
    parse_project_name,
)
from simpleindex_storage.ports import Catalog, Change
from simpleindex_storage.records import time_text
from simpleindex_storage.search_text import Found, Term, folded
from tests.storage.stores import (
    LOCAL,
    NOW,
    WAIT_SECONDS_MAX,
    a_file,
    a_release,
    a_result,
    a_stage,
    attachments_of,
    documentation,
    recorded_files,
    serial_of,
)

DEMO = parse_project_name("demo")
OTHER = IndexName("root/other")
ROOT = User(UserName("root"), "a hash", 1, NOW)
DELIVERY = Delivery(NOW, "root", "three wheels", {"files": ["größer", None], "of": {"a": 1.5}})
TOKEN = ApiToken("1a2b", ROOT.name, "robot", "ab" * 32, NOW)


def change(catalog: Catalog, work: Callable[[Change], object], who: str = "root") -> None:
    catalog.change(work, by=Actor(who), what="test")


def put_user(catalog: Catalog, user: User = ROOT) -> None:
    change(catalog, lambda it: it.put_user(user))


def put_token(catalog: Catalog, token: ApiToken = TOKEN) -> None:
    change(catalog, lambda it: it.put_token(token))


def put_index(catalog: Catalog, index: Index | None = None) -> None:
    change(catalog, lambda it: it.put_index(index or a_stage()))


def record(catalog: Catalog, *files: DistFile, display_name: str = "demo") -> None:
    """Put files in, each in a change of its own."""
    for file in files:

        def work(it: Change, file: DistFile = file) -> None:
            it.put_release(a_release(file), display_name)
            it.put_file(file)

        change(catalog, work)


def put_attachments(catalog: Catalog, *attachments: Attachment) -> None:
    """Put attachments in, each in a change of its own."""
    for attachment in attachments:

        def work(it: Change, attachment: Attachment = attachment) -> None:
            it.put_attachment(attachment)

        change(catalog, work)


def put_described(catalog: Catalog, filename: str, **fields: str | tuple[str, ...]) -> None:
    """A file of a release that says this of itself."""
    file = a_file(filename)

    def work(it: Change) -> None:
        display_name = filename.partition("-")[0]
        it.put_release(Release(file.index, file.project, file.version, fields), display_name)
        it.put_file(file)

    change(catalog, work)


def remove_demo(it: Change) -> None:
    """Remove a project with all that belongs to it, from the leaves to the root."""
    for attachment in it.attachments(LOCAL, DEMO):
        it.remove_attachment(attachment)
    for file in it.files(LOCAL, DEMO):
        it.remove_file(file)
    for release in it.releases(LOCAL, DEMO):
        it.remove_release(LOCAL, DEMO, release.version)
    it.remove_project(LOCAL, DEMO)


def had_demo(catalog: Catalog, index: IndexName = LOCAL) -> bool:
    with catalog.snapshot() as seen:
        return seen.had_project(index, DEMO)


def search(catalog: Catalog, *words: str, index: IndexName = LOCAL) -> list[tuple[str, str]]:
    """Projects and versions in which the words are found; `field:word` narrows."""
    terms = []
    for word in words:
        field, colon, rest = word.partition(":")
        terms.append(Term(folded(rest), field) if colon else Term(folded(word)))
    with catalog.snapshot() as seen:
        return [(found.project.name, found.version) for found in seen.search(index, terms)]


class CatalogContract(ABC):
    """Inherit, and say how the backend is opened."""

    @abstractmethod
    def open(self, root: Path) -> Catalog:
        """The catalog of one server, as a process of its own has it. Called several times.

        The first time it is new, and empty.
        """

    # Serials

    def test_a_new_catalog_is_empty_and_at_serial_0(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        with catalog.snapshot() as seen:
            assert seen.serial == 0
            assert seen.users() == ()
            assert seen.indexes() == ()
            assert seen.user(ROOT.name) is None
            assert seen.index(LOCAL) is None
            assert seen.projects(LOCAL) == ()
            assert seen.project(LOCAL, DEMO) is None
            assert seen.files(LOCAL, DEMO) == ()
            assert seen.releases(LOCAL, DEMO) == ()
            assert seen.release(LOCAL, DEMO, "1.0") is None
            assert seen.attachments(LOCAL, DEMO) == ()
            assert seen.attachment_at(documentation().place) is None
        assert catalog.agreed_serial() == catalog.settled_serial() == 0
        catalog.close()

    def test_each_change_has_the_next_serial(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        for serial in range(1, 6):
            put_user(catalog, replace(ROOT, password_version=serial))
            assert serial_of(catalog) == serial
            assert catalog.agreed_serial() == catalog.settled_serial() == serial
        catalog.close()

    def test_a_change_of_many_things_has_one_serial(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)

        def work(it: Change) -> None:
            it.put_user(ROOT)
            it.put_index(a_stage())
            for filename in ("demo-1.0.tar.gz", "demo-2.0.tar.gz"):
                file = a_file(filename)
                it.put_release(a_release(file), "demo")
                it.put_file(file)

        change(catalog, work)
        with catalog.snapshot() as seen:
            assert seen.serial == 1
            assert seen.index(LOCAL) == replace(a_stage(), serial=1)
            assert seen.project(LOCAL, DEMO) == Project(LOCAL, DEMO, "demo", 1)
        catalog.close()

    def test_a_change_that_changes_nothing_has_no_serial(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        assert catalog.change(lambda it: it.users(), by=Actor(""), what="look") == (ROOT,)
        assert serial_of(catalog) == 1
        assert catalog.agreed_serial() == 1
        catalog.close()

    def test_a_change_that_raises_leaves_nothing_and_its_error_comes_out(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)

        def work(it: Change) -> None:
            it.put_user(ROOT)
            it.put_index(a_stage())
            raise Refused("root", "on second thought")

        with pytest.raises(Refused, match="on second thought"):
            change(catalog, work)
        with catalog.snapshot() as seen:
            assert (seen.serial, seen.users(), seen.indexes()) == (0, (), ())
        assert catalog.agreed_serial() == 0
        put_user(catalog)
        assert serial_of(catalog) == 1
        catalog.close()

    def test_a_change_answers_with_what_its_work_returns(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        assert catalog.change(lambda it: it.serial, by=Actor(""), what="look") == 0
        catalog.close()

    def test_a_change_sees_what_it_has_changed(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)

        def work(it: Change) -> None:
            file = a_file()
            it.put_release(a_release(file), "demo")
            it.put_file(file)
            assert it.files(LOCAL, DEMO) == (file,)
            it.remove_file(file)
            assert it.files(LOCAL, DEMO) == ()
            assert it.removals() == (file.place,)

        change(catalog, work)
        catalog.close()

    def test_many_threads_at_once_get_a_serial_each(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        together = threading.Barrier(16)

        def put(number: int) -> None:
            together.wait(WAIT_SECONDS_MAX)
            name = IndexName(f"root/number{number}")
            put_index(catalog, a_stage(name))

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(put, range(16)))
        with catalog.snapshot() as seen:
            assert seen.serial == 16
            assert {index.serial for index in seen.indexes()} == set(range(1, 17))
        catalog.close()

    def test_one_of_many_that_raises_harms_no_other(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        together = threading.Barrier(16)

        def put(number: int) -> bool:
            def work(it: Change) -> None:
                it.put_index(a_stage(IndexName(f"root/number{number}")))
                if number % 2:
                    raise Refused("number", "it is odd")

            together.wait(WAIT_SECONDS_MAX)
            try:
                change(catalog, work)
            except Refused:
                return False
            return True

        with ThreadPoolExecutor(16) as threads:
            kept = list(threads.map(put, range(16)))
        assert kept == [number % 2 == 0 for number in range(16)]
        with catalog.snapshot() as seen:
            assert {index.serial for index in seen.indexes()} == set(range(1, 9))
        catalog.close()

    # Snapshots, and other processes

    def test_a_snapshot_stays_as_it_is(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        with catalog.snapshot() as seen:
            assert seen.users() == ()
            put_user(catalog)
            assert (seen.serial, seen.users()) == (0, ())
            with catalog.snapshot() as newer:
                assert (newer.serial, newer.users()) == (1, (ROOT,))
        catalog.close()

    def test_a_snapshot_may_be_taken_within_a_change_and_sees_what_stood_before(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)

        def work(it: Change) -> None:
            it.put_user(ROOT)
            with catalog.snapshot() as seen:
                assert (seen.serial, seen.users()) == (0, ())

        change(catalog, work)
        assert serial_of(catalog) == 1
        catalog.close()

    def test_a_snapshot_may_be_left_by_raising(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        for _ in range(3):
            with pytest.raises(Refused), catalog.snapshot() as seen:
                assert seen.serial == 0
                raise Refused("it", "no")
        put_user(catalog)
        assert serial_of(catalog) == 1
        catalog.close()

    def test_another_process_sees_a_change_at_once(self, tmp_path: Path) -> None:
        catalog, other = self.open(tmp_path), self.open(tmp_path)
        put_user(catalog)
        assert other.agreed_serial() == other.settled_serial() == 1
        with other.snapshot() as seen:
            assert (seen.serial, seen.users()) == (1, (ROOT,))
        put_index(other)
        assert catalog.agreed_serial() == 2
        with catalog.snapshot() as seen:
            assert seen.index(LOCAL) == replace(a_stage(), serial=2)
        catalog.close()
        other.close()

    def test_everything_is_there_after_a_restart(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        uuid = catalog.uuid
        catalog.close()
        again = self.open(tmp_path)
        assert recorded_files(again) == (a_file(),)
        assert again.uuid == uuid
        assert serial_of(again) == 2
        again.close()

    def test_a_server_has_32_hex_digits_of_its_own(self, tmp_path: Path) -> None:
        catalog, other = self.open(tmp_path / "one"), self.open(tmp_path / "other")
        assert re.fullmatch(r"[0-9a-f]{32}", catalog.uuid)
        assert catalog.uuid != other.uuid
        catalog.close()
        other.close()

    def test_a_closed_catalog_says_so_and_keeps_nobody_waiting(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        catalog.close()
        with pytest.raises(Unavailable):
            put_user(catalog)

    # Users and indexes

    def test_users_are_kept_whole_and_listed_by_name(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        far_east = timezone(timedelta(hours=8))
        users = (
            User(UserName("Ada"), "hash", 1, NOW),
            User(
                UserName("root"),
                "hash",
                17,
                NOW,
                modified_at=NOW + timedelta(microseconds=1),
                profile={"email": "a@b", "title": "größer 大", "custom_data": {"x": [1, None]}},
            ),
            User(UserName("zoe"), "hash", 1, datetime(2026, 1, 2, 12, 0, tzinfo=far_east)),
        )
        for user in reversed(users):
            put_user(catalog, user)
        with catalog.snapshot() as seen:
            assert seen.users() == users
            assert [seen.user(user.name) for user in users] == list(users)
            assert seen.users()[2].created_at.tzinfo is UTC
            assert seen.user(UserName("ada")) is None
        catalog.close()

    def test_a_user_is_changed_by_being_put_again(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        changed = replace(
            ROOT, password_hash="other", password_version=2, modified_at=NOW, profile={"a": 1}
        )
        put_user(catalog)
        put_user(catalog, changed)
        with catalog.snapshot() as seen:
            assert seen.users() == (changed,)
        catalog.close()

    def test_text_that_no_encoding_has_is_kept_too(self, tmp_path: Path) -> None:
        # JSON can say half of a surrogate pair, and so clients can.
        catalog = self.open(tmp_path)
        user = replace(ROOT, profile={"title": "half \ud83d"})
        put_user(catalog, user)
        with catalog.snapshot() as seen:
            assert seen.users() == (user,)
        catalog.close()

    def test_users_whose_names_differ_only_in_case_are_one_too_many(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        with pytest.raises(AlreadyStored, match="User already exists: ROOT"):
            put_user(catalog, replace(ROOT, name=UserName("ROOT")))
        with catalog.snapshot() as seen:
            assert (seen.serial, seen.users()) == (1, (ROOT,))
        catalog.close()

    def test_tokens_are_kept_whole_and_listed_by_age(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        put_user(catalog, replace(ROOT, name=UserName("ada")))
        younger = replace(
            TOKEN,
            id="0",
            name="größer 大",
            sha256="cd" * 32,
            created_at=NOW + timedelta(microseconds=1),
            expires_at=NOW + timedelta(days=1),
            actions=(TokenAction.UPLOAD,),
            indexes=("root/*", "ada/x"),
            projects=("demo-*",),
        )
        other = replace(TOKEN, id="2", user=UserName("ada"), sha256="ef" * 32)
        for token in (younger, other, TOKEN):
            put_token(catalog, token)
        with catalog.snapshot() as seen:
            assert seen.tokens(ROOT.name) == (TOKEN, younger)
            assert seen.tokens(other.user) == (other,)
            assert seen.tokens(UserName("Root")) == ()
        catalog.close()

    def test_a_token_is_found_by_its_digest_until_it_is_removed(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        put_token(catalog)
        with catalog.snapshot() as seen:
            assert seen.token_by_digest(TOKEN.sha256) == TOKEN
            assert seen.token_by_digest(TOKEN.sha256.upper()) is None
            assert seen.token_by_digest("") is None
        change(catalog, lambda it: it.remove_token(TOKEN))
        with catalog.snapshot() as seen:
            assert seen.token_by_digest(TOKEN.sha256) is None
            assert (seen.serial, seen.tokens(ROOT.name)) == (3, ())
        catalog.close()

    def test_an_id_or_a_digest_is_taken_once(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        put_token(catalog)
        for token in (replace(TOKEN, id="9"), replace(TOKEN, sha256="cd" * 32)):
            with pytest.raises(AlreadyStored, match="Token already exists"):
                put_token(catalog, token)
        with catalog.snapshot() as seen:
            assert seen.tokens(ROOT.name) == (TOKEN,)
        catalog.close()

    def test_what_came_together_is_kept_whole_with_the_serial_of_its_change(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        told: list[int] = []

        def put(it: Change) -> None:
            it.put_delivery(DELIVERY)
            told.append(it.new_serial)

        change(catalog, put)
        assert told == [2]
        change(catalog, lambda it: it.put_delivery(replace(DELIVERY, subject="more", document={})))
        with catalog.snapshot() as seen:
            assert seen.serial == 3
            assert seen.deliveries() == (
                replace(DELIVERY, serial=2),
                replace(DELIVERY, subject="more", document={}, serial=3),
            )
        catalog.close()

    def test_what_came_together_stays_known_when_it_is_taken_back(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        change(catalog, lambda it: it.put_delivery(DELIVERY))
        change(catalog, lambda it: it.undo_delivery(1))
        with catalog.snapshot() as seen:
            assert seen.deliveries() == (replace(DELIVERY, serial=1, undone_serial=2),)
        with pytest.raises(NotStored, match="delivery 7"):
            change(catalog, lambda it: it.undo_delivery(7))
        with catalog.snapshot() as seen:
            assert seen.serial == 2
        catalog.close()

    def test_a_change_takes_in_one_delivery(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)

        def both(it: Change) -> None:
            it.put_delivery(DELIVERY)
            it.put_delivery(DELIVERY)

        with pytest.raises(AlreadyStored):
            change(catalog, both)
        with catalog.snapshot() as seen:
            assert (seen.serial, seen.deliveries()) == (0, ())
        catalog.close()

    def test_tokens_go_with_their_user_and_outlive_a_change_of_it(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        put_token(catalog)
        put_user(catalog, replace(ROOT, password_version=2))
        with catalog.snapshot() as seen:
            assert seen.tokens(ROOT.name) == (TOKEN,)
        change(catalog, lambda it: it.remove_user(ROOT.name))
        put_user(catalog)
        with catalog.snapshot() as seen:
            assert seen.tokens(ROOT.name) == ()
            assert seen.token_by_digest(TOKEN.sha256) is None
        catalog.close()

    @pytest.mark.parametrize(
        "settings",
        [
            StageSettings(),
            StageSettings(
                volatile=False,
                bases=(IndexName("root/pypi"), IndexName("root/gone")),
                acl_upload=("root", ":AUTHENTICATED:"),
                acl_project_upload={"demo-*": ("ada", "root"), "art": ()},
                acl_read=("root", ":AUTHENTICATED:"),
                challenge=True,
                acl_toxresult_upload=(),
                mirror_whitelist=("*",),
                mirror_whitelist_inheritance="union",
                extra={"title": "größer", "custom_data": {"x": 1.5}},
            ),
            MirrorSettings(),
            MirrorSettings(
                volatile=False,
                mirror_url="https://index.example/simple/",
                mirror_web_url_fmt="https://index.example/{name}",
                mirror_cache_expiry_seconds=0,
                mirror_no_project_list=False,
                mirror_use_external_urls=True,
                min_age_days=0.5,
                min_age_from="first-seen",
                approved=("demo==1.0",),
                allow=("acme-*", "demo<2,>=1"),
                deny=("other",),
                reserved_names=("mine-*",),
                file_hosts=("*.example.org",),
                offline=True,
                acl_read=("root",),
                challenge=True,
                extra={"title": "a mirror"},
            ),
        ],
        ids=["stage", "stage with all settings", "mirror", "mirror with all settings"],
    )
    def test_an_index_keeps_its_settings(
        self, settings: StageSettings | MirrorSettings, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog, Index(LOCAL, settings, automatic=True))
        with catalog.snapshot() as seen:
            assert seen.index(LOCAL) == Index(LOCAL, settings, automatic=True, serial=1)
        catalog.close()

    def test_an_index_is_changed_by_being_put_again_and_keeps_its_files(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog, replace(a_stage(), automatic=True))
        record(catalog, a_file())
        put_index(catalog, a_stage(volatile=True))
        with catalog.snapshot() as seen:
            assert seen.indexes() == (replace(a_stage(volatile=True), serial=3),)
            assert seen.files(LOCAL, DEMO) == (a_file(),)
        catalog.close()

    def test_indexes_are_listed_by_name(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        names = [IndexName(name) for name in ("a/b", "a/c", "root/local", "root/pypi")]
        for name in reversed(names):
            put_index(catalog, a_stage(name))
        with catalog.snapshot() as seen:
            assert [index.name for index in seen.indexes()] == names
        catalog.close()

    def test_indexes_whose_names_differ_only_in_case_are_one_too_many(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        with pytest.raises(AlreadyStored, match="Index already exists: root/Local"):
            put_index(catalog, a_stage(IndexName("root/Local")))
        with catalog.snapshot() as seen:
            assert (seen.serial, seen.indexes()) == (1, (replace(a_stage(), serial=1),))
        catalog.close()

    # Projects, releases, files

    def test_a_file_is_kept_whole(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        files = (
            a_file("demo-1.0.tar.gz"),
            a_file("demo-1.0-py3-none-any.whl", requires_python=">=3.5, <4"),
            a_file("demo-0.9.zip", yanked="", findings=("sdist-zip", "requires-dist")),
            replace(a_file("demo-0.8.zip", yanked="böse"), metadata_sha256=None),
            replace(a_file("demo-0.7.zip"), signature_sha256="1" * 64, provenance_sha256="2" * 64),
        )
        record(catalog, *files)
        with catalog.snapshot() as seen:
            assert seen.files(LOCAL, DEMO) == files  # in order of arrival
            for file in files:
                assert seen.file_at(file.place) == file
                assert seen.file_named(LOCAL, file.key) == file
        catalog.close()

    def test_a_page_is_told_of_files_what_is_kept_of_them(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        files = (
            a_file("demo-1.0.tar.gz"),
            a_file("demo-1.0-py3-none-any.whl", requires_python=">=3.5, <4"),
            replace(a_file("demo-0.8.zip", yanked="böse"), metadata_sha256=None),
            replace(a_file("demo-0.7.zip"), signature_sha256="1" * 64, provenance_sha256="2" * 64),
        )
        record(catalog, *files)
        with catalog.snapshot() as seen:
            listed = seen.listed_files(LOCAL, DEMO)
            assert seen.listed_files(OTHER, DEMO) == ()
        for told, file in zip(listed, files, strict=True):
            assert told.place == file.place
            assert told.uploaded_at_text == time_text(file.uploaded_at)
            for name in set(told._fields) - {"index_name", "uploaded_at_text"}:
                assert getattr(told, name) == getattr(file, name)
        catalog.close()

    def test_a_release_has_files_until_the_last_is_removed(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        wheel, sdist = a_file("demo-1.0-py3-none-any.whl"), a_file("demo-1.0.tar.gz")
        record(catalog, wheel, sdist, a_file("demo-2.0.tar.gz"))

        def has_files(index: IndexName = LOCAL, version: str = "1.0") -> bool:
            with catalog.snapshot() as seen:
                return seen.has_files(index, DEMO, version)

        assert has_files()
        assert not has_files(OTHER)
        assert not has_files(version="1.0.0")
        change(catalog, lambda it: it.remove_file(wheel))
        assert has_files()
        change(catalog, lambda it: it.remove_file(sdist))
        assert not has_files()
        assert has_files(version="2.0")
        catalog.close()

    def test_what_happened_to_a_file_is_kept_whole_and_in_order(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        dev, far_east = IndexName("ada/dev"), timezone(timedelta(hours=8))
        log = (
            LogEntry(Event.OVERWRITE, None, NOW, count=3),
            LogEntry(Event.UPLOAD, "ada", NOW + timedelta(microseconds=1), target=dev),
            LogEntry(Event.PUSH, "größer", NOW.astimezone(far_east), source=dev, target=LOCAL),
            LogEntry(Event.PUSH, None, NOW - timedelta(days=1), source=LOCAL, target=LOCAL),
        )
        record(catalog, replace(a_file(), log=log), a_file("demo-2.0.tar.gz"))
        catalog.close()
        again = self.open(tmp_path)
        first, second = recorded_files(again)
        assert (first.log, second.log) == (log, ())
        assert {entry.when.tzinfo for entry in first.log} == {UTC}
        again.close()

    def test_a_files_time_is_kept_to_the_microsecond_in_utc(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        far_east = timezone(timedelta(hours=5, minutes=30))
        record(catalog, a_file(uploaded_at=datetime(2026, 1, 1, 1, 2, 3, 4, far_east)))
        (file,) = recorded_files(catalog)
        assert file.uploaded_at == datetime(2025, 12, 31, 19, 32, 3, 4, UTC)
        assert file.uploaded_at.tzinfo is UTC
        catalog.close()

    def test_a_file_is_found_by_its_place_only_if_all_of_it_is_right(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_index(catalog, a_stage(IndexName("root/other")))
        file = a_file("PyYAML-5.4.1.tar.gz")
        record(catalog, file)
        place = file.place
        with catalog.snapshot() as seen:
            assert seen.file_at(place) == file
            for other in (
                replace(place, index=IndexName("root/other")),
                replace(place, sha256_prefix="0" * 16),
                replace(place, filename="pyyaml-5.4.1.tar.gz"),
                replace(place, filename="PyYAML-5.4.2.tar.gz"),
                replace(place, filename="what is this"),
            ):
                assert seen.file_at(other) is None
        catalog.close()

    def test_a_file_is_found_by_any_spelling_of_its_name(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        file = a_file("Zope.Demo-1.0-py2.py3-none-any.whl")
        record(catalog, file)
        with catalog.snapshot() as seen:
            key = parse_filename("zope_demo-1.0-py3.py2-none-any.whl").key
            assert seen.file_named(LOCAL, key) == file
            assert seen.file_named(IndexName("root/other"), key) is None
        catalog.close()

    def test_a_name_that_is_taken_is_not_taken_twice(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file("Demo-1.0.tar.gz"))
        with pytest.raises(AlreadyStored, match=r"File already exists: demo-1\.0\.tar\.gz"):
            record(catalog, a_file("demo-1.0.tar.gz", b"other bytes"))
        with catalog.snapshot() as seen:
            assert seen.serial == 2
            assert seen.files(LOCAL, DEMO) == (a_file("Demo-1.0.tar.gz"),)
        catalog.close()

    def test_the_same_file_may_be_in_two_indexes(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        other = IndexName("root/other")
        put_index(catalog)
        put_index(catalog, a_stage(other))
        record(catalog, a_file(), a_file(index=other))
        assert recorded_files(catalog) == (a_file(),)
        assert recorded_files(catalog, other) == (a_file(index=other),)
        catalog.close()

    def test_projects_are_listed_by_name_with_the_spelling_of_the_last_upload(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file("zeta-1.0.tar.gz"), display_name="Zeta")
        record(catalog, a_file("alpha-1.0.tar.gz"), display_name="alpha")
        record(catalog, a_file("zeta-2.0.tar.gz"), display_name="ZETA")
        alpha, zeta = parse_project_name("alpha"), parse_project_name("zeta")
        with catalog.snapshot() as seen:
            assert seen.projects(LOCAL) == (
                Project(LOCAL, alpha, "alpha", 3),
                Project(LOCAL, zeta, "ZETA", 4),
            )
            assert seen.project(LOCAL, zeta) == Project(LOCAL, zeta, "ZETA", 4)
            assert seen.project(LOCAL, DEMO) is None
        catalog.close()

    def test_projects_are_listed_some_at_a_time(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_index(catalog, a_stage(OTHER))
        record(catalog, *(a_file(f"{name}-1.0.tar.gz") for name in ("c", "a", "d", "b")))
        record(catalog, replace(a_file("aa-1.0.tar.gz"), index=OTHER))
        with catalog.snapshot() as seen:
            assert seen.listed_projects(LOCAL, "", 3) == (("a", 4), ("b", 6), ("c", 3))
            assert seen.listed_projects(LOCAL, "c", 3) == (("d", 5),)
            assert seen.listed_projects(LOCAL, "d", 3) == ()
            assert seen.listed_projects(IndexName("root/none"), "", 3) == ()
        catalog.close()

    def test_projects_are_counted_as_far_as_that_is_asked_for(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, *(a_file(f"{name}-1.0.tar.gz") for name in ("c", "a", "d", "b")))
        with catalog.snapshot() as seen:
            assert [seen.count_projects(LOCAL, most) for most in (0, 3, 4, 5)] == [0, 3, 4, 4]
            assert (seen.count_projects(LOCAL), seen.count_projects(OTHER)) == (4, 0)
        catalog.close()

    def test_only_the_project_that_changes_gets_a_new_serial(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        other = a_file("other-1.0.tar.gz")
        record(catalog, a_file(), other)
        change(catalog, lambda it: it.remove_file(other))
        with catalog.snapshot() as seen:
            assert {it.name: it.serial for it in seen.projects(LOCAL)} == {"demo": 2, "other": 4}
            assert seen.indexes() == (replace(a_stage(), serial=1),)
        catalog.close()

    def test_a_status_is_kept_and_outlives_uploads(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        marked = Project(LOCAL, DEMO, "demo", 2, ProjectStatus.DEPRECATED, "see other")
        change(catalog, lambda it: it.mark_project(marked))
        with catalog.snapshot() as seen:
            assert seen.project(LOCAL, DEMO) == replace(marked, serial=3)
        record(catalog, a_file("demo-2.0.tar.gz"), display_name="Demo")
        catalog.close()
        catalog = self.open(tmp_path)
        with catalog.snapshot() as seen:
            assert seen.projects(LOCAL) == (replace(marked, serial=4, display_name="Demo"),)
        catalog.close()

    def test_a_yank_is_kept_on_its_file_alone_and_can_be_taken_back(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        file, other = a_file(), a_file("demo-2.0.tar.gz")
        record(catalog, file, other)
        for serial, reason in enumerate(("broken", "", None), 4):

            def yank(it: Change, reason: str | None = reason) -> None:
                it.yank_file(file, reason)

            change(catalog, yank)
            with catalog.snapshot() as seen:
                assert seen.files(LOCAL, DEMO) == (replace(file, yanked=reason), other)
                project = seen.project(LOCAL, DEMO)
            assert project is not None
            assert project.serial == serial
        catalog.close()

    def test_releases_are_kept_whole_and_in_order_of_arrival(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        fields: Fields = {
            "summary": "größer",
            "requires_dist": ("a>=1", 'b; python_version < "3"'),
            "classifiers": ("one",),
            "platform": (),
            "description": "many\nlines\r\n\x00",
        }
        releases = (
            Release(LOCAL, DEMO, "2.0", fields),
            Release(LOCAL, DEMO, "1.0", {}),
            Release(LOCAL, DEMO, "1!0.1.dev1+cpu", {"summary": "odd"}),
        )

        def put_all(it: Change) -> None:
            for release in releases:
                it.put_release(release, "demo")

        change(catalog, put_all)
        with catalog.snapshot() as seen:
            assert seen.releases(LOCAL, DEMO) == releases
            assert [seen.release(LOCAL, DEMO, it.version) for it in releases] == list(releases)
            assert seen.release(LOCAL, DEMO, "3.0") is None
        catalog.close()

    def test_a_release_is_changed_by_being_put_again(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        changed = Release(LOCAL, DEMO, "1.0", {"summary": "better words"})
        change(catalog, lambda it: it.put_release(changed, "Demo"))
        with catalog.snapshot() as seen:
            assert seen.releases(LOCAL, DEMO) == (changed,)
            assert seen.project(LOCAL, DEMO) == Project(LOCAL, DEMO, "Demo", 3)
            assert seen.files(LOCAL, DEMO) == (a_file(),)
        catalog.close()

    # Attachments

    def test_attachments_are_kept_whole_and_in_order_of_arrival(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        file = a_file("demo-2.0.tar.gz")
        record(catalog, file, a_file("demo-1.0.tar.gz"), a_file("other-1.0.tar.gz"))
        attachments = (
            documentation(b"two", "2.0"),
            replace(a_result(file), uploaded_by="größer", size_bytes=1 << 40),
            documentation(b"one", "1.0"),
            a_result(file, number=1),
        )
        put_attachments(catalog, *attachments, documentation(project="other"))
        catalog.close()
        again = self.open(tmp_path)
        with again.snapshot() as seen:
            assert seen.attachments(LOCAL, DEMO) == attachments
            assert [seen.attachment_at(it.place) for it in attachments] == list(attachments)
            assert seen.attachments(IndexName("root/other"), DEMO) == ()
        again.close()

    def test_an_attachment_is_found_by_its_place_only_if_all_of_it_is_right(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_index(catalog, a_stage(IndexName("root/other")))
        file = a_file()
        record(catalog, file)
        put_attachments(catalog, documentation())
        place = documentation().place
        with catalog.snapshot() as seen:
            assert seen.attachment_at(place) == documentation()
            for other in (
                replace(place, index=IndexName("root/other")),
                replace(place, sha256_prefix="0" * 16),
                replace(place, filename="Demo-1.0.doc.zip"),
                file.place,
            ):
                assert seen.attachment_at(other) is None
            assert seen.file_at(place) is None
        catalog.close()

    def test_an_attachment_that_is_put_again_takes_the_place_of_the_old_one(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file(), a_file("demo-2.0.tar.gz"))
        put_attachments(catalog, documentation(), documentation(b"two", "2.0"))
        changed = replace(documentation(), uploaded_by="ada", size_bytes=7)
        put_attachments(catalog, changed)
        assert set(attachments_of(catalog)) == {changed, documentation(b"two", "2.0")}
        assert self.removals(catalog) == ()
        catalog.close()

    def test_the_same_attachment_may_be_in_two_indexes(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        other = IndexName("root/other")
        put_index(catalog)
        put_index(catalog, a_stage(other))
        record(catalog, a_file(), a_file(index=other))
        put_attachments(catalog, documentation(), documentation(index=other))
        change(catalog, lambda it: it.remove_attachment(documentation()))
        assert attachments_of(catalog) == ()
        assert attachments_of(catalog, index=other) == (documentation(index=other),)
        catalog.close()

    def test_a_removed_attachment_is_gone_and_its_place_is_remembered(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        result = a_result(a_file())
        put_attachments(catalog, documentation(), result)
        change(catalog, lambda it: it.remove_attachment(result))
        with catalog.snapshot() as seen:
            assert seen.attachments(LOCAL, DEMO) == (documentation(),)
            assert seen.attachment_at(result.place) is None
            assert seen.files(LOCAL, DEMO) == (a_file(),)
        assert self.removals(catalog) == (result.place,)
        catalog.close()

    def test_attachments_come_and_go_with_a_serial_for_their_project(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file(), a_file("other-1.0.tar.gz"))
        put_attachments(catalog, documentation())
        assert self.serials(catalog) == {"demo": 4, "other": 3}
        change(catalog, lambda it: it.remove_attachment(documentation()))
        assert self.serials(catalog) == {"demo": 5, "other": 3}
        catalog.close()

    def test_a_release_that_is_said_anew_keeps_its_attachments(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        put_attachments(catalog, documentation())
        said = Release(LOCAL, DEMO, "1.0", {"summary": "new words"})
        change(catalog, lambda it: it.put_release(said, "Demo"))
        assert attachments_of(catalog) == (documentation(),)
        catalog.close()

    # Searches

    def test_releases_are_found_by_words_in_what_they_say(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_described(catalog, "zeta-2.0.tar.gz", summary="Grüße an alle", author="Ada")
        put_described(catalog, "zeta-1.0.tar.gz", summary="Hello", keywords="ada")
        put_described(catalog, "alpha-1.0.tar.gz", classifiers=("A :: B", "ADA :: C"))
        assert search(catalog, "ada") == [("alpha", "1.0"), ("zeta", "2.0"), ("zeta", "1.0")]
        assert search(catalog, "GRÜSSE") == [("zeta", "2.0")]
        assert search(catalog, "author:ada") == [("zeta", "2.0")]
        assert search(catalog, "ada", "hell") == [("zeta", "1.0")]
        assert search(catalog, "ada", "summary:ada") == []
        assert search(catalog, "zeta") == [("zeta", "2.0"), ("zeta", "1.0")]
        assert search(catalog, "name:zeta", "author:ada") == [("zeta", "2.0")]
        assert search(catalog) == search(catalog, "a")
        catalog.close()

    def test_what_was_found_is_told_with_its_project_and_fields(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_described(catalog, "Demo-1.0.tar.gz", summary="a demo", author="nobody")
        marked = Project(LOCAL, DEMO, "Demo", 2, ProjectStatus.DEPRECATED, "old")
        change(catalog, lambda it: it.mark_project(marked))
        with catalog.snapshot() as seen:
            assert list(seen.search(LOCAL, [Term("demo")])) == [
                Found(replace(marked, serial=3), "1.0", ("name", "summary"))
            ]
        catalog.close()

    @pytest.mark.parametrize("word", ["%", "_", "!", "\\", "50%", "a_b", "c!d", "e\\f", "'", '"'])
    def test_a_word_is_no_pattern(self, word: str, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_described(catalog, "plain-1.0.tar.gz", summary="50 axb cd ef")
        put_described(catalog, "odd-1.0.tar.gz", summary="50% a_b c!d e\\f 'x' \"y\"")
        # A project's name is searched in all its spellings, of which one has underscores.
        assert search(catalog, f"summary:{word}") == [("odd", "1.0")]
        catalog.close()

    def test_words_that_no_encoding_has_are_found_too(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_described(catalog, "demo-1.0.tar.gz", summary="half \ud83d, nul\0l")
        assert search(catalog, "half", "\ud83d", "nul\0l") == [("demo", "1.0")]
        catalog.close()

    def test_only_what_has_files_is_found(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file("demo-1.0.tar.gz"), a_file("demo-2.0.tar.gz"))
        change(catalog, lambda it: it.remove_file(a_file("demo-2.0.tar.gz")))
        assert search(catalog, "demo") == [("demo", "1.0")]
        catalog.close()

    def test_only_one_index_is_searched(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        other = IndexName("root/other")
        put_index(catalog)
        put_index(catalog, a_stage(other))
        record(catalog, a_file(), a_file("art-1.0.tar.gz", index=other))
        assert search(catalog, "a") == [("demo", "1.0")]
        assert search(catalog, "a", index=other) == [("art", "1.0")]
        assert search(catalog, "a", index=IndexName("root/none")) == []
        catalog.close()

    def test_a_release_is_found_by_what_it_says_now(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_described(catalog, "demo-1.0.tar.gz", summary="old words")
        said = Release(LOCAL, DEMO, "1.0", {"summary": "new words"})
        change(catalog, lambda it: it.put_release(said, "demo"))
        catalog.close()
        again = self.open(tmp_path)
        assert search(again, "old") == []
        assert search(again, "new") == [("demo", "1.0")]
        again.close()

    def test_a_search_goes_on_while_others_read_and_write(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        names = [f"demo-{number}.0.tar.gz" for number in range(1, 6)]
        record(catalog, *map(a_file, names))
        with catalog.snapshot() as seen:
            versions = []
            for found in seen.search(LOCAL, [Term("demo")]):
                record(catalog, a_file(f"more-{found.version}.tar.gz"))
                assert len(seen.files(LOCAL, DEMO)) == len(names)
                versions.append(found.version)
        assert versions == ["1.0", "2.0", "3.0", "4.0", "5.0"]
        catalog.close()

    # Removals

    def test_a_removed_file_is_gone_and_its_place_is_remembered(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        kept, removed = a_file("demo-1.0.tar.gz"), a_file("demo-1.0-py3-none-any.whl", b"wheel")
        record(catalog, kept, removed)
        change(catalog, lambda it: it.remove_file(removed))
        with catalog.snapshot() as seen:
            assert seen.serial == 4
            assert seen.files(LOCAL, DEMO) == (kept,)
            assert seen.file_at(removed.place) is None
            assert seen.file_named(LOCAL, removed.key) is None
        assert self.removals(catalog) == (removed.place,)
        catalog.close()

    def test_a_removal_is_remembered_across_restarts_until_it_is_forgotten(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        change(catalog, lambda it: it.remove_file(a_file()))
        catalog.close()
        again = self.open(tmp_path)
        assert self.removals(again) == (a_file().place,)
        change(again, lambda it: it.forget_removal(a_file().place))
        assert self.removals(again) == ()
        again.close()

    def test_to_forget_a_removal_is_no_change_that_anybody_sees(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        change(catalog, lambda it: it.remove_file(a_file()))
        change(catalog, lambda it: it.forget_removal(a_file().place))
        change(catalog, lambda it: it.forget_removal(a_file().place))
        assert serial_of(catalog) == 3
        assert catalog.agreed_serial() == 3
        catalog.close()

    def test_a_name_is_free_again_after_its_file_was_removed(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        old, new = a_file(content=b"old"), a_file(content=b"new")
        record(catalog, old)

        def replace_it(it: Change) -> None:
            it.remove_file(old)
            it.put_release(a_release(new), "demo")
            it.put_file(new)

        change(catalog, replace_it)
        assert recorded_files(catalog) == (new,)
        assert self.removals(catalog) == (old.place,)
        catalog.close()

    def test_a_removed_release_is_gone_and_its_project_is_not(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file("demo-1.0.tar.gz"), a_file("demo-2.0.tar.gz"))

        def remove(it: Change) -> None:
            it.remove_file(a_file("demo-1.0.tar.gz"))
            it.remove_release(LOCAL, DEMO, "1.0")

        change(catalog, remove)
        with catalog.snapshot() as seen:
            assert seen.release(LOCAL, DEMO, "1.0") is None
            assert [release.version for release in seen.releases(LOCAL, DEMO)] == ["2.0"]
            assert seen.project(LOCAL, DEMO) == Project(LOCAL, DEMO, "demo", 4)
        assert search(catalog, "demo") == [("demo", "2.0")]
        catalog.close()

    def test_a_removed_project_is_gone_from_its_index_alone(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        other = IndexName("root/other")
        put_index(catalog)
        put_index(catalog, a_stage(other))
        record(catalog, a_file(), a_file(index=other), a_file("kept-1.0.tar.gz"))
        change(catalog, remove_demo)
        with catalog.snapshot() as seen:
            assert seen.project(LOCAL, DEMO) is None
            assert [project.name for project in seen.projects(LOCAL)] == ["kept"]
            assert seen.releases(LOCAL, DEMO) == ()
            assert seen.project(other, DEMO) == Project(other, DEMO, "demo", 4)
        assert serial_of(catalog) == catalog.agreed_serial() == 6
        assert recorded_files(catalog, other) == (a_file(index=other),)
        catalog.close()

    def test_the_name_of_a_project_that_was_removed_is_kept_in_mind(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        put_index(catalog, a_stage(OTHER))
        assert not had_demo(catalog)
        record(catalog, a_file())
        assert had_demo(catalog)
        change(catalog, remove_demo)
        catalog.close()
        again = self.open(tmp_path)
        assert had_demo(again)
        assert not had_demo(again, OTHER)
        with again.snapshot() as seen:
            assert seen.project(LOCAL, DEMO) is None
            assert seen.projects(LOCAL) == ()
            assert not seen.had_project(LOCAL, parse_project_name("other"))
            assert not seen.had_project(IndexName("root/none"), DEMO)
        again.close()

    def test_a_name_that_comes_and_goes_again_is_kept_in_mind_until_it_is_given_up(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        for _ in range(2):
            record(catalog, a_file())
            change(catalog, remove_demo)
        assert had_demo(catalog)
        before = serial_of(catalog)
        change(catalog, lambda it: it.forget_former(LOCAL, DEMO))
        assert not had_demo(catalog)
        assert serial_of(catalog) == catalog.agreed_serial() == before + 1
        record(catalog, a_file())
        change(catalog, remove_demo)
        assert had_demo(catalog)
        catalog.close()

    def test_to_give_a_name_up_takes_nothing_from_a_project_that_is_there(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        change(catalog, lambda it: it.forget_former(LOCAL, DEMO))
        assert had_demo(catalog)
        assert recorded_files(catalog) == (a_file(),)
        catalog.close()

    def test_a_name_is_kept_in_mind_only_if_its_project_is_removed(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())

        def remove_and_fail(it: Change) -> None:
            remove_demo(it)
            assert it.had_project(LOCAL, DEMO)
            it.forget_former(LOCAL, DEMO)
            assert not it.had_project(LOCAL, DEMO)
            raise Refused("test", "not after all")

        with pytest.raises(Refused, match="not after all"):
            change(catalog, remove_and_fail)
        assert had_demo(catalog)
        assert recorded_files(catalog) == (a_file(),)
        catalog.close()

    def test_an_index_takes_the_names_that_it_had_along(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        for name in (LOCAL, OTHER):
            put_index(catalog, a_stage(name))
            record(catalog, a_file(index=name))
        change(catalog, remove_demo)
        change(catalog, lambda it: it.remove_index(LOCAL))
        put_index(catalog)
        assert not had_demo(catalog)
        assert had_demo(catalog, OTHER)
        catalog.close()

    def test_an_index_that_cannot_be_removed_keeps_the_names_that_it_had(
        self, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file(), a_file("other-1.0.tar.gz"))
        change(catalog, remove_demo)

        def try_to_remove(it: Change) -> None:
            with pytest.raises(Refused, match="it has projects"):
                it.remove_index(LOCAL)
            it.put_user(ROOT)

        change(catalog, try_to_remove)
        assert had_demo(catalog)
        catalog.close()

    def test_a_removed_index_and_a_removed_user_are_gone(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        ada = replace(ROOT, name=UserName("ada"))
        put_user(catalog)
        put_user(catalog, ada)
        put_index(catalog)
        put_index(catalog, a_stage(IndexName("ada/dev")))
        change(catalog, lambda it: it.remove_index(IndexName("ada/dev")))
        change(catalog, lambda it: it.remove_user(ada.name))
        catalog.close()
        again = self.open(tmp_path)
        with again.snapshot() as seen:
            assert seen.serial == 6
            assert (seen.index(IndexName("ada/dev")), seen.user(ada.name)) == (None, None)
            assert seen.indexes() == (replace(a_stage(), serial=3),)
            assert seen.users() == (ROOT,)
        again.close()

    def test_names_are_free_again_in_any_case_after_a_removal(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_user(catalog)
        put_index(catalog)
        change(catalog, lambda it: it.remove_index(LOCAL))
        change(catalog, lambda it: it.remove_user(ROOT.name))
        put_user(catalog, replace(ROOT, name=UserName("Root")))
        put_index(catalog, a_stage(IndexName("Root/Local")))
        with catalog.snapshot() as seen:
            assert [user.name for user in seen.users()] == ["Root"]
            assert [index.name for index in seen.indexes()] == ["Root/Local"]
        catalog.close()

    @pytest.mark.parametrize(
        ("remove", "words"),
        [
            (lambda it: it.remove_release(LOCAL, DEMO, "1.0"), "demo 1.0 in root/local: it has"),
            (lambda it: it.remove_release(LOCAL, DEMO, "2.0"), "demo 2.0 in root/local: it has"),
            (lambda it: it.remove_project(LOCAL, DEMO), "demo in root/local: it has releases"),
            (lambda it: it.remove_index(LOCAL), "root/local: it has projects"),
        ],
        ids=["release with files", "release with documentation", "project", "index"],
    )
    def test_nothing_is_removed_from_under_what_belongs_to_it(
        self, remove: Callable[[Change], None], words: str, tmp_path: Path
    ) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        said = Release(LOCAL, DEMO, "2.0", {})
        change(catalog, lambda it: it.put_release(said, "demo"))
        put_attachments(catalog, documentation(version="2.0"))

        def work(it: Change) -> None:
            it.put_user(ROOT)
            remove(it)

        with pytest.raises(Refused, match=words):
            change(catalog, work)
        with catalog.snapshot() as seen:
            assert (seen.serial, seen.users()) == (4, ())
            assert seen.releases(LOCAL, DEMO) == (a_release(a_file()), said)
            assert seen.files(LOCAL, DEMO) == (a_file(),)
            assert seen.attachments(LOCAL, DEMO) == (documentation(version="2.0"),)
        put_user(catalog)
        assert serial_of(catalog) == catalog.agreed_serial() == 5
        catalog.close()

    def test_what_is_made_anew_after_its_removal_has_a_higher_serial(self, tmp_path: Path) -> None:
        # A page that was rendered from what was there before must not pass for the new one.
        catalog = self.open(tmp_path)
        put_index(catalog)
        record(catalog, a_file())
        change(catalog, remove_demo)
        record(catalog, a_file())
        assert self.serials(catalog) == {"demo": 4}
        change(catalog, remove_demo)
        change(catalog, lambda it: it.remove_index(LOCAL))
        put_index(catalog)
        with catalog.snapshot() as seen:
            assert seen.index(LOCAL) == replace(a_stage(), serial=7)
            assert seen.projects(LOCAL) == ()
        record(catalog, a_file())
        assert self.serials(catalog) == {"demo": 8}
        catalog.close()

    def test_what_is_made_anew_has_nothing_of_what_was_removed(self, tmp_path: Path) -> None:
        catalog = self.open(tmp_path)
        put_index(catalog)
        file = replace(a_file(), log=(LogEntry(Event.OVERWRITE, None, NOW, count=9),))
        record(catalog, file, display_name="DEMO")
        archived = Project(LOCAL, DEMO, "DEMO", 2, ProjectStatus.ARCHIVED, "old")
        change(catalog, lambda it: it.mark_project(archived))
        put_attachments(catalog, a_result(file))
        change(catalog, remove_demo)
        record(catalog, a_file())
        with catalog.snapshot() as seen:
            assert seen.project(LOCAL, DEMO) == Project(LOCAL, DEMO, "demo", 6)
            assert seen.files(LOCAL, DEMO) == (a_file(),)
            assert seen.attachments(LOCAL, DEMO) == ()
        catalog.close()

    def test_another_process_sees_what_comes_and_goes(self, tmp_path: Path) -> None:
        catalog, other = self.open(tmp_path), self.open(tmp_path)
        put_user(catalog)
        put_index(catalog)
        file = replace(a_file(), log=(LogEntry(Event.UPLOAD, "root", NOW, target=LOCAL),))
        record(catalog, file)
        put_attachments(catalog, documentation())
        with other.snapshot() as seen:
            assert seen.files(LOCAL, DEMO) == (file,)
            assert seen.attachments(LOCAL, DEMO) == (documentation(),)
        change(other, remove_demo)
        with catalog.snapshot() as seen:
            assert (seen.project(LOCAL, DEMO), seen.attachments(LOCAL, DEMO)) == (None, ())
        change(other, lambda it: it.remove_index(LOCAL))
        change(other, lambda it: it.remove_user(ROOT.name))
        with catalog.snapshot() as seen:
            assert (seen.serial, seen.indexes(), seen.users()) == (7, (), ())
        assert catalog.agreed_serial() == other.agreed_serial() == 7
        assert set(self.removals(catalog)) == {file.place, documentation().place}
        catalog.close()
        other.close()

    @staticmethod
    def serials(catalog: Catalog) -> dict[str, int]:
        """Of the projects of an index."""
        with catalog.snapshot() as seen:
            return {project.name: project.serial for project in seen.projects(LOCAL)}

    @staticmethod
    def removals(catalog: Catalog) -> tuple[FilePlace, ...]:
        return catalog.change(lambda it: it.removals(), by=Actor(""), what="look")
