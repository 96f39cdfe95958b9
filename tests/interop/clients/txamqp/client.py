"""txAMQP, which speaks AMQP 0-8: the tests of the connector that fakebroker was modelled on, and checks of its own."""

import os
import sys
import unittest

import txamqp.spec
from twisted.internet import defer, reactor
from twisted.internet.protocol import ClientCreator
from twisted.trial.unittest import TestCase
from txamqp.client import ChannelClosed, Closed, ConnectionClosed, TwistedDelegate
from txamqp.content import Content
from txamqp.protocol import AMQClient

from checks import AUTH, BIG, DEADLINE, MANY, OPEN, PASSWORD, USER, in_order, unique

SPEC = txamqp.spec.load("../amqp0-8.xml")
MEGABYTE = BIG[:1_000_000]


class Checks(TestCase):
    timeout = DEADLINE

    def setUp(self):
        self.clients = []

    @defer.inlineCallbacks
    def tearDown(self):
        for client in self.clients:
            client.transport.loseConnection()  # no connection.close: that is how its users leave
            yield client.disconnected.wait()

    @defer.inlineCallbacks
    def connect(self, address=OPEN, user="guest", password="guest", vhost="/", mechanism="AMQPLAIN", heartbeat=0):
        host, port = address.rsplit(":", 1)
        creator = ClientCreator(reactor, AMQClient, TwistedDelegate(), vhost, SPEC, heartbeat)
        client = yield creator.connectTCP(host, int(port))
        self.clients.append(client)
        yield client.authenticate(user, password, mechanism)
        return client

    @defer.inlineCallbacks
    def channel(self, client=None, number=1):
        client = client or (yield self.connect())
        channel = yield client.channel(number)
        yield channel.channel_open()
        return channel

    @defer.inlineCallbacks
    def connect_as_guest(self):
        """connect as guest, with AMQPLAIN and PLAIN"""
        for mechanism in ("AMQPLAIN", "PLAIN"):
            yield self.channel((yield self.connect(mechanism=mechanism)))

    @defer.inlineCallbacks
    def connect_with_credentials(self):
        """connect with credentials, with AMQPLAIN and PLAIN"""
        for mechanism in ("AMQPLAIN", "PLAIN"):
            yield self.channel((yield self.connect(AUTH, USER, PASSWORD, mechanism=mechanism)))
            yield self.channel((yield self.connect(OPEN, "anyone", "anything", mechanism=mechanism)))

    @defer.inlineCallbacks
    def wrong_password(self):
        """a wrong password is refused"""
        yield self.assertFailure(self.connect(AUTH, USER, "not " + PASSWORD), Closed)

    @defer.inlineCallbacks
    def unknown_virtual_host(self):
        """an unknown virtual host is refused: 530"""
        closed = yield self.assertFailure(self.connect(vhost=unique("nowhere")), ConnectionClosed)
        self.assertEqual(reply_code(closed), 530)

    @defer.inlineCallbacks
    def declare(self):
        """queues: a name from the server, how many messages, purge, delete"""
        channel = yield self.channel()
        queue = yield own_queue(channel)
        self.assertNotIn(queue, ("", (yield own_queue(channel))))
        yield fill(channel, queue, "0", "1", "2")
        yield self.holds(channel, queue, 3)
        self.assertEqual((yield channel.queue_purge(queue=queue)).message_count, 3)
        yield fill(channel, queue, "3")
        yield self.holds(channel, queue, 1)
        self.assertEqual((yield channel.queue_delete(queue=queue)).message_count, 1)
        closed = yield self.assertFailure(channel.queue_declare(queue=queue, passive=True), ChannelClosed)
        self.assertEqual(reply_code(closed), 404)

    @defer.inlineCallbacks
    def holds(self, channel, queue, count):
        """0-8 has no confirms: that many messages must be there soon."""
        declared = None
        while not declared or declared.message_count != count:
            declared = yield channel.queue_declare(queue=queue, passive=True)

    @defer.inlineCallbacks
    def exclusive_queue(self):
        """an exclusive queue is locked for other connections: 405"""
        channel = yield self.channel()
        queue = yield own_queue(channel)
        other = yield self.channel()
        closed = yield self.assertFailure(other.queue_declare(queue=queue, passive=True), ChannelClosed)
        self.assertEqual(reply_code(closed), 405)

    @defer.inlineCallbacks
    def exchanges(self):
        """direct, fanout and topic exchange"""
        channel = yield self.channel()
        for kind, bindings, expected in (
                ("direct", ("red", "blue"), (["red"], [])),
                ("fanout", ("red", "blue"), (["red", "green", "red.green"],) * 2),
                ("topic", ("red.*", "#"), (["red.green"], ["red", "green", "red.green"]))):
            exchange = unique(kind)
            yield channel.exchange_declare(exchange=exchange, type=kind)
            queues = []
            for key in bindings:
                queues.append((yield own_queue(channel)))
                yield channel.queue_bind(queue=queues[-1], exchange=exchange, routing_key=key)
            for key in ("red", "green", "red.green"):
                yield channel.basic_publish(exchange=exchange, routing_key=key, content=Content(key))
            for queue, bodies in zip(queues, expected):
                self.assertEqual((yield contents(channel, queue)), bodies, kind)
            yield channel.exchange_delete(exchange=exchange)

    @defer.inlineCallbacks
    def mandatory(self):
        """mandatory: an unroutable message is returned with 312"""
        channel = yield self.channel()
        nobody = unique("nobody")
        yield channel.basic_publish(routing_key=nobody, mandatory=True, content=Content("hello?"))
        returned = yield channel.client.basic_return_queue.get(DEADLINE)
        self.assertEqual((returned.reply_code, returned.routing_key, text(returned)), (312, nobody, "hello?"))

    @defer.inlineCallbacks
    def prefetch(self):
        """prefetch: never more unacknowledged than asked for"""
        channel = yield self.channel()
        queue = yield own_queue(channel)
        yield fill(channel, queue, *map(str, range(10)))
        yield self.holds(channel, queue, 10)
        arriving = yield consume(channel, queue, 3)
        arrived = []
        for acknowledged in range(8):
            while len(arrived) < acknowledged + 3:
                arrived.append((yield arriving.get(DEADLINE)))
            # An answer on the same channel comes after whatever else was on its way.
            declared = yield channel.queue_declare(queue=queue, passive=True)
            self.assertEqual((declared.message_count, len(arriving.pending)), (7 - acknowledged, 0))
            yield channel.basic_ack(delivery_tag=arrived[acknowledged].delivery_tag)
        self.assertEqual([int(text(message)) for message in arrived], list(range(10)))

    @defer.inlineCallbacks
    def settle(self):
        """ack with multiple, reject with and without requeue"""
        channel = yield self.channel()
        queue = yield own_queue(channel)
        yield fill(channel, queue, "acknowledged", "and this", "rejected", "again")
        arriving = yield consume(channel, queue)
        _, second, third, fourth = arrived = yield collect(arriving, 4)
        self.assertEqual([message.redelivered for message in arrived], [False] * 4)
        yield channel.basic_ack(delivery_tag=second.delivery_tag, multiple=True)
        yield channel.basic_reject(delivery_tag=third.delivery_tag, requeue=False)
        yield channel.basic_reject(delivery_tag=fourth.delivery_tag, requeue=True)
        again = yield arriving.get(DEADLINE)
        self.assertEqual((text(again), again.redelivered), ("again", True))
        yield channel.basic_cancel(consumer_tag=again.consumer_tag)
        yield channel.basic_ack(delivery_tag=again.delivery_tag)
        self.assertEqual((yield contents(channel, queue)), [])

    @defer.inlineCallbacks
    def get(self):
        """get, and get from an empty queue"""
        channel = yield self.channel()
        queue = yield own_queue(channel)
        yield fill(channel, queue, "0", "1")
        yield self.holds(channel, queue, 2)
        for again in (False, True):
            got = yield channel.basic_get(queue=queue)
            self.assertEqual((got.method.name, text(got), got.redelivered), ("get-ok", "0", again))
            if not again:
                yield channel.basic_reject(delivery_tag=got.delivery_tag, requeue=True)
        self.assertEqual((yield contents(channel, queue)), ["1"])

    @defer.inlineCallbacks
    def closed_channel_gives_back(self):
        """a closed channel gives back what it had not acknowledged"""
        client = yield self.connect()
        first, second = (yield self.channel(client, 1)), (yield self.channel(client, 2))
        queue = yield own_queue(first)
        yield fill(first, queue, "hello")
        yield first.basic_get(queue=queue)
        yield first.channel_close(reply_code=200)
        got = yield second.basic_get(queue=queue, no_ack=True)
        self.assertEqual((text(got), got.redelivered), ("hello", True))

    @defer.inlineCallbacks
    def channel_errors(self):
        """404 and 406 close the channel; a new one works"""
        client = yield self.connect()
        missing = yield self.channel(client, 1)
        closed = yield self.assertFailure(missing.basic_get(queue=unique("missing")), ChannelClosed)
        self.assertEqual(reply_code(closed), 404)
        unknown = yield self.channel(client, 2)
        yield unknown.basic_ack(delivery_tag=99)
        closed = yield self.assertFailure(unknown.basic_qos(prefetch_count=1), ChannelClosed)
        self.assertEqual(reply_code(closed), 406)
        channel = yield self.channel(client, 3)
        queue = yield own_queue(channel)
        yield fill(channel, queue, "hello")
        self.assertEqual((yield contents(channel, queue)), ["hello"])

    @defer.inlineCallbacks
    def properties(self):
        """properties and headers arrive as they were sent"""
        sent = {"content type": "text/plain", "content encoding": "gzip", "headers": {"text": "hello", "number": 5},
                "delivery mode": 2, "priority": 7, "correlation id": "correlation", "reply to": "reply.to",
                "expiration": "600000", "message id": "id 1", "timestamp": 1 << 33, "type": "greeting",
                "user id": "guest", "app id": "interop", "cluster id": "cluster"}
        channel = yield self.channel()
        queue = yield own_queue(channel)
        for each in (sent, {}):
            yield channel.basic_publish(routing_key=queue, content=Content("hello", properties=each))
            got = yield channel.basic_get(queue=queue, no_ack=True)
            self.assertEqual(got.content.properties, each)

    @defer.inlineCallbacks
    def bodies(self):
        """an empty body, and one of 1 MB"""
        channel = yield self.channel()
        queue = yield own_queue(channel)
        yield fill(channel, queue, b"", MEGABYTE)
        self.assertEqual((yield channel.basic_get(queue=queue, no_ack=True)).content.body, "")
        got = yield channel.basic_get(queue=queue, no_ack=True)
        self.assertTrue(got.content.body == MEGABYTE, "other bytes arrived")

    @defer.inlineCallbacks
    def many(self):
        """10,000 messages in order"""
        to, publisher = (yield self.channel()), (yield self.channel())
        queue = unique("many")
        yield to.queue_declare(queue=queue)
        arriving = yield consume(to, queue, 100)
        sent = fill(publisher, queue, *map(str, range(MANY)))
        received = []
        while len(received) < MANY:
            message = yield arriving.get(DEADLINE)
            received.append(int(text(message)))
            if len(received) % 50 == 0:
                yield to.basic_ack(delivery_tag=message.delivery_tag, multiple=True)
        in_order(received)
        yield sent
        yield to.queue_delete(queue=queue)
    many.timeout = 60

    @defer.inlineCallbacks
    def heartbeats(self):
        """heartbeats keep an idle connection alive"""
        seen = defer.DeferredQueue()
        client = yield self.connect(heartbeat=1)
        channel = yield self.channel(client)
        arrive = client.frame_received

        def frame_received(frame):
            seen.put(frame.payload.type)
            arrive(frame)

        client.frame_received = frame_received
        began = reactor.seconds()
        # Who sees nothing for two intervals may go, so: three heartbeats, and more than two intervals.
        count = 0
        while count < 3 or reactor.seconds() < began + 4:
            self.assertEqual((yield seen.get()), "frame_heartbeat")
            count += 1
        yield own_queue(channel)

    @defer.inlineCallbacks
    def close(self):
        """consumer, channel and connection close without an error"""
        client = yield self.connect()
        channel = yield self.channel(client)
        yield channel.basic_consume(queue=(yield own_queue(channel)), consumer_tag="tag")
        self.assertEqual((yield channel.basic_cancel(consumer_tag="tag")).consumer_tag, "tag")
        yield channel.channel_close(reply_code=200)
        channel0 = yield client.channel(0)
        closed = yield channel0.connection_close(reply_code=200)
        self.assertEqual(closed.method.name, "close-ok")


@defer.inlineCallbacks
def own_queue(channel):
    """A queue that the connection has to itself, named by the server."""
    return (yield channel.queue_declare(exclusive=True)).queue


@defer.inlineCallbacks
def fill(channel, queue, *bodies):
    for body in bodies:
        yield channel.basic_publish(routing_key=queue, content=Content(body))


@defer.inlineCallbacks
def consume(channel, queue, prefetch=0):
    yield channel.basic_qos(prefetch_count=prefetch)
    consumer = yield channel.basic_consume(queue=queue)
    return (yield channel.client.queue(consumer.consumer_tag))


@defer.inlineCallbacks
def collect(arriving, count):
    messages = []
    while len(messages) < count:
        messages.append((yield arriving.get(DEADLINE)))
    return messages


@defer.inlineCallbacks
def contents(channel, queue):
    """Takes what is in the queue. Channels keep order, so what was published on this one has been routed."""
    bodies = []
    while (got := (yield channel.basic_get(queue=queue, no_ack=True))).method.name == "get-ok":
        bodies.append(text(got))
    return bodies


def text(message):
    body = message.content.body
    return body.decode() if isinstance(body, bytes) else body


def reply_code(closed):
    message, = closed.args
    return message.reply_code


class Report(unittest.TestResult):
    """A line for each test."""

    def addSuccess(self, test):
        print(f"ok - {name(test)}", flush=True)

    def addSkip(self, test, reason):
        print(f"skip - {name(test)}: {reason}", flush=True)

    def addError(self, test, why):
        super().addError(test, why)
        said = why.getErrorMessage() if hasattr(why, "getErrorMessage") else repr(why[1])
        print(f"not ok - {name(test)}: {' '.join(said.split())}", flush=True)

    addFailure = addError


def name(test):
    return test.shortDescription() if isinstance(test, Checks) else f"the connector's {test.id().rpartition('.')[2]}"


def main():
    sys.path.insert(0, os.path.join(os.environ["FAKEBROKER_CONNECTOR_SUITE"], "test"))
    import test_connector
    test_connector.AmqpConnectorTest.timeout = DEADLINE
    suite = unittest.defaultTestLoader.loadTestsFromModule(test_connector)
    if suite.countTestCases() != 3:
        print(f"not ok - the connector: {suite.countTestCases()} tests, not 3")
        sys.exit(1)
    suite.addTests(Checks(check) for check in (
        "connect_as_guest", "connect_with_credentials", "wrong_password", "unknown_virtual_host", "declare",
        "exclusive_queue", "exchanges", "mandatory", "prefetch", "settle", "get", "closed_channel_gives_back",
        "channel_errors", "properties", "bodies", "many", "heartbeats", "close"))
    result = Report()
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)


main()
