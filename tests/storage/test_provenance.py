"""What comes along with a file is what it is called, and speaks of that very file."""

import json
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import Actor, Sidecar, Upload
from simpleindex_storage.names import parse_filename
from simpleindex_storage.provenance import (
    SIGNATURE_BYTES_MAX,
    check_provenance,
    check_signature,
)
from tests.builders import A_SIGNATURE, a_provenance, a_statement, a_wheel, an_attestation
from tests.storage.stores import LOCAL, a_store, files_below, journal_of

WHEEL = a_wheel()
NAME = parse_filename(WHEEL.filename)
STATEMENT = a_statement(WHEEL)
ATTESTATION = an_attestation(STATEMENT)
PROVENANCE = a_provenance(ATTESTATION)


def subject(name: object = WHEEL.filename, sha256: object = WHEEL.sha256) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def of_statement(**changed: object) -> bytes:
    return a_provenance(an_attestation(a_statement(WHEEL, **changed)))


def of_attestation(**changed: object) -> bytes:
    return a_provenance(an_attestation(STATEMENT, **changed))


def of_envelope(statement: object, signature: object = "c2ln") -> bytes:
    return of_attestation(envelope={"statement": statement, "signature": signature})


def test_attestations_of_the_file_are_fine() -> None:
    for provenance in (
        PROVENANCE,
        a_provenance(ATTESTATION, an_attestation(a_statement(WHEEL, predicateType="x"))),
        of_statement(subject=[subject("Demo-1.0-py3-none-any.whl")]),
        of_statement(subject=[subject(sha256=WHEEL.sha256.upper())]),
    ):
        check_provenance(provenance, NAME, WHEEL.sha256)


BAD_PROVENANCES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "its provenance is not a JSON object"),
    "a list": (b"[]", "its provenance is not a JSON object"),
    "not a number": (b'{"version": NaN}', "its provenance is not a JSON object"),
    "deep": (b"[" * 100_000, "its provenance is not a JSON object"),
    "a long number": (b'{"version": ' + b"1" * 5000 + b"}", "not a JSON object"),
    "no utf-8": (b'{"version": "\xff"}', "its provenance is not a JSON object"),
    "another version": (b'{"version": 2}', "not of version 1"),
    "no bundles": (b'{"version": 1}', "'attestation_bundles'"),
    "bundles of nothing": (b'{"version": 1, "attestation_bundles": [1]}', "'attestation_bundles'"),
    "no publisher": (b'{"version": 1, "attestation_bundles": [{}]}', "'publisher'"),
    "no kind": (b'{"version": 1, "attestation_bundles": [{"publisher": {}}]}', "'kind'"),
    "no attestations": (a_provenance(), "'attestations'"),
    "attestation of tomorrow": (of_attestation(version=2), "not of version 1"),
    "no material": (of_attestation(verification_material=None), "'verification_material'"),
    "no certificate": (of_attestation(verification_material={}), "'certificate'"),
    "no entries": (
        of_attestation(verification_material={"certificate": "eA==", "transparency_entries": []}),
        "'transparency_entries'",
    ),
    "no envelope": (of_attestation(envelope=[]), "'envelope'"),
    "no base64": (of_envelope("%"), "'statement' is not base64"),
    "no ascii": (of_envelope("\u00fc"), "'statement' is not base64"),
    "no signature": (of_envelope("e30=", signature=None), "'signature'"),
    "no statement": (of_envelope("e30"), "'statement' is not base64"),
    "another type": (of_statement(_type="https://in-toto.io/Statement/v0.1"), "the type"),
    "no predicate": (of_statement(predicateType=None), "'predicateType'"),
    "no subject": (of_statement(subject=[]), "'subject'"),
    "two subjects": (of_statement(subject=[subject()] * 2), "more than one subject"),
    "no name": (of_statement(subject=[subject(name=1)]), "'name'"),
    "another file": (of_statement(subject=[subject("demo-2.0.tar.gz")]), "is of 'demo-2.0.tar.gz'"),
    "no file": (of_statement(subject=[subject("x\n")]), "not of this file"),
    "other bytes": (of_statement(subject=[subject(sha256="0" * 64)]), "the sha256 '000"),
    "no digest": (of_statement(subject=[{"name": WHEEL.filename}]), "'digest'"),
    "one of two": (
        a_provenance(ATTESTATION, an_attestation(a_statement(a_wheel("other")))), "'other-1.0",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("provenance", "words"), BAD_PROVENANCES.values(), ids=BAD_PROVENANCES)
def test_a_provenance_that_does_not_speak_of_the_file_is_refused(
    provenance: bytes, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_provenance(provenance, NAME, WHEEL.sha256)
    line = str(refused.value)
    assert line.startswith(f"{WHEEL.filename}: ")
    assert words in line
    assert line.endswith("; attest this file, or upload it without")
    assert line.isprintable()


def test_a_signature_in_armour_is_fine_and_others_are_refused() -> None:
    check_signature(A_SIGNATURE, NAME)
    for signature in (b"", b"\x88\x75\x04\x00", b"x" + A_SIGNATURE):
        with pytest.raises(Refused, match="not in ASCII armour"):
            check_signature(signature, NAME)
    with pytest.raises(Refused, match="larger than 64 KiB"):
        check_signature(A_SIGNATURE.ljust(SIGNATURE_BYTES_MAX + 1), NAME)


def test_what_comes_along_is_kept_as_it_was_given(tmp_path: Path) -> None:
    upload = Upload(LOCAL, WHEEL.filename, "root", signature=A_SIGNATURE, provenance=PROVENANCE)
    with a_store(tmp_path) as store:
        with store.stage() as draft:
            draft.write(WHEEL.content)
            (admitted,) = store.admit([(upload, draft.finish())], by=Actor("root"))
        file = admitted.file
        for sidecar, given in (
            (Sidecar.SIGNATURE, A_SIGNATURE),
            (Sidecar.PROVENANCE, PROVENANCE),
        ):
            found, content = store.open_sidecar(file.place, sidecar)
            with content:
                assert (found, content.read()) == (file, given)
        store.catalog.change(
            lambda change: change.remove_file(file), by=Actor("root"), what="remove"
        )
        store.sweep()
        assert files_below(tmp_path) == {}
    assert str(file.signature_sha256) in json.dumps(journal_of(tmp_path))


def test_nothing_is_left_of_a_file_whose_provenance_is_refused(tmp_path: Path) -> None:
    upload = Upload(LOCAL, WHEEL.filename, "root", provenance=of_statement(subject=[]))
    with a_store(tmp_path) as store:
        with store.stage() as draft, pytest.raises(Refused, match="'subject'"):
            draft.write(WHEEL.content)
            store.admit([(upload, draft.finish())], by=Actor("root"))
        assert files_below(tmp_path) == {}


def test_what_did_not_come_along_is_not_there(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        with store.stage() as draft:
            draft.write(WHEEL.content)
            (admitted,) = store.admit(
                [(Upload(LOCAL, WHEEL.filename, "root"), draft.finish())], by=Actor("root")
            )
        for sidecar in (Sidecar.SIGNATURE, Sidecar.PROVENANCE):
            with pytest.raises(NotStored, match=f"{WHEEL.filename}{sidecar}"):
                store.open_sidecar(admitted.file.place, sidecar)
