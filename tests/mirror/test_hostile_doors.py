"""Names that are paths, asked of a mirror: refused here, and nothing of them gets to an upstream.

What a name may be is in the URL that an upstream is asked at; so it must be one word of it.
"""

import re
from collections.abc import Iterator, Sequence

import pytest

from tests.builders import a_wheel
from tests.hostile_requests.talking import Answer, Line
from tests.mirror.sites import MirrorSite

WHEEL = a_wheel("demo", "1.0")

PROJECTS: Sequence[str] = [
    "..", ".", "%2e%2e", "%2E%2e", "%252e%252e", "%25252e%25252e", "..%2fsecret",
    "..%2f..%2fsecret", "%2e%2e%2f%2e%2e%2fsecret", "..%252f..%252fsecret", "..%5c..%5csecret",
    "..%255csecret", "%5c%5chost%5cshare", "C:%5csecret", "demo%2f..%2f..%2fsecret", "%2fdemo",
    "demo%252f", "demo%5c", "demo%00", "%00", "demo%00.html", "demo%2500", "demo%3fx=y",
    "demo%253fx", "demo%23x", "demo;x", "demo%3bx",
    "demo%0d%0aX-Injected:%201", "demo%0a", "demo%20", "%20demo", "demo%09", "demo%25",
    "demo%", "demo%zz", "@poisoned.example", "demo@poisoned.example", "http:%2f%2fpoisoned.example",
    "%2f%2fpoisoned.example", "%c0%ae%c0%ae", "..%c0%afsecret", "%ff", "%ed%a0%80", "d%D0%B5mo",
    "%EF%BC%8E%EF%BC%8E", "%EF%BD%84emo", "demo%E2%80%8B", "-demo", "demo-", ".demo", "demo.", "_",
    "demo*", "de+mo", "%7e", "$HOME", "%2e" * 3000,
]  # fmt: skip
"""As they stand in a path; no project has such a name."""

DOORS = (
    ("GET", "/{index}/+simple/{name}/", "*/*"),
    ("GET", "/{index}/+simple/{name}", "*/*"),
    ("GET", "/{index}/{name}/", "*/*"),
    ("GET", "/{index}/{name}", "application/json"),
    ("GET", "/{index}/{name}/1.0", "application/json"),
    ("GET", "/{index}/pypi/{name}/json", "*/*"),
    ("GET", "/{index}/pypi/{name}/1.0/json", "*/*"),
    ("POST", "/{index}/+simple/{name}/refresh", "*/*"),
)

FILENAMES: Sequence[str] = [
    f"..%2f{WHEEL.filename}", f"..%252f{WHEEL.filename}", f"..%5c{WHEEL.filename}",
    f"%2e%2e%2f%2e%2e%2f{WHEEL.filename}", f"%2f{WHEEL.filename}",
    f"{WHEEL.filename}%2f..%2fsecret",
    f"{WHEEL.filename}%00", f"{WHEEL.filename}%00.metadata", f"{WHEEL.filename}%2500",
    f"{WHEEL.filename}%3fx=y", f"{WHEEL.filename}%23x", f"{WHEEL.filename}%0d%0aX-Injected:%201",
    f"{WHEEL.filename}%20", f"{WHEEL.filename}.metadata.metadata",
    f"{WHEEL.filename}%2emetadata%2f",
    "..", "%2e%2e", "%00", "..%2fsecret-1.0.tar.gz", "%2e%2e%2fsecret-1.0.tar.gz", "-1.0.tar.gz",
    "..-1.0.tar.gz", "demo-..%2f..%2fsecret.tar.gz", "demo-1.0%2f..%2fsecret.tar.gz",
    "http:%2f%2fpoisoned.example%2fdemo-1.0.tar.gz", "demo%2f-1.0.tar.gz", "demo%5c-1.0.tar.gz",
    "demo%00-1.0.tar.gz", "d%D0%B5mo-1.0.tar.gz", "%ff-1.0.tar.gz",
    "demo-1.0-py3-none-..%2fany.whl",
    "demo-" + "9" * 300 + ".tar.gz", "a" * 20_000 + "-1.0.tar.gz", "C:demo-1.0.tar.gz",
]  # fmt: skip

PREFIXES: Sequence[str] = [
    "..", "%2e%2e", "..%2f..", "%00", WHEEL.sha256[:3] + "%2f..", "..%5c..", "zzz", "%252e%252e",
]  # fmt: skip
"""In place of the first letters of a file's digest."""


@pytest.fixture(params=["mirror", "stage above it"])
def index(request: pytest.FixtureRequest, site: MirrorSite) -> str:
    """An index that shows what upstream has."""
    return site.index if request.param == "mirror" else site.make_stage()


def test_names_of_projects_that_are_paths_never_get_to_an_upstream(
    site: MirrorSite, index: str
) -> None:
    faults = []
    with Line(site.server.port) as line:
        for name in PROJECTS:
            for method, path, accept in DOORS:
                target = path.format(index=index, name=name)
                answer = asked(line, method, target, accept)
                if not 400 <= answer.status < 500:
                    faults.append(f"{method} {target[:100]}: {answer.status}")
    assert not faults
    assert not site.upstream.requests.paths()


def test_names_of_files_that_are_paths_never_get_to_an_upstream(
    site: MirrorSite, index: str
) -> None:
    site.upstream.add(WHEEL)
    good = site.file_url("demo", WHEEL.filename, index=index)
    folder = good.removeprefix(site.server.url).rpartition("/")[0]
    before = site.upstream.requests.paths()
    faults = []
    with Line(site.server.port) as line:
        for target in targets_of_files(folder):
            for method in ("GET", "HEAD"):
                answer = asked(line, method, target)
                if not 400 <= answer.status < 500:
                    faults.append(f"{method} {target[:100]}: {answer.status}")
    assert not faults
    assert not set(site.upstream.requests.paths()) - set(before)
    assert site.get(good).content == WHEEL.content


def targets_of_files(folder: str) -> Iterator[str]:
    """Files, and what lies beside them, below a folder that a page links to and below others."""
    top, first, second = folder.rsplit("/", 2)
    for filename in FILENAMES:
        yield f"{folder}/{filename}"
        yield f"{folder}/{filename}.metadata"
    for prefix in PREFIXES:
        yield f"{top}/{prefix}/{second}/{WHEEL.filename}"
        yield f"{top}/{first}/{prefix}/{WHEEL.filename}"


@pytest.mark.parametrize("length", [200, 300, 5000, 20_000])
def test_the_page_of_a_project_with_a_long_name_is_all_that_an_upstream_is_asked_for(
    length: int, site: MirrorSite, index: str
) -> None:
    name = "a" * length
    with Line(site.server.port) as line:
        for method, path, accept in DOORS:
            answer = asked(line, method, path.format(index=index, name=name), accept)
            assert answer.status in (302, 404, 414), (path, answer.status)
        folder = f"/{index}/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}"
        assert asked(line, "GET", f"{folder}/{name}-1.0.tar.gz").status == 404
    assert set(site.upstream.requests.paths()) <= {f"/simple/{name}/"}


def asked(line: Line, method: str, target: str, accept: str = "*/*") -> Answer:
    """Send a request whose target no HTTP library touches."""
    assert re.fullmatch("[!-~]+", target)
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n"
    return line.ask(f"{head}Content-Length: 0\r\n\r\n".encode(), method)
