"""From the path of a URL to what it names, by the layout of devpi.

Names come out as they were sent: which of them are lawful is for `names` to say, at the door
that knows what to answer. Paths arrive decoded, so that `%2Bf` and `+f` are the same (pip 19.3
and newer sends the former).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from simpleindex_storage.model import Sidecar


@dataclass(frozen=True, slots=True)
class Root:
    """`/`"""


@dataclass(frozen=True, slots=True)
class Login:
    """`/+login`"""


@dataclass(frozen=True, slots=True)
class StatusAt:
    """`/+status`"""


class Health(StrEnum):
    """What can be asked about how the server is; the values stand in the URL."""

    LIVE = "live"
    """It answers."""
    READY = "ready"
    """It can serve what is asked for."""
    WRITABLE = "writable"
    """It can also store what is sent."""


@dataclass(frozen=True, slots=True)
class HealthAt:
    """`/-/health/<what>`, or `/-/health`, which tells all. No user can be named `-`."""

    what: Health | None = None


@dataclass(frozen=True, slots=True)
class MetricsAt:
    """`/-/metrics`"""


@dataclass(frozen=True, slots=True)
class AuthCheck:
    """`/+authcheck`, where front servers ask whether they may hand something out."""


@dataclass(frozen=True, slots=True)
class Api:
    """`+api` at the root, below a user, or below an index (then both names are there)."""

    user: str | None = None
    index: str | None = None


@dataclass(frozen=True, slots=True)
class UserAt:
    """`/<user>`"""

    user: str


@dataclass(frozen=True, slots=True)
class TokensAt:
    """`/<user>/+tokens`: the API tokens of a user."""

    user: str


@dataclass(frozen=True, slots=True)
class TokenAt:
    """`/<user>/+tokens/<id>`"""

    user: str
    token: str


@dataclass(frozen=True, slots=True)
class IndexAt:
    """`/<user>/<index>`, where devpi's index object, uploads and a list of projects share a URL."""

    user: str
    index: str
    below: str
    """The path below `/<user>/<index>/` as it was asked for; empty at the index itself."""
    slash: bool


@dataclass(frozen=True, slots=True)
class ListAt:
    """`/<user>/<index>/+simple/`: the list of projects."""

    user: str
    index: str
    below: str
    slash: bool


@dataclass(frozen=True, slots=True)
class PageAt:
    """`/<user>/<index>/+simple/<project>/`: the page of a project."""

    user: str
    index: str
    project: str
    below: str
    slash: bool


@dataclass(frozen=True, slots=True)
class RefreshAt:
    """`/<user>/<index>/+simple/<project>/refresh`"""

    user: str
    index: str
    project: str
    slash: bool


@dataclass(frozen=True, slots=True)
class ProjectAt:
    """`/<user>/<index>/<project>`, where devpi's project object and the page share a URL."""

    user: str
    index: str
    project: str
    below: str
    slash: bool


@dataclass(frozen=True, slots=True)
class VersionAt:
    """`/<user>/<index>/<project>/<version>`: devpi's object of a release."""

    user: str
    index: str
    project: str
    version: str


@dataclass(frozen=True, slots=True)
class PagesAt:
    """`/<user>/<index>/<project>/<version>/+doc/<path>`, or `+d`: a page of documentation."""

    user: str
    index: str
    project: str
    version: str
    """Or `latest`, or `stable`."""
    path: str
    """Below `+doc/`, without a slash at its end."""
    slash: bool
    is_long: bool
    """Whether it was asked for as `+doc`."""


@dataclass(frozen=True, slots=True)
class JsonAt:
    """`/<user>/<index>/pypi/<project>/json`, and `.../<project>/<version>/json`."""

    user: str
    index: str
    project: str
    version: str | None


@dataclass(frozen=True, slots=True)
class SearchAt:
    """`/<user>/<index>/+search`"""

    user: str
    index: str
    slash: bool


@dataclass(frozen=True, slots=True)
class UploadAt:
    """`/<user>/<index>/legacy/`: where some upload tools like to send to."""

    user: str
    index: str


@dataclass(frozen=True, slots=True)
class FileAt:
    """`/<user>/<index>/+f/<3 hex>/<13 hex>/<filename>`, or what lies beside that file."""

    user: str
    index: str
    sha256_prefix: str
    filename: str
    sidecar: Sidecar | None


Location: TypeAlias = (
    Root
    | Login
    | StatusAt
    | HealthAt
    | MetricsAt
    | AuthCheck
    | Api
    | UserAt
    | TokensAt
    | TokenAt
    | IndexAt
    | ListAt
    | PageAt
    | RefreshAt
    | ProjectAt
    | VersionAt
    | PagesAt
    | JsonAt
    | SearchAt
    | UploadAt
    | FileAt
)


_OF_THE_SERVER: Mapping[str, Location] = {
    "+login": Login(),
    "+status": StatusAt(),
    "+authcheck": AuthCheck(),
    "+api": Api(),
}

_BELOW_DASH: Mapping[str, Location] = {
    "health": HealthAt(),
    **{f"health/{what}": HealthAt(what) for what in Health},
    "metrics": MetricsAt(),
}


def locate(path: str) -> Location | None:
    """What a path names; None where there is never anything."""
    segments = path.lstrip("/").split("/")
    slash = segments[-1] == "" and len(segments) > 1
    if slash:
        segments.pop()
    match segments:
        case [""]:
            return Root()
        case [word] if word in _OF_THE_SERVER:
            return _OF_THE_SERVER[word]
        case ["-", *rest]:
            return _BELOW_DASH.get("/".join(rest))
        case [user, "+api"]:
            return Api(user)
        case [user, index, "+api"]:
            return Api(user, index)
        case _ if any(part in ("", ".", "..") for part in segments):
            return None
        case [user, "+tokens"] if not user.startswith("+"):
            return TokensAt(user)
        case [user, "+tokens", token] if not user.startswith("+"):
            return TokenAt(user, token)
        case [user] if not user.startswith("+"):
            return UserAt(user)
        case [user, index, *rest] if not user.startswith("+") and not index.startswith("+"):
            below = "/".join(rest) + ("/" if slash and rest else "")
            return _below_index(user, index, rest, below, slash)
        case _:
            return None


def _below_index(
    user: str, index: str, rest: list[str], below: str, slash: bool
) -> Location | None:
    """What lies below an index. The words that clients append win over projects of that name."""
    match rest:
        case []:
            return IndexAt(user, index, below, slash)
        case ["+simple" | "simple"]:
            return ListAt(user, index, below, slash)
        case ["legacy"]:
            return UploadAt(user, index)
        case ["+simple" | "simple", project]:
            return PageAt(user, index, project, below, slash)
        case ["legacy" | "+simple" | "simple", "+simple", project]:
            # hatch asks there, below the URL that it uploads to, what it need not send again.
            return PageAt(user, index, project, below, slash)
        case ["+simple" | "simple", project, "refresh"]:
            return RefreshAt(user, index, project, slash)
        case ["+search"]:
            return SearchAt(user, index, slash)
        case ["pypi", project, *versions, "json"] if len(versions) < 2:
            return JsonAt(user, index, project, versions[0] if versions else None)
        case ["+f", first, second, filename] if len(first) == 3 and not slash:
            sidecar = next((each for each in Sidecar if filename.endswith(each)), None)
            name = filename if sidecar is None else filename.removesuffix(sidecar)
            return FileAt(user, index, first + second, name, sidecar)
        case [project] if not project.startswith("+"):
            return ProjectAt(user, index, project, below, slash)
        case [project, version, *pages] if not project.startswith("+"):
            return _of_release(VersionAt(user, index, project, version), pages, slash)
        case _:
            return None


def _of_release(at: VersionAt, rest: list[str], slash: bool) -> Location | None:
    """A release, or a page of its documentation."""
    match rest:
        case []:
            return at
        case ["+doc" | "+d" as word, *pages]:
            path = "/".join(pages)
            return PagesAt(
                at.user, at.index, at.project, at.version, path, slash, is_long=word == "+doc"
            )
        case _:
            return None
