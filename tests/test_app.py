"""Opening a server directory, and what stands in the way."""

from pathlib import Path

import pytest

from simpleindex.access import Logins
from simpleindex.app import create_app
from simpleindex.config import Config
from simpleindex.initialise import initialise
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import UserName
from tests.asgi import asking
from tests.routes.sites import DEVPI, NOW, basic, elsewhere

KEY = b"0123456789abcdef0123456789abcdef"


def told_user(app_config: Config, token: str) -> object:
    """Whom the server takes the bearer of root's token for."""
    app = create_app(app_config, now=lambda: NOW)
    with asking(app) as client:
        answer = client.get("/+api", DEVPI, authorization=basic("root", token))
    app.close()
    return answer.json["result"]["authstatus"][1]


def test_a_new_directory_is_made_with_a_password_that_opens_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    app = create_app(Config(serverdir=folder))
    app.open()
    app.close()
    file = folder / "root-password"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    password = file.read_text().strip()
    assert len(password) >= 12
    assert told_user(Config(serverdir=folder), password) == "root"


def test_logins_are_signed_with_the_key_that_is_set(tmp_path: Path) -> None:
    folder, key = tmp_path / "data", tmp_path / "key"
    initialise(folder, NOW, password="rootpw")
    key.write_bytes(KEY + b"\n")
    with elsewhere(folder) as store, store.catalog.snapshot() as seen:
        root = seen.user(UserName("root"))
    assert root is not None
    token = Logins(KEY, 60, lambda: NOW).issue(root)
    assert told_user(Config(serverdir=folder, secretfile=key), token) == "root"
    assert told_user(Config(serverdir=folder), token) == ""


@pytest.mark.parametrize(
    "key", [None, b"", KEY[:31], b" " * 99], ids=["missing", "empty", "short", "blank"]
)
def test_a_key_that_signs_nothing_is_refused(key: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "key"
    if key is not None:
        path.write_bytes(key)
    app = create_app(Config(serverdir=tmp_path / "data", secretfile=path))
    with pytest.raises(Refused, match="key"):
        app.open()
    assert list((tmp_path / "data" / "incoming").iterdir()) == []  # nothing is kept open


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("my only copy")
    app = create_app(Config(serverdir=tmp_path))
    with pytest.raises(Refused, match="not a directory of simpleindex-server"):
        app.open()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_initialised_directory_is_not_initialised_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    initialise(folder, NOW, password="rootpw")
    secret = (folder / "secret").read_bytes()
    with pytest.raises(Refused, match="empty folder"):
        initialise(folder, NOW, password="other")
    assert told_user(Config(serverdir=folder), "rootpw") == "root"
    assert (folder / "secret").read_bytes() == secret


def test_an_empty_password_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="empty"):
        initialise(tmp_path / "data", NOW, password="")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("chosen", [None, "chosen"])
def test_an_initialisation_that_was_interrupted_can_be_done_again(
    chosen: str | None, tmp_path: Path
) -> None:
    for left in ("secret", "root-password", "journal.jsonl", "catalog.sqlite.new"):
        (tmp_path / left).write_bytes(b"of the first attempt")
    password = initialise(tmp_path, NOW, password=chosen)
    assert (tmp_path / "root-password").exists() is (chosen is None)
    assert told_user(Config(serverdir=tmp_path), chosen or password or "") == "root"
    assert told_user(Config(serverdir=tmp_path), "of the first attempt") == ""


def test_a_directory_without_the_mirror_can_be_made(tmp_path: Path) -> None:
    for name, with_pypi in (("with", True), ("without", False)):
        initialise(tmp_path / name, NOW, with_pypi=with_pypi)
        with elsewhere(tmp_path / name) as store, store.catalog.snapshot() as seen:
            assert bool(seen.indexes()) is with_pypi
