"""SPDY/3.1 as kubectl speaks it inside a WebSocket when it forwards ports: frames and streams, without IO.

`Session` is a server's side: bytes in, events out; and the bytes of frames to send.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_WORDS: Final = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age "
    "allow authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_DICTIONARY: Final = b"".join(
    struct.pack(">I", len(word)) + word.encode() for word in (raw.replace("_", " ") for raw in _WORDS.split())
) + (
    b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritat"
    b"ive Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found5"
    b"00 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct N"
    b"ov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,applic"
    b"ation/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf"
    b"-8charset=iso-8859-1,utf-,*,enq=0."
)
"""What both sides' compression of headers begins with: it is part of the protocol."""

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN: Final = 1
_VERSION: Final = 3
_MOST: Final = 1 << 20
"""Bytes that a frame may have: nobody sends more, and nothing longer is gathered."""


class Opened(NamedTuple):
    """The client has opened a stream."""

    stream: int
    headers: Mapping[str, str]
    ended: bool


class Data(NamedTuple):
    """The client has sent something on a stream; `ended` if it was the last."""

    stream: int
    data: bytes
    ended: bool


class Reset(NamedTuple):
    """The client has given a stream up."""

    stream: int


class Reply(NamedTuple):
    """To be sent as it is."""

    frame: bytes


class Away(NamedTuple):
    """The client opens no more streams."""


Event = Opened | Data | Reset | Reply | Away


class BadFrame(ValueError):
    """What came is not SPDY/3.1."""


class Session:
    """One connection. Streams are told apart by their numbers."""

    def __init__(self) -> None:
        self._pending = b""
        self._inflate = zlib.decompressobj(zdict=_DICTIONARY)
        self._deflate = zlib.compressobj(zdict=_DICTIONARY)

    def receive(self, data: bytes) -> Iterator[Event]:
        """The events of all frames that are whole now."""
        self._pending += data
        while len(self._pending) >= 8:
            first, second = struct.unpack_from(">II", self._pending)
            flags, length = second >> 24, second & 0xFF_FFFF
            if length > _MOST:
                raise BadFrame("a frame is too long")
            if len(self._pending) < 8 + length:
                return
            body, self._pending = self._pending[8 : 8 + length], self._pending[8 + length :]
            if not first >> 31:
                yield Data(first, body, bool(flags & _FIN))
            elif (first >> 16) & 0x7FFF != _VERSION:
                raise BadFrame("this is not SPDY/3")
            elif (event := self._control(first & 0xFFFF, flags, body)) is not None:
                yield event

    def _control(self, kind: int, flags: int, body: bytes) -> Event | None:
        try:
            if kind == _SYN_STREAM:
                (stream,) = struct.unpack_from(">I", body)
                return Opened(stream & 0x7FFF_FFFF, self._headers(body[10:]), bool(flags & _FIN))
            if kind == _RST_STREAM:
                return Reset(struct.unpack_from(">I", body)[0] & 0x7FFF_FFFF)
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise BadFrame(f"a frame is broken: {error}") from None
        if kind == _PING:
            return Reply(_frame(_PING, 0, body))
        return Away() if kind == _GOAWAY else None

    def _headers(self, block: bytes) -> dict[str, str]:
        raw = self._inflate.decompress(block, _MOST)
        (count,) = struct.unpack_from(">I", raw)
        found, at = {}, 4
        for _ in range(count):
            parts = []
            for _ in range(2):
                (size,) = struct.unpack_from(">I", raw, at)
                parts.append(raw[at + 4 : at + 4 + size].decode())
                at += 4 + size
            found[parts[0].lower()] = parts[1]
        return found

    def accept(self, stream: int) -> bytes:
        """The frame that accepts a stream."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_SYN_REPLY, 0, struct.pack(">I", stream) + block)


def data(stream: int, payload: bytes, end: bool = False) -> bytes:
    """The frame that sends something on a stream, or ends it."""
    return struct.pack(">II", stream, (_FIN if end else 0) << 24 | len(payload)) + payload


def _frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, flags << 24 | len(body)) + body
