"""Offline, by the server's setting or the index's: what is kept is shown, and nobody is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.mirror.sites import HTML, MirrorSite, a_site

KEPT, UNKEPT = a_wheel("demo", "1.0"), a_wheel("demo", "2.0")
SEEN = a_wheel("seen", "1.0")


@pytest.fixture(scope="module", params=["the server", "the index"])
def offline(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MirrorSite]:
    """A mirror that has a page and one of its two files, and is offline now; all is out of date."""
    serverdir, expiry = tmp_path_factory.mktemp("offline") / "data", "--mirror-cache-expiry=0"
    with a_site(serverdir, expiry) as site:
        for built in (KEPT, UNKEPT, SEEN):
            site.upstream.add(built)
        site.page("seen")
        assert site.download("demo", KEPT.filename).content == KEPT.content
        assert site.page("nobody").status_code == 404
        if request.param == "the index":
            site.change("offline=True")
            site.upstream.requests.clear()
            yield site
            return
        site.server.stop()
        site.upstream.requests.clear()
        with a_site(serverdir, expiry, "--offline-mode", upstream=site.upstream) as again:
            yield again


def test_nobody_is_asked_for_anything(offline: MirrorSite) -> None:
    connections = offline.upstream.connections_made
    stage = offline.make_stage()
    for index in (offline.index, stage):
        for project in ("demo", "seen", "nobody", "never-asked-for"):
            offline.page(project, index=index)
            offline.page(project, HTML, index=index)
            offline.refresh(project, index=index)
        offline.get(f"/{index}/+simple/")
    offline.download("demo", KEPT.filename)
    assert offline.upstream.connections_made == connections
    assert len(offline.upstream.requests) == 0


def test_only_files_that_are_kept_are_shown(offline: MirrorSite) -> None:
    assert offline.filenames("demo") == [KEPT.filename]
    assert UNKEPT.filename not in offline.page("demo", HTML).text
    assert offline.filenames("seen") == []
    assert offline.download("demo", KEPT.filename).content == KEPT.content
    metadata = offline.get(offline.file_url("demo", KEPT.filename) + ".metadata", "*/*")
    assert metadata.text.startswith("Metadata-Version")


def test_a_file_that_is_not_kept_is_not_there(offline: MirrorSite) -> None:
    place = f"{UNKEPT.sha256[:3]}/{UNKEPT.sha256[3:16]}/{UNKEPT.filename}"
    answer = offline.get(f"/{offline.index}/+f/{place}", "*/*")
    assert answer.status_code == 404
    assert "offline" in answer.text


@pytest.mark.parametrize("name", ["nobody", "never-asked-for"])
def test_a_name_that_nobody_knows_is_not_there(name: str, offline: MirrorSite) -> None:
    assert offline.page(name).status_code == 404


def test_a_refresh_shows_what_is_kept(offline: MirrorSite) -> None:
    assert offline.refresh("demo").status_code == 302
    assert offline.filenames("demo") == [KEPT.filename]


def test_the_list_has_what_is_kept(offline: MirrorSite) -> None:
    stage = offline.make_stage()
    offline.upload(a_wheel("ours"), stage)
    names = [each["name"] for each in offline.get(offline.simple_url).json()["projects"]]
    assert "demo" in names
    assert "nobody" not in names
    of_stage = offline.get(f"/{stage}/+simple/").json()["projects"]
    assert [each["name"] for each in of_stage] == sorted([*names, "ours"])


def test_an_index_that_is_online_again_asks_again(tmp_path: Path) -> None:
    with a_site(tmp_path / "data") as site:
        site.upstream.add(KEPT)
        site.change("offline=True")
        assert site.page("demo").status_code == 404
        site.change("offline=False")
        assert site.filenames("demo") == [KEPT.filename]


def test_who_asks_an_offline_mirror_for_what_it_has_not_is_told_that_it_is_offline(
    site: MirrorSite,
) -> None:
    site.change("offline=True")
    answer = site.page("demo")
    assert answer.status_code == 404
    assert f"{site.index} is offline, and has kept nothing of it" in answer.text
    assert "is offline" in site.verb("why", "demo", f"--index={site.index}")
