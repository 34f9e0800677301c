"""`bundle import`: take bundles and folders of packages in, all of it or nothing."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock

import click

from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex.cli.bundle.given import REFUSED, refusals_told
from simpleindex.cli.bundle.import_telling import Told, document, lines
from simpleindex.cli.directory import index_to_make, into_index_option, open_as_owner
from simpleindex.cli.options import as_typed, config_from, setting_options
from simpleindex.cli.telling import json_option, tell
from simpleindex.config import Config
from simpleindex.gap.bundle.asking import request_for, root_sets
from simpleindex.gap.bundle.loads import Load, opened_load
from simpleindex.gap.bundle.reading import verify_bundle
from simpleindex.gap.bundle.signatures import (
    Signer,
    Standing,
    check_digests,
    check_signer,
    signer_of,
)
from simpleindex.gap.bundle.site_ledger import RootSet
from simpleindex.gap.bundle.taking import Plan, Taking, Wanted, check_room
from simpleindex.gap.bundle.trusted_keys import FILE_NAME as TRUSTED_KEYS
from simpleindex.gap.bundle.trusted_keys import read_trusted
from simpleindex.gap.bundle.verdicts import compare, standings
from simpleindex.gap.closure import Standing as TargetStanding
from simpleindex.gap.decisions import read_decisions
from simpleindex.gap.request import dump_request
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused, StoreError
from simpleindex_storage.names import parse_index_name
from simpleindex_storage.opening import utc_now

INCOMPLETE = 3
"""Exit code: it was taken in, and yet something cannot be installed somewhere."""

_REQUEST_MODE = 0o644


@click.command("import")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@into_index_option
@click.option(
    "--dry-run", is_flag=True, help="Read and check all of it, and tell; take nothing in."
)
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="DIGEST",
    help="Take in only bundles of these digests, as they were read out. Repeatable: each volume "
    "has its own.",
)
@click.option(
    "--replace",
    "may_replace",
    is_flag=True,
    help="Replace files that have other bytes here, where the index lets files be replaced.",
)
@click.option(
    "--strict-archives/--no-strict-archives",
    default=None,
    help="Whether to refuse files that some installer can use although something is wrong with "
    "them. [default: for bundles no, otherwise as the index is set]",
)
@click.option(
    "--check/--no-check",
    "checks_targets",
    default=True,
    help="Whether to tell what each target can install before and after. [default: yes]",
)
@click.option(
    "--request",
    "request_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where files are missing here that a bundle needs: write a request for all of it there.",
)
@json_option
@setting_options("serverdir", "require_signature")
def command(
    *,
    paths: tuple[Path, ...],
    index_text: str,
    dry_run: bool,
    expected: tuple[str, ...],
    may_replace: bool,
    strict_archives: bool | None,
    checks_targets: bool,
    request_file: Path | None,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Take bundles into an index; or wheels and source distributions, folders and zips of them.

    All that is named comes in with one change, or nothing does; volumes of a bundle may be named
    together or one after the other. Works while the server runs. The same again changes nothing.
    Exit codes: 0 taken in; 3 taken in, but some line cannot be installed on some target; 2 refused;
    1 something else went wrong.
    """
    config = config_from(config_file, flags)
    index = parse_index_name(index_text)
    with (
        open_as_owner(config.serverdir) as store,
        refusals_told(),
        opened_load(paths) as load,
    ):
        signers = _checked_signers(load, config)
        check_digests(load.bundles, expected)
        wanted = Wanted(
            index,
            index_to_make(store, index),
            may_replace,
            strict_archives,
            signed_by=_trusted(signers),
        )
        taking = Taking(store, load, wanted, ROOT_AT_CONSOLE, utc_now())
        told = _take(
            taking,
            config.serverdir,
            dry_run=dry_run,
            checks_targets=checks_targets,
            request_file=request_file,
        )
    told_lines = (as_typed(line, config.serverdir) for line in lines(told, signers))
    tell(document(told), told_lines, as_json=as_json)
    if told.faults:
        raise click.exceptions.Exit(REFUSED)
    if any(comparison.after.failures for comparison in told.comparisons):
        raise click.exceptions.Exit(INCOMPLETE)


def _take(
    taking: Taking,
    serverdir: Path,
    *,
    dry_run: bool,
    checks_targets: bool,
    request_file: Path | None,
) -> Told:
    """Raises Refused, AlreadyStored, NotStored, Unavailable: then nothing was taken in."""
    plan = taking.look()
    told = Told(taking, plan, faults=(*taking.load.faults, *plan.faults))
    if told.faults:
        if plan.missing and request_file is not None:
            _write_request(taking, serverdir, request_file)
            told = replace(told, request_file=request_file)
        return told
    check_room(serverdir, plan)
    with ExitStack() as drafts:
        with _progress(plan.size_bytes) as progress:
            staged = taking.stage(plan, drafts, progress)
        told = replace(told, staged=staged, faults=staged.faults, damaged=_damaged(taking, plan))
        if dry_run or told.faults:
            return told
        ignored = read_decisions(serverdir).ignored if checks_targets else ()
        sets = root_sets(taking.load, ignored) if checks_targets else {}
        told = replace(told, withdrawn=_withdrawn(sets.values()))
        before = _standings(taking, sets)
        told = replace(told, done=taking.take_in(plan, staged))
    try:
        after = _standings(taking, sets)
    except StoreError as error:  # which must not look as if nothing had been taken in
        return replace(told, trouble=f"how targets stand now cannot be told: {error}")
    return replace(
        told, by_bundle={name: compare(before[name], standing) for name, standing in after.items()}
    )


def _standings(
    taking: Taking, sets: Mapping[str, RootSet]
) -> Mapping[str, tuple[TargetStanding, ...]]:
    """How targets stand with what each bundle was made for."""
    return {
        name: standings(taking.store, taking.wanted.index, [each]) for name, each in sets.items()
    }


def _withdrawn(sets: Iterable[RootSet]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for each in sets for line in each.withdrawn))


def _damaged(taking: Taking, plan: Plan) -> tuple[str, ...]:
    """What is wrong in bundles with all that nobody copies: no reason to keep the rest out."""
    copied = {(arriving.name, arriving.sha256) for arriving in plan.new}
    return tuple(
        fault
        for bundle in taking.load.bundles
        for fault in verify_bundle(
            bundle,
            but={it.member for it in bundle.manifest.files if (it.name, it.sha256) in copied},
        )
    )


def _checked_signers(load: Load, config: Config) -> dict[str, Signer]:
    """Who has signed, by the digests of volumes. Raises Refused for what must not get in."""
    trusted = read_trusted(config.serverdir / TRUSTED_KEYS)
    if config.require_signature and any(file.sha256 is None for file in load.files):
        raise Refused(
            load.sources[0],
            "a signature is required here, and packages without a manifest have none",
        )
    signers: dict[str, Signer] = {}
    for bundle in load.bundles:
        signer = signer_of(bundle, trusted)
        check_signer(bundle, signer, trusted, is_required=config.require_signature)
        signers |= {volume.digest: signer for volume in bundle.volumes}
    return signers


def _trusted(signers: Mapping[str, Signer]) -> dict[str, str]:
    return {
        digest: f"{signer.name} ({signer.fingerprint})"
        for digest, signer in signers.items()
        if signer.standing is Standing.TRUSTED
    }


def _write_request(taking: Taking, serverdir: Path, path: Path) -> None:
    ignored = read_decisions(serverdir).ignored
    text = dump_request(request_for(taking.store, taking.load, taking.wanted.index, ignored))
    with unavailable_on_failure(f"{path} cannot be written"):
        write_file(path, text.encode(), mode=_REQUEST_MODE)


@contextmanager
def _progress(size_bytes: int) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal, which may be told of bytes from any thread."""
    lock = Lock()
    with click.progressbar(
        length=size_bytes, label="Reading", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def tell_bytes(count: int) -> None:
            with lock:
                bar.update(count)

        yield tell_bytes
