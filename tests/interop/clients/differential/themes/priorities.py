"""Queues with priorities."""


def ordered(channel):
    """the highest first, equal ones in their order"""
    channel.queue("q", x_max_priority=5)
    for body, priority in (("a0", 0), ("b5", 5), ("c1", 1), ("d5", 5), ("e", None), ("f9", 9), ("g3", 3), ("h255", 255)):
        channel.store("", "q", body, priority=priority)
    channel.take("q", 8)


def returned(channel):
    """what comes back is the first of its priority"""
    channel.queue("q", x_max_priority=2)
    for body, priority in (("a", 1), ("b", 1), ("c", 2)):
        channel.store("", "q", body, priority=priority)
    channel.depth("q", 3)
    channel.get("q")
    tag = channel.get("q")
    channel.store("", "q", "d", priority=1)
    channel.nack(tag, requeue=True)
    channel.take("q", 3)


def without(channel):
    """a queue without priorities keeps its order"""
    channel.queue("q")
    for body, priority in (("a", 1), ("b", 9)):
        channel.store("", "q", body, priority=priority)
    channel.take("q", 2)


def of_zero(channel):
    """a highest priority of zero"""
    channel.queue("q", x_max_priority=0)
    for body, priority in (("a", 1), ("b", 9)):
        channel.store("", "q", body, priority=priority)
    channel.take("q", 2)


def and_a_limit(channel):
    """a limit of length drops the lowest first"""
    channel.queue("dead")
    channel.queue("q", x_max_priority=3, x_max_length=2, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    for number, priority in enumerate((3, 1, 2, 3), 1):
        channel.store("", "q", f"{number} of {priority}", priority=priority)
    channel.take("dead", 2)
    channel.take("q", 2)


def and_expiration(channel):
    """messages of a higher priority keep lower ones from expiring"""
    channel.queue("dead")
    channel.queue("q", x_max_priority=3, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    channel.store("", "q", "high", priority=3)
    channel.store("", "q", "low", priority=1, expiration="30")
    channel.queue("clock", x_message_ttl=90)
    channel.store("", "clock", "tick")
    channel.depth("clock", 0)
    channel.depth("q", 2)
    channel.get("q", no_ack=True)
    channel.take("dead", 1)


def delivered(channel):
    """a consumer with a prefetch of one"""
    channel.queue("q", x_max_priority=3)
    for body, priority in (("a", 1), ("b", 2), ("c", 3)):
        channel.store("", "q", body, priority=priority)
    channel.depth("q", 3)
    channel.qos(1)
    channel.consume("q", "c")
    for _ in range(3):
        channel.ack(channel.deliveries(1)[0])
    channel.no_delivery()
