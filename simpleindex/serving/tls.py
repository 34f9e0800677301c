"""HTTPS: the certificate and the key of the settings, checked before anything listens."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from simpleindex.config import Config, ConfigError

_SOON = timedelta(days=14)
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate and its key, which can be served with."""

    cert: Path
    key: Path
    context: ssl.SSLContext
    """To serve with; it holds what the files held when they were read."""
    warnings: tuple[str, ...]
    """Why clients may refuse it, now or soon."""


def tls_of(config: Config) -> Tls | None:
    """The certificate to serve with, if the settings name one. Raises ConfigError."""
    cert, key = config.tls_cert, config.tls_key
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        missing = "tls_cert" if cert is None else "tls_key"
        raise ConfigError(f"tls_cert and tls_key go together; {missing} is not set")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, cert, key)
    return Tls(cert, key, context, tuple(_warnings(context, cert)))


class _NeedsPassword(Exception):
    """A key is encrypted. OpenSSL would ask for its password at a terminal that nobody sees."""


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    for setting, path, kind in (
        ("tls_cert", cert, "CERTIFICATE-----"),
        ("tls_key", key, "PRIVATE KEY-----"),
    ):
        try:
            text = path.read_text("latin-1")
        except OSError as error:
            raise ConfigError(f"{setting} {path} cannot be read: {error.strerror}") from None
        if kind not in text:
            what = "certificate" if setting == "tls_cert" else "private key"
            raise ConfigError(f"{setting} {path} holds no {what} in PEM format")
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except _NeedsPassword:
        raise ConfigError(
            f"tls_key {key} is encrypted, and nobody is there to type its password; store it "
            f"without one: `openssl pkey -in {key} -out NEW`"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"the key {key} does not belong to the certificate {cert}; where that file holds "
                "several, the server's own must be the first"
            ) from None
        why = error.reason or error.strerror
        raise ConfigError(
            f"the certificate {cert} with the key {key} cannot be used: {why}"
        ) from None


def _no_password() -> str:
    raise _NeedsPassword


def _warnings(context: ssl.SSLContext, cert: Path) -> list[str]:
    """What clients will say of it: tried in memory, as Python reads no dates of certificates."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    der = _shake_hands(context, trusting).getpeercert(binary_form=True)
    assert der is not None
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=der)
    try:
        told = _shake_hands(context, client).getpeercert()
    except ssl.SSLCertVerificationError as error:
        what = {_EXPIRED: "has expired", _NOT_YET_VALID: "is not valid yet"}
        why = what.get(error.verify_code, f"is not sound ({error.verify_message})")
        return [f"the certificate {cert} {why}; clients refuse it"]
    assert told is not None
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), UTC)
    if ends_at - datetime.now(UTC) < _SOON:
        return [f"the certificate {cert} expires on {ends_at:%Y-%m-%d}; clients refuse it then"]
    return []


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Connect both in memory; the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [near, far]
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return near
