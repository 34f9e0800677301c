import re
from html.parser import HTMLParser

import pytest

from simpleindex.web.start_page import start_page


class Page(HTMLParser):
    """What a browser finds on a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.commands: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "pre":
            self.commands.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "pre":
            self.commands[-1] += data

    def links(self) -> list[str | None]:
        return [value for _, name, value in self.attributes if name in ("href", "src")]


@pytest.mark.parametrize(
    ("root_url", "host"),
    [
        ("http://10.0.0.1:3141", "10.0.0.1"),
        ("http://packages.example", "packages.example"),
        ("http://packages.example/index", "packages.example"),
        ("http://[fd00::1]:3141", "[fd00::1]"),
    ],
)
def test_commands_name_the_host_that_pip_is_to_trust(root_url: str, host: str) -> None:
    page = Page(start_page(root_url, "1.0", ["root/local"]))
    install, settings = page.commands[:2]
    assert install == f"pip install --index-url {root_url}/root/local/ --trusted-host {host} NAME"
    assert settings.splitlines()[-1] == f"trusted-host = {host}"


@pytest.mark.parametrize(
    "root_url",
    [
        "https://packages.example:8443/index",
        "http://127.0.0.1:3141",
        "http://[::1]",
        "http://localhost",
    ],
)
def test_commands_are_short_where_pip_trusts_by_itself(root_url: str) -> None:
    page = start_page(root_url, "1.0", ["root/local"])
    assert Page(page).commands[0] == f"pip install --index-url {root_url}/root/local/ NAME"
    assert b"trusted-host" not in page


def test_the_first_index_serves_as_the_example() -> None:
    page = Page(start_page("http://h:1", "1.0", ["alice/dev", "root/local"]))
    assert page.links() == ["alice/dev/+simple/", "root/local/+simple/"]
    assert "devpi login root\ndevpi use alice/dev" in page.commands[-2]


def test_a_server_without_an_index_tells_first_how_to_get_one() -> None:
    page = start_page("http://h:1", "1.0", [])
    assert b"There is no index with packages yet" in page
    assert Page(page).links() == []
    assert Page(page).commands[0] == "simpleindex-server add FOLDER --serverdir=DIR"
    assert "devpi index -c local\ndevpi use root/local" in "".join(Page(page).commands)


@pytest.mark.parametrize("evil", ['"><script>alert(1)</script>', "<img src=x>", "'&amp;</pre>"])
def test_nothing_on_the_page_gets_out_of_its_place(evil: str) -> None:
    harmless = Page(start_page("http://h:1", "1.0", ["root/local"]))
    page = Page(start_page(f"http://{evil}", evil, [evil]))
    assert page.tags == harmless.tags
    assert [name for _, name, _ in page.attributes] == [name for _, name, _ in harmless.attributes]
    assert evil in page.commands[0]


def test_the_page_needs_nothing_else() -> None:
    text = start_page("http://h:1", "1.0", ["root/local"]).decode()
    page = Page(text.encode())
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(page.tags)
    assert not [value for value in page.links() if value is None or ":" in value]
    assert not re.search(r"@import|url\(", text)
    assert text.startswith("<!DOCTYPE html>")
    assert '<meta charset="utf-8">' in text
