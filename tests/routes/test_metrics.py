"""`/-/metrics`: who may read it, and that each request is in it."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

from simpleindex import __version__
from simpleindex.config import parse_networks
from tests.asgi import Answer
from tests.routes.sites import DEVPI, OTHER, SDIST, V1_JSON, WHEEL, MakeSite, Site, basic, elsewhere

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

NEAR: Mapping[str, Any] = {"peer": "127.0.0.1", "host": "127.0.0.1:3141"}


def scraped(site: Site) -> dict[tuple[str, ...], float]:
    """What a scrape from this computer tells: figures by name and values of labels."""
    answer = site.ask("GET", "/-/metrics", **NEAR)
    assert (answer.status, answer.header("content-type")) == (200, TEXT_TYPE)
    return figures(answer)


def figures(answer: Answer) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def requests(site: Site) -> dict[tuple[str, ...], float]:
    """Requests by door, method and status."""
    name = "simpleindex_requests_total"
    return {key[1:]: value for key, value in scraped(site).items() if key[0] == name}


# Who may


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (NEAR, 200),
        ({"peer": "127.0.0.1", "host": "localhost:3141"}, 200),
        ({"peer": "::1", "host": "[::1]:3141"}, 200),
        ({"peer": "::ffff:127.0.0.1", "host": "127.0.0.1"}, 200),
        ({"peer": "192.0.2.7"}, 403),
        ({"peer": "2001:db8::1"}, 403),
        ({"client": None}, 403),
        ({"client": ("", 0)}, 403),
        ({"peer": "127.0.0.1", "host": "packages.example"}, 403),
        ({"peer": "127.0.0.1", "host": None}, 403),
        ({**NEAR, "headers": {"x-forwarded-for": "192.0.2.7"}}, 403),
        ({**NEAR, "headers": {"x-forwarded-for": "127.0.0.1"}}, 403),
        ({**NEAR, "headers": {"forwarded": "for=192.0.2.7"}}, 403),
    ],
    ids=str,
)
def test_usually_it_is_for_this_computer_alone(
    asked: Mapping[str, Any], status: int, site: Site
) -> None:
    answer = site.ask("GET", "/-/metrics", **asked)
    assert answer.status == status
    if status == 403:
        assert "metrics_from" in answer.line
        assert "simpleindex_" not in answer.text


@pytest.mark.parametrize(
    ("peer", "status"),
    [("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("10.2.2.3", 403), ("127.0.0.1", 403)],
)
def test_a_setting_names_who_may(peer: str, status: int, make_site: MakeSite) -> None:
    site = make_site(metrics_from=(ip_network("10.1.0.0/16"),))
    answer = site.ask("GET", "/-/metrics", peer=peer, host="127.0.0.1:3141")
    assert answer.status == status


def test_behind_a_proxy_that_is_named_it_is_the_client_that_counts(make_site: MakeSite) -> None:
    site = make_site(
        trusted_proxy=parse_networks("127.0.0.1"),
        metrics_from=(ip_network("127.0.0.1"), ip_network("10.1.0.0/16")),
    )
    for client, status in (("10.1.2.3", 200), ("192.0.2.7", 403), ("<script>", 403)):
        answer = site.ask("GET", "/-/metrics", {"x-forwarded-for": client}, **NEAR)
        assert answer.status == status


def test_root_may_from_anywhere_but_not_with_a_token_of_a_user(site: Site) -> None:
    assert site.get("/-/metrics", authorization=basic("root", "rootpw")).status == 200
    assert site.get("/-/metrics", authorization=basic("alice", "alicepw")).status == 403
    assert site.get("/-/metrics", authorization=basic("root", "wrong")).status == 403


# What


def test_both_formats_are_what_parsers_read_and_tell_the_same(site: Site) -> None:
    site.upload(WHEEL)
    site.get("/-/health")
    text = site.ask("GET", "/-/metrics", **NEAR)
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    opened = site.ask("GET", "/-/metrics", accept, **NEAR)
    assert opened.header("content-type") == OPEN_TYPE
    assert opened.text.endswith("# EOF\n")
    families = parse_open_metrics(opened.text)  # type: ignore[no-untyped-call]  # it has no types
    names = {family.name for family in families}
    assert names == {family.name for family in text_string_to_metric_families(text.text)}
    head = site.ask("HEAD", "/-/metrics", **NEAR)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "target", "accept", "door"),
    [
        ("GET", "/root/local/", None, "list"),
        ("GET", "/root/local", DEVPI, "devpi"),
        ("GET", "/root/local/+simple/", V1_JSON, "list"),
        ("GET", "/root/local/+simple/demo/", V1_JSON, "page"),
        ("HEAD", "/root/local/demo/", None, "page"),
        ("GET", "/root/local/demo", DEVPI, "devpi"),
        ("GET", "/root/local/demo/1.0", DEVPI, "devpi"),
        ("GET", "/root/local/+f/000/0000000000000/demo-1.0.tar.gz", None, "file"),
        ("GET", "/root/local/+f/000/0000000000000/demo-1.0.tar.gz", DEVPI, "devpi"),
        ("GET", "/root/local/+f/000/0000000000000/d-1-py3-none-any.whl.metadata", None, "metadata"),
        ("GET", "/root/local/+f/000/0000000000000/demo-1.0.tar.gz.asc", None, "file"),
        ("GET", "/root/local/pypi/demo/json", None, "json"),
        ("GET", "/root/local/+search?q=a", None, "search"),
        ("GET", "/root/local/demo/1.0/+doc/", None, "web"),
        ("GET", "/", "text/html", "web"),
        ("GET", "/", None, "devpi"),
        ("GET", "/+api", None, "devpi"),
        ("GET", "/-/health", None, "server"),
        ("GET", "/-/nothing", None, "other"),
        ("GET", "/+nothing", None, "other"),
        ("POST", "/root/local/", None, "upload"),
        ("POST", "/root/local/legacy/", None, "upload"),
        ("POST", "/+login", None, "login"),
        ("PUSH", "/root/local", None, "push"),
        ("PATCH", "/root/local", None, "devpi"),
        ("DELETE", "/alice", None, "devpi"),
        ("BREW", "/alice", None, "devpi"),
    ],
)
def test_each_request_is_counted_at_its_door(
    method: str, target: str, accept: str | None, door: str, filled: Site
) -> None:
    before = requests(filled)
    headers = {} if accept is None else {"accept": accept}
    status = filled.ask(method, target, headers).status
    told = "OTHER" if method == "BREW" else method
    key = (door, told, f"{status // 100}xx")
    after = requests(filled)
    before[key] = before.get(key, 0) + 1
    scrape = ("server", "GET", "2xx")
    before[scrape] = before.get(scrape, 0) + 1
    assert after == before


def test_an_order_as_json_is_a_push(site: Site) -> None:
    site.ask("POST", "/root/local", {"content-type": "application/json"}, b"{}")
    assert requests(site)[("push", "POST", "4xx")] == 1


def test_uploads_are_counted_by_what_became_of_them(site: Site) -> None:
    site.make_index("root/volatile", volatile=True, acl_upload=("root",))
    changed = WHEEL.__class__(WHEEL.filename, OTHER.content)
    site.upload(WHEEL)
    site.upload(WHEEL)
    site.upload(SDIST)
    site.upload(changed)  # no such wheel
    site.upload(WHEEL, by=None)
    told = scraped(site)
    outcomes = {
        key[1]: value
        for key, value in told.items()
        if key[0] == "simpleindex_uploads_total" and value
    }
    assert outcomes == {"added": 2, "already-there": 1, "refused": 2}
    assert told[("simpleindex_refusals_total", "refused", "400")] == 1
    assert told[("simpleindex_refusals_total", "not-authenticated", "401")] == 1
    assert told[("simpleindex_received_bytes_total", "upload")] > 2 * len(WHEEL.content)


def test_an_upload_that_breaks_off_is_counted(site: Site) -> None:
    headers = site.sent_by("root", "multipart/form-data; boundary=x")
    site.client.cut_off("POST", "/root/local/", headers, b"--x\r\n")
    told = scraped(site)
    assert told[("simpleindex_uploads_total", "cut")] == 1
    assert told[("simpleindex_requests_total", "upload", "POST", "4xx")] == 1
    assert told[("simpleindex_requests_in_flight",)] == 1  # the scrape itself


def test_wrong_passwords_are_counted(site: Site) -> None:
    for password in ("wrong", "rootpw", "wrong again"):
        site.get("/+api", DEVPI, authorization=basic("root", password))
    assert scraped(site)[("simpleindex_failed_logins_total",)] == 2


def test_pages_are_counted_as_made_remembered_or_found_to_be_true_still(site: Site) -> None:
    site.add(WHEEL)

    def told() -> tuple[float, ...]:
        now = scraped(site)
        name = "simpleindex_rendered_pages_total"
        return tuple(now[(name, each)] for each in ("made", "remembered", "confirmed"))

    site.get("/root/local/+simple/demo/", V1_JSON)
    assert told() == (1, 0, 0)
    site.get("/root/local/+simple/demo/", V1_JSON)
    assert told() == (1, 1, 0)
    site.make_index("alice/other")  # changes the serial, but not the page
    site.get("/root/local/+simple/demo/", V1_JSON)
    assert told() == (1, 1, 1)


def test_bytes_are_those_of_bodies(filled: Site) -> None:
    def sent() -> float:
        return scraped(filled).get(("simpleindex_sent_bytes_total", "file"), 0)

    target = f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"
    before = sent()
    assert filled.get(target).body == WHEEL.content
    assert sent() - before == len(WHEEL.content)
    assert filled.ask("HEAD", target).status == 200
    assert filled.get(target, range="bytes=0-9").status == 206
    assert sent() - before == len(WHEEL.content) + 10


def test_how_things_are_is_told_too(site: Site) -> None:
    site.add(WHEEL)
    told = scraped(site)
    serial = int(site.get("/+status").header("x-devpi-serial") or 0)
    assert told[("simpleindex_catalog_serial",)] == serial > 0
    assert told[("simpleindex_workers",)] == 1
    assert told[("simpleindex_journal_bytes",)] == (site.folder / "journal.jsonl").stat().st_size
    assert told[("simpleindex_catalog_bytes",)] > 0
    assert 0 < told[("simpleindex_disk_free_bytes",)] < told[("simpleindex_disk_total_bytes",)]
    assert [key for key in told if key[0] == "simpleindex_build_info" and __version__ in key]


def test_the_journal_is_all_of_its_files(site: Site) -> None:
    with elsewhere(site.folder) as store:
        store.catalog.begin_segment()
    site.add(WHEEL)
    sizes = [path.stat().st_size for path in site.folder.glob("journal*.jsonl")]
    assert len(sizes) == 2
    assert scraped(site)[("simpleindex_journal_bytes",)] == sum(sizes)


def test_no_figure_names_anybody_or_anything(site: Site) -> None:
    site.upload(WHEEL)
    site.get("/root/local/+simple/demo/", V1_JSON)
    site.get("/+api", DEVPI, authorization=basic("alice", "hushhush"))
    told = site.ask("GET", "/-/metrics", **NEAR).text
    for word in ("demo", "alice", "root/local", "hushhush", "192.0.2.7", str(site.folder)):
        assert word not in told


def test_counters_that_cannot_be_kept_are_no_trouble(make_site: MakeSite) -> None:
    site = make_site()
    (site.folder / "counters").write_text("in the way")
    assert site.upload(WHEEL).status == 200
    assert scraped(site)[("simpleindex_uploads_total", "added")] == 1


def test_figures_outlive_the_server(make_site: MakeSite) -> None:
    first = make_site()
    first.upload(WHEEL)
    first.app.close()
    assert scraped(make_site())[("simpleindex_uploads_total", "added")] == 1
