"""Settings of an index: devpi's `indexconfig`, and the changes that its client sends."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from simpleindex.secrets_in_urls import without_account
from simpleindex.wire.devpi_json import parse_json, parse_object
from simpleindex.wire.patterns import parse_project_pattern
from simpleindex.wire.release_rules import parse_approval, parse_release_rule, split_rules
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import (
    FIRST_SEEN,
    UPLOAD_TIME,
    Index,
    IndexSettings,
    JsonValue,
    MirrorSettings,
    StageSettings,
)
from simpleindex_storage.names import (
    IndexName,
    owner_of,
    parse_index_name,
    parse_project_name,
)

_DAYS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,9})?")
_DAYS_MAX = 3650
_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_HOST_CHARACTERS_MAX = 253


def index_config(index: Index, *, with_secrets: bool = False) -> dict[str, JsonValue]:
    """`indexconfig`, without projects. A password in a URL is shown only `with_secrets`."""
    settings = index.settings
    config: dict[str, JsonValue] = {"type": _type_of(settings)}
    for key, setting in _settings_of(settings).items():
        value = getattr(settings, setting.field or key)
        if setting.may_be_missing and value == setting.missing:
            continue
        if isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, Mapping):
            value = {name: list(acl) for name, acl in value.items()}
        elif setting is _URL and value is not None and not with_secrets:
            value = without_account(value)
        config[key] = value
    return config | dict(settings.extra)


def bare_index_config(index: Index) -> dict[str, JsonValue]:
    """What those are told of an index who may not read it."""
    return {"type": _type_of(index.settings)}


def parse_new_index(body: bytes, name: IndexName, known: StageSettings | None) -> IndexSettings:
    """The settings of a new index. Raises Refused that names what is wrong.

    `known` are those of an index that was made automatically: what is not given stays as it is.
    Values are JSON's own, or text as devpi-client sends it: `volatile=False`, `bases=a/b,c/d`.
    """
    content = dict(parse_object(body))
    content.pop("projects", None)
    kind = content.pop("type", "stage")
    if kind == "mirror":
        for key in _STAGE.keys() - _MIRROR.keys():
            content.pop(key, None)
        return _with_values(MirrorSettings(), content)
    if kind != "stage":
        raise Refused(f"index type {kind!r}", "an index is of type stage or mirror")
    return _with_values(known or StageSettings(acl_upload=(owner_of(name),)), content)


def parse_index_change(body: bytes, known: IndexSettings) -> IndexSettings:
    """The settings that an index is to have. Raises Refused that names what is wrong.

    The body is a list of `key=value`, `key+=value`, `key-=value` and `key-=`, which are done in
    order; or an object with new values, maybe in the envelope in which a GET has sent it.
    """
    content = parse_json(body)
    if isinstance(content, list):
        settings = known
        for operation in content:
            settings = _operated(settings, operation)
        return settings
    if isinstance(content, dict) and content.get("type") == "indexconfig" and "result" in content:
        content = content["result"]
    if not isinstance(content, dict):
        raise Refused("request body", 'a JSON object, or a list like ["volatile=False"], is needed')
    values = dict(content)
    values.pop("projects", None)
    if values.pop("type", _type_of(known)) != _type_of(known):
        raise Refused("type", "the type of an index cannot be changed")
    return _with_values(known, values)


@dataclass(frozen=True, slots=True)
class _Setting:
    """How the value of a setting is read."""

    parse: Callable[[str, object], Any]
    """From the key and the given value. Raises Refused."""
    field: str | None = None
    """Its name in the record, if that is another one."""
    is_list: bool = False
    may_be_missing: bool = False
    """It is shown only if it was given, and can be removed."""
    missing: bool | str | tuple[str, ...] | None = None
    """What stands in the record then."""


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


def _anything(_key: str, value: object) -> object:
    return value


def _url(key: str, value: object) -> str:
    text = _text(key, value)
    if not text.startswith(("http://", "https://")):
        raise Refused(key, "it begins with http:// or https://")
    try:
        parts = urlsplit(text)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or not text.isprintable() or " " in text:
        raise Refused(key, "it is no URL; special letters in a password are written as %40")
    return text


def _seconds(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    raise Refused(key, "a whole number of seconds is needed")


def _days(key: str, value: object) -> float | None:
    """A number of days; 0 is none, and so takes the setting away."""
    if isinstance(value, str) and _DAYS.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _DAYS_MAX:
        raise Refused(key, f"a number of days is needed, from 0 to {_DAYS_MAX}")
    # A whole number is shown as one.
    return (int(value) if value == int(value) else value) or None


def _beginning_of_age(key: str, value: object) -> str:
    if isinstance(value, str) and value.lower() in (UPLOAD_TIME, FIRST_SEEN):
        return value.lower()
    raise Refused(key, f"it is {UPLOAD_TIME} or {FIRST_SEEN}")


def _inheritance(key: str, value: object) -> str:
    if isinstance(value, str) and value.lower() in ("intersection", "union"):
        return value.lower()
    raise Refused(key, "it is intersection or union")


def _names(key: str, value: object) -> tuple[str, ...]:
    """A list of texts, or text with commas; blanks and empty items drop out."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise Refused(key, "a list of names is needed, or names with commas between")
    return tuple(item.strip() for item in items if item.strip())


def _rules(key: str, value: object) -> tuple[str, ...]:
    return tuple(str(parse_release_rule(item)) for item in _rule_texts(key, value))


def _approvals(key: str, value: object) -> tuple[str, ...]:
    return tuple(parse_approval(item) for item in _rule_texts(key, value))


def _rule_texts(key: str, value: object) -> tuple[str, ...]:
    return _names(key, split_rules(value) if isinstance(value, str) else value)


def _patterns(key: str, value: object) -> tuple[str, ...]:
    return tuple(parse_project_pattern(name) for name in _names(key, value))


def _hosts(key: str, value: object) -> tuple[str, ...]:
    return tuple(_host(key, text.lower()) for text in _names(key, value))


def _host(key: str, text: str) -> str:
    """A name as URLs have it, maybe after `*.`, or an address: of IPv6 also without brackets."""
    if len(text) <= _HOST_CHARACTERS_MAX and _HOST.fullmatch(text):
        return text
    try:
        return str(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise Refused(
            key,
            f"{text[:80]!r} is no name of a host; one is written without https://, port and path, "
            "like files.example.org or *.example.org",
        ) from None


def _principals(key: str, value: object) -> tuple[str, ...]:
    special = (":ANONYMOUS:", ":AUTHENTICATED:")
    return tuple(name.upper() if name.upper() in special else name for name in _names(key, value))


def _principals_by_project(key: str, value: object) -> Mapping[str, tuple[str, ...]]:
    """An object, or its JSON as text: devpi-client sends nothing else."""
    content = parse_json(value.encode() or b"{}") if isinstance(value, str) else value
    if not isinstance(content, dict):
        raise Refused(key, 'an object is needed, like {"demo-*": ["alice"]}')
    return {parse_project_pattern(name): _principals(key, acl) for name, acl in content.items()}


def _indexes(key: str, value: object) -> tuple[IndexName, ...]:
    return tuple(parse_index_name(name) for name in _names(key, value))


def _whitelist(key: str, value: object) -> tuple[str, ...]:
    return tuple(name if name == "*" else parse_project_name(name) for name in _names(key, value))


def _optional_list(parse: Callable[[str, object], tuple[str, ...]]) -> _Setting:
    return _Setting(parse, is_list=True, may_be_missing=True, missing=())


_URL = _Setting(_url, may_be_missing=True)
_READING: Mapping[str, _Setting] = {
    "acl_read": _Setting(_principals, is_list=True),
    "challenge": _Setting(_flag),
}

_STAGE: Mapping[str, _Setting] = {
    "volatile": _Setting(_flag),
    "bases": _Setting(_indexes, is_list=True),
    "acl_upload": _Setting(_principals, is_list=True),
    "acl_project_upload": _Setting(_principals_by_project),
    **_READING,
    "acl_toxresult_upload": _Setting(_principals, is_list=True),
    "mirror_whitelist": _Setting(_whitelist, is_list=True),
    "mirror_whitelist_inheritance": _Setting(_inheritance),
    "strict_archives": _Setting(_flag),
}
_MIRROR: Mapping[str, _Setting] = {
    "volatile": _Setting(_flag),
    "mirror_url": _URL,
    "mirror_web_url_fmt": _Setting(_text, may_be_missing=True),
    "mirror_cache_expiry": _Setting(
        _seconds, field="mirror_cache_expiry_seconds", may_be_missing=True
    ),
    "mirror_no_project_list": _Setting(_flag, may_be_missing=True),
    "mirror_use_external_urls": _Setting(_flag, may_be_missing=True),
    "mirror_ignore_serial_header": _Setting(_flag, may_be_missing=True),
    "mirror_provides_core_metadata": _Setting(_flag, may_be_missing=True),
    "min_age": _Setting(_days, field="min_age_days", may_be_missing=True),
    "min_age_from": _Setting(_beginning_of_age, may_be_missing=True, missing=UPLOAD_TIME),
    "approved": _optional_list(_approvals),
    "allow": _optional_list(_rules),
    "deny": _optional_list(_rules),
    "reserved_names": _optional_list(_patterns),
    "file_hosts": _optional_list(_hosts),
    "offline": _Setting(_flag, may_be_missing=True, missing=False),
    **_READING,
}
_EXTRA: Mapping[str, _Setting] = {
    "title": _Setting(_text, may_be_missing=True),
    "description": _Setting(_text, may_be_missing=True),
    "custom_data": _Setting(_anything, may_be_missing=True),
}
"""Kept for people, of both types."""


def _type_of(settings: IndexSettings) -> str:
    return "mirror" if isinstance(settings, MirrorSettings) else "stage"


def _settings_of(settings: IndexSettings) -> Mapping[str, _Setting]:
    return _MIRROR if isinstance(settings, MirrorSettings) else _STAGE


def _setting(settings: IndexSettings, key: str) -> _Setting:
    known = {**_settings_of(settings), **_EXTRA}
    if key not in known:
        raise _unknown(settings, [key])
    return known[key]


def _unknown(settings: IndexSettings, keys: list[str]) -> Refused:
    names = ", ".join(sorted(keys))
    return Refused("index", f"unknown settings of a {_type_of(settings)}: {names}")


def _with_values(settings: IndexSettings, values: Mapping[str, object]) -> IndexSettings:
    unknown = [key for key in values if key not in _settings_of(settings) | _EXTRA.keys()]
    if unknown:
        raise _unknown(settings, unknown)
    for key, value in values.items():
        settings = _with_value(settings, key, value)
    return settings


def _with_value(settings: IndexSettings, key: str, value: object) -> IndexSettings:
    """The settings with one that is set; to set one to null is to remove it."""
    setting = _setting(settings, key)
    if value is None and setting.may_be_missing:
        return _without(settings, key)
    return _replaced(settings, key, setting.parse(key, value))


def _without(settings: IndexSettings, key: str) -> IndexSettings:
    if key in _EXTRA:
        kept = {name: value for name, value in settings.extra.items() if name != key}
        return replace(settings, extra=kept)
    return _replaced(settings, key, _setting(settings, key).missing)


def _replaced(settings: IndexSettings, key: str, value: Any) -> IndexSettings:
    if key in _EXTRA:
        return replace(settings, extra={**settings.extra, key: value})
    field = _setting(settings, key).field or key
    return replace(settings, **{field: value})


def _operated(settings: IndexSettings, operation: object) -> IndexSettings:
    """The settings after one operation of a list."""
    if not isinstance(operation, str):
        raise Refused("request body", 'each change in a list is a text like "volatile=False"')
    key, _, value = operation.partition("=")
    match key[-1:]:
        case "+":
            return _added(settings, key[:-1], value)
        case "-" if value:
            return _taken_out(settings, key[:-1], value)
        case "-":
            return _removed(settings, key[:-1])
        case _:
            return _set(settings, key, value)


def _set(settings: IndexSettings, key: str, value: str) -> IndexSettings:
    if key == "projects":
        return settings
    if key == "type":
        if value == _type_of(settings):
            return settings
        raise Refused(key, "the type of an index cannot be changed")
    return _with_value(settings, key, value)


def _removed(settings: IndexSettings, key: str) -> IndexSettings:
    if key == "type" or not _setting(settings, key).may_be_missing:
        raise Refused(key, "every index has this setting; give it another value")
    return _without(settings, key)


def _added(settings: IndexSettings, key: str, value: str) -> IndexSettings:
    before = _list(settings, key)
    added = _new_items(before, _setting(settings, key).parse(key, value))
    return _replaced(settings, key, (*before, *added))


def _new_items(before: tuple[str, ...], given: tuple[str, ...]) -> Iterator[str]:
    return (item for item in dict.fromkeys(given) if item not in before)


def _taken_out(settings: IndexSettings, key: str, value: str) -> IndexSettings:
    before = _list(settings, key)
    unwanted = _setting(settings, key).parse(key, value)
    missing = [item for item in unwanted if item not in before]
    if missing:
        raise Refused(key, f"{', '.join(missing)} is not in it")
    return _replaced(settings, key, tuple(item for item in before if item not in unwanted))


def _list(settings: IndexSettings, key: str) -> tuple[str, ...]:
    if key == "type" or not _setting(settings, key).is_list:
        raise Refused(key, "it is no list; only `key=value` changes it")
    values: tuple[str, ...] = getattr(settings, key)
    return values
