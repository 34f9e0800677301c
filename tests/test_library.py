import pytest

from simpleindex import library
from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden
from simpleindex.library import look
from simpleindex.reading import ANY_READER, Reader, WhoIsAsking
from simpleindex.wire.simple_page import page_depth
from simpleindex_storage.errors import NotStored
from simpleindex_storage.names import IndexName, ProjectName, UserName, parse_project_name
from tests.fakes import FakeCatalog

LOCAL = IndexName("root/local")
DEMO = parse_project_name("demo")
WHEEL = "demo-1.0-py3-none-any.whl"
OTHER_WHEEL = "demo-2.0-py3-none-any.whl"


def chain(catalog: FakeCatalog, name: str = LOCAL) -> list[str]:
    return [index.name for index in library.look(catalog, IndexName(name)).indexes]


def shown(catalog: FakeCatalog, project: ProjectName = DEMO) -> list[tuple[str, str]]:
    """Which files are shown, and from which index."""
    sight = library.shown_project(catalog, look(catalog, LOCAL), project)
    return [(file.index, file.filename) for file in sight.files]


def a_catalog(**bases: tuple[str, ...]) -> FakeCatalog:
    """Stages below root, with their bases."""
    catalog = FakeCatalog()
    for name, names in bases.items():
        catalog.put_stage(f"root/{name}", *(f"root/{base}" for base in names))
    return catalog


@pytest.mark.parametrize(
    ("bases", "order"),
    [
        pytest.param({"local": ()}, ["local"], id="alone"),
        pytest.param(
            {"local": ("b", "a"), "a": (), "b": ()}, ["local", "b", "a"], id="as they are listed"
        ),
        pytest.param(
            {"local": ("a", "b"), "a": ("c",), "b": ("d",), "c": (), "d": ()},
            ["local", "a", "b", "c", "d"],
            id="breadth first",
        ),
        pytest.param(
            {"local": ("a", "b"), "a": ("c",), "b": ("c",), "c": ()},
            ["local", "a", "b", "c"],
            id="diamond",
        ),
        pytest.param(
            {"local": ("a", "b"), "a": ("c",), "b": ("c", "d"), "c": (), "d": ()},
            ["local", "a", "b", "c", "d"],
            id="diamond with more behind",
        ),
        pytest.param({"local": ("local",)}, ["local"], id="base of itself"),
        pytest.param(
            {"local": ("a",), "a": ("b",), "b": ("local", "a")}, ["local", "a", "b"], id="circle"
        ),
        pytest.param({"local": ("gone", "a"), "a": ("lost",)}, ["local", "a"], id="missing bases"),
    ],
)
def test_bases_are_searched_breadth_first_and_each_once(
    bases: dict[str, tuple[str, ...]], order: list[str]
) -> None:
    assert chain(a_catalog(**bases)) == [f"root/{name}" for name in order]


def test_mirrors_come_last_and_keep_their_order() -> None:
    catalog = a_catalog(local=("m1", "a"), a=("m2", "b"), b=())
    catalog.put_mirror("root/m1")
    catalog.put_mirror("root/m2")
    assert chain(catalog) == ["root/local", "root/a", "root/b", "root/m1", "root/m2"]


def test_an_index_that_is_not_there_is_named() -> None:
    with pytest.raises(NotStored, match="index root/local"):
        library.look(a_catalog(), LOCAL)


def test_the_nearest_index_wins_a_file_name_however_it_is_spelled() -> None:
    catalog = a_catalog(local=("a",), a=("b",), b=())
    catalog.put_file("root/b", "Demo-1.0-py3-none-any.whl")
    catalog.put_file("root/b", OTHER_WHEEL)
    catalog.put_file("root/a", WHEEL)
    catalog.put_file("root/local", "demo-1.0.tar.gz")
    assert shown(catalog) == [
        ("root/local", "demo-1.0.tar.gz"),
        ("root/a", WHEEL),
        ("root/b", OTHER_WHEEL),
    ]


def test_a_known_project_without_files_is_shown_empty_and_an_unknown_one_is_not() -> None:
    catalog = a_catalog(local=("a",), a=())
    catalog.put_project("root/a", "demo")
    assert shown(catalog) == []
    with pytest.raises(NotStored, match="project other in root/local"):
        library.shown_project(catalog, look(catalog, LOCAL), parse_project_name("other"))


def test_the_list_has_each_project_of_the_chain_once_and_in_order() -> None:
    catalog = a_catalog(local=("a",), a=(), elsewhere=())
    for index, project in [("local", "zoo"), ("local", "demo"), ("a", "demo"), ("a", "art")]:
        catalog.put_project(f"root/{index}", project)
    catalog.put_project("root/elsewhere", "hidden")
    page = library.shown_projects(catalog, look(catalog, LOCAL))
    assert tuple(page.projects) == ("art", "demo", "zoo")
    last = catalog.serial
    assert page.projects == {"art": last - 1, "demo": last - 2, "zoo": last - 4}
    assert page.serial == last


def test_a_mirror_says_that_it_cannot_be_read_yet() -> None:
    catalog = FakeCatalog()
    catalog.put_mirror("root/pypi")
    mirror = IndexName("root/pypi")
    with pytest.raises(NotStored, match="does not fetch"):
        library.shown_projects(catalog, look(catalog, mirror))
    with pytest.raises(NotStored, match="does not fetch"):
        library.shown_project(catalog, look(catalog, mirror), DEMO)
    with pytest.raises(NotStored, match="does not fetch"):
        library.fingerprint_of_project(catalog, look(catalog, mirror), DEMO)


def the_page(catalog: FakeCatalog) -> tuple[object, object]:
    """The fingerprint, and all that clients could see."""
    sight = library.shown_project(catalog, look(catalog, LOCAL), DEMO)
    assert library.fingerprint_of_project(catalog, look(catalog, LOCAL), DEMO) == sight.fingerprint
    return sight.fingerprint, library.page_of(sight, page_depth("demo/"))


@pytest.mark.parametrize("index", ["root/local", "root/a", "root/b"])
def test_the_fingerprint_changes_with_the_page(index: str) -> None:
    catalog = a_catalog(local=("a", "later"), a=("b",), b=())
    catalog.put_file("root/local", WHEEL)
    fingerprint, page = the_page(catalog)
    catalog.put_file(index, OTHER_WHEEL)
    assert the_page(catalog)[0] != fingerprint
    assert the_page(catalog)[1] != page


def test_the_fingerprint_changes_when_a_missing_base_appears() -> None:
    catalog = a_catalog(local=("later",))
    catalog.put_file("root/local", WHEEL)
    fingerprint, _ = the_page(catalog)
    catalog.put_stage("root/later")
    assert the_page(catalog)[0] != fingerprint


def test_the_fingerprint_changes_with_the_settings_of_an_index() -> None:
    catalog = a_catalog(local=(), a=())
    catalog.put_file("root/local", WHEEL)
    catalog.put_file("root/a", OTHER_WHEEL)
    fingerprint, _ = the_page(catalog)
    catalog.put_stage("root/local", "root/a")
    assert the_page(catalog)[0] != fingerprint
    assert shown(catalog) == [("root/local", WHEEL), ("root/a", OTHER_WHEEL)]


def test_the_fingerprint_changes_with_the_serial_that_the_page_tells() -> None:
    catalog = a_catalog(local=())
    catalog.put_file("root/local", WHEEL)
    fingerprint, page = the_page(catalog)
    catalog.put_stage("root/local")
    assert the_page(catalog)[1] != page
    assert the_page(catalog)[0] != fingerprint


def test_the_fingerprint_stands_while_only_others_change() -> None:
    catalog = a_catalog(local=("a",), a=(), elsewhere=())
    catalog.put_file("root/local", WHEEL)
    before = the_page(catalog)
    catalog.put_file("root/local", "other-1.0.tar.gz")
    catalog.put_file("root/elsewhere", OTHER_WHEEL)
    catalog.put_user("bob", "hash")
    catalog.put_stage("root/new", "root/local")
    assert the_page(catalog) == before


def test_a_fingerprint_is_had_without_reading_the_files() -> None:
    catalog = a_catalog(local=())
    catalog.put_file("root/local", WHEEL)
    library.fingerprint_of_project(catalog, look(catalog, LOCAL), DEMO)
    assert catalog.reads_of_files == 0


def test_a_page_tells_all_that_is_known_of_its_files() -> None:
    catalog = a_catalog(local=("a",), a=())
    digest = "ab" * 32
    wheel = catalog.put_file(
        "root/local", OTHER_WHEEL, requires_python=">=3.8", metadata_sha256=digest, yanked="bad"
    )
    sdist = catalog.put_file("root/a", "demo-10.0.tar.gz", metadata_sha256=digest)
    catalog.put_file("root/a", WHEEL)
    sight = library.shown_project(catalog, look(catalog, LOCAL), DEMO)
    page = library.page_of(sight, page_depth("+simple/demo/"))
    assert (page.name, page.serial) == ("demo", catalog.serial)
    assert page.versions == ("1.0", "2.0", "10.0")
    first, second, _ = page.files
    assert first.url == f"../../+f/{wheel.sha256[:3]}/{wheel.sha256[3:16]}/{OTHER_WHEEL}"
    assert second.url == (
        f"../../../../root/a/+f/{sdist.sha256[:3]}/{sdist.sha256[3:16]}/demo-10.0.tar.gz"
    )
    assert first.hashes == {"sha256": wheel.sha256}
    assert (first.size_bytes, first.uploaded_at) == (wheel.size_bytes, wheel.uploaded_at)
    assert (first.requires_python, first.yanked) == (">=3.8", "bad")
    assert first.metadata == {"sha256": digest}
    assert second.metadata is None  # an sdist's metadata may leave things to its build


# Who may read what

ALICE = Reader(Rules(), Principal(UserName("alice")))
BOB = Reader(Rules(), Principal(UserName("bob")))
UNKNOWN = Reader(Rules(), None)


def a_chain_with_a_secret() -> FakeCatalog:
    """root/local > root/secret (alice's to read) > root/behind, and root/open."""
    catalog = FakeCatalog()
    catalog.put_stage("root/local", "root/secret", "root/open")
    catalog.put_stage("root/secret", "root/behind", acl_read=("alice",))
    catalog.put_stage("root/open")
    catalog.put_stage("root/behind")
    return catalog


def test_a_base_that_one_may_not_read_is_as_if_it_were_not_there() -> None:
    catalog = a_chain_with_a_secret()
    catalog.put_file("root/secret", WHEEL)
    catalog.put_file("root/open", OTHER_WHEEL)
    views = {reader: look(catalog, LOCAL, reader) for reader in (ALICE, BOB, ANY_READER)}
    assert [index.name for index in views[ALICE].indexes] == [
        "root/local", "root/secret", "root/open", "root/behind",
    ]  # fmt: skip
    assert (views[ALICE].restricted, views[ALICE].hidden) == (("root/secret",), ())
    for reader in (BOB, ANY_READER):
        assert [index.name for index in views[reader].indexes] == ["root/local", "root/open"]
        assert views[reader].restricted == ()
        assert [index.name for index in views[reader].hidden] == ["root/secret", "root/behind"]
        sight = library.shown_project(catalog, views[reader], DEMO)
        assert [file.filename for file in sight.files] == [OTHER_WHEEL]
    assert not any(view.is_public for view in views.values())
    assert len(library.shown_project(catalog, views[ALICE], DEMO).files) == 2


@pytest.mark.parametrize("where", ["secret", "behind"])
def test_a_project_that_one_may_not_see_keeps_mirrors_out_all_the_same(where: str) -> None:
    catalog = a_chain_with_a_secret()
    catalog.put_mirror("root/pypi")
    catalog.put_stage("root/local", "root/pypi", "root/secret")
    catalog.put_file("root/pypi", OTHER_WHEEL)
    assert library.shown_project(catalog, look(catalog, LOCAL, BOB), DEMO).files
    before = library.fingerprint_of_project(catalog, look(catalog, LOCAL, BOB), DEMO)
    catalog.put_file(f"root/{where}", WHEEL)
    assert library.fingerprint_of_project(catalog, look(catalog, LOCAL, BOB), DEMO) != before
    with pytest.raises(NotStored, match="project demo in root/local"):
        library.shown_project(catalog, look(catalog, LOCAL, BOB), DEMO)
    (seen,) = library.shown_project(catalog, look(catalog, LOCAL, ALICE), DEMO).files
    assert seen.index == f"root/{where}"


def test_an_index_that_one_may_not_read_is_refused() -> None:
    catalog = a_chain_with_a_secret()
    with pytest.raises(Forbidden, match=r"user bob may not read .*root/secret"):
        look(catalog, IndexName("root/secret"), BOB)
    with pytest.raises(Forbidden, match="somebody who is not logged in may not read"):
        look(catalog, IndexName("root/secret"))


def test_who_asks_matters_only_where_something_is_restricted() -> None:
    catalog = a_chain_with_a_secret()
    assert look(catalog, IndexName("root/behind"), UNKNOWN).is_public
    for name in (LOCAL, IndexName("root/secret")):
        with pytest.raises(WhoIsAsking):
            look(catalog, name, UNKNOWN)


def test_the_fingerprint_tells_whether_something_is_hidden() -> None:
    catalog = a_catalog(local=("gone",))
    catalog.put_file("root/local", WHEEL)
    before = library.fingerprint_of_project(catalog, look(catalog, LOCAL), DEMO)
    catalog.put_stage("root/gone", acl_read=("alice",))
    assert library.fingerprint_of_project(catalog, look(catalog, LOCAL), DEMO) != before
