"""`bundle show`: what a bundle holds, for whom, and what could not be had."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click

from simpleindex.cli.bundle.given import (
    bundle_argument,
    digests,
    head_lines,
    open_given,
    signer_document,
)
from simpleindex.cli.telling import count_text, json_option, size_text, table, tell
from simpleindex.gap.bundle.comparing import problems_of
from simpleindex.gap.bundle.manifest import BundledFile, Manifest, Notice, dump_manifest
from simpleindex.gap.bundle.reading import Bundle
from simpleindex.gap.bundle.signatures import Signer, signer_of


@click.command("show")
@bundle_argument
@click.option("--files", "with_files", is_flag=True, help="Name every file, not only each release.")
@json_option
def command(*, paths: tuple[Path, ...], with_files: bool, as_json: bool) -> None:
    """Tell what BUNDLE holds, for which targets, and what they cannot have.

    Only its form and its signature are checked; `bundle verify` reads all files.
    """
    bundle = open_given(paths)
    signer = signer_of(bundle, ())
    document = json.loads(dump_manifest(bundle.manifest))
    tell(
        {**document, "digests": digests(bundle), "signer": signer_document(signer)},
        _lines(bundle, signer, with_files=with_files),
        as_json=as_json,
    )


def _lines(bundle: Bundle, signer: Signer, *, with_files: bool) -> Iterator[str]:
    manifest = bundle.manifest
    yield from head_lines(bundle)
    yield "not signed" if signer.fingerprint is None else f"signed with {signer.fingerprint}"
    if manifest.base is not None:
        yield f"for a site of stamp {manifest.base}"
    if manifest.result_stamp is not None:
        yield f"the site is of stamp {manifest.result_stamp} with it"
    if manifest.assumes:
        yield f"{count_text(len(manifest.assumes), 'file')} more must be there already"
    for note in manifest.notes:
        yield f"note: {note}"
    yield ""
    yield from _target_lines(manifest)
    if manifest.roots:
        yield ""
        yield "made for:"
        yield from (f"  {root}" for root in manifest.roots)
    if manifest.files:
        yield ""
        yield from _file_lines(manifest) if with_files else _release_lines(manifest)
    yield from _notice_lines("withdrawn", manifest.yanks)
    yield from _notice_lines("proposed to be removed", manifest.removals)


def _target_lines(manifest: Manifest) -> Iterator[str]:
    for place, target in enumerate(manifest.targets):
        files = [file for file in manifest.files if place in file.targets]
        problems = problems_of(manifest, target.name)
        verdict = f"{count_text(len(problems), 'line')} unmet" if problems else "all lines met"
        yield f"{target.name}  {target.words}: {count_text(len(files), 'file')}; {verdict}"
        for line, chain in problems.items():
            yield f"  cannot have {line}: {' -> '.join(chain)}"


def _release_lines(manifest: Manifest) -> Iterator[str]:
    releases: dict[tuple[str, str], list[BundledFile]] = defaultdict(list)
    for file in manifest.files:
        releases[file.name.project, file.name.version].append(file)
    yield from table(
        [
            (
                project,
                version,
                count_text(len(files), "file"),
                size_text(sum(file.size_bytes for file in files)),
            )
            for (project, version), files in sorted(releases.items())
        ]
    )


def _file_lines(manifest: Manifest) -> Iterator[str]:
    files = sorted(manifest.files, key=lambda file: (file.name.project, file.name.text))
    yield from table([(file.name.text, size_text(file.size_bytes), file.sha256) for file in files])


def _notice_lines(what: str, notices: tuple[Notice, ...]) -> Iterator[str]:
    for notice in notices:
        yield f"{what}: {notice.name.text}" + (f" ({notice.reason})" if notice.reason else "")
