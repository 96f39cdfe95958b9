"""Dead letters: where they go, what is written into them, and what is dropped."""

SHORT = 30


def _dead(channel, **arguments):
    """A queue q whose dead letters come to the queue dead by the exchange dlx."""
    channel.exchange("dlx", "fanout")
    channel.queue("dead")
    channel.bind("dead", "dlx")
    channel.queue("q", x_dead_letter_exchange="dlx", **arguments)


def rejected(channel):
    """rejected, by reject and by nack"""
    _dead(channel)
    for body in "123":
        channel.store("", "q", body)
    channel.depth("q", 3)
    channel.reject(channel.get("q"))
    channel.take("dead", 1)
    channel.get("q")
    channel.nack(channel.get("q"), multiple=True)
    channel.take("dead", 2)


def expired(channel):
    """expired, by the queue's time and by its own"""
    _dead(channel, x_message_ttl=600_000)
    channel.store("", "q", "1", expiration=str(SHORT))
    channel.take("dead", 1)
    channel.queue("r", x_dead_letter_exchange="dlx", x_message_ttl=SHORT)
    channel.store("", "r", "2")
    channel.take("dead", 1)


def too_many(channel):
    """dropped from the head of a queue that is too long"""
    _dead(channel, x_max_length=1)
    for body in "123":
        channel.store("amq.direct", "nobody", body)
        channel.store("", "q", body)
    channel.take("dead", 2)
    channel.take("q", 1)


def everything_kept(channel):
    """all properties and headers are kept"""
    _dead(channel)
    channel.store("", "q", b"\x00\xff", content_type="text/plain", content_encoding="gzip", delivery_mode=2, priority=3,
                    correlation_id="c", reply_to="r", expiration="600000", message_id="m", timestamp=1 << 31, type="t",
                    user_id="guest", app_id="a", cluster_id="x",
                    headers={"z": 1, "a": "two", "m": [True, None, {"deep": 5}], "x-mine": "kept"})
    channel.depth("q", 1)
    channel.reject(channel.get("q"))
    channel.take("dead", 1)


def persistent_or_not(channel):
    """a message without properties, and one with an empty table of headers"""
    _dead(channel)
    channel.store("", "q", "plain")
    channel.store("", "q", "empty", headers={})
    channel.store("", "q", "persistent", delivery_mode=2)
    channel.depth("q", 3)
    for _ in range(3):
        channel.reject(channel.get("q"))
    channel.take("dead", 3)


def key_of_the_queue(channel):
    """the queue's own key for dead letters, and the message's"""
    channel.exchange("in", "topic")
    channel.exchange("dlx", "topic")
    channel.queue("by-message")
    channel.queue("by-queue")
    channel.bind("by-message", "dlx", "orders.#")
    channel.bind("by-queue", "dlx", "dead")
    channel.queue("q", x_dead_letter_exchange="dlx")
    channel.queue("r", x_dead_letter_exchange="dlx", x_dead_letter_routing_key="dead")
    channel.bind("q", "in", "orders.*")
    channel.bind("r", "in", "orders.*")
    channel.store("in", "orders.new", "1")
    channel.depth("q", 1)
    channel.depth("r", 1)
    channel.reject(channel.get("q"))
    channel.reject(channel.get("r"))
    channel.take("by-message", 1)
    channel.take("by-queue", 1)


def several_keys(channel):
    """the header CC: its keys are in x-death, and route as the first"""
    channel.exchange("dlx", "direct")
    for name in ("first", "second", "third"):
        channel.queue(name)
        channel.bind(name, "dlx", name)
    channel.queue("q", x_dead_letter_exchange="dlx")
    channel.bind("q", "amq.direct", "first")
    channel.store("amq.direct", "first", "1", headers={"CC": ["second", "third"], "other": 1})
    channel.depth("q", 1)
    channel.reject(channel.get("q"))
    for name in ("first", "second", "third"):
        channel.take(name, 1)
    channel.queue("r", x_dead_letter_exchange="dlx", x_dead_letter_routing_key="first")
    channel.bind("r", "amq.direct", "fourth")
    channel.store("amq.direct", "fourth", "2", headers={"CC": ["second"], "other": 1})
    channel.depth("r", 1)
    channel.reject(channel.get("r"))
    channel.take("first", 1)


def twice(channel):
    """two deaths in one queue are counted, and those of other queues stand behind the last"""
    channel.queue("q", x_dead_letter_exchange="", x_dead_letter_routing_key="wait")
    channel.queue("wait", x_dead_letter_exchange="", x_dead_letter_routing_key="q", x_message_ttl=SHORT)
    channel.store("", "q", "1", headers={"mine": 1})
    channel.depth("q", 1)
    for _ in range(3):
        channel.reject(channel.get("q"))
        channel.depth("q", 1)
    channel.get("q")


def for_two_reasons(channel):
    """deaths for different reasons in one queue stand apart"""
    channel.queue("q", x_dead_letter_exchange="", x_dead_letter_routing_key="wait")
    channel.queue("wait", x_dead_letter_exchange="", x_dead_letter_routing_key="q")
    channel.store("", "q", "1")
    channel.depth("q", 1)
    channel.reject(channel.get("q"))
    channel.depth("wait", 1)
    channel.reject(channel.get("wait"))
    channel.depth("q", 1)
    tag = channel.get("q")
    channel.store("", "wait", "2", expiration=str(SHORT))
    channel.take("q", 1)
    channel.nack(tag)
    channel.take("wait", 1)


def round_and_round(channel):
    """a cycle without a reject is dropped, one to itself too"""
    channel.queue("a", x_dead_letter_exchange="", x_dead_letter_routing_key="b", x_message_ttl=SHORT)
    channel.queue("b", x_dead_letter_exchange="", x_dead_letter_routing_key="a", x_message_ttl=SHORT)
    channel.queue("self", x_dead_letter_exchange="", x_dead_letter_routing_key="self", x_message_ttl=SHORT)
    channel.store("", "a", "1")
    channel.store("", "self", "2")
    channel.queue("clock", x_message_ttl=6 * SHORT)
    channel.store("", "clock", "tick")
    channel.depth("clock", 0)
    for name in ("a", "b", "self"):
        channel.depth(name, 0)


def rejected_round(channel):
    """a cycle with rejects goes on"""
    channel.queue("self", x_dead_letter_exchange="", x_dead_letter_routing_key="self")
    channel.store("", "self", "1")
    for _ in range(3):
        channel.depth("self", 1)
        channel.reject(channel.get("self"))
    channel.take("self", 1)


def into_one_too_long(channel):
    """a dead letter for a queue that is full"""
    channel.queue("dead", x_max_length=1, x_overflow="reject-publish")
    channel.queue("q", x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    for body in "12":
        channel.store("", "q", body)
    channel.depth("q", 2)
    channel.reject(channel.get("q"))
    channel.depth("dead", 1)
    channel.reject(channel.get("q"))
    channel.store("", "q", "3")
    channel.take("q", 1)
    channel.take("dead", 1)


def nowhere(channel):
    """no such exchange, and no queue bound: dropped"""
    channel.queue("q", x_dead_letter_exchange="none")
    channel.queue("r", x_dead_letter_exchange="amq.direct")
    for name in "qr":
        channel.store("", name, "1")
        channel.depth(name, 1)
        channel.reject(channel.get(name))
        channel.store("", name, "2")
        channel.take(name, 1)


def purged_or_deleted(channel):
    """what is purged, or goes with its queue, is no dead letter"""
    _dead(channel)
    channel.store("", "q", "1")
    channel.depth("q", 1)
    channel.purge("q")
    channel.store("", "q", "2")
    channel.depth("q", 1)
    channel.delete_queue("q")
    channel.queue("q", x_dead_letter_exchange="dlx")
    channel.store("", "q", "3")
    channel.depth("q", 1)
    channel.reject(channel.get("q"))
    channel.take("dead", 1)


def forged(channel):
    """an x-death that a client wrote"""
    _dead(channel)
    for forgery in ("text", 5, [], {"a": 1}, [{}], [{"queue": "q"}], [{"queue": "q", "reason": "rejected"}],
                    [{"queue": "q", "reason": "rejected", "count": 5}],
                    [{"queue": "other", "reason": "expired", "count": 5, "extra": "kept", "exchange": "e", "routing-keys": ["k"]}]):
        channel.store("", "q", "1", headers={"x-death": forgery})
        channel.depth("q", 1)
        channel.reject(channel.get("q"))
        channel.take("dead", 1)


def forged_marks(channel):
    """x-first-death and x-last-death that a client wrote"""
    _dead(channel)
    channel.store("", "q", "1", headers={"x-first-death-queue": "mine", "x-first-death-reason": 5})
    channel.depth("q", 1)
    channel.reject(channel.get("q"))
    channel.take("dead", 1)


def through_a_fanout(channel):
    """one dead letter for two queues"""
    channel.exchange("dlx", "fanout")
    for name in "ab":
        channel.queue(name)
        channel.bind(name, "dlx")
    channel.queue("q", x_dead_letter_exchange="dlx")
    channel.store("", "q", "1")
    channel.depth("q", 1)
    channel.reject(channel.get("q"))
    channel.take("a", 1)
    channel.take("b", 1)


def by_headers(channel):
    """a headers exchange for dead letters matches what is written into them"""
    channel.exchange("dlx", "headers")
    channel.queue("rejected")
    channel.bind("rejected", "dlx", x_match="any-with-x", x_first_death_reason="rejected")
    channel.queue("mine")
    channel.bind("mine", "dlx", mine="yes")
    channel.queue("q", x_dead_letter_exchange="dlx")
    channel.store("", "q", "1", headers={"mine": "yes"})
    channel.depth("q", 1)
    channel.reject(channel.get("q"))
    channel.take("mine", 1)
    channel.take("rejected", 1)


def retried_with_backoff(channel):
    """retried through three queues with growing times, then parked"""
    channel.exchange("retry", "topic")
    channel.queue("work", x_dead_letter_exchange="retry")
    channel.queue("parked")
    channel.bind("parked", "retry", "parked")
    for number in range(1, 4):
        channel.queue(f"wait.{number}", x_message_ttl=SHORT * number, x_dead_letter_exchange="", x_dead_letter_routing_key="work")
        channel.bind(f"wait.{number}", "retry", f"wait.{number}")
    channel.store("", "work", "1")
    for number in range(1, 4):
        channel.depth("work", 1)
        channel.store("retry", f"wait.{number}", f"try {number}")
        channel.get("work", no_ack=True)
    channel.take("work", 1)
    channel.store("retry", "parked", "1")
    channel.take("parked", 1)
