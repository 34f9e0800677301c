"""URLs as they may be shown: a user and a password in them are for the other server alone."""

import re

_ACCOUNT = re.compile(r"(?<=://)[^/?#]*@")


def without_account(text: str) -> str:
    """A URL, or a text with URLs in it, without their users and passwords."""
    return _ACCOUNT.sub("", text)
