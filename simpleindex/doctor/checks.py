"""All checks, in the order in which they are told."""

from collections.abc import Callable, Iterator

from simpleindex.doctor import machine_checks, site_checks
from simpleindex.doctor.examined import Examined
from simpleindex.doctor.finding import Finding

CHECKS: tuple[Callable[[Examined], Iterator[Finding]], ...] = (
    machine_checks.versions,
    machine_checks.directory,
    machine_checks.disk,
    machine_checks.clock,
    site_checks.catalog,
    machine_checks.processes,
    site_checks.environment,
    site_checks.addresses,
    site_checks.sending,
    site_checks.certificate,
    site_checks.rights,
    site_checks.indexes,
    site_checks.uploads,
    site_checks.upstreams,
    machine_checks.backups,
)


def findings(seen: Examined) -> Iterator[Finding]:
    """What there is to tell of what was examined."""
    for check in CHECKS:
        yield from check(seen)
