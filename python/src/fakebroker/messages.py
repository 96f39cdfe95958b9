"""Messages that reached the broker, as a test reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from ._values import bytes_of, from_json


class Outcome(str):
    """How a delivery ended: the word `accepted`, `rejected`, `released` or `modified`, with what belongs to it."""

    condition: str
    description: str
    delivery_failed: bool
    undeliverable_here: bool

    def __new__(cls, word: str, condition: str = "", description: str = "", delivery_failed: bool = False,
                undeliverable_here: bool = False) -> "Outcome":
        outcome = super().__new__(cls, word)
        outcome.condition = condition
        outcome.description = description
        outcome.delivery_failed = delivery_failed
        outcome.undeliverable_here = undeliverable_here
        return outcome

    @classmethod
    def read(cls, json: Dict[str, Any]) -> Optional["Outcome"]:
        """What an answer holds of it. None if there is none yet."""
        if json.get("outcome") is None:
            return None
        names = ("condition", "description", "delivery_failed", "undeliverable_here")
        return cls(json["outcome"], **{name: json[name] for name in names if name in json})


@dataclass(frozen=True)
class Sender:
    """Who sent a message: the number of its connection, and its own name for the link."""

    connection: int
    link: str


@dataclass(frozen=True)
class Receipt:
    """A receiver that was given a message, and what it said; None if it has not, or never will."""

    connection: int
    link: str
    outcome: Optional[Outcome]


@dataclass(frozen=True)
class Published:
    """A message that was published to an exchange, once, and the queues that it went to."""

    exchange: str
    routing_key: str
    #: None if no binding matched, the exchange refused it, or a rule decided about it.
    queues: Tuple[str, ...]
    #: The numbers of the messages that it became: one for each queue, or one if there was none.
    numbers: Tuple[int, ...]
    #: What it came on. None if the test injected it, or the broker published it itself: a dead letter.
    sender: Optional[Sender]
    #: The body, whatever it is: bytes, a string, lists or any other value.
    body: Any
    #: The body, if it is a string, or bytes that are UTF-8.
    text: Optional[str]
    #: The standard properties that are there.
    properties: Dict[str, Any]
    #: The application's own properties: the headers of 0-9-1.
    application_properties: Dict[str, Any]

    @classmethod
    def read(cls, json: Dict[str, Any]) -> "Published":
        """The publish that an answer holds."""
        message = Message.read({"number": 0, "vhost": "", "address": "", "settled": False, "state": "", "receivers": [], **json})
        return cls(json["exchange"], json["routing_key"], tuple(json["queues"]), tuple(json["numbers"]), message.sender,
                   message.body, message.text, message.properties, message.application_properties)


@dataclass(frozen=True)
class Message:
    """A message that reached the broker, and what befell it up to the moment it was asked for."""

    #: Counts the messages of a broker, from 1.
    number: int
    #: The virtual host that it was sent in, and its address there.
    vhost: str
    address: str
    #: Who sent it. None for one that the test injected.
    sender: Optional[Sender]
    #: It arrived settled.
    settled: bool
    #: The body, if it is a string, or bytes that are UTF-8.
    text: Optional[str]
    #: The body, if it is bytes; of all its sections.
    data: Optional[bytes]
    #: The body, if it is any other value.
    value: Any
    #: The body, if it is lists: one for each section.
    sequence: Optional[List[List[Any]]]
    #: `undecided`, `waiting`, `forwarded`, `dropped` or `decided` (by a rule).
    state: str
    #: Why it was dropped.
    why: Optional[str]
    #: What its sender was told. None if nothing yet.
    outcome: Optional[Outcome]
    #: Whom it went to.
    receivers: Tuple[Receipt, ...]
    #: `subject`, `message_id`, ...: the standard properties that are there. Times are milliseconds since the Unix epoch.
    properties: Dict[str, Any] = field(default_factory=dict)
    #: The application's own properties.
    application_properties: Dict[str, Any] = field(default_factory=dict)
    #: `durable`, `priority`, `ttl` (milliseconds), `first_acquirer`, `delivery_count`: those that say something.
    header: Dict[str, Any] = field(default_factory=dict)
    #: Message annotations.
    message_annotations: Dict[Any, Any] = field(default_factory=dict)
    #: Delivery annotations.
    delivery_annotations: Dict[Any, Any] = field(default_factory=dict)
    #: The footer.
    footer: Dict[Any, Any] = field(default_factory=dict)
    #: Why its bytes could not be read, if they could not.
    unreadable: Optional[str] = None
    #: Its bytes, if they were asked for.
    raw: Optional[bytes] = None

    @property
    def body(self) -> Any:
        """The body, whatever it is: bytes, a string, lists or any other value."""
        for body in (self.data, self.text, self.sequence):
            if body is not None:
                return body
        return self.value

    @property
    def subject(self) -> Optional[str]:
        """`properties["subject"]`, if it is there."""
        return self.properties.get("subject")

    @classmethod
    def read(cls, json: Dict[str, Any]) -> "Message":
        """The message that an answer holds."""
        data = json.get("data")
        sections = ("properties", "application_properties", "header", "message_annotations", "delivery_annotations",
                    "footer")
        return cls(
            number=json["number"],
            vhost=json["vhost"],
            address=json["address"],
            sender=Sender(**json["sender"]) if "sender" in json else None,
            settled=json["settled"],
            text=json.get("text"),
            data=None if data is None else b"".join(map(bytes_of, data if isinstance(data, list) else [data])),
            value=from_json(json.get("value")),
            sequence=from_json(json.get("sequence")),
            state=json["state"],
            why=json.get("why"),
            outcome=Outcome.read(json),
            receivers=tuple(Receipt(receipt["connection"], receipt["link"], Outcome.read(receipt))
                            for receipt in json["receivers"]),
            unreadable=json.get("unreadable"),
            raw=bytes_of(json["raw"]) if "raw" in json else None,
            **{name: from_json(json[name]) for name in sections if name in json},
        )
