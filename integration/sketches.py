"""Sketches of distinct texts worked out a second time: what bytes a few hundred values give."""

from __future__ import annotations

import base64
import functools
import struct

ONES = (1 << 64) - 1
# Beyond that a sketch of 2^12 registers counts registers, not values.
VALUES_MAX = 384


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & ONES


def _finished(word: int) -> int:
    word = (word ^ word >> 33) * 0xFF51AFD7ED558CCD & ONES
    word = (word ^ word >> 33) * 0xC4CEB9FE1A85EC53 & ONES
    return word ^ word >> 33


@functools.cache
def coupon(text: str) -> int:
    """Where a text stands and how rare it is, by MurmurHash3 of 128 bits; for up to 15 bytes."""
    data = text.encode()
    assert 0 < len(data) < 16, text
    low, high = struct.unpack("<QQ", data.ljust(16, b"\0"))
    first = second = 9001
    second ^= _rotated(high * 0x4CF5AD432745937F & ONES, 33) * 0x87C37B91114253D5 & ONES
    first ^= _rotated(low * 0x87C37B91114253D5 & ONES, 31) * 0x4CF5AD432745937F & ONES
    first, second = first ^ len(data), second ^ len(data)
    first = (first + second) & ONES
    second = (second + first) & ONES
    first, second = _finished(first), _finished(second)
    first = (first + second) & ONES
    second = (second + first) & ONES
    zeros = 64 - second.bit_length()
    return (min(zeros, 62) + 1) << 26 | first & ((1 << 26) - 1)


def sketch(texts: frozenset[str]) -> str:
    """The one form of a sketch of 2^12 registers, as JSON shows bytes."""
    coupons = sorted(coupon(text) for text in texts)
    count = len(coupons)
    assert count <= VALUES_MAX, count
    if count < 8:
        head = bytes([2, 1, 7, 12, 3, 8 if count else 12, count, 8])
    else:
        slots = next(slots for slots in range(5, 10) if count <= 3 << slots >> 2)
        head = bytes([3, 1, 7, 12, slots, 8, 0, 9]) + struct.pack("<I", count)
    return shown(head + struct.pack(f"<{count}I", *coupons))


def shown(value: object) -> object:
    """Bytes as JSON shows them, anything else as it is."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
