"""API tokens: secrets for robots, which stand for a user within limits."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

from simpleindex.wire.patterns import fits_any
from simpleindex.wire.tokens_json import TokenWish
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import ApiToken, TokenAction
from simpleindex_storage.names import IndexName, ProjectName, UserName
from simpleindex_storage.ports import Change, Snapshot

PREFIX = "sit_"
"""So that people, and scanners for leaked secrets, know one when they see it."""
TOKEN_USER = "__token__"  # noqa: S105  a name
"""The name that upload tools send with a token. No user can have it."""
TOKENS_OF_USER_MAX = 100

_SECRET_BYTES = 32
_ID_BYTES = 6


def issue(user: UserName, wish: TokenWish, now: datetime) -> tuple[ApiToken, str]:
    """A new token, and its secret, which nobody will be able to tell again."""
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    token = ApiToken(
        id=secrets.token_hex(_ID_BYTES),
        user=user,
        name=wish.name,
        sha256=_digest(secret),
        created_at=now,
        expires_at=None if wish.days is None else now + timedelta(days=wish.days),
        actions=wish.actions,
        indexes=wish.indexes,
        projects=wish.projects,
    )
    return token, secret


def add_token(change: Change, token: ApiToken) -> None:
    """Record a new token. Raises NotStored, Refused."""
    if change.user(token.user) is None:
        raise NotStored(f"user {token.user}")
    if len(change.tokens(token.user)) >= TOKENS_OF_USER_MAX:
        raise Refused(
            f"token of {token.user}",
            f"there are {TOKENS_OF_USER_MAX} already; revoke some that nobody uses",
        )
    change.put_token(token)


def revoke_token(change: Change, token_id: str, of: UserName | None = None) -> ApiToken:
    """Forget a token, of one user if one is named. Raises NotStored."""
    for token in tokens(change, of):
        if token.id == token_id:
            change.remove_token(token)
            return token
    raise NotStored(f"token {token_id[:80]}")


def tokens(seen: Snapshot, of: UserName | None = None) -> tuple[ApiToken, ...]:
    """All tokens, or those of one user. Raises NotStored for an unknown user."""
    if of is None:
        return tuple(token for user in seen.users() for token in seen.tokens(user.name))
    if seen.user(of) is None:
        raise NotStored(f"user {of}")
    return seen.tokens(of)


def token_of(seen: Snapshot, secret: str, now: Callable[[], datetime]) -> ApiToken | None:
    """The token with this secret, if it is still good."""
    if not secret.startswith(PREFIX):
        return None
    token = seen.token_by_digest(_digest(secret))
    if token is None or (token.expires_at is not None and token.expires_at <= now()):
        return None
    return token


def allows(
    token: ApiToken, action: TokenAction, index: IndexName, project: ProjectName | None
) -> bool:
    """Whether a token may be used for this. `project` None: for the index as a whole."""
    if not allows_some(token, action, index):
        return False
    return not token.projects or (project is not None and fits_any(project, token.projects))


def allows_some(token: ApiToken, action: TokenAction, index: IndexName) -> bool:
    """Whether a token may be used for this with at least some projects of an index."""
    return action in token.actions and (not token.indexes or fits_any(index, token.indexes))


def _digest(secret: str) -> str:
    """SHA-256 is enough: nobody can go through 256 random bits as through passwords."""
    return sha256(secret.encode(errors="surrogatepass")).hexdigest()
