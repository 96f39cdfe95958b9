"""A small broker on Apache Qpid Proton, for tests: every address is a queue in memory.

Prints `listening on amqp://127.0.0.1:PORT` when it accepts connections, and ends with its standard input. Where
python-qpid-proton comes from: `clients/proton/setup`.
"""

import os
import socket
import sys
import threading
import uuid
from collections import defaultdict, deque

from proton import Endpoint
from proton.handlers import MessagingHandler
from proton.reactor import Container


class Queue:
    """Messages in order, and the links that want them, in turn."""

    def __init__(self):
        self.messages = deque()
        self.receivers = deque()

    def serve(self):
        for _ in range(len(self.receivers)):
            while self.messages and self.receivers and self.receivers[0].credit > 0:
                receiver = self.receivers[0]
                receiver.send(self.messages.popleft())
                self.receivers.rotate(-1)
            self.receivers.rotate(-1)
        for receiver in self.receivers:
            if receiver.drain_mode and receiver.credit > 0:
                receiver.drained()


class Broker(MessagingHandler):
    def __init__(self, port):
        super().__init__(auto_accept=True)
        self.port = port
        self.queues = defaultdict(Queue)

    def on_start(self, event):
        self.listener = event.container.listen(f"127.0.0.1:{self.port}")
        print(f"listening on amqp://127.0.0.1:{self.port}", flush=True)

    def on_link_opening(self, event):
        link = event.link
        if link.is_sender:
            address = str(uuid.uuid4()) if link.remote_source.dynamic else link.remote_source.address
            link.source.address = address
            link.target.address = link.remote_target.address
            self.queues[address].receivers.append(link)
        else:
            link.source.address = link.remote_source.address
            link.target.address = link.remote_target.address

    def on_sendable(self, event):
        self.queue_of(event.link).serve()

    def on_link_flow(self, event):
        if event.link.is_sender and event.link.source.address:
            self.queue_of(event.link).serve()

    def on_message(self, event):
        queue = self.queues[event.link.target.address or event.message.address]
        queue.messages.append(event.message)
        queue.serve()

    def on_link_closing(self, event):
        self.forget(event.link)

    def on_connection_closing(self, event):
        self.forget_all(event.connection)

    def on_disconnected(self, event):
        self.forget_all(event.connection)

    def queue_of(self, link):
        return self.queues[link.source.address]

    def forget(self, link):
        if link.is_sender:
            receivers = self.queue_of(link).receivers
            if link in receivers:
                receivers.remove(link)

    def forget_all(self, connection):
        link = connection.link_head(Endpoint.REMOTE_ACTIVE)
        while link:
            self.forget(link)
            link = link.next(Endpoint.REMOTE_ACTIVE)


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


threading.Thread(target=end_with_input, daemon=True).start()
Container(Broker(free_port())).run()
