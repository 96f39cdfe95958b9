"""Limits of a queue's length, and what it does when it is full."""


def _publish(channel, queue, *bodies):
    """Publishes one after the other with confirms, so that each finds the queue as the one before left it."""
    channel.select_confirms()
    for number, body in enumerate(bodies, 1):
        channel.publish("", queue, body)
        channel.confirms(number, number)


def drops_the_head(channel):
    """drop-head by number"""
    channel.queue("q", x_max_length=2)
    _publish(channel, "q", "1", "2", "3", "4")
    channel.take("q", 2)


def drops_the_head_by_bytes(channel):
    """drop-head by bytes"""
    channel.queue("q", x_max_length_bytes=10)
    _publish(channel, "q", "12345", "67890", "a", "b" * 11, "c")
    channel.take("q", 1)


def of_zero(channel):
    """a limit of zero"""
    channel.queue("q", x_max_length=0)
    _publish(channel, "q", "1")
    channel.get("q")
    channel.consume("q", "c")
    channel.publish("", "q", "2")
    channel.deliveries(1)
    channel.queue("bytes", x_max_length_bytes=0)
    channel.publish("", "bytes", "3")
    channel.publish("", "bytes", "")
    channel.take("bytes", 1)


def refuses(channel):
    """reject-publish: nacked, and room again after a get"""
    channel.queue("q", x_max_length=2, x_overflow="reject-publish")
    _publish(channel, "q", "1", "2", "3", "4")
    channel.get("q", no_ack=True)
    for number in (5, 6):
        channel.publish("", "q", str(number))
        channel.confirms(number, number)
    channel.take("q", 2)


def refuses_by_bytes(channel):
    """reject-publish by bytes"""
    channel.queue("q", x_max_length_bytes=10, x_overflow="reject-publish")
    _publish(channel, "q", "12345", "678901", "67890", "", "b" * 11, "c")
    channel.publish("", "q", "d" * 20)
    channel.confirms(7, 7)
    channel.get("q", no_ack=True)
    channel.purge("q")


def refuses_zero(channel):
    """reject-publish with a limit of zero"""
    channel.queue("q", x_max_length=0, x_overflow="reject-publish")
    _publish(channel, "q", "1", "2")
    channel.depth("q", 0)
    channel.queue("bytes", x_max_length_bytes=0, x_overflow="reject-publish")
    channel.publish("", "bytes", "")
    channel.confirms(3, 3)
    channel.publish("", "bytes", "1")
    channel.confirms(4, 4)
    channel.publish("", "bytes", "2")
    channel.confirms(5, 5)
    channel.depth("bytes", 1)


def unacknowledged(channel):
    """what somebody has not acknowledged does not count"""
    channel.queue("q", x_max_length=1, x_overflow="reject-publish")
    _publish(channel, "q", "1")
    tag = channel.get("q")
    channel.publish("", "q", "2")
    channel.confirms(2, 2)
    channel.publish("", "q", "3")
    channel.confirms(3, 3)
    channel.nack(tag, requeue=True)
    channel.take("q", 2)


def requeued_over_the_limit(channel):
    """a message that comes back to a queue that is full, with drop-head"""
    channel.queue("q", x_max_length=1)
    _publish(channel, "q", "1")
    tag = channel.get("q")
    channel.publish("", "q", "2")
    channel.confirms(2, 2)
    channel.nack(tag, requeue=True)
    channel.barrier()
    channel.take("q", 1)


def refuses_and_dead_letters(channel):
    """reject-publish-dlx"""
    channel.queue("dead")
    channel.queue("q", x_max_length=1, x_overflow="reject-publish-dlx", x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    _publish(channel, "q", "1", "2", "3")
    channel.take("dead", 2)
    channel.take("q", 1)


def refuses_one_of_two(channel):
    """a fanout to a queue that is full and one that is not"""
    channel.exchange("e", "fanout")
    channel.queue("full", x_max_length=1, x_overflow="reject-publish")
    channel.queue("free")
    channel.bind("full", "e")
    channel.bind("free", "e")
    channel.select_confirms()
    for number in (1, 2):
        channel.publish("e", "", str(number))
        channel.confirms(number, number)
    channel.take("free", 2)
    channel.take("full", 1)


def refuses_mandatory(channel):
    """mandatory, refused for length: nacked and not returned"""
    channel.queue("q", x_max_length=1, x_overflow="reject-publish")
    channel.select_confirms()
    for number in (1, 2):
        channel.publish("", "q", str(number), mandatory=True)
        channel.confirms(number, number)
    channel.take("q", 1)


def both_limits(channel):
    """both limits at once"""
    channel.queue("q", x_max_length=2, x_max_length_bytes=5)
    _publish(channel, "q", "123", "45", "6", "7")
    channel.take("q", 2)


def consumer_waits(channel):
    """a consumer that waits gets what a full queue would refuse"""
    channel.queue("q", x_max_length=1, x_overflow="reject-publish")
    channel.consume("q", "c")
    _publish(channel, "q", "1", "2", "3")
    channel.deliveries(3)
