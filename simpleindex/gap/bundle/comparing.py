"""What one bundle brings that another does not."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from simpleindex.gap.bundle.manifest import AssumedFile, BundledFile, FileElsewhere, Manifest
from simpleindex_storage.names import DistFilename


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that a bundle brings, or knows to be at the site."""

    name: DistFilename
    sha256: str
    size_bytes: int | None
    """None: it is not inside, so nobody tells."""


@dataclass(frozen=True, slots=True)
class TargetChange:
    """What became of the problems of a target."""

    name: str
    problems_before: int
    problems_after: int
    new: tuple[str, ...]
    """Lines that it can no longer have."""
    solved: tuple[str, ...]
    """Lines that it can have now."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From one bundle to another."""

    new: tuple[ListedFile, ...]
    gone: tuple[ListedFile, ...]
    changed: tuple[tuple[ListedFile, ListedFile], ...]
    """Other bytes under the same name: before, after."""
    same: int
    new_targets: tuple[str, ...]
    gone_targets: tuple[str, ...]
    targets: tuple[TargetChange, ...]
    """Those of both whose problems are not the same."""
    new_roots: tuple[str, ...]
    gone_roots: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        """Whether both bring the same to the same targets."""
        files = (self.new, self.gone, self.changed)
        rest = (self.new_targets, self.gone_targets, self.targets, self.new_roots, self.gone_roots)
        return not any((*files, *rest))


def compare(before: Manifest, after: Manifest) -> Difference:
    """The way from one bundle to another.

    A file that one brings and the other knows to be at the site is no difference.
    """
    old, new = _listed(before), _listed(after)
    both = [(old[name], new[name]) for name in new if name in old]
    changed = tuple(pair for pair in both if pair[0].sha256 != pair[1].sha256)
    targets_before = [target.name for target in before.targets]
    targets_after = [target.name for target in after.targets]
    return Difference(
        new=_only(new.values(), old),
        gone=_only(old.values(), new),
        changed=changed,
        same=len(both) - len(changed),
        new_targets=_without(targets_after, targets_before),
        gone_targets=_without(targets_before, targets_after),
        targets=tuple(_target_changes(before, after)),
        new_roots=_without(after.roots, before.roots),
        gone_roots=_without(before.roots, after.roots),
    )


def problems_of(manifest: Manifest, target: str) -> dict[str, tuple[str, ...]]:
    """The lines that a target cannot have, each with the chain of reasons."""
    return {
        problem.line: problem.chain
        for problem in manifest.problems
        if manifest.targets[problem.target].name == target
    }


def _listed(manifest: Manifest) -> dict[str, ListedFile]:
    """All files that a bundle speaks of, by name; those that are inside tell most."""
    apart: list[AssumedFile | FileElsewhere] = [*manifest.assumes, *manifest.elsewhere]
    listed = {each.name.text: ListedFile(each.name, each.sha256, None) for each in apart}
    files: Iterable[BundledFile] = manifest.files
    return listed | {
        file.name.text: ListedFile(file.name, file.sha256, file.size_bytes) for file in files
    }


def _only(files: Iterable[ListedFile], others: Collection[str]) -> tuple[ListedFile, ...]:
    found = [file for file in files if file.name.text not in others]
    return tuple(sorted(found, key=lambda file: (file.name.project, file.name.text)))


def _without(names: Iterable[str], others: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name not in others)


def _target_changes(before: Manifest, after: Manifest) -> Iterable[TargetChange]:
    known = {target.name for target in before.targets}
    for target in after.targets:
        if target.name not in known:
            continue
        old, new = problems_of(before, target.name), problems_of(after, target.name)
        if old.keys() != new.keys():
            yield TargetChange(
                target.name, len(old), len(new), _without(new, old), _without(old, new)
            )
