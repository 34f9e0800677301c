"""What is sent along with a file to tell where it comes from: signatures and provenance objects.

Neither is verified here, which takes keys and certificates that a site may not have. What is
checked is what makes them worth serving: that they are what they are called, and that a provenance
speaks of the very file it came with. Then they are kept and served as they were given.
"""

import base64
import binascii
import json
from typing import Any, NoReturn

from .errors import Refused
from .names import DistFilename, parse_filename

SIGNATURE_BYTES_MAX = 64 << 10
"""Of a detached signature; one has some 800 bytes."""

_ARMOUR = b"-----BEGIN PGP SIGNATURE-----"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


def check_signature(signature: bytes, filename: DistFilename) -> None:
    """A detached signature in ASCII armour. Raises Refused."""
    if not signature.startswith(_ARMOUR) or len(signature) > SIGNATURE_BYTES_MAX:
        raise Refused(
            filename.text,
            f"its signature is not in ASCII armour, or larger than {SIGNATURE_BYTES_MAX >> 10} "
            "KiB; sign with `gpg --detach-sign --armor`, or upload without a signature",
        )


def check_provenance(provenance: bytes, filename: DistFilename, sha256: str) -> None:
    """A provenance object (PEP 740) whose attestations are all of this file. Raises Refused."""
    shape = _Shape(filename)
    found = shape.json_object(provenance, "its provenance")
    shape.want(found.get("version") == 1, "its provenance is not of version 1")
    for bundle in shape.objects(found, "attestation_bundles"):
        publisher = shape.object(bundle, "publisher")
        shape.text(publisher, "kind")
        for attestation in shape.objects(bundle, "attestations"):
            _check_attestation(attestation, shape, sha256)


def _check_attestation(attestation: dict[str, Any], shape: "_Shape", sha256: str) -> None:
    # PEP 740, "Attestation objects".
    shape.want(attestation.get("version") == 1, "an attestation is not of version 1")
    material = shape.object(attestation, "verification_material")
    shape.base64(material, "certificate")
    shape.objects(material, "transparency_entries")
    envelope = shape.object(attestation, "envelope")
    shape.base64(envelope, "signature")
    statement = shape.json_object(shape.base64(envelope, "statement"), "an attestation's statement")
    shape.want(
        statement.get("_type") == _STATEMENT_TYPE,
        f"an attestation's statement is not of the type {_STATEMENT_TYPE}",
    )
    shape.text(statement, "predicateType")
    subjects = shape.objects(statement, "subject")
    shape.want(len(subjects) == 1, "an attestation's statement has more than one subject")
    name = shape.text(subjects[0], "name")
    digest = shape.text(shape.object(subjects[0], "digest"), "sha256")
    shape.want(
        _is_same_name(name, shape.filename),
        f"an attestation is of {name[:200]!r}, not of this file",
    )
    shape.want(
        digest.lower() == sha256,
        f"an attestation is of a file with the sha256 {digest[:64]!r}, and {sha256} arrived",
    )


def _is_same_name(name: str, filename: DistFilename) -> bool:
    try:
        return parse_filename(name).key == filename.key
    except Refused:
        return False


class _Shape:
    """Takes JSON apart, and refuses what is not as PEP 740 says."""

    def __init__(self, filename: DistFilename) -> None:
        self.filename = filename

    def want(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            raise Refused(
                self.filename.text, f"{otherwise}; attest this file, or upload it without"
            )

    def json_object(self, raw: bytes, what: str) -> dict[str, Any]:
        try:
            value = json.loads(raw, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            value = None
        self.want(isinstance(value, dict), f"{what} is not a JSON object")
        assert isinstance(value, dict)
        return value

    def object(self, within: dict[str, Any], key: str) -> dict[str, Any]:
        value = within.get(key)
        self.want(isinstance(value, dict), f"an attestation lacks an object {key!r}")
        assert isinstance(value, dict)
        return value

    def objects(self, within: dict[str, Any], key: str) -> list[dict[str, Any]]:
        """A list that is not empty."""
        value = within.get(key)
        self.want(
            isinstance(value, list) and bool(value) and all(isinstance(it, dict) for it in value),
            f"an attestation lacks a list of objects {key!r}",
        )
        assert isinstance(value, list)
        return value

    def text(self, within: dict[str, Any], key: str) -> str:
        value = within.get(key)
        self.want(isinstance(value, str), f"an attestation lacks a text {key!r}")
        assert isinstance(value, str)
        return value

    def base64(self, within: dict[str, Any], key: str) -> bytes:
        try:
            return base64.b64decode(self.text(within, key), validate=True)
        except (binascii.Error, ValueError):
            self.want(False, f"an attestation's {key!r} is not base64")
            raise


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
