"""Who is asking, and who may do what: passwords, logins, and pure rules."""

import hashlib
import hmac
import logging
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from threading import Lock

from simpleindex.api_tokens import TOKEN_USER, allows, allows_some, token_of
from simpleindex.argon2_hashes import fits_argon2, is_argon2, is_available
from simpleindex.events import Count, Event, nobody_counts
from simpleindex.limits import FailureLimits
from simpleindex.wire.credentials import Credentials
from simpleindex.wire.patterns import most_specific
from simpleindex_storage.errors import Refused, StoreError
from simpleindex_storage.model import (
    CONSOLE,
    Actor,
    ApiToken,
    Index,
    IndexSettings,
    MirrorSettings,
    TokenAction,
    User,
)
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    UserName,
    owner_of,
    parse_user_name,
)
from simpleindex_storage.ports import Catalog, Change, Snapshot

ROOT = UserName("root")
ROOT_AT_CONSOLE = Actor(ROOT, CONSOLE)
"""Whoever calls verbs on the server's disk: they may all that root may."""

_log = logging.getLogger(__name__)

PASSWORD_BYTES_MAX = 1024
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 1
_SCRYPT_N_MAX = 1 << 20
_DIGEST_BYTES = 32
_SCRYPT_HASH = re.compile(
    r"scrypt\$(\d{1,7})\$([1-9]\d?)\$([1-9]\d?)\$((?:[0-9a-f]{2})+)\$([0-9a-f]{64})", re.ASCII
)
_NOBODYS_HASH = ""
"""No password fits it. To find that out takes as long as with any other."""
_NOBODYS_PARTS = (bytes(16), _SCRYPT_N, _SCRYPT_R, _SCRYPT_P, bytes(32))
_VERIFIED_SECONDS = 60.0
_VERIFIED_MAX = 1000
_TOKEN_PREFIX = "si1"  # noqa: S105  devpi-client treats "devpi-" and "pypi-" as other kinds


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a request is from. Without a name: anybody."""

    name: UserName | None = None
    token: ApiToken | None = None
    """What came instead of a password, and limits what it is good for."""
    address: str | None = field(default=None, compare=False)
    """Where the request came from, for the journal; None where that is not known."""
    is_unproven: bool = field(default=False, compare=False)
    """Whether a password or a login came along that is no good."""

    @property
    def actor(self) -> Actor:
        """As the journal names them."""
        return Actor(self.name or "", self.address)

    def __str__(self) -> str:
        if self.name is None and self.is_unproven:
            return "somebody whose user name or password is wrong, or whose login has ended,"
        if self.name is None:
            return "somebody who is not logged in"
        return f"user {self.name}" if self.token is None else f"this token of user {self.name}"


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
    """Whether the hash was made from the password. A hash of an unknown kind fits none.

    Whatever is stored, one hash is computed: names of users, and which of them have a password,
    could be found out by the clock if some were refused sooner.
    """
    try:
        if not 0 < len(password.encode()) <= PASSWORD_BYTES_MAX:  # devpi-server has empty ones
            return False
    except ValueError:  # text that is not valid Unicode
        return False
    if is_argon2(stored) and is_available():
        return fits_argon2(password, stored)
    known = _scrypt_parts(stored)
    salt, n, r, p, digest = known or _NOBODYS_PARTS
    made = _scrypt(password, salt, n, r, p)
    return hmac.compare_digest(made, digest) and known is not None


class Logins:
    """Tokens that stand for a password for some hours. Nothing is stored of them.

    A token is signed with the server's secret over the user, the password's version and the
    expiry: so it holds on every worker and across restarts, and dies with the password. Its
    alphabet is that of URLs, without a slash, since devpi-client puts it into URLs.
    """

    def __init__(self, secret: bytes, valid_seconds: int, now: Callable[[], datetime]) -> None:
        self._key = hmac.digest(secret, b"simpleindex login tokens", "sha256")
        self.valid_seconds = valid_seconds
        self.now = now

    def issue(self, user: User) -> str:
        """A token for the user."""
        expiry = int(self.now().timestamp()) + self.valid_seconds
        claim = f"{expiry}.{user.password_version}"
        return f"{_TOKEN_PREFIX}.{claim}.{self._signature(user, claim)}"

    def accepts(self, token: str, user: User) -> bool:
        """Whether this is a token for the user that is still good."""
        if not self.has_issued(token, user):
            return False
        _, expiry, version, _ = token.split(".")
        return int(expiry) > self.now().timestamp() and int(version) == user.password_version

    def has_issued(self, token: str, user: User) -> bool:
        """Whether this was a token for the user at some time."""
        prefix, _, rest = token.partition(".")
        claim, _, signature = rest.rpartition(".")
        if prefix != _TOKEN_PREFIX or not signature.isascii():
            return False
        return hmac.compare_digest(signature, self._signature(user, claim))

    def _signature(self, user: User, claim: str) -> str:
        message = f"{user.name}\0{user.created_at.timestamp()}\0{claim}".encode()
        return urlsafe_b64encode(hmac.digest(self._key, message, "sha256")).decode().rstrip("=")


class Authenticator:
    """Finds out who a request is from. Blocks for as long as a hash takes."""

    def __init__(
        self,
        catalog: Catalog,
        logins: Logins,
        limits: FailureLimits,
        clock: Callable[[], float] = time.monotonic,
        count: Count = nobody_counts,
    ) -> None:
        self._catalog = catalog
        self.logins = logins
        self._limits = limits
        self._clock = clock
        self._count = count
        self._verified_key = secrets.token_bytes(32)
        self._verified: dict[bytes, float] = {}
        """When credentials that were right stop being remembered, by a keyed digest of them."""
        self._lock = Lock()

    def recognise(self, credentials: Credentials, address: str | None = None) -> Principal | None:
        """Who it is, if that can be told without hashing: by a token, or a password just seen.

        A login that has ended is anybody's: to send it is no guess at a password, and
        devpi-client does so until its user logs in again.
        """
        with self._catalog.snapshot() as seen:
            token = token_of(seen, credentials.secret, self.logins.now)
            if token is not None and credentials.user in (TOKEN_USER, token.user):
                return Principal(token.user, token)
            user = _user(seen, credentials.user)
        if user is None:
            return None
        if self.logins.accepts(credentials.secret, user):
            return Principal(user.name)
        if self.logins.has_issued(credentials.secret, user):
            return ANYBODY
        return Principal(user.name) if self._is_remembered(user, credentials, address) else None

    def identify(self, credentials: Credentials, address: str | None = None) -> Principal:
        """Who it is; anybody, if the credentials prove nothing. Raises TooManyFailures.

        `address`: where they came from, if that is known.
        """
        known = self.recognise(credentials, address)
        if known is not None:
            return known
        user = self.log_in(credentials, address)
        return Principal(user.name) if user else ANYBODY

    def log_in(self, credentials: Credentials, address: str | None = None) -> User | None:
        """The user, if this is their password. A token does not buy another token.

        Raises TooManyFailures, also for a password that is right: whoever guesses must not learn
        which one it was.
        """
        with self._catalog.snapshot() as seen:
            user = _user(seen, credentials.user)
        if user is not None and self._is_remembered(user, credentials, address):
            return user
        # Tokens are not guessed at by name, and all their users have this one.
        name = None if credentials.user == TOKEN_USER else credentials.user
        self._limits.check(name, address)
        stored = _NOBODYS_HASH if user is None else user.password_hash
        if not verify_password(credentials.secret, stored) or user is None:
            self._limits.count(name, address)
            self._count(Event.LOGIN_FAILED, 1)
            _warn_if_never(stored, credentials.user)
            return None
        if is_argon2(stored):
            user = self._hash_anew(user, credentials.secret, Actor(user.name, address))
        self._remember(user, credentials, address)
        self._limits.remember(user.name, address)
        return user

    def is_at_home(self, credentials: Credentials, address: str | None) -> bool:
        """Whether the user was right there before, or sits at this computer."""
        return self._limits.is_known(credentials.user, address)

    def _hash_anew(self, user: User, password: str, by: Actor) -> User:
        """Let a hash that devpi-server has made be one of ours; logins go on."""
        password_hash = hash_password(password)

        def put(change: Change) -> User:
            known = change.user(user.name)
            if known is None or known.password_hash != user.password_hash:
                return user
            changed = replace(known, password_hash=password_hash)
            change.put_user(changed)
            return changed

        try:
            return self._catalog.change(put, by=by, what="hash")
        except StoreError:  # on a full disk people can log in too; the next time will do
            return user

    def _is_remembered(self, user: User, credentials: Credentials, address: str | None) -> bool:
        """Whether the password was right a moment ago: pip sends it with each of its requests.

        So those who work go on while others guess at their password; but to guess here, without
        the cost of a hash, is no use either.
        """
        now = self._clock()
        with self._lock:
            if self._verified.get(self._mark(user, credentials, address), now) <= now:
                return False
        return self._limits.has_tries(credentials.user, address)

    def _remember(self, user: User, credentials: Credentials, address: str | None) -> None:
        with self._lock:
            if len(self._verified) >= _VERIFIED_MAX:
                self._verified.clear()
            mark = self._mark(user, credentials, address)
            self._verified[mark] = self._clock() + _VERIFIED_SECONDS

    def _mark(self, user: User, credentials: Credentials, address: str | None) -> bytes:
        text = f"{user.name}\0{user.password_hash}\0{address}\0{credentials.secret}"
        return hmac.digest(self._verified_key, text.encode(errors="surrogatepass"), "sha256")


def _warn_if_never(stored: str, name: str) -> None:
    if is_argon2(stored) and not is_available():
        _log.warning(
            "user %s cannot log in: the password came from devpi-server, and checking it needs "
            "argon2-cffi; install it, or set a new password with `simpleindex-server passwd %s`",
            name,
            name,
        )


def _user(seen: Snapshot, name: str) -> User | None:
    try:
        return seen.user(parse_user_name(name))
    except Refused:
        return None


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may do what. `restrict_modify`: the users who may change users and indexes, if any."""

    restrict_modify: tuple[str, ...] = (ROOT,)

    def may_create_user(self, principal: Principal) -> bool:
        """Without a restriction, everybody who has logged in."""
        if principal.token is not None:
            return False
        if self.restrict_modify:
            return principal.name in self.restrict_modify
        return principal.name is not None

    def may_create_index(self, principal: Principal, owner: UserName) -> bool:
        """Without a restriction, the owner and root."""
        if principal.token is not None:
            return False
        if self.restrict_modify:
            return principal.name in self.restrict_modify
        return principal.name in (owner, ROOT)

    def may_read(
        self, principal: Principal, index: Index, project: ProjectName | None = None
    ) -> bool:
        """Whom acl_read names, whoever is named as an uploader, the owner, and admins.

        `project` None: all of the index, which a token for some projects does not open.
        """
        settings = index.settings
        if is_public(settings):
            return True
        if principal.name is None or not _reaches(principal, TokenAction.READ, index, project):
            return False
        named = (*self.restrict_modify, owner_of(index.name), ROOT)
        if not isinstance(settings, MirrorSettings):
            # Only by name: who lets everybody drop files need not show them to everybody.
            named += (*settings.acl_upload, *chain(*settings.acl_project_upload.values()))
        return principal.name in named or _names(settings.acl_read, principal)

    def may_upload(self, principal: Principal, index: Index, project: ProjectName) -> bool:
        """Whom the index names for the project, else its acl_upload. Root is not implied."""
        settings = index.settings
        if isinstance(settings, MirrorSettings):
            return False
        acls = settings.acl_project_upload
        pattern = most_specific(project, acls)
        acl = settings.acl_upload if pattern is None else acls[pattern]
        return _names(acl, principal) and _reaches(principal, TokenAction.UPLOAD, index, project)

    def may_upload_some(self, principal: Principal, index: Index) -> bool:
        """Whether there is a project that they may upload; which one it is, is still to come."""
        settings, token = index.settings, principal.token
        if isinstance(settings, MirrorSettings):
            return False
        if token is not None and not allows_some(token, TokenAction.UPLOAD, index.name):
            return False
        acls = (settings.acl_upload, *settings.acl_project_upload.values())
        return any(_names(acl, principal) for acl in acls)

    def may_upload_result(self, principal: Principal, index: Index, project: ProjectName) -> bool:
        """Whom the index's acl_toxresult_upload names; everybody, unless it was changed."""
        settings = index.settings
        if isinstance(settings, MirrorSettings):
            return False
        acl = settings.acl_toxresult_upload
        return _names(acl, principal) and _reaches(principal, TokenAction.UPLOAD, index, project)

    def may_mark(self, principal: Principal, index: Index, project: ProjectName) -> bool:
        """Yank files and give statuses: whoever may remove them, which is devpi's rule."""
        if principal.name is None or principal.token is not None:
            return False
        if self.may_upload(principal, index, project):
            return True
        return principal.name in (self.restrict_modify or (owner_of(index.name), ROOT))

    def may_push_out(self, principal: Principal, index: Index, project: ProjectName) -> bool:
        """Send it to another server: who may upload it here, and root. A token is for this one."""
        if principal.name is None or principal.token is not None:
            return False
        return principal.name == ROOT or self.may_upload(principal, index, project)

    def may_change_user(self, principal: Principal, user: UserName, keys: Collection[str]) -> bool:
        """Change these of a user's keys: with a restriction, users change but their password."""
        if principal.token is not None:
            return False
        if principal.name == user and (not self.restrict_modify or set(keys) <= {"password"}):
            return True
        return principal.name in (self.restrict_modify or (ROOT,))

    def may_remove_user(self, principal: Principal, user: UserName) -> bool:
        """Without a restriction, they themselves and root. Nobody may remove root."""
        if principal.token is not None or user == ROOT:
            return False
        if self.restrict_modify:
            return principal.name in self.restrict_modify and principal.name != user
        return principal.name in (user, ROOT)

    def may_change_index(self, principal: Principal, index: IndexName) -> bool:
        """Change its settings, or remove it: whoever may make it."""
        return self.may_create_index(principal, owner_of(index))

    def may_remove(self, principal: Principal, index: Index, project: ProjectName) -> bool:
        """Remove files, releases and projects, which is the same as to mark them."""
        return self.may_mark(principal, index, project)

    def may_see_secrets(self, principal: Principal, index: IndexName) -> bool:
        """See a password in a setting: whoever has set it, or may set it."""
        if principal.token is not None:
            return False
        return principal.name in (owner_of(index), ROOT) or self.may_change_index(principal, index)

    def may_make_by_upload(self, principal: Principal, index: IndexName) -> bool:
        """Root's first upload to root/local makes that index."""
        token = principal.token
        if token is not None and not allows_some(token, TokenAction.UPLOAD, index):
            return False
        return principal.name == ROOT and index == AUTOMATIC_INDEX

    def may_manage_tokens(self, principal: Principal, user: UserName) -> bool:
        """The user, by a password or a login, and root."""
        return principal.token is None and principal.name in (user, ROOT)


AUTOMATIC_INDEX = IndexName("root/local")


def is_public(settings: IndexSettings) -> bool:
    """Whether everybody may read, so that it does not matter who asks."""
    return ":ANONYMOUS:" in settings.acl_read


def _names(acl: tuple[str, ...], principal: Principal) -> bool:
    """Whether a list of those who may has somebody in it."""
    if ":ANONYMOUS:" in acl:
        return True
    return principal.name is not None and (":AUTHENTICATED:" in acl or principal.name in acl)


def _reaches(
    principal: Principal, action: TokenAction, index: Index, project: ProjectName | None
) -> bool:
    """Whether the token that came, if any, is meant for this."""
    return principal.token is None or allows(principal.token, action, index.name, project)


def _scrypt_parts(stored: str) -> tuple[bytes, int, int, int, bytes] | None:
    """Salt, costs and digest of one of our hashes; None for anything else."""
    match = _SCRYPT_HASH.fullmatch(stored)
    if match is None:
        return None
    n, r, p = map(int, match.group(1, 2, 3))
    if n.bit_count() != 1 or not 1 < n <= _SCRYPT_N_MAX:
        return None
    return bytes.fromhex(match[4]), n, r, p, bytes.fromhex(match[5])


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    memory_bytes = 128 * n * r * p + (1 << 20)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory_bytes, dklen=_DIGEST_BYTES
    )
