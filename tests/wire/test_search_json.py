import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.wire.search_json import (
    LIMIT_MAX,
    LIMIT_USUAL,
    SearchQuery,
    SearchResult,
    parse_query,
    ranked,
    render,
)
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Project
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.search_text import FIELDS, Found, Term


def parsed(q: str, **more: str) -> SearchQuery:
    return parse_query({"q": q} | more)


def a_find(name: str, version: str = "1.0", matched: tuple[str, ...] = ("name",)) -> Found:
    project = Project(IndexName("root/local"), parse_project_name(name), name)
    return Found(project, version, matched)


def order(q: str, *names: str) -> list[str]:
    return [found.project.name for found in ranked(parsed(q), map(a_find, names))]


# What is wanted


@pytest.mark.parametrize(
    ("q", "terms"),
    [
        ("demo", [Term("demo")]),
        ("  Two\tWORDS\n", [Term("two"), Term("words")]),
        ("same Same", [Term("same")]),
        ("name:Demo", [Term("demo", "name")]),
        ("Name:demo", [Term("demo", "name")]),
        ("author:ada demo", [Term("ada", "author"), Term("demo")]),
        ("requires:attrs", [Term("attrs", "requires")]),
        ("requires_dist:attrs", [Term("attrs", "requires")]),
        ("requires-dist:attrs", [Term("attrs", "requires")]),
        ("requires_python:>=3.8", [Term(">=3.8", "requires_python")]),
        ("summary:a:b", [Term("a:b", "summary")]),
        ("Framework :: Django", [Term("framework"), Term("::"), Term("django")]),
        ("https://home.example", [Term("https://home.example")]),
        ("unknown:word", [Term("unknown:word")]),
        (":word", [Term(":word")]),
        ("GRÖSSE", [Term("grösse")]),
        ("\x1e%_\\", [Term("%_\\")]),
    ],
)
def test_words_are_told_from_fields(q: str, terms: list[Term]) -> None:
    assert parsed(q) == SearchQuery(q, tuple(terms))


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_can_be_named(field: str) -> None:
    assert parsed(f"{field}:word").terms == (Term("word", field),)


def test_a_part_of_the_answer_can_be_asked_for() -> None:
    assert (parsed("a").limit, parsed("a").offset) == (LIMIT_USUAL, 0)
    query = parsed("a", limit="1000", offset="007")
    assert (query.limit, query.offset) == (LIMIT_MAX, 7)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({}, "q=WORDS"),
        ({"q": ""}, "q=WORDS"),
        ({"q": " \t\x1e "}, "q=WORDS"),
        ({"q": "a" * 501}, "500 characters"),
        ({"q": "a " * 21}, "20 words"),
        ({"q": "name:"}, "'name:'"),
        ({"q": "name: demo"}, "'name:'"),
        *(
            ({"q": "a", "limit": limit}, "from 1 to 1000")
            for limit in ("", "0", "-1", "1001", "1.5", "ten", " 5", "+5", "٣", "9" * 5000)
        ),
        *(
            ({"q": "a", "offset": offset}, "from 0 to")
            for offset in ("", "-1", "1e3", "x", "9" * 10)
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(parameters: dict[str, str], told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_query(parameters)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 200


@given(st.dictionaries(st.sampled_from(["q", "limit", "offset"]), st.text()))
def test_any_query_is_taken_or_refused(parameters: dict[str, str]) -> None:
    try:
        query = parse_query(parameters)
    except Refused:
        return
    assert query.terms and all(term.word for term in query.terms)
    assert 1 <= query.limit <= LIMIT_MAX and query.offset >= 0


# The order


def test_names_come_by_how_much_they_are_what_is_wanted() -> None:
    names = ["other", "my-demo", "demo-x", "a-demo-b", "demo", "demo-a", "another"]
    assert order("demo", *names) == [
        "demo", "demo-a", "demo-x", "a-demo-b", "my-demo", "another", "other",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "q", ["zope.interface", "Zope_Interface", "zope interface", "name:zope-interface"]
)
def test_a_name_may_be_spelled_in_any_way(q: str) -> None:
    names = ["a", "interface", "interface-of-zope", "zope", "zope-interface", "zope-interface-x"]
    assert order(q, *names)[0] == "zope-interface"


def test_a_name_that_is_one_of_the_words_comes_before_those_that_begin_with_one() -> None:
    names = ["flask", "flask-a", "loginflask", "other"]
    assert order("login flask", *names) == ["flask", "flask-a", "loginflask", "other"]


def test_words_for_another_field_say_nothing_of_the_name() -> None:
    assert order("author:demo", "demo", "a") == ["a", "demo"]


# The answer


def test_an_answer_tells_all_that_is_known_of_each_project() -> None:
    query = parsed("dem ö")
    results = [
        SearchResult(a_find("demo", "2.0", ("name", "summary")), "wörds"),
        SearchResult(a_find("Zope.Demo", "1.0"), None),
    ]
    body = render(query, 17, results, serial=9, href_prefix="../")
    assert json.loads(body) == {
        "meta": {"_last-serial": 9},
        "query": "dem ö",
        "total": 17,
        "projects": [
            {
                "name": "demo",
                "version": "2.0",
                "summary": "wörds",
                "matched": ["name", "summary"],
                "url": "../+simple/demo/",
            },
            {
                "name": "zope-demo",
                "display-name": "Zope.Demo",
                "version": "1.0",
                "summary": None,
                "matched": ["name"],
                "url": "../+simple/zope-demo/",
            },
        ],
    }


def test_an_answer_without_projects_is_one() -> None:
    shown: Any = json.loads(render(parsed("demo"), 0, [], serial=0, href_prefix=""))
    assert (shown["total"], shown["projects"]) == (0, [])
