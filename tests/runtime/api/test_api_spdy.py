"""SPDY inside WebSockets, from a client's side written here after the protocol alone."""

from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdl.runtime.api import spdy


def control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body


class Peer:
    """A client: it opens streams with headers."""

    def __init__(self) -> None:
        self.deflate = zlib.compressobj(zdict=spdy._DICTIONARY)

    def open(self, stream: int, **headers: str) -> bytes:
        raw = struct.pack(">I", len(headers))
        for name, item in headers.items():
            for text in (name, item):
                raw += struct.pack(">I", len(text)) + text.encode()
        block = self.deflate.compress(raw) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(1, struct.pack(">IIH", stream, 0, 0) + block)


def test_the_dictionary_is_that_of_the_protocol() -> None:
    assert (len(spdy._DICTIONARY), zlib.adler32(spdy._DICTIONARY)) == (1423, 0xE3C6A7C2)


@given(st.integers(1, 40))
def test_streams_are_opened_written_and_ended_however_the_bytes_are_cut(size: int) -> None:
    peer = Peer()
    wire = peer.open(1, streamtype="error", port="80", requestid="0") + peer.open(3, streamtype="data", port="80")
    wire += (
        spdy.data(3, b"hello") + spdy.data(3, b"", end=True) + control(6, b"\0\0\0\1") + control(3, b"\0\0\0\3\0\0\0\1")
    )
    session = spdy.Session()
    events = [event for at in range(0, len(wire), size) for event in session.receive(wire[at : at + size])]
    assert events == [
        spdy.Opened(1, {"streamtype": "error", "port": "80", "requestid": "0"}, False),
        spdy.Opened(3, {"streamtype": "data", "port": "80"}, False),
        spdy.Data(3, b"hello", False),
        spdy.Data(3, b"", True),
        spdy.Reply(control(6, b"\0\0\0\1")),
        spdy.Reset(3),
    ]


@given(st.binary(max_size=100))
def test_no_bytes_break_a_session(data: bytes) -> None:
    with contextlib.suppress(spdy.BadFrame):
        for event in spdy.Session().receive(control(1, data) + data):
            assert isinstance(event, tuple)


def test_frames_of_another_protocol_are_refused() -> None:
    with pytest.raises(spdy.BadFrame):
        list(spdy.Session().receive(struct.pack(">HHI", 0x8002, 1, 0)))
