"""What short names mean, which wheels a target takes, and what markers see of it."""

import json
import platform
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import default_environment
from packaging.tags import Tag, parse_tag, sys_tags

from simpleindex.gap.platforms import Platform, System
from simpleindex.gap.pythons import NEWEST_PATCH, newest_tools
from simpleindex.gap.targets import (
    Installer,
    Target,
    assumed_note,
    dump_target,
    installer_tags,
    load_target,
    marker_environment,
    parse_installer,
    parse_target,
    pip_needed,
    stands_for,
    supported_tags,
    with_markers,
    without_guesses,
)
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue
from tests.gap.interpreters import MINORS, its_pip, probed, python_of, tags_of_pip

SIXTEEN = [
    f"{python}-{platform}"
    for python in ("3.6.15", "3.7.17", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0")
    for platform in ("manylinux_2_17_x86_64", "win_amd64")
]


def tag(text: str) -> Tag:
    (only,) = parse_tag(text)
    return only


@pytest.mark.parametrize(
    ("text", "name", "python", "abi"),
    [
        ("cp39-win_amd64", "cp39-win_amd64", "3.9.25", "cp39"),
        ("cp36-manylinux_2_17_x86_64", "cp36-manylinux_2_17_x86_64", "3.6.15", "cp36m"),
        ("cp36m-win32", "cp36-win32", "3.6.15", "cp36m"),
        ("cp311-linux_x86_64", "cp311-manylinux_2_17_x86_64", "3.11.18", "cp311"),
        ("3.9.18-windows", "3.9.18-win_amd64", "3.9.18", "cp39"),
        ("Python3.12-macos", "cp312-macosx_11_0_arm64", "3.12.16", "cp312"),
        ("py310-alpine", "cp310-musllinux_1_2_x86_64", "3.10.22", "cp310"),
        ("3.8-manylinux2014_aarch64", "cp38-manylinux_2_17_aarch64", "3.8.20", "cp38"),
        ("3.8-manylinux1_i686", "cp38-manylinux_2_5_i686", "3.8.20", "cp38"),
        ("cp313t-linux", "cp313t-manylinux_2_17_x86_64", "3.13.18", "cp313t"),
        ("3.13.0t-linux-arm64", "3.13.0t-manylinux_2_17_aarch64", "3.13.0", "cp313t"),
        ("2.7-linux", "cp27-manylinux_2_17_x86_64", "2.7.18", "cp27mu"),
        ("2.7.18-win32", "2.7.18-win32", "2.7.18", "cp27m"),
        ("3.15.0b1-win-arm64", "3.15.0b1-win_arm64", "3.15.0b1", "cp315"),
    ],
)
def test_a_short_name_means_one_target(text: str, name: str, python: str, abi: str) -> None:
    target = parse_target(text)
    assert (target.name, target.python, target.abi) == (name, python, abi)
    # Its own name means the same, but that nothing is assumed of the platform any more.
    again = parse_target(name)
    assert (again.name, again.python, again.platform) == (name, python, target.platform)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cp39", "is named like"),
        ("win_amd64", "is named like"),
        ("cp34-win_amd64", "no patch release of Python 3.4 was known on"),
        ("cp399-win_amd64", "say the whole version, like 3.99.0"),
        ("3.9.18.2-win_amd64", "no whole version of Python"),
        ("4.0.0-win_amd64", "no whole version of Python"),
        ("cp3-win_amd64", "no whole version of Python"),
        ("cp312t-linux", "begin with 3.13"),
        ("cp39m-linux", "the Python is cp39 there"),
        ("cp39-solaris", "it is not known; it would be one like win_amd64"),
        ("cp39-manylinux_3_1_x86_64", "it is not known"),
        ("cp39-linux_z80", "its processor is none of x86_64"),
        ("cp39-macosx_9_0_arm64", "it is not known"),
        ("\N{ARABIC-INDIC DIGIT THREE}.9-linux", "is named like"),
        ("x" * 5000, "is named like"),
    ],
)
def test_what_names_no_target_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        parse_target(text)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3.9.18-manylinux_2_28_x86_64", ""),
        ("cp39-linux", "Python 3.9.25, glibc 2.17"),
        ("cp39-win_amd64", "Python 3.9.25"),
        ("3.12.1-alpine", "musl 1.2"),
    ],
)
def test_what_a_short_name_leaves_out_is_told(text: str, words: str) -> None:
    assert parse_target(text).assumed_words == words


@pytest.mark.parametrize(
    ("told", "guess", "expected"),
    [
        ("3.9.18-win_amd64", "cp39-win_amd64", True),
        ("3.9.18-manylinux_2_28_x86_64", "cp39-linux_x86_64", True),
        ("3.9.18-manylinux_2_12_x86_64", "3.9.18-linux_x86_64", True),
        ("3.12.1-alpine", "cp312-alpine", True),
        ("3.9.18-manylinux_2_28_x86_64", "cp39-manylinux_2_17_x86_64", False),
        ("3.9.18-manylinux_2_28_x86_64", "3.9.19-linux_x86_64", False),
        ("3.9.18-win_amd64", "cp39-win32", False),
        ("3.9.18-win_amd64", "cp310-win_amd64", False),
        ("3.13.1-win_amd64", "cp313t-win_amd64", False),
        ("3.9.18-musllinux_1_2_x86_64", "cp39-linux_x86_64", False),
        ("cp39-win_amd64", "cp39-win_amd64", False),
        ("3.9.18-win_amd64", "3.9.18-win_amd64", False),
        ("cp39-manylinux_2_28_x86_64", "3.9.18-linux_x86_64", False),
    ],
)
def test_a_target_stands_for_another_that_differs_in_what_was_assumed(
    told: str, guess: str, expected: bool
) -> None:
    assert stands_for(parse_target(told), parse_target(guess)) is expected
    assert without_guesses([parse_target(guess)], [parse_target(told)]) == (
        () if expected else (parse_target(guess),)
    )


def test_what_is_assumed_of_several_targets_is_one_sentence() -> None:
    def note(*texts: str) -> str | None:
        return assumed_note([parse_target(text) for text in texts])

    assert note("3.9.18-win_amd64") is None
    newest = note("cp39-win_amd64", "3.9.18-win_amd64", "cp311-win_amd64")
    assert newest is not None
    assert newest.startswith("what nobody has said is assumed: the newest Python known on 20")
    both = note("cp39-win_amd64", "3.12.1-linux_x86_64")
    assert both is not None
    assert " and the oldest C library or macOS that is usual; a host with an older one" in both


def test_each_known_python_has_a_name_and_its_tools() -> None:
    for (major, minor), newest in NEWEST_PATCH.items():
        target = parse_target(f"cp{major}{minor}-win_amd64")
        assert target.python == newest
        assert newest.startswith(f"{major}.{minor}.")
        assert supported_tags(target)
    assert newest_tools((3, 6)).pip == "21.3.1"


# Tags


@pytest.mark.parametrize("minor", MINORS)
def test_the_tags_are_those_of_the_pip_that_came_with_a_python(minor: str) -> None:
    python = python_of(minor)
    ours = [str(tag) for tag in installer_tags(probed(python))]
    assert ours == tags_of_pip(python, its_pip(python))


def test_the_tags_are_those_of_this_python_with_the_newest_pip() -> None:
    if sys.version_info < (3, 10) or sys.implementation.name != "cpython":
        pytest.skip("the newest pip is not for this Python")
    assert supported_tags(probed(python_of("this"))) == tuple(sys_tags())


@pytest.mark.parametrize(
    ("pip", "known", "unknown"),
    [
        ("18.1", "manylinux1_x86_64", "manylinux2010_x86_64"),
        ("19.0", "manylinux2010_x86_64", "manylinux2014_x86_64"),
        ("19.3", "manylinux2014_x86_64", "manylinux_2_17_x86_64"),
        ("20.3", "manylinux_2_17_x86_64", "manylinux_2_18_x86_64"),
    ],
)
def test_old_pips_do_not_know_new_names_of_platforms(pip: str, known: str, unknown: str) -> None:
    linux = parse_target("3.6.15-linux_x86_64", installer=Installer("pip", pip))
    names = {tag.platform for tag in installer_tags(linux)}
    assert known in names
    assert unknown not in names
    assert {f"cp36-cp36m-{known}"} <= {str(tag) for tag in supported_tags(linux)}


@pytest.mark.parametrize(
    ("pip", "wheel", "needed"),
    [
        ("18.1", "cp36-cp36m-manylinux1_x86_64", None),
        ("18.1", "cp36-cp36m-manylinux2010_x86_64", "19.0"),
        ("18.1", "cp36-cp36m-manylinux2014_x86_64", "19.3"),
        ("18.1", "py36-none-linux_x86_64", "20.0"),
        ("19.3.1", "cp36-cp36m-manylinux_2_17_x86_64", "20.3"),
        ("21.3.1", "cp36-cp36m-manylinux_2_17_x86_64", None),
        ("18.1", "py3-none-any", None),
    ],
)
def test_the_pip_that_a_wheel_needs_is_named(pip: str, wheel: str, needed: str | None) -> None:
    target = parse_target("cp36-linux_x86_64", installer=Installer("pip", pip))
    assert pip_needed(target, tag(wheel)) == needed


def test_alpine_needs_a_pip_that_knows_musl() -> None:
    target = parse_target("cp39-alpine", installer=Installer("pip", "21.1.3"))
    assert pip_needed(target, tag("cp39-cp39-musllinux_1_1_x86_64")) == "21.2"


def test_uv_knows_all_tags() -> None:
    target = parse_target("cp39-linux", installer=Installer("uv", "0.9.1"))
    assert installer_tags(target) == supported_tags(target)


def test_windows_and_macos_have_their_own_wheels() -> None:
    windows = [str(tag) for tag in supported_tags(parse_target("cp36-win_amd64"))]
    assert windows[:3] == ["cp36-cp36m-win_amd64", "cp36-abi3-win_amd64", "cp36-none-win_amd64"]
    mac = [str(tag) for tag in supported_tags(parse_target("cp312-macosx_13_0_arm64"))]
    assert mac[:2] == ["cp312-cp312-macosx_13_0_arm64", "cp312-cp312-macosx_13_0_universal2"]
    assert "cp312-cp312-macosx_14_0_arm64" not in mac
    musl = {tag.platform for tag in supported_tags(parse_target("cp312-musllinux_1_1_x86_64"))}
    assert musl == {"linux_x86_64", "musllinux_1_1_x86_64", "musllinux_1_0_x86_64", "any"}


def test_pypy_takes_its_own_wheels_and_pure_ones() -> None:
    document = {"python": "3.10.14", "implementation": "pypy", "abi": "pypy310_pp73"}
    target = load_target({**document, "platform": "manylinux_2_28_x86_64"})
    tags = [str(tag) for tag in supported_tags(target)]
    assert tags[0] == "pp310-pypy310_pp73-linux_x86_64"
    assert {"pp3-none-any", "py3-none-any"} <= set(tags)
    assert not [each for each in tags if each.startswith("cp")]
    assert target.name == "pypy3.10.14-manylinux_2_28_x86_64"


# Markers


def test_markers_see_what_this_python_says_of_itself() -> None:
    environment = marker_environment(probed(python_of("this")))
    assert environment == dict(default_environment())


@pytest.mark.parametrize(
    ("name", "markers"),
    [
        (
            "3.9.18-win_amd64",
            {"os_name": "nt", "sys_platform": "win32", "platform_machine": "AMD64",
             "platform_system": "Windows", "python_full_version": "3.9.18"},
        ),
        (
            "cp27-linux_x86_64",
            {"os_name": "posix", "sys_platform": "linux2", "platform_machine": "x86_64",
             "platform_system": "Linux", "python_version": "2.7"},
        ),
        (
            "3.12.0-macosx_14_0_arm64",
            {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin",
             "python_version": "3.12"},
        ),
    ],
)  # fmt: skip
def test_markers_see_the_target_and_not_this_machine(name: str, markers: dict[str, str]) -> None:
    environment = marker_environment(parse_target(name))
    assert environment.keys() == default_environment().keys()
    assert {each: environment[each] for each in markers} == markers


def test_requires_python_does_not_see_that_a_python_is_a_pre_release() -> None:
    assert str(parse_target("3.15.0rc1-win_amd64").requires_python_version) == "3.15.0"


# Forms


@pytest.mark.parametrize("name", [*SIXTEEN, "cp39-linux", "cp313t-alpine", "cp27-linux"])
def test_a_target_comes_back_out_of_its_json(name: str) -> None:
    target = with_markers(parse_target(name), {"platform_release": "4.18", "os_name": "posix"})
    assert load_target(json.loads(json.dumps(dump_target(target)))) == target


def test_a_record_of_two_facts_is_enough_and_a_name_too() -> None:
    record = load_target({"python": "3.9.18", "platform": "win_amd64"})
    assert record == load_target("3.9.18-win_amd64") == parse_target("3.9.18-win_amd64")


def test_a_host_whose_c_library_is_unknown_takes_only_what_was_built_there() -> None:
    target = load_target({"python": "3.9.18", "platform": "linux_x86_64"})
    assert target.platform == Platform(System.PLAIN_LINUX, "x86_64", None)
    assert {tag.platform for tag in supported_tags(target)} == {"linux_x86_64", "any"}
    assert load_target(dump_target(target)) == target


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "neither a record nor a name"),
        ({"python": "3.9.18"}, "'platform' is missing"),
        ({"platform": "win_amd64"}, "'python' is missing"),
        ({"python": "3.9", "platform": "win_amd64"}, "no whole version of Python"),
        ({"python": 3, "platform": "win_amd64"}, "'python' is missing, or no line of text"),
        ({"pyhton": "3.9.1", "platform": "win_amd64"}, "'pyhton' is none of abi, assumed"),
        ({"python": "3.9.1", "platform": "win_amd64", "abi": "cp 39"}, "'abi' is a word"),
        ({"python": "3.9.1", "platform": "win_amd64", "installer": 3}, "'installer' is null"),
        ({"python": "3.9.1", "platform": "win_amd64", "installer": "pip"}, "named like 'pip 18.1'"),
        ({"python": "3.9.1", "platform": "win_amd64", "markers": []}, "'markers' is a record"),
        ({"python": "3.9.1", "platform": "win_amd64", "markers": {"os": "x"}}, "no marker 'os'"),
        ({"python": "3.9.1", "platform": "win_amd64", "assumed": ["all"]}, "'assumed' is a list"),
        (
            {"python": "3.9.1", "platform": "win_amd64", "implementation": "pypy"},
            "'abi' is missing",
        ),
    ],
)
def test_a_record_that_is_none_is_refused_with_the_reason(document: JsonValue, why: str) -> None:
    with pytest.raises(Refused, match=why):
        load_target(document)


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(
    st.sampled_from(["python", "platform", "abi", "installer", "markers", "assumed"]), inner
) | st.lists(inner)))  # fmt: skip
def test_whatever_is_no_target_is_refused_and_nothing_else(document: JsonValue) -> None:
    try:
        target = load_target(document)
    except Refused:
        return
    assert isinstance(target, Target)


@pytest.mark.parametrize("text", ["pip 18.1", "pip-18.1", "pip18.1", "pip==18.1", "pip/18.1 "])
def test_an_installer_is_named_as_people_do(text: str) -> None:
    if "/" in text:
        with pytest.raises(Refused):
            parse_installer(text)
    else:
        assert parse_installer(text) == Installer("pip", "18.1")


def test_the_pip_that_came_with_an_old_python_is_known() -> None:
    assert parse_target("cp36-win_amd64").installer == Installer("pip", "18.1")
    assert parse_target("cp39-win_amd64").installer is None
    chosen = Installer("pip", "21.3.1")
    assert parse_target("cp36-win_amd64", installer=chosen).installer == chosen


def test_a_target_is_described_in_words() -> None:
    assert parse_target("cp36-linux_x86_64").words == (
        "Python 3.6.15, Linux x86_64, glibc 2.17, pip 18.1"
    )
    assert parse_target("3.9.18-win32").words == "Python 3.9.18, Windows 32"
    assert platform.python_version() in probed(python_of("this")).words
