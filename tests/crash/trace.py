"""What `strace` saw of a server: the calls that matter to what a power cut leaves, in order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SYSTEM_CALLS = {
    "write": "write", "pwrite64": "write", "writev": "write", "pwritev": "write",
    "pwritev2": "write", "sendto": "write", "sendmsg": "write",
    "fsync": "sync", "fdatasync": "sync",
    "link": "link", "linkat": "link",
    "rename": "rename", "renameat": "rename", "renameat2": "rename",
    "unlink": "unlink", "unlinkat": "unlink",
    "mkdir": "mkdir", "mkdirat": "mkdir",
}  # fmt: skip
"""The kind of each call that is looked at."""

_WHOLE = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_UNFINISHED = re.compile(r"(\w+)\((.*?),? *<unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_ARGUMENT = re.compile(r'(?:\d+|AT_FDCWD)<(?P<opened>[^>]*)>|"(?P<text>(?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded. Paths are relative to the server directory."""

    kind: str
    """write, sync, link, rename, unlink, mkdir, or send: a write to a socket."""
    path: str
    target: str = ""
    """The new name, for link and rename."""
    text: str = ""
    """The beginning of what was written."""
    begun: int = 0
    ended: int = 0
    """When, by lines of the trace."""


def strace(trace: Path) -> list[str]:
    """The words in front of a command that let it be traced."""
    names = ",".join(f"?{name}" for name in SYSTEM_CALLS)  # some machines lack some of them
    return ["strace", "-f", "-y", "-qq", "-s", "64", "-e", f"trace={names}", "-o", str(trace)]


def parse_trace(text: str, root: Path) -> list[Call]:
    """The calls of a trace, in the order in which they began. Those that failed are left out."""
    unfinished: dict[tuple[str, str], tuple[int, str]] = {}
    calls = []
    for number, line in enumerate(text.splitlines()):
        process, _, seen = line.partition(" ")
        seen, begun = seen.lstrip(), number
        if match := _UNFINISHED.fullmatch(seen):
            unfinished[process, match[1]] = (number, f"{match[1]}({match[2]}")
            continue
        if match := _RESUMED.match(seen):
            begun, beginning = unfinished.pop((process, match[1]))
            seen = beginning + match[2]
        whole = _WHOLE.match(seen)
        if whole and whole[1] in SYSTEM_CALLS and not whole[3].startswith("-"):
            calls.append(_call(whole[1], whole[2], root, begun, number))
    return sorted(calls, key=lambda call: call.begun)


def _call(name: str, arguments: str, root: Path, begun: int, ended: int) -> Call:
    kind = SYSTEM_CALLS[name]
    if kind in ("write", "sync"):
        opened, *texts = [
            match["opened"] or match["text"] for match in _ARGUMENT.finditer(arguments)
        ]
        kind = "send" if opened.startswith("socket:") else kind
        return Call(kind, _relative(opened, root), "", texts[0] if texts else "", begun, ended)
    path, target = [*(_relative(each, root) for each in _paths(arguments)), ""][:2]
    return Call(kind, path, target, "", begun, ended)


def _paths(arguments: str) -> Iterator[str]:
    """The paths among the arguments; a folder that was open says where a relative one begins."""
    folder = "/"
    for match in _ARGUMENT.finditer(arguments):
        if match["opened"] is not None:
            folder = match["opened"]
        else:
            yield str(PurePosixPath(folder, match["text"]))
            folder = "/"


def _relative(path: str, root: Path) -> str:
    pure = PurePosixPath(path.removesuffix("(deleted)"))
    return str(pure.relative_to(root)) if pure.is_relative_to(root) else path
