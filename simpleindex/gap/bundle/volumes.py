"""One bundle in several volumes: whole files, each volume to be read and checked alone."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simpleindex.gap.bundle.manifest import (
    MEMBER,
    PARTS_MAX,
    BundledFile,
    ExtraFile,
    FileElsewhere,
    Manifest,
    Part,
    dump_manifest,
    stamp,
)
from simpleindex.gap.bundle.stored_zip import END_BYTES_MAX, Member, layout, room_bytes
from simpleindex_storage.errors import Refused

SIGNATURE = "manifest.json.sig"
SIGNATURE_BYTES_MAX = 4 << 10

VOLUMES_MAX = 1000
"""That are written, and read together."""

FAT32_BYTES_MAX = (4 << 30) - 1
"""The largest file that most sticks take."""

_NUMBERED = re.compile(r"(.*)\.part([0-9]{1,5})of([1-9][0-9]{0,4})")
_SUFFIXES = (".pkgbundle.zip", ".zip")


def split(
    manifest: Manifest,
    extras: Sequence[ExtraFile],
    max_bytes: int | None,
    *,
    is_signed: bool = False,
) -> tuple[Manifest, ...]:
    """The manifests of the volumes that this is written in: of one, where it fits in one.

    Files stay whole, and in their order where there is room: each goes into the first volume that
    has some. `extras` are in all of them, but `server.pyz` and reports in the first alone. Raises
    Refused for a file that fits in none.
    """
    whole = replace(manifest, extras=tuple(extras))
    if max_bytes is None or _most_bytes(whole, is_signed=is_signed) <= max_bytes:
        return (whole,)
    in_all = tuple(extra for extra in extras if extra.name.startswith(("README", "verify.")))
    # No volume's manifest is larger than one that lists every file both here and elsewhere.
    largest = replace(
        whole,
        elsewhere=tuple(_elsewhere(file, PARTS_MAX) for file in manifest.files),
        part=Part(PARTS_MAX, PARTS_MAX, stamp(())),
    )
    lists = [Member(MEMBER, len(dump_manifest(largest)))]
    lists += [Member(SIGNATURE, SIGNATURE_BYTES_MAX)] if is_signed else []
    left = max_bytes - END_BYTES_MAX - sum(map(room_bytes, lists))
    room = left - sum(room_bytes(_of_extra(extra)) for extra in in_all)
    first_room = left - sum(room_bytes(_of_extra(extra)) for extra in extras)
    if first_room < 0:
        raise Refused(
            f"volumes of {max_bytes} bytes",
            f"the list of what is inside, and what explains it, take {max_bytes - first_room} "
            "bytes already; allow larger ones",
        )
    groups = _groups(manifest.files, first_room, room, max_bytes)
    number_of = {file.member: number for number, group in enumerate(groups, 1) for file in group}
    set_stamp = stamp(file.sha256 for file in manifest.files)
    return tuple(
        replace(
            manifest,
            files=tuple(group),
            elsewhere=tuple(
                _elsewhere(file, number_of[file.member])
                for file in manifest.files
                if number_of[file.member] != number
            ),
            part=Part(number, len(groups), set_stamp),
            extras=tuple(extras) if number == 1 else in_all,
        )
        for number, group in enumerate(groups, 1)
    )


def contradiction(manifest: Manifest) -> str | None:
    """Why no bundle can be as this manifest tells; None: one can."""
    known: list[BundledFile | FileElsewhere] = [*manifest.files, *manifest.elsewhere]
    names = [file.name.text for file in known]
    names += [extra.name for extra in manifest.extras]
    if len(set(map(str.casefold, names))) < len(names):
        return "names a file twice"
    part, others = manifest.part, {each.part for each in manifest.elsewhere}
    if part is None:
        return "names other volumes, but not which one this is" if others else None
    if part.number in others or max(others, default=1) > part.count:
        return "contradicts itself about the other volumes"
    if part.set_stamp != stamp(file.sha256 for file in known):
        return "does not name all that is in the other volumes"
    return None


def members_of(
    manifest: Manifest, manifest_bytes: int, signature_bytes: int | None
) -> list[Member]:
    """What is in a volume, in its order; the checksums are not known yet.

    None: it is not signed.
    """
    members = [Member(MEMBER, manifest_bytes)]
    if signature_bytes is not None:
        members.append(Member(SIGNATURE, signature_bytes))
    members += [Member(file.member, file.size_bytes) for file in manifest.files]
    members += [_of_extra(extra) for extra in manifest.extras]
    return members


def volume_path(destination: Path, number: int, count: int) -> Path:
    """Where a volume goes: `site.part02of12.zip` for `site.zip`, or that itself if it is alone."""
    if count == 1:
        return destination
    stem, suffix = _stem_and_suffix(destination)
    return destination.with_name(f"{stem}.part{number:0{len(str(count))}}of{count}{suffix}")


def with_others(path: Path) -> tuple[Path, ...]:
    """A volume and those of its others that lie beside it, by their names; else it alone."""
    stem, suffix = _stem_and_suffix(path)
    found = _NUMBERED.fullmatch(stem)
    if found is None or not path.is_file():
        return (path,)
    count = int(found[3])
    names = [
        volume_path(path.with_name(f"{found[1]}{suffix}"), n, count) for n in range(1, count + 1)
    ]
    others = [name for name in names if name.name != path.name and name.is_file()]
    return (path, *others)


def is_volume_of(destination: Path, name: str) -> bool:
    """Whether a file of this name is what `volume_path` tells of it, for any number of volumes."""
    stem, suffix = map(re.escape, _stem_and_suffix(destination))
    return re.fullmatch(rf"{stem}(\.part[0-9]+of[0-9]+)?{suffix}", name) is not None


def _stem_and_suffix(destination: Path) -> tuple[str, str]:
    name = destination.name
    suffix = next((each for each in _SUFFIXES if name.endswith(each)), "")
    return name.removesuffix(suffix), suffix


def _most_bytes(manifest: Manifest, *, is_signed: bool) -> int:
    """How large a volume is, or a little less."""
    signature_bytes = SIGNATURE_BYTES_MAX if is_signed else None
    members = members_of(manifest, len(dump_manifest(manifest)), signature_bytes)
    return layout(members).size_bytes


def _groups(
    files: Sequence[BundledFile], first_room: int, room: int, max_bytes: int
) -> list[list[BundledFile]]:
    groups: list[list[BundledFile]] = [[]]
    rooms = [first_room]
    for file in files:
        needed = room_bytes(Member(file.member, file.size_bytes))
        if needed > room:
            raise Refused(
                file.name.text,
                f"its {file.size_bytes} bytes do not fit in a volume of {max_bytes}; a file is "
                "never cut, so allow larger ones",
            )
        place = next((place for place, left in enumerate(rooms) if needed <= left), len(rooms))
        if place == len(rooms):
            groups.append([])
            rooms.append(room)
        groups[place].append(file)
        rooms[place] -= needed
    if len(groups) > VOLUMES_MAX:
        raise Refused(
            f"volumes of {max_bytes} bytes",
            f"{len(groups)} of them would be needed, and {VOLUMES_MAX} are the most; allow larger "
            "ones",
        )
    return groups


def _elsewhere(file: BundledFile, part: int) -> FileElsewhere:
    return FileElsewhere(file.name, file.sha256, part)


def _of_extra(extra: ExtraFile) -> Member:
    return Member(extra.name, extra.size_bytes)
