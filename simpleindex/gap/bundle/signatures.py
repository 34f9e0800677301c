"""Signatures of bundles: made by ssh-keygen, and compared with the keys that a site trusts.

What is signed are the bytes of a manifest, which tell the digest of everything else. Checking one
needs nothing but `verify.py`; ssh-keygen checks it as well:

    ssh-keygen -Y verify -f trusted-keys -I NAME -n pkgbundle -s manifest.json.sig < manifest.json
"""

import re
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from simpleindex.gap.bundle.reading import Bundle, Volume
from simpleindex.gap.bundle.trusted_keys import TrustedKey
from simpleindex.gap.bundle.verify import NAMESPACE, fingerprint, signed_by
from simpleindex.gap.bundle.writing import Sign
from simpleindex.gap.small_files import read_bytes
from simpleindex_storage.errors import Refused, Unavailable

_KEY_BYTES_MAX = 64 << 10
_PUBLIC_HALF_WITHIN_BYTES = 300
_ARMOUR = re.compile(
    rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*)-----END OPENSSH PRIVATE KEY-----", re.DOTALL
)

_HEARD_AS = str.maketrans("ILO", "110")
"""No digest has these letters: who hears one means the digit."""


class Standing(StrEnum):
    """What is known of who made a bundle."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    """It is signed, and not with a key that is trusted here."""
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who made a bundle, as far as that is known."""

    standing: Standing
    fingerprint: str | None = None
    """Of the key, as ssh prints it."""
    name: str | None = None
    """What the site calls the key."""

    @property
    def words(self) -> str:
        """For people."""
        if self.standing is Standing.UNSIGNED:
            return "not signed"
        if self.standing is Standing.UNKNOWN:
            return f"signed with {self.fingerprint}, which is not trusted here"
        return f"signed by {self.name} ({self.fingerprint})"


def sign_with(key: Path) -> Sign:
    """Sign with a key that ssh-keygen finds in a file, or the agent by its public half there.

    ssh-keygen asks at the terminal for a passphrase, when it signs. Raises Refused for other keys
    than those of Ed25519 at once; what is returned raises Refused and Unavailable.
    """
    _check_kind(key)

    def sign(raw_manifest: bytes) -> bytes:
        program = shutil.which("ssh-keygen")
        if program is None:
            raise Unavailable("there is no ssh-keygen here, which signs; it comes with OpenSSH")
        finished = subprocess.run(  # noqa: S603  it is what signs everywhere
            [program, "-Y", "sign", "-f", str(key), "-n", NAMESPACE.decode()],
            check=False,
            input=raw_manifest,
            capture_output=True,
        )
        if finished.returncode != 0:
            told = finished.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise Refused(str(key), f"ssh-keygen cannot sign with it: {told or 'it says nothing'}")
        try:
            signed_by(finished.stdout, raw_manifest)
        except ValueError as error:
            raise Refused(str(key), str(error)) from None
        return finished.stdout

    return sign


def _check_kind(key: Path) -> None:
    """Look at the public half, which is in a file of a private key as well, and never encrypted."""
    content = read_bytes(key, _KEY_BYTES_MAX)
    armoured = _ARMOUR.fullmatch(content.strip())
    if armoured is not None:
        try:
            content = b64decode(armoured[1])
        except ValueError:
            raise Refused(str(key), "it is damaged") from None
    if b"ssh-ed25519" not in content[:_PUBLIC_HALF_WITHIN_BYTES]:
        raise Refused(
            str(key), "it is no Ed25519 key of ssh; `ssh-keygen -t ed25519 -f FILE` makes one"
        )


def signer_of(bundle: Bundle, trusted: Sequence[TrustedKey]) -> Signer:
    """Who signed all volumes of a bundle. Raises Refused for a signature that does not fit."""
    keys = {_key_of(volume) for volume in bundle.volumes}
    if len(keys) > 1:
        raise Refused(bundle.subject, "its volumes are not all signed, or not with one key")
    key = keys.pop()
    if key is None:
        return Signer(Standing.UNSIGNED)
    for each in trusted:
        if each.blob == key:
            return Signer(Standing.TRUSTED, each.fingerprint, each.name)
    return Signer(Standing.UNKNOWN, fingerprint(key))


def check_signer(
    bundle: Bundle, signer: Signer, trusted: Sequence[TrustedKey], *, is_required: bool
) -> None:
    """Refuse a bundle that this site does not take from this signer.

    Where keys are trusted, a signature by another one is no good sign, required or not; without
    any, there is nothing to compare it with.
    """
    if is_required and not trusted:
        raise Refused(
            bundle.subject,
            "a signature is required, and no key is trusted here; `simpleindex-server trust add "
            "KEY.pub` adds one",
        )
    if is_required and signer.standing is Standing.UNSIGNED:
        raise Refused(bundle.subject, "it is not signed, and a signature is required here")
    if trusted and signer.standing is Standing.UNKNOWN:
        raise Refused(
            bundle.subject,
            f"it is {signer.words}; if you know whose key that is, `simpleindex-server trust add "
            "KEY.pub` adds it",
        )


def check_digests(bundles: Sequence[Bundle], expected: Collection[str]) -> None:
    """Refuse bundles of which not each volume has an expected digest; none expected: all will do.

    People have heard and typed them: spaces, dashes and capitals do not matter.
    """
    if not expected:
        return
    wanted = {_plain(digest) for digest in expected}
    if not bundles:
        raise Refused("digest", "packages without a manifest have none that could be expected")
    for bundle in bundles:
        for volume in bundle.volumes:
            if _plain(volume.digest) not in wanted:
                raise Refused(
                    str(volume.path),
                    f"its digest is {volume.digest}, and that is not what is expected",
                )


def _plain(digest: str) -> str:
    return "".join(filter(str.isalnum, digest.upper())).translate(_HEARD_AS)


def _key_of(volume: Volume) -> bytes | None:
    if volume.signature is None:
        return None
    try:
        return signed_by(volume.signature, volume.raw_manifest)
    except ValueError as error:
        raise Refused(str(volume.path), f"its signature is wrong: {error}") from None
