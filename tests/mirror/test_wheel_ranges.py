"""Metadata out of a wheel that is elsewhere, by as few requests as can be."""

import io
import random
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import anyio.lowlevel
import pytest

from simpleindex.mirror.wheel_ranges import fetch_metadata, metadata_in
from simpleindex_storage.errors import Refused
from simpleindex_storage.metadata import METADATA_BYTES_MAX
from tests.builders import a_wheel, a_zip, core_metadata

pytestmark = pytest.mark.anyio

NAME = "demo-1.0-py3-none-any.whl"
METADATA = core_metadata("demo", "1.0")
NOISE = random.Random(1).randbytes(300_000)
FEW_BYTES = 200_000


@dataclass(slots=True)
class Elsewhere:
    """A file that is read in parts."""

    content: bytes
    told_bytes: int | None = None
    """What is told of its size with each part, if that is not the truth."""
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def fetch(self, first: int, last: int) -> tuple[bytes, int]:
        assert 0 <= first <= last
        self.asked.append((first, last))
        size_bytes = len(self.content) if self.told_bytes is None else self.told_bytes
        return self.content[first : last + 1], size_bytes

    @property
    def fetched_bytes(self) -> int:
        return sum(last - first + 1 for first, last in self.asked)


def a_plain_zip(*members: tuple[str, bytes]) -> bytes:
    return a_zip(members, compression=zipfile.ZIP_STORED)


def many_files(count: int) -> Mapping[str, bytes]:
    """So many that the directory of a zip gets long."""
    return {f"demo/{'x' * 80}/{number}.py": b"" for number in range(count)}


LAST = a_wheel(extra_files={"demo/noise.bin": NOISE}).content
FIRST = a_plain_zip(("demo-1.0.dist-info/METADATA", METADATA), ("demo/noise.bin", NOISE))
LONG = a_wheel(extra_files={"demo/noise.bin": NOISE, **many_files(1_000)}).content
LONG_FIRST = a_plain_zip(
    ("demo-1.0.dist-info/METADATA", METADATA),
    ("demo/noise.bin", NOISE),
    *many_files(1_000).items(),
)
LARGE = core_metadata("demo", "1.0", description=NOISE.hex()[:100_000])
LARGE_FIRST = a_plain_zip(("demo-1.0.dist-info/METADATA", LARGE), ("demo/noise.bin", NOISE))


@pytest.mark.parametrize(
    ("content", "metadata", "requests"),
    [
        pytest.param(a_wheel().content, METADATA, 1, id="a small wheel"),
        pytest.param(FIRST, METADATA, 2, id="metadata first"),
        pytest.param(LONG_FIRST, METADATA, 3, id="metadata first, a long directory"),
        pytest.param(LARGE_FIRST, LARGE, 2, id="large metadata first"),
    ],
)
async def test_metadata_is_found_by_few_requests(
    content: bytes, metadata: bytes, requests: int
) -> None:
    wheel = Elsewhere(content)
    assert await fetch_metadata(NAME, len(content), wheel.fetch) == metadata
    assert len(wheel.asked) == requests
    assert wheel.fetched_bytes <= min(FEW_BYTES + len(metadata), len(content) + 1)


@pytest.mark.parametrize("content", [LAST, LONG], ids=["plain", "a long directory"])
async def test_metadata_in_the_middle_is_found_too(content: bytes) -> None:
    wheel = Elsewhere(content)
    assert await fetch_metadata(NAME, len(content), wheel.fetch) == METADATA
    assert len(wheel.asked) <= 3


async def test_a_size_that_nobody_told_is_asked_for_first() -> None:
    wheel = Elsewhere(FIRST)
    assert await fetch_metadata(NAME, None, wheel.fetch) == METADATA
    assert wheel.asked[0] == (0, 0)
    assert len(wheel.asked) == 3


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_metadata_comes_byte_for_byte(compression: int) -> None:
    odd = METADATA.replace(b"\n", b"\r\n") + b"\r\n\xff\xfe\0 \r\n\r\n"
    content = a_zip({"demo-1.0.dist-info/METADATA": odd}, compression=compression)
    assert await fetch_metadata(NAME, len(content), Elsewhere(content).fetch) == odd


@pytest.mark.parametrize(
    "names",
    [
        ["demo/_vendor/demo-1.0.dist-info/METADATA", "demo-1.0.dist-info/METADATA"],
        ["other-1.0.dist-info/METADATA", "demo-1.0.dist-info/METADATA"],
        ["Demo-1.0.dist-info/METADATA"],
        ["demonstrator-1.0.dist-info/METADATA", "demo-1.0.dist-info/METADATA"],
    ],
    ids=["deeper inside", "of another project", "in another spelling", "of a longer name"],
)
async def test_the_metadata_is_that_of_the_project_itself(names: list[str]) -> None:
    members = {name: b"of another" for name in names[:-1]} | {names[-1]: METADATA}
    content = a_zip(members)
    assert await fetch_metadata(NAME, len(content), Elsewhere(content).fetch) == METADATA


async def test_a_name_with_dashes_in_the_wheel_is_found_as_pip_finds_it() -> None:
    content = a_zip({"my-demo-1.0.dist-info/METADATA": METADATA})
    name = "my_demo-1.0-py3-none-any.whl"
    assert await fetch_metadata(name, len(content), Elsewhere(content).fetch) == METADATA


async def test_others_are_not_kept_waiting_while_a_directory_is_read() -> None:
    elsewhere, turns = Elsewhere(LONG_FIRST), 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    before: list[int] = []

    async def fetch(first: int, last: int) -> tuple[bytes, int]:
        before.append(turns)
        return await elsewhere.fetch(first, last)

    async with anyio.create_task_group() as group:
        group.start_soon(take_turns)
        await anyio.lowlevel.checkpoint()
        await fetch_metadata(NAME, len(LONG_FIRST), fetch)
        group.cancel_scope.cancel()
    assert all(later - earlier >= 2 for earlier, later in pairwise([*before, turns]))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "no wheel", id="nothing"),
        pytest.param(NOISE, "no wheel", id="noise"),
        pytest.param(LAST[:-100], "no wheel", id="cut at its end"),
        pytest.param(a_zip({}), "0 files of metadata", id="an empty zip"),
        pytest.param(a_zip({"demo/a.py": b""}), "0 files of metadata", id="no metadata"),
        pytest.param(
            a_zip({"demo-1.0.dist-info/METADATA": b"1", "Demo-1.0.dist-info/METADATA": b"2"}),
            "2 files of metadata",
            id="two of them",
        ),
        pytest.param(
            a_zip({"demo-1.0.dist-info/METADATA": b"x" * (METADATA_BYTES_MAX + 1)}),
            f"over {METADATA_BYTES_MAX} bytes",
            id="a bomb",
        ),
    ],
)
async def test_what_is_no_wheel_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        await fetch_metadata(NAME, len(content), Elsewhere(content).fetch)


async def test_metadata_that_lies_about_its_size_is_refused() -> None:
    bomb = a_zip({"demo-1.0.dist-info/METADATA": b"x" * (METADATA_BYTES_MAX + 1)})
    true, lie = ((size).to_bytes(4, "little") for size in (METADATA_BYTES_MAX + 1, 10))
    content = bomb.replace(true, lie)
    with pytest.raises(Refused):
        await fetch_metadata(NAME, len(content), Elsewhere(content).fetch)


@pytest.mark.parametrize("damage_at", [0, 26, 60], ids=["header", "length of name", "content"])
async def test_a_damaged_member_is_refused(damage_at: int) -> None:
    content = bytearray(a_zip({"demo-1.0.dist-info/METADATA": METADATA}))
    content[damage_at : damage_at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(Refused, match="no wheel"):
        await fetch_metadata(NAME, len(content), Elsewhere(bytes(content)).fetch)


@pytest.mark.parametrize("told_bytes", [10, len(FIRST) - 1, len(FIRST) + 1])
async def test_a_file_of_another_size_than_told_is_refused(told_bytes: int) -> None:
    wheel = Elsewhere(FIRST, told_bytes=told_bytes)
    with pytest.raises(Refused, match="different sizes"):
        await fetch_metadata(NAME, len(FIRST), wheel.fetch)


async def test_no_more_is_fetched_than_a_wheel_can_need() -> None:
    end = a_zip({})[-22:]
    long_bytes = 40_000_000
    content = bytes(long_bytes) + end[:12] + long_bytes.to_bytes(4, "little") + end[16:]
    wheel = Elsewhere(content)
    with pytest.raises(Refused, match="bytes of it are needed"):
        await fetch_metadata(NAME, len(content), wheel.fetch)
    assert wheel.fetched_bytes <= FEW_BYTES


def test_what_is_here_is_read_without_asking_anybody() -> None:
    assert metadata_in(io.BytesIO(LAST), NAME) == METADATA


async def test_no_damage_ever_raises_something_else() -> None:
    chance, whole = random.Random(658), a_wheel().content
    refused = 0
    for _ in range(2_000):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if chance.random() < 0.2:
            del content[chance.randrange(len(content)) :]
        try:
            await fetch_metadata(NAME, len(content), Elsewhere(bytes(content)).fetch)
        except Refused:
            refused += 1
    assert refused > 1_000
