"""How long does it take to take a thousand wheels in? Run with --help.

`bundle import` of a bundle, and of a plain folder of the same wheels, into a new server directory,
from the start of the program to its end, beside a server that serves it; the same again, when all
of it is there; and `devpi upload --from-dir` of the folder into a devpi-server.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path

from benchmarks.asking import FILE_HEADERS
from benchmarks.environments import Environment, environment_of, quiet_environment
from benchmarks.machine import describe_machine
from benchmarks.peers import ROOT_PASSWORD, our_environment, serve_command
from benchmarks.processes import PeerFailed, free_port, run_to_end, running
from benchmarks.usage import MB
from simpleindex.gap.bundle.manifest import BundledFile, Manifest
from simpleindex.gap.bundle.writing import write_bundle
from simpleindex_storage.names import parse_filename
from tests.builders import BuiltFile, a_wheel, core_metadata

SECONDS_TARGET = 3.0
"""For a thousand wheels of 100 MB altogether."""

_WHEELS = 1000
_WHEEL_BYTES = 100_000
_PROJECTS = 300
_MODULES = 10
_INDEX = "root/bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 1 when the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bundle_import", description=__doc__)
    parser.add_argument("--wheels", type=int, default=_WHEELS, help=f"how many ({_WHEELS})")
    parser.add_argument("--rounds", type=int, default=3, help="of ours (3)")
    parser.add_argument("--without-devpi", action="store_true", help="measure ours alone")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="simpleindex-import-") as temporary:
        folder = Path(temporary)
        print(describe_machine(folder), flush=True)
        wheels, bundle = folder / "wheels", folder / "site.pkgbundle.zip"
        total_bytes = _write(wheels, bundle, options.wheels)
        print(f"{options.wheels} wheels, {total_bytes / MB:.0f} MB\n", flush=True)
        first, again = _measure_ours(folder, bundle, options.rounds)
        _print("a bundle", first)
        _print("the same bundle again", again)
        _print("a folder of wheels", _measure_ours(folder, wheels, options.rounds)[0])
        if not options.without_devpi:
            _print_devpi(folder, wheels)
    is_missed = statistics.median(first) > SECONDS_TARGET * options.wheels / _WHEELS
    print(f"\ntarget: {SECONDS_TARGET} s for {_WHEELS} wheels; {'MISSED' if is_missed else 'met'}")
    return int(is_missed)


def _write(wheels: Path, bundle: Path, count: int) -> int:
    """A folder and a bundle of the same wheels; how many bytes those have."""
    wheels.mkdir()
    chosen = random.Random(count)
    files = []
    for number in range(count):
        built = _some_wheel(number, chosen)
        built.save(wheels)
        name = parse_filename(built.filename)
        files.append(BundledFile(name, built.sha256, len(built.content)))
    manifest = Manifest(
        created=datetime(2026, 11, 23, tzinfo=UTC),
        tool="benchmarks",
        targets=(),
        roots=(),
        files=tuple(files),
    )
    write_bundle(manifest, lambda it: BytesIO((wheels / it.name.text).read_bytes()), bundle)
    return sum(file.size_bytes for file in files)


def _some_wheel(number: int, chosen: random.Random) -> BuiltFile:
    """Some modules that shrink, a compiled one that does not, and a description."""
    name, version = f"bench-{number % _PROJECTS}", f"1.{number // _PROJECTS}"
    words = [bytes(chosen.choices(b"abcdefgh", k=6)) for _ in range(100)]
    module = name.replace("-", "_")
    files = {
        f"{module}/module_{each}.py": b" ".join(chosen.choices(words, k=1000))
        for each in range(_MODULES)
    }
    files[f"{module}/native.so"] = chosen.randbytes(_WHEEL_BYTES - _MODULES * 2500)
    metadata = core_metadata(name, version, description="What it is for, and how. " * 200)
    return a_wheel(name, version, metadata=metadata, extra_files=files)


def _measure_ours(folder: Path, source: Path, rounds: int) -> tuple[list[float], list[float]]:
    """How long it took each time: the first import, and the same again."""
    first, again = [], []
    command = [sys.executable, "-m", "simpleindex", "bundle", "import", str(source), "--json"]

    def take_in(serverdir: Path, *, adds: bool) -> None:
        told = run_to_end([*command, f"--serverdir={serverdir}"], our_environment())
        if bool(json.loads(told)["added"]) is not adds:
            raise PeerFailed(f"{source} was not taken in as it should be")

    for number in range(rounds):
        serverdir = folder / f"{source.name}-{number}"
        with _our_server(serverdir):
            first.append(_seconds(partial(take_in, serverdir, adds=True)))
            again.append(_seconds(partial(take_in, serverdir, adds=False)))
    return first, again


@contextmanager
def _our_server(serverdir: Path) -> Iterator[None]:
    """A new server directory that is served."""
    where = ["--serverdir", str(serverdir), "--root-passwd", ROOT_PASSWORD, "--no-root-pypi"]
    run_to_end([sys.executable, "-m", "simpleindex", "init", *where], our_environment())
    with running(serve_command(serverdir), our_environment()) as server:
        server.announced_port()
        yield


def _print_devpi(folder: Path, wheels: Path) -> None:
    servers = environment_of("SIMPLEINDEX_BENCH_DEVPI", "devpi", "devpi-server")
    clients = environment_of("SIMPLEINDEX_BENCH_DEVPI_CLIENT", "devpi-client", "devpi-client")
    why_not = servers.missing("devpi-server", "devpi-init") or clients.missing("devpi")
    if why_not:
        print(f"devpi upload --from-dir: left out, {why_not}")
        return
    seconds = _measure_devpi(folder, wheels, servers, clients)
    versions = f"{servers.versions('devpi-server')}, {clients.versions('devpi-client')}"
    _print(f"devpi upload --from-dir ({versions})", [seconds])


def _measure_devpi(folder: Path, wheels: Path, servers: Environment, clients: Environment) -> float:
    serverdir, port = folder / "devpi", free_port()
    where = ["--serverdir", str(serverdir)]
    init = [servers.program("devpi-init"), *where, "--no-root-pypi", "--root-passwd", ROOT_PASSWORD]
    run_to_end(init, quiet_environment())
    serve = [servers.program("devpi-server"), *where, "--host", "127.0.0.1", "--port", str(port)]

    def devpi(*words: str) -> None:
        settings = ["--clientdir", str(folder / "devpi-client")]
        command = [clients.program("devpi"), words[0], *settings, *words[1:]]
        run_to_end(command, quiet_environment())

    with running(serve, quiet_environment(), errors=folder / "devpi.log") as server:
        server.wait_for_answer(port, "/+api", FILE_HEADERS)
        devpi("use", f"http://127.0.0.1:{port}")
        devpi("login", "root", "--password", ROOT_PASSWORD)
        devpi("index", "-c", _INDEX)
        devpi("use", _INDEX)
        return _seconds(lambda: devpi("upload", "--from-dir", str(wheels)))


def _seconds(work: Callable[[], object]) -> float:
    """How long it takes, where the disk has nothing left to do of what came before.

    For the same reason nothing is deleted in between.
    """
    os.sync()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _print(title: str, seconds: Sequence[float]) -> None:
    each = ", ".join(f"{taken:.2f}" for taken in seconds)
    print(f"{title}: {statistics.median(seconds):.2f} s ({each})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
