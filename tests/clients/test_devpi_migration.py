"""Coming from the real devpi-server, and going back to it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag
from urllib.request import Request

import pytest

from simpleindex_storage.model import AttachmentKind, Event
from tests.builders import a_multipart_body, a_wheel, a_zip, an_sdist
from tests.cli.commands import listing
from tests.clients.devpi_server import Devpi, installed_devpi
from tests.clients.programs import Terminal, program
from tests.clients.server_side import open_directly
from tests.devpi_dump.contents import Contents, contents
from tests.server import (
    RunningServer,
    server_environment,
    server_of,
    simpleindex,
)

_PAGE = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True)
class OldSite:
    """A devpi-server's directory with one of everything, and what was seen of it."""

    serverdir: Path
    pages: dict[str, Any]


@pytest.fixture(scope="module")
def devpi() -> Devpi:
    return installed_devpi()


@pytest.fixture(scope="module")
def old_site(devpi: Devpi, tmp_path_factory: pytest.TempPathFactory) -> OldSite:
    folder = tmp_path_factory.mktemp("old")
    serverdir, terminal = folder / "devpi", Terminal(folder / "home")
    terminal.must(devpi.command("devpi-init"), "--serverdir", serverdir, "--root-passwd", "rootpw")
    with devpi.running(serverdir) as url:
        _fill(terminal, url, folder)
        return OldSite(serverdir, _pages(url))


@pytest.fixture
def dump(devpi: Devpi, old_site: OldSite, terminal: Terminal, tmp_path: Path) -> Path:
    folder = tmp_path / "dump"
    terminal.must(devpi.command("devpi-export"), "--serverdir", old_site.serverdir, folder)
    return folder


def test_everything_comes_over_and_people_log_in_as_before(
    devpi: Devpi, old_site: OldSite, dump: Path, terminal: Terminal, tmp_path: Path
) -> None:
    serverdir, argon2 = tmp_path / "data", str(devpi.argon2(tmp_path / "argon2"))
    ours("init", f"--serverdir={serverdir}")
    told = ours("import-devpi", str(dump), f"--serverdir={serverdir}", path=argon2)
    assert "Nothing is missing." in told
    with running(serverdir, argon2) as server:
        assert _pages(server.url) == old_site.pages
        client = program("devpi")
        terminal.must(client, "use", server.url)
        for user in ("alice", "root"):
            said = terminal.must(client, "login", user, f"--password={user}pw")
            assert f"logged in '{user}'" in said
        wrong = terminal.run(client, "login", "alice", "--password=rootpw")
        assert wrong.exit_code != 0
    _check(contents(serverdir))
    # The passwords are hashed in our way now, so that argon2 is not needed any more.
    with running(serverdir, "") as server:
        terminal.must(client, "use", server.url)
        terminal.must(client, "login", "alice", "--password=alicepw")


def test_a_stopped_servers_directory_is_exported_by_the_interpreter_that_is_named(
    devpi: Devpi, old_site: OldSite, dump: Path, tmp_path: Path
) -> None:
    before = listing(old_site.serverdir)
    by_dump, directly = tmp_path / "by-dump", tmp_path / "directly"
    argon2 = str(devpi.argon2(tmp_path / "argon2"))
    for serverdir, source in (
        (by_dump, [str(dump)]),
        (directly, [str(old_site.serverdir), f"--python={devpi.python}"]),
    ):
        ours("init", f"--serverdir={serverdir}")
        ours("import-devpi", *source, f"--serverdir={serverdir}", path=argon2)
    assert contents(directly) == contents(by_dump)
    assert listing(old_site.serverdir) == before


def test_the_way_back_is_open(
    devpi: Devpi, old_site: OldSite, dump: Path, terminal: Terminal, tmp_path: Path
) -> None:
    serverdir, back = tmp_path / "data", tmp_path / "back"
    argon2 = str(devpi.argon2(tmp_path / "argon2"))
    ours("init", f"--serverdir={serverdir}")
    ours("import-devpi", str(dump), f"--serverdir={serverdir}", path=argon2)
    ours("export", str(tmp_path / "ours"), f"--serverdir={serverdir}", "--with-secrets")
    terminal.must(devpi.command("devpi-import"), "--serverdir", back, tmp_path / "ours")
    with devpi.running(back) as url:
        assert _pages(url) == old_site.pages
        client = program("devpi")
        terminal.must(client, "use", url)
        terminal.must(client, "login", "alice", "--password=alicepw")
    again = tmp_path / "again"
    terminal.must(devpi.command("devpi-export"), "--serverdir", back, again)
    assert _told(again) == _told(dump)
    assert _files(again) == _files(dump)


@pytest.mark.parametrize("options", [[], ["--with-secrets"]], ids=["without", "with"])
def test_of_users_whose_password_devpi_server_cannot_check_nobody_gets_in(
    options: list[str], devpi: Devpi, terminal: Terminal, tmp_path: Path
) -> None:
    serverdir, back = tmp_path / "data", tmp_path / "back"
    ours("init", f"--serverdir={serverdir}", "--root-passwd=a-new-one")
    ours("export", str(tmp_path / "ours"), f"--serverdir={serverdir}", *options)
    terminal.must(devpi.command("devpi-import"), "--serverdir", back, tmp_path / "ours")
    with devpi.running(back) as url:
        client = program("devpi")
        terminal.must(client, "use", url)
        for password in ("", "a-new-one"):
            said = terminal.run(client, "login", "root", f"--password={password}")
            assert said.exit_code != 0
            assert "401" in said.output or "could not be authenticated" in said.output


def _fill(terminal: Terminal, url: str, folder: Path) -> None:
    """What people do with a devpi-server, by the commands that they have."""
    packages = folder / "packages"
    packages.mkdir()
    demo = a_wheel("demo")
    for built in (demo, an_sdist("demo"), a_wheel("Zeta.Pkg", "2.0")):
        built.save(packages)
    (packages / "demo-1.0.doc.zip").write_bytes(a_zip({"index.html": b"<p>docs</p>"}))
    client = program("devpi")
    for words in (
        ["use", url],
        ["login", "root", "--password=rootpw"],
        ["user", "-c", "alice", "password=alicepw", "email=a@example.org"],
        ["index", "-c", "root/mirror", "type=mirror", "mirror_url=http://127.0.0.1:9/simple/"],
        ["index", "-c", "alice/dev", "volatile=True", "title=Try", "acl_upload=alice,root"],
        ["index", "-c", "root/prod", "bases=alice/dev", "volatile=False", "acl_upload=alice"],
        ["logoff"],
        ["login", "alice", "--password=alicepw"],
        ["use", "alice/dev"],
        ["upload", "--from-dir", str(packages)],
        ["upload", str(packages / demo.filename)],
        ["push", "demo==1.0", "root/prod"],
    ):
        terminal.must(client, *words)
    place = f"alice/dev/+f/{demo.sha256[:3]}/{demo.sha256[3:16]}/{demo.filename}"
    for result in (b'{"testenvs": {}}', b'{"testenvs": {"py": {}}}'):
        _post(f"{url}/{place}", result, "application/json")
    form = [(":action", "submit"), ("name", "Early"), ("version", "0.1"), ("summary", "soon")]
    content_type, body = a_multipart_body(form)
    _post(f"{url}/alice/dev/", body, content_type, authorization="Basic YWxpY2U6YWxpY2Vwdw==")


def _check(found: Contents) -> None:
    """What pages do not show."""
    assert found.users["alice"].profile == {"email": "a@example.org"}
    logs = {
        f"{file.index} {file.filename}": [(entry.what, entry.who) for entry in file.log]
        for file in found.files
    }
    assert logs["alice/dev demo-1.0-py3-none-any.whl"] == [
        (Event.OVERWRITE, None),
        (Event.UPLOAD, "alice"),
    ]
    assert logs["root/prod demo-1.0.tar.gz"] == [
        (Event.UPLOAD, "alice"),
        (Event.PUSH, "alice"),
    ]
    kinds = [(each.index, each.kind) for each in found.attachments]
    assert sorted(kinds) == [
        ("alice/dev", AttachmentKind.DOCUMENTATION),
        ("alice/dev", AttachmentKind.TOX_RESULT),
        ("alice/dev", AttachmentKind.TOX_RESULT),
        ("root/prod", AttachmentKind.DOCUMENTATION),
    ]
    early = [release.fields for release in found.releases if release.project == "early"]
    assert early == [{"name": "Early", "version": "0.1", "summary": "soon"}]
    indexes = {name: index.settings for name, index in found.indexes.items()}
    assert getattr(indexes["alice/dev"], "acl_upload", None) == ("alice", "root")
    assert indexes["alice/dev"].extra == {"title": "Try"}


def _pages(url: str) -> dict[str, Any]:
    """The files that installers are shown, project by project, and the users with their indexes."""
    found: dict[str, Any] = {}
    for index in ("alice/dev", "root/prod"):
        for project in ("demo", "zeta-pkg"):
            page = _get(f"{url}/{index}/+simple/{project}/", _PAGE)
            found[f"{index}/{project}"] = sorted(
                (file["filename"], file["hashes"]["sha256"], _path(file)) for file in page["files"]
            )
    users = _get(f"{url}/", "application/json")["result"]
    found["users"] = {
        name: (user.get("email"), {each: _known(config) for each, config in indexes.items()})
        for name, user in users.items()
        for indexes in [user.get("indexes", {})]
    }
    return found


def _path(file: dict[str, Any]) -> str:
    """Where a file lies, whether the link to it is relative or not."""
    url: str = urldefrag(file["url"]).url
    return url.partition("/+f/")[2]


def _known(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that both servers have."""
    keys = ("type", "volatile", "bases", "acl_upload", "mirror_whitelist", "title", "mirror_url")
    return {key: config[key] for key in keys if config.get(key)}


def _told(dump: Path) -> dict[str, Any]:
    """What a dump says, without empty fields, in an order of its own."""
    data: dict[str, Any] = json.loads((dump / "dataindex.json").read_bytes())
    for index in data["indexes"].values():
        for versions in index.get("projects", {}).values():
            for version, fields in versions.items():
                versions[version] = {key: value for key, value in fields.items() if value}
        if "files" in index:
            index["files"].sort(key=lambda entry: entry["relpath"])
    # When root was made is decided by the directory that root lives in.
    del data["users"]["root"]["created"]
    return data


def _files(dump: Path) -> dict[str, str]:
    return {name: told for name, told in listing(dump).items() if not name.endswith(".json")}


def _get(url: str, accept: str) -> Any:
    status, body = open_directly(Request(url, headers={"Accept": accept}))
    assert status == 200, f"{url} answers {status}: {body}"
    return json.loads(body)


def _post(url: str, body: bytes, content_type: str, **headers: str) -> None:
    request = Request(url, body, {"Content-Type": content_type, **headers}, method="POST")
    status, answer = open_directly(request)
    assert status == 200, answer


def ours(*arguments: str, path: str = "", exit_code: int = 0) -> str:
    """Run a verb of ours; `path` is where else Python finds modules."""
    finished = subprocess.run(
        simpleindex(*arguments),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(path),
        text=True,
    )
    assert finished.returncode == exit_code, finished.stdout
    return finished.stdout


@contextmanager
def running(serverdir: Path, path: str, *options: str) -> Iterator[RunningServer]:
    """A server of ours; `path` is where else Python finds modules."""
    serve = simpleindex("serve", f"--serverdir={serverdir}", "--host=127.0.0.1", "--port=0")
    with server_of([*serve, *options], serverdir, _environment(path)) as server:
        yield server


def _environment(path: str) -> dict[str, str]:
    environment = server_environment()
    environment["PYTHONPATH"] += f":{path}" if path else ""
    return environment
