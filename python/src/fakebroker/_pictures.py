"""Who is there and what waits where, as it was when it was asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Dict, List, Optional, Tuple, Type, TypeVar

from ._values import from_json
from .messages import Sender

#: Every counter by its name.
Counts = Dict[str, int]


@dataclass(frozen=True)
class Connection:
    """A connection. `protocol` is None until it is open."""

    id: int
    peer: str
    protocol: Optional[str]
    container: Optional[str]
    host: Optional[str]
    vhost: Optional[str]
    user: Optional[str]


@dataclass(frozen=True)
class Link:
    """A link. `role` is what the client does: `sender` or `receiver`; a sender without an address names it in each message."""

    connection: int
    name: str
    role: str
    vhost: str
    address: Optional[str]
    credit: int
    unsettled: int
    waiting: int


@dataclass(frozen=True)
class AddressInfo:
    """An address that somebody is attached to or that stores messages."""

    vhost: str
    address: str
    distribution: str
    senders: int
    receivers: int
    waiting: int
    arrived: int


@dataclass(frozen=True)
class Queue:
    """A queue. One that nobody has `declared` exists because its address is a queue's, while it is used.

    `type` is `classic` or what its `x-queue-type` says; `owner` is the connection that an `exclusive` queue belongs to;
    `messages` wait, `unacknowledged` ones are with a consumer.
    """

    name: str
    type: str
    declared: bool
    durable: bool
    auto_delete: bool
    exclusive: bool
    owner: Optional[int]
    arguments: Dict[str, Any]
    messages: int
    unacknowledged: int
    consumers: int


@dataclass(frozen=True)
class Exchange:
    """An exchange. Every broker has those that are `predeclared`: `amq.direct` and its like."""

    name: str
    type: str
    predeclared: bool
    durable: bool
    auto_delete: bool
    internal: bool
    arguments: Dict[str, Any]


@dataclass(frozen=True)
class Binding:
    """A binding of `queue`, or of the exchange `to_exchange`, to `exchange`."""

    exchange: str
    routing_key: str
    queue: Optional[str]
    to_exchange: Optional[str]
    arguments: Dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """A policy: what queues and exchanges whose names match `pattern` are given, by RabbitMQ's keys."""

    name: str
    pattern: str
    apply_to: str
    priority: int
    definition: Dict[str, Any]


@dataclass(frozen=True)
class Violation:
    """What a client did against the rules of its protocol, in the words of that protocol.

    `condition` is a symbol of 1.0 (`amqp:session:window-violation`), or reply code and constant of 0-9-1
    (`504 CHANNEL_ERROR`); `section` is one of the specification (`2.6.7`), or a method of 0-9-1 (`basic.ack`).
    """

    connection: int
    peer: str
    section: str
    condition: str
    description: str


@dataclass(frozen=True)
class Dropped:
    """A message that nobody got, and why. Without a sender, the test put it in itself."""

    number: int
    address: str
    sender: Optional[Sender]
    why: str


@dataclass(frozen=True)
class UnmetRequest:
    """What a client asked for and does not get, though it broke no rule of its protocol.

    `method` is the performative or method that it was asked in, `name` the field, argument or capability, `value` what was
    asked for, in words; `link` is the name of a link or the tag of a consumer. It was asked for `count` times. Without a
    `connection` the test asked for it, in a declaration of its own.
    """

    connection: Optional[int]
    channel: Optional[int]
    link: Optional[str]
    address: Optional[str]
    method: str
    name: str
    value: str
    why: str
    count: int


@dataclass(frozen=True)
class Report:
    """What clients have not left in order. It prints a line for each thing."""

    clean: bool
    text: str
    violations: Tuple[Violation, ...]
    unsettled: Tuple[Link, ...]
    open_connections: Tuple[Connection, ...]
    open_links: Tuple[Link, ...]
    unclosed_connections: Tuple[Connection, ...]
    dropped: Tuple[Dropped, ...] = ()
    unmet_requests: Tuple[UnmetRequest, ...] = ()

    def __str__(self) -> str:
        return self.text

    @classmethod
    def read(cls, json: Dict[str, Any]) -> "Report":
        return cls(
            clean=json["clean"],
            text=json["report"],
            violations=tuple(read(Violation, json["violations"])),
            unsettled=tuple(read(Link, json["unsettled"])),
            open_connections=tuple(read(Connection, json["open_connections"])),
            open_links=tuple(read(Link, json["open_links"])),
            unclosed_connections=tuple(read(Connection, json["unclosed_connections"])),
            dropped=tuple(_dropped(item) for item in json["dropped"]),
            unmet_requests=tuple(read(UnmetRequest, json["unmet_requests"])),
        )


def _dropped(json: Dict[str, Any]) -> Dropped:
    sender = Sender(**json["sender"]) if json["sender"] else None
    return Dropped(json["number"], json["address"], sender, json["why"])


T = TypeVar("T", Connection, Link, AddressInfo, UnmetRequest, Violation, Queue, Exchange, Binding, Policy)


def read(picture: Type[T], items: List[Dict[str, Any]]) -> List[T]:
    """Pictures from an answer, which may have members that are newer than this."""
    names = [known.name for known in fields(picture)]
    return [picture(**{name: _value(name, item[name]) for name in names}) for item in items]


def _value(name: str, value: Any) -> Any:
    return from_json(value) if name == "arguments" else value
