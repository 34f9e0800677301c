"""`backup` and `restore`: a copy of a server directory while it is served, and the way back."""

from collections.abc import Iterator
from pathlib import Path

import click

from simpleindex.cli.directory import require_ours
from simpleindex.cli.options import as_typed, config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, size_text, tell
from simpleindex.version import __version__
from simpleindex_storage.backup.restore import Restored, restore_backup
from simpleindex_storage.backup.take import Taken, take_backup
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue
from simpleindex_storage.opening import utc_now
from simpleindex_storage.records import time_text


@click.command("backup")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Complete backups that stay in DEST, this one among them; the oldest go.",
)
@click.option("--with-cache", is_flag=True, help="Also what mirrors have kept.")
@json_option
@setting_options("serverdir")
def backup(
    *,
    destination: Path,
    keep: int | None,
    with_cache: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Back the server directory up into a new folder below DEST, named by the time.

    The server may be running, and under load: what is saved is the state of one moment. Files that
    the backup before has, or that lie on the same disk, are second names of the same bytes and
    take no room; a backup on another disk is what helps when this one fails. Every file is read
    and compared with its sha256, but for what the backup before has: `fsck` finds rot in those.
    The exit code is 1 if files are lost or damaged already: they are named, come out of an earlier
    backup where one has them, and the rest is saved. Keep backups where nobody else can read them:
    they have password hashes and the key of logins. `restore` is the way back.
    """
    root = config_from(config_file, flags).serverdir
    require_ours(root)
    try:
        taken = take_backup(
            root, destination.absolute(), utc_now(), __version__, keep=keep, with_cache=with_cache
        )
    except Refused as refused:
        raise click.ClickException(as_typed(str(refused), root)) from None
    tell(_document(taken), _lines(taken, root), as_json=as_json)
    if taken.manifest.damaged or taken.recovered:
        raise click.exceptions.Exit(1)


@click.command("restore")
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Read every file and compare it with its sha256.")
@click.option(
    "--link",
    "may_link",
    is_flag=True,
    help="Make second names of the backup's files instead of copies: no room, one fate.",
)
@click.option("--despite-faults", is_flag=True, help="Restore what there is of a damaged backup.")
@json_option
@setting_options("serverdir")
def restore(
    *,
    backup: Path,
    verify: bool,
    may_link: bool,
    despite_faults: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Make a server directory out of BACKUP, a folder that `backup` has made.

    --serverdir names the new directory, which must be empty or not exist. All files are checked
    before the directory counts as one. It is the same server: users, passwords, tokens and logins
    go on; what happened after the backup is gone.
    """
    root = config_from(config_file, flags).serverdir
    restored = restore_backup(
        backup.absolute(),
        root,
        is_verified=verify,
        may_link=may_link,
        despite_faults=despite_faults,
    )
    tell(_restored_document(restored, root), _restored_lines(restored, root), as_json=as_json)
    if restored.faults or restored.manifest.damaged:
        raise click.exceptions.Exit(1)


def _document(taken: Taken) -> JsonValue:
    return {
        "backup": str(taken.path),
        "serial": taken.manifest.serial,
        "files": taken.manifest.files,
        "bytes": taken.manifest.size_bytes,
        "linked": taken.linked,
        "reused": taken.reused,
        "copied": taken.copied,
        "copied_bytes": taken.copied_bytes,
        "damaged": list(taken.manifest.damaged),
        "recovered": [{"path": path, "from": str(earlier)} for path, earlier in taken.recovered],
        "removed": [str(path) for path in taken.removed],
    }


def _lines(taken: Taken, root: Path) -> Iterator[str]:
    manifest = taken.manifest
    for path in manifest.damaged:
        yield f"damaged  {path}"
    for path, earlier in taken.recovered:
        yield f"recovered  {path} is lost or damaged; its bytes came from {earlier}"
    for older in taken.removed:
        yield f"removed  {older}"
    yield (
        f"{taken.path}: {count_text(manifest.files, 'file')}, {size_text(manifest.size_bytes)}; "
        f"{size_text(taken.copied_bytes)} copied"
    )
    if manifest.damaged or taken.recovered:
        yield as_typed(
            "some files were lost or damaged already; `simpleindex-server fsck` tells what to do",
            root,
        )


def _restored_document(restored: Restored, root: Path) -> JsonValue:
    return {
        "serverdir": str(root),
        "serial": restored.manifest.serial,
        "made_at": time_text(restored.manifest.made_at),
        "files": restored.manifest.files,
        "bytes": restored.manifest.size_bytes,
        "linked": restored.linked,
        "copied": restored.copied,
        "damaged": list(restored.manifest.damaged),
        "faults": [{"code": each.code, "path": each.path} for each in restored.faults],
    }


def _restored_lines(restored: Restored, root: Path) -> Iterator[str]:
    manifest = restored.manifest
    for path in manifest.damaged:
        yield f"damaged  {path} was so before it was saved"
    for fault in restored.faults:
        yield f"fault  {fault.code}  {fault.path} {fault.what}"
    yield (
        f"{root}: {count_text(manifest.files, 'file')}, {size_text(manifest.size_bytes)}, as of "
        f"{time_text(manifest.made_at)}"
    )
