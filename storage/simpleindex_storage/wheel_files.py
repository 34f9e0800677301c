"""The small files in a wheel's dist-info that installers act upon: WHEEL and entry_points.txt."""

import re
from email.parser import HeaderParser
from functools import lru_cache

from packaging.utils import parse_wheel_filename

from .faults import Faults, shown
from .names import DistFilename

WHEEL_BYTES_MAX = 256 << 10
ENTRY_POINTS_BYTES_MAX = 256 << 10

_USUAL_CHARACTERS_MAX = 4096
_WHEEL_VERSION_MAJOR = 1
_VERSION = re.compile(r"([0-9]{1,9})(\.[0-9]{1,9})*")
_SCRIPT_SECTIONS = ("console_scripts", "gui_scripts")
_ENTRY_POINT = re.compile(r"[\w.-]+")


def check_wheel_file(raw: bytes, filename: DistFilename, faults: Faults) -> None:
    """Compare WHEEL with the file name. Raises Refused for what pip cannot install."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise faults.fatal("wheel-file-unreadable", "its WHEEL is not UTF-8") from None
    headers = _headers(text)
    versions = [value for key, value in headers if key == "wheel-version"]
    version = _VERSION.fullmatch(versions[0]) if versions else None
    if version is None:
        raise faults.fatal("wheel-file-unreadable", "its WHEEL has no valid Wheel-Version")
    if int(version[1]) > _WHEEL_VERSION_MAJOR:
        raise faults.fatal(
            "wheel-version-major", f"its Wheel-Version is {shown(versions[0])}, not 1.x"
        )
    _check_tags([value for key, value in headers if key == "tag"], filename, faults)
    _check_build([value for key, value in headers if key == "build"], filename, faults)


def check_entry_points(raw: bytes, faults: Faults) -> None:
    """Look at the commands and plug-ins that a wheel offers. Raises Refused for dangerous ones."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        faults.note("entry-points", "its entry_points.txt is not UTF-8")
        return
    section = None
    for line in text.splitlines():
        stripped = line.strip()
        # As importlib.metadata reads it, and so pip: it has no comments that begin with `;`, and
        # takes off any number of brackets.
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped.strip("[]").strip()
        elif section is None or "=" not in stripped:
            faults.note("entry-points", f"its entry_points.txt has the line {shown(stripped)}")
        elif section in _SCRIPT_SECTIONS:
            _check_script(stripped.partition("=")[0].strip(), faults)


# What one tool writes for one kind of wheel is the same for all projects.
@lru_cache(maxsize=64)
def _short_headers(text: str) -> tuple[tuple[str, str], ...]:
    """As pip reads them: none behind a blank line."""
    parsed = HeaderParser().parsestr(text)
    return tuple((key.strip().lower(), value.strip()) for key, value in parsed.items())


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    is_usual = len(text) <= _USUAL_CHARACTERS_MAX  # longer ones are not worth the memory
    return (_short_headers if is_usual else _short_headers.__wrapped__)(text)


def _check_tags(told: list[str], filename: DistFilename, faults: Faults) -> None:
    # Not expanded: three sets of a thousand each would be a thousand million tags.
    _, _, _, tags = parse_wheel_filename(filename.text)
    compressed = "-".join(filename.text.removesuffix(".whl").split("-")[-3:]).lower()
    lowered = {tag.lower() for tag in told}
    if lowered not in ({compressed}, {str(tag) for tag in tags}):
        differing = sorted(lowered ^ {str(tag) for tag in tags})
        faults.note("wheel-tags", f"WHEEL and the file name do not agree in {shown(differing[0])}")


def _check_build(told: list[str], filename: DistFilename, faults: Faults) -> None:
    parts = filename.text.split("-")
    build = parts[2] if len(parts) == 6 else ""
    if (told or [""])[0] != build:
        faults.note(
            "wheel-build", f"WHEEL says build {shown((told or [''])[0])}, the file name {build!r}"
        )


def _check_script(name: str, faults: Faults) -> None:
    # pip and others join it to the folder of scripts.
    if "/" in name or "\\" in name or name in ("", ".", ".."):
        raise faults.fatal(
            "script-path", f"its entry_points.txt has a script with the name {shown(name)}"
        )
    if not _ENTRY_POINT.fullmatch(name):
        faults.note("entry-points", f"its entry_points.txt has a script named {shown(name)}")
