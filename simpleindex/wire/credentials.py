"""Who a request says it is from: the two headers that carry a user and a secret."""

import base64
import binascii
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and what should prove it: a password, or the token of a login."""

    user: str
    secret: str = field(repr=False)


def parse_credentials(authorization: str | None, devpi_auth: str | None) -> Credentials | None:
    """Credentials from `X-Devpi-Auth` (devpi-client), else `Authorization: Basic` (all others).

    None when there are none, or when they cannot be read: such a request is anonymous.
    """
    if devpi_auth is not None:
        return _decoded(devpi_auth)
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "basic":
            return _decoded(value)
    return None


def _decoded(value: str) -> Credentials | None:
    try:
        raw = base64.b64decode(value.strip().encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # old requests and twine send it so
    user, colon, secret = text.partition(":")
    return Credentials(user, secret) if colon else None
