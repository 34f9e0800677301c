"""What a server tells on its standard error."""

import logging
import sys

from simpleindex.errors import RequestError
from simpleindex_storage.errors import StoreError


def log_to_stderr(*, access_log: bool) -> None:
    """Let failures, and with `access_log` requests, go there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_in_one_line)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for name, level in (
        ("simpleindex", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("uvicorn.access", logging.INFO if access_log else logging.WARNING),
        ("python_multipart", logging.ERROR),  # it warns of each body that the sender got wrong
    ):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.addHandler(handler)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Tell of an answer that had to be cut, because upstream failed, without a traceback.

    To raise is the only way in which ASGI lets a connection be cut.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RequestError | StoreError):
        record.msg, record.args = "an answer was cut: %s", (str(error),)
        record.exc_info = None
    return True
