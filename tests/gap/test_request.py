"""Requests: read as they were written, also where a person has changed them."""

import pytest

from simpleindex.gap.request import (
    FIRST_LINE,
    Held,
    Request,
    Wanted,
    dump_request,
    parse_request,
)
from simpleindex.gap.targets import Installer, parse_target
from simpleindex_storage.errors import Refused

_REQUEST = Request(
    stamp="4F2A9C1BQK",
    targets=(
        parse_target("cp39-win_amd64"),
        parse_target("3.6.15-linux_x86_64", installer=Installer("pip", "18.1")),
        parse_target("3.9.18-manylinux_2_28_x86_64", installer=Installer("uv", "0.9")),
    ),
    roots=("demo>=1; python_version > '3'", "other[extra]"),
    constraints=("demo<2",),
    wanted=(Wanted("flask"), Wanted("numpy<2", "no file for cp313-win_amd64")),
    maybe=(Wanted("flaks", "asked 3 times, last on 2026-11-20"),),
    have=(Held("3ebeb95d6c9fcfc3", "flask-3.1.3-py3-none-any.whl"),),
)


def test_a_request_is_read_as_it_was_written() -> None:
    assert parse_request(dump_request(_REQUEST).encode(), "r.txt") == _REQUEST


def test_what_is_said_for_people_alone_changes_nothing() -> None:
    about = {"cp39-win_amd64": "seen 3x on 2 days", "another": "never told"}
    text = dump_request(_REQUEST, notes=["made by hand", "target cp38-win_amd64"], about=about)

    assert text.splitlines()[1:3] == ["# made by hand", "# target cp38-win_amd64"]
    assert "target  cp39-win_amd64  # Python 3.9.25, Windows amd64; seen 3x on 2 days\n" in text
    assert "never told" not in text
    assert parse_request(text.encode(), "r.txt") == _REQUEST


def test_what_clients_asked_for_counts_once_a_person_has_changed_a_word() -> None:
    text = dump_request(_REQUEST).replace("maybe   flaks", "wanted  flask>=3")

    changed = parse_request(text.encode(), "r.txt")

    assert changed.maybe == ()
    assert [wanted.requirement for wanted in changed.wanted] == ["flask", "numpy<2", "flask>=3"]


def test_blank_lines_comments_and_ends_of_lines_of_windows_are_fine() -> None:
    text = f"\ufeff{FIRST_LINE}\r\n\r\n# for the office\r\nwanted\tx # soon\r\n"

    with pytest.raises(Refused):
        parse_request(b"\xff", "r.txt")
    assert parse_request(text.encode(), "r.txt") == Request(wanted=(Wanted("x", "soon"),))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("need x", "line 2: a line begins with"),
        ("wanted", "line 2: nothing follows"),
        ("stamp 12", "ten letters"),
        ("have xyz demo-1.0.tar.gz", "16 hex digits"),
        ("target nonsense", "target"),
        ('target {"python": ', "not JSON"),
    ],
)
def test_lines_that_make_no_sense_are_refused_by_their_number(line: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        parse_request(f"{FIRST_LINE}\n{line}\n".encode(), "r.txt")


@pytest.mark.parametrize("content", [b"", b"wanted flask\n", b"simpleindex-request 2\n"])
def test_other_files_are_no_requests(content: bytes) -> None:
    with pytest.raises(Refused, match="its first line"):
        parse_request(content, "r.txt")
