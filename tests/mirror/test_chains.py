"""Mirrors of mirrors: in a row, and in a circle."""

import time
from pathlib import Path

from tests.builders import a_provenance, a_wheel
from tests.hostile.behaviours import Status
from tests.mirror.sites import PIP_SECONDS, MirrorSite, a_site

DEMO, NEWER = a_wheel("demo", "1.0", requires_python=">=3.8"), a_wheel("demo", "2.0")


def url_of(site: MirrorSite, index: str) -> str:
    return f"{site.server.url}/{index}/+simple/"


def test_a_mirror_of_itself_ends_in_a_refusal(site: MirrorSite) -> None:
    circle = site.make_mirror()
    site.change(f"mirror_url={url_of(site, circle)}", index=circle)
    begun = time.monotonic()
    page = site.page("demo", index=circle)
    assert page.status_code == 504
    assert "508" in page.text
    assert site.get(url_of(site, circle)).status_code == 504
    assert site.refresh("demo", index=circle).status_code == 502
    assert time.monotonic() - begun < PIP_SECONDS


def test_two_mirrors_of_one_server_that_are_in_a_circle_end_in_a_refusal(
    site: MirrorSite,
) -> None:
    one = site.make_mirror()
    two = site.make_mirror(mirror_url=url_of(site, one))
    site.change(f"mirror_url={url_of(site, two)}", index=one)
    for index in (one, two):
        assert site.page("demo", index=index).status_code == 504


def test_two_servers_in_a_circle_end_in_a_refusal(site: MirrorSite, tmp_path: Path) -> None:
    with a_site(tmp_path / "data") as other:
        here = site.make_mirror()
        there = other.make_mirror(mirror_url=url_of(site, here))
        site.change(f"mirror_url={url_of(other, there)}", index=here)
        begun = time.monotonic()
        assert site.page("demo", index=here).status_code == 504
        assert other.page("other", index=there).status_code == 504
        assert time.monotonic() - begun < PIP_SECONDS
        assert site.get(url_of(site, here)).status_code == 504


def test_a_mirror_of_a_mirror_tells_the_same(site: MirrorSite, tmp_path: Path) -> None:
    provenance = a_provenance()
    site.upstream.add(DEMO, requires_python=">=3.8", yanked="old", provenance=provenance)
    site.upstream.add(NEWER)
    site.upstream.add_project("demo", status="deprecated", reason="use other")
    with a_site(tmp_path / "data", f"--upstream-url={site.simple_url}") as second:
        near, far = site.page("demo").json(), second.page("demo").json()
        for key in ("name", "versions", "project-status"):
            assert far[key] == near[key]
        for here, there in zip(near["files"], far["files"], strict=True):
            told = {"url", "provenance"}
            assert {**here, **dict.fromkeys(told)} == {**there, **dict.fromkeys(told)}
        for built in (DEMO, NEWER):
            assert second.download("demo", built.filename).content == built.content
            url = second.file_url("demo", built.filename)
            assert second.get(f"{url}.metadata", "*/*").status_code == 200
        told_at = second.files("demo")[DEMO.filename]["provenance"]
        assert second.get(told_at, "*/*").content == provenance
        assert second.get(second.simple_url).json()["projects"] == [{"name": "demo"}]
        assert second.page("nobody").status_code == 404


def test_a_mirror_of_another_index_of_its_own_server_is_refused(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    answer = site.page("demo", index=site.make_mirror(mirror_url=url_of(site, site.index)))
    assert answer.status_code == 504
    assert "508" in answer.text


def test_a_mirror_of_a_stage_shows_what_is_uploaded_there(site: MirrorSite, tmp_path: Path) -> None:
    stage = site.make_stage()
    site.upstream.add(DEMO)
    site.upload(a_wheel("ours"), stage)
    with a_site(tmp_path / "data", f"--upstream-url={url_of(site, stage)}") as second:
        assert second.filenames("ours") == [a_wheel("ours").filename]
        assert second.filenames("demo") == [DEMO.filename]
        site.upload(a_wheel("ours", "2.0"), stage)
        assert second.refresh("ours").status_code == 302
        assert len(second.filenames("ours")) == 2


def test_trouble_at_the_far_end_is_trouble_at_the_near_one(
    site: MirrorSite, tmp_path: Path
) -> None:
    site.upstream.add(DEMO)
    with a_site(tmp_path / "data", f"--upstream-url={site.simple_url}") as second:
        site.upstream.behave("/simple/", Status(503))
        assert second.page("demo").status_code == 504
        site.upstream.behave("/simple/", None)
        site.refresh("demo")
        assert second.refresh("demo").status_code == 302
        assert second.filenames("demo") == [DEMO.filename]
