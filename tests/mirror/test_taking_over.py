"""What may be done with a release of upstream besides installing it: push it, list or forget it."""

import hashlib
from pathlib import Path

import pytest

from tests.builders import a_wheel, an_sdist
from tests.clients.programs import Terminal, program
from tests.hostile.behaviours import WrongBytes
from tests.mirror.kept import kept_filenames
from tests.mirror.sites import MirrorSite

WHEEL, SDIST, NEWER = a_wheel("demo", "1.0"), an_sdist("demo", "1.0"), a_wheel("demo", "2.0")


@pytest.fixture
def filled(site: MirrorSite) -> MirrorSite:
    """A mirror of an upstream with three files, none of which anybody has asked for."""
    for built in (WHEEL, SDIST, NEWER):
        site.upstream.add(built, yanked="old" if built is SDIST else False)
    return site


def push(site: MirrorSite, version: str, target: str) -> list[list[object]]:
    """Push a release of demo as root; the log of what was done."""
    order = {"name": "demo", "version": version, "targetindex": target}
    log: list[list[object]] = site.api("POST", f"/{site.index}", order).json()["result"]
    return log


def test_a_release_of_upstream_becomes_one_of_our_own(filled: MirrorSite) -> None:
    target = filled.make_stage(bases=[])
    log = push(filled, "1.0", target)
    assert [step[:2] for step in log] == [
        [200, "register"], [200, "store_releasefile"], [200, "store_releasefile"],
    ]  # fmt: skip
    filled.upstream.unplug()
    ours, theirs = filled.files("demo", index=target), filled.files("demo")
    assert ours.keys() == {WHEEL.filename, SDIST.filename}
    for filename, file in ours.items():
        assert file["upload-time"] == theirs[filename]["upload-time"]
        assert file["hashes"] == theirs[filename]["hashes"]
    assert ours[SDIST.filename]["yanked"] == "old"
    assert filled.download("demo", WHEEL.filename, index=target).content == WHEEL.content


def test_a_release_that_is_pushed_twice_is_there_already(filled: MirrorSite) -> None:
    target = filled.make_stage(bases=[])
    push(filled, "2.0", target)
    (_, stored) = push(filled, "2.0", target)
    assert stored[0] == 200
    assert stored[-1] == "(already there)"


def test_a_release_that_does_not_arrive_right_is_not_pushed(filled: MirrorSite) -> None:
    target = filled.make_stage(bases=[])
    filled.upstream.behave(f"{NEWER.filename}$", WrongBytes())
    order = {"name": "demo", "version": "2.0", "targetindex": target}
    answer = filled.client.request(
        "POST", f"/{filled.index}", json=order, auth=("root", filled.token())
    )
    assert answer.status_code == 502
    assert filled.page("demo", index=target).status_code == 404


@pytest.mark.parametrize("name", ["demo", "none"])
def test_a_release_that_upstream_has_not_is_not_pushed(filled: MirrorSite, name: str) -> None:
    order = {"name": name, "version": "9.9", "targetindex": filled.make_stage(bases=[])}
    answer = filled.client.request(
        "POST", f"/{filled.index}", json=order, auth=("root", filled.token())
    )
    assert answer.status_code == 404, answer.text


def test_the_devpi_client_lists_and_pushes_what_upstream_has(
    filled: MirrorSite, tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path / "home")
    devpi = program("devpi")
    target = filled.make_stage(bases=[filled.index])
    terminal.must(devpi, "use", f"{filled.server.url}/{filled.index}")
    terminal.must(devpi, "login", "root", f"--password={filled.server.root_password}")
    listed = terminal.must(devpi, "list", "demo")
    assert NEWER.filename in listed
    terminal.must(devpi, "push", "demo==2.0", target)
    assert list(filled.files("demo", index=target)) == [NEWER.filename]


def test_what_was_kept_of_a_project_can_be_forgotten(filled: MirrorSite) -> None:
    filled.download("demo", WHEEL.filename)
    assert kept_filenames(filled) == [WHEEL.filename]
    filled.api("DELETE", f"/{filled.index}/demo")
    assert kept_filenames(filled) == []
    changed = a_wheel("demo", "1.0", extra_files={"demo/other.py": b""})
    filled.upstream.add(changed)
    digest = hashlib.sha256(changed.content).hexdigest()
    assert filled.files("demo")[WHEEL.filename]["hashes"]["sha256"] == digest


def test_a_mirror_that_is_made_again_remembers_nothing(filled: MirrorSite) -> None:
    filled.download("demo", WHEEL.filename)
    filled.api("DELETE", f"/{filled.index}")
    filled.api("PUT", f"/{filled.index}", {"type": "mirror", "mirror_url": filled.upstream.url})
    assert kept_filenames(filled) == []
    asked = filled.upstream.requests.count("/simple/demo/")
    assert filled.page("demo").status_code == 200
    assert filled.upstream.requests.count("/simple/demo/") == asked + 1


def test_a_name_that_is_given_up_lets_the_mirror_in_again(filled: MirrorSite) -> None:
    stage = filled.make_stage()
    filled.upload(a_wheel("demo", "0.1"), stage)
    filled.verb("remove", "demo", "--index", stage)
    assert filled.page("demo", index=stage).status_code == 404
    assert "--give-up-name" in filled.verb("why", "demo", "--index", stage)
    filled.verb("remove", "demo", "--index", stage, "--give-up-name")
    assert NEWER.filename in filled.filenames("demo", index=stage)


def test_a_mirror_that_is_made_again_on_the_command_line_remembers_nothing(
    filled: MirrorSite,
) -> None:
    filled.download("demo", WHEEL.filename)
    filled.verb("index", "remove", filled.index, "--force")
    assert kept_filenames(filled) == []
    url = f"mirror_url={filled.upstream.url}"
    filled.verb("index", "create", filled.index, "type=mirror", url)
    asked = filled.upstream.requests.count("/simple/demo/")
    assert filled.page("demo").status_code == 200
    assert filled.upstream.requests.count("/simple/demo/") == asked + 1
