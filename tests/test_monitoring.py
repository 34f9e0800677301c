"""Real servers, watched as Prometheus, load balancers and log collectors watch them."""

import json
import os
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import a_wheel, an_upload_body
from tests.clients.programs import Terminal
from tests.hostile.behaviours import HangUp
from tests.mirror.sites import a_client, a_site, until
from tests.server import RunningServer, running_server

NEEDS_PRLIMIT = pytest.mark.skipif(
    not hasattr(os, "sysconf") or sys.platform != "linux",
    reason="limits of another process are set on Linux alone",
)

WHEEL = a_wheel("demo", "1.0")
OTHER = a_wheel("demo", "1.0", extra_files={"demo/more.py": b"more = 1\n"})
MIRRORED = a_wheel("far", "2.0")
PAGE = "/root/local/+simple/demo/"


class Figures(dict[tuple[str, ...], float]):
    """What a scrape told: by name and values of labels; what is not there is 0."""

    def __missing__(self, key: tuple[str, ...]) -> float:
        return 0.0

    def __call__(self, name: str, *labels: str) -> float:
        return self[(f"simpleindex_{name}", *labels)]


def scraped(server: RunningServer) -> Figures:
    """As Prometheus does it, on this computer."""
    with a_client(server.url) as client:
        answer = client.get("/-/metrics", headers={"accept": "*/*"})
        assert answer.status_code == 200, answer.text
        text = answer.text
        accept = {"accept": "application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1"}
        opened = client.get("/-/metrics", headers=accept)
        assert list(parse_open_metrics(opened.text))  # type: ignore[no-untyped-call]  # no types
    return Figures(
        {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def test_figures_are_what_was_done(tmp_path: Path) -> None:
    with a_site(tmp_path / "data") as site:
        site.upstream.add(MIRRORED)
        site.upload(WHEEL, "root/local")
        site.upload(WHEEL, "root/local")
        content_type, body = an_upload_body(OTHER)
        sent = {"content-type": content_type}
        logins = (("root", site.token()), 409), (("root", "wrong"), 401)
        for login, status in logins:
            answer = site.client.post("/root/local/", content=body, headers=sent, auth=login)
            assert answer.status_code == status
        assert site.get("/root/local/+simple/nothing/").status_code == 404
        install(site.server, "demo", "root/local", tmp_path)
        install(site.server, "far", "root/pypi", tmp_path)
        before = site.upstream.requests.count(MIRRORED.filename)
        assert site.download("far", MIRRORED.filename).content == MIRRORED.content
        assert site.upstream.requests.count(MIRRORED.filename) == before
        told = scraped(site.server)

    assert told("uploads_total", "added") == 1
    assert told("uploads_total", "already-there") == 1
    assert told("uploads_total", "refused") == 2
    assert told("requests_total", "upload", "POST", "2xx") == 2
    assert told("requests_total", "upload", "POST", "4xx") == 2
    assert told("received_bytes_total", "upload") == 2 * len(an_upload_body(WHEEL)[1]) + (
        # Who is refused for their name is not listened to; who for the file, is.
        len(body)
    )
    assert told("requests_total", "login", "POST", "2xx") == 1
    assert told("refusals_total", "already-stored", "409") == 1
    assert told("refusals_total", "not-authenticated", "401") == 1
    assert told("refusals_total", "not-stored", "404") == 1
    # pip: the page and the metadata of each, and the file.
    assert told("requests_total", "page", "GET", "2xx") == 3
    assert told("requests_total", "page", "GET", "4xx") == 1
    assert told("requests_total", "metadata", "GET", "2xx") == 2
    assert told("requests_total", "file", "GET", "2xx") == 3
    assert told("sent_bytes_total", "file") == len(WHEEL.content) + 2 * len(MIRRORED.content)
    assert told("request_duration_seconds_count", "file") == 3
    assert told("request_duration_seconds_bucket", "file", "+Inf") == 3
    assert told("mirror_page_looks_total", "missing") == 1
    assert told("mirror_page_fetches_total", "fetched") == 1
    assert told("mirror_files_total", "kept") == 1
    assert told("mirror_files_total", "missing") == 2  # the metadata, and the file
    assert told("mirror_file_fetches_total", "fetched") == 1
    assert told("mirror_file_received_bytes_total") == len(MIRRORED.content)
    assert told("failed_logins_total") == 1
    assert told("workers") == 1
    assert told("requests_in_flight") == 1
    assert told("connections_open") >= 1
    assert told[("process_resident_memory_bytes",)] > 1 << 20 or sys.platform != "linux"


def test_a_mirror_whose_upstream_is_down_is_seen(tmp_path: Path) -> None:
    with a_site(tmp_path / "data", "--mirror-cache-expiry=0") as site:
        site.upstream.add(MIRRORED)
        assert site.page("far").status_code == 200
        site.upstream.behave("/far/", HangUp())
        assert site.page("far").status_code == 200  # as it was
        until(
            lambda: scraped(site.server)("mirror_page_fetches_total", "failed") == 1,
            "upstream is asked in vain",
        )
        told = scraped(site.server)
        assert told("mirror_page_looks_total", "stale") >= 1


def test_two_servers_on_one_directory_tell_the_same(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as one, running_server(tmp_path / "data") as other:
        for server, times in ((one, 3), (other, 5)):
            with a_client(server.url) as client:
                for _ in range(times):
                    assert client.get("/+api").status_code == 200

        def sums() -> set[float]:
            return {scraped(each)("requests_total", "devpi", "GET", "2xx") for each in (one, other)}

        until(lambda: sums() == {8}, "both tell what both have done")
        assert scraped(one)("workers") == scraped(other)("workers") == 2
        other.kill()
        assert scraped(one)("requests_total", "devpi", "GET", "2xx") == 8
        assert scraped(one)("workers") == 1


def test_no_figure_gets_smaller_when_a_server_is_killed(tmp_path: Path) -> None:
    def growing(told: Figures) -> dict[tuple[str, ...], float]:
        counters = ("_total", "_bucket", "_count", "_sum")
        return {
            key: value
            for key, value in told.items()
            if key[0].startswith("simpleindex_") and key[0].endswith(counters)
        }

    before: dict[tuple[str, ...], float] = {}
    for _ in range(3):
        with running_server(tmp_path / "data") as server:
            with a_client(server.url) as client:
                client.get("/+api")
                client.get("/nobody/")
            told = growing(scraped(server))
            server.kill()
        assert all(told[key] >= value for key, value in before.items())
        before = told
    assert before[("simpleindex_requests_total", "devpi", "GET", "2xx")] == 3


@NEEDS_PRLIMIT
def test_a_disk_without_room_is_told_of_and_reads_go_on(tmp_path: Path) -> None:
    import resource

    with running_server(tmp_path / "data") as server, a_client(server.url) as client:
        assert client.get("/-/health").json()["writable"] is True
        # What a full disk looks like to a process: each write beyond the first byte fails.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, 1))
        until(lambda: client.get("/-/health").json()["writable"] is False, "it notices")
        assert client.get("/-/health/ready").status_code == 200
        assert client.get("/-/health/live").status_code == 200
        assert client.get("/-/health/writable").status_code == 503
        assert client.get("/+api").status_code == 200
        assert scraped(server)("requests_total", "devpi", "GET", "2xx") == 1


# The log


def test_each_line_of_the_log_is_an_object_and_none_tells_a_secret(tmp_path: Path) -> None:
    options = ("--log-format=json", "--offline-mode")
    with running_server(tmp_path / "data", *options) as server, a_client(server.url) as client:
        secret = server.root_password
        root = ("root", secret)
        login = client.post("/+login", json={"user": "root", "password": secret})
        token = login.json()["result"]["password"]
        client.get("/+api", auth=root, headers={"user-agent": "a tool\x1b[2J"})
        client.get(f"/+api?token={token}", auth=("root", token))
        client.get("/%0d%0aforged%1b%5b2J%ff/x")
        client.put("/alice/dev", json={}, auth=("root", "wrong"))
        ask_raw(server, f"GET http://root:{secret}@127.0.0.1/+api HTTP/1.1")
        ask_raw(server, "PUT http://root:" + secret + "@127.0.0.1/a/b HTTP/1.1")
    text = server.log.read_text("ascii")
    lines = [json.loads(line) for line in text.splitlines()]
    answers = [line for line in lines if line["logger"] == "simpleindex.access"]
    assert [(line["method"], line["status"]) for line in answers] == [
        ("POST", 200), ("GET", 200), ("GET", 200), ("GET", 404), ("PUT", 403), ("GET", 404),
        ("PUT", 404),
    ]  # fmt: skip
    assert [line["user"] for line in answers[:3]] == ["root"] * 3
    assert answers[1]["user_agent"] == "a tool\x1b[2J"
    assert answers[3]["path"] == "/%0d%0aforged%1b%5b2J%ff/x"
    assert any(line["level"] == "warning" and "refused" in line["message"] for line in lines)
    for word in (secret, token, "Basic "):
        assert word not in text


def test_a_line_of_text_is_what_web_servers_write(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, a_client(server.url) as client:
        client.get("/+api", headers={"user-agent": 'a "tool"\x1b'})
    assert server.log.read_text("ascii").startswith("127.0.0.1 - - [")
    (line,) = server.log.read_text("ascii").splitlines()
    assert '] "GET /+api HTTP/1.1" 200 ' in line
    assert ' "-" "a \\x22tool\\x22\\x1b" 0.' in line


def test_requests_of_the_last_moment_are_in_the_log_when_the_server_has_stopped(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path / "data") as server:
        with a_client(server.url) as client:
            for _ in range(50):
                client.get("/+api")
        server.stop()
        assert server.log.read_text().count('"GET /+api HTTP/1.1" 200') == 50


def test_so_are_those_that_were_answered_from_memory(tmp_path: Path) -> None:
    content_type, body = an_upload_body(WHEEL)
    with running_server(tmp_path / "data") as server:
        with a_client(server.url) as client:
            sent = {"content-type": content_type}
            root = ("root", server.root_password)
            assert client.post("/root/local/", content=body, headers=sent, auth=root).is_success
            for _ in range(500):
                assert client.get(PAGE).status_code == 200
        server.stop()
        assert server.log.read_text().count(f'"GET {PAGE} HTTP/1.1" 200') == 500


def ask_raw(server: RunningServer, request_line: str) -> None:
    """Send a request as no client would."""
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        while connection.recv(4096):
            pass


def install(server: RunningServer, project: str, index: str, folder: Path) -> None:
    """Let pip install a project into a folder."""
    terminal = Terminal(folder / "home")
    url = f"{server.url}/{index}/+simple/"
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir", "--no-deps"]
    pip.append("--disable-pip-version-check")
    terminal.must(*pip, "--index-url", url, "--target", folder / f"target-{project}", project)
