"""Targets: the kinds of hosts that a closed site has, and which wheels each of them takes.

A target is one Python on one platform, down to its patch release: `Requires-Python` and markers
may tell 3.9.18 from 3.9.25. Its form in JSON is what a probe prints and what files keep.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from packaging.tags import Tag, compatible_tags, cpython_tags, generic_tags
from packaging.version import InvalidVersion, Version

from simpleindex.gap.platforms import (
    Knowledge,
    Platform,
    System,
    parse_platform,
    plain_linux,
    platform_tags,
)
from simpleindex.gap.pythons import KNOWN_AT, NEWEST_PATCH, bundled_pip, newest_tools
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue

_FIELDS = {"name", "python", "implementation", "abi", "platform", "installer", "markers", "assumed"}
_MARKERS = {
    "implementation_name", "implementation_version", "os_name", "platform_machine",
    "platform_python_implementation", "platform_release", "platform_system", "platform_version",
    "python_full_version", "python_version", "sys_platform",
}  # fmt: skip
_ASSUMED = ("python", "platform")
_TEXT_CHARACTERS_MAX = 200

_SHORT_NAME = re.compile(r"(?:cp|py|python|cpython)?-?([0-9][0-9a-z.]*?)(t|m|mu)?[-_](.+)")
_ABI = re.compile(r"[a-z0-9_]{1,40}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,30}")
_EXAMPLES = "cp39-win_amd64, 3.9.18-manylinux_2_17_x86_64 or cp311-linux_x86_64"


@dataclass(frozen=True, slots=True)
class Installer:
    """What installs packages on a host."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of host."""

    python: str
    """The whole version: `3.9.18`."""
    platform: Platform
    abi: str
    """As in wheels: `cp39`, `cp36m`, `cp313t`."""
    implementation: str = "cpython"
    """As in the marker `implementation_name`."""
    installer: Installer | None = None
    """What such hosts have before anything is installed; None: that is not known."""
    told_markers: tuple[tuple[str, str], ...] = ()
    """Where markers differ from what the rest of this tells; sorted."""
    assumed: tuple[str, ...] = ()
    """What was not said, but taken for usual: `python` (its patch release), `platform`."""

    @property
    def name(self) -> str:
        """Short, and told apart from other patch releases unless the newest was meant."""
        threads = "t" if self.abi.endswith("t") and self.implementation == "cpython" else ""
        if self.implementation != "cpython":
            python = f"{self.implementation}{self.python}"
        elif "python" in self.assumed:
            python = f"cp{self.minor[0]}{self.minor[1]}{threads}"
        else:
            python = f"{self.python}{threads}"
        return f"{python}-{self.platform}"

    @property
    def minor(self) -> tuple[int, int]:
        """The first two numbers of its Python's version."""
        release = Version(self.python).release
        return release[0], release[1]

    @property
    def requires_python_version(self) -> Version:
        """What Requires-Python is compared with: pip leaves out that it is a pre-release."""
        release = (*Version(self.python).release, 0)[:3]
        return Version(".".join(map(str, release)))

    @property
    def words(self) -> str:
        """For people: one line."""
        python = "Python" if self.implementation == "cpython" else self.implementation
        line = f"{python} {self.python}, {self.platform.words}"
        return line if self.installer is None else f"{line}, {self.installer}"

    @property
    def assumed_words(self) -> str:
        """For people: what was taken for usual, like `Python 3.9.25, glibc 2.17`; or nothing."""
        values = {"python": f"Python {self.python}", "platform": self.platform.floor_words}
        return ", ".join(values[word] for word in self.assumed)


def stands_for(target: Target, guess: Target) -> bool:
    """Whether a target is the same kind of host as another of which more had to be assumed.

    They differ only in that: in the patch release, in the C library, or in both.
    """
    here, there = target.platform, guess.platform
    return (
        set(target.assumed) < set(guess.assumed)
        and (target.implementation, target.minor) == (guess.implementation, guess.minor)
        and (target.abi, here.system, here.machine) == (guess.abi, there.system, there.machine)
        and ("python" in guess.assumed or target.python == guess.python)
        and ("platform" in guess.assumed or here == there)
    )


def is_meant(target: Target, by: Target) -> bool:
    """Whether what was made for a target is for this one: it is the same, or stands for it."""
    return target.name == by.name or stands_for(target, by)


def without_guesses(targets: Iterable[Target], told: Collection[Target]) -> tuple[Target, ...]:
    """Those for which none of `told` stands, which hosts have told of themselves."""
    return tuple(each for each in targets if not any(stands_for(one, each) for one in told))


def assumed_note(targets: Iterable[Target]) -> str | None:
    """What was assumed of any of them, in a sentence for all. None: nothing was."""
    what = {
        "python": f"the newest Python known on {KNOWN_AT}",
        "platform": "the oldest C library or macOS that is usual",
    }
    assumed = {word for target in targets for word in target.assumed}
    if not assumed:
        return None
    told = " and ".join(what[word] for word in _ASSUMED if word in assumed)
    return f"what nobody has said is assumed: {told}; a host with an older one may need other files"


def parse_target(text: str, *, installer: Installer | None = None) -> Target:
    """A target by its short name: `cp39-win_amd64`, `3.9.18-linux_x86_64`. Raises Refused.

    `cp39` and `3.9` mean the newest patch release known, `3.9.18` what it says.
    """
    match = _SHORT_NAME.fullmatch(text.strip().lower())
    if match is None:
        raise _refused(text, f"a target is named like {_EXAMPLES}")
    python, is_assumed = _python_of(match[1], text)
    found = parse_platform(match[3])
    flags = match[2] or ""
    minor = _minor_of(python)
    abi = f"cp{minor[0]}{minor[1]}t" if flags == "t" else usual_abi(minor, found.platform)
    if flags == "t" and minor < (3, 13):
        raise _refused(text, "Pythons without the global lock (t) begin with 3.13")
    if flags in {"m", "mu"} and not abi.endswith(flags):
        raise _refused(text, f"the Python is {abi} there")
    if installer is None and (pip := bundled_pip(python)) is not None:
        installer = Installer("pip", pip)
    assumed = tuple(
        word for word, is_so in zip(_ASSUMED, (is_assumed, found.is_assumed), strict=True) if is_so
    )
    return Target(python, found.platform, abi, installer=installer, assumed=assumed)


def parse_installer(text: str) -> Installer:
    """`pip 18.1`, `pip-18.1`, `pip18.1`, `uv==0.9`. Raises Refused."""
    match = re.fullmatch(r"\s*([a-z][a-z_]*)\s*(?:==|[-@=\s])?\s*v?([0-9][0-9a-z.+!]*)\s*", text)
    if match is None:
        raise Refused(f"installer {text[:80]!r}", "an installer is named like 'pip 18.1'")
    return _installer(match[1], match[2])


def load_target(document: JsonValue) -> Target:
    """A target from its form in JSON: a record, or only a short name. Raises Refused.

    A record needs `python` and `platform`; the rest has the usual values.
    """
    if isinstance(document, str):
        return parse_target(document)
    if not isinstance(document, dict):
        raise Refused("target", "it is neither a record nor a name")
    subject = f"target {str(document.get('name') or document.get('platform'))[:80]!r}"
    unknown = sorted(set(document) - _FIELDS)
    if unknown:
        raise Refused(subject, f"{unknown[0][:40]!r} is none of {', '.join(sorted(_FIELDS))}")
    python = _version(_text(document, "python", subject), subject)
    implementation = _text(document, "implementation", subject, "cpython")
    if not _WORD.fullmatch(implementation):
        raise Refused(subject, "'implementation' is a word like cpython or pypy")
    platform = _platform_of(_text(document, "platform", subject))
    is_cpython = implementation == "cpython"
    usual = usual_abi(_minor_of(python), platform) if is_cpython else None
    abi = _text(document, "abi", subject, usual)
    if not _ABI.fullmatch(abi):
        raise Refused(subject, "'abi' is a word like cp39 or cp36m")
    target = Target(
        python,
        platform,
        abi,
        implementation,
        _loaded_installer(document.get("installer"), subject),
        assumed=_loaded_assumed(document.get("assumed"), subject),
    )
    return with_markers(target, _loaded_markers(document.get("markers"), subject))


def with_markers(target: Target, markers: Mapping[str, str]) -> Target:
    """The target, on which markers see these values. Those that it has anyhow are not kept."""
    usual = marker_environment(replace(target, told_markers=()))
    told = sorted((name, value) for name, value in markers.items() if usual.get(name) != value)
    return replace(target, told_markers=tuple(told))


def dump_target(target: Target) -> dict[str, JsonValue]:
    """The form in JSON. Its name is for people; it is not read again."""
    installer: JsonValue = None
    if target.installer is not None:
        installer = {"name": target.installer.name, "version": target.installer.version}
    return {
        "name": target.name,
        "python": target.python,
        "implementation": target.implementation,
        "abi": target.abi,
        "platform": str(target.platform),
        "installer": installer,
        "markers": dict(target.told_markers),
        "assumed": list(target.assumed),
    }


def marker_environment(target: Target) -> dict[str, str]:
    """What environment markers (PEP 508) see on such a host; without `extra`."""
    implementation = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
    environment = {
        "implementation_name": target.implementation,
        "implementation_version": target.python,
        "platform_python_implementation": implementation.get(
            target.implementation, target.implementation
        ),
        "platform_release": "",
        "platform_version": "",
        "python_full_version": target.python,
        "python_version": f"{target.minor[0]}.{target.minor[1]}",
        **target.platform.markers,
    }
    if target.minor < (3, 3):
        # Before `sys.implementation`, installers say so.
        environment |= {"implementation_name": "", "implementation_version": "0"}
        if environment["sys_platform"] == "linux":
            environment["sys_platform"] = "linux2"
    return environment | dict(target.told_markers)


@lru_cache(maxsize=256)
def supported_tags(target: Target) -> tuple[Tag, ...]:
    """The tags of wheels that it takes, the best first, once it has the newest pip for it."""
    return tuple(_pip_tags(target, Version(newest_tools(target.minor).pip)))


@lru_cache(maxsize=256)
def installer_tags(target: Target) -> tuple[Tag, ...]:
    """The tags of wheels that it takes as it is, the best first.

    As `supported_tags` if its installer is none that is known, or not pip.
    """
    if target.installer is None or target.installer.name != "pip":
        return supported_tags(target)
    return tuple(_pip_tags(target, Version(target.installer.version)))


@lru_cache(maxsize=1 << 12)
def pip_needed(target: Target, tag: Tag) -> str | None:
    """The oldest pip that knows a tag, if the target's own is older; None: its own does."""
    if tag in installer_tags(target):
        return None
    for version in _STEPS:
        if tag in set(_pip_tags(target, Version(version))):
            return version
    return newest_tools(target.minor).pip


_STEPS = ("19.0", "19.3", "20.0", "20.3", "21.2")
"""The releases of pip that learned tags."""


def _pip_tags(target: Target, pip: Version) -> Iterator[Tag]:
    """As that pip makes them: compared with pip 9.0 to 26.3 on the Pythons that they run on."""
    legacy = {"manylinux1"}
    if pip >= Version("19.0"):
        legacy.add("manylinux2010")
    if pip >= Version("19.3"):
        legacy.add("manylinux2014")
    knows = Knowledge(
        legacy=frozenset(legacy),
        any_glibc=pip >= Version("20.3"),
        musl=pip >= Version("21.2"),
        plain_first=pip >= Version("26.3"),
    )
    platforms = list(platform_tags(target.platform, knows=knows))
    if pip < Version("20.0") and target.implementation == "cpython":
        yield from _tags_before_pip_20(target, platforms)
    elif target.implementation == "cpython":
        digits = f"{target.minor[0]}{target.minor[1]}"
        yield from cpython_tags(target.minor, [target.abi], platforms)
        yield from compatible_tags(target.minor, f"cp{digits}", platforms)
    else:
        short = {"pypy": "pp"}.get(target.implementation, target.implementation)
        interpreter = f"{short}{target.minor[0]}{target.minor[1]}"
        yield from generic_tags(interpreter, [target.abi], platforms)
        yield from compatible_tags(target.minor, "pp3" if short == "pp" else interpreter, platforms)


def _tags_before_pip_20(target: Target, platforms: list[str]) -> Iterator[Tag]:
    major, minor = target.minor
    python = f"{major}{minor}"
    abis = [target.abi, *(["abi3"] if major > 2 else []), "none"]
    for abi in abis:
        yield from (Tag(f"cp{python}", abi, platform) for platform in platforms)
    if major > 2:
        for older in range(minor - 1, 1, -1):
            yield from (Tag(f"cp{major}{older}", "abi3", platform) for platform in platforms)
    yield from (Tag(f"py{major}", "none", platform) for platform in platforms)
    yield Tag(f"cp{python}", "none", "any")
    yield Tag(f"cp{major}", "none", "any")
    yield Tag(f"py{python}", "none", "any")
    yield Tag(f"py{major}", "none", "any")
    for older in range(minor - 1, -1, -1):
        yield Tag(f"py{major}{older}", "none", "any")


def _python_of(text: str, subject: str) -> tuple[str, bool]:
    """The whole version that a short name means, and whether that is assumed."""
    numbers = text.split(".") if "." in text else [text[:1], text[1:]]
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
        minor = int(numbers[0]), int(numbers[1])
        newest = NEWEST_PATCH.get(minor)
        if newest is None:
            raise _refused(
                subject,
                f"no patch release of Python {minor[0]}.{minor[1]} was known on {KNOWN_AT}; say "
                f"the whole version, like {minor[0]}.{minor[1]}.0",
            )
        return newest, True
    return _version(text, f"target {subject[:80]!r}"), False


def _version(text: str, subject: str) -> str:
    try:
        version = Version(text)
    except (InvalidVersion, ValueError):
        version = None
    if (
        version is None
        or len(version.release) != 3
        or version.epoch
        or not (2, 7) <= version.release[:2] < (4, 0)
    ):
        raise Refused(subject, f"{text[:40]!r} is no whole version of Python, like 3.9.18")
    return str(version)


def _minor_of(python: str) -> tuple[int, int]:
    release = Version(python).release
    return release[0], release[1]


def usual_abi(minor: tuple[int, int], platform: Platform) -> str:
    """The ABI of a CPython: of 2.7 that with wide characters on Linux, with narrow ones else."""
    digits = f"cp{minor[0]}{minor[1]}"
    if minor >= (3, 8):
        return digits
    is_linux = platform.system not in {System.WINDOWS, System.MACOS}
    return f"{digits}mu" if minor < (3, 3) and is_linux else f"{digits}m"


def _platform_of(text: str) -> Platform:
    name, _, machine = text.partition("_")
    if name == System.PLAIN_LINUX and machine:
        return plain_linux(machine)  # in a record it says that nobody could tell
    return parse_platform(text).platform


def _installer(name: str, version: str) -> Installer:
    try:
        return Installer(name, str(Version(version)))
    except (InvalidVersion, ValueError):
        raise Refused(f"installer {name[:40]!r}", f"{version[:40]!r} is no version") from None


def _loaded_installer(document: JsonValue, subject: str) -> Installer | None:
    if document is None:
        return None
    if isinstance(document, str):
        return parse_installer(document)
    if not isinstance(document, dict) or set(document) != {"name", "version"}:
        raise Refused(subject, "'installer' is null, or has a name and a version")
    name = _text(document, "name", subject)
    if not _WORD.fullmatch(name):
        raise Refused(subject, "the name of the 'installer' is a word like pip or uv")
    return _installer(name, _text(document, "version", subject))


def _loaded_markers(document: JsonValue, subject: str) -> dict[str, str]:
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise Refused(subject, "'markers' is a record")
    unknown = sorted(set(document) - _MARKERS)
    if unknown:
        raise Refused(subject, f"there is no marker {unknown[0][:40]!r}")
    return {name: _text(document, name, subject, empty=True) for name in document}


def _loaded_assumed(document: JsonValue, subject: str) -> tuple[str, ...]:
    words = [] if document is None else document
    if not isinstance(words, list) or any(word not in _ASSUMED for word in words):
        raise Refused(subject, f"'assumed' is a list of {' and '.join(_ASSUMED)}")
    return tuple(word for word in _ASSUMED if word in words)


def _text(
    document: Mapping[str, JsonValue],
    field: str,
    subject: str,
    usual: str | None = None,
    *,
    empty: bool = False,
) -> str:
    value = document.get(field)
    if value is None and usual is not None:
        return usual
    if (
        not isinstance(value, str)
        or not (value or empty)
        or len(value) > _TEXT_CHARACTERS_MAX
        or not value.isprintable()
    ):
        raise Refused(subject, f"{field!r} is missing, or no line of text")
    return value


def _refused(text: str, rule: str) -> Refused:
    return Refused(f"target {text[:80]!r}", rule)
