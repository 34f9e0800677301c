"""The own catalog as a resolver sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.releases import SourceTrouble
from simpleindex.gap.resolving import Kind, resolve
from simpleindex.gap.targets import parse_target
from simpleindex.gap.wishes import Wishes, parse_line
from simpleindex.initialise import initialise
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import Actor, Index, Project, ProjectStatus, StageSettings, Upload
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.opening import open_store, utc_now
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store
from tests.builders import an_egg, an_sdist
from tests.gap.corpus import CORPUS, Offer, Said, named, offer

LOCAL, BASE, PYPI = IndexName("root/local"), IndexName("root/base"), IndexName("root/pypi")
ROOT = Actor("root")
TARGETS = (
    "3.6.15-manylinux_2_17_x86_64", "3.9.18-win_amd64", "3.12.1-manylinux_2_17_x86_64",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with site_store(tmp_path / "data") as opened:
        yield opened


@contextmanager
def site_store(folder: Path) -> Iterator[Store]:
    """A new server directory, open, with root/local upon root/base."""
    initialise(folder, utc_now(), password="a-password-of-the-tests")
    opened = open_store(folder)
    make_index(opened, LOCAL, bases=(BASE, PYPI))
    make_index(opened, BASE)
    yield opened
    opened.close()


def make_index(store: Store, name: IndexName, **settings: object) -> None:
    index = Index(name, StageSettings(**settings))  # type: ignore[arg-type]  # as tests name them
    store.catalog.change(lambda change: change.put_index(index), by=ROOT, what="index")


def put(store: Store, *offers: Offer, index: IndexName = LOCAL) -> None:
    for each in offers:
        with store.stage() as draft:
            draft.write(each.built.content)
            yanked = "" if each.yanked else None
            upload = Upload(index, each.built.filename, "root", yanked=yanked)
            store.admit([(upload, draft.finish())], by=ROOT)


@contextmanager
def source_of(store: Store, index: IndexName = LOCAL) -> Iterator[OwnSource]:
    with store.catalog.snapshot() as seen:
        yield OwnSource(store, seen, index)


def test_what_is_stored_leads_to_the_same_verdicts_and_files_as_on_the_outside(
    store: Store,
) -> None:
    offers = [each for each in CORPUS if each.project != "from-url"]
    put(store, *offers)
    said = Said(*offers)
    with source_of(store) as source:
        for target in map(parse_target, TARGETS):
            for line in sorted({each.project for each in offers}):
                wishes = Wishes((parse_line(line),))
                ours, theirs = (resolve(target, wishes, each) for each in (source, said))
                assert ours.verdicts == theirs.verdicts
                files = [[pick.file.filename for pick in each.picks] for each in (ours, theirs)]
                assert files[0] == files[1]


def test_bases_count_and_what_mirrors_could_fetch_does_not(store: Store) -> None:
    put(store, offer("here"))
    put(store, offer("below"), index=BASE)
    with source_of(store) as source:
        assert source.projects() == tuple(named("below", "here"))
        assert source.mirrors == (PYPI,)
        for project in source.projects():
            assert source.releases(project) is not None
        assert source.releases(ProjectName("elsewhere")) is None
        assert source.listed(ProjectName("elsewhere")) == ()
        assert [file.filename for file in source.listed(ProjectName("here"))]
    with source_of(store, BASE) as source:
        assert source.releases(ProjectName("here")) is None


def test_an_index_whose_readers_are_named_is_checked_too(store: Store) -> None:
    make_index(store, IndexName("root/closed"), acl_read=("alice",), bases=(LOCAL,))
    put(store, offer("demo"))
    with source_of(store, IndexName("root/closed")) as source:
        assert source.releases(ProjectName("demo")) is not None


def test_there_has_to_be_such_an_index(store: Store) -> None:
    with (
        pytest.raises(NotStored, match="index root/none"),
        source_of(store, IndexName("root/none")),
    ):
        pass


def test_what_is_quarantined_is_not_offered(store: Store) -> None:
    put(store, offer("demo"))

    def quarantine(change: Change) -> None:
        known = change.project(LOCAL, ProjectName("demo"))
        assert known is not None
        change.mark_project(
            Project(LOCAL, known.name, known.display_name, known.serial, ProjectStatus.QUARANTINED)
        )

    store.catalog.change(quarantine, by=ROOT, what="quarantine")
    with source_of(store) as source:
        releases = source.releases(ProjectName("demo"))
        assert releases is not None
        assert releases.files == {}


def test_source_distributions_and_eggs_are_no_hindrance(store: Store) -> None:
    make_index(store, IndexName("root/eggs"), strict_archives=False)
    for built in (an_sdist("demo"), an_egg("demo")):
        put(store, Offer(built, b""), index=IndexName("root/eggs"))
    with source_of(store, IndexName("root/eggs")) as source:
        wishes = Wishes((parse_line("demo"),))
        (verdict,) = resolve(parse_target(TARGETS[0]), wishes, source).verdicts
    assert verdict.kind is Kind.UNMET
    assert "only what has to be built" in verdict.chain[-1]


def test_metadata_that_is_lost_is_trouble_and_no_verdict(store: Store, tmp_path: Path) -> None:
    put(store, offer("demo"))
    for path in (tmp_path / "data" / "files").rglob("*.metadata"):
        path.unlink()
    with source_of(store) as source:
        releases = source.releases(ProjectName("demo"))
        assert releases is not None
        (files,) = releases.files.values()
        with pytest.raises(SourceTrouble, match=r"the metadata of demo-1\.0-py3-none-any\.whl"):
            source.described(files[0])
        (verdict,) = resolve(
            parse_target(TARGETS[0]), Wishes((parse_line("demo"),)), source
        ).verdicts
    assert verdict.kind is Kind.UNKNOWN
