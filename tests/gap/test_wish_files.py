"""Files of requirements that name other files."""

from pathlib import Path

import pytest

from simpleindex.gap import wish_files
from simpleindex.gap.wish_files import read_wish_file
from simpleindex.gap.wishes import Line, read_lines
from simpleindex_storage.errors import Refused, Unavailable


def write(folder: Path, **texts: str) -> Path:
    """Files `NAME.txt`; the first of them."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / f"{next(iter(texts))}.txt"


def texts(lines: tuple[Line, ...]) -> list[str]:
    return [line.text for line in lines]


def test_names_in_a_file_are_relative_to_it_and_stand_where_they_are_named(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        all="first\n-r below/more.txt\n--requirement=below/last.txt\nend\n-c limits.txt\n--pre\n",
        below__more="-r last.txt\n-cown.txt\nmore",
        below__last="last --hash=sha256:ab",
        below__own="own<3",
        limits="limit==1\n--require-hashes",
    )
    read = read_wish_file(path)
    assert texts(read.lines) == ["first", "last", "more", "last", "end"]
    assert texts(read.constraints) == ["own<3", "limit==1"]
    assert read.left_out == ("--require-hashes", "--pre")
    assert read.lines[1].hashes == {("sha256", "ab")}
    assert read.lines[2].where == f"{tmp_path / 'below' / 'more.txt'} line 3"


def test_what_a_file_of_constraints_limits_with_c_is_a_constraint(tmp_path: Path) -> None:
    read = read_wish_file(write(tmp_path, all="-c a.txt", a="-c b.txt\na<2", b="b<2"))
    assert (texts(read.lines), texts(read.constraints)) == ([], ["a<2", "b<2"])


@pytest.mark.parametrize("text", ["-r all.txt", "-c ./all.txt", "-r other.txt"])
def test_a_file_that_names_itself_is_refused(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, all=text, other="-r all.txt")
    with pytest.raises(Refused, match="leads back to it"):
        read_wish_file(path)


def test_files_are_named_only_so_deep_and_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(wish_files.DEPTH_MAX + 1):
        write(tmp_path, **{f"f{number}": f"-r f{number + 1}.txt"})
    write(tmp_path, **{f"f{wish_files.DEPTH_MAX + 1}": "end"})
    assert texts(read_wish_file(tmp_path / "f1.txt").lines) == ["end"]
    with pytest.raises(Refused, match=f"named over {wish_files.DEPTH_MAX} deep"):
        read_wish_file(tmp_path / "f0.txt")
    monkeypatch.setattr(wish_files, "FILES_MAX", 3)
    with pytest.raises(Refused, match="over 3 files are named"):
        read_wish_file(write(tmp_path, wide="-r last.txt\n" * 3, last="last"))


@pytest.mark.parametrize("name", ["https://packages.example/r.txt", "file:///etc/passwd", ""])
def test_nothing_is_fetched_from_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="files are read from this computer only"):
        read_wish_file(write(tmp_path, all=f"-r={name}"))


def test_a_file_that_is_not_there_or_none_of_text_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"nothing.txt cannot be read: No such file"):
        read_wish_file(write(tmp_path, all="-r nothing.txt"))
    (tmp_path / "odd.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match=r"odd.txt: it is no text in UTF-8"):
        read_wish_file(write(tmp_path, all="-r odd.txt"))


def test_a_file_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wish_files, "FILE_BYTES_MAX", 10)
    with pytest.raises(Refused, match="over 10 bytes"):
        read_wish_file(write(tmp_path, all="x" * 11))


def test_where_no_file_may_be_opened_such_a_line_is_refused() -> None:
    (line,) = read_lines("-r more.txt").lines
    assert line.requirement is None
    assert line.refusal == "files that a file names are not read here; name them beside it"
