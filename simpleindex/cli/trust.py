"""`trust`: the keys whose signatures of bundles a site believes."""

from pathlib import Path
from typing import BinaryIO

import click

from simpleindex.cli.bundle.given import keys_option
from simpleindex.cli.directory import named_or_ours
from simpleindex.cli.options import config_from, path_text, setting_options
from simpleindex.cli.telling import count_text, json_option, table, tell
from simpleindex.gap.bundle.trusted_keys import (
    FILE_NAME,
    TrustedKey,
    change_trusted,
    parse_public_key,
    read_trusted,
    with_key,
)
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import JsonValue

_KEY_BYTES_MAX = 16 << 10


@click.group("trust")
def command() -> None:
    """Say whose bundles are taken in: the keys of those who make them.

    A pair of keys is made with `ssh-keygen -t ed25519`, and a bundle is signed with the private one
    when it is made. Here belong the public ones (KEY.pub).
    """


@command.command("add")
@click.argument("file", metavar="KEY.pub", type=click.File("rb"))
@click.option("--name", metavar="NAME", help="What to call it [default: its comment].")
@keys_option
@json_option
@setting_options("serverdir")
def add(
    *,
    file: BinaryIO,
    name: str | None,
    keys_file: Path | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Trust a key; - reads it from standard input.

    Compare the fingerprint that is printed with what the owner of the key tells you. From then on,
    bundles that are signed with other keys are refused; those that are not signed at all only if
    `require_signature` is set.
    """
    path = _path(keys_file, config_file, flags)
    key = parse_public_key(file.read(_KEY_BYTES_MAX), file.name, name)
    change_trusted(path, lambda known: with_key(known, key))
    tell({"added": _document(key)}, [f"{key.name} is trusted: {key.fingerprint}"], as_json=as_json)


@command.command("list")
@keys_option
@json_option
@setting_options("serverdir")
def list_(
    *, keys_file: Path | None, as_json: bool, config_file: Path | None, **flags: object
) -> None:
    """List the keys that are trusted."""
    keys = read_trusted(_path(keys_file, config_file, flags))
    lines = table([(key.name, key.fingerprint) for key in keys]) if keys else ["no key is trusted"]
    tell([_document(key) for key in keys], lines, as_json=as_json)


@command.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@keys_option
@json_option
@setting_options("serverdir")
def remove(
    *,
    names: tuple[str, ...],
    keys_file: Path | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Trust keys no longer, by their names or fingerprints."""

    def without(known: tuple[TrustedKey, ...]) -> tuple[TrustedKey, ...]:
        for name in names:
            if not any(name in (key.name, key.fingerprint) for key in known):
                hint = f"`simpleindex-server trust list{_of(keys_file)}` names all"
                raise NotStored(f"key {name[:80]}", hint)
        return tuple(key for key in known if not {key.name, key.fingerprint} & set(names))

    change_trusted(_path(keys_file, config_file, flags), without)
    removed = list(dict.fromkeys(names))
    tell(
        {"removed": list(removed)}, [f"{count_text(len(removed), 'key')} removed"], as_json=as_json
    )


def _path(keys_file: Path | None, config_file: Path | None, flags: dict[str, object]) -> Path:
    return named_or_ours(keys_file, FILE_NAME, lambda: config_from(config_file, flags))


def _of(keys_file: Path | None) -> str:
    return "" if keys_file is None else f" --keys={path_text(keys_file)}"


def _document(key: TrustedKey) -> JsonValue:
    return {"name": key.name, "fingerprint": key.fingerprint, "key": key.text}
