"""Where our server answers otherwise than devpi-server, on purpose."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

_Test = TypeVar("_Test", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Difference:
    """What each server answers in one case."""

    devpi: object
    ours: object
    why: str


DIFFERENCES: dict[str, Difference] = {
    "anonymous push to another server": Difference(
        200, 401, "the server would send requests to wherever strangers tell it"
    ),
    "base that has gone": Difference(400, 200, "it stands in nobody's way"),
    "body of a login that is a list": Difference(500, 400, "the client is wrong, not the server"),
    "changed file in a refused upload": Difference(
        "changed", "first", "what is refused changes nothing"
    ),
    "digest that is not the file's": Difference(200, 400, "the file was damaged on its way"),
    "empty password": Difference(200, 400, "everybody could log in"),
    "error_on_noop": Difference(200, 400, "it was asked for"),
    "file that was removed": Difference(410, 404, "nothing remembers it"),
    "first upload to root/local": Difference(404, 200, "the index is made"),
    "GET of refresh": Difference(404, 405, "the path is there, the method is not"),
    "identical release in a non-volatile index": Difference(
        409, 200, "a push that was cut off can be repeated"
    ),
    "link that runs a script": Difference(
        "javascript:alert(1)", "", "who clicks on it in a browser is logged in"
    ),
    "mirror_url with a password": Difference(True, False, "passwords are not for everybody"),
    "name missing in a form": Difference(500, 400, "the client is wrong, not the server"),
    "name in the steps of a push": Difference(
        "my-demo", "My.Demo", "projects are shown as their authors spell them"
    ),
    "old login after a new password": Difference(
        "ok", "noauth", "who changes a password wants others out"
    ),
    "operation += on an unknown key": Difference(500, 400, "the client is wrong, not the server"),
    "operation -= on an unknown key": Difference(200, 400, "a mistyped key is not passed over"),
    "order of links": Difference(
        ["doczip", "releasefile"], ["releasefile", "doczip"], "files come first, in any order sent"
    ),
    "own password by the client": Difference(
        403, 200, "the client sends back more than the password; only changes count"
    ),
    "part of a file": Difference(200, 206, "uv and pip need only the end of a wheel"),
    "project in another spelling": Difference(302, 200, "nobody has to ask twice"),
    "push without a version": Difference(500, 400, "the client is wrong, not the server"),
    "refresh of an unknown project": Difference(302, 404, "there is no page to go to"),
    "removal by anybody": Difference(200, 403, "who removes files is known by name"),
    "removal where there is no index": Difference(403, 404, "it says what is wrong"),
    "replication": Difference(403, 404, "there is none"),
    "settings of a stage for a mirror": Difference(200, 400, "a mistaken key is not passed over"),
    "status of a project": Difference(404, 200, "projects can be archived and deprecated"),
    "status tells folders": Difference(True, False, "that is nobody's business"),
    "title that is no text": Difference(200, 400, "pages show it"),
    "two spellings of a version": Difference(
        ["1.0", "1.0.0"], ["1.0"], "installers take them for one"
    ),
    "unknown key of a user": Difference(200, 400, "a mistyped key is not passed over"),
    "upload below the index": Difference(404, 200, "uploaders are often given that URL"),
    "version that is not normalised": Difference(
        ["1.0-alpha1"], ["1.0a1"], "installers take them for one"
    ),
}

DIFFERENT: dict[str, str] = {}
"""The case of each test that expects another answer from each server, by its name."""


def differs(case: str) -> Callable[[_Test], _Test]:
    """Mark a test that expects the answer of this row; its fixture `expected` is that answer."""

    def mark(test: _Test) -> _Test:
        DIFFERENT[test.__name__] = case
        return test

    return mark
