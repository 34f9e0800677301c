"""The guard against strangers' releases under the names of private projects, as devpi has it."""

from typing import Any

import pytest

from simpleindex.library import listed_project, look, may_be_asked, shown_project
from simpleindex.project_page import page_of
from simpleindex.whitelist import admitted
from simpleindex.wire.simple_page import page_depth
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import Index, IndexSettings, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName, parse_project_name
from tests.fakes import FakeCatalog, FakeMirrors

DEMO = parse_project_name("demo")


def stage(*whitelist: str, **settings: Any) -> StageSettings:
    return StageSettings(mirror_whitelist=whitelist, **settings)


UNION = {"mirror_whitelist_inheritance": "union"}
MIRROR = MirrorSettings()


@pytest.mark.parametrize(
    ("chain", "private", "is_admitted"),
    [
        pytest.param([stage(), MIRROR], [], True, id="nobody has it"),
        pytest.param([stage(), MIRROR], [0], False, id="private"),
        pytest.param([stage("demo"), MIRROR], [0], True, id="named"),
        pytest.param([stage("*"), MIRROR], [0], True, id="all named"),
        pytest.param([stage("other"), MIRROR], [0], False, id="another named"),
        pytest.param([stage(), stage(), MIRROR], [1], False, id="private in a base"),
        pytest.param([stage(), stage("demo"), MIRROR], [1], False, id="named by the base alone"),
        pytest.param([stage("demo"), stage(), MIRROR], [1], True, id="named by the index alone"),
        pytest.param([stage("demo"), stage("demo"), MIRROR], [0, 1], True, id="named by both"),
        pytest.param([stage("*"), stage("demo"), MIRROR], [0, 1], True, id="all, then one"),
        pytest.param(
            [stage("other"), stage("other", "demo"), MIRROR], [1], False,
            id="a base adds nothing to an intersection",
        ),
        pytest.param(
            [stage(**UNION), stage("demo"), MIRROR], [1], True, id="a base adds to a union"
        ),
        pytest.param(
            [stage(), stage("demo", **UNION), MIRROR], [1], False, id="the base does not choose"
        ),
        pytest.param(
            [stage("other", **UNION), stage(), stage("demo"), MIRROR], [1], True,
            id="a union that comes late counts for all",
        ),
        pytest.param([MIRROR], [], True, id="a mirror itself"),
    ],
)  # fmt: skip
def test_a_mirror_completes_what_is_not_private_or_is_whitelisted(
    chain: list[IndexSettings], private: list[int], is_admitted: bool
) -> None:
    indexes = [Index(IndexName(f"root/i{n}"), settings) for n, settings in enumerate(chain)]
    names = {indexes[n].name for n in private}
    found = admitted(indexes, DEMO, lambda name: name in names)
    stages = [index for index in indexes if isinstance(index.settings, StageSettings)]
    assert [*found[: len(stages)]] == stages
    assert (indexes[-1] in found) is is_admitted


def test_all_mirrors_are_shut_out_alike() -> None:
    chain: list[IndexSettings] = [stage(), MIRROR, MIRROR]
    indexes = [Index(IndexName(f"root/i{n}"), settings) for n, settings in enumerate(chain)]
    assert admitted(indexes, DEMO, lambda name: name == "root/i0") == (indexes[0],)
    assert admitted(indexes, DEMO, lambda name: False) == tuple(indexes)


@pytest.mark.parametrize(
    ("whitelist", "filenames"),
    [
        ((), ["demo-1.0.tar.gz"]),
        (("demo",), ["demo-1.0.tar.gz", "demo-9.0.tar.gz"]),
    ],
)
def test_a_page_has_a_mirrors_files_of_a_private_project_only_if_whitelisted(
    whitelist: tuple[str, ...], filenames: list[str]
) -> None:
    catalog = FakeCatalog()
    catalog.put_mirror("root/pypi")
    catalog.put_stage("root/local", "root/pypi", mirror_whitelist=whitelist)
    catalog.put_file("root/local", "demo-1.0.tar.gz")
    mirrors = FakeMirrors()
    mirrors.put_file("root/pypi", "demo-9.0.tar.gz")
    mirrors.put_file("root/pypi", "other-1.0.tar.gz")
    view = look(catalog, IndexName("root/local"))
    page = page_of(listed_project(catalog, view, DEMO, mirrors), page_depth("+simple/demo/"))
    assert [file.filename for file in page.files] == filenames
    assert shown_project(catalog, view, parse_project_name("other"), mirrors).mirrored


@pytest.mark.parametrize(
    ("whitelist", "is_asked"), [((), False), (("demo",), True)], ids=["private", "whitelisted"]
)
def test_a_project_whose_last_file_was_removed_keeps_mirrors_out_still(
    whitelist: tuple[str, ...], is_asked: bool
) -> None:
    catalog = FakeCatalog()
    catalog.put_mirror("root/pypi")
    catalog.put_stage("root/base", mirror_whitelist=whitelist)
    catalog.put_stage("root/local", "root/pypi", "root/base", mirror_whitelist=whitelist)
    catalog.put_file("root/base", "demo-1.0.tar.gz")
    catalog.remove_project("root/base", "demo")
    view = look(catalog, IndexName("root/local"))
    asked = may_be_asked(catalog, view, DEMO)
    assert [index.name for index in asked] == (["root/pypi"] if is_asked else [])
    assert may_be_asked(catalog, view, parse_project_name("other"))
    if not is_asked:
        with pytest.raises(NotStored):
            shown_project(catalog, view, DEMO)
