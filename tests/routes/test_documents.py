"""The JSON of projects and releases, and searches in an index."""

import gzip
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urljoin

import pytest

from simpleindex.config import parse_networks
from simpleindex_storage.model import ProjectStatus
from simpleindex_storage.names import IndexName, parse_index_name, parse_project_name
from simpleindex_storage.upkeep import mark_project, yank_release
from tests.asgi import Answer
from tests.builders import BuiltFile, a_wheel, an_sdist, core_metadata
from tests.routes.sites import DEVPI, OTHER, SDIST, V1_JSON, WHEEL, MakeSite, Site

JSON = "application/json"
ROOT = "http://index.example:3141"


def said(name: str = "demo", version: str = "1.0", **headers: str) -> BuiltFile:
    """A wheel whose metadata says this; `project_url` becomes Project-URL."""
    pairs = [(header.replace("_", "-"), value) for header, value in headers.items()]
    return a_wheel(name, version, metadata=core_metadata(name, version, headers=pairs))


def document(site: Site, below: str = "demo", index: str = "root/local") -> Any:
    """The JSON of a project or release, which must be there."""
    answer = site.get(f"/{index}/pypi/{below}/json")
    assert (answer.status, answer.header("content-type")) == (200, JSON), answer
    return answer.json


def filenames(files: Sequence[Any]) -> list[str]:
    return [file["filename"] for file in files]


def refused(answer: Answer, status: int = 404) -> str:
    """The line of a refusal, which must be JSON whatever was accepted."""
    assert (answer.status, answer.header("content-type")) == (status, JSON), answer
    assert answer.header("access-control-allow-origin") == "*"
    return answer.line


def search(site: Site, q: str, index: str = "root/local", **more: object) -> Any:
    """The answer to a search, which must be one."""
    query = "".join(f"&{name}={value}" for name, value in more.items())
    answer = site.get(f"/{index}/+search?q={quote(q)}{query}")
    assert (answer.status, answer.header("content-type")) == (200, JSON), answer
    return answer.json


def found(site: Site, q: str, index: str = "root/local", **more: object) -> list[tuple[str, str]]:
    """Names and versions of what was found."""
    projects = search(site, q, index, **more)["projects"]
    return [(project["name"], project["version"]) for project in projects]


def mark(site: Site, project: str, status: ProjectStatus, index: str = "root/local") -> None:
    site.change(
        lambda change: mark_project(
            change, parse_index_name(index), parse_project_name(project), status, None
        )
    )


def yank(site: Site, version: str, reason: str | None) -> None:
    site.change(
        lambda change: yank_release(
            change, IndexName("root/local"), parse_project_name("demo"), version, reason
        )
    )


# A project


def test_a_project_is_told_with_its_latest_release_and_all_files(filled: Site) -> None:
    told = document(filled)
    assert (told["info"]["name"], told["info"]["version"]) == ("demo", "2.0+local.1")
    assert {version: filenames(files) for version, files in told["releases"].items()} == {
        "1.0": [WHEEL.filename],
        "2.0+local.1": [SDIST.filename],
    }
    assert filenames(told["urls"]) == [SDIST.filename]
    assert told["vulnerabilities"] == []


def test_the_serial_is_that_of_the_simple_page(filled: Site) -> None:
    answer = filled.get("/root/local/pypi/demo/json")
    page = filled.get("/root/local/+simple/demo/", V1_JSON).json
    assert answer.json["last_serial"] == page["meta"]["_last-serial"]
    assert answer.header("x-pypi-last-serial") == str(answer.json["last_serial"])


def test_a_release_is_told_alone(filled: Site) -> None:
    told = document(filled, "demo/1.0")
    assert (told["info"]["version"], filenames(told["urls"])) == ("1.0", [WHEEL.filename])
    assert told["info"]["requires_python"] == ">=3.8,<4"
    assert "releases" not in told


@pytest.mark.parametrize("below", ["demo/1.0", "demo/2.0+local.1", "art"])
def test_a_file_is_told_as_on_its_simple_page_and_can_be_had(below: str, filled: Site) -> None:
    page = filled.get(f"/root/local/+simple/{below.partition('/')[0]}/", V1_JSON).json
    shown = {file["filename"]: file for file in page["files"]}
    for file in document(filled, below)["urls"]:
        simple = shown[file["filename"]]
        assert file["digests"]["sha256"] == simple["hashes"]["sha256"]
        assert file["core-metadata"] == simple.get("core-metadata", False)
        assert file["requires_python"] == simple.get("requires-python")
        assert file["upload_time_iso_8601"] == simple["upload-time"]
        assert file["size"] == simple["size"]
        assert file["url"].startswith(f"{ROOT}/root/local/+f/")
        assert len(filled.get(file["url"].removeprefix(ROOT)).body) == simple["size"]


def test_what_the_author_says_is_told(site: Site) -> None:
    site.add(
        said(
            "Zope.Demo",
            Summary="a demonstration",
            Author="Ada",
            Project_URL="Docs, https://docs.example/",
            Classifier="Topic :: Internet",
            Requires_Dist="attrs>=2",
            Provides_Extra="fast",
        )
    )
    info = document(site, "zope-demo")["info"]
    assert (info["name"], info["summary"], info["author"]) == (
        "Zope.Demo", "a demonstration", "Ada",
    )  # fmt: skip
    assert info["project_urls"] == {"Docs": "https://docs.example/"}
    assert info["classifiers"] == ["Topic :: Internet"]
    assert (info["requires_dist"], info["provides_extra"]) == (["attrs>=2"], ["fast"])
    assert filenames(document(site, "zope-demo")["urls"]) == ["zope_demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    "target",
    [
        "/root/local/pypi/demo/json",
        "/root/local/pypi/demo/json/",
        "/root/local/pypi/Demo/json",
        "/root/local/pypi/DEMO/json/",
        "//root/local/pypi/demo/json?x=y",
    ],
)
def test_a_project_is_found_under_any_spelling_without_a_redirect(
    target: str, filled: Site
) -> None:
    answer = filled.get(target)
    assert (answer.status, answer.json) == (200, document(filled))


@pytest.mark.parametrize(
    "version", ["2.0+local.1", "2+LOCAL_1", "v2.0.0%2Blocal-1", "02.0+local.1"]
)
def test_a_release_is_found_under_any_spelling_of_its_version(version: str, filled: Site) -> None:
    assert document(filled, f"Demo/{version}") == document(filled, "demo/2.0+local.1")


def test_the_latest_release_is_no_pre_release_and_not_yanked(site: Site) -> None:
    site.add(*(a_wheel(version=version) for version in ("1.0", "1.1", "2.0rc1", "2.0.dev3")))
    assert document(site)["info"]["version"] == "1.1"
    yank(site, "1.1", "broken")
    told = document(site)
    assert (told["info"]["version"], told["info"]["yanked"]) == ("1.0", False)
    assert told["releases"]["1.1"][0]["yanked_reason"] == "broken"
    release = document(site, "demo/1.1")
    assert (release["info"]["yanked"], release["info"]["yanked_reason"]) == (True, "broken")
    yank(site, "1.1", None)
    assert document(site)["info"]["version"] == "1.1"


def test_a_project_named_pypi_gives_way_and_is_had_all_the_same(site: Site) -> None:
    site.add(a_wheel("pypi"), WHEEL)
    assert document(site, "pypi")["info"]["name"] == "pypi"
    assert document(site, "demo")["info"]["name"] == "demo"
    assert site.get("/root/local/pypi/", V1_JSON).json["name"] == "pypi"
    assert refused(site.get("/root/local/pypi/json/json"))


# Bases


def test_files_of_bases_are_told_with_their_own_urls(site: Site) -> None:
    site.add(said(Summary="of the base"), said(version="2.0", Summary="newer"), index="root/base")
    site.make_index("root/local", bases=(IndexName("root/base"),), volatile=False)
    site.add(said(Summary="our own"), said(version="1.5", Summary="between"))
    told = document(site)
    assert {version: len(files) for version, files in told["releases"].items()} == {
        "1.0": 1, "1.5": 1, "2.0": 1,
    }  # fmt: skip
    assert (told["info"]["version"], told["info"]["summary"]) == ("2.0", "newer")
    assert told["info"]["package_url"] == f"{ROOT}/root/local/demo/"
    assert told["urls"][0]["url"].startswith(f"{ROOT}/root/base/+f/")
    assert document(site, "demo/1.0")["info"]["summary"] == "our own"
    assert document(site, "demo/1.0", "root/base")["info"]["summary"] == "of the base"
    assert refused(site.get("/root/base/pypi/demo/1.5/json"))


@pytest.mark.parametrize("quarantined_in", ["root/local", "root/base"])
def test_what_is_quarantined_is_not_told(quarantined_in: str, site: Site) -> None:
    site.add(a_wheel(version="2.0"), index="root/base")
    site.make_index("root/local", bases=(IndexName("root/base"),), volatile=False)
    site.add(WHEEL)
    mark(site, "demo", ProjectStatus.QUARANTINED, quarantined_in)
    if quarantined_in == "root/base":
        assert list(document(site)["releases"]) == ["1.0"]
    else:
        line = refused(site.get("/root/local/pypi/demo/json"))
        assert line == "there is no release of demo in root/local here; it offers no files"
        assert refused(site.get("/root/local/pypi/demo/1.0/json"))
        assert list(document(site, index="root/base")["releases"]) == ["2.0"]


def test_a_release_without_files_is_none(site: Site) -> None:
    kept, _ = site.add(WHEEL, a_wheel(version="2.0"))
    site.replace_files(kept.file)
    told = document(site)
    assert (told["info"]["version"], list(told["releases"])) == ("1.0", ["1.0"])
    assert refused(site.get("/root/local/pypi/demo/2.0/json"))
    site.replace_files()
    assert refused(site.get("/root/local/pypi/demo/json"))


# What is not there


@pytest.mark.parametrize(
    "target",
    [
        "/root/local/pypi/none/json",
        "/root/local/pypi/none/1.0/json",
        "/root/local/pypi/demo/3.0/json",
        "/root/local/pypi/demo/latest/json",
        "/root/local/pypi/demo/1.0.x/json",
        "/root/local/pypi/demo/%20/json",
        "/root/local/pypi/sk%C3%B6n/json",
        "/root/local/pypi/a%00b/json",
        "/root/local/pypi/_/json",
        f"/root/local/pypi/{'x' * 3000}/json",
        f"/root/local/pypi/demo/{'1' * 5000}/json",
        "/root/none/pypi/demo/json",
        "/none/none/pypi/demo/json",
        "/a$/b/pypi/demo/json",
        "/root/pypi/pypi/demo/json",
        "/root/none/+search?q=demo",
        "/a$/b/+search?q=demo",
    ],
)
@pytest.mark.parametrize("accept", [None, "text/html", JSON])
def test_what_is_not_there_is_said_in_json(target: str, accept: str | None, filled: Site) -> None:
    answer = filled.get(target, accept)
    assert refused(answer)
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("target", ["/root/local/pypi/demo/json", "/root/local/+search?q=demo"])
def test_documents_can_only_be_read(method: str, target: str, filled: Site) -> None:
    answer = filled.ask(method, target)
    assert refused(answer, 405)
    assert answer.header("allow") == "GET, HEAD"


# Origins


def test_urls_are_those_that_the_client_uses(make_site: MakeSite) -> None:
    site = make_site(trusted_proxy=parse_networks("192.0.2.7"))
    site.add(WHEEL)
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-host": "packages.example"}
    told = site.ask("GET", "/root/local/pypi/demo/json", forwarded).json
    assert told["urls"][0]["url"].startswith("https://packages.example/root/local/+f/")
    mounted = site.ask("GET", "/x/root/local/pypi/demo/json", root_path="/x").json
    assert mounted["urls"][0]["url"].startswith(f"{ROOT}/x/root/local/+f/")
    assert mounted["info"]["release_url"] == f"{ROOT}/x/root/local/demo/"


def test_a_setting_names_the_url_that_all_use(make_site: MakeSite) -> None:
    site = make_site(outside_url="https://packages.example/index")
    site.add(WHEEL)
    (file,) = document(site)["urls"]
    assert file["url"].startswith("https://packages.example/index/root/local/+f/")


# Caches


DOCUMENTS = [
    "/root/local/pypi/demo/json", "/root/local/pypi/demo/1.0/json", "/root/local/+search?q=demo",
]  # fmt: skip


@pytest.mark.parametrize("target", DOCUMENTS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_document_that_has_not_changed_is_not_sent_again(
    target: str, encoding: str, filled: Site
) -> None:
    first = filled.get(target, accept_encoding=encoding)
    etag = first.header("etag")
    assert etag is not None and first.status == 200
    for known in (etag, f'"x", W/{etag}', "*"):
        again = filled.get(target, accept_encoding=encoding, if_none_match=known)
        assert (again.status, again.header("etag")) == (304, etag)
        assert again.header("access-control-allow-origin") == "*"
        assert again.header("content-encoding") is None
    for other in ('"x"', etag.replace('"', "")):
        assert filled.get(target, accept_encoding=encoding, if_none_match=other).status == 200
    for answer in (first, again):
        assert answer.header("cache-control") == "no-cache"
        assert answer.header("vary") == "Accept-Encoding"


@pytest.mark.parametrize("target", DOCUMENTS)
def test_a_change_is_seen_at_once(target: str, site: Site) -> None:
    site.add(WHEEL)
    for change in (
        lambda: site.add(an_sdist()),
        lambda: yank(site, "1.0", "broken"),
        lambda: yank(site, "1.0", None),
    ):
        before = site.get(target)
        change()
        after = site.get(target, if_none_match=before.header("etag") or "")
        assert after.status == 200
        assert after.body != before.body


@pytest.mark.parametrize("target", DOCUMENTS)
def test_head_tells_the_same_without_the_document(target: str, filled: Site) -> None:
    got, head = filled.get(target), filled.ask("HEAD", target)
    assert (head.status, head.headers, head.body) == (200, got.headers, b"")


def test_a_document_is_compressed_for_those_who_take_it(site: Site) -> None:
    site.add(a_wheel(metadata=core_metadata(description="words " * 5000)))
    plain = site.get(DOCUMENTS[0])
    zipped = site.get(DOCUMENTS[0], accept_encoding="gzip")
    assert plain.header("content-encoding") is None
    assert zipped.header("content-encoding") == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) // 5
    assert zipped.header("etag") != plain.header("etag")
    assert site.get(DOCUMENTS[2], accept_encoding="gzip").header("content-encoding") is None


def test_any_web_page_may_read_the_documents(filled: Site) -> None:
    for target in DOCUMENTS:
        assert filled.get(target, DEVPI).header("access-control-allow-origin") == "*"


# Searches


def test_a_search_tells_of_each_project_what_was_found(site: Site) -> None:
    site.add(
        said("Zope.Demo", "1.0", Summary="an old demo"),
        said("Zope.Demo", "1.10", Summary="a demonstration", Author="demo people"),
        said("Zope.Demo", "1.9", Summary="something else"),
        OTHER,
    )
    told = search(site, "demo")
    assert told == {
        "meta": {"_last-serial": site.stored().serial},
        "query": "demo",
        "total": 1,
        "projects": [
            {
                "name": "zope-demo",
                "display-name": "Zope.Demo",
                "version": "1.10",
                "summary": "a demonstration",
                "matched": ["name", "summary", "author"],
                "url": "+simple/zope-demo/",
            }
        ],
    }


def test_words_are_found_in_all_that_is_searched(site: Site) -> None:
    site.add(
        said("a", Summary="größer needle"),
        said("b", Keywords="x,needle"),
        said("c", Classifier="Topic :: Needle"),
        said("d", Author="Needle"),
        said("e", Maintainer_email="needle@example.org"),
        said("f", License="NEEDLE"),
        said("g", Requires_Dist="needle>=2"),
        said("h", Project_URL="Docs, https://needle.example/"),
        said("i", Provides_Extra="needle"),
        said("j", Requires_Python=">=3.8"),
        a_wheel("k", metadata=core_metadata("k", description="needle")),
        said("needle"),
    )
    assert [name for name, _ in found(site, "NEEDLE")] == ["needle", *"abcdefghi"]
    for field, name in {
        "name": "needle", "summary": "a", "keywords": "b", "classifiers": "c", "author": "d",
        "maintainer": "e", "license": "f", "requires": "g", "urls": "h", "extras": "i",
    }.items():  # fmt: skip
        assert found(site, f"{field}:needle") == [(name, "1.0")]
    assert found(site, "requires_python:>=3.8") == [("j", "1.0")]
    assert found(site, "requires_dist:needle") == [("g", "1.0")]
    assert found(site, "GRÖSSER needle") == [("a", "1.0")]
    assert found(site, "größer haystack") == []


def test_the_newest_release_that_matches_is_shown(site: Site) -> None:
    site.add(
        said(version="1.9", Summary="good"),
        said(version="1.10", Summary="good"),
        said(version="2.0", Summary="better"),
    )
    assert found(site, "good") == [("demo", "1.10")]
    assert found(site, "demo") == [("demo", "2.0")]


def test_names_that_fit_come_first(site: Site) -> None:
    names = ["other", "demo-extra", "demo", "a-demo", "demo.api"]
    site.add(*(said(name, Summary="about demo") for name in names))
    order = [name for name, _ in found(site, "demo")]
    assert order == ["demo", "demo-api", "demo-extra", "a-demo", "other"]


def test_an_answer_can_be_had_in_parts(site: Site) -> None:
    site.add(*(a_wheel(f"demo{number}") for number in range(5)))
    whole = found(site, "demo")
    parts = [search(site, "demo", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [part["total"] for part in parts] == [5] * 4
    assert [len(part["projects"]) for part in parts] == [2, 2, 1, 0]
    assert whole == [(each["name"], each["version"]) for part in parts for each in part["projects"]]
    assert len(whole) == 5


@pytest.mark.parametrize("target", ["/root/local/+search", "/root/local/+search/"])
def test_a_project_that_was_found_is_linked(target: str, filled: Site) -> None:
    (project,) = filled.get(f"{target}?q=art").json["projects"]
    url = urljoin(f"{ROOT}{target}", project["url"])
    assert url == f"{ROOT}/root/local/+simple/art/"
    assert filled.get(url.removeprefix(ROOT), V1_JSON).json["name"] == "art"


def test_bases_are_searched_and_the_nearest_index_tells_of_a_release(site: Site) -> None:
    site.add(
        said(Summary="base"),
        said(version="2.0", Summary="base"),
        said("art", Summary="base"),
        index="root/base",
    )
    site.make_index("root/local", bases=(IndexName("root/base"),), volatile=False)
    site.add(said(Summary="own"), said(version="1.5", Summary="own"))
    assert found(site, "own") == [("demo", "1.5")]
    assert found(site, "base") == [("art", "1.0"), ("demo", "2.0")]
    assert found(site, "own", "root/base") == []
    site.add(said(version="2.0.0", Summary="ours now"))
    assert found(site, "base") == [("art", "1.0")]
    assert found(site, "demo") == [("demo", "2.0.0")]


@pytest.mark.parametrize("quarantined_in", ["root/local", "root/base"])
def test_what_is_quarantined_is_not_found(quarantined_in: str, site: Site) -> None:
    site.add(a_wheel(version="2.0"), OTHER, index="root/base")
    site.make_index("root/local", bases=(IndexName("root/base"),), volatile=False)
    site.add(WHEEL)
    mark(site, "demo", ProjectStatus.QUARANTINED, quarantined_in)
    left = [("demo", "1.0")] if quarantined_in == "root/base" else []
    assert found(site, "demo") == left
    assert found(site, "art") == [("art", "1.0")]


def test_what_was_removed_is_not_found(site: Site) -> None:
    site.add(WHEEL)
    site.replace_files()
    assert search(site, "demo")["total"] == 0


def test_a_search_finds_what_was_uploaded_a_moment_ago(site: Site) -> None:
    site.add(WHEEL)
    assert found(site, "fresh") == []
    assert site.upload(said("other", Summary="fresh words")).status == 200
    assert found(site, "fresh") == [("other", "1.0")]


def test_patterns_are_words_like_others(site: Site) -> None:
    site.add(said("a", Summary="100% sure"), said("b", Summary="100 percent"))
    assert found(site, "100%") == [("a", "1.0")]
    assert found(site, "summary:_") == found(site, "%00") == found(site, "\\") == []


@pytest.mark.parametrize(
    "query",
    [
        "", "?q=", "?q=%20", "?Q=demo", "?q=name:", "?q=demo&limit=0", "?q=demo&limit=1001",
        "?q=demo&limit=x", "?q=demo&offset=-1", "?q=demo&offset=", f"?q={'x' * 501}",
        f"?q={'x+' * 21}",
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_meant_is_refused_with_a_line(query: str, filled: Site) -> None:
    line = refused(filled.get(f"/root/local/+search{query}"), 400)
    assert line.startswith("search: ")


@pytest.mark.parametrize("query", ["q=%FF%FE", "q=%00", "q=%ED%A0%80", "q=a&q=demo", "q=demo&x=%"])
def test_odd_queries_are_answered(query: str, filled: Site) -> None:
    answer = filled.get(f"/root/local/+search?{query}")
    assert answer.status == 200
    assert json.loads(answer.body)["total"] == (1 if "demo" in query else 0)
