"""Every bad archive is refused at the door and leaves nothing; a good one is taken after it."""

import pytest

from simpleindex_storage.faults import RULES, Verdict
from tests.bad_archives import BAD_ARCHIVES, BadArchive
from tests.builders import a_wheel, an_egg
from tests.routes.sites import Site

ODD_ARCHIVES = [bad for bad in BAD_ARCHIVES if RULES[bad.rule].verdict is Verdict.STRICT]


@pytest.mark.parametrize("bad", BAD_ARCHIVES, ids=lambda bad: bad.id)
def test_a_bad_archive_is_refused_and_leaves_nothing(bad: BadArchive, site: Site) -> None:
    built = bad.build()
    before = site.stored()
    refusal = site.upload(built)
    assert refusal.status == 400
    assert refusal.line.startswith(f"{built.filename}: ")
    assert bad.words in refusal.line
    assert site.stored() == before
    assert site.upload(a_wheel()).status == 200


@pytest.mark.parametrize("bad", ODD_ARCHIVES, ids=lambda bad: bad.id)
def test_what_some_installer_can_use_is_taken_where_it_is_allowed_and_told_of(
    bad: BadArchive, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.make_index("root/local", acl_upload=("root",), strict_archives=False)
    built = bad.build()
    answer = site.upload(built)
    assert answer.status == 200
    assert answer.text.startswith(f"taken, but {built.filename}: ")
    assert bad.words in answer.text
    (logged,) = caplog.messages
    assert logged.startswith("root/local took an odd file from root: ")
    assert bad.words in logged


def test_an_egg_is_taken_listed_and_served_where_it_is_allowed(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",), strict_archives=False)
    egg = an_egg()
    assert site.upload(egg).status == 200
    (file,) = site.get(
        "/root/local/+simple/demo/?format=application/vnd.pypi.simple.v1%2Bjson"
    ).json["files"]
    assert (file["filename"], file["hashes"]) == (egg.filename, {"sha256": egg.sha256})
    assert "core-metadata" not in file
    assert site.get(f"/root/local/+f/{egg.sha256[:3]}/{egg.sha256[3:16]}/{egg.filename}").body == (
        egg.content
    )
