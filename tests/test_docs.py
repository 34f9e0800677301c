"""What the documents list is what there is."""

from pathlib import Path

from simpleindex_storage.faults import RULES, Rule, Verdict

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


def _row(name: str, rule: Rule) -> str:
    return f"| `{name}` | {rule.reason} | {rule.advice} |".replace("|  |", "| |")
