import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simpleindex.wire.negotiate import Form, choose, names_html, names_json, takes_gzip

V1_JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
LATEST_JSON = "application/vnd.pypi.simple.latest+json"
LATEST_HTML = "application/vnd.pypi.simple.latest+html"
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        (Form.HTML, "text/html; charset=utf-8"),
        (Form.V1_HTML, V1_HTML),
        (Form.JSON, V1_JSON),
    ],
)
def test_a_form_has_its_own_content_type(form: Form, content_type: str) -> None:
    assert form.content_type == content_type


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        pytest.param(None, Form.HTML, id="urllib"),
        pytest.param("text/html", Form.HTML, id="pip-18"),
        pytest.param(f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01", Form.JSON, id="pip-24"),
        pytest.param(f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", Form.JSON, id="uv"),
        pytest.param(f"{V1_JSON}, */*;q=0.1", Form.JSON, id="poetry"),
        pytest.param("*/*", Form.HTML, id="curl-and-hatch"),
        pytest.param(CHROME, Form.HTML, id="chrome"),
        pytest.param("text/html, image/gif, *; q=.2, */*; q=.2", Form.HTML, id="java"),
        pytest.param("application/json, */*;q=0.5", Form.HTML, id="httpie"),
        pytest.param("application/json", None, id="devpi-client"),
    ],
)
def test_each_client_gets_the_form_it_reads(accept: str | None, form: Form | None) -> None:
    assert choose(accept) is form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.HTML),
        (" ", Form.HTML),
        (", ,", Form.HTML),
        (V1_JSON, Form.JSON),
        (V1_HTML, Form.V1_HTML),
        (LATEST_JSON, Form.JSON),
        (LATEST_HTML, Form.V1_HTML),
        (V1_JSON.upper(), Form.JSON),
        ("Text/HTML;Q=1.000", Form.HTML),
        ("text/html ; charset = utf-8 ; q = 0.5", Form.HTML),
        ("text/html;level=1", Form.HTML),
        # The weight decides, not the order.
        (f"text/html;q=0.9, {V1_JSON};q=0.8", Form.HTML),
        (f"text/html;q=0.8, {V1_JSON};q=0.9", Form.JSON),
        (f"{V1_JSON};q=0.001, {V1_HTML};q=0.002", Form.V1_HTML),
        # At equal weights, who names forms gets the one that says most.
        (f"text/html, {V1_HTML}, {V1_JSON}", Form.JSON),
        (f"text/html, {V1_HTML}", Form.V1_HTML),
        ("text/html, */*", Form.HTML),
        (f"*/*, {V1_JSON}", Form.JSON),
        (f"*/*, {V1_HTML}", Form.V1_HTML),
        # Who takes anything gets what everybody reads.
        ("text/*", Form.HTML),
        ("application/*", Form.JSON),
        ("application/*, text/*", Form.HTML),
        ("*/*;q=0.1", Form.HTML),
        ("image/png, *;q=0.1", Form.HTML),
        # The most specific range decides about a form.
        (f"*/*, {V1_JSON};q=0.5", Form.HTML),
        (f"{V1_JSON};q=0, */*", Form.HTML),
        ("text/html;q=0, */*", Form.JSON),
        ("text/*;q=0, */*;q=0.3", Form.JSON),
        (f"text/html;q=0, {V1_JSON};q=0, */*", Form.V1_HTML),
        (f"application/*;q=0.1, {V1_HTML};q=0.9, text/html;q=0.5", Form.V1_HTML),
        (f"{LATEST_JSON};q=0.2, {V1_JSON};q=0.9, text/html;q=0.5", Form.JSON),
        (f"{V1_JSON};q=0, {LATEST_JSON}", None),
        ("text/html, text/html;q=0", Form.HTML),
        # Nothing that we have.
        ("text/html;q=0", None),
        ("text/html;q=0.000", None),
        ("*/*;q=0", None),
        ("image/png", None),
        ("text/plain, application/xml;q=0.5", None),
        ("application/vnd.pypi.simple.v2+json", None),
        ("application/vnd.pypi.simple.v1+xml", None),
        # Malformed ranges are passed over.
        ("text/html;q=high", Form.HTML),
        (f"text/html;q=high, {V1_JSON};q=0.1", Form.JSON),
        (f"text/html;q=-1, {V1_JSON};q=0.1", Form.JSON),
        (f"text/html;q=2, {V1_JSON};q=0.1", Form.JSON),
        (f"text/html;q=1.5, {V1_JSON};q=0.1", Form.JSON),
        (f"text/html;q=nan, {V1_JSON};q=0.1", Form.JSON),
        (f"text/html;q=1e0, {V1_JSON};q=0.1", Form.JSON),
        (f"text/html;q=, {V1_JSON};q=0.1", Form.JSON),
        (f"text/html;q=\u0661, {V1_JSON};q=0.1", Form.JSON),
        ("html", Form.HTML),
        (f"html, {V1_JSON}", Form.JSON),
        # A comma in a quoted parameter separates nothing.
        (f'text/html;a="x, {V1_JSON}"', Form.HTML),
        (f'text/html;a="x\\", {V1_JSON}";q=0.3', Form.HTML),
        (f'image/png;a="never closed, {V1_JSON}', None),
    ],
)
def test_accept_is_weighed_as_the_standard_says(accept: str, form: Form | None) -> None:
    assert choose(accept) is form


@pytest.mark.parametrize(
    ("format_query", "form"),
    [
        (V1_JSON, Form.JSON),
        (V1_HTML, Form.V1_HTML),
        ("text/html", Form.HTML),
        (LATEST_JSON, Form.JSON),
        (LATEST_HTML, Form.V1_HTML),
        (V1_JSON.replace("+", " "), Form.JSON),
        (V1_JSON.upper(), Form.JSON),
    ],
)
@pytest.mark.parametrize("accept", [None, "text/html", V1_JSON, "image/png", "*/*;q=0"])
def test_the_format_parameter_goes_before_accept(
    format_query: str, form: Form, accept: str | None
) -> None:
    assert choose(accept, format_query) is form


@pytest.mark.parametrize("format_query", [None, "", "json", "text/*", "*/*", "application/json"])
@pytest.mark.parametrize(
    ("accept", "form"), [(None, Form.HTML), (V1_JSON, Form.JSON), ("image/png", None)]
)
def test_an_unknown_format_is_as_if_it_were_not_there(
    format_query: str | None, accept: str | None, form: Form | None
) -> None:
    assert choose(accept, format_query) is form


@settings(deadline=None)  # a loaded machine may take its time over the long ones
@given(
    accept=st.text(st.sampled_from('tex/html*;,q=01.9 "\\+\t\x00é'))
    | st.lists(
        st.tuples(
            st.sampled_from([V1_JSON, LATEST_HTML, "text/html", "*/*", "application/*", "a/b"]),
            st.sampled_from(["", ";q=0", ";q=0.5", "; Q=1", ";q=x", ";q", ';A="']),
        ).map("".join)
    ).map(",".join)
)
@example(accept='"\\' * 30_000)
@example(accept='text/html;a="' + '\\"' * 30_000)
@example(accept="," * 60_000)
@example(accept="text/html;q=0." + "9" * 60_000)
def test_no_header_is_too_odd(accept: str) -> None:
    assert choose(accept) in {*Form, None}
    assert names_json(accept) is False
    names_html(accept)


@pytest.mark.parametrize(
    ("accept", "named"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/*", False),
        (V1_JSON, False),
        ("application/json", True),
        ("Application/JSON; q=0.1", True),
        ("text/html, application/json;q=0.9, text/plain;q=0.8", True),
        ("application/json;charset=utf-8", True),
        ("application/json;q=0", False),
        ("application/json;q=0, */*", False),
        ('text/plain;a="x,application/json"', False),
        ("application/jsonp", False),
    ],
)
def test_devpi_json_is_only_for_those_who_name_it(accept: str | None, named: bool) -> None:
    assert names_json(accept) is named


@pytest.mark.parametrize(
    ("accept", "named"),
    [
        (CHROME, True),
        ("Text/HTML; q=0.1", True),
        (None, False),
        ("*/*", False),
        ("text/*", False),
        ("text/html;q=0, */*", False),
        ("text/htmlx", False),
        ('a/b;c="x,text/html"', False),
    ],
)
def test_a_page_for_people_is_for_those_who_name_html(accept: str | None, named: bool) -> None:
    assert names_html(accept) is named


@pytest.mark.parametrize(
    ("accept_encoding", "taken"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, zstd", True),
        ("deflate, zstd", False),
        ("identity", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip; q=0.5", True),
        ("gzip;q=0.5, identity", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("identity;q=0, *", True),
        ("gzip;q=nonsense", False),
        (",,;q=1,", False),
    ],
)
def test_gzip_is_for_those_who_want_it(accept_encoding: str | None, taken: bool) -> None:
    assert takes_gzip(accept_encoding) is taken
