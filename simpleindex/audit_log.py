"""The journal as people and programs are shown it: who did what, to what, and no secrets."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from simpleindex.secrets_in_urls import without_account
from simpleindex_storage.errors import Refused
from simpleindex_storage.journal_lines import Entry
from simpleindex_storage.names import IndexName, ProjectName, UserName, parse_filename
from simpleindex_storage.records import time_text

HIDDEN = "***"
"""Stands for a secret."""

_AGO = re.compile(r"([0-9]{1,6})([mhdw])")
_UNITS: Mapping[str, str] = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for. What is None, or empty, does not matter."""

    since: datetime | None = None
    until: datetime | None = None
    user: UserName | None = None
    """Who did it."""
    index: IndexName | None = None
    project: ProjectName | None = None
    what: Sequence[str] = ()
    """`upload`; and `remove` stands for `remove index` too."""

    def takes(self, entry: Entry) -> bool:
        """Whether an entry is asked for."""
        if self.since is not None and entry.time < self.since:
            return False
        if self.until is not None and entry.time >= self.until:
            return False
        if self.user is not None and entry.by.name != self.user:
            return False
        if self.what and not any(f"{entry.what} ".startswith(f"{word} ") for word in self.what):
            return False
        return (self.index is None and self.project is None) or any(
            self._is_about(kind, fact) for kind, fact in entry.facts
        )

    def _is_about(self, kind: str, fact: Mapping[str, Any]) -> bool:
        index = fact.get("name") if kind == "index" else fact.get("index")
        if self.index is not None and index != self.index:
            return False
        return self.project is None or _project_of(kind, fact) == self.project


def parse_time(text: str, now: datetime, *, is_end: bool = False) -> datetime:
    """A time in UTC: `2026-01-31`, `2026-01-31T12:00`, or `7d`, `12h`, `30m`, `2w` ago.

    Of a day it is the beginning; the end, if it is the end of a time. Raises Refused.
    """
    try:
        if match := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        time = datetime.fromisoformat(text)
        if is_end and _DATE.fullmatch(text):
            time += timedelta(days=1)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(
            f"time {text[:40]!r}", "give a day (2026-01-31), a time (2026-01-31T12:00), or 7d ago"
        ) from None


def line_for_people(entry: Entry) -> str:
    """One line: when (UTC), who, from where, what, and to what, as they called it."""
    time = entry.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    words = (time, entry.by.name or "-", entry.by.origin or "-", entry.what, subject_of(entry))
    return "  ".join(words).rstrip()


def line_for_programs(entry: Entry) -> str:
    """One JSON object, with the facts of the journal but for the secrets in them."""
    return json.dumps(
        {
            "serial": entry.serial,
            "time": time_text(entry.time),
            "who": entry.by.name,
            "from": entry.by.origin,
            "what": entry.what,
            "subject": subject_of(entry),
            "facts": [[kind, without_secrets(kind, fact)] for kind, fact in entry.facts],
        }
    )


def subject_of(entry: Entry) -> str:
    """What a change is about: the thing that tells most, and how many more of its kind."""
    for kind in _SUBJECTS:
        facts = [fact for each, fact in entry.facts if each == kind]
        if facts:
            more = f" (and {len(facts) - 1} more)" if len(facts) > 1 else ""
            return _SUBJECTS[kind](facts[0]) + more
    return ""


def without_secrets(kind: str, fact: Mapping[str, Any]) -> dict[str, Any]:
    """A fact as anybody may see it who may see the log. What is not known is not shown."""
    if kind not in _SUBJECTS and kind != "server":
        return {}
    shown = dict(fact)
    for secret in _SECRETS.get(kind, ()):
        if secret in shown:
            shown[secret] = HIDDEN
    if kind == "index" and isinstance(settings := shown.get("settings"), dict):
        shown["settings"] = {
            key: without_account(value) if isinstance(value, str) else value
            for key, value in settings.items()
        }
    return shown


_SECRETS: Mapping[str, Sequence[str]] = {"user": ("password_hash",), "token": ("sha256",)}


def _named(*keys: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda fact: " ".join(str(fact.get(key)) for key in keys)


def _yanked(fact: Mapping[str, Any]) -> str:
    reason = fact.get("reason")
    return _named("index", "filename")(fact) + (f": {reason}" if reason else "")


def _project(fact: Mapping[str, Any]) -> str:
    reason = fact.get("status_reason")
    return _named("index", "name", "status")(fact) + (f": {reason}" if reason else "")


# Those that tell most come first: a bundle brings facts of all that was in it along, and so does a
# removed project.
_SUBJECTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "delivery": _named("subject"),
    "delivery undone": lambda fact: f"serial {fact.get('serial')}",
    "user removed": _named("user"),
    "index removed": _named("index"),
    "project removed": _named("index", "project"),
    "name given up": _named("index", "project"),
    "file": _named("index", "filename"),
    "attachment": _named("index", "filename"),
    "release removed": _named("index", "project", "version"),
    "file removed": _named("index", "filename"),
    "attachment removed": _named("index", "filename"),
    "yanked": _yanked,
    "project": _project,
    "release": _named("index", "project", "version"),
    "token removed": _named("user", "id"),
    "token": _named("user", "id"),
    "user": _named("name"),
    "index": _named("name"),
}


def _project_of(kind: str, fact: Mapping[str, Any]) -> str | None:
    """The project that a fact is about."""
    if kind == "project":
        return fact.get("name")
    if "project" in fact or "filename" not in fact:
        return fact.get("project")
    try:
        # Of what was attached the name begins with that of its file, or goes on behind a version.
        name = str(fact["filename"])
        return parse_filename(name.partition(".toxresult-")[0]).project
    except Refused:
        return None
