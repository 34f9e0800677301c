"""What is well-formed is understood as the standards say: each answer is compared with one that
is worked out in the plainest way."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex.wire.conditional import ByteRange, Unsatisfiable, choose_range, matches_none
from simpleindex.wire.multipart import Event, Field, FileChunk, FileEnd, FileStart, MultipartParser
from simpleindex.wire.negotiate import Form, choose, takes_gzip
from tests.fuzz import references

FORMS = {
    references.HTML: Form.HTML,
    references.V1_HTML: Form.V1_HTML,
    references.JSON: Form.JSON,
    None: None,
}

blanks = st.sampled_from(["", "", " ", "\t", "  "])
tokens = st.text(st.sampled_from("abcXYZ019!#$%&'*+.^_`|~-"), min_size=1, max_size=5)
weights = st.sampled_from(["", "0", "0.", "0.5", "0.25", "0.125", "0.001", "0.000", "1", "1.000"])


@st.composite
def lists_of(draw: st.DrawFn, names: st.SearchStrategy[str]) -> str:
    """Elements with parameters and weights, spelled in every way that RFC 9110 allows."""
    elements = []
    for name in draw(st.lists(names, min_size=1, max_size=6)):
        element = draw(blanks) + draw(st.sampled_from([name, name, name.upper()]))
        for key in draw(st.lists(tokens.filter(lambda token: token.lower() != "q"), max_size=1)):
            element += f"{draw(blanks)};{draw(blanks)}{key}={draw(tokens)}"
        if weight := draw(weights):
            q = draw(st.sampled_from("qQ"))
            element += f"{draw(blanks)};{draw(blanks)}{q}={weight}"
        elements.append(element + draw(blanks))
    return ",".join(elements)


media_ranges = st.sampled_from(
    [
        "text/html", "text/*", "*/*", "application/*", "image/png", "application/json",
        "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html",
        "application/vnd.pypi.simple.latest+json", "application/vnd.pypi.simple.latest+html",
        "application/vnd.pypi.simple.v2+json",
    ]
) | st.builds("{}/{}".format, tokens, tokens)  # fmt: skip
codings = st.sampled_from(["gzip", "identity", "*", "br", "deflate", "zstd"])


@settings(max_examples=300, deadline=None)
@given(accept=lists_of(media_ranges))
def test_the_form_that_weighs_most_is_sent(accept: str) -> None:
    assert choose(accept) is FORMS[references.chosen_form(accept)]


@settings(max_examples=100, deadline=None)
@given(first=lists_of(media_ranges), second=lists_of(media_ranges))
def test_two_headers_are_one_list(first: str, second: str) -> None:
    assert choose(f"{first}, {second}") is FORMS[references.chosen_form(f"{first},{second}")]


@settings(max_examples=300, deadline=None)
@given(names=st.lists(codings, unique=True, min_size=1), data=st.data())
def test_gzip_is_sent_where_it_weighs_no_less_than_nothing(
    names: list[str], data: st.DataObject
) -> None:
    header = ", ".join(
        name + (f";q={weight}" if (weight := data.draw(weights)) else "") for name in names
    )
    assert takes_gzip(header) is references.welcomes_gzip(header)


positions = st.integers(0, 40).map(str) | st.integers(0, 40).map("{:05}".format) | st.just("9" * 30)


@settings(max_examples=400, deadline=None)
@given(
    ends=st.tuples(positions, positions)
    | st.tuples(positions, st.just(""))
    | st.tuples(st.just(""), positions),
    size_bytes=st.integers(1, 40),
)
def test_a_range_selects_the_bytes_that_it_names(ends: tuple[str, str], size_bytes: int) -> None:
    header = "bytes={}-{}".format(*ends)
    chosen = choose_range(header, None, etag='"a"', last_modified=None, size_bytes=size_bytes)
    if all(ends) and int(ends[0]) > int(ends[1]):
        assert chosen is None
        return
    selected = references.selected_bytes(header, size_bytes)
    if isinstance(chosen, ByteRange):
        assert [*range(chosen.first, chosen.last + 1)] == selected
    else:
        assert (chosen, selected) == (Unsatisfiable(), [])


opaque = st.text(st.sampled_from("ab,;W/!~ #".replace(" ", "")), max_size=4)


@given(
    listed=st.lists(st.tuples(st.sampled_from(["", "W/"]), opaque), min_size=1, max_size=4),
    own=opaque,
    comma=st.sampled_from([",", ", "]),
)
def test_a_tag_matches_if_it_is_listed(listed: list[tuple[str, str]], own: str, comma: str) -> None:
    header = comma.join(f'{weak}"{tag}"' for weak, tag in listed)
    expected = own in [tag for _, tag in listed]
    assert (own in references.listed_tags(header)) is expected
    assert matches_none(header, f'"{own}"') is expected
    assert matches_none(header, f'W/"{own}"') is expected


# Forms

names = st.text(st.sampled_from("ab:_. \u00fc"), min_size=1, max_size=6)
part_headers = st.sampled_from(
    ["", "Content-Type: text/plain; charset=utf-8\r\n", "X-Any: 1\r\nX-Other: a;b\r\n"]
)


@st.composite
def forms(draw: st.DrawFn) -> tuple[str, bytes, list[Event]]:
    """A boundary, a body, and what was sent in it."""
    boundary = draw(st.text(st.sampled_from("-ab"), min_size=1, max_size=6))
    body, sent = draw(st.sampled_from([b"", b"\r\n", b"for old readers\r\n"])), list[Event]()
    for name in draw(st.lists(names, max_size=3)):
        value = draw(contents(boundary))
        while (text := value.decode("utf-8", "ignore")).encode() != value:
            value = without_boundary(text.encode(), boundary)
        body += a_part(boundary, f'name="{name}"', draw(part_headers), text.encode())
        sent.append(Field(name, text))
    content = draw(contents(boundary))
    body += a_part(boundary, 'name="content"; filename="a"', draw(part_headers), content)
    sent += [FileStart("content", "a"), *([FileChunk(content)] if content else []), FileEnd()]
    body += f"--{boundary}--".encode() + draw(st.sampled_from([b"", b"\r\n", b"\r\nmore"]))
    return boundary, body, sent


@st.composite
def contents(draw: st.DrawFn, boundary: str) -> bytes:
    """What looks like the end of a part again and again, but is none."""
    almost = [b"\r\n--", b"\r\n-", b"\r\n", b"\r", b"\n", b"--", boundary.encode(), b"\0", b"x"]
    content = b"".join(draw(st.lists(st.sampled_from(almost) | st.binary(max_size=3), max_size=9)))
    return without_boundary(content, boundary)


def without_boundary(content: bytes, boundary: str) -> bytes:
    """Fit to be the content of a part: also where it begins, nothing looks like a boundary."""
    delimiter = f"\r\n--{boundary}".encode()
    while delimiter in b"\r\n" + content:
        content = (b"\r\n" + content).replace(delimiter, b"")[2:]
    return content


def a_part(boundary: str, disposition: str, headers: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n"
    return head.encode() + content + b"\r\n"


@settings(max_examples=200, deadline=None)
@given(form=forms(), ends=st.lists(st.integers(0, 5000), max_size=9))
def test_a_form_arrives_as_it_was_sent_in_any_spelling_and_any_chunks(
    form: tuple[str, bytes, list[Event]], ends: list[int]
) -> None:
    boundary, body, sent = form
    parser = MultipartParser(f'multipart/form-data; boundary="{boundary}"')
    cuts = [0, *sorted(end % (len(body) + 1) for end in ends), len(body)]
    arrived = [event for start, end in pairwise(cuts) for event in parser.feed(body[start:end])]
    parser.finish()
    assert joined(arrived) == sent
    contents_sent = [event.value.encode() for event in sent if isinstance(event, Field)]
    contents_sent.append(b"".join(each.data for each in sent if isinstance(each, FileChunk)))
    assert [part[2] for part in references.split_form(body, boundary.encode())] == contents_sent


def joined(events: list[Event]) -> list[Event]:
    """With the chunks of the file in one."""
    together: list[Event] = []
    for event in events:
        match together, event:
            case [*_, FileChunk(before)], FileChunk(data):
                together[-1] = FileChunk(before + data)
            case _:
                together.append(event)
    return together
