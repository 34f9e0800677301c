"""The table of attacks, one group for each way in which a client can be hostile."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from tests.hostile_requests import bodies, credentials, forms, framing, heads, paths
from tests.hostile_requests.attack import Attack
from tests.hostile_requests.doors import Door

GROUPS: Mapping[str, Callable[[], Iterable[Attack]]] = {
    "paths": paths.paths,
    "names of users and indexes": paths.names,
    "spellings of paths": paths.spellings,
    "long paths": paths.long_paths,
    "queries": paths.queries,
    "methods": paths.methods,
    "names in uploads": forms.names,
    "archives": forms.archives,
    "forms": forms.multipart,
    "bodies cut short": forms.cut_short,
    "bombs in forms": forms.bombs,
    "JSON": bodies.json_bodies,
    "logins": bodies.logins,
    "JSON of settings and orders": bodies.json_settings,
    "packed bodies": bodies.packed_bodies,
    "ranges": heads.ranges,
    "conditions": heads.conditions,
    "negotiation": heads.negotiation,
    "hosts": heads.hosts,
    "what a trusted proxy passes on": heads.forwarded,
    "odd headers": heads.odd_headers,
    "what front servers ask": heads.asked_by_front_servers,
    "framing": framing.framing,
    "hidden requests": framing.hidden_requests,
    "lines": framing.lines,
    "credentials": credentials.credentials,
    "log lines": credentials.log_lines,
}


def whole(attacks: Iterable[Attack]) -> Iterator[tuple[Attack, tuple[Door, ...]]]:
    """Every attack at every door that it fits, beginning with another one each time."""
    for number, attack in enumerate(attacks):
        first = number % len(attack.doors)
        yield attack, (*attack.doors[first:], *attack.doors[:first])


def quick(attacks: Iterable[Attack]) -> Iterator[tuple[Attack, tuple[Door, ...]]]:
    """Every attack at two doors, a long one at one; and every door under many attacks."""
    for attack, doors in whole(attacks):
        if attack.is_long:
            yield attack, doors[:1]
        else:
            yield attack, doors[:: max(1, len(doors) // 2)][:2]
