"""`rebuild`: afterwards everything is served as before."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from simpleindex_storage.log_retention import trim_log
from simpleindex_storage.model import Actor, DistFile, Fields, Index, Release, StageSettings
from simpleindex_storage.names import IndexName, parse_filename
from simpleindex_storage.opening import open_store
from simpleindex_storage.ports import Change
from tests.builders import a_wheel, an_sdist
from tests.cli.commands import Cli
from tests.cli.directories import ANY_NAMES, UNPRINTABLE_NAMES, root_has
from tests.routes.sites import DEVPI, NOW, V1_HTML, V1_JSON, Site, a_site, prepare
from tests.server import running_server
from tests.storage.filled import fill

SECONDS_MAX = 60.0

Seen: TypeAlias = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body of an answer."""


def a_lived_in_site(folder: Path) -> None:
    """A server directory in which clients and verbs have done all that there is to do."""
    prepare(folder)
    with a_site(folder) as site:
        site.make_index("root/local", volatile=False, acl_upload=("root",))
        site.make_index("alice/dev", bases=(IndexName("root/local"),), acl_upload=("alice", "root"))
        for built in (a_wheel("Demo", requires_python=">=3.8"), an_sdist("demo", "2.0")):
            assert site.upload(built).status == 200
        for built in (a_wheel("art"), a_wheel("gone"), a_wheel("Demo", "1.0")):
            assert site.upload(built, "/alice/dev/", by="alice").status == 200
        replacing = a_wheel("art", requires_python=">=3")
        assert site.upload(replacing, "/alice/dev/", by="alice").status == 200
        root = site.sent_by("root", "application/json") | {"accept": DEVPI}
        alice = site.sent_by("alice", "application/json") | {"accept": DEVPI}
        for method, target, headers, body in (
            ("PATCH", "/root/local/demo/1.0", root, {"yanked": "bad"}),
            ("PATCH", "/alice/dev/art", alice, {"project-status": "archived", "reason": "old"}),
            ("PATCH", "/root/local/demo", root, {"project-status": "deprecated"}),
            ("PUT", "/carol", root, {"password": "carolpw", "email": "c@example.org"}),
            ("PATCH", "/carol", root, {"password": "another"}),
            ("PUT", "/root/prod", root, {"bases": "root/local", "mirror_whitelist": "*"}),
            ("PATCH", "/root/prod", root, ["title=Production", "acl_read=alice"]),
            ("PUT", "/root/gone", root, {}),
            ("DELETE", "/root/gone", root, None),
            ("DELETE", "/alice/dev/gone", alice, None),
            ("PUSH", "/root/local/", root,
             {"name": "demo", "version": "2.0", "targetindex": "alice/dev"}),
        ):  # fmt: skip
            sent = b"" if body is None else json.dumps(body).encode()
            answer = site.ask(method, target, headers, sent)
            assert answer.status < 300, (method, target, answer.body)


PROJECTS = ("demo", "art", "gone")


def all_pages(folder: Path) -> dict[str, Seen]:
    """What clients see, by what they ask."""
    with a_site(folder) as site:
        return dict(answers(site))


def answers(site: Site) -> Iterator[tuple[str, Seen]]:
    for by in (None, "root", "alice"):
        login = site.sent_by(by)
        for accept in (V1_JSON, V1_HTML, DEVPI, ""):
            for target in targets():
                headers = login | ({"accept": accept} if accept else {})
                answer = site.ask("GET", target, headers)
                seen = [pair for pair in answer.headers if pair[0] != "date"]
                yield f"{target} {accept} {by}", (answer.status, seen, answer.body)


def targets() -> Iterator[str]:
    yield from ("/", "/+api", "/root", "/alice", "/carol", "/nobody")
    for index in ("root/local", "alice/dev", "root/prod", "root/pypi", "root/gone"):
        yield from (f"/{index}", f"/{index}/", f"/{index}/+simple/", f"/{index}/+api")
        for project in PROJECTS:
            yield from (f"/{index}/{project}", f"/{index}/+simple/{project}/")
            yield from (f"/{index}/{project}/1.0", f"/{index}/pypi/{project}/json")


def ruin(folder: Path) -> None:
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()


@pytest.mark.parametrize("is_trimmed", [False, True], ids=["journal", "state and journal"])
def test_all_pages_are_the_same_byte_for_byte(is_trimmed: bool, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    a_lived_in_site(folder)
    if is_trimmed:
        with closing(open_store(folder, lambda: NOW)) as store:
            assert trim_log(folder, store.catalog, 1, NOW + timedelta(days=3)).removed
        with a_site(folder) as site:
            assert site.upload(a_wheel("demo", "3.0")).status == 200
    before = all_pages(folder)
    assert sum(status == 200 for status, *_ in before.values()) > 100
    ruin(folder)
    told = cli.must("rebuild", f"--serverdir={folder}")
    assert told.startswith("The catalog is made anew from ")
    assert all_pages(folder) == before


def test_what_was_done_is_told_in_lines_and_in_json(cli: Cli, tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "secret").write_text("x" * 40)
    stray = tmp_path / "files" / "odd"
    stray.write_bytes(b"?")
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"ser')
    document = json.loads(cli.must("rebuild", "--json", f"--serverdir={tmp_path}"))
    lines = document["lines"]
    assert document["seconds"] >= 0
    assert document | {"seconds": 0} == {
        "serial": lines - 1,
        "lines": lines,
        "counts": {
            "users": 2, "tokens": 1, "indexes": 3, "projects": 3, "releases": 4, "files": 4,
            "attachments": 2,
        },
        "seconds": 0,
        "kept": next(str(path) for path in tmp_path.glob("catalog.sqlite.damaged-*")),
        "new_uuid": False,
        "unfinished": f"journal.jsonl, line {lines + 1}",
        "left_out": [],
        "missing": [],
        "dropped": False,
        "unknown": ["odd"],
        "without_password": [],
    }  # fmt: skip
    told = cli.must("rebuild", f"--serverdir={tmp_path}").splitlines()
    assert told[0].endswith(f" s: 4 files of 3 projects in 3 indexes, 2 users; serial {lines - 1}.")
    assert told[1].startswith(f"The old one is kept as {tmp_path}")
    assert told[2:] == [
        f"Not taken, as it was never finished: journal.jsonl, line {lines + 1}.",
        "In files/ without a record, and so seen by nobody:",
        "  odd",
    ]


@ANY_NAMES
@pytest.mark.parametrize(("name", "shown"), UNPRINTABLE_NAMES.items())
def test_no_name_of_a_file_forges_a_line_or_hides_what_was_done(
    name: bytes, shown: str, cli: Cli, tmp_path: Path
) -> None:
    fill(tmp_path)
    (tmp_path / "secret").write_text("x" * 40)
    (tmp_path / "files" / os.fsdecode(name)).write_bytes(b"?")
    told = cli.must("rebuild", f"--serverdir={tmp_path}").splitlines()
    assert told[-2:] == [
        "In files/ without a record, and so seen by nobody:",
        f"  {shown}",
    ]
    document = json.loads(cli.must("rebuild", "--json", f"--serverdir={tmp_path}"))
    assert list(map(os.fsencode, document["unknown"])) == [name]


def test_missing_files_are_a_failure_until_they_are_forgotten(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    a_lived_in_site(folder)
    gone = next((folder / "files").rglob("art-*.whl"))
    gone.unlink()
    called = cli("rebuild", f"--serverdir={folder}")
    assert (called.exit_code, called.err) == (1, "")
    assert "Recorded, but their bytes are not there (--drop-missing forgets them):" in called.out
    assert gone.name in called.out
    assert "and forgotten:" in cli.must("rebuild", "--drop-missing", f"--serverdir={folder}")
    cli.must("rebuild", f"--serverdir={folder}")


def test_damage_is_a_failure_in_one_line_that_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    a_lived_in_site(folder)
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"damaged\n", *lines[5:]]))
    complaint = cli("rebuild", f"--serverdir={folder}").complaint
    assert complaint.startswith("journal.jsonl, line 5: it is damaged; --skip-damaged")
    called = cli("rebuild", "--skip-damaged", f"--serverdir={folder}")
    assert (called.exit_code, called.err) == (1, "")
    assert "Left out:\n  journal.jsonl, line 5: it is damaged\n" in called.out
    cli.must("rebuild", f"--serverdir={folder}")


def test_from_files_people_can_work_again_with_new_passwords(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    a_lived_in_site(folder)
    ruin(folder)
    for name in ("journal.jsonl", "secret", "generation", "lock", "ballast"):
        (folder / name).unlink()
    told = cli.must("rebuild", "--from-files", f"--serverdir={folder}").splitlines()
    assert " of 3 projects in 2 indexes, 2 users; serial " in told[0]
    password = (folder / "root-password").read_text().strip()
    assert root_has(folder, password)
    assert told[-3] == f"Root has a new password, in {folder / 'root-password'}."
    assert told[-1].startswith("Without a password: alice; `")
    assert password not in "".join(told)
    with a_site(folder) as site:
        page = json.loads(site.get("/root/local/+simple/demo/", V1_JSON).body)
        assert len(page["files"]) == 2
        assert site.upload(a_wheel("more")).status == 200


def test_nothing_is_done_while_a_server_runs(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    cli.init(folder)
    with running_server(folder):
        complaint = cli("rebuild", f"--serverdir={folder}").complaint
    assert complaint.endswith("a server or another command has this directory open; stop it first")
    cli.must("rebuild", f"--serverdir={folder}")


def test_a_server_that_lost_its_catalog_says_how_to_get_it_back(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    a_lived_in_site(folder)
    ruin(folder)
    complaint = cli("list", f"--serverdir={folder}").complaint
    assert f"{folder} has lost its catalog; `" in complaint
    assert f"rebuild --serverdir={folder}` makes it anew" in complaint


def test_the_two_ways_exclude_each_other(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    for option in ("--drop-missing", "--skip-damaged"):
        called = cli("rebuild", "--from-files", option, f"--serverdir={tmp_path / 'data'}")
        assert called.exit_code == 1
        assert "--from-files goes without the other two" in called.err


# Many files


@pytest.mark.full
def test_ten_thousand_files_are_the_same_again_in_less_than_a_minute(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    prepare(folder)
    projects = record_many(folder, 10_000)
    pages = [f"/root/many/+simple/{project}/" for project in projects]
    before = some_pages(folder, ["/root/many/+simple/", *pages])
    ruin(folder)
    begun = time.monotonic()
    document = json.loads(cli.must("rebuild", "--json", f"--serverdir={folder}"))
    seconds = time.monotonic() - begun
    print(f"{seconds:.1f} s for 10,000 files")
    assert (document["counts"]["files"], document["missing"]) == (10_000, [])
    assert some_pages(folder, ["/root/many/+simple/", *pages]) == before
    assert seconds < SECONDS_MAX


def some_pages(folder: Path, asked: list[str]) -> dict[tuple[str, str], bytes]:
    with a_site(folder) as site:
        return {
            (target, accept): site.get(target, accept).body
            for target in asked
            for accept in (V1_JSON, V1_HTML)
        }


def record_many(folder: Path, count: int) -> list[str]:
    """Record files of a few bytes, each in a change of its own; their projects."""
    index = IndexName("root/many")
    with closing(open_store(folder, lambda: NOW)) as store:
        change = partial(store.catalog.change, by=Actor("root", "192.0.2.7"), what="upload")
        change(lambda it: it.put_index(Index(index, StageSettings())))

        def record(number: int) -> str:
            file = a_tiny_file(folder, index, number)
            fields: Fields = {"summary": f"number {number}", "requires_dist": ("art", "demo>=1")}
            release = Release(index, file.project, file.version, fields)

            def work(it: Change) -> None:
                it.put_release(release, str(file.project))
                it.put_file(file)

            change(work)
            return str(file.project)

        with ThreadPoolExecutor(32) as threads:  # which share commits
            return sorted(set(threads.map(record, range(count))))


def a_tiny_file(folder: Path, index: IndexName, number: int) -> DistFile:
    parsed = parse_filename(f"p{number % 200}-{number // 200}.0-py3-none-any.whl")
    content = f"the bytes of {number}".encode()
    sha256 = hashlib.sha256(content).hexdigest()
    file = DistFile(
        index=index,
        project=parsed.project,
        version=parsed.version,
        filename=parsed.text,
        key=parsed.key,
        size_bytes=len(content),
        sha256=sha256,
        md5=hashlib.md5(content).hexdigest(),
        blake2b_256=hashlib.blake2b(content, digest_size=32).hexdigest(),
        uploaded_at=NOW,
        uploaded_by="root",
        requires_python=">=3.8",
        metadata_sha256=sha256,
    )
    path = folder / "files" / file.place.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return file
