import pytest

from simpleindex import library
from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden, NothingKnown
from simpleindex.library import look
from simpleindex.mirror.known import UpstreamNeeded
from simpleindex.project_page import page_of
from simpleindex.reading import ANY_READER, Reader, WhoIsAsking
from simpleindex.wire.simple_page import page_depth
from simpleindex_storage.errors import NotStored, Unavailable
from simpleindex_storage.names import IndexName, ProjectName, UserName, parse_project_name
from tests.fakes import FakeCatalog, FakeMirrors

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


def mirrored(
    catalog: FakeCatalog, mirrors: FakeMirrors, project: ProjectName = DEMO
) -> list[tuple[str, str]]:
    """Which files are shown, and from which index; those of mirrors too."""
    sight = library.shown_project(catalog, look(catalog, LOCAL), project, mirrors)
    own = [(str(file.index), file.filename) for file in sight.files]
    return own + [(str(file.index), file.known.file.filename) for file in sight.mirrored]


def a_chain_with_mirrors() -> tuple[FakeCatalog, FakeMirrors]:
    catalog = FakeCatalog()
    catalog.put_mirror("root/pypi")
    catalog.put_mirror("root/other")
    catalog.put_stage("root/local", "root/pypi", "root/other")
    return catalog, FakeMirrors()


def test_files_of_mirrors_are_shown_each_name_once_and_the_first_mirror_wins() -> None:
    catalog, mirrors = a_chain_with_mirrors()
    for index, filename in [
        ("root/other", WHEEL), ("root/other", OTHER_WHEEL), ("root/pypi", WHEEL),
    ]:  # fmt: skip
        mirrors.put_file(index, filename)
    assert mirrored(catalog, mirrors) == [("root/pypi", WHEEL), ("root/other", OTHER_WHEEL)]


def test_a_file_of_our_own_hides_one_of_a_mirror_in_whatever_spelling() -> None:
    catalog, mirrors = a_chain_with_mirrors()
    catalog.put_stage("root/local", "root/pypi", mirror_whitelist=("*",))
    catalog.put_file("root/local", "Demo-1.0-py3-none-any.whl")
    mirrors.put_file("root/pypi", WHEEL)
    mirrors.put_file("root/pypi", OTHER_WHEEL)
    assert mirrored(catalog, mirrors) == [
        ("root/local", "Demo-1.0-py3-none-any.whl"), ("root/pypi", OTHER_WHEEL),
    ]  # fmt: skip


def test_all_pages_that_are_needed_are_asked_for_at_once() -> None:
    catalog, mirrors = a_chain_with_mirrors()
    mirrors.unasked = {("root/pypi", DEMO), ("root/other", DEMO)}
    with pytest.raises(UpstreamNeeded) as needed:
        library.shown_project(catalog, look(catalog, LOCAL), DEMO, mirrors)
    assert [page.index.name for page in needed.value.wanted] == ["root/pypi", "root/other"]


def test_nobody_is_asked_for_a_project_of_our_own() -> None:
    catalog, mirrors = a_chain_with_mirrors()
    mirrors.unasked = {("root/pypi", DEMO), ("root/other", DEMO)}
    catalog.put_file("root/local", WHEEL)
    assert mirrored(catalog, mirrors) == [("root/local", WHEEL)]


def test_where_nobody_can_tell_the_answer_is_no_404() -> None:
    catalog, mirrors = a_chain_with_mirrors()
    mirrors.troubles["root/pypi"] = "upstream cannot be reached"
    with pytest.raises(NothingKnown, match="upstream cannot be reached"):
        library.shown_project(catalog, look(catalog, LOCAL), DEMO, mirrors)
    mirrors.put_file("root/other", WHEEL)
    assert mirrored(catalog, mirrors) == [("root/other", WHEEL)]


def test_without_mirrors_to_ask_an_index_that_mirrors_has_nothing() -> None:
    catalog = FakeCatalog()
    catalog.put_mirror("root/pypi")
    view = look(catalog, IndexName("root/pypi"))
    assert not library.shown_projects(catalog, view).projects
    for of in (library.shown_project, library.state_of_project):
        with pytest.raises(NotStored, match="project demo in root/pypi"):
            of(catalog, view, DEMO)


def test_the_state_changes_with_what_a_mirror_shows() -> None:
    catalog, mirrors = a_chain_with_mirrors()
    mirrors.put_file("root/pypi", WHEEL)
    view = look(catalog, LOCAL)
    before = library.state_of_project(catalog, view, DEMO, mirrors)
    assert library.state_of_project(catalog, view, DEMO, mirrors) == before
    mirrors.put_file("root/pypi", OTHER_WHEEL)
    assert library.state_of_project(catalog, view, DEMO, mirrors) != before


def test_a_page_tells_of_a_mirrors_file_as_upstream_does_but_from_here() -> None:
    catalog, mirrors = a_chain_with_mirrors()
    known = mirrors.put_file("root/pypi", WHEEL, yanked="broken", requires_python=">=3.9")
    sight = library.listed_project(catalog, look(catalog, LOCAL), DEMO, mirrors)
    page = page_of(sight, page_depth("+simple/demo/"))
    (file,) = page.files
    prefix = known.sha256_prefix
    assert file.url == f"../../../../root/pypi/+f/{prefix[:3]}/{prefix[3:]}/{WHEEL}"
    assert (file.yanked, file.requires_python, file.size_bytes) == ("broken", ">=3.9", 1234)
    assert file.metadata is True  # it is taken out of the wheel when it is asked for
    assert page.versions == ("1.0",)
    assert page.serial is None


def the_page(catalog: FakeCatalog) -> tuple[object, object]:
    """The fingerprint, and all that clients could see."""
    sight = library.listed_project(catalog, look(catalog, LOCAL), DEMO)
    assert library.state_of_project(catalog, look(catalog, LOCAL), DEMO) == sight.state
    return sight.state, page_of(sight, page_depth("demo/"))


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
    library.state_of_project(catalog, look(catalog, LOCAL), DEMO)
    assert catalog.reads_of_files == 0


def test_a_page_tells_all_that_is_known_of_its_files() -> None:
    catalog = a_catalog(local=("a",), a=())
    digest = "ab" * 32
    wheel = catalog.put_file(
        "root/local", OTHER_WHEEL, requires_python=">=3.8", metadata_sha256=digest, yanked="bad"
    )
    sdist = catalog.put_file("root/a", "demo-10.0.tar.gz", metadata_sha256=digest)
    catalog.put_file("root/a", WHEEL)
    sight = library.listed_project(catalog, look(catalog, LOCAL), DEMO)
    page = page_of(sight, page_depth("+simple/demo/"))
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
    mirrors = FakeMirrors()
    mirrors.put_file("root/pypi", OTHER_WHEEL)
    by_bob = look(catalog, LOCAL, BOB)
    assert library.shown_project(catalog, by_bob, DEMO, mirrors).mirrored
    catalog.put_file(f"root/{where}", WHEEL)
    for of in (library.shown_project, library.state_of_project):
        with pytest.raises(NotStored, match="project demo in root/local"):
            of(catalog, look(catalog, LOCAL, BOB), DEMO, mirrors)
    by_alice = library.shown_project(catalog, look(catalog, LOCAL, ALICE), DEMO, mirrors)
    assert not by_alice.mirrored
    (seen,) = by_alice.files
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
    before = library.state_of_project(catalog, look(catalog, LOCAL), DEMO)
    catalog.put_stage("root/gone", acl_read=("alice",))
    assert library.state_of_project(catalog, look(catalog, LOCAL), DEMO) != before


def a_long_catalog() -> FakeCatalog:
    """More projects than are read at once, in an index and in its base."""
    catalog = a_catalog(local=("base",), base=())
    for number in range(library._LISTED_AT_ONCE + 10):
        catalog.put_project("root/local" if number % 3 else "root/base", f"p{number:05}")
    catalog.put_project("root/base", "p00001")
    return catalog


def test_projects_that_are_read_while_they_are_taken_are_those_of_the_list() -> None:
    catalog = a_long_catalog()
    view = look(catalog, LOCAL)
    listed = list(library.listed_projects(catalog.snapshot, view))
    assert listed == list(library.shown_projects(catalog, view).projects.items())
    assert listed[1] == ("p00001", catalog.serial)


def test_projects_that_are_read_while_others_come_are_each_told_once() -> None:
    catalog = a_long_catalog()
    listing = library.listed_projects(catalog.snapshot, look(catalog, LOCAL))
    first = next(listing)
    catalog.put_project("root/local", "a-name-before-all")
    names = [first[0], *(name for name, _ in listing)]
    assert names == [f"p{number:05}" for number in range(library._LISTED_AT_ONCE + 10)]


def test_a_list_ends_in_an_error_where_somebody_may_no_longer_read_it() -> None:
    catalog = a_catalog(local=())
    for number in range(library._LISTED_AT_ONCE + 10):
        catalog.put_project("root/local", f"p{number:05}")
    listing = library.listed_projects(catalog.snapshot, look(catalog, LOCAL))
    next(listing)
    catalog.put_stage("root/local", acl_read=("alice",))
    with pytest.raises(Unavailable, match="root/local was changed"):
        list(listing)


@pytest.mark.parametrize("than", [0, 3, 4, 5, 100])
def test_a_list_is_long_if_all_its_indexes_together_have_many(than: int) -> None:
    catalog = a_catalog(local=("base",), base=())
    for number in range(5):
        catalog.put_project("root/local" if number % 2 else "root/base", f"p{number}")
    assert library.has_more_projects(catalog, look(catalog, LOCAL), than) == (than < 5)
