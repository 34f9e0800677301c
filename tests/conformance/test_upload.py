"""The upload API that every tool speaks and no standard describes: what must be taken."""

import hashlib
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import cast
from urllib.parse import urljoin

import pytest

from tests.builders import (
    BuiltFile,
    a_multipart_body,
    a_wheel,
    an_sdist,
    an_upload_body,
    core_metadata,
    upload_fields,
)
from tests.conformance.checklist import covers
from tests.conformance.conftest import Shelf
from tests.conformance.forms import (
    a_file_part,
    a_form,
    a_form_of,
    a_text_part,
    least_fields,
)
from tests.conformance.site import (
    Site,
    assert_nothing_of,
    assert_refused,
    basic,
    fetched,
    root_of,
)
from tests.conformance.talking import FORMS, HTML, V1_JSON, ask, connect, target_of

UV = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"

SENDERS: dict[str, Sequence[tuple[str, str]]] = {
    "uv": [("protocol_version", "1"), ("import_names", "demo"), ("metadata_version", "2.1")],
    "hatch": [("protocol_version", "1"), ("import_name", "demo"), ("metadata_version", "2.1")],
    "pdm": [("protocol_version", "1"), ("provides_extras", "x"), ("author", "UNKNOWN")],
    "flit": [("metadata_version", "2.3"), ("provides_extra", "x"), ("requires_dist", "a")],
    "setup.py": [("comment", ""), ("summary", "UNKNOWN"), ("license", ""), ("platform", "UNKNOWN")],
    "nobody yet": [("a_field_of_tomorrow", "x"), (":else", "y"), ("protocol_version", "1")],
}


def changed(project: str, version: str = "1.0") -> BuiltFile:
    """Another wheel of the same name."""
    module = f"{project.replace('-', '_')}/changed.py"
    return a_wheel(project, version, extra_files={module: b"changed"})


# Where, and what


@covers(80)
def test_a_file_is_taken_with_the_slash_and_without(site: Site) -> None:
    """Legacy upload API, Usage; tools do not follow redirects of a POST, or lose the file."""
    for url in (site.upload_url.rstrip("/"), f"{site.upload_url.rstrip('/')}/"):
        project = site.a_name("slash")
        reply = site.post(an_upload_body(a_wheel(project)), to=url)
        assert (reply.status, reply.header("location")) == (200, None)
        assert site.get(project).status == 200


@covers(80)
def test_no_post_is_ever_redirected(site: Site, shelf: Shelf) -> None:
    """RFC 9110, 15.4: flit and setup.py make a GET of it and report success."""
    body = an_upload_body(a_wheel(site.a_name("lost")))
    pages = (site.base_url, site.page_url(shelf.project), site.page_url(shelf.display_name))
    for url in (site.index_url, site.upload_url, *pages, root_of(site.index_url)):
        for target in (url, url.rstrip("/")):
            assert site.post(body, to=target).status // 100 != 3


@covers(80, 81)
@pytest.mark.parametrize("protocol", ["1", None])
def test_the_protocol_version_may_be_left_out(site: Site, protocol: str | None) -> None:
    """Legacy upload API, Usage."""
    project = site.a_name("protocol")
    assert site.upload(a_wheel(project), protocol_version=protocol).status == 200
    assert site.get(project).status == 200


@covers(81)
@pytest.mark.parametrize("more", SENDERS.values(), ids=SENDERS)
def test_fields_are_taken_under_every_name_that_tools_have_for_them(
    site: Site, more: Sequence[tuple[str, str]]
) -> None:
    """Legacy upload API, Usage: core metadata in lower case; unknown fields are ignored."""
    project = site.a_name("fields")
    built = a_wheel(project)
    assert site.post(a_form_of([*least_fields(project), *more], built)).status == 200
    assert site.file(project, built).hashes["sha256"] == built.sha256


@covers(82)
def test_the_parts_come_in_any_order(site: Site) -> None:
    """RFC 7578, 5.2; the order of twine 7 changes from run to run."""
    for order in (1, -1):
        for at in (0, 4, None):
            project = site.a_name("order")
            built = a_wheel(project)
            parts = [a_text_part(name, value) for name, value in upload_fields(built)][::order]
            file = a_file_part(built.filename, built.content)
            parts.insert(len(parts) if at is None else at, file)
            assert site.post(a_form(*parts)).status == 200
            assert site.get(project).status == 200


@covers(82)
@pytest.mark.parametrize(
    "content_type", [None, "application/octet-stream", "application/zip", "binary/x; a=b"]
)
def test_the_file_need_not_say_its_type(site: Site, content_type: str | None) -> None:
    """RFC 7578, 4.4: uv, flit and setup.py send none."""
    project = site.a_name("type")
    built = a_wheel(project)
    fields = [a_text_part(name, value) for name, value in upload_fields(built)]
    file = a_file_part(built.filename, built.content, content_type=content_type)
    assert site.post(a_form(*fields, file)).status == 200


@covers(82)
@pytest.mark.parametrize("preamble", [b"\r\n", b"text for people\r\n"])
def test_something_may_stand_before_the_first_boundary(site: Site, preamble: bytes) -> None:
    """RFC 2046, 5.1.1: to be ignored; setup.py sends a line break."""
    project = site.a_name("preamble")
    built = a_wheel(project)
    parts = [a_text_part(name, value) for name, value in upload_fields(built)]
    parts.append(a_file_part(built.filename, built.content))
    assert site.post(a_form(*parts, preamble=preamble)).status == 200


@covers(83)
@pytest.mark.parametrize("nothing", ["", "UNKNOWN"])
def test_an_empty_field_is_as_if_it_were_not_there(site: Site, nothing: str) -> None:
    """Legacy upload API; pdm, uv and setup.py send such."""
    project = site.a_name("empty")
    built = a_wheel(project)
    told = dict.fromkeys(
        ("requires_python", "md5_digest", "blake2_256_digest", "filetype", "summary", "comment"),
        nothing,
    )
    assert site.upload(built, **told).status == 200
    assert site.file(project, built).requires_python is None


DIGESTS = ("md5_digest", "sha256_digest", "blake2_256_digest")


@covers(84)
@pytest.mark.parametrize("given", [(each,) for each in DIGESTS] + [DIGESTS[:2], DIGESTS])
def test_the_digests_that_are_given_are_enough(site: Site, given: tuple[str, ...]) -> None:
    """Legacy upload API: twine and uv leave md5 out, flit blake2, setup.py all but md5."""
    project = site.a_name("digest")
    built = a_wheel(project)
    left_out = dict.fromkeys(set(DIGESTS) - set(given))
    assert site.upload(built, **left_out).status == 200
    assert site.file(project, built).hashes["sha256"] == built.sha256


@covers(84)
def test_digests_are_hexadecimal_in_any_case(site: Site) -> None:
    """Legacy upload API."""
    built = a_wheel(site.a_name("digest"))
    upper = {name: value.upper() for name, value in upload_fields(built) if name in DIGESTS}
    assert len(upper) == 3
    assert site.upload(built, **upper).status == 200


LIES: Mapping[str, Mapping[str, str | None]] = {
    "metadata version": {"metadata_version": "2.3"},
    "requires_python": {"requires_python": ">=99"},
    "summary": {"summary": "something else"},
    "version in another spelling": {"version": "v1.0.0"},
    "pyversion": {"pyversion": "cp27"},
    "no pyversion": {"pyversion": None},
}


@covers(85)
@pytest.mark.parametrize("told", LIES.values(), ids=LIES)
def test_the_file_counts_and_not_the_form(site: Site, told: Mapping[str, str | None]) -> None:
    """Legacy upload API; flit says another metadata version than its file has."""
    project = site.a_name("form")
    built = a_wheel(project, requires_python=">=3.8")
    assert site.upload(built, **told).status == 200
    file = site.file(project, built)
    assert file.requires_python == ">=3.8"
    assert fetched(f"{file.url}.metadata") == core_metadata(project, requires_python=">=3.8")


@covers(85)
@pytest.mark.parametrize("spell", ["{}", "{}.X", "{}-x", "{}__x", "{}-X"])
def test_the_name_in_the_form_may_be_spelled_in_any_way(site: Site, spell: str) -> None:
    """Names and normalization; twine replaces runs of odd letters by one hyphen."""
    project = f"{site.a_name('form')}-x"
    name = spell.format(project.removesuffix("-x")) if spell != "{}" else project
    assert site.upload(a_wheel(project), name=name).status == 200
    assert site.get(project).status == 200


@covers(85)
@pytest.mark.parametrize("pyversion", ["source", None, "", "3.11"])
def test_an_sdist_needs_no_pyversion(site: Site, pyversion: str | None) -> None:
    """Legacy upload API: `source`, or nothing."""
    assert site.upload(an_sdist(site.a_name("source")), pyversion=pyversion).status == 200


@covers(86)
def test_a_form_may_have_1200_fields_and_one_of_a_megabyte_and_a_half(site: Site) -> None:
    """Legacy upload API: no limit is told; large projects have such forms."""
    project = site.a_name("long")
    fields = [*upload_fields(a_wheel(project))]
    fields += [("classifiers", f"Private :: {number}") for number in range(1200)]
    fields += [("description", "x" * 1_500_000)]
    assert site.post(a_form_of(fields, a_wheel(project))).status == 200
    assert site.get(project).status == 200


# The answer


@covers(87)
@pytest.mark.parametrize("make", [a_wheel, an_sdist])
def test_success_is_a_200_and_the_file_is_on_every_page_by_then(
    site: Site, make: Callable[[str], BuiltFile]
) -> None:
    """Legacy upload API; setup.py takes a 201 for a failure."""
    project = site.a_name("success")
    built = make(project)
    for form in FORMS:
        assert site.get(project, form).status == 404
    reply = site.upload(built)
    assert reply.status == 200
    assert len(reply.body) < 2000
    for form in FORMS:
        assert built.filename.encode() in site.get(project, form).body
    assert project in site.projects()
    assert fetched(site.file(project, built).url) == built.content


@covers(88)
def test_the_same_file_may_be_sent_again_and_changes_nothing(site: Site) -> None:
    """Legacy upload API: what makes a run of twine 6.2 or newer repeatable."""
    project = site.a_name("again")
    built = a_wheel(project)
    site.store(built)
    tag = site.get(project).header("etag") or ""
    for _ in range(2):
        assert site.upload(built).status == 200
    assert site.get(project, if_none_match=tag).status == 304


@covers(88, 89)
def test_other_content_never_replaces_a_file_and_the_answer_says_that_it_exists(
    site: Site,
) -> None:
    """Legacy upload API; poetry and pdm skip what a 400 or 409 says to `already exist`."""
    project = site.a_name("taken")
    built = a_wheel(project)
    site.store(built)
    reply = site.upload(changed(project))
    assert reply.status in (400, 409)
    assert "already exist" in reply.text
    assert fetched(site.file(project, built).url) == built.content
    assert len(site.files(project)) == 1


@covers(89)
def test_an_uploader_can_compare_hashes_before_it_sends(site: Site) -> None:
    """Simple repository API: uv's --check-url needs a hash, or a 404."""
    project = site.a_name("check")
    assert site.get(project).status == 404
    built = a_wheel(project)
    site.store(built)
    assert site.file(project, built).hashes["sha256"] == hashlib.sha256(built.content).hexdigest()


@covers(89)
def test_pages_lie_below_the_upload_url_where_hatch_looks_for_them(site: Site) -> None:
    """Legacy upload API: hatch greps the HTML there for what it need not send again."""
    project = site.a_name("hatch")
    built = a_wheel(project)
    url = f"{site.upload_url.rstrip('/')}/%2Bsimple/{project}/"
    headers = {"accept": "*/*", "cache-control": "no-cache"} | dict(site.authorized())
    assert ask("GET", url, headers).status == 404
    site.store(built)
    reply = ask("GET", url, headers)
    assert (reply.status, reply.media_type) == (200, HTML)
    assert f">{built.filename}</a>" in reply.text


@covers(90)
@pytest.mark.parametrize("accept", ["*/*", None, UV, "text/plain", "application/json"])
def test_a_refusal_is_a_sentence_for_people(site: Site, accept: str | None) -> None:
    """Legacy upload API; uv shows `code` of a JSON object, others the text."""
    project = site.a_name("wrong")
    headers = {} if accept is None else {"accept": accept}
    body = an_upload_body(a_wheel(project), sha256_digest="0" * 64)
    reply = site.post(body, headers=headers)
    assert reply.status == 400
    assert_refused(reply)
    if reply.media_type == "application/json":
        assert "sha256" in reply.json["code"]
    else:
        assert reply.media_type == "text/plain"
        assert "sha256" in reply.text.splitlines()[0]


@covers(90)
def test_the_reason_phrase_of_a_refusal_says_what_is_wrong(site: Site) -> None:
    """RFC 9112, 4: optional text, and all that twine shows unless it is asked for more."""
    project = site.a_name("wrong")
    body = an_upload_body(a_wheel(project), sha256_digest="0" * 64)
    reply = site.post(body, headers={"accept": "*/*"})
    assert "sha256" in reply.reason


@covers(91)
@pytest.mark.parametrize("action", ["submit", "submit_pkg_info", "doc_upload"])
def test_other_actions_are_refused_or_do_nothing(site: Site, action: str) -> None:
    """Legacy upload API: poetry tries `submit`, old tools documentation."""
    project = site.a_name("action")
    body = a_multipart_body([(":action", action), ("name", project), ("version", "1.0")])
    reply = site.post(body)
    assert reply.status in (200, 400, 404, 410)
    if reply.status != 200:
        assert_refused(reply)
        assert_nothing_of(site, project)
    else:
        assert site.json(project)["files"] == []


# Who is asking


@covers(92)
def test_credentials_that_come_at_once_are_taken(site: Site) -> None:
    """RFC 7617, 2: all tools send Basic with the first request."""
    project = site.a_name("basic")
    for scheme in ("Basic", "basic"):
        token = site.authorized()["authorization"].removeprefix("Basic ")
        headers = {"authorization": f"{scheme} {token}"}
        assert site.post(an_upload_body(a_wheel(project)), headers=headers).status == 200


@covers(92)
def test_the_user_of_tokens_without_a_good_one_is_asked_again(site: Site) -> None:
    """RFC 9110, 15.5.2: `__token__` is the user that twine, uv and pdm fall back to."""
    project = site.a_name("token")
    body = an_upload_body(a_wheel(project))
    for token in ("wrong", "", "pypi-AgEIcHlwaS5vcmc", "é" * 500):
        reply = site.post(body, headers={"authorization": basic("__token__", token)})
        assert reply.status in (401, 403)
    assert_nothing_of(site, project)


# How it is sent


@covers(93)
@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_a_body_may_come_in_chunks(site: Site, size: int) -> None:
    """RFC 9112, 7.1."""
    project = site.a_name("chunks")
    content_type, body = an_upload_body(a_wheel(project))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    headers = {"content-type": content_type} | dict(site.authorized())
    assert ask("POST", site.upload_url, headers, pieces).status == 200
    assert site.get(project).status == 200


@covers(93)
def test_a_client_that_waits_to_be_told_to_go_on_is_told(site: Site) -> None:
    """RFC 9110, 10.1.1: curl does for large bodies."""
    project = site.a_name("expect")
    content_type, body = an_upload_body(a_wheel(project))
    connection = connect(site.upload_url)
    connection.putrequest("POST", target_of(site.upload_url), skip_accept_encoding=True)
    for name, value in site.authorized().items():
        connection.putheader(name, value)
    connection.putheader("Content-Type", content_type)
    connection.putheader("Content-Length", str(len(body)))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    line = cast(socket.socket, connection.sock)
    interim = b""
    while not interim.endswith(b"\r\n\r\n"):
        interim += line.recv(1) or b"closed\r\n\r\n"
    assert interim.startswith(b"HTTP/1.1 100 ")
    line.sendall(body)
    response = connection.getresponse()
    assert response.status == 200
    connection.close()
    assert site.get(project).status == 200


@covers(94)
def test_a_probe_for_trusted_publishing_is_a_404_at_once(site: Site) -> None:
    """Trusted publishing of PyPI: pdm asks before it publishes."""
    for path in ("/_/oidc/audience", "/_/oidc/mint-token"):
        reply = ask("GET", urljoin(site.upload_url, path))
        assert reply.status == 404
        assert reply.seconds < 2


@covers(86)
def test_a_large_file_arrives_whole(site: Site) -> None:
    """Legacy upload API: the body is a stream, whatever its length."""
    project = site.a_name("large")
    payload = hashlib.shake_128(b"payload").digest(20 << 20)
    built = a_wheel(project, extra_files={f"{project.replace('-', '_')}/payload": payload})
    site.store(built)
    assert fetched(site.file(project, built).url) == built.content


@covers(84)
def test_no_digest_at_all_is_enough_or_is_asked_for(site: Site) -> None:
    """Legacy upload API: a server may ask for at least one."""
    project = site.a_name("digest")
    reply = site.upload(a_wheel(project), **dict.fromkeys(DIGESTS))
    if reply.status == 200:
        assert site.get(project, V1_JSON).status == 200
    else:
        assert_refused(reply)
        assert_nothing_of(site, project)
