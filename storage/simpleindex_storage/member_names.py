"""The names of one archive's members: each a place of its own, below the folder that is unpacked.

Names are compared as the file systems do that hold the fewest apart: those of Windows and macOS.
"""

import re
import unicodedata

from .faults import Faults, shown

MEMBERS_MAX = 100_000
"""The largest real wheels have some 20,000."""

_NAMES_CHARACTERS_MAX = 16 << 20
_NAME_CHARACTERS_MAX = 1024

_PLAIN = re.compile(r"(?:[A-Za-z0-9_+-][A-Za-z0-9_.+ -]*/)*[A-Za-z0-9_+-][A-Za-z0-9_.+ -]*/?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class MemberNames:
    """Takes the names of an archive's members one by one, and finds those that do harm.

    `depth` is how many folders at the top links must stay below: installers strip an sdist's top
    folder, so that a link out of that one leads out of the whole.
    """

    def __init__(self, faults: Faults, *, depth: int = 0) -> None:
        self._faults = faults
        self._depth = depth
        self._files: set[str] = set()
        self._spelled: dict[str, str] = {}  # the first of those that are one name on Windows
        self._folders: set[str] = set()
        self._links: set[str] = set()
        self._hard_link_targets: list[str] = []
        self._members = 0
        self._characters = 0

    def __contains__(self, name: str) -> bool:
        """Whether there is a file, or link, of exactly this name."""
        return name in self._files

    def add(self, name: str, *, is_folder: bool = False) -> str:
        """Take a member's name; without a slash at its end, `.` or empty parts. Raises Refused."""
        self._count(name)
        plain = name.rstrip("/") if _PLAIN.fullmatch(name) else self._checked(name)
        if is_folder:
            self._add_folders(plain)
            return plain
        if not plain or name.endswith("/"):
            raise self._faults.fatal("member-empty-name", "it holds a file without a name")
        if plain in self._files:
            raise self._faults.fatal("member-duplicate", f"it holds {shown(plain)} twice")
        other = self._spelled.setdefault(_folded(plain), plain)
        if other != plain:
            self._differ_in_case(plain, other)
        self._files.add(plain)
        self._add_folders(plain.rpartition("/")[0])
        return plain

    def add_symbolic_link(self, name: str, target: str) -> str:
        """Take the name of a member that points to `target`, seen from its own folder."""
        plain = self.add(name)
        # Up first and then down, never up again: what lies below may be a link too, and then up
        # would not lead back.
        parts = [part for part in target.split("/") if part not in ("", ".")]
        up = 0
        while up < len(parts) and parts[up] == "..":
            up += 1
        self._check_target(plain, target, "/".join(parts[up:]))
        if plain.count("/") - up < self._depth:
            raise self._leads_out(plain, target)
        self._links.add(plain)
        return plain

    def add_hard_link(self, name: str, target: str) -> str:
        """Take the name of a member that is `target`, the name of another one, once more."""
        plain = self.add(name)
        self._check_target(plain, target, target)
        self._hard_link_targets.append(plain_name(target))
        return plain

    def finish(self) -> None:
        """Look at what only all names together tell. Raises Refused."""
        for name in self._hard_link_targets:
            # A symbolic link's second name, in another folder, would point elsewhere.
            if name not in self or name in self._links:
                raise self._faults.fatal(
                    "link-outside", f"it holds a hard link to {shown(name)}, which is no file of it"
                )
        for folder in self._folders:
            if folder in self._files:
                raise self._faults.fatal(
                    "member-file-and-folder", f"its {shown(folder)} is both a file and a folder"
                )
            other = self._spelled.get(_folded(folder))
            if other is not None:
                self._differ_in_case(folder, other)

    def _count(self, name: str) -> None:
        self._members += 1
        self._characters += len(name)
        if len(name) > _NAME_CHARACTERS_MAX:
            raise self._faults.fatal(
                "member-name-long",
                f"its {shown(name)} has a name of more than {_NAME_CHARACTERS_MAX} characters",
            )
        if self._members > MEMBERS_MAX:
            raise self._faults.fatal(
                "too-many-members", f"it holds more than {MEMBERS_MAX:,} members"
            )
        if self._characters > _NAMES_CHARACTERS_MAX:
            raise self._faults.fatal(
                "too-many-members",
                f"the names of its members take more than {_NAMES_CHARACTERS_MAX >> 20} MiB",
            )

    def _checked(self, name: str) -> str:
        if not name:
            raise self._faults.fatal("member-empty-name", "it holds a member without a name")
        if _CONTROL.search(name):
            raise self._faults.fatal(
                "member-control-character",
                f"the name of its member {shown(name)} has a control character",
            )
        slashed = name.replace("\\", "/")
        if _leaves(slashed):
            raise self._faults.fatal(
                "member-outside", f"its member {shown(name)} lies outside of the archive's folder"
            )
        if slashed != name:
            self._faults.note("member-backslash", f"its member {shown(name)} has a backslash")
        if _SURROGATE.search(name):
            self._faults.note(
                "member-name-encoding", f"the name of its member {shown(name)} is not UTF-8"
            )
        plain = plain_name(slashed)
        if plain and plain != slashed.rstrip("/"):
            self._faults.note(
                "member-odd-path", f"its member {shown(name)} stands for {shown(plain)}"
            )
        return plain

    def _add_folders(self, folder: str) -> None:
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]

    def _differ_in_case(self, name: str, other: str) -> None:
        self._faults.note(
            "member-case", f"its {shown(name)} and {shown(other)} are one name on Windows"
        )

    def _check_target(self, name: str, target: str, below: str) -> None:
        if not target or _CONTROL.search(target) or "\\" in target or _leaves(below):
            raise self._leads_out(name, target)
        if target.startswith("/"):
            raise self._leads_out(name, target)

    def _leads_out(self, name: str, target: str) -> Exception:
        return self._faults.fatal(
            "link-outside",
            f"its {shown(name)} is a link to {shown(target)}, out of the archive's folder",
        )


def plain_name(name: str) -> str:
    """A member's name without the parts that mean nothing: empty ones and `.`."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def leaves_the_folder(name: str) -> bool:
    """Whether a path leads out of the folder in which it is taken, on any system."""
    return _leaves(name.replace("\\", "/"))


def _leaves(slashed: str) -> bool:
    return (
        slashed.startswith("/") or ".." in slashed.split("/") or _DRIVE.match(slashed) is not None
    )


def _folded(name: str) -> str:
    # macOS takes composed and decomposed letters for one, too.
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
