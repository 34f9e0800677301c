"""URLs that strangers wrote and that somebody may click on."""

import re

_FOLLOWABLE = re.compile(r"(?:https?://[^/\s]|mailto:)[^\s\x00-\x20\x7f\\]*", re.IGNORECASE)


def is_followable(url: str) -> bool:
    """Whether a click leads to a web page or writes a mail, and can never run a script.

    What a browser would first have to tidy up (blanks and control characters, which it drops from
    within a scheme too) is not.
    """
    return _FOLLOWABLE.fullmatch(url) is not None and url.isprintable()
