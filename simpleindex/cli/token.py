"""`token`: API tokens of users, for robots that upload and install."""

from pathlib import Path

import click

from simpleindex import api_tokens
from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import json_option, table, tell
from simpleindex.wire.tokens_json import make_wish, token_config
from simpleindex_storage.model import ApiToken, TokenAction
from simpleindex_storage.names import parse_user_name
from simpleindex_storage.opening import utc_now


@click.group("token")
def command() -> None:
    """Make, list and revoke API tokens.

    A token is sent as password, with the user name __token__ or the user's own. It never may more
    than its user. All of this works while the server runs.
    """


@command.command("create")
@click.argument("user")
@click.option("--name", default="", metavar="TEXT", help="What it is for.")
@click.option(
    "--index",
    "indexes",
    multiple=True,
    metavar="USER/INDEX",
    help="Only for this index, * for any characters; repeatable [default: every index].",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="NAME",
    help="Only for this project, * for any characters; repeatable [default: every project].",
)
@click.option("--read", is_flag=True, help="For reading [default: for reading and uploads].")
@click.option("--upload", is_flag=True, help="For uploads.")
@click.option("--days", type=int, help="How long it is good for [default: without end].")
@json_option
@setting_options("serverdir")
def create(
    *,
    user: str,
    name: str,
    indexes: tuple[str, ...],
    projects: tuple[str, ...],
    read: bool,
    upload: bool,
    days: int | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Make a token of USER, and print it: it is shown this once."""
    config = config_from(config_file, flags)
    chosen = {TokenAction.READ: read, TokenAction.UPLOAD: upload}
    actions = [action for action, is_chosen in chosen.items() if is_chosen]
    wish = make_wish(name, actions=actions, indexes=indexes, projects=projects, days=days)
    token, secret = api_tokens.issue(parse_user_name(user), wish, utc_now())
    with open_as_owner(config.serverdir) as store:
        store.catalog.change(
            lambda change: api_tokens.add_token(change, token),
            by=ROOT_AT_CONSOLE,
            what="create token",
        )
    # Alone on standard output, so that a script can take it from there.
    tell({**token_config(token), "token": secret}, [secret], as_json=as_json)


@command.command("list")
@click.argument("user", required=False)
@json_option
@setting_options("serverdir")
def list_(user: str | None, as_json: bool, config_file: Path | None, **flags: object) -> None:
    """List the tokens of USER, or of all users. What is secret of them is kept nowhere."""
    config = config_from(config_file, flags)
    owner = None if user is None else parse_user_name(user)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        found = api_tokens.tokens(seen, owner)
    rows = [_HEADINGS, *map(_row, found)] if found else []
    tell([token_config(token) for token in found], table(rows), as_json=as_json)


@command.command("revoke")
@click.argument("token_id", metavar="ID")
@json_option
@setting_options("serverdir")
def revoke(token_id: str, as_json: bool, config_file: Path | None, **flags: object) -> None:
    """End a token, at once and for good. `token list` tells its ID."""
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store:
        token = store.catalog.change(
            lambda change: api_tokens.revoke_token(change, token_id),
            by=ROOT_AT_CONSOLE,
            what="revoke token",
        )
    line = f"Token {token.id} of {token.user} is revoked."
    tell(token_config(token), [line], as_json=as_json)


_HEADINGS = ("ID", "USER", "NAME", "FOR", "INDEXES", "PROJECTS", "EXPIRES")


def _row(token: ApiToken) -> tuple[str, ...]:
    return (
        token.id,
        token.user,
        token.name or "-",
        ", ".join(token.actions),
        ", ".join(token.indexes) or "*",
        ", ".join(token.projects) or "*",
        "never" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d}",
    )
