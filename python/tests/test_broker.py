"""What a test can ask of a broker and do to it, with Proton as the client under test."""

import contextlib
import json
import socket

import proton
import pytest
from proton import ConnectionException
from proton.reactor import AtMostOnce
from proton.utils import BlockingConnection, LinkDetached, SendException

from fakebroker import Broker, BrokerError, Receipt, Sender, VerifyError, WaitError

PATIENCE = 20


@contextlib.contextmanager
def connected(broker, **options):
    connection = BlockingConnection(broker.url, timeout=PATIENCE, **options)
    try:
        yield connection
    finally:
        with contextlib.suppress(Exception):
            connection.close()


@pytest.fixture
def broker():
    with Broker() as broker:
        yield broker


def test_it_says_where_and_what_it_is(broker):
    assert broker.url == f"amqp://127.0.0.1:{broker.port}"
    assert (broker.host, broker.is_alive()) == ("127.0.0.1", True)
    assert broker.version.count(".") == 2
    assert broker.url in repr(broker)
    assert set(broker.counts.values()) == {0}


def test_messages_are_seen_whole(broker):
    with connected(broker) as connection:
        receiver = connection.create_receiver("news", name="r")
        sender = connection.create_sender("news", name="s")
        sent = proton.Message(body="hello", id=7, subject="greeting", properties={"table": 7, "raw": b"\x00"}, ttl=1.5,
                              user_id=b"joe", correlation_id="c", annotations={proton.symbol("x-opt-a"): 1})
        sender.send(sent)
        receiver.receive()
        receiver.reject()
    broker.wait_for_counts(rejected=1, timeout=PATIENCE)
    [message] = broker.messages("news", raw=True)
    assert (message.number, message.address, message.settled) == (1, "news", False)
    assert message.sender == Sender(1, "s")
    assert (message.text, message.body, message.value, message.data) == ("hello", "hello", None, None)
    assert message.subject == "greeting"
    assert message.properties == {"message_id": 7, "subject": "greeting", "user_id": "joe", "correlation_id": "c"}
    assert message.application_properties == {"table": 7, "raw": b"\x00"}
    assert message.message_annotations == {"x-opt-a": 1}
    assert message.header["ttl"] == 1500
    assert (message.state, message.why, message.outcome) == ("forwarded", None, "accepted")
    assert message.receivers == (Receipt(1, "r", message.receivers[0].outcome),)
    assert message.receivers[0].outcome == "rejected"
    assert b"hello" in message.raw
    assert broker.messages("news")[0].raw is None
    assert broker.take_messages("news") != []
    assert broker.take_messages("news") == []


def test_an_outcome_has_its_reasons(broker):
    outcome = broker.inject("nobody", "m")
    assert (outcome, outcome.condition) == ("rejected", "amqp:not-found")
    assert "nobody" in outcome.description
    [message] = broker.messages("nobody")
    assert (message.state, message.outcome, message.sender) == ("dropped", "rejected", None)
    assert message.why
    with Broker(unroutable="silent") as silent:
        assert silent.inject("nobody", "m") is None
    with Broker(unroutable="modified") as modified:
        assert modified.inject("nobody", "m").delivery_failed


def test_what_is_injected_is_received_whole(broker):
    bodies = ["text", b"\x00data", {"k": [1]}, None]
    for body in bodies:
        assert broker.inject("queue.a", body, properties={"subject": "s", "message_id": 7},
                             application_properties={"table": 7}, header={"priority": 7},
                             message_annotations={"x-opt-a": 1}) == "accepted"
    broker.inject("queue.a", sequence=[[1, "x"]])
    assert broker.queue_depth("queue.a") == 5
    assert [message.body for message in broker.messages("queue.a")] == [*bodies, [[1, "x"]]]
    with connected(broker) as connection:
        receiver = connection.create_receiver("queue.a")
        for body in bodies:
            message = receiver.receive()
            assert (message.body, message.subject, message.id) == (body, "s", 7)
            assert (message.properties, message.priority) == ({"table": 7}, 7)
            assert message.annotations == {proton.symbol("x-opt-a"): 1}
            receiver.accept()
        assert receiver.receive().body == [1, "x"]
        receiver.accept()
    broker.inject("queue.b")
    [empty] = broker.messages("queue.b", raw=True)
    assert (empty.body, empty.raw) == (None, b"")
    assert broker.purge("queue.b") == 1


def test_waiting(broker):
    with connected(broker) as connection:
        assert [there.id for there in broker.wait_for_connections(1, timeout=PATIENCE)] == [1]
        receiver = connection.create_receiver("a")
        broker.wait_for_receivers("a", timeout=PATIENCE)
        connection.create_sender("a").send(proton.Message(body="m"))
        assert [message.text for message in broker.wait_for_messages("a", 1, timeout=PATIENCE)] == ["m"]
        receiver.receive()
        receiver.accept()
        # Proton writes when it has to wait for something.
        connection.create_receiver("b")
        broker.wait_for_settled(timeout=PATIENCE)
        assert broker.wait_for_counts(at_least={"direct": 1}, accepted=1, timeout=PATIENCE)["direct"] == 1


def test_what_was_dropped(broker):
    broker.inject("queue.a", "stored")
    broker.inject("nowhere", "lost")
    assert [message.address for message in broker.messages()] == ["queue.a", "nowhere"]
    assert broker.wait_for_messages("/queues/queue.a", stage="arrived")[0].text == "stored"
    with pytest.raises(WaitError, match="in vain for 1 message to be delivered from"):
        broker.wait_for_messages("queue.a", stage="delivered", timeout=0)
    with pytest.raises(WaitError):
        broker.wait_for_messages("nowhere", timeout=0)
    broker.verify()
    with pytest.raises(VerifyError, match="dropped: message 2"):
        broker.verify(dropped=True)
    [dropped] = broker.report(dropped=True).dropped
    assert (dropped.number, dropped.address, dropped.sender) == (2, "nowhere", None)
    assert dropped.why.startswith('no receiver at "nowhere"')


def test_waiting_in_vain(broker):
    with connected(broker) as connection:
        connection.create_receiver("a", name="somebody")
        with pytest.raises(WaitError, match='(?s)waited 10ms in vain for 2 messages to arrive for "a".*"somebody"'):
            broker.wait_for_messages("a", 2, timeout=0.01)
    with pytest.raises(BrokerError, match="equal.queed"):
        broker.wait_for_counts(queed=1)


def test_who_is_there(broker):
    with connected(broker) as connection:
        connection.create_sender("queue.a", name="s").send(proton.Message(body="m"))
        [there] = broker.connections()
        assert (there.id, there.protocol, there.container) == (1, "AMQP 1.0", connection.container.container_id)
        [link] = broker.links()
        assert (link.connection, link.name, link.role, link.address) == (1, "s", "sender", "queue.a")
        [info] = broker.addresses()
        assert (info.address, info.distribution, info.waiting, info.arrived) == ("queue.a", "queue", 1, 1)
    assert broker.purge("queue.a") == 1


def test_the_trace(broker, tmp_path):
    with connected(broker) as connection:
        connection.create_sender("queue.traced")
        lines = broker.trace()
        assert any("queue.traced" in line for line in lines)
        assert broker.trace(last=1) == lines[-1:]
        events = broker.trace_events()
        assert (len(events), events[0]["event"]) == (len(lines), "connected")
        broker.write_capture(tmp_path / "frames.pcap")
        assert b"queue.traced" in (tmp_path / "frames.pcap").read_bytes()


def test_the_trace_goes_to_a_file(tmp_path):
    with Broker(trace=tmp_path / "trace.jsonl") as broker:
        broker.inject("queue.a", "m")
    assert '"decision"' in (tmp_path / "trace.jsonl").read_text()


def test_verify(broker):
    broker.verify()
    with connected(broker) as connection:
        connection.create_sender("queue.a", name="open")
        report = broker.report()
        assert not report.clean
        assert [link.name for link in report.open_links] == ["open"]
        assert [there.id for there in report.open_connections] == [1]
        assert (report.violations, report.unsettled, report.unclosed_connections) == ((), (), ())
        with pytest.raises(VerifyError, match='link never detached: sender "open"') as error:
            broker.verify()
        assert error.value.report == report
    broker.wait_for_connections(0, timeout=PATIENCE)
    broker.verify()


def test_what_is_asked_for_and_not_given_is_listed(broker):
    with connected(broker, desired_capabilities=["x-own"]):
        [request] = broker.unmet_requests()
        assert (request.connection, request.channel, request.link, request.address) == (1, None, None, None)
        assert (request.method, request.name, request.value) == ("open", "desired-capabilities", "x-own")
        assert (request.why, request.count) == ("the capability is not offered", 1)
    broker.wait_for_connections(0, timeout=PATIENCE)
    broker.verify()
    assert broker.report().unmet_requests == (request,)
    with pytest.raises(VerifyError, match="asked for and not given: connection 1: open, desired-capabilities = x-own"):
        broker.verify(unmet_requests=True)


def test_a_strict_broker_refuses_it():
    with Broker(strict=True) as broker:
        with pytest.raises(ConnectionException, match="not-implemented"):
            with connected(broker, desired_capabilities=["x-own"]) as connection:
                connection.create_sender("queue.a")
        assert [request.value for request in broker.unmet_requests()] == ["x-own"]


def test_connections_and_links_can_be_ended(broker):
    with connected(broker) as connection:
        connection.create_sender("queue.a")
        assert broker.detach(address="queue.b") == 0
        assert broker.detach(address="queue.a", role="sender", condition="my:reason", description="because") == 1
        with pytest.raises(LinkDetached, match="my:reason"):
            connection.create_receiver("queue.b")
    broker.wait_for_connections(0, timeout=PATIENCE)
    with connected(broker) as connection:
        [there] = broker.wait_for_connections(1, timeout=PATIENCE)
        assert broker.close(there, "my:reason", "because") == 1
        with pytest.raises(ConnectionException, match="my:reason"):
            connection.create_sender("queue.a")
    broker.wait_for_connections(0, timeout=PATIENCE)
    with socket.create_connection((broker.host, broker.port), PATIENCE) as client:
        broker.wait_for_counts(connections=1, timeout=PATIENCE)
        assert broker.disconnect(7) == 0
        assert broker.disconnect() == 1
        assert client.recv(1) == b""


def refused(broker):
    with socket.socket() as client:
        return client.connect_ex((broker.host, broker.port)) != 0


def test_up_and_down():
    with Broker(hold=True) as broker:
        assert refused(broker)
        broker.start()
        assert not refused(broker)
        broker.inject("queue.a", "kept")
        for end in (broker.crash, broker.stop):
            end(hold=True)
            assert refused(broker)
            assert broker.queue_depth("queue.a") == 1
            broker.start()
        broker.refuse_connections()
        assert refused(broker)
        broker.refuse_connections(False)
        assert not refused(broker)
        broker.restart()
        assert broker.queue_depth("queue.a") == 1
        broker.restart("clean", "drop")
        assert broker.queue_depth("queue.a") == 0
        broker.pause()
        broker.resume()
        with pytest.raises(BrokerError, match="started"):
            broker.start()
        broker.stop()
        broker.stop()
        broker.crash(hold=False)
        assert not broker.is_alive()
        assert refused(broker)


def test_time_passes_when_the_test_says_so():
    with Broker(manual_clock=True, arguments=["--idle-timeout", "3600", "--linger", "60"]) as broker:
        with connected(broker):
            assert broker.advance(7199.5) == 7199.5
            assert len(broker.connections()) == 1
            # It is closed, and answers nothing since nobody reads for it.
            assert broker.advance(0.5) == 7200
            assert broker.advance(60) == 7260
            assert broker.connections() == []
    with Broker() as broker, pytest.raises(BrokerError, match="manual clock"):
        broker.advance(1)


def test_credit(broker):
    broker.withhold("queue.a")
    with connected(broker) as connection:
        sender = connection.create_sender("queue.a")
        assert broker.links()[0].credit == 0
        broker.grant("queue.a", 1)
        sender.send(proton.Message(body="m"))
        assert broker.links()[0].credit == 0
        broker.restore("queue.a")
        assert broker.links()[0].credit > 0


def test_receivers_answer_for_what_was_sent_settled():
    with Broker(deliver_unsettled=True) as broker:
        with connected(broker) as connection:
            receiver = connection.create_receiver("a")
            sender = connection.create_sender("a", options=AtMostOnce())
            sender.send(proton.Message(body="m"))
            receiver.receive()
            receiver.reject()
        assert broker.messages("a")[0].receivers[0].outcome == "rejected"


def test_rules_for_messages(broker):
    broker.on_message("reject", body="poison", address="queue.*", condition="my:reason", description="because", times=1)
    broker.on_message("release", subject="back")
    broker.on_message("modify", undeliverable_here=True, subject="elsewhere")
    broker.on_message("delay", seconds=0.01, body="late")
    with connected(broker) as connection:
        sender = connection.create_sender("queue.a")
        with pytest.raises(SendException):
            sender.send(proton.Message(body="poison"))
        sender.send(proton.Message(body="poison"))
        with pytest.raises(SendException):
            sender.send(proton.Message(body="m", subject="back"))
        sender.send(proton.Message(body="m", subject="elsewhere"))
        sender.send(proton.Message(body="late"))
        broker.clear_hooks()
        sender.send(proton.Message(body="m", subject="back"))
    rejected, poison, released, modified, late, back = broker.messages("queue.a")
    assert (rejected.outcome, rejected.outcome.condition) == ("rejected", "my:reason")
    flags = (modified.outcome.delivery_failed, modified.outcome.undeliverable_here)
    assert (modified.outcome, flags) == ("modified", (True, True))
    assert (rejected.state, poison.outcome, released.outcome) == ("decided", "accepted", "released")
    assert {message.outcome for message in (late, back)} == {"accepted"}
    with pytest.raises(BrokerError, match='"verdict"'):
        broker.on_message("dance")


def test_rules_for_links_and_connections(broker):
    broker.on_attach("refuse", address="private.*", role="receiver", condition="my:reason")
    broker.on_connect("allow", container="friend")
    broker.on_connect("refuse", container="*", condition="my:reason", times=1)
    with pytest.raises(ConnectionException, match="my:reason"), connected(broker) as connection:
        connection.create_sender("queue.a")
    with connected(broker) as connection:
        connection.create_sender("private.a")
        with pytest.raises(LinkDetached, match="my:reason"):
            connection.create_receiver("private.a")


def test_anonymous_clients_can_be_let_in_beside_users():
    with Broker(users={"joe": "secret"}, allow_anonymous=True) as broker:
        with connected(broker, allowed_mechs="ANONYMOUS"):
            assert broker.connections()[0].user == "anonymous"
        with pytest.raises(ConnectionException):
            BlockingConnection(broker.url, timeout=PATIENCE, user="guest", password="guest", allow_insecure_mechs=True)


def test_what_it_is_like_can_be_chosen():
    with Broker(users={"joe": "secret"}, distributions={"orders": "queue"}, default_distribution="multicast",
                credit_window=3, settlement="end-to-end", message_log=1, trace_log=2, arguments=["-v"]) as broker:
        with pytest.raises(ConnectionException):
            BlockingConnection(broker.url, timeout=PATIENCE, allowed_mechs="ANONYMOUS")
        with connected(broker, user="joe", password="secret", allowed_mechs="PLAIN", allow_insecure_mechs=True) as connection:
            connection.create_sender("orders")
            assert broker.links()[0].credit == 3
            assert broker.connections()[0].user == "joe"
        broker.inject("orders", "one")
        broker.inject("orders", "two")
        assert [message.text for message in broker.messages("orders")] == ["two"]
        assert len(broker.trace()) == 2
        broker.inject("any", "m")
        distributions = {info.address: info.distribution for info in broker.addresses()}
        assert distributions["orders"] == "queue"


def test_queues_exchanges_and_bindings_are_declared_and_seen(broker):
    broker.declare_queue("orders", arguments={"x-message-ttl": 60_000})
    broker.declare_exchange("events", "topic")
    broker.bind("events", "orders", "order.*")
    broker.bind("amq.fanout", to_exchange="events")
    broker.inject("/exchanges/events/order.new", "one coffee")
    [orders] = broker.queues()
    assert (orders.name, orders.type, orders.durable, orders.messages) == ("orders", "classic", True, 1)
    assert orders.arguments == {"x-message-ttl": 60_000}
    [events] = [exchange for exchange in broker.exchanges() if not exchange.predeclared]
    assert (events.name, events.type, events.internal) == ("events", "topic", False)
    assert [(binding.exchange, binding.routing_key, binding.queue, binding.to_exchange) for binding in broker.bindings()] == [
        ("amq.fanout", "", None, "events"),
        ("events", "order.*", "orders", None),
    ]
    with pytest.raises(BrokerError, match="406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'orders'"):
        broker.declare_queue("orders", durable=False, arguments={"x-message-ttl": 60_000})
    broker.unbind("amq.fanout", to_exchange="events")
    broker.delete_exchange("events")
    assert broker.bindings() == []
    assert broker.delete_queue("orders") == 1


def test_a_fanout_is_one_publish(broker):
    for queue in ("a", "b"):
        broker.declare_queue(queue)
        broker.bind("amq.fanout", queue)
    broker.inject("/exchanges/amq.fanout/key", "one coffee", application_properties={"table": 7})
    [publish] = broker.wait_for_published("amq.fanout", timeout=PATIENCE)
    assert (publish.exchange, publish.routing_key, publish.queues, publish.numbers) == ("amq.fanout", "key", ("a", "b"), (1, 2))
    assert (publish.text, publish.application_properties, publish.sender) == ("one coffee", {"table": 7}, None)
    assert broker.published("amq.topic") == []
    with pytest.raises(WaitError, match="2 messages to be published to exchange"):
        broker.wait_for_published("amq.fanout", 2, timeout=0)


def test_virtual_hosts_have_queues_of_their_own() -> None:
    with Broker(vhosts=["made"]) as broker:
        with broker.vhost("test 17") as mine:
            assert mine.url == broker.url + "/test%2017"
            mine.inject("queue.orders", "one coffee")
            assert (mine.queue_depth("queue.orders"), broker.queue_depth("queue.orders")) == (1, 0)
            [order] = mine.wait_for_messages("queue.orders")
            assert (order.vhost, order.text) == ("test 17", "one coffee")
            assert mine.messages() == mine.messages("queue.orders")
            assert [info.vhost for info in mine.addresses()] == ["test 17"]
        assert broker.vhosts == ["/", "made", "test 17"]
        assert broker.messages() == [order] and broker.messages("queue.orders") == []
        broker.on_message("drop", vhost="made")
        assert broker.is_alive()


def test_definitions_are_imported(broker, tmp_path):
    definitions = {
        "users": [{"name": "guest"}],
        "queues": [{"name": "orders", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}],
        "exchanges": [],
        "bindings": [{"source": "amq.topic", "vhost": "/", "destination": "orders", "destination_type": "queue",
                      "routing_key": "order.*", "arguments": {}}],
    }
    assert broker.import_definitions(definitions) == ['users ("guest"): not imported']
    file = tmp_path / "definitions.json"
    file.write_text(json.dumps(definitions))
    assert broker.import_definitions(file) == ['users ("guest"): not imported']
    assert [queue.name for queue in broker.queues()] == ["orders"]
    with Broker(definitions=file) as other:
        assert [binding.queue for binding in other.bindings()] == ["orders"]
    file.write_text("{")
    with pytest.raises(BrokerError, match="definitions.json: not JSON: .* at line 1"):
        broker.import_definitions(file)


def test_a_policy_is_set_and_cleared(broker):
    broker.declare_queue("orders")
    broker.set_policy("short", "^ord", {"max-length": 1}, apply_to="queues", priority=2)
    [policy] = broker.policies()
    assert (policy.name, policy.pattern, policy.apply_to, policy.priority) == ("short", "^ord", "queues", 2)
    assert policy.definition == {"max-length": 1}
    for text in ("one", "two"):
        broker.inject("/queues/orders", text=text)
    assert broker.queue_depth("orders") == 1
    assert broker.clear_policy("short") and not broker.clear_policy("short")
    mine = broker.vhost("mine")
    mine.set_policy("ttl", ".*", {"message-ttl": 5})
    assert ([policy.name for policy in mine.policies()], broker.policies()) == (["ttl"], [])
    assert mine.clear_policy("ttl")
    with pytest.raises(BrokerError, match="406 PRECONDITION_FAILED - invalid policy 'p': no policy provided"):
        broker.set_policy("p", ".*", {})


def test_a_message_is_injected_at_an_exchange(broker):
    broker.declare_queue("orders")
    broker.bind("amq.headers", "orders", arguments={"x-match": "all", "table": 7})
    assert broker.inject(exchange="amq.headers", routing_key="a/b", headers={"table": 7}, json={"cups": 1}) == "accepted"
    assert broker.inject(exchange="", routing_key="orders", text="one tea") == "accepted"
    assert broker.inject(exchange="", routing_key="order", json=None) == "rejected"
    coffee, tea = broker.messages("orders")
    assert (coffee.text, coffee.properties) == ('{"cups":1}', {"content_type": "application/json"})
    assert tea.text == "one tea"
    assert [publish.routing_key for publish in broker.published("amq.headers")] == ["a/b"]
    with pytest.raises(BrokerError, match="address"):
        broker.inject(text="nowhere")
