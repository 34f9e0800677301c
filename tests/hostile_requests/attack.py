"""What an attack is: a change to a door's good request, and the answers that are right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from tests.hostile_requests.doors import DOORS, Door, Request

Change: TypeAlias = Callable[[Request], Request]

POISON = b"poisoned.example"
"""A host that no answer may lead to."""

MARKUP = "<script>alert(1)</script>"
"""No page may hold it as it is."""

ESCAPED = "escaped-from-the-store"
"""No file may have it in its name."""

SILENT = 0
"""Among statuses: the connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A request that nobody sends who means well.

    Where the usual answer is right as well (`is_harmless`), it is sent to doors that change things
    by somebody who may not, so that nothing is changed; all others are sent by root, whom nothing
    but the attack's own fault stands in the way of.
    """

    name: str
    change: Change
    answers: frozenset[int]
    """The statuses that are right."""
    is_harmless: bool = False
    doors: Sequence[Door] = DOORS
    is_long: bool = False
    """Whether it costs so much that the quick form tries it at one door only."""
    changes_answer: bool = False
    """Whether the usual answer may have another body: another form of a page, for one."""
    is_by_stranger: bool = False
    """Whether it does not come through the proxy that the server trusts."""

    def right(self, door: Door) -> frozenset[int]:
        """The statuses that are right at a door."""
        return self.answers | {door.stranger} if self.is_harmless else self.answers


def refused(
    name: str, change: Change, *statuses: int, doors: Sequence[Door] = DOORS, is_long: bool = False
) -> Attack:
    """An attack that must be refused; with 400 unless other statuses are named."""
    return Attack(name, change, frozenset(statuses or (400,)), doors=doors, is_long=is_long)


def harmless(
    name: str, change: Change, *statuses: int, doors: Sequence[Door] = DOORS, is_long: bool = False
) -> Attack:
    """An attack that makes no difference, or is answered with one of these statuses."""
    return Attack(name, change, frozenset(statuses), True, doors, is_long)


def passed_over(name: str, change: Change, *statuses: int, doors: Sequence[Door] = DOORS) -> Attack:
    """An attack that makes no difference to the status, but chooses among forms of an answer."""
    return replace(harmless(name, change, *statuses, doors=doors), changes_answer=True)


def by_a_stranger(attack: Attack) -> Attack:
    """The same, not through the proxy that the server trusts."""
    return replace(attack, is_by_stranger=True)


def headers(*added: tuple[bytes, bytes]) -> Change:
    """With these headers."""
    return lambda request: request.with_headers(*added)


def plus(*added: tuple[bytes, bytes]) -> Change:
    """With these headers, beside one of the same name."""
    return lambda request: replace(request, headers=(*request.headers, *added))


def body(content: bytes) -> Change:
    """With another body."""
    return lambda request: replace(request, body=content)


def shown(content: bytes | str) -> str:
    """The beginning of it, for names of attacks."""
    text = content if isinstance(content, str) else content.decode("latin-1")
    return text[:40].encode("unicode_escape").decode()
