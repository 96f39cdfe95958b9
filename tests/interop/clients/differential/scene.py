"""The words of the steps: what a client does, and what it observes, each as a line of text.

Equal brokers give equal lines. What differs between two runs against the same broker is masked: times, generated names.
"""

import datetime
import re
import time

import pika
from pika import spec

from wire import Connection, Content, Lost, Typed

PATIENCE = 10  # seconds that something may take that must happen
FLAGS = ("passive", "durable", "exclusive", "auto_delete", "internal")


class Closed(Exception):
    """The broker closed the channel or the connection; the line about it is written."""


class Scene:
    """One run of steps against one broker."""

    def __init__(self, host, port):
        self.address = host, port
        self.lines = []
        self.clients = []
        self.names = {"queue": set(), "exchange": set()}

    def say(self, line):
        line = re.sub(r"amq\.gen-[-\w]+", "amq.gen-…", re.sub(r"\\n\s*", "", line))
        self.lines.append(re.sub(r"amq\.ctag-[-\w]+", "amq.ctag-…", line))

    def client(self):
        """A connection of its own."""
        client = Client(self)
        self.clients.append(client)
        return client

    def end(self):
        """Closes the connections, and deletes what the steps declared."""
        for client in self.clients:
            client.connection.close()
        connection = Connection(*self.address)
        for what, names in self.names.items():
            for name in names:
                _delete(connection, what, name)
        connection.close()


def _delete(connection, what, name):
    """Deletes a queue or an exchange; one that is still locked goes with its connection, soon."""
    method = spec.Queue.Delete(queue=name) if what == "queue" else spec.Exchange.Delete(exchange=name)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        connection.send(1, spec.Channel.Open())
        connection.send(1, method)
        while True:
            _, arrived = connection.read(PATIENCE)
            if isinstance(arrived, (spec.Queue.DeleteOk, spec.Exchange.DeleteOk)):
                connection.send(1, spec.Channel.Close(200, "", 0, 0))
            elif isinstance(arrived, spec.Channel.CloseOk):
                return
            elif isinstance(arrived, spec.Channel.Close):
                connection.send(1, spec.Channel.CloseOk())
                break
        if arrived.reply_code != 405:
            return
        time.sleep(0.01)


class Client:
    """A connection, and another in its place when the broker has closed it."""

    def __init__(self, scene):
        self.scene = scene
        self.channels = {}
        self.confirming = None
        self.connection = Connection(*scene.address)

    def channel(self):
        channel = Channel(self, len(self.channels) + 1)
        self.channels[channel.number] = channel
        channel.open()
        return channel

    def storing(self):
        """A channel for messages that are confirmed one by one."""
        if self.confirming is None:
            self.confirming = self.channel()
            self.confirming.confirm()
        return self.confirming

    def close(self):
        self.connection.close()
        self.scene.clients.remove(self)

    def read(self, seconds):
        """Reads one thing and gives it to its channel. False if nothing came in that time."""
        try:
            arrived = self.connection.read(seconds)
        except Lost:
            self.scene.say("the connection is lost")
            self.again()
        if arrived is None:
            return False
        number, what = arrived
        if isinstance(what, spec.Connection.Close):
            self.connection.send(0, spec.Connection.CloseOk())
            self.scene.say(f"connection {closing(what)}")
            self.again()
        elif isinstance(what, spec.Channel.Close):
            channel = self.channels[number]
            self.connection.send(number, spec.Channel.CloseOk())
            self.scene.say(f"channel {closing(what)}")
            channel.open()
            raise Closed
        elif number:
            self.channels[number].arrived.append(what)
        return True

    def again(self):
        self.connection.socket.close()
        self.connection = Connection(*self.scene.address)
        for channel in self.channels.values():
            channel.open()
        self.confirming = None
        raise Closed


class Channel:
    """A channel, which opens again when the broker has closed it. Methods write a line each."""

    def __init__(self, client, number):
        self.client, self.number = client, number
        self.arrived = []

    @property
    def say(self):
        return self.client.scene.say

    def open(self):
        self.arrived = []
        self.client.connection.send(self.number, spec.Channel.Open())
        self._await(lambda what: isinstance(what, spec.Channel.OpenOk))

    # ---- what a client asks and is answered

    def queue(self, name, no_wait=False, **options):
        flags, arguments = split(options)
        self.client.scene.names["queue"].add(name)
        answer = self._ask(f"queue {name} {said(flags, arguments)}",
                           spec.Queue.Declare(queue=name, arguments=arguments, **flags))
        return answer and answer.queue

    def exchange(self, name, kind="direct", **options):
        flags, arguments = split(options)
        if not name.startswith("amq."):
            self.client.scene.names["exchange"].add(name)
        self._ask(f"exchange {name} {kind} {said(flags, arguments)}",
                  spec.Exchange.Declare(exchange=name, type=kind, arguments=arguments, **flags))

    def bind(self, queue, exchange, key="", **options):
        arguments = split(options)[1]
        self._ask(f"bind {queue} to {exchange} by {key!r} {said({}, arguments)}",
                  spec.Queue.Bind(queue=queue, exchange=exchange, routing_key=key, arguments=arguments))

    def unbind(self, queue, exchange, key="", **options):
        arguments = split(options)[1]
        self._ask(f"unbind {queue} from {exchange} by {key!r} {said({}, arguments)}",
                  spec.Queue.Unbind(queue=queue, exchange=exchange, routing_key=key, arguments=arguments))

    def bind_exchange(self, destination, source, key=""):
        self._ask(f"bind exchange {destination} to {source} by {key!r}",
                  spec.Exchange.Bind(destination=destination, source=source, routing_key=key))

    def unbind_exchange(self, destination, source, key=""):
        self._ask(f"unbind exchange {destination} from {source} by {key!r}",
                  spec.Exchange.Unbind(destination=destination, source=source, routing_key=key))

    def delete_queue(self, name, **flags):
        self._ask(f"delete queue {name} {said(flags, {})}", spec.Queue.Delete(queue=name, **flags))

    def delete_exchange(self, name, **flags):
        self._ask(f"delete exchange {name} {said(flags, {})}", spec.Exchange.Delete(exchange=name, **flags))

    def purge(self, name):
        self._ask(f"purge {name}", spec.Queue.Purge(queue=name))

    def qos(self, count=0, all_consumers=False, size=0):
        self._ask(f"qos {count} {all_consumers} {size}",
                  spec.Basic.Qos(prefetch_count=count, prefetch_size=size, global_qos=all_consumers))

    def consume(self, queue, tag="", no_ack=False, exclusive=False, **options):
        arguments = split(options)[1]
        self._ask(f"consume {queue} {tag} {'no-ack' if no_ack else ''} {'exclusive' if exclusive else ''} {said({}, arguments)}",
                  spec.Basic.Consume(queue=queue, consumer_tag=tag, no_ack=no_ack, exclusive=exclusive, arguments=arguments))

    def cancel(self, tag):
        self._ask(f"cancel {tag}", spec.Basic.Cancel(consumer_tag=tag))

    def recover(self, requeue=True):
        self._ask(f"recover {requeue}", spec.Basic.Recover(requeue=requeue))

    def confirm(self):
        """Selects confirms without a line about it."""
        self.client.connection.send(self.number, spec.Confirm.Select())
        self._await(lambda what: isinstance(what, spec.Confirm.SelectOk))

    def select_confirms(self):
        self._ask("confirm.select", spec.Confirm.Select())

    def get(self, queue, no_ack=False):
        """Gets one message; returns its tag."""
        answer = self._ask(f"get {queue}", spec.Basic.Get(queue=queue, no_ack=no_ack))
        return answer.method.delivery_tag if isinstance(answer, Content) else None

    # ---- what a client says without an answer

    def publish(self, exchange, key, body=b"", mandatory=False, **properties):
        if isinstance(body, str):
            body = body.encode()
        properties = pika.BasicProperties(**properties)
        self.client.connection.send(self.number, spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory),
                                    properties, body)

    def store(self, exchange, key, body=b"", **properties):
        """Publishes, and waits until the queues have it: what is asked next would overtake it otherwise."""
        storing = self.client.storing()
        storing.publish(exchange, key, body, **properties)
        storing._await(lambda what: isinstance(what, (spec.Basic.Ack, spec.Basic.Nack)))

    def ack(self, tag, multiple=False):
        self.client.connection.send(self.number, spec.Basic.Ack(tag, multiple))

    def nack(self, tag, multiple=False, requeue=False):
        self.client.connection.send(self.number, spec.Basic.Nack(tag, multiple, requeue))

    def reject(self, tag, requeue=False):
        self.client.connection.send(self.number, spec.Basic.Reject(tag, requeue))

    # ---- what a client waits for

    def barrier(self):
        """Waits until the broker has taken what was said; writes a line if it closes for it."""
        self.client.connection.send(self.number, spec.Basic.Qos())
        try:
            self._await(lambda what: isinstance(what, spec.Basic.QosOk))
        except Closed:
            pass

    def depth(self, queue, count):
        """Waits until that many messages are ready in a queue."""
        until = time.monotonic() + PATIENCE
        while True:
            found = self._passive(queue)
            if found in (count, None) or time.monotonic() > until:
                break
            time.sleep(0.002)
        self.say(f"{queue} has {found}")

    def gone(self, queue):
        """Waits until a queue is there no more. Asks by messages that come back, since those are no use of a queue."""
        until = time.monotonic() + PATIENCE
        probe = self.client.channel()
        probe.confirm()
        returned = False
        while not returned and time.monotonic() < until:
            probe.publish("", queue, b"probe", mandatory=True)
            probe._await(lambda what: isinstance(what, (spec.Basic.Ack, spec.Basic.Nack)))
            returned = any(is_content(what, spec.Basic.Return) for what in probe.arrived)
        self.say(f"{queue} {'is gone' if returned else 'is still there'}")

    def _passive(self, queue):
        self.client.connection.send(self.number, spec.Queue.Declare(queue=queue, passive=True))
        try:
            return self._await(lambda what: isinstance(what, spec.Queue.DeclareOk)).message_count
        except Closed:
            return None

    def take(self, queue, count):
        """Waits until that many messages are ready, and gets them all."""
        self.depth(queue, count)
        for _ in range(count):
            self.get(queue, no_ack=True)

    def deliveries(self, count):
        """Waits for that many deliveries; returns their tags."""
        found = [self._observe(lambda what: is_content(what, spec.Basic.Deliver), "delivery") for _ in range(count)]
        return [content.method.delivery_tag for content in found if content]

    def no_delivery(self):
        """Writes what has been delivered by the time that the broker answers."""
        self.barrier()
        for content in [what for what in self.arrived if is_content(what, spec.Basic.Deliver)]:
            self.say(f"unasked: {shown(content)}")
            self.arrived.remove(content)

    def returned(self):
        return self._observe(lambda what: is_content(what, spec.Basic.Return), "return")

    def cancelled(self):
        return self._observe(lambda what: isinstance(what, spec.Basic.Cancel), "cancel")

    def confirms(self, first, last):
        """Waits for the confirms of these publishes, and writes them in the order of the publishes."""
        missing, outcomes = set(range(first, last + 1)), {}
        while missing:
            try:
                confirm = self._await(lambda what: isinstance(what, (spec.Basic.Ack, spec.Basic.Nack)))
            except Closed:
                return
            if confirm is None:
                break
            tags = [tag for tag in missing if tag == confirm.delivery_tag or (confirm.multiple and tag < confirm.delivery_tag)]
            outcomes.update((tag, confirm.NAME.rsplit(".", 1)[-1].lower()) for tag in tags)
            missing -= set(tags)
        self.say("confirms: " + ", ".join(f"{tag} {outcomes.get(tag, 'nothing')}" for tag in range(first, last + 1)))

    # ----

    def _observe(self, is_it, what):
        try:
            found = self._await(is_it)
        except Closed:
            return None
        self.say(shown(found) if found else f"no {what} after {PATIENCE} s")
        return found

    def _ask(self, question, method):
        """Sends a method and writes its answer, or that the broker closed instead."""
        question = " ".join(question.split())
        self.client.connection.send(self.number, method)
        answers = tuple(spec.methods[index] for index in spec.methods if spec.methods[index] in ANSWERS[type(method)])
        before = len(self.client.scene.lines)
        try:
            found = self._await(lambda what: isinstance(what.method if isinstance(what, Content) else what, answers))
        except Closed:
            lines = self.client.scene.lines
            lines[before:] = [f"{question}: {line}" for line in lines[before:]]
            return None
        self.say(f"{question}: {shown(found) if found else f'no answer after {PATIENCE} s'}")
        return found

    def _await(self, is_it):
        """The first that is, of what has arrived or arrives in time."""
        until = time.monotonic() + PATIENCE
        seen = 0
        while True:
            for index in range(seen, len(self.arrived)):
                if is_it(self.arrived[index]):
                    return self.arrived.pop(index)
            seen = len(self.arrived)
            if not self.client.read(max(0, until - time.monotonic())):
                return None


ANSWERS = {
    spec.Queue.Declare: [spec.Queue.DeclareOk], spec.Queue.Bind: [spec.Queue.BindOk], spec.Queue.Unbind: [spec.Queue.UnbindOk],
    spec.Queue.Delete: [spec.Queue.DeleteOk], spec.Queue.Purge: [spec.Queue.PurgeOk],
    spec.Exchange.Declare: [spec.Exchange.DeclareOk], spec.Exchange.Delete: [spec.Exchange.DeleteOk],
    spec.Exchange.Bind: [spec.Exchange.BindOk], spec.Exchange.Unbind: [spec.Exchange.UnbindOk],
    spec.Basic.Qos: [spec.Basic.QosOk], spec.Basic.Consume: [spec.Basic.ConsumeOk], spec.Basic.Cancel: [spec.Basic.CancelOk],
    spec.Basic.Recover: [spec.Basic.RecoverOk], spec.Basic.Get: [spec.Basic.GetOk, spec.Basic.GetEmpty],
    spec.Confirm.Select: [spec.Confirm.SelectOk],
}


def is_content(what, kind):
    return isinstance(what, Content) and isinstance(what.method, kind)


def split(options):
    """Flags of a declaration, and its arguments: `x_message_ttl=5` is the argument x-message-ttl."""
    flags = {name: value for name, value in options.items() if name in FLAGS}
    return flags, {name.replace("_", "-"): value for name, value in options.items() if name not in FLAGS}


def said(flags, arguments):
    words = [name for name, value in flags.items() if value]
    return " ".join(words + [f"{name}={text(value)}" for name, value in arguments.items()])


def closing(close):
    method = spec.methods.get(close.class_id << 16 | close.method_id)
    return f"closed {close.reply_code} {close.reply_text!r} in {method.NAME if method else (close.class_id, close.method_id)}"


def shown(arrived):
    """A method with its fields; a content also with its properties and body."""
    if not isinstance(arrived, Content):
        fields = [f"{name}={value!r}" for name, value in vars(arrived).items()]
        return " ".join([arrived.NAME, *fields])
    properties = [f"{name}={text(value)}" for name, value in vars(arrived.properties).items() if value is not None]
    body = arrived.body if len(arrived.body) <= 50 else f"{len(arrived.body)} octets"
    return " ".join([shown(arrived.method), *properties, f"body={body!r}"])


def text(value):
    """A value with its type; a table, which has no order, by its names; a time of these seconds as such."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {text(each)}" for name, each in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(text(each) for each in value) + "]"
    if not isinstance(value, Typed):
        return repr(value)
    if isinstance(value.value, datetime.datetime):
        return "T(now)" if abs(value.value.timestamp() - time.time()) < 100 else f"T({value.value:%Y-%m-%d %H:%M:%S})"
    return f"{value.kind}({value.value!r})"
