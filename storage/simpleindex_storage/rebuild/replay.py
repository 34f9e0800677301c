"""The facts of the journal, done again: what `SqliteChange` has told becomes what it did."""

from collections.abc import Callable, Mapping
from typing import Any

from simpleindex_storage import records
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import ApiToken, DistFile
from simpleindex_storage.names import IndexName, UserName, parse_filename
from simpleindex_storage.sqlite_transaction import SqliteChange


def replay(change: SqliteChange, kind: str, fact: Mapping[str, Any]) -> None:
    """Do what a fact of the journal, or of `state.json`, tells of.

    Raises Refused for a kind that is not known, or a fact that lacks something, NotStored for one
    about something that is not there, and AlreadyStored.
    """
    if kind not in _DOES:
        raise Refused(kind, "no such fact is known here; a newer simpleindex-server has told it")
    try:
        _DOES[kind](change, fact)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(kind, f"this fact is damaged ({error!r})") from None


def _user(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.put_user(records.user_from_json(fact))


def _user_removed(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.remove_user(UserName(fact["user"]))


def _token(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    token = records.token_from_json(fact)
    if change.user(token.user) is None:
        raise NotStored(f"user {token.user}")
    change.put_token(token)


def _token_removed(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.remove_token(_token_called(change, fact["id"], UserName(fact["user"])))


def _index(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.put_index(records.index_from_json(fact))


def _index_removed(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.remove_index(IndexName(fact["index"]))


def _project(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    project = records.project_from_json(fact)
    _require_index(change, project.index)
    change.put_project(project)


def _project_removed(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.remove_project(IndexName(fact["index"]), fact["project"])


def _former(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.put_former(IndexName(fact["index"]), fact["project"])


def _given_up(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.forget_former(IndexName(fact["index"]), fact["project"])


def _release(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    release, display_name = records.release_from_json(fact)
    _require_index(change, release.index)
    change.put_release(release, display_name)


def _release_removed(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.remove_release(IndexName(fact["index"]), fact["project"], fact["version"])


def _file(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    file = records.file_from_json(fact)
    if change.project(file.index, file.project) is None:
        raise NotStored(f"project {file.project} in {file.index}")
    change.put_file(file)


def _file_removed(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.remove_file(_file_called(change, fact))


def _yanked(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.yank_file(_file_called(change, fact), fact["reason"])


def _attachment(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    attachment = records.attachment_from_json(fact)
    named = (attachment.index, attachment.project, attachment.version)
    if change.release(*named) is None:
        raise NotStored(f"release {attachment.project} {attachment.version}")
    change.put_attachment(attachment)


def _attachment_removed(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    attachment = change.attachment_at(records.place_from_json(fact))
    if attachment is None:
        raise NotStored(f"file {fact['filename']}")
    change.remove_attachment(attachment)


def _delivery(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.put_delivery(records.delivery_from_json(fact))


def _delivery_undone(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.undo_delivery(fact["serial"])


def _removal(change: SqliteChange, fact: Mapping[str, Any]) -> None:
    change.put_removal(records.place_from_json(fact))


def _nothing(_change: SqliteChange, _fact: Mapping[str, Any]) -> None:
    """What the server is called is no change of what it has."""


_DOES: Mapping[str, Callable[[SqliteChange, Mapping[str, Any]], None]] = {
    "server": _nothing,
    "user": _user,
    "user removed": _user_removed,
    "token": _token,
    "token removed": _token_removed,
    "index": _index,
    "index removed": _index_removed,
    "project": _project,
    "project removed": _project_removed,
    "former project": _former,
    "name given up": _given_up,
    "release": _release,
    "release removed": _release_removed,
    "file": _file,
    "file removed": _file_removed,
    "yanked": _yanked,
    "attachment": _attachment,
    "attachment removed": _attachment_removed,
    "delivery": _delivery,
    "delivery undone": _delivery_undone,
    "file to remove": _removal,
}


def _require_index(change: SqliteChange, index: IndexName) -> None:
    if change.index(index) is None:
        raise NotStored(f"index {index}")


def _file_called(change: SqliteChange, fact: Mapping[str, Any]) -> DistFile:
    file = change.file_named(IndexName(fact["index"]), parse_filename(fact["filename"]).key)
    if file is None:
        raise NotStored(f"file {fact['filename']} in {fact['index']}")
    return file


def _token_called(change: SqliteChange, token_id: str, user: UserName) -> ApiToken:
    for token in change.tokens(user):
        if token.id == token_id:
            return token
    raise NotStored(f"token {token_id}")
