"""`FakeBroker`: the contract of the class that tests of oslo.messaging's amqp1 driver have, kept by the command.

`host` and `port` are known once it is made, the port refuses connections until `start()`, the counts can be read at any time
(after `stop()` they are the last ones), `stop()` is at once, like a crash.
"""

from __future__ import annotations

import threading
from typing import Any, Iterator, Optional, Sequence

from ._pictures import Counts
from .broker import Broker


class FakeBroker:
    """One broker. Every method and property may be used from any thread."""

    def __init__(self, cfg: Any = None, server_prefix: str = "exclusive", broadcast_prefix: str = "broadcast",
                 group_prefix: str = "unicast", address_separator: str = ".", sock_addr: str = "127.0.0.1",
                 sock_port: int = 0, sasl_mechanisms: str = "ANONYMOUS",
                 user_credentials: Optional[Sequence[str]] = None) -> None:
        # `cfg` is oslo.config's and tells a broker nothing; `server_prefix` is what the broker does by default.
        arguments = ["--multicast-prefix", broadcast_prefix, "--anycast-prefix", group_prefix,
                     "--separator", address_separator]
        for name_and_password in _users(sasl_mechanisms, user_credentials):
            arguments += ["--user", name_and_password]
        self._lock = threading.Lock()
        self._counts: Counts = {}
        self._started = self._stopped = False
        self._broker = Broker(listen=_host_port(sock_addr, sock_port), hold=True, arguments=arguments)
        self.host, self.port = self._broker.host, self._broker.port

    def start(self) -> None:
        """Accept connections; they are when this returns."""
        with self._lock:
            self._broker.start()
            self._started = True

    def stop(self) -> None:
        """Stop at once: clients see their connections drop. Stopping again does nothing."""
        with self._lock:
            if self._stopped:
                return
            try:
                self._counts = self._broker.counts
            finally:
                self._stopped = True
                self._broker.crash(hold=False)

    def is_alive(self) -> bool:
        """Whether it was started and still runs."""
        return self._started and not self._stopped and self._broker.is_alive()

    @property
    def counts(self) -> Counts:
        """All the broker's counters by name."""
        with self._lock:
            if not self._stopped:
                self._counts = self._broker.counts
            return dict(self._counts)

    @property
    def direct_count(self) -> int:
        return self.counts["direct"]

    @property
    def topic_count(self) -> int:
        return self.counts["topic"]

    @property
    def fanout_count(self) -> int:
        return self.counts["fanout"]

    @property
    def dropped_count(self) -> int:
        return self.counts["dropped"]


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"


def _users(sasl_mechanisms: str, user_credentials: Optional[Sequence[str]]) -> Iterator[str]:
    """The credentials as they are on the wire (authzid NUL name NUL password) -> the command's NAME:PASSWORD."""
    if sasl_mechanisms == "ANONYMOUS":
        return
    if sasl_mechanisms != "PLAIN" or not user_credentials:
        raise ValueError("the broker offers ANONYMOUS, or PLAIN with user_credentials; not "
                         f"{sasl_mechanisms!r} with {user_credentials!r}")
    for credentials in user_credentials:
        _authzid, name, password = credentials.split("\0")
        if ":" in name:
            raise ValueError(f"a user's name with a colon cannot be given to the command: {name!r}")
        yield f"{name}:{password}"
