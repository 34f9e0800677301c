"""The line that hosts run to tell what they are, on every Python of this machine."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from simpleindex.gap.probe import SCRIPT, one_line
from simpleindex.gap.targets import load_target, marker_environment
from tests.gap.interpreters import MINORS, output_of, probed, python_of
from tests.server import clean_environment

_MARKERS = """
import json
from pip._vendor.packaging.markers import default_environment
print(json.dumps(default_environment()))
"""


@pytest.mark.parametrize("minor", MINORS)
def test_a_host_tells_its_python_its_platform_and_its_pip(minor: str) -> None:
    python = python_of(minor)
    told = json.loads(output_of([python, "-c", SCRIPT]))
    target = load_target(told)
    version = output_of([python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
    assert target.python == version.strip()
    pip = output_of([python, "-W", "ignore", "-c", "import pip; print(pip.__version__)"])
    assert target.installer is not None
    assert (target.installer.name, target.installer.version) == ("pip", pip.strip())
    assert target.assumed == ()
    assert target.platform == probed(python_of("this")).platform


@pytest.mark.parametrize("minor", MINORS)
def test_markers_are_those_that_its_own_pip_sees(minor: str) -> None:
    python = python_of(minor)
    theirs = json.loads(output_of([python, "-W", "ignore", "-c", _MARKERS]))
    theirs.pop("extra", None)
    assert marker_environment(probed(python)) == theirs


@pytest.mark.parametrize("minor", ["2.7", "3.6", "3.12"])
def test_the_line_tells_what_the_script_does(minor: str) -> None:
    python = python_of(minor)
    assert one_line().startswith("python -c ")
    command = one_line().replace("python", f"'{python}'", 1)
    assert output_of(["sh", "-c", command]) == output_of([python, "-c", SCRIPT])


def test_the_line_can_be_pasted_into_any_terminal() -> None:
    line = one_line()
    assert re.fullmatch(r"python -c \"[A-Za-z0-9 ,;:.()'+/=]+\"", line)
    assert len(line) < 8191  # what cmd.exe takes


def test_a_host_without_pip_tells_the_rest(tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text("raise ImportError")
    told = json.loads(output_of([python_of("this"), "-c", SCRIPT], PYTHONPATH=str(tmp_path)))
    assert told["installer"] is None
    assert load_target(told).installer is None


@pytest.mark.parametrize(
    ("told", "platform"),
    [
        ("musl libc (x86_64)\\nVersion 1.2.4", "musllinux_1_2_x86_64"),
        ("no such thing", "linux_x86_64"),
    ],
)
def test_other_c_libraries_than_glibc_are_told(told: str, platform: str) -> None:
    # As on a host whose C library does not say that it is glibc.
    there = """
import ctypes, glob, os, platform, struct
def none(*arguments): raise ValueError
os.confstr = ctypes.CDLL = none
platform.machine = lambda: "x86_64"
struct.calcsize = lambda kind: 8
glob.glob = lambda pattern: ["/lib/ld-musl-x86_64.so.1"]
"""
    faked = SCRIPT.replace(
        "def linux_platform", f"told_by = lambda *_: '{told}'\n\ndef linux_platform"
    )
    document = json.loads(output_of([python_of("this"), "-c", there + faked]))
    assert document["platform"] == platform


def test_a_python_of_32_bits_is_told_on_a_system_of_64() -> None:
    there = """
import platform, struct
platform.machine = lambda: "x86_64"
struct.calcsize = lambda kind: 4
"""
    document = json.loads(output_of([python_of("this"), "-c", there + SCRIPT]))
    assert document["platform"].endswith("_i686")


def test_nothing_is_written_anywhere(tmp_path: Path) -> None:
    subprocess.run(
        [str(python_of("this")), "-c", SCRIPT],
        check=True, cwd=tmp_path, env=clean_environment(HOME=str(tmp_path)), capture_output=True,
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
