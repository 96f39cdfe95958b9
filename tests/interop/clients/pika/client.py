"""pika: its blocking adapter, and its select adapter where publishing is pipelined."""

import datetime
import decimal

import pika
from pika.exceptions import AMQPConnectionError, ConnectionClosedByBroker, UnroutableError

import checks
from checks import AUTH, BIG, MANY, PASSWORD, USER, in_order, unique, within
from support import (
    Many,
    Seen,
    a_channel,
    bound,
    closes_channel,
    connected,
    consume,
    contents,
    counts,
    declare_exchange,
    left,
    numbered,
    numbers,
    parameters,
    publish,
    take,
    until,
    until_gone,
    works,
)

MEGABYTE = BIG[:1_000_000]


def connect():
    """connect as guest"""
    with a_channel():
        pass


def connect_with_credentials():
    """connect with credentials"""
    for options in ({"address": AUTH, "user": USER, "password": PASSWORD}, {"user": "anyone", "password": "anything"}):
        with a_channel(**options):
            pass


def wrong_password():
    """a wrong password is refused: 403"""
    refused(403, address=AUTH, user=USER, password="not " + PASSWORD)


def unknown_virtual_host():
    """an unknown virtual host is refused: 530"""
    refused(530, virtual_host=unique("nowhere"))


def refused(code, **options):
    try:
        pika.BlockingConnection(parameters(**options))
    except AMQPConnectionError as error:
        assert f"({code})" in str(error), error  # pika keeps what the broker said only as text
    else:
        raise AssertionError("it was let in")


def named_by_the_server():
    """a queue named by the server"""
    with a_channel() as channel:
        one, two = (channel.queue_declare("", exclusive=True).method.queue for _ in range(2))
        assert one and two and one != two, (one, two)
        publish(channel, one, b"hello")
        assert take(channel, one) == b"hello"


def the_last_queue():
    """no queue name is the queue that the channel declared last"""
    with a_channel() as channel:
        channel.queue_declare("", exclusive=True)
        channel.queue_bind("", "amq.fanout")
        channel.basic_publish("amq.fanout", "", b"one")
        arrived = consume(channel, "")
        until(channel, lambda: arrived)
        channel.basic_cancel(arrived[0].consumer)
        channel.basic_nack(arrived[0].tag)
        assert take(channel, "") == b"one"
        channel.queue_unbind("", "amq.fanout")
        channel.basic_publish("amq.fanout", "", b"two")
        assert channel.queue_purge("").method.message_count == 0
        channel.queue_delete("")


def declare_counts():
    """declare says how many messages and consumers"""
    with a_channel() as channel:
        queue = unique("declare")
        assert counts(channel.queue_declare(queue)) == (0, 0)
        publish(channel, queue, b"1", b"2", b"3")
        assert counts(channel.queue_declare(queue, passive=True)) == (3, 0)
        with a_channel() as other:
            arrived = consume(other, queue, prefetch=1)
            until(other, lambda: arrived)
            assert counts(channel.queue_declare(queue, passive=True)) == (2, 1)
        channel.queue_delete(queue)


def exclusive_queue():
    """an exclusive queue is locked for other connections: 405"""
    with connected() as connection:
        queue = connection.channel().queue_declare(unique("exclusive"), exclusive=True).method.queue
        with connected() as other:
            for use in (lambda channel: channel.queue_declare(queue, passive=True),
                        lambda channel: channel.queue_declare(queue, exclusive=True),
                        lambda channel: channel.basic_consume(queue, print),
                        lambda channel: channel.basic_get(queue),
                        lambda channel: channel.queue_purge(queue),
                        lambda channel: channel.queue_delete(queue)):
                with closes_channel(other, 405) as channel:
                    use(channel)
        connection.channel().queue_declare(queue, exclusive=True)


def exclusive_queue_goes():
    """an exclusive queue goes with its connection"""
    queue = unique("exclusive")
    with a_channel() as channel:
        channel.queue_declare(queue, exclusive=True)
    with connected() as connection:
        until_gone(connection, queue)


def auto_delete_queue_goes():
    """an auto-delete queue goes with its last consumer"""
    with connected() as connection:
        channel = connection.channel()
        queue = channel.queue_declare(unique("auto-delete"), auto_delete=True).method.queue
        tags = [channel.basic_consume(queue, print) for _ in range(2)]
        channel.basic_cancel(tags[0])
        channel.queue_declare(queue, passive=True)
        channel.basic_cancel(tags[1])
        until_gone(connection, queue)


def reserved_names():
    """names that begin with amq. are refused: 403"""
    with connected() as connection:
        with closes_channel(connection, 403) as channel:
            channel.queue_declare(unique("amq.queue"))
        with closes_channel(connection, 403) as channel:
            channel.exchange_declare(unique("amq.exchange"))


def direct_exchange():
    """direct exchange: by the routing key; nothing once unbound"""
    with a_channel() as channel:
        for exchange in ("amq.direct", declare_exchange(channel, "direct")):
            queues = bound(channel, exchange, [("red", None), ("blue", None)])
            channel.queue_bind(queues[0], exchange, "both")
            channel.queue_bind(queues[1], exchange, "both")
            for key in ("red", "blue", "both", "green"):
                channel.basic_publish(exchange, key, key)
            assert contents(channel, queues) == [["red", "both"], ["blue", "both"]]
            channel.queue_unbind(queues[0], exchange, "both")
            channel.basic_publish(exchange, "both", "again")
            assert contents(channel, queues) == [[], ["again"]]


def fanout_exchange():
    """fanout exchange: a copy for every queue"""
    with a_channel() as channel:
        for exchange in ("amq.fanout", declare_exchange(channel, "fanout")):
            queues = bound(channel, exchange, [("one", None), ("two", None)])
            channel.queue_bind(queues[0], exchange, "twice")  # and still one copy
            channel.basic_publish(exchange, "twice", "hello")
            assert contents(channel, queues) == [["hello"], ["hello"]]


def topic_exchange():
    """topic exchange: * is one word, # any number of them"""
    with a_channel() as channel:
        for exchange in ("amq.topic", declare_exchange(channel, "topic")):
            queues = bound(channel, exchange, [("*.stock.#", None), ("usd.*", None), ("#", None), ("usd.stock", None)])
            keys = ["usd.stock", "eur.stock.db", "stock.nasdaq", "usd", "usd.stock.a.b", ""]
            for key in keys:
                channel.basic_publish(exchange, key, key)
            assert contents(channel, queues) == [
                ["usd.stock", "eur.stock.db", "usd.stock.a.b"], ["usd.stock"], keys, ["usd.stock"]]


def headers_exchange():
    """headers exchange: x-match all and any"""
    with a_channel() as channel:
        for exchange in ("amq.headers", declare_exchange(channel, "headers")):
            wanted = {"colour": "red", "size": 5}
            queues = bound(channel, exchange, [("", {"x-match": "all", **wanted}), ("", {"x-match": "any", **wanted})])
            for name, headers in (("both", {**wanted, "else": True}), ("colour", {"colour": "red", "size": 6}),
                                  ("size", {"size": 5}), ("none", {"colour": "blue"}), ("no headers", None)):
                channel.basic_publish(exchange, "", name, pika.BasicProperties(headers=headers))
            assert contents(channel, queues) == [["both"], ["both", "colour", "size"]]


def exchange_to_exchange():
    """an exchange bound to an exchange"""
    with a_channel() as channel:
        source, destination = declare_exchange(channel, "direct"), declare_exchange(channel, "fanout")
        queues = bound(channel, destination, [("", None)])
        channel.exchange_bind(destination, source, "through")
        channel.basic_publish(source, "through", "hello")
        assert contents(channel, queues) == [["hello"]]
        channel.exchange_unbind(destination, source, "through")
        channel.basic_publish(source, "through", "hello")
        assert contents(channel, queues) == [[]]


def exchange_deleted():
    """a deleted exchange is gone: 404"""
    with connected() as connection:
        channel = connection.channel()
        exchange = declare_exchange(channel, "fanout")
        channel.exchange_declare(exchange, "fanout", passive=True)
        channel.exchange_delete(exchange)
        with closes_channel(connection, 404) as channel:
            channel.exchange_declare(exchange, passive=True)
        with closes_channel(connection, 404) as channel:
            channel.basic_publish(exchange, "", b"hello?")
            channel.basic_qos(prefetch_count=1)  # an answer to wait for


def unknown_exchange_type():
    """an unknown exchange type closes the connection: 503"""
    connection = pika.BlockingConnection(parameters())
    try:
        connection.channel().exchange_declare(unique("exchange"), "no such type")
    except ConnectionClosedByBroker as closed:
        assert closed.reply_code == 503, closed
    else:
        raise AssertionError("it was declared")


def confirmed():
    """a publish is confirmed"""
    with a_channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.confirm_delivery()
        for number in range(3):
            channel.basic_publish("", queue, str(number))  # waits, and raises on a nack
            assert counts(channel.queue_declare(queue, passive=True))[0] == number + 1
        channel.basic_publish("", unique("nobody"), b"dropped, and confirmed all the same")


def mandatory():
    """mandatory: an unroutable message is returned with 312"""
    with a_channel() as channel:
        nobody = unique("nobody")
        queue = channel.queue_declare("", exclusive=True).method.queue
        returned = []
        channel.add_on_return_callback(lambda _channel, *message: returned.append(message))
        channel.basic_publish("", queue, b"routed", mandatory=True)
        channel.basic_publish("amq.direct", nobody, b"hello?", pika.BasicProperties(app_id="me"), mandatory=True)
        until(channel, lambda: returned)
        (method, properties, body), = returned
        assert (method.reply_code, method.exchange, method.routing_key) == (312, "amq.direct", nobody), method
        assert (properties.app_id, body) == ("me", b"hello?")

    with a_channel() as channel:
        channel.confirm_delivery()
        try:
            channel.basic_publish("", nobody, b"hello?", mandatory=True)
        except UnroutableError as unroutable:
            assert [message.body for message in unroutable.messages] == [b"hello?"]
        else:
            raise AssertionError("an unroutable message raised nothing")


def prefetch():
    """prefetch: never more unacknowledged than asked for"""
    with a_channel() as channel:
        queue = numbered(channel, 10)
        arrived = consume(channel, queue, prefetch=3)
        for acknowledged in range(0, 8):
            until(channel, lambda: len(arrived) >= acknowledged + 3)
            # An answer on the same channel comes after whatever else was on its way.
            ready = counts(channel.queue_declare(queue, passive=True))[0]
            assert (len(arrived), ready) == (acknowledged + 3, 7 - acknowledged), (arrived, ready)
            channel.basic_ack(arrived[acknowledged].tag)
        assert [message.body for message in arrived] == numbers(10)


def no_ack():
    """a consumer that need not acknowledge: all arrive, and are gone"""
    with a_channel() as channel:
        queue = numbered(channel, 10)
        arrived = consume(channel, queue, prefetch=3, auto_ack=True)
        until(channel, lambda: len(arrived) == 10)
        assert [message.body for message in arrived] == numbers(10)
        assert left(channel, queue) == []


def ack_multiple():
    """ack with multiple"""
    with a_channel() as channel:
        queue = numbered(channel, 6)
        arrived = consume(channel, queue, prefetch=3)
        until(channel, lambda: len(arrived) == 3)
        channel.basic_ack(arrived[1].tag, multiple=True)
        until(channel, lambda: len(arrived) == 5)
        channel.basic_ack(0, multiple=True)  # all there are
        until(channel, lambda: len(arrived) == 6)
        assert left(channel, queue) == [b"5"]


def nack_requeue():
    """nack with requeue: redelivered"""
    with a_channel() as channel:
        queue = numbered(channel, 3)
        arrived = consume(channel, queue, prefetch=3)
        until(channel, lambda: len(arrived) == 3)
        assert not any(message.redelivered for message in arrived)
        channel.basic_nack(arrived[1].tag, multiple=True, requeue=True)
        until(channel, lambda: len(arrived) == 5)
        again = arrived[3:]
        assert [message.body for message in again] == numbers(2) and all(m.redelivered for m in again), again


def reject_requeue():
    """reject with requeue: redelivered"""
    with a_channel() as channel:
        queue = numbered(channel, 1)
        arrived = consume(channel, queue, prefetch=1)
        until(channel, lambda: len(arrived) == 1)
        channel.basic_reject(arrived[0].tag, requeue=True)
        until(channel, lambda: len(arrived) == 2)
        assert (arrived[1].body, arrived[1].redelivered) == (b"0", True), arrived


def no_requeue():
    """nack and reject without requeue: gone"""
    with a_channel() as channel:
        queue = numbered(channel, 4)
        arrived = consume(channel, queue, prefetch=4)
        until(channel, lambda: len(arrived) == 4)
        channel.basic_nack(arrived[1].tag, multiple=True, requeue=False)
        channel.basic_reject(arrived[2].tag, requeue=False)
        assert left(channel, queue) == [b"3"]


def recover():
    """recover: what is unacknowledged is redelivered"""
    with a_channel() as channel:
        queue = numbered(channel, 3)
        arrived = consume(channel, queue, prefetch=3)
        until(channel, lambda: len(arrived) == 3)
        channel.basic_ack(arrived[0].tag)
        channel.basic_recover(requeue=True)
        until(channel, lambda: len(arrived) == 5)
        assert [(m.body, m.redelivered) for m in arrived[3:]] == [(b"1", True), (b"2", True)], arrived


def closed_channel_gives_back():
    """a closed channel gives back what it had not acknowledged"""
    with connected() as connection:
        channel = connection.channel()
        queue = numbered(channel, 2)
        assert left(channel, queue) == numbers(2)
        channel.close()
        again = [connection.channel().basic_get(queue) for _ in range(2)]
        assert [(body, method.redelivered) for method, _, body in again] == [(b"0", True), (b"1", True)], again


def take_turns():
    """two consumers take turns"""
    with connected() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        arrived = [consume(channel, queue, prefetch=1), consume(connection.channel(), queue, prefetch=1)]
        publish(channel, queue, *numbers(2))
        until(channel, lambda: all(arrived))
        assert sorted(message.body for messages in arrived for message in messages) == numbers(2)


def exclusive_consumer():
    """an exclusive consumer keeps others out: 403"""
    with connected() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_consume(queue, print, exclusive=True)
        with closes_channel(connection, 403) as other:
            other.basic_consume(queue, print)


def cancelled_consumer():
    """a cancelled consumer gets nothing more"""
    with a_channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        arrived = consume(channel, queue)
        publish(channel, queue, b"before")
        until(channel, lambda: arrived)
        channel.basic_cancel(arrived[0].consumer)
        publish(channel, queue, b"after")
        assert counts(channel.queue_declare(queue, passive=True)) == (1, 0)
        assert [message.body for message in arrived] == [b"before"]
        channel.basic_ack(arrived[0].tag)  # which it may still


def get():
    """get, and get from an empty queue"""
    with a_channel() as channel:
        queue = numbered(channel, 3)
        method, _, body = channel.basic_get(queue)
        assert (body, method.message_count, method.redelivered) == (b"0", 2, False), method
        channel.basic_nack(method.delivery_tag)
        method, _, body = channel.basic_get(queue)
        assert (body, method.message_count, method.redelivered) == (b"0", 2, True), method
        channel.basic_ack(method.delivery_tag)
        assert [take(channel, queue) for _ in range(3)] == [b"1", b"2", None]


def purge_and_delete():
    """purge and delete say how many messages"""
    with connected() as connection:
        channel = connection.channel()
        queue = numbered(channel, 3, unique("deleted"))
        held = channel.basic_get(queue)[0]
        assert channel.queue_purge(queue).method.message_count == 2
        channel.basic_nack(held.delivery_tag)  # 1.1: it was not purged
        assert channel.queue_delete(queue).method.message_count == 1
        until_gone(connection, queue)
        channel.queue_declare(queue, exclusive=True)
        assert take(channel, queue) is None


def delete_conditions():
    """delete if unused, if empty: 406"""
    with connected() as connection:
        channel = connection.channel()
        queue = numbered(channel, 1)
        with closes_channel(connection, 406) as other:
            other.queue_delete(queue, if_empty=True)
        arrived = consume(channel, queue)
        until(channel, lambda: arrived)
        with closes_channel(connection, 406) as other:
            other.queue_delete(queue, if_unused=True)
        channel.basic_ack(arrived[0].tag)
        channel.basic_cancel(arrived[0].consumer)
        channel.queue_delete(queue, if_unused=True, if_empty=True)
        until_gone(connection, queue)


def cancelled_by_the_broker():
    """a consumer is cancelled when its queue is deleted"""
    with connected() as connection, a_channel() as other:
        channel = connection.channel()
        queue = channel.queue_declare(unique("deleted")).method.queue
        cancelled = []
        channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
        tag = channel.basic_consume(queue, print)
        other.queue_delete(queue)
        until(channel, lambda: cancelled)
        assert cancelled == [tag]
        channel.queue_declare("", exclusive=True)  # the channel lives on


def missing_queue():
    """a missing queue closes the channel: 404; a new one works"""
    with connected() as connection:
        queue = unique("missing")
        for use in (lambda channel: channel.queue_declare(queue, passive=True),
                    lambda channel: channel.basic_consume(queue, print),
                    lambda channel: channel.basic_get(queue),
                    lambda channel: channel.queue_bind(queue, "amq.direct", "key"),
                    lambda channel: channel.queue_purge(queue)):
            with closes_channel(connection, 404) as channel:
                use(channel)
        works(connection.channel())


def unknown_delivery_tag():
    """an unknown delivery tag closes the channel: 406; a new one works"""
    with connected() as connection:
        for settle in (lambda channel: channel.basic_ack(99), lambda channel: channel.basic_reject(99),
                       lambda channel: channel.basic_nack(99)):
            with closes_channel(connection, 406) as channel:
                settle(channel)
                channel.basic_qos(prefetch_count=1)  # an answer to wait for
        with closes_channel(connection, 406) as channel:
            tag = channel.basic_get(numbered(channel, 1))[0].delivery_tag
            channel.basic_ack(tag)
            channel.basic_ack(tag)
            channel.basic_qos(prefetch_count=1)
        works(connection.channel())


def properties():
    """properties and headers arrive as they were sent"""
    moment = datetime.datetime(2024, 2, 29, 12, 30, 1, tzinfo=datetime.UTC)
    headers = {"text": "grüße", "bytes": b"\x00\xff", "true": True, "false": False, "int": -5, "long": 1 << 40,
               "decimal": decimal.Decimal("-12.25"), "time": moment, "none": None, "empty": {},
               "table": {"a": {"b": [1, "two", [False], {"four": None}]}}, "array": []}
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="gzip", headers=headers, delivery_mode=2, priority=7,
        correlation_id="correlation", reply_to="reply.to", expiration="600000", message_id="id 1", timestamp=1 << 33,
        type="greeting", user_id="guest", app_id="interop", cluster_id="cluster")
    with a_channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        for each in (sent, pika.BasicProperties(), pika.BasicProperties(headers={}), pika.BasicProperties(priority=0)):
            channel.basic_publish("", queue, b"hello", each)
            method, received, body = channel.basic_get(queue, auto_ack=True)
            assert body == b"hello" and received == each, received
            assert (method.exchange, method.routing_key) == ("", queue), method


def empty_body():
    """an empty body"""
    with a_channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        publish(channel, queue, b"", b"and then one that is not")
        assert [take(channel, queue) for _ in range(2)] == [b"", b"and then one that is not"]


def big_body():
    """a body of 1 MB, whatever the size of frames"""
    with connected(frame_max=4096) as small, connected() as large:
        queue = unique("big")
        small.channel().queue_declare(queue)
        for sender, receiver in ((small, large), (large, small)):
            publish(sender.channel(), queue, MEGABYTE)
            assert take(receiver.channel(), queue) == MEGABYTE
        small.channel().queue_delete(queue)


@within(60)
def many_stored():
    """10,000 messages in order, stored and then received"""
    with a_channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        for number in range(MANY):
            channel.basic_publish("", queue, str(number))
        arrived = []

        def arrive(channel, method, _properties, body):
            arrived.append(int(body))
            if method.delivery_tag % 50 == 0:
                channel.basic_ack(method.delivery_tag, multiple=True)

        channel.basic_qos(prefetch_count=100)
        channel.basic_consume(queue, arrive)
        until(channel, lambda: len(arrived) >= MANY)
        in_order(arrived)


@within(60)
def many_straight():
    """10,000 messages in order, straight through"""
    many = Many()
    many.connection.ioloop.start()
    if many.failed:
        raise many.failed
    in_order(many.received)


def heartbeats():
    """heartbeats keep an idle connection alive"""
    seen = Seen("Received heartbeat frame")
    with a_channel(heartbeat=1) as channel:
        # Somebody who misses them for two intervals may go (4.2.7).
        idle = pika.compat.time_now()
        until(channel, lambda: seen.times >= 3 and pika.compat.time_now() > idle + 4)
        works(channel)


def close_cleanly():
    """consumer, channel and connection close without an error"""
    connection = pika.BlockingConnection(parameters())
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_cancel(channel.basic_consume(queue, print))
    channel.close()
    assert channel.is_closed and connection.is_open
    connection.close()
    assert connection.is_closed


checks.run(
    connect, connect_with_credentials, wrong_password, unknown_virtual_host, named_by_the_server, the_last_queue, declare_counts,
    exclusive_queue, exclusive_queue_goes, auto_delete_queue_goes, reserved_names, direct_exchange, fanout_exchange,
    topic_exchange, headers_exchange, exchange_to_exchange, exchange_deleted, unknown_exchange_type, confirmed,
    mandatory, prefetch, no_ack, ack_multiple, nack_requeue, reject_requeue, no_requeue, recover, closed_channel_gives_back,
    take_turns, exclusive_consumer, cancelled_consumer, get, purge_and_delete, delete_conditions,
    cancelled_by_the_broker, missing_queue, unknown_delivery_tag, properties, empty_body, big_body, many_stored,
    many_straight, heartbeats, close_cleanly)
