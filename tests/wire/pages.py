"""Builders of page records: say what matters to the test, the rest is plausible."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypedDict, Unpack
from urllib.parse import quote

from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from simpleindex.wire.simple_page import PageFile, ProjectListPage, ProjectPage
from simpleindex_storage.model import ProjectStatus

SHA256 = "0123456789abcdef" * 4
WHEEL = "demo-1.0-py3-none-any.whl"


class FileFacts(TypedDict, total=False):
    url: str
    hashes: Mapping[str, str]
    size_bytes: int | None
    uploaded_at: datetime | None
    requires_python: str | None
    metadata: Mapping[str, str] | bool | None
    yanked: str | None
    gpg_sig: bool | None
    provenance: str | None


class PageFacts(TypedDict, total=False):
    versions: tuple[str, ...]
    status: ProjectStatus
    status_reason: str | None
    serial: int | None


def a_file(filename: str = WHEEL, **facts: Unpack[FileFacts]) -> PageFile:
    usual: FileFacts = {
        "url": f"../../+f/012/3456789abcdef/{quote(filename)}",
        "hashes": {"sha256": SHA256},
        "size_bytes": 1234,
        "uploaded_at": datetime(2024, 5, 6, 7, 8, 9, 120, UTC),
    }
    return PageFile(filename, **usual | facts)


def a_page(*files: PageFile, **facts: Unpack[PageFacts]) -> ProjectPage:
    usual: PageFacts = {"versions": ("1.0",)}
    return ProjectPage(canonicalize_name("demo"), files, **usual | facts)


def a_list(*names: str, serial: int | None = None) -> ProjectListPage:
    return ProjectListPage({canonicalize_name(name): None for name in names}, serial)


_digests = st.dictionaries(
    st.sampled_from(["md5", "sha1", "sha256", "sha512", "blake2b"]),
    st.text("0123456789abcdef", min_size=8, max_size=8),
)

page_files = st.builds(
    PageFile,
    filename=st.text(min_size=1),
    url=st.text(min_size=1).map(quote),
    hashes=_digests,
    size_bytes=st.none() | st.integers(min_value=0),
    uploaded_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    requires_python=st.none() | st.sampled_from([">=3.8", "<4,>=3.6", "===x&<y>", ">=bad"]),
    metadata=st.none() | st.booleans() | _digests,
    yanked=st.none() | st.text(),
    gpg_sig=st.none() | st.booleans(),
    provenance=st.none() | st.text(),
)
"""Files as the worst of other indexes may show them: any text in every place."""
