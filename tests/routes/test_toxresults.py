"""Results of tests: kept as they were sent, beside the file that was tested."""

import json
import re

import pytest

from simpleindex.wire import tox_json
from simpleindex_storage.model import ProjectStatus
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.upkeep import mark_project
from tests.builders import a_wheel
from tests.documents import TOX_RESULT, send_result
from tests.routes.sites import DEVPI, WHEEL, Site, elsewhere


def url_of(sha256: str, filename: str, index: str = "/root/local") -> str:
    return f"{index}/+f/{sha256[:3]}/{sha256[3:16]}/{filename}"


URL = url_of(WHEEL.sha256, WHEEL.filename)


def test_a_result_lies_beside_its_file_as_it_was_sent(site: Site) -> None:
    site.add(WHEEL)
    body = b' {"testenvs": {},\n "n": 1.50}'
    answer = site.ask("POST", URL, {"content-type": DEVPI, "accept": DEVPI}, body)
    assert (answer.status, answer.json["type"]) == (200, "toxresultpath")
    path, _, digest = answer.json["result"].partition("#sha256=")
    assert path == f"{URL[1:]}.toxresult-20261122130246-0"
    kept = site.get(f"/{path}", "*/*")
    assert (kept.status, kept.body) == (200, body)
    assert kept.header("etag") == f'"{digest}"'
    assert kept.header("content-type") == "application/json"
    assert (site.folder / "files" / path).read_bytes() == body


def test_results_are_counted(site: Site) -> None:
    site.add(WHEEL, a_wheel(version="2.0"))
    other = a_wheel(version="2.0")
    endings = []
    for url in (URL, URL, url_of(other.sha256, other.filename), URL):
        answer = send_result(site, url)
        assert answer.status == 200
        match = re.search(r"-(\d+)#", answer.json["result"])
        assert match is not None
        endings.append(match[1])
    assert endings == ["0", "1", "0", "2"]


def test_a_result_is_in_the_journal_of_its_sender(site: Site) -> None:
    site.add(WHEEL)
    assert send_result(site, URL, by="alice").status == 200
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        (kept,) = seen.attachments(IndexName("root/local"), parse_project_name("demo"))
    assert kept.uploaded_by == "alice"
    assert [(entry.what, entry.who) for entry in kept.log] == [("upload", "alice")]


@pytest.mark.parametrize(
    ("acl", "by", "status"),
    [
        ((":ANONYMOUS:",), None, 200),
        ((":AUTHENTICATED:",), None, 403),
        ((":AUTHENTICATED:",), "alice", 200),
        (("alice",), "alice", 200),
        (("root",), "alice", 403),
        ((), "root", 403),
    ],
)
def test_an_index_says_who_may_send_results(
    acl: tuple[str, ...], by: str | None, status: int, site: Site
) -> None:
    site.make_index("root/local", acl_upload=("root",), acl_toxresult_upload=acl)
    site.add(WHEEL)
    before = site.stored()
    answer = send_result(site, URL, by=by)
    assert answer.status == status
    if status == 403:
        assert "acl_toxresult_upload" in answer.line
        assert site.stored() == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "a JSON object"),
        (b'"text"', "a JSON object"),
        (b"[" * 300_000, "not valid JSON"),
        (b"[" + b"[]," * 600_000 + b"]", "parts"),
        ('{"output": "all good"}'.encode("utf-16"), "not valid JSON"),
        (b'{"output": "\xed\xa0\x80"}', "not valid JSON"),
    ],
    ids=["nothing", "cut off", "list", "text", "deep", "many", "utf-16", "half a surrogate pair"],
)
def test_what_is_no_result_leaves_nothing(body: bytes, words: str, site: Site) -> None:
    site.add(WHEEL)
    before = site.stored()
    refusal = site.ask("POST", URL, {"accept": DEVPI}, body)
    assert refusal.status == 400
    assert words in refusal.line
    assert site.stored() == before


def test_a_result_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add(WHEEL)
    body = json.dumps({"output": "x" * tox_json.RESULT_BYTES_MAX}).encode()
    assert site.ask("POST", URL, {"accept": DEVPI}, body).status == 413


@pytest.mark.parametrize(
    "url",
    [
        url_of("0" * 64, WHEEL.filename),
        url_of(WHEEL.sha256, "other-1.0-py3-none-any.whl"),
        url_of(WHEEL.sha256, WHEEL.filename, "/root/none"),
        url_of(WHEEL.sha256, f"{WHEEL.filename}.metadata"),
        url_of(WHEEL.sha256, "-"),
    ],
)
def test_only_files_have_results(url: str, site: Site) -> None:
    site.add(WHEEL)
    assert send_result(site, url).status == 404


def test_a_result_of_a_result_is_none(site: Site) -> None:
    site.add(WHEEL)
    path = send_result(site, URL).json["result"].partition("#")[0]
    assert send_result(site, f"/{path}").status == 404


def test_what_is_quarantined_takes_no_results(site: Site) -> None:
    site.add(WHEEL)
    local, demo = IndexName("root/local"), parse_project_name("demo")
    site.change(lambda it: mark_project(it, local, demo, ProjectStatus.QUARANTINED, None))
    assert send_result(site, URL).status == 404


def test_a_file_with_the_longest_name_may_have_results(site: Site) -> None:
    name = "x" * (200 - len("-1.0-py3-none-any.whl"))
    wheel = a_wheel(name)
    assert len(wheel.filename) == 200
    site.add(wheel)
    answer = send_result(site, url_of(wheel.sha256, wheel.filename))
    assert answer.status == 200
    path = answer.json["result"].partition("#")[0]
    assert json.loads(site.get(f"/{path}").body) == TOX_RESULT
