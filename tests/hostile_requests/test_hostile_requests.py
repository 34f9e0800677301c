"""Every door of a real server under every attack: refused in one line, and nothing is changed.

The quick form tries every attack at two doors and every door with attacks of each group; the full
form tries all at all.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import TypeAlias, get_args

import pytest
from starlette.requests import Request as AsgiRequest

from simpleindex.routes.front import Front
from simpleindex.wire.locations import Location
from tests.hostile_requests.attack import Attack
from tests.hostile_requests.doors import DOORS, Door
from tests.hostile_requests.judging import faults
from tests.hostile_requests.site import Site, attacked_site
from tests.hostile_requests.table import GROUPS, quick, whole
from tests.hostile_requests.talking import Hanging, Line, Malformed
from tests.hostile_requests.tally import Tally

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
        with Line(site.server.port, f"127.1.{number // 250 % 250}.{number % 250 + 1}") as line:
            for door in doors:
                told = tried(attack, door, line, site, tally)
                found += [f"{attack.name} at {door}: {fault}" for fault in told]
    assert not found, "\n".join([f"{len(found)} faults", *found[:_FAULTS_SHOWN]])
    after = site.seen()
    assert after.answers == before.answers
    assert after.paths == before.paths
    assert after.handles == before.handles
    assert not site.odd_log_lines()
    assert not site.escaped()
    tally.most_kilobytes = max(tally.most_kilobytes, site.kilobytes())
    assert tally.most_kilobytes - tally.least_kilobytes < MEMORY_KILOBYTES_MAX, str(tally)


def tried(attack: Attack, door: Door, line: Line, site: Site, tally: Tally) -> Iterator[str]:
    """What is wrong with the answer to an attack at a door."""
    request = attack.change(door.request(None if attack.is_harmless else site.root))
    try:
        answer = line.ask(request.content, request.method.decode("latin-1"), ended=request.ended)
    except (Hanging, Malformed) as error:
        line.hang_up()
        yield str(error)
        return
    tally.answers[answer.status] += 1
    yield from faults(attack, door, answer, site.usual[door])
