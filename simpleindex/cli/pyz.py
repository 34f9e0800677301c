"""`pyz`: this program and all that it needs in one file."""

from hashlib import sha256
from pathlib import Path

import click

from simpleindex.cli.telling import json_option, size_text, tell
from simpleindex.gap.pyz.building import MEMBER, server_pyz
from simpleindex_storage.durable import unavailable_on_failure, write_file


@click.command("pyz")
@click.argument(
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=MEMBER,
    metavar=f"[FILE={MEMBER}]",
)
@json_option
def command(*, path: Path, as_json: bool) -> None:
    """Write this program and all that it needs into one file, for a computer without pip.

    `python3 server.pyz VERB ...` runs it there, on any system with a Python 3.11 or newer. In it
    are the versions that are installed here, and their licences (listed in its CONTENTS.txt). Made
    again out of the same, it is the same byte for byte. A file that is there is replaced.
    """
    content = server_pyz()
    with unavailable_on_failure(f"{path} cannot be written"):
        write_file(path, content, mode=0o644)
    digest = sha256(content).hexdigest()
    tell(
        {"path": str(path), "size": len(content), "sha256": digest},
        [f"wrote {path} ({size_text(len(content))}, sha256 {digest})"],
        as_json=as_json,
    )
