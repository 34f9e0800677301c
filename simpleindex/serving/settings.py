"""Settings that are read again while a server runs."""

import logging
from collections.abc import Callable
from dataclasses import replace

from simpleindex.config import Config, ConfigError, differences
from simpleindex.errors import one_line
from simpleindex.serving.tls import tls_of
from simpleindex_storage.errors import StoreError

_log = logging.getLogger("simpleindex")


class Settings:
    """The settings of a running server, and where to read them again."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        """`read` tells the settings as they are now. Raises ConfigError."""
        self.current = config
        """What is in effect; what takes a restart, as it was at the start."""
        self._read = read

    def read(self) -> Config:
        """The settings as they are now, and can be used. Raises ConfigError."""
        config = self._read()
        tls_of(config)
        return config

    def take(self, config: Config) -> None:
        """From now on these are in effect; what is different goes to the log."""
        taken, waiting = differences(self.current, config)
        kept = {name: getattr(self.current, name) for name in waiting}
        self.current = replace(config, **kept)
        told = ", ".join(taken) or "nothing"
        if waiting:
            told += f"; not before a restart: {', '.join(waiting)}"
        _log.info("settings were read again; changed: %s", told)
        tls = tls_of(config)
        if tls is not None:
            _log.info("the certificate %s was read again", tls.cert)
            for warning in tls.warnings:
                _log.warning("%s", warning)


def log_unusable(error: ConfigError | StoreError) -> None:
    """Tell that settings could not be taken over."""
    _log.error("the settings stay as they were: %s", one_line(str(error)))
