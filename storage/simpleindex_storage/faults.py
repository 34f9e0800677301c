"""What can be wrong with a wheel or sdist, and what follows: the table of decisions, as data.

A row is ALWAYS refused where pip or uv would be hurt or fooled, or where none of them could ever
use the file; it is for STRICT indexes to refuse where the archive is merely old or sloppy, so that
some pip takes it; it is ALLOWED where a public index might mind, and sites that host their own
must not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .errors import Refused
from .names import DistFilename

_SHOWN_CHARACTERS = 100


class Verdict(StrEnum):
    """What follows from a fault."""

    ALWAYS = "always refused"
    STRICT = "refused by strict indexes"
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    verdict: Verdict
    reason: str
    """Why that verdict: who is hurt or fooled, or why nobody is."""
    advice: str
    """What the sender can do. Ends the sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with an archive and that only a strict index refuses."""

    rule: str
    """Its row in RULES."""
    filename: str
    fault: str
    """What is wrong with the file, the rule in brackets, and what to do."""

    @property
    def sentence(self) -> str:
        """One line that tells all of it."""
        return f"{self.filename}: {self.fault}"

    def refusal(self, way_out: str = "") -> Refused:
        """What a strict index raises; `way_out` is what else can be done about it."""
        return _refused(self.rule, self.filename, self.fault + way_out)


def is_strictness(refused: Refused) -> bool:
    """Whether an index that is not strict would take the file."""
    broken = [RULES[note] for note in getattr(refused, "__notes__", ()) if note in RULES]
    return any(rule.verdict is Verdict.STRICT for rule in broken)


class Faults:
    """Collects what is wrong with one archive, one finding a rule however often it is broken."""

    def __init__(self, filename: DistFilename) -> None:
        self._subject = filename.text
        self._first: dict[str, str] = {}
        self._more: dict[str, int] = {}

    def fatal(self, rule: str, what: str) -> Refused:
        """What to raise for a fault that is always refused. The rule's name is its note."""
        assert RULES[rule].verdict is Verdict.ALWAYS
        return _refused(rule, self._subject, f"{what} ({rule}); {RULES[rule].advice}")

    def note(self, rule: str, what: str) -> None:
        """Keep a fault that only strict indexes refuse; the first of each rule is told in full."""
        verdict = RULES[rule].verdict
        assert verdict is not Verdict.ALWAYS
        if verdict is Verdict.STRICT:
            self._first.setdefault(rule, what)
            self._more[rule] = self._more.get(rule, -1) + 1

    def findings(self) -> tuple[Finding, ...]:
        """What was noted, in the order of appearance."""
        return tuple(
            Finding(
                rule, self._subject, f"{what}{self._others(rule)} ({rule}); {RULES[rule].advice}"
            )
            for rule, what in self._first.items()
        )

    def _others(self, rule: str) -> str:
        return f" (and {self._more[rule]} more like it)" if self._more[rule] else ""


def shown(text: str) -> str:
    """Text from an archive, quoted, short and printable."""
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 3] + "..."
    return ascii(text) if not text.isprintable() else repr(text)


def _refused(rule: str, subject: str, rest: str) -> Refused:
    refused = Refused(subject, rest)
    refused.add_note(rule)
    return refused


_BUILD_AGAIN = "build it again with a current tool"
_SEND_AGAIN = "fetch or send it again, and if that does not help, build it again"
_RENAME = "if it was renamed, give it back the name that it was built with"
_OTHER_NAME = "give the member another name and build it again"
_ZIP_AGAIN = "zip it again with Python's zipfile or the zip command"
_TAR_AGAIN = "pack it again with Python's tarfile or GNU tar"


def _always(reason: str, advice: str) -> Rule:
    return Rule(Verdict.ALWAYS, reason, advice)


def _strict(reason: str, advice: str) -> Rule:
    return Rule(Verdict.STRICT, reason, advice)


def _allowed(reason: str) -> Rule:
    return Rule(Verdict.ALLOWED, reason, "")


RULES: Mapping[str, Rule] = {
    # What kind of file it is, and how much comes out of it.
    "not-an-archive": _always("no installer opens it", _SEND_AGAIN),
    "truncated": _always("no installer opens it", _SEND_AGAIN),
    "zip-and-tar": _always(
        "pip unpacks an sdist as a zip as soon as it looks like one, uv goes by the name",
        _BUILD_AGAIN,
    ),
    "bomb": _always(
        "fills the disk of whoever unpacks it", "leave generated data out, or split the project"
    ),
    "too-many-members": _always("takes the memory of whoever unpacks it", "split the project"),
    # Zip framing. A reader that streams (uv) and one that begins at the end (pip) must see the same
    # members with the same bytes.
    "zip-trailing-data": _always("uv refuses it: another zip may follow", _SEND_AGAIN),
    "zip-prepended-data": _always("uv refuses it: readers that stream see other data", _ZIP_AGAIN),
    "zip-directory": _always("readers disagree about which members there are", _ZIP_AGAIN),
    "zip-zip64": _always("readers disagree about sizes and places", _ZIP_AGAIN),
    "zip-extra": _always("Python's zipfile opens none with a broken extra field", _ZIP_AGAIN),
    "zip-duplicate-extra": _always("readers disagree about which one counts", _ZIP_AGAIN),
    "zip-unicode-path": _always("readers disagree about the member's name", _ZIP_AGAIN),
    "zip-name-encoding": _always("Python's zipfile does not open it", _ZIP_AGAIN),
    "zip-flags": _always("pip can read none of what they announce", _ZIP_AGAIN),
    "zip-encrypted": _always("nobody is asked for a password", "build it without a password"),
    "zip-method": _always(
        "needs more than every Python has, and inflates without bound", "store or deflate it"
    ),
    "zip-overlap": _always("a bomb that a sum of sizes does not show", _ZIP_AGAIN),
    "zip-gap": _always("readers that stream see other members", _ZIP_AGAIN),
    "zip-local-mismatch": _always("uv refuses it: readers see different members", _ZIP_AGAIN),
    "zip-descriptor": _always("uv refuses it: readers see different members", _ZIP_AGAIN),
    "zip-descriptor-stored": _always(
        "a reader that streams cannot know where the member ends", _ZIP_AGAIN
    ),
    "zip-deflate": _always("cannot be unpacked", _SEND_AGAIN),
    "zip-size": _always("readers that trust the size and those that do not disagree", _ZIP_AGAIN),
    "zip-crc": _always("pip and uv refuse it", _SEND_AGAIN),
    "zip-folder-content": _always("some tools write it, others drop it", _ZIP_AGAIN),
    "zip-data-descriptor": _strict("old tools wrote them into a pipe; all read them", _ZIP_AGAIN),
    "zip-zip64-surplus": _strict("pip reads it, uv refuses it", _ZIP_AGAIN),
    "zip-comment": _strict("no installer looks at it", _ZIP_AGAIN),
    "zip-entry-comment": _strict("no installer looks at it", _ZIP_AGAIN),
    # Gzip and tar framing.
    "gzip-damaged": _always("cannot be unpacked", _SEND_AGAIN),
    "gzip-several": _always("Python reads the parts as one, others the first alone", _TAR_AGAIN),
    "gzip-trailing-data": _always(
        "another archive may follow, which some readers see", _SEND_AGAIN
    ),
    "tar-header": _always("Python's tarfile ends at it without a word", _TAR_AGAIN),
    "tar-size": _always("readers disagree about where the next member begins", _TAR_AGAIN),
    "tar-global-header": _always("readers disagree about names and sizes", _TAR_AGAIN),
    "tar-sparse": _always("readers disagree about its bytes", _TAR_AGAIN),
    "tar-trailing-data": _always("some readers stop at the end, others go on", _TAR_AGAIN),
    "gzip-padding": _strict("tapes needed it; all skip zeros", _TAR_AGAIN),
    "tar-end-missing": _strict("the gzip below is whole, and all read it", _TAR_AGAIN),
    # Names and kinds of members.
    "member-outside": _always("written outside of the folder", _OTHER_NAME),
    "member-empty-name": _always("cannot be written", _OTHER_NAME),
    "member-control-character": _always("zipfile ends names at a NUL; terminals obey", _OTHER_NAME),
    "member-name-long": _always("no file system takes it", _OTHER_NAME),
    "member-duplicate": _always("readers disagree about which one counts", _BUILD_AGAIN),
    "member-file-and-folder": _always(
        "cannot be written, or is written through a link", _OTHER_NAME
    ),
    "link-outside": _always("what follows is written outside of the folder", "leave the link out"),
    "member-special": _always("devices and pipes are no files", "leave it out"),
    "member-link": _strict("pip makes no links out of a zip", "copy the file"),
    "member-backslash": _strict("a folder on Windows, a letter elsewhere", _OTHER_NAME),
    "member-odd-path": _strict("pip does not find what an sdist has below './'", _BUILD_AGAIN),
    "member-case": _strict("one file on Windows and macOS, two elsewhere", _OTHER_NAME),
    "member-name-encoding": _strict("pip reads it as MS-DOS did, uv refuses it", _BUILD_AGAIN),
    # Core metadata, of wheels and sdists.
    "metadata-missing": _always(
        "pip and uv refuse such a wheel; of an sdist nothing would be known", _RENAME
    ),
    "metadata-lies": _always("pip and uv refuse it, after a download in vain", _RENAME),
    "metadata-huge": _always("takes the memory of whoever reads it", "shorten it"),
    "metadata-unreadable": _always("pip and uv refuse it", _BUILD_AGAIN),
    "metadata-encoding": _strict("old tools wrote Latin-1, and old pips read it", _BUILD_AGAIN),
    "metadata-version": _strict("read as far as it is known", _BUILD_AGAIN),
    "metadata-version-minor": _allowed(
        "core metadata asks to take minor versions to come; 2.0 and 1.3 were written by old tools"
    ),
    "requires-python": _strict(
        "pip overlooks it, uv does not install it", "correct it and build it again"
    ),
    "requires-dist": _strict("old pips took it", "correct it and build it again"),
    "requires-dist-url": _allowed("a site may know its own hosts"),
    "local-version": _allowed("vendors mark their own builds with it"),
    "license-expression": _strict("no installer reads it", "correct it and build it again"),
    "license-file-missing": _strict("no installer reads it", "add the file and build it again"),
    # Wheels.
    "dist-info-several": _always("pip refuses it", "leave out all but the wheel's own"),
    "wheel-file-missing": _always("pip and uv refuse it", _BUILD_AGAIN),
    "wheel-file-unreadable": _always("pip and uv refuse it", _BUILD_AGAIN),
    "wheel-version-major": _always("pip and uv refuse it", "build it with an older tool"),
    "data-scheme": _always("pip does not know where to put it, and stops", _BUILD_AGAIN),
    "script-path": _always("written outside of the scripts' folder", "rename the script"),
    "record-outside": _always("pip uninstall deletes what is named there", _BUILD_AGAIN),
    "record-missing": _always("pip and uv refuse it", _BUILD_AGAIN),
    "record-unreadable": _strict("pip overlooks it as long as it is UTF-8", _BUILD_AGAIN),
    "record-duplicate": _strict("harmless as long as both lines are right", _BUILD_AGAIN),
    "record-unlisted": _strict("stays behind after pip uninstall", _BUILD_AGAIN),
    "record-missing-member": _strict("harmless below its own folders", _BUILD_AGAIN),
    "record-mismatch": _strict("no installer compares; changed after it was built", _BUILD_AGAIN),
    "record-unhashed": _strict("no installer compares", _BUILD_AGAIN),
    "record-hash-kind": _strict("no installer compares; the standard wants sha256", _BUILD_AGAIN),
    "record-hash-form": _strict("no installer compares; the digest is right", _BUILD_AGAIN),
    "wheel-tags": _allowed("installers go by the file name; large projects retag by renaming"),
    "wheel-build": _allowed("installers go by the file name"),
    "entry-points": _strict("the package works, its commands may not", "correct its entry points"),
    "data-folder": _strict("pip installs it, others may not", _RENAME),
    "dist-info-spelling": _allowed("old tools; installers compare normalised names"),
    "wheel-name-spelling": _allowed("old tools, which old Pythons need files of"),
    # Source distributions.
    "sdist-several-tops": _always("pip and uv find no project in it", _BUILD_AGAIN),
    "sdist-top-folder": _strict("no installer looks at its name", _RENAME),
    "sdist-top-spelling": _allowed("old tools; no installer looks at it"),
    "sdist-name-spelling": _allowed("old tools; installers compare normalised names"),
    "sdist-link": _allowed("PEP 721 lets links stay within; where there are none, tarfile copies"),
    "sdist-zip": _allowed("old, and every pip reads it; old releases have no other form"),
    # Eggs.
    "egg": _strict("easy_install alone installs it", "turn it into a wheel with `wheel convert`"),
}
"""By the rule's name, which stays what it is: people look for it."""
