"""Lock files as wishes; and what uv itself writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simpleindex.gap.locks import read_pylock, read_uv_lock
from simpleindex.gap.resolving import Outcome, resolve
from simpleindex.gap.source import open_source
from simpleindex.gap.targets import parse_target
from simpleindex.gap.wishes import LinesRead, Wishes
from simpleindex_storage.errors import Refused
from tests.clients.programs import Terminal, program
from tests.gap.corpus import CORPUS, Said, publish
from tests.gap.interpreters import python_of
from tests.hostile.upstream import Upstream, running_upstream

LINUX = "3.12.1-manylinux_2_17_x86_64"
WINDOWS = "3.12.1-win_amd64"
PROJECT = """\
[project]
name = "site"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["colour", "many", "lib<2", "win-helper; sys_platform == 'win32'"]
"""
PYLOCK = """\
lock-version = "1.0"
created-by = "tests"
default-groups = ["main"]
[[packages]]
name = "plain"
version = "1.0"
marker = "'main' in dependency_groups"
wheels = [{name = "plain-1.0-py3-none-any.whl", url = "https://packages.example/p", hashes = {sha256 = "HASH"}}]
[[packages]]
name = "win-helper"
version = "1.0"
marker = "sys_platform == 'win32' and 'docs' not in dependency_groups"
wheels = [{name = "win_helper-1.0-py3-none-any.whl", url = "https://packages.example/w", hashes = {sha256 = "00"}}]
[[packages]]
name = "lib"
version = "1.0"
marker = "'all' in extras or 'docs' in dependency_groups"
wheels = [{name = "lib-1.0-py3-none-any.whl", url = "https://packages.example/l", hashes = {sha256 = "00"}}]
[[packages]]
name = "own"
directory = {path = "own"}
"""  # noqa: E501  as such files are written


@pytest.fixture(scope="module")
def index() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        publish(upstream, CORPUS)
        yield upstream


@pytest.fixture(scope="module")
def project(index: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that uv has locked, twice over."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(PROJECT)
    terminal = Terminal(folder / "home")
    options = ("--project", folder, "--python", python_of("this"), "--no-python-downloads")
    cache = str(folder / "cache")
    uv = program("uv")
    terminal.must(uv, "lock", *options, "--default-index", index.url, UV_CACHE_DIR=cache)
    terminal.must(
        uv, "export", *options, "--frozen", "--no-emit-project", "--format", "pylock.toml",
        "--output-file", folder / "pylock.toml", UV_CACHE_DIR=cache,
    )  # fmt: skip
    return folder


def outcome(target: str, read: LinesRead, index: Upstream) -> Outcome:
    with open_source(index.url) as source:
        return resolve(parse_target(target), Wishes(read.lines, read.constraints), source)


def picked(found: Outcome) -> set[str]:
    return {f"{pick.project} {pick.version}" for pick in found.picks}


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_each_target_gets_what_uv_has_locked_for_it(
    name: str, project: Path, index: Upstream
) -> None:
    read = (read_uv_lock if name == "uv.lock" else read_pylock)((project / name).read_bytes(), name)
    everywhere = {"colour 1.0", "late 1.0", "many 1.0", "plain 1.1", "lib 1.0"}
    linux, windows = (outcome(target, read, index) for target in (LINUX, WINDOWS))
    assert linux.is_complete, linux.verdicts
    assert windows.is_complete, windows.verdicts
    assert picked(linux) == everywhere
    assert picked(windows) == everywhere | {"win-helper 1.0"}


def test_a_lock_holds_against_what_came_later() -> None:
    lock = b"""
version = 1
[[package]]
name = "site"
source = { virtual = "." }
dependencies = [{ name = "plain" }, { name = "app-c" }]
[package.optional-dependencies]
more = [{ name = "lib" }]
[[package]]
name = "plain"
version = "1.0"
source = { registry = "https://packages.example/simple" }
[[package]]
name = "app-c"
version = "1.0"
source = { registry = "https://packages.example/simple" }
"""
    read = read_uv_lock(lock, "uv.lock")
    wishes = Wishes(read.lines, read.constraints)
    found = resolve(parse_target(LINUX), wishes, Said(*CORPUS))
    # What the lock does not have, for it was made for other hosts, is the newest.
    assert picked(found) == {"plain 1.0", "app-c 1.0", "lib 2.0"}
    assert read.left_out == ("extra 'more' of site",)


def test_hashes_of_a_lock_are_kept_to() -> None:
    (wheel,) = (
        each.built for each in CORPUS if each.built.filename == "plain-1.0-py3-none-any.whl"
    )
    read = read_pylock(PYLOCK.replace("HASH", wheel.sha256).encode(), "pylock.toml")
    wishes = Wishes(read.lines, read.constraints)
    linux = resolve(parse_target(LINUX), wishes, Said(*CORPUS))
    windows = resolve(parse_target(WINDOWS), wishes, Said(*CORPUS))
    assert [str(each.kind) for each in linux.verdicts] == [
        "met", "not-wanted", "not-wanted", "refused",
    ]  # fmt: skip
    assert (
        windows.verdicts[1].chain[0].endswith("win-helper 1.0 has no file with one of the hashes")
    )


def test_packages_that_no_index_has_are_refused_by_their_name() -> None:
    own = read_pylock(PYLOCK.encode(), "pylock.toml").lines[3]
    assert (own.text, own.requirement) == ("own", None)
    assert own.refusal == "it comes from a path, URL or repository, not from an index"
    lock = b"""
version = 1
[[package]]
name = "site"
source = { editable = "." }
dependencies = [{ name = "art" }]
[[package]]
name = "art"
version = "1.0"
source = { git = "https://packages.example/art" }
"""
    refused = [line for line in read_uv_lock(lock, "uv.lock").lines if line.requirement is None]
    assert [line.refusal for line in refused] == [
        "it comes from a source of kind git, not from an index"
    ]


def test_of_several_versions_each_counts_where_the_lock_says_so() -> None:
    lock = b"""
version = 1
[[package]]
name = "site"
source = { virtual = "." }
dependencies = [
  { name = "lib", version = "1.0", marker = "sys_platform == 'win32'" },
  { name = "lib", version = "2.0", marker = "sys_platform != 'win32'" },
]
[[package]]
name = "lib"
version = "1.0"
resolution-markers = ["sys_platform == 'win32'", "sys_platform == 'cygwin'"]
source = { registry = "https://packages.example/simple" }
[[package]]
name = "lib"
version = "2.0"
resolution-markers = ["sys_platform != 'win32' and sys_platform != 'cygwin'"]
source = { registry = "https://packages.example/simple" }
"""
    read = read_uv_lock(lock, "uv.lock")
    for target, version in ((LINUX, "2.0"), (WINDOWS, "1.0")):
        wishes = Wishes(read.lines, read.constraints)
        found = resolve(parse_target(target), wishes, Said(*CORPUS))
        assert found.is_complete
        assert picked(found) == {f"lib {version}"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "it is no TOML"),
        (b"= 1", "it is no TOML"),
        (b"version = 2", "it is no uv.lock of version 1"),
        (b"version = 1\npackage = 3", "'package' is no list"),
        (b"version = 1\npackage = [3]", "a table is missing"),
        (b"version = 1", "there is no project in it"),
        (b"version = 1\n[[package]]\nsource = {virtual = '.'}", "'name' is missing somewhere"),
    ],
)
def test_what_is_no_uv_lock_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(Refused, match=f"^uv.lock: .*{why}"):
        read_uv_lock(content, "uv.lock")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[", "it is no TOML"),
        (b"", "it is no pylock.toml"),
        (PYLOCK.replace('"1.0"', '"2.0"', 1).encode(), "this program does not know such files"),
    ],
)
def test_what_is_no_pylock_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(Refused, match=f"^pylock.toml: {why}"):
        read_pylock(content, "pylock.toml")
