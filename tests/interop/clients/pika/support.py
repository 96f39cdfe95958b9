"""What the checks are made with: connections and channels, queues with something in them, and waiting."""

import logging
from contextlib import contextmanager

import pika
from pika.exceptions import ChannelClosedByBroker

from checks import DEADLINE, MANY, OPEN, unique


def parameters(address=OPEN, user="guest", password="guest", **options):
    host, port = address.rsplit(":", 1)
    return pika.ConnectionParameters(host, int(port), credentials=pika.PlainCredentials(user, password),
                                     socket_timeout=DEADLINE, blocked_connection_timeout=DEADLINE, **options)


@contextmanager
def connected(**options):
    """A connection that must be alive in the end."""
    connection = pika.BlockingConnection(parameters(**options))
    yield connection
    connection.close()


@contextmanager
def a_channel(**options):
    with connected(**options) as connection:
        yield connection.channel()


@contextmanager
def closes_channel(connection, code):
    """A channel that the broker must close with this code."""
    channel = connection.channel()
    try:
        yield channel
    except ChannelClosedByBroker as closed:
        assert closed.reply_code == code, closed
    else:
        raise AssertionError(f"no channel.close {code}")


class Arrived:
    def __init__(self, method, body):
        self.tag, self.redelivered, self.consumer = method.delivery_tag, method.redelivered, method.consumer_tag
        self.body = body

    def __repr__(self):
        return f"{self.tag}: {self.body[:20]}{' again' if self.redelivered else ''}"


def consume(channel, queue, prefetch=0, auto_ack=False):
    """A list that grows while something waits on the connection."""
    arrived = []
    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume(
        queue, lambda _channel, method, _properties, body: arrived.append(Arrived(method, body)), auto_ack)
    return arrived


def until(channel, holds):
    """Waits, for as long as the check may take."""
    while not holds():
        channel.connection.process_data_events(time_limit=0.1)


def until_gone(connection, queue):
    while True:
        channel = connection.channel()
        try:
            channel.queue_declare(queue, passive=True)
            channel.close()
        except ChannelClosedByBroker as closed:
            if closed.reply_code == 404:
                return
            assert closed.reply_code == 405, closed


def publish(channel, queue, *bodies):
    """Waits for the confirms: only then is it certain that the messages count."""
    publisher = channel.connection.channel()
    publisher.confirm_delivery()
    for body in bodies:
        publisher.basic_publish("", queue, body, mandatory=True)
    publisher.close()


def counts(declared):
    return declared.method.message_count, declared.method.consumer_count


def numbers(count):
    return [str(number).encode() for number in range(count)]


def numbered(channel, count, name=""):
    """A queue of the connection that holds the numbers up to count."""
    queue = channel.queue_declare(name, exclusive=True).method.queue
    publish(channel, queue, *numbers(count))
    return queue


def left(channel, queue):
    """What the queue still holds once the channel's consumers are gone and what they hold is given back."""
    for tag in channel.consumer_tags:
        channel.basic_cancel(tag)
    channel.basic_recover(requeue=True)
    return [body for body in iter(lambda: channel.basic_get(queue)[2], None)]


def take(channel, queue):
    return channel.basic_get(queue, auto_ack=True)[2]


def declare_exchange(channel, kind):
    exchange = unique(kind)
    channel.exchange_declare(exchange, kind)
    return exchange


def bound(channel, exchange, bindings):
    """A queue for each (routing key, arguments)."""
    queues = []
    for key, arguments in bindings:
        queues.append(channel.queue_declare("", exclusive=True).method.queue)
        channel.queue_bind(queues[-1], exchange, key, arguments)
    return queues


def contents(channel, queues):
    """Takes what is in the queues. Channels keep order, so what was published on this one has been routed."""
    return [[body.decode() for body in iter(lambda: take(channel, queue), None)] for queue in queues]


def works(channel):
    queue = channel.queue_declare("", exclusive=True).method.queue
    publish(channel, queue, b"hello")
    assert take(channel, queue) == b"hello"


class Many:
    """Publishes 10,000 messages without waiting for confirms, consumes them beside that, and closes when all are
    confirmed and acknowledged."""

    def __init__(self):
        self.queue = unique("many")
        self.confirmed = 0
        self.received = []
        self.failed = None
        self.connection = pika.SelectConnection(parameters(), self.opened, self.ended, self.ended)

    def opened(self, connection):
        connection.channel(on_open_callback=self.receive)

    def receive(self, channel):
        channel.add_on_close_callback(self.channel_closed)
        channel.queue_declare(self.queue, exclusive=True)
        channel.basic_qos(prefetch_count=100)
        channel.basic_consume(self.queue, self.arrived, callback=lambda _: self.connection.channel(
            on_open_callback=self.send))

    def send(self, channel):
        channel.add_on_close_callback(self.channel_closed)
        channel.confirm_delivery(self.confirm, callback=lambda _: self.publish(channel))

    def publish(self, channel):
        for number in range(MANY):
            channel.basic_publish("", self.queue, str(number), mandatory=True)

    def confirm(self, frame):
        assert frame.method.NAME == "Basic.Ack", frame
        self.confirmed = frame.method.delivery_tag
        self.close_when_done()

    def arrived(self, channel, method, _properties, body):
        self.received.append(int(body))
        channel.basic_ack(method.delivery_tag)
        self.close_when_done()

    def close_when_done(self):
        if self.confirmed == len(self.received) == MANY:
            self.connection.close()

    def channel_closed(self, _channel, why):
        if isinstance(why, ChannelClosedByBroker):
            self.failed = why
            self.connection.close()

    def ended(self, connection, why):
        if not isinstance(why, pika.exceptions.ConnectionClosedByClient):
            self.failed = why
        connection.ioloop.stop()


class Seen(logging.Handler):
    """Counts what pika says of heartbeats."""

    def __init__(self, text):
        super().__init__()
        self.text, self.times = text, 0
        logger = logging.getLogger("pika.heartbeat")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)

    def emit(self, record):
        self.times += self.text in record.getMessage()
