"""What is wrong with an answer to an attack, in words; nothing, if it is right."""

import json
from collections.abc import Iterator

from simpleindex.wire.browser_headers import EVERYWHERE, OPEN_TO_OTHER_SITES
from tests.hostile_requests.attack import MARKUP, POISON, SILENT, Attack
from tests.hostile_requests.doors import Door
from tests.hostile_requests.talking import Answer

_LINE_CHARACTERS_MAX = 1000
_SECRETS = (b"Traceback", b"site-packages", b'File "', b"simpleindex_storage", b"sqlite3.")


def faults(attack: Attack, door: Door, answer: Answer, usual: Answer) -> Iterator[str]:
    """Everything that is wrong. `usual` is the answer to the door's good request."""
    right = attack.right(door)
    if answer.status not in right:
        expected = ", ".join(map(str, sorted(right)))
        yield f"{answer.status} in place of {expected}: {answer.body[:200]!r}"
    if answer.status == SILENT:
        return
    yield from _leaks(answer)
    if answer.status >= 400:
        yield from _of_refusal(answer)
    elif _is_compared(attack, door, answer, usual) and answer.body != usual.body:
        yield f"its body is another than usually: {answer.body[:200]!r}"
    if answer.status == 206:
        yield from _of_part(answer, usual)


def _is_compared(attack: Attack, door: Door, answer: Answer, usual: Answer) -> bool:
    return (
        attack.is_harmless
        and not attack.changes_answer
        and door.is_steady
        and answer.status == usual.status
    )


def _leaks(answer: Answer) -> Iterator[str]:
    """What no answer has in it, whatever it says."""
    sent = answer.head + b"\n" + answer.body
    if any(secret in sent for secret in _SECRETS):
        yield f"it tells of the server's insides: {answer.body[:200]!r}"
    if any(name == "x-injected" for name, _ in answer.headers):
        yield "a header was injected"
    told = "\n".join(f"{name}: {value}" for name, value in answer.headers).encode("latin-1")
    if POISON in told or (answer.status < 400 and POISON in answer.body):
        yield "it leads to where the attacker wants"
    untold = [name for name in EVERYWHERE if not answer.header(name)]
    if untold:
        yield f"browsers are not told {', '.join(untold)}"
    is_page = answer.header("content-type").startswith("text/html")
    if is_page and MARKUP.encode() in answer.body:
        yield "markup comes back as it was sent"


def _of_refusal(answer: Answer) -> Iterator[str]:
    """One readable line, as text or as JSON; and nothing that a browser would run."""
    content_type = answer.header("content-type")
    text = answer.body.decode()
    if content_type == "application/json":
        line = json.loads(text)["message"]
    elif content_type == "text/plain; charset=utf-8":
        line = text.removesuffix("\n")
    else:
        yield f"its Content-Type is {content_type!r}"
        return
    if answer.body and not (line.isprintable() and 0 < len(line) <= _LINE_CHARACTERS_MAX):
        yield f"it is no readable line: {line[:200]!r}"
    if not answer.reason.isprintable():
        yield f"its reason phrase is {answer.reason!r}"
    for name, value in EVERYWHERE.items():
        if answer.header(name) not in (value, OPEN_TO_OTHER_SITES.get(name)):
            yield f"browsers are told {name}: {answer.header(name)}"
    if answer.status == 405 and not answer.header("allow"):
        yield "it allows nothing"


def _of_part(answer: Answer, usual: Answer) -> Iterator[str]:
    told = answer.header("content-range")
    span, _, size = told.removeprefix("bytes ").partition("/")
    first, _, last = span.partition("-")
    if int(size) != len(usual.body) or answer.body != usual.body[int(first) : int(last) + 1]:
        yield f"it is not the part that it tells: {told}"
