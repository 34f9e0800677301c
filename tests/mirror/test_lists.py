"""The list of all names of an index: long, made while it is sent, and of no use to installers."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.hostile.behaviours import (
    BadJson,
    Behaviour,
    CutAfter,
    GzipBomb,
    HtmlOnly,
    NotAJson,
    Page,
    Status,
)
from tests.mirror.sites import HTML, JSON, MirrorSite, a_mirror, a_site, until
from tests.server import RunningServer

MANY = 120_000
LIST = "/simple/$"
DEMO = a_wheel("demo")


@pytest.fixture(scope="module")
def long(shared_server: RunningServer) -> Iterator[tuple[MirrorSite, list[str]]]:
    """A mirror of an index with very many names, and these names."""
    with a_mirror(shared_server) as site:
        names = site.upstream.many_names(MANY)
        site.upstream.add(a_wheel("zebra"))
        yield site, [*names, "zebra"]


def names_of(site: MirrorSite, index: str | None = None) -> list[str]:
    answer = site.get(f"/{index or site.index}/+simple/")
    assert answer.status_code == 200, answer.text
    return [project["name"] for project in answer.json()["projects"]]


def test_a_long_list_is_whole_in_json(long: tuple[MirrorSite, list[str]]) -> None:
    site, names = long
    answer = site.get(site.simple_url)
    assert answer.headers["content-type"] == JSON
    assert answer.json()["meta"]["api-version"].startswith("1.")
    assert [project["name"] for project in answer.json()["projects"]] == names


def test_a_long_list_is_whole_in_html(long: tuple[MirrorSite, list[str]]) -> None:
    site, names = long
    answer = site.get(site.simple_url, HTML)
    assert answer.headers["content-type"].startswith(HTML)
    links = re.findall(r'<a href="([^"]+)/">([^<]+)</a>', answer.text)
    assert links == [(name, name) for name in names]
    assert answer.text.endswith("</html>\n")


def test_a_long_list_is_whole_under_gzip_and_without(long: tuple[MirrorSite, list[str]]) -> None:
    site, _ = long
    plain = site.get(site.simple_url, accept_encoding="identity")
    with site.client.stream("GET", site.simple_url, headers={"accept-encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert len(raw) < len(plain.content) / 4
    assert gzip.decompress(raw) == plain.content


def test_a_long_list_is_not_sent_to_who_has_it(long: tuple[MirrorSite, list[str]]) -> None:
    site, _ = long
    etags = {form: site.get(site.simple_url, form, method="HEAD").headers["etag"] for form in FORMS}
    assert len(set(etags.values())) == 2
    for form, etag in etags.items():
        known = site.get(site.simple_url, form, if_none_match=etag)
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["etag"] == etag


FORMS = (JSON, HTML)


@pytest.mark.parametrize("form", FORMS)
def test_the_head_of_a_long_list_is_that_of_the_list(
    form: str, long: tuple[MirrorSite, list[str]]
) -> None:
    site, _ = long
    head, whole = (site.get(site.simple_url, form, method=method) for method in ("HEAD", "GET"))
    assert head.status_code == whole.status_code == 200
    assert head.content == b""
    for name in ("etag", "content-type", "vary", "cache-control"):
        assert head.headers[name] == whole.headers[name]


def test_a_list_is_fetched_once(long: tuple[MirrorSite, list[str]]) -> None:
    site, _ = long
    names_of(site)
    names_of(site, site.make_stage())
    assert site.upstream.requests.count(LIST) == 1


def test_names_of_a_stage_and_of_upstream_are_one_list(
    long: tuple[MirrorSite, list[str]],
) -> None:
    site, names = long
    stage = site.make_stage()
    for name in ("Aaa", "mmm", "zebra", "zzz"):
        site.upload(a_wheel(name), stage)
    found = names_of(site, stage)
    assert found == sorted({*names, "aaa", "mmm", "zebra", "zzz"})
    etag = site.get(f"/{stage}/+simple/").headers["etag"]
    site.upload(a_wheel("another"), stage)
    changed = site.get(f"/{stage}/+simple/", if_none_match=etag)
    assert changed.status_code == 200
    assert "another" in {project["name"] for project in changed.json()["projects"]}


def test_names_of_two_mirrors_are_one_list(
    shared_server: RunningServer, long: tuple[MirrorSite, list[str]]
) -> None:
    site, names = long
    with a_mirror(shared_server) as other:
        other.upstream.add(DEMO)
        other.upstream.add(a_wheel("zebra"))
        stage = site.make_stage(bases=[site.index, other.index])
        assert names_of(site, stage) == sorted({*names, "demo"})


def test_a_list_in_html_is_read_too(site: MirrorSite) -> None:
    site.upstream.behave(LIST, HtmlOnly())
    site.upstream.add(DEMO)
    names = site.upstream.many_names(5_000)
    assert names_of(site) == ["demo", *names]


def test_a_list_in_any_order_and_spelling_is_told_in_order_and_each_name_once(
    site: MirrorSite,
) -> None:
    page = b'{"meta": {"api-version": "1.0"}, "projects": [{"name": "zoo"}, {"name": "Foo.Bar"}, '
    page += b'{"name": "foo_bar"}, {"name": "../evil"}, {"name": 7}, {"name": "a"}]}'
    site.upstream.behave(LIST, Page(page, JSON))
    assert names_of(site) == ["a", "foo-bar", "zoo"]


def test_a_list_that_is_out_of_date_is_told_and_fetched_behind_the_answer(
    shared_server: RunningServer,
) -> None:
    with a_mirror(shared_server, mirror_cache_expiry=0) as site:
        site.upstream.add(DEMO)
        assert names_of(site) == ["demo"]
        site.upstream.add(a_wheel("other"))
        names_of(site)
        until(lambda: names_of(site) == ["demo", "other"], "the list has the new name")
        second = site.upstream.requests.of(LIST)[1]
        assert "if-none-match" in second.headers


def test_a_list_is_kept_when_upstream_is_gone(shared_server: RunningServer) -> None:
    with a_mirror(shared_server, mirror_cache_expiry=0) as site:
        site.upstream.add(DEMO)
        stage = site.make_stage()
        assert names_of(site) == ["demo"]
        site.upstream.unplug()
        for _ in range(3):
            assert names_of(site) == ["demo"]
        assert names_of(site, stage) == ["demo"]


BROKEN: dict[str, Behaviour] = {
    "500": Status(500),
    "404": Status(404),
    "cut off": CutAfter(20),
    "half of a JSON": BadJson(),
    "HTML that is told to be JSON": NotAJson(),
    "a captive portal": Page(b"<html><title>Log in</title><body>Log in!</body></html>"),
    "nothing": Page(b"", JSON),
    "a gzip bomb": GzipBomb(),
}


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
def test_a_list_that_cannot_be_had_is_trouble_for_the_mirror_and_none_for_a_stage(
    behaviour: Behaviour, site: MirrorSite
) -> None:
    stage = site.make_stage()
    site.upload(DEMO, stage)
    site.upstream.behave(LIST, behaviour)
    answer = site.get(site.simple_url)
    assert (answer.status_code, answer.text.count("\n")) == (504, 1)
    assert f"the list of {site.index} is not known yet" in answer.text
    assert names_of(site, stage) == ["demo"]
    site.wait_for_log(f"{site.index}: list of projects not fetched: ")


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
def test_a_list_that_cannot_be_had_never_replaces_the_one_that_is_kept(
    behaviour: Behaviour, shared_server: RunningServer
) -> None:
    with a_mirror(shared_server, mirror_cache_expiry=0) as site:
        site.upstream.add(DEMO)
        assert names_of(site) == ["demo"]
        site.upstream.add(a_wheel("other"))
        site.upstream.behave(LIST, behaviour)
        names_of(site)
        until(lambda: "list of projects not fetched" in _log_of(site), "the list was asked for")
        assert names_of(site) == ["demo"]


def test_a_list_while_upstream_is_down_is_trouble_for_the_mirror_and_none_for_a_stage(
    site: MirrorSite,
) -> None:
    stage = site.make_stage()
    site.upload(DEMO, stage)
    site.upstream.unplug()
    assert site.get(site.simple_url).status_code == 504
    assert names_of(site, stage) == ["demo"]


def test_a_mirror_without_a_list_never_asks_for_it(shared_server: RunningServer) -> None:
    with a_mirror(shared_server, mirror_no_project_list=True) as site:
        stage = site.make_stage()
        site.upload(a_wheel("ours"), stage)
        site.upstream.add(DEMO)
        site.upstream.add(a_wheel("other"))
        assert names_of(site) == []
        assert site.filenames("demo") == [DEMO.filename]
        assert names_of(site) == ["demo"]
        assert names_of(site, stage) == ["demo", "ours"]
        assert site.upstream.requests.count(LIST) == 0


def test_nothing_but_the_list_itself_needs_the_list(site: MirrorSite) -> None:
    stage = site.make_stage()
    site.upstream.add(DEMO)
    for index in (site.index, stage):
        site.page("demo", index=index)
        site.page("nobody", index=index)
        site.refresh("demo", index=index)
        site.download("demo", DEMO.filename, index=index)
        site.get(f"/{index}/demo", "application/json")
        site.get(f"/{index}", "application/json")
    assert site.upstream.requests.count(LIST) == 0


@pytest.mark.parametrize("rule", ["deny+=demo", "reserved_names+=de*", "allow+=other"])
def test_a_list_has_no_names_that_rules_keep_out(rule: str, site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.add(a_wheel("other"))
    assert names_of(site) == ["demo", "other"]
    etag = site.get(site.simple_url).headers["etag"]
    site.change(rule)
    assert names_of(site) == ["other"]
    assert site.get(site.simple_url, if_none_match=etag).status_code == 200


def test_the_list_of_another_upstream_is_told_at_once(
    shared_server: RunningServer, site: MirrorSite
) -> None:
    site.upstream.add(DEMO)
    assert names_of(site) == ["demo"]
    with a_mirror(shared_server) as elsewhere:
        elsewhere.upstream.add(a_wheel("other"))
        site.change(f"mirror_url={elsewhere.upstream.url}")
        assert names_of(site) == ["other"]


def test_a_list_is_asked_for_at_once_where_settings_have_changed(
    shared_server: RunningServer, site: MirrorSite
) -> None:
    site.upstream.unplug()
    assert site.get(site.simple_url).status_code == 504
    with a_mirror(shared_server) as elsewhere:
        elsewhere.upstream.add(a_wheel("other"))
        site.change(f"mirror_url={elsewhere.upstream.url}")
        assert names_of(site) == ["other"]


def test_a_list_is_told_by_a_server_that_has_just_started_without_upstream(tmp_path: Path) -> None:
    with a_site(tmp_path / "data") as before:
        before.upstream.add(DEMO)
        assert names_of(before) == ["demo"]
        before.server.stop()
        before.upstream.unplug()
        with a_site(tmp_path / "data", upstream=before.upstream) as after:
            assert names_of(after) == ["demo"]


def _log_of(site: MirrorSite) -> str:
    return "\n".join(line for line in site.log().splitlines() if f"{site.index}: " in line)
