"""The whole way of packages into a site without internet, with the programs that people use.

Outside there is an index; inside, nothing but a bare Python, the one file, and what was carried.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from simpleindex.gap.bundle.reading import open_bundle
from simpleindex.gap.resolving import Kind
from simpleindex.gap.targets import Target, dump_target, parse_target
from tests.cli.commands import Cli
from tests.clients.programs import Finished, Terminal, program
from tests.gap.bundle.keys import a_key
from tests.gap.closed_site import ClosedSite, closed_site
from tests.gap.corpus import CORPUS, offer, publish
from tests.gap.interpreters import its_pip, probed, python_of
from tests.gap.test_referees import LINES, UV_PLATFORMS
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import (
    RunningServer,
    clean_environment,
    server_environment,
    server_of,
    simpleindex,
)

MINORS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
ELSEWHERE = (
    "3.6.15-win_amd64", "3.8.18-manylinux_2_17_x86_64", "3.9.18-win_amd64",
    "3.9.19-manylinux_2_28_x86_64", "3.12.0-win_amd64", "3.12.1-manylinux_2_17_x86_64",
    "3.12.1-musllinux_1_2_x86_64", "3.13.0-win_amd64",
)  # fmt: skip
"""Hosts that this machine has none of; uv stands in for them."""
TOOLS = (offer("pip", "26.3"), offer("setuptools", "84.0"), offer("wheel", "0.48"))
ROOTS = tuple(line for line in LINES if line not in {"fresh>=2.0rc1", "dropped==2.0", "app-a"})
"""All that can be wanted together."""
SERVERS = "3.12"
"""The Python of the site's server; nothing that we need is installed in it."""
REFUSED = 2
PARTLY = 3
"""The exit code where some lines cannot be met."""

_REACH = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
except OSError as error:
    print(type(error).__name__)
"""


TOO_NEW_FOR_PIP_18 = {"native", "abi3", "modern", "many[fast]"}
"""Of these there is nothing but wheels whose names it does not know."""


@dataclass(frozen=True, slots=True)
class Stick:
    """What is carried: the one file and a bundle, in a folder."""

    folder: Path
    index: Upstream
    """Where all of it is from."""
    verdicts: Mapping[str, Mapping[str, str]]
    """What was said outside: by target and line."""

    @property
    def pyz(self) -> Path:
        return self.folder / "server.pyz"

    @property
    def bundle(self) -> Path:
        return self.folder / "site.pkgbundle.zip"

    def lines(self, target: str, kind: Kind) -> list[str]:
        """The lines of which that was said for a target."""
        return [line for line, said in self.verdicts[target].items() if said == kind]


@dataclass(frozen=True, slots=True)
class Inside:
    """The site, with what was carried in, and served."""

    site: ClosedSite
    terminal: Terminal
    server: RunningServer
    stick: Stick
    imported: Finished

    @property
    def index_url(self) -> str:
        return f"{self.server.url}/root/local/"

    def run(self, *command: str | Path, **variables: str) -> Finished:
        """Run a program at the site."""
        return self.terminal.run(*self.site.command(*command), **variables)

    def verb(self, *arguments: str | Path) -> Finished:
        """Run a verb of the one file."""
        directory = f"--serverdir={self.server.serverdir}"
        return self.run(python_of(SERVERS), self.stick.pyz, *arguments, directory)


@pytest.fixture(scope="module")
def hosts() -> Mapping[str, Target]:
    """The Pythons of this machine, by their minor versions."""
    found = {}
    for minor in MINORS:
        try:
            found[minor] = probed(python_of(minor))
        except pytest.skip.Exception:  # the test of that minor skips, and the others do not
            continue
    return found


@pytest.fixture(scope="module")
def stick(hosts: Mapping[str, Target], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stick]:
    """Filled outside, by an installed server."""
    folder, desk = tmp_path_factory.mktemp("stick"), Terminal(tmp_path_factory.mktemp("outside"))
    targets, lines = desk.home / "targets.json", desk.home / "requirements.txt"
    targets.write_text(json.dumps([*map(dump_target, hosts.values()), *ELSEWHERE]))
    lines.write_text("\n".join(ROOTS))
    here = {"PYTHONPATH": server_environment()["PYTHONPATH"]}
    with running_upstream() as index:
        publish(index, (*CORPUS, *TOOLS))
        desk.must(*simpleindex("pyz", str(folder / "server.pyz")), **here)
        created = desk.run(
            *simpleindex("bundle", "create", "-r", str(lines), "--targets", str(targets)),
            *("--index-url", index.url, "-o", folder / "site.pkgbundle.zip", "--json"),
            **here,
        )
        assert created.exit_code == PARTLY, created.output
        told = json.loads(created.output)
        verdicts = {
            target["name"]: {each["line"]: each["verdict"] for each in target["lines"]}
            for target in told["targets"]
        }
        yield Stick(folder, index, verdicts)


@pytest.fixture(scope="module")
def inside(stick: Stick, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """The commands of the newcomer's page, at a site that has a Python and the stick."""
    terminal, data = Terminal(tmp_path_factory.mktemp("inside")), tmp_path_factory.mktemp("server")
    python, serverdir = python_of(SERVERS), f"--serverdir={data / 'data'}"
    with closed_site() as site:
        terminal.must(*site.command(python, stick.pyz, "init", serverdir))
        imported = terminal.run(
            *site.command(python, stick.pyz, "bundle", "import", stick.bundle, serverdir)
        )
        assert imported.exit_code == PARTLY, imported.output
        serve = site.command(python, stick.pyz, "serve", serverdir, "--port=0")
        home = clean_environment(HOME=str(terminal.home))
        with server_of(serve, data / "data", home) as server:
            yield Inside(site, terminal, server, stick, imported)


def test_nobody_inside_reaches_the_index_outside(inside: Inside) -> None:
    reaching = inside.run(python_of("this"), "-c", _REACH, str(inside.stick.index.port))
    assert reaching.output == "ConnectionRefusedError\n"


@pytest.mark.parametrize("minor", MINORS)
def test_a_real_pip_installs_what_was_promised_to_its_host(
    minor: str, hosts: Mapping[str, Target], inside: Inside, tmp_path: Path
) -> None:
    python = python_of(minor)
    pip = its_pip(python) / "pip"
    pip_install: list[str | Path] = [python, pip, "install", "--index-url", inside.index_url]
    promised = inside.stick.lines(hosts[minor].name, Kind.MET)
    too_new = TOO_NEW_FOR_PIP_18.intersection(promised if minor == "3.6" else ())
    lines = [line for line in promised if line not in too_new]
    assert {"colour", "fresh", "deep", "circle-a", "app-c"} <= set(lines)

    installed = inside.run(*pip_install, "--no-compile", "--target", tmp_path / "lib", *lines)

    assert installed.exit_code == 0, installed.output
    for line in lines:
        folder = Requirement(line).name.replace("-", "_")
        assert list((tmp_path / "lib").glob(f"{folder}-*.dist-info")), line
    for line in too_new:
        assert inside.run(*pip_install, "--target", tmp_path / "no", line).exit_code != 0


def test_what_cannot_be_met_a_real_pip_does_not_find(
    hosts: Mapping[str, Target], inside: Inside, tmp_path: Path
) -> None:
    python = python_of("3.9")
    unmet = inside.stick.lines(hosts["3.9"].name, Kind.UNMET)
    assert {"broken", "chain-1", "nowhere"} <= set(unmet)
    for line in ("broken", "nowhere"):  # a pip takes its time to find nothing
        found = inside.run(
            python, its_pip(python) / "pip", "download", "--only-binary", ":all:",
            "--index-url", inside.index_url, "--dest", tmp_path / "files", line,
        )  # fmt: skip
        assert found.exit_code != 0, (line, found.output)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_uv_agrees_for_hosts_that_are_not_here(name: str, inside: Inside, tmp_path: Path) -> None:
    python, _, platform = name.partition("-")
    unknown = {"holes"} if python.startswith("3.9.") else set()
    """uv sees the lower bounds of Requires-Python alone."""

    def compiles(*lines: str) -> Finished:
        (tmp_path / "wanted.txt").write_text("\n".join(lines))
        return inside.run(
            program("uv"), "pip", "compile", tmp_path / "wanted.txt", "--python-version", python,
            "--python-platform", UV_PLATFORMS[platform], "--only-binary", ":all:", "--quiet",
            "--index-url", inside.index_url, "--python", python_of("this"),
            UV_CACHE_DIR=str(tmp_path / "cache"),
        )  # fmt: skip

    target = parse_target(name).name
    together = compiles(*sorted({*inside.stick.lines(target, Kind.MET)} - unknown))
    assert together.exit_code == 0, together.output
    for line in inside.stick.lines(target, Kind.UNMET):
        assert compiles(line).exit_code != 0, line


def test_the_doctor_says_the_same_inside(inside: Inside) -> None:
    told = inside.verb("doctor", "--targets", "--json")
    assert told.exit_code == 1, told.output
    said = {
        (target["target"], str(Requirement(each["line"]))): each["kind"]
        for target in json.loads(told.output)["targets"]
        for each in target["verdicts"]
    }
    wanted = {
        (target, str(Requirement(line))): kind
        for target, verdicts in inside.stick.verdicts.items()
        for line, kind in verdicts.items()
    }
    differing = {
        each: (said.get(each), wanted.get(each))
        for each in said.keys() | wanted.keys()
        if said.get(each) != wanted.get(each)
    }
    assert differing == {}


# A month later


@dataclass(frozen=True, slots=True)
class Desk:
    """Where bundles are made, outside, and the index there."""

    cli: Cli
    folder: Path
    index: Upstream

    def create(self, name: str, *arguments: str | Path) -> Path:
        """A bundle of that name."""
        self.cli.must(
            *("bundle", "create", *arguments, "--target=cp39-win_amd64"),
            *(f"--index-url={self.index.url}", f"--cache={self.folder / 'cache'}"),
            *("-o", self.folder / name),
        )
        return self.folder / name


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Desk]:
    with running_upstream() as index:
        publish(index, (*TOOLS, offer("app", "1.0", "lib"), offer("lib", "1.0")))
        (tmp_path / "desk").mkdir()
        yield Desk(Cli(capsys), tmp_path / "desk", index)


def test_bundles_come_in_whole_or_not_at_all_whatever_happens_on_the_way(
    desk: Desk, tmp_path: Path
) -> None:
    """In the wrong order, damaged, from somebody else; then as they should, and once more."""
    key, stranger = a_key(tmp_path, "alice"), a_key(tmp_path, "mallory")
    first = desk.create("first.zip", "app", f"--sign={key}")
    app = offer("app", "2.0", "lib", "more")
    publish(desk.index, [app, offer("more", "1.0")])
    second = desk.create("second.zip", "--since=last", "--update=app", "app", f"--sign={key}")
    forged = desk.create("forged.zip", "--full", "--update=app", "app", f"--sign={stranger}")
    damaged = tmp_path / "damaged.zip"
    content = bytearray(second.read_bytes())
    content[content.index(app.built.content) + len(app.built.content) // 2] ^= 1
    damaged.write_bytes(content)
    cli, site = desk.cli, f"--serverdir={tmp_path / 'data'}"
    cli.init(tmp_path / "data")
    cli.must("trust", "add", key.with_name("alice.pub"), site)

    for wrong in (second, damaged, forged):
        before = cli("list", "--json", site)
        assert cli("bundle", "import", wrong, site).exit_code == REFUSED
        assert cli("list", "--json", site) == before
        if wrong is second:
            cli.must("bundle", "import", first, site)
    cli.must("bundle", "import", second, site)

    whole = cli.must("list", "--json", site)
    assert {project["name"] for project in json.loads(whole)} >= {"app", "lib", "more"}
    for again in (first, second, second):
        cli.must("bundle", "import", again, site)
        assert cli.must("list", "--json", site) == whole


def test_a_later_bundle_brings_only_what_is_new(desk: Desk) -> None:
    first = desk.create("first.zip", "app")
    publish(desk.index, [offer("app", "2.0", "lib", "more"), offer("more", "1.0")])
    second = desk.create("second.zip", "--since=last", "--update=app", "app")
    sent, sent_later = open_bundle(first).manifest, open_bundle(second).manifest
    names = {file.name.text for file in sent_later.files}
    assert names == {"app-2.0-py3-none-any.whl", "more-1.0-py3-none-any.whl"}
    assert {it.sha256 for it in sent_later.assumes} <= {it.sha256 for it in sent.files}
