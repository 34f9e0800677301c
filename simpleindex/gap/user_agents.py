"""Targets as pip and uv tell them with every request, in their User-Agent.

Proxies may take it away, and anybody may write anything into it: it is advice, never proof.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from simpleindex.gap.platforms import windows_tag
from simpleindex.gap.targets import Target, load_target, parse_installer, with_markers
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue

_CHARACTERS_MAX = 4000
_RELEASE_CHARACTERS_MAX = 200
_AGENT = re.compile(r"((?:pip|uv)/[0-9][0-9A-Za-z.+!]{0,40}) (\{.*\})")
_VERSION = re.compile(r"([0-9]{1,2})(?:\.([0-9]{1,2}))?")
_MUSL_1_2_SINCE = (3, 13)
"""Of Alpine, on which pip does not tell the C library."""


def target_of_agent(text: str) -> Target | None:
    """The target that asks, by its User-Agent; None: it does not tell one.

    A Python of 32 bits on a system of 64 cannot be told from one of 64, nor one without the global
    lock from one with it; of PyPy the ABI is not told at all, so that it is none.
    """
    match = _AGENT.fullmatch(text) if len(text) <= _CHARACTERS_MAX else None
    if match is None:
        return None
    try:
        told: JsonValue = json.loads(match[2])
        if not isinstance(told, dict) or _below(told, "implementation").get("name") != "CPython":
            return None
        platform, is_assumed = _platform(told)
        python = _below(told, "implementation").get("version")
        target = load_target({"python": python, "platform": platform})
        installer = parse_installer(match[1].replace("/", " "))
    except (ValueError, RecursionError, Refused):  # the first: it is no JSON
        return None
    assumed = ("platform",) if is_assumed else ()
    release = _text(_below(told, "system"), "release")
    markers = {}
    if release.isprintable() and len(release) <= _RELEASE_CHARACTERS_MAX:
        markers["platform_release"] = release
    return with_markers(replace(target, installer=installer, assumed=assumed), markers)


def _platform(told: Mapping[str, JsonValue]) -> tuple[str, bool]:
    """The name of the platform, and whether a part of it is assumed. Raises Refused."""
    system, cpu = _text(_below(told, "system"), "name"), _text(told, "cpu").lower()
    distribution = _below(told, "distro")
    if system == "Windows":
        return windows_tag(cpu), False
    if system == "Darwin":
        major, minor = _numbers(_text(distribution, "version"))
        # What systems from 11 on tell Pythons that were built before them.
        major, minor = (11, 0) if (major, minor) == (10, 16) else (major, minor)
        return f"macosx_{major}_{minor}_{cpu}", False
    if system != "Linux":
        raise Refused(f"system {system[:40]!r}", "no wheels are known to be for it")
    libc = _below(distribution, "libc")
    family = {"glibc": "manylinux", "musl": "musllinux"}.get(_text(libc, "lib"))
    if family is not None:
        major, minor = _numbers(_text(libc, "version"))
        return f"{family}_{major}_{minor}_{cpu}", False
    if _text(distribution, "name").startswith("Alpine"):
        minor = 2 if _numbers(_text(distribution, "version")) >= _MUSL_1_2_SINCE else 1
        return f"musllinux_1_{minor}_{cpu}", True
    return f"linux_{cpu}", False


def _below(told: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _text(told: Mapping[str, JsonValue], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _numbers(text: str) -> tuple[int, int]:
    match = _VERSION.match(text)
    if match is None:
        raise Refused(f"version {text[:40]!r}", "it is none")
    return int(match[1]), int(match[2] or 0)
