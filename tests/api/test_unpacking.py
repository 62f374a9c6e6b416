"""Answers are unpacked as they say, and no further than they may be read."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.api.responses import Unpacker

PACKING = {"gzip": gzip.compress, "x-gzip": gzip.compress, "Deflate ": zlib.compress, "": bytes}


@given(
    st.binary(max_size=5_000),
    st.sampled_from(sorted(PACKING)),
    st.integers(1, 400),
    st.integers(1, 9_000),
)
def test_what_fits_is_unpacked_whole_in_whatever_pieces_it_comes(data, encoding, size, most):
    unpacker = Unpacker(encoding, most)
    packed = PACKING[encoding](data)
    for start in range(0, len(packed), size):
        unpacker.take(packed[start : start + size])
    assert unpacker.body == data[: most + 1]
    assert unpacker.is_full == (len(data) > most)


def test_a_way_of_packing_that_is_not_known_is_left_as_it_is():
    unpacker = Unpacker("br", 100)
    unpacker.take(b"\x0b\x02\x80")
    assert unpacker.body == b"\x0b\x02\x80"


def test_what_is_not_packed_as_it_says_is_an_error():
    with pytest.raises(zlib.error):
        Unpacker("gzip", 100).take(b'{"id": "lab"}')


def test_a_piece_that_holds_gigabytes_takes_no_more_memory_than_what_is_kept():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    unpacker = Unpacker("gzip", 2**20)
    tracemalloc.start()
    unpacker.take(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert unpacker.is_full
    assert peak < 8 * 2**20
