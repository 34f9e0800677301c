"""`index`: the indexes of a server, on its disk."""

import json
from collections.abc import Callable
from pathlib import Path

import click

from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex.cli.directory import no_index, open_as_owner
from simpleindex.cli.mirrors import opened
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, table, tell
from simpleindex.wire.index_settings import index_config, parse_index_change, parse_new_index
from simpleindex_storage import upkeep
from simpleindex_storage.errors import AlreadyStored, NotStored, Refused
from simpleindex_storage.model import Index, IndexSettings, JsonValue, StageSettings
from simpleindex_storage.names import owner_of, parse_index_name
from simpleindex_storage.ports import Change

_SETTINGS = click.argument("settings", nargs=-1, metavar="KEY=VALUE...")


@click.group("index")
def command() -> None:
    """List, create, change and remove indexes.

    Settings are those of devpi, `bases=root/local volatile=False acl_upload=root,bob` and so on,
    and some of our own, such as strict_archives.
    """


@command.command("list")
@json_option
@setting_options("serverdir")
def list_(as_json: bool, config_file: Path | None, **flags: object) -> None:
    """List all indexes, with how many projects each has."""
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        counts = [(index, seen.count_projects(index.name)) for index in seen.indexes()]
    rows = [
        (
            index.name,
            str(index_config(index)["type"]),
            count_text(count, "project"),
            _bases_text(index),
        )
        for index, count in counts
    ]
    tell(
        [{**_document(index), "projects": count} for index, count in counts],
        table(rows),
        as_json=as_json,
    )


@command.command("show")
@click.argument("name")
@json_option
@setting_options("serverdir")
def show(name: str, as_json: bool, config_file: Path | None, **flags: object) -> None:
    """Show the settings of the index NAME (USER/INDEX)."""
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        index = _there(seen.index(parse_index_name(name)), name)
    _tell_settings(index, as_json)


@command.command("create")
@click.argument("name")
@_SETTINGS
@json_option
@setting_options("serverdir")
def create(
    name: str,
    settings: tuple[str, ...],
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Create the index NAME (USER/INDEX). Its files may be replaced, unless volatile=False."""
    index_name = parse_index_name(name)
    body = json.dumps(dict(map(_pair, settings))).encode()

    def work(change: Change) -> Index:
        if change.index(index_name) is not None:
            raise AlreadyStored("Index", index_name, "`index change` gives it other settings")
        if change.user(owner_of(index_name)) is None:
            raise NotStored(
                f"user {owner_of(index_name)}", "`simpleindex-server user create` makes one"
            )
        return _put(change, Index(index_name, parse_new_index(body, index_name, None)))

    _tell_settings(_changed(work, "create index", config_file, flags), as_json)


@command.command("change")
@click.argument("name")
@_SETTINGS
@json_option
@setting_options("serverdir")
def change(
    name: str,
    settings: tuple[str, ...],
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Change settings of the index NAME: KEY=VALUE sets, KEY+=VALUE and KEY-=VALUE change lists."""
    index_name = parse_index_name(name)
    body = json.dumps([f"{key}={value}" for key, value in map(_pair, settings)]).encode()

    def work(changing: Change) -> Index:
        known = _there(changing.index(index_name), name)
        after = Index(known.name, parse_index_change(body, known.settings))
        return _put(changing, after, known.settings)

    _tell_settings(_changed(work, "change index", config_file, flags), as_json)


@command.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Also if it never removes files (volatile=False).")
@json_option
@setting_options("serverdir")
def remove(
    name: str, force: bool, as_json: bool, config_file: Path | None, **flags: object
) -> None:
    """Remove the index NAME with all its files, for good."""
    index_name = parse_index_name(name)

    def work(changing: Change) -> int:
        known = _there(changing.index(index_name), name)
        if not known.settings.volatile and not force:
            raise Refused(
                name, "it never removes files (volatile=False); --force does it all the same"
            )
        count = changing.count_projects(index_name)
        upkeep.remove_index(changing, index_name)
        return count

    config = config_from(config_file, flags)
    with opened(config) as mirrors:
        count = mirrors.store.catalog.change(work, by=ROOT_AT_CONSOLE, what="remove index")
        mirrors.store.sweep_if_possible()
        mirrors.mirroring.cache.forget_index_if_possible(index_name)
    tell(
        {"removed": index_name, "projects": count},
        [f"index {index_name} removed, with {count_text(count, 'project')}"],
        as_json=as_json,
    )


def _changed(
    work: Callable[[Change], Index], what: str, config_file: Path | None, flags: dict[str, object]
) -> Index:
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store:
        return store.catalog.change(work, by=ROOT_AT_CONSOLE, what=what)


def _put(change: Change, index: Index, before: IndexSettings | None = None) -> Index:
    kept = before.bases if isinstance(before, StageSettings) else ()
    upkeep.check_bases(change, index, kept)
    change.put_index(index)
    return index


def _there(index: Index | None, name: str) -> Index:
    if index is None:
        raise no_index(name)
    return index


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"{text!r} is no KEY=VALUE")
    return key, value


def _document(index: Index) -> dict[str, JsonValue]:
    return {"name": index.name, **index_config(index, with_secrets=True)}


def _tell_settings(index: Index, as_json: bool) -> None:
    document = _document(index)
    tell(document, table([(key, _text(value)) for key, value in document.items()]), as_json=as_json)


def _text(value: JsonValue) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return value if isinstance(value, str) else json.dumps(value)


def _bases_text(index: Index) -> str:
    bases = index.settings.bases if isinstance(index.settings, StageSettings) else ()
    return f"bases {', '.join(bases)}" if bases else ""
