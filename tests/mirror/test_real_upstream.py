"""An application of some sixty packages, from the index that pip on this computer uses.

Through a cold mirror with uv and pip, and again from the cache alone. Skipped where that index
cannot be reached. The server gets this computer's own settings, or it would not find the index.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from simpleindex.upstream.pip_index import find_pip_index
from tests.clients.programs import program
from tests.mirror.sites import JSON
from tests.server import clean_environment, server_environment, server_of, simpleindex

APPLICATION = ("poetry", "sphinx", "fastapi", "celery")
PACKAGES_MIN = 60

_INSTALL_SECONDS_MAX = 600.0


def test_an_application_comes_through_a_cold_mirror_and_then_from_the_cache_alone(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with server_of(_serve(data), data, _environment_of_this_computer()) as server:
        require_upstream(server.url)
        index_url = f"{server.url}/root/pypi/+simple/"
        pinned = resolve(index_url, tmp_path)
        assert len(pinned) >= PACKAGES_MIN
        assert install(index_url, pinned, tmp_path / "online") == pinned
    offline = [*_serve(data), "--offline-mode"]
    with server_of(offline, data, server_environment()) as server:
        index_url = f"{server.url}/root/pypi/+simple/"
        assert resolve(index_url, tmp_path) == pinned
        assert install(index_url, pinned, tmp_path / "offline") == pinned


def require_upstream(server_url: str) -> None:
    """Skip where the index that pip uses cannot be reached."""
    if find_pip_index(os.environ) is None:
        pytest.skip("pip on this computer uses no index that can be mirrored")
    page = f"{server_url}/root/pypi/+simple/{APPLICATION[0]}/"
    answer = httpx2.get(page, headers={"accept": JSON}, trust_env=False, timeout=60)
    if answer.status_code == 502:
        pytest.skip(f"the index that pip on this computer uses cannot be reached: {answer.text}")
    assert answer.status_code == 200, answer.text


def resolve(index_url: str, folder: Path) -> Mapping[str, str]:
    """What uv chooses for the application: versions by name. Only wheels, so that none is built."""
    told = _run(
        [
            str(program("uv")), "pip", "compile", "--no-header", "--no-annotate",
            "--only-binary", ":all:",
            "--cache-dir", str(folder / "uv-cache"), "--refresh", "--default-index", index_url,
            "--python", sys.executable, "-",
        ],
        "\n".join(APPLICATION),
    )  # fmt: skip
    return dict(line.split("==") for line in told.splitlines())


def install(index_url: str, pinned: Mapping[str, str], into: Path) -> Mapping[str, str]:
    """Let pip install these versions into a folder; what it installed."""
    wanted = [f"{name}=={version}" for name, version in pinned.items()]
    _run(
        [
            sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir", "--no-compile",
            "--disable-pip-version-check", "--only-binary", ":all:", "--index-url", index_url,
            "--target", str(into), *wanted,
        ],
        "",
    )  # fmt: skip
    there = _run(
        [
            sys.executable, "-m", "pip", "--isolated", "list", "--format=freeze",
            "--disable-pip-version-check", "--path", str(into),
        ],
        "",
    )  # fmt: skip
    found = dict(line.split("==") for line in there.splitlines())
    return {name.lower().replace("_", "-").replace(".", "-"): found[name] for name in sorted(found)}


def _serve(data: Path) -> list[str]:
    # Names of the index may lead to a proxy of the site, at whatever address.
    anywhere = "--private-upstreams=0.0.0.0/0,::/0"
    where = ("--serverdir", str(data), "--host", "127.0.0.1", "--port", "0")
    return simpleindex("serve", *where, anywhere)


def _environment_of_this_computer() -> dict[str, str]:
    """pip's own settings, proxies and certificates included: with them the upstream is found."""
    paths = server_environment()["PYTHONPATH"]
    kept = {name: value for name, value in os.environ.items() if "SIMPLEINDEX" not in name}
    return {**kept, "PYTHONPATH": paths}


def _run(command: list[str], given: str) -> str:
    finished = subprocess.run(
        command,
        check=False,
        input=given,
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=_INSTALL_SECONDS_MAX,
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


pytestmark = pytest.mark.full
