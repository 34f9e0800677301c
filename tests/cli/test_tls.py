"""HTTPS: what is checked before it is served with, and that it is served."""

import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from simpleindex.config import Config, ConfigError
from simpleindex.serving.server import GRACE_SECONDS
from simpleindex.serving.tls import tls_of
from tests.certificates import Certificate, a_certificate, openssl
from tests.cli.asking import ANSWER_SECONDS_MAX
from tests.cli.commands import Cli
from tests.server import running_server
from tests.serving.processes import wait_until


def settings_of(certificate: Certificate) -> Config:
    return Config(tls_cert=certificate.cert, tls_key=certificate.key)


def warnings_of(certificate: Certificate) -> tuple[str, ...]:
    tls = tls_of(settings_of(certificate))
    assert tls is not None
    return tls.warnings


def test_without_the_settings_there_is_no_tls() -> None:
    assert tls_of(Config()) is None


def test_a_sound_certificate_is_taken_without_a_word(tmp_path: Path) -> None:
    assert warnings_of(a_certificate(tmp_path)) == ()


def test_a_certificate_that_is_out_of_date_is_warned_of(tmp_path: Path) -> None:
    old, soon = a_certificate(tmp_path, "old", days=0), a_certificate(tmp_path, "soon", days=3)
    assert warnings_of(old) == (f"the certificate {old.cert} has expired; clients refuse it",)
    (line,) = warnings_of(soon)
    assert line.startswith(f"the certificate {soon.cert} expires on 20")


def one_alone(folder: Path) -> Config:
    return Config(tls_cert=a_certificate(folder).cert)


def no_file(folder: Path) -> Config:
    return Config(tls_cert=folder / "none.pem", tls_key=a_certificate(folder).key)


def a_folder(folder: Path) -> Config:
    return Config(tls_cert=a_certificate(folder).cert, tls_key=folder)


def exchanged(folder: Path) -> Config:
    made = a_certificate(folder)
    return Config(tls_cert=made.key, tls_key=made.cert)


def no_key(folder: Path) -> Config:
    made = a_certificate(folder)
    return Config(tls_cert=made.cert, tls_key=made.cert)


def of_another(folder: Path) -> Config:
    one, other = a_certificate(folder, "one"), a_certificate(folder, "other")
    return Config(tls_cert=one.cert, tls_key=other.key)


def encrypted(folder: Path) -> Config:
    made = a_certificate(folder)
    key = folder / "encrypted.pem"
    openssl("pkey", "-in", made.key, "-aes256", "-passout", "pass:x", "-out", key)
    return Config(tls_cert=made.cert, tls_key=key)


def spoilt(folder: Path) -> Config:
    made = a_certificate(folder)
    made.cert.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return settings_of(made)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (one_alone, "tls_cert and tls_key go together; tls_key is not set"),
        (no_file, "none.pem cannot be read: No such file or directory"),
        (a_folder, "cannot be read: Is a directory"),
        (exchanged, "holds no certificate in PEM format"),
        (no_key, "holds no private key in PEM format"),
        (of_another, "does not belong to the certificate"),
        (encrypted, "is encrypted"),
        (spoilt, "cannot be used"),
    ],
)
def test_what_cannot_be_served_with_is_told_in_one_line_before_anything_is_made(
    settings: Callable[[Path], Config], words: str, cli: Cli, tmp_path: Path
) -> None:
    config = settings(tmp_path)
    flags = [f"--tls-cert={config.tls_cert}"]
    flags += [] if config.tls_key is None else [f"--tls-key={config.tls_key}"]
    called = cli("serve", f"--serverdir={tmp_path / 'data'}", "--port=0", *flags)
    assert words in called.complaint
    assert not (tmp_path / "data").exists()


def get(port: int, path: str, trusted: Path) -> tuple[int, bytes, bytes]:
    """Status, body and certificate of an answer over HTTPS."""
    context = ssl.create_default_context(cafile=str(trusted))
    connection = HTTPSConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX, context=context)
    with closing(connection):
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown = connection.sock.getpeercert(binary_form=True)
        assert shown is not None
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(), shown


def test_a_server_speaks_https_and_says_so_in_its_links(tmp_path: Path) -> None:
    made = a_certificate(tmp_path)
    flags = (f"--tls-cert={made.cert}", f"--tls-key={made.key}")
    with running_server(tmp_path / "data", *flags) as server:
        assert server.url.startswith("https://127.0.0.1:")
        status, body, _ = get(server.port, "/+api", made.authority)
        assert status == 200
        assert f'"{server.url}/+login"'.encode() in body
    assert "warning" not in server.log.read_text()


def test_what_was_read_is_served_whatever_becomes_of_the_files(tmp_path: Path) -> None:
    old, new = a_certificate(tmp_path, "old"), a_certificate(tmp_path, "new")
    served = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem", old.authority)
    put(old, served)
    first = context_of(served)
    put(new, served)
    second = context_of(served)
    assert shown_by(first) == der_of(old)
    served.key.write_bytes(old.key.read_bytes())
    with pytest.raises(ConfigError, match="does not belong"):
        context_of(served)
    assert shown_by(second) == der_of(new)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_running_server_takes_a_renewed_certificate(tmp_path: Path, workers: int) -> None:
    old, new = a_certificate(tmp_path, "old"), a_certificate(tmp_path, "new")
    served = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem", old.authority)
    put(old, served)
    flags = (f"--tls-cert={served.cert}", f"--tls-key={served.key}", f"--workers={workers}")
    with running_server(tmp_path / "data", *flags, "--no-access-log") as server:
        assert get(server.port, "/+api", old.authority)[2] == der_of(old)
        put(new, served)
        server.process.send_signal(signal.SIGHUP)
        trusted = tmp_path / "both.pem"
        trusted.write_bytes(old.authority.read_bytes() + new.authority.read_bytes())
        wait_until(
            lambda: all(get(server.port, "/+api", trusted)[2] == der_of(new) for _ in range(20))
        )
        wait_until(lambda: server.log.read_text().count(f"{served.cert} was read again") == 1)
        served.key.write_bytes(old.key.read_bytes())
        server.process.send_signal(signal.SIGHUP)
        told = "the settings stay as they were: the key"
        wait_until(lambda: told in server.log.read_text())
        assert get(server.port, "/+api", new.authority)[2] == der_of(new)


def context_of(made: Certificate) -> ssl.SSLContext:
    tls = tls_of(settings_of(made))
    assert tls is not None
    return tls.context


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
@pytest.mark.parametrize("workers", [1, 2])
def test_settings_that_cannot_be_used_change_no_certificate(tmp_path: Path, workers: int) -> None:
    old, new = a_certificate(tmp_path, "old"), a_certificate(tmp_path, "new")
    served = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem", old.authority)
    put(old, served)
    tls = (f"--tls-cert={served.cert}", f"--tls-key={served.key}")
    with running_server(tmp_path / "data", *tls, f"--workers={workers}") as server:
        put(new, served)
        (server.serverdir / "simpleindex.toml").write_text("secretfile = '/nowhere/key'")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the settings stay as they were: " in server.log.read_text())
        for _ in range(10):
            assert get(server.port, "/+api", old.authority)[2] == der_of(old)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_waits_for_no_handshake(tmp_path: Path, workers: int) -> None:
    made = a_certificate(tmp_path)
    tls = (f"--tls-cert={made.cert}", f"--tls-key={made.key}")
    flags = (*tls, f"--workers={workers}", "--no-access-log")
    with running_server(tmp_path / "data", *flags) as server, ExitStack() as kept:
        for turn in range(20):
            half = kept.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            half.sendall(b"\x16\x03\x01\x02"[: turn % 5])
        assert get(server.port, "/+api", made.authority)[0] == 200
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < GRACE_SECONDS
        assert server.log.read_text() == ""


def put(made: Certificate, where: Certificate) -> None:
    where.cert.write_bytes(made.cert.read_bytes())
    where.key.write_bytes(made.key.read_bytes())


def der_of(made: Certificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(made.cert.read_text())


def shown_by(context: ssl.SSLContext) -> bytes | None:
    """The certificate that a server with this context shows."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server)
    far = context.wrap_bio(to_server, to_client, server_side=True)
    for end in (near, far, near):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return near.getpeercert(binary_form=True)
