"""AMQP 0-9-1 in frames: pika's codec without pika's connection, so that every frame of a broker is seen, in its order."""

import select
import socket
import time
from dataclasses import dataclass
from typing import Any

import pika
from pika import data, frame, spec

FRAME_MAX = 16384


@dataclass(frozen=True)
class Typed:
    """A field value with the octet that says its type."""
    kind: str
    value: Any


class Lost(Exception):
    """The broker closed the socket."""


_encode, _decode = data.encode_value, data.decode_value
_LAYOUTS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "f": ">f", "d": ">d", "T": ">Q",
            "t": ">B"}


def _encode_typed(pieces, value):
    """Writes a value; one that is `Typed` as it says."""
    if not isinstance(value, Typed):
        return _encode(pieces, value)
    import struct
    octets = value.kind.encode()
    if value.kind in ("S", "x"):
        octets += struct.pack(">I", len(value.value)) + value.value
    elif value.kind != "V":
        octets += struct.pack(_LAYOUTS[value.kind], value.value)
    pieces.append(octets)
    return len(octets)


def _decode_typed(octets, offset):
    """Reads a value with its type; tables and arrays have theirs in what they hold."""
    kind = chr(octets[offset])
    value, end = _decode(octets, offset)
    return (value if kind in "FA" else Typed(kind, value)), end


# pika's tables call these for what they hold.
data.encode_value, data.decode_value = _encode_typed, _decode_typed


@dataclass
class Content:
    """A method with its properties and body."""
    method: Any
    properties: Any
    body: bytes


class Connection:
    """A connection that is open. What arrives is read when somebody asks for it."""

    def __init__(self, host, port, user="guest", password="guest", vhost="/", deadline=20):
        self.socket = socket.create_connection((host, port), timeout=deadline)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = b""
        self.partial = {}
        self.socket.sendall(frame.ProtocolHeader().marshal())
        self._expect(spec.Connection.Start)
        capabilities = {"consumer_cancel_notify": True, "publisher_confirms": True, "basic.nack": True,
                        "exchange_exchange_bindings": True, "authentication_failure_close": True}
        response = f"\0{user}\0{password}"
        self.send(0, spec.Connection.StartOk({"product": "differential", "capabilities": capabilities}, "PLAIN", response))
        self._expect(spec.Connection.Tune)
        self.send(0, spec.Connection.TuneOk(100, FRAME_MAX, 0))
        self.send(0, spec.Connection.Open(vhost))
        self._expect(spec.Connection.OpenOk)

    def _expect(self, kind):
        _, arrived = self.read(20)
        assert isinstance(arrived, kind), f"{arrived} for {kind.NAME}"

    def send(self, channel, method, properties=None, body=None):
        """Sends a method, and its content if there is one."""
        frames = [frame.Method(channel, method)]
        if body is not None:
            frames.append(frame.Header(channel, len(body), properties or pika.BasicProperties()))
            frames += [frame.Body(channel, body[at:at + FRAME_MAX - 8]) for at in range(0, len(body), FRAME_MAX - 8)]
        self.socket.sendall(b"".join(each.marshal() for each in frames))

    def read(self, seconds):
        """The next (channel, method or content), or None after that time."""
        until = time.monotonic() + seconds
        while True:
            used, arrived = frame.decode_frame(self.input)
            if arrived is None:
                ready, _, _ = select.select([self.socket], [], [], max(0, until - time.monotonic()))
                if not ready:
                    return None
                self._receive()
                continue
            self.input = self.input[used:]
            whole = self._take(arrived)
            if whole is not None:
                return arrived.channel_number, whole

    def _receive(self):
        try:
            octets = self.socket.recv(1 << 16)
        except ConnectionError as why:
            raise Lost from why
        if not octets:
            raise Lost
        self.input += octets

    def _take(self, arrived):
        """What a frame completes."""
        channel = arrived.channel_number
        if isinstance(arrived, frame.Method):
            if not spec.has_content(arrived.method.INDEX):
                return arrived.method
            self.partial[channel] = [Content(arrived.method, None, b""), None]
            return None
        if channel not in self.partial:
            return None  # a heartbeat
        content, left = self.partial[channel]
        if isinstance(arrived, frame.Header):
            content.properties, left = arrived.properties, arrived.body_size
        else:
            content.body += arrived.fragment
            left -= len(arrived.fragment)
        self.partial[channel] = [content, left]
        if left == 0:
            del self.partial[channel]
            return content
        return None

    def close(self):
        """Closes cleanly, if the broker still answers."""
        try:
            self.send(0, spec.Connection.Close(200, "", 0, 0))
            while True:
                arrived = self.read(20)
                if arrived is None or isinstance(arrived[1], (spec.Connection.CloseOk, spec.Connection.Close)):
                    break
        except (Lost, OSError):
            pass
        self.socket.close()
