"""The status of a project, and what follows from it."""

import pytest

from tests.builders import a_wheel
from tests.conformance.checklist import covers
from tests.conformance.conftest import Shelf
from tests.conformance.site import Site, assert_refused
from tests.conformance.talking import HTML, V1_JSON, ask

STATUSES = ("active", "archived", "quarantined", "deprecated")

every_status = pytest.mark.parametrize("status", STATUSES)


def a_project_that_is(site: Site, status: str, reason: str | None = None) -> str:
    """A project with one file and a status."""
    project = site.a_name(status)
    site.store(a_wheel(project))
    site.set_status(project, status, reason)
    return project


@covers(64)
@every_status
@pytest.mark.parametrize("reason", [None, "see the other project"])
def test_both_forms_tell_status_and_reason(site: Site, status: str, reason: str | None) -> None:
    """Project status markers; PEP 792; Simple repository API, Project Detail."""
    project = a_project_that_is(site, status, reason)
    told = site.json(project).get("project-status", {})
    html = site.html(project)
    statuses, reasons = html.meta("pypi:project-status"), html.meta("pypi:project-status-reason")
    if status == "active":
        assert told.get("status", "active") == "active"
        assert statuses in ([], ["active"])
    else:
        assert told["status"] == status
        assert statuses == [status]
    if told:
        assert told.get("reason") == reason
        assert reasons == ([] if reason is None else [reason])


@covers(64)
def test_the_status_stands_at_the_top_of_a_project_page_alone(site: Site) -> None:
    """Simple repository API, Project Detail; PEP 792: not under `meta`, not on the list."""
    project = a_project_that_is(site, "deprecated", "old")
    assert "project-status" not in site.json(project)["meta"]
    assert "state" not in site.json(project)["project-status"]
    assert "project-status" not in site.json()
    assert site.html().meta("pypi:project-status") == []


@covers(65)
@every_status
def test_a_closed_project_takes_no_uploads_and_others_do(site: Site, status: str) -> None:
    """Project status markers, Semantics."""
    project = a_project_that_is(site, status)
    reply = site.upload(a_wheel(project, "2.0"))
    if status in ("archived", "quarantined"):
        assert_refused(reply)
        site.set_status(project, "active")
        assert len(site.files(project)) == 1
    else:
        assert reply.status == 200
        assert len(site.files(project)) == 2


@covers(65)
@every_status
def test_a_quarantined_project_offers_no_files_and_others_do(site: Site, status: str) -> None:
    """Project status markers, Semantics: on no page, and by no URL that was known before."""
    project = site.a_name(status)
    built = a_wheel(project)
    site.store(built)
    before = site.file(project, built)
    site.set_status(project, status)
    offered = status != "quarantined"
    for form in (HTML, V1_JSON):
        assert (built.filename in site.files(project, form)) is offered
    for url in (before.url, f"{before.url}.metadata"):
        reply = ask("GET", url)
        assert reply.status == 200 if offered else reply.status in (403, 404, 410)


@covers(66)
def test_a_quarantine_holds_on_every_index_that_passes_the_project_on(site: Site) -> None:
    """Project status markers, Semantics: a quarantined project is offered nowhere."""
    derived = site.new_index(bases=["/".join(site.index_url.split("/")[-3:-1])])
    project = a_project_that_is(site, "quarantined", "under review")
    for form in (HTML, V1_JSON):
        assert derived.files(project, form) == {}
    assert derived.json(project)["project-status"]["status"] == "quarantined"
    site.set_status(project, "active")
    assert len(derived.files(project)) == 1


@covers(64)
def test_a_project_without_a_mark_is_active(site: Site, shelf: Shelf) -> None:
    """Project status markers, active: may be left out."""
    told = site.json(shelf.project).get("project-status", {"status": "active"})
    assert told["status"] == "active"
