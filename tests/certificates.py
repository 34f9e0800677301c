"""Certificates for 127.0.0.1, made by the `openssl` of this machine."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate and its key."""

    cert: Path
    key: Path
    authority: Path
    """The certificate of who signed it, for clients to trust."""


def a_certificate(folder: Path, name: str = "own", *, days: int = 365) -> Certificate:
    """Make one in a folder. With 0 days it has expired. Skips the test without `openssl`."""
    made = Certificate(
        folder / f"{name}-cert.pem", folder / f"{name}-key.pem", folder / f"{name}-ca.pem"
    )
    ca_key, request, names = (folder / f"{name}{end}" for end in ("-ca-key.pem", ".csr", ".ext"))
    names.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    for key in (ca_key, made.key):
        openssl("genpkey", *_CURVE, "-out", key)
    signing = ("-x509", "-key", ca_key, "-subj", f"/CN=authority {name}", "-days", "365")
    openssl("req", *signing, "-addext", "keyUsage=critical,keyCertSign", "-out", made.authority)
    openssl("req", "-new", "-key", made.key, "-subj", "/CN=127.0.0.1", "-out", request)
    signed = ("-req", "-in", request, "-CA", made.authority, "-CAkey", ca_key, "-CAcreateserial")
    openssl("x509", *signed, "-extfile", names, "-days", str(days), "-out", made.cert)
    return made


_CURVE = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def openssl(*arguments: str | Path) -> None:
    """Run it."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no `openssl` on this machine")
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
