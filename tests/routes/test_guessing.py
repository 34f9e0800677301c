"""Guessing at passwords over HTTP: what it costs the guesser, and that it costs nobody else."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from simpleindex import access
from tests.asgi import Answer
from tests.cli.asking import ask_json
from tests.cli.commands import run
from tests.routes.sites import DEVPI, WHEEL, Site, basic
from tests.server import running_server

HOME = "192.0.2.7"


def log_in(site: Site, password: str, peer: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = f'{{"user": "root", "password": "{password}"}}'.encode()
    return site.ask("POST", "/+login", {"accept": DEVPI, **named}, body, peer=peer)


def guess_from_everywhere(site: Site) -> list[int]:
    return [
        log_in(site, f"wrong {number}", f"198.18.{number // 250}.{number % 250 + 1}").status
        for number in range(1000)
    ]


def test_a_thousand_guesses_cost_ten_hashes_and_lock_nobody_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add(WHEEL)
    assert log_in(site, "rootpw", HOME).status == 200
    hashed: list[str] = []
    verify = access.verify_password

    def counting(password: str, stored: str) -> bool:
        hashed.append(password)
        return verify(password, stored)

    monkeypatch.setattr(access, "verify_password", counting)
    assert guess_from_everywhere(site) == [401] * 10 + [429] * 990
    assert len(hashed) == 10
    # A stranger is held up, and told for how long; root is not, on the server and at home.
    refused = log_in(site, "rootpw", "203.0.113.1")
    assert refused.status == 429
    assert 0 < int(refused.header("retry-after") or "") <= 300
    for peer in ("127.0.0.1", "::1", HOME):
        assert log_in(site, "rootpw", peer).status == 200
    # Everybody reads on, with a wrong password too.
    for headers in ({}, {"authorization": basic("root", "wrong")}):
        page = site.ask("GET", "/root/local/+simple/demo/", headers, peer="198.18.0.1")
        assert page.status == 200
    # Another user logs in from wherever they are.
    body = b'{"user": "alice", "password": "alicepw"}'
    assert site.ask("POST", "/+login", {"accept": DEVPI}, body, peer="203.0.113.2").status == 200


def test_what_a_proxy_on_this_computer_forwards_is_not_from_this_computer(site: Site) -> None:
    for _ in range(10):
        assert log_in(site, "wrong", "127.0.0.1", x_forwarded_for="198.18.0.1").status == 401
    assert log_in(site, "rootpw", "127.0.0.1", x_forwarded_for="203.0.113.1").status == 429
    assert log_in(site, "rootpw", "127.0.0.1").status == 200


def test_processes_on_one_directory_count_together_and_after_a_restart(tmp_path: Path) -> None:
    def log_in_at(port: int, password: str) -> int:
        return ask_json(port, "POST", "/+login", {"user": "root", "password": password})[0]

    data = tmp_path / "data"
    with ExitStack() as running:
        one = running.enter_context(running_server(data))
        other = running.enter_context(running_server(data))
        password = one.root_password
        for number in range(10):
            server = (one, other)[number % 2]
            assert log_in_at(server.port, f"wrong {number}") == 401
        for server in (one, other):
            assert log_in_at(server.port, "wrong") == 429
            assert log_in_at(server.port, password) == 429
        called = run("passwd", "root", f"--serverdir={data}", "--password-file=-", stdin="new pw\n")
        assert called.exit_code == 0, called
    with running_server(data) as server:
        assert log_in_at(server.port, "new pw") == 429
