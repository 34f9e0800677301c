from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simpleindex.wire.locations import (
    Api,
    AuthCheck,
    FileAt,
    Health,
    HealthAt,
    IndexAt,
    JsonAt,
    ListAt,
    Location,
    Login,
    MetricsAt,
    PageAt,
    PagesAt,
    ProjectAt,
    RefreshAt,
    Root,
    SearchAt,
    StatusAt,
    TokenAt,
    TokensAt,
    UploadAt,
    UserAt,
    VersionAt,
    locate,
)
from simpleindex_storage.model import Sidecar

PLACE = "/u/i/+f/0a1/23456789abcde/demo-1.0-py3-none-any.whl"
FILE = FileAt("u", "i", "0a123456789abcde", "demo-1.0-py3-none-any.whl", None)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", Root()),
        ("", Root()),
        ("//", Root()),
        ("/+login", Login()),
        ("/+login/", Login()),
        ("/+api", Api()),
        ("/u/+api", Api("u")),
        ("/u/i/+api", Api("u", "i")),
        ("//u/i/+api", Api("u", "i")),
        ("/u", UserAt("u")),
        ("/u/", UserAt("u")),
        ("/u/+tokens", TokensAt("u")),
        ("/u/+tokens/", TokensAt("u")),
        ("/u/+tokens/1a2b", TokenAt("u", "1a2b")),
        ("/u/+tokens/1a2b/", TokenAt("u", "1a2b")),
        ("/u/i", IndexAt("u", "i", "", slash=False)),
        ("/u/i/", IndexAt("u", "i", "", slash=True)),
        ("/u/i/+simple", ListAt("u", "i", "+simple", slash=False)),
        ("/u/i/+simple/", ListAt("u", "i", "+simple/", slash=True)),
        ("/u/i/simple/", ListAt("u", "i", "simple/", slash=True)),
        ("/u/i/+simple/demo", PageAt("u", "i", "demo", "+simple/demo", slash=False)),
        ("/u/i/+simple/demo/", PageAt("u", "i", "demo", "+simple/demo/", slash=True)),
        ("/u/i/simple/demo/", PageAt("u", "i", "demo", "simple/demo/", slash=True)),
        ("/u/i/+simple/simple/", PageAt("u", "i", "simple", "+simple/simple/", slash=True)),
        ("/u/i/+simple/+simple/", PageAt("u", "i", "+simple", "+simple/+simple/", slash=True)),
        ("/u/i/+simple/demo/refresh", RefreshAt("u", "i", "demo", slash=False)),
        ("/u/i/simple/Demo/refresh/", RefreshAt("u", "i", "Demo", slash=True)),
        ("/+status", StatusAt()),
        ("/-/health", HealthAt()),
        ("/-/health/", HealthAt()),
        ("/-/health/live", HealthAt(Health.LIVE)),
        ("/-/health/ready", HealthAt(Health.READY)),
        ("/-/health/writable", HealthAt(Health.WRITABLE)),
        ("/-/metrics", MetricsAt()),
        ("/-/metrics/", MetricsAt()),
        ("/+authcheck", AuthCheck()),
        ("/u/i/demo", ProjectAt("u", "i", "demo", "demo", slash=False)),
        ("/u/i/demo/", ProjectAt("u", "i", "demo", "demo/", slash=True)),
        ("/u/i/Demo Ü/", ProjectAt("u", "i", "Demo Ü", "Demo Ü/", slash=True)),
        ("/u/i/demo/1.0", VersionAt("u", "i", "demo", "1.0")),
        ("/u/i/demo/1.0+local/", VersionAt("u", "i", "demo", "1.0+local")),
        ("/u/i/demo/1.0/+doc", PagesAt("u", "i", "demo", "1.0", "", slash=False, is_long=True)),
        ("/u/i/demo/1.0/+doc/", PagesAt("u", "i", "demo", "1.0", "", slash=True, is_long=True)),
        ("/u/i/demo/latest/+d/a", PagesAt("u", "i", "demo", "latest", "a", False, False)),
        ("/u/i/demo/1.0/+d/a b/+c/", PagesAt("u", "i", "demo", "1.0", "a b/+c", True, False)),
        ("/u/i/pypi/demo/json", JsonAt("u", "i", "demo", None)),
        ("/u/i/pypi/demo/json/", JsonAt("u", "i", "demo", None)),
        ("/u/i/pypi/Demo/1.0+local/json", JsonAt("u", "i", "Demo", "1.0+local")),
        ("/u/i/pypi/json/json/json/", JsonAt("u", "i", "json", "json")),
        ("/u/i/pypi/", ProjectAt("u", "i", "pypi", "pypi/", slash=True)),
        ("/u/i/pypi/1.0", VersionAt("u", "i", "pypi", "1.0")),
        ("/u/i/pypi/json", VersionAt("u", "i", "pypi", "json")),
        ("/u/i/+search", SearchAt("u", "i", slash=False)),
        ("/u/i/+search/", SearchAt("u", "i", slash=True)),
        ("/u/i/legacy", UploadAt("u", "i")),
        ("/u/i/legacy/", UploadAt("u", "i")),
        (
            "/u/i/legacy/+simple/demo/",
            PageAt("u", "i", "demo", "legacy/+simple/demo/", slash=True),
        ),
        (PLACE, FILE),
        (f"/{PLACE}", FILE),
        (f"{PLACE}.metadata", replace(FILE, sidecar=Sidecar.METADATA)),
        (f"{PLACE}.asc", replace(FILE, sidecar=Sidecar.SIGNATURE)),
        (f"{PLACE}.provenance", replace(FILE, sidecar=Sidecar.PROVENANCE)),
    ],
)
def test_a_path_names_one_thing(path: str, location: Location) -> None:
    assert locate(path) == location


@pytest.mark.parametrize(
    "path",
    [
        "/+nothing",
        "/+simple/",
        "/.",
        "/..",
        "/u//",
        "/u//i/",
        "/u/i//",
        "/u/./i/",
        "/u/../i/",
        "/u/i/../+simple/",
        "/u/i/+simple/../demo/",
        "/u/i/+simple//demo/",
        "/u/i/+simple/demo//",
        "/u/i/+nothing",
        "/u/i/+search/demo",
        "/u/i/demo/1.0/+doc/../x",
        "/u/i/demo/1.0/+doc//x",
        "/u/i/demo/1.0/x/+doc/",
        "/u/i/+demo/1.0/+doc/",
        "/u/i/pypi/demo/1.0/json/x",
        "/u/i/pypi/demo/1.0/jsonp",
        "/u/i/pypi//json",
        "/u/i/pypi/../json",
        "/u/i/+simple/pypi/demo/json",
        "/u/+search",
        "/+u/i/",
        "/u/+i/",
        "/u/i/+f/",
        "/u/i/+f/0a1/",
        "/u/i/+f/0a1/23456789abcde",
        "/u/i/+f/0a12/3456789abcde/demo-1.0.tar.gz",
        "/u/i/+f/0a1/23456789abcde/demo-1.0.tar.gz/",
        "/u/i/+f/0a1/../demo-1.0.tar.gz",
        "/u/i/+f/0a1/23456789abcde/x/demo-1.0.tar.gz",
        "/u/i/+e/0a1/23456789abcde/demo-1.0.tar.gz",
    ],
)
def test_where_there_is_never_anything_nothing_is_named(path: str) -> None:
    assert locate(path) is None


@given(
    path=st.lists(
        st.sampled_from(
            ["u", "i", "", ".", "..", "+api", "+login", "+simple", "simple", "legacy", "+f", "0a1",
             "+search", "pypi", "json", "demo", "x.metadata", ".metadata"]
        )
    ).map("/".join)
    | st.text()
)  # fmt: skip
@example(path="/" * 100_000)
@example(path="/u/i" + "/x" * 100_000)
@example(path="/\0/\n/\ud800")
def test_any_path_is_answered_for(path: str) -> None:
    located = locate(path)
    assert located is None or isinstance(located, Location)
    names = [getattr(located, field, None) for field in ("user", "index", "project", "filename")]
    assert not [name for name in names if name is not None and "/" in name]
    if not isinstance(located, Api):
        assert not {"..", "."}.intersection(names)
