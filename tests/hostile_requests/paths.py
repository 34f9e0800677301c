"""Attacks on request targets, queries and methods."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tests.hostile_requests.attack import (
    POISON,
    Attack,
    Change,
    harmless,
    passed_over,
    refused,
    shown,
)
from tests.hostile_requests.doors import (
    DOORS,
    READS,
    Request,
    Takes,
    is_open_to_all_methods,
)

_NOT_THERE = (400, 404, 405)
"""Nothing is there; or nothing may be, where something would be made (400)."""

_ABOVE: Sequence[bytes] = [
    b"/..", b"/.", b"/%2e%2e", b"/%2E%2e", b"/.%2e", b"/%2e", b"/%252e%252e", b"/%25252e%25252e",
    b"/..%2f..", b"/..%252f..", b"/%2e%2e%2f%2e%2e", b"/%c0%ae%c0%ae", b"/%e0%80%ae%e0%80%ae",
    b"/%c0%af..", b"/..%c0%af", b"/..%5c..", b"/%5c%5chost%5cshare", b"/..%00", b"/%00", b"/%0a",
    b"/%0d%0aX-Injected:%201", b"/%1b[2J", b"/%7f", b"/%ff%fe", b"/%ed%a0%80", b"/%f4%90%80%80",
    b"/%EF%BC%8E%EF%BC%8E", b"/%E2%80%A4%E2%80%A4", b"/%E2%80%AE", b"/%E2%80%8B", b"/%F0%9F%90%8D",
    b"/%20", b"/%09", b"/con", b"/NUL", b"/com1.txt", b"/aux.", b"/C:", b"/C:%5cwindows", b"/~",
    b"/~root", b"/$HOME", b"/`id`", b"/{{7*7}}", b"/%24%7bjndi:x%7d", b"/;/", b"/..;",
    b"/%u002e%u002e", b"/file:", b"/%", b"/%2", b"/%zz", b"/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    b"/'%22%3E%3Cb%3E", b"/+f/..", b"/+f/%2e%2e%2f%2e%2e", b"/files/..", b"/etc/passwd",
    b"/proc/self/environ", b"/.git/config", b"/catalog.sqlite/..", b"/..%2fsecret",
    b"/.journal.jsonl",
]  # fmt: skip

_BELOW: Sequence[bytes] = [
    b"/..", b"/../", b"/.", b"/%2e%2e", b"/..%2f..%2f..%2f..%2fetc%2fpasswd",
    b"/..%252f..%252fetc%252fpasswd", b"/%2e%2e/%2e%2e/catalog.sqlite", b"/..%5c..%5csecret",
    b"%00", b"%00.html", b"%00/", b"%0a", b"%0d%0aX-Injected:%201", b"%1b[31m", b"%7f", b"%ff",
    b"%c0%af", b"%ed%a0%80", b".", b"%2e", b"...", b"%20", b"%09", b"%C2%A0", b"%E2%80%8B",
    b"%EF%BC%8E", b"::$DATA", b"%3a%3a$INDEX_ALLOCATION", b";x", b"%3bx", b"%3fx", b"%23x", b"~",
    b"~1", b"*", b"%2a", b"%", b"%zz", b"%25", b"%2500", b"|id", b"%3Cscript%3E", b"%22", b"'",
    b"/x%2fy", b"/%2f", b"//", b"%2f%2f", b"/+f/../../../secret", b"+", b"#x",
]  # fmt: skip

_BESIDE: Sequence[bytes] = [
    b".metadata.metadata",
    b".asc",
    b".provenance",
    b".provenance.metadata",
    b".lock",
]
"""What might lie beside a file, but does not."""

_BUT: Mapping[bytes, Sequence[str]] = {
    **dict.fromkeys((b"//", b"/%2f", b"%2f%2f", b"/x%2fy"), ("/",)),
    # Blanks around a version are none of it (PEP 440).
    **dict.fromkeys((b"%0a", b"%20", b"%09", b"%C2%A0"), ("VersionAt",)),
}
"""Where that makes another lawful URL, by URL or kind of location."""

_NOWHERE: Sequence[bytes] = [
    b"*", POISON + b":443", b"..", b"%", b"\\\\host\\share", b"+", b"/+unknown", b"/root/+login",
    b"/root/local/+api/x", b"/root/local/+status", b"/con/nul/", b"/root/local./", b"/root//local/",
    b"/root/local/+simple//demo/", b"/root/local/+simple/-demo/", b"/root/local/+simple/demo-/",
    b"/root/local/+f", b"/root/local/+f/", b"/root/local/+e/x",
    b"/root/local/+f/000/0000000000000/..%2f..%2fsecret", b"/root/local/+f/../../../secret/x",
    b"/root/local/+f/%2e%2e/x/y", b"/root/local/demo/1.0/x/y",
    b"/root/local/demo/1.0/+doc/..%2f..%2fsecret", b"/root/local/demo/1.0/+doc/%5c..%5csecret",
    b"/root/local/demo/1.0/+doc/C:%5csecret", b"/root/local/demo/latest%00/+doc/",
    b"/root/local/pypi/demo/json/x", b"/root/local/pypi/../json", b"/favicon.ico", b"/robots.txt",
    b"/.env", b"/.well-known/x", b"/_/oidc/audience", b"/r%C3%B6ot/local/",
    b"/root/local/%EF%BD%84emo/", b"/root/local/d%E2%80%AEemo/", b"/root/" + b"x" * 65,
    b"/root/local/%F0%9F%90%8D/", b"/root/+tokens/..%2fx", b"/root/+tokens/x%00",
    b"/catalog.sqlite", b"/secret/", b"/files/root/local/",
]  # fmt: skip

_NO_NAMES: Sequence[bytes] = [
    b"..", b".x", b"x.", b"-x", b"_x", b"con", b"NUL", b"com1.txt", b"LPT9", b"x" * 65, b"x" * 5000,
    b"x%20y", b"%20x", b"x%09", b"x%0ay", b"x%0d%0aX-Injected:%201", b"x%00", b"x%1b[2J", b"x%7f",
    b"%C3%A9", b"%EF%BD%98", b"x%E2%80%8B", b"%F0%9F%90%8D", b"x$", b"x;y", b"x:y", b"x|y", b"x*",
    b"x%3f", b"x%22", b"x'", b"%3Cscript%3Ealert(1)%3C%2Fscript%3E", b"x%5cy", b"x~", b"x%25",
    b"x%ff", b"x%ED%A0%80", b"(x)", b"x,y", b"x&y", b"x=y", b"x!", b"x%23", b"%2e%2e%5cx",
]  # fmt: skip

_UNREADABLE: Sequence[bytes] = [
    b"\xff", b"\xc3\xa9", b"\0", b" ", b"\t", b"\x1b[2J", b"\x7f", b"\x0b", b"\r", b"\x80",
]  # fmt: skip
"""No request line may hold them (RFC 9112, 3.2)."""

_METHODS: Sequence[bytes] = [
    b"FOO", b"TRACE", b"OPTIONS", b"CONNECT", b"PROPFIND", b"LOCK", b"MOVE", b"get", b"Post",
    b"delete", b"PRI", b"!#$%&", b"__proto__", b"X" * 10_000,
]  # fmt: skip

_NO_METHODS: Sequence[bytes] = [
    b"", b" ", b"G\0T", b"G(T", b"G\xffT", b"\x16\x03\x01", b"GET\t", b"<script>", b"G\x1b[2J",
]  # fmt: skip

_QUERIES: Sequence[bytes] = [
    b"%", b"%%", b"%zz", b"%ff", b"%00", b"%0d%0aX-Injected:%201", b"=", b"&" * 5000, b"=&" * 5000,
    b";" * 5000, b"?" * 100, b"#", b"q=%ff%fe", b"q=%ed%a0%80", b"q[]=1&q[$ne]=1",
    b"format=" + b"x" * 5000, b"format=%00", b"format=application/json", b"no_projects=%ff",
    b"ignore_bases=" + b"1" * 5000, b"x=" + b"a" * 20_000, b"q=<b>".replace(b"<", b"%3C"),
    b"q='%20OR%201=1--", b"limit=1&limit=2",
    b"&".join(b"p%d=1" % number for number in range(2_000)), b"q=" + b"%22" * 300, b"q=*",
    b"q=%25_%25",
]  # fmt: skip

_LIMITS: Sequence[bytes] = [
    b"-1", b"0", b"1.5", b"1e9", b"NaN", b"0x10", b"%D9%A1", b"%00", b"", b"9" * 5000,
    b"1" + b"0" * 5000, b"99999999999999999999", b"true", b"[]",
]  # fmt: skip


def paths() -> Iterator[Attack]:
    """Ways out of the store, and names that no disk could bear."""
    # Of `+api` there is one below whatever might be a user, as in devpi.
    but_api = tuple(door for door in DOORS if door.target != "/+api")
    for above in _ABOVE:
        change = _put_above(above)
        yield refused(f"path below {shown(above)}", change, *_NOT_THERE, doors=but_api)
    for below in _BELOW:
        but = _BUT.get(below, ())
        doors = [door for door in DOORS if door.target not in but and door.kind not in but]
        yield refused(f"path with {shown(below)}", _append(below), *_NOT_THERE, doors=doors)
    for beside in _BESIDE:
        doors = [door for door in DOORS if door.kind == "FileAt" and ".metadata" not in door.target]
        yield refused(f"path with {shown(beside)}", _append(beside), *_NOT_THERE, doors=doors)
    for odd in _UNREADABLE:
        yield refused(f"target with {shown(odd)}", _append(odd))
        yield refused(f"query with {shown(odd)}", _append_query(odd))
    for absolute in (b"http://" + POISON, b"https://user:pass@" + POISON, b"file://", b"ftp:/"):
        yield refused(f"target {shown(absolute)}", _put_above(absolute), *_NOT_THERE)
    for target in _NOWHERE:
        change = _target(target)
        yield refused(f"target {shown(target)}", change, *_NOT_THERE, 406, doors=_CERTAIN)


def names() -> Iterator[Attack]:
    """Names of users and indexes that are paths, markup, devices or nothing at all."""
    for name in _NO_NAMES:
        title = f"named {shown(name)}"
        yield refused(f"a user {title}", _target(b"/" + name), *_NOT_THERE, doors=_OF_USERS)
        yield refused(
            f"an index {title}", _target(b"/root/" + name), *_NOT_THERE, doors=_OF_INDEXES
        )
        by_odd = _target(b"/" + name + b"/x")
        yield refused(f"an index of a user {title}", by_odd, *_NOT_THERE, doors=_OF_INDEXES)


def spellings() -> Iterator[Attack]:
    """The same path in another spelling is the same path, or none."""
    for name, spell in (
        ("all letters encoded", _encoded),
        ("encoded slashes", lambda path: b"/" + path[1:].replace(b"/", b"%2f")),
        ("doubled slash", lambda path: b"/" + path),
        ("many slashes", lambda path: b"/" * 4000 + path),
        ("no slash", lambda path: path[1:]),
    ):
        yield harmless(f"path with {name}", _respelled(spell), 400, 404)


def long_paths() -> Iterator[Attack]:
    """Targets that are too long for anything."""
    sizes = (
        (300, _NOT_THERE, False), (8_000, _NOT_THERE, False), (64_000, (414,), True),
        (1_000_000, (414,), True),
    )  # fmt: skip
    for size_bytes, statuses, is_long in sizes:
        for name, letters in (
            ("a", b"a"), ("/a", b"/a"), ("/..", b"/.."), ("%2e%2e%2f", b"%2e%2e%2f"),
            ("%00", b"%00"),
        ):  # fmt: skip
            text = b"/" + letters * (size_bytes // len(letters))
            yield refused(
                f"{size_bytes:,} bytes of {name}", _append(text), *statuses, is_long=is_long
            )
    for size_bytes in (64_000, 1_000_000):
        text = b"x=" + b"a" * size_bytes
        yield refused(f"query of {size_bytes:,} bytes", _append_query(text), 414, is_long=True)


def queries() -> Iterator[Attack]:
    """Queries mean little to most doors, and junk nothing."""
    for query in _QUERIES:
        yield passed_over(f"query {shown(query)}", _append_query(query), doors=_ASKED)
    for key in (b"limit", b"offset"):
        for value in _LIMITS:
            text = key + b"=" + value
            yield passed_over(f"query {shown(text)}", _append_query(text), 400, doors=_ASKED)
    for text in (b"q=" + b"a" * 5000, b"q=" + b"a%20" * 500, b"q=" + b"%F0%9F%90%8D" * 600):
        yield refused(f"search {shown(text)}", _query(text), doors=_SEARCHES)
    for text in (
        b"",
        b"q",
        b"q=%ff",
        b"q=%00",
        b"q=%22",
        b"q=*",
        b"q=-",
        b"q=name:",
        b"q=name:%22%22",
    ):
        yield passed_over(f"search {shown(text)}", _query(text), 400, doors=_SEARCHES)


def methods() -> Iterator[Attack]:
    """Methods that there are not, and what is no method."""
    doors = [door for door in DOORS if not is_open_to_all_methods(door)]
    for method in _METHODS:
        # By whoever may do everything; so that what happens would be seen.
        yield refused(f"method {shown(method)}", _method(method), 405, doors=doors)
    for method in _NO_METHODS:
        yield refused(f"method {shown(method)}", _method(method), doors=doors)


_OF_USERS = tuple(door for door in DOORS if door.kind == "UserAt")
_OF_INDEXES = tuple(
    door
    for door in DOORS
    if door.kind == "IndexAt" and door.takes is not Takes.FORM and door.changes
)
_CERTAIN = tuple(door for door in DOORS if door.takes is Takes.NOTHING and door.method != "POST")
_SEARCHES = tuple(door for door in READS if door.kind == "SearchAt")
_ASKED = [*READS, *(door for door in DOORS if door.method == "POST")]
"""Doors of which some look at the query."""


def _put_above(above: bytes) -> Change:
    return lambda request: replace(request, target=above + request.target)


def _append(below: bytes) -> Change:
    def change(request: Request) -> Request:
        path, mark, query = request.target.partition(b"?")
        return replace(request, target=path + below + mark + query)

    return change


def _respelled(spell: Callable[[bytes], bytes]) -> Change:
    def change(request: Request) -> Request:
        path, mark, query = request.target.partition(b"?")
        return replace(request, target=spell(path) + mark + query)

    return change


def _encoded(path: bytes) -> bytes:
    return b"".join(b"/" if byte == 47 else b"%%%02x" % byte for byte in path)


def _append_query(query: bytes) -> Change:
    def change(request: Request) -> Request:
        mark = b"&" if b"?" in request.target else b"?"
        return replace(request, target=request.target + mark + query)

    return change


def _query(query: bytes) -> Change:
    return lambda request: replace(request, target=request.target.partition(b"?")[0] + b"?" + query)


def _target(target: bytes) -> Change:
    return lambda request: replace(request, target=target)


def _method(method: bytes) -> Change:
    return lambda request: replace(request, method=method)
