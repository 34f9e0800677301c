"""What a mirror remembers of a page, when upstream says other things later."""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from simpleindex.wire.mirror_page import (
    MirrorFile,
    MirrorPage,
    decode,
    encode,
    merged,
    with_digest,
    with_metadata,
)
from simpleindex.wire.simple_page import PageFile, ProjectPage
from simpleindex_storage.model import ProjectStatus
from tests.wire.pages import SHA256, WHEEL, a_file, a_page, page_files

SUNDAY = datetime(2024, 6, 2, 12, tzinfo=UTC)
MONDAY, TUESDAY, FRIDAY = (SUNDAY + timedelta(days=days) for days in (1, 2, 5))
OTHER_SHA256 = "f" * 64
OTHER = "demo-2.0.tar.gz"
URL = f"https://files.example/{WHEEL}"


def seen(*pages: ProjectPage) -> MirrorPage:
    """What is remembered of pages seen on Sunday, Monday, Tuesday."""
    mirrored, checked_at = None, None
    for page, day in zip(pages, (SUNDAY, MONDAY, TUESDAY), strict=False):
        mirrored, checked_at = merged(mirrored, checked_at, page, day), day
    assert mirrored is not None
    return mirrored


def the_file(*pages: ProjectPage) -> MirrorFile:
    """The wheel, after it was seen on these pages."""
    return wheel_of(seen(*pages))


def wheel_of(page: MirrorPage) -> MirrorFile:
    (file,) = (file for file in page.files if file.file.filename == WHEEL)
    return file


# Seen for the first time


def test_the_first_page_is_taken_as_it_is() -> None:
    page = a_page(
        a_file(url=URL),
        versions=("0.9", "1.0"),
        status=ProjectStatus.ARCHIVED,
        status_reason="old",
        serial=7,
    )
    assert merged(None, None, page, SUNDAY) == MirrorPage(
        page.name,
        (MirrorFile(a_file(url=URL), "1.0", SHA256[:16], SUNDAY, absent_at=None),),
        ("0.9", "1.0"),
        ProjectStatus.ARCHIVED,
        "old",
        7,
    )


def test_a_file_that_comes_later_was_absent_before() -> None:
    page = seen(a_page(a_file()), a_page(a_file(OTHER), a_file()), a_page(a_file(OTHER), a_file()))
    assert [
        (file.file.filename, file.version, file.first_seen_at, file.absent_at)
        for file in page.files
    ] == [(OTHER, "2.0", MONDAY, SUNDAY), (WHEEL, "1.0", SUNDAY, None)]


def test_without_a_digest_the_url_decides_on_the_place() -> None:
    first = a_page(a_file(url=URL, hashes={"md5": "0" * 32}))
    prefix = sha256(URL.encode()).hexdigest()[:16]
    assert the_file(first).sha256_prefix == prefix
    later = a_page(a_file(url=URL + "?moved", hashes={"sha256": SHA256}))
    assert the_file(first, later).sha256_prefix == prefix
    assert wheel_of(with_digest(seen(first), WHEEL, SHA256)).sha256_prefix == prefix


# Seen again


def test_a_page_that_is_the_same_changes_nothing() -> None:
    page = a_page(a_file(), a_file(OTHER))
    assert seen(page, page, page) == seen(page)


def test_upstreams_newest_word_counts() -> None:
    newest = a_file(
        url="https://elsewhere.example/x",
        size_bytes=99,
        uploaded_at=MONDAY,
        requires_python=">=3.9",
        metadata={"sha256": OTHER_SHA256},
        yanked="broken",
        gpg_sig=True,
        provenance="https://index.example/p",
    )
    page = seen(
        a_page(a_file(metadata={"sha256": SHA256}), serial=1),
        a_page(newest, versions=("1.0", "3.0"), status=ProjectStatus.DEPRECATED, serial=2),
    )
    assert page == MirrorPage(
        canonicalize_name("demo"),
        (MirrorFile(newest, "1.0", SHA256[:16], SUNDAY, None),),
        ("1.0", "3.0"),
        ProjectStatus.DEPRECATED,
        None,
        2,
    )
    yanked, not_yanked = a_page(newest), a_page(a_file())
    assert the_file(not_yanked, yanked).file.yanked == "broken"
    assert the_file(yanked, not_yanked).file.yanked is None


def test_files_stand_in_upstreams_order_and_those_that_are_gone_come_last() -> None:
    names = [OTHER, "demo-3.0.zip", "demo-4.0.zip", WHEEL]
    page = seen(a_page(*map(a_file, names)), a_page(a_file(WHEEL), a_file("demo-3.0.zip")))
    assert [(file.file.filename, file.gone) for file in page.files] == [
        (WHEEL, False), ("demo-3.0.zip", False), (OTHER, True), ("demo-4.0.zip", True),
    ]  # fmt: skip


def test_a_file_that_is_gone_is_remembered() -> None:
    file = the_file(a_page(a_file()), a_page(), a_page())
    assert file == replace(the_file(a_page(a_file())), gone=True)


def test_a_file_that_comes_back_is_held_to_its_first_digest() -> None:
    same = the_file(a_page(a_file()), a_page(), a_page(a_file(yanked="")))
    assert (same.gone, same.changed_to, same.file.yanked) == (False, None, "")
    assert (same.first_seen_at, same.absent_at) == (SUNDAY, None)
    other = the_file(a_page(a_file()), a_page(), a_page(a_file(hashes={"sha256": OTHER_SHA256})))
    assert (other.gone, other.changed_to) == (False, f"sha256={OTHER_SHA256}")


# Other bytes

MD5, OTHER_MD5 = {"md5": "0" * 32}, {"md5": "f" * 32}
SHA, OTHER_SHA = {"sha256": SHA256}, {"sha256": OTHER_SHA256}


@pytest.mark.parametrize(
    ("first", "then", "changed_to", "pinned"),
    [
        pytest.param(SHA, SHA, None, SHA, id="the same"),
        pytest.param(SHA, OTHER_SHA, f"sha256={OTHER_SHA256}", SHA, id="another"),
        pytest.param(SHA, {}, None, SHA, id="none any more"),
        pytest.param({}, SHA, None, SHA, id="none before"),
        pytest.param({}, {}, None, {}, id="never any"),
        pytest.param(SHA, MD5, None, SHA | MD5, id="nothing to compare"),
        pytest.param(MD5, SHA, None, SHA | MD5, id="nothing to compare it with"),
        pytest.param(MD5, OTHER_MD5, f"md5={'f' * 32}", MD5, id="another of the old algorithm"),
        pytest.param(MD5, MD5 | SHA, None, MD5 | SHA, id="a better one, too"),
        pytest.param(MD5, OTHER_MD5 | SHA, f"sha256={SHA256}", MD5, id="another, told better"),
        pytest.param(MD5 | SHA, OTHER_MD5 | SHA, None, MD5 | SHA, id="sha256 decides"),
        pytest.param(MD5 | SHA, OTHER_MD5, f"md5={'f' * 32}", MD5 | SHA, id="only the old one"),
    ],
)
def test_the_first_digest_is_kept(
    first: Mapping[str, str],
    then: Mapping[str, str],
    changed_to: str | None,
    pinned: Mapping[str, str],
) -> None:
    file = the_file(a_page(a_file(hashes=first)), a_page(a_file(hashes=then)))
    assert file.changed_to == changed_to
    assert file.file.hashes == pinned


def test_what_is_said_of_other_bytes_is_not_said_of_the_first() -> None:
    first = a_file(url=URL, size_bytes=1, requires_python=">=3.8", metadata=SHA)
    other = a_file(
        url=URL + "?2",
        hashes=OTHER_SHA,
        size_bytes=2,
        requires_python=">=3",
        metadata=OTHER_SHA,
        yanked="broken",
    )
    file = the_file(a_page(first), a_page(other))
    assert file.file == replace(first, yanked="broken")  # a yank is meant for the name
    assert file.changed_to == f"sha256={OTHER_SHA256}"


def test_other_bytes_that_are_taken_back_are_forgotten() -> None:
    first, other = a_page(a_file()), a_page(a_file(hashes=OTHER_SHA))
    assert the_file(first, other, first) == the_file(first)


def test_other_bytes_are_not_forgotten_because_upstream_says_less() -> None:
    first, other, silent = (a_page(a_file(hashes=hashes)) for hashes in (SHA, OTHER_SHA, {}))
    assert the_file(first, other, silent).changed_to == f"sha256={OTHER_SHA256}"


def test_a_size_that_differs_is_believed_while_the_digest_agrees() -> None:
    pages = [a_page(a_file(size_bytes=size)) for size in (1, 2)]
    assert the_file(*pages).file.size_bytes == 2
    assert the_file(*pages).changed_to is None


# Found out by ourselves


def test_a_digest_that_was_found_out_counts_from_then_on() -> None:
    silent = a_page(a_file(url=URL, hashes={}))
    known = with_digest(seen(silent), WHEEL, SHA256)
    assert wheel_of(known).file.hashes == SHA
    later = merged(known, SUNDAY, silent, MONDAY)
    assert wheel_of(later) == wheel_of(known)
    other = merged(known, SUNDAY, a_page(a_file(hashes=OTHER_SHA)), MONDAY)
    assert wheel_of(other).changed_to == f"sha256={OTHER_SHA256}"


def test_a_digest_that_was_told_first_is_not_replaced() -> None:
    page = seen(a_page(a_file()))
    assert with_digest(page, WHEEL, OTHER_SHA256) == page


def test_of_a_file_that_is_not_known_nothing_is_noted() -> None:
    page = seen(a_page(a_file()))
    assert with_digest(page, OTHER, SHA256) == page
    assert with_metadata(page, OTHER, SHA256) == page


@pytest.mark.parametrize("told", [None, True, False, {}], ids=repr)
def test_metadata_of_our_own_survives_an_upstream_that_knows_no_digest(
    told: Mapping[str, str] | bool | None,
) -> None:
    known = with_metadata(seen(a_page(a_file())), WHEEL, OTHER_SHA256)
    assert wheel_of(known).file.metadata == OTHER_SHA
    again = a_page(a_file(metadata=told, yanked="later"))
    later = wheel_of(merged(known, SUNDAY, again, MONDAY))
    assert (later.file.metadata, later.file.yanked) == (OTHER_SHA, "later")
    assert later.has_own_metadata


def test_upstreams_digest_of_metadata_comes_before_our_own() -> None:
    known = with_metadata(seen(a_page(a_file())), WHEEL, OTHER_SHA256)
    later = merged(known, SUNDAY, a_page(a_file(metadata=SHA)), MONDAY)
    assert wheel_of(later).file.metadata == SHA
    last = merged(later, MONDAY, a_page(a_file(metadata=None)), TUESDAY)
    assert wheel_of(last).file.metadata is None  # it was upstream's, to be withdrawn


# Kept

moments = st.datetimes(timezones=st.just(UTC))
mirror_files = st.builds(
    MirrorFile,
    file=page_files,
    version=st.text(min_size=1),
    sha256_prefix=st.text("0123456789abcdef", min_size=16, max_size=16),
    first_seen_at=moments,
    absent_at=st.none() | moments,
    changed_to=st.none() | st.text(),
    gone=st.booleans(),
    has_own_metadata=st.booleans(),
)
mirror_pages = st.builds(
    MirrorPage,
    project=st.just(canonicalize_name("demo")),
    files=st.lists(mirror_files, max_size=3).map(tuple),
    versions=st.lists(st.text(), max_size=3).map(tuple),
    status=st.sampled_from(ProjectStatus),
    status_reason=st.none() | st.text(),
    serial=st.none() | st.integers(),
)


@settings(deadline=None)
@given(mirror_pages)
def test_what_is_encoded_can_be_decoded(page: MirrorPage) -> None:
    assert decode(encode(page)) == page


def test_types_survive() -> None:
    page = with_metadata(seen(a_page(a_file(), a_file(OTHER))), WHEEL, SHA256)
    file = wheel_of(decode(encode(page)))
    assert (type(file.file.hashes), type(file.file.metadata)) == (dict, dict)
    assert (file.first_seen_at.tzinfo, file.gone) == (UTC, False)


PAGE = encode(seen(a_page(a_file(), a_file(OTHER))))


def with_heading(text: bytes) -> bytes:
    return b"mirror-page-1 %08x\n" % zlib.crc32(text) + text


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"{}", b"mirror-page-1 00000000\n", PAGE[:-1], PAGE + b"\n", PAGE[1:],
        PAGE.replace(b"-page-1", b"-page-2"), PAGE.replace(b"demo", b"Demo"),
        *map(with_heading, [
            b"", b"{}", b"[]", b"1", b"\xff", b"[" * 99_999, b"9" * 5000,
            b'{"project":"demo","versions":[],"status":"fallow","reason":"","serial":1,"files":[]}',
            b'{"project":"demo","versions":[],"status":"active","reason":"","serial":1,"files":[1]}',
            b'{"project":"demo","versions":1,"status":"active","reason":"","serial":1,"files":[{}]}',
        ]),
    ],
    ids=lambda content: ascii(content[:40]),
)  # fmt: skip
def test_what_was_not_encoded_here_is_no_page(content: bytes) -> None:
    with pytest.raises(ValueError, match="no page of a mirror"):
        decode(content)


@given(st.binary() | st.tuples(st.integers(0, len(PAGE) - 1), st.integers(1, 255)).map(
    lambda change: bytes(
        byte ^ change[1] if at == change[0] else byte for at, byte in enumerate(PAGE)
    )
))  # fmt: skip
def test_no_byte_may_be_another(content: bytes) -> None:
    with pytest.raises(ValueError, match="no page of a mirror"):
        decode(content)


# Whatever is said

digests = st.sampled_from([SHA, OTHER_SHA, MD5, OTHER_MD5, SHA | MD5, {}])
upstream_files = st.builds(
    PageFile,
    filename=st.sampled_from([WHEEL, OTHER, "demo-3.0.zip"]),
    url=st.sampled_from(["https://a.example/1", "https://a.example/2"]),
    hashes=digests,
    metadata=st.none() | st.booleans() | digests,
    yanked=st.none() | st.text(max_size=2),
)
upstream_pages = st.lists(upstream_files, unique_by=lambda file: file.filename).map(
    lambda files: a_page(*files)
)


@settings(deadline=None)
@given(st.lists(upstream_pages, min_size=1, max_size=6))
def test_a_name_keeps_its_digest_its_place_and_its_day(pages: list[ProjectPage]) -> None:
    page = merged(None, None, pages[0], SUNDAY)
    for day, told in enumerate(pages):
        before, page = page, merged(page, SUNDAY, told, SUNDAY + timedelta(days=day))
        now = {file.file.filename: file for file in page.files}
        assert len(now) == len(page.files)
        assert [file.filename for file in told.files] == [
            name for name in now if not now[name].gone
        ]
        for old in before.files:
            new = now[old.file.filename]
            assert (new.sha256_prefix, new.version) == (old.sha256_prefix, old.version)
            assert (new.first_seen_at, new.absent_at) == (old.first_seen_at, old.absent_at)
            assert old.file.hashes.items() <= new.file.hashes.items()
        assert merged(page, SUNDAY, told, FRIDAY) == page
        assert decode(encode(page)) == page


# Speed


def test_a_page_of_thousands_of_files_is_decoded_at_once() -> None:
    names = [f"demo-1.{n}-py3-none-any.whl" for n in range(2000)]
    content = encode(seen(a_page(*(a_file(name, hashes=SHA) for name in names))))
    times = []
    for _ in range(5):
        started_at = perf_counter()
        page = decode(content)
        times.append(perf_counter() - started_at)
    assert len(page.files) == 2000
    assert min(times) < 0.1  # it takes a tenth of it
