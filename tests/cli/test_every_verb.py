"""Every verb: what programs are told, and whom it refuses to work for.

The table below has a row for every verb; a new verb without one is a failure.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from simpleindex.cli import _main, main
from tests.builders import a_wheel, an_sdist
from tests.cli.commands import ROOT_PASSWORD, Called, Cli, listing, run_program
from tests.cli.directories import catalog_of
from tests.devpi_dump.dumps import ADump, a_user
from tests.gap.bundle.bundles import a_bundle, a_manifest


@dataclass(frozen=True, slots=True)
class Verb:
    """How a verb is called so that it has something to do in a `Room`."""

    arguments: str = ""
    """With words in braces that the room has a value for."""
    has_json: bool = True
    has_json_lines: bool = False
    """Whether it tells a document a line, as many as there are."""
    works_on_directory: bool = True
    """Whether it reads or changes the server directory."""
    exit_code: int = 0
    """When it has done what it can."""


VERBS: Mapping[str, Verb] = {
    "list": Verb("demo"),
    "show": Verb("demo 1.0"),
    "push": Verb("demo 1.0 root/prod"),
    "remove": Verb("demo 1.0 --force"),
    "yank": Verb("demo 1.0 --reason=bad"),
    "unyank": Verb("demo 1.0"),
    "archive": Verb("demo"),
    "deprecate": Verb("demo"),
    "quarantine": Verb("demo"),
    "activate": Verb("demo"),
    # Nobody is asked at an address of this machine, and that is told.
    "prefetch": Verb("demo --upstream-url=http://127.0.0.1:9/simple", exit_code=1),
    "approve": Verb("demo==2.0"),
    "why": Verb("demo --index=root/local"),
    "gc": Verb(),
    "doctor": Verb(works_on_directory=False),
    "fsck": Verb(),
    "log": Verb(has_json_lines=True),
    "rebuild": Verb(),
    "backup": Verb("{room}/backups"),
    "restore": Verb("{backup}", works_on_directory=False),
    "user list": Verb(),
    "user create": Verb("bob --password-file={password}"),
    "user remove": Verb("alice"),
    "index list": Verb(),
    "index show": Verb("root/local"),
    "index create": Verb("alice/new volatile=False"),
    "index change": Verb("root/prod volatile=True"),
    "index remove": Verb("root/prod"),
    "token create": Verb("alice --name=ci --read --days=3"),
    "token list": Verb("alice"),
    "token revoke": Verb("{token}"),
    "target add": Verb("cp36-win_amd64"),
    "target list": Verb(),
    "target remove": Verb("cp39-win_amd64"),
    # Nobody is asked at an address of this machine, so that nothing can be had.
    "bundle create": Verb(
        "demo -o {room}/b.zip --index-url=http://127.0.0.1:9 --cache={room}/cache",
        works_on_directory=False,
        exit_code=2,
    ),
    "trust add": Verb("{room}/alice.pub"),
    "trust list": Verb(),
    "trust remove": Verb("bob"),
    "bundle verify": Verb("{room}/bundle.zip", works_on_directory=False),
    "bundle show": Verb("{room}/bundle.zip", works_on_directory=False),
    "bundle diff": Verb("{room}/bundle.zip {room}/bundle.zip", works_on_directory=False),
    "request": Verb(),
    "bundle import": Verb("{bundle}"),
    "bundle undo": Verb("last"),
    "bundle history": Verb(),
    "import-devpi": Verb("{dump}", exit_code=3),  # root keeps its password, which is told
    "pyz": Verb("{room}/server.pyz", works_on_directory=False),
    "config show": Verb(works_on_directory=False),
    # What follows tells of each file as it goes, or only whether it worked; or it does not end.
    "serve": Verb("--port=0", has_json=False),
    "init": Verb("--root-passwd=another", has_json=False),
    "add": Verb("{wheels}", has_json=False),
    "export": Verb("{room}/exported", has_json=False),
    "passwd": Verb("root --password-file={password}", has_json=False),
    "inspect": Verb("{wheels}", has_json=False, works_on_directory=False),
    "shims": Verb("{room}/shims", has_json=False, works_on_directory=False),
    "target probe": Verb(has_json=False, works_on_directory=False),
}
GROUPS = {"", "user", "index", "token", "target", "bundle", "config", "trust"}

ALICES_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
BOBS_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIPxRzY5iGKGjjaR+0AIw8FgIFu0TujMDrF3rkRVIkIAl"

WITH_JSON = [words for words, verb in VERBS.items() if verb.has_json]
ON_DIRECTORY = [words for words, verb in VERBS.items() if verb.works_on_directory]
READS_ONLY = {
    "list", "show", "why", "pyz", "doctor", "fsck", "log", "backup", "restore", "user list",
    "index list", "index show", "token list", "target list", "bundle create", "config show",
    "trust list", "bundle verify", "bundle show", "bundle diff", "request", "bundle history",
}  # fmt: skip
TELLS_OF_ANYTHING = {"config show", "doctor", "bundle create", "bundle verify"}
CHANGES_NOTHING_MORE = {"unyank", "activate", "prefetch", "gc", "rebuild"}
"""What they would do is done already, in a fresh room."""


@dataclass(frozen=True, slots=True)
class Room:
    """A folder with a server directory, and what verbs are given."""

    folder: Path
    token: str
    """The ID of one of alice's."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def arguments(self, words: str, *more: str) -> list[str]:
        """The command line of a verb."""
        verb = VERBS[words]
        named = verb.arguments.format(
            room=self.folder,
            token=self.token,
            dump=self.folder / "dump",
            wheels=self.folder / "wheels",
            bundle=self.folder / "more.pkgbundle.zip",
            backup=self.folder / "backup",
            password=self.folder / "password",
        )
        data = self.folder / "restored" if words == "restore" else self.data
        directory = [f"--serverdir={data}"] if takes(words, "--serverdir") else []
        return [*words.split(), *named.split(), *directory, *more]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """The room to copy: demo in root/local, an empty root/prod, and alice with a token."""
    folder = tmp_path_factory.mktemp("furnished") / "room"
    wheels, password, data = folder / "wheels", folder / "password", folder / "data"
    wheels.mkdir(parents=True)
    for built in (a_wheel("demo", "1.0"), an_sdist("demo", "1.0"), a_wheel("demo", "2.0")):
        built.save(wheels)
    password.write_text("of-somebody\n")
    for name in ("gift", "more"):
        made = a_wheel(name)
        a_bundle(folder / f"{name}.pkgbundle.zip", [made], manifest=a_manifest([made], roots=()))
    dump = ADump(folder / "dump")
    dump.users["carol"] = a_user("carol")
    dump.release("carol/dev", a_wheel("art"))
    dump.write()
    for name, key in (("alice", ALICES_KEY), ("bob", BOBS_KEY)):
        (folder / f"{name}.pub").write_text(f"ssh-ed25519 {key} {name}\n")
    a_bundle(folder / "bundle.zip", [a_wheel("demo", "1.0")])
    for words in (
        ["init", f"--root-passwd={ROOT_PASSWORD}"],
        ["add", f"{wheels}"],
        ["index", "create", "root/prod"],
        ["user", "create", "alice", f"--password-file={password}"],
        ["token", "create", "alice"],
        ["target", "add", "cp39-win_amd64"],
        ["trust", "add", f"{folder / 'bob.pub'}"],
        ["bundle", "import", f"{folder / 'gift.pkgbundle.zip'}"],
    ):
        assert main([*words, f"--serverdir={data}"]) == 0
    assert main(["backup", f"{folder / 'saved'}", f"--serverdir={data}"]) == 0
    (saved,) = (folder / "saved").glob("*Z")
    saved.rename(folder / "backup")
    with catalog_of(data) as seen:
        (token,) = (token for user in seen.users() for token in seen.tokens(user.name))
    return Room(folder, token.id)


@pytest.fixture
def room(furnished: Room, tmp_path: Path) -> Room:
    """One that a test may change."""
    shutil.copytree(furnished.folder, tmp_path / "room")
    return Room(tmp_path / "room", furnished.token)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every verb and group of verbs, with the words that call it."""
    waiting: list[tuple[str, click.Command]] = [("", _main)]
    while waiting:
        words, command = waiting.pop()
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                waiting.append((f"{words} {name}".strip(), below))


COMMANDS = dict(commands())


def takes(words: str, option: str) -> bool:
    """Whether a verb has an option."""
    return any(option in parameter.opts for parameter in COMMANDS[words].params)


def test_every_verb_has_a_row_and_no_row_is_of_the_past() -> None:
    assert set(COMMANDS) == set(VERBS) | GROUPS
    assert {words for words in COMMANDS if isinstance(COMMANDS[words], click.Group)} == GROUPS


def test_the_verbs_that_speak_json_are_known() -> None:
    assert sorted(words for words in COMMANDS if takes(words, "--json")) == sorted(WITH_JSON)


def test_whatever_has_a_directory_works_on_it_or_only_tells_of_it() -> None:
    with_directory = {words for words in COMMANDS if takes(words, "--serverdir")}
    assert with_directory == {*ON_DIRECTORY, *TELLS_OF_ANYTHING, "restore"}  # which makes it


# Programs


@pytest.mark.parametrize("words", WITH_JSON)
def test_a_program_is_told_one_document_and_nothing_else(words: str, cli: Cli, room: Room) -> None:
    before = contents(room)
    called = cli(*room.arguments(words, "--json"))
    assert (called.exit_code, called.err) == (VERBS[words].exit_code, "")
    told = called.out.splitlines() if VERBS[words].has_json_lines else [called.out]
    for document in map(json.loads, told):
        assert isinstance(document, dict | list)
        assert document
    assert called.out.endswith(("}\n", "]\n"))
    has_changed = contents(room) != before
    assert has_changed is (words not in READS_ONLY | CHANGES_NOTHING_MORE)


@pytest.mark.parametrize("words", [words for words in WITH_JSON if words in ON_DIRECTORY])
def test_a_program_reads_nothing_where_it_fails(
    words: str, cli: Cli, room: Room, tmp_path: Path
) -> None:
    nowhere = f"--serverdir={tmp_path / 'nowhere'}"
    complaint = cli(*room.arguments(words, "--json", nowhere)).complaint
    assert complaint.startswith(f"{tmp_path / 'nowhere'} is not a directory of simpleindex-server")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("words", ["list --index=root/prod", "token list root"])
def test_where_there_is_nothing_a_program_is_told_an_empty_list(
    words: str, cli: Cli, room: Room
) -> None:
    assert cli.must(*words.split(), "--json", f"--serverdir={room.data}") == "[]\n"


def contents(room: Room) -> tuple[object, ...]:
    """All that the catalog knows, and the lists of targets and of trusted keys."""
    with catalog_of(room.data) as seen:
        users, indexes = seen.users(), seen.indexes()
        projects = [(index.name, each) for index in indexes for each in seen.projects(index.name)]
        files = [seen.files(index, project.name) for index, project in projects]
        tokens = [seen.tokens(user.name) for user in users]
    lists = [(room.data / name).read_bytes() for name in ("targets.json", "trusted-keys")]
    return users, indexes, projects, files, tokens, lists


# Other users of the machine


ONLY_ROOT = pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can try"
)
NOBODY = 65534


@ONLY_ROOT
@pytest.mark.parametrize("words", ON_DIRECTORY)
def test_root_does_not_work_on_what_is_of_somebody_else(words: str, cli: Cli, room: Room) -> None:
    for path in (room.data, *room.data.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    before = listing(room.folder)
    complaint = cli(*room.arguments(words)).complaint
    assert complaint.startswith(f"{room.data} belongs to ")
    assert complaint.endswith("; run this command as its owner")
    assert listing(room.folder) == before


@pytest.fixture
def open_room(furnished: Room) -> Iterator[Room]:
    """Where everybody can look, and write: not in pytest's folder, which is its user's alone."""
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o777)
        folder = Path(temporary) / "room"
        shutil.copytree(furnished.folder, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        yield Room(folder, furnished.token)


@ONLY_ROOT
def test_nobody_else_works_on_it_even_where_the_folder_lets_them(open_room: Room) -> None:
    before = listing(open_room.folder)
    called = all_as_nobody([open_room.arguments(words) for words in ON_DIRECTORY])
    for words, each in zip(ON_DIRECTORY, called, strict=True):
        assert each.complaint.startswith(f"{open_room.data} belongs to root"), words
        assert each.complaint.endswith("; run this command as its owner"), words
    assert listing(open_room.folder) == before


def all_as_nobody(command_lines: Sequence[Sequence[str]]) -> list[Called]:
    """Command lines one after the other, in one process of a user who owns nothing."""
    program = [sys.executable, "-c", _AS_NOBODY, json.dumps(command_lines)]
    called = run_program(program)
    assert (called.exit_code, called.err) == (0, ""), called
    return [Called(*each) for each in json.loads(called.out)]


# The verbs are loaded first: the source tree and Python may lie where nobody can look.
_AS_NOBODY = """\
import contextlib, importlib, io, json, os, pwd, sys
import simpleindex.cli, simpleindex.cli.bundle
for package in (simpleindex.cli, simpleindex.cli.bundle):
    for place in package._VERBS.values():
        importlib.import_module(package.__name__ + "." + place.partition(":")[0])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
told = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        exit_code = simpleindex.cli.main(arguments)
    told.append([exit_code, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""
