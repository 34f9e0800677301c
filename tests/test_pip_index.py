import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from simpleindex.upstream.pip_index import PipIndex, find_pip_index
from tests.server import clean_environment

CONFIGURED = "https://user:secret@packages.example/simple/"


def built_in() -> str:
    """What pip itself says."""
    program = "import json, pip._internal.models.index as m; print(json.dumps(m.PyPI.simple_url))"
    return str(json.loads(subprocess.check_output([sys.executable, "-P", "-c", program])))


def configured(folder: Path, content: str, **variables: str) -> dict[str, str]:
    """An environment with a configuration of pip's."""
    path = folder / "pip.conf"
    path.write_text(content)
    return clean_environment(PIP_CONFIG_FILE=str(path), **variables)


def without_pip(folder: Path) -> dict[str, str]:
    """An environment in which pip cannot be imported, as in virtual environments of uv's."""
    (folder / "pip.py").write_text("raise ImportError('no pip here')")
    return clean_environment(PYTHONPATH=str(folder))


def test_the_environment_comes_first(tmp_path: Path) -> None:
    environment = configured(
        tmp_path, "[global]\nindex-url = https://other.example/", PIP_INDEX_URL=CONFIGURED
    )
    found = find_pip_index(environment)
    assert found == PipIndex(CONFIGURED, "the environment variable PIP_INDEX_URL")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"[global]\nindex-url = {CONFIGURED}", id="global"),
        pytest.param(f"[install]\nindex-url = {CONFIGURED}", id="install"),
        pytest.param(
            f"[install]\nindex-url = {CONFIGURED}\n[global]\nindex-url = https://other.example/",
            id="both",
        ),
        pytest.param(f"[global]\nindex_url = {CONFIGURED}", id="underscore"),
    ],
)
def test_pips_configuration_is_read_as_pip_reads_it(content: str, tmp_path: Path) -> None:
    found = find_pip_index(configured(tmp_path, content, PIP_INDEX_URL=""))
    assert found == PipIndex(CONFIGURED, "pip's configuration")


def test_other_settings_of_pips_name_no_index(tmp_path: Path) -> None:
    content = "[global]\nextra-index-url = https://other.example/\n[list]\nindex-url = file:///x"
    found = find_pip_index(configured(tmp_path, content))
    assert found is not None
    assert found.url == built_in()


def test_without_a_configuration_it_is_pips_own() -> None:
    found = find_pip_index(clean_environment())
    assert found is not None
    assert found.url == built_in()
    assert found.from_where.startswith("the default of pip ")


def test_without_pip_it_is_that_of_the_pip_in_ensurepip(tmp_path: Path) -> None:
    environment = without_pip(tmp_path)
    found = find_pip_index(environment)
    assert found is not None
    assert found.url == built_in()
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nindex-url = {CONFIGURED}")
    found = find_pip_index(environment | {"PIP_CONFIG_FILE": str(configuration)})
    assert found == PipIndex(CONFIGURED, "pip's configuration")


def test_a_folder_named_pip_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    found = find_pip_index(clean_environment())
    assert found is not None
    assert found.url == built_in()


@pytest.mark.parametrize(
    "url", ["file:///srv/simple", "/srv/simple", "ftp://a.example/", "https:///simple", "http://[x"]
)
def test_an_index_that_is_not_on_the_web_is_none(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_pip_index(clean_environment(PIP_INDEX_URL=url)) is None
    assert find_pip_index(configured(tmp_path, f"[global]\nindex-url = {url}")) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert url not in caplog.text


def test_a_pip_that_is_to_use_no_index_has_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_pip_index(configured(tmp_path, "[global]\nno-index = true")) is None
    assert "no index" in caplog.text


def test_a_configuration_that_pip_cannot_read_is_not_taken_for_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The default would be another index than the one that somebody tried to configure.
    assert find_pip_index(configured(tmp_path, f"index-url = {CONFIGURED}")) is None
    assert "cannot be asked" in caplog.text
    assert "secret" not in caplog.text


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(PipIndex(CONFIGURED, "here"))
