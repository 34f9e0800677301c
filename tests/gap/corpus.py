"""Projects that are hard to resolve for hosts of many kinds, made on the spot; and their index.

`SAID` is the same without any bytes, as a source in memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from simpleindex.gap.releases import Described, Releases, SourceTrouble, describe, releases_of
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.names import ProjectName, parse_project_name, split_filename
from tests.builders import BuiltFile, a_wheel, an_sdist, core_metadata
from tests.hostile.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Offer:
    """A file of an index, and what its page says of it."""

    built: BuiltFile
    metadata: bytes
    requires_python: str | None = None
    yanked: bool = False

    @property
    def project(self) -> ProjectName:
        return split_filename(self.built.filename)[0]


def offer(
    name: str,
    version: str = "1.0",
    *requires: str,
    tag: str = "py3-none-any",
    python: str | None = None,
    extras: Sequence[str] = (),
    yanked: bool = False,
) -> Offer:
    """A wheel; `requires` are its dependencies."""
    metadata = core_metadata(
        name,
        version,
        requires_python=python,
        requires_dist=requires,
        headers=[("Provides-Extra", extra) for extra in extras],
    )
    return Offer(a_wheel(name, version, metadata=metadata, tag=tag), metadata, python, yanked)


def source_offer(name: str, version: str = "1.0") -> Offer:
    """A source distribution."""
    return Offer(an_sdist(name, version), core_metadata(name, version))


def _natives(version: str, platforms: Iterable[str]) -> Iterable[Offer]:
    for abi in ("cp36-cp36m", "cp37-cp37m", "cp38-cp38", "cp39-cp39", "cp312-cp312"):
        for platform in platforms:
            yield offer("native", version, tag=f"{abi}-{platform}")


CORPUS: tuple[Offer, ...] = (
    offer("plain"),
    offer("plain", "1.1"),
    # Markers of platform and version
    offer("colour", "1.0", "win-helper; sys_platform == 'win32'",
          "backport; python_version < '3.8'", "late; python_full_version >= '3.12.1'"),
    offer("win-helper"),
    offer("backport", python="<3.8"),
    offer("late"),
    # Floors of glibc, and other systems
    *_natives("1.0", ["manylinux1_x86_64", "manylinux_2_12_x86_64.manylinux2010_x86_64",
                      "win_amd64", "macosx_11_0_arm64"]),
    *_natives("2.0", ["manylinux_2_28_x86_64", "win_amd64", "musllinux_1_2_x86_64"]),
    offer("abi3", "1.0", tag="cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64"),
    offer("abi3", "1.0", tag="cp38-abi3-win_amd64"),
    offer("modern", tag="cp38-abi3-manylinux_2_28_x86_64"),
    # Requires-Python
    offer("holes"),
    offer("holes", "2.0", python=">=3.6,!=3.9.*"),
    offer("patchy"),
    offer("patchy", "2.0", python=">=3.9.19"),
    offer("future", python=">=3.13"),
    # Pre-releases and yanked ones
    offer("fresh"),
    offer("fresh", "2.0rc1"),
    offer("only-pre", "1.0a1"),
    offer("only-pre", "1.0a2"),
    offer("old-final", python="<3.8"),
    offer("old-final", "2.0rc1"),
    offer("needs-pre", "1.0", "fresh>=2.0rc1"),
    offer("dropped"),
    offer("dropped", "2.0", yanked=True),
    # Source distributions, and what is not there
    source_offer("source-only"),
    offer("half-source"),
    source_offer("half-source", "2.0"),
    offer("broken", "1.0", "nowhere>=1"),
    offer("deep", "2.0", "source-only"),
    offer("deep", "1.0", "plain<1.1"),
    offer("chain-1", "1.0", "chain-2>=1"),
    offer("chain-2", "1.0", "chain-3"),
    offer("chain-3", "1.0", "nowhere"),
    offer("from-url", "1.0", "plain @ https://packages.example/plain-1.0-py3-none-any.whl"),
    # Extras, circles, conflicts
    offer("many", "1.0", "plain", "native; extra == 'fast'", "source-only; extra == 'slow'",
          extras=["fast", "slow"]),
    offer("circle-a", "1.0", "circle-b"),
    offer("circle-b", "1.0", "circle-a"),
    offer("lib"),
    offer("lib", "2.0"),
    offer("app-a", "1.0", "lib<2"),
    offer("app-b", "1.0", "lib>=2"),
    offer("app-c", "2.0", "lib>=2"),
    offer("app-c", "1.0", "lib"),
)  # fmt: skip


class Said:
    """An index in memory. It notes which metadata was read."""

    def __init__(self, *offers: Offer) -> None:
        self.read: list[str] = []
        self.broken: set[str] = set()
        """Projects and files that the index has trouble with."""
        self._lock = Lock()
        self._metadata = {each.built.filename: each.metadata for each in offers}
        by_project: dict[ProjectName, list[PageFile]] = {}
        for each in offers:
            by_project.setdefault(each.project, []).append(page_file(each))
        self._releases = {name: releases_of(name, files) for name, files in by_project.items()}

    def releases(self, project: ProjectName) -> Releases | None:
        if project in self.broken:
            raise SourceTrouble(f"the page of {project} cannot be had")
        return self._releases.get(project)

    def described(self, file: PageFile) -> Described:
        if file.filename in self.broken:
            raise SourceTrouble(f"{file.filename} cannot be had")
        with self._lock:
            self.read.append(file.filename)
        return describe(self._metadata[file.filename], file.filename, is_proven=True)

    def expect(self, projects: Iterable[ProjectName]) -> None:
        """It takes no time anyhow."""

    def expect_described(self, file: PageFile) -> None:
        """Nor does this."""


def page_file(offered: Offer) -> PageFile:
    """As the page says it."""
    return PageFile(
        offered.built.filename,
        f"https://packages.example/{offered.built.filename}",
        {"sha256": offered.built.sha256},
        size_bytes=len(offered.built.content),
        requires_python=offered.requires_python,
        yanked="" if offered.yanked else None,
    )


def publish(upstream: Upstream, offers: Iterable[Offer]) -> None:
    """Put them on a real index."""
    for each in offers:
        upstream.add(each.built, requires_python=each.requires_python, yanked=each.yanked)


def named(*names: str) -> list[ProjectName]:
    return [parse_project_name(name) for name in names]
