"""How an input becomes another one: at random, and with some knowledge of what it is made of."""

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

INPUT_BYTES_MAX = 1 << 18
"""No mutation makes a longer one."""

_TURNS_MAX = 4
_BLOCK_BYTES_MAX = 64
NUMBERS = (0, 1, 2, 7, 8, 9, 20, 22, 30, 46, 127, 128, 255, 256, 512, 1024, 0x7FFF, 0xFFFF)
LARGE_NUMBERS = (*NUMBERS, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF)

Mutation: TypeAlias = Callable[["Ground", bytes], bytes]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a mutation may draw from."""

    rng: random.Random
    tokens: Sequence[bytes] = ()
    """What means something to the parser."""
    others: Sequence[bytes] = ()
    """Inputs to splice with."""
    special: Sequence[Mutation] = field(default=())
    """Those that know the format."""


def mutated(ground: Ground, data: bytes) -> bytes:
    """Another input, a few steps away."""
    rng = ground.rng
    for _ in range(rng.randint(1, _TURNS_MAX)):
        choice = ground.special if ground.special and rng.random() < 0.6 else _GENERAL
        data = rng.choice(choice)(ground, data)[:INPUT_BYTES_MAX]
    return data


def mutated_once(ground: Ground, data: bytes) -> bytes:
    """One step of the general kind."""
    return ground.rng.choice(_GENERAL)(ground, data)


# Any bytes


def _flip_a_bit(ground: Ground, data: bytes) -> bytes:
    return _changed(ground, data, lambda byte: byte ^ 1 << ground.rng.randrange(8))


def _change_a_byte(ground: Ground, data: bytes) -> bytes:
    return _changed(ground, data, lambda _: ground.rng.randrange(256))


def _step_a_byte(ground: Ground, data: bytes) -> bytes:
    return _changed(ground, data, lambda byte: (byte + ground.rng.choice((-1, 1))) % 256)


def _changed(ground: Ground, data: bytes, change: Callable[[int], int]) -> bytes:
    if not data:
        return ground.rng.randbytes(1)
    at = ground.rng.randrange(len(data))
    return data[:at] + bytes([change(data[at])]) + data[at + 1 :]


def _copy_a_block(ground: Ground, data: bytes) -> bytes:
    at = ground.rng.randrange(len(data) + 1)
    return data[:at] + _block(ground, data) + data[at:]


def _move_a_block(ground: Ground, data: bytes) -> bytes:
    block = _block(ground, data)
    rest = data.replace(block, b"", 1) if block else data
    at = ground.rng.randrange(len(rest) + 1)
    return rest[:at] + block + rest[at:]


def _delete_a_block(ground: Ground, data: bytes) -> bytes:
    start = ground.rng.randrange(len(data) + 1)
    return data[:start] + data[start + _length(ground) :]


def _repeat_a_block(ground: Ground, data: bytes) -> bytes:
    block = _block(ground, data)
    return data.replace(block, block * ground.rng.choice((2, 3, 20)), 1) if block else data


def _insert_noise(ground: Ground, data: bytes) -> bytes:
    at = ground.rng.randrange(len(data) + 1)
    return data[:at] + ground.rng.randbytes(ground.rng.randint(1, 8)) + data[at:]


def _insert_a_token(ground: Ground, data: bytes) -> bytes:
    at = ground.rng.randrange(len(data) + 1)
    return data[:at] + a_token(ground) + data[at:]


def _write_a_token(ground: Ground, data: bytes) -> bytes:
    at, token = ground.rng.randrange(len(data) + 1), a_token(ground)
    return data[:at] + token + data[at + len(token) :]


def _exchange_tokens(ground: Ground, data: bytes) -> bytes:
    there = [token for token in ground.tokens if token and token in data]
    if not there:
        return _insert_a_token(ground, data)
    token, count = ground.rng.choice(there), ground.rng.randint(1, 2)
    return data.replace(token, a_token(ground), count)


def _splice(ground: Ground, data: bytes) -> bytes:
    if not ground.others:
        return data
    other = ground.rng.choice(ground.others)
    start, end = (ground.rng.randrange(len(each) + 1) for each in (data, other))
    return data[:start] + other[end:]


def _take_a_block_of_another(ground: Ground, data: bytes) -> bytes:
    if not ground.others:
        return data
    at = ground.rng.randrange(len(data) + 1)
    return data[:at] + _block(ground, ground.rng.choice(ground.others)) + data[at:]


def _write_a_number(ground: Ground, data: bytes) -> bytes:
    form = ground.rng.choice(("<H", "<L", "<Q", ">H", ">L"))
    number = ground.rng.choice(NUMBERS if form[1] == "H" else LARGE_NUMBERS)
    at = ground.rng.randrange(len(data) + 1)
    raw = struct.pack(form, number)
    return data[:at] + raw + data[at + len(raw) :]


def _cut_off(ground: Ground, data: bytes) -> bytes:
    return data[: ground.rng.randrange(len(data) + 1)]


def _block(ground: Ground, data: bytes) -> bytes:
    start = ground.rng.randrange(len(data) + 1)
    return data[start : start + _length(ground)]


def _length(ground: Ground) -> int:
    return ground.rng.randint(1, ground.rng.choice((4, 16, _BLOCK_BYTES_MAX)))


def a_token(ground: Ground) -> bytes:
    """Something that means something to the parser."""
    return ground.rng.choice(ground.tokens) if ground.tokens else ground.rng.randbytes(2)


_GENERAL: tuple[Mutation, ...] = (
    _flip_a_bit, _change_a_byte, _step_a_byte, _copy_a_block, _move_a_block, _delete_a_block,
    _repeat_a_block, _insert_noise, _insert_a_token, _insert_a_token, _write_a_token,
    _exchange_tokens, _splice, _take_a_block_of_another, _write_a_number, _cut_off,
)  # fmt: skip


# Lines


def change_lines(ground: Ground, data: bytes) -> bytes:
    """Drop, double, exchange or take over a line, or end one otherwise."""
    rng, lines = ground.rng, data.splitlines(keepends=True) or [b""]
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines) + 1)
    match rng.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines.insert(to, lines.pop(at))
        case 3 if ground.others:
            lines.insert(to, rng.choice(rng.choice(ground.others).splitlines(True) or [b"\n"]))
        case 4:
            lines[at] = lines[at].rstrip(b"\r\n") + rng.choice(
                (b"\n", b"\r\n", b"\r", b"\n\n", b"")
            )
        case _:
            lines[at] = rng.choice((b" ", b"\t", b";", b"#", b"\v")) + lines[at]
    return b"".join(lines)


# Forms


def change_the_cuts(ground: Ground, data: bytes) -> bytes:
    """The same body, cut up elsewhere."""
    return data[:1] + ground.rng.randbytes(2) + data[3:]
