"""What the benchmarks that compare servers have in common: who takes part, filled, and in turn."""

import argparse
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.corpus import Corpus
from benchmarks.limit_peer import LIMIT, LimitPeer
from benchmarks.nginx_peer import NginxPeer
from benchmarks.peers import OURS, OURS_WITH_SPEED, Peer, Served, SimpleindexPeer, our_kinds
from benchmarks.processes import Cores, PeerFailed, choose_cores
from benchmarks.rivals import RIVALS, rivals
from benchmarks.tables import say

NGINX = "nginx"
LOGGING = "{}, logging"
"""The name of ours with its access log."""
SYNCING_ONCE = "{}, one sync"
"""The name of ours with no more syncs than the fastest rival has."""
VARIANTS = (LOGGING, SYNCING_ONCE)

PEERS = (OURS, OURS_WITH_SPEED, NGINX, LIMIT, *RIVALS)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, of what every such benchmark knows."""

    peers: tuple[str, ...]
    rounds: int
    minutes_max: float
    workdir: Path | None
    findings: Path | None


@dataclass(frozen=True, slots=True)
class Entrant:
    """A server that can be measured, and the folder that holds what it serves."""

    peer: Peer
    folder: Path

    @property
    def name(self) -> str:
        return self.peer.name

    def started(self, core: int | None) -> AbstractContextManager[Served]:
        """Answering, for the time of a `with` block; any number of times."""
        return self.peer.started(self.folder, core)


@dataclass(slots=True)
class LineUp:
    """Who takes part; the versions of these, and why others do not."""

    entrants: list[Entrant] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def in_turn(self, number: int) -> list[Entrant]:
        """All; who is first changes with the round."""
        first = number % len(self.entrants)
        return [*self.entrants[first:], *self.entrants[:first]]

    def add(self, peer: Peer, corpus: Corpus, folder: Path) -> Entrant | None:
        """Fill the peer's own folder below this one; None where the peer is missing, or fails."""
        say(f"filling {peer.name}")
        own = folder / peer.name.replace(" ", "-")
        try:
            missing = peer.missing()
            if missing is None:
                own.mkdir(parents=True)
                peer.fill(corpus, own)
                self.versions[peer.name] = peer.version()
        except (PeerFailed, OSError) as failure:
            missing = str(failure)
        if missing is not None:
            self.missing[peer.name] = missing
            return None
        entrant = Entrant(peer, own)
        self.entrants.append(entrant)
        return entrant


def line_up(
    wanted: Sequence[str],
    corpus: Corpus,
    folder: Path,
    *,
    is_nginx_whole: bool = False,
    variants: Collection[str] = (),
) -> LineUp:
    """Fill all that are wanted and can be measured, and these of VARIANTS.

    Raises PeerFailed where ours cannot be.
    """
    found = LineUp()
    for kind in our_kinds():
        if kind.name in wanted:
            found.add(kind, corpus, folder)
            for variant in variants:
                found.add(_variant(kind, variant), corpus, folder)
    if not found.entrants:
        raise PeerFailed(f"no server of ours: {found.missing}")
    if NGINX in wanted:
        with found.entrants[0].started(None) as ours:
            found.add(NginxPeer(ours, is_nginx_whole), corpus, folder)
    if LIMIT in wanted:
        found.add(LimitPeer(our_kinds()[-1]), corpus, folder)
    for name, peer in rivals().items():
        if name in wanted:
            found.add(peer, corpus, folder)
    return found


def variant_of(name: str) -> str | None:
    """Which of VARIANTS a server is; None: it is what users have."""
    return next((each for each in VARIANTS if name.endswith(each.format(""))), None)


def _variant(kind: SimpleindexPeer, variant: str) -> SimpleindexPeer:
    return replace(
        kind,
        name=variant.format(kind.name),
        has_access_log=variant == LOGGING,
        syncs_once=variant == SYNCING_ONCE,
    )


@contextmanager
def working_folder(workdir: Path | None) -> Iterator[Path]:
    """A folder for the time of a `with` block, on the disk to measure."""
    with tempfile.TemporaryDirectory(dir=workdir, prefix="bench-") as name:
        yield Path(name)


def cores_for_load() -> Cores:
    """The cores to use; this process keeps off that of the servers from now on."""
    cores = choose_cores()
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})
    return cores


def pinning_note(cores: Cores) -> str:
    """Where servers and load run."""
    if cores.load is None:
        return "NOT pinned: servers and load share the cores"
    return f"servers on core {cores.server}, load on core {cores.load}"


def add_common_arguments(
    parser: argparse.ArgumentParser,
    *,
    peers: Sequence[str] = PEERS,
    rounds: int = 3,
    minutes_max: float,
) -> None:
    """What `common_options` reads."""
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument(
        "--peers",
        default=",".join(peers),
        help=f"of: {','.join(PEERS)}; ours is always there (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes-max", type=float, default=minutes_max, help="ends after fewer rounds"
    )
    parser.add_argument("--workdir", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--findings", type=Path, help="a file to write for benchmarks.report")


def common_options(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> Options:
    """What was said, checked. Ends the process where it cannot be."""
    peers = tuple(filter(None, parsed.peers.split(",")))
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if not {OURS, OURS_WITH_SPEED} & set(peers):
        peers = (OURS, *peers)
    return Options(
        peers=peers,
        rounds=parsed.rounds,
        minutes_max=parsed.minutes_max,
        workdir=parsed.workdir,
        findings=parsed.findings,
    )
