"""What the servers are filled with: small valid wheels, the same bytes at each run."""

import hashlib
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename

from tests.builders import BuiltFile, a_big_wheel, a_wheel, core_metadata

LARGE_PROJECT = "bench-many"
BIG_FILE_PROJECT = "bench-big"

CHAIN_PROJECTS = 60
CHAIN_VERSIONS = 5
NEWEST_OF_CHAIN = f"1.{CHAIN_VERSIONS - 1}"

_REQUIRES_PYTHON = ">=3.8"
_PAYLOAD_BYTES = 100_000

# A project of thousands of files has that many because of its platforms.
PLATFORM_TAGS = tuple(
    f"cp3{minor}-cp3{minor}-{platform}"
    for minor in range(10, 15)
    for platform in (
        "macosx_11_0_arm64",
        "manylinux_2_28_aarch64",
        "manylinux_2_28_x86_64",
        "win_amd64",
    )
)


@dataclass(frozen=True, slots=True)
class Project:
    """A project and its files, oldest first."""

    name: str
    filenames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A flat folder of wheels, and what lies in it."""

    wheels: Path
    small_projects: tuple[Project, ...]
    large_project: Project
    big_file_project: Project

    @property
    def projects(self) -> tuple[Project, ...]:
        """Those that have files."""
        every = (*self.small_projects, self.large_project, self.big_file_project)
        return tuple(project for project in every if project.filenames)


def build_corpus(
    wheels: Path,
    *,
    small_projects: int = 500,
    files_per_project: int = 5,
    large_project_files: int = 2_000,
    big_file_bytes: int = 100_000_000,
) -> Corpus:
    """Write the wheels into a new folder. A count or size of 0 leaves that part out."""
    wheels.mkdir(parents=True)
    small = [
        [small_wheel(f"bench-{number:04}", f"1.{minor}") for minor in range(files_per_project)]
        for number in range(small_projects)
    ]
    platforms = len(PLATFORM_TAGS)
    large = [
        small_wheel(LARGE_PROJECT, f"1.{number // platforms}", PLATFORM_TAGS[number % platforms])
        for number in range(large_project_files)
    ]
    return Corpus(
        wheels=wheels,
        small_projects=tuple(
            _write_project(wheels, f"bench-{number:04}", built)
            for number, built in enumerate(small)
        ),
        large_project=_write_project(wheels, LARGE_PROJECT, large),
        big_file_project=_write_big_file(wheels, big_file_bytes),
    )


def build_chain_corpus(wheels: Path, names: Sequence[str]) -> Corpus:
    """Write a chain of wheels, as `chain_wheels` makes them, into a new folder."""
    wheels.mkdir(parents=True)
    by_project: dict[str, list[BuiltFile]] = {}
    for built in chain_wheels(names):
        project = built.filename.partition("-")[0].replace("_", "-")
        by_project.setdefault(project, []).append(built)
    return Corpus(
        wheels=wheels,
        small_projects=tuple(
            _write_project(wheels, name, each) for name, each in by_project.items()
        ),
        large_project=Project(name=LARGE_PROJECT, filenames=()),
        big_file_project=Project(name=BIG_FILE_PROJECT, filenames=()),
    )


def chain_wheels(names: Sequence[str]) -> Iterator[BuiltFile]:
    """Projects each of which needs the next, in five versions; the newest wheel weighs 100 KB."""
    for name, needed in zip(names, [*names[1:], None], strict=True):
        for minor in range(CHAIN_VERSIONS):
            version = f"1.{minor}"
            payload = random.Random(name).randbytes(_PAYLOAD_BYTES)
            yield a_wheel(
                name,
                version,
                metadata=core_metadata(
                    name,
                    version,
                    requires_python=_REQUIRES_PYTHON,
                    requires_dist=[] if needed is None else [f"{needed}>=1.0"],
                ),
                extra_files=(
                    {f"{name.replace('-', '_')}/payload.bin": payload}
                    if version == NEWEST_OF_CHAIN
                    else {}
                ),
            )


def small_wheel(name: str, version: str, tag: str = "py3-none-any") -> BuiltFile:
    """A wheel of about 1 KB, as a site's own small packages are."""
    metadata = core_metadata(
        name,
        version,
        requires_python=_REQUIRES_PYTHON,
        requires_dist=("requests>=2", "attrs; extra == 'attrs'"),
        headers=(("Summary", "One of many"), ("Author-email", "Somebody <somebody@example.com>")),
    )
    return a_wheel(name, version, metadata=metadata, tag=tag)


def stored_wheel(name: str, version: str, size_bytes: int) -> BuiltFile:
    """A wheel of this size and a bit; what it holds is not compressed, so it is quick to make."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        a_big_wheel(path, size_bytes)
        return BuiltFile(path.name, path.read_bytes())


def write_devpi_dump(corpus: Corpus, folder: Path, index: str) -> None:
    """Write what `devpi-import` reads (its own dump format, version 2) into a new folder.

    An import is devpi-server's fastest way in: one transaction a project instead of one a file.
    """
    folder.mkdir(parents=True)
    # devpi-import joins names to its folder, so the wheels must lie below it.
    (folder / "wheels").symlink_to(corpus.wheels.resolve())
    config = {"type": "stage", "bases": [], "volatile": True, "acl_upload": ["root"]}
    content = {
        "indexconfig": config,
        "projects": {project.name: _dumped_versions(project) for project in corpus.projects},
        "files": [
            _dumped_file(corpus.wheels, project, filename)
            for project in corpus.projects
            for filename in project.filenames
        ],
    }
    dump = {"dumpversion": "2", "users": {}, "indexes": {index: content}}
    (folder / "dataindex.json").write_text(json.dumps(dump))


def _write_project(wheels: Path, name: str, built: Sequence[BuiltFile]) -> Project:
    for each in built:
        each.save(wheels)
    return Project(name=name, filenames=tuple(each.filename for each in built))


def _write_big_file(wheels: Path, size_bytes: int) -> Project:
    if size_bytes == 0:
        return Project(name=BIG_FILE_PROJECT, filenames=())
    filename = f"{BIG_FILE_PROJECT.replace('-', '_')}-1.0-py3-none-any.whl"
    a_big_wheel(wheels / filename, size_bytes)
    return Project(name=BIG_FILE_PROJECT, filenames=(filename,))


def _dumped_versions(project: Project) -> dict[str, dict[str, str]]:
    versions = [_version(filename) for filename in project.filenames]
    return {
        version: {
            "name": project.name,
            "version": version,
            "requires_python": _REQUIRES_PYTHON,
        }
        for version in versions
    }


def _dumped_file(wheels: Path, project: Project, filename: str) -> dict[str, object]:
    with (wheels / filename).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "type": "releasefile",
        "projectname": project.name,
        "version": _version(filename),
        "relpath": f"wheels/{filename}",
        "entrymapping": {
            "last_modified": "Mon, 06 Jan 2025 10:00:00 GMT",
            "hashes": {"sha256": sha256},
        },
    }


def _version(filename: str) -> str:
    return str(parse_wheel_filename(filename)[1])
