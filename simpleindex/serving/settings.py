"""Settings that are read again while a server runs."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from simpleindex.app import create_app
from simpleindex.config import Config, ConfigError, differences
from simpleindex.errors import one_line
from simpleindex.serving.tls import Tls, tls_of
from simpleindex_storage.errors import StoreError

_log = logging.getLogger("simpleindex")


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings that a running server can take over as they are."""

    config: Config
    """What takes a restart is in it as it was before."""
    tls: Tls | None
    taken: tuple[str, ...] = ()
    """Names of the settings that are different from those in effect."""
    waiting: tuple[str, ...] = ()
    """Names of those that somebody has changed, and that take a restart."""


class Settings:
    """The settings of a running server, and where to read them again."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        """`read` tells the settings as they are now. Raises ConfigError."""
        self.current = config
        """What is in effect."""
        self._read = read

    def read(self) -> Reading:
        """The settings as they are now, and as far as they can be used. Raises ConfigError."""
        config = self._read()
        taken, waiting = differences(self.current, config)
        config = replace(config, **{name: getattr(self.current, name) for name in waiting})
        tls = tls_of(config)
        if (tls is None) is not (self.current.tls_cert is None):
            raise ConfigError("tls_cert cannot be set or unset before a restart")
        return Reading(config, tls, tuple(taken), tuple(waiting))

    def take(self, reading: Reading) -> None:
        """From now on these are in effect; what is different goes to the log."""
        self.current = reading.config
        told = ", ".join(reading.taken) or "nothing"
        if reading.waiting:
            told += f"; not before a restart: {', '.join(reading.waiting)}"
        _log.info("settings were read again; changed: %s", told)
        tls = reading.tls
        if tls is not None:
            _log.info("the certificate %s was read again", tls.cert)
            for warning in tls.warnings:
                _log.warning("%s", warning)


def try_out(config: Config) -> None:
    """Open the server directory once, for the sake of what may be wrong with it or the settings.

    So that this is said once, and not by each worker. Raises Refused, Unavailable.
    """
    app = create_app(config)
    app.open()
    app.close()


def log_unusable(error: ConfigError | StoreError) -> None:
    """Tell that settings could not be taken over."""
    _log.error("the settings stay as they were: %s", one_line(str(error)))
