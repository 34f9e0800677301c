"""What devpi-client sends to push a release: to another index here, or to one elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from simpleindex.wire.devpi_json import parse_object
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    parse_index_name,
    parse_project_name,
    parse_version,
)

_INTERNAL_KEYS = frozenset({"name", "version", "targetindex", "no_docs", "only_docs"})


@dataclass(frozen=True, slots=True)
class OtherServer:
    """An index elsewhere that takes uploads, and who uploads."""

    url: str
    """http or https, and without credentials."""
    username: str
    password: str = field(repr=False)
    """Never shown, never logged."""
    register: bool = False
    """Whether the release is announced there before its files come."""


@dataclass(frozen=True, slots=True)
class PushOrder:
    """What is to be pushed, and where."""

    project: ProjectName
    version: str
    target: IndexName | OtherServer
    with_files: bool = True
    with_documentation: bool = True


def parse(body: bytes) -> PushOrder:
    """The body of a push. Raises Refused."""
    content = parse_object(body)
    project = parse_project_name(_text(content, "name"))
    version = parse_version(_text(content, "version"))
    no_docs, only_docs = _flag(content, "no_docs"), _flag(content, "only_docs")
    if no_docs and only_docs:
        raise Refused("push", "no_docs and only_docs leave nothing; give one of them at the most")
    target = _index(content) if content.get("targetindex") is not None else _server(content)
    return PushOrder(project, version, target, not only_docs, not no_docs)


def _index(content: Mapping[str, Any]) -> IndexName:
    unknown = sorted(set(content) - _INTERNAL_KEYS)
    if unknown:
        raise Refused("push", f"unknown keys: {', '.join(unknown)[:200]}")
    return parse_index_name(_text(content, "targetindex"))


def _server(content: Mapping[str, Any]) -> OtherServer:
    if content.get("posturl") is None:
        raise Refused("push", "it names neither a targetindex nor a posturl")
    username, password = (_text(content, key, "") for key in ("username", "password"))
    if ":" in username:
        raise Refused("username", "it has no colon (RFC 7617)")
    url = _checked_url(_text(content, "posturl"))
    return OtherServer(url, username, password, _flag(content, "register_project"))


def _checked_url(url: str) -> str:
    # The URL itself is not shown: there might be a password in it.
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Refused("posturl", "it is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise Refused("posturl", "it has credentials in it; send username and password beside it")
    if parts.scheme not in ("http", "https") or not has_host or not url.isprintable():
        raise Refused("posturl", "it is no http or https URL")
    return url


def _text(content: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = content.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise Refused("push", f"a text is needed as {key!r}")
    return value


def _flag(content: Mapping[str, Any], key: str) -> bool:
    value = content.get(key, False)
    if not isinstance(value, bool):
        raise Refused("push", f"{key!r} is true or false")
    return value
