"""Upstream offers other bytes under a name that is known: a fault, or an attack."""

import sys
from pathlib import Path

from tests.builders import a_wheel
from tests.clients.programs import Terminal
from tests.mirror.sites import MirrorSite, a_mirror
from tests.server import RunningServer

DEMO, OLDER = a_wheel("demo", "2.0"), a_wheel("demo", "1.0")
OTHER = a_wheel("demo", "2.0", extra_files={"demo/evil.py": b"import os"})


def test_a_file_whose_digest_changes_goes_from_the_page_and_stays_away(
    site: MirrorSite, tmp_path: Path
) -> None:
    stage = site.make_stage()
    site.upstream.add(OLDER)
    site.upstream.add(DEMO)
    assert site.filenames("demo") == [OLDER.filename, DEMO.filename]
    site.upstream.add(OTHER)
    for _ in range(2):
        site.refresh("demo")
        assert site.filenames("demo") == [OLDER.filename]
        assert site.filenames("demo", index=stage) == [OLDER.filename]
    site.upstream.remove(OTHER.filename)
    site.refresh("demo")
    site.upstream.add(OTHER)
    site.refresh("demo")
    assert site.filenames("demo") == [OLDER.filename]
    terminal = Terminal(tmp_path / "home")
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    where = ["--no-cache-dir", "--index-url", site.simple_url, "--dest", str(tmp_path / "got")]
    terminal.must(*pip, "download", *where, "demo")
    assert [path.name for path in (tmp_path / "got").iterdir()] == [OLDER.filename]


def test_a_file_whose_digest_changed_is_served_to_nobody_under_either(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    url = site.file_url("demo", DEMO.filename)
    assert site.get(url, "*/*").status_code == 200
    site.upstream.add(OTHER)
    site.refresh("demo")
    refused = site.get(url, "*/*")
    assert refused.status_code == 403
    assert "other bytes under this name" in refused.text
    place = f"{OTHER.sha256[:3]}/{OTHER.sha256[3:16]}/{OTHER.filename}"
    assert site.get(f"/{site.index}/+f/{place}", "*/*").status_code == 404


def test_a_file_whose_digest_changed_comes_back_with_its_first_bytes(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.add(OTHER)
    site.refresh("demo")
    assert site.filenames("demo") == []
    site.upstream.add(DEMO)
    site.refresh("demo")
    assert site.download("demo", DEMO.filename).content == DEMO.content


def test_the_log_says_once_that_a_file_has_changed(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.add(OTHER)
    site.refresh("demo")
    site.upstream.add(OLDER)
    site.refresh("demo")
    line = (
        f"{site.index}: upstream offers other bytes under the name {DEMO.filename} "
        f"(sha256={OTHER.sha256})"
    )
    assert site.wait_for_log(line).count(line) == 1


def test_why_tells_that_a_file_has_changed(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.page("demo")
    site.upstream.add(OTHER)
    site.refresh("demo")
    told = site.verb("why", "demo", "--index", site.index)
    assert "other bytes under this name" in told
    assert DEMO.sha256 in told
    assert OTHER.sha256 in told


def test_an_unknown_digest_is_pinned_by_the_first_download(shared_server: RunningServer) -> None:
    with a_mirror(shared_server) as site:
        site.upstream.add(DEMO, sha256="untold")
        assert site.download("demo", DEMO.filename).content == DEMO.content
        site.upstream.add(OTHER)
        site.refresh("demo")
        assert site.filenames("demo") == []
