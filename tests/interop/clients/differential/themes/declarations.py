"""Queues and exchanges declared, again and differently; what a client asks of them."""

from wire import Typed


def queue_again(channel):
    """a queue declared again, with other flags"""
    channel.queue("q", durable=True)
    channel.queue("q", durable=True)
    channel.queue("q")
    channel.queue("q", durable=True, auto_delete=True)
    channel.queue("q", durable=True, exclusive=True)
    channel.queue("q", durable=True, passive=True)
    channel.queue("q", passive=True, auto_delete=True, x_message_ttl=5)


def queue_again_with_arguments(channel):
    """a queue declared again, with other arguments"""
    channel.queue("q", x_message_ttl=60000, x_max_length=5, x_dead_letter_exchange="e")
    for ttl in (Typed("b", 5), Typed("s", 6000), Typed("I", 60000), Typed("l", 60000), Typed("i", 60000), "60000", 60001):
        channel.queue("q", x_message_ttl=ttl, x_max_length=5, x_dead_letter_exchange="e")
    channel.queue("q", x_max_length=5, x_dead_letter_exchange="e")
    channel.queue("q", x_message_ttl=60000, x_max_length=6, x_dead_letter_exchange="f")
    channel.queue("q", x_message_ttl=60000, x_max_length=5, x_dead_letter_exchange="e", x_dead_letter_routing_key="k")
    channel.queue("q", x_message_ttl=60000, x_max_length=5, x_dead_letter_exchange="e", colour="red")
    channel.queue("q", x_message_ttl=60000, x_max_length=5, x_dead_letter_exchange="e", x_max_length_bytes=9)
    channel.queue("q", x_message_ttl=60000, x_max_length=5, x_dead_letter_exchange="e", x_max_priority=9)
    channel.queue("q", x_message_ttl=60000, x_max_length=5, x_dead_letter_exchange="e", x_expires=60000)
    channel.queue("q", x_message_ttl=60000, x_max_length=5, x_dead_letter_exchange="e", x_overflow="drop-head")


def queue_again_without_arguments(channel):
    """a queue without arguments declared again with one"""
    for name, value in (("x_expires", 60000), ("x_message_ttl", 1), ("x_dead_letter_exchange", "e"), ("x_max_length", 1),
                        ("x_max_length_bytes", 1), ("x_max_priority", 1), ("x_overflow", "drop-head"), ("colour", "red"),
                        ("x_queue_type", "classic")):
        channel.queue("q")
        channel.queue("q", **{name: value})


def numbers_refused(channel):
    """numbers of a queue's arguments that are none"""
    values = (-1, Typed("l", -1), Typed("b", -1), Typed("s", -1), "5", "five", True, None, Typed("d", 1.5),
              Typed("f", 1.0), [5], {"a": 5}, Typed("T", 5), Typed("x", b"5"), Typed("l", (1 << 63) - 1), Typed("l", -(1 << 63)))
    for name in ("x_message_ttl", "x_expires", "x_max_length", "x_max_length_bytes", "x_max_priority"):
        for value in values:
            channel.queue("q", **{name: value})
            channel.delete_queue("q")


def numbers_taken(channel):
    """numbers of a queue's arguments at their limits, of every type"""
    for name in ("x_message_ttl", "x_expires", "x_max_length", "x_max_length_bytes", "x_max_priority"):
        for value in (0, 1, Typed("b", 5), Typed("B", 5), Typed("s", 5), Typed("u", 5), Typed("i", 5), Typed("l", 5), 127, 255, 256,
                      Typed("l", 4294967295), Typed("l", 4294967296), Typed("l", 315360000000), Typed("l", 315360000001)):
            channel.queue("q", **{name: value})
            channel.delete_queue("q")


def texts(channel):
    """texts of a queue's arguments"""
    for name in ("x_dead_letter_exchange", "x_overflow", "x_queue_mode", "x_queue_type", "x_single_active_consumer"):
        for value in ("", "nonsense", 5, True, None, ["a"], {"a": 1}, Typed("x", b"a"), Typed("T", 5)):
            channel.queue("q", **{name: value})
            channel.delete_queue("q")
    for value in ("drop-head", "reject-publish", "reject-publish-dlx", Typed("x", b"drop-head")):
        channel.queue("q", x_overflow=value)
        channel.delete_queue("q")
    for value in ("k", "", 5, None):
        channel.queue("q", x_dead_letter_routing_key=value)
        channel.queue("q", x_dead_letter_exchange="e", x_dead_letter_routing_key=value)
        channel.delete_queue("q")


def of_no_type(channel):
    """arguments that a classic or a quorum queue does not have"""
    for name, value in (("x_delivery_limit", 5), ("x_dead_letter_strategy", "at-most-once"), ("x_max_in_memory_length", 5),
                        ("x_quorum_initial_group_size", 1), ("x_queue_leader_locator", "balanced"), ("x_max_age", "1D"),
                        ("x_stream_max_segment_size_bytes", 5), ("x_max_priority", 5), ("x_queue_mode", "lazy"), ("x_queue_version", 1)):
        channel.queue("q", **{name: value})
        channel.delete_queue("q")
        channel.queue("q", durable=True, x_queue_type="quorum", **{name: value})
        channel.delete_queue("q")
    for value in (0, 3, "1", True, -1):
        channel.queue("q", x_queue_version=value)
        channel.delete_queue("q")


def quorum(channel):
    """a quorum queue: what it cannot be, and how often it delivers"""
    channel.queue("q", x_queue_type="quorum")
    channel.queue("q", durable=True, exclusive=True, x_queue_type="quorum")
    channel.queue("q", durable=True, auto_delete=True, x_queue_type="quorum")
    channel.queue("dead")
    channel.queue("q", durable=True, x_queue_type="quorum", x_delivery_limit=2, x_dead_letter_exchange="",
                  x_dead_letter_routing_key="dead")
    channel.queue("q", durable=True)
    channel.queue("q", durable=True, x_queue_type="classic")
    channel.queue("r", durable=True, x_queue_type="quorum", x_delivery_limit=2)
    channel.queue("r", durable=True)
    channel.queue("r", durable=True, x_queue_type="quorum", x_delivery_limit=3)
    channel.queue("r", durable=True, x_queue_type="quorum", x_delivery_limit=2, x_queue_leader_locator="balanced")
    channel.queue("r", durable=True, x_queue_type="quorum", x_delivery_limit=2, x_max_priority=5, colour="red")
    channel.store("", "q", "1")
    for _ in range(3):
        channel.depth("q", 1)
        channel.nack(channel.get("q"), requeue=True)
    channel.take("dead", 1)


def several_wrong(channel):
    """which of several wrong arguments is named"""
    wrong = {"x_overflow": "o", "x_max_priority": -2, "x_max_length_bytes": -3, "x_max_length": -4,
             "x_dead_letter_routing_key": 5, "x_dead_letter_exchange": 6, "x_message_ttl": -7, "x_expires": -8}
    while wrong:
        channel.queue("q", **wrong)
        wrong.popitem()
    channel.queue("q", x_message_ttl="a", x_dead_letter_routing_key="k")


def names(channel):
    """names of queues and exchanges"""
    channel.queue("amq.mine")
    channel.queue("amq.mine", passive=True)
    channel.queue("")
    channel.queue("q" * 255)
    channel.queue("a queue/with*signs#ü")
    channel.exchange("amq.mine")
    channel.exchange("amq.direct")
    channel.exchange("amq.direct", durable=True)
    channel.exchange("amq.direct", "topic", durable=True)
    channel.exchange("")
    channel.exchange("", passive=True)
    channel.delete_exchange("")
    channel.delete_exchange("amq.direct")
    channel.exchange("e", passive=True)
    channel.exchange("e", "nonsense")


def exchange_again(channel):
    """an exchange declared again, with other flags"""
    channel.exchange("e", "topic")
    channel.exchange("e", "topic")
    channel.exchange("e", "direct")
    channel.exchange("e", "topic", durable=True)
    channel.exchange("e", "topic", auto_delete=True)
    channel.exchange("e", "topic", internal=True)
    channel.exchange("e", "topic", colour="red")
    channel.exchange("e", "topic", passive=True, internal=True)


def deleted(channel):
    """deletes: what is there, what is in use, what is gone"""
    channel.delete_queue("none")
    channel.delete_exchange("none")
    channel.queue("q")
    channel.store("", "q", "1")
    channel.depth("q", 1)
    channel.delete_queue("q", if_empty=True)
    channel.consume("q", "c")
    channel.deliveries(1)
    channel.delete_queue("q", if_unused=True)
    channel.queue("q")
    channel.delete_queue("q", if_empty=True, if_unused=True)
    channel.purge("q")
    channel.delete_queue("q", if_empty=True, if_unused=True)
    channel.exchange("e", "fanout")
    channel.queue("q")
    channel.bind("q", "e")
    channel.delete_exchange("e", if_unused=True)
    channel.unbind("q", "e")
    channel.delete_exchange("e", if_unused=True)
    channel.exchange("e", passive=True)


def purged(channel):
    """purge counts what was ready"""
    channel.queue("q")
    for body in "123":
        channel.store("", "q", body)
    channel.depth("q", 3)
    channel.get("q")
    channel.purge("q")
    channel.recover()
    channel.take("q", 1)
    channel.purge("none")


def exclusive(channel):
    """an exclusive queue is its connection's"""
    channel.queue("q", exclusive=True)
    channel.queue("q", exclusive=True)
    channel.queue("q")
    other = channel.client.scene.client()
    stranger = other.channel()
    stranger.queue("q", passive=True)
    stranger.queue("q", exclusive=True)
    stranger.queue("q")
    stranger.consume("q", "c")
    stranger.get("q")
    stranger.purge("q")
    stranger.bind("q", "amq.direct", "k")
    stranger.delete_queue("q")
    stranger.publish("", "q", "from a stranger", mandatory=True)
    stranger.barrier()
    channel.take("q", 1)
    mine = channel.client.scene.client()
    mine.channel().queue("mine", exclusive=True)
    mine.close()
    channel.gone("mine")


def auto_delete(channel):
    """an auto-delete queue goes with its last consumer"""
    channel.queue("q", auto_delete=True)
    channel.consume("q", "c")
    channel.consume("q", "d")
    channel.cancel("c")
    channel.queue("q", passive=True)
    channel.cancel("d")
    channel.gone("q")


def auto_delete_exchange(channel):
    """an auto-delete exchange goes with its last binding"""
    channel.exchange("e", "fanout", auto_delete=True)
    channel.queue("q")
    channel.queue("r")
    channel.bind("q", "e")
    channel.bind("r", "e")
    channel.unbind("q", "e")
    channel.exchange("e", passive=True)
    channel.delete_queue("r")
    channel.exchange("e", passive=True)


def queue_expires(channel):
    """a queue that nobody uses goes, and not while somebody consumes"""
    channel.queue("q", x_expires=60)
    channel.gone("q")
    channel.queue("q", x_expires=60)
    channel.consume("q", "c")
    channel.queue("later", x_expires=150)
    channel.gone("later")
    channel.queue("q", passive=True)
    channel.cancel("c")
    channel.gone("q")
