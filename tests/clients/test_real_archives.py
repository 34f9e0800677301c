"""What inspections say of real files of well-known projects, from twenty years.

A site moves here with what it has gathered over the years. An index that is not strict has to
take all of it; what a strict one refuses is a list that was reviewed file by file.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from simpleindex_storage.errors import Refused
from simpleindex_storage.faults import Finding
from simpleindex_storage.inspection import inspect
from simpleindex_storage.names import parse_filename
from tests.builders import BuiltFile, an_upload_body
from tests.clients import fetch
from tests.clients.server_side import filenames_in
from tests.server import RunningServer, running_server

_REVIEWED = Path(__file__).with_name("refused_when_strict.txt")
_ANSWER_SECONDS_MAX = 30.0
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Inspections:
    """What was said of each file, by its name."""

    findings: Mapping[str, tuple[Finding, ...]]
    refused: Mapping[str, str]
    """Whatever an index allows, and why."""

    @property
    def rules(self) -> dict[str, frozenset[str]]:
        """Those that each file breaks; only files that break some."""
        return {
            name: frozenset(finding.rule for finding in findings)
            for name, findings in self.findings.items()
            if findings
        }


@pytest.fixture(scope="module")
def real_archives(real_packages: Path) -> tuple[Path, ...]:
    """All real files. What fetches the packages, or skips, has fetched the others with them."""
    archives = (fetch.FOLDER / name for name in fetch.listed_archives())
    return (*sorted(real_packages.iterdir()), *archives)


@pytest.fixture(scope="module")
def inspections(real_archives: tuple[Path, ...]) -> Inspections:
    findings: dict[str, tuple[Finding, ...]] = {}
    refused: dict[str, str] = {}
    for path in real_archives:
        try:
            _, findings[path.name] = inspect(path, parse_filename(path.name))
        except Refused as error:
            refused[path.name] = str(error)
    return Inspections(findings, refused)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("archives") / "data") as running:
        yield running


def test_no_real_file_is_refused_whatever_an_index_allows(inspections: Inspections) -> None:
    assert inspections.refused == {}
    assert len(inspections.findings) >= 200


def test_strict_indexes_refuse_of_the_real_files_what_was_reviewed(
    inspections: Inspections,
) -> None:
    assert inspections.rules == _reviewed()


def test_an_index_that_is_not_strict_takes_every_real_file(
    server: RunningServer, real_archives: tuple[Path, ...]
) -> None:
    with closing(_Root(server)) as root:
        root.make_index("root/legacy", strict_archives=False)
        answers = root.upload_all("root/legacy", real_archives)
    assert {name: answer for name, answer in answers.items() if answer[0] != 200} == {}
    assert filenames_in(server, "root/legacy") == {path.name for path in real_archives}


def test_a_strict_index_refuses_just_the_reviewed_files_and_says_why(
    server: RunningServer, real_archives: tuple[Path, ...], inspections: Inspections
) -> None:
    with closing(_Root(server)) as root:
        root.make_index("root/strict", strict_archives=True)
        answers = root.upload_all("root/strict", real_archives)
    refused = {name: answer for name, answer in answers.items() if answer[0] != 200}
    assert set(refused) == set(_reviewed())
    assert {status for status, _ in refused.values()} == {400}
    silent = [name for name in refused if not _tells(refused[name][1], inspections.findings[name])]
    assert silent == []
    assert filenames_in(server, "root/strict") == set(answers) - set(refused)


class _Root:
    """The administrator with a program that keeps its connection."""

    def __init__(self, server: RunningServer) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=_ANSWER_SECONDS_MAX)
        login = f"root:{server.root_password}".encode()
        self._headers = {"Authorization": f"Basic {b64encode(login).decode()}"}

    def close(self) -> None:
        self._connection.close()

    def make_index(self, index: str, *, strict_archives: bool) -> None:
        settings = {"volatile": False, "strict_archives": strict_archives}
        status, body = self._ask("PUT", f"/{index}", json.dumps(settings).encode(), _JSON)
        assert status in {200, 201}, body

    def upload_all(self, index: str, paths: tuple[Path, ...]) -> dict[str, tuple[int, str]]:
        """The status and the body of each answer, by the file's name."""
        answers: dict[str, tuple[int, str]] = {}
        for path in paths:
            content_type, body = an_upload_body(BuiltFile(path.name, path.read_bytes()))
            answers[path.name] = self._ask("POST", f"/{index}/", body, content_type)
        return answers

    def _ask(self, method: str, path: str, body: bytes, content_type: str) -> tuple[int, str]:
        headers = {**self._headers, "Content-Type": content_type}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()


def _tells(answer: str, findings: tuple[Finding, ...]) -> bool:
    """Whether an answer has the whole sentence of a rule that the file breaks."""
    return any(finding.sentence in answer for finding in findings)


def _reviewed() -> dict[str, frozenset[str]]:
    lines = [line.split() for line in fetch.told_lines(_REVIEWED)]
    reviewed = {name: frozenset(rules) for name, *rules in lines}
    assert len(reviewed) == len(lines)
    return reviewed
