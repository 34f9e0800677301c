"""Tables of what is taken and what is refused, and that nothing in between exists."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simpleindex_storage.errors import Refused
from simpleindex_storage.names import (
    FILENAME_BYTES_MAX,
    DistKind,
    FilePlace,
    IndexName,
    index_name,
    owner_of,
    parse_filename,
    parse_index_name,
    parse_place,
    parse_project_name,
    parse_user_name,
    parse_version,
    same_version,
    split_filename,
)

PREFIX = "0123456789abcdef"
LONG_S, DOTLESS_I, KELVIN, FULLWIDTH_A = "\u017f", "\u0131", "\u212a", "\uff41"

BAD_PARTS = {
    "empty": "",
    "parent": "..",
    "current": ".",
    "leading dot": ".hidden",
    "trailing dot": "name.",
    "leading dash": "-name",
    "leading at": "@name",
    "leading underscore": "_name",
    "slash": "a/b",
    "backslash": "a\\b",
    "drive": "C:",
    "stream": "name:stream",
    "NUL": "na\x00me",
    "line end": "name\n",
    "carriage return": "name\r",
    "tab": "na\tme",
    "space": "na me",
    "trailing space": "name ",
    "plus": "a+b",
    "percent": "%2e%2e",
    "quote": "na'me",
    "markup": "<b>",
    "tilde": "PROGRA~1",
    "DEL": "name\x7f",
    "umlaut": "nämé",
    "long s": f"u{LONG_S}er",
    "dotless i": f"adm{DOTLESS_I}n",
    "Kelvin sign": f"{KELVIN}elvin",
    "full width": f"{FULLWIDTH_A}bc",
    "right to left": "abc\u202edef",
    "zero width": "ab\u200bc",
    "surrogate": "ab\ud800c",
    "Arabic digit": "user\u0661",
    "too long": "x" * 65,
}

DEVICES = ("con", "PRN", "Aux", "nul", "com1", "COM0", "lpt9", "con.txt", "NUL.tar.gz", "aux.")

GOOD_PARTS = ("a", "0", "root", "Root", "a.b", "a..b", "a-b_c@d", "console", "com", "com10", "nul1")


@pytest.mark.parametrize("name", [*GOOD_PARTS, "x" * 64], ids=lambda name: name[:12])
def test_users_and_indexes_may_be_named(name: str) -> None:
    assert parse_user_name(name) == name
    assert parse_index_name(f"{name}/{name}") == index_name(name, name) == f"{name}/{name}"
    assert owner_of(index_name(name, "local")) == name


@pytest.mark.parametrize("name", BAD_PARTS.values(), ids=BAD_PARTS)
def test_users_and_indexes_may_not_be_named(name: str) -> None:
    for parse in (
        lambda: parse_user_name(name),
        lambda: index_name("root", name),
        lambda: index_name(name, "local"),
        lambda: parse_index_name(f"root/{name}"),
    ):
        with pytest.raises(Refused) as raised:
            parse()
        assert_is_one_line(raised.value)


@pytest.mark.parametrize("name", DEVICES)
def test_users_and_indexes_are_no_devices(name: str) -> None:
    for part in (name, name.lower(), name.upper()):
        with pytest.raises(Refused, match="device name of Windows"):
            parse_user_name(part)
        with pytest.raises(Refused, match="device name of Windows"):
            index_name("root", part)


@pytest.mark.parametrize("text", ["", "root", "/", "root/", "/local", "a/b/c", "root//local"])
def test_an_index_has_a_user_and_a_name(text: str) -> None:
    with pytest.raises(Refused):
        parse_index_name(text)


# Projects and versions


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("demo", "demo"),
        ("Demo", "demo"),
        ("zope.interface", "zope-interface"),
        ("Zope_-._Interface", "zope-interface"),
        ("0", "0"),
        ("a", "a"),
        ("x" * 300, "x" * 300),
    ],
    ids=lambda text: text[:20],
)
def test_a_projects_name_is_normalised(text: str, name: str) -> None:
    assert parse_project_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "-", "_", "-demo", "demo-", ".demo", "demo.", "demo_", "de mo", " demo",
        "demo\n", "de/mo", "de\\mo", "../demo", "de\x00mo", "demo[extra]", "demo==1.0", "d@mo",
        "d+mo", "dämo", f"de{LONG_S}", f"d{DOTLESS_I}", f"{KELVIN}demo", FULLWIDTH_A, "a\ud800",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_project_may_not_be_named(text: str) -> None:
    with pytest.raises(Refused, match="project name") as raised:
        parse_project_name(text)
    assert_is_one_line(raised.value)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.0", "1.0"),
        ("1.0.0", "1.0.0"),
        ("v1.0", "1.0"),
        (" 1.0\n", "1.0"),
        ("1.0-ALPHA.1", "1.0a1"),
        ("1.0-1", "1.0.post1"),
        ("1.0.dev", "1.0.dev0"),
        ("1!2.0+Local_Build.1", "1!2.0+local.build.1"),
        ("01.002", "1.2"),
        ("9" * 4000, "9" * 4000),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_a_version_is_normalised(text: str, version: str) -> None:
    assert parse_version(text) == version
    assert parse_version(version) == version


@pytest.mark.parametrize(
    "text",
    [
        "", "one", "1.0 beta two", "1..0", "1.0/../..", "1.0\x002", "1.0+", "1.0+a/b",
        f"1.0.po{LONG_S}t1", f"1.0+{KELVIN}", "\u0661.0", "1.0\ud800", "1" * 5000,
    ],
    ids=lambda text: ascii(text[:20]),
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="version") as raised:
        parse_version(text)
    assert_is_one_line(raised.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1.0", "1.0", True),
        ("1.0", "1.0.0", True),
        ("1", "v1.0", True),
        ("1.0.post1", "1.0-1", True),
        ("1.0", "1.0.1", False),
        ("1.0", "1.0+local", False),
        ("1.0", "1!1.0", False),
        ("1.0a1", "1.0", False),
    ],
)
def test_versions_are_compared_as_versions(one: str, other: str, same: bool) -> None:
    assert same_version(one, other) is same
    assert same_version(other, one) is same


# File names


@pytest.mark.parametrize(
    ("text", "project", "version", "key"),
    [
        ("demo-1.0.tar.gz", "demo", "1.0", "demo-1.0.tar.gz"),
        ("demo-1.0.zip", "demo", "1.0", "demo-1.0.zip"),
        ("Demo.Thing-1.0.tar.gz", "demo-thing", "1.0", "demo-thing-1.0.tar.gz"),
        ("demo-thing-1.0.tar.gz", "demo-thing", "1.0", "demo-thing-1.0.tar.gz"),
        ("demo-1.0-1.tar.gz", "demo-1-0", "1", "demo-1-0-1.tar.gz"),
        ("demo-1.0+cpu.tar.gz", "demo", "1.0+cpu", "demo-1.0+cpu.tar.gz"),
        ("demo-1!1.0.tar.gz", "demo", "1!1.0", "demo-1!1.0.tar.gz"),
        ("0-0.tar.gz", "0", "0", "0-0.tar.gz"),
        ("demo-1.0-py3-none-any.whl", "demo", "1.0", "demo-1.0-py3-none-any.whl"),
        (
            "demo-1.0-2b-cp39-abi3-win_amd64.whl",
            "demo", "1.0", "demo-1.0-2b-cp39-abi3-win_amd64.whl",
        ),
        (
            "PyYAML-5.4.1-cp36-cp36m-manylinux1_x86_64.whl",
            "pyyaml", "5.4.1", "pyyaml-5.4.1-cp36-cp36m-manylinux1_x86_64.whl",
        ),
        (
            "zope.interface-5.0-cp35-cp35m-manylinux2010_x86_64.whl",
            "zope-interface", "5.0", "zope-interface-5.0-cp35-cp35m-manylinux2010_x86_64.whl",
        ),
        (
            "demo-1.0-py2.py3-none-any.whl",
            "demo", "1.0", "demo-1.0-py2-none-any.py3-none-any.whl",
        ),
        ("nul-1.0.tar.gz", "nul", "1.0", "nul-1.0.tar.gz"),
    ],
    ids=lambda text: text[:50],
)  # fmt: skip
def test_wheels_and_sdists_may_be_named(text: str, project: str, version: str, key: str) -> None:
    filename = parse_filename(text)
    assert (filename.text, filename.project, filename.version) == (text, project, version)
    assert filename.key == key
    kind = DistKind.WHEEL if text.endswith(".whl") else DistKind.SDIST
    assert filename.kind is kind
    assert parse_place(IndexName("root/local"), PREFIX, text).filename == text


BAD_FILENAMES = {
    "empty": "",
    "parent folders": "../../etc/passwd",
    "parent folders of an sdist": "../demo-1.0.tar.gz",
    "parent folders of a wheel": "../demo-1.0-py3-none-any.whl",
    "folder": "folder/demo-1.0.tar.gz",
    "absolute": "/demo-1.0.tar.gz",
    "backslash": "..\\demo-1.0.tar.gz",
    "drive": "C:demo-1.0.tar.gz",
    "stream": "demo-1.0.tar.gz:stream.zip",
    "NUL": "demo-1.0.tar.gz\x00.zip",
    "NUL in the middle": "de\x00mo-1.0.tar.gz",
    "line end": "demo-1.0.tar.gz\n",
    "line end in the middle": "demo\n-1.0.tar.gz",
    "space": "de mo-1.0.tar.gz",
    "trailing space": "demo-1.0.tar.gz ",
    "trailing dot": "demo-1.0.tar.gz.",
    "leading dot": ".demo-1.0.tar.gz",
    "leading dash": "-demo-1.0.tar.gz",
    "percent": "demo%2f-1.0.tar.gz",
    "quote": 'demo"-1.0.tar.gz',
    "markup": "<b>-1.0.tar.gz",
    "device": "nul.tar.gz",
    "device with version": "COM1.whl",
    "metadata": "demo-1.0-py3-none-any.whl.metadata",
    "egg without a Python": "demo-1.0.egg",
    "egg of an odd version": "demo-one-py3.6.egg",
    "egg of an odd name": "-1.0-py3.6.egg",
    "installer": "demo-1.0.win32.exe",
    "bz2": "demo-1.0.tar.bz2",
    "other case of the ending": "demo-1.0-py3-none-any.WHL",
    "signature": "demo-1.0.tar.gz.asc",
    "only an ending": ".whl",
    "no version": "demo.tar.gz",
    "odd version": "demo-one.tar.gz",
    "no tags": "demo-1.0.whl",
    "too few tags": "demo-1.0-py3-none.whl",
    "too many parts": "demo-1.0-1-2-py3-none-any.whl",
    "odd build": "demo-1.0-x1-py3-none-any.whl",
    "odd version of a wheel": "demo-one-py3-none-any.whl",
    "no name": "-1.0.tar.gz",
    "name of punctuation": "_-1.0-py3-none-any.whl",
    "umlaut": "dämo-1.0.tar.gz",
    "long s": f"de{LONG_S}-1.0.tar.gz",
    "dotless i": f"d{DOTLESS_I}-1.0.tar.gz",
    "Kelvin sign": f"{KELVIN}-1.0.tar.gz",
    "full width": f"{FULLWIDTH_A}-1.0.tar.gz",
    "Arabic digit": "demo-\u0661.0.tar.gz",
    "right to left": "demo\u202e-1.0.tar.gz",
    "surrogate": "demo\ud800-1.0.tar.gz",
    "too long": "x" * (FILENAME_BYTES_MAX + 1 - len("-1.0.tar.gz")) + "-1.0.tar.gz",
}


@pytest.mark.parametrize("text", BAD_FILENAMES.values(), ids=BAD_FILENAMES)
def test_wheels_and_sdists_may_not_be_named(text: str) -> None:
    with pytest.raises(Refused) as raised:
        parse_filename(text)
    assert_is_one_line(raised.value)


@pytest.mark.parametrize(
    ("text", "project", "version", "key"),
    [
        ("demo-1.0-py3.6.egg", "demo", "1.0", "demo-1.0-py3.6.egg"),
        ("My_Demo-1.0-py2.7.egg", "my-demo", "1.0", "my-demo-1.0-py2.7.egg"),
        ("setuptools-0.6c11-py2.7.egg", "setuptools", "0.6rc11", "setuptools-0.6rc11-py2.7.egg"),
        (
            "zope.interface-4.0.5-py2.7-win-amd64.egg",
            "zope-interface", "4.0.5", "zope-interface-4.0.5-py2.7-win-amd64.egg",
        ),
        (
            "Cython-0.19_1-py3.3-macosx-10.8-intel.egg",
            "cython", "0.19.post1", "cython-0.19.post1-py3.3-macosx-10.8-intel.egg",
        ),
    ],
)  # fmt: skip
def test_eggs_may_be_named(text: str, project: str, version: str, key: str) -> None:
    filename = parse_filename(text)
    assert (filename.project, filename.version, filename.key) == (project, version, key)
    assert filename.kind is DistKind.EGG


def test_a_file_name_may_have_200_bytes() -> None:
    text = "x" * (FILENAME_BYTES_MAX - len("-1.0.tar.gz")) + "-1.0.tar.gz"
    assert parse_filename(text).text == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PyYAML-5.4.1.tar.gz", "pyyaml-5.4.1.tar.gz"),
        ("zope.interface-5.0.zip", "Zope_Interface-5.0.zip"),
        ("zope-interface-5.0.zip", "zope.interface-v5.0.zip"),
        ("demo-1.0.post1.tar.gz", "demo-1.0.POST01.tar.gz"),
        ("demo-1.0-py2.py3-none-any.whl", "Demo-1.0-py3.py2-none-any.whl"),
        ("demo-1.0-01-py3-none-any.whl", "demo-1.0-1-py3-none-any.whl"),
        ("demo-1.0-py3-none-any.whl", "demo-1.0-PY3-None-Any.whl"),
        ("demo-1.0-1A-py3-none-any.whl", "demo-1.0-1a-py3-none-any.whl"),
        ("demo-1.0+a_b.tar.gz", "demo-1.0+a.b.tar.gz"),
    ],
)
def test_spellings_of_one_file_have_one_key(one: str, other: str) -> None:
    assert parse_filename(one).key == parse_filename(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("demo-1.0.tar.gz", "demo-1.0.zip"),
        ("demo-1.0.tar.gz", "demo-1.1.tar.gz"),
        ("demo-1.0.tar.gz", "demo-1.0+local.tar.gz"),
        ("demo-1.0.tar.gz", "demo-1!1.0.tar.gz"),
        ("demo-1.0.tar.gz", "demo2-1.0.tar.gz"),
        ("demo-1.0-py3-none-any.whl", "demo-1.0-1-py3-none-any.whl"),
        ("demo-1.0-1-py3-none-any.whl", "demo-1.0-2-py3-none-any.whl"),
        ("demo-1.0-1-py3-none-any.whl", "demo-1.0-1a-py3-none-any.whl"),
        ("demo-1.0-py3-none-any.whl", "demo-1.0-py2.py3-none-any.whl"),
        ("demo-1.0-cp39-cp39-win32.whl", "demo-1.0-cp39-cp39-win_amd64.whl"),
        ("demo-1.0-cp39-abi3-win32.whl", "demo-1.0-cp39-cp39-win32.whl"),
    ],
)
def test_different_files_have_different_keys(one: str, other: str) -> None:
    assert parse_filename(one).key != parse_filename(other).key


@pytest.mark.parametrize(
    "text",
    [
        "demo-1.0.tar.gz",
        "demo-1.0.zip",
        "Demo.Thing-1.0.tar.gz",
        "demo-1.0-1.tar.gz",
        "demo-v1.0_ALPHA.zip",
        "demo-1!1.0+cpu.tar.gz",
        "0-0.tar.gz",
        "demo-1.0-2b-cp39-abi3-win_amd64.whl",
        "demo-1.0_post1-py3-none-any.whl",
        "PyYAML-5.4.1-cp36-cp36m-manylinux1_x86_64.manylinux2014_x86_64.whl",
        "zope.interface-4.0.5-py2.7-win-amd64.egg",
        "Cython-0.19_1-py3.3-macosx-10.8-intel.egg",
    ],
)
def test_a_split_name_says_what_a_parsed_one_does(text: str) -> None:
    parsed = parse_filename(text)
    assert split_filename(text) == (parsed.project, parsed.version)


@pytest.mark.parametrize("text", BAD_FILENAMES.values(), ids=BAD_FILENAMES)
def test_what_is_no_file_name_is_not_split(text: str) -> None:
    with pytest.raises(Refused) as raised:
        split_filename(text)
    assert_is_one_line(raised.value)


def test_a_name_is_split_whatever_its_tags() -> None:
    text = "demo-1.0-3-none-any.whl"
    with pytest.raises(Refused):
        parse_filename(text)
    assert split_filename(text) == ("demo", "1.0")


# Places


def test_a_place_is_the_path_of_the_url() -> None:
    place = parse_place(IndexName("root/local"), PREFIX, "demo-1.0.tar.gz")
    assert place == FilePlace(IndexName("root/local"), PREFIX, "demo-1.0.tar.gz")
    assert place.path == "root/local/+f/012/3456789abcdef/demo-1.0.tar.gz"


@pytest.mark.parametrize(
    "prefix",
    ["", "0" * 15, "0" * 17, "0" * 64, "0123456789ABCDEF", "0123456789abcdeg", "../4567890123456",
     "012345678\n9abcde", "012345678 9abcde", f"{PREFIX}\n", "\u0661" * 16],
    ids=ascii,
)  # fmt: skip
def test_a_place_begins_with_16_hex_digits(prefix: str) -> None:
    with pytest.raises(Refused) as raised:
        parse_place(IndexName("root/local"), prefix, "demo-1.0.tar.gz")
    assert_is_one_line(raised.value)


@pytest.mark.parametrize(
    "filename",
    ["", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", ".hidden", "a\x00b", "a\n", "a b", "a:b",
     "ä", f"{LONG_S}", "x" * 231, "-x"],
    ids=lambda text: ascii(text[:20]),
)  # fmt: skip
def test_a_place_leads_nowhere_else(filename: str) -> None:
    with pytest.raises(Refused) as raised:
        parse_place(IndexName("root/local"), PREFIX, filename)
    assert_is_one_line(raised.value)


# Whatever the text

ANY_TEXT = st.one_of(
    st.text(),
    st.text(alphabet="abAB019._-+@!/\\: \x00\n" + LONG_S + DOTLESS_I + KELVIN, max_size=30),
)
ALMOST = r"[A-Za-z0-9_][A-Za-z0-9._]{0,9}-[0-9][0-9a-z.+!]{0,9}"
FILENAMES = st.one_of(
    ANY_TEXT,
    st.builds("{}-{}.tar.gz".format, ANY_TEXT, ANY_TEXT),
    st.builds("{}-{}-py3-none-any.whl".format, ANY_TEXT, ANY_TEXT),
    st.from_regex(ALMOST + r"\.(tar\.gz|zip)", fullmatch=True),
    st.from_regex(
        ALMOST + r"(-[0-9][A-Za-z0-9]{0,3})?-[a-z0-9.]{1,9}-[a-z0-9]{1,4}-any\.whl", fullmatch=True
    ),
)


@given(ANY_TEXT)
@pytest.mark.parametrize(
    "parse",
    [parse_user_name, parse_project_name, parse_version, lambda text: index_name(text, text)],
    ids=["user", "project", "version", "index"],
)
def test_any_text_is_refused_or_is_a_name_that_stands_for_itself(
    parse: Callable[[str], str], text: str
) -> None:
    try:
        name = parse(text)
    except Refused as refused:
        assert_is_one_line(refused)
    else:
        assert name.isascii()
        assert name.isprintable()
        again = parse_index_name(name) if "/" in name else parse(name)
        assert again == name


@given(FILENAMES)
@example("demo-1.0-py3-none-any.whl")
@example("demo-" + "1" * 190 + ".zip")
def test_any_text_is_refused_or_is_a_file_name_that_stays_in_its_folder(text: str) -> None:
    try:
        filename = parse_filename(text)
    except Refused as refused:
        assert_is_one_line(refused)
    else:
        assert filename.text == text
        assert parse_filename(text) == filename
        assert parse_project_name(filename.project) == filename.project
        assert parse_version(filename.version) == filename.version
        place = parse_place(IndexName("root/local"), PREFIX, text)
        assert place.path.isascii()
        assert place.path.split("/")[:-1] == ["root", "local", "+f", PREFIX[:3], PREFIX[3:]]
        ending = text[-4:] if text.endswith((".whl", ".zip")) else text[-7:]
        other_case = text.removesuffix(ending).swapcase() + ending
        assert parse_filename(other_case).key == filename.key  # one file, on disks that ignore case


@given(FILENAMES)
@example("de__mo-1.0-py3-none-any.whl")
@example("demo-1.0-x-py3-none-any.whl")
def test_any_file_name_is_split_as_it_is_parsed(text: str) -> None:
    try:
        parsed = parse_filename(text)
    except Refused:
        if not text.endswith(".whl"):
            with pytest.raises(Refused):
                split_filename(text)
    else:
        assert split_filename(text) == (parsed.project, parsed.version)


def assert_is_one_line(refused: Refused) -> None:
    """The sentence may stand in a log and in a header, and is not as long as what was sent."""
    line = str(refused)
    assert "\n" not in line
    assert "\x00" not in line
    assert len(line) < 600
