"""API tokens as clients ask for them and are shown them: to and from records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpleindex.wire.devpi_json import parse_object
from simpleindex.wire.patterns import parse_index_pattern, parse_project_pattern
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import ApiToken, JsonValue, TokenAction

DAYS_MAX = 3650

_NAME_CHARACTERS_MAX = 100
_PATTERNS_MAX = 100
_KEYS = ("name", "indexes", "projects", "actions", "days")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What a new token is to be good for."""

    name: str = ""
    actions: tuple[TokenAction, ...] = tuple(TokenAction)
    indexes: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    days: int | None = None
    """None: without end."""


def parse_wish(body: bytes) -> TokenWish:
    """What a request asks for. Raises Refused; unknown keys are, since they might be limits."""
    content = parse_object(body)
    unknown = sorted(set(content) - set(_KEYS))
    if unknown:
        raise Refused(
            "token", f"unknown keys: {', '.join(unknown)[:200]}; known are {', '.join(_KEYS)}"
        )
    name, days = content.get("name", ""), content.get("days")
    if not isinstance(name, str):
        raise Refused("token", "its name is a text")
    if days is not None and (not isinstance(days, int) or isinstance(days, bool)):
        raise Refused("token", "days is a whole number")
    return make_wish(
        name,
        actions=_texts(content, "actions"),
        indexes=_texts(content, "indexes"),
        projects=_texts(content, "projects"),
        days=days,
    )


def make_wish(
    name: str,
    *,
    actions: Sequence[str],
    indexes: Sequence[str],
    projects: Sequence[str],
    days: int | None,
) -> TokenWish:
    """A wish that can be granted. An empty list sets no limit. Raises Refused."""
    if len(name) > _NAME_CHARACTERS_MAX or not name.isprintable():
        raise Refused("token", f"its name is one line of {_NAME_CHARACTERS_MAX} characters at most")
    if days is not None and not 1 <= days <= DAYS_MAX:
        raise Refused("token", f"days is a number from 1 to {DAYS_MAX}")
    if max(len(indexes), len(projects)) > _PATTERNS_MAX:
        raise Refused("token", f"it may name {_PATTERNS_MAX} indexes and projects at most")
    unknown = set(actions) - set(TokenAction)
    if unknown:
        raise Refused("token", f"its actions are {' and '.join(TokenAction)}")
    return TokenWish(
        name=name,
        actions=tuple(action for action in TokenAction if not actions or action in actions),
        indexes=tuple(map(parse_index_pattern, indexes)),
        projects=tuple(map(parse_project_pattern, projects)),
        days=days,
    )


def token_config(token: ApiToken) -> dict[str, JsonValue]:
    """What may be told of a token: nothing of its secret."""
    return {
        "id": token.id,
        "user": token.user,
        "name": token.name,
        "created": token.created_at.strftime(_TIME),
        "expires": token.expires_at.strftime(_TIME) if token.expires_at else None,
        "actions": list(token.actions),
        "indexes": list(token.indexes),
        "projects": list(token.projects),
    }


def _texts(content: Mapping[str, Any], key: str) -> list[str]:
    value = content.get(key, [])
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return value
    raise Refused("token", f"{key} is a list of texts")
