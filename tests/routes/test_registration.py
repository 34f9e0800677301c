"""Registrations: releases without a file, as `setup.py register` and pushes send them."""

from urllib.parse import urlencode

import pytest

from simpleindex_storage.model import ProjectStatus, Release
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.upkeep import mark_project
from tests.asgi import Answer
from tests.builders import a_multipart_body
from tests.routes.sites import DEVPI, WHEEL, Site, elsewhere

LOCAL, DEMO = IndexName("root/local"), parse_project_name("demo")
FIELDS = {":action": "submit", "name": "De.mo", "version": "1.0", "summary": "said anew"}


def submit(
    site: Site, fields: dict[str, str], *, by: str | None = "root", as_form: str = "urlencoded"
) -> Answer:
    if as_form == "urlencoded":
        content_type, body = "application/x-www-form-urlencoded", urlencode(fields).encode()
    else:
        content_type, body = a_multipart_body(list(fields.items()))
    return site.ask("POST", "/root/local/", site.sent_by(by, content_type), body)


def release(site: Site, name: str = "demo") -> Release | None:
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        return seen.release(LOCAL, parse_project_name(name), "1.0")


@pytest.mark.parametrize("as_form", ["urlencoded", "multipart"])
def test_a_registration_makes_a_release_without_files(as_form: str, site: Site) -> None:
    answer = submit(site, FIELDS, as_form=as_form)
    assert (answer.status, answer.body) == (200, b"")
    made = release(site, "de-mo")
    assert made is not None
    assert made.fields == {"name": "De.mo", "version": "1.0", "summary": "said anew"}
    assert site.get("/root/local/+simple/de-mo/", "text/html").text.count("<a ") == 0


def test_a_registration_replaces_all_that_was_said_and_keeps_the_files(site: Site) -> None:
    site.add(WHEEL)
    assert submit(site, FIELDS | {"name": "demo"}).status == 200
    made = release(site)
    assert made is not None
    assert made.fields == {"name": "demo", "version": "1.0", "summary": "said anew"}
    assert site.get("/root/local/+simple/demo/", "text/html").text.count("<a ") == 1


@pytest.mark.parametrize(("by", "status"), [(None, 401), ("alice", 403)])
def test_only_uploaders_register(by: str | None, status: int, site: Site) -> None:
    site.add(WHEEL)
    before = site.stored()
    assert submit(site, FIELDS, by=by).status == status
    assert site.stored() == before


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no ':action'"),
        ({":action": "verify"}, "file_upload, doc_upload, submit"),
        (FIELDS | {"name": ""}, "no 'name'"),
        (FIELDS | {"version": "UNKNOWN"}, "no 'version'"),
        (FIELDS | {"version": "one"}, "PEP 440"),
        (FIELDS | {"name": "a b"}, "project name"),
        (FIELDS | {"name": "x" * 201}, "over 200 bytes"),
        (FIELDS | {":action": "file_upload"}, "no file"),
        (FIELDS | {":action": "doc_upload"}, "no file"),
    ],
    ids=range(9),
)
def test_what_registers_nothing_leaves_nothing(
    fields: dict[str, str], words: str, site: Site
) -> None:
    before = site.stored()
    refusal = submit(site, fields)
    assert refusal.status == 400
    assert words in refusal.line
    assert site.stored() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"%3Aaction=submit&name=%FF&version=1.0", 400),
        (b"\xff", 400),
        (b"a=b&" * 2001, 400),
        (b"a=" + b"x" * (4 << 20), 413),
    ],
    ids=["no text", "no ASCII", "many", "large"],
)
def test_a_form_without_a_file_is_bounded(body: bytes, status: int, site: Site) -> None:
    headers = site.sent_by("root", "application/x-www-form-urlencoded; charset=utf-8")
    assert site.ask("POST", "/root/local/", headers | {"accept": DEVPI}, body).status == status


def test_a_closed_project_is_not_registered_anew(site: Site) -> None:
    site.add(WHEEL)
    site.change(lambda it: mark_project(it, LOCAL, DEMO, ProjectStatus.ARCHIVED, None))
    before = site.stored()
    assert submit(site, FIELDS | {"name": "demo"}).status == 400
    assert site.stored() == before
