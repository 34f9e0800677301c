"""Files of mirrors that are handed on without being kept: for when there is no room for them."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from simpleindex.errors import UpstreamFailed
from simpleindex.events import Count, Event
from simpleindex.mirror.pages import Upstreams
from simpleindex.mirror.transfers import HELD_BACK_BYTES, WantedFile, check_answer, promised_digest
from simpleindex.upstream.client import UpstreamTrouble

_ALGORITHMS = {"blake2b_256": lambda: hashlib.blake2b(digest_size=32)}


async def passed_along(
    upstreams: Upstreams, wanted: WantedFile, hops: tuple[str, ...], count: Count
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file as upstream sends them, of which at least one piece comes.

    Its end is held back until the digest is known to be right, so that a small file comes whole or
    not at all. Raises UpstreamFailed, also for a file of which upstream tells no digest.
    """
    file = wanted.file.known.file
    promised = promised_digest(file)
    if promised is None:
        raise UpstreamFailed(f"there is no room for {file.filename}, and nothing to check it by")
    algorithm, digest = promised
    running = _ALGORITHMS.get(algorithm, lambda: hashlib.new(algorithm, usedforsecurity=False))()
    try:
        source, upstream = await upstreams.reach(wanted.settings)
        async with upstream.file(
            source, file.url, page_hosts=wanted.page_hosts, hops=hops
        ) as answer:
            check_answer(file, answer)
            held = b""
            async with aclosing(answer.chunks) as chunks:
                async for chunk in chunks:
                    count(Event.MIRROR_FILE_BYTES, len(chunk))
                    running.update(chunk)
                    held += chunk
                    if len(held) > HELD_BACK_BYTES:
                        yield held[:-HELD_BACK_BYTES]
                        held = held[-HELD_BACK_BYTES:]
            if running.hexdigest() != digest:
                raise UpstreamTrouble(f"upstream sent other bytes than its {algorithm} promises")
            yield held
            count(Event.MIRROR_FILE_PASSED_ON, 1)
    except UpstreamTrouble as error:
        count(Event.MIRROR_FILE_FAILED, 1)
        raise UpstreamFailed(f"{file.filename} cannot be fetched: {error}") from None
