"""An AMQP broker for tests: the `fakebroker` command in the hands of a Python test.

    from fakebroker import Broker

    with Broker() as broker:
        ...  # point the client under test at broker.url
        [order] = broker.wait_for_messages("queue.orders", 1)
        assert order.text == "one coffee"

Nothing but the standard library is needed, and the command itself: see `find_command`.
"""

from ._command import BrokerError, CommandNotFound, find_command
from ._pictures import (AddressInfo, Binding, Connection, Counts, Dropped, Exchange, Link, Policy, Queue, Report,
                        UnmetRequest, Violation)
from ._values import Described, Typed
from .broker import Broker, VerifyError, Vhost, WaitError
from .driver import FakeBroker
from .messages import Message, Outcome, Published, Receipt, Sender

__all__ = [
    "Binding",
    "Broker",
    "BrokerError",
    "CommandNotFound",
    "Connection",
    "Counts",
    "Described",
    "Dropped",
    "Exchange",
    "FakeBroker",
    "Link",
    "Message",
    "Outcome",
    "Policy",
    "Published",
    "Queue",
    "Receipt",
    "Report",
    "AddressInfo",
    "Sender",
    "Typed",
    "UnmetRequest",
    "VerifyError",
    "Vhost",
    "Violation",
    "WaitError",
    "find_command",
]
