"""What the journal tells of a change that a client has asked for."""

import json
from typing import Any

import pytest

from simpleindex.config import parse_networks
from tests.builders import a_wheel, an_upload_body
from tests.routes.sites import DEVPI, MakeSite, Site
from tests.storage.stores import journal_of

PROXY = "192.0.2.1"


def last_line(site: Site) -> dict[str, Any]:
    line = journal_of(site.folder)[-1]
    return {key: line[key] for key in ("who", "from", "what")}


@pytest.mark.parametrize(
    ("trusted", "address"), [((), PROXY), ((PROXY,), "198.51.100.7")], ids=["stranger", "proxy"]
)
def test_a_change_is_told_with_the_address_that_it_came_from(
    trusted: tuple[str, ...], address: str, make_site: MakeSite
) -> None:
    site = make_site(trusted_proxy=parse_networks(trusted))
    content_type, body = an_upload_body(a_wheel())
    headers = site.sent_by("root", content_type) | {"x-forwarded-for": "203.0.113.9, 198.51.100.7"}
    assert site.ask("POST", "/root/local/", headers, body, peer=PROXY).status == 200
    assert last_line(site) == {"who": "root", "from": address, "what": "upload"}


def test_whoever_may_change_something_without_a_login_is_told_by_address_alone(
    site: Site,
) -> None:
    site.make_index("root/open", acl_upload=(":ANONYMOUS:",))
    content_type, body = an_upload_body(a_wheel())
    sent = site.ask("POST", "/root/open/", {"content-type": content_type}, body, peer=PROXY)
    assert sent.status == 200
    assert last_line(site) == {"who": "", "from": PROXY, "what": "upload"}


@pytest.mark.parametrize(
    ("method", "target", "body", "what"),
    [
        ("PUT", "/root/dev", {}, "create index"),
        ("PUT", "/carol", {"password": "carolpw"}, "create user"),
        ("PATCH", "/alice", {"password": "another"}, "modify user"),
        ("DELETE", "/alice", None, "remove user"),
    ],
    ids=["index", "user", "password", "removal"],
)
def test_every_door_tells_who_and_from_where(
    method: str, target: str, body: object, what: str, site: Site
) -> None:
    headers = site.sent_by("root", "application/json") | {"accept": DEVPI}
    sent = b"" if body is None else json.dumps(body).encode()
    assert site.ask(method, target, headers, sent, peer=PROXY).status < 300
    assert last_line(site) == {"who": "root", "from": PROXY, "what": what}
