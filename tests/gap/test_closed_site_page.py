"""The newcomer's page, followed to the letter: by somebody outside, inside, and at a host."""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simpleindex.gap.pyz.building import server_pyz
from tests.clients.programs import Terminal
from tests.gap.closed_site import ClosedSite, closed_site
from tests.gap.corpus import offer, publish
from tests.gap.interpreters import its_pip, python_of
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import clean_environment, server_of

_DOCS = Path(__file__).parents[2] / "docs"
_SERVERS = "3.12"
_HOSTS = "3.9"


def commands(page: str) -> dict[str, list[str]]:
    """What is to be typed, by the headings of a page."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in (_DOCS / page).read_text("utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
            found[heading] = []
        elif line.startswith("    "):
            found[heading].append(line.strip())
    return found


def test_both_languages_say_the_same() -> None:
    english, japanese = commands("closed-site.md"), commands("closed-site.ja.md")
    assert list(english.values()) == list(japanese.values())


@pytest.mark.parametrize("page", ["closed-site.md", "closed-site.ja.md"])
def test_each_link_leads_somewhere(page: str) -> None:
    text = (_DOCS / page).read_text("utf-8")
    for target, place in re.findall(r"\]\(([a-z.-]+\.md)(?:#([a-z-]+))?\)", text):
        headings = re.findall(r"^#+ (.*)$", (_DOCS / target).read_text("utf-8"), re.MULTILINE)
        assert not place or place in {each.lower().replace(" ", "-") for each in headings}, place


@dataclass(frozen=True, slots=True)
class Seat:
    """Where somebody sits and types: a terminal in a folder."""

    folder: Path
    home: Path
    path: Path
    """A folder with the commands that are there, beside those of the system."""
    variables: dict[str, str] = field(default_factory=dict)
    site: ClosedSite | None = None
    """None: it is outside."""

    def types(self, line: str) -> str:
        """Type a line, which has to succeed; what it wrote."""
        finished = subprocess.run(
            self.command("sh", "-c", line),
            check=False,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert finished.returncode == 0, f"{line}\n{finished.stdout}"
        return finished.stdout

    def command(self, *words: str) -> Sequence[str]:
        return words if self.site is None else self.site.command(*words)

    @property
    def environment(self) -> dict[str, str]:
        search = os.pathsep.join([str(self.path), os.environ["PATH"]])
        return clean_environment(HOME=str(self.home), PATH=search, **self.variables)


def a_bin(folder: Path, name: str, python: Path) -> Path:
    """A folder with one command."""
    folder.mkdir()
    (folder / name).symlink_to(python)
    return folder


@pytest.fixture
def index() -> Iterator[Upstream]:
    """The index outside; its pip is a real one, as it is going to be used."""
    pip = its_pip(python_of(_SERVERS))
    with running_upstream() as upstream:
        upstream.add(pip.read_bytes(), pip.name)
        publish(upstream, [offer("setuptools", "84.0"), offer("wheel", "0.48")])
        publish(upstream, [offer("requests", "1.0", "idna"), offer("idna"), offer("pyyaml")])
        yield upstream


@pytest.mark.skipif(os.name == "nt", reason="a namespace and a POSIX shell are needed")
def test_the_page_leads_from_a_bare_python_to_pip_install(index: Upstream, tmp_path: Path) -> None:
    hosts, needs, fetch, carry, make, start, install, known, later = commands(
        "closed-site.md"
    ).values()
    stick, disk, data = tmp_path / "stick", tmp_path / "disk", tmp_path / "srv" / "packages"
    stick.mkdir()
    data.parent.mkdir()
    (stick / "server.pyz").write_bytes(server_pyz())
    python3 = a_bin(tmp_path / "bin", "python3", python_of(_SERVERS))
    host_python = tmp_path / "host"
    Terminal(tmp_path / "home").must(python_of(_HOSTS), "-m", "venv", host_python)
    at_home = tmp_path / "home"
    outside = Seat(stick, at_home, python3, {"PIP_INDEX_URL": index.url})

    def inside(line: str) -> str:
        return server.types(line.replace("/srv/packages", str(data)))

    def at_host(line: str) -> str:
        return host.types(line.replace("ADDRESS", "127.0.0.1"))

    for line in (*hosts, *needs):
        outside.types(line)
    created = outside.types(*fetch)
    (digest,) = re.findall(r"digest ([0-9A-Z]{5}(?:-[0-9A-Z]{5}){3})", created)
    disk.symlink_to(stick)  # as good as a copy, and what comes later is in it, too
    with closed_site() as site:
        server = Seat(disk, at_home, python3, site=site)
        host = Seat(tmp_path, at_home, host_python / "bin", site=site)
        checked = inside(*carry)
        assert digest in checked
        assert checked.endswith("all of it is there, and as it was made\n")
        for line in make:
            told = inside(line)
        assert len(re.findall("^ok .*: 2 of 2 can be installed", told, re.MULTILINE)) == 2
        (serve,) = (line.replace("/srv/packages", str(data)) for line in start)
        serve = serve.replace("0.0.0.0", "127.0.0.1")  # nobody else is in this network
        command = server.command("sh", "-c", f"cd {disk} && exec {serve}")
        with server_of(command, data, server.environment):
            for line in install:
                at_host(line)
            (doctor,) = known
            assert "error" not in inside(doctor).split()

            publish(index, [offer("requests", "2.0", "idna", "more"), offer("more")])
            request, create, *take_in = later
            inside(request)
            outside.types(create)
            for line in take_in:
                inside(line)
            at_host(f"{install[1]} --upgrade")
    assert {"requests-2.0.dist-info", "more-1.0.dist-info", "pyyaml-1.0.dist-info"} <= {
        path.name for path in host_python.rglob("*.dist-info")
    }
