"""Where each search begins: inputs as clients send them, and the words that parsers look for."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from packaging.utils import canonicalize_name

from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.simple_page import PageFile, ProjectListPage, ProjectPage
from simpleindex_storage.model import ProjectStatus
from tests.bad_archives import BAD_ARCHIVES, DIST_INFO, GOOD_ARCHIVES
from tests.builders import (
    BuiltFile,
    a_multipart_body,
    a_wheel,
    an_sdist,
    core_metadata,
    record,
    upload_fields,
)
from tests.fuzz.archive_checks import RECORD_MEMBERS
from tests.fuzz.wire_checks import BOUNDARIES, HELD_BYTES_MAX

_SEED_BYTES_MAX = 20_000

_SLOW_TO_BUILD = ("bomb", "metadata-huge")

# Forms

_DISPOSITION = b"Content-Disposition: form-data; name="
FORM_TOKENS: Sequence[bytes] = (
    *(end + b"--" + boundary + more for boundary in BOUNDARIES for end in (b"", b"\r\n")
      for more in (b"", b"\r\n", b"--", b"--\r\n")),
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"--", b"-", b": ", b":", b";", b'"', b"\\", b" ", b"\0",
    _DISPOSITION + b'"n"\r\n\r\n', _DISPOSITION + b'"content"; filename="a.whl"\r\n\r\n',
    _DISPOSITION + b'"gpg_signature"; filename="a.asc"\r\n\r\n', b"filename*=utf-8''%C3%BC",
    b"Content-Transfer-Encoding: binary\r\n", b"Content-Type: text/plain\r\n", b"X-Header: 1\r\n",
    b'"content"', b"; filename=", b"\xc3\xbc", b"\xff",
)  # fmt: skip


def forms() -> Sequence[bytes]:
    """Bodies behind the bytes that say how they are cut up."""
    quoting = b"".join(b"\r\n--" + boundary[:-1] for boundary in BOUNDARIES) + b"\r\n\r\r\n-"
    found = []
    for at, boundary in enumerate(BOUNDARIES):
        said = [(":action", "file_upload"), ("name", "demo"), ("summary", "\u00fc\r\n-\r\n")]
        for content in (b"", b"PK\3\4", quoting):
            _, body = a_multipart_body(
                said, ("content", "demo-1.0.zip", content), boundary=boundary.decode()
            )
            head = bytes([at, len(content) % 251, at])
            found += [head + body, head + b"\r\n" + body + b"\r\nmore"]
        found.append(bytes([at, 7, 7]) + b"--" + boundary + b"--")
    large = ("content", "a.zip", bytes(2 * HELD_BYTES_MAX))
    return [*found, b"\0\0\0" + a_multipart_body([], large, boundary=BOUNDARIES[0].decode())[1]]


FIELD_TOKENS: Sequence[bytes] = (
    b"\n", b"=", b":action=file_upload", b"protocol_version=1", b"name=", b"version=", b"UNKNOWN",
    b"filetype=sdist", b"filetype=bdist_wheel", b"sha256_digest=", b"md5_digest=", b"0" * 32,
    b"blake2_256_digest=", b"classifiers=", b"keywords=", b"license_files=", b"description=", b" ",
    b"1B2M2Y8AsgTpgAmY7PhCfg==",
)  # fmt: skip


def form_fields() -> Sequence[bytes]:
    """A file's name, and a field a line."""
    return [_field_lines(built) for built in (a_wheel(), an_sdist(), an_sdist(format=".zip"))]


def _field_lines(built: BuiltFile) -> bytes:
    said = upload_fields(built, classifiers=["a", "b"], keywords=["x", "y"], description="long")
    return "\n".join([built.filename, *(f"{name}={value}" for name, value in said)]).encode()


# Headers and paths

_V1, _LATEST = b"application/vnd.pypi.simple.v1", b"application/vnd.pypi.simple.latest"
ACCEPT_TOKENS: Sequence[bytes] = (
    _V1 + b"+json", _V1 + b"+html", _LATEST + b"+json", _LATEST + b"+html", b"text/html", b"text/*",
    b"*/*", b"application/*", b"application/json", b"image/png", b",", b";", b"; q=", b";q=0",
    b";q=0.5", b";q=1.000", b";q=0.001", b";v=b3", b'"', b"\\", b" ", b"\t", b"*", b"\n", b"=",
    b"+", b"%2B", b"Q=", b"TEXT/HTML",
)  # fmt: skip


def accepts() -> Sequence[bytes]:
    """Accept, and in a second line `?format=`."""
    return [
        b"text/html", b"*/*", b"", b"application/json, */*;q=0.5",
        _V1 + b"+json, " + _V1 + b"+html; q=0.1, text/html; q=0.01",
        b"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
        b"text/html, image/gif, *; q=.2, */*; q=.2", b"text/html;q=0, */*",
        _LATEST + b"+html;q=0.5, " + _V1 + b"+html;q=0.4, text/*;q=0.3",
        b"text/html\n" + _V1 + b"+json", b"image/png\n" + _LATEST + b"+html",
        b'text/html;a="x, ' + _V1 + b'+json"',
    ]  # fmt: skip


ENCODING_TOKENS: Sequence[bytes] = (
    b"gzip", b"x-gzip", b"identity", b"*", b"br", b",", b";q=0", b";q=0.5", b";q=1", b" ", b"GZIP",
)  # fmt: skip


def accept_encodings() -> Sequence[bytes]:
    """Accept-Encoding."""
    return [b"gzip, deflate, br", b"identity", b"*;q=0", b"gzip;q=0.5, identity", b"x-gzip", b""]


RANGE_TOKENS: Sequence[bytes] = (
    b"bytes=", b"-", b"0", b"9", b"20", b"99999999999999999999", b",", b" ", b"\n", b'"an-etag"',
    b'W/"an-etag"', b"\t", b"BYTES=", b"none=",
)  # fmt: skip


def ranges() -> Sequence[bytes]:
    """The size of a file, Range, and in a second line If-Range."""
    said = [b"bytes=0-9", b"bytes=-5", b"bytes=5-", b"bytes=30-", b"bytes=0-1,3-4", b"bytes=7-3"]
    if_range = [b'\x14bytes=0-9\n"an-etag"', b'\x14bytes=0-9\nW/"an-etag"', b'\x14bytes=0-9\n"x"']
    return [*(b"\x14" + each for each in said), *if_range, b"\x14bytes=-0", b"\0bytes=0-"]


TAG_TOKENS: Sequence[bytes] = (b'"a"', b'W/"a"', b'"', b",", b", ", b"*", b"\n", b"W/", b" ")


def tags() -> Sequence[bytes]:
    """Our tag, and If-None-Match."""
    return [b'a\n"a"', b'a\nW/"a"', b'a\n"b", "a"', b"a\n*", b'a,b\n"a,b"', b'a\n"b"', b'a\n"b, a"']


LOGIN_TOKENS: Sequence[bytes] = (
    b"Basic ", b"basic", b"Bearer ", b"\n", b" ", b"=", b"==", b"cm9vdDpzZWNyZXQ=", b"Og==",
    b"/++/", b"-_-_", b"\t",
)  # fmt: skip


def authorizations() -> Sequence[bytes]:
    """Authorization, and in a second line X-Devpi-Auth."""
    basic = [b"Basic cm9vdDpzZWNyZXQ=", b"basic Og==", b"Basic /PzvOvw=", b"Bearer cm9vdDpz"]
    return [*basic, b"Basic cm9vdDpz\ncm9vdDpzaTEuYWJj", b"\ncm9vdDpzaTEuYWJj"]


PATH_TOKENS: Sequence[bytes] = (
    b"/", b"//", b"+simple", b"simple", b"+f", b"+api", b"+login", b"legacy", b"..", b".", b"0a1",
    b".metadata", b"root", b"demo-1.0.zip", b"\\", b"\0", b"%2e", b"+",
)  # fmt: skip


def paths() -> Sequence[bytes]:
    """Paths, decoded."""
    below = (
        "", "/", "/+simple", "/+simple/", "/+simple/demo/", "/simple/demo", "/legacy/", "/demo/1.0",
        "/+f/0a1/23456789abcde/demo-1.0.zip", "/+f/0a1/23456789abcde/demo-1.0.zip.metadata",
        "/+api", "/../x", "/demo/", "/+f/0a1/2/..",
    )  # fmt: skip
    return [b"/", b"/+login", b"/+api", b"/root", *(f"/root/dev{each}".encode() for each in below)]


# Names

NAME_TOKENS: Sequence[bytes] = (
    b"-", b"_", b".", b"+", b"!", b"1.0", b".whl", b".tar.gz", b".zip", b"py3-none-any", b"1-",
    b"rc1", b"+cpu", b"..", b"/", b"@", b"con", b"nul.", b"COM1", b"\xc5\xbf", b"\xe2\x84\xaa",
    b"\xd9\xa1", b"demo", b".post1", b".dev0", b"1!", b"v", b"manylinux_2_17_x86_64", b"0",
)  # fmt: skip


def file_names() -> Sequence[bytes]:
    """Of wheels and sdists, in new and old spellings."""
    return [
        b"demo-1.0-py3-none-any.whl", b"demo-1.0-1-py2.py3-none-any.whl", b"demo-1.0.tar.gz",
        b"PyYAML-5.4.1-cp36-cp36m-manylinux1_x86_64.whl", b"my.demo-1.0rc1.zip",
        b"demo-1!1.0+cpu.1-cp311-cp311-linux_x86_64.whl", b"demo-1.0.post1.dev2.tar.gz",
    ]  # fmt: skip


def plain_names() -> Sequence[bytes]:
    """Of users, indexes, projects, and versions."""
    return [b"root", b"root/dev", b"me@site", b"My.Demo_pkg", b"1!1.0rc1.post2.dev3+cpu.1", b"v1"]


# JSON

JSON_TOKENS: Sequence[bytes] = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"false", b"0", b"-1", b"1e999",
    b"NaN", b"1.5", b'"\\ud800"', b'"type"', b'"mirror"', b'"stage"', b'"bases"', b'"a/b,c/d"',
    b'"volatile"', b'"yes"', b'"yanked"', b'"project-status"', b'"archived"', b'"reason"',
    b'"password"', b'"user"', b'"mirror_url"', b'"https://x"', b'"acl_upload"', b'":ANONYMOUS:"',
    b'"mirror_cache_expiry"', b'"custom_data"', b"[[[[[[[[", b"9" * 5000, b"\xef\xbb\xbf",
)  # fmt: skip


def json_bodies() -> Sequence[bytes]:
    """What devpi-client sends, and marks."""
    mirror = {"type": "mirror", "mirror_url": "https://x/", "mirror_cache_expiry": "600"}
    stage = {"type": "stage", "bases": "a/b,c/d", "volatile": "False", "acl_upload": ["root"]}
    said: tuple[object, ...] = (
        {"user": "root", "password": "secret"}, {"password": "secret", "email": "a@b"}, mirror,
        stage, {"bases": ["a/b"], "mirror_whitelist": "*", "title": "x"}, {"yanked": True},
        {"yanked": "broken"}, {"project-status": "archived", "reason": "old"}, {}, [],
    )  # fmt: skip
    odd = [b'{"yanked": NaN}', b'{"user": "\\ud800"}', b'{"title": ' + b"[" * 40 + b"]" * 40 + b"}"]
    return [*(json.dumps(each).encode() for each in said), *odd]


# Pages of other indexes

UPSTREAM_JSON_TOKENS: Sequence[bytes] = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"false", b"-1", b"1e999", b"NaN",
    b'"\\ud800"', b"9" * 5000, b"[" * 2000, b'"files": ', b'"filename": ', b'"url": ', b'"meta": ',
    b'"hashes": ', b'"sha256": ', b'"' + b"a" * 64 + b'"', b"demo-1.0.zip", b"http://", b"//", b"@",
    b"\\u0000", b"#", b"?", b"%", b"../", b"\\", b" ", b"\n", b"\xff", b"\xef\xbb\xbf", b'"2.0"',
    b'"api-version": "1.0"', b'"projects": ', b'{"name": "a"}', b'"2024-01-01T00:00:00Z"',
    b'"0001-01-01T00:00:00+01:00"',
)  # fmt: skip
UPSTREAM_HTML_TOKENS: Sequence[bytes] = (
    b"<a ", b"<a href='demo-1.0.zip'>", b"</a>", b"<base href='", b"<meta name='pypi:", b">", b"'",
    b'"', b"&#", b"&#0;", b"&lt;", b"<!--", b"-->", b"<![", b"<?", b"</", b"<script>", b"</html>",
    b"<html>", b"<title>", b"</title>", b"Links for", b"Simple index", b"#sha256=", b"\0", b"\xff",
    b" data-yanked", b" data-requires-python=", b" data-core-metadata='true'", b"http://", b"//",
    b"@", b"%2f", b"../", b"?", b"repository-version' content='1.0'>", b"2.0", b"\xc3\xbc", b"a",
)  # fmt: skip


def _upstream_page() -> ProjectPage:
    """A page with all that a page can say."""
    hashes = {"sha256": "0123456789abcdef" * 4}
    wheel = PageFile(
        "demo-1.0-py3-none-any.whl",
        "https://files.example/a%20b/demo-1.0-py3-none-any.whl?x=1",
        hashes,
        size_bytes=1234,
        uploaded_at=datetime(2024, 5, 6, 7, 8, 9, 120, UTC),
        requires_python=">=3.8,<4",
        metadata=hashes,
        yanked="a <b>",
        gpg_sig=True,
        provenance="https://index.example/provenance",
    )
    sdist = PageFile("demo-1.0.tar.gz", "../../+f/012/3/demo-1.0.tar.gz", {"md5": "0" * 32})
    return ProjectPage(
        canonicalize_name("demo"),
        (wheel, sdist),
        ("0.9", "1.0"),
        ProjectStatus.DEPRECATED,
        "use another",
        serial=7,
    )


def upstream_json_pages() -> Sequence[bytes]:
    """Pages of the project demo, good and bad."""
    entry = {"filename": "Demo-1.0.zip", "url": "//u:p@other.example/x", "yanked": True}
    page = {"meta": {"api-version": "1.0"}, "files": [entry, entry, None, {}], "versions": [1, "2"]}
    return [simple_json.render_project(_upstream_page()), json.dumps(page).encode(), b"{}", b"[]"]


def upstream_html_pages() -> Sequence[bytes]:
    """The same as HTML."""
    digest = b"0123456789abcdef" * 4
    link = b"<a href=b/demo-1.0.zip#sha256=" + digest + b" data-yanked>x</a><a href=/2>demo-2.zip"
    return [
        simple_html.render_project(_upstream_page()),
        b"<base href='https://other.example/a/'>" + link,
        b"<title>Links for demo</title><!-- nothing -->",
        b"<title>Log in</title>",
    ]


def upstream_json_lists() -> Sequence[bytes]:
    """A byte for the length of the pieces, and a list."""
    page = ProjectListPage({canonicalize_name(name): 7 for name in ("a", "b-c")}, serial=7)
    odd = b'\x04 { "x" : [1.5, "y"] , "projects" : [ {"name": "A_b"} , 1 , {"name": "/"} ] } '
    return [b"\0" + simple_json.render_list(page), odd, b"\0{}", b"\x01[]"]


def upstream_html_lists() -> Sequence[bytes]:
    """The same as HTML."""
    page = ProjectListPage({canonicalize_name(name): 7 for name in ("a", "b-c")}, serial=7)
    odd = b"\x04<!-- x --><a href=a>A_b</a><a>d &amp; e</a><A>f/</A>"
    return [b"\0" + simple_html.render_list(page), odd, b"\0<html>", b"\x01Log in"]


# Archives

ARCHIVE_TOKENS: Sequence[bytes] = (
    b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08", b"\1\0", b"\x75\x70",
    b"/", b"../", b"\\", b"\0", b"./", b"C:", b"demo/", b"demo-1.0.dist-info/", b"METADATA",
    b"RECORD", b"WHEEL", b"entry_points.txt", b"PKG-INFO", b"demo-1.0/", b"\x1f\x8b\x08",
    b"ustar\0",
    b"ustar  \0", b"\xff\xff\xff\xff", b"\xc3\xbc", b"\xff", b"20 path=demo-1.0/y.py\n",
)  # fmt: skip


def zips() -> Sequence[bytes]:
    """Wheels, good and bad."""
    return [content for content in _archives() if not content.startswith(b"\x1f\x8b")]


def tars() -> Sequence[bytes]:
    """Sdists, good and bad."""
    return [content for content in _archives() if content.startswith(b"\x1f\x8b")]


@cache
def _archives() -> Sequence[bytes]:
    good = [build().content for build in GOOD_ARCHIVES]
    bad = [bad.build().content for bad in BAD_ARCHIVES if bad.rule not in _SLOW_TO_BUILD]
    return [content for content in good + bad if len(content) <= _SEED_BYTES_MAX]


# What lies in archives

METADATA_TOKENS: Sequence[bytes] = (
    b"Metadata-Version: 2.1\n", b"Name: demo\n", b"Version: 1.0\n", b"Requires-Dist: ", b"\n\n",
    b"Requires-Python: >=3.8\n", b"License-Expression: MIT\n", b"License-File: LICENSE\n", b"\r\n",
    b"\r", b"\n", b" ", b"\t", b":", b"\n ", b"\xef\xbb\xbf", b"\xff", b"\0", b"=?utf-8?q?x?=",
    b"Content-Type: multipart/mixed; boundary=b\n", b"From demo\n", b"Wheel-Version: 1.0\n",
    b"Wheel-Version: 2.0\n", b"Tag: py3-none-any\n", b"Build: 1\n", b"\x0b", b"\x0c", b"\x1c",
    b"\xc2\x85", b"\xe2\x80\xa8", b"(", b">=1", b"; extra == 'x'", b" @ https://x/", b"UNKNOWN",
    b"Dynamic: Name\n", b"Description: x\n        |y\n",
)  # fmt: skip


def metadata() -> Sequence[bytes]:
    """METADATA, as tools write it."""
    needed = ["a>=1", "b[c]; python_version < '3'", "d @ https://x/d.whl"]
    more = [("License-Expression", "MIT OR Apache-2.0"), ("License-File", "LICENSE")]
    return [
        core_metadata(),
        core_metadata(requires_python=">=3.8", requires_dist=needed, description="A\n\ntext\n"),
        core_metadata(headers=[("Keywords", "a,b"), ("Classifier", "x"), ("Classifier", "y")]),
        core_metadata(headers=more).replace(b"2.1", b"2.4"),
        core_metadata().replace(b"\n", b"\r\n"),
        core_metadata(headers=[("Summary", "caf\u00e9")]).decode().encode("latin-1"),
    ]


def wheel_files() -> Sequence[bytes]:
    """WHEEL."""
    usual = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return [usual, usual + b"Build: 1\n\n", usual.replace(b"1.0", b"2.0"), b"", usual[::-1]]


ENTRY_POINT_TOKENS: Sequence[bytes] = (
    b"[console_scripts]\n", b"[gui_scripts]\n", b"[x]\n", b"[", b"]", b"=", b"\n", b"#", b";", b" ",
    b"demo = demo:main\n", b"../x = demo:main\n", b"/", b"\\", b"..", b"\t", b"\x0b", b"\x1c", b":",
    b"\xe2\x80\xa8", b"\r",
)  # fmt: skip


def entry_points() -> Sequence[bytes]:
    """entry_points.txt."""
    return [
        b"[console_scripts]\ndemo = demo:main\n",
        b"# text\n[a.group]\nx = y:z [extra]\n\n[gui_scripts]\ndemo-gui=demo.gui:main\n",
        b"[console_scripts]\n../x = demo:main\n",
        b"; text\n[ console_scripts ]\n a = b:c\n",
    ]


RECORD_TOKENS: Sequence[bytes] = (
    b",", b"\n", b"\r\n", b'"', b'""', b"sha256=", b"sha384=", b"md5=", b"=", b"../x,,\n", b"\\",
    b"demo/__init__.py", b'"demo/a,b.py"', f"{DIST_INFO}/RECORD,,\n".encode(), b"/", b"\r", b"\0",
    b"\xff", b",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n", b"demo/lost.py,,\n", b" ",
)  # fmt: skip


def records() -> Sequence[bytes]:
    """The RECORD of the members that it is compared with, and others."""
    listed = {name: content for name, content in RECORD_MEMBERS.items() if "RECORD" not in name}
    right = record(listed, DIST_INFO).replace(b"demo/a,b.py", b'"demo/a,b.py"')
    wrong = record(listed | {"demo/__init__.py": b"other"}, DIST_INFO)
    return [right, right.replace(b"\n", b"\r\n"), wrong, right + b"demo/lost.py,,\n", b""]
