"""What `bundle import` tells: what came in, what did not and why, and what that means for hosts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simpleindex.cli.telling import count_text, size_text, upgrade_text
from simpleindex.gap.bundle.signatures import Signer
from simpleindex.gap.bundle.taking import Done, Plan, Staged, Taking
from simpleindex.gap.bundle.verdicts import Comparison
from simpleindex.gap.fields import time_text
from simpleindex_storage.model import JsonValue, Outcome

_SHOWN_MAX = 50
"""Of what may be very much; JSON has all."""
_MISSING_SHOWN_MAX = 5
"""Nobody looks for them one by one: they came together, with an earlier bundle."""


@dataclass(frozen=True, slots=True)
class Told:
    """One import, as far as it got."""

    taking: Taking
    plan: Plan
    staged: Staged | None = None
    done: Done | None = None
    """None: nothing was taken in."""
    by_bundle: Mapping[str, tuple[Comparison, ...]] = field(default_factory=dict)
    """How targets stand with what each bundle was made for, by how it is named."""
    faults: tuple[str, ...] = ()
    """Why nothing was."""
    damaged: tuple[str, ...] = ()
    """What is wrong in a bundle with what did not have to be copied out of it."""
    withdrawn: tuple[str, ...] = ()
    """Lines that it was made for and that do not count here, since somebody has said so."""
    request_file: Path | None = None
    """Where it was written what to carry out, as files are missing."""
    trouble: str | None = None
    """What went wrong when all was in already."""

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Of all bundles."""
        return tuple(each for comparisons in self.by_bundle.values() for each in comparisons)

    @property
    def digests(self) -> list[str]:
        """Of all volumes."""
        return [it.digest for bundle in self.taking.load.bundles for it in bundle.volumes]

    @property
    def unproven(self) -> int:
        """How many files came without a manifest."""
        return sum(file.sha256 is None for file in self.taking.load.files)

    @property
    def remarks(self) -> list[str]:
        """What is wrong with files that can be used all the same."""
        checked = self.staged.checked if self.staged is not None else ()
        return [remark for each in checked for remark in each.remarks]


def lines(told: Told, signers: Mapping[str, Signer]) -> Iterator[str]:
    """For people. `signers` by the digests of volumes."""
    missing = frozenset(told.plan.missing_told)
    yield from _shown(f"refused  {fault}" for fault in told.faults if fault not in missing)
    yield from _shown(
        (f"missing  {fault}" for fault in told.faults if fault in missing), _MISSING_SHOWN_MAX
    )
    yield from _bundle_lines(told, signers)
    if told.faults:
        yield f"{told.taking.wanted.index}: nothing was taken in"
        if missing:
            yield from _next_lines(told)
        return
    yield from _shown(f"damaged  {fault}" for fault in told.damaged)
    yield from _shown(f"odd      {remark}" for remark in told.remarks)
    yield from (
        f"note     {project}: there were files of that name here that no bundle has brought; make "
        "sure that it is the same project"
        for project in told.plan.mixed
    )
    if told.done is None:
        count = count_text(len(told.plan.new), "file")
        size = size_text(told.plan.size_bytes)
        yield f"{told.taking.wanted.index}: {count} ({size}) could be taken in, and nothing was"
        return
    yield from _done_lines(told, told.done)


def _next_lines(told: Told) -> Iterator[str]:
    """Where what is missing may be, and how else to come by it."""
    missing = {each.sha256 for each in told.plan.missing}
    for bundle in told.taking.load.bundles:
        made = bundle.manifest
        if made.base is not None and any(each.sha256 in missing for each in made.assumes):
            yield (
                f"{bundle.subject} was made {time_text(made.created)} for a site of stamp "
                f"{made.base}; of the bundle before it, `bundle show` tells `the site is of stamp "
                f"{made.base} with it`"
            )
    yield "what is missing came with an earlier bundle: take that in first, or in the same command"
    if told.request_file is not None:
        yield (
            f"or carry out {told.request_file}, which was written now: `bundle create "
            f"--request={told.request_file.name}` puts what is missing into the next bundle"
        )
    else:
        yield (
            "or carry out what the same command writes with --request=FILE, or "
            "`simpleindex-server request -o FILE`: the next bundle then has what is missing"
        )


def document(told: Told) -> JsonValue:
    """For programs."""
    load, done = told.taking.load, told.done
    found: dict[str, JsonValue] = {
        "index": told.taking.wanted.index,
        "sources": list(load.sources),
        "digests": [*told.digests],
        "signed_by": [*sorted(set(told.taking.wanted.signed_by.values()))],
        "unproven": told.unproven,
        "refused": list(told.faults),
        "missing": [each.name.text for each in told.plan.missing],
        "request": None if told.request_file is None else str(told.request_file),
        "missing_volumes": list(told.plan.missing_volumes),
        "left_out": list(load.left_out),
        "odd": list(told.remarks),
        "damaged": list(told.damaged),
        "mixed": list(told.plan.mixed),
        "removals_proposed": [
            {"filename": it.name.text, "reason": it.reason}
            for bundle in load.bundles
            for it in bundle.manifest.removals
        ],
        "serial": None,
    }
    if done is None:
        return found
    return {
        **found,
        "serial": done.serial,
        "added": [file.filename for file in done.with_outcome(Outcome.ADDED)],
        "added_bytes": sum(file.size_bytes for file in done.with_outcome(Outcome.ADDED)),
        "already_there": len(done.with_outcome(Outcome.ALREADY_THERE)),
        "replaced": [file.filename for file in done.with_outcome(Outcome.REPLACED)],
        "new_projects": list(done.new_projects),
        "new_releases": done.new_releases,
        "yanked": [file.filename for file in done.yanked],
        "not_yanked": [notice.name.text for notice in done.left_unyanked],
        "targets": [
            {"bundle": subject, **comparison_document(each)}
            for subject, comparisons in told.by_bundle.items()
            for each in comparisons
        ],
        "withdrawn": list(told.withdrawn),
        "trouble": told.trouble,
    }


def _bundle_lines(told: Told, signers: Mapping[str, Signer]) -> Iterator[str]:
    for bundle in told.taking.load.bundles:
        for volume in bundle.volumes:
            said = signers[volume.digest].words
            yield f"bundle   {volume.path}: digest {volume.digest}, {said}"
    if told.unproven:
        yield (
            f"unproven {count_text(told.unproven, 'file')} without a manifest: nobody has said "
            "what they have to be"
        )
    yield from _shown(f"left out {each}: it is no package" for each in told.taking.load.left_out)


def _done_lines(told: Told, done: Done) -> Iterator[str]:
    added, replaced = done.with_outcome(Outcome.ADDED), done.with_outcome(Outcome.REPLACED)
    index = told.taking.wanted.index
    line = f"{index}: {len(added)} added"
    if added:
        line += f" ({size_text(sum(file.size_bytes for file in added))})"
    line += f", {len(done.with_outcome(Outcome.ALREADY_THERE))} already there"
    if replaced:
        line += f", {len(replaced)} replaced"
    yield line
    if added or replaced:
        projects = count_text(len(done.new_projects), "new project")
        yield f"{index}: {projects}, {count_text(done.new_releases, 'release')} with new files"
    yield from _shown(f"yanked   {file.filename}" for file in done.yanked)
    if done.left_unyanked:
        count = count_text(len(done.left_unyanked), "file")
        yield (
            f"note     {count} not yanked: this bundle is older than one that was taken in before, "
            "so it only adds"
        )
    yield from _shown(
        f"proposed {it.name.text} could be removed: {it.reason}"
        for bundle in told.taking.load.bundles
        for it in bundle.manifest.removals
    )
    yield from (f"note     volumes still to come: {each}" for each in told.plan.missing_volumes)
    for subject, comparisons in told.by_bundle.items():
        if comparisons and len(told.taking.load.bundles) > 1:
            yield f"what {subject} was made for:"
        yield from comparison_lines(comparisons)
    if told.withdrawn:
        yield f"note     withdrawn with request --ignore: {', '.join(told.withdrawn)}"
    if told.trouble is not None:
        yield f"note     {told.trouble}"
    if done.serial is None:
        yield "all of it had been taken in before; nothing has changed"
    else:
        undo = f"`simpleindex-server bundle undo {done.serial}`"
        yield f"serial {done.serial}; {undo} would take it back"


def comparison_lines(comparisons: Iterable[Comparison]) -> Iterator[str]:
    """How targets stand now, and did before."""
    for each in comparisons:
        if not each.wanted:
            yield f"note     {each.target.name}: nothing is asked for it, so nothing was looked at"
            continue
        level = "error" if each.after.failures else "ok"
        yield (
            f"{level:8} {each.target.name}: {each.met_after} of {each.wanted} can be installed, "
            f"{each.met_before} before"
        )
        for verdict in each.after.failures:
            yield f"         {verdict.line.text}: {verdict.kind}"
            yield from (f"           {reason}" for reason in verdict.chain)
        for filename in each.after.built_there:
            yield f"         {filename} is built there, which may need a compiler"
        if each.after.pip_first is not None:
            yield f"         {upgrade_text(each.target.installer, each.after.pip_first)}"


def comparison_document(each: Comparison) -> dict[str, JsonValue]:
    """One target."""
    return {
        "target": each.target.name,
        "lines": each.wanted,
        "met_before": each.met_before,
        "met": each.met_after,
        "pip_first": each.after.pip_first,
        "built_there": list(each.after.built_there),
        "unmet": [
            {"line": verdict.line.text, "kind": verdict.kind, "chain": list(verdict.chain)}
            for verdict in each.after.failures
        ],
    }


def _shown(told: Iterable[str], shown_max: int = _SHOWN_MAX) -> Iterator[str]:
    """The first of them, and how many more there are."""
    found = list(told)
    yield from found[:shown_max]
    if len(found) > shown_max:
        yield f"         and {len(found) - shown_max} more, which --json tells"
