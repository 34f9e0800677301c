"""What upstream says of files and projects, as it is passed on."""

import pytest

from tests.builders import a_provenance, a_wheel, an_sdist
from tests.hostile.behaviours import HtmlOnly
from tests.hostile.upstream import UPLOADED_AT
from tests.mirror.sites import HTML, MirrorSite, a_site
from tests.server import RunningServer

WHEEL, SDIST = a_wheel("demo", "1.0"), an_sdist("demo", "1.0")
PAGE = "/simple/demo/"


def test_all_that_upstream_says_of_a_file_is_in_the_json(site: MirrorSite) -> None:
    offered = site.upstream.add(WHEEL, requires_python=">=3.8,<4", yanked="is broken")
    site.upstream.add(SDIST)
    wheel, sdist = site.files("demo").values()
    assert wheel["hashes"] == {"sha256": WHEEL.sha256}
    assert wheel["requires-python"] == ">=3.8,<4"
    assert wheel["size"] == len(WHEEL.content)
    assert wheel["upload-time"] == f"{UPLOADED_AT:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert wheel["yanked"] == "is broken"
    assert wheel["core-metadata"] == offered.metadata
    assert wheel["url"].startswith("../../+f/")
    assert "yanked" not in sdist
    assert "requires-python" not in sdist
    assert "core-metadata" not in sdist


def test_all_that_upstream_says_of_a_file_is_in_the_html(site: MirrorSite) -> None:
    offered = site.upstream.add(WHEEL, requires_python=">=3.8,<4", yanked="is broken")
    assert isinstance(offered.metadata, dict)
    html = site.page("demo", HTML).text
    for told in (
        f"{WHEEL.filename}#sha256={WHEEL.sha256}",
        'data-requires-python="&gt;=3.8,&lt;4"',
        'data-yanked="is broken"',
        f'data-core-metadata="sha256={offered.metadata["sha256"]}"',
    ):
        assert told in html


def test_a_yank_at_upstream_is_a_yank_here_and_can_be_taken_back(site: MirrorSite) -> None:
    site.upstream.add(WHEEL)
    assert "yanked" not in site.files("demo")[WHEEL.filename]
    site.upstream.add(WHEEL, yanked=True)
    site.refresh("demo")
    assert site.files("demo")[WHEEL.filename]["yanked"] is True
    site.upstream.add(WHEEL)
    site.refresh("demo")
    assert "yanked" not in site.files("demo")[WHEEL.filename]


def test_what_upstream_does_not_say_is_not_made_up(site: MirrorSite) -> None:
    site.upstream.add(SDIST, uploaded_at=None, size="untold", sha256="untold")
    file = site.files("demo")[SDIST.filename]
    assert file["hashes"] == {}
    assert "upload-time" not in file
    assert file.get("size") is None
    assert site.download("demo", SDIST.filename).content == SDIST.content


def test_versions_without_files_are_told_too(site: MirrorSite) -> None:
    site.upstream.add(WHEEL)
    site.upstream.add(a_wheel("demo", "2.0.post1"))
    assert site.page("demo").json()["versions"] == ["1.0", "2.0.post1"]


def test_metadata_is_announced_for_wheels_of_an_index_that_has_none(site: MirrorSite) -> None:
    site.upstream.add(WHEEL, metadata=False)
    file = site.files("demo")[WHEEL.filename]
    assert file["core-metadata"] is True
    metadata = site.get(site.file_url("demo", WHEEL.filename) + ".metadata", "*/*")
    assert metadata.text.startswith("Metadata-Version: 2.1\nName: demo\nVersion: 1.0")


@pytest.mark.parametrize("status", ["active", "archived", "deprecated"])
@pytest.mark.parametrize("form", ["JSON", "HTML"])
def test_the_status_of_a_project_is_passed_on(form: str, status: str, site: MirrorSite) -> None:
    site.upstream.add(WHEEL)
    site.upstream.add_project("demo", status=status, reason="because <i>")
    if form == "HTML":
        site.upstream.behave(PAGE, HtmlOnly())
    assert site.filenames("demo") == [WHEEL.filename]
    told = site.page("demo").json()["project-status"]
    assert told == {"status": status, "reason": "because <i>"}
    html = site.page("demo", HTML).text
    assert f'name="pypi:project-status" content="{status}"' in html
    assert "because &lt;i&gt;" in html


def test_a_quarantined_project_offers_nothing(site: MirrorSite) -> None:
    site.upstream.add(WHEEL)
    stage = site.make_stage()
    url = site.file_url("demo", WHEEL.filename)
    site.upstream.add_project("demo", status="quarantined", reason="malware")
    site.refresh("demo")
    page = site.page("demo").json()
    assert page["files"] == []
    assert page["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert site.filenames("demo", index=stage) == []
    assert site.get(url, "*/*").status_code == 403
    site.upstream.add_project("demo", status="active")
    site.refresh("demo")
    assert site.get(url, "*/*").content == WHEEL.content


def test_where_a_provenance_is_is_told_only_to_who_comes_over_a_secure_way(
    shared_server: RunningServer,
    tmp_path_factory: pytest.TempPathFactory,
    site: MirrorSite,
) -> None:
    provenance = a_provenance()
    site.upstream.add(WHEEL, provenance=provenance)
    told = site.files("demo")[WHEEL.filename]["provenance"]
    assert told.startswith(f"{shared_server.url}/{site.index}/+f/")
    assert site.get(told, "*/*").content == provenance
    assert f'data-provenance="{told}"' in site.page("demo", HTML).text

    serverdir = tmp_path_factory.mktemp("provenance") / "data"
    secure = "--outside-url=https://packages.example/index"
    with a_site(serverdir, secure, upstream=site.upstream) as outside:
        told = outside.files("demo")[WHEEL.filename]["provenance"]
        assert told.startswith("https://packages.example/index/root/pypi/+f/")


def test_a_provenance_is_told_of_to_nobody_behind_an_open_door(
    tmp_path_factory: pytest.TempPathFactory, site: MirrorSite
) -> None:
    site.upstream.add(WHEEL, provenance=a_provenance())
    serverdir = tmp_path_factory.mktemp("open") / "data"
    with a_site(
        serverdir, "--outside-url=http://packages.example", upstream=site.upstream
    ) as outside:
        assert "provenance" not in outside.files("demo")[WHEEL.filename]
        assert "data-provenance" not in outside.page("demo", HTML).text
