"""Headers of proxies count from the proxies that the settings name, and from nobody else."""

import json
from pathlib import Path

import pytest

from tests.cli.asking import ask
from tests.server import server_environment, server_of, simpleindex

FORWARDED = {
    "Accept": "application/json",
    "Forwarded": 'for=192.0.2.1;proto=https;host="evil.example"',
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "192.0.2.1",
}
OUTSIDE = {"X-Outside-Url": "https://evil.example/x"}


@pytest.mark.parametrize("more", [{}, OUTSIDE], ids=["forwarded", "outside url"])
@pytest.mark.parametrize(
    ("proxies", "is_named"),
    [("", False), ("192.0.2.0/24", False), ("127.0.0.0/8", True), ("127.0.0.1", True)],
)
def test_only_a_proxy_that_is_named_speaks_for_others(
    proxies: str, is_named: bool, more: dict[str, str], tmp_path: Path
) -> None:
    command = simpleindex("serve", f"--serverdir={tmp_path / 'data'}", "--port=0")
    # By this variable uvicorn would believe everybody.
    environment = server_environment(FORWARDED_ALLOW_IPS="*", FORWARDED="1")
    with server_of(
        [*command, f"--trusted-proxy={proxies}"], tmp_path / "data", environment
    ) as server:
        status, body = ask(server.port, "GET", "/+api", headers=FORWARDED | more)
        assert status == 200
        login = json.loads(body)["result"]["login"]
    if not is_named:
        assert login == f"{server.url}/+login"
        assert "192.0.2.1" not in server.log.read_text()
    else:
        assert login == ("https://evil.example/x/+login" if more else "https://evil.example/+login")
