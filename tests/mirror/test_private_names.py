"""Names of our own: a mirror neither shows what a stranger has under them, nor asks for them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.clients.programs import Terminal
from tests.mirror.sites import HTML, MirrorSite, a_mirror
from tests.server import RunningServer

OURS, THEIRS = a_wheel("acme-tool", "1.0"), a_wheel("acme-tool", "99.0")
PUBLIC = a_wheel("demo", "1.0")
NAME = "acme-tool"


def test_a_private_project_hides_the_one_of_its_name_upstream(site: MirrorSite) -> None:
    stage = site.make_stage()
    site.upstream.add(THEIRS)
    site.upstream.add(PUBLIC)
    site.upload(OURS, stage)
    assert site.filenames(NAME, index=stage) == [OURS.filename]
    assert THEIRS.filename not in site.page(NAME, HTML, index=stage).text
    assert site.filenames("demo", index=stage) == [PUBLIC.filename]


ASKING: dict[str, Callable[[MirrorSite, str], object]] = {
    "page in JSON": lambda site, stage: site.page(NAME, index=stage),
    "page in HTML": lambda site, stage: site.page(NAME, HTML, index=stage),
    "another spelling": lambda site, stage: site.page("Acme._Tool", index=stage),
    "refresh": lambda site, stage: site.refresh(NAME, index=stage),
    "devpi's JSON": lambda site, stage: site.get(f"/{stage}/{NAME}", "application/json"),
    "devpi's JSON of a release": lambda site, stage: site.get(
        f"/{stage}/{NAME}/99.0", "application/json"
    ),
    "a document": lambda site, stage: site.get(f"/{stage}/{NAME}/json", "*/*"),
    "a page for people": lambda site, stage: site.get(f"/{stage}/{NAME}", "text/html"),
    "a list": lambda site, stage: site.get(f"/{stage}/+simple/"),
    "a search": lambda site, stage: site.get(f"/{stage}/?query={NAME}", "text/html"),
    "a file that is there": lambda site, stage: site.download(NAME, OURS.filename, index=stage),
    "why": lambda site, stage: site.verb("why", NAME, "--index", stage),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_upstream_never_hears_of_a_private_name(
    ask: Callable[[MirrorSite, str], object], site: MirrorSite
) -> None:
    stage = site.make_stage()
    site.upstream.add(THEIRS)
    site.upload(OURS, stage)
    ask(site, stage)
    assert [path for path in site.upstream.requests.paths() if "acme" in path.lower()] == []


def test_a_private_project_of_a_base_hides_upstream_too(site: MirrorSite) -> None:
    below = site.make_stage()
    stage = site.make_stage(bases=[below, site.index])
    site.upstream.add(THEIRS)
    site.upload(OURS, below)
    assert site.filenames(NAME, index=stage) == [OURS.filename]
    assert len(site.upstream.requests) == 0


def test_a_private_project_behind_the_mirror_in_the_order_hides_upstream_too(
    site: MirrorSite,
) -> None:
    below = site.make_stage(bases=[])
    stage = site.make_stage(bases=[site.index, below])
    site.upstream.add(THEIRS)
    site.upload(OURS, below)
    assert site.filenames(NAME, index=stage) == [OURS.filename]
    assert len(site.upstream.requests) == 0


def test_a_private_project_that_the_reader_may_not_see_hides_upstream_too(
    site: MirrorSite,
) -> None:
    secret = site.make_stage(bases=[], acl_read=["root"])
    stage = site.make_stage(bases=[secret, site.index])
    site.upstream.add(THEIRS)
    site.upload(OURS, secret)
    assert site.page(NAME, index=stage).status_code == 404
    assert len(site.upstream.requests) == 0


@pytest.mark.parametrize("whitelist", [[NAME], ["*"]], ids=["by name", "all"])
def test_a_private_project_on_the_whitelist_is_completed_by_upstream(
    whitelist: list[str], site: MirrorSite
) -> None:
    stage = site.make_stage(mirror_whitelist=whitelist)
    site.upstream.add(THEIRS)
    site.upload(OURS, stage)
    assert site.filenames(NAME, index=stage) == [OURS.filename, THEIRS.filename]
    assert site.download(NAME, THEIRS.filename, index=stage).content == THEIRS.content


def test_of_a_file_name_that_both_have_ours_is_shown(site: MirrorSite) -> None:
    stage = site.make_stage(mirror_whitelist=[NAME])
    theirs = a_wheel("acme-tool", "1.0", extra_files={"acme_tool/evil.py": b""})
    site.upstream.add(theirs)
    site.upload(OURS, stage)
    assert site.files(NAME, index=stage)[OURS.filename]["hashes"] == {"sha256": OURS.sha256}
    assert site.download(NAME, OURS.filename, index=stage).content == OURS.content


@pytest.mark.parametrize("what", ["project", "release", "file"])
def test_a_private_project_hides_upstream_after_it_was_removed(what: str, site: MirrorSite) -> None:
    stage = site.make_stage()
    site.upstream.add(THEIRS)
    site.upload(OURS, stage)
    place = f"+f/{OURS.sha256[:3]}/{OURS.sha256[3:16]}/{OURS.filename}"
    path = {"project": NAME, "release": f"{NAME}/1.0", "file": place}[what]
    site.api("DELETE", f"/{stage}/{path}")
    answer = site.page(NAME, index=stage)
    assert answer.status_code in {200, 404}
    assert THEIRS.filename not in answer.text
    assert len(site.upstream.requests) == 0


def test_a_name_that_was_never_ours_is_asked_for(site: MirrorSite) -> None:
    stage = site.make_stage()
    site.upstream.add(THEIRS)
    assert site.filenames(NAME, index=stage) == [THEIRS.filename]
    site.upload(OURS, stage)
    assert site.filenames(NAME, index=stage) == [OURS.filename]


def test_a_private_project_is_served_while_upstream_is_down(
    site: MirrorSite, tmp_path: Path
) -> None:
    stage = site.make_stage()
    site.upload(OURS, stage)
    site.upstream.unplug()
    assert site.page("demo", index=stage).status_code == 504
    assert site.filenames(NAME, index=stage) == [OURS.filename]
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "download"]
    where = ["--no-cache-dir", "--index-url", f"{site.server.url}/{stage}/+simple/"]
    Terminal(tmp_path / "home").must(*pip, *where, "--dest", str(tmp_path / "got"), NAME)
    assert [path.name for path in (tmp_path / "got").iterdir()] == [OURS.filename]


def test_a_private_project_on_the_whitelist_is_shown_alone_until_upstream_is_there(
    site: MirrorSite,
) -> None:
    stage = site.make_stage(mirror_whitelist=[NAME])
    site.upstream.add(THEIRS)
    site.upload(OURS, stage)
    site.upstream.unplug()
    assert site.filenames(NAME, index=stage) == [OURS.filename]
    site.upstream.plug_in()
    assert site.refresh(NAME, index=stage).status_code == 302
    assert site.filenames(NAME, index=stage) == [OURS.filename, THEIRS.filename]


@pytest.mark.parametrize("name", ["acme-tool", "acme-anything", "Acme.Other"])
def test_upstream_is_never_asked_for_a_reserved_name(
    name: str, shared_server: RunningServer
) -> None:
    with a_mirror(shared_server, reserved_names=["acme-*"]) as site:
        stage = site.make_stage()
        site.upstream.add(THEIRS)
        for index in (site.index, stage):
            answer = site.client.get(
                f"/{index}/+simple/{name}/", follow_redirects=True, headers={"accept": HTML}
            )
            assert answer.status_code == 404
            site.refresh(name, index=index)
        assert len(site.upstream.requests) == 0
        told = site.verb("why", name, "--index", stage)
        assert "reserved_names has acme-*" in told


def test_a_name_that_is_reserved_later_is_shown_no_more(site: MirrorSite) -> None:
    site.upstream.add(THEIRS)
    assert site.filenames(NAME) == [THEIRS.filename]
    url = site.file_url(NAME, THEIRS.filename)
    site.change("reserved_names+=acme-*")
    assert site.page(NAME).status_code == 404
    assert site.get(url, "*/*").status_code in {403, 404}
