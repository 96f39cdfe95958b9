"""The fixture, in a pytest of its own. That it is there at all shows that the package is installed as a plugin."""


def test_it_is_a_broker_that_ends_with_the_test(pytester):
    pytester.makepyfile("""
        import socket

        brokers = []

        def test_one(fakebroker):
            brokers.append(fakebroker)
            assert fakebroker.inject("queue.a", "m") == "accepted"

        def test_other(fakebroker):
            assert not brokers[0].is_alive()
            assert fakebroker.queue_depth("queue.a") == 0
    """)
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=2)


def test_the_marker_chooses_what_it_is_like(pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.fakebroker(unroutable="released", hold=True)
        def test_one(fakebroker):
            fakebroker.start()
            assert fakebroker.inject("nobody", "m") == "released"
    """)
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=1)


LEAVES_A_CONNECTION = """
    import socket
    import pytest

    clients = []

    def leave(broker):
        clients.append(socket.create_connection((broker.host, broker.port)))
        broker.wait_for_counts(connections=1, timeout=20)

    def test_plain(fakebroker):
        leave(fakebroker)

    @pytest.mark.fakebroker(verify=True)
    def test_asked(fakebroker):
        leave(fakebroker)

    @pytest.mark.fakebroker(verify=False)
    def test_not_asked(fakebroker):
        leave(fakebroker)
"""


def test_it_verifies_if_it_is_asked_to(pytester):
    pytester.makepyfile(LEAVES_A_CONNECTION)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*clients have not left the broker in order:", "*connection never closed: connection 1 *"])


def test_it_verifies_where_the_settings_say_so(pytester):
    pytester.makepyfile(LEAVES_A_CONNECTION)
    pytester.makeini("[pytest]\nfakebroker_verify = true")
    pytester.runpytest_subprocess().assert_outcomes(passed=3, errors=2)


def test_a_failure_is_shown_where_the_test_has_it(pytester):
    pytester.makepyfile("""
        import socket

        def test_waiting(fakebroker):
            fakebroker.wait_for_receivers("queue.a", timeout=0)

        def test_verifying(fakebroker):
            with socket.create_connection((fakebroker.host, fakebroker.port)):
                fakebroker.wait_for_counts(connections=1, timeout=20)
                fakebroker.verify()

        def test_misusing(fakebroker):
            fakebroker.wait_for_counts(conections=1)
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*WaitError: waited 0ns in vain for 1 link to receive from *", "test_*.py:4: WaitError"])
    result.stdout.fnmatch_lines(["*VerifyError: *", "test_*.py:9: VerifyError"])
    result.stdout.fnmatch_lines(["*broker.py:*: BrokerError"])  # that is no finding about clients
