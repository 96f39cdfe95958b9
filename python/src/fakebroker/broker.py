"""`Broker`: what a test holds."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type, Union
from urllib.parse import urlsplit

from ._command import BrokerError, Command
from ._pictures import (AddressInfo, Binding, Connection, Counts, Exchange, Link, Policy, Queue, Report, UnmetRequest,
                        read)
from ._values import annotations_to_json, base64_of, mapping_to_json, to_json
from .messages import Message, Outcome, Published

_NO_BODY: Any = object()

#: The commands that act on what is in one virtual host.
_IN_VHOST = frozenset([
    "messages", "take_messages", "inject", "purge", "queue_depth", "addresses", "withhold", "grant", "restore",
    "published", "queues", "exchanges", "bindings", "policies", "declare_queue", "declare_exchange", "bind", "unbind",
    "delete_queue", "delete_exchange", "set_policy", "clear_policy", "import_definitions",
])


class WaitError(AssertionError):
    """What was waited for has not happened. Its text says what did: counters, who is attached where, the last events."""


class VerifyError(AssertionError):
    """Clients have not left everything in order. Its text and its `report` say what is not."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.text)
        self.report = report


def _is_about_clients(raised: Any) -> bool:
    """For pytest's `__tracebackhide__`: what these say is about the test, whose line its report then ends with."""
    return isinstance(raised.value, (WaitError, VerifyError))


class Broker:
    """A broker on a free port of the loopback, from the moment it is made until it is stopped.

    ::

        with Broker() as broker:
            ...  # point the client under test at broker.url
            [order] = broker.wait_for_messages("queue.orders", 1)

    What it is like can be chosen: `users` are names and passwords, without which everybody gets in, and with
    `allow_anonymous` clients get in that say no name; `vhosts` are virtual hosts beside `/`; `default_distribution` and the
    values of `distributions` are `direct`, `anycast`, `multicast` or `queue`; `unroutable` is `rejected`, `released`, `modified` or `silent`;
    `settlement` is `immediate` or `end-to-end`; with `deliver_unsettled` receivers answer for what was sent settled too;
    `credit_window`, `message_log` and `trace_log` are numbers; `trace` is a file that the trace goes to. `arguments` are
    more arguments for the command, and `binary` is the command: otherwise it is in `FAKEBROKER_BIN` or on PATH. With `hold`
    the port refuses connections until `start`, with `manual_clock` time stands still until `advance`, and with `strict`
    clients are refused what `unmet_requests` would list. `definitions` is a file that RabbitMQ has exported: its queues,
    exchanges and bindings are there from the start.

    Its methods may be used from any thread, and wait for each other: behind a `wait_for_...` for as long as that waits.
    """

    def __init__(
        self,
        *,
        listen: str = "127.0.0.1:0",
        users: Optional[Mapping[str, str]] = None,
        vhosts: Sequence[str] = (),
        allow_anonymous: bool = False,
        default_distribution: Optional[str] = None,
        distributions: Optional[Mapping[str, str]] = None,
        unroutable: Optional[str] = None,
        settlement: Optional[str] = None,
        deliver_unsettled: bool = False,
        credit_window: Optional[int] = None,
        message_log: Optional[int] = None,
        trace_log: Optional[int] = None,
        trace: Union[str, "os.PathLike[str]", None] = None,
        manual_clock: bool = False,
        strict: bool = False,
        definitions: Union[str, "os.PathLike[str]", None] = None,
        hold: bool = False,
        arguments: Sequence[str] = (),
        binary: Optional[str] = None,
    ) -> None:
        line = ["--listen", listen]
        line += [part for name, password in (users or {}).items() for part in ("--user", f"{name}:{password}")]
        line += [part for name in vhosts for part in ("--vhost", name)]
        line += ["--allow-anonymous"] if allow_anonymous else []
        line += ["--deliver-unsettled"] if deliver_unsettled else []
        line += [part for address, how in (distributions or {}).items() for part in ("--distribution", f"{address}={how}")]
        options = {
            "--default-distribution": default_distribution,
            "--unroutable": unroutable,
            "--settlement": settlement,
            "--credit-window": credit_window,
            "--message-log": message_log,
            "--trace-log": trace_log,
            "--definitions": None if definitions is None else os.fspath(definitions),
            "--trace": None if trace is None else os.fspath(trace),
        }
        line += [part for name, value in options.items() if value is not None for part in (name, str(value))]
        line += ["--manual-clock"] if manual_clock else []
        line += ["--strict"] if strict else []
        line += ["--hold"] if hold else []
        self._command = Command([*line, *arguments], binary)
        self._vhost: Optional[str] = None
        #: Where it is, as clients like to have it: `amqp://127.0.0.1:PORT`.
        self.url: str = self._command.first["url"]
        place = urlsplit(self.url)
        #: Its host, and its port.
        self.host: str = place.hostname or ""
        self.port: int = place.port or 0

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.crash(hold=False)

    def __repr__(self) -> str:
        return f"<fakebroker.Broker at {self.url}{'' if self.is_alive() else ', stopped'}>"

    def _ask(self, command: str, **members: Any) -> Dict[str, Any]:
        # A body that is null is one; any other member is left out.
        members = {name: value for name, value in members.items() if value is not None or name in ("value", "json")}
        if command in _IN_VHOST and self._vhost is not None:
            members["vhost"] = self._vhost
        answer = self._command.ask({"cmd": command, **members})
        if not answer["ok"]:
            raise BrokerError(f"fakebroker refused {command!r}: {answer['error']}")
        return answer

    # Starting and stopping

    def start(self) -> None:
        """Accepts connections: of a broker that was made with `hold`, or is down."""
        self._ask("start")

    def stop(self, hold: bool = False) -> None:
        """Closes every connection in its protocol's own way, then ends the command. Does nothing if it has ended.

        With `hold` the command goes on: it answers, keeps its port and what it stores, and refuses connections until `start`.
        """
        if hold:
            self._ask("stop", hold=True)
            return
        if self.is_alive():
            self._ask("stop")
            self._command.wait()
        self._command.end()

    def crash(self, hold: bool = True) -> None:
        """Ends every connection at once, without a word. It keeps its port and what it stores until `start`.

        Without `hold` the command ends too, as it does at the end of a `with`; does nothing then if it has ended.
        """
        if hold:
            self._ask("crash")
            return
        self._command.end()

    def restart(self, ending: str = "crash", queues: str = "keep") -> None:
        """Ends as by `crash`, or `clean` as by `stop`, and comes up on the same port. Stored messages are `keep` or `drop`."""
        self._ask("restart", ending=ending, queues=queues)

    def is_alive(self) -> bool:
        """Whether the command runs."""
        return self._command.is_alive()

    @property
    def version(self) -> str:
        """The command's version."""
        version: str = self._ask("version")["version"]
        return version

    # Virtual hosts

    def vhost(self, name: str) -> "Vhost":
        """The virtual host of this name, which is made if it is not there. See `Vhost`."""
        return Vhost(self, name)

    @property
    def vhosts(self) -> List[str]:
        """The names of all virtual hosts, `/` first."""
        names: List[str] = self._ask("vhosts")["vhosts"]
        return names

    # Waiting

    def _wait(self, what: str, timeout: float, **members: Any) -> Dict[str, Any]:
        __tracebackhide__ = _is_about_clients
        members = {name: value for name, value in members.items() if value is not None}
        if self._vhost is not None:
            members["vhost"] = self._vhost
        command = {"cmd": "wait", "for": what, "timeout": timeout, **members}
        answer = self._command.ask(command, timeout)
        if not answer["ok"]:
            # A wait in vain, and not a word that the command does not know.
            if answer["error"].startswith("waited "):
                raise WaitError(answer["error"])
            raise BrokerError(f"fakebroker refused 'wait': {answer['error']}")
        return answer

    def wait_for_counts(self, at_least: Optional[Mapping[str, int]] = None, *, timeout: float = 5,
                        **equal: int) -> Counts:
        """Waits until counters are what is named, as in `wait_for_counts(accepted=3)`, or `at_least` so high."""
        __tracebackhide__ = _is_about_clients
        counts: Counts = self._wait("counts", timeout, at_least=at_least and dict(at_least), equal=equal or None)["counts"]
        return counts

    def wait_for_messages(self, address: str, count: int = 1, *, stage: Optional[str] = None, timeout: float = 5,
                          typed: bool = False, raw: bool = False) -> List[Message]:
        """Waits until so many messages of an address have come so far; returns those that are in the log.

        `stage` is `arrived` (and not dropped, the default), `delivered` to a receiver, or `settled` by all its receivers. What
        `take_messages` has taken does not count.
        """
        __tracebackhide__ = _is_about_clients
        answer = self._wait("messages", timeout, address=address, count=count, stage=stage, typed=typed, raw=raw)
        return [Message.read(json) for json in answer["messages"]]

    def wait_for_published(self, exchange: str, count: int = 1, *, timeout: float = 5, typed: bool = False) -> List[Published]:
        """Waits until so many messages were published to an exchange, wherever they went; returns those that are in the log."""
        __tracebackhide__ = _is_about_clients
        answer = self._wait("published", timeout, exchange=exchange, count=count, typed=typed)
        return [Published.read(json) for json in answer["published"]]

    def wait_for_receivers(self, address: str, count: int = 1, *, timeout: float = 5) -> None:
        """Waits until so many links receive from an address."""
        __tracebackhide__ = _is_about_clients
        self._wait("receivers", timeout, address=address, count=count)

    def wait_for_connections(self, count: int, *, timeout: float = 5) -> List[Connection]:
        """Waits until exactly so many clients are connected, and their connections open."""
        __tracebackhide__ = _is_about_clients
        return read(Connection, self._wait("connections", timeout, count=count)["connections"])

    def wait_for_settled(self, *, timeout: float = 5) -> None:
        """Waits until every delivery is settled, in both directions."""
        __tracebackhide__ = _is_about_clients
        self._wait("settled", timeout)

    # Looking

    @property
    def counts(self) -> Counts:
        """Every counter by its name, as they are now."""
        counts: Counts = self._ask("counts")["counts"]
        return counts

    def messages(self, address: Optional[str] = None, *, typed: bool = False, raw: bool = False) -> List[Message]:
        """The messages that were sent to an address, or to any, oldest first.

        Values are Python's own; with `typed` those whose AMQP type Python does not have are `Typed`.
        """
        answer = self._ask("messages", address=address, typed=typed, raw=raw)
        return [Message.read(json) for json in answer["messages"]]

    def take_messages(self, address: str, *, typed: bool = False, raw: bool = False) -> List[Message]:
        """Likewise, and forgets them: asked again, only what has come since is there. Queues are not touched."""
        answer = self._ask("take_messages", address=address, typed=typed, raw=raw)
        return [Message.read(json) for json in answer["messages"]]

    def published(self, exchange: str, *, typed: bool = False) -> List[Published]:
        """What was published to an exchange, oldest first, with the queues that it went to. `""` is the default exchange."""
        answer = self._ask("published", exchange=exchange, typed=typed)
        return [Published.read(json) for json in answer["published"]]

    def connections(self) -> List[Connection]:
        """Who is connected."""
        return read(Connection, self._ask("connections")["connections"])

    def links(self) -> List[Link]:
        """All links."""
        return read(Link, self._ask("links")["links"])

    def addresses(self) -> List[AddressInfo]:
        """All addresses that somebody is attached to or where messages wait."""
        return read(AddressInfo, self._ask("addresses")["addresses"])

    def queues(self) -> List[Queue]:
        """All queues, by name: those that were declared, and those that exist because their address is a queue's."""
        return read(Queue, self._ask("queues")["queues"])

    def exchanges(self) -> List[Exchange]:
        """All exchanges but the default one, by name."""
        return read(Exchange, self._ask("exchanges")["exchanges"])

    def bindings(self) -> List[Binding]:
        """All bindings but those of the default exchange."""
        return read(Binding, self._ask("bindings")["bindings"])

    def policies(self) -> List[Policy]:
        """All policies, by name."""
        return read(Policy, self._ask("policies")["policies"])

    def queue_depth(self, address: str) -> int:
        """Messages that wait at an address."""
        depth: int = self._ask("queue_depth", address=address)["depth"]
        return depth

    def trace(self, last: Optional[int] = None) -> List[str]:
        """What was on the wire and what was decided, a line each: all that is remembered, or the last so many."""
        lines: List[str] = self._ask("trace", last=last)["trace"]
        return lines

    def trace_events(self, last: Optional[int] = None) -> List[Dict[str, Any]]:
        """Likewise, as objects."""
        events: List[Dict[str, Any]] = self._ask("trace", format="json", last=last)["trace"]
        return events

    def write_capture(self, file: Union[str, "os.PathLike[str]"]) -> None:
        """Writes the frames of the trace to a capture file for Wireshark or tshark."""
        self._ask("trace", format="pcap", file=os.path.abspath(file))

    def unmet_requests(self) -> List[UnmetRequest]:
        """What clients asked for and do not get, though they broke no rule: arguments without effect, filters, capabilities."""
        return read(UnmetRequest, self._ask("unmet_requests")["unmet_requests"])

    def report(self, *, dropped: bool = False, unmet_requests: bool = False) -> Report:
        """What clients have not left in order: violations, unsettled deliveries, what was never closed.

        With `dropped` also the messages that nobody got: those of the log that were not taken. It has unmet requests in any case;
        with `unmet_requests`, or of a `strict` broker, it is not clean if there are any.
        """
        return Report.read(self._ask("verify", dropped=dropped, unmet_requests=unmet_requests))

    def verify(self, *, dropped: bool = False, unmet_requests: bool = False) -> None:
        """Raises a `VerifyError` unless the report is clean: for the end of a test, when clients should have closed."""
        __tracebackhide__ = _is_about_clients
        __tracebackhide__ = _is_about_clients
        report = self.report(dropped=dropped, unmet_requests=unmet_requests)
        if not report.clean:
            raise VerifyError(report)

    # Queues, exchanges and bindings of the test's own

    def declare_queue(self, name: str, *, durable: bool = True, auto_delete: bool = False,
                      arguments: Optional[Mapping[str, Any]] = None) -> None:
        """Declares a queue, as a client would. What RabbitMQ would refuse raises a `BrokerError` with its code and text."""
        self._ask("declare_queue", name=name, durable=durable, auto_delete=auto_delete, arguments=mapping_to_json(arguments))

    def declare_exchange(self, name: str, type: str, *, durable: bool = True, auto_delete: bool = False, internal: bool = False,
                         arguments: Optional[Mapping[str, Any]] = None) -> None:
        """Declares an exchange, `direct`, `fanout`, `topic` or `headers`: see `declare_queue`."""
        self._ask("declare_exchange", name=name, type=type, durable=durable, auto_delete=auto_delete, internal=internal,
                  arguments=mapping_to_json(arguments))

    def bind(self, exchange: str, queue: Optional[str] = None, routing_key: str = "", *, to_exchange: Optional[str] = None,
             arguments: Optional[Mapping[str, Any]] = None) -> None:
        """Binds a queue, or the exchange `to_exchange`, to an exchange."""
        self._ask("bind", exchange=exchange, queue=queue, routing_key=routing_key, to_exchange=to_exchange,
                  arguments=mapping_to_json(arguments))

    def unbind(self, exchange: str, queue: Optional[str] = None, routing_key: str = "", *, to_exchange: Optional[str] = None,
               arguments: Optional[Mapping[str, Any]] = None) -> None:
        """Removes a binding, if there is one that is equal in key and arguments."""
        self._ask("unbind", exchange=exchange, queue=queue, routing_key=routing_key, to_exchange=to_exchange,
                  arguments=mapping_to_json(arguments))

    def set_policy(self, name: str, pattern: str, definition: Mapping[str, Any], *, apply_to: str = "all",
                   priority: int = 0) -> None:
        """Sets a policy, in place of one of the same name: queues and exchanges whose names match the pattern are given what the
        definition says (`{"message-ttl": 1000}`), at once and when they are declared later. `apply_to` is `all`, `queues`,
        `classic_queues`, `quorum_queues`, `streams` or `exchanges`."""
        self._ask("set_policy", name=name, pattern=pattern, definition=mapping_to_json(definition), apply_to=apply_to,
                  priority=priority)

    def clear_policy(self, name: str) -> bool:
        """Removes a policy; returns whether there was one."""
        cleared: bool = self._ask("clear_policy", name=name)["cleared"]
        return cleared

    def import_definitions(self, definitions: Union[str, "os.PathLike[str]", Mapping[str, Any]]) -> List[str]:
        """Declares the queues, exchanges, bindings and policies of a file that RabbitMQ has exported, or of an object as it has one.

        Returns what else is in it and is not imported, a line each: users, keys of policies that have no effect here.
        """
        if isinstance(definitions, Mapping):
            answer = self._ask("import_definitions", definitions=dict(definitions))
        else:
            answer = self._ask("import_definitions", file=os.path.abspath(definitions))
        left_out: List[str] = answer["left_out"]
        return left_out

    def delete_queue(self, name: str) -> int:
        """Deletes a queue, if there is one; returns how many messages waited there."""
        messages: int = self._ask("delete_queue", name=name)["messages"]
        return messages

    def delete_exchange(self, name: str) -> None:
        """Deletes an exchange, if there is one."""
        self._ask("delete_exchange", name=name)

    # Messages of the test's own

    def inject(
        self,
        address: Optional[str] = None,
        body: Any = _NO_BODY,
        *,
        exchange: Optional[str] = None,
        routing_key: Optional[str] = None,
        headers: Optional[Mapping[str, Any]] = None,
        text: Optional[str] = None,
        json: Any = _NO_BODY,
        sequence: Optional[Sequence[Sequence[Any]]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        application_properties: Optional[Mapping[str, Any]] = None,
        header: Optional[Mapping[str, Any]] = None,
        message_annotations: Optional[Mapping[Any, Any]] = None,
        delivery_annotations: Optional[Mapping[Any, Any]] = None,
        footer: Optional[Mapping[Any, Any]] = None,
    ) -> Optional[Outcome]:
        """Puts a message in as if a client had sent it; returns what that client would have been told by now.

        The body is bytes (a data section), or a value of any other type; without one it is `sequence`, lists of values, or
        nothing; or `text`, a string; or `json`, anything that is JSON, with its content type set. It goes to `address`, or to
        `exchange` with `routing_key`; `headers` are what 0-9-1 calls the `application_properties`. `properties` are `subject`, `message_id` and so on, `header` is `durable`, `priority`, `ttl` (milliseconds).
        """
        members: Dict[str, Any] = {}
        if isinstance(body, (bytes, bytearray, memoryview)):
            members["data"] = base64_of(body)
        elif body is not _NO_BODY:
            members["value"] = to_json(body)
        if json is not _NO_BODY:
            members["json"] = json
        answer = self._ask(
            "inject",
            address=address,
            exchange=exchange,
            routing_key=routing_key,
            headers=mapping_to_json(headers),
            text=text,
            sequence=None if sequence is None else [to_json(items) for items in sequence],
            properties=mapping_to_json(properties),
            application_properties=mapping_to_json(application_properties),
            header=None if header is None else dict(header),
            message_annotations=annotations_to_json(message_annotations),
            delivery_annotations=annotations_to_json(delivery_annotations),
            footer=annotations_to_json(footer),
            **members,
        )
        return Outcome.read(answer)

    def purge(self, address: str) -> int:
        """Takes out what waits at an address. Returns how many messages that was."""
        purged: int = self._ask("purge", address=address)["purged"]
        return purged

    # Steering

    def pause(self) -> None:
        """Serves nobody until `resume`, while all sockets stay open."""
        self._ask("pause")

    def resume(self) -> None:
        """Goes on."""
        self._ask("resume")

    def block(self, reason: str = "low on memory") -> None:
        """Blocks the 0-9-1 clients that publish, until `unblock`: they are sent `connection.blocked`, and are not read."""
        self._ask("block", reason=reason)

    def unblock(self) -> None:
        """Takes back `block`."""
        self._ask("unblock")

    def advance(self, seconds: float) -> float:
        """Lets so much time pass by a manual clock: all that comes due happens, in order, and has happened when this returns.
        Returns the seconds since the start."""
        now: float = self._ask("advance", seconds=seconds)["now"]
        return now

    def disconnect(self, connection: Union[Connection, int, None] = None) -> int:
        """Drops a connection without a word, or all. Returns how many there were."""
        disconnected: int = self._ask("disconnect", connection=_id(connection))["disconnected"]
        return disconnected

    def close(self, connection: Union[Connection, int, None] = None, condition: Optional[str] = None,
              description: Optional[str] = None) -> int:
        """Closes a connection with an error, or all. Returns how many there were."""
        answer = self._ask("close", connection=_id(connection), condition=condition, description=description)
        closed: int = answer["closed"]
        return closed

    def detach(
        self,
        *,
        connection: Union[Connection, int, None] = None,
        name: Optional[str] = None,
        address: Optional[str] = None,
        role: Optional[str] = None,
        condition: Optional[str] = None,
        description: Optional[str] = None,
    ) -> int:
        """Detaches with an error the links that are as all of the first four say. Returns how many there were."""
        answer = self._ask("detach", connection=_id(connection), name=name, address=address, role=role,
                           condition=condition, description=description)
        detached: int = answer["detached"]
        return detached

    def refuse_connections(self, refuse: bool = True) -> None:
        """Refuses new connections, or accepts them again. Who is connected stays so."""
        self._ask("refuse_connections", refuse=refuse)

    def withhold(self, address: str) -> None:
        """Gives who sends to this address no credit, but by `grant`."""
        self._ask("withhold", address=address)

    def grant(self, address: str, messages: int) -> None:
        """Lets each who sends to this address send so many messages more, once."""
        self._ask("grant", address=address, messages=messages)

    def restore(self, address: str) -> None:
        """Takes back `withhold`."""
        self._ask("restore", address=address)

    # Rules

    def on_message(
        self,
        verdict: str,
        *,
        vhost: Optional[str] = None,
        address: Optional[str] = None,
        name: Optional[str] = None,
        subject: Optional[str] = None,
        body: Optional[str] = None,
        condition: Optional[str] = None,
        description: Optional[str] = None,
        delivery_failed: Optional[bool] = None,
        undeliverable_here: Optional[bool] = None,
        seconds: Optional[float] = None,
        times: Optional[int] = None,
    ) -> None:
        """Decides about messages that arrive from now on.

        The verdict is `forward`, `drop`, `accept`, `reject` (with `condition` and `description`), `release`, `modify` (with
        `delivery_failed`, which is true if it is left out, and `undeliverable_here`, which is false), `ignore` or `delay`
        (by `seconds`). It is for messages that are as all of `vhost`, `address`, `name` (of the link), `subject` and `body` say,
        where `*` stands for any text; for so many `times`. Of the rules that fit, the oldest decides.
        """
        self._ask("on_message", verdict=verdict, vhost=vhost, address=address, name=name, subject=subject, body=body,
                  condition=condition, description=description, delivery_failed=delivery_failed,
                  undeliverable_here=undeliverable_here, seconds=seconds, times=times)

    def on_attach(
        self,
        verdict: str,
        *,
        vhost: Optional[str] = None,
        address: Optional[str] = None,
        name: Optional[str] = None,
        role: Optional[str] = None,
        condition: Optional[str] = None,
        description: Optional[str] = None,
        times: Optional[int] = None,
    ) -> None:
        """Decides about links that are attached from now on: `allow` or `refuse`. See `on_message`."""
        self._ask("on_attach", verdict=verdict, vhost=vhost, address=address, name=name, role=role, condition=condition,
                  description=description, times=times)

    def on_connect(
        self,
        verdict: str,
        *,
        container: Optional[str] = None,
        host: Optional[str] = None,
        vhost: Optional[str] = None,
        user: Optional[str] = None,
        condition: Optional[str] = None,
        description: Optional[str] = None,
        times: Optional[int] = None,
    ) -> None:
        """Decides about connections that are opened from now on: `allow` or `refuse`. See `on_message`."""
        self._ask("on_connect", verdict=verdict, container=container, host=host, vhost=vhost, user=user,
                  condition=condition, description=description, times=times)

    def clear_hooks(self) -> None:
        """Takes all rules back."""
        self._ask("clear_hooks")


class Vhost(Broker):
    """A broker, seen from one of its virtual hosts: `broker.vhost("test-17")`.

    `url` leads there, and what is asked by address (`inject`, `messages`, `queue_depth`, ...) is looked for there. All else is the
    broker's: counters, connections, rules, its end. As a context manager it ends nothing.
    """

    def __init__(self, broker: Broker, name: str) -> None:
        self.__dict__.update(broker.__dict__)
        self._vhost = name
        self.url = self._ask("vhost", vhost=name)["url"]

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        pass


def _id(connection: Union[Connection, int, None]) -> Optional[int]:
    return connection.id if isinstance(connection, Connection) else connection
