"""What of a mirrored index is shown and served: by rule, and with the reason for people.

Dates that another index gives are not signed, and neither is its word on what it had before. So
what cannot be told counts against a file, and what was seen here counts more than what it says.
"""

import fnmatch
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from packaging.version import Version

from simpleindex.wire.mirror_page import MirrorFile
from simpleindex.wire.patterns import most_specific
from simpleindex.wire.release_rules import ReleaseRule, parse_release_rule
from simpleindex_storage.model import UPLOAD_TIME, MirrorSettings, ProjectStatus
from simpleindex_storage.names import ProjectName, parse_project_name


class Rule(StrEnum):
    """What decides about a project or a file."""

    OK = "ok"
    RESERVED = "reserved"
    """The name is for projects of our own."""
    DENIED = "denied"
    NOT_ALLOWED = "not-allowed"
    """There is a list of what is allowed, and this is not in it."""
    QUARANTINED = "quarantined"
    """By its index (PEP 792)."""
    CHANGED = "changed"
    """Its index offers other bytes under its name than it did at first."""
    TOO_YOUNG = "too-young"
    GONE = "gone"
    """Its index does not have it any more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a project or a file."""

    rule: Rule
    reason: str = ""
    """One sentence: what, why, and what an admin can do. Empty for OK."""
    until: datetime | None = None
    """When it will be shown by itself. None: not by the passing of time."""

    @property
    def is_shown(self) -> bool:
        """Whether pages have it."""
        return self.rule is Rule.OK

    @property
    def may_be_served(self) -> bool:
        """Whether who knows its URL gets it: what is gone too, as far as it is kept here."""
        return self.rule is Rule.OK or self.rule is Rule.GONE


_OK = Verdict(Rule.OK)
_WILD = frozenset("*?")


@dataclass(frozen=True, slots=True, eq=False)
class MirrorPolicy:
    """The rules of one mirror, ready to be asked."""

    min_age: timedelta | None
    counts_from_upload: bool
    approved: frozenset[tuple[ProjectName, Version]]
    allow: tuple[ReleaseRule, ...]
    deny: tuple[ReleaseRule, ...]
    reserved_names: tuple[str, ...]
    named: "_Names"
    """All that a rule is about."""

    @staticmethod
    def of(settings: MirrorSettings) -> "MirrorPolicy":
        """The policy of a mirror; the same one for the same rules, as long as it is remembered."""
        return _policy(
            min_age_days=settings.min_age_days,
            min_age_from=settings.min_age_from,
            approved=settings.approved,
            allow=settings.allow,
            deny=settings.deny,
            reserved_names=settings.reserved_names,
        )

    def reserved(self, project: ProjectName) -> bool:
        """Whether the name is for projects of our own: then nobody else is asked for it."""
        return most_specific(project, self.reserved_names) is not None

    def of_project(self, project: ProjectName) -> Verdict:
        """Whether the other index need be asked for a project at all."""
        if self.named.have(project):
            return _rules_for(self, project).verdict
        return _not_allowed(project, project) if self.allow else _OK

    def of_file(
        self, project: ProjectName, file: MirrorFile, status: ProjectStatus, now: datetime
    ) -> Verdict:
        """What is to be done with a file of a project that its index gives this status."""
        release = _release(self, project, file.version) if self._looks_at_releases else _ANY
        if not release.verdict.is_shown:
            return release.verdict
        if status is ProjectStatus.QUARANTINED:
            return Verdict(
                Rule.QUARANTINED,
                f"no file of {project} is offered while its index has it in quarantine (PEP 792)",
            )
        if file.changed_to is not None:
            return _changed(file)
        if self.min_age is not None and not release.is_approved:
            verdict = self._of_age(project, file, self.min_age, now)
            if not verdict.is_shown:
                return verdict
        return _gone(file) if file.gone else _OK

    @staticmethod
    def next_change_at(verdicts: Iterable[Verdict]) -> datetime | None:
        """When the first of them will be another one by itself; None: never."""
        return min((it.until for it in verdicts if it.until is not None), default=None)

    @property
    def _looks_at_releases(self) -> bool:
        return bool(self.deny or self.allow or self.reserved_names or self.approved)

    def _of_age(
        self, project: ProjectName, file: MirrorFile, min_age: timedelta, now: datetime
    ) -> Verdict:
        birth, since = self._birth(file)
        try:
            until = None if birth is None else birth + min_age
        except OverflowError:  # a time that somebody made up
            until = None
        if until is not None and now >= until:
            return _OK
        approving = f"approved+={project}=={file.version}"
        held_back = f"{file.file.filename} is held back"
        if until is None:
            return Verdict(
                Rule.TOO_YOUNG,
                f"{held_back}: its index does not tell when it was uploaded, so nobody knows "
                "whether it has the min_age; min_age_from=first-seen counts from when it was "
                f"first seen here, {approving} admits this release at once",
            )
        if file.gone:
            return Verdict(
                Rule.TOO_YOUNG,
                f"{held_back}: it was younger than min_age when its index took it away; "
                f"{approving} admits this release all the same",
            )
        return Verdict(
            Rule.TOO_YOUNG,
            f"{held_back} until {until:%Y-%m-%d %H:%M} UTC, when it will have the min_age of "
            f"{min_age / timedelta(days=1):g} days since {since}; {approving} admits this "
            "release at once",
            until,
        )

    def _birth(self, file: MirrorFile) -> tuple[datetime | None, str]:
        """From when its age counts, and what that was."""
        if not self.counts_from_upload:
            return file.first_seen_at, "it was first seen here"
        uploaded_at = file.file.uploaded_at
        if uploaded_at is None:
            return None, ""
        if file.absent_at is not None and file.absent_at > uploaded_at:
            return file.absent_at, "its page was last seen without it"
        return uploaded_at, "its upload"


@dataclass(frozen=True, slots=True)
class _Names:
    """Which names some patterns mean, told fast: an index has very many."""

    exact: frozenset[str]
    wild: re.Pattern[str] | None

    def have(self, project: ProjectName) -> bool:
        """Whether one of the patterns means the name."""
        return project in self.exact or (
            self.wild is not None and self.wild.match(project) is not None
        )


@dataclass(frozen=True, slots=True)
class _ProjectRules:
    """What of a policy is about one project."""

    verdict: Verdict
    """On the whole of it. OK: the versions decide."""
    deny: tuple[ReleaseRule, ...] = ()
    allow: tuple[ReleaseRule, ...] = ()


@dataclass(frozen=True, slots=True)
class _Release:
    """What a policy says of all files of one release."""

    verdict: Verdict
    is_approved: bool


_ANY = _Release(_OK, is_approved=False)


# Policies compare by identity, so that looking one up here costs nothing.
@lru_cache(maxsize=64)
def _policy(
    *,
    min_age_days: float | None,
    min_age_from: str,
    approved: tuple[str, ...],
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    reserved_names: tuple[str, ...],
) -> MirrorPolicy:
    releases = (text.split("==") for text in approved)
    allowing, denying = (tuple(map(parse_release_rule, texts)) for texts in (allow, deny))
    patterns = {rule.pattern for rule in (*allowing, *denying)}.union(reserved_names)
    return MirrorPolicy(
        min_age=timedelta(days=min_age_days) if min_age_days else None,
        counts_from_upload=min_age_from == UPLOAD_TIME,
        approved=frozenset((parse_project_name(name), Version(text)) for name, text in releases),
        allow=allowing,
        deny=denying,
        reserved_names=reserved_names,
        named=_names(patterns),
    )


def _names(patterns: Collection[str]) -> _Names:
    wild = {pattern for pattern in patterns if not _WILD.isdisjoint(pattern)}
    one = "|".join(map(fnmatch.translate, sorted(wild)))
    return _Names(frozenset(patterns) - wild, re.compile(one) if wild else None)


@lru_cache(maxsize=4096)
def _rules_for(policy: MirrorPolicy, project: ProjectName) -> _ProjectRules:
    pattern = most_specific(project, policy.reserved_names)
    if pattern is not None:
        reason = (
            f"{project} is never asked for elsewhere: reserved_names has {pattern}, for projects "
            f"of our own; reserved_names-={pattern} gives the name up"
        )
        return _ProjectRules(Verdict(Rule.RESERVED, reason))
    deny = tuple(rule for rule in policy.deny if rule.names(project))
    wholly = next((rule for rule in deny if rule.specifiers is None), None)
    if wholly is not None:
        return _ProjectRules(_denied(project, wholly))
    allow = tuple(rule for rule in policy.allow if rule.names(project))
    if policy.allow and not allow:
        return _ProjectRules(_not_allowed(project, project))
    return _ProjectRules(_OK, deny, allow)


@lru_cache(maxsize=16_384)  # a few pages of the largest projects
def _release(policy: MirrorPolicy, project: ProjectName, version: str) -> _Release:
    rules, parsed = _rules_for(policy, project), Version(version)
    verdict, release = rules.verdict, f"{project} {version}"
    if verdict.is_shown:
        against = next((rule for rule in rules.deny if rule.takes(parsed)), None)
        if against is not None:
            verdict = _denied(release, against)
        elif policy.allow and not any(rule.takes(parsed) for rule in rules.allow):
            verdict = _not_allowed(release, f"{project}=={version}")
    return _Release(verdict, (project, parsed) in policy.approved)


def _denied(what: str, rule: ReleaseRule) -> Verdict:
    return Verdict(Rule.DENIED, f"{what} is denied: deny has {rule}; deny-={rule} lifts that")


def _not_allowed(what: str, rule: str) -> Verdict:
    return Verdict(
        Rule.NOT_ALLOWED, f"{what} is not among what allow has; allow+={rule} adds it there"
    )


def _changed(file: MirrorFile) -> Verdict:
    pinned = file.file.hashes.get("sha256")
    before = f", then sha256={pinned}" if pinned else ""
    return Verdict(
        Rule.CHANGED,
        f"{file.file.filename} is not served: its index offers other bytes under this name "
        f"({file.changed_to}) than when it was first seen here{before}; ask its maintainers which "
        "are right, and use another version until then",
    )


def _gone(file: MirrorFile) -> Verdict:
    return Verdict(
        Rule.GONE,
        f"{file.file.filename} is not shown: its index does not have it any more; who needs it "
        "uploads it to an index of their own",
    )
