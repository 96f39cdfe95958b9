"""Bindings and routing."""

from wire import Typed


def errors(channel):
    """bindings of what is not there"""
    channel.queue("q")
    channel.bind("q", "none", "k")
    channel.bind("none", "amq.direct", "k")
    channel.bind("none", "none", "k")
    channel.bind("q", "", "k")
    channel.unbind("q", "", "q")
    channel.unbind("q", "amq.direct", "never")
    channel.unbind("q", "none", "k")
    channel.unbind("none", "amq.direct", "k")
    channel.unbind("none", "none", "k")
    channel.bind_exchange("none", "amq.direct", "k")
    channel.bind_exchange("amq.direct", "none", "k")
    channel.bind_exchange("", "amq.direct", "k")
    channel.bind_exchange("amq.direct", "", "k")
    channel.unbind_exchange("amq.direct", "amq.fanout", "never")
    channel.unbind_exchange("none", "amq.fanout", "never")


def last_queue(channel):
    """an empty name is the last queue of the channel"""
    channel.bind("", "amq.direct", "k")
    channel.get("")
    channel.purge("")
    channel.consume("", "c")
    channel.delete_queue("")
    channel.queue("", passive=True)
    channel.queue("q")
    channel.bind("", "amq.direct", "")
    channel.store("amq.direct", "q", "1")
    channel.depth("q", 1)
    channel.get("", no_ack=True)
    channel.purge("")
    channel.queue("", passive=True)
    channel.delete_queue("")


def direct(channel):
    """direct: the same queue by two keys gets it once"""
    channel.exchange("e", "direct")
    for name in "ab":
        channel.queue(name)
        channel.bind(name, "e", "k")
        channel.bind(name, "e", "k")
        channel.bind(name, "e", f"only {name}")
    channel.store("e", "k", "both")
    channel.store("e", "only a", "one")
    channel.store("e", "K", "none")
    channel.take("a", 2)
    channel.take("b", 1)


def topic(channel):
    """topic: patterns"""
    channel.exchange("e", "topic")
    keys = ("", ".", "a", "a.b", "a.b.c", "b", ".a", "a.", "a..b", "*", "#", "a.*", "ab")
    patterns = ("", "#", "*", "a.*", "a.#", "#.b", "*.*", "a.#.b", "#.#", "*.#", "#.*", "a", ".", "a.*.b", "*.", "a#", "#a")
    for pattern in patterns:
        channel.queue(f"q {pattern}")
        channel.bind(f"q {pattern}", "e", pattern)
    for key in keys:
        channel.store("e", key, key)
    channel.store("e", "end.of.all", "end")
    channel.barrier()
    channel.queue("end")
    channel.bind("end", "e", "now")
    channel.store("e", "now", "now")
    channel.depth("end", 1)
    for pattern in patterns:
        while channel.get(f"q {pattern}", no_ack=True):
            pass


def headers(channel):
    """headers: all, any, and their kinds with x"""
    channel.exchange("e", "headers")
    channel.queue("end")
    channel.bind("end", "e", end="yes")
    bindings = {
        "all": {"x-match": "all", "a": 1, "b": "two"}, "any": {"x-match": "any", "a": 1, "b": "two"}, "default": {"a": 1, "b": "two"},
        "none": {}, "any of none": {"x-match": "any"}, "with x": {"x-match": "all", "a": 1, "x-c": 3},
        "all with x": {"x-match": "all-with-x", "a": 1, "x-c": 3}, "any with x": {"x-match": "any-with-x", "x-c": 3},
        "void": {"x-match": "all", "a": None}, "bool": {"a": True}, "long": {"a": Typed("l", 1)}, "text": {"a": "1"},
    }
    for name, arguments in bindings.items():
        channel.queue(name)
        channel.bind(name, "e", **arguments)
    for body, sent in (("a1", {"a": 1}), ("both", {"a": 1, "b": "two"}), ("b", {"b": "two"}), ("nothing", None), ("empty", {}),
                       ("x", {"a": 1, "x-c": 3}), ("only x", {"x-c": 3}), ("long", {"a": Typed("l", 1)}), ("text", {"a": "1"}),
                       ("true", {"a": True}), ("void", {"a": None})):
        channel.store("e", "", body, headers=sent)
    channel.store("e", "", "end", headers={"end": "yes"})
    channel.depth("end", 1)
    for name in bindings:
        while channel.get(name, no_ack=True):
            pass


def match_refused(channel):
    """an x-match that is none"""
    channel.exchange("e", "headers")
    channel.queue("q")
    for value in ("some", "", 5, True, None, "ALL"):
        channel.bind("q", "e", **{"x-match": value})


def exchanges(channel):
    """exchanges bound to each other, in a circle too"""
    for name in "abc":
        channel.exchange(name, "fanout")
    channel.queue("q")
    channel.bind_exchange("b", "a")
    channel.bind_exchange("c", "b")
    channel.bind_exchange("a", "c")
    channel.bind("q", "c")
    channel.bind("q", "b")
    channel.store("a", "k", "1")
    channel.take("q", 1)
    channel.unbind_exchange("c", "b")
    channel.unbind("q", "b")
    channel.publish("a", "k", "2", mandatory=True)
    channel.returned()
