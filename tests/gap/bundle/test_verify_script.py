"""`verify.py`, which is in every bundle: on every Python that a site may have, and by itself."""

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpleindex.gap.bundle import verify
from simpleindex.gap.bundle.manifest import spoken_digest
from simpleindex.gap.bundle.papers import papers
from simpleindex.gap.bundle.reading import open_bundle
from simpleindex.gap.bundle.signatures import sign_with
from simpleindex.gap.bundle.trusted_keys import parse_public_key
from tests.clients.programs import interpreter
from tests.gap.bundle.bundles import a_bundle, some_wheels
from tests.gap.bundle.keys import a_key
from tests.server import clean_environment

MINORS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
WHEELS = some_wheels(3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as a zip, as a folder and unpacked; and what was done to some."""
    folder = tmp_path_factory.mktemp("made")
    a_bundle(folder / "fine.zip", WHEELS)
    a_bundle(folder / "fine", WHEELS, as_folder=True)
    with zipfile.ZipFile(folder / "fine.zip") as archive:
        archive.extractall(folder / "unpacked")
    raw = bytearray((folder / "fine.zip").read_bytes())
    raw[raw.index(WHEELS[1].content) + 5] ^= 1
    (folder / "damaged.zip").write_bytes(raw)
    (folder / "short.zip").write_bytes(raw[:-100])
    shutil.copytree(folder / "fine", folder / "damaged")
    damaged = folder / "damaged" / open_bundle(folder / "fine").manifest.files[0].member
    damaged.write_bytes(WHEELS[0].content[::-1])
    (folder / "damaged" / "files" / "x.whl").touch()
    return folder


def run(python: Path, *arguments: str | Path, isolated: bool = True) -> tuple[int, str, str]:
    """The exit code, and what was printed. Nothing but the standard library can be imported."""
    finished = subprocess.run(
        [str(python), *(["-I", "-S"] if isolated else []), "-W", "error", *map(str, arguments)],
        check=False,
        capture_output=True,
        env=clean_environment(),
        text=True,
        timeout=60,
    )
    return finished.returncode, finished.stdout, finished.stderr


@pytest.mark.parametrize("minor", MINORS)
def test_it_checks_bundles_on_every_python(minor: str, made: Path) -> None:
    python, script = interpreter(minor), made / "unpacked" / "verify.py"
    digest = open_bundle(made / "fine.zip").volumes[0].digest

    code, out, err = run(python, script, made / "fine.zip", made / "fine", made / "unpacked")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "OK"
    assert out.count(f"  digest     {digest}\n") == 3
    assert "2026-11-23T12:00:00Z by simpleindex-server 1.0" in out

    code, out, err = run(python, script, made / "damaged.zip", made / "short.zip", made / "damaged")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1] == "NOT OK: do not use it"
    for fault in (
        f"-{WHEELS[1].filename} is damaged",
        "it is no bundle, or is cut short: there is no manifest.json in it",
        f"-{WHEELS[0].filename} is damaged",
        "files/x.whl is in it, and nothing says why",
    ):
        assert fault in out


def test_an_older_python_is_told_politely(made: Path) -> None:
    code, out, err = run(
        interpreter("2.7"), made / "fine" / "verify.py", made / "fine.zip", isolated=False
    )
    assert (code, out) == (1, "")
    assert err.startswith("This needs Python 3.6 or newer, and this is 2.7")
    assert err.endswith("Nothing was checked.\n")


def test_it_checks_what_it_lies_in_or_beside(made: Path, tmp_path: Path) -> None:
    python = interpreter("3.12")
    code, out, _ = run(python, made / "unpacked" / "verify.py")
    assert (code, out.splitlines()[0]) == (0, str(made / "unpacked"))

    shutil.copy(made / "unpacked" / "verify.py", tmp_path)
    code, out, _ = run(python, tmp_path / "verify.py")
    assert code == 1
    assert "python3 verify.py BUNDLE..." in out
    shutil.copy(made / "fine.zip", tmp_path)
    code, out, _ = run(python, tmp_path / "verify.py")
    assert (code, out.splitlines()[0]) == (0, str(tmp_path / "fine.zip"))
    assert run(python, tmp_path / "verify.py", "--help")[0] == 1


def test_volumes_are_told_as_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = a_bundle(tmp_path / "b.zip", some_wheels(5, payload_bytes=40_000), max_bytes=130_000)
    assert verify.main([str(each.path) for each in written]) == 0
    out = capsys.readouterr().out
    for number in range(1, len(written) + 1):
        assert f"part       {number} of {len(written)}; check the others, too" in out


def test_a_signature_is_checked_and_its_key_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = a_key(tmp_path)
    public = parse_public_key((tmp_path / "alice.pub").read_bytes(), "alice.pub")
    a_bundle(tmp_path / "b.zip", WHEELS, sign=sign_with(key))
    a_bundle(tmp_path / "w.zip", WHEELS, sign=lambda raw: sign_with(key)(raw + b"x"))

    assert verify.main([str(tmp_path / "b.zip")]) == 0
    told = f"signature  fits; it is of the key {public.fingerprint}"
    assert told in capsys.readouterr().out
    assert verify.main([str(tmp_path / "w.zip")]) == 1
    assert "the signature: it is not of this manifest.json" in capsys.readouterr().out


def test_both_spell_digests_alike() -> None:
    for raw in (b"", b"x", b"{}\n", bytes(range(256))):
        assert verify.spoken_digest(raw) == spoken_digest(raw)


def test_what_the_server_refuses_is_not_ok_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It reads zips by Python's library, which overlooks what does no harm here: times, for example.
    a_bundle(tmp_path / "b.zip", WHEELS)
    raw = (tmp_path / "b.zip").read_bytes()
    contents = [*(wheel.content for wheel in WHEELS), *papers().values()]
    inside = sorted({place for content in contents for place in _some_places(raw, content)})
    for place in (*inside, *range(100, 1500, 50)):
        damaged = bytearray(raw)
        damaged[place] ^= 1
        (tmp_path / "b.zip").write_bytes(damaged)
        assert verify.main([str(tmp_path / "b.zip")]) == 1, place
    for length in (0, 10, len(raw) // 2, len(raw) - 1):
        (tmp_path / "b.zip").write_bytes(raw[:length])
        assert verify.main([str(tmp_path / "b.zip")]) == 1, length
    assert "Traceback" not in capsys.readouterr().err


def _some_places(raw: bytes, content: bytes) -> Iterator[int]:
    start = raw.index(content)
    yield from range(start, start + len(content), 397)
    yield start + len(content) - 1


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": 2}', b'{"format": 1, "files": [1]}',
     b'{"format": 1, "files": [{"sha256": "' + b"0" * 64 + b'", "filename": "../x", "size": 0}]}',
     b'{"format": 1, "files": [], "extras": [], "part": 1, "created": "", "tool": ""}',
     b'{"format": 1, "files": [], "extras": [{"name": "x", "sha256": "", "size": "1"}]}'],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_told(
    raw: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_bytes(raw)
    assert verify.main([str(tmp_path)]) == 1
    assert "wrong      its manifest.json makes no sense: " in capsys.readouterr().out


def test_names_reach_the_terminal_as_plain_letters() -> None:
    assert verify.plain("a\x1b[2J\u00f6\n") == "a?[2J??"
    assert verify.plain(None) == "None"


# What is beside it


def test_the_papers_are_for_old_editors_too() -> None:
    texts = papers()
    assert list(texts) == ["verify.py", "README.txt", "README.ja.txt", "README.zh-Hant.txt"]
    assert texts["README.txt"].isascii()
    assert b"\r" not in texts["verify.py"]
    for name in list(texts)[1:]:
        content = texts[name]
        assert content.count(b"\r\n") == content.count(b"\n") > 50
        assert content.startswith(b"\xef\xbb\xbf") is not content.isascii()
        text = content.decode("utf-8-sig")
        assert max(map(len, text.splitlines())) <= 100
        # How `bundle verify` and `verify.py` end.
        assert '"all of it is there, and as it was made"' in text and " OK" in text


@pytest.mark.parametrize(
    ("has_server", "program", "other"),
    [(False, "simpleindex-server", ()), (True, "python3 server.pyz", ("simpleindex-server",))],
    ids=["without a server", "with one"],
)
def test_the_papers_name_the_program_that_is_there(
    has_server: bool, program: str, other: tuple[str, ...]
) -> None:
    for name, content in papers(has_server=has_server).items():
        if not name.startswith("README"):
            continue
        typed = [
            line.strip() for line in content.decode("utf-8-sig").splitlines() if line[:1] == " "
        ]
        assert f"{program} bundle import BUNDLE.zip --serverdir=DIRECTORY" in typed
        assert not [line for line in typed if line.startswith(other or "never ")]


def test_the_papers_tell_how_an_old_pip_is_replaced_before_anything_is_installed() -> None:
    for name, content in papers().items():
        if name.startswith("README"):
            lines = content.decode("utf-8-sig").splitlines()
            at_hosts = [line.split() for line in lines if "--index-url" in line]
            assert [words[-1] for words in at_hosts] == ["pip", "PACKAGE"]
            upgrade, install = at_hosts
            assert upgrade[:-2] == install[:-1]
            assert upgrade[:4] == ["python", "-m", "pip", "install"]


def test_the_papers_say_the_same_in_every_language() -> None:
    commands = [
        [line for line in content.decode("utf-8-sig").splitlines() if line.startswith("    ")]
        for name, content in papers().items()
        if name.startswith("README")
    ]
    english, *others = ([each.split() for each in lines if _is_command(each)] for lines in commands)
    assert len(english) > 5
    for other in others:
        assert other == english
    assert all(len(lines) == len(commands[0]) for lines in commands)


def _is_command(line: str) -> bool:
    return line.strip().startswith(("simpleindex-server", "python"))
