"""What must hold of bundles and of their signatures, whatever their bytes are."""

import base64
import contextlib
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simpleindex.gap.bundle import verify
from simpleindex.gap.bundle.manifest import MEMBER, Manifest, dump_manifest
from simpleindex.gap.bundle.reading import Bundle, open_bundle, verify_bundle
from simpleindex.gap.bundle.volumes import SIGNATURE
from tests.builders import a_wheel
from tests.fuzz.outcomes import taken
from tests.gap.bundle.bundles import a_manifest
from tests.raw_archives import RawMember, raw_zip

SIGNED = b"a manifest\n"
SIGNER = base64.b64decode("AAAAC3NzaC1lZDI1NTE5AAAAIE3mXYyQ8Eg2cKyguV04ZDGE7c/3AaJkwZwkvVq/r+kH")
_SIGNATURE = b"""\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgTeZdjJDwSDZwrKC5XThkMYTtz/
cBomTBnCS9Wr+v6QcAAAAJcGtnYnVuZGxlAAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1l
ZDI1NTE5AAAAQICAmnHJUPfNhNBakxIJEgYWYPl82J7a1/NVAZ23KkGDd9YJMyMXH6n/te
0KqOstKJT8FGFiYMLQgLfryoF/oww=
-----END SSH SIGNATURE-----
"""
_CONTENTS = (b"", b"x", b"any bytes", a_wheel().content)
_BY_DIGEST = {hashlib.sha256(content).hexdigest(): content for content in _CONTENTS}
_MEMBERS_MAX = 20

MANIFEST_TOKENS: Sequence[bytes] = (
    b"null", b"[]", b"{}", b'""', b"true", b"-1", b"1e9", b"9" * 25, b'"../x"', b'"\\u0000"',
    b'"\\ud800"', b'"README.txt"', b'"manifest.json"', b'"format": 2', b'"part": null',
    b'"elsewhere": []', b'"files": []', b'"size": 0', b",", b":", b"[" * 100,
)  # fmt: skip
SIGNATURE_TOKENS: Sequence[bytes] = (
    b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n", b"\n", b"=", b"AAAA",
    base64.b64encode(b"sha256"), base64.b64encode(b"pkgbundle"), b"\r\n", b" ", b"\xff",
)  # fmt: skip


def bundle(data: bytes) -> bool:
    """A zip that is taken is the same to Python's library, and fine to `verify.py`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.zip"
        path.write_bytes(data)
        opened = taken(lambda: open_bundle(path))
        if opened is None:
            return False
        faults = verify_bundle(opened)
        assert all(fault.isprintable() for fault in faults)
        if faults:
            return False
        _check_by_zipfile(path, opened)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            is_fine = verify.check(str(path))
        # It compares the checksums of the zip, and looks at signatures, which is not done here.
        told = printed.getvalue()
        assert is_fine or "the signature: " in told or "is damaged" in told, told
    return True


def bundle_manifest(data: bytes) -> bool:
    """What is taken in a zip with all that this manifest tells."""
    members = [RawMember(MEMBER, data, method=0)]
    with contextlib.suppress(Exception):  # where it makes no sense, nothing else is there
        document: Any = json.loads(data)
        told = [
            (f"files/{each['sha256'][:2]}/{each['sha256']}-{each['filename']}", each)
            for each in document["files"]
        ]
        told += [(each["name"], each) for each in document["extras"]]
        members += [
            RawMember(name, _BY_DIGEST[each["sha256"]], method=0)
            for name, each in told[:_MEMBERS_MAX]
        ]
    try:
        return bundle(raw_zip(members))
    except UnicodeEncodeError:  # a name that no zip can have
        return False


def ssh_signature(data: bytes) -> bool:
    """What fits is of the one who signed."""
    try:
        key = verify.signed_by(data, SIGNED)
    except ValueError as error:
        assert str(error).isprintable()
        return False
    assert key == SIGNER
    return True


def _check_by_zipfile(path: Path, opened: Bundle) -> None:
    manifest = opened.manifest
    with zipfile.ZipFile(path) as archive:
        found = archive.infolist()
        names = [each.filename for each in found]
        assert len(set(names)) == len(names)
        assert names[0] == MEMBER
        expected = [file.member for file in manifest.files]
        expected += [extra.name for extra in manifest.extras]
        assert names[1:] in (expected, [SIGNATURE, *expected])
        digests = {file.member: file.sha256 for file in manifest.files}
        for each in found:
            each.CRC = None  # type: ignore[assignment]  # digests say more, and are compared
            with archive.open(each) as member:
                digest = hashlib.sha256(member.read()).hexdigest()
            assert digests.get(each.filename, digest) == digest


def manifests() -> Sequence[bytes]:
    """Some that can be, and some that cannot."""
    return [dump_manifest(each) for each in _manifests()]


def bundles() -> Sequence[bytes]:
    """Zips of these."""
    return [
        raw_zip(
            [
                RawMember(MEMBER, dump_manifest(each), method=0),
                *(RawMember(file.member, _BY_DIGEST[file.sha256], method=0) for file in each.files),
            ]
        )
        for each in _manifests()
    ]


def signatures() -> Sequence[bytes]:
    """One that fits, also as mail may bring it."""
    return [_SIGNATURE, _SIGNATURE.replace(b"\n", b"\r\n")]


def _manifests() -> Sequence[Manifest]:
    one, other = (
        replace(file, sha256=digest, size_bytes=len(content))
        for file, (digest, content) in zip(
            a_manifest([a_wheel("one"), a_wheel("other")]).files,
            list(_BY_DIGEST.items())[2:],
            strict=True,
        )
    )
    return [
        a_manifest(),
        a_manifest(files=(one,)),
        a_manifest(files=(one, other)),
        a_manifest(files=(one, one)),
    ]
