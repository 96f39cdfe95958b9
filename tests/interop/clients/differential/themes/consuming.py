"""Consumers: their errors, prefetch, what comes back."""


def errors(channel):
    """consumes that are refused"""
    channel.consume("none", "c")
    channel.queue("q")
    channel.consume("q", "c")
    channel.consume("q", "c")
    channel.consume("q", "c", exclusive=True)
    channel.consume("q", "d")
    channel.cancel("c")
    channel.cancel("never")
    channel.consume("q", "c")
    channel.consume("q", "d", exclusive=True)


def exclusively(channel):
    """an exclusive consumer keeps others out"""
    channel.queue("q")
    channel.consume("q", "c", exclusive=True)
    other = channel.client.channel()
    other.consume("q", "d")
    other.consume("q", "d", exclusive=True)
    other.get("q")
    channel.cancel("c")
    other.consume("q", "d")


def arguments(channel):
    """arguments of a consumer"""
    channel.queue("q")
    for value in (5, -5, "5", True, None, 1 << 40):
        channel.consume("q", "c", x_priority=value)
        channel.cancel("c")
    channel.consume("q", "c", colour="red")


def acknowledged(channel):
    """tags that are unknown, and tags acknowledged twice"""
    channel.queue("q")
    for body in "12":
        channel.store("", "q", body)
    for settle in (channel.ack, channel.nack, channel.reject):
        settle(99)
        channel.barrier()
    channel.depth("q", 2)
    tag = channel.get("q")
    channel.ack(tag)
    channel.ack(tag)
    channel.barrier()
    channel.ack(0, multiple=True)
    channel.barrier()
    channel.nack(0, multiple=True)
    channel.barrier()
    channel.ack(0)
    channel.barrier()
    channel.take("q", 1)


def prefetch(channel):
    """prefetch: of a consumer, and of the channel"""
    channel.queue("q")
    for number in range(6):
        channel.store("", "q", str(number))
    channel.depth("q", 6)
    channel.qos(2)
    channel.consume("q", "c")
    tags = channel.deliveries(2)
    channel.no_delivery()
    channel.ack(tags[0])
    tags += channel.deliveries(1)
    channel.ack(tags[-1], multiple=True)
    channel.deliveries(2)
    channel.qos(1, size=1)


def returned(channel):
    """what comes back goes to its place, marked"""
    channel.queue("q")
    for number in range(3):
        channel.store("", "q", str(number))
    channel.depth("q", 3)
    tags = [channel.get("q") for _ in range(3)]
    channel.nack(tags[1], requeue=True)
    channel.reject(tags[0], requeue=True)
    channel.take("q", 2)
    channel.recover()
    channel.take("q", 1)


def cancelled(channel):
    """a consumer is told when its queue goes"""
    channel.queue("q")
    channel.consume("q", "c")
    channel.client.channel().delete_queue("q")
    channel.cancelled()
    channel.queue("r", x_expires=600_000)
    channel.consume("r", "c")
    channel.delete_queue("r")
    channel.cancelled()


def missing(channel):
    """gets from what is not there"""
    channel.get("none")
    channel.queue("q")
    channel.get("q")
    channel.store("", "q", "1")
    channel.depth("q", 1)
    channel.get("q", no_ack=True)
