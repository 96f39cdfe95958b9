"""The README's examples are true."""

import pathlib
import re
import threading

import proton
from proton.utils import BlockingConnection, SendException

README = pathlib.Path(__file__).parents[1] / "README.md"
ABOVE = pathlib.Path(__file__).parents[2] / "README.md"


def waiter(url):
    """The program under test: it brings what is ordered, again if that comes back."""
    connection = BlockingConnection(url, timeout=20)
    receiver = connection.create_receiver("queue.orders")
    order = receiver.receive()
    receiver.accept()
    sender = connection.create_sender(order.reply_to)
    what = "one coffee" if isinstance(order.body, dict) else f"here is {order.body}"
    try:
        sender.send(proton.Message(body=what))
    except SendException:
        sender.send(proton.Message(body=what))
    connection.close()


def start_the_program_under_test(url):
    threading.Thread(target=waiter, args=(url,)).start()


def example(readme):
    return re.search(r"```python\n(.*?start_the_program_under_test.*?)```", readme.read_text(), re.DOTALL).group(1)


def test_the_first_example():
    exec(example(README), {"start_the_program_under_test": start_the_program_under_test})


def test_the_example_for_those_who_come_from_above(fakebroker):
    names = {"start_the_program_under_test": start_the_program_under_test}
    exec(example(ABOVE), names)
    names["test_orders"](fakebroker)
