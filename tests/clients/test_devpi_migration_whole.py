"""A site of some size moves here from the real devpi-server, and its people see no difference.

Both servers run side by side. What may differ stands in one table, with the reason; an entry that
makes no difference any more fails.
"""

import base64
import http.client
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

import pytest

from tests.builders import (
    BuiltFile,
    a_multipart_body,
    a_wheel,
    a_zip,
    an_egg,
    an_sdist,
    core_metadata,
    upload_fields,
)
from tests.cli.commands import listing
from tests.clients.devpi_server import Devpi, installed_devpi
from tests.clients.programs import Terminal, program
from tests.clients.test_devpi_migration import ours, running

_JSON = "application/json"
_PAGE = "application/vnd.pypi.simple.v1+json"
_HTML = "text/html"
_REPLY_SECONDS_MAX = 120.0

NOBODY = ""
PASSWORDS = {"root": "rootpw", "alice": "alicepw", "bob": ""}
NEW_PASSWORD = "bob-has-a-password-now"
CALLERS = ("root", "alice", "bob", NOBODY)

INDEXES: Mapping[str, Mapping[str, object]] = {
    "root/base": {"volatile": False, "acl_upload": ["root", "alice"], "title": "For all"},
    "root/prod": {"volatile": False, "bases": ["root/base"], "acl_upload": ["alice"]},
    "alice/dev": {"bases": ["root/prod"], "mirror_whitelist": ["Alpha.Beta", "elsewhere"]},
    "alice/left": {"bases": ["root/base"], "acl_upload": [":AUTHENTICATED:"]},
    "bob/right": {
        "volatile": False,
        "bases": ["alice/left"],
        "acl_upload": ["alice", "bob"],
        "acl_toxresult_upload": ["bob"],
        "mirror_whitelist": ["*"],
        "mirror_whitelist_inheritance": "union",
    },
    "bob/open": {"acl_upload": [":ANONYMOUS:"], "custom_data": {"since": [2019, None]}},
}
THE_CIRCLE = ("alice/left", ["root/base", "bob/right"])
SENDERS = {
    "root/base": "root",
    "root/prod": "alice",
    "alice/dev": "alice",
    "alice/left": "bob",
    "bob/right": "bob",
    "bob/open": NOBODY,
}
NAMES = ("plain", "Alpha.Beta", "UPPER", "under_score", "da-sh", "m1xed.Na_me", "x", "Zope.Thing")
VERSIONS = ("1.0", "1.1.post1", "2.0rc1", "2.0+local.1", "1!3.0", "10.0.dev3")
PYTHONS = (None, ">=3.8", ">=2.7, !=3.0.*, <4")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def result(self) -> Any:
        """What devpi's JSON replies hold."""
        assert self.status in {200, 201}, self.body[:400]
        return json.loads(self.body)["result"]


@dataclass(frozen=True, slots=True)
class Site:
    """A server of either kind, and those who have logged in to it."""

    url: str
    tokens: dict[str, str]

    def login(self, user: str, password: str) -> int:
        """Log in for all that follows; the status."""
        given = json.dumps({"user": user, "password": password}).encode()
        answer = self.ask("POST", "/+login", body=given, content_type=_JSON)
        if answer.status == 200:
            self.tokens[user] = answer.result["password"]
        return answer.status

    def ask(
        self,
        method: str,
        path: str,
        *,
        user: str = NOBODY,
        accept: str = _JSON,
        body: bytes | None = None,
        content_type: str = _JSON,
    ) -> Answer:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        if user != NOBODY:
            mark = base64.b64encode(f"{user}:{self.tokens[user]}".encode()).decode()
            headers["X-Devpi-Auth"] = mark
        address = urlsplit(self.url).netloc
        connection = http.client.HTTPConnection(address, timeout=_REPLY_SECONDS_MAX)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return Answer(reply.status, reply.read())
        finally:
            connection.close()

    def tell(self, method: str, path: str, told: object, user: str) -> Answer:
        """Send JSON."""
        return self.ask(method, path, user=user, body=json.dumps(told).encode())

    def upload(
        self,
        index: str,
        built: BuiltFile,
        user: str,
        **fields: str | Sequence[str] | None,
    ) -> Answer:
        form = upload_fields(built, **fields)
        part = ("content", built.filename, built.content)
        content_type, body = a_multipart_body(form, part)
        return self.ask("POST", f"/{index}/", user=user, body=body, content_type=content_type)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file on its way to an index, and what its form says."""

    index: str
    built: BuiltFile
    fields: Mapping[str, str | Sequence[str] | None]


def all_files() -> Iterator[Sent]:
    """Some two hundred, of all sorts that people have had over the years."""
    for number, index in enumerate(INDEXES):
        for place in range(number, number + 5):
            name, python = NAMES[place % len(NAMES)], PYTHONS[place % len(PYTHONS)]
            for turn in range(place, place + 3):
                version = VERSIONS[turn % len(VERSIONS)]
                fields = _form(name, version, python)
                metadata = core_metadata(name, version, requires_python=python)
                # The same release in two indexes: other wheels, but the same source distribution.
                mark = {f"{re.sub(r'[-.]', '_', name).lower()}/index.txt": index.encode()}
                wheel = a_wheel(name, version, metadata=metadata, extra_files=mark)
                yield Sent(index, wheel, fields)
                yield Sent(index, an_sdist(name, version, metadata=metadata), fields)
        for caller in CALLERS:
            name = _prey_of(caller)
            yield Sent(index, a_wheel(name), _form(name, "1.0", None))
    yield from _odd_files()


def _odd_files() -> Iterator[Sent]:
    """Names of files as they were written before there was a rule for them."""
    old = _form("Old.Name", "1.0", None)
    content = an_sdist("Old.Name").content
    yield Sent("root/base", BuiltFile("Old.Name-1.0.tar.gz", content), old)
    wheel = a_wheel("Old.Name", "1.1", tag="py2.py3-none-any").content
    filename = "Old.Name-1.1-py2.py3-none-any.whl"
    yield Sent("root/base", BuiltFile(filename, wheel), _form("Old.Name", "1.1", None))
    yield Sent("root/base", an_sdist("Zipped", format=".zip"), _form("Zipped", "1.0", None))
    yield Sent("root/base", an_egg("Egg_Like"), _form("Egg_Like", "1.0", None))
    beta = an_sdist("spelled", "1.0.BETA2", metadata=core_metadata("spelled", "1.0.BETA2"))
    yield Sent("alice/dev", beta, _form("spelled", "1.0.BETA2", None))
    needs = ["plain>=0.9"]
    form = {**_form("needy", "1.0", None), "requires_dist": needs}
    yield Sent("alice/dev", a_wheel("needy", requires_dist=needs), form)


def _form(name: str, version: str, python: str | None) -> dict[str, str | Sequence[str] | None]:
    return {
        "name": name,
        "version": version,
        "requires_python": python,
        "summary": f"What {name} is for",
        "author": "Zoë",
        "author_email": "zoe@example.org",
        "license": "MIT",
        "keywords": "one,two",
        "description": "A heading\n=========\n\nText, with <marks> & more.\n",
        "description_content_type": "text/x-rst",
        "classifiers": ["Programming Language :: Python", "Topic :: Utilities"],
        "project_urls": ["Home, https://example.org/home"],
    }


def _prey_of(caller: str) -> str:
    """The project that a caller tries to remove."""
    return f"Prey.of-{caller or 'nobody'}"


OVERWRITTEN = [
    a_wheel("again", extra_files={"again/change.txt": text}) for text in (b"old", b"new", b"newest")
]
_PUSHED_METADATA = core_metadata("Pushed.One", requires_python=">=3.8")
PUSHED = (
    a_wheel("Pushed.One", metadata=_PUSHED_METADATA),
    an_sdist("Pushed.One", metadata=_PUSHED_METADATA),
)
EARLY = {"name": "Early.Bird", "version": "0.1", "summary": "soon", "classifiers": "Topic :: Games"}
DOCUMENTED = (
    ("alice/dev", "Pushed.One", "1.0"),
    ("alice/dev", "UPPER", "2.0rc1"),
    ("bob/right", "da-sh", "1!3.0"),
)


def fill(site: Site) -> None:
    """Do in an empty devpi-server what its people have done over the years."""
    for user in ("alice", "bob"):
        told = {"password": PASSWORDS[user], "email": f"{user}@example.org"}
        _done(site.tell("PUT", f"/{user}", told, "root"))
        assert site.login(user, PASSWORDS[user]) == 200
    _done(site.tell("PATCH", "/alice", {"title": "Dr", "custom_data": {"room": [1, 2]}}, "alice"))
    for index, settings in INDEXES.items():
        _done(site.tell("PUT", f"/{index}", settings, "root"))
    index, bases = THE_CIRCLE
    _done(site.tell("PATCH", f"/{index}", {"bases": bases}, "root"))
    for sent in all_files():
        _done(site.upload(sent.index, sent.built, SENDERS[sent.index], **sent.fields))
    for built in OVERWRITTEN:
        _done(site.upload("alice/dev", built, "alice", **_form("again", "1.0", None)))
        _done(_send_result(site, "alice/dev", built, NOBODY))
    for built in PUSHED:
        _done(site.upload("alice/dev", built, "alice", **_form("Pushed.One", "1.0", ">=3.8")))
    for index, name, version in DOCUMENTED:
        _done(_send_documentation(site, index, name, version))
    _done(_send_result(site, "alice/dev", PUSHED[0], "alice"))
    tested = next(sent.built for sent in all_files() if sent.index == "bob/right")
    _done(_send_result(site, "bob/right", tested, "bob"))
    push = {"name": "Pushed.One", "version": "1.0", "targetindex": "root/prod"}
    _done(site.tell("PUSH", "/alice/dev", push, "alice"))
    content_type, form = a_multipart_body([(":action", "submit"), *EARLY.items()])
    _done(site.ask("POST", "/root/base/", user="root", body=form, content_type=content_type))


def _send_documentation(site: Site, index: str, name: str, version: str) -> Answer:
    pages = a_zip({"index.html": f"<h1>{index} {name}</h1>".encode(), "more/a.html": b"<p>"})
    part = ("content", f"{name}-{version}.doc.zip", pages)
    fields = [(":action", "doc_upload"), ("name", name), ("version", version)]
    content_type, body = a_multipart_body(fields, part)
    user = SENDERS[index]
    return site.ask("POST", f"/{index}/", user=user, body=body, content_type=content_type)


def _send_result(site: Site, index: str, built: BuiltFile, user: str) -> Answer:
    return site.tell("POST", _path_of(index, built), {"testenvs": {"py": {}}}, user)


def _path_of(index: str, built: BuiltFile) -> str:
    folder = f"/{index}/+f/{built.sha256[:3]}/{built.sha256[3:16]}"
    return f"{folder}/{quote(built.filename)}"


def _done(answer: Answer) -> None:
    assert answer.status in {200, 201}, answer.body[:400]


# What is seen of a site


Facts: TypeAlias = dict[tuple[str, ...], Any]
"""Small pieces of what a server says, by where it says them."""


def facts_of(site: Site) -> Facts:
    """All that devpi's JSON and the simple pages say, with URLs of the server's own as paths."""
    found: Facts = {}
    users = site.ask("GET", "/").result
    for name, user in users.items():
        found |= {("user", name, key): value for key, value in user.items() if key != "indexes"}
        for index, config in user.get("indexes", {}).items():
            where = ("listed index", f"{name}/{index}")
            found |= {(*where, key): value for key, value in config.items()}
    for index in INDEXES:
        config = site.ask("GET", f"/{index}").result
        found |= {("index", index, key): value for key, value in config.items()}
        listing = site.ask("GET", f"/{index}/+simple/", accept=_PAGE)
        projects = [project["name"] for project in json.loads(listing.body)["projects"]]
        found["simple", index] = sorted(projects)
        for project in projects:
            found |= _project_facts(site, index, project)
    return found


def _project_facts(site: Site, index: str, project: str) -> Facts:
    found: Facts = {}
    for version, told in site.ask("GET", f"/{index}/{project}").result.items():
        found |= _release_facts(site, ("release", index, project, version), told)
    own = site.ask("GET", f"/{index}/{project}?ignore_bases")
    found["own releases", index, project] = sorted(own.result)
    url = f"{site.url}/{index}/+simple/{project}/"
    page = json.loads(site.ask("GET", urlsplit(url).path, accept=_PAGE).body)
    found["json", index, project] = sorted(
        (file["filename"], _path(site, url, file["url"]), file["hashes"]["sha256"],
         file.get("requires-python") or "")
        for file in page["files"]
    )  # fmt: skip
    html = site.ask("GET", urlsplit(url).path, accept=_HTML).body.decode()
    found["html", index, project] = sorted(
        (link.text, _path(site, url, link.href), urldefrag(link.href).fragment, link.python or "")
        for link in links_of(html)
    )
    assert len(found["html", index, project]) == len(page["files"])
    return found


def _release_facts(site: Site, where: tuple[str, ...], told: Mapping[str, Any]) -> Facts:
    found: Facts = {}
    for key, value in told.items():
        if key == "+links":
            found[(*where, key)] = [(link["rel"], _path(site, "", link["href"])) for link in value]
            for link in value:
                href = _path(site, "", link["href"])
                about = {key: value for key, value in link.items() if key not in {"href", "rel"}}
                if "for_href" in about:
                    about["for_href"] = _path(site, "", about["for_href"])
                found |= {(*where, key, href, name): value for name, value in about.items()}
        elif key == "+shadowing":
            for number, shadowed in enumerate(value):
                found |= _release_facts(site, (*where, f"{key} {number}"), shadowed)
        else:
            found[(*where, key)] = value
    return found


def _path(site: Site, page: str, href: str) -> str:
    url = urldefrag(urljoin(page, href)).url
    assert url.startswith(f"{site.url}/"), url
    return unquote(url.removeprefix(site.url))


@dataclass(slots=True)
class Link:
    href: str
    python: str | None
    text: str = ""


def links_of(html: str) -> list[Link]:
    """The links to files of a page, in their order."""
    reader = _LinkReader()
    reader.feed(html)
    reader.close()
    return [link for link in reader.links if "/+f/" in link.href]


class _LinkReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[Link] = []
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            given = dict(attrs)
            self.links.append(Link(given.get("href") or "", given.get("data-requires-python")))
            self._is_inside = True

    def handle_endtag(self, tag: str) -> None:
        self._is_inside = self._is_inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._is_inside:
            self.links[-1].text += data


# What may differ


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference on purpose, or one that cannot be helped."""

    reason: str
    adapt: Callable[[Facts], Facts]
    """Makes the facts of both servers such that it does not show."""


OUR_KEYS = {"acl_read", "acl_project_upload", "challenge", "strict_archives"}
NORMALISED = {"1.0.BETA2": "1.0b2"}


def _without_our_keys(facts: Facts) -> Facts:
    return {where: value for where, value in facts.items() if where[-1] not in OUR_KEYS}


def _without_the_age_of_root(facts: Facts) -> Facts:
    return {where: value for where, value in facts.items() if where != ("user", "root", "created")}


def _with_versions_normalised(facts: Facts) -> Facts:
    return {
        tuple(NORMALISED.get(part, part) for part in where): _normalised(where, value)
        for where, value in facts.items()
    }


def _normalised(where: tuple[str, ...], value: Any) -> Any:
    if where[0] == "own releases":
        return [NORMALISED.get(version, version) for version in value]
    if where[0] == "list":
        return re.sub("==(.+)", lambda found: f"=={NORMALISED.get(found[1], found[1])}", value)
    return NORMALISED.get(value, value) if where[-1] == "version" else value


def _without_redirects(facts: Facts) -> Facts:
    return {
        where: re.sub(r"(?m)^\*redirected.*\n", "", value) if where[0] == "list" else value
        for where, value in facts.items()
    }


def _with_links_by_kind(facts: Facts) -> Facts:
    kinds = ("releasefile", "doczip", "toxresult")
    return {
        where: sorted(value, key=lambda link: kinds.index(link[0]))
        if where[-1] == "+links"
        else value
        for where, value in facts.items()
    }


DIFFERENCES = (
    Difference("settings that only we have", _without_our_keys),
    Difference("root is as old as the directory it lives in", _without_the_age_of_root),
    Difference("versions are normalised, as installers do", _with_versions_normalised),
    Difference("links are told by kind, not as they came", _with_links_by_kind),
    Difference("any spelling of a project is answered at once", _without_redirects),
)


# Both side by side


@dataclass(frozen=True, slots=True)
class Moved:
    """The old server and the new one, both running, with everybody logged in.

    What was seen of them was seen before anybody changed anything.
    """

    before: Site
    after: Site
    seen_before: Facts
    seen_after: Facts
    told: str
    """What the import said."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """A devpi-server's directory, stopped, and what it has exported."""

    devpi: Devpi
    serverdir: Path
    dump: Path
    argon2: str
    """Where Python finds what checks the old passwords."""


@pytest.fixture(scope="module")
def dumped(tmp_path_factory: pytest.TempPathFactory) -> Dumped:
    devpi, folder = installed_devpi(), tmp_path_factory.mktemp("whole")
    serverdir, dump, terminal = folder / "devpi", folder / "dump", Terminal(folder / "home")
    terminal.must(devpi.command("devpi-init"), "--serverdir", serverdir, "--root-passwd", "rootpw")
    with devpi.running(serverdir) as url:
        site = Site(url, {})
        assert site.login("root", PASSWORDS["root"]) == 200
        fill(site)
    terminal.must(devpi.command("devpi-export"), "--serverdir", serverdir, dump)
    return Dumped(devpi, serverdir, dump, str(devpi.argon2(folder / "argon2")))


@pytest.fixture(scope="module")
def moved(dumped: Dumped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("moved")
    serverdir = folder / "data"
    told = _import(dumped, serverdir, dumped.argon2)
    # Unless it is told otherwise, ours lets nobody but root change and make indexes.
    as_theirs = "--restrict-modify="
    with (
        dumped.devpi.running(dumped.serverdir) as url,
        running(serverdir, dumped.argon2, as_theirs) as server,
    ):
        before, after = Site(url, {}), Site(server.url, {})
        seen_before, seen_after = (
            facts_of(site) | _listings(site, Terminal(folder / home))
            for site, home in ((before, "home-before"), (after, "home-after"))
        )
        _set_password(serverdir, "bob", NEW_PASSWORD)
        for user, password in PASSWORDS.items():
            assert before.login(user, password) == 200
            assert after.login(user, password or NEW_PASSWORD) == 200
        yield Moved(before, after, seen_before, seen_after, told)


def test_nothing_is_left_behind_but_a_password_that_was_empty(moved: Moved) -> None:
    assert "not taken: 1\n" in moved.told
    (line,) = (line for line in moved.told.splitlines() if line.startswith("not taken user"))
    assert "bob" in line
    assert "was empty" in line
    assert "simpleindex-server passwd bob" in line


def test_users_indexes_releases_history_pages_and_lists_are_as_before(moved: Moved) -> None:
    before, after = moved.seen_before, moved.seen_after
    assert len(before) > 10_000
    assert "pushed-one" in before["list", "alice/dev"]
    for difference in DIFFERENCES:
        adapted = difference.adapt(before), difference.adapt(after)
        assert adapted != (before, after), f"no longer true: {difference.reason}"
        before, after = adapted
    assert _differing(before, after) == {}


def test_every_file_has_its_bytes(moved: Moved) -> None:
    paths = {
        href
        for where, links in moved.seen_before.items()
        if where[0] == "release" and where[-1] == "+links"
        for _, href in links
    }
    assert len(paths) > 200
    for path in sorted(paths):
        old, new = (
            site.ask("GET", quote(path), accept="*/*") for site in (moved.before, moved.after)
        )
        assert (path, old.status) == (path, 200)
        assert (path, new) == (path, old)


@pytest.mark.parametrize("index", ["alice/dev", "bob/right"])
def test_pip_and_uv_get_the_same_files(index: str, moved: Moved, tmp_path: Path) -> None:
    for number, fetch in enumerate((_pip_downloads, _uv_installs)):
        found = []
        for name, site in (("before", moved.before), ("after", moved.after)):
            target = tmp_path / f"{number}-{name}"
            url = f"{site.url}/{index}/+simple/"
            fetch(Terminal(tmp_path / "home"), url, target, WANTED[index])
            found.append(listing(target))
        assert len(found[0]) >= len(WANTED[index])
        assert found[1] == found[0]


# Last: these change what there is.


def test_people_may_do_what_they_could_do(moved: Moved) -> None:
    before, after = (_tried(site) for site in (moved.before, moved.after))
    assert {status // 100 for status in before.values()} >= {2, 4}
    for attempt, (old, new, _) in RIGHTS_THAT_DIFFER.items():
        assert (before.pop(attempt), after.pop(attempt)) == (old, new)
    assert _differing(before, after) == {}


def test_old_passwords_fit_only_where_they_can_be_checked(dumped: Dumped, tmp_path: Path) -> None:
    """The other half, with argon2, is how everybody logs in to `moved`."""
    serverdir, without_argon2 = tmp_path / "data", _hiding_argon2(tmp_path / "hiding")
    told = _import(dumped, serverdir, without_argon2)
    for user in ("alice", "bob"):
        assert f"simpleindex-server passwd {user}" in told
    with running(serverdir, without_argon2) as server:
        site = Site(server.url, {})
        for user, password in product(("alice", "bob"), ("alicepw", "")):
            assert site.login(user, password) == 401
        told = server.wait_for_log("user alice cannot log in")
        assert "`simpleindex-server passwd alice`" in told
        _set_password(serverdir, "alice", "a-new-one-of-alice")
        assert site.login("alice", "a-new-one-of-alice") == 200


def test_an_empty_password_fits_nowhere(dumped: Dumped, tmp_path: Path) -> None:
    serverdir = tmp_path / "data"
    _import(dumped, serverdir, dumped.argon2)
    with running(serverdir, dumped.argon2) as server:
        site = Site(server.url, {})
        assert site.login("alice", PASSWORDS["alice"]) == 200
        assert [site.login(user, "") for user in PASSWORDS] == [401, 401, 401]
        _set_password(serverdir, "bob", NEW_PASSWORD)
        assert site.login("bob", NEW_PASSWORD) == 200
        assert site.login("bob", "") == 401


WANTED = {
    "alice/dev": ("plain", "needy", "UPPER==2.0+local.1", "Pushed.One", "again", "Old.Name"),
    "bob/right": ("da-sh==1!3.0", "x", "Zope.Thing>=1.1"),
}
RIGHTS_THAT_DIFFER: Mapping[tuple[str, ...], tuple[int, int, str]] = {
    ("remove", "bob/open", NOBODY): (200, 403, "removing needs a login"),
    ("remove by force", "bob/open", NOBODY): (404, 403, "the same; the old one has it no more"),
    ("make a user", NOBODY): (201, 403, "making users needs a login"),
}
"""The old status, the new one, and the reason, by what was tried."""


def _import(dumped: Dumped, serverdir: Path, path: str) -> str:
    ours("init", f"--serverdir={serverdir}", "--root-passwd=not-that-of-the-dump")
    words = ("import-devpi", str(dumped.dump), f"--serverdir={serverdir}")
    return ours(*words, path=path, exit_code=3)


def _set_password(serverdir: Path, user: str, password: str) -> None:
    file = serverdir.with_name("password")
    file.write_text(password, "utf-8")
    ours("passwd", user, f"--password-file={file}", f"--serverdir={serverdir}")


def _hiding_argon2(folder: Path) -> str:
    """A folder that makes Python find no argon2-cffi, installed or not."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['argon2'] = None\n")
    return str(folder)


def _listings(site: Site, terminal: Terminal) -> Facts:
    """What the real client's `list` prints."""
    client, told = program("devpi"), Facts()
    for index, projects in (("alice/dev", ["UPPER", "Pushed.One"]), ("bob/right", ["da-sh"])):
        terminal.must(client, "use", f"{site.url}/{index}")
        commands = [["list"], ["list", "-v", "--all"], ["list", "--ignore-bases"]]
        for command in [*commands, *(["list", "--all", project] for project in projects)]:
            said = terminal.must(client, *command).replace(site.url, "")
            told["list", " ".join([index, *command[1:]])] = said
    return told


def _pip_downloads(terminal: Terminal, url: str, target: Path, wanted: Sequence[str]) -> None:
    only_it = ["--isolated", "--no-cache-dir", "--index-url", url]
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet"]
    terminal.must(*pip, *only_it, "--dest", target, *wanted)


def _uv_installs(terminal: Terminal, url: str, target: Path, wanted: Sequence[str]) -> None:
    only_it = ["--no-config", "--no-cache", "--default-index", url]
    where = ["--python", sys.executable, "--target", str(target)]
    terminal.must(program("uv"), "pip", "install", "--quiet", *only_it, *where, *wanted)


def _tried(site: Site) -> Facts:
    """What became of all that everybody tried, everywhere."""
    found: Facts = {}
    a_file = {sent.index: sent.built for sent in all_files()}
    for index, caller in product(INDEXES, CALLERS):
        probe, prey = a_wheel(f"probe-{caller or 'nobody'}"), f"/{index}/{_prey_of(caller)}/"
        settings = {"description": f"changed by {caller}"}
        made = f"/{index.partition('/')[0]}/made-by-{caller or 'nobody'}"
        for attempt, answer in (
            ("upload", site.upload(index, probe, caller)),
            ("upload other bytes", site.upload(index, _changed(probe), caller)),
            ("send a result", _send_result(site, index, a_file[index], caller)),
            ("remove", site.ask("DELETE", prey, user=caller)),
            ("remove by force", site.ask("DELETE", f"{prey}?force", user=caller)),
            ("change the index", site.tell("PATCH", f"/{index}", settings, caller)),
            ("make another index", site.tell("PUT", made, {}, caller)),
        ):
            found[attempt, index, caller] = answer.status
    for caller in CALLERS:
        new_user = {"password": "of-the-new-user"}
        for attempt, answer in (
            ("make a user", site.tell("PUT", f"/new-of-{caller or 'nobody'}", new_user, caller)),
            ("change alice", site.tell("PATCH", "/alice", {"title": f"by {caller}"}, caller)),
        ):
            found[attempt, caller] = answer.status
    return found


def _changed(built: BuiltFile) -> BuiltFile:
    name = built.filename.partition("-")[0]
    return a_wheel(name, extra_files={f"{name}/change.txt": b""})


def _differing(before: Facts, after: Facts) -> dict[tuple[str, ...], tuple[Any, Any]]:
    absent = "(not there)"
    return {
        where: (before.get(where, absent), after.get(where, absent))
        for where in before.keys() | after.keys()
        if before.get(where, absent) != after.get(where, absent)
    }
