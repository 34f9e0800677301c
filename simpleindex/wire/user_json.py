"""Users in devpi's JSON: logins, new users, changes, and `userconfig`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simpleindex.wire.devpi_json import parse_object
from simpleindex.wire.index_settings import bare_index_config, index_config
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Index, JsonValue, User
from simpleindex_storage.names import owner_of

_TEXTS = ("email", "title", "description")
_PROFILE_KEYS = (*_TEXTS, "custom_data")
_SET_BY_THE_SERVER = ("username", "created", "modified", "indexes")
"""devpi-client sends back what it was told."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """What a user is to have instead."""

    password: str | None = field(default=None, repr=False)
    """None: the same as before. An empty one is for others to refuse."""
    profile: Mapping[str, JsonValue] = field(default_factory=dict)
    """New values of some keys. One that says nothing removes the key."""

    def profile_of(self, user: User) -> Mapping[str, JsonValue]:
        """The whole profile after the change."""
        return {key: value for key, value in {**user.profile, **self.profile}.items() if value}

    def changed_keys(self, user: User) -> frozenset[str]:
        """What would differ from what is known of the user."""
        before, after = user.profile, self.profile_of(user)
        keys = {key for key in (*before, *after) if before.get(key) != after.get(key)}
        return frozenset(keys if self.password is None else {*keys, "password"})


def parse_login(body: bytes) -> tuple[str, str]:
    """User and password of a login. Raises Refused."""
    content = parse_object(body)
    user, password = content.get("user"), content.get("password")
    if not isinstance(user, str) or not isinstance(password, str):
        raise Refused("login", 'a JSON object {"user": ..., "password": ...} is needed')
    return user, password


def parse_new_user(body: bytes) -> tuple[str, Mapping[str, JsonValue]]:
    """Password and profile of a new user. Raises Refused."""
    content = dict(parse_object(body))
    password = content.pop("password", None)
    if not isinstance(password, str) or not password:
        raise Refused("user", "a new user needs a password, and it must not be empty")
    _check_profile(content)
    return password, {key: value for key, value in content.items() if value}


def parse_user_change(body: bytes) -> UserChange:
    """What is given of a user. Raises Refused."""
    content = dict(parse_object(body))
    for key in _SET_BY_THE_SERVER:
        content.pop(key, None)
    password = content.pop("password", None)
    if not isinstance(password, str | None):
        raise Refused("password", "a text is needed")
    _check_profile(content)
    return UserChange(password, content)


def user_config(
    user: User,
    indexes: Iterable[Index],
    tells_secrets: Callable[[Index], bool],
    may_read: Callable[[Index], bool] = lambda _: True,
) -> dict[str, JsonValue]:
    """`userconfig`, without anything secret but in indexes of which it may be told.

    Of an index that may not be read, it is told that it is there, and of which type.
    """
    config: dict[str, JsonValue] = {"username": user.name, "created": _time(user.created_at)}
    if user.modified_at is not None:
        config["modified"] = _time(user.modified_at)
    config |= user.profile
    config["indexes"] = {
        index.name.partition("/")[2]: index_config(index, with_secrets=tells_secrets(index))
        if may_read(index)
        else bare_index_config(index)
        for index in indexes
        if owner_of(index.name) == user.name
    }
    return config


def proxy_auth(token: str, valid_seconds: int) -> dict[str, JsonValue]:
    """A login, in the shape of `proxyauth` and `userpassword`."""
    return {"password": token, "expiration": valid_seconds}


def _check_profile(content: Mapping[str, Any]) -> None:
    unknown = sorted(set(content) - set(_PROFILE_KEYS))
    if unknown:
        raise Refused("user", f"unknown keys: {', '.join(unknown)}")
    for key in _TEXTS:
        if not isinstance(content.get(key), str | None):
            raise Refused(key, "a text is needed")


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
