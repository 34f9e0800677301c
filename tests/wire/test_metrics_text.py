import math

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from simpleindex.wire.metrics_text import (
    Family,
    Format,
    Kind,
    Sample,
    format_for,
    histogram,
    render,
)

ODD = 'a "quoted" \\ word\nand a line'

FAMILIES = (
    Family("made", Kind.COUNTER, ODD, (Sample(3, (("who", ODD),)), Sample(1, (("who", "ü"),)))),
    Family("room_bytes", Kind.GAUGE, "Room.", (Sample(2.5),)),
    Family("nothing", Kind.COUNTER, "Nothing.", ()),
    histogram("time_seconds", "Time.", (0.5, 2), [((("door", "page"),), (1, 0, 2), 7.25)]),
)


@pytest.mark.parametrize(
    ("form", "parse"), [(Format.TEXT, parse_text), (Format.OPEN_METRICS, parse_open_metrics)]
)
def test_parsers_read_what_was_written(form: Format, parse: object) -> None:
    assert callable(parse)
    families = {family.name: family for family in parse(render(FAMILIES, form).decode())}
    assert list(families) == ["made", "room_bytes", "time_seconds"]
    assert [family.type for family in families.values()] == ["counter", "gauge", "histogram"]
    assert families["made"].documentation == ODD
    made = families["made"].samples
    assert [(each.name, each.labels, each.value) for each in made] == [
        ("made_total", {"who": ODD}, 3),
        ("made_total", {"who": "ü"}, 1),
    ]
    assert families["room_bytes"].samples[0].value == 2.5
    buckets = {
        (each.name, float(each.labels.get("le", math.nan))): each.value
        for each in families["time_seconds"].samples
        if "le" in each.labels
    }
    assert buckets == {
        ("time_seconds_bucket", 0.5): 1,
        ("time_seconds_bucket", 2.0): 1,
        ("time_seconds_bucket", math.inf): 3,
    }
    rest = {
        each.name: each.value for each in families["time_seconds"].samples if len(each.labels) == 1
    }
    assert rest == {"time_seconds_count": 3, "time_seconds_sum": 7.25}


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/plain;version=0.0.4", Format.TEXT),
        ("application/openmetrics-text", Format.OPEN_METRICS),
        ("application/openmetrics-text; version=1.0.0", Format.OPEN_METRICS),
        # What Prometheus sends.
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            Format.OPEN_METRICS,
        ),
        ("application/openmetrics-text;version=2.0.0,text/plain", Format.TEXT),
        ("application/openmetrics-text;q=0,text/plain", Format.TEXT),
        (";;=,,", Format.TEXT),
    ],
)
def test_open_metrics_is_for_those_who_name_it(accept: str | None, form: Format) -> None:
    assert format_for(accept) is form
