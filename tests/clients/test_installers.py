"""Old and new installers install real applications, with all they depend on, from our index.

A proxy that leads nowhere stands in every environment, so what is installed can only come from
the one index that is named; and every version is checked to be one that the index was filled with.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

from tests.clients import fetch
from tests.clients.programs import Terminal, bundled_pip, interpreter, program
from tests.server import RunningServer

INDEX_URLS = {"index": "/root/local/", "simple": "/root/local/+simple/"}
"""The first is what OMFLOW's manual tells its users for a site without internet."""

TOX_ON_36 = """
    distlib filelock importlib-metadata importlib-resources packaging platformdirs pluggy py
    pyparsing six toml tox typing-extensions virtualenv zipp
"""
TOX_ON_38 = """
    cachetools chardet colorama distlib filelock packaging platformdirs pluggy pyproject-api
    python-discovery tomli tox typing-extensions virtualenv
"""
TOX = """
    cachetools colorama distlib filelock packaging platformdirs pluggy pyproject-api
    python-discovery tomli-w tox virtualenv
"""
SPHINX_ON_27 = """
    alabaster babel certifi chardet docutils idna imagesize jinja2 markupsafe packaging pygments
    pyparsing pytz requests setuptools six snowballstemmer sphinx sphinxcontrib-websupport typing
    urllib3
"""


@dataclass(frozen=True, slots=True)
class Application:
    """Something to install, and what has to be there afterwards."""

    requirement: str
    projects: str
    """Normalised names, apart by white space."""

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return self.requirement.partition("==")[0].lower()


BUNDLED_PIPS = {
    "2.7": Application("Sphinx==1.8.6", SPHINX_ON_27),
    "3.6": Application("tox", TOX_ON_36),
    "3.8": Application("tox", TOX_ON_38),
    "3.12": Application("tox", TOX),
    "3.13": Application("tox", TOX),
}

index_paths = pytest.mark.parametrize("path", INDEX_URLS.values(), ids=INDEX_URLS)


@index_paths
@pytest.mark.parametrize("version", BUNDLED_PIPS)
def test_the_pip_that_came_with_a_python_installs_an_application(
    version: str, path: str, filled_server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    application = BUNDLED_PIPS[version]
    python = interpreter(version)
    pip: list[str | Path] = [python, bundled_pip(python)]
    _install_with_pip(pip, application.requirement, filled_server.url + path, terminal, tmp_path)
    _assert_works(python, application, terminal, tmp_path / "target")


@index_paths
def test_the_pip_of_today_installs_an_application(
    path: str, filled_server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    pip = [sys.executable, "-m", "pip"]
    _install_with_pip(pip, "tox", filled_server.url + path, terminal, tmp_path)
    _assert_works(Path(sys.executable), Application("tox", TOX), terminal, tmp_path / "target")


@index_paths
def test_uv_installs_an_application(
    path: str, filled_server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    where = ["--python", sys.executable, "--target", str(target)]
    only_ours = ["--no-config", "--no-cache", "--default-index", filled_server.url + path]
    terminal.must(program("uv"), "pip", "install", *only_ours, *where, "tox")
    _assert_works(Path(sys.executable), Application("tox", TOX), terminal, target)


def test_pip_builds_a_source_distribution_with_tools_from_the_same_index(
    filled_server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    # docopt has no wheel, and no pyproject.toml: pip fetches setuptools for it.
    pip = [sys.executable, "-m", "pip"]
    index_url = filled_server.url + "/root/local/"
    _install_with_pip(pip, "docopt", index_url, terminal, tmp_path)
    assert _installed(tmp_path / "target") == {("docopt", "0.6.2")}


def _install_with_pip(
    pip: Iterable[str | Path], requirement: str, index_url: str, terminal: Terminal, folder: Path
) -> None:
    only_ours = ["--isolated", "install", "--no-cache-dir", "--index-url", index_url]
    terminal.must(*pip, *only_ours, "--target", folder / "target", requirement)


def _assert_works(python: Path, application: Application, terminal: Terminal, target: Path) -> None:
    installed = _installed(target)
    missing = set(application.projects.split()) - {name for name, _ in installed}
    assert not missing, f"not installed: {missing}"
    assert len(installed) >= 10
    assert installed <= _listed(), "from elsewhere"
    version = dict(installed)[canonicalize_name(application.module)]
    told = terminal.must(python, "-m", application.module, "--version", PYTHONPATH=str(target))
    assert version in told


def _installed(target: Path) -> set[tuple[NormalizedName, str]]:
    names = (path.name.removesuffix(".dist-info") for path in target.glob("*.dist-info"))
    split = (name.split("-", 1) for name in names)
    return {(canonicalize_name(name), version) for name, version in split}


def _listed() -> set[tuple[NormalizedName, str]]:
    wheels = (name for name in fetch.listed_names() if name.endswith(".whl"))
    return {(name, str(version)) for name, version, *_ in map(parse_wheel_filename, wheels)}
