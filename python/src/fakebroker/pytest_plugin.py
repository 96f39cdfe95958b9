"""The pytest fixture `fakebroker`: a broker for each test that asks for one.

    def test_orders(fakebroker):
        ...  # point the client under test at fakebroker.url

    @pytest.mark.fakebroker(verify=True, credit_window=0)
    def test_patience(fakebroker): ...

The marker takes what `Broker` takes. With `verify=True`, or `fakebroker_verify = true` in pytest's settings, the report of what
clients have not left in order is an error of the test.
"""

from __future__ import annotations

from typing import Iterator

import pytest

from .broker import Broker


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("fakebroker_verify", "clients have to leave every fakebroker in order", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fakebroker(verify=False, **options): what the fixture's broker is like")


@pytest.fixture
def fakebroker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker of the test's own, stopped when the test is done."""
    marker = request.node.get_closest_marker("fakebroker")
    options = dict(marker.kwargs) if marker else {}
    verifies = options.pop("verify", request.config.getini("fakebroker_verify"))
    with Broker(**options) as broker:
        yield broker
        if verifies:
            report = broker.report()
            if not report.clean:
                pytest.fail(f"clients have not left the broker in order:\n{report}", pytrace=False)
