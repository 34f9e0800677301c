"""Signatures and provenance: sent along with a file, served beside it, and told of on pages."""

import hashlib
import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.asgi import Answer
from tests.builders import (
    A_SIGNATURE,
    BOUNDARY,
    BuiltFile,
    a_statement,
    a_wheel,
    an_attestation,
    an_upload_body,
)
from tests.routes.sites import V1_JSON, MakeSite, Site

WHEEL = a_wheel()
URL = f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"
ATTESTATION = an_attestation(a_statement(WHEEL))


def upload_signed(site: Site, built: BuiltFile, signature: bytes = A_SIGNATURE) -> Answer:
    content_type, body = an_upload_body(built)
    disposition = f'form-data; name="gpg_signature"; filename="{built.filename}.asc"'
    part = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
    signed = part + signature + b"\r\n" + body
    return site.ask("POST", "/root/local/", site.sent_by("root", content_type), signed)


def upload_attested(site: Site, *attestations: object) -> Answer:
    return site.upload(WHEEL, attestations=json.dumps(attestations))


def page(site: Site, host: str = "localhost", form: str = V1_JSON) -> Answer:
    return site.ask("GET", "/root/local/demo/", {"accept": form}, host=host)


def shown(site: Site, host: str = "localhost") -> dict[str, Any]:
    return {file["filename"]: file for file in page(site, host).json["files"]}


def test_a_signature_is_served_beside_its_file_and_told_of_each_file(site: Site) -> None:
    other = a_wheel(version="2.0")
    assert upload_signed(site, WHEEL).status == 200
    assert site.upload(other).status == 200
    answer = site.get(f"{URL}.asc")
    assert (answer.status, answer.body) == (200, A_SIGNATURE)
    assert answer.header("content-type") == "application/pgp-signature"
    assert answer.header("etag") == f'"{hashlib.sha256(A_SIGNATURE).hexdigest()}"'
    assert {name: file["gpg-sig"] for name, file in shown(site).items()} == {
        WHEEL.filename: True,
        other.filename: False,
    }
    html = site.get("/root/local/demo/").text
    assert html.count('data-gpg-sig="true"') == html.count('data-gpg-sig="false"') == 1


def test_a_signature_that_is_none_is_refused_and_leaves_nothing(site: Site) -> None:
    before = site.stored()
    refusal = upload_signed(site, WHEEL, b"\x88\x75\x04\x00")
    assert refusal.status == 400
    assert "gpg --detach-sign --armor" in refusal.line
    assert site.stored() == before


def test_a_provenance_is_served_beside_its_file_and_may_grow(site: Site) -> None:
    assert upload_attested(site, ATTESTATION, ATTESTATION).status == 200
    answer = site.get(f"{URL}.provenance")
    assert answer.status == 200
    assert answer.header("content-type") == "application/vnd.pypi.integrity.v1+json"
    assert answer.header("cache-control") == "no-cache"
    (bundle,) = answer.json["attestation_bundles"]
    assert bundle["attestations"] == [ATTESTATION, ATTESTATION]
    assert bundle["publisher"]["kind"] == "account"
    etag = answer.header("etag")
    assert etag is not None
    assert site.get(f"{URL}.provenance", if_none_match=etag).status == 304
    assert site.ask("HEAD", f"{URL}.provenance").status == 200


@pytest.mark.parametrize(
    ("settings", "host", "root_url"),
    [
        ({}, "127.0.0.1:3141", "http://127.0.0.1:3141"),
        ({}, "localhost", "http://localhost"),
        ({}, "[::1]:80", "http://[::1]:80"),
        ({}, "packages.example", None),
        ({}, "127.0.0.1.packages.example", None),
        (
            {"outside_url": "https://packages.example/x"},
            "inside",
            "https://packages.example/x",
        ),
        ({"outside_url": "http://packages.example"}, "localhost", None),
    ],
)
def test_a_provenance_is_told_of_where_nobody_on_the_way_can_change_it(
    settings: dict[str, str], host: str, root_url: str | None, make_site: MakeSite
) -> None:
    site = make_site(**settings)
    upload_attested(site, ATTESTATION)
    for _ in range(2):  # the second time from memory
        file = shown(site, host)[WHEEL.filename]
        html = page(site, host, "text/html").text
        if root_url is None:
            assert "provenance" not in file
            assert "provenance" not in html
        else:
            assert file["provenance"] == f"{root_url}{URL}.provenance"
            assert f'data-provenance="{root_url}{URL}.provenance"' in html


def test_each_client_gets_the_page_for_its_own_way_in(site: Site) -> None:
    upload_attested(site, ATTESTATION)
    ways = ["localhost:1", "packages.example", "localhost:2", "localhost:1"]
    pages = [page(site, host) for host in ways]
    told = [each.json["files"][0].get("provenance", "").partition("/root")[0] for each in pages]
    assert told == ["http://localhost:1", "", "http://localhost:2", "http://localhost:1"]
    assert len({each.header("etag") for each in pages}) == 3


def test_a_page_that_differs_by_the_way_in_is_counted_once(site: Site) -> None:
    upload_attested(site, ATTESTATION)

    def counted(host: str) -> dict[str, float]:
        before = rendered(site)
        page(site, host)
        return {each: more for each, now in rendered(site).items() if (more := now - before[each])}

    ways = ["localhost:1", "packages.example", "localhost:2", "localhost:1"]
    assert [counted(host) for host in ways] == [
        {"made": 1}, {"remembered": 1}, {"made": 1}, {"remembered": 1},
    ]  # fmt: skip
    site.make_index("alice/other")  # changes the serial, but not the page
    assert counted("localhost:1") == {"confirmed": 1}


def rendered(site: Site) -> dict[str, float]:
    """How many pages were told so far, by what that took."""
    told = site.ask("GET", "/-/metrics", peer="127.0.0.1", host="localhost").text
    (family,) = (
        family
        for family in text_string_to_metric_families(told)
        if family.name == "simpleindex_rendered_pages"
    )
    return {sample.labels["result"]: sample.value for sample in family.samples}


def test_an_attestation_of_another_file_is_refused_and_leaves_nothing(site: Site) -> None:
    before = site.stored()
    refusal = upload_attested(site, ATTESTATION, an_attestation(a_statement(a_wheel("other"))))
    assert refusal.status == 400
    assert refusal.line.startswith(f"{WHEEL.filename}: an attestation is of 'other-1.0")
    assert site.stored() == before
    assert upload_attested(site).status == 200  # no attestations at all
    assert site.get(f"{URL}.provenance").status == 404
