"""Installers and the devpi client over HTTPS, with a certificate of the site's own authority."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.certificates import Certificate, a_certificate
from tests.clients.programs import Terminal, program
from tests.clients.server_side import add
from tests.server import RunningServer, running_server


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return a_certificate(tmp_path)


@pytest.fixture
def server(tmp_path: Path, certificate: Certificate) -> Iterator[RunningServer]:
    """A server that speaks nothing but HTTPS, with a package in it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    a_wheel().save(folder)
    flags = (f"--tls-cert={certificate.cert}", f"--tls-key={certificate.key}")
    with running_server(tmp_path / "data", *flags) as server:
        add(server, folder)
        yield server


def test_pip_installs(
    server: RunningServer, certificate: Certificate, terminal: Terminal, tmp_path: Path
) -> None:
    pip = (sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir", "--no-deps")
    target = tmp_path / "target"
    words = ("--index-url", f"{server.url}/root/local/", "--target", target, "demo")
    # Where the machine names a bundle of its own, pip prefers that.
    own = {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
    assert terminal.run(*pip, "--retries=0", *words, **own).exit_code != 0  # nobody trusts it
    terminal.must(*pip, "--cert", certificate.authority, *words, **own)
    assert (target / "demo").is_dir()


def test_uv_installs(
    server: RunningServer, certificate: Certificate, terminal: Terminal, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    terminal.must(
        program("uv"), "pip", "install", "--no-config", "--no-cache", "--python", sys.executable,
        "--default-index", f"{server.url}/root/local/", "--target", target, "demo",
        SSL_CERT_FILE=str(certificate.authority),
    )  # fmt: skip
    assert (target / "demo").is_dir()


def test_the_devpi_client_logs_in_and_uploads(
    server: RunningServer, certificate: Certificate, terminal: Terminal, tmp_path: Path
) -> None:
    def devpi(*words: str | Path) -> str:
        return terminal.must(
            program("devpi"), *words, REQUESTS_CA_BUNDLE=str(certificate.authority)
        )

    devpi("use", server.url)
    devpi("login", "root", f"--password={server.root_password}")
    devpi("use", "root/local")
    devpi("upload", a_wheel(version="2.0").save(tmp_path))
    assert "demo-2.0-py3-none-any.whl" in devpi("list", "demo==2.0")
