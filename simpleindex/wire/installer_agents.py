"""What installers say of themselves in their User-Agent, cut down to what tells the kind of host.

pip and uv say it as JSON behind their name. The release of the kernel, of OpenSSL and the like are
left out: they would make of each host a kind of its own, and are nobody's business.
"""

import json
import re
from collections.abc import Mapping

from simpleindex_storage.model import JsonValue

AGENT_BYTES_MAX = 4000

_AGENT = re.compile(r"((?:pip|uv)/[0-9][0-9A-Za-z.+!]{0,40}) (\{.*\})")
_TEXT_CHARACTERS_MAX = 60


def kind_of_host(agent: bytes) -> str | None:
    """A User-Agent with that alone in it, always the same for the same kind; None: it tells none.

    Whoever reads User-Agents of installers can read it as such.
    """
    match = _AGENT.fullmatch(agent.decode("latin-1")) if len(agent) <= AGENT_BYTES_MAX else None
    if match is None:
        return None
    try:
        told: JsonValue = json.loads(match[2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    distribution = _below(told, "distro")
    kind: dict[str, JsonValue] = {
        "cpu": _text(told, "cpu"),
        "distro": {
            "name": _text(distribution, "name"),
            "version": _text(distribution, "version"),
            "libc": _texts(_below(distribution, "libc"), "lib", "version"),
        },
        "implementation": _texts(_below(told, "implementation"), "name", "version"),
        "system": _texts(_below(told, "system"), "name"),
    }
    return f"{match[1]} {json.dumps(kind, separators=(',', ':'), sort_keys=True)}"


def _texts(told: Mapping[str, JsonValue], *names: str) -> dict[str, JsonValue]:
    return {name: _text(told, name) for name in names}


def _below(told: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _text(told: Mapping[str, JsonValue], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or len(value) > _TEXT_CHARACTERS_MAX:
        return ""
    return value if value.isprintable() and value.isascii() else ""
