"""devpi's JSON objects: its users, indexes and replies, to and from records."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from simpleindex_storage.errors import Refused
from simpleindex_storage.model import (
    Index,
    IndexSettings,
    JsonValue,
    MirrorSettings,
    StageSettings,
    User,
)
from simpleindex_storage.names import (
    IndexName,
    owner_of,
    parse_index_name,
    parse_project_name,
)

MEDIA_TYPE = "application/json"
"""Exactly this, without parameters: devpi-client compares the whole header."""

FEATURES: tuple[str, ...] = ()
"""What devpi-client may ask for beyond the basics."""

_USER_KEYS = ("email", "title", "description", "custom_data")
_EXTRA_KEYS = ("title", "description", "custom_data")
_STAGE_KEYS = (
    "bases",
    "acl_upload",
    "acl_toxresult_upload",
    "mirror_whitelist",
    "mirror_whitelist_inheritance",
    "strict_archives",
)
_MIRROR_TEXTS = ("mirror_url", "mirror_web_url_fmt")
_MIRROR_FLAGS = ("mirror_no_project_list", "mirror_use_external_urls")
_JSON_DEPTH_MAX = 32


def reply(result: JsonValue = None, kind: str | None = None, message: str | None = None) -> bytes:
    """The envelope of every answer."""
    envelope: dict[str, JsonValue] = {}
    if kind is not None:
        envelope |= {"result": result, "type": kind}
    if message is not None:
        envelope["message"] = message
    return json.dumps(envelope, indent=2, ensure_ascii=False).encode() + b"\n"


def parse_object(body: bytes) -> Mapping[str, Any]:
    """A request's body, which must be a JSON object of sane depth. Raises Refused."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("request body", "it is not valid JSON") from None
    if not isinstance(value, dict):
        raise Refused("request body", "a JSON object is needed")
    _check_value(value, _JSON_DEPTH_MAX)
    return value


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
    unknown = sorted(set(content) - set(_USER_KEYS))
    if unknown:
        raise Refused("user", f"unknown keys: {', '.join(unknown)}")
    return password, {key: value for key, value in content.items() if value}


def user_config(user: User, indexes: tuple[Index, ...]) -> dict[str, JsonValue]:
    """`userconfig`, without anything secret."""
    config: dict[str, JsonValue] = {
        "username": user.name,
        "created": user.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if user.modified_at is not None:
        config["modified"] = user.modified_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    config |= user.profile
    config["indexes"] = {
        index.name.partition("/")[2]: index_config(index)
        for index in indexes
        if owner_of(index.name) == user.name
    }
    return config


def index_config(index: Index) -> dict[str, JsonValue]:
    """`indexconfig`, without projects."""
    settings = index.settings
    config: dict[str, JsonValue] = {"volatile": settings.volatile}
    if isinstance(settings, MirrorSettings):
        config["type"] = "mirror"
        for key in (*_MIRROR_TEXTS, *_MIRROR_FLAGS):
            if getattr(settings, key) is not None:
                config[key] = getattr(settings, key)
        if settings.mirror_cache_expiry_seconds is not None:
            config["mirror_cache_expiry"] = settings.mirror_cache_expiry_seconds
    else:
        config["type"] = "stage"
        for key in _STAGE_KEYS:
            value = getattr(settings, key)
            config[key] = list(value) if isinstance(value, tuple) else value
    return config | dict(settings.extra)


def parse_new_index(body: bytes, name: IndexName, known: StageSettings | None) -> IndexSettings:
    """The settings of a new index. Raises Refused that names what is wrong.

    `known` are those of an index that was made automatically: what is not given stays as it is.
    Values are JSON's own, or text as devpi-client sends it: `volatile=False`, `bases=a/b,c/d`.
    """
    content = dict(parse_object(body))
    content.pop("projects", None)
    kind = content.pop("type", "stage")
    if kind not in ("stage", "mirror"):
        raise Refused(f"index type {kind!r}", "an index is of type stage or mirror")
    extra = {key: content.pop(key) for key in _EXTRA_KEYS if key in content}
    defaults = known or StageSettings(acl_upload=(owner_of(name),))
    volatile = _flag("volatile", content.pop("volatile", defaults.volatile))
    if kind == "mirror":
        for key in _STAGE_KEYS:
            content.pop(key, None)
        settings: IndexSettings = _mirror(content, volatile, extra)
    else:
        settings = _stage(content, volatile, extra, defaults)
    if content:
        raise Refused(f"index {name}", f"unknown settings: {', '.join(sorted(content))}")
    return settings


def _stage(
    content: dict[str, Any], volatile: bool, extra: dict[str, JsonValue], defaults: StageSettings
) -> StageSettings:
    inheritance = content.pop("mirror_whitelist_inheritance", defaults.mirror_whitelist_inheritance)
    if not isinstance(inheritance, str) or inheritance.lower() not in ("intersection", "union"):
        raise Refused("mirror_whitelist_inheritance", "it is intersection or union")
    return StageSettings(
        volatile=volatile,
        bases=tuple(parse_index_name(name) for name in _list(content, "bases", defaults.bases)),
        acl_upload=_principals(content, "acl_upload", defaults.acl_upload),
        acl_toxresult_upload=_principals(
            content, "acl_toxresult_upload", defaults.acl_toxresult_upload
        ),
        mirror_whitelist=tuple(
            name if name == "*" else parse_project_name(name)
            for name in _list(content, "mirror_whitelist", defaults.mirror_whitelist)
        ),
        mirror_whitelist_inheritance=inheritance.lower(),
        strict_archives=_flag(
            "strict_archives", content.pop("strict_archives", defaults.strict_archives)
        ),
        extra={**defaults.extra, **extra},
    )


def _mirror(content: dict[str, Any], volatile: bool, extra: dict[str, JsonValue]) -> MirrorSettings:
    values: dict[str, Any] = {}
    for key in _MIRROR_TEXTS:
        if key in content:
            values[key] = _text(key, content.pop(key))
    for key in _MIRROR_FLAGS:
        if key in content:
            values[key] = _flag(key, content.pop(key))
    if "mirror_cache_expiry" in content:
        expiry = content.pop("mirror_cache_expiry")
        values["mirror_cache_expiry_seconds"] = _seconds("mirror_cache_expiry", expiry)
    url = values.get("mirror_url")
    if url is not None and not url.startswith(("http://", "https://")):
        raise Refused("mirror_url", "it begins with http:// or https://")
    return MirrorSettings(volatile=volatile, extra=extra, **values)


def _flag(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise Refused(key, "it is true or false")


def _text(key: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise Refused(key, "a text is needed")


def _seconds(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    raise Refused(key, "a whole number of seconds is needed")


def _list(content: dict[str, Any], key: str, default: Sequence[str]) -> tuple[str, ...]:
    """A list of texts, or text with commas; blanks and empty items drop out."""
    value = content.pop(key, default)
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise Refused(key, "a list of names is needed, or names with commas between")
    return tuple(item.strip() for item in items if item.strip())


def _principals(content: dict[str, Any], key: str, default: Sequence[str]) -> tuple[str, ...]:
    special = (":ANONYMOUS:", ":AUTHENTICATED:")
    names = _list(content, key, default)
    return tuple(name.upper() if name.upper() in special else name for name in names)


def _check_value(value: object, levels: int) -> None:
    """Refuse what could not be written down again: too deep, half a character, no number."""
    if levels == 0:
        raise Refused("request body", f"it is nested deeper than {_JSON_DEPTH_MAX} levels")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused("request body", "a text in it is not valid Unicode") from None
    elif isinstance(value, float) and not isfinite(value):
        # Python reads NaN and Infinity too, and 1e999 as such; JSON knows none of them.
        raise Refused("request body", "a number in it is too large, or none")
    elif isinstance(value, dict):
        for key, entry in value.items():
            _check_value(key, levels)
            _check_value(entry, levels - 1)
    elif isinstance(value, list):
        for entry in value:
            _check_value(entry, levels - 1)
