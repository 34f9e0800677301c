"""What may become a link."""

import pytest

from simpleindex.wire.links import is_followable


@pytest.mark.parametrize(
    "url",
    [
        "https://home.example",
        "HTTP://home.example:8080/a?b=c&d#e",
        "http://[2001:db8::1]/",
        "https://home.example/ü",
        "mailto:somebody@home.example",
    ],
)
def test_web_pages_and_mails_may(url: str) -> None:
    assert is_followable(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        "\u00a0javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//home.example/",
        "/relative",
        "home.example",
        "https:home.example",
        "https:///path",
        "https://",
        " https://home.example/",
        "https://home.example/\r\nSet-Cookie: a=b",
        "https://home.example/\x00",
        "https://home.example\\@evil.example/",
        "https://home.example/\u202egnp.exe",
        "https://home.example/\ud800",
    ],
)
def test_nothing_else_may(url: str) -> None:
    assert not is_followable(url)
