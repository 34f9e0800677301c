"""The header that stands for the bytes of a file."""

import pytest

from simpleindex.config import HandOver
from simpleindex.wire.hand_over import Shelf, check_hand_over, hand_over_header
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import FilePlace, IndexName

PLACE = FilePlace(IndexName("a@b.c/dev"), "0123456789abcdef", "Demo-1!2.0+x.1-py3-none-any.whl")
ENCODED = "a%40b.c/dev/%2Bf/012/3456789abcdef/Demo-1%212.0%2Bx.1-py3-none-any.whl"
ACCEL = HandOver("x-accel-redirect", "/+send/")
SENDFILE = HandOver("x-sendfile")


@pytest.mark.parametrize(
    ("hand_over", "serverdir", "shelf", "expected"),
    [
        (ACCEL, "/srv/x", Shelf.STORED, f"/+send/files/{ENCODED}"),
        (ACCEL, "/srv/x", Shelf.KEPT, f"/+send/cache/{ENCODED}"),
        (SENDFILE, "/srv/x", Shelf.STORED, f"/srv/x/files/{PLACE.path}"),
        (SENDFILE, "/srv/x", Shelf.KEPT, f"/srv/x/cache/files/{PLACE.path}"),
        (SENDFILE, "/", Shelf.STORED, f"/files/{PLACE.path}"),
    ],
)
def test_a_file_is_named_by_its_path_as_that_server_reads_it(
    hand_over: HandOver, serverdir: str, shelf: Shelf, expected: str
) -> None:
    assert hand_over_header(hand_over, serverdir, shelf, PLACE) == (hand_over.header, expected)


@pytest.mark.parametrize(
    "serverdir",
    ["/100%", "/%2e%2e", "/päckchen", "/\udcff", "/a\r\nset-cookie: x=y", "/a\0b", "/\x7f"],
)
def test_no_folder_ends_the_header_or_means_another(serverdir: str) -> None:
    with pytest.raises(Refused, match=r"^send_files_by = x-sendfile: .* a server directory"):
        check_hand_over(SENDFILE, serverdir)
    check_hand_over(ACCEL, serverdir)  # which does not name it


@pytest.mark.parametrize("serverdir", ["/", "/srv/x y", "/srv/+x", "C:/ProgramData/x"])
def test_usual_folders_can_be_named(serverdir: str) -> None:
    check_hand_over(SENDFILE, serverdir)
