"""Checks a bundle of packages: whether all of it is there, and as it was when it was made.

    python3 verify.py BUNDLE...        each a zip or a folder
    python3 verify.py                  what lies beside this file

It needs Python 3.6 or newer and nothing else, and changes nothing. What it cannot know is who made
the bundle: compare the digest that it prints with what the sender tells you, by voice, or let
`simpleindex-server bundle verify` compare the signature with the keys that you trust. And take this
file from somebody you trust, too: one that came with a bundle says what its maker wants.
"""

# Old Pythons have to get as far as to read all this, so that they can say that they are too old. So
# the types stand in comments, and texts and paths are put together as they always were.

import base64
import hashlib
import json
import os
import re
import struct
import sys
import zipfile

MYPY = False
if MYPY:
    from collections.abc import Iterator  # noqa: F401  in types that stand in comments
    from typing import IO, Any  # noqa: F401

FORMAT = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
NAMESPACE = b"pkgbundle"
MANIFEST_BYTES_MAX = 64 << 20
CHUNK_BYTES = 1 << 20

_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LEFT_BY_DESKTOPS = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\._.*", re.IGNORECASE)


def main(arguments):
    # type: (list[str]) -> int
    """Check bundles; 0 if all are as they were, and 1 if not."""
    paths = arguments or beside(os.path.dirname(os.path.abspath(__file__)))
    if not paths or paths[0].startswith("-"):
        print((__doc__ or "").strip())
        return 1
    results = [check(path) for path in paths]
    print("OK" if all(results) else "NOT OK: do not use it")
    return 0 if all(results) else 1


def beside(folder):
    # type: (str) -> list[str]
    """The bundles at a place: the folder itself, or the zips in it."""
    if os.path.exists(os.path.join(folder, MANIFEST)):
        return [folder]
    zips = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    return [path for path in zips if path.endswith(".zip") and os.path.isfile(path)]


def check(path):
    # type: (str) -> bool
    """Check a bundle, and say what it is and what is wrong with it."""
    print(plain(path))
    try:
        contents = Folder(path) if os.path.isdir(path) else Zip(path)
        faults = list(faults_of(contents))
    except Wrong as wrong:
        faults = [str(wrong)]
    except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        faults = ["it cannot be read: %s" % error]
    for fault in faults:
        print("  wrong      %s" % plain(fault))
    return not faults


class Wrong(Exception):
    """What is wrong, so that there is no use in looking further."""


def faults_of(contents):
    # type: (Folder | Zip) -> Iterator[str]
    """What is wrong with a bundle; what it is, is printed."""
    names = contents.names()
    if MANIFEST not in names:
        raise Wrong("it is no bundle: there is no %s in it" % MANIFEST)
    raw = contents.read(MANIFEST, MANIFEST_BYTES_MAX)
    try:
        manifest = json.loads(raw.decode("utf-8"))
        promised = promised_by(manifest)
        words = description(manifest, raw, promised)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise Wrong("its %s makes no sense: %s" % (MANIFEST, error))  # noqa: B904  as of old
    for line in words:
        print("  " + line)
    if SIGNATURE in names:
        try:
            key = signed_by(contents.read(SIGNATURE, 1 << 14), raw)
            print("  signature  fits; it is of the key %s" % fingerprint(key))
        except ValueError as error:
            yield "the signature: %s" % error
    else:
        print("  signature  none")
    for name in sorted(names - set(promised) - {MANIFEST, SIGNATURE}):
        yield "%s is in it, and nothing says why" % name
    for name in sorted(promised):
        sha256, size = promised[name]
        if name not in names:
            yield "%s is missing" % name
        elif contents.size(name) != size:
            yield "%s has %s bytes, and not %s" % (name, contents.size(name), size)
        elif contents.sha256(name) != sha256:
            yield "%s is damaged" % name


def promised_by(manifest):
    # type: (dict[str, Any]) -> dict[str, tuple[str, int]]
    """The files that a bundle has to have: the digest and the size of each."""
    if manifest["format"] > FORMAT:
        raise ValueError("a newer program made it; use the verify.py of that one")
    files, extras = manifest.get("files") or [], manifest.get("extras") or []
    promised = {}
    for file in files:
        sha256, name = file["sha256"], file["filename"]
        if not _SHA256.fullmatch(sha256) or not _FILENAME.fullmatch(name):
            raise ValueError("it names %r" % name)
        promised["files/%s/%s-%s" % (sha256[:2], sha256, name)] = (sha256, file["size"])
    for extra in extras:
        if not _FILENAME.fullmatch(extra["name"]):
            raise ValueError("it names %r" % extra["name"])
        promised[extra["name"]] = (extra["sha256"], extra["size"])
    if len(promised) < len(files) + len(extras):
        raise ValueError("it names a file twice")
    return promised


def description(manifest, raw, promised):
    # type: (dict[str, Any], bytes, dict[str, tuple[str, int]]) -> list[str]
    """What a bundle is, in lines."""
    size = sum(each[1] for each in promised.values()) / 1e6
    files, part = len(manifest.get("files") or []), manifest.get("part")
    lines = [
        "made       %s by %s" % (plain(manifest["created"]), plain(manifest["tool"])),
        "holds      %d package file%s; %.1f MB" % (files, "" if files == 1 else "s", size),
    ]
    if part is not None:
        lines.append("part       %d of %d; check the others, too" % (part["number"], part["count"]))
    lines.append("digest     %s" % spoken_digest(raw))
    return lines


def plain(text):
    # type: (object) -> str
    """A text that any terminal shows, and that does nothing to it."""
    return "".join(each if " " <= each <= "~" else "?" for each in str(text))


def spoken_digest(raw):
    # type: (bytes) -> str
    """Four groups of five letters and digits, in which none can be taken for another."""
    letters = base64.b32encode(hashlib.sha256(raw).digest()).decode("ascii")
    usual, clear = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    clear_letters = [clear[usual.index(each)] for each in letters[:20]]
    return "-".join("".join(clear_letters[at : at + 5]) for at in (0, 5, 10, 15))


# Where the bytes are


class Zip:
    """A bundle in one file."""

    def __init__(self, path):
        # type: (str) -> None
        self._zip = zipfile.ZipFile(path)

    def names(self):
        # type: () -> set[str]
        """Of all members."""
        infos = self._zip.infolist()
        names = set(info.filename for info in infos)
        if MANIFEST not in names:  # of a zip that is cut short, a wheel in it may be found instead
            raise Wrong("it is no bundle, or is cut short: there is no %s in it" % MANIFEST)
        if len(names) < len(infos):
            raise Wrong("it has two files of one name")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise Wrong("%s is compressed, which no bundle is" % info.filename)
        return names

    def size(self, name):
        # type: (str) -> int
        """Of a member, in bytes."""
        return self._zip.getinfo(name).file_size

    def read(self, name, bytes_max):
        # type: (str, int) -> bytes
        """A small member."""
        if self.size(name) > bytes_max:
            raise Wrong("its %s is too large" % name)
        return self._zip.read(name)

    def sha256(self, name):
        # type: (str) -> str
        """Of a member; nothing if it cannot be read."""
        try:
            with self._zip.open(name) as file:
                return sha256_of(file)
        except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError):
            return ""


class Folder:
    """A bundle in a plain folder."""

    def __init__(self, path):
        # type: (str) -> None
        self._path = path

    def names(self):
        # type: () -> set[str]
        """Of all files, with slashes."""
        names = set()  # type: set[str]
        for folder, folders, files in os.walk(self._path):
            for name in folders + files:
                path = os.path.join(folder, name)
                is_plain = os.path.isfile(path) or os.path.isdir(path)
                if os.path.islink(path) or not is_plain:
                    raise Wrong("%s is no plain file" % path)
            names.update(
                os.path.relpath(os.path.join(folder, name), self._path).replace(os.sep, "/")
                for name in files
                if not _LEFT_BY_DESKTOPS.fullmatch(name)
            )
        return names

    def size(self, name):
        # type: (str) -> int
        """Of a file, in bytes."""
        return os.path.getsize(os.path.join(self._path, name))

    def read(self, name, bytes_max):
        # type: (str, int) -> bytes
        """A small file."""
        if self.size(name) > bytes_max:
            raise Wrong("its %s is too large" % name)
        with open(os.path.join(self._path, name), "rb") as file:
            return file.read(bytes_max)

    def sha256(self, name):
        # type: (str) -> str
        """Of a file."""
        with open(os.path.join(self._path, name), "rb") as file:
            return sha256_of(file)


def sha256_of(file):
    # type: (IO[bytes]) -> str
    """Of all that is left in an open file."""
    digest = hashlib.sha256()
    chunk = file.read(CHUNK_BYTES)
    while chunk:
        digest.update(chunk)
        chunk = file.read(CHUNK_BYTES)
    return digest.hexdigest()


# Signatures: as `ssh-keygen -Y sign -n pkgbundle` makes them (PROTOCOL.sshsig), of Ed25519 alone


def signed_by(signature, message):
    # type: (bytes, bytes) -> bytes
    """The public key whose signature of a message this is. Raises ValueError for any other."""
    fields = Strings(armoured(signature))
    if fields.take(6) != b"SSHSIG" or fields.take(4) != b"\0\0\0\1":
        raise ValueError("it is no SSH signature that is known here")
    key, namespace, reserved = fields.string(), fields.string(), fields.string()
    hash_name, blob = fields.string(), Strings(fields.string())
    fields.finish()
    if namespace != NAMESPACE:
        raise ValueError("it was not made for bundles; sign with `-n pkgbundle`")
    if hash_name not in (b"sha256", b"sha512"):
        raise ValueError("its hash is unknown")
    if blob.string() != b"ssh-ed25519":
        raise ValueError("its key is not of Ed25519; `ssh-keygen -t ed25519` makes one")
    scalar_and_point = blob.string()
    blob.finish()
    digest = hashlib.new(hash_name.decode("ascii"), message).digest()
    parts = (namespace, reserved, hash_name, digest)
    signed = b"SSHSIG" + b"".join(struct.pack(">L", len(part)) + part for part in parts)
    if not is_ed25519(key_bytes(key), scalar_and_point, signed):
        raise ValueError("it is not of this %s, or was changed" % MANIFEST)
    return key


def key_bytes(key):
    # type: (bytes) -> bytes
    """The 32 bytes of a public key of SSH. Raises ValueError for one of another kind."""
    fields = Strings(key)
    if fields.string() != b"ssh-ed25519":
        raise ValueError("the key is not of Ed25519; `ssh-keygen -t ed25519` makes one")
    public = fields.string()
    fields.finish()
    if len(public) != 32:
        raise ValueError("the key does not have 32 bytes")
    return public


def fingerprint(key):
    # type: (bytes) -> str
    """How `ssh-keygen -l` names a public key."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


def armoured(text):
    # type: (bytes) -> bytes
    """What is between the lines BEGIN and END. Raises ValueError."""
    blank = b"[ \r\n]"
    begin, end = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
    found = re.match(begin + blank + b"+([A-Za-z0-9+/= \r\n]+)" + end + blank + b"*$", text)
    if found is None:
        raise ValueError("it does not look like one of ssh-keygen")
    return base64.b64decode(b"".join(found.group(1).split()), validate=True)


class Strings:
    """Takes apart what SSH has put together."""

    def __init__(self, raw):
        # type: (bytes) -> None
        self._raw = raw

    def take(self, count):
        # type: (int) -> bytes
        """So many bytes. Raises ValueError."""
        if len(self._raw) < count:
            raise ValueError("it is cut short")
        taken, self._raw = self._raw[:count], self._raw[count:]
        return taken

    def string(self):
        # type: () -> bytes
        """A string ahead of which its length stands. Raises ValueError."""
        return self.take(struct.unpack(">L", self.take(4))[0])

    def finish(self):
        # type: () -> None
        """Raise ValueError if anything is left."""
        if self._raw:
            raise ValueError("there is more in it than there should be")


# Ed25519 (RFC 8032, 5.1). Nothing here is secret, so it may take as long as it takes.

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_NEUTRAL = (0, 1, 1, 0)


def is_ed25519(public, signature, message):
    # type: (bytes, bytes, bytes) -> bool
    """Whether this is the signature of a message by the owner of a public key of 32 bytes."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, scalar = point(public), int.from_bytes(signature[32:], "little")
    if key is None or scalar >= _ORDER:  # else others could make a second one of each signature
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    factor = int.from_bytes(digest, "little") % _ORDER
    minus_key = (_P - key[0], key[1], key[2], _P - key[3])
    base = point(bytes(bytearray([0x58] + [0x66] * 31)))
    assert base is not None
    return encoded(added(times(scalar, base), times(factor, minus_key))) == signature[:32]


def point(raw):
    # type: (bytes) -> tuple[int, int, int, int] | None
    """A point in extended coordinates; None: these 32 bytes are none (5.1.3)."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


def added(one, other):
    # type: (tuple[int, int, int, int], tuple[int, int, int, int]) -> tuple[int, int, int, int]
    """The sum of two points (5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def times(factor, one):
    # type: (int, tuple[int, int, int, int]) -> tuple[int, int, int, int]
    """A multiple of a point."""
    result = _NEUTRAL
    while factor:
        if factor & 1:
            result = added(result, one)
        one = added(one, one)
        factor >>= 1
    return result


def encoded(one):
    # type: (tuple[int, int, int, int]) -> bytes
    """The 32 bytes of a point (5.1.2)."""
    inverse = pow(one[2], _P - 2, _P)
    x, y = one[0] * inverse % _P, one[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


if __name__ == "__main__":
    if sys.version_info < (3, 6):
        sys.exit(
            "This needs Python 3.6 or newer, and this is %s. Nothing was checked."
            % sys.version.split()[0]
        )
    sys.exit(main(sys.argv[1:]))
