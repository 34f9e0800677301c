"""Every route, tried by everybody who might: what is refused changes nothing, and tells nothing.

The table below has a row for whatever the front door offers; a new route without one is a failure.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias, get_args
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from simpleindex.wire.locations import (
    AuthCheck,
    JsonAt,
    Location,
    Login,
    PagesAt,
    SearchAt,
    locate,
)
from simpleindex_storage.model import ApiToken, TokenAction, User
from simpleindex_storage.names import UserName
from tests.asgi import Answer
from tests.builders import (
    BuiltFile,
    a_multipart_body,
    a_wheel,
    a_zip,
    an_upload_body,
    upload_fields,
)
from tests.documents import TOX_RESULT, send_documentation, send_result
from tests.routes.sites import DEVPI, NOW, V1_JSON, Site, a_site, basic, elsewhere

TEXT = "text/html"

# Words that no answer has by chance, of one length.
SECRET, NEVER_THERE = "hushhush", "mumblemu"


@dataclass(frozen=True, slots=True)
class Place:
    """An index with one release in it, which has documentation; or one where it is not."""

    owner: str
    index: str
    wheel: BuiltFile
    documentation: BuiltFile

    @property
    def project(self) -> str:
        return self.wheel.filename.partition("-")[0]

    @property
    def words(self) -> Mapping[str, str]:
        """What URLs are made of."""
        return {
            "owner": self.owner,
            "index": self.index,
            "project": self.project,
            "file": _path(self.wheel),
            "zip": _path(self.documentation),
        }


def a_place(index: str, project: str = SECRET) -> Place:
    pages = a_zip({"index.html": f"<h1>{project}</h1>".encode()})
    documentation = BuiltFile(f"{project}-1.0.doc.zip", pages)
    return Place(index.partition("/")[0], index, a_wheel(project), documentation)


# What is sent

Sent: TypeAlias = tuple[str, bytes]
MakeBody: TypeAlias = Callable[[Place], Sent]


def some_json(**content: object) -> MakeBody:
    return lambda _: (DEVPI, json.dumps(content).encode())


def a_file(place: Place) -> Sent:
    return an_upload_body(a_wheel(place.project, "2.0"))


def a_registration(place: Place) -> Sent:
    fields = {":action": "submit", "name": place.project, "version": "3.0"}
    return "application/x-www-form-urlencoded", urlencode(fields).encode()


def a_registration_in_parts(place: Place) -> Sent:
    submit = upload_fields(a_wheel(place.project, "3.0"), **{":action": "submit"})
    return a_multipart_body(submit)


def some_documentation(place: Place) -> Sent:
    fields = [(":action", "doc_upload"), ("name", place.project), ("version", "1.0")]
    other = a_zip({"index.html": b"<h1>other</h1>"})
    return a_multipart_body(fields, ("content", place.documentation.filename, other))


def an_order(place: Place) -> Sent:
    target = f"{place.owner}/stable"
    return some_json(name=place.project, version="1.0", targetindex=target)(place)


def an_order_to_elsewhere(place: Place) -> Sent:
    """Of a release that is not there, so that nothing is sent to anywhere."""
    url = "http://127.0.0.1:9/"
    return some_json(name=place.project, version="9.9", posturl=url)(place)


# Who may do what

OK = 0
"""The answer that the row names."""

Answers: TypeAlias = Mapping[str, int]


def answers(text: str) -> Answers:
    """A line of the table below, by who is asking."""
    return dict(zip(WHO, [OK if word == "ok" else int(word) for word in text.split()], strict=True))


WHO = (
    "anybody", "stranger", "owner", "root",
    # Tokens of the owner: for all, for one of two, for another index, or for another project.
    "token", "read", "upload", "elsewhere", "other", "expired", "revoked",
    "stranger's token", "root's token",
)  # fmt: skip

#                   any str own root  tok read upl els oth exp rev  str root
OPEN = answers("    ok  ok  ok  ok    ok  ok  ok  ok  ok  ok  ok   ok  ok")
UPLOAD = answers("  401 403 ok  403   ok  403 ok  403 403 401 401  403 403")
RESULT = answers("  403 403 ok  403   ok  403 ok  403 403 403 403  403 403")
PUSH_OUT = answers("401 403 ok  ok    403 403 403 403 403 401 401  403 403")
TOKENS = answers("  401 403 ok  ok    403 403 403 403 403 401 401  403 403")
OWN = answers("     403 403 ok  ok    403 403 403 403 403 403 403  403 403")
ADMINS = answers("  403 403 403 ok    403 403 403 403 403 403 403  403 403")
LOGGED_IN = answers("403 ok ok  ok    403 403 403 403 403 403 403  403 403")


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked of the server."""

    method: str
    target: str
    right: Answers
    status: int = 200
    """The answer to those who may."""
    sends: MakeBody | None = None
    accept: str | None = None
    unrestricted: Answers | None = None
    """Who may if `restrict_modify` is empty; None: the same."""
    shows: str = ""
    """Of what it tells something: an `index` as a whole, or a `project`."""
    changes: bool = True

    def __str__(self) -> str:
        sends = getattr(self.sends, "__name__", "").replace("<lambda>", "")
        words = [kind(self.target), self.method, self.target, self.accept, sends]
        return " ".join(word for word in words if word)

    def answers(self, restricted: bool) -> Answers:
        return self.right if restricted or self.unrestricted is None else self.unrestricted


def reads(target: str, accept: str | None = None, shows: str = "", **more: Any) -> Route:
    return Route("GET", target, OPEN, accept=accept, shows=shows, changes=False, **more)


ROUTES: Sequence[Route] = [
    # The server
    reads("/"),
    reads("/", TEXT),
    reads("/", DEVPI),
    reads("/+status"),
    reads("/-/health"),
    reads("/-/health/live"),
    reads("/-/health/ready"),
    reads("/-/health/writable"),
    Route("GET", "/-/metrics", ADMINS, changes=False),
    reads("/+authcheck"),
    reads("/+api"),
    reads("/{owner}/+api"),
    reads("/{index}/+api"),
    Route(
        "POST", "/+login", OPEN, sends=some_json(user="alice", password="alicepw"), changes=False
    ),
    # Users
    reads("/{owner}", DEVPI),
    Route(
        "PUT", "/newcomer", ADMINS, 201, some_json(password="of-a-newcomer"), unrestricted=LOGGED_IN
    ),
    Route("PATCH", "/{owner}", ADMINS, sends=some_json(title="x"), unrestricted=OWN),
    Route("PATCH", "/{owner}", OWN, sends=some_json(password="another")),
    Route("DELETE", "/{owner}", ADMINS, unrestricted=OWN),
    Route("GET", "/{owner}/+tokens", TOKENS, changes=False),
    Route("POST", "/{owner}/+tokens", TOKENS, 201, some_json(name="more")),
    Route("DELETE", "/{owner}/+tokens/of-{owner}", TOKENS),
    # An index
    reads("/{index}/", shows="index"),
    reads("/{index}/", V1_JSON, "index"),
    reads("/{index}/", TEXT, "index"),
    reads("/{index}", DEVPI, "index"),
    reads("/{index}?no_projects=", DEVPI, "index"),
    reads("/{index}/+search?q=hush", shows="index"),
    Route("PUT", "/{owner}/new", ADMINS, 200, some_json(), unrestricted=OWN),
    Route("PATCH", "/{index}", ADMINS, 200, some_json(title="x"), unrestricted=OWN),
    Route("DELETE", "/{index}", ADMINS, 201, unrestricted=OWN),
    Route("POST", "/{index}/", UPLOAD, sends=a_file),
    Route("POST", "/{index}", UPLOAD, sends=a_file),
    Route("POST", "/{index}/", UPLOAD, sends=a_registration),
    Route("POST", "/{index}/", UPLOAD, sends=a_registration_in_parts),
    Route("POST", "/{index}/", UPLOAD, sends=some_documentation),
    Route("POST", "/{index}/legacy/", UPLOAD, sends=a_file),
    Route("POST", "/{index}", UPLOAD, sends=an_order),
    Route("PUSH", "/{index}", UPLOAD, sends=an_order),
    Route("PUSH", "/{index}", PUSH_OUT, 400, an_order_to_elsewhere, changes=False),
    reads("/{index}/+simple/", shows="index"),
    reads("/{index}/simple/", V1_JSON, "index"),
    Route("POST", "/{index}/+simple/", UPLOAD, sends=a_file),
    # A project
    reads("/{index}/+simple/{project}/", shows="project"),
    reads("/{index}/+simple/{project}/", V1_JSON, "project"),
    reads("/{index}/legacy/+simple/{project}/", shows="project"),
    Route(
        "POST",
        "/{index}/+simple/{project}/refresh",
        OPEN,
        302,
        shows="project",
        changes=False,
    ),
    reads("/{index}/{project}/", shows="project"),
    reads("/{index}/{project}", DEVPI, "project"),
    reads("/{index}/{project}?ignore_bases=", DEVPI, "project"),
    Route("PATCH", "/{index}/{project}", OWN, sends=some_json(**{"project-status": "archived"})),
    Route("DELETE", "/{index}/{project}", OWN),
    reads("/{index}/pypi/{project}/json", shows="project"),
    reads("/{index}/pypi/{project}/1.0/json", shows="project"),
    # A release
    reads("/{index}/{project}/1.0", DEVPI, "project"),
    Route("PATCH", "/{index}/{project}/1.0", OWN, sends=some_json(yanked=True)),
    Route("DELETE", "/{index}/{project}/1.0", OWN),
    reads("/{index}/{project}/1.0/+doc/", shows="project"),
    reads("/{index}/{project}/1.0/+d/index.html", shows="project"),
    reads("/{index}/{project}/latest/+doc/index.html", shows="project"),
    # A file, and what lies beside it
    reads("/{index}{file}", shows="project"),
    reads("/{index}{file}", DEVPI, "project"),
    reads("/{index}{file}.metadata", shows="project"),
    reads("/{index}{zip}", shows="index"),
    reads("/{index}{zip}", DEVPI, "index"),
    Route("POST", "/{index}{file}", RESULT, sends=some_json(**TOX_RESULT)),
    Route("DELETE", "/{index}{file}", OWN),
    Route("DELETE", "/{index}{zip}", OWN),
]

ALICES, BOBS = a_place("alice/dev"), a_place("bob/dev")
RESTRICTED = a_place("alice/secret")
WITHOUT_IT = a_place("alice/secret", NEVER_THERE)

EACH_ROUTE = pytest.mark.parametrize("route", ROUTES, ids=str)
EACH_WRITE = pytest.mark.parametrize(
    "route", [each for each in ROUTES if each.method != "GET"], ids=str
)
EACH_VIEW = pytest.mark.parametrize("route", [each for each in ROUTES if each.shows], ids=str)


def kind(target: str) -> str:
    """The name of the class that a URL of the table is parsed to."""
    return type(location(target)).__name__


def location(target: str) -> Location:
    found = locate(target.format_map(_WORDS).partition("?")[0])
    assert found is not None, target
    return found


def _path(built: BuiltFile) -> str:
    return f"/+f/{built.sha256[:3]}/{built.sha256[3:16]}/{built.filename}"


_WORDS = a_place("alice/dev").words


# Whoever asks


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends rows of the table to one site, each from an address of its own.

    Tokens that are no good count for their address; too many would be answered by a 429.
    """

    site: Site
    secrets: Mapping[str, str]
    """Of logins and tokens, by whose they are."""
    addresses: Iterator[int]

    def ask(
        self, route: Route, place: Place, who: str, method: str | None = None, **headers: str
    ) -> Answer:
        target = route.target.format_map(place.words)
        number = next(self.addresses)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= self.headers(who)
        content_type, body = route.sends(place) if route.sends is not None else ("", b"")
        if content_type:
            sent["content-type"] = content_type
        if route.accept is not None:
            sent["accept"] = route.accept
        peer = f"198.18.{number // 250}.{number % 250 + 1}"
        answer = self.site.ask(method or route.method, target, sent, body, peer=peer)
        assert answer.status < 500, f"{who}: {answer}"
        return answer

    def headers(self, who: str) -> dict[str, str]:
        if who not in self.secrets:
            assert who == "anybody", who
            return {}
        return {"authorization": basic(_user_of(who), self.secrets[who])}


def _user_of(who: str) -> str:
    return who if "'" not in who and ":" not in who else "__token__"


def by(who: str, place: Place) -> str:
    """From a column of the table to whose secret it is."""
    stranger = {"alice": "bob", "bob": "alice"}[place.owner]
    named = {"anybody": "anybody", "root": "root", "owner": place.owner, "stranger": stranger}
    tokens = {"stranger's token": f"{stranger}:token", "root's token": "root:token"}
    return named.get(who) or tokens.get(who) or f"{place.owner}:{who}"


TOKEN_LIMITS: Mapping[str, Mapping[str, Any]] = {
    "token": {},
    "read": {"actions": (TokenAction.READ,)},
    "upload": {"actions": (TokenAction.UPLOAD,)},
    "elsewhere": {"indexes": ("*/elsewhere",)},
    "other": {"projects": ("art",)},
    "its": {"projects": (SECRET,)},
    "here": {"indexes": ("alice/*",)},
    "expired": {"expires_at": NOW},
    "expires soon": {"expires_at": NOW + timedelta(seconds=1)},
}


@pytest.fixture(scope="module")
def furnished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to copy: what alice and bob have is alike, and each has all tokens.

    In alice/secret, which carol may read, is the same again.
    """
    folder = tmp_path_factory.mktemp("furnished") / "data"
    shutil.copytree(prepared, folder)
    with a_site(folder) as site:
        for name in ("bob", "carol"):
            _add_user(site, name)
        for place in (ALICES, BOBS):
            site.make_index(f"{place.owner}/stable", acl_upload=(place.owner,))
            _furnish(site, place, acl_toxresult_upload=(place.owner,))
        _furnish(site, RESTRICTED, acl_read=("carol",))
        for name in ("root", "alice", "bob", "carol"):
            _give_tokens(site, name)
    return folder


def _add_user(site: Site, name: str) -> None:
    site.change(lambda change: change.put_user(User(UserName(name), "no hash", 1, NOW)))


def _furnish(site: Site, place: Place, **settings: Any) -> None:
    site.make_index(place.index, acl_upload=(place.owner,), **settings)
    to = f"/{place.index}/"
    assert site.upload(place.wheel, to, by=place.owner).status == 200
    kept = send_documentation(site, place.documentation, to, by=place.owner, name=place.project)
    assert kept.status == 200
    assert send_result(site, f"/{place.index}{_path(place.wheel)}", by=place.owner).status == 200


def _give_tokens(site: Site, name: str) -> None:
    for what, limits in TOKEN_LIMITS.items():
        digest = sha256(_secret(name, what).encode()).hexdigest()
        token_id = f"of-{name}" if what == "expires soon" else f"{name}-{what}"
        _add_token(site, ApiToken(token_id, UserName(name), what, digest, NOW, **limits))


def _add_token(site: Site, token: ApiToken) -> None:
    site.change(lambda change: change.put_token(token))


def _secret(name: str, what: str) -> str:
    return f"sit_{name}-{what.replace(' ', '-')}"


@contextmanager
def an_asker(folder: Path, *, restricted: bool = True) -> Iterator[Asker]:
    with a_site(folder, restrict_modify=("root",) if restricted else ()) as site:
        users = ("root", "alice", "bob", "carol")
        secrets = {name: site.token(name) for name in users}
        # Of the one that is revoked, nothing is kept.
        for what in (*TOKEN_LIMITS, "revoked"):
            secrets |= {f"{name}:{what}": _secret(name, what) for name in users}
        yield Asker(site, secrets, count())


def kept(site: Site) -> tuple[object, ...]:
    """All that is stored, with users and tokens."""
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        users = seen.users()
        tokens = [token for user in users for token in seen.tokens(user.name)]
    return site.stored(), users, tokens


# The table itself


def test_every_kind_of_location_has_a_row() -> None:
    kinds = {each.__name__ for each in get_args(Location)}
    assert {kind(route.target) for route in ROUTES} == kinds


def test_every_method_of_every_location_has_a_row_and_no_row_is_of_the_past(
    open_to_all: Asker,
) -> None:
    offered = {
        (kind(route.target), method) for route in ROUTES for method in methods(open_to_all, route)
    }
    assert {(kind(route.target), route.method) for route in ROUTES} == offered


def methods(asker: Asker, route: Route) -> set[str]:
    """What the front door offers at the URL of a row."""
    opened = asker.site.app._opened
    assert opened is not None
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
    return set(opened.front._handlers(request, location(route.target)))


@pytest.fixture(scope="module", params=[True, False], ids=["restricted", "unrestricted"])
def refusing(
    request: pytest.FixtureRequest, furnished: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Asker, bool]]:
    """A site, and whether `restrict_modify` names root; nothing changes it."""
    folder = tmp_path_factory.mktemp("refusing") / "data"
    shutil.copytree(furnished, folder)
    with an_asker(folder, restricted=request.param) as asker:
        yield asker, request.param


@pytest.fixture(scope="module")
def open_to_all(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A site for what only reads."""
    folder = tmp_path_factory.mktemp("reading") / "data"
    shutil.copytree(furnished, folder)
    with an_asker(folder) as asker:
        asker.site.get("/+status")  # opens it
        yield asker


# What browsers may do with it


@EACH_ROUTE
def test_every_answer_says_what_a_browser_may_do(
    route: Route, refusing: tuple[Asker, bool], open_to_all: Asker
) -> None:
    answers = [refusing[0].ask(route, place, "anybody") for place in (RESTRICTED, WITHOUT_IT)]
    answers.append(refusing[0].ask(route, ALICES, "anybody", method="TRACE"))
    if route.method == "GET":
        answers += [open_to_all.ask(route, ALICES, "alice", method) for method in ("GET", "HEAD")]
        tag = answers[-1].header("etag")
        if tag is not None:
            answers.append(open_to_all.ask(route, ALICES, "alice", if_none_match=tag))
    is_open = isinstance(location(route.target), JsonAt | SearchAt)
    for answer in answers:
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "no-referrer"
        is_page = answer.status in (200, 304) and isinstance(location(route.target), PagesAt)
        framed = "SAMEORIGIN" if is_page else "DENY"
        assert answer.header("x-frame-options") == framed
        from_others = "cross-origin" if is_open or is_page else "same-origin"
        assert answer.header("cross-origin-resource-policy") == from_others
        policy = (answer.header("content-security-policy") or "").split("; ")
        if is_page:
            assert policy[0] == "sandbox allow-scripts"
            assert "connect-src 'none'" in policy
        else:
            assert policy[0] == "default-src 'none'"
            assert "frame-ancestors 'none'" in policy
            assert not [part for part in policy if "script" in part or "unsafe" in part]


@pytest.mark.parametrize("target", ["/nothing/is/here/at/all", "/%ff", "/+nothing", "//"])
def test_where_nothing_is_a_browser_may_do_nothing(target: str, open_to_all: Asker) -> None:
    answer = open_to_all.site.get(target)
    assert (answer.header("content-security-policy") or "").startswith("default-src 'none'")
    assert answer.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize("path", [_path(ALICES.wheel), _path(ALICES.documentation)])
def test_what_was_uploaded_is_downloaded_and_not_shown(path: str, open_to_all: Asker) -> None:
    answer = open_to_all.site.get(f"/alice/dev{path}")
    assert answer.status == 200
    assert "sandbox" in (answer.header("content-security-policy") or "").split("; ")
    is_plain = answer.header("content-type") == "application/octet-stream"
    assert is_plain or answer.header("content-disposition") == "attachment"


# What is told to nobody


@EACH_ROUTE
def test_no_answer_and_no_line_of_a_log_has_a_secret(
    route: Route,
    refusing: tuple[Asker, bool],
    open_to_all: Asker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    asker = open_to_all if route.method == "GET" else refusing[0]
    whoever = ["anybody", "bob", "alice:elsewhere", "alice:revoked"]
    if route.method == "GET":
        whoever += ["alice", "root"]
    told = [asker.ask(route, ALICES, who) for who in whoever]
    secrets = [*asker.secrets.values(), (asker.site.folder / "secret").read_text().strip()]
    secrets += [sha256(secret.encode()).hexdigest() for secret in secrets]
    with elsewhere(asker.site.folder) as store, store.catalog.snapshot() as seen:
        secrets += [user.password_hash for user in seen.users() if "$" in user.password_hash]
    assert len(secrets) > 50
    if isinstance(location(route.target), Login):
        secrets.remove(asker.secrets["alice"])  # it is what was asked for
    shown = caplog.text + "".join(f"{answer.headers} {answer.body!r}" for answer in told)
    assert [secret for secret in secrets if secret in shown] == []


# What pages of other sites let browsers send


@EACH_WRITE
def test_a_page_of_another_site_changes_nothing_with_the_password_that_a_browser_knows(
    route: Route, refusing: tuple[Asker, bool]
) -> None:
    asker, _ = refusing
    before = kept(asker.site)
    for origin in ("https://evil.example", "null"):
        for who in ("root", "alice"):
            answer = asker.ask(route, ALICES, who, origin=origin)
            assert answer.status == 403
            assert "a page of another site" in answer.line
    assert kept(asker.site) == before


# What is refused


@EACH_ROUTE
def test_whoever_may_not_is_refused_and_changes_nothing(
    route: Route, refusing: tuple[Asker, bool]
) -> None:
    asker, restricted = refusing
    expected = route.answers(restricted)
    asked = [(ALICES, who) for who in WHO if expected[who] != OK]
    asked += [(BOBS, who) for who in ("stranger", "anybody", "read") if expected[who] != OK]
    before = serial(asker.site), kept(asker.site) if asked else ()
    for place, who in asked:
        answer = asker.ask(route, place, by(who, place))
        assert answer.status == expected[who], f"{who} at {place.index}: {answer}"
        assert serial(asker.site) == before[0], who
    assert not asked or kept(asker.site) == before[1]


def serial(site: Site) -> str | None:
    """Of the last change, whatever it was."""
    return site.get("/+status").header("x-devpi-serial")


@EACH_ROUTE
def test_what_is_not_offered_is_refused_to_root_too(route: Route, open_to_all: Asker) -> None:
    if isinstance(location(route.target), AuthCheck):
        return  # a front server asks with the method that it was asked with
    offered = methods(open_to_all, route) | {"HEAD"}
    before = serial(open_to_all.site)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "PUSH", "OPTIONS", "BREW"):
        if method not in offered:
            answer = open_to_all.ask(route, ALICES, "root", method)
            assert answer.status == (404 if method == "POST" else 405), f"{method}: {answer}"
    assert serial(open_to_all.site) == before


# What is allowed


@pytest.mark.parametrize("restricted", [True, False], ids=["restricted", "unrestricted"])
@EACH_WRITE
def test_whoever_may_does_it(
    route: Route, restricted: bool, furnished: Path, tmp_path: Path
) -> None:
    if not restricted and route.unrestricted is None:
        return
    allowed = [who for who in WHO if route.answers(restricted)[who] == OK]
    assert allowed
    for number, who in enumerate(allowed):
        folder = tmp_path / str(number)
        shutil.copytree(furnished, folder)
        with an_asker(folder, restricted=restricted) as asker:
            before = kept(asker.site)
            answer = asker.ask(route, ALICES, by(who, ALICES))
            assert answer.status == route.status, f"{who}: {answer}"
            assert (kept(asker.site) != before) is route.changes, who


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method == "GET"], ids=str)
def test_whoever_may_read_it_does(route: Route, open_to_all: Asker) -> None:
    for who in WHO:
        if route.right[who] == OK:
            answer = open_to_all.ask(route, ALICES, by(who, ALICES))
            assert answer.status == route.status, f"{who}: {answer}"
            head = open_to_all.ask(route, ALICES, by(who, ALICES), "HEAD")
            assert head.status == answer.status, who


# What only some may read

NO_READERS = [
    "anybody", "bob", "bob:token", "bob:read", "carol:upload", "carol:elsewhere", "carol:other",
    "carol:expired", "carol:revoked", "alice:upload", "alice:elsewhere", "root:upload",
    "root:other",
]  # fmt: skip
READERS = ["carol", "alice", "root", "carol:token", "carol:read", "carol:here", "root:token"]
OF_ONE_PROJECT = "carol:its"
STRANGERS = [
    "anybody", "bob", "bob:token", "carol:upload", "carol:elsewhere", "carol:other",
    "alice:elsewhere", "root:upload",
]  # fmt: skip
"""Who may neither read nor change what is in it."""

OF_AN_INDEX = [each for each in ROUTES if each.shows or ("{index}" in each.target and each.changes)]
OF_THE_SERVER = [each for each in ROUTES if each not in OF_AN_INDEX]


@EACH_VIEW
def test_readers_see_it_and_nobody_else_does(route: Route, open_to_all: Asker) -> None:
    for method in {route.method, "HEAD"} if route.method == "GET" else {route.method}:
        for who in [*READERS, OF_ONE_PROJECT, *NO_READERS]:
            may = who in READERS or (who == OF_ONE_PROJECT and route.shows == "project")
            answer = open_to_all.ask(route, RESTRICTED, who, method)
            assert answer.status == (route.status if may else 403), f"{who}: {answer}"
            if not may:
                assert not tells(answer, route), who
                assert header_names(answer).isdisjoint({"etag", "location", "last-modified"})


@pytest.mark.parametrize("route", [each for each in OF_THE_SERVER if each.method == "GET"], ids=str)
def test_what_tells_of_the_server_and_of_users_tells_them_nothing_of_it(
    route: Route, open_to_all: Asker
) -> None:
    for who in STRANGERS:
        assert not tells(open_to_all.ask(route, RESTRICTED, who), route), who


@pytest.mark.parametrize("route", OF_AN_INDEX, ids=str)
def test_strangers_are_told_the_same_as_if_it_were_not_there(
    route: Route, open_to_all: Asker
) -> None:
    before = serial(open_to_all.site)
    for who in STRANGERS:
        told = open_to_all.ask(route, RESTRICTED, who)
        other = open_to_all.ask(route, WITHOUT_IT, who)
        assert told.status in (401, 403), f"{who}: {told}"
        assert neutral(told, RESTRICTED) == neutral(other, WITHOUT_IT), who
        assert not tells(told, route), who
    assert serial(open_to_all.site) == before


@EACH_VIEW
def test_front_servers_are_told_what_the_route_itself_says(
    route: Route, open_to_all: Asker
) -> None:
    check = reads("/+authcheck")
    for who in [*READERS, OF_ONE_PROJECT, *NO_READERS]:
        target = route.target.format_map(RESTRICTED.words)
        told = open_to_all.ask(check, RESTRICTED, who, x_original_uri=target).status
        assert (told < 400) is (open_to_all.ask(route, RESTRICTED, who).status < 400), who


def header_names(answer: Answer) -> set[str]:
    return {name for name, _ in answer.headers}


def names_it(route: Route) -> bool:
    """Whether the request names the project itself, so that the answer may repeat it."""
    _, body = route.sends(RESTRICTED) if route.sends is not None else ("", b"")
    return SECRET in route.target.format_map(RESTRICTED.words) or SECRET.encode() in body


def tells(answer: Answer, route: Route) -> bool:
    """Whether there is anything of the restricted index in it that was not in the request."""
    told = answer.body + json.dumps(answer.headers).encode()
    hidden = [RESTRICTED.wheel.sha256, RESTRICTED.documentation.sha256]
    if not names_it(route):
        hidden.append(SECRET)
    return any(word.encode() in told for word in hidden)


def neutral(answer: Answer, place: Place) -> tuple[int, str, str]:
    """An answer without what the request itself has named."""
    told = answer.text
    for word in (*map(_path, (place.wheel, place.documentation)), place.project):
        told = told.replace(word, "...")
    headers = [each for each in answer.headers if each[0] != "content-length"]
    return answer.status, told, json.dumps(headers).replace(place.project, "...")
