"""`prefetch` fills a mirror, so that later nobody needs to be asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import a_wheel, an_sdist
from tests.cli.commands import Called, run
from tests.clients.programs import Terminal
from tests.hostile.behaviours import WrongBytes
from tests.mirror.kept import days_ago, figures, kept_filenames
from tests.mirror.sites import MirrorSite, a_site
from tests.server import server_environment, simpleindex

PRIVATE = "--private-upstreams=127.0.0.1"
OLD, NEW, NEW_SDIST = a_wheel("demo", "1.0"), a_wheel("demo", "2.0"), an_sdist("demo", "2.0")
OTHER = a_wheel("other", "1.0")


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


@pytest.fixture
def site(site: MirrorSite) -> MirrorSite:
    """Upstream has two releases of demo, of which the newer one has an sdist, and one of other."""
    for built in (OLD, NEW, NEW_SDIST, OTHER):
        site.upstream.add(built)
    return site


def prefetch(site: MirrorSite, *arguments: str, stdin: str = "") -> Called:
    where = (f"--serverdir={site.server.serverdir}", f"--index={site.index}", PRIVATE)
    return run("prefetch", *arguments, *where, stdin=stdin)


def prefetched(site: MirrorSite, *arguments: str, stdin: str = "") -> list[str]:
    """What is kept after it has worked."""
    called = prefetch(site, *arguments, stdin=stdin)
    assert called.exit_code == 0, called
    return kept_filenames(site)


def test_a_name_stands_for_all_files_of_its_newest_release(site: MirrorSite) -> None:
    assert prefetched(site, "Demo") == [NEW.filename, NEW_SDIST.filename]
    assert figures(site)["files"] == 2


def test_neither_a_pre_release_nor_a_yanked_one_is_the_newest(site: MirrorSite) -> None:
    site.upstream.add(a_wheel("demo", "4.0rc1"))
    site.upstream.add(a_wheel("demo", "3.0"), yanked="bad")
    assert prefetched(site, "demo") == [NEW.filename, NEW_SDIST.filename]


def test_a_version_is_named_in_any_of_its_spellings(site: MirrorSite) -> None:
    assert prefetched(site, "demo==1.0.0") == [OLD.filename]


def test_a_list_is_read_as_pip_freeze_writes_it(site: MirrorSite, tmp_path: Path) -> None:
    text = "# what we use\n\ndemo==1.0  # the old one\nOther==1.0\n"
    (tmp_path / "list.txt").write_text(text)
    assert prefetched(site, f"--from-file={tmp_path / 'list.txt'}") == [
        OLD.filename,
        OTHER.filename,
    ]


def test_a_list_can_come_from_standard_input(site: MirrorSite) -> None:
    assert prefetched(site, "--from-file=-", stdin="demo==1.0\n") == [OLD.filename]


def test_only_some_files_are_taken(site: MirrorSite) -> None:
    assert prefetched(site, "demo", "--no-sdists") == [NEW.filename]
    assert prefetched(site, "demo", "--only=*.tar.gz") == [NEW.filename, NEW_SDIST.filename]


def test_what_is_here_already_is_not_fetched_again(site: MirrorSite) -> None:
    assert prefetch(site, "demo==1.0").out.endswith("1 file fetched (849 bytes), 0 here already, "
                                                    "0 failed\n")  # fmt: skip
    site.download("demo", NEW.filename)
    told = prefetch(site, "demo==1.0", "demo==2.0", "--no-sdists").out
    assert told.endswith("0 files fetched (0 bytes), 2 here already, 0 failed\n")
    assert site.upstream.requests.count(OLD.filename) == 1
    assert site.upstream.requests.count(NEW.filename) == 1


def test_a_server_that_runs_serves_what_was_prefetched(site: MirrorSite) -> None:
    url = site.file_url("demo", OLD.filename)
    prefetched(site, "demo==1.0")
    site.upstream.unplug()
    assert site.get(url).content == OLD.content


def test_programs_are_told_one_document(site: MirrorSite) -> None:
    prefetched(site, "other")
    called = prefetch(site, "demo==1.0", "other", "unknown", "--json")
    assert (called.exit_code, called.err) == (1, "")
    document = json.loads(called.out)
    assert document.keys() == {"fetched", "here_already", "failed", "bytes"}
    assert document["fetched"] == [OLD.filename]
    assert document["here_already"] == [OTHER.filename]
    assert list(document["failed"]) == ["unknown"]
    assert document["bytes"] == len(OLD.content)


# What cannot be had


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ("unknown", "unknown: there is no project unknown in {index} here"),
        ("demo==7.0", "demo==7.0: there is no release demo==7.0 in {index} here; `why demo==7.0` "
         "tells what is known of it"),
    ],
    ids=["name", "version"],
)  # fmt: skip
def test_what_is_not_there_is_told_and_the_rest_is_fetched(
    site: MirrorSite, wish: str, line: str
) -> None:
    called = prefetch(site, wish, "demo==1.0")
    assert called.exit_code == 1
    assert line.format(index=site.index) in called.out.splitlines()
    assert called.out.endswith("1 file fetched (849 bytes), 0 here already, 1 failed\n")
    assert kept_filenames(site) == [OLD.filename]


def test_a_file_that_upstream_spoils_is_told(site: MirrorSite) -> None:
    site.upstream.behave(NEW.filename, WrongBytes())
    called = prefetch(site, "demo")
    assert (called.exit_code, called.err) == (1, "")
    assert f"{NEW.filename}: {NEW.filename} cannot be fetched: upstream sent other" in called.out
    assert kept_filenames(site) == [NEW_SDIST.filename]


def test_a_release_of_which_no_file_is_wanted_is_told(site: MirrorSite) -> None:
    called = prefetch(site, "demo", "--only=*-win_amd64.whl")
    assert called.exit_code == 1
    assert "it has 2 others" in called.out


def test_what_is_held_back_is_not_fetched(site: MirrorSite) -> None:
    site.upstream.add(a_wheel("demo", "3.0"), uploaded_at=days_ago(1))
    site.change("min_age=7")
    assert prefetched(site, "demo") == [NEW.filename, NEW_SDIST.filename]
    called = prefetch(site, "demo==3.0")
    assert called.exit_code == 1
    assert "demo-3.0-py3-none-any.whl is held back until" in called.out


def test_without_upstream_only_what_is_here_is_had(site: MirrorSite) -> None:
    prefetched(site, "demo==1.0")
    site.upstream.unplug()
    called = prefetch(site, "demo==1.0", "other")
    assert called.exit_code == 1
    assert "127.0.0.1" in called.out
    assert kept_filenames(site) == [OLD.filename]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "nothing to fetch: give NAME==VERSION, or --from-file LIST"),
        (["demo>=1"], "'demo>=1' is not NAME or NAME==VERSION; only exact versions are fetched"),
    ],
    ids=["nothing", "a range"],
)
def test_what_makes_no_sense_is_told_in_one_line(
    site: MirrorSite, arguments: list[str], complaint: str
) -> None:
    assert prefetch(site, *arguments).complaint.startswith(complaint)


def test_only_mirrors_are_filled(site: MirrorSite) -> None:
    stage, where = site.make_stage(), f"--serverdir={site.server.serverdir}"
    complaint = run("prefetch", "demo", f"--index={stage}", where).complaint
    assert complaint.startswith(f"{stage}: it mirrors no other index")


# For people, and for later


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no such terminals")
def test_a_person_at_a_terminal_sees_how_far_it_is(site: MirrorSite) -> None:
    keyboard, screen = os.openpty()
    command = simpleindex("prefetch", "demo", f"--serverdir={site.server.serverdir}", PRIVATE)
    with subprocess.Popen(
        [*command, f"--index={site.index}"],
        stdin=screen,
        stdout=screen,
        stderr=screen,
        env=server_environment(TERM="xterm"),
    ):
        os.close(screen)
        seen = b""
        try:
            while chunk := os.read(keyboard, 4096):
                seen += chunk
        except OSError:  # so Linux tells the end
            pass
        os.close(keyboard)
    text = seen.decode()
    assert "Fetching 2 files" in text
    assert "100%" in text
    assert text.rstrip().endswith("0 here already, 0 failed")


def test_pip_installs_from_what_was_prefetched_when_nobody_else_is_there(
    terminal: Terminal, tmp_path: Path
) -> None:
    serverdir = tmp_path / "data"
    app, needed = a_wheel("app", requires_dist=["needed>=1"]), an_sdist("needed", "1.0")
    with a_site(serverdir) as site:
        upstream = site.upstream
        for built in (app, a_wheel("app", "0.9"), needed, a_wheel("needed", "0.5")):
            upstream.add(built)
        run_prefetch = prefetch(site, "app", "needed==1.0", f"--upstream-url={upstream.url}")
        assert run_prefetch.exit_code == 0, run_prefetch
        site.server.stop()
        upstream.unplug()
        with a_site(serverdir, "--offline-mode", upstream=upstream) as offline:
            assert offline.filenames("app") == [app.filename]
            pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir"]
            target = tmp_path / "target"
            terminal.must(*pip, "--index-url", offline.simple_url, "--target", target, "app")
            assert {path.name for path in target.glob("*.dist-info")} == {
                "app-1.0.dist-info",
                "needed-1.0.dist-info",
            }


def test_a_list_may_have_what_resolvers_and_pip_write_into_it(
    site: MirrorSite, tmp_path: Path
) -> None:
    wishes = tmp_path / "wishes.txt"
    wishes.write_text(
        "# by a resolver\n"
        "--index-url https://packages.example/simple\n"
        "demo==2.0 ; python_version >= '3.8' \\\n"
        "    --hash=sha256:0123\n"
        "    # via other\n"
        "-e git+https://git.example/other\n"
        "other @ file:///home/other\n"
    )
    called = prefetch(site, "--from-file", str(wishes))
    assert called.exit_code == 0, called
    assert "other @ file:///home/other comes from no index" in called.err
    assert NEW.filename in kept_filenames(site)
