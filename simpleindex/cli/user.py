"""`user`: the accounts of people, on the server's disk."""

from pathlib import Path
from typing import TextIO

import click

from simpleindex.access import ROOT, ROOT_AT_CONSOLE, check_new_password, hash_password
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.mirrors import opened
from simpleindex.cli.options import (
    ask_for_password,
    config_from,
    first_line,
    setting_options,
)
from simpleindex.cli.telling import count_text, json_option, table, tell
from simpleindex_storage import upkeep
from simpleindex_storage.errors import AlreadyStored, Refused
from simpleindex_storage.model import JsonValue, User
from simpleindex_storage.names import IndexName, UserName, owner_of, parse_user_name
from simpleindex_storage.opening import utc_now
from simpleindex_storage.ports import Change
from simpleindex_storage.records import time_text


@click.group("user")
def command() -> None:
    """List, create and remove users. `passwd` changes a password."""


@command.command("list")
@json_option
@setting_options("serverdir")
def list_(as_json: bool, config_file: Path | None, **flags: object) -> None:
    """List all users with their indexes."""
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        indexes = seen.indexes()
        users = [
            (user, [index.name for index in indexes if owner_of(index.name) == user.name])
            for user in seen.users()
        ]
    documents: list[JsonValue] = [
        {
            "name": user.name,
            "email": user.profile.get("email"),
            "created_at": time_text(user.created_at),
            "indexes": list(names),
        }
        for user, names in users
    ]
    rows = [
        (user.name, str(user.profile.get("email", "-")), ", ".join(names)) for user, names in users
    ]
    tell(documents, table(rows), as_json=as_json)


@command.command("create")
@click.argument("name")
@click.option("--email", default="", help="For people; it has no meaning here.")
@click.option(
    "--password-file",
    type=click.File("r", encoding="utf-8"),
    help="Take the password from the first line of this file; - for standard input.",
)
@json_option
@setting_options("serverdir")
def create(
    name: str,
    email: str,
    password_file: TextIO | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Create the user NAME; asks for the password twice."""
    config = config_from(config_file, flags)
    user_name = parse_user_name(name)
    with open_as_owner(config.serverdir) as store:
        with store.catalog.snapshot() as seen:
            _check_free(seen.user(user_name), user_name)
        password = (
            ask_for_password(f"Password of {user_name}")
            if password_file is None
            else first_line(password_file)
        )
        check_new_password(password)
        profile = {"email": email} if email else {}
        user = User(user_name, hash_password(password), 1, utc_now(), profile=profile)

        def put(change: Change) -> None:
            _check_free(change.user(user_name), user_name)
            change.put_user(user)

        store.catalog.change(put, by=ROOT_AT_CONSOLE, what="create user")
    tell({"created": user_name}, [f"user {user_name} created"], as_json=as_json)


@command.command("remove")
@click.argument("name")
@click.option(
    "--force", is_flag=True, help="Also with indexes that never remove files (volatile=False)."
)
@json_option
@setting_options("serverdir")
def remove(
    name: str, force: bool, as_json: bool, config_file: Path | None, **flags: object
) -> None:
    """Remove the user NAME with all indexes and files, for good."""
    user_name = parse_user_name(name)

    def work(change: Change) -> list[IndexName]:
        if user_name == ROOT:
            raise Refused(ROOT, "root cannot be removed")
        owned = [index for index in change.indexes() if owner_of(index.name) == user_name]
        kept = [index.name for index in owned if not index.settings.volatile]
        if kept and not force:
            raise Refused(
                user_name,
                f"{', '.join(kept)} never removes files (volatile=False); --force does it all "
                "the same",
            )
        upkeep.remove_user(change, user_name)
        return [index.name for index in owned]

    config = config_from(config_file, flags)
    with opened(config) as mirrors:
        removed = mirrors.store.catalog.change(work, by=ROOT_AT_CONSOLE, what="remove user")
        mirrors.store.sweep_if_possible()
        for index in removed:
            mirrors.mirroring.cache.forget_index_if_possible(index)
    tell(
        {"removed": user_name, "indexes": list(removed)},
        [f"user {user_name} removed, with {count_text(len(removed), 'index', 'indexes')}"],
        as_json=as_json,
    )


def _check_free(known: User | None, name: UserName) -> None:
    if known is not None:
        raise AlreadyStored("User", name, "choose another name")
