"""The keys whose signatures a site trusts: `allowed_signers` of OpenSSH (ssh-keygen(1)).

So ssh-keygen can check a bundle with the same file. It lies in the server directory, or wherever it
is named.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from simpleindex.gap.bundle.verify import NAMESPACE, fingerprint, key_bytes
from simpleindex.gap.small_files import alone, read_bytes_if_there
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused

FILE_NAME = "trusted-keys"

_BYTES_MAX = 1 << 20
_KEYS_MAX = 1000
_MODE = 0o644  # less what the umask takes: there is no secret in it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_OPTION = f'namespaces="{NAMESPACE.decode()}"'
_LINE = re.compile(rf"(\S+)\s+(?:{re.escape(_OPTION)}\s+)?(ssh-ed25519\s+\S+)(?:\s+.*)?")
_PUBLIC = re.compile(r"(ssh-ed25519[ \t]+\S+)(?:[ \t]+(.*))?")


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key, and what the site calls it."""

    name: str
    blob: bytes
    """The key as SSH writes it, before base64."""

    @property
    def fingerprint(self) -> str:
        """As ssh prints it."""
        return fingerprint(self.blob)

    @property
    def text(self) -> str:
        """As it stands in a `.pub` file."""
        return f"ssh-ed25519 {b64encode(self.blob).decode()}"


def read_trusted(path: Path) -> tuple[TrustedKey, ...]:
    """The keys of a file, in its order; none if there is no file. Raises Refused, Unavailable."""
    content = read_bytes_if_there(path, _BYTES_MAX)
    if content is None:
        return ()
    keys = []
    for number, line in enumerate(_text(content, str(path)).splitlines(), 1):
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        where = f"{path}: line {number}"
        found = _LINE.fullmatch(plain)
        if found is None or not _NAME.fullmatch(found[1]):
            raise Refused(where, f"it is not `NAME {_OPTION} ssh-ed25519 KEY`")
        keys.append(TrustedKey(found[1], _blob(found[2], where)))
    return tuple(keys)


def change_trusted(
    path: Path, change: Callable[[tuple[TrustedKey, ...]], Iterable[TrustedKey]]
) -> None:
    """Write anew what `change` makes of the keys of a file: whole, one process at a time.

    Raises Refused, Unavailable, and what `change` raises: then nothing has changed.
    """
    with alone(path):
        before = read_trusted(path)
        after = tuple(change(before))
        if len(after) > _KEYS_MAX:
            raise Refused(str(path), f"{_KEYS_MAX} keys are trusted at the most")
        if after != before:
            lines = [f"{key.name} {_OPTION} {key.text}\n" for key in after]
            with unavailable_on_failure(f"{path} cannot be written"):
                write_file(path, "".join(lines).encode(), mode=_MODE)


def parse_public_key(content: bytes, subject: str, name: str | None = None) -> TrustedKey:
    """The key of a `.pub` file; without a name, by its comment there. Raises Refused."""
    text = _text(content, subject).strip()
    if "PRIVATE KEY" in text:
        raise Refused(subject, "this is a private key, to be shown to nobody; give the .pub file")
    found = _PUBLIC.fullmatch(text)
    if found is None:
        raise Refused(
            subject,
            "it is no public key of Ed25519; `ssh-keygen -t ed25519` makes a pair, of which the "
            ".pub file is needed",
        )
    called = name or found[2] or ""
    if not _NAME.fullmatch(called):
        raise Refused(
            subject,
            f"{called[:80]!r} is no name for a key; give it one of letters, digits, '.', '_', '@', "
            "'+' and '-' with --name",
        )
    return TrustedKey(called, _blob(found[1], subject))


def with_key(known: tuple[TrustedKey, ...], key: TrustedKey) -> tuple[TrustedKey, ...]:
    """These keys and another; one that is known already gets the new name. Raises Refused."""
    for each in known:
        if each.name == key.name and each.blob != key.blob:
            raise Refused(
                key.name,
                f"another key has this name, {each.fingerprint}; remove that first, or give "
                "this one another name with --name",
            )
    return (*(each for each in known if each.blob != key.blob), key)


def _text(content: bytes, subject: str) -> str:
    if len(content) > _BYTES_MAX:
        raise Refused(subject, f"a file of keys has {_BYTES_MAX} bytes at the most")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(subject, "it is no text in UTF-8") from None


def _blob(text: str, subject: str) -> bytes:
    try:
        blob = b64decode(text.split()[1], validate=True)
        key_bytes(blob)
    except ValueError:
        raise Refused(subject, "its key is broken; copy it again") from None
    return blob
