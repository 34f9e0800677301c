"""Settings that are read again while a server runs."""

import logging
from collections.abc import Callable

from simpleindex.config import Config, ConfigError, differences
from simpleindex_storage.errors import StoreError

_log = logging.getLogger("simpleindex")


class Settings:
    """The settings of a running server, and where to read them again."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        """`read` tells the settings as they are now. Raises ConfigError."""
        self.current = config
        self.read = read

    def take(self, config: Config) -> None:
        """From now on these are in effect; what is different goes to the log."""
        taken, waiting = differences(self.current, config)
        self.current = config
        told = ", ".join(taken) or "nothing"
        if waiting:
            told += f"; not before a restart: {', '.join(waiting)}"
        _log.info("settings were read again; changed: %s", told)


def log_unusable(error: ConfigError | StoreError) -> None:
    """Tell that settings could not be taken over."""
    _log.error("the settings stay as they were: %s", " ".join(str(error).split()))
