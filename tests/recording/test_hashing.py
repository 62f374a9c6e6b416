"""A file is hashed while it is read."""

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.recording.source import HashingReader

DATA = bytes(range(256)) * 8


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 900))))
def test_the_hash_is_that_of_the_file_however_a_decoder_jumps_about(jumps):
    reader = HashingReader(io.BytesIO(DATA))
    for offset, size in jumps:
        reader.seek(offset)
        assert reader.read(size) == DATA[offset : offset + size]
    assert reader.finish() == (hashlib.sha256(DATA).hexdigest(), len(DATA))


def test_a_file_read_in_order_is_read_once():
    class Counting(io.BytesIO):
        bytes_read = 0

        def read(self, size=-1, /):
            data = super().read(size)
            self.bytes_read += len(data)
            return data

    file = Counting(DATA)
    reader = HashingReader(file)
    while reader.read(100):
        pass
    reader.finish()
    assert file.bytes_read == len(DATA)


def test_a_failure_to_read_is_remembered_even_when_a_decoder_swallows_it():
    class Lost(io.BytesIO):
        def read(self, _size=-1, /):
            raise OSError("gone")

    reader = HashingReader(Lost(DATA))
    with pytest.raises(OSError, match="gone"):
        reader.read(1)
    with pytest.raises(OSError, match="gone"):
        reader.finish()
