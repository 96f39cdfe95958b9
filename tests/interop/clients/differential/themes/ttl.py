"""Times to live: a queue's, a message's own, and the lower one."""

SHORT, LONG = 30, 600_000


def _dead_lettering(channel, name, **arguments):
    channel.queue("dead")
    channel.queue(name, x_dead_letter_exchange="", x_dead_letter_routing_key="dead", **arguments)


def of_a_queue(channel):
    """a queue's time to live"""
    channel.queue("q", x_message_ttl=SHORT)
    channel.store("", "q", "1")
    channel.store("", "q", "2")
    channel.depth("q", 0)
    channel.get("q")


def of_a_message(channel):
    """a message's own expiration"""
    channel.queue("q")
    channel.store("", "q", "1", expiration=str(SHORT))
    channel.depth("q", 0)
    channel.store("", "q", "2", expiration=str(LONG))
    channel.take("q", 1)


def the_lower_one(channel):
    """the lower of a queue's and a message's"""
    _dead_lettering(channel, "short", x_message_ttl=SHORT)
    channel.store("", "short", "1", expiration=str(LONG))
    channel.take("dead", 1)
    _dead_lettering(channel, "long", x_message_ttl=LONG)
    channel.store("", "long", "2", expiration=str(SHORT))
    channel.take("dead", 1)


def zero(channel):
    """a time to live of zero: only who waits gets it"""
    channel.queue("q", x_message_ttl=0)
    channel.store("", "q", "nobody waits")
    channel.depth("q", 0)
    channel.get("q")
    channel.consume("q", "c")
    channel.store("", "q", "somebody waits")
    channel.deliveries(1)
    channel.queue("r")
    channel.store("", "r", "nobody waits", expiration="0")
    channel.depth("r", 0)
    channel.consume("r", "d")
    channel.store("", "r", "somebody waits", expiration="0")
    channel.deliveries(1)


def at_the_head(channel):
    """what has expired behind the head stays until it is there"""
    _dead_lettering(channel, "q")
    channel.store("", "q", "1")
    channel.store("", "q", "2", expiration=str(SHORT))
    channel.store("", "q", "3", expiration=str(LONG))
    channel.queue("clock", x_message_ttl=3 * SHORT)
    channel.store("", "clock", "tick")
    channel.depth("clock", 0)
    channel.depth("q", 3)
    channel.get("q", no_ack=True)
    channel.take("dead", 1)
    channel.take("q", 1)


def returned(channel):
    """a message that comes back keeps its time"""
    _dead_lettering(channel, "q", x_message_ttl=10 * SHORT)
    channel.store("", "q", "1")
    channel.depth("q", 1)
    tag = channel.get("q")
    channel.nack(tag, requeue=True)
    channel.take("dead", 1)


def unacknowledged(channel):
    """a message that somebody has does not expire before it is back"""
    _dead_lettering(channel, "q", x_message_ttl=3 * SHORT)
    channel.store("", "q", "1")
    channel.depth("q", 1)
    tag = channel.get("q")
    channel.queue("clock", x_message_ttl=6 * SHORT)
    channel.store("", "clock", "tick")
    channel.depth("clock", 0)
    channel.depth("dead", 0)
    channel.nack(tag, requeue=True)
    channel.take("dead", 1)


def invalid(channel):
    """expirations that are none"""
    channel.queue("q")
    for expiration in ("", "-1", "a", "5a", "1.5", " 5", "5 ", "+5", "0x5", "315360000000", "315360000001", "4294967296", "9" * 30, "é",
                       "00100000", "5_000", "1e3"):
        channel.publish("", "q", "1", expiration=expiration)
        channel.barrier()
        channel.depth("q", 1 if expiration in ("315360000000", "4294967296", "00100000") else 0)
        channel.purge("q")
