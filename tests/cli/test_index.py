"""`index`: indexes made, changed and removed on the server's disk."""

import json
from pathlib import Path

import pytest

from simpleindex_storage.model import StageSettings
from tests.builders import a_wheel
from tests.cli.commands import Cli
from tests.cli.directories import index_of, make_index, stored


def settings_of(data: Path, name: str) -> StageSettings:
    index = index_of(data, name)
    assert index is not None
    assert isinstance(index.settings, StageSettings)
    return index.settings


def test_an_index_is_created_with_settings_as_the_devpi_client_writes_them(
    cli: Cli, data: Path
) -> None:
    cli.must("index", "create", "root/base", f"--serverdir={data}")
    words = ["volatile=False", "bases=root/base,root/pypi", "strict_archives=no", "title=a = b"]
    out = cli.must("index", "create", "root/dev", *words, f"--serverdir={data}")
    assert "volatile                      false" in out.splitlines()
    settings = settings_of(data, "root/dev")
    assert (settings.volatile, settings.strict_archives) == (False, False)
    assert settings.bases == ("root/base", "root/pypi")
    assert settings.acl_upload == ("root",)
    assert settings.extra == {"title": "a = b"}


def test_all_indexes_are_listed(cli: Cli, data: Path, wheelhouse: Path) -> None:
    cli.must("index", "create", "root/dev", "bases=root/pypi", f"--serverdir={data}")
    cli.must("add", a_wheel().save(wheelhouse), "--index=root/dev", f"--serverdir={data}")
    assert cli.must("index", "list", f"--serverdir={data}").splitlines() == [
        "root/dev   stage   1 project   bases root/pypi",
        "root/pypi  mirror  0 projects",
    ]
    dev, _ = json.loads(cli.must("index", "list", "--json", f"--serverdir={data}"))
    assert (dev["name"], dev["projects"], dev["bases"]) == ("root/dev", 1, ["root/pypi"])


def test_an_index_is_changed_setting_by_setting(cli: Cli, data: Path) -> None:
    cli.must("index", "create", "root/dev", f"--serverdir={data}")
    words = ["acl_upload+=bob", "volatile=False"]
    cli.must("index", "change", "root/dev", *words, f"--serverdir={data}")
    assert settings_of(data, "root/dev").acl_upload == ("root", "bob")
    cli.must("index", "change", "root/dev", "acl_upload-=root", f"--serverdir={data}")
    shown = json.loads(cli.must("index", "show", "root/dev", "--json", f"--serverdir={data}"))
    assert (shown["acl_upload"], shown["volatile"]) == (["bob"], False)


def test_a_base_that_was_removed_since_does_not_stop_a_change(cli: Cli, data: Path) -> None:
    cli.must("index", "create", "root/base", f"--serverdir={data}")
    cli.must("index", "create", "root/dev", "bases=root/base", f"--serverdir={data}")
    cli.must("index", "remove", "root/base", f"--serverdir={data}")
    cli.must("index", "change", "root/dev", "volatile=False", f"--serverdir={data}")
    assert settings_of(data, "root/dev").bases == ("root/base",)
    called = cli("index", "change", "root/dev", "bases+=root/none", f"--serverdir={data}")
    assert (called.exit_code, called.complaint) == (
        1,
        "root/dev: its bases do not exist: root/none",
    )


def test_an_index_that_was_made_by_add_is_changed_too(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    cli.must("add", a_wheel().save(wheelhouse), f"--serverdir={data}")
    cli.must("index", "change", "root/local", "strict_archives=False", f"--serverdir={data}")
    assert settings_of(data, "root/local").strict_archives is False
    assert set(stored(data)) == {a_wheel().filename}


def test_an_index_goes_with_its_files(cli: Cli, data: Path, wheelhouse: Path) -> None:
    make_index(data, "root/dev", volatile=True)
    cli.must("add", a_wheel().save(wheelhouse), "--index=root/dev", f"--serverdir={data}")
    out = cli.must("index", "remove", "root/dev", f"--serverdir={data}")
    assert out == "index root/dev removed, with 1 project\n"
    assert index_of(data, "root/dev") is None
    assert [path for path in (data / "files").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["create", "root/pypi"], "Index already exists: root/pypi"),
        (["create", "bob/dev"], "there is no user bob here"),
        (["create", "root/dev", "bases=root/none"], "root/dev: its bases do not exist: root/none"),
        (["create", "root/dev", "volatile=maybe"], "volatile: it is true or false"),
        (["create", "root/dev", "volatile"], "'volatile' is no KEY=VALUE"),
        (["create", "root/dev", "colour=red"], "index: unknown settings of a stage: colour"),
        (["change", "root/none", "volatile=no"], "there is no index root/none here"),
        (["change", "root/pypi", "type=stage"], "type"),
        (["show", "root/none"], "there is no index root/none here"),
        (["remove", "root/none"], "there is no index root/none here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_told_in_one_line(
    cli: Cli, data: Path, words: list[str], complaint: str
) -> None:
    called = cli("index", *words, f"--serverdir={data}")
    assert called.complaint.startswith(complaint)
    assert index_of(data, "root/dev") is None


def test_an_index_that_keeps_its_files_has_to_be_forced(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    cli.must("add", a_wheel().save(wheelhouse), f"--serverdir={data}")
    complaint = cli("index", "remove", "root/local", f"--serverdir={data}").complaint
    assert complaint.startswith("root/local: it never removes files (volatile=False)")
    assert set(stored(data)) == {a_wheel().filename}
    cli.must("index", "remove", "root/local", "--force", f"--serverdir={data}")
    assert index_of(data, "root/local") is None
