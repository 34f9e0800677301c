"""Signatures and provenance: told where they are, and nowhere else."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.builders import A_SIGNATURE, BuiltFile, a_wheel, upload_fields
from tests.conformance.checklist import covers
from tests.conformance.conftest import Shelf
from tests.conformance.forms import a_file_part, a_form_of, an_attestation
from tests.conformance.site import Site, assert_nothing_of, assert_refused, fetched
from tests.conformance.talking import HTML, V1_JSON, Reply, ask

LOOPBACK = {"127.0.0.1", "::1", "localhost"}

FORMS_OF_FILES = pytest.mark.parametrize("form", [HTML, V1_JSON])


def upload_signed(site: Site, built: BuiltFile) -> Reply:
    """Post a file with its signature, as old twine does."""
    part = a_file_part(f"{built.filename}.asc", A_SIGNATURE, name="gpg_signature")
    return site.post(a_form_of(upload_fields(built), built, part))


def upload_attested(site: Site, built: BuiltFile, attestations: Any) -> Reply:
    """Post a file with its attestations, as twine does."""
    return site.upload(built, attestations=json.dumps(attestations))


# Signatures


@covers(18)
@FORMS_OF_FILES
def test_a_signature_lies_beside_its_file_and_every_file_says_whether_there_is_one(
    site: Site, form: str
) -> None:
    """Simple repository API, Project Detail: if gpg-sig is used, then on every link."""
    project = site.a_name("signed")
    signed, other = a_wheel(project, "1.0"), a_wheel(project, "2.0")
    assert upload_signed(site, signed).status == 200
    site.store(other)
    shown = site.files(project, form)
    assert shown[signed.filename].gpg_sig is True
    assert shown[other.filename].gpg_sig is False
    assert fetched(f"{shown[signed.filename].url}.asc") == A_SIGNATURE
    assert ask("GET", f"{shown[other.filename].url}.asc").status == 404


@covers(18)
@FORMS_OF_FILES
def test_nothing_is_said_of_signatures_where_there_are_none(
    site: Site, shelf: Shelf, form: str
) -> None:
    """Simple repository API, Project Detail."""
    for file in site.files(shelf.project, form).values():
        assert file.gpg_sig is None
    assert ask("GET", f"{site.file(shelf.project, shelf.wheel).url}.asc").status == 404


@covers(21)
def test_a_signature_and_metadata_are_no_files_of_the_page(site: Site) -> None:
    """Simple repository API, Project Detail: distributions alone."""
    project = site.a_name("signed")
    built = a_wheel(project)
    assert upload_signed(site, built).status == 200
    for form in (HTML, V1_JSON):
        assert set(site.files(project, form)) == {built.filename}


# Provenance


@covers(60)
@FORMS_OF_FILES
def test_provenance_has_an_absolute_url_of_a_secure_origin(site: Site, form: str) -> None:
    """PEP 740, Changes to the simple index; Integrity API."""
    project = site.a_name("attested")
    built = a_wheel(project)
    assert upload_attested(site, built, [an_attestation(built)]).status == 200
    parts = urlsplit(site.files(project, form)[built.filename].provenance or "")
    assert parts.scheme == "https" or parts.hostname in LOOPBACK
    assert ask("GET", parts.geturl()).status == 200


@covers(60)
@FORMS_OF_FILES
def test_no_provenance_is_told_of_a_file_without_any(site: Site, shelf: Shelf, form: str) -> None:
    """PEP 740, Changes to the simple index: no key, or null."""
    assert {file.provenance for file in site.files(shelf.project, form).values()} == {None}
    url = site.file(shelf.project, shelf.wheel).url
    assert ask("GET", f"{url}.provenance").status == 404


@covers(60)
def test_no_provenance_is_told_under_an_insecure_name(site: Site) -> None:
    """PEP 740, Changes to the simple index: a secure origin, which plain http on a LAN is not."""
    project = site.a_name("attested")
    built = a_wheel(project)
    assert upload_attested(site, built, [an_attestation(built)]).status == 200
    for form in (HTML, V1_JSON):
        url = site.page_url(project)
        reply = ask("GET", url, {"accept": form, "host": "packages.example:3141"})
        assert reply.status == 200
        assert urlsplit(url).scheme == "https" or "provenance" not in reply.text


@covers(61)
def test_provenance_is_an_object_with_the_attestations_and_is_never_stale(site: Site) -> None:
    """PEP 740, Provenance objects; Integrity API; RFC 9111, 5.2.2.4."""
    project = site.a_name("attested")
    built = a_wheel(project)
    attestations = [an_attestation(built)]
    assert upload_attested(site, built, attestations).status == 200
    url = site.file(project, built).provenance or ""
    reply = ask("GET", url)
    assert reply.media_type == "application/vnd.pypi.integrity.v1+json"
    assert reply.json["version"] == 1
    (bundle,) = reply.json["attestation_bundles"]
    assert isinstance(bundle["publisher"]["kind"], str)
    assert bundle["attestations"] == attestations
    assert "no-cache" in reply.words("cache-control")
    tag = reply.header("etag") or ""
    assert ask("GET", url, {"if-none-match": tag}).status == 304


ODD_ATTESTATIONS = {
    "of another file": lambda built: [an_attestation(built, subject_name="x-1.0.tar.gz")],
    "of other bytes": lambda built: [an_attestation(built, sha256="0" * 64)],
    "no list": an_attestation,
    "no object": lambda built: ["attested"],
    "no envelope": lambda built: [{"version": 1, "verification_material": {}}],
    "another version": lambda built: [an_attestation(built) | {"version": 2}],
    "no statement": lambda built: [
        an_attestation(built) | {"envelope": {"statement": "%", "signature": "eA=="}}
    ],
    "one good and one bad": lambda built: [
        an_attestation(built), an_attestation(built, sha256="0" * 64),
    ],
}  # fmt: skip


@covers(62)
@pytest.mark.parametrize("odd", ODD_ATTESTATIONS.values(), ids=ODD_ATTESTATIONS)
def test_an_attestation_of_something_else_is_refused_with_its_file(site: Site, odd: Any) -> None:
    """PEP 740, Attestation statement; Upload endpoint changes: refused, and nothing kept."""
    project = site.a_name("attested")
    built = a_wheel(project)
    assert_refused(upload_attested(site, built, odd(built)))
    assert_nothing_of(site, project)


@covers(62)
@pytest.mark.parametrize("text", ["[", "nothing", "null", '"x"', "{}"])
def test_attestations_that_are_no_json_list_are_refused_with_their_file(
    site: Site, text: str
) -> None:
    """PEP 740, Upload endpoint changes: a JSON array."""
    project = site.a_name("attested")
    assert_refused(site.upload(a_wheel(project), attestations=text))
    assert_nothing_of(site, project)
