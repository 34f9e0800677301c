"""`approve`: let a release through that a mirror holds back because it is too young."""

from dataclasses import replace
from pathlib import Path

import click

from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.mirrors import mirror_option, the_mirror
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import json_option, tell
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import MirrorSettings
from simpleindex_storage.names import parse_project_name, parse_version
from simpleindex_storage.ports import Change


@click.command("approve")
@click.argument("release", metavar="NAME==VERSION")
@click.option("--revoke", is_flag=True, help="Hold it back again.")
@mirror_option
@json_option
@setting_options("serverdir")
def command(
    *,
    release: str,
    revoke: bool,
    index_text: str,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Show one release of a mirror at once, although it is younger than its min_age.

    Works while the server runs. What is on the mirror's deny list stays there.
    """
    name, equals, version = release.partition("==")
    if not equals:
        raise Refused(release, "a release is named NAME==VERSION")
    entry = f"{parse_project_name(name.strip())}=={parse_version(version.strip())}"

    def work(change: Change) -> tuple[str, ...]:
        index = the_mirror(change, index_text)
        settings = index.settings
        assert isinstance(settings, MirrorSettings)
        if revoke and entry not in settings.approved:
            raise Refused(entry, f"it is not approved in {index.name}")
        approved = tuple(each for each in settings.approved if each != entry)
        if not revoke:
            approved = (*approved, entry)
        if approved != settings.approved:
            change.put_index(replace(index, settings=replace(settings, approved=approved)))
        return approved

    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store:
        what = "revoke" if revoke else "approve"
        approved = store.catalog.change(work, by=ROOT_AT_CONSOLE, what=what)
    done = "held back again" if revoke else "approved"
    tell(
        {"index": index_text, "approved": list(approved)},
        [f"{entry} is {done} in {index_text}"],
        as_json=as_json,
    )
