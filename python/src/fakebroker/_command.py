"""The command as a child process: found, started, asked line by line, and ended with whoever held it.

What the lines mean is not known here.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import subprocess
import threading
import weakref
from typing import IO, Any, Dict, Optional, Sequence

ANSWER_SECONDS = 20.0
EXIT_SECONDS = 10.0


class BrokerError(RuntimeError):
    """The broker could not be started, did not answer, or would not do what it was asked to."""


class CommandNotFound(BrokerError):
    """There is no `fakebroker` command to run."""


def find_command(named: Optional[str] = None) -> str:
    """The command's path: the one that is named, or in `FAKEBROKER_BIN`, or `fakebroker` on PATH."""
    for name, where in ((named, "the argument"), (os.environ.get("FAKEBROKER_BIN"), "FAKEBROKER_BIN")):
        if name:
            found = shutil.which(name)
            if found is None:
                raise CommandNotFound(f"{where} names no command that can be run: {name!r}")
            return found
    found = shutil.which("fakebroker")
    if found is None:
        raise CommandNotFound(
            "there is no `fakebroker` command on PATH. It is a program of its own, written in Rust: build it in a checkout "
            "with `cargo build --release`, or install it with `cargo install --path CHECKOUT/cli`; then put it on PATH, set "
            "FAKEBROKER_BIN to it, or say Broker(binary=...)"
        )
    return found


class Command:
    """One `fakebroker --control`. It may be used from any thread; an answer that is waited for holds up the others."""

    def __init__(self, arguments: Sequence[str], binary: Optional[str] = None) -> None:
        command = [find_command(binary), "--control", *arguments]
        # For whoever looks into a failure: more arguments, and a file for its standard error.
        command += shlex.split(os.environ.get("FAKEBROKER_ARGS", ""))
        log = os.environ.get("FAKEBROKER_LOG")
        stderr: Optional[IO[bytes]] = open(log, "ab") if log else None
        try:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        finally:
            if stderr:
                stderr.close()
        self._child = child
        self._lock = threading.Lock()
        self._lines: queue.Queue[bytes] = queue.Queue()
        reader = threading.Thread(target=_read, args=(child, self._lines), name="fakebroker", daemon=True)
        reader.start()
        # Runs at end(), when this object is forgotten or when the interpreter exits, whichever comes first.
        self._end = weakref.finalize(self, _end, child, reader)
        try:
            self.first = self._answer(ANSWER_SECONDS)
        except BaseException:
            self._end()
            raise

    def ask(self, command: Dict[str, Any], patience: float = 0) -> Dict[str, Any]:
        """The answer to a command; it may take so many seconds longer than usual."""
        line = json.dumps(command, allow_nan=False)
        with self._lock:
            if not self._end.alive:
                raise BrokerError("the broker has been stopped")
            assert self._child.stdin
            try:
                self._child.stdin.write(line.encode() + b"\n")
                self._child.stdin.flush()
            except (BrokenPipeError, OSError):
                pass  # It has ended; reading says so, and how.
            return self._answer(ANSWER_SECONDS + patience)

    def _answer(self, seconds: float) -> Dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise BrokerError(f"fakebroker did not answer within {seconds} s") from None
        if not line:
            self._lines.put(b"")
            status = self._child.wait(EXIT_SECONDS)
            raise BrokerError(f"fakebroker ended by itself with exit status {status}; its standard error says why")
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Ends it, if it has not ended; it is gone when this returns."""
        with self._lock:
            self._end()

    def wait(self, seconds: float = EXIT_SECONDS) -> None:
        """Waits until it has ended by what it was asked, and ends it if it does not."""
        with self._lock:
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
            self._end()

    def is_alive(self) -> bool:
        return self._end.alive and self._child.poll() is None


def _read(child: "subprocess.Popen[bytes]", lines: "queue.Queue[bytes]") -> None:
    assert child.stdout
    for line in child.stdout:
        lines.put(line)
    lines.put(b"")


def _end(child: "subprocess.Popen[bytes]", reader: threading.Thread) -> None:
    """The end of its standard input stops the command; one that does not heed it is killed."""
    assert child.stdin and child.stdout
    try:
        child.stdin.close()
    except OSError:
        pass  # What was not read is lost with it.
    try:
        child.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    reader.join()
    child.stdout.close()
