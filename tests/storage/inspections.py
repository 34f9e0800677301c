"""What tests of the strict walk ask of a file."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from simpleindex_storage.errors import Refused
from simpleindex_storage.faults import Finding
from simpleindex_storage.inspection import inspect
from simpleindex_storage.model import CoreMetadata
from simpleindex_storage.names import parse_filename
from tests.builders import BuiltFile


def inspected(built: BuiltFile, folder: Path) -> tuple[CoreMetadata, tuple[Finding, ...]]:
    return inspect(built.save(folder), parse_filename(built.filename))


def no_findings(path: Path) -> None:
    assert inspect(path, parse_filename(path.name))[1] == ()


def refused_rule(path: Path, rule: str) -> None:
    with pytest.raises(Refused) as refused:
        inspect(path, parse_filename(path.name))
    assert refused.value.__notes__ == [rule]


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that Python had taken at once while it worked."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
