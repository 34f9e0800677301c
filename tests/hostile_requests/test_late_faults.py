"""What comes behind an answer, and is no request: the connection ends, and the log stays clean."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hostile_requests.doors import FORMS
from tests.hostile_requests.site import attacked_site
from tests.hostile_requests.talking import Line

BROKEN = [b"zz\r\n", b"-1\r\n", b"5\r\nhelloX\r\n", b"f" * 30 + b"\r\n", b"\0\0\r\n"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_body_that_breaks_behind_its_refusal_ends_the_connection(tmp_path: Path) -> None:
    with attacked_site(tmp_path) as site:
        for number, rest in enumerate(BROKEN):
            door = FORMS[number % len(FORMS)]  # each refuses before it reads
            request = door.request().with_headers((b"Transfer-Encoding", b"chunked"))
            with Line(site.server.port) as line:
                refusal = line.ask(replace(request, body=b"").content)
                assert (refusal.status, refusal.closes) == (401, False)
                assert not line.send_to_the_end(rest)
        assert not site.odd_log_lines()
