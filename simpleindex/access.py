"""Who is asking, and who may do what: passwords, logins, and pure rules."""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from simpleindex.wire.credentials import Credentials
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Index, IndexSettings, MirrorSettings, User
from simpleindex_storage.names import IndexName, UserName, owner_of, parse_user_name
from simpleindex_storage.ports import Catalog

ROOT = UserName("root")

PASSWORD_BYTES_MAX = 1024
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 1
_NOBODYS_HASH = f"scrypt${_SCRYPT_N}${_SCRYPT_R}${_SCRYPT_P}${'00' * 16}${'00' * 32}"
"""Nobody can know a password for it. To compare with it takes as long as with any other."""
_VERIFIED_SECONDS = 60.0
_VERIFIED_MAX = 1000
_TOKEN_PREFIX = "si1"  # noqa: S105  devpi-client treats "devpi-" and "pypi-" as other kinds


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a request is from. Without a name: anybody."""

    name: UserName | None = None


ANYBODY = Principal()


def check_new_password(password: str) -> None:
    """Raises Refused for a password that must not be set."""
    if not password:
        raise Refused("password", "it must not be empty")
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        raise Refused("password", f"it is longer than {PASSWORD_BYTES_MAX} bytes")


def hash_password(password: str) -> str:
    """A hash that says how it was made, so that the cost can be raised later."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _SCRYPT_N, _SCRYPT_R, _SCRYPT_P)
    numbers = f"{_SCRYPT_N}${_SCRYPT_R}${_SCRYPT_P}"
    return f"scrypt${numbers}${salt.hex()}${digest.hex()}"


def verify_password(password: str, stored: str) -> bool:
    """Whether the hash was made from the password. A hash of an unknown kind fits none."""
    try:
        kind, n, r, p, salt, digest = stored.split("$")
        if kind != "scrypt" or len(password.encode()) > PASSWORD_BYTES_MAX:
            return False
        made = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    except ValueError:  # also what text that is not valid Unicode raises
        return False
    return hmac.compare_digest(made, bytes.fromhex(digest))


class Logins:
    """Tokens that stand for a password for some hours. Nothing is stored of them.

    A token is signed with the server's secret over the user, the password's version and the
    expiry: so it holds on every worker and across restarts, and dies with the password. Its
    alphabet is that of URLs, without a slash, since devpi-client puts it into URLs.
    """

    def __init__(self, secret: bytes, valid_seconds: int, now: Callable[[], datetime]) -> None:
        self._key = hmac.digest(secret, b"simpleindex login tokens", "sha256")
        self.valid_seconds = valid_seconds
        self._now = now

    def issue(self, user: User) -> str:
        """A token for the user."""
        expiry = int(self._now().timestamp()) + self.valid_seconds
        claim = f"{expiry}.{user.password_version}"
        return f"{_TOKEN_PREFIX}.{claim}.{self._signature(user, claim)}"

    def accepts(self, token: str, user: User) -> bool:
        """Whether this is a token for the user that is still good."""
        prefix, _, rest = token.partition(".")
        claim, _, signature = rest.rpartition(".")
        if prefix != _TOKEN_PREFIX or not signature.isascii():
            return False
        if not hmac.compare_digest(signature, self._signature(user, claim)):
            return False
        expiry, _, version = claim.partition(".")
        return int(expiry) > self._now().timestamp() and int(version) == user.password_version

    def _signature(self, user: User, claim: str) -> str:
        message = f"{user.name}\0{user.created_at.timestamp()}\0{claim}".encode()
        return urlsafe_b64encode(hmac.digest(self._key, message, "sha256")).decode().rstrip("=")


class Authenticator:
    """Finds out who a request is from. Blocks for as long as a hash takes."""

    def __init__(
        self, catalog: Catalog, logins: Logins, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalog = catalog
        self.logins = logins
        self._clock = clock
        self._verified_key = secrets.token_bytes(32)
        self._verified: dict[bytes, float] = {}
        """When credentials that were right stop being remembered, by a keyed digest of them."""
        self._lock = Lock()

    def recognise(self, credentials: Credentials) -> Principal | None:
        """Who it is, if that can be told without hashing: by a token, or a password just seen."""
        user = self._user(credentials.user)
        if user is None:
            return None
        if self.logins.accepts(credentials.secret, user) or self._is_remembered(user, credentials):
            return Principal(user.name)
        return None

    def identify(self, credentials: Credentials) -> Principal:
        """Who it is; anybody, if the credentials prove nothing."""
        known = self.recognise(credentials)
        if known is not None:
            return known
        user = self.log_in(credentials)
        return Principal(user.name) if user else ANYBODY

    def log_in(self, credentials: Credentials) -> User | None:
        """The user, if this is their password. A token does not buy another token."""
        user = self._user(credentials.user)
        if user is None:
            # Names of users could be found out by the clock if unknown ones were refused sooner.
            verify_password(credentials.secret, _NOBODYS_HASH)
            return None
        if self._is_remembered(user, credentials):
            return user
        if not verify_password(credentials.secret, user.password_hash):
            return None
        self._remember(user, credentials)
        return user

    def _user(self, name: str) -> User | None:
        try:
            parsed = parse_user_name(name)
        except Refused:
            return None
        with self._catalog.snapshot() as seen:
            return seen.user(parsed)

    def _is_remembered(self, user: User, credentials: Credentials) -> bool:
        """Whether the password was right a moment ago: pip sends it with each of its requests."""
        now = self._clock()
        with self._lock:
            return self._verified.get(self._mark(user, credentials), now) > now

    def _remember(self, user: User, credentials: Credentials) -> None:
        with self._lock:
            if len(self._verified) >= _VERIFIED_MAX:
                self._verified.clear()
            self._verified[self._mark(user, credentials)] = self._clock() + _VERIFIED_SECONDS

    def _mark(self, user: User, credentials: Credentials) -> bytes:
        text = f"{user.name}\0{user.password_hash}\0{credentials.secret}"
        return hmac.digest(self._verified_key, text.encode(errors="surrogatepass"), "sha256")


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may do what. `restrict_modify`: the users who may change users and indexes, if any."""

    restrict_modify: tuple[str, ...] = (ROOT,)

    def may_create_user(self, principal: Principal) -> bool:
        """Without a restriction, everybody who has logged in."""
        if self.restrict_modify:
            return principal.name in self.restrict_modify
        return principal.name is not None

    def may_create_index(self, principal: Principal, owner: UserName) -> bool:
        """Without a restriction, the owner and root."""
        if self.restrict_modify:
            return principal.name in self.restrict_modify
        return principal.name in (owner, ROOT)

    def may_upload(self, principal: Principal, settings: IndexSettings) -> bool:
        """Whom the index's acl_upload names. Root is not implied, as in devpi."""
        if isinstance(settings, MirrorSettings):
            return False
        if ":ANONYMOUS:" in settings.acl_upload:
            return True
        if principal.name is None:
            return False
        return ":AUTHENTICATED:" in settings.acl_upload or principal.name in settings.acl_upload

    def may_mark(self, principal: Principal, index: Index) -> bool:
        """Yank files and give statuses: whoever may remove them, which is devpi's rule."""
        if principal.name is None:
            return False
        if self.may_upload(principal, index.settings):
            return True
        return principal.name in (self.restrict_modify or (owner_of(index.name), ROOT))

    def may_make_by_upload(self, principal: Principal, index: IndexName) -> bool:
        """Root's first upload to root/local makes that index."""
        return principal.name == ROOT and index == AUTOMATIC_INDEX


AUTOMATIC_INDEX = IndexName("root/local")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    memory_bytes = 128 * n * r * p + (1 << 20)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory_bytes, dklen=32
    )
