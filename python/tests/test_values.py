"""AMQP values between Python and the wire, with Proton on the other side."""

import uuid
from datetime import datetime, timezone

import proton
import pytest
from proton.utils import BlockingConnection

from fakebroker import Broker, Described, Typed

ID = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")
TIME = datetime(2026, 11, 21, 8, 34, 56, 789000, tzinfo=timezone.utc)

#: What a test injects, what Proton receives, and what a test reads of it (if that is something else).
VALUES = [
    (None, None),
    (True, True),
    (7, 7),
    (-(2**63), -(2**63)),
    (2**64 - 1, proton.ulong(2**64 - 1)),
    (0.5, 0.5),
    (float("inf"), float("inf")),
    ("text", "text"),
    (TIME, proton.timestamp(1795250096789)),
    (ID, ID),
    ([1, "x", [None]], [1, "x", [None]]),
    ({"k": 1}, {"k": 1}),
    ({1: 2, "k": b"\x00\xff"}, {1: 2, "k": b"\x00\xff"}),
    ({"@k": 1}, {"@k": 1}),
    (Typed("uint", 7), proton.uint(7), 7),
    (Typed("symbol", "amqp:x"), proton.symbol("amqp:x"), "amqp:x"),
    (Typed("char", "ü"), proton.char("ü"), "ü"),
    (Typed("float", 0.5), proton.float32(0.5), 0.5),
    (Typed("float", float("-inf")), proton.float32(float("-inf")), float("-inf")),
    (Typed("decimal32", "0001feff"), proton.decimal32(0x0001FEFF)),
    (Described(Typed("symbol", "d"), [1]), proton.Described(proton.symbol("d"), [1]), Described("d", [1])),
]


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


@pytest.mark.parametrize("row", VALUES, ids=lambda row: repr(row[0]))
def test_a_value_goes_out_and_comes_back(broker, row):
    injected, received, *read = row
    broker.take_messages("queue.a")
    broker.inject("queue.a", injected)
    connection = BlockingConnection(broker.url, timeout=20)
    try:
        receiver = connection.create_receiver("queue.a")
        message = receiver.receive()
        receiver.accept()
        assert (message.body, type(message.body)) == (received, type(received))
        # What Proton sends is read the same.
        broker.take_messages("queue.a")
        connection.create_sender("queue.a").send(proton.Message(body=received, inferred=False))
        [seen] = broker.messages("queue.a")
        assert seen.body == (read[0] if read else injected)
        receiver.receive()
        receiver.accept()
    finally:
        connection.close()


def test_typed_values_come_back_as_they_went(broker):
    values = [Typed("uint", 7), Typed("symbol", "s"), Typed("array", [Typed("byte", 1)]), 7, "text", b"\x00", TIME, ID,
              Typed("map", {Typed("symbol", "k"): 1})]
    broker.take_messages("queue.b")
    broker.inject("queue.b", values)
    [message] = broker.messages("queue.b", typed=True)
    assert message.value[:-1] == values[:-1]
    assert message.value[-1] == {Typed("symbol", "k"): 1}
    [message] = broker.messages("queue.b")
    assert message.value[:4] == [7, "s", [1], 7]


def test_a_map_that_is_no_dict(broker):
    broker.take_messages("queue.c")
    broker.inject("queue.c", Typed("map", [("k", 1), ("k", 2)]))
    broker.inject("queue.c", Typed("map", [([1], 2)]))
    one, other = broker.messages("queue.c")
    assert one.value == Typed("map", [("k", 1), ("k", 2)])
    assert other.value == Typed("map", [([1], 2)])


@pytest.mark.parametrize("value, error", [
    (2**64, ValueError),
    (-(2**63) - 1, ValueError),
    (datetime(2026, 1, 1), ValueError),
    (object(), TypeError),
    ({"k": {1, 2}}, TypeError),
])
def test_what_has_no_amqp_type(broker, value, error):
    with pytest.raises(error):
        broker.inject("queue.d", value)
    assert broker.messages("queue.d") == []
