"""The settings of an index as dumps have them. What is wrong in one is left out, and noted."""

from collections.abc import Mapping
from typing import Any

from simpleindex_storage.errors import Refused
from simpleindex_storage.model import IndexSettings, JsonValue, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName, owner_of, parse_index_name, parse_project_name

from .values import Notes, as_text, is_sound, shown

_STAGE_KEYS = frozenset(
    {
        "bases",
        "acl_upload",
        "acl_toxresult_upload",
        "mirror_whitelist",
        "mirror_whitelist_inheritance",
    }
)
_MIRROR_TEXTS = ("mirror_url", "mirror_web_url_fmt")
_MIRROR_FLAGS = (
    "mirror_no_project_list",
    "mirror_use_external_urls",
    "mirror_ignore_serial_header",
    "mirror_provides_core_metadata",
)
_FOR_PEOPLE = ("title", "description", "custom_data")
_NEITHER = frozenset({"type", "volatile", "projects", "pypi_whitelist"})
_SECONDS_MAX = 1 << 31
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


def parse_settings(
    config: Mapping[str, Any], name: IndexName, notes: Notes
) -> IndexSettings | None:
    """The settings; None, with a note, for an index of a kind that only a plugin knows."""
    kind = config.get("type", "stage")
    if kind not in ("stage", "mirror"):
        notes.lost(
            f"index {name}", f"it is of the type {shown(kind)}, which a plugin of devpi-server made"
        )
        return None
    reader = _Reader(config, f"index {name}", notes)
    if kind == "mirror":
        return _mirror(reader)
    return _stage(reader, name)


def settings_json(settings: IndexSettings) -> dict[str, JsonValue]:
    """The inverse of `parse_settings`, without what devpi-server does not know."""
    config: dict[str, JsonValue] = dict(settings.extra)
    config["volatile"] = settings.volatile
    if isinstance(settings, MirrorSettings):
        config["type"] = "mirror"
        values: dict[str, JsonValue] = {
            key: getattr(settings, key) for key in (*_MIRROR_TEXTS, *_MIRROR_FLAGS)
        }
        values["mirror_cache_expiry"] = settings.mirror_cache_expiry_seconds
        return config | {key: value for key, value in values.items() if value is not None}
    return config | {
        "type": "stage",
        "bases": list(settings.bases),
        "acl_upload": list(settings.acl_upload),
        "acl_toxresult_upload": list(settings.acl_toxresult_upload),
        "mirror_whitelist": list(settings.mirror_whitelist),
        "mirror_whitelist_inheritance": settings.mirror_whitelist_inheritance,
    }


def _stage(reader: "_Reader", name: IndexName) -> StageSettings:
    inheritance = reader.text("mirror_whitelist_inheritance") or "intersection"
    if inheritance not in ("intersection", "union"):
        reader.drop("mirror_whitelist_inheritance")
        inheritance = "intersection"
    # Its name until devpi-server 3.0.
    whitelist = "mirror_whitelist" if "mirror_whitelist" in reader.config else "pypi_whitelist"
    return StageSettings(
        volatile=reader.flag("volatile", True) is not False,
        bases=tuple(base for text in reader.texts("bases") if (base := reader.index(text))),
        acl_upload=_principals(reader.texts("acl_upload", (owner_of(name),))),
        acl_toxresult_upload=_principals(reader.texts("acl_toxresult_upload", (":ANONYMOUS:",))),
        mirror_whitelist=tuple(
            project for text in reader.texts(whitelist) if (project := reader.project(text))
        ),
        mirror_whitelist_inheritance=inheritance,
        extra=reader.others(_STAGE_KEYS),
    )


def _mirror(reader: "_Reader") -> MirrorSettings:
    url = reader.text("mirror_url")
    if url is not None and not url.startswith(("http://", "https://")):
        reader.drop("mirror_url")
        url = None
    return MirrorSettings(
        volatile=reader.flag("volatile", True) is not False,
        mirror_url=url,
        mirror_web_url_fmt=reader.text("mirror_web_url_fmt"),
        mirror_cache_expiry_seconds=reader.seconds("mirror_cache_expiry"),
        mirror_no_project_list=reader.flag("mirror_no_project_list", None),
        mirror_use_external_urls=reader.flag("mirror_use_external_urls", None),
        # Old servers gave mirrors the settings of stages too.
        extra=reader.others(_STAGE_KEYS | {*_MIRROR_TEXTS, *_MIRROR_FLAGS, "mirror_cache_expiry"}),
    )


class _Reader:
    """Takes values out of a configuration; what makes no sense is noted, and counts as absent."""

    def __init__(self, config: Mapping[str, Any], subject: str, notes: Notes) -> None:
        self.config = config
        self._subject = subject
        self._notes = notes

    def drop(self, key: str) -> None:
        self._notes.lost(
            self._subject, f"its setting {shown(key)} makes no sense: {shown(self.config[key])}"
        )

    def text(self, key: str) -> str | None:
        value = self.config.get(key)
        if value is None or (isinstance(value, str) and is_sound(value)):
            return value
        self.drop(key)
        return None

    def flag(self, key: str, default: bool | None) -> bool | None:
        value = self.config.get(key, default)
        if value is None or isinstance(value, bool):
            return value
        if as_text(value).lower() in _FLAGS:
            return _FLAGS[value.lower()]
        self.drop(key)
        return default

    def seconds(self, key: str) -> int | None:
        value = self.config.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) < 10:
            value = int(value)
        if value is None or (type(value) is int and 0 <= value < _SECONDS_MAX):
            return value
        self.drop(key)
        return None

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.config.get(key)
        if value is None:
            return default
        items = value.split(",") if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(it, str) and is_sound(it) for it in items):
            return tuple(item.strip() for item in items if item.strip())
        self.drop(key)
        return default

    def index(self, text: str) -> IndexName | None:
        try:
            return parse_index_name(text)
        except Refused as error:
            self._notes.lost(self._subject, f"not among its bases: {error}")
            return None

    def project(self, text: str) -> str | None:
        try:
            return text if text == "*" else parse_project_name(text)
        except Refused as error:
            self._notes.lost(self._subject, f"not in its mirror_whitelist: {error}")
            return None

    def others(self, known: frozenset[str]) -> dict[str, JsonValue]:
        """What plugins have set, kept for people; and what is for people anyway."""
        kept: dict[str, JsonValue] = {}
        for key, value in self.config.items():
            if key in known | _NEITHER or (key == "uploadtrigger_jenkins" and not value):
                continue
            if not is_sound(value) or not is_sound(key):
                self.drop(key)
                continue
            kept[key] = value
            if key not in _FOR_PEOPLE:
                self._notes.remark(
                    self._subject, f"its setting {shown(key)} is kept, and has no effect here"
                )
        return kept


def _principals(names: tuple[str, ...]) -> tuple[str, ...]:
    special = (":ANONYMOUS:", ":AUTHENTICATED:")
    return tuple(name.upper() if name.upper() in special else name for name in names)
