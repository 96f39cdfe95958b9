"""python-qpid-proton: its blocking layer, and its reactor where messages are pipelined."""

from proton import ConnectionException, Delivery, Message
from proton.handlers import MessagingHandler
from proton.reactor import Container
from proton.utils import BlockingConnection, SendException

import checks
from checks import AUTH, BIG, DEADLINE, MANY, OPEN, PASSWORD, USER, in_order, unique, within


def connect(url=OPEN, **options):
    return BlockingConnection(url, timeout=DEADLINE, **options)


def connect_without_credentials():
    """connect without credentials"""
    for options in ({"allowed_mechs": "ANONYMOUS"}, {"sasl_enabled": False}):
        connection = connect(**options)
        assert connection.conn.remote_container is not None
        connection.close()


def connect_with_credentials():
    """connect with credentials"""
    connect(AUTH, user=USER, password=PASSWORD, allow_insecure_mechs=True).close()
    connect(user="anyone", password="anything", allow_insecure_mechs=True).close()


def wrong_password():
    """a wrong password is refused"""
    try:
        connect(AUTH, user=USER, password="not " + PASSWORD, allow_insecure_mechs=True)
    except ConnectionException as refused:
        assert "Authentication failed" in str(refused), refused
    else:
        raise AssertionError("it was let in")


def outcomes():
    """each outcome of a receiver"""
    connection = connect()
    address = unique("queue")
    sender = connection.create_sender(address)
    receiver = connection.create_receiver(address, credit=1)
    for body in ("accept", "reject", "release", "modify"):
        assert sender.send(Message(body)).remote_state == Delivery.ACCEPTED

    counts = {}  # The delivery-counts of each message, a number a delivery.
    while sum(map(len, counts.values())) < 6:
        message = receiver.receive()
        counts.setdefault(message.body, []).append(message.delivery_count)
        answer(receiver, message.body if len(counts[message.body]) == 1 else "accept")
    # 3.4.4, 3.4.5: only a modified delivery that says so counts as a failed one.
    assert counts == {"accept": [0], "reject": [0], "release": [0, 0], "modify": [0, 1]}, counts

    sender.send(Message("last"))
    assert receiver.receive().body == "last", "a message that was done with came again"
    receiver.accept()
    connection.close()


def answer(receiver, outcome):
    if outcome == "modify":
        receiver.fetcher.unsettled[0].local.failed = True
    receiver.settle({"accept": Delivery.ACCEPTED, "reject": Delivery.REJECTED, "release": Delivery.RELEASED,
                     "modify": Delivery.MODIFIED}[outcome])


def sender_sees_outcome():
    """a sender sees accepted and rejected"""
    connection = connect()
    address = unique("somebody")
    _receiver = connection.create_receiver(address, credit=1)
    assert connection.create_sender(address).send(Message("hello")).remote_state == Delivery.ACCEPTED

    sender = connection.create_sender(unique("nobody"))
    delivery = sender.send(Message("hello"), error_states=[])
    assert delivery.remote_state == Delivery.REJECTED, delivery.remote_state
    assert delivery.remote.condition.name == "amqp:not-found", delivery.remote.condition
    assert sender.target.address in delivery.remote.condition.description, delivery.remote.condition
    try:
        sender.send(Message("hello"))
    except SendException as refused:
        assert refused.state == Delivery.REJECTED
    else:
        raise AssertionError("an unroutable message raised nothing")
    connection.close()


def drain():
    """a drain delivers what there is and uses up the credit"""
    connection = connect()
    address = unique("queue")
    connection.create_sender(address).send(Message("only"))
    receiver = connection.create_receiver(address, credit=0)
    receiver.link.drain(10)
    connection.wait(lambda: not receiver.link.draining())
    assert receiver.link.credit == 0 and len(receiver.fetcher.incoming) == 1
    connection.close()


def request_and_reply():
    """a request and its reply over a dynamic address"""
    client, server = connect(), connect()
    service = unique("service")
    requests = server.create_receiver(service)
    replies = client.create_receiver(dynamic=True)
    reply_to = replies.link.remote_source.address
    assert reply_to

    client.create_sender(service).send(Message("question", id="1", reply_to=reply_to))
    request = requests.receive()
    requests.accept()
    server.create_sender(None).send(Message("answer", address=request.reply_to, correlation_id=request.id))
    reply = replies.receive()
    replies.accept()
    assert (reply.body, reply.correlation_id) == ("answer", "1"), reply
    client.close()
    server.close()


def big_message():
    """a 10 MB message arrives byte-identical"""
    connection = connect()
    address = unique("big")
    receiver = connection.create_receiver(address)
    connection.create_sender(address).send(Message(BIG))
    assert receiver.receive().body == BIG
    receiver.accept()
    connection.close()


class Many(MessagingHandler):
    """Sends while there is credit, notes what arrives, closes when all has arrived and been accepted."""

    def __init__(self):
        super().__init__(prefetch=100)
        self.address = unique("many")
        self.sent = self.accepted = 0
        self.received = []

    def on_start(self, event):
        connection = event.container.connect(OPEN, reconnect=False)
        event.container.create_receiver(connection, self.address)

    def on_link_opened(self, event):
        if event.link.is_receiver:
            event.container.create_sender(event.connection, self.address)

    def on_sendable(self, event):
        while event.sender.credit and self.sent < MANY:
            event.sender.send(Message(self.sent))
            self.sent += 1

    def on_accepted(self, event):
        self.accepted += 1
        self.close_when_done(event)

    def on_message(self, event):
        self.received.append(event.message.body)
        self.close_when_done(event)

    def close_when_done(self, event):
        if self.accepted == len(self.received) == MANY:
            event.connection.close()


@within(60)
def many_messages():
    """10,000 small messages in order"""
    many = Many()
    Container(many).run()
    in_order(many.received)


def close_cleanly():
    """close cleanly"""
    connection = connect()
    sender, receiver = connection.create_sender(unique("close")), connection.create_receiver(unique("close"))
    closed = []
    connection.on_connection_remote_close = lambda event: closed.append(event.connection.remote_condition)
    sender.close()
    receiver.close()
    assert sender.link.remote_condition is None and receiver.link.remote_condition is None
    connection.close()
    assert closed == [None], closed


checks.run(connect_without_credentials, connect_with_credentials, wrong_password, outcomes, sender_sees_outcome,
           drain, request_and_reply, big_message, many_messages, close_cleanly)
