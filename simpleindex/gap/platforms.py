"""Platforms of hosts: what wheels call them, what markers see of them, and their short names.

A platform has the name of the newest wheels that it takes: `manylinux_2_17_x86_64` is Linux with
glibc 2.17 or newer (PEP 600), `musllinux_1_2_x86_64` Alpine and its like (PEP 656).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from packaging.tags import mac_platforms

from simpleindex_storage.errors import Refused

_VERSION_MAX = 99
_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST_GLIBC = {"x86_64": 5, "i686": 5}
"""The minor of the oldest glibc that there are wheels for; 17 for every other processor."""
DEFAULT_GLIBC = (2, 17)
"""What a Linux is taken for that is named without its C library: the oldest that is common."""

_LINUX_MACHINES = (
    "x86_64", "i686", "aarch64", "armv7l", "armv6l", "ppc64le", "s390x", "riscv64", "loongarch64",
)  # fmt: skip
_WINDOWS_MACHINES = {"win_amd64": "AMD64", "win32": "x86", "win_arm64": "ARM64"}
"""By the tag: what Python calls the processor."""
_MAC_MACHINES = ("x86_64", "arm64")

_ALIASES = {
    "linux": "linux_x86_64", "linux64": "linux_x86_64", "alpine": "musllinux_1_2_x86_64",
    "windows": "win_amd64", "win64": "win_amd64", "win": "win_amd64", "win_x86_64": "win_amd64",
    "win_x86": "win32", "windows_amd64": "win_amd64", "windows_x86_64": "win_amd64",
    "windows_arm64": "win_arm64", "win_aarch64": "win_arm64",
    "macos": "macosx_11_0_arm64", "macos_arm64": "macosx_11_0_arm64",
    "macosx_arm64": "macosx_11_0_arm64", "macos_x86_64": "macosx_10_13_x86_64",
    "macosx_x86_64": "macosx_10_13_x86_64",
}  # fmt: skip
_MACHINE_ALIASES = {"amd64": "x86_64", "arm64": "aarch64", "x86": "i686", "i386": "i686"}
_LEGACY_NAMES = {name: glibc for glibc, name in _LEGACY.items()}
_LINUX = re.compile(r"(manylinux|musllinux|macosx)_([0-9]{1,2})_([0-9]{1,2})_([a-z0-9_]+)")
_EXAMPLES = "win_amd64, manylinux_2_17_x86_64, musllinux_1_2_x86_64 or macosx_11_0_arm64"


class System(StrEnum):
    """An operating system, by the name that wheels have for those who share their files."""

    GLIBC = "manylinux"
    MUSL = "musllinux"
    PLAIN_LINUX = "linux"
    """With a C library that no wheels are for: only what was built on such a host."""
    WINDOWS = "win"
    MACOS = "macosx"


@dataclass(frozen=True, slots=True)
class Platform:
    """What wheels with binary code are for."""

    system: System
    machine: str
    """As wheels spell it; on Windows the whole tag."""
    floor: tuple[int, int] | None
    """The version of the C library or of macOS; None: there is none to tell."""

    def __str__(self) -> str:
        if self.system is System.WINDOWS:
            return self.machine
        version = "" if self.floor is None else f"{self.floor[0]}_{self.floor[1]}_"
        return f"{self.system}_{version}{self.machine}"

    @property
    def words(self) -> str:
        """For people."""
        if self.system is System.WINDOWS:
            return f"Windows {self.machine.removeprefix('win').removeprefix('_') or '32'}"
        if self.system is System.MACOS:
            return f"{self.floor_words} {self.machine}"
        return f"Linux {self.machine}, {self.floor_words}"

    @property
    def floor_words(self) -> str:
        """For people, the oldest C library or macOS on which it is this one. Empty: Windows."""
        version = "" if self.floor is None else f" {self.floor[0]}.{self.floor[1]}"
        return {
            System.GLIBC: f"glibc{version}",
            System.MUSL: f"musl{version}",
            System.PLAIN_LINUX: "C library unknown",
            System.MACOS: f"macOS{version}",
            System.WINDOWS: "",
        }[self.system]

    @property
    def markers(self) -> Mapping[str, str]:
        """What environment markers (PEP 508) see of it, as far as its name tells."""
        if self.system is System.WINDOWS:
            machine = _WINDOWS_MACHINES[self.machine]
            os_name, sys_platform, system = "nt", "win32", "Windows"
        elif self.system is System.MACOS:
            machine, os_name, sys_platform, system = self.machine, "posix", "darwin", "Darwin"
        else:
            machine, os_name, sys_platform, system = self.machine, "posix", "linux", "Linux"
        return {
            "os_name": os_name,
            "platform_machine": machine,
            "platform_system": system,
            "sys_platform": sys_platform,
        }


@dataclass(frozen=True, slots=True)
class ParsedPlatform:
    """A platform as somebody named it."""

    platform: Platform
    is_assumed: bool
    """Whether the name leaves out the C library or the version, which are taken for usual ones."""


def parse_platform(text: str) -> ParsedPlatform:
    """A platform by its tag or by another name that people use for it. Raises Refused."""
    plain = text.strip().lower().replace("-", "_").replace(".", "_")
    name = _ALIASES.get(plain, plain)
    is_assumed = name != plain and not name.startswith("win")
    if name in _WINDOWS_MACHINES:
        return ParsedPlatform(Platform(System.WINDOWS, name, None), False)
    if match := _LINUX.fullmatch(name):
        system, major, minor, machine = match.groups()
        return ParsedPlatform(
            _checked(text, System(system), (int(major), int(minor)), machine), is_assumed
        )
    family, _, machine = name.partition("_")
    if family == "linux":
        platform = _checked(text, System.GLIBC, DEFAULT_GLIBC, machine)
        return ParsedPlatform(platform, is_assumed=True)
    if family in _LEGACY_NAMES:
        return ParsedPlatform(_checked(text, System.GLIBC, _LEGACY_NAMES[family], machine), False)
    raise _refused(text)


def plain_linux(machine: str) -> Platform:
    """Linux of which nobody could tell the C library. Raises Refused."""
    return Platform(System.PLAIN_LINUX, _machine(machine, machine, _LINUX_MACHINES), None)


def windows_tag(machine: str) -> str:
    """The tag of Windows on a processor, as Python names it. Raises Refused."""
    for tag, known in _WINDOWS_MACHINES.items():
        if known.lower() == machine.lower():
            return tag
    raise _refused(f"Windows on {machine}")


def platform_tags(platform: Platform, *, knows: "Knowledge") -> Iterator[str]:
    """The platform part of the tags of wheels that it takes, the best first."""
    if platform.system is System.WINDOWS:
        yield platform.machine
    elif platform.system is System.MACOS:
        yield from mac_platforms(platform.floor, platform.machine)
    else:
        plain = f"linux_{platform.machine}"
        if knows.plain_first:
            yield plain
        if platform.system is System.GLIBC:
            yield from _glibc_tags(platform, knows)
        elif platform.system is System.MUSL and knows.musl and platform.floor is not None:
            major, minor = platform.floor
            for each in range(minor, -1, -1):
                yield f"musllinux_{major}_{each}_{platform.machine}"
        if not knows.plain_first:
            yield plain


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What an installer knows of the tags of Linux."""

    legacy: frozenset[str] = frozenset(_LEGACY.values())
    """Those of before PEP 600."""
    any_glibc: bool = True
    """Those of PEP 600: `manylinux_2_28_x86_64`."""
    musl: bool = True
    plain_first: bool = True
    """A wheel that was built on such a host comes before those that are for many."""


def _glibc_tags(platform: Platform, knows: Knowledge) -> Iterator[str]:
    assert platform.floor is not None
    major, newest = platform.floor
    oldest = _OLDEST_GLIBC.get(platform.machine, DEFAULT_GLIBC[1])
    for minor in range(newest, oldest - 1, -1):
        if knows.any_glibc:
            yield f"manylinux_{major}_{minor}_{platform.machine}"
        legacy = _LEGACY.get((major, minor))
        if legacy in knows.legacy:
            yield f"{legacy}_{platform.machine}"


def _checked(text: str, system: System, version: tuple[int, int], machine: str) -> Platform:
    if system is System.MACOS:
        if not (10, 0) <= version <= (_VERSION_MAX, _VERSION_MAX):
            raise _refused(text)
        return Platform(system, _machine(text, machine, _MAC_MACHINES), version)
    if version[0] != (2 if system is System.GLIBC else 1):
        raise _refused(text)
    machine = _MACHINE_ALIASES.get(machine, machine)
    return Platform(system, _machine(text, machine, _LINUX_MACHINES), version)


def _machine(text: str, machine: str, known: tuple[str, ...]) -> str:
    if machine not in known:
        raise Refused(f"platform {text[:80]!r}", f"its processor is none of {', '.join(known)}")
    return machine


def _refused(text: str) -> Refused:
    return Refused(f"platform {text[:80]!r}", f"it is not known; it would be one like {_EXAMPLES}")
