import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.wire.pypi_json import (
    OfferedRelease,
    ProjectDocument,
    latest,
    releases_of,
    render,
)
from simpleindex_storage.model import DistFile, Fields
from simpleindex_storage.names import IndexName, parse_project_name
from tests.storage.stores import a_file

ROOT = "https://packages.example/index"
WHEEL = "demo-1.0-py2.py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"
NOTHING: Fields = MappingProxyType({})


def a_document(*files: DistFile, fields: Fields = NOTHING, whole: bool = True) -> ProjectDocument:
    """Of the latest release among the files."""
    releases = releases_of(files)
    release = latest(releases)
    assert release is not None
    return ProjectDocument(
        root_url=ROOT,
        index=IndexName("root/local"),
        project=parse_project_name("demo"),
        display_name="Demo",
        release=release,
        fields=fields,
        releases=releases if whole else None,
        serial=17,
    )


def rendered(*files: DistFile, fields: Fields = NOTHING, whole: bool = True) -> Any:
    return json.loads(render(a_document(*files, fields=fields, whole=whole)))


def info(**fields: str | tuple[str, ...]) -> Any:
    return rendered(a_file(SDIST), fields=fields)["info"]


def chosen(*files: str | DistFile) -> str:
    """The version that is recommended."""
    records = [a_file(file) if isinstance(file, str) else file for file in files]
    release = latest(releases_of(records))
    assert release is not None
    return release.version


# The whole


def test_a_project_that_says_all_is_told_with_all() -> None:
    fields: dict[str, str | tuple[str, ...]] = {
        "author": "Ada",
        "author_email": "ada@example.org",
        "classifiers": ("Topic :: Internet", "Topic :: Software Development"),
        "description": "# Demo\nwörds",
        "description_content_type": "text/markdown",
        "download_url": "https://download.example/",
        "dynamic": ("Version",),
        "home_page": "https://home.example/",
        "keywords": "first,second",
        "license": "zlib",
        "license_expression": "MIT-0",
        "license_file": ("LICENSE", "NOTICE"),
        "maintainer": "Bob",
        "maintainer_email": "bob@example.org",
        "metadata_version": "2.4",
        "name": "Demo",
        "platform": ("win32", "linux"),
        "project_urls": ("Docs, https://docs.example/a,b", "Homepage,https://own.example/"),
        "provides_extras": ("fast",),
        "requires_dist": ("attrs>=2", "requests; extra == 'fast'"),
        "requires_python": ">=3.8",
        "summary": "a demonstration",
        "version": "1.0.0",
    }
    file = replace(
        a_file(WHEEL, uploaded_at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC), requires_python=">=3.8"),
        metadata_sha256="1" * 64,
        signature_sha256="2" * 64,
        yanked="it eats files",
    )
    prefix = f"{file.sha256[:3]}/{file.sha256[3:16]}"
    shown_file = {
        "comment_text": "",
        "core-metadata": {"sha256": "1" * 64},
        "digests": {"blake2b_256": file.blake2b_256, "md5": file.md5, "sha256": file.sha256},
        "downloads": -1,
        "filename": WHEEL,
        "has_sig": True,
        "md5_digest": file.md5,
        "packagetype": "bdist_wheel",
        "python_version": "py2.py3",
        "requires_python": ">=3.8",
        "size": file.size_bytes,
        "upload_time": "2026-01-02T03:04:05",
        "upload_time_iso_8601": "2026-01-02T03:04:05.000006Z",
        "url": f"{ROOT}/root/local/+f/{prefix}/{WHEEL}",
        "yanked": True,
        "yanked_reason": "it eats files",
    }
    assert rendered(file, fields=fields) == {
        "info": {
            "author": "Ada",
            "author_email": "ada@example.org",
            "bugtrack_url": None,
            "classifiers": ["Topic :: Internet", "Topic :: Software Development"],
            "description": "# Demo\nwörds",
            "description_content_type": "text/markdown",
            "docs_url": None,
            "download_url": "https://download.example/",
            "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
            "dynamic": ["Version"],
            "home_page": "https://home.example/",
            "keywords": "first,second",
            "license": "zlib",
            "license_expression": "MIT-0",
            "license_files": ["LICENSE", "NOTICE"],
            "maintainer": "Bob",
            "maintainer_email": "bob@example.org",
            "name": "Demo",
            "package_url": f"{ROOT}/root/local/demo/",
            "platform": "win32, linux",
            "project_url": f"{ROOT}/root/local/demo/",
            "project_urls": {
                "Docs": "https://docs.example/a,b",
                "Homepage": "https://own.example/",
                "Download": "https://download.example/",
            },
            "provides_extra": ["fast"],
            "release_url": f"{ROOT}/root/local/demo/",
            "requires_dist": ["attrs>=2", "requests; extra == 'fast'"],
            "requires_python": ">=3.8",
            "summary": "a demonstration",
            "version": "1.0",
            "yanked": True,
            "yanked_reason": "it eats files",
        },
        "last_serial": 17,
        "releases": {"1.0": [shown_file]},
        "urls": [shown_file],
        "vulnerabilities": [],
    }


def test_a_project_that_says_nothing_has_every_key_all_the_same() -> None:
    said_nothing, said_all = info(), info(author="Ada", summary="words", platform="any")
    assert said_nothing.keys() == said_all.keys()
    nulls = {key for key, value in said_nothing.items() if value is None}
    assert nulls == {
        "author", "author_email", "bugtrack_url", "description", "description_content_type",
        "docs_url", "download_url", "dynamic", "home_page", "keywords", "license",
        "license_expression", "license_files", "maintainer", "maintainer_email", "platform",
        "provides_extra", "requires_dist", "requires_python", "summary", "yanked_reason",
    }  # fmt: skip
    assert (said_nothing["classifiers"], said_nothing["project_urls"]) == ([], {})


def test_a_release_alone_is_told_without_the_others() -> None:
    files = [a_file(SDIST), a_file("demo-0.9.tar.gz")]
    document = rendered(*files, whole=False)
    assert "releases" not in document
    assert document["info"] == rendered(*files)["info"]
    assert [file["filename"] for file in document["urls"]] == [SDIST]


# Releases


def test_files_are_told_by_release_oldest_first_and_in_their_order() -> None:
    names = ["demo-1.10.tar.gz", "demo-1.9.tar.gz", "demo-1.10-py3-none-any.whl", "demo-1!0.1.zip"]
    releases = rendered(*map(a_file, names))["releases"]
    assert list(releases) == ["1.9", "1.10", "1!0.1"]
    assert [file["filename"] for file in releases["1.10"]] == [names[0], names[2]]


def test_two_spellings_of_a_version_are_one_release() -> None:
    releases = releases_of([a_file("demo-1.0.0-py3-none-any.whl"), a_file(SDIST)])
    assert [(release.version, len(release.files)) for release in releases] == [("1.0.0", 2)]


@pytest.mark.parametrize(
    ("files", "version"),
    [
        pytest.param(["demo-1.9.zip", "demo-1.10.zip"], "1.10", id="newest"),
        pytest.param(["demo-1.0.zip", "demo-1.0+cpu.zip"], "1.0+cpu", id="local version"),
        pytest.param(["demo-9.0.zip", "demo-1!1.0.zip"], "1!1.0", id="epoch"),
        pytest.param(["demo-1.0.zip", "demo-1.0.post1.zip"], "1.0.post1", id="post-release"),
        pytest.param(["demo-1.0.zip", "demo-2.0rc1.zip"], "1.0", id="before pre-release"),
        pytest.param(["demo-1.0.zip", "demo-2.0.dev1.zip"], "1.0", id="before development"),
        pytest.param(["demo-1.0a1.zip", "demo-1.0b1.zip"], "1.0b1", id="pre-releases alone"),
        pytest.param(["demo-1.0.zip", a_file("demo-2.0.zip", yanked="")], "1.0", id="yanked"),
        pytest.param(
            ["demo-2.0.zip", a_file("demo-2.0.tar.gz", yanked="bad"), "demo-1.0.zip"], "2.0",
            id="yanked in part",
        ),
        pytest.param(
            ["demo-1.0a1.zip", a_file("demo-2.0.zip", yanked="")], "1.0a1",
            id="pre-release before yanked",
        ),
        pytest.param(
            [a_file("demo-1.0.zip", yanked=""), a_file("demo-2.0.zip", yanked="")], "2.0",
            id="yanked alone",
        ),
    ],
)  # fmt: skip
def test_the_latest_release_is_one_to_recommend(files: list[str | DistFile], version: str) -> None:
    assert chosen(*files) == version
    assert chosen(*reversed(files)) == version


def test_of_no_releases_none_is_the_latest() -> None:
    assert latest(()) is None


@pytest.mark.parametrize(
    ("yanks", "told"),
    [
        ((None, None), (False, None)),
        ((None, "broken"), (False, None)),
        (("", ""), (True, None)),
        (("", "broken"), (True, "broken")),
    ],
)
def test_a_release_is_yanked_if_all_its_files_are(
    yanks: tuple[str | None, str | None], told: tuple[bool, str | None]
) -> None:
    files = (a_file(SDIST, yanked=yanks[0]), a_file(WHEEL, yanked=yanks[1]))
    release = OfferedRelease("1.0", files)
    assert (release.is_yanked, release.yanked_reason) == told
    document = rendered(*files)
    assert (document["info"]["yanked"], document["info"]["yanked_reason"]) == told
    assert [file["yanked"] for file in document["urls"]] == [each is not None for each in yanks]
    assert [file["yanked_reason"] for file in document["urls"]] == [each or None for each in yanks]


# Files


@pytest.mark.parametrize(
    ("filename", "kind", "python"),
    [
        ("demo-1.0-cp311-cp311-win32.whl", "bdist_wheel", "cp311"),
        ("demo-1.0-1build-py2.py3-none-any.whl", "bdist_wheel", "py2.py3"),
        ("demo-1.0.tar.gz", "sdist", "source"),
        ("demo-1.0.zip", "sdist", "source"),
        ("demo-1.0-py2.7.egg", "bdist_egg", "2.7"),
        ("demo-1.0-py3.5-win32.egg", "bdist_egg", "3.5"),
    ],
)
def test_a_file_says_what_it_is(filename: str, kind: str, python: str) -> None:
    (file,) = rendered(a_file(filename))["urls"]
    assert (file["packagetype"], file["python_version"]) == (kind, python)


def test_core_metadata_is_announced_of_wheels_that_have_it() -> None:
    wheel, sdist = replace(a_file(WHEEL), metadata_sha256="1" * 64), a_file(SDIST)
    assert sdist.metadata_sha256 is not None
    files = [wheel, sdist, replace(a_file("demo-1.0-0-py3-none-any.whl"), metadata_sha256=None)]
    told = [file["core-metadata"] for file in rendered(*files)["urls"]]
    assert told == [{"sha256": "1" * 64}, False, False]


def test_times_are_in_utc() -> None:
    far_east = timezone(timedelta(hours=5, minutes=30))
    (file,) = rendered(a_file(uploaded_at=datetime(2026, 1, 1, 1, 2, 3, 0, far_east)))["urls"]
    assert file["upload_time"] == "2025-12-31T19:32:03"
    assert file["upload_time_iso_8601"] == "2025-12-31T19:32:03.000000Z"


def test_a_file_of_a_base_has_the_url_that_it_has_there() -> None:
    file = a_file("demo-1.0+local.tar.gz", index=IndexName("root/base"))
    document = rendered(file)
    url = document["urls"][0]["url"]
    assert url.startswith(f"{ROOT}/root/base/+f/{file.sha256[:3]}/")
    assert url.endswith("/demo-1.0%2Blocal.tar.gz")
    assert document["info"]["release_url"] == f"{ROOT}/root/local/demo/"


# Odd input


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((), {}),
        (("Docs,https://a/",), {"Docs": "https://a/"}),
        (("https://a/",), {"https://a/": "https://a/"}),
        (("Docs, ",), {}),
        (("Docs, javascript:alert(1)", "Mail, mailto:a@b.example"), {"Mail": "mailto:a@b.example"}),
        ((", https://a/",), {"": "https://a/"}),
        (("A, https://a/", "A, https://b/"), {"A": "https://b/"}),
    ],
)
def test_links_are_told_by_label(said: tuple[str, ...], told: dict[str, str]) -> None:
    assert info(project_urls=said)["project_urls"] == told


@pytest.mark.parametrize("name", ["home_page", "download_url"])
def test_a_link_that_is_no_link_is_not_told(name: str) -> None:
    assert info(**{name: " JaVaScRiPt:alert(1)"})[name] is None
    assert info(**{name: "https://home.example/"})[name] == "https://home.example/"


def test_fields_of_another_kind_than_expected_do_no_harm() -> None:
    # A journal or a form of elsewhere may hold one value as text, or several where one belongs.
    told = info(requires_dist="attrs", classifiers="A", summary=("one", "two"), platform="any")
    assert (told["requires_dist"], told["classifiers"]) == (["attrs"], ["A"])
    assert (told["summary"], told["platform"]) == (None, "any")


@given(
    st.dictionaries(
        st.sampled_from(
            ["summary", "description", "classifiers", "project_urls", "requires_dist", "platform",
             "license_file", "keywords", "home_page"]
        ),
        st.text(st.characters()) | st.lists(st.text(st.characters())).map(tuple),
    )
)  # fmt: skip
def test_whatever_is_said_the_document_is_json_in_utf_8(
    fields: dict[str, str | tuple[str, ...]],
) -> None:
    told = rendered(a_file(SDIST), fields=fields)["info"]
    assert told.keys() == info().keys()
