"""What a mirror holds back: releases that are too young, and those that an admin does not want."""

import sys
from pathlib import Path

import pytest

from tests.builders import BuiltFile, a_wheel, an_sdist
from tests.clients.programs import Terminal, program
from tests.mirror.kept import days_ago, kept_filenames
from tests.mirror.sites import HTML, MirrorSite, until

OLD, YOUNG = a_wheel("demo", "1.0"), a_wheel("demo", "2.0")
BLINK_DAYS = 0.00004
"""An age that a test can wait for: about three seconds and a half."""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


@pytest.fixture
def site(site: MirrorSite) -> MirrorSite:
    """A mirror that shows files a week after their upload; upstream has an old and a young one."""
    site.upstream.add(OLD, uploaded_at=days_ago(30))
    site.upstream.add(YOUNG, uploaded_at=days_ago(1))
    site.change("min_age=7")
    return site


def names(*built: BuiltFile) -> list[str]:
    return [each.filename for each in built]


def url_of(site: MirrorSite, built: BuiltFile) -> str:
    """Where a file is, whether its page has it or not."""
    place = f"{built.sha256[:3]}/{built.sha256[3:16]}/{built.filename}"
    return f"/{site.index}/+f/{place}"


# Too young


def test_a_file_is_shown_and_served_when_it_has_the_age(site: MirrorSite) -> None:
    assert site.filenames("demo") == names(OLD)
    assert YOUNG.filename not in site.page("demo", HTML).text
    assert site.page("demo").json()["versions"] == ["1.0"]
    assert site.download("demo", OLD.filename).content == OLD.content


@pytest.mark.parametrize("suffix", ["", ".metadata"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_knows_the_url_of_a_young_file_is_told_until_when_it_waits(
    site: MirrorSite, method: str, suffix: str
) -> None:
    answer = site.get(url_of(site, YOUNG) + suffix, "*/*", method=method)
    assert answer.status_code == 403
    until_when = f"{days_ago(-6):%Y-%m-%d}"
    if method == "GET":
        assert answer.text.startswith(f"{YOUNG.filename} is held back until ")
        assert until_when in answer.text
        assert "approved+=demo==2.0 admits this release at once" in answer.text
    site.wait_for_log(until_when)
    assert site.upstream.requests.count(YOUNG.filename, None) == 0
    assert kept_filenames(site) == []


def test_a_file_that_is_kept_is_held_back_too(site: MirrorSite) -> None:
    site.change("min_age-=")
    assert site.download("demo", YOUNG.filename).content == YOUNG.content
    site.change("min_age=7")
    assert site.filenames("demo") == names(OLD)
    assert site.get(url_of(site, YOUNG)).status_code == 403


def test_an_age_that_nobody_knows_counts_as_young(site: MirrorSite) -> None:
    dateless = a_wheel("demo", "1.5")
    site.upstream.add(dateless, uploaded_at=None)
    assert site.filenames("demo") == names(OLD)
    answer = site.get(url_of(site, dateless))
    assert answer.status_code == 403
    assert "does not tell when it was uploaded" in answer.text
    assert "min_age_from=first-seen" in answer.text


def test_an_upload_that_was_backdated_is_as_old_as_its_first_sight(site: MirrorSite) -> None:
    assert site.filenames("demo") == names(OLD)
    backdated = a_wheel("demo", "1.1")
    site.upstream.add(backdated, uploaded_at=days_ago(300))
    site.refresh("demo")
    assert site.filenames("demo") == names(OLD)
    answer = site.get(url_of(site, backdated))
    assert answer.status_code == 403
    assert "since its page was last seen without it" in answer.text


def test_an_upload_date_that_moves_back_makes_no_file_older(site: MirrorSite) -> None:
    assert site.filenames("demo") == names(OLD)
    added = a_wheel("demo", "1.1")
    site.upstream.add(added, uploaded_at=days_ago(0))
    site.refresh("demo")
    site.upstream.add(added, uploaded_at=days_ago(300))
    site.refresh("demo")
    assert site.filenames("demo") == names(OLD)


def test_with_first_seen_every_file_waits_from_then(site: MirrorSite) -> None:
    site.change("min_age_from=first-seen", f"min_age={BLINK_DAYS:f}")
    assert site.filenames("demo") == []
    assert "since it was first seen here" in site.get(url_of(site, OLD)).text
    until(lambda: site.filenames("demo") == names(OLD, YOUNG), "both files are shown")


def test_a_page_changes_by_itself_when_the_age_is_reached(site: MirrorSite) -> None:
    site.change(f"min_age={BLINK_DAYS:f}")
    newest = a_wheel("demo", "3.0")
    site.upstream.add(newest, uploaded_at=days_ago(0))
    before = site.page("demo")
    assert newest.filename not in before.text
    assert site.get(url_of(site, newest)).status_code == 403
    known = {"if_none_match": before.headers["etag"]}
    until(lambda: site.page("demo", **known).status_code == 200, "the page changes")
    assert site.filenames("demo") == names(OLD, YOUNG, newest)
    assert site.download("demo", newest.filename).content == newest.content
    assert site.upstream.requests.count("/simple/demo/") == 1


def test_an_index_above_the_mirror_holds_back_the_same(site: MirrorSite) -> None:
    stage = site.make_stage()
    assert site.filenames("demo", index=stage) == names(OLD)
    site.change("approved+=demo==2.0")
    assert site.filenames("demo", index=stage) == names(OLD, YOUNG)


def test_what_the_json_api_tells_of_releases_leaves_out_the_young(site: MirrorSite) -> None:
    site.page("demo")
    document = site.get(f"/{site.index}/pypi/demo/json", "application/json")
    assert document.status_code == 200
    assert list(document.json()["releases"]) == ["1.0"]
    assert YOUNG.filename not in document.text


# Admitted


def test_an_approved_release_is_shown_at_once_and_can_be_revoked(site: MirrorSite) -> None:
    assert site.filenames("demo") == names(OLD)
    index = f"--index={site.index}"
    told = site.verb("approve", "demo==2.0", index)
    assert told == f"demo==2.0 is approved in {site.index}\n"
    assert site.filenames("demo") == names(OLD, YOUNG)
    assert site.download("demo", YOUNG.filename).content == YOUNG.content
    told = site.verb("approve", "demo==2.0", index, "--revoke")
    assert told == f"demo==2.0 is held back again in {site.index}\n"
    assert site.filenames("demo") == names(OLD)
    assert site.get(url_of(site, YOUNG)).status_code == 403


def test_a_release_is_approved_by_http_too(site: MirrorSite) -> None:
    assert site.filenames("demo") == names(OLD)
    site.change("approved+=Demo==2.0.0")
    assert site.filenames("demo") == names(OLD, YOUNG)
    site.change("approved-=demo==2.0.0")
    assert site.filenames("demo") == names(OLD)


def test_all_files_of_an_approved_release_are_shown(site: MirrorSite) -> None:
    sdist = an_sdist("demo", "2.0")
    site.upstream.add(sdist, uploaded_at=days_ago(0))
    site.change("approved+=demo==2.0")
    assert site.filenames("demo") == names(OLD, YOUNG, sdist)


def test_why_tells_what_is_held_back(site: MirrorSite) -> None:
    assert site.verb("why", "demo", f"--index={site.index}").startswith(
        f"{site.index}: has not heard of it yet\n"
    )
    site.page("demo")
    told = site.verb("why", "demo", f"--index={site.index}").splitlines()
    assert told[0].startswith(
        f"{site.index}: shows 1 of 2 files, as {site.upstream.url} had them at "
    )
    assert told[1].startswith(f"  {YOUNG.filename} is held back until ")
    assert len(told) == 2


def test_pip_takes_the_newest_release_that_is_old_enough(
    site: MirrorSite, terminal: Terminal, tmp_path: Path
) -> None:
    pip = [sys.executable, "-m", "pip", "--isolated", "download", "--no-cache-dir", "--no-deps"]
    fetch = [*pip, "--index-url", site.simple_url]
    terminal.must(*fetch, "--dest", tmp_path / "before", "demo")
    refused = terminal.run(*fetch, "--dest", tmp_path / "refused", "demo==2.0")
    assert refused.exit_code != 0
    assert "No matching distribution found for demo==2.0" in refused.output
    site.verb("approve", "demo==2.0", f"--index={site.index}")
    terminal.must(*fetch, "--dest", tmp_path / "after", "demo")
    assert [path.name for path in (tmp_path / "before").iterdir()] == names(OLD)
    assert [path.name for path in (tmp_path / "after").iterdir()] == names(YOUNG)


def test_uv_takes_the_newest_release_that_is_old_enough(
    site: MirrorSite, terminal: Terminal, tmp_path: Path
) -> None:
    only_ours = ["--no-config", "--no-cache", "--default-index", site.simple_url]

    def installed(folder: str) -> list[str]:
        where = ["--python", sys.executable, "--target", str(tmp_path / folder)]
        terminal.must(program("uv"), "pip", "install", *only_ours, *where, "demo")
        return [path.name for path in (tmp_path / folder).glob("*.dist-info")]

    assert installed("before") == ["demo-1.0.dist-info"]
    site.change("approved+=demo==2.0")
    assert installed("after") == ["demo-2.0.dist-info"]


# Denied and allowed


def test_what_is_denied_is_neither_shown_nor_served(site: MirrorSite) -> None:
    site.change("min_age-=", "deny+=demo<2")
    assert site.filenames("demo") == names(YOUNG)
    answer = site.get(url_of(site, OLD))
    assert answer.status_code == 403
    assert "demo 1.0 is denied: deny has demo<2; deny-=demo<2 lifts that" in answer.text
    assert site.upstream.requests.count(OLD.filename, None) == 0
    told = site.verb("why", "demo==1.0", f"--index={site.index}")
    assert "demo 1.0 is denied" in told
    site.change("deny-=demo<2")
    assert site.filenames("demo") == names(OLD, YOUNG)


def test_what_is_denied_altogether_is_asked_of_nobody(site: MirrorSite) -> None:
    site.change("deny+=dem*")
    answer = site.page("demo")
    assert answer.status_code in {403, 404}
    assert site.get(url_of(site, OLD)).status_code in {403, 404}
    assert list(site.upstream.requests) == []
    told = site.verb("why", "demo", f"--index={site.index}")
    assert told.startswith(f"{site.index}: is not asked: demo is denied: deny has dem*")


def test_what_is_denied_stays_so_when_it_is_approved(site: MirrorSite) -> None:
    site.change("deny+=demo==2.0", "approved+=demo==2.0")
    assert site.filenames("demo") == names(OLD)
    assert site.get(url_of(site, YOUNG)).status_code == 403


def test_where_something_is_allowed_all_else_is_not(site: MirrorSite) -> None:
    other = a_wheel("other")
    site.upstream.add(other)
    site.change("min_age-=", "allow+=demo>=2")
    assert site.filenames("demo") == names(YOUNG)
    answer = site.get(url_of(site, OLD))
    assert answer.status_code == 403
    assert "demo 1.0 is not among what allow has; allow+=demo==1.0 adds it there" in answer.text
    assert site.page("other").status_code in {403, 404}
    assert site.upstream.requests.count("/simple/other/") == 0
    site.change("allow+=other")
    assert site.filenames("other") == names(other)


def test_what_is_allowed_waits_for_its_age_all_the_same(site: MirrorSite) -> None:
    site.change("allow+=demo")
    assert site.filenames("demo") == names(OLD)


def test_a_reserved_name_is_asked_of_nobody(site: MirrorSite) -> None:
    site.change("reserved_names+=demo*")
    assert site.page("demo").status_code == 404
    assert site.get(url_of(site, OLD)).status_code in {403, 404}
    assert list(site.upstream.requests) == []


def test_a_project_in_quarantine_offers_no_file(site: MirrorSite) -> None:
    url = site.file_url("demo", OLD.filename)
    site.get(url)
    site.upstream.add_project("demo", status="quarantined", reason="malware")
    site.refresh("demo")
    assert site.filenames("demo") == []
    answer = site.get(url)
    assert answer.status_code == 403
    assert "in quarantine" in answer.text


def test_a_file_of_a_denied_project_is_refused_as_one_of_a_denied_release_is(
    site: MirrorSite,
) -> None:
    site.upstream.add(YOUNG)
    url = site.file_url("demo", YOUNG.filename)
    site.change("deny=demo")
    for answer in (site.get(url, "*/*"), site.get(f"{url}.metadata", "*/*")):
        assert answer.status_code == 403
        assert "demo is denied" in answer.text
