"""FakeBroker: the contract of the class that it takes the place of."""

import socket

import pytest
from proton import Message
from proton.utils import BlockingConnection

from fakebroker import FakeBroker

NAMES = ("direct_count", "topic_count", "fanout_count", "dropped_count")


def refused(broker):
    with socket.socket() as client:
        return client.connect_ex((broker.host, broker.port)) != 0


def test_its_life():
    broker = FakeBroker()
    assert broker.port
    assert refused(broker)
    assert not broker.is_alive()
    assert [getattr(broker, name) for name in NAMES] == [0, 0, 0, 0]
    broker.start()
    assert broker.is_alive()
    assert not refused(broker)
    with pytest.raises(RuntimeError):
        broker.start()
    broker.stop()
    broker.stop()
    assert not broker.is_alive()
    assert refused(broker)


def test_counts_outlive_it():
    broker = FakeBroker(broadcast_prefix="all", group_prefix="any", address_separator="/")
    broker.start()
    connection = BlockingConnection(f"amqp://{broker.host}:{broker.port}", timeout=20)
    for address in ("all/a", "any/a", "a"):
        receiver = connection.create_receiver(address)
        connection.create_sender(address).send(Message(body="m"))
        receiver.receive()
        receiver.accept()
    connection.close()
    broker.stop()
    assert [getattr(broker, name) for name in NAMES] == [1, 1, 1, 0]


def test_credentials():
    broker = FakeBroker(sasl_mechanisms="PLAIN", user_credentials=["\0joe\0secret"])
    broker.start()
    url = f"amqp://{broker.host}:{broker.port}"
    BlockingConnection(url, timeout=20, user="joe", password="secret", allow_insecure_mechs=True).close()
    with pytest.raises(Exception):
        BlockingConnection(url, timeout=20, user="joe", password="wrong", allow_insecure_mechs=True)
    broker.stop()
    for wrong in ({"sasl_mechanisms": "PLAIN"}, {"sasl_mechanisms": "DIGEST-MD5", "user_credentials": ["\0a\0b"]},
                  {"sasl_mechanisms": "PLAIN", "user_credentials": ["\0a:b\0c"]}):
        with pytest.raises(ValueError):
            FakeBroker(**wrong)
