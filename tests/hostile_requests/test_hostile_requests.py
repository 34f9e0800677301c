"""Every door of a real server under every attack: refused in one line, and nothing is changed.

The quick form tries every attack at two doors, and all doors; the full form tries all at all. How
much was sent, and what it came to, is told at the end of the run.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TypeAlias, get_args

import pytest
from starlette.requests import Request as AsgiRequest

from simpleindex.routes.front import Front
from simpleindex.wire.locations import Location
from tests.hostile_requests.attack import Attack
from tests.hostile_requests.doors import DOORS, Door, Request
from tests.hostile_requests.judging import faults
from tests.hostile_requests.site import PROXY, Site, attacked_site
from tests.hostile_requests.table import GROUPS, quick, whole
from tests.hostile_requests.talking import Answer, Hanging, Line, Malformed
from tests.hostile_requests.tally import Tally

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="looks into /proc, and comes from several loopback addresses"
)

MEMORY_KILOBYTES_MAX = 64 << 10

_FAULTS_SHOWN = 20

Chosen: TypeAlias = Iterable[tuple[Attack, tuple[Door, ...]]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tally: Tally) -> Iterator[Site]:
    """The server that all attacks go to."""
    with attacked_site(tmp_path_factory.mktemp("attacked")) as attacked:
        attacked.seen()  # pages are made, threads are started
        tally.least_kilobytes = attacked.kilobytes()
        yield attacked


# The table itself


def test_every_kind_of_location_has_a_door() -> None:
    assert {door.kind for door in DOORS} == {each.__name__ for each in get_args(Location)}


def test_every_method_of_every_location_has_a_door() -> None:
    request = AsgiRequest({"type": "http", "method": "GET", "path": "/", "headers": []})
    front = object.__new__(Front)  # it is asked for nothing but which methods there are
    offered = {
        (door.kind, method) for door in DOORS for method in front._handlers(request, door.location)
    }
    assert {(door.kind, door.method) for door in DOORS} == offered


def test_the_quick_form_leaves_out_no_attack_and_no_door() -> None:
    reached = set()
    for group, attacks in GROUPS.items():
        chosen = list(quick(attacks()))
        assert len(chosen) == len(list(attacks())), group
        assert all(doors for _, doors in chosen), group
        reached |= {door for _, doors in chosen for door in doors}
    assert reached == set(DOORS)


def test_the_readme_tells_how_many_requests_there_are() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    told = re.search("([0-9,]+) hostile requests instead of ([0-9,]+)", readme)
    assert told is not None
    in_full, in_short = (int(each.replace(",", "")) for each in told.groups())
    quick_count, whole_count = (
        sum(len(doors) for attacks in GROUPS.values() for _, doors in choose(attacks()))
        for choose in (quick, whole)
    )
    assert in_short <= quick_count < in_short * 1.1
    assert in_full <= quick_count + whole_count < in_full * 1.1  # the full form has both


# The attacks


@pytest.mark.parametrize("group", GROUPS)
def test_attacks_are_refused_or_make_no_difference(group: str, site: Site, tally: Tally) -> None:
    attack_with(site, quick(GROUPS[group]()), tally)


@pytest.mark.full
@pytest.mark.parametrize("group", GROUPS)
def test_every_attack_at_every_door_is_refused_or_makes_no_difference(
    group: str, site: Site, tally: Tally
) -> None:
    attack_with(site, whole(GROUPS[group]()), tally)


_numbers = count()


def attack_with(site: Site, chosen: Chosen, tally: Tally) -> None:
    """Send it all. Each attack has an address of its own: failed logins count for theirs."""
    before = site.seen()
    found = []
    for attack, doors in chosen:
        tally.attacks += 1
        number = next(_numbers)
        address = f"198.18.{number // 250 % 250}.{number % 250 + 1}"
        with Line(site.server.port, "127.0.0.1" if attack.is_by_stranger else PROXY) as line:
            for door in doors:
                request = attack.change(good_request(attack, door, site, address))
                answer = answer_to(request, line)
                told = faults_of(attack, door, site, answer)
                found += [f"{attack.name} at {door}: {fault}" for fault in told]
                if isinstance(answer, Answer):
                    tally.answers[answer.status] += 1
    assert not found, "\n".join([f"{len(found)} faults", *found[:_FAULTS_SHOWN]])
    after = site.seen()
    assert after.answers == before.answers
    assert after.paths == before.paths
    assert after.handles == before.handles
    assert not site.odd_log_lines()
    assert not site.escaped()
    tally.most_kilobytes = max(tally.most_kilobytes, site.kilobytes())
    assert tally.most_kilobytes - tally.least_kilobytes < MEMORY_KILOBYTES_MAX, str(tally)


def good_request(attack: Attack, door: Door, site: Site, address: str) -> Request:
    """What the attack changes."""
    return door.request(
        None if attack.is_harmless else site.root,
        address=None if attack.is_by_stranger else address,
    )


def answer_to(request: Request, line: Line) -> Answer | Hanging | Malformed:
    """The answer, or why it is none."""
    try:
        return line.ask(request.content, request.method.decode("latin-1"), ended=request.ended)
    except (Hanging, Malformed) as error:
        line.hang_up()
        return error


def faults_of(
    attack: Attack, door: Door, site: Site, answer: Answer | Hanging | Malformed
) -> Iterable[str]:
    """What is wrong with it, in words."""
    if isinstance(answer, Answer):
        return faults(attack, door, answer, site.usual[door])
    return [str(answer)]
