"""`add`: takes packages in from the disk, also while the server runs."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simpleindex.cli.options import this_command
from tests.builders import BuiltFile, a_wheel, an_egg, an_sdist
from tests.cli.asking import shown_filenames
from tests.cli.commands import Called, Cli, listing, run, run_as_nobody
from tests.cli.directories import (
    ANY_NAMES,
    UNPRINTABLE_NAMES,
    index_of,
    make_index,
    make_newer,
    make_unreadable,
    stored,
)
from tests.server import running_server

IS_ROOT = hasattr(os, "getuid") and os.getuid() == 0


def test_all_packages_of_a_folder_are_taken(cli: Cli, data: Path, wheelhouse: Path) -> None:
    (wheelhouse / "deeper").mkdir()
    a_wheel("demo", "1.0").save(wheelhouse)
    a_wheel("other", "2.0").save(wheelhouse / "deeper")
    an_sdist("demo", "1.0").save(wheelhouse)
    an_sdist("zipped", "1.0", format=".zip").save(wheelhouse)
    (wheelhouse / "README.txt").write_text("not a package")
    out = cli.must("add", wheelhouse, f"--serverdir={data}")
    assert out == "root/local: 4 added, 0 already there, 0 refused\n"
    assert set(stored(data)) == {
        "demo-1.0-py3-none-any.whl",
        "demo-1.0.tar.gz",
        "other-2.0-py3-none-any.whl",
        "zipped-1.0.zip",
    }


def test_single_files_can_be_named(cli: Cli, data: Path, wheelhouse: Path) -> None:
    one = a_wheel("one").save(wheelhouse)
    two = a_wheel("two").save(wheelhouse)
    a_wheel("three").save(wheelhouse)
    out = cli.must("add", one, two, f"--serverdir={data}")
    assert out == "root/local: 2 added, 0 already there, 0 refused\n"


def test_the_same_folder_can_be_added_again(cli: Cli, data: Path, wheelhouse: Path) -> None:
    a_wheel("demo").save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    before = listing(data)
    out = cli.must("add", wheelhouse, f"--serverdir={data}")
    assert out == "root/local: 0 added, 1 already there, 0 refused\n"
    assert listing(data) == before


def test_the_originals_stay_and_are_not_shared(cli: Cli, data: Path, wheelhouse: Path) -> None:
    path = a_wheel("demo").save(wheelhouse)
    cli.must("add", path, f"--serverdir={data}")
    path.write_bytes(b"changed afterwards")
    assert stored(data)[path.name] == a_wheel("demo").content


def test_the_index_is_made_as_one_that_keeps_its_files(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    cli.must("add", a_wheel("demo").save(wheelhouse), f"--serverdir={data}")
    index = index_of(data, "root/local")
    assert index is not None
    assert index.automatic
    assert not index.settings.volatile


def test_other_bytes_under_a_taken_name_are_refused(cli: Cli, data: Path, wheelhouse: Path) -> None:
    path = a_wheel("demo").save(wheelhouse)
    cli.must("add", path, f"--serverdir={data}")
    a_wheel("demo", extra_files={"demo/more.py": b"more"}).save(wheelhouse)
    called = cli("add", path, f"--serverdir={data}")
    assert called.exit_code == 1
    assert called.out == "root/local: 0 added, 0 already there, 1 refused\n"
    assert called.err.startswith(f"refused  {path}: File already exists: {path.name}; ")
    assert stored(data)[path.name] == a_wheel("demo").content


def test_a_volatile_index_takes_the_newer_bytes(cli: Cli, data: Path, wheelhouse: Path) -> None:
    make_index(data, "root/dev", volatile=True)
    path = a_wheel("demo").save(wheelhouse)
    cli.must("add", path, "--index=root/dev", f"--serverdir={data}")
    newer = a_wheel("demo", extra_files={"demo/more.py": b"more"})
    newer.save(wheelhouse)
    out = cli.must("add", path, "--index=root/dev", f"--serverdir={data}")
    assert out == "root/dev: 0 added, 0 already there, 1 replaced, 0 refused\n"
    assert stored(data, "root/dev") == {path.name: newer.content}


def test_another_index_that_is_there_can_be_named(cli: Cli, data: Path, wheelhouse: Path) -> None:
    make_index(data, "root/prod", volatile=False)
    path = a_wheel("demo").save(wheelhouse)
    out = cli.must("add", path, "--index=root/prod", f"--serverdir={data}")
    assert out == "root/prod: 1 added, 0 already there, 0 refused\n"
    assert set(stored(data, "root/prod")) == {path.name}
    assert index_of(data, "root/local") is None


@pytest.mark.parametrize(
    ("index", "complaint"),
    [
        (
            "root/prod",
            "there is no index root/prod here; create it with `devpi index -c root/prod`",
        ),
        ("ROOT/local", "there is no index ROOT/local here"),
        ("prod", "index name 'prod': an index is named USER/INDEX, for example root/local"),
        ("../../etc/x", "user name '..'"),
    ],
)
def test_an_index_that_is_not_there_is_not_made(
    cli: Cli, data: Path, wheelhouse: Path, index: str, complaint: str
) -> None:
    path = a_wheel("demo").save(wheelhouse)
    before = listing(data)
    called = cli("add", path, f"--index={index}", f"--serverdir={data}")
    assert called.complaint.startswith(complaint)
    assert listing(data) == before


def test_a_mirror_takes_nothing(cli: Cli, data: Path, wheelhouse: Path) -> None:
    path = a_wheel("demo").save(wheelhouse)
    called = cli("add", path, "--index=root/pypi", f"--serverdir={data}")
    assert called.complaint == "root/pypi: this index mirrors another one and takes no packages"
    assert stored(data, "root/pypi") == {}


def test_damaged_files_are_named_with_the_reason_and_the_others_taken(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    good = a_wheel("good").save(wheelhouse)
    broken = {
        BuiltFile("cut-1.0-py3-none-any.whl", a_wheel("cut").content[:-30]): "zip",
        BuiltFile("renamed-1.0-py3-none-any.whl", a_wheel("demo").content): "demo",
        BuiltFile("empty-1.0-py3-none-any.whl", b""): "zip",
        BuiltFile("notar-1.0.tar.gz", b"not an archive"): "no readable sdist",
        BuiltFile("nonsense.whl", a_wheel("demo").content): "naming rules",
        BuiltFile("old-1.0.tar.bz2", b"a tar"): "only wheels (.whl) and source distributions",
    }
    for built in broken:
        built.save(wheelhouse)
    called = cli("add", wheelhouse, f"--serverdir={data}")
    assert called.exit_code == 1
    assert called.out == "root/local: 1 added, 0 already there, 6 refused\n"
    lines = dict(line.split(": ", 1) for line in called.err.splitlines())
    assert set(lines) == {f"refused  {wheelhouse / built.filename}" for built in broken}
    for built, reason in broken.items():
        assert reason in lines[f"refused  {wheelhouse / built.filename}"]
    assert set(stored(data)) == {good.name}


@ANY_NAMES
@pytest.mark.parametrize(("name", "shown"), UNPRINTABLE_NAMES.items())
def test_no_name_of_a_file_forges_a_line(
    name: bytes, shown: str, cli: Cli, data: Path, wheelhouse: Path
) -> None:
    folder = wheelhouse / os.fsdecode(name)
    folder.mkdir()
    (folder / "demo-1.0-py3-none-any.whl").write_bytes(b"no wheel")
    called = cli("add", folder, f"--serverdir={data}")
    assert called.exit_code == 1
    (line,) = [each for each in called.err.splitlines() if each]
    assert line.startswith("refused  ") and f"/{shown}/demo-1.0-py3-none-any.whl: " in line
    missing = cli("add", folder / "missing.whl", f"--serverdir={data}")
    assert missing.exit_code != 0 and "Traceback" not in missing.err


def test_what_is_old_or_sloppy_is_refused_with_a_word_of_how_to_take_it(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    good = a_wheel("good").save(wheelhouse)
    sloppy = a_wheel("sloppy", requires_python="three").save(wheelhouse)
    odd = {sloppy: "its Requires-Python 'three' is not valid"}
    odd[an_egg("old").save(wheelhouse)] = "it is an egg (egg); turn it into a wheel with"
    called = cli("add", wheelhouse, f"--serverdir={data}")
    assert called.exit_code == 1
    assert called.out.splitlines() == [
        "root/local: 1 added, 0 already there, 2 refused",
        "2 of the refused files can be used by some installer; `add --no-strict-archives` takes "
        "them, and tells what is wrong with them",
    ]
    assert set(stored(data)) == {good.name}

    called = cli("add", "--no-strict-archives", wheelhouse, f"--serverdir={data}")
    assert called.exit_code == 0
    assert called.out == "root/local: 2 added, 1 already there, 0 refused\n"
    lines = dict(line.split(": ", 1) for line in called.err.splitlines())
    assert set(lines) == {f"odd      {path}" for path in odd}
    for path, words in odd.items():
        assert words in lines[f"odd      {path}"]
    assert set(stored(data)) == {good.name, *(path.name for path in odd)}


def test_nothing_is_left_of_what_was_refused(cli: Cli, data: Path, wheelhouse: Path) -> None:
    path = BuiltFile("cut-1.0-py3-none-any.whl", a_wheel("cut").content[:-30]).save(wheelhouse)
    before = listing(data)
    assert cli("add", path, f"--serverdir={data}").exit_code == 1
    assert listing(data) == before


def test_a_folder_that_cannot_be_read_is_reported(
    cli: Cli, data: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_wheel("demo").save(wheelhouse)
    closed = wheelhouse / "closed"
    closed.mkdir()

    def scandir(folder: int | str) -> object:  # rmtree asks with an open folder
        if folder == str(closed):
            raise PermissionError(13, "Permission denied", folder)
        return real_scandir(folder)

    real_scandir = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    called = cli("add", wheelhouse, f"--serverdir={data}")
    assert called.exit_code == 1
    assert f"refused  {closed}: cannot be read: Permission denied" in called.err
    assert set(stored(data)) == {path.name}


def test_a_folder_without_packages_is_no_failure(cli: Cli, data: Path, wheelhouse: Path) -> None:
    (wheelhouse / "notes.txt").write_text("nothing to install")
    assert cli.must("add", wheelhouse, f"--serverdir={data}").splitlines() == [
        "root/local: 0 added, 0 already there, 0 refused",
        "No packages (.whl, .tar.gz, .zip, .egg) found.",
    ]


def test_a_path_that_is_not_there_stops_everything(cli: Cli, data: Path, wheelhouse: Path) -> None:
    path = a_wheel("demo").save(wheelhouse)
    before = listing(data)
    called = cli("add", path, wheelhouse / "nowhere", f"--serverdir={data}")
    assert called.complaint == f"{wheelhouse / 'nowhere'} does not exist"
    assert listing(data) == before


def test_what_is_added_is_visible_at_once_while_the_server_runs(
    cli: Cli, tmp_path: Path, wheelhouse: Path
) -> None:
    with running_server(tmp_path / "data") as server:
        for version in ("1.0", "1.1", "1.2"):
            path = a_wheel("demo", version).save(wheelhouse)
            assert path.name not in shown_filenames(server.port, "demo")
            cli.must("add", path, f"--serverdir={tmp_path / 'data'}")
            assert path.name in shown_filenames(server.port, "demo")


def test_a_script_gets_no_progress_bar(data: Path, wheelhouse: Path) -> None:
    path = a_wheel("demo").save(wheelhouse)
    called = run("add", path, f"--serverdir={data}")
    assert called == Called(0, "root/local: 1 added, 0 already there, 0 refused\n", "")


@pytest.mark.parametrize("make", ["nothing", "folder", "devpi-server's", "somebody's"])
def test_only_directories_of_ours_are_added_to(
    cli: Cli, tmp_path: Path, wheelhouse: Path, make: str
) -> None:
    path = a_wheel("demo").save(wheelhouse)
    other = tmp_path / "other"
    names = {"devpi-server's": [".nodeinfo", ".serverversion", ".sqlite"], "somebody's": ["x"]}
    if make != "nothing":
        other.mkdir()
    for name in names.get(make, []):
        (other / name).write_text("mine")
    before = listing(tmp_path)
    for words in (["add", path], ["passwd"]):
        complaint = cli(*words, f"--serverdir={other}").complaint
        assert complaint.startswith(
            f"{other} is not a directory of simpleindex-server; name the one that is served"
        )
        assert f"init --serverdir={other}`" in complaint
    assert listing(tmp_path) == before


@pytest.mark.parametrize("verb", ["add", "passwd", "init", "serve"])
def test_nobody_but_the_owner_works_on_a_directory(
    cli: Cli, data: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    path = a_wheel("demo").save(wheelhouse)
    owner = data.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 12345, raising=False)
    before = listing(data)
    complaint = cli(verb, f"--serverdir={data}", *([path] if verb == "add" else [])).complaint
    assert complaint.startswith(f"{data} belongs to ")
    assert f"and you are user {owner + 12345}; run this command as its owner" in complaint
    assert listing(data) == before


@pytest.mark.skipif(not IS_ROOT, reason="only root can give a directory away")
def test_root_does_not_add_to_somebody_elses_directory(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    path = a_wheel("demo").save(wheelhouse)
    os.chown(data, 65534, 65534)
    before = listing(data)
    complaint = cli("add", path, f"--serverdir={data}").complaint
    assert complaint.endswith("and you are root; run this command as its owner")
    assert listing(data) == before


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
def test_another_user_does_not_add_to_roots_directory(cli: Cli, wheelhouse: Path) -> None:
    # pytest's own folders are such that nobody else can go there.
    with TemporaryDirectory() as name:
        folder = Path(name)
        cli.init(folder)
        path = a_wheel("demo").save(folder)
        folder.chmod(0o755)
        before = listing(folder)
        called = run_as_nobody("add", path, f"--serverdir={folder}")
        assert called.complaint.startswith(f"{folder} belongs to root, and you are nobody; ")
        assert listing(folder) == before


def test_a_catalog_that_cannot_be_read_is_left_as_it_is(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    path = a_wheel("demo").save(wheelhouse)
    make_unreadable(data)
    before = listing(data)
    complaint = cli("add", path, f"--serverdir={data}").complaint
    assert complaint == (
        f"{data / 'catalog.sqlite'}: the catalog is damaged (file is not a database); "
        f"`{this_command()} rebuild --serverdir={data}` makes it anew from the journal and the "
        "files, or restore a backup"
    )
    assert listing(data) == before


def test_a_newer_catalog_is_left_as_it_is(cli: Cli, data: Path, wheelhouse: Path) -> None:
    path = a_wheel("demo").save(wheelhouse)
    make_newer(data)
    before = listing(data)
    complaint = cli("add", path, f"--serverdir={data}").complaint
    assert complaint.startswith(f"{data / 'catalog.sqlite'}: a newer simpleindex-server made this")
    assert listing(data) == before
