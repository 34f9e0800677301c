"""What a browser may do with our answers: one table, which the front door puts on all of them.

Names, descriptions and whole pages come from strangers, and people who are logged in look at them.
Installers read none of this.
"""

from collections.abc import Iterable, Mapping

CONTENT_SECURITY_POLICY = "content-security-policy"

EVERYWHERE: Mapping[str, str] = {
    # Nothing is loaded and nothing is run, whatever got into the answer.
    CONTENT_SECURITY_POLICY: (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # Nor may pages of other sites show our images, run our scripts, or put us into a frame.
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    # The names of indexes and projects are nobody else's business.
    "referrer-policy": "no-referrer",
    # What is said to be text stays text.
    "x-content-type-options": "nosniff",
}
"""On each answer that does not say otherwise."""

FILE: Mapping[str, str] = {
    CONTENT_SECURITY_POLICY: "default-src 'none'; frame-ancestors 'none'; sandbox",
}
"""Of what was uploaded: should a browser show it, then as if from a site without a name."""

DOCUMENTATION_PAGE: Mapping[str, str] = {
    CONTENT_SECURITY_POLICY: (
        "sandbox allow-scripts; default-src 'self' 'unsafe-inline' data:; connect-src 'none'; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    # In its sandbox a page is of another origin than its own images, styles and scripts.
    "cross-origin-resource-policy": "cross-origin",
    "x-frame-options": "SAMEORIGIN",
}
"""In a sandbox a page has an origin of its own: its scripts cannot use the reader's login here.

They could still send requests that a browser adds the reader's password to, so they send none.
"""

OPEN_TO_OTHER_SITES: Mapping[str, str] = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
}
"""Scripts of any web page may read these documents, refusals included, as elsewhere."""


def start_page(style_source: str) -> Mapping[str, str]:
    """Of a page that brings its own style; `style_source` names it as a policy does."""
    policy = EVERYWHERE[CONTENT_SECURITY_POLICY]
    return {CONTENT_SECURITY_POLICY: f"{policy}; style-src {style_source}"}


_ENCODED = tuple((name.encode(), value.encode()) for name, value in EVERYWHERE.items())


def completed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, and of `EVERYWHERE` those that it does not have."""
    found = list(headers)
    named = {name for name, _ in found}
    return [*found, *(header for header in _ENCODED if header[0] not in named)]
