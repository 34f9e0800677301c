"""URLs that strangers wrote and that somebody may click on."""

import re

from simpleindex_storage.model import Fields

_FOLLOWABLE = re.compile(r"(?:https?://[^/\s]|mailto:)[^\s\x00-\x20\x7f\\]*", re.IGNORECASE)
_LINKS = ("home_page", "download_url")
_LABELLED = "project_urls"


def is_followable(url: str) -> bool:
    """Whether a click leads to a web page or writes a mail, and can never run a script.

    What a browser would first have to tidy up (blanks and control characters, which it drops from
    within a scheme too) is not.
    """
    return _FOLLOWABLE.fullmatch(url) is not None and url.isprintable()


def with_followable_links(fields: Fields) -> Fields:
    """What an author says of a release, without the links that nobody may follow.

    Tools and sites make links of what documents tell; so each of those is made of this.
    """
    told = dict(fields)
    for name in _LINKS:
        url = told.get(name)
        if url is not None and not (isinstance(url, str) and is_followable(url)):
            del told[name]
    labelled = told.get(_LABELLED, ())
    links = (labelled,) if isinstance(labelled, str) else labelled
    told[_LABELLED] = tuple(link for link in links if is_followable(label_and_url(link)[1]))
    return told


def label_and_url(link: str) -> tuple[str, str]:
    """The two halves of one of `project_urls`; a URL that stands alone is its own label."""
    label, comma, url = link.partition(",")
    return (label.strip(), url.strip()) if comma else (link, link)
