"""azure-servicebus: the AMQP client inside it, `_pyamqp`, used the way the service's own classes use it."""

from azure.servicebus._pyamqp import ReceiveClient, SendClient
from azure.servicebus._pyamqp.authentication import SASLPlainAuth
from azure.servicebus._pyamqp.constants import SenderSettleMode
from azure.servicebus._pyamqp.endpoints import Source, Target
from azure.servicebus._pyamqp.error import MessageException
from azure.servicebus._pyamqp.message import Header, Message, Properties
from azure.servicebus._pyamqp.sasl import SASLAnonymousCredential

import checks
from checks import AUTH, BIG, DEADLINE, MANY, OPEN, PASSWORD, USER, in_order, unique, within


class Anonymous:
    """What its own authentication classes have; it has none for ANONYMOUS alone."""
    auth_type = "anonymous"
    sasl = SASLAnonymousCredential()


def sender(target, url=OPEN, auth=Anonymous, **options):
    return ready(SendClient(url, target, auth=auth, use_tls=False, **options))


def receiver(source, url=OPEN, auth=Anonymous, **options):
    return ready(ReceiveClient(url, source, auth=auth, use_tls=False, **options))


def ready(client):
    client.open()
    while not client.client_ready():
        pass  # Each call waits for a frame.
    return client


def send(client, body, **sections):
    client.send_message(Message(data=[body], **sections), timeout=DEADLINE)


def receive(client):
    """The next delivery: its transfer's fields, and the message."""
    while client._received_messages.empty():
        client.do_work(batch=100)
    return client._received_messages.get()


def settle(client, transfer, outcome, **fields):
    client.settle_messages(transfer[1], transfer[2], outcome, **fields)


def body(message):
    return b"".join(message.data)


def connect_without_credentials():
    """connect without credentials"""
    sender(unique("connect")).close()


def connect_with_credentials():
    """connect with credentials"""
    sender(unique("connect"), AUTH, SASLPlainAuth(USER, PASSWORD)).close()
    sender(unique("connect"), OPEN, SASLPlainAuth("anyone", "anything")).close()


def wrong_password():
    """a wrong password is refused"""
    try:
        sender(unique("connect"), AUTH, SASLPlainAuth(USER, "not " + PASSWORD))
    except ValueError as refused:
        assert "SASL negotiation failed.\nOutcome: 1\n" in str(refused), refused
    else:
        raise AssertionError("it was let in")


def outcomes():
    """each outcome of a receiver"""
    address = unique("queue")
    source, target = receiver(address, link_credit=1), sender(address)
    for outcome in (b"accepted", b"rejected", b"released", b"modified"):
        send(target, outcome)

    counts = {}  # The delivery-counts of each message, a number a delivery.
    while sum(map(len, counts.values())) < 6:
        transfer, message = receive(source)
        outcome = body(message).decode()
        counts.setdefault(outcome, []).append((message.header or Header()).delivery_count or 0)
        again = len(counts[outcome]) > 1
        fields = {"delivery_failed": True} if outcome == "modified" and not again else {}
        # Its links are rcv-settle-mode second: the broker settles, and repeats the outcome.
        settle(source, transfer, "accepted" if again else outcome, await_outcome=True, outcome_timeout=DEADLINE,
               **fields)
    # 3.4.4, 3.4.5: only a modified delivery that says so counts as a failed one.
    assert counts == {"accepted": [0], "rejected": [0], "released": [0, 0], "modified": [0, 1]}, counts

    send(target, b"last")
    transfer, message = receive(source)
    assert body(message) == b"last", "a message that was done with came again"
    settle(source, transfer, "accepted")
    source.close()
    target.close()


def sender_sees_outcome():
    """a sender sees accepted and rejected"""
    address = unique("somebody")
    source, target = receiver(address), sender(address)
    send(target, b"hello")
    nobody = sender(unique("nobody"))
    try:
        send(nobody, b"hello")
    except MessageException as refused:
        assert refused.condition == b"amqp:not-found", refused.condition
        assert nobody.target in refused.description.decode(), refused.description
    else:
        raise AssertionError("an unroutable message raised nothing")
    for client in (source, target, nobody):
        client.close()


def request_and_reply():
    """a request and its reply over a dynamic address"""
    attached = []
    replies = receiver(Source(dynamic=True), on_attach=attached.append)
    reply_to = attached[0].source.address
    assert reply_to
    service = unique("service")
    requests, client = receiver(service), sender(service)

    send(client, b"question", properties=Properties(message_id="1", reply_to=reply_to))
    transfer, request = receive(requests)
    settle(requests, transfer, "accepted")
    asked = Properties(*request.properties)
    server = sender(Target())
    send(server, b"answer", properties=Properties(to=asked.reply_to, correlation_id=asked.message_id))
    transfer, reply = receive(replies)
    settle(replies, transfer, "accepted")
    assert (body(reply), Properties(*reply.properties).correlation_id) == (b"answer", b"1"), reply
    for one in (replies, requests, client, server):
        one.close()


def big_message():
    """a 10 MB message arrives byte-identical"""
    address = unique("big")
    source, target = receiver(address, max_message_size=0), sender(address)
    send(target, BIG)
    transfer, message = receive(source)
    assert body(message) == BIG
    settle(source, transfer, "accepted")
    source.close()
    target.close()


@within(60)
def many_messages():
    """10,000 small messages in order"""
    address = unique("many")
    source = receiver(address, send_settle_mode=SenderSettleMode.Settled)
    target = sender(address)
    received = []
    while len(received) < MANY:
        batch = range(len(received), len(received) + 100)
        for number in batch:
            send(target, b"%d" % number)
        received += [int(body(receive(source)[1])) for _ in batch]
    in_order(received)
    source.close()
    target.close()


def close_cleanly():
    """close cleanly"""
    client = sender(unique("close"))
    link, session, connection = client._link, client._session, client._connection
    closes = []
    handle_close = connection._incoming_close
    connection._incoming_close = lambda channel, frame: (closes.append(frame), handle_close(channel, frame))
    link.detach(close=True)
    while link.state.name != "DETACHED":
        connection.listen()
    session.end()
    connection.close(wait=True)
    assert link._error is None and closes == [[None]], (link._error, closes)


checks.run(connect_without_credentials, connect_with_credentials, wrong_password, outcomes, sender_sees_outcome,
           request_and_reply, big_message, many_messages, close_cleanly)
