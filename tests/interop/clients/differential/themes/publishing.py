"""Publishes: mandatory, confirms, errors."""

from wire import Typed


def mandatory(channel):
    """mandatory, and nowhere to go: returned"""
    channel.publish("", "nobody", "1", mandatory=True, app_id="me", headers={"a": 1})
    channel.returned()
    channel.publish("amq.direct", "nobody", "2", mandatory=True)
    channel.returned()
    channel.publish("amq.topic", "nobody", b"", mandatory=True)
    channel.returned()
    channel.queue("q")
    channel.publish("", "q", "3", mandatory=True)
    channel.take("q", 1)


def confirms(channel):
    """confirms: routed, unroutable, mandatory and unroutable"""
    channel.queue("q")
    channel.publish("", "q", "before")
    channel.select_confirms()
    channel.select_confirms()
    channel.publish("", "q", "1")
    channel.publish("", "nobody", "2")
    channel.publish("amq.fanout", "", "3")
    channel.publish("", "q", "4", delivery_mode=2)
    channel.confirms(1, 4)
    channel.publish("", "nobody", "5", mandatory=True)
    channel.returned()
    channel.confirms(5, 5)
    channel.take("q", 3)


def to_no_exchange(channel):
    """to an exchange that is not there"""
    channel.publish("none", "k", "1")
    channel.barrier()
    channel.select_confirms()
    channel.publish("none", "k", "1", mandatory=True)
    channel.confirms(1, 1)
    channel.exchange("internal", "fanout", internal=True)
    channel.publish("internal", "k", "1")
    channel.barrier()
    channel.publish("", "", "1", mandatory=True)
    channel.returned()


def user_id(channel):
    """the property user-id must be the user's"""
    channel.queue("q")
    channel.publish("", "q", "1", user_id="guest")
    channel.take("q", 1)
    channel.publish("", "q", "2", user_id="other")
    channel.barrier()
    channel.depth("q", 0)


def properties(channel):
    """all types of headers arrive as they were sent"""
    channel.queue("q")
    headers = {"t": True, "b": Typed("b", -5), "B": Typed("B", 200), "s": Typed("s", -300), "u": Typed("u", 40000),
               "I": Typed("I", -5), "i": Typed("i", 4000000000), "l": Typed("l", -1 << 40), "T": Typed("T", 1 << 30), "S": "grüße",
               "x": Typed("x", b"\x00\xff"), "V": None, "F": {"a": {"b": {}}}, "A": [1, [2, []], "three"], "": "no name"}
    channel.publish("", "q", "1", headers=headers, timestamp=1, priority=0, delivery_mode=1)
    channel.publish("", "q", "2", headers={}, content_type="")
    channel.publish("", "q", b"")
    channel.take("q", 3)


def delivery_modes(channel):
    """a delivery-mode that is none"""
    channel.queue("q")
    for mode in (0, 1, 2, 3, 255):
        channel.publish("", "q", str(mode), delivery_mode=mode)
        channel.barrier()
    channel.take("q", 2)


def floats(channel):
    """floats and doubles in headers"""
    channel.queue("q")
    channel.publish("", "q", "1", headers={"f": Typed("f", 1.5), "d": Typed("d", -2.5)})
    channel.take("q", 1)
