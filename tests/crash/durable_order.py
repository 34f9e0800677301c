"""Judges the order of what a server did for one upload: could a power cut break the promise?

The order that must hold (everything on the left is done before what is right of it begins):

    the draft's bytes written -> draft synced -> linked to its place -> the names synced, those of
    new folders too -> journal written and synced -> COMMIT written and synced -> draft removed
    and client answered
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from tests.crash.trace import Call

JOURNAL = "journal.jsonl"
LOG = "catalog.sqlite-wal"
"""What SQLite writes a commit to; the last part that is written makes it count."""


def order_violations(calls: Sequence[Call]) -> list[str]:
    """What a power cut could do harm to. The calls are those for one upload, and nothing else."""
    commit = _last(call for call in calls if call.kind == "write" and call.path == LOG)
    if commit is None:
        return ["nothing was committed"]
    committed = _next_sync(calls, LOG, commit)
    return [
        *_of_links(calls, commit, committed),
        *_of_names(calls, commit),
        *_of_journal(calls, commit),
        *_of_answer(calls, committed),
    ]


def _of_links(calls: Sequence[Call], commit: Call, committed: Call | None) -> Iterator[str]:
    placed = [call for call in calls if call.target.startswith("files/")]
    files = [call for call in placed if not call.target.endswith(".metadata")]
    if not files or len(placed) != 2 * len(files):
        yield f"not one file and its metadata were put in place, but {len(placed)} files"
    for call in placed:
        names = _names_of_draft(calls, call)
        if call.kind == "rename":
            yield f"{call.target} was renamed to its place, not linked"
        if call.ended > commit.begun:
            yield f"{call.target} came to its place after it was committed"
        if not _is_synced(calls, names, before=call):
            yield f"{call.target} came to its place before its bytes were synced"
    for call in files:
        if not PurePosixPath(call.path).name.endswith("+" + PurePosixPath(call.target).name):
            yield f"the draft {call.path} did not tell that it goes to {call.target}"
        removed = _first(each for each in calls if (each.kind, each.path) == ("unlink", call.path))
        if not _is_done_before(committed, removed):
            yield f"the draft {call.path} was not there until the commit was synced"


def _of_names(calls: Sequence[Call], commit: Call) -> Iterator[str]:
    for call in calls:
        name = call.path if call.kind == "mkdir" else call.target
        if name != "files" and not name.startswith("files/"):
            continue
        synced = _next_sync(calls, str(PurePosixPath(name).parent), call)
        if not _is_done_before(synced, commit):
            yield f"the name {name} was not synced before the commit"


def _of_journal(calls: Sequence[Call], commit: Call) -> Iterator[str]:
    if not _is_synced(calls, {JOURNAL}, before=commit):
        yield "the journal was not written and synced before the commit"


def _of_answer(calls: Sequence[Call], committed: Call | None) -> Iterator[str]:
    answers = [call for call in calls if call.kind == "send" and call.text.startswith("HTTP/1.1")]
    if len(answers) != 1 or not answers[0].text.startswith("HTTP/1.1 200"):
        yield f"there was not one answer of success, but {[call.text for call in answers]}"
    elif not _is_done_before(committed, answers[0]):
        yield "the client was answered before the commit was synced"


def _names_of_draft(calls: Sequence[Call], placed: Call) -> set[str]:
    """All names that a draft had, up to the one from which it came to its place."""
    names = {placed.path}
    for call in reversed([call for call in calls if call.ended < placed.begun]):
        if call.kind == "rename" and call.target in names:
            names.add(call.path)
    return names


def _is_synced(calls: Sequence[Call], names: set[str], *, before: Call) -> bool:
    """Whether a file was written, then synced, all before a call began."""
    earlier = [call for call in calls if call.ended < before.begun and call.path in names]
    written = _last(call for call in earlier if call.kind == "write")
    synced = _last(call for call in earlier if call.kind == "sync")
    return written is not None and synced is not None and written.ended < synced.begun


def _next_sync(calls: Sequence[Call], path: str, after: Call) -> Call | None:
    syncs = (call for call in calls if (call.kind, call.path) == ("sync", path))
    return _first(call for call in syncs if after.ended < call.begun)


def _is_done_before(earlier: Call | None, later: Call | None) -> bool:
    return earlier is not None and later is not None and earlier.ended < later.begun


def _first(calls: Iterable[Call]) -> Call | None:
    return min(calls, key=lambda call: call.begun, default=None)


def _last(calls: Iterable[Call]) -> Call | None:
    return max(calls, key=lambda call: call.ended, default=None)
