"""What lies beside files of a mirror: core metadata (PEP 658), signatures, provenance (PEP 740)."""

import hashlib
import sys
from pathlib import Path

import httpx2
import pytest

from tests.builders import BuiltFile, a_wheel, an_sdist, core_metadata
from tests.clients.programs import Terminal, program
from tests.hostile.behaviours import (
    CutAfter,
    NoRanges,
    Page,
    Status,
    WithBody,
)
from tests.mirror.kept import figures, kept_filenames
from tests.mirror.sites import MirrorSite

MB = 1_000_000
CHAIN = ("first", "second", "third", "fourth")
REQUESTS_MAX = 3


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


def metadata_of(built: BuiltFile) -> bytes:
    """What a wheel of `a_wheel` says of itself."""
    name, version, *_ = built.filename.split("-")
    return core_metadata(name, version)


def beside(site: MirrorSite, filename: str, suffix: str = ".metadata") -> httpx2.Response:
    """What lies beside a file, by the URL that the page leads to."""
    project = filename.partition("-")[0]
    return site.get(site.file_url(project, filename) + suffix, "*/*")


def wheels_asked(site: MirrorSite) -> list[str | None]:
    """The ranges in which wheels were asked for; None for a whole one."""
    return [asked.headers.get("range") for asked in site.upstream.requests.of(".whl$", None)]


# Passed on


def test_metadata_that_upstream_announces_is_passed_on(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built)
    for _ in range(2):
        answer = beside(site, built.filename)
        assert (answer.status_code, answer.content) == (200, metadata_of(built))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert site.upstream.requests.count(".metadata$") == 1
    assert wheels_asked(site) == []
    assert kept_filenames(site) == [f"{built.filename}.metadata"]
    told = site.files("demo")[built.filename]["core-metadata"]
    assert told == {"sha256": hashlib.sha256(metadata_of(built)).hexdigest()}


def test_other_metadata_than_announced_is_refused(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built)
    site.upstream.behave(".metadata$", [WithBody(metadata_of(built) + b"Requires-Dist: evil\n")])
    answer = beside(site, built.filename)
    assert answer.status_code == 502
    assert "upstream sent other metadata than it promised" in answer.text
    assert kept_filenames(site) == []
    assert beside(site, built.filename).content == metadata_of(built)


@pytest.mark.parametrize("status", [500, 403])
def test_metadata_that_upstream_cannot_give_is_a_clean_refusal(
    site: MirrorSite, status: int
) -> None:
    built = a_wheel()
    site.upstream.add(built)
    site.upstream.behave(".metadata$", Status(status))
    answer = beside(site, built.filename)
    assert answer.status_code == 502
    assert answer.text.startswith(f"{built.filename}.metadata cannot be fetched: ")
    site.upstream.behave(".metadata$", None)
    assert beside(site, built.filename).content == metadata_of(built)


def test_metadata_that_is_announced_and_cut_is_a_clean_refusal(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built)
    site.upstream.behave(".metadata$", [CutAfter(10)])
    assert beside(site, built.filename).status_code == 502
    assert kept_filenames(site) == []
    assert beside(site, built.filename).content == metadata_of(built)


def test_metadata_of_unbounded_size_is_refused(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built, metadata=True)
    site.upstream.behave(".metadata$", WithBody(b"x" * 50 * MB))
    answer = beside(site, built.filename)
    assert answer.status_code == 502
    assert "bytes of a small file" in answer.text


def test_metadata_that_is_announced_and_missing_is_taken_out_of_the_wheel(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built)
    site.upstream.behave(".metadata$", Status(404))
    assert beside(site, built.filename).content == metadata_of(built)
    assert None not in wheels_asked(site)


# Taken out of the wheel


def test_metadata_that_upstream_has_put_right_is_fetched_again(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built)
    assert beside(site, built.filename).content == metadata_of(built)
    right = metadata_of(built) + b"Requires-Dist: other\n"
    site.upstream.add(built, metadata=right)
    site.refresh("demo")
    told = site.files("demo")[built.filename]["core-metadata"]
    assert told == {"sha256": hashlib.sha256(right).hexdigest()}
    for _ in range(2):
        assert beside(site, built.filename).content == right
    assert site.upstream.requests.count(".metadata$") == 2


def test_metadata_that_is_taken_out_is_what_was_announced_or_refused(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built, metadata=b"Metadata-Version: 2.1\n")
    site.upstream.behave(".metadata$", Status(404))
    assert beside(site, built.filename).status_code == 502
    assert kept_filenames(site) == []


def test_metadata_that_upstream_lacks_is_taken_out_by_a_few_ranges(site: MirrorSite) -> None:
    name = "big-1.0-py3-none-any.whl"
    site.upstream.add_big(name, 12 * MB, metadata=False)
    assert site.files("big")[name]["core-metadata"] is True
    for _ in range(2):
        answer = beside(site, name)
        assert (answer.status_code, answer.content) == (200, core_metadata("big", "1.0"))
    asked = site.upstream.requests.of(".whl$", None)
    assert 1 <= len(asked) <= REQUESTS_MAX
    assert {each.status for each in asked} == {206}
    assert sum(each.bytes_sent for each in asked) < 200_000
    assert kept_filenames(site) == [f"{name}.metadata"]
    assert site.upstream.requests.count(".metadata") == 0
    sha256 = hashlib.sha256(answer.content).hexdigest()
    assert site.files("big")[name]["core-metadata"] == {"sha256": sha256}


@pytest.mark.parametrize("size", ["told", "untold"])
def test_metadata_at_the_beginning_of_a_wheel_is_found_too(site: MirrorSite, size: str) -> None:
    # As some builders write them: metadata first, and then much that does not shrink.
    noise = {f"demo/{n}.bin": hashlib.sha512(bytes([n])).digest() * 64 for n in range(200)}
    blob = hashlib.shake_256(b"noise").digest(2 * MB)
    built = a_wheel(extra_files={**noise, "demo/blob.bin": blob})
    facts = {} if size == "told" else {"size": "untold"}
    site.upstream.add(built, metadata=False, **facts)  # type: ignore[arg-type]
    assert beside(site, built.filename).content == metadata_of(built)
    assert None not in wheels_asked(site)
    assert len(wheels_asked(site)) <= REQUESTS_MAX + (size == "untold")


def test_where_upstream_sends_no_parts_the_whole_wheel_is_fetched_once(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built, metadata=False)
    site.upstream.behave(".whl$", NoRanges())
    assert beside(site, built.filename).content == metadata_of(built)
    assert site.download("demo", built.filename).content == built.content
    whole = [asked for asked in site.upstream.requests.of(".whl$", None) if "range" not in
             asked.headers]  # fmt: skip
    assert len(whole) == 1
    assert kept_filenames(site) == [built.filename, f"{built.filename}.metadata"]


def test_of_a_wheel_that_is_here_upstream_is_not_asked(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built, metadata=False)
    site.download("demo", built.filename)
    site.upstream.requests.clear()
    assert beside(site, built.filename).content == metadata_of(built)
    assert wheels_asked(site) == []


def test_a_wheel_that_cannot_be_read_has_no_metadata(site: MirrorSite) -> None:
    name = "demo-1.0-py3-none-any.whl"
    site.upstream.add(b"PK this is no wheel" * 1000, name, metadata=False)
    answer = beside(site, name)
    assert answer.status_code == 404
    assert "it is no wheel that can be read" in answer.text
    site.wait_for_log(f"{site.index}: no metadata of {name}: ")
    assert site.download("demo", name).status_code == 200


def test_an_sdist_has_no_metadata_unless_upstream_announces_it(site: MirrorSite) -> None:
    plain, announced = an_sdist("demo", "1.0"), an_sdist("demo", "2.0")
    site.upstream.add(plain)
    site.upstream.add(announced, metadata=b"Metadata-Version: 2.1\nName: demo\nVersion: 2.0\n")
    assert beside(site, plain.filename).status_code == 404
    assert beside(site, announced.filename).content.endswith(b"Version: 2.0\n")
    assert site.upstream.requests.count(".tar.gz") == 1


def test_metadata_of_an_offline_mirror_comes_out_of_what_is_kept(site: MirrorSite) -> None:
    built, other = a_wheel(), a_wheel("demo", "2.0")
    for each in (built, other):
        site.upstream.add(each, metadata=False)
    urls = [site.file_url("demo", each.filename) for each in (built, other)]
    site.get(urls[0])
    site.upstream.unplug()
    site.change("offline=True")
    assert site.get(f"{urls[0]}.metadata").content == metadata_of(built)
    assert site.get(f"{urls[1]}.metadata").status_code == 404


# Signatures and provenance


def test_an_offline_mirror_takes_no_metadata_out_of_an_sdist(site: MirrorSite) -> None:
    built = an_sdist()
    site.upstream.add(built, metadata=b"Metadata-Version: 2.1\n")
    url = site.file_url("demo", built.filename)
    site.get(url, "*/*")
    site.change("offline=True")
    assert site.get(f"{url}.metadata", "*/*").status_code == 404


def test_provenance_is_passed_on_and_kept(site: MirrorSite) -> None:
    built, document = a_wheel(), b'{"version": 1, "attestation_bundles": []}'
    site.upstream.add(built, provenance=document)
    for _ in range(2):
        answer = beside(site, built.filename, ".provenance")
        assert (answer.status_code, answer.content) == (200, document)
        assert answer.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"
        assert answer.headers["cache-control"] == "no-cache"
    assert site.upstream.requests.count(".provenance") == 1
    site.upstream.add(a_wheel("demo", "2.0"))
    site.refresh("demo")
    assert beside(site, "demo-2.0-py3-none-any.whl", ".provenance").status_code == 404


def test_a_signature_is_passed_on_where_the_page_tells_of_one(site: MirrorSite) -> None:
    built = a_wheel()
    site.upstream.add(built)
    site.upstream.put(f"/files/demo/{built.filename}.asc", b"-----BEGIN PGP SIGNATURE-----\n")
    assert beside(site, built.filename, ".asc").status_code == 404
    link = (
        f'<a href="/files/demo/{built.filename}#sha256={built.sha256}" data-gpg-sig="true">'
        f"{built.filename}</a>"
    )
    site.upstream.behave("/simple/demo/", Page(f"<!DOCTYPE html><html>{link}</html>".encode()))
    site.refresh("demo")
    answer = beside(site, built.filename, ".asc")
    assert answer.content == b"-----BEGIN PGP SIGNATURE-----\n"
    assert answer.headers["content-type"] == "application/pgp-signature"


# Resolvers


def add_chain(site: MirrorSite, *, metadata: bool | None) -> None:
    """Each needs the next one; all are large."""
    payload = hashlib.shake_256(b"payload").digest(300_000)
    for name, needed in zip(CHAIN, [*CHAIN[1:], None], strict=True):
        built = a_wheel(
            name,
            requires_dist=[] if needed is None else [needed],
            extra_files={f"{name}/payload.bin": payload},
        )
        site.upstream.add(built, metadata=metadata)


with_and_without = pytest.mark.parametrize(
    "metadata", [None, False], ids=["upstream has metadata", "upstream has none"]
)


@with_and_without
def test_uv_resolves_without_a_whole_wheel(
    site: MirrorSite, terminal: Terminal, tmp_path: Path, metadata: bool | None
) -> None:
    add_chain(site, metadata=metadata)
    (tmp_path / "wanted.in").write_text("first\n")
    only_ours = ["--no-config", "--no-cache", "--default-index", site.simple_url]
    python = ["--python", sys.executable]
    wanted = tmp_path / "wanted.in"
    told = terminal.must(program("uv"), "pip", "compile", wanted, *python, *only_ours)
    assert all(f"{name}==1.0" in told for name in CHAIN)
    assert None not in wheels_asked(site)
    assert figures(site)["files"] == 0


@with_and_without
def test_pip_resolves_without_a_whole_wheel(
    site: MirrorSite, terminal: Terminal, metadata: bool | None
) -> None:
    add_chain(site, metadata=metadata)
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir"]
    told = terminal.must(*pip, "--dry-run", "--index-url", site.simple_url, "first")
    assert "Would install first-1.0 fourth-1.0 second-1.0 third-1.0" in told
    assert None not in wheels_asked(site)
    assert figures(site)["files"] == 0


def test_pip_installs_a_chain_of_packages(
    site: MirrorSite, terminal: Terminal, tmp_path: Path
) -> None:
    add_chain(site, metadata=False)
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir"]
    terminal.must(*pip, "--index-url", site.simple_url, "--target", tmp_path / "target", "first")
    for name in CHAIN:
        assert (tmp_path / "target" / name / "payload.bin").stat().st_size == 300_000
    assert wheels_asked(site).count(None) == len(CHAIN)
    assert figures(site)["files"] == len(CHAIN)
