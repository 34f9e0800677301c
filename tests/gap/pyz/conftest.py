"""What the tests of the one file share."""

from pathlib import Path

import pytest

from simpleindex.gap.pyz.building import server_pyz


@pytest.fixture(scope="package")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file, out of what the tests run with. Not to be changed."""
    path = tmp_path_factory.mktemp("pyz") / "server.pyz"
    path.write_bytes(server_pyz())
    return path
