"""`gc`: make room on the disk, out of what mirrors have kept and of what nobody needs."""

from pathlib import Path

import click

from simpleindex.cli.mirrors import opened
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, size_text, table, tell
from simpleindex.mirror.forgetting import forget_gone_indexes
from simpleindex_storage.mirrored import Evicted, Orphan, Usage
from simpleindex_storage.model import JsonValue
from simpleindex_storage.records import time_text


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@json_option
@setting_options("serverdir", "cache_bytes_max", "keep_free_bytes")
def command(*, dry_run: bool, as_json: bool, config_file: Path | None, **flags: object) -> None:
    """Bring the files that mirrors have kept down to their budget, and remove left-overs.

    Those that nobody used for longest go first; all of them can be fetched again. Uploads are
    never touched. The server does the first part by itself whenever a file arrives.
    """
    config = config_from(config_file, flags)
    with opened(config) as mirrors:
        cache = mirrors.mirroring.cache
        evicted = cache.evict(config.cache_bytes_max, config.keep_free_bytes, dry_run=dry_run)
        orphans = cache.gc(dry_run=dry_run)
        if not dry_run:
            cache.tidy()
            forget_gone_indexes(cache, mirrors.store.catalog)
            mirrors.store.sweep()
        usage = cache.usage()
    document: dict[str, JsonValue] = {
        "dry_run": dry_run,
        "evicted": [_evicted(each) for each in evicted],
        "left_over": [{"path": each.path, "bytes": each.size_bytes} for each in orphans],
        "mirrors": [_usage(each) for each in usage],
    }
    tell(document, _lines(evicted, orphans, usage, dry_run=dry_run), as_json=as_json)


def _evicted(each: Evicted) -> JsonValue:
    place, used = each.place.path, time_text(each.used_at)
    return {"path": place, "bytes": each.size_bytes, "last_used": used}


def _usage(each: Usage) -> JsonValue:
    return {
        "index": each.index,
        "pages": each.pages,
        "files": each.files,
        "bytes": each.size_bytes,
    }


def _lines(
    evicted: tuple[Evicted, ...],
    orphans: tuple[Orphan, ...],
    usage: tuple[Usage, ...],
    *,
    dry_run: bool,
) -> list[str]:
    verb = "would be removed" if dry_run else "removed"
    rows = [
        (each.place.filename, size_text(each.size_bytes), f"last used {time_text(each.used_at)}")
        for each in evicted
    ]
    lines = table(rows) if rows else []
    lines += [f"left over: {each.path}" for each in orphans]
    freed = sum(each.size_bytes for each in evicted)
    lines.append(f"{count_text(len(evicted), 'file')} {verb}, {size_text(freed)}")
    lines += [
        f"{each.index} keeps {count_text(each.files, 'file')} ({size_text(each.size_bytes)}) of "
        f"{count_text(each.pages, 'project')}"
        for each in usage
    ]
    return lines
