"""Documentation: how it comes in, and how its pages go out."""

import pytest

from simpleindex_storage.model import Index, MirrorSettings, ProjectStatus
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.upkeep import mark_project
from tests.builders import BuiltFile, a_wheel, a_zip
from tests.documents import DOCUMENTATION, PAGES, send_documentation
from tests.routes.sites import DEVPI, WHEEL, Site

BASE = "/root/local/demo/1.0/+doc"
OTHER_PAGES = BuiltFile("demo-1.0.doc.zip", a_zip({"index.html": b"changed"}))


def url_of(documentation: BuiltFile, name: str = "demo-1.0.doc.zip") -> str:
    sha256 = documentation.sha256
    return f"/root/local/+f/{sha256[:3]}/{sha256[3:16]}/{name}"


# In


def test_documentation_makes_its_release_and_is_listed_nowhere(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",))
    answer = send_documentation(site)
    assert (answer.status, answer.body) == (200, b"")
    assert site.get("/root/local/+simple/demo/", "text/html").text.count("<a ") == 0
    versions = site.get("/root/local/demo", DEVPI).json["result"]
    assert list(versions) == ["1.0"]


def test_the_zip_itself_can_be_downloaded(site: Site) -> None:
    site.add(WHEEL)
    send_documentation(site)
    answer = site.get(url_of(DOCUMENTATION))
    assert (answer.status, answer.body) == (200, DOCUMENTATION.content)
    assert answer.header("content-type") == "application/zip"
    assert answer.header("etag") == f'"{DOCUMENTATION.sha256}"'
    assert site.ask("HEAD", url_of(DOCUMENTATION)).status == 200
    part = site.get(url_of(DOCUMENTATION), range="bytes=0-3")
    assert (part.status, part.body) == (206, b"PK\3\4")
    assert site.get(f"{url_of(DOCUMENTATION)}.metadata").status == 404
    assert site.get(url_of(DOCUMENTATION, "other.doc.zip")).status == 404


def test_roots_first_upload_may_be_documentation(site: Site) -> None:
    assert send_documentation(site).status == 200
    assert site.get(f"{BASE}/").status == 200


def test_without_a_version_the_highest_one_is_meant(site: Site) -> None:
    site.add(WHEEL, a_wheel(version="1.10"), a_wheel(version="1.9"))
    bare = BuiltFile("demo.doc.zip", DOCUMENTATION.content)
    assert send_documentation(site, bare, version=None).status == 200
    assert site.get("/root/local/demo/1.10/+doc/").status == 200


def test_without_a_version_there_must_be_a_release(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",))
    refusal = send_documentation(site, version=None)
    assert refusal.status == 400
    assert "name its version" in refusal.line


def test_a_version_is_the_stored_one_in_any_spelling(site: Site) -> None:
    site.add(WHEEL)
    assert send_documentation(site, version="1.0.0").status == 200
    assert site.get(url_of(DOCUMENTATION)).status == 200


@pytest.mark.parametrize(
    ("content", "said", "filename", "words"),
    [
        (b"no zip", ("demo", "1.0"), "demo-1.0.doc.zip", "no readable zip"),
        (a_zip({"../x": b""}), ("demo", "1.0"), "demo-1.0.doc.zip", "outside"),
        (DOCUMENTATION.content, ("demo", ""), "demo-1.0.doc.zip", "no 'version'"),
        (DOCUMENTATION.content, ("demo", "one"), "demo-1.0.doc.zip", "PEP 440"),
        (DOCUMENTATION.content, ("de mo", "1.0"), "demo-1.0.doc.zip", "project name"),
        (DOCUMENTATION.content, ("", "1.0"), "demo-1.0.doc.zip", "no 'name'"),
        (DOCUMENTATION.content, ("demo", "1.0"), "other-1.0.doc.zip", "does not begin"),
        (DOCUMENTATION.content, ("demo", "1.0"), "demo-1.0.tar.gz", "as a zip"),
        (DOCUMENTATION.content, ("x" * 200, "1.0"), "x" * 200 + ".zip", "over 200 bytes"),
    ],
    ids=range(9),
)
def test_what_is_no_documentation_leaves_nothing(
    content: bytes, said: tuple[str, str], filename: str, words: str, site: Site
) -> None:
    site.make_index("root/local", acl_upload=("root",))
    before = site.stored()
    name, version = said
    refusal = send_documentation(site, BuiltFile(filename, content), name=name, version=version)
    assert refusal.status == 400
    assert words in refusal.line
    assert site.stored() == before


def test_the_same_bytes_again_are_fine_and_others_only_where_files_may_be_replaced(
    site: Site,
) -> None:
    site.add(WHEEL)
    assert send_documentation(site).status == 200
    before = site.stored()
    assert send_documentation(site).status == 200
    refusal = send_documentation(site, OTHER_PAGES)
    assert refusal.status == 409
    assert "File already exists: demo-1.0.doc.zip" in refusal.line
    assert site.stored() == before

    site.make_index("root/local", volatile=True, acl_upload=("root",))
    assert send_documentation(site, OTHER_PAGES).status == 200
    assert site.get(f"{BASE}/").body == b"changed"
    assert site.get(url_of(DOCUMENTATION)).status == 404


@pytest.mark.parametrize(("by", "status"), [(None, 401), ("alice", 403)])
def test_only_uploaders_send_documentation(by: str | None, status: int, site: Site) -> None:
    site.add(WHEEL)
    before = site.stored()
    assert send_documentation(site, by=by).status == status
    assert site.stored() == before


def test_mirrors_and_closed_projects_take_none(site: Site) -> None:
    site.add(WHEEL)
    demo = parse_project_name("demo")
    local = IndexName("root/local")
    site.change(lambda it: mark_project(it, local, demo, ProjectStatus.ARCHIVED, None))
    assert send_documentation(site).status == 400
    site.change(lambda it: it.put_index(Index(IndexName("root/far"), MirrorSettings())))
    assert send_documentation(site, to="/root/far/").status == 403


# Out


@pytest.mark.parametrize("word", ["+doc", "+d", "%2Bdoc"])
@pytest.mark.parametrize("version", ["1.0", "1.0.0", "latest", "stable"])
def test_pages_are_read_out_of_the_zip(word: str, version: str, site: Site) -> None:
    send_documentation(site)
    for path, body in PAGES.items():
        quoted = path.replace(" ", "%20")
        answer = site.get(f"/root/local/demo/{version}/{word}/{quoted}", "text/html")
        assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("", "text/html"),
        ("_static/style.css", "text/css"),
        ("guide/", "text/html"),
        ("large.bin", "application/octet-stream"),
    ],
)
def test_a_page_says_what_it_is_and_may_do_little(path: str, content_type: str, site: Site) -> None:
    send_documentation(site)
    whole = site.get(f"{BASE}/{path}")
    assert whole.header("content-type") == content_type
    assert whole.header("x-content-type-options") == "nosniff"
    policy = whole.header("content-security-policy")
    assert policy is not None
    assert policy.startswith("sandbox allow-scripts; default-src 'self'")
    assert "allow-same-origin" not in policy
    assert "connect-src 'none'" in policy
    assert whole.header("cache-control") == "no-cache"
    head = site.ask("HEAD", f"{BASE}/{path}")
    assert (head.status, head.headers) == (200, whole.headers)


def test_a_page_that_has_not_changed_is_not_sent_again(site: Site) -> None:
    send_documentation(site)
    for path in ("", "large.bin"):
        etag = site.get(f"{BASE}/{path}").header("etag")
        assert etag is not None
        assert site.get(f"{BASE}/{path}", if_none_match=etag).status == 304
        assert site.get(f"{BASE}/{path}", if_none_match='"other"').status == 200


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/root/local/demo/1.0/+doc", "./+doc/"),
        ("/root/local/demo/1.0/+d?x=y", "./+d/?x=y"),
        (f"{BASE}/guide", "./guide/"),
    ],
)
def test_a_folder_without_its_slash_is_redirected(asked: str, target: str, site: Site) -> None:
    send_documentation(site)
    answer = site.get(asked)
    assert (answer.status, answer.header("location")) == (302, target)


@pytest.mark.parametrize(
    "path",
    [
        "/root/local/demo/1.0/+doc/none.html",
        "/root/local/demo/1.0/+doc/_static/",
        "/root/local/demo/1.0/+doc/index.html/",
        "/root/local/demo/1.0/+doc/%2e%2e/index.html",
        "/root/local/demo/2.0/+doc/",
        "/root/local/demo/one/+doc/",
        "/root/local/other/1.0/+doc/",
        "/root/local/%20/1.0/+doc/",
        "/root/none/demo/1.0/+doc/",
    ],
)
def test_what_is_no_page_is_404(path: str, site: Site) -> None:
    send_documentation(site)
    assert site.get(path).status == 404
    assert site.ask("HEAD", path).status == 404


def test_latest_is_the_highest_and_stable_the_highest_final_one_with_documentation(
    site: Site,
) -> None:
    site.add(a_wheel(version="3.0"))
    for version in ("1.0", "1.10", "2.0rc1"):
        pages = BuiltFile(f"demo-{version}.doc.zip", a_zip({"index.html": version.encode()}))
        send_documentation(site, pages, version=version)
    assert site.get("/root/local/demo/latest/+doc/").text == "2.0rc1"
    assert site.get("/root/local/demo/stable/+doc/").text == "1.10"


def test_pages_are_shown_to_readers_only(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",), acl_read=("root",))
    assert send_documentation(site).status == 200
    for path in (f"{BASE}/", url_of(DOCUMENTATION)):
        assert site.get(path).status == 403
        assert site.ask("GET", path, site.sent_by("alice")).status == 403
        answer = site.ask("GET", path, site.sent_by("root"))
        assert answer.status == 200
        assert "private" in (answer.header("cache-control") or "")


def test_a_quarantined_project_shows_no_pages(site: Site) -> None:
    send_documentation(site)
    demo, local = parse_project_name("demo"), IndexName("root/local")
    site.change(lambda it: mark_project(it, local, demo, ProjectStatus.QUARANTINED, None))
    assert site.get(f"{BASE}/").status == 404


def test_a_client_that_goes_away_ends_the_sending(site: Site) -> None:
    large = BuiltFile("demo-1.0.doc.zip", a_zip({"x.bin": bytes(8 << 20)}, compression=0))
    assert send_documentation(site, large).status == 200
    sent = site.client.look_away(f"{BASE}/x.bin", after_chunks=2)
    assert len(sent) < 20
