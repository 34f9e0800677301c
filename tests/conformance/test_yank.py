"""Yanked files: how they are marked, and that clients hear of it."""

import pytest

from tests.builders import a_wheel, an_sdist
from tests.conformance.checklist import covers
from tests.conformance.pages import ShownFile
from tests.conformance.site import Site, fetched
from tests.conformance.talking import FORMS, HTML, V1_JSON

SAID = {"no reason": (True, ""), "empty": ("", ""), "a reason": ("eats & files", "eats & files")}

said = pytest.mark.parametrize(("value", "reason"), SAID.values(), ids=SAID)


def two_releases(site: Site) -> tuple[str, str, str]:
    """A project with two releases; the names of their files."""
    project = site.a_name("yank")
    first, second = a_wheel(project, "1.0"), a_wheel(project, "2.0")
    site.store(first, second)
    return project, first.filename, second.filename


@covers(23)
@said
def test_the_attribute_is_there_for_yanked_files_alone(
    site: Site, value: bool | str, reason: str
) -> None:
    """Simple repository API, Project Detail; File yanking; PEP 592."""
    project, yanked, other = two_releases(site)
    site.yank(project, "1.0", value)
    attributes = {anchor.text: anchor.attributes for anchor in site.html(project).anchors}
    assert (attributes[yanked]["data-yanked"] or "") == reason
    assert "data-yanked" not in attributes[other]


@covers(24)
@said
def test_the_key_is_true_or_a_reason_and_nothing_else(
    site: Site, value: bool | str, reason: str
) -> None:
    """Simple repository API, JSON Serialization, Project Detail; uv refuses a page with a null."""
    project, yanked, other = two_releases(site)
    site.yank(project, "1.0", value)
    files = {file["filename"]: file for file in site.json(project)["files"]}
    assert files[yanked]["yanked"] == (reason or True)
    assert files[other].get("yanked", False) is False


@covers(25)
@pytest.mark.parametrize("form", FORMS)
def test_a_yank_and_its_end_are_seen_at_once(site: Site, form: str) -> None:
    """File yanking; RFC 9111, 4.3: a page that a client has must not pass for the new one."""
    project, yanked, _ = two_releases(site)
    marks = []
    tag = site.get(project, form).header("etag") or ""
    for value in (True, False, "again", False):
        site.yank(project, "1.0", value)
        reply = site.get(project, form, if_none_match=tag)
        assert reply.status == 200
        tag = reply.header("etag") or ""
        marks.append(site.files(project, V1_JSON if form == V1_JSON else HTML)[yanked].yanked)
    assert marks == ["", None, "again", None]


@covers(25)
def test_a_yank_marks_every_file_of_the_release(site: Site) -> None:
    """File yanking: of a file in the standard, of all files of a release here."""
    project = site.a_name("release")
    files = (a_wheel(project), an_sdist(project), a_wheel(project, "2.0"))
    site.store(*files)
    site.yank(project, "1.0", "broken")
    marks = {name: file.yanked for name, file in site.files(project).items()}
    assert [marks[built.filename] for built in files] == ["broken", "broken", None]


@covers(26)
def test_a_yanked_file_stays_where_it_is_with_its_hashes(site: Site) -> None:
    """File yanking: who pins the version must still be able to install it."""
    project, yanked, _ = two_releases(site)
    before = site.files(project)[yanked]
    site.yank(project, "1.0", "broken")
    after = site.files(project)[yanked]
    assert unmarked(after) == unmarked(before)
    assert fetched(after.url) == a_wheel(project, "1.0").content


@covers(27)
def test_a_yank_shows_on_every_index_that_passes_the_file_on(site: Site) -> None:
    """File yanking, Mirrors; PEP 592."""
    project, yanked, _ = two_releases(site)
    derived = site.new_index(bases=["/".join(site.index_url.split("/")[-3:-1])])
    for value, reason in ((True, ""), ("why", "why"), (False, None)):
        site.yank(project, "1.0", value)
        for form in (HTML, V1_JSON):
            assert derived.files(project, form)[yanked].yanked == reason


def unmarked(file: ShownFile) -> tuple[str, object, object]:
    """What a yank must not change."""
    return file.url, file.hashes, file.core_metadata
