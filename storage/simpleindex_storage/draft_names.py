"""The name of a draft that is being published: it tells the place, to whoever finds it later."""

from pathlib import Path

from .names import FilePlace, IndexName


def noted_name(place: FilePlace, number: int) -> str:
    """`<user>+<index>/<16 hex>+<number>+<filename>`, below the folder of one process."""
    folder = place.index.replace("/", "+")  # no name has a "+" in it
    return f"{folder}/{place.sha256_prefix}+{number}+{place.filename}"


def noted_place(name: Path) -> FilePlace | None:
    """The place that a draft's name tells; None for one that was still being received."""
    told = name.name.split("+", 2)
    if len(name.parts) != 2 or len(told) != 3:
        return None
    prefix, _number, filename = told
    return FilePlace(IndexName(name.parts[0].replace("+", "/")), prefix, filename)
