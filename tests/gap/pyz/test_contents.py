"""What goes into the one file, and what keeps it from being made."""

import io
import sys
import zipfile
from pathlib import Path
from zipfile import ZipFile

import pytest

import simpleindex
from simpleindex.archive import run_from
from simpleindex.gap.pyz.building import MEMBER, server_pyz
from simpleindex.gap.pyz.contents import PROGRAM, installed_parts
from simpleindex_storage.errors import Damaged, NotStored, Refused
from tests.builders import a_wheel, core_metadata

BYTES_MAX = 3_000_000
VICTIM = "aiofiles"
"""One of those that we need; tests put something else in its place."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose distributions come before all others."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def install(folder: Path, name: str, *requires: str, files: dict[str, bytes] | None = None) -> Path:
    """A distribution as pip would install it; the folder of its package."""
    wheel = a_wheel(name, "99.0", requires_dist=requires, extra_files=files or {})
    with ZipFile(io.BytesIO(wheel.content)) as file:
        file.extractall(folder)
    return folder / name.replace("-", "_")


def names_of(content: bytes) -> list[str]:
    return ZipFile(io.BytesIO(content)).namelist()


def test_the_file_fits_on_a_call(pyz: Path) -> None:
    assert pyz.stat().st_size <= BYTES_MAX


def test_all_that_we_need_is_in_and_what_tests_need_is_not() -> None:
    names = {part.name for part in installed_parts()}
    assert {PROGRAM, "click", "h11", "httpx2", "packaging", "starlette", "uvicorn"} <= names
    assert {"anyio", "idna", "truststore", "typing-extensions"} <= names  # which those need
    assert names.isdisjoint({"pytest", "uv", "cryptography", "pip", "uvloop"})


def test_nothing_is_in_that_does_not_run_or_tells_of_this_machine(pyz: Path) -> None:
    with ZipFile(pyz) as file:
        names = file.namelist()
        for place in (sys.prefix, str(Path(simpleindex.__path__[0]).parent)):
            assert not [name for name in names if place.encode() in file.read(name)]
    assert {Path(name).suffix for name in names} <= {".py", ".md", ".txt", ".BSD", ".APACHE", ""}
    assert not [name for name in names if "__pycache__" in name or name.endswith("RECORD")]
    assert names == sorted(names)
    assert len(set(names)) == len(names)


def test_each_distribution_comes_with_its_licence() -> None:
    for part in installed_parts():
        assert [name for name in part.files if "/licenses/" in name], part.name


def test_a_list_says_what_is_inside(pyz: Path) -> None:
    with ZipFile(pyz) as file:
        told = file.read("CONTENTS.txt").decode()
        names = file.namelist()
    for part in installed_parts():
        assert f"\n{part.name} {part.version}: " in told
    of_licences = [line.strip() for line in told.splitlines() if line.startswith("    ")]
    assert sorted(of_licences) == [name for name in names if "/licenses/" in name]


def test_what_only_other_pythons_or_systems_need_is_asked_for_too(site: Path) -> None:
    install(site, VICTIM, "old-thing; python_version < '3.11'", "extra-thing; extra == 'more'")
    assert {"old-thing", "extra-thing"}.isdisjoint(part.name for part in installed_parts())
    install(site, VICTIM, "not-there; sys_platform == 'win32' and python_version < '3.13'")
    with pytest.raises(NotStored, match=r"not-there among .*`python -m pip install not-there`"):
        installed_parts()


def test_extras_that_are_asked_for_are_in(site: Path) -> None:
    install(site, VICTIM, "with-extra[fast]")
    metadata = core_metadata(
        "with-extra",
        "99.0",
        requires_dist=["speed; extra == 'fast'", "other; extra == 'slow'"],
        headers=[("Provides-Extra", "fast"), ("Provides-Extra", "slow")],
    )
    with ZipFile(io.BytesIO(a_wheel("with-extra", "99.0", metadata=metadata).content)) as file:
        file.extractall(site)
    install(site, "speed")
    names = {part.name for part in installed_parts()}
    assert {"with-extra", "speed"} <= names
    assert "other" not in names


def test_what_runs_on_one_system_only_is_refused(site: Path) -> None:
    install(site, VICTIM, files={f"{VICTIM}/_fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"})
    with pytest.raises(Refused, match=r"aiofiles: _fast.*\.so runs on one kind of system only"):
        installed_parts()


def test_markupsafe_goes_along_without_its_native_part(site: Path) -> None:
    install(site, VICTIM, "MarkupSafe")
    files = {
        "_native.py": b"",
        "_speedups.so": b"\x7fELF",
        "_speedups.c": b"",
        "_speedups.pyi": b"",
    }
    install(site, "markupsafe", files={f"markupsafe/{name}": files[name] for name in files})
    (part,) = [part for part in installed_parts() if part.name == "markupsafe"]
    assert sorted(name for name in part.files if name.startswith("markupsafe/_")) == [
        "markupsafe/__init__.py",
        "markupsafe/_native.py",
    ]


def test_what_hooks_into_python_is_refused(site: Path) -> None:
    install(site, VICTIM, files={"hook.pth": b"import aiofiles\n"})
    with pytest.raises(Refused, match=r"hook\.pth would not be read"):
        installed_parts()


def test_a_file_that_is_not_as_it_was_installed_is_found(site: Path) -> None:
    install(site, VICTIM, files={f"{VICTIM}/more.py": b"good = True\n"})
    assert installed_parts()
    (site / VICTIM / "more.py").write_bytes(b"good = False\n")
    with pytest.raises(Damaged, match=r"more\.py: the sha256 digest should be"):
        installed_parts()


def test_a_distribution_without_a_list_of_files_is_refused(site: Path) -> None:
    install(site, VICTIM)
    (site / f"{VICTIM}-99.0.dist-info" / "RECORD").unlink()
    with pytest.raises(Refused, match="aiofiles: there is no list of its files"):
        installed_parts()


def test_a_program_that_runs_from_such_a_file_copies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpleindex.archive._path", None)  # and back at the end
    (tmp_path / MEMBER).write_bytes(b"the file that runs")
    run_from(tmp_path / MEMBER)
    assert server_pyz() == b"the file that runs"


def test_the_file_is_a_plain_zip(pyz: Path) -> None:
    with ZipFile(pyz) as file:
        assert file.testzip() is None
        assert {member.compress_type for member in file.infolist()} == {zipfile.ZIP_DEFLATED}
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
