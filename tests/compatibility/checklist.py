"""What devpi's protocol consists of, and which test stands for which part of it."""

from collections.abc import Callable
from typing import Any, TypeVar

_Test = TypeVar("_Test", bound=Callable[..., Any])

ROUTES = (
    "any /+api, /{user}/+api, /{user}/{index}/+api",
    "POST /+login",
    "GET /+status",
    "any /+authcheck",
    "GET /+changelog/{serial}, /+changelog/{serial}-",
    "GET /",
    "GET /{user}",
    "PUT /{user}",
    "PATCH /{user}",
    "DELETE /{user}",
    "GET /{user}/{index}",
    "PUT /{user}/{index}",
    "PATCH /{user}/{index}",
    "DELETE /{user}/{index}",
    "POST /{user}/{index} with a form",
    "PUSH /{user}/{index}, POST with JSON",
    "GET /{user}/{index} by an installer",
    "GET /{user}/{index}/+simple",
    "GET /{user}/{index}/+simple/{project}",
    "POST /{user}/{index}/+simple/{project}/refresh",
    "GET, HEAD /{user}/{index}/+f/{path}, +e/{path}",
    "POST /{user}/{index}/+f/{path}",
    "DELETE /{user}/{index}/+f/{path}",
    "GET /{user}/{index}/{project}",
    "GET /{user}/{index}/{project} by an installer",
    "DELETE /{user}/{index}/{project}",
    "GET /{user}/{index}/{project}/{version}",
    "DELETE /{user}/{index}/{project}/{version}",
)
"""Every route of devpi-server, and every method of it that does something else."""

VERBS = (
    "use URL",
    "use NAME",
    "use -l",
    "use --set-cfg",
    "--version",
    "login",
    "logoff",
    "user",
    "passwd",
    "index -c",
    "index key=value",
    "index",
    "index -l",
    "index --delete",
    "upload",
    "list",
    "list SPEC",
    "list -t",
    "getjson",
    "patchjson",
    "remove",
    "push",
    "install",
    "test",
    "refresh",
)
"""Every command of devpi-client, and every form of it that sends other requests."""

COVERED: dict[str, tuple[str, ...]] = {}
"""The routes and verbs of each test, by its name."""


def covers(*parts: str) -> Callable[[_Test], _Test]:
    """Mark a test with the routes and verbs that it checks."""

    def mark(test: _Test) -> _Test:
        COVERED[test.__name__] = parts
        return test

    return mark
