"""What the documents list is what there is."""

import re
from pathlib import Path

from simpleindex.app import create_app
from simpleindex.config import Config
from simpleindex_storage.faults import RULES, Rule, Verdict
from simpleindex_storage.fsck.codes import KINDS
from tests.asgi import asking
from tests.doctor.test_checks import SITES

_DOCS = Path(__file__).parents[1] / "docs"


def test_each_rule_for_archives_is_told_as_it_is() -> None:
    document = (_DOCS / "uploads.md").read_text("utf-8")
    told = [line for line in document.splitlines() if line.startswith("| `")]
    assert told == [
        _row(name, rule)
        for verdict in (Verdict.ALWAYS, Verdict.STRICT, Verdict.ALLOWED)
        for name, rule in RULES.items()
        if rule.verdict is verdict
    ]


def test_each_figure_is_told_of_and_no_other(tmp_path: Path) -> None:
    app = create_app(Config(serverdir=tmp_path / "data"))
    with asking(app) as client:
        client.ask("POST", "/+login", {"content-type": "application/json"}, b"{}")
        answer = client.ask("GET", "/-/metrics", peer="127.0.0.1", host="127.0.0.1")
    app.close()
    scraped = re.findall("^# TYPE (\\S+)", answer.text, re.MULTILINE)
    document = (_DOCS / "monitoring.md").read_text("utf-8")
    told = re.findall("^\\| `((?:simpleindex|process)_[a-z_]+)`", document, re.MULTILINE)
    of_linux = {"process_resident_memory_bytes", "process_open_fds"}
    of_serve = {"simpleindex_connections_open"}
    assert len(told) == len(set(told))
    assert set(told) - of_linux - of_serve <= set(scraped) <= set(told)


def _row(name: str, rule: Rule) -> str:
    return f"| `{name}` | {rule.reason} | {rule.advice} |".replace("|  |", "| |")


def test_each_fault_of_a_directory_is_told_as_it_is() -> None:
    document = (_DOCS / "looking-after.md").read_text("utf-8")
    _, _, of_fsck = document.partition("\n## fsck\n")
    told = [line for line in of_fsck.splitlines() if line.startswith("| `")]
    assert told == [
        f"| `{code}` | {kind.meaning} | {kind.repair or '-'} | {kind.advice} |"
        for is_fault in (True, False)
        for code, kind in KINDS.items()
        if kind.is_fault is is_fault
    ]


def test_each_word_of_the_doctor_is_told() -> None:
    document = (_DOCS / "looking-after.md").read_text("utf-8")
    told = {
        word
        for line in document.partition("\n## fsck\n")[0].splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`([a-z-]+)`", line.split("|")[1])
    }
    assert told == {*SITES, "disk-full", "ballast-missing"}
