"""How the command is found, and what becomes of it."""

import gc
import os
import socket
import stat
import sys
import threading

import pytest

from fakebroker import Broker, BrokerError, CommandNotFound, find_command


def script(folder, name, text):
    """A command that is no broker."""
    file = folder / name
    file.write_text(f"#!{sys.executable}\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def refused(broker):
    with socket.socket() as client:
        return client.connect_ex((broker.host, broker.port)) != 0


def test_it_is_found_by_name_then_by_variable_then_on_path(tmp_path, monkeypatch):
    for folder in ("named", "variable", "path"):
        (tmp_path / folder).mkdir()
        script(tmp_path / folder, "fakebroker", "")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("FAKEBROKER_BIN", raising=False)
    assert find_command() == str(tmp_path / "path" / "fakebroker")
    monkeypatch.setenv("FAKEBROKER_BIN", str(tmp_path / "variable" / "fakebroker"))
    assert find_command() == str(tmp_path / "variable" / "fakebroker")
    assert find_command(str(tmp_path / "named" / "fakebroker")) == str(tmp_path / "named" / "fakebroker")


def test_where_there_is_none_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FAKEBROKER_BIN", raising=False)
    with pytest.raises(CommandNotFound, match="cargo build --release.*FAKEBROKER_BIN"):
        Broker()
    monkeypatch.setenv("FAKEBROKER_BIN", "/nowhere/fakebroker")
    with pytest.raises(CommandNotFound, match="FAKEBROKER_BIN names no command.*/nowhere/fakebroker"):
        Broker()
    with pytest.raises(CommandNotFound, match="the argument names no command"):
        Broker(binary="/nowhere/else")


def test_a_command_that_ends_by_itself(tmp_path):
    with pytest.raises(BrokerError, match="exit status 3"):
        Broker(binary=script(tmp_path, "ends", "raise SystemExit(3)"))
    # Wrong usage, and a port that is taken.
    with pytest.raises(BrokerError, match="exit status 2"):
        Broker(arguments=["--nonsense"])
    with Broker() as broker, pytest.raises(BrokerError, match="exit status 1"):
        Broker(listen=f"127.0.0.1:{broker.port}")


def test_a_command_that_ends_between_two_questions(tmp_path):
    command = script(tmp_path, "ends", """
import sys
print('{"event":"listening","url":"amqp://127.0.0.1:1"}', flush=True)
sys.stdin.readline()
raise SystemExit(4)""")
    with Broker(binary=command) as broker:
        for _ in range(2):
            with pytest.raises(BrokerError, match="exit status 4"):
                broker.counts
        assert not broker.is_alive()


def test_stopped_it_is_gone():
    broker = Broker()
    assert broker.is_alive()
    assert not refused(broker)
    broker.crash(hold=False)
    broker.crash(hold=False)
    broker.stop()
    assert not broker.is_alive()
    assert refused(broker)
    assert "stopped" in repr(broker)
    with pytest.raises(BrokerError, match="stopped"):
        broker.counts


def test_it_does_not_outlive_its_owner():
    broker = Broker()
    child = broker._command._child
    del broker
    gc.collect()
    assert child.poll() == 0


def test_its_log_and_more_arguments_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKEBROKER_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKEBROKER_ARGS", "--trace -")
    with Broker() as broker:
        broker.inject("queue.a", "m")
    assert 'message 1 at "queue.a" waits' in (tmp_path / "log").read_text()


def test_threads_take_turns():
    wrong = []
    with Broker() as broker:
        def ask(number):
            for _ in range(50):
                broker.inject(f"queue.{number}", number)
                if broker.messages(f"queue.{number}")[-1].value != number:
                    wrong.append(number)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert broker.counts["queued"] == 400


def test_the_environment_names_the_broker_under_test():
    assert os.path.exists(find_command())
