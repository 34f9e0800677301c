"""Lists of other indexes' projects, whole, in pieces, cut off, and of any bytes."""

import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from time import process_time
from typing import TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.upstream_list import (
    ELEMENT_CHARACTERS_MAX,
    NamesInHtml,
    NamesInJson,
    names_parser,
)
from simpleindex.wire.upstream_page import BadPage
from simpleindex_storage.model import JsonValue
from tests.wire.pages import a_list

Names: TypeAlias = NamesInJson | NamesInHtml


def told(parser: Names, *chunks: bytes) -> list[str]:
    names = [name for chunk in chunks for name in parser.feed(chunk)]
    return [*names, *parser.close()]


def in_json(body: str) -> list[str]:
    return told(NamesInJson(), body.encode())


def in_html(body: str) -> list[str]:
    return told(NamesInHtml(), body.encode())


def a_json_list(*projects: JsonValue) -> str:
    return json.dumps({"meta": {"api-version": "1.4"}, "projects": projects})


def test_what_we_write_we_read_again() -> None:
    page = a_list("a", "b-c", "0", serial=4)
    assert told(NamesInJson(), simple_json.render_list(page)) == ["a", "b-c", "0"]
    assert told(NamesInHtml(), simple_html.render_list(page)) == ["a", "b-c", "0"]
    empty = a_list()
    assert told(NamesInJson(), simple_json.render_list(empty)) == []
    assert told(NamesInHtml(), simple_html.render_list(empty)) == []


@pytest.mark.parametrize(
    ("content_type", "first_chunk", "kind"),
    [
        ("application/vnd.pypi.simple.v1+json", b"", NamesInJson),
        ("application/json; charset=utf-8", b"<", NamesInJson),
        ("text/html", b"{", NamesInHtml),
        ("application/vnd.pypi.simple.v1+html", b"", NamesInHtml),
        ("", b' \n{"meta"', NamesInJson),
        ("text/plain", b"<!DOCTYPE html>", NamesInHtml),
        ("", b"", NamesInHtml),
    ],
)
def test_the_type_says_what_it_is_or_else_the_first_chunk_does(
    content_type: str, first_chunk: bytes, kind: type
) -> None:
    assert type(names_parser(content_type, first_chunk)) is kind


# JSON


@pytest.mark.parametrize(
    "projects",
    [
        [{"name": "a"}, {"name": "b", "_last-serial": 7}],
        [{"name": "A"}, {"name": "B"}],
        [{"name": "a"}, {"name": "../x"}, {"name": ""}, {"name": "\ud800"}, {"name": "b"}],
        [{"name": "a"}, {"name": 1}, {"name": None}, {}, None, 1, "x", ["y"], {"name": "b"}],
    ],
    ids=["plain", "normalised", "unlawful", "odd"],
)
def test_lawful_names_come_out_normalised(projects: list[JsonValue]) -> None:
    assert in_json(a_json_list(*projects)) == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        '{"projects":[{"name":"a"}]}',
        '\ufeff { "projects" : [ { "name" : "a" } ] } \n',
        '{"projects": [{"name": "a"}], "meta": {"api-version": "1.0"}, "x": [1, {"projects": []}]}',
        '{"x": 1, "y": "projects", "z": null, "projects": [{"name": "a"}]}',
        '{"projects": [], "x": -1.5e3, "projects": [{"name": "a"}]}',
        '{"\\u0070rojects": [{"name": "\\u0061"}]}',
    ],
)
def test_names_are_found_wherever_they_stand(body: str) -> None:
    assert in_json(body) == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        "", " ", "[]", "null", "<html></html>", "{", "{}", '{"projects"}', '{"projects": {}}',
        '{"projects": [}', '{"projects": [1}}', '{"projects": [1,]}', '{"projects": [,1]}',
        '{"projects": [1 2]}', '{"projects": [1],}', '{"projects": [1]]', '{"projects": []',
        '{"projects": [{"name": "a"}]', '{"projects": []} x', '{"projects": []}{}', '{"x": 1]',
        '{1: 2, "projects": []}', '{"x" 1, "projects": []}', '{"x": 01, "projects": []}',
        '{"files": []}', '{"meta": {"api-version": "2.0"}, "projects": []}',
        '{"projects": [], "meta": {"api-version": "2.0"}}', '{"meta": {"api-version": 1}}',
        '{"x": ' + "9" * 5000 + ', "projects": []}', '{"x": ' + "[" * 10_000,
        '{"x": "' + "y" * ELEMENT_CHARACTERS_MAX + '", "projects": []}',
        '{"projects": [{"name": "' + "y" * ELEMENT_CHARACTERS_MAX + '"}]}',
    ],
    ids=lambda body: ascii(body[:30]),
)  # fmt: skip
def test_json_that_is_no_whole_list_is_refused(body: str) -> None:
    for chunks in ([body.encode()], pieces(body.encode(), 5000)):
        with pytest.raises(BadPage) as raised:
            told(NamesInJson(), *chunks)
        assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "body",
    [b'{"projects": [{"name": "\xff"}]}', a_json_list({"name": "a"}).encode("utf-16"), b"\xc3"],
)
def test_json_that_is_not_in_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(BadPage):
        told(NamesInJson(), body)


def test_an_endless_element_is_refused_before_it_ends() -> None:
    parser = NamesInJson()
    with pytest.raises(BadPage, match="an element of more than"):
        for chunk in [b'{"projects": [{"name": "', *[b"x" * 5000] * 20]:
            parser.feed(chunk)


# HTML


@pytest.mark.parametrize(
    "body",
    [
        '<html><head></head><body><a href="/simple/a/">a</a>\n<a href="b/">B</a></body></html>',
        "<A HREF='x'> a </A><a href='y'><b>b</b></a>",
        "<h1>Index of /</h1><a href='../'>../</a><a href='a/'>a/</a><a href='b/'>b/</a>",
        "<!-- <a>x</a> --><a>a</a><a></a><a>not lawful</a><a>&lt;</a><a>b</a></html>",
        "<a>a<a>b</a>",
    ],
)
def test_each_anchors_text_is_a_name(body: str) -> None:
    assert in_html(body) == ["a", "b"]


def test_a_list_without_projects_says_what_it_is() -> None:
    assert in_html("<title>Simple Index</title>") == []
    assert in_html('<meta name="pypi:repository-version" content="1.0">') == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not found",
        "<h1>502 Bad Gateway</h1>",
        "<html><title>Welcome</title><a href='/'>Log in here</a></html>",
        "<html><body><a>a</a><a>b</a>",
        "<a>a</a><a>b",
        "<a>a</a><a hre",
        "<html><title>Simple index</title>",
        '<meta name="pypi:repository-version" content="2.0"><a>a</a>',
        "<a>a</a><a " + "x" * 300_000,
        "<a>a</a>&#" + "9" * 5000 + ";",
    ],
    ids=lambda body: ascii(body[-30:]),
)
def test_html_that_is_no_whole_list_is_refused(body: str) -> None:
    for chunks in ([body.encode()], pieces(body.encode(), 5000)):
        with pytest.raises(BadPage) as raised:
            told(NamesInHtml(), *chunks)
        assert str(raised.value).isprintable()


# Whatever the bytes and the chunks

LISTS = {
    "json": a_json_list(
        {"name": "a"}, {"name": "B_c", "x": [1.5, "\u00fc\ud83d"]}, 12, {}
    ).encode(),
    "wide json": json.dumps(
        {"x": 12, "projects": [{"name": "a"}, 1, {"name": "\u00fc"}], "y": "\U0001f600"},
        indent=1,
        ensure_ascii=False,
    ).encode(),
    "html": simple_html.render_list(a_list("a", "b-c", "d")),
    "odd html": (
        "<!--<a>x</a>--><a\nhref='>'>a&amp;</a><a>\u00fc</a><a>\U0001f600</a><A>d</A>".encode()
    ),
}


@pytest.mark.parametrize("body", LISTS.values(), ids=LISTS)
def test_a_list_cut_at_any_byte_tells_the_same_names(body: bytes) -> None:
    whole = told(names_parser("", body), body)
    for at in range(len(body)):
        assert told(an_eager_parser(body), body[:at], body[at:]) == whole
    assert told(an_eager_parser(body), *pieces(body, 1)) == whole


def an_eager_parser(body: bytes) -> Names:
    """One that waits for no second chunk."""
    return NamesInJson(step_bytes=1) if body.startswith(b"{") else NamesInHtml()


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000, 16_384, 100_000])
def test_a_mark_in_an_attribute_ends_no_tag_wherever_a_chunk_ends(piece_bytes: int) -> None:
    # Python's own parser, fed with these pieces, makes other names of them.
    anchors = "".join(f'<a title="2 > 1 <a>x" href="{n}/">name-{n}</a\n>' for n in range(2000))
    body = f"<html>{anchors}</html>".encode()
    names = told(NamesInHtml(), *pieces(body, piece_bytes))
    assert names == [f"name-{n}" for n in range(2000)]


@pytest.mark.parametrize("body", LISTS.values(), ids=LISTS)
def test_a_list_that_breaks_off_is_refused(body: bytes) -> None:
    is_json = body.startswith(b"{")
    end = body.find(b"</body>")
    for at in range(len(body) if end < 0 else end):
        try:
            names = told(names_parser("", body), body[:at])
        except BadPage:
            continue
        assert not is_json
        assert b"<html" not in body  # of a fragment nobody can tell what is missing
        assert names == told(names_parser("", body), body)[: len(names)]


WORDS = [
    '{"projects": [', '{"name": "a"}', ",", "]}", "{", "}", "[", "]", ":", '"projects"', '"meta"',
    '{"api-version": "1.0"}', '"', "\\", "1", "-", "null", "\\ud800", "\u00fc", " ", "[" * 2000,
    "9" * 4400, "<a>", "<a href='x'>", "</a>", "<html>", "</html>", "<!--", "-->", "<![", "&#", "b",
    "<title>Simple index</title>", "<meta name='pypi:repository-version' content='1.0'>", "\x00",
]  # fmt: skip
bodies = st.binary() | st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=12).map(
    lambda words: "".join(words).encode()
)
parsers = st.sampled_from([lambda: NamesInJson(step_bytes=1), NamesInHtml])


@settings(deadline=None)
@given(bodies, parsers, st.integers(1, 9))
@example(b"<![x[ ]]>", NamesInHtml, 9)
def test_no_bytes_do_worse_than_to_be_refused(
    body: bytes, make_parser: Callable[[], Names], chunk_bytes: int
) -> None:
    try:
        names = told(make_parser(), *pieces(body, chunk_bytes))
    except BadPage as bad:
        assert str(bad).isprintable()
        assert len(str(bad)) < 300
    else:
        assert names == [canonicalize_name(name, validate=True) for name in names]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
names = st.from_regex(r"[a-z0-9]{1,3}(-[a-z0-9]{1,3})?", fullmatch=True)


@settings(deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"name": names | json_values}) | json_values),
    st.dictionaries(st.text().filter(lambda key: key not in ("meta", "projects")), json_values),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.integers(1, 50),
)
def test_json_is_understood_as_pythons_own_parser_does(
    projects: list[JsonValue],
    more: dict[str, JsonValue],
    indent: int | None,
    ensure_ascii: bool,
    chunk_bytes: int,
) -> None:
    text = json.dumps(more | {"projects": projects}, indent=indent, ensure_ascii=ensure_ascii)
    expected = in_json(a_json_list(*json.loads(text)["projects"]))
    assert told(NamesInJson(step_bytes=1), *pieces(text.encode(), chunk_bytes)) == expected


def pieces(body: bytes, size_bytes: int) -> list[bytes]:
    return [body[at : at + size_bytes] for at in range(0, len(body), size_bytes)]


# Size

MANY = 100_000


def many_in_json() -> Iterator[bytes]:
    yield b'{"meta":{"api-version":"1.4"},"projects":[{"name":"first"}'
    for start in range(0, MANY, 1000):
        yield "".join(
            f',{{"_last-serial":7,"name":"project-{n}"}}' for n in range(start, start + 1000)
        ).encode()
    yield b"]}"


def many_in_html() -> Iterator[bytes]:
    yield b"<html><body><a href='first/'>first</a>"
    for start in range(0, MANY, 1000):
        yield "".join(
            f'<a href="/simple/project-{n}/">project-{n}</a>\n' for n in range(start, start + 1000)
        ).encode()
    yield b"</body></html>"


@pytest.mark.parametrize(
    ("parser", "chunks"),
    [(NamesInJson(), many_in_json()), (NamesInHtml(), many_in_html())],
    ids=["json", "html"],
)
def test_a_long_list_takes_seconds_and_no_memory(parser: Names, chunks: Iterable[bytes]) -> None:
    count = 0
    started_at = process_time()
    tracemalloc.start()
    try:
        for number, chunk in enumerate(chunks):
            count += len(parser.feed(chunk))
            if number > MANY // 2000 and tracemalloc.is_tracing():
                _, peak_bytes = tracemalloc.get_traced_memory()
                tracemalloc.stop()  # it makes all else slow
    finally:
        tracemalloc.stop()
    assert count + len(parser.close()) == MANY + 1
    assert peak_bytes < 1 << 20
    assert process_time() - started_at < 20
