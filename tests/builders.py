"""Make wheels, sdists and upload bodies with one line. Say only what the test is about."""

import base64
import gzip
import hashlib
import io
import json
import random
import re
import tarfile
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from packaging.utils import parse_sdist_filename, parse_wheel_filename

BOUNDARY = "----a-boundary-of-the-tests-7d3f"

FormFields: TypeAlias = Sequence[tuple[str, str]]

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A wheel or sdist, in memory."""

    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def save(self, folder: Path) -> Path:
        """Write it into a folder; where it lies."""
        path = folder / self.filename
        path.write_bytes(self.content)
        return path


def core_metadata(
    name: str = "demo",
    version: str = "1.0",
    *,
    requires_python: str | None = None,
    requires_dist: Iterable[str] = (),
    headers: Iterable[tuple[str, str]] = (),
    description: str = "",
) -> bytes:
    """What a METADATA or PKG-INFO says; `headers` are added as they are."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires_dist]
    lines += [f"{header}: {value}" for header, value in headers]
    text = "\n".join(lines) + "\n"
    return (text + "\n" + description if description else text).encode()


def a_wheel(
    name: str = "demo",
    version: str = "1.0",
    *,
    requires_python: str | None = None,
    requires_dist: Iterable[str] = (),
    metadata: bytes | None = None,
    extra_files: Mapping[str, bytes] = {},
    tag: str = "py3-none-any",
) -> BuiltFile:
    """A wheel that every pip installs: one module, named as the project. The same bytes each time.

    `metadata` replaces METADATA; `extra_files` are added, and stand in RECORD.
    """
    if metadata is None:
        metadata = core_metadata(
            name, version, requires_python=requires_python, requires_dist=requires_dist
        )
    members = wheel_members(name, version, metadata=metadata, tag=tag) | dict(extra_files)
    dist_info = f"{_escaped(name)}-{version}.dist-info"
    members[f"{dist_info}/RECORD"] = record(members, dist_info)
    return BuiltFile(f"{_escaped(name)}-{version}-{tag}.whl", a_zip(members))


def wheel_members(
    name: str, version: str, *, metadata: bytes, tag: str = "py3-none-any"
) -> dict[str, bytes]:
    """What lies in a wheel, but for RECORD."""
    module, dist_info = _escaped(name), f"{_escaped(name)}-{version}.dist-info"
    wheel = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        + "".join(f"Tag: {each}\n" for each in _tags(tag))
    )  # fmt: skip
    return {
        f"{module}/__init__.py": f'__version__ = "{version}"\n'.encode(),
        f"{dist_info}/METADATA": metadata,
        f"{dist_info}/WHEEL": wheel.encode(),
    }


def record(members: Mapping[str, bytes], dist_info: str) -> bytes:
    """The RECORD of these members."""
    lines = [
        _record_line(name, hashlib.sha256(content).digest(), len(content))
        for name, content in members.items()
    ]
    return "".join([*lines, f"{dist_info}/RECORD,,\n"]).encode()


def an_sdist(
    name: str = "demo",
    version: str = "1.0",
    *,
    metadata: bytes | None = None,
    format: str = ".tar.gz",
) -> BuiltFile:
    """An sdist that pip 20 and later install without any other package: it brings its backend.

    The same bytes each time.
    """
    top, module = f"{_escaped(name)}-{version}", _escaped(name)
    wheel = a_wheel(name, version, metadata=metadata)
    backend = _BACKEND.format(
        filename=wheel.filename, wheel=base64.b64encode(wheel.content).decode()
    )
    members = {
        f"{top}/PKG-INFO": core_metadata(name, version) if metadata is None else metadata,
        f"{top}/pyproject.toml": _PYPROJECT,
        f"{top}/in_tree_backend.py": backend.encode(),
        f"{top}/{module}/__init__.py": f'__version__ = "{version}"\n'.encode(),
    }
    content = a_zip(members) if format == ".zip" else a_tar_gz(members)
    return BuiltFile(f"{top}{format}", content)


def an_egg(
    name: str = "demo",
    version: str = "1.0",
    *,
    platform: str = "py2.7",
    metadata: bytes | None = None,
) -> BuiltFile:
    """What easy_install took; `platform` is what stands behind the version."""
    members = {
        "EGG-INFO/PKG-INFO": core_metadata(name, version) if metadata is None else metadata,
        "EGG-INFO/top_level.txt": b"demo\n",
        "EGG-INFO/zip-safe": b"\n",
        "demo/__init__.py": b"",
    }
    return BuiltFile(f"{_escaped(name)}-{version}-{platform}.egg", a_zip(members))


def a_zip(
    members: Mapping[str, bytes] | Iterable[tuple[str, bytes]],
    *,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """A zip with these members, in this order; pairs may name one twice."""
    pairs = members.items() if isinstance(members, Mapping) else members
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there twice
        for name, content in pairs:
            archive.writestr(_zip_entry(name), content, compress_type=compression)
    return buffer.getvalue()


def a_tar_gz(members: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    """A .tar.gz with these files, in this order."""
    pairs = members.items() if isinstance(members, Mapping) else members
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in pairs:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def a_big_wheel(path: Path, size_bytes: int) -> None:
    """Write a wheel of just over `size_bytes` to `path`, which must have a wheel's name.

    Its one large member is stored, not compressed. Takes constant memory.
    """
    name, version, _, _ = parse_wheel_filename(path.name)
    dist_info = f"{_escaped(name)}-{version}.dist-info"
    members = wheel_members(
        name,
        str(version),
        metadata=core_metadata(name, str(version)),
        tag="-".join(path.name.removesuffix(".whl").split("-")[-3:]),
    )
    block = random.Random(size_bytes).randbytes(_BLOCK_BYTES)
    payload, digest = f"{_escaped(name)}/payload.bin", hashlib.sha256()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(_zip_entry(payload), "w", force_zip64=True) as member:
            for start in range(0, size_bytes, _BLOCK_BYTES):
                part = block[: min(_BLOCK_BYTES, size_bytes - start)]
                digest.update(part)
                member.write(part)
        for member_name, content in members.items():
            archive.writestr(_zip_entry(member_name), content)
        lines = _record_line(payload, digest.digest(), size_bytes).encode()
        archive.writestr(_zip_entry(f"{dist_info}/RECORD"), lines + record(members, dist_info))


def a_multipart_body(
    fields: FormFields, file: tuple[str, str, bytes] | None = None, *, boundary: str = BOUNDARY
) -> tuple[str, bytes]:
    """A form as requests encodes it: its Content-Type, and the body.

    `file` is the part's name, its file name, and its bytes.
    """
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    if file is not None:
        part, filename, content = file
        disposition = f'Content-Disposition: form-data; name="{part}"; filename="{filename}"'
        parts.append(f"--{boundary}\r\n{disposition}\r\n\r\n".encode() + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)


def upload_fields(
    built: BuiltFile, **changed_fields: str | Sequence[str] | None
) -> list[tuple[str, str]]:
    """The form that goes with a file. A change to None leaves a field out, a list repeats it."""
    name, version, filetype, pyversion = _said_by_name(built.filename)
    form: dict[str, str | Sequence[str] | None] = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        "filetype": filetype,
        "pyversion": pyversion,
        "sha256_digest": built.sha256,
        "md5_digest": hashlib.md5(built.content).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(built.content, digest_size=32).hexdigest(),
    }
    return [
        (field, value)
        for field, given in (form | changed_fields).items()
        for value in ([given] if isinstance(given, str) else given or ())
    ]


def an_upload_body(
    built: BuiltFile, **changed_fields: str | Sequence[str] | None
) -> tuple[str, bytes]:
    """The Content-Type and body of an upload, with the right digests.

    `**{":action": "submit"}` changes a field, None leaves it out, a list repeats it.
    """
    return a_multipart_body(
        upload_fields(built, **changed_fields), ("content", built.filename, built.content)
    )


A_SIGNATURE = b"""-----BEGIN PGP SIGNATURE-----

iHUEABYKAB0WIQTnosignatureatallbutofitsformAAKCRDnosignatureatall
=AbCd
-----END PGP SIGNATURE-----
"""
"""What lies in `FILE.asc`; nobody's, but of the right form."""


def a_statement(built: BuiltFile, **changed: object) -> dict[str, object]:
    """What an attestation says of a file (in-toto)."""
    subject = {"name": built.filename, "digest": {"sha256": built.sha256}}
    statement: dict[str, object] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {"buildType": "https://builder.example/v1"}},
    }
    return statement | changed


def an_attestation(statement: Mapping[str, object], **changed: object) -> dict[str, object]:
    """An attestation in the form of PEP 740; its certificate and signature are nobody's."""
    attestation: dict[str, object] = {
        "version": 1,
        "verification_material": {
            "certificate": _base64(b"no certificate"),
            "transparency_entries": [{"logIndex": "1", "inclusionPromise": {}}],
        },
        "envelope": {
            "statement": _base64(json.dumps(statement).encode()),
            "signature": _base64(b"no signature"),
        },
    }
    return attestation | changed


def a_provenance(*attestations: object) -> bytes:
    """A provenance object with one bundle."""
    publisher = {"kind": "account", "claims": None}
    bundle = {"publisher": publisher, "attestations": attestations}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _said_by_name(filename: str) -> tuple[str, str, str, str]:
    """Project, version, filetype and pyversion."""
    if filename.endswith(".whl"):
        name, version, _, tags = parse_wheel_filename(filename)
        return name, str(version), "bdist_wheel", sorted(tag.interpreter for tag in tags)[0]
    if filename.endswith(".egg"):
        egg_name, egg_version, python = filename.removesuffix(".egg").split("-")[:3]
        return egg_name, egg_version, "bdist_egg", python.removeprefix("py")
    sdist_name, sdist_version = parse_sdist_filename(filename)
    return sdist_name, str(sdist_version), "sdist", "source"


def _escaped(name: str) -> str:
    """As it stands in file names of wheels and sdists."""
    return re.sub(r"[-_.]+", "_", name).lower()


def _tags(tag: str) -> list[str]:
    pythons, abis, platforms = (part.split(".") for part in tag.split("-")[-3:])
    return [
        f"{python}-{abi}-{platform}" for python in pythons for abi in abis for platform in platforms
    ]


def _record_line(name: str, sha256: bytes, size_bytes: int) -> str:
    digest = base64.urlsafe_b64encode(sha256).rstrip(b"=").decode()
    return f"{name},sha256={digest},{size_bytes}\n"


def _zip_entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.external_attr = 0o100644 << 16
    return entry


_PYPROJECT = b"""\
[build-system]
requires = []
build-backend = "in_tree_backend"
backend-path = ["."]
"""

_BACKEND = '''\
"""Hands out a wheel that was built with the sdist, so that installing it needs no network."""

import base64
import os


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open(os.path.join(wheel_directory, "{filename}"), "wb") as wheel:
        wheel.write(base64.b64decode("{wheel}"))
    return "{filename}"
'''
