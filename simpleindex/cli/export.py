"""`export`: write everything in the form in which devpi-server exports and imports."""

import sys
from pathlib import Path

import click

from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import say
from simpleindex.devpi_dump.exporting import Exported, write_dump
from simpleindex_storage.names import parse_index_name

_EXIT_NOT_ALL = 3


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--index",
    "index_texts",
    multiple=True,
    metavar="USER/INDEX",
    help="Only this one and its user; may be given several times. [default: everything]",
)
@click.option(
    "--hard-links",
    is_flag=True,
    help="Let the dump's files be second names of the stored ones, where the disk can do that: "
    "they take no room, and must not be changed.",
)
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Take along hashes of passwords, and passwords in the URLs of mirrors. Without it users "
    "need new passwords where this is imported.",
)
@setting_options("serverdir")
def command(
    *,
    folder: Path,
    index_texts: tuple[str, ...],
    hard_links: bool,
    with_secrets: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Write users, indexes and files into the folder DIR, which must be new or empty.

    `import-devpi DIR` takes it back, without a loss if it was written
    --with-secrets, and so does `devpi-import DIR`, but for what devpi-server does not know. Works
    while the server runs. Only you can look into the folder.

    Exit code 0: everything is in it. 3: everything but what is listed. 1: it failed.
    """
    config = config_from(config_file, flags)
    indexes = [parse_index_name(text) for text in index_texts]
    with (
        open_as_owner(config.serverdir) as store,
        click.progressbar(
            length=1, label="Exporting", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as progress,
    ):

        def tell(_done: int, files: int) -> None:
            progress.length = files
            progress.update(1)

        done = write_dump(
            store,
            config.serverdir / "files",
            folder,
            indexes=indexes,
            hard_links=hard_links,
            with_secrets=with_secrets,
            progress=tell,
        )
    for relpath in done.missing:
        say(f"left out {relpath}: its file is gone; it was removed meanwhile, or is lost", err=True)
    more = f" and {done.attachments_count} with docs or test results"
    click.echo(
        f"{folder}: {done.files_count} files{more if done.attachments_count else ''}; "
        "take them over with `simpleindex-server import-devpi` or `devpi-import`"
    )
    _tell_of_passwords(done, with_secrets)
    if done.missing:
        raise click.exceptions.Exit(_EXIT_NOT_ALL)


def _tell_of_passwords(done: Exported, with_secrets: bool) -> None:
    names = ", ".join(done.without_password)
    if not with_secrets:
        click.echo(
            "Without passwords (--with-secrets takes them along): where this is imported, root "
            "keeps the one that it has there, and these users need new ones (`simpleindex-server "
            f"passwd`, `devpi-passwd`): {names}"
        )
    elif names:
        click.echo(
            f"Cannot log in to a devpi-server that imports this, until it is given a new password "
            f"(`devpi-passwd`): {names}"
        )
    if done.bare_mirrors:
        click.echo(
            "Without the user and password of their mirror_url, which they need again: "
            f"{', '.join(done.bare_mirrors)}"
        )
