"""Write dumps as devpi-export does. Say only what the test is about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from simpleindex_storage.names import parse_filename
from tests.builders import BuiltFile

WHEN = [2024, 2, 29, 13, 2, 46]
LAST_MODIFIED = "Thu, 29 Feb 2024 13:02:46 GMT"
ALICE_ARGON2 = (
    "$argon2id$v=19$m=65536,t=3,p=4$Oqc0xrh3Tun9/z/nHMM4pw"
    "$e6304hYOytlIz5nxL0hI9JgX3mNZ4U30hlcZOuOxnAg"
)
"""Of the password "alicepw", as devpi-server 6.20.3 has made it."""


@dataclass(frozen=True, slots=True)
class ADump:
    """A dump that grows, and is written last."""

    folder: Path
    users: dict[str, Any] = field(default_factory=lambda: {"root": a_user("root")})
    indexes: dict[str, Any] = field(default_factory=dict)

    def index(self, name: str, **config: object) -> None:
        """An index; `config` changes what devpi-server says of a fresh one."""
        usual = {
            "type": "stage",
            "volatile": True,
            "bases": [],
            "acl_upload": [name.partition("/")[0]],
            "acl_toxresult_upload": [":ANONYMOUS:"],
            "mirror_whitelist": [],
            "mirror_whitelist_inheritance": "intersection",
        }
        self.indexes[name] = {"indexconfig": usual | config, "projects": {}, "files": []}

    def release(
        self,
        index: str,
        built: BuiltFile,
        *,
        metadata: Mapping[str, object] = {},
        **changed: object,
    ) -> dict[str, Any]:
        """A file of a release, which is registered with it."""
        if index not in self.indexes:
            self.index(index)
        named = parse_filename(built.filename)
        told = {"name": named.project, "version": named.version, "summary": "", **metadata}
        self.indexes[index]["projects"].setdefault(named.project, {})[named.version] = told
        relpath = f"{index}/{named.project}/{named.version}/{built.filename}"
        usual = {"type": "releasefile", "projectname": named.project, "version": named.version}
        return self._put(index, relpath, built.content, usual | changed)

    def documentation(
        self, index: str, project: str, version: str, content: bytes, **changed: object
    ) -> dict[str, Any]:
        """A zip of documentation."""
        relpath = f"{index}/{project}-{version}.doc.zip"
        usual = {"type": "doczip", "projectname": project, "version": version}
        return self._put(index, relpath, content, usual | changed)

    def result(
        self, index: str, built: BuiltFile, content: bytes, **changed: object
    ) -> dict[str, Any]:
        """What tox has said of a file."""
        named = parse_filename(built.filename)
        name = f"{built.filename}.toxresult-20240229130246-0"
        relpath = f"{index}/{named.project}/sha256={built.sha256}/{name}"
        usual = {
            "type": "toxresult",
            "projectname": named.project,
            "version": named.version,
            "for_entrypath": f"{index}/+f/000/0000000000000/{built.filename}",
        }
        return self._put(index, relpath, content, usual | changed)

    def write(self, **changed: object) -> Path:
        """The folder, with all of it in it."""
        data = {
            "dumpversion": "2",
            "pythonversion": [3, 11, 7, "final", 0],
            "devpi_server": "6.20.3",
            "users": self.users,
            "indexes": self.indexes,
        } | changed
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "dataindex.json").write_text(json.dumps(data), "utf-8")
        return self.folder

    def _put(
        self, index: str, relpath: str, content: bytes, told: dict[str, Any]
    ) -> dict[str, Any]:
        path = self.folder / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = sha256(content).hexdigest()
        entry = {
            "relpath": relpath,
            "entrymapping": {
                "last_modified": LAST_MODIFIED,
                "hash_spec": f"sha256={digest}",
                "hashes": {"sha256": digest},
                "project": canonicalize_name(told["projectname"]),
                "version": told["version"],
            },
            "log": [{"what": "upload", "who": "alice", "when": WHEN, "dst": index}],
        } | told
        self.indexes[index]["files"].append(entry)
        return entry


def a_user(name: str, **changed: object) -> dict[str, object]:
    """A user as devpi-server tells of one, without a password that anybody could check."""
    return {"username": name, "created": "2024-01-01T00:00:00Z"} | changed
