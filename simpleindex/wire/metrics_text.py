"""Figures as text: Prometheus' format 0.0.4, and OpenMetrics 1.0.0 for those who ask for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OPEN_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class Kind(StrEnum):
    """What may be done with a figure."""

    COUNTER = "counter"
    """It only grows: ask how fast."""
    GAUGE = "gauge"
    """It is as it is."""
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of a family."""

    value: int | float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    """What follows the family's name: `_bucket`, `_sum`, `_count`; of counters nothing."""


@dataclass(frozen=True, slots=True)
class Family:
    """Figures of one name."""

    name: str
    """Without the `_total` that counters end with."""
    kind: Kind
    help: str
    samples: Sequence[Sample]


class Format(StrEnum):
    """The two formats, by their media types."""

    TEXT = _TEXT_TYPE
    OPEN_METRICS = _OPEN_TYPE


def format_for(accept: str | None) -> Format:
    """The one to send. Whoever does not name OpenMetrics 1.0.0 gets the older one."""
    for offered in (accept or "").lower().split(","):
        media_type, *parameters = (part.strip() for part in offered.split(";"))
        if media_type != "application/openmetrics-text":
            continue
        said = dict(part.partition("=")[::2] for part in parameters)
        if said.get("version", "1.0.0") == "1.0.0" and said.get("q") not in ("0", "0.0"):
            return Format.OPEN_METRICS
    return Format.TEXT


def histogram(
    name: str,
    help_text: str,
    bounds: Sequence[float],
    rows: Iterable[tuple[tuple[tuple[str, str], ...], Sequence[int], float]],
) -> Family:
    """A histogram. Rows: labels, how many were in each bucket (one more than bounds), their sum."""
    samples = []
    for labels, counts, total in rows:
        running = 0
        for bound, count in zip((*bounds, None), counts, strict=True):
            running += count
            le = "+Inf" if bound is None else repr(float(bound))
            samples.append(Sample(running, (*labels, ("le", le)), "_bucket"))
        samples += [Sample(running, labels, "_count"), Sample(total, labels, "_sum")]
    return Family(name, Kind.HISTOGRAM, help_text, samples)


def render(families: Iterable[Family], form: Format) -> bytes:
    """The text; families without figures are left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += _lines(family, form)
    if form is Format.OPEN_METRICS:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(family: Family, form: Format) -> Iterable[str]:
    total = "_total" if family.kind is Kind.COUNTER else ""
    # OpenMetrics names the family, the older format what its samples are called.
    name = family.name if form is Format.OPEN_METRICS else family.name + total
    yield f"# HELP {name} {family.help.translate(_HELP_ESCAPES)}"
    yield f"# TYPE {name} {family.kind}"
    for sample in family.samples:
        labels = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in sample.labels)
        shown = f"{{{labels}}}" if labels else ""
        yield f"{family.name}{total}{sample.suffix}{shown} {sample.value}"
