"""`bundle verify`: whether all of a bundle is there, as it was made, and by whom."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from simpleindex.cli.bundle.given import (
    REFUSED,
    bundle_argument,
    digests,
    head_lines,
    keys_option,
    missing_parts,
    open_given,
    signer_document,
    trusted_given,
)
from simpleindex.cli.options import as_typed, config_from, setting_options
from simpleindex.cli.telling import json_option, tell
from simpleindex.gap.bundle.reading import Bundle, verify_bundle
from simpleindex.gap.bundle.signatures import Signer, check_digests, check_signer, signer_of
from simpleindex_storage.errors import Refused


@click.command("verify")
@bundle_argument
@click.option(
    "--expect",
    multiple=True,
    metavar="DIGEST",
    help="The digest that was printed when it was made; refuse any other. Repeatable, for parts.",
)
@keys_option
@json_option
@setting_options("serverdir", "require_signature")
def command(
    *,
    paths: tuple[Path, ...],
    expect: tuple[str, ...],
    keys_file: Path | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Check that all of BUNDLE is there and as it was made; nothing is changed.

    Of a bundle in several parts, one is enough to name: the others are looked for beside it. The
    exit code is 1 if anything is missing or damaged, or a signature is wrong; and 2 if the bundle
    is in order, but not what this site takes: not signed although that is required, signed with a
    key that is not among those trusted, or of another digest than expected.
    """
    config = config_from(config_file, flags)
    trusted = trusted_given(keys_file, config)
    bundle = open_given(paths)
    signer = signer_of(bundle, trusted)
    faults = _faults(bundle)
    refusal = None
    try:
        check_digests([bundle], expect)
        check_signer(bundle, signer, trusted, is_required=config.require_signature)
    except Refused as refused:
        refusal = as_typed(str(refused))
    tell(
        {
            "bundle": bundle.subject,
            "files": len(bundle.manifest.files),
            "bytes": bundle.size_bytes,
            "digests": digests(bundle),
            "signer": signer_document(signer),
            "missing_parts": list(missing_parts(bundle.manifest)),
            "faults": list(faults),
            "refused": refusal,
        },
        _lines(bundle, signer, faults, refusal),
        as_json=as_json,
    )
    if faults or refusal:
        raise click.exceptions.Exit(1 if faults else REFUSED)


def _faults(bundle: Bundle) -> list[str]:
    length = bundle.size_bytes + sum(
        extra.size_bytes for volume in bundle.volumes for extra in volume.manifest.extras
    )
    is_watched = sys.stderr.isatty()
    with click.progressbar(length=length, file=sys.stderr, hidden=not is_watched) as bar:
        return verify_bundle(bundle, bar.update)


def _lines(bundle: Bundle, signer: Signer, faults: list[str], refusal: str | None) -> Iterator[str]:
    yield from head_lines(bundle)
    yield signer.words
    for fault in faults:
        yield f"fault  {fault}"
    if refusal is not None:
        yield f"refused  {refusal}"
    if not faults and refusal is None:
        yield "all of it is there, and as it was made"
