"""How verbs get at the bundles that they are given, and how they tell of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from simpleindex.cli.options import typed_here
from simpleindex.cli.telling import count_text, say, size_text
from simpleindex.config import Config
from simpleindex.gap.bundle.manifest import Manifest
from simpleindex.gap.bundle.reading import Bundle, open_bundle
from simpleindex.gap.bundle.signatures import Signer
from simpleindex.gap.bundle.trusted_keys import FILE_NAME, TrustedKey, read_trusted
from simpleindex.gap.bundle.volumes import with_others
from simpleindex.gap.fields import time_text
from simpleindex_storage.errors import AlreadyStored, Damaged, NotStored, Refused
from simpleindex_storage.model import JsonValue

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

REFUSED = 2
"""The exit code where nothing was done, and the same again will do no better; of `verify`, where a
bundle is whole, and is not what this site takes."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """What is refused ends with an exit code of its own: the same again will do no better."""
    try:
        yield
    except (Refused, Damaged, AlreadyStored, NotStored) as error:
        say(f"simpleindex-server: {typed_here(str(error))}", err=True)
        raise click.exceptions.Exit(REFUSED) from None


def bundle_argument(function: Decorated) -> Decorated:
    """One bundle, as the argument `paths`: several only if they are its volumes."""
    return click.argument(
        "paths",
        nargs=-1,
        required=True,
        metavar="BUNDLE",
        type=click.Path(path_type=Path, exists=True),
    )(function)


def keys_option(function: Decorated) -> Decorated:
    """`--keys`, as the argument `keys_file`."""
    return click.option(
        "--keys",
        "keys_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=f"The list of trusted keys [default: SERVERDIR/{FILE_NAME}].",
    )(function)


def open_given(paths: Sequence[Path]) -> Bundle:
    """Open the bundle of these volumes, and of those that lie beside them."""
    return open_bundle(*dict.fromkeys(each for path in paths for each in with_others(path)))


def trusted_given(keys_file: Path | None, config: Config) -> tuple[TrustedKey, ...]:
    """The keys of a file that is named, or of the server directory if there is one."""
    return read_trusted(keys_file or config.serverdir / FILE_NAME)


def digests(bundle: Bundle) -> dict[str, JsonValue]:
    """By the path of each volume, what is compared by voice."""
    return {str(volume.path): volume.digest for volume in bundle.volumes}


def missing_parts(manifest: Manifest) -> list[int]:
    """The numbers of the volumes that were not given."""
    return sorted({each.part for each in manifest.elsewhere})


def signer_document(signer: Signer) -> JsonValue:
    """For programs."""
    return {
        "standing": signer.standing,
        "fingerprint": signer.fingerprint,
        "name": signer.name,
    }


def head_lines(bundle: Bundle) -> Iterator[str]:
    """What a bundle is, in a few lines."""
    manifest = bundle.manifest
    yield (
        f"{bundle.subject}: {count_text(len(manifest.files), 'file')}, "
        f"{size_text(bundle.size_bytes)}, for {count_text(len(manifest.targets), 'target')}"
    )
    yield f"made {time_text(manifest.created)} by {manifest.tool}"
    for volume in bundle.volumes:
        named = f" of {volume.path}" if len(bundle.volumes) > 1 else ""
        yield f"digest {volume.digest}{named}"
    missing = missing_parts(manifest)
    if missing:
        part = manifest.part
        yield (
            f"part {', '.join(map(str, missing))} of {part.count if part else '?'} is not here, "
            f"with {count_text(len(manifest.elsewhere), 'file')}"
        )
