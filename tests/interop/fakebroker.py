"""FakeBroker for Python tests: the `fakebroker` command, held over its JSON control lines.

It has the contract of the class it takes the place of: `host` and `port` are known once it is made, the port
refuses connections until `start()`, the counts can be read at any time (after `stop()` they are the last
ones), `stop()` is at once, like a crash. Nothing but the standard library is needed.

    FAKEBROKER_BIN   the command (otherwise `fakebroker` on PATH)
    FAKEBROKER_ARGS  more arguments for it, for example "-v"
    FAKEBROKER_LOG   a file that its standard error is appended to (otherwise it is this process's)
"""

import json
import os
import select
import shlex
import shutil
import subprocess
import threading
import time
import weakref
from urllib.parse import urlsplit

_ANSWER_SECONDS = 20
_EXIT_SECONDS = 5


class FakeBroker:
    """One broker. Every method and property may be used from any thread."""

    def __init__(self, cfg=None, server_prefix="exclusive", broadcast_prefix="broadcast", group_prefix="unicast",
                 address_separator=".", sock_addr="127.0.0.1", sock_port=0, sasl_mechanisms="ANONYMOUS",
                 user_credentials=None):
        # `cfg` is oslo.config's and tells a broker nothing; `server_prefix` is what the broker does by default.
        arguments = [_command(), "--control", "--hold", "--listen", _host_port(sock_addr, sock_port),
                     "--multicast-prefix", broadcast_prefix, "--anycast-prefix", group_prefix,
                     "--separator", address_separator]
        for name_and_password in _users(sasl_mechanisms, user_credentials):
            arguments += ["--user", name_and_password]
        arguments += shlex.split(os.environ.get("FAKEBROKER_ARGS", ""))

        self._lock = threading.Lock()
        self._counts = {}
        self._started = self._stopped = False
        self._child = _spawn(arguments)
        # Runs at stop(), when this object is forgotten or when the interpreter exits, whichever comes first.
        self._end = weakref.finalize(self, _end, self._child)
        try:
            bound = urlsplit(self._read_line()["url"])
        except BaseException:
            self._end()
            raise
        self.host, self.port = bound.hostname, bound.port

    def start(self):
        """Accept connections; they are when this returns."""
        with self._lock:
            if self._started:
                raise RuntimeError("this broker was started already")
            self._ask("start")
            self._started = True

    def stop(self):
        """Stop at once: clients see their connections drop. Stopping again does nothing."""
        with self._lock:
            if self._stopped:
                return
            try:
                self._refresh_counts()
                self._ask("stop")
            finally:
                self._stopped = True
                self._end()

    def is_alive(self):
        """Whether it was started and still runs."""
        return self._started and not self._stopped and self._child.poll() is None

    @property
    def counts(self):
        """All the broker's counters by name."""
        with self._lock:
            if not self._stopped:
                self._refresh_counts()
            return dict(self._counts)

    @property
    def direct_count(self):
        return self.counts["direct"]

    @property
    def topic_count(self):
        return self.counts["topic"]

    @property
    def fanout_count(self):
        return self.counts["fanout"]

    @property
    def dropped_count(self):
        return self.counts["dropped"]

    def _refresh_counts(self):
        self._counts = self._ask("counts")["counts"]

    def _ask(self, command):
        try:
            self._child.stdin.write(json.dumps({"cmd": command}).encode() + b"\n")
        except BrokenPipeError:
            pass  # It has ended; reading says so, and how.
        answer = self._read_line()
        if not answer["ok"]:
            raise RuntimeError(f"fakebroker refused {command!r}: {answer['error']}")
        return answer

    def _read_line(self):
        deadline = time.monotonic() + _ANSWER_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._child.stdout], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise RuntimeError(f"fakebroker did not answer within {_ANSWER_SECONDS} s (it had said {line!r})")
            # Each command gets one line, so a read never takes a piece of a second one.
            piece = self._child.stdout.read(65536)
            if not piece:
                status = self._child.wait(_EXIT_SECONDS)
                raise RuntimeError(f"fakebroker ended by itself with exit status {status}; see its standard error")
            line += piece
        return json.loads(line)


def _command():
    named = os.environ.get("FAKEBROKER_BIN")
    command = shutil.which(named or "fakebroker")
    if command is None:
        raise RuntimeError(f"FAKEBROKER_BIN names no command: {named!r}" if named else
                           "no `fakebroker` on PATH: build it and set FAKEBROKER_BIN to it")
    return command


def _host_port(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"


def _users(sasl_mechanisms, user_credentials):
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


def _spawn(arguments):
    log = os.environ.get("FAKEBROKER_LOG")
    stderr = open(log, "ab") if log else None
    try:
        return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0)
    finally:
        if stderr:
            stderr.close()


def _end(child):
    """End of its standard input stops the command; one that does not heed it is killed."""
    child.stdin.close()
    try:
        child.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()
