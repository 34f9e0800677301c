"""Which form of a page a client wants: the Accept header (RFC 9110, 12.5.1) and PEP 691.

Where a request has several Accept headers, the functions take them joined with commas.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache


class Form(Enum):
    """A form of the simple API's pages. The value is its Content-Type."""

    HTML = "text/html; charset=utf-8"
    V1_HTML = "application/vnd.pypi.simple.v1+html"
    JSON = "application/vnd.pypi.simple.v1+json"

    @property
    def content_type(self) -> str:
        """The header's exact value.

        `text/html` keeps its name, though it is the same page as the next form: pip before 22.2
        takes no other. Its charset is told since easy_install takes latin-1 otherwise.
        """
        return self.value


_RANGES: Mapping[Form, tuple[str, ...]] = {
    Form.HTML: ("text/html", "text/*", "*/*"),
    Form.V1_HTML: (
        "application/vnd.pypi.simple.v1+html",
        "application/vnd.pypi.simple.latest+html",
        "application/*",
        "*/*",
    ),
    Form.JSON: (
        "application/vnd.pypi.simple.v1+json",
        "application/vnd.pypi.simple.latest+json",
        "application/*",
        "*/*",
    ),
}
"""The media ranges that take in a form, the most specific first."""

_BY_NAME = {
    name: form for form, ranges in _RANGES.items() for name in ranges if not name.endswith("*")
}

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_REMEMBERED_CHARACTERS_MAX = 300
"""Longer than any client's, and too short for strangers to fill the memory with."""
_WEIGHT = re.compile(r"0?\.[0-9]+|0\.?|1(\.0*)?")


def choose(accept: str | None, format_query: str | None = None) -> Form | None:
    """The form to answer with; None when the client takes none of them.

    `format_query` is the value of `?format=`. It goes before Accept, but if it names no form it
    is as if it were not there.
    """
    if len(accept or "") + len(format_query or "") > _REMEMBERED_CHARACTERS_MAX:
        return _weigh(accept, format_query)
    return _weigh_once(accept, format_query)


def _weigh(accept: str | None, format_query: str | None) -> Form | None:
    named = _BY_NAME.get(_as_meant(format_query or ""))
    if named is not None:
        return named
    weights = _weights(accept or "") or {"*/*": 1.0}

    def weight(form: Form) -> float:
        return next((weights[name] for name in _RANGES[form] if name in weights), 0.0)

    best = max(_by_preference(weights), key=weight)
    return best if weight(best) > 0 else None


_weigh_once = lru_cache(maxsize=256)(_weigh)
"""All requests of an installer bring the same header."""


def names_json(accept: str | None) -> bool:
    """Whether the client asks for `application/json` by name, as devpi's own client does."""
    return _takes(accept, "application/json")


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is welcome, and no less than no compression (RFC 9110, 12.5.3)."""
    weights = dict(_weighed(accept_encoding or ""))
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def names_html(accept: str | None) -> bool:
    """Whether the client asks for `text/html` by name, as every browser does."""
    return _takes(accept, "text/html")


def _as_meant(format_query: str) -> str:
    # A `+` that the caller did not quote arrives as a space.
    return format_query.strip().replace(" ", "+").lower()


def _by_preference(weights: Mapping[str, float]) -> list[Form]:
    # Who names forms knows them, and gets the one that says most. Who takes anything may be an
    # old tool that knows none: hatch and easy_install read only HTML.
    named = [
        form
        for form in (Form.JSON, Form.V1_HTML, Form.HTML)
        if any(name in weights for name in _RANGES[form] if name in _BY_NAME)
    ]
    return named + [form for form in (Form.HTML, Form.JSON, Form.V1_HTML) if form not in named]


def _takes(accept: str | None, media_type: str) -> bool:
    return _weights(accept or "").get(media_type, 0.0) > 0


def _weights(accept: str) -> dict[str, float]:
    """The weight of each media range, by its lower-case name; malformed ranges are left out.

    Parameters other than the weight are passed over: to say 406 for one that we do not have
    would help nobody.
    """
    weights: dict[str, float] = {}
    for element, weight in _weighed(accept):
        name = "*/*" if element == "*" else element  # Java's URLConnection sends a lone `*`
        if "/" in name:
            weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def _weighed(header: str) -> Iterator[tuple[str, float]]:
    """The elements of a header, in lower case, with their weights; malformed weights drop out."""
    for element in _QUOTED.sub("", header).lower().split(","):
        name, *parameters = (part.strip(" \t") for part in element.split(";"))
        weight = _weight(parameters)
        if weight is not None:
            yield name, weight


def _weight(parameters: list[str]) -> float | None:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.rstrip(" \t") == "q":
            value = value.lstrip(" \t")
            return float(value) if _WEIGHT.fullmatch(value) else None
    return 1.0
