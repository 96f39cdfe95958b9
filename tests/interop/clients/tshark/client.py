"""What the broker writes as a capture is one to tshark: every frame is dissected as AMQP, nothing is malformed.

Both ways to a capture are tried: `--trace FILE.pcap`, written as it happens, and the control line `trace`, of what is remembered.
"""

import os
import subprocess
import tempfile

import pika
from proton import Message
from proton.utils import BlockingConnection

import checks
from fakebroker import Broker

MESSAGES = 20
BODY = "x" * 20_000  # in AMQP 1.0 one frame: tshark takes each for a message of its own
LARGE = "x" * 100_000  # several frames


def tshark(capture, *arguments):
    command = ["tshark", "-n", "-r", capture, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def frames(capture, field):
    """All values of a field, a packet may have several."""
    values = tshark(capture, "-T", "fields", "-e", field).split()
    return [value for packet in values for value in packet.split(",")]


def converse_in_1_0(broker):
    connection = BlockingConnection(broker.url, timeout=checks.DEADLINE)
    sender, receiver = connection.create_sender("queue.orders"), connection.create_receiver("queue.orders")
    for _ in range(MESSAGES):
        sender.send(Message(body=BODY))
        receiver.receive()
        receiver.accept()
    connection.close()


def converse_in_0_9_1(broker):
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    channel.queue_declare("orders")
    channel.confirm_delivery()
    for _ in range(MESSAGES):
        channel.basic_publish("", "orders", LARGE.encode())
        method, _, body = channel.basic_get("orders")
        assert body.decode() == LARGE
        channel.basic_ack(method.delivery_tag)
    connection.close()


def expect_whole(capture):
    faults = "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0"
    wrong = tshark(capture, "-Y", faults, "-o", "ip.check_checksum:TRUE")
    assert not wrong, wrong
    data = tshark(capture, "-Y", "tcp.len > 0 && !amqp")
    # A packet may hold a piece of a frame alone; it is shown with the one that ends the frame.
    assert "[TCP segment of a reassembled PDU]" in data or not data, data


def expect_1_0(capture):
    expect_whole(capture)
    seen = frames(capture, "amqp.performative")
    # open, begin, attach, disposition, close in both directions or in each
    assert seen.count("16") == 2 and seen.count("24") == 2, seen
    assert seen.count("17") == 2 and seen.count("18") == 4, seen
    # Each message once in and once out.
    assert seen.count("20") == 2 * MESSAGES, seen


def expect_0_9_1(capture):
    expect_whole(capture)
    methods = list(zip(frames(capture, "amqp.method.class"), frames(capture, "amqp.method.method")))
    for method in ("40", "71", "80"):
        assert methods.count(("60", method)) >= MESSAGES, (method, methods)
    assert methods.count(("10", "10")) == methods.count(("10", "51")) == 1, methods


def traced(converse, expect):
    with tempfile.TemporaryDirectory() as folder:
        capture = os.path.join(folder, "trace.pcap")
        with Broker(trace=capture) as broker:
            converse(broker)
            broker.wait_for_connections(0)
        expect(capture)


def expect_nothing_malformed(capture):
    """Of a long message only the beginning is there: a reader stops there and complains of nothing."""
    wrong = tshark(capture, "-Y", "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0")
    assert not wrong, wrong
    assert tshark(capture, "-Y", "amqp")


def remembered(converse, expect, arguments=("--trace-whole-frames",)):
    with tempfile.TemporaryDirectory() as folder, Broker(arguments=arguments) as broker:
        capture = os.path.join(folder, "remembered.pcap")
        converse(broker)
        broker.wait_for_connections(0)
        broker.write_capture(capture)
        expect(capture)


def a_trace_of_1_0():
    """--trace FILE.pcap: AMQP 1.0"""
    traced(converse_in_1_0, expect_1_0)


def a_trace_of_0_9_1():
    """--trace FILE.pcap: AMQP 0-9-1"""
    traced(converse_in_0_9_1, expect_0_9_1)


def what_is_remembered_of_1_0():
    """what is remembered of AMQP 1.0"""
    remembered(converse_in_1_0, lambda capture: expect_whole(capture))


def what_is_remembered_of_0_9_1():
    """what is remembered of AMQP 0-9-1"""
    remembered(converse_in_0_9_1, lambda capture: expect_whole(capture))


def the_beginnings_of_what_is_long():
    """what is remembered of long messages, cut"""
    for converse in (converse_in_1_0, converse_in_0_9_1):
        remembered(converse, expect_nothing_malformed, ())


checks.run(
    a_trace_of_1_0,
    a_trace_of_0_9_1,
    what_is_remembered_of_1_0,
    what_is_remembered_of_0_9_1,
    the_beginnings_of_what_is_long,
)
