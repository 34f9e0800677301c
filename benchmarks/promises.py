"""What our server promises, in figures that the benchmarks find, and whether that holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.findings import Report
from benchmarks.peers import OURS, OURS_WITH_SPEED

_BYTES_OF_NGINX = "nginx"
BEST_RIVAL = "pypiron"
"""Who ours has to be ahead of."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the figure of a line is at least, or with `is_most` at most, for each kind of install.

    In times of the figure of the server `than`, or by itself where there is none.
    """

    title: str
    plain: float | None
    with_speed: float | None
    than: str | None = None
    is_most: bool = False

    def bounds(self) -> Iterator[tuple[str, float]]:
        """Each kind of install that something is promised for, and what."""
        for kind, bound in ((OURS, self.plain), (OURS_WITH_SPEED, self.with_speed)):
            if bound is not None:
                yield kind, bound


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a promise holds for one kind of install."""

    promise: Promise
    kind: str
    bound: float
    found: float | None
    """None where it could not be measured; `reason` says why."""
    reason: str = ""
    limited: tuple[str, ...] = ()
    """Those of both whose figure was the load's and not their own."""

    @property
    def is_held(self) -> bool:
        if self.found is None:
            return False
        return self.found <= self.bound if self.promise.is_most else self.found >= self.bound

    def __str__(self) -> str:
        than = f" x {self.promise.than}" if self.promise.than else ""
        promised = f"{'<=' if self.promise.is_most else '>='} {self.bound:g}{than}"
        if self.found is None:
            return f"{promised}: NOT MEASURED ({self.reason})"
        doubt = f", where the load was the limit of {' and '.join(self.limited)}"
        verdict = f"{promised}: {'held' if self.is_held else 'MISSED'}, {self.found:.2f}"
        return verdict + (doubt if self.limited else "")


def verdicts(report: Report, promises: Sequence[Promise]) -> list[Verdict]:
    """One for each promise and kind of install."""
    return [
        _verdict(report, promise, kind, bound)
        for promise in promises
        for kind, bound in promise.bounds()
    ]


def _verdict(report: Report, promise: Promise, kind: str, bound: float) -> Verdict:
    title, than = promise.title, promise.than
    found = report.figure(title, kind) if than is None else report.ratio(title, kind, than)
    reason = ""
    asked = (kind,) if than is None else (kind, than)
    if found is None:
        reasons = dict.fromkeys(report.why_without(title, name) for name in asked)
        reason = "; ".join(filter(None, reasons)) or "not asked for together"
    limited = tuple(name for name in asked if report.is_load_the_limit(title, name))
    return Verdict(promise, kind, bound, found, reason, limited)


def _repeated(title: str) -> Promise:
    """What our server has answered before it answers from memory, nginx from a file."""
    return Promise(title, 1.3, 1.5, _BYTES_OF_NGINX)


PROMISES = (
    _repeated("page of 5 files, HTML"),
    _repeated("page of 5 files, JSON"),
    Promise("and no two requests alike, JSON", None, 0.35, _BYTES_OF_NGINX),
    Promise("page of 2,000 files, HTML", 0.9, 0.9, _BYTES_OF_NGINX),
    Promise("page of 2,000 files, JSON", 0.9, 0.9, _BYTES_OF_NGINX),
    _repeated("304 of a page, JSON"),
    _repeated("metadata of a wheel"),
    Promise("file of 1 KB", 0.6, 0.6, _BYTES_OF_NGINX),
    Promise("file of 1 KB", 1.0, 1.0, BEST_RIVAL),
    Promise("file of 100 MB", 0.8, 0.8, _BYTES_OF_NGINX),
    Promise("uploads on 1 connection", 1.0, 1.0, BEST_RIVAL),
    Promise("uploads on 8 connections", 1.0, 1.0, BEST_RIVAL),
    Promise("uploads on 1 connection, ours too with one sync only", 1.0, 1.0, BEST_RIVAL),
    Promise("uploads on 8 connections, ours too with one sync only", 1.0, 1.0, BEST_RIVAL),
    Promise("page of 5 files, JSON: with the access log", 0.8, 0.8),
    Promise("500 such pages in turn, JSON: with the access log", 0.8, 0.8),
    Promise("start to the first page", 0.4, 0.4, is_most=True),
    Promise("memory when idle", 60, 60, is_most=True),
    Promise("memory after all of this load", 120, 120, is_most=True),
    Promise("page while 1 KB wheels come in, p99", 10, 10, is_most=True),
    Promise("page while 5 MB wheels come in, p99", 10, 10, is_most=True),
    Promise("pip installs 60 projects, server just started", 1.1, 1.1, _BYTES_OF_NGINX, True),
    Promise("pip installs 60 projects", 1.1, 1.1, _BYTES_OF_NGINX, True),
    Promise("uv resolves 60 projects, server just started", 1.1, 1.1, _BYTES_OF_NGINX, True),
    Promise("uv resolves 60 projects", 1.1, 1.1, _BYTES_OF_NGINX, True),
)
