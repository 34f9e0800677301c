"""`passwd`: set a user's password directly in the catalog."""

from dataclasses import replace
from pathlib import Path
from typing import TextIO

import click

from simpleindex.access import ROOT, ROOT_AT_CONSOLE, check_new_password, hash_password
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import (
    ask_for_password,
    config_from,
    first_line,
    setting_options,
)
from simpleindex.initialise import PASSWORD_FILE
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import NotStored
from simpleindex_storage.names import parse_user_name
from simpleindex_storage.opening import utc_now
from simpleindex_storage.ports import Change


@click.command("passwd")
@click.argument("user", default=ROOT)
@click.option(
    "--password-file",
    type=click.File("r", encoding="utf-8"),
    help="Take the password from the first line of this file; - for standard input.",
)
@setting_options("serverdir")
def command(
    user: str, password_file: TextIO | None, config_file: Path | None, **flags: object
) -> None:
    """Set the password of USER (root if none is named); asks for it twice.

    Works while the server runs. All logins of the user end.
    """
    config = config_from(config_file, flags)
    name = parse_user_name(user)
    with open_as_owner(config.serverdir) as store:
        with store.catalog.snapshot() as seen:
            if seen.user(name) is None:
                raise NotStored(f"user {name}", "check the spelling")
        password = (
            ask_for_password(f"New password of {name}")
            if password_file is None
            else first_line(password_file)
        )
        check_new_password(password)
        password_hash = hash_password(password)

        def set_password(change: Change) -> None:
            known = change.user(name)
            if known is None:
                raise NotStored(f"user {name}")
            version = known.password_version + 1
            change.put_user(
                replace(
                    known,
                    password_hash=password_hash,
                    password_version=version,
                    modified_at=utc_now(),
                )
            )

        store.catalog.change(set_password, by=ROOT_AT_CONSOLE, what="password")
    click.echo(f"The password of {name} is changed.")
    if name == ROOT:
        old = config.serverdir / PASSWORD_FILE
        with unavailable_on_failure(f"{old} holds an old password and cannot be removed"):
            old.unlink(missing_ok=True)
