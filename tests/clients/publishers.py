"""The tools that publish a project, each as a person runs it in the folder of the project."""

import contextlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from tests.builders import a_wheel, an_sdist, core_metadata
from tests.clients.installed import command_of
from tests.clients.programs import Finished, Terminal, program


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a project is published, and in whose name."""

    url: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a project in it, called demo, and the files that were built from it."""

    folder: Path

    @property
    def files(self) -> list[Path]:
        """The wheel, and the sdist."""
        return sorted((self.folder / "dist").iterdir())

    @property
    def digests(self) -> dict[str, str]:
        """The sha256 of each file."""
        return {file.name: sha256(file.read_bytes()).hexdigest() for file in self.files}


def a_project(
    folder: Path, version: str = "1.0", *, text: str = "", name_inside: str = "demo"
) -> Project:
    """Write a project. Another `text` makes other files of the same names.

    `name_inside` is the project's name as the metadata in the files tell it.
    """
    project, dist = Project(folder), folder / "dist"
    dist.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_PYPROJECT.format(version=version), "utf-8")
    (folder / "demo.py").write_text(f'"""A project of the tests. {text}"""\n', "utf-8")
    metadata = core_metadata(name_inside, version, description=text)
    a_wheel("demo", version, metadata=metadata).save(dist)
    an_sdist("demo", version, metadata=metadata).save(dist)
    return project


class Publisher(Protocol):
    """Publishes a project with one of the tools, and with further options of that tool."""

    def __call__(
        self, terminal: Terminal, project: Project, to: Destination, *options: str
    ) -> Finished: ...


def poetry(terminal: Terminal, project: Project, to: Destination, *options: str) -> Finished:
    repository = {
        "POETRY_REPOSITORIES_LOCAL_URL": to.url,
        "POETRY_HTTP_BASIC_LOCAL_USERNAME": to.user,
        "POETRY_HTTP_BASIC_LOCAL_PASSWORD": to.password,
    }
    alone = ["--no-interaction", "--repository", "local"]
    with contextlib.chdir(project.folder):
        return terminal.run(command_of("poetry"), "publish", *alone, *options, **repository)


def flit(terminal: Terminal, project: Project, to: Destination, *options: str) -> Finished:
    """The one that takes no files as they are: it builds them from the project."""
    terminal.home.mkdir(exist_ok=True)
    pypirc = _PYPIRC.format(url=to.url, user=to.user, password=to.password)
    (terminal.home / ".pypirc").write_text(pypirc, "utf-8")
    with contextlib.chdir(project.folder):
        return terminal.run(command_of("flit"), "publish", "--repository", "local", *options)


def hatch(terminal: Terminal, project: Project, to: Destination, *options: str) -> Finished:
    repository = {
        "HATCH_INDEX_REPO": to.url,
        "HATCH_INDEX_USER": to.user,
        "HATCH_INDEX_AUTH": to.password,
    }
    with contextlib.chdir(project.folder):
        return terminal.run(command_of("hatch"), "publish", "--no-prompt", *options, **repository)


def pdm(terminal: Terminal, project: Project, to: Destination, *options: str) -> Finished:
    repository = {
        "PDM_PUBLISH_REPO": to.url,
        "PDM_PUBLISH_USERNAME": to.user,
        "PDM_PUBLISH_PASSWORD": to.password,
    }
    # Or it makes a virtual environment for the project, and asks after its own newest release.
    quick = {"PDM_USE_VENV": "0", "PDM_CHECK_UPDATE": "0"}
    with contextlib.chdir(project.folder):
        return terminal.run(
            command_of("pdm"), "publish", "--no-build", *options, **repository, **quick
        )


def twine_6(terminal: Terminal, project: Project, to: Destination, *options: str) -> Finished:
    return _twine(command_of("twine"), terminal, project, to, *options)


def twine_7(terminal: Terminal, project: Project, to: Destination, *options: str) -> Finished:
    return _twine(program("twine"), terminal, project, to, *options)


def uv(terminal: Terminal, project: Project, to: Destination, *options: str) -> Finished:
    # With a cache, which must not hide from `--check-url` what has just been uploaded.
    cache_dir = terminal.home / ".cache" / "uv"
    alone = ["--no-config", "--cache-dir", str(cache_dir), "--trusted-publishing", "never"]
    account = ["--publish-url", to.url, "--username", to.user, "--password", to.password]
    return terminal.run(program("uv"), "publish", *alone, *account, *options, *project.files)


PUBLISHERS: dict[str, Publisher] = {
    "poetry": poetry,
    "flit": flit,
    "hatch": hatch,
    "pdm": pdm,
    "twine-6": twine_6,
    "twine-7": twine_7,
    "uv": uv,
}


def _twine(
    twine: Path, terminal: Terminal, project: Project, to: Destination, *options: str
) -> Finished:
    quiet = ["--non-interactive", "--disable-progress-bar"]
    account = ["--repository-url", to.url, "--username", to.user, "--password", to.password]
    return terminal.run(twine, "upload", *quiet, *account, *options, *project.files)


_PYPROJECT = """\
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"

[project]
name = "demo"
version = "{version}"
description = "A project of the tests"
requires-python = ">=3.9"
"""

_PYPIRC = """\
[distutils]
index-servers = local

[local]
repository = {url}
username = {user}
password = {password}
"""
