"""The folder that the one file unpacks itself into: whole, private, and not needed."""

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from simpleindex.gap.pyz.unpacking import cache_home, unpacked
from tests.cli.commands import listing

FILES = {"one.py": b"1\n", "package/__init__.py": b"", "package/two.py": b"2\n" * 1000}

POSIX = pytest.mark.skipif(os.name == "nt", reason="modes and owners are those of POSIX")
ONLY_ROOT = pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can try"
)
NOBODY = 65534


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with ZipFile(tmp_path / "server.pyz", "w") as file:
        for name, content in FILES.items():
            file.writestr(name, content)
    return tmp_path / "server.pyz"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".cache"


def contents(folder: Path | None) -> dict[str, bytes]:
    assert folder is not None
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_that_is_in_it_is_there_and_of_this_user_alone(archive: Path, home: Path) -> None:
    folder = unpacked(archive, home)
    assert contents(folder) == FILES
    assert folder is not None and folder.is_relative_to(home)
    if os.name != "nt":
        rights = {path.stat().st_mode & 0o077 for path in (home.parent, *home.parent.rglob("*"))}
        assert rights == {0}


def test_the_next_start_writes_nothing(archive: Path, home: Path) -> None:
    folder = unpacked(archive, home)
    assert folder is not None
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}
    assert unpacked(archive, home) == folder
    after = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}
    assert after == before


def test_another_archive_has_another_folder(archive: Path, home: Path) -> None:
    first = unpacked(archive, home)
    with ZipFile(archive, "a") as file:
        file.writestr("three.py", b"3\n")
    assert unpacked(archive, home) != first
    assert contents(first) == FILES


@pytest.mark.parametrize("content", [None, b"", b"2\n" * 999 + b"3\n"], ids=["gone", "", "other"])
def test_what_was_lost_or_damaged_is_mended(
    archive: Path, home: Path, content: bytes | None
) -> None:
    folder = unpacked(archive, home)
    assert folder is not None
    victim = folder / "package" / "two.py"
    victim.unlink()
    if content is not None:
        victim.write_bytes(content)
    assert contents(unpacked(archive, home)) == FILES


@pytest.mark.parametrize("there", [None, b"x"], ids=["missing", "damaged"])
def test_a_disk_that_fills_up_leaves_no_half_of_a_file(
    archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch, there: bytes | None
) -> None:
    folder = unpacked(archive, home)
    assert folder is not None
    victim = folder / "package" / "two.py"
    victim.unlink()
    left = {name: content for name, content in FILES.items() if name != "package/two.py"}
    if there is not None:
        victim.write_bytes(there)
        left["package/two.py"] = there
    with monkeypatch.context() as full:
        full.setattr(os, "fdopen", _FullDisk)
        assert unpacked(archive, home) is None
    assert contents(folder) == left
    assert contents(unpacked(archive, home)) == FILES


class _FullDisk:
    """A file of which the beginning can be written."""

    def __init__(self, handle: int, mode: str) -> None:
        self._file = open(handle, mode)  # noqa: SIM115  closed with the block

    def __enter__(self) -> "_FullDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_damaged_archive_says_so(archive: Path, home: Path) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"2\n2\n", b"3\n2\n", 1))
    with pytest.raises(SystemExit, match=r"server\.pyz is damaged; take another copy of it"):
        unpacked(archive, home)


# Other users of the machine


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("place", ["home", "home/.cache", "home/.cache/simpleindex-server"])
def test_where_others_could_change_it_nothing_is_unpacked(
    archive: Path, home: Path, tmp_path: Path, place: str, mode: int
) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place).chmod(mode)
    assert unpacked(archive, home) is None
    assert not list(tmp_path.glob("**/one.py"))


@POSIX
def test_a_folder_that_others_can_write_to_is_not_used_again(archive: Path, home: Path) -> None:
    folder = unpacked(archive, home)
    assert folder is not None
    folder.chmod(0o777)
    assert unpacked(archive, home) is None


@POSIX
def test_where_each_can_move_only_what_is_his_own_it_is_unpacked(
    archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    assert contents(unpacked(archive, tmp_path / "shared")) == FILES


@POSIX
def test_a_link_in_its_place_is_not_followed(archive: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    home.mkdir(mode=0o700, parents=True)
    (home / "simpleindex-server").symlink_to(tmp_path / "elsewhere")
    assert unpacked(archive, home) is None


@ONLY_ROOT
@pytest.mark.parametrize("place", ["home", "home/.cache", "home/.cache/simpleindex-server"])
def test_root_takes_nothing_from_a_folder_of_somebody_else(
    archive: Path, home: Path, tmp_path: Path, place: str
) -> None:
    (home / "simpleindex-server").mkdir(mode=0o700, parents=True)
    os.chown(tmp_path / place, NOBODY, NOBODY)
    before = listing(tmp_path)
    assert unpacked(archive, home) is None
    assert listing(tmp_path) == before


@pytest.fixture
def of_root() -> Iterator[Path]:
    """A folder that others can look into: not in pytest's, which is its user's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@ONLY_ROOT
def test_who_cannot_write_there_goes_without(archive: Path, of_root: Path) -> None:
    copied = of_root / "server.pyz"
    copied.write_bytes(archive.read_bytes())
    copied.chmod(0o644)
    child = os.fork()
    if child == 0:  # what it does needs nothing that is not loaded yet
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os._exit(0 if unpacked(copied, of_root / "cache") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [path.name for path in of_root.iterdir()] == ["server.pyz"]


# Places


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.cache"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "/var/cache/index"}, "/var/cache/index"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": ""}, "/home/ann/.cache"),
        ({"XDG_CACHE_HOME": "cache"}, None),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_the_place_is_where_programs_keep_such_things(
    environment: dict[str, str], expected: str | None
) -> None:
    assert cache_home(environment) == (None if expected is None else Path(expected))
