"""How `bundle create` tells what it is going to do, what it cannot do, and how far it is."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from simpleindex.cli.telling import count_text, say, size_text, table
from simpleindex.gap.bundle.downloading import Progress
from simpleindex.gap.bundle.manifest import Problem
from simpleindex.gap.bundle.planning import Change, Plan
from simpleindex.gap.resolving import Kind
from simpleindex.gap.targets import assumed_note
from simpleindex_storage.model import JsonValue

_TARGETS_SHOWN_MAX = 3
_NOTICES_SHOWN_MAX = 10
_STEPS = 10
"""Lines that tell progress where there is no terminal."""
_WORDS = {
    Kind.ALONE: "excludes others",
    Kind.UNMET: "cannot be met",
    Kind.REFUSED: "is refused",
    Kind.UNKNOWN: "is not known",
    Kind.GAVE_UP: "was given up",
}
_NEGATIVE = {Kind.UNMET, Kind.UNKNOWN}
"""Kinds of which `_WORDS` say that something is not so: "not everywhere" may be so somewhere."""


def plan_lines(plan: Plan, to_fetch: Sequence[int | None]) -> Iterator[str]:
    """The table before anything is fetched. `to_fetch` are sizes of files that are not here."""
    if plan.changes:
        yield from table([_row(change) for change in plan.changes])
    is_new = sum(not change.had for change in plan.changes)
    yield (
        f"{count_text(len(plan.files), 'file')}, {size_text(plan.size_bytes)}, of "
        f"{count_text(len(plan.changes), 'project')} ({is_new} new); "
        f"{count_text(len(to_fetch), 'file')}, {size_text(sum(each or 0 for each in to_fetch))} "
        "still to fetch"
    )
    if plan.assumes:
        yield f"{count_text(len(plan.assumes), 'file')} the site has and keeps"
    yield from _notices("withdrawn upstream", [each.name.text for each in plan.yanks])
    yield from _notices("may be removed", [each.name.text for each in plan.removals])
    yield from _target_lines(plan)
    yield from _problem_lines(plan)
    for note in plan.notes:
        yield f"note: {note}"


def plan_document(plan: Plan) -> dict[str, JsonValue]:
    """The same for programs, and each target by itself."""
    return {
        "is_complete": plan.is_complete,
        "targets": [
            {
                "name": outcome.target.name,
                "assumed": list(outcome.target.assumed),
                "is_complete": outcome.is_complete,
                "lines": [
                    {"line": each.line.text, "verdict": each.kind, "chain": list(each.chain)}
                    for each in outcome.verdicts
                ],
                "bootstrap": [
                    {"line": each.line.text, "verdict": each.kind, "chain": list(each.chain)}
                    for each in outcome.bootstrap
                ],
            }
            for outcome in plan.outcomes
        ],
        "files": [
            {
                "filename": planned.name.text,
                "project": planned.name.project,
                "version": planned.name.version,
                "size": planned.file.size_bytes,
                "for": [plan.targets[place].name for place in planned.targets],
            }
            for planned in plan.files
        ],
        "bytes": plan.size_bytes,
        "changes": [
            {"project": it.project, "had": list(it.had), "gets": list(it.gets), "files": it.files}
            for it in plan.changes
        ],
        "kept": [each.name.text for each in plan.assumes],
        "withdrawn": [each.name.text for each in plan.yanks],
        "may_be_removed": [each.name.text for each in plan.removals],
        "notes": list(plan.notes),
    }


@contextmanager
def telling_progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar at a terminal, a few lines elsewhere, nothing if it shall be quiet."""
    if quiet:
        yield lambda progress: None
    elif sys.stdout.isatty():
        with click.progressbar(length=1, label="Fetching") as bar:
            yield lambda progress: _move(bar, progress)
        return
    else:
        yield _Steps().tell


def _move(bar: "click._termui_impl.ProgressBar[int]", progress: Progress) -> None:
    bar.length = max(progress.bytes, 1)
    bar.label = f"Fetching ({progress.files_done} of {progress.files} files)"
    bar.update(min(progress.bytes_done, bar.length) - bar.pos)
    bar.render_progress()  # `update` does not, where all bytes came before and files end now


class _Steps:
    """A line for each tenth, for logs."""

    def __init__(self) -> None:
        self._told = 0
        self._is_done = False
        self._began_at = time.monotonic()

    def tell(self, progress: Progress) -> None:
        step = _STEPS * progress.bytes_done // max(progress.bytes, 1)
        is_done = progress.files_done == progress.files
        if is_done:
            step = _STEPS
        if progress.files and (step > self._told or (is_done and not self._is_done)):
            self._told, self._is_done = step, is_done
            say(
                f"fetched {size_text(progress.bytes_done)} of {size_text(progress.bytes)}, "
                f"{progress.files_done} of {count_text(progress.files, 'file')}, "
                f"{time.monotonic() - self._began_at:.0f} s"
            )


def _row(change: Change) -> tuple[str, ...]:
    versions = ", ".join(change.gets)
    if change.had:
        word = "more" if set(change.gets) <= set(change.had) else "changed"
        versions = f"{', '.join(change.had)} -> {versions}"
    else:
        word = "new"
    return (
        word,
        change.project,
        versions,
        count_text(change.files, "file"),
        size_text(change.size_bytes),
    )


def _target_lines(plan: Plan) -> Iterator[str]:
    rows = []
    for outcome in plan.outcomes:
        wanted = [each for each in outcome.verdicts if each.kind is not Kind.NOT_WANTED]
        good = sum(each.kind.is_good for each in wanted)
        what = "complete" if outcome.is_complete else "NOT complete"
        assumed = outcome.target.assumed_words
        lines = f"{good} of {count_text(len(wanted), 'line')}"
        rows.append((outcome.target.name, what, lines, f"assumed: {assumed}" if assumed else ""))
    yield from table(rows)
    note = assumed_note(outcome.target for outcome in plan.outcomes)
    if note is not None:
        yield f"note: {note}"


def _problem_lines(plan: Plan) -> Iterator[str]:
    """Each line that fails once, with the targets where it does, and why on the first of them.

    What is not known of several lines for the same cause is told with that cause, once.
    """
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in plan.problems:
        groups.setdefault(_told_together(problem), []).append(problem)
    for (_, kind), problems in groups.items():
        lines = list(dict.fromkeys(problem.line for problem in problems))
        places = dict.fromkeys(problem.target for problem in problems)
        names = [plan.targets[place].name for place in places]
        where = f"on {_some(names, _TARGETS_SHOWN_MAX)}"
        if len(names) == len(plan.targets) > 1:
            where = f"on {'any' if kind in _NEGATIVE else 'each'} of the {len(names)} targets"
        words = _WORDS.get(Kind(kind), kind)
        if len(lines) == 1:
            yield f"{lines[0]}: {words} {where}"
            yield from (f"  {reason}" for reason in problems[0].chain)
        else:
            count = count_text(len(lines), "line")
            yield f"{_some(lines, _NOTICES_SHOWN_MAX)}: {count} of which nothing is known {where}"
            yield f"  {problems[0].chain[-1]}"


def _told_together(problem: Problem) -> tuple[str, str]:
    if problem.kind == Kind.UNKNOWN and problem.chain:
        return problem.chain[-1], problem.kind
    return problem.line, problem.kind


def _notices(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        shown = _some(names, _NOTICES_SHOWN_MAX)
        yield f"{count_text(len(names), 'file')} of the site {what}: {shown}"


def _some(texts: Sequence[str], shown_max: int) -> str:
    more = len(texts) - shown_max
    return ", ".join(texts[:shown_max]) + (f" and {more} more" if more > 0 else "")
