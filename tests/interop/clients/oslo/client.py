"""oslo.messaging: its amqp1 driver, through the public API: RPC, and notifications where a check needs a queue."""

import contextlib
import logging
import queue
import threading
import warnings

from oslo_config import cfg
import oslo_messaging
from oslo_messaging import NotificationResult, Target
import oslo_messaging._drivers.impl_amqp1  # which turns warnings on, a line a message

import checks
from checks import AUTH, BIG, DEADLINE, MANY, OPEN, PASSWORD, USER, in_order, unique, within

DRIVER_LOG = logging.getLogger("oslo_messaging._drivers.amqp1_driver.controller")


class Endpoint:
    """What the RPC server offers."""

    def __init__(self):
        self.noted = []
        self.all_noted = threading.Event()

    def echo(self, context, value):
        return value

    def note(self, context, value):
        self.noted.append(value)
        if len(self.noted) == MANY:
            self.all_noted.set()


@contextlib.contextmanager
def rpc(url, endpoint=None):
    """A client, and a server on the same connection, so that the server is attached before a request is sent."""
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url)
    topic = unique("topic")
    server = oslo_messaging.get_rpc_server(transport, Target(topic=topic, server="one"), [endpoint or Endpoint()],
                                           executor="threading")
    cfg.CONF.set_override("executor_thread_pool_size", 1)  # in order
    server.start()
    try:
        yield oslo_messaging.get_rpc_client(transport, Target(topic=topic), timeout=DEADLINE)
    finally:
        server.stop()
        server.wait()
        transport.cleanup()


@contextlib.contextmanager
def said(text):
    """An event that is set once the driver logs the text."""
    event = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: text in record.getMessage() and event.set()
    DRIVER_LOG.addHandler(handler)
    try:
        yield event
    finally:
        DRIVER_LOG.removeHandler(handler)


def connect_without_credentials():
    """connect without credentials"""
    with rpc(f"amqp://{OPEN}") as client:
        assert client.call({}, "echo", value=1) == 1


def connect_with_credentials():
    """connect with credentials"""
    for server in (f"{USER}:{PASSWORD}@{AUTH}", f"anyone:anything@{OPEN}"):
        with rpc(f"amqp://{server}") as client:
            assert client.call({}, "echo", value=1) == 1


def wrong_password():
    """a wrong password is refused"""
    with said("AUTHENTICATION FAILURE") as refused, said("Connection active") as let_in:
        with rpc(f"amqp://{USER}:not{PASSWORD}@{AUTH}"):
            assert refused.wait(DEADLINE) and not let_in.is_set()


class Notes:
    """Hands on what it gets; puts back the first "release"."""

    def __init__(self):
        self.received = queue.Queue()
        self.released = False

    def info(self, context, publisher, event_type, payload, metadata):
        self.received.put(payload)
        if payload == "release" and not self.released:
            self.released = True
            return NotificationResult.REQUEUE
        return NotificationResult.HANDLED


def accept_and_release():
    """a receiver accepts and releases"""
    notes, topic = Notes(), unique("topic")
    transport = oslo_messaging.get_notification_transport(cfg.CONF, f"amqp://{OPEN}/?group_request_prefix=queue")
    notifier = oslo_messaging.Notifier(transport, "client", driver="messaging", topics=[topic], retry=0)
    listener = oslo_messaging.get_notification_listener(transport, [Target(topic=topic)], [notes],
                                                        executor="threading", allow_requeue=True)
    for payload in ("accept", "release"):
        notifier.info({}, "event", payload)
    listener.start()
    received = [notes.received.get(timeout=DEADLINE) for _ in range(3)]
    assert received == ["accept", "release", "release"], received
    notifier.info({}, "event", "last")
    assert notes.received.get(timeout=DEADLINE) == "last", "a message that was done with came again"
    listener.stop()
    listener.wait()
    transport.cleanup()


def reject_and_modify():
    """a receiver rejects and modifies"""
    raise checks.Skip("a listener can acknowledge and requeue, which are accepted and released, nothing else")


def sender_sees_outcome():
    """a sender sees accepted and rejected"""
    with rpc(f"amqp://{OPEN}") as client:
        client.call({}, "echo", value=1)  # A call is sent unsettled; it fails if it is not accepted.
        nobody = unique("nobody")
        try:
            client.prepare(topic=nobody).call({}, "echo", value=1)
        except oslo_messaging.MessageDeliveryFailure as refused:
            assert "amqp:not-found" in str(refused) and nobody in str(refused), refused
        else:
            raise AssertionError("an unroutable call raised nothing")


def request_and_reply():
    """a request and its reply over a dynamic address"""
    with rpc(f"amqp://{OPEN}") as client:
        for value in ("question", {"a": [1, 2]}, None):
            assert client.call({}, "echo", value=value) == value


@within(60)
def big_message():
    """a 10 MB message arrives byte-identical"""
    text = BIG.hex()[:10_000_000]  # It sends JSON.
    with rpc(f"amqp://{OPEN}") as client:
        assert client.call({}, "echo", value=text) == text


@within(60)
def many_messages():
    """10,000 small messages in order"""
    endpoint = Endpoint()
    with rpc(f"amqp://{OPEN}", endpoint) as client:
        for number in range(MANY):
            client.cast({}, "note", value=number)
        assert endpoint.all_noted.wait(DEADLINE), len(endpoint.noted)
    in_order(endpoint.noted)


def close_cleanly():
    """close cleanly"""
    with said("AMQP connection closed.") as closed, said("ailure") as failed:
        with rpc(f"amqp://{OPEN}") as client:
            client.call({}, "echo", value=1)
            assert not closed.is_set()
        assert closed.is_set() and not failed.is_set()


warnings.simplefilter("ignore")
cfg.CONF([], default_config_files=[], default_config_dirs=[])
DRIVER_LOG.setLevel(logging.DEBUG)
DRIVER_LOG.propagate = False
checks.run(connect_without_credentials, connect_with_credentials, wrong_password, accept_and_release, reject_and_modify,
           sender_sees_outcome, request_and_reply, big_message, many_messages, close_cleanly)
