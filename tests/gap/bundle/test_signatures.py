"""Signatures: what ssh-keygen makes is taken, what it takes is taken, and nothing else is."""

import base64
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from simpleindex.gap.bundle.manifest import dump_manifest
from simpleindex.gap.bundle.reading import Bundle, open_bundle
from simpleindex.gap.bundle.signatures import Standing, check_signer, sign_with, signer_of
from simpleindex.gap.bundle.trusted_keys import TrustedKey, parse_public_key
from simpleindex.gap.bundle.verify import fingerprint, is_ed25519, point, signed_by
from simpleindex_storage.errors import Refused, Unavailable
from tests.gap.bundle.bundles import a_bundle, a_manifest, some_wheels
from tests.gap.bundle.keys import a_key, ssh_keygen, ssh_keygen_finished

MESSAGE = dump_manifest(a_manifest(some_wheels()))

_ORDER = 2**252 + 27742317777372353535851937790883648493
_P = 2**255 - 19

VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
        "1cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
        "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
        "984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23"
        "a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c6"
        "6431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
"""Of RFC 8032, 7.1: public key, message, signature."""


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_signatures_of_the_standard_fit_and_no_others(
    public: str, message: str, signature: str
) -> None:
    key, said, signed = map(bytes.fromhex, (public, message, signature))
    assert is_ed25519(key, signed, said)
    assert not is_ed25519(key, signed, said + b"x")
    for place in range(0, 64, 7):
        changed = bytearray(signed)
        changed[place] ^= 1
        assert not is_ed25519(key, bytes(changed), said)
    for wrong in (b"", signed[:-1], signed + b"x"):
        assert not is_ed25519(key, wrong, said)


def test_no_second_signature_can_be_made_of_one() -> None:
    # The scalar may be larger by the order of the group, and the equation holds; RFC 8032, 5.1.7.
    key, said, signed = map(bytes.fromhex, VECTORS[1])
    scalar = int.from_bytes(signed[32:], "little") + _ORDER
    assert not is_ed25519(key, signed[:32] + scalar.to_bytes(32, "little"), said)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(2, id="on no curve"),
        pytest.param(_P, id="zero, not reduced"),
        pytest.param(_P + 1, id="one, not reduced"),
        pytest.param(1 | 1 << 255, id="x is 0, with a sign"),
        pytest.param((1 << 256) - 1, id="all bits"),
    ],
)
def test_what_is_no_point_is_no_key(number: int) -> None:
    raw = number.to_bytes(32, "little")
    assert point(raw) is None
    assert not is_ed25519(raw, bytes(64), b"")
    assert not is_ed25519(raw[:31], bytes(64), b"")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of alice and bob."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob"):
        a_key(folder, name)
    return folder


def trusted(keys: Path, *names: str) -> tuple[TrustedKey, ...]:
    return tuple(
        parse_public_key((keys / f"{name}.pub").read_bytes(), f"{name}.pub", name) for name in names
    )


def test_what_we_sign_is_taken_by_us_and_by_ssh_keygen(keys: Path, tmp_path: Path) -> None:
    signature = sign_with(keys / "alice")(MESSAGE)
    (alice,) = trusted(keys, "alice")

    assert signed_by(signature, MESSAGE) == alice.blob
    (tmp_path / "sig").write_bytes(signature)
    (tmp_path / "trusted").write_text(f'alice namespaces="pkgbundle" {alice.text}\n')
    words = f"-Y verify -f {tmp_path}/trusted -I alice -n pkgbundle -s {tmp_path}/sig".split()
    ssh_keygen(*words, stdin=MESSAGE)
    changed = ssh_keygen_finished(*words, stdin=MESSAGE + b"x")
    assert changed.returncode != 0


def test_fingerprints_are_those_that_ssh_prints(keys: Path) -> None:
    told = ssh_keygen("-l", "-f", keys / "alice.pub").decode().split()[1]
    (alice,) = trusted(keys, "alice")
    assert alice.fingerprint == fingerprint(alice.blob) == told


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_both_hashes_of_ssh_keygen_are_taken(hash_name: str, keys: Path) -> None:
    options = ["-O", f"hashalg={hash_name}"]
    signature = ssh_keygen(
        "-Y", "sign", "-f", keys / "alice", "-n", "pkgbundle", *options, stdin=MESSAGE
    )
    assert hash_name.encode() in raw_of(signature)
    assert signed_by(signature, MESSAGE) == trusted(keys, "alice")[0].blob


def raw_of(signature: bytes) -> bytes:
    """What is in the armour."""
    return base64.b64decode(b"".join(signature.split(b"\n")[1:-2]))


def in_armour(raw: bytes) -> bytes:
    lines = re.findall(b".{1,70}", base64.b64encode(raw))
    ends = (b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----\n")
    return b"\n".join([ends[0], *lines, ends[1]])


def test_a_signature_for_something_else_is_none_for_bundles(keys: Path) -> None:
    signature = ssh_keygen("-Y", "sign", "-f", keys / "alice", "-n", "file", stdin=MESSAGE)
    with pytest.raises(ValueError, match="not made for bundles"):
        signed_by(signature, MESSAGE)


def test_no_byte_of_a_signature_can_be_another(keys: Path) -> None:
    raw = raw_of(sign_with(keys / "alice")(MESSAGE))
    assert signed_by(in_armour(raw), MESSAGE)
    (alice,) = trusted(keys, "alice")
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(ValueError, match=r"\w"):
            assert signed_by(in_armour(bytes(changed)), MESSAGE) == alice.blob


def test_a_signature_that_is_cut_short_or_has_more_is_none(keys: Path) -> None:
    signature = sign_with(keys / "alice")(MESSAGE)
    raw = raw_of(signature)
    spoilt = [signature[:length] for length in range(0, len(signature) - 1, 5)]
    spoilt += [in_armour(raw[:length]) for length in range(0, len(raw), 5)]
    spoilt += [in_armour(raw + b"x"), signature + b"x", signature + signature, b"x" + signature]
    for each in spoilt:
        with pytest.raises(ValueError, match=r"\w"):
            signed_by(each, MESSAGE)
    assert signed_by(signature.replace(b"\n", b"\r\n"), MESSAGE)  # as mail may bring it


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda raw: raw.replace(b"sha512", b"sha999"), "its hash is unknown"),
        (lambda raw: raw.replace(b"\0\0\0\1", b"\0\0\0\2", 1), "no SSH signature that is known"),
        (lambda raw: raw.replace(b"ssh-ed25519", b"ssh-ed25518", 1), "not of Ed25519"),
        (lambda raw: raw[:10] + struct.pack(">L", 1 << 31) + raw[14:], "cut short"),
    ],
)
def test_what_is_not_known_in_a_signature_is_refused(
    change: Callable[[bytes], bytes], why: str, keys: Path
) -> None:
    raw = raw_of(sign_with(keys / "alice")(MESSAGE))
    with pytest.raises(ValueError, match=why):
        signed_by(in_armour(change(raw)), MESSAGE)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_keys_of_other_kinds_are_refused_at_once_with_advice(kind: str, tmp_path: Path) -> None:
    key = a_key(tmp_path, "carol", kind)
    with pytest.raises(Refused, match=r"carol: it is no Ed25519 key .*`ssh-keygen -t ed25519"):
        sign_with(key)
    with pytest.raises(Refused, match="no public key of Ed25519"):
        parse_public_key((tmp_path / "carol.pub").read_bytes(), "carol.pub")


def test_a_key_with_a_passphrase_is_known_for_what_it_is(tmp_path: Path) -> None:
    key = tmp_path / "key"
    ssh_keygen("-q", "-t", "ed25519", "-N", "secret", "-f", key)
    sign_with(key)
    sign_with(tmp_path / "key.pub")  # the agent has the other half


def test_a_key_that_is_not_there_or_damaged_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="gone cannot be read: No such file"):
        sign_with(tmp_path / "gone")
    a_key(tmp_path, "whole")
    for damaged in (b"", b"ssh-ed25519 AAAA", (tmp_path / "whole").read_bytes()[:200]):
        (tmp_path / "key").write_bytes(damaged)
        with pytest.raises(Refused, match="key: "):
            sign_with(tmp_path / "key")(MESSAGE)


def test_without_ssh_keygen_nothing_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = sign_with(a_key(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="it comes with OpenSSH"):
        sign(MESSAGE)


# What a site makes of it


def signed_bundle(keys: Path, folder: Path, by: str | None, max_bytes: int | None = None) -> Bundle:
    sign = None if by is None else sign_with(keys / by)
    wheels = some_wheels(5, payload_bytes=30_000)
    written = a_bundle(folder / f"{by}.zip", wheels, sign=sign, max_bytes=max_bytes)
    return open_bundle(*(each.path for each in written))


def test_who_signed_is_found_among_those_who_are_trusted(keys: Path, tmp_path: Path) -> None:
    alices, bobs, none = (signed_bundle(keys, tmp_path, by) for by in ("alice", "bob", None))
    known = trusted(keys, "bob", "alice")

    by_alice = signer_of(alices, known)
    assert (by_alice.standing, by_alice.name) == (Standing.TRUSTED, "alice")
    assert by_alice.words == f"signed by alice ({known[1].fingerprint})"
    by_bob = signer_of(bobs, known[1:])
    assert (by_bob.standing, by_bob.fingerprint) == (Standing.UNKNOWN, known[0].fingerprint)
    assert signer_of(none, known).standing is Standing.UNSIGNED


def test_what_is_required_is_kept(keys: Path, tmp_path: Path) -> None:
    alices, bobs, none = (signed_bundle(keys, tmp_path, by) for by in ("alice", "bob", None))
    alice = trusted(keys, "alice")

    def check(bundle: Bundle, known: tuple[TrustedKey, ...], is_required: bool) -> None:
        check_signer(bundle, signer_of(bundle, known), known, is_required=is_required)

    for is_required in (True, False):
        check(alices, alice, is_required)
        with pytest.raises(Refused, match=r"bob\.zip: it is signed with .*, which is not trusted"):
            check(bobs, alice, is_required)
    check(none, alice, False)
    check(none, (), False)
    check(bobs, (), False)
    with pytest.raises(Refused, match="it is not signed, and a signature is required"):
        check(none, alice, True)
    with pytest.raises(Refused, match="no key is trusted here; `simpleindex-server trust add"):
        check(alices, (), True)


def test_a_signature_that_does_not_fit_is_refused_whoever_is_trusted(
    keys: Path, tmp_path: Path
) -> None:
    a_bundle(tmp_path / "b.zip", some_wheels(), sign=lambda _: sign_with(keys / "alice")(b"other"))
    with pytest.raises(Refused, match=r"b\.zip: its signature is wrong: it is not of this manif"):
        signer_of(open_bundle(tmp_path / "b.zip"), ())


def test_volumes_are_all_signed_by_one(keys: Path, tmp_path: Path) -> None:
    by_alice = signed_bundle(keys, tmp_path, "alice", max_bytes=110_000)
    by_bob = signed_bundle(keys, tmp_path, "bob", max_bytes=110_000)
    assert len(by_alice.volumes) > 1
    assert signer_of(by_alice, trusted(keys, "alice")).name == "alice"

    mixed = open_bundle(by_alice.volumes[0].path, *(each.path for each in by_bob.volumes[1:]))
    with pytest.raises(Refused, match="not all signed, or not with one key"):
        signer_of(mixed, trusted(keys, "alice", "bob"))
