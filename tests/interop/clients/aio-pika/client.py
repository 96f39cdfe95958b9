"""aio-pika: its patterns, a connection that comes back by itself, dead letters that are tried again."""

import asyncio
import functools

import aio_pika
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import DeliveryError, MessageProcessError
from aio_pika.patterns import RPC, Master

import checks
from checks import AUTH, DEADLINE, OPEN, PASSWORD, USER, unique

URL = f"amqp://guest:guest@{OPEN}/"


def check(scenario):
    """A check that runs in a loop of its own, with a channel."""
    @functools.wraps(scenario)
    def run():
        async def main():
            async with await aio_pika.connect(URL) as connection:
                await scenario(await connection.channel())
        asyncio.run(asyncio.wait_for(main(), DEADLINE - 1))
    return run


async def until(holds):
    while not (found := holds()):
        await asyncio.sleep(0.01)
    return found


class Proxy:
    """A way to the broker that can be cut."""

    def __init__(self):
        self.writers = []

    async def start(self):
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _accept(self, reader, writer):
        host, port = OPEN.rsplit(":", 1)
        to_broker = await asyncio.open_connection(host, int(port))
        self.writers += [writer, to_broker[1]]
        await asyncio.gather(self._pump(reader, to_broker[1]), self._pump(to_broker[0], writer))

    @staticmethod
    async def _pump(reader, writer):
        try:
            while octets := await reader.read(1 << 16):
                writer.write(octets)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


def connect_with_credentials():
    """connects with credentials, and not with others"""
    async def main():
        async with await aio_pika.connect(f"amqp://{USER}:{PASSWORD}@{AUTH}/") as connection:
            await connection.channel()
        try:
            await aio_pika.connect(f"amqp://{USER}:wrong@{AUTH}/")
        except aio_pika.exceptions.ProbableAuthenticationError:
            return
        raise AssertionError("a wrong password was taken")
    asyncio.run(main())


@check
async def rpc(channel):
    """RPC: calls, an exception, and a method that is not there"""
    calls = await RPC.create(channel)

    async def multiply(*, x, y):
        return x * y

    async def fail():
        raise ValueError("on purpose")

    name, failing = unique("multiply"), unique("fail")
    await calls.register(name, multiply, auto_delete=True)
    await calls.register(failing, fail, auto_delete=True)
    answers = await asyncio.gather(*(calls.call(name, {"x": x, "y": 2}) for x in range(50)))
    assert answers == [2 * x for x in range(50)], answers
    try:
        await calls.call(failing)
        raise AssertionError("no exception came back")
    except ValueError as why:
        assert "on purpose" in str(why)
    try:
        await calls.call(unique("nobody"))
        raise AssertionError("nobody answered")
    except MessageProcessError:
        pass
    await calls.close()


@check
async def rpc_expired(channel):
    """RPC: a call that expires comes back as a dead letter"""
    calls = await RPC.create(channel)
    name = unique("nobody.takes.it")
    queue = await channel.declare_queue(name, arguments={"x-dead-letter-exchange": RPC.DLX_NAME})
    try:
        await calls.call(name, expiration=0.05)
        raise AssertionError("it was answered")
    except asyncio.TimeoutError:
        pass
    await queue.delete()
    await calls.close()


@check
async def master(channel):
    """Master and worker: tasks, rejected and taken again"""
    name, done = unique("tasks"), []

    async def work(*, number):
        if number == 3 and done.count(3) == 0:
            done.append(3)
            raise aio_pika.patterns.NackMessage(requeue=True)
        done.append(number)

    boss = Master(channel)
    worker = await boss.create_worker(name, work, auto_delete=True)
    for number in range(5):
        await boss.create_task(name, {"number": number})
    await until(lambda: len(done) == 6)
    assert sorted(done) == [0, 1, 2, 3, 3, 4]
    await worker.close()


@check
async def confirmed(channel):
    """confirms: 500 publishes at once, and one that cannot be routed"""
    own = await channel._connection.channel(on_return_raises=True)
    queue = await own.declare_queue(exclusive=True)
    exchange = own.default_exchange
    await asyncio.gather(*(exchange.publish(Message(str(n).encode()), queue.name) for n in range(500)))
    assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 500
    try:
        await exchange.publish(Message(b"nobody"), unique("nobody"))
        raise AssertionError("it was taken")
    except DeliveryError:
        pass


@check
async def iterated(channel):
    """a queue as an iterator, with a prefetch"""
    await channel.set_qos(10)
    queue = await channel.declare_queue(exclusive=True)
    for number in range(100):
        await channel.default_exchange.publish(Message(str(number).encode()), queue.name)
    seen = []
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                seen.append(int(message.body))
            if len(seen) == 100:
                break
    assert seen == list(range(100))


@check
async def retried(channel):
    """dead letters: rejected, tried again after a time, parked the third time"""
    work, later, parked = unique("work"), unique("later"), unique("parked")
    dlx = await channel.declare_exchange(unique("dlx"), ExchangeType.DIRECT, auto_delete=True)
    queue = await channel.declare_queue(work, exclusive=True, arguments={
        "x-dead-letter-exchange": dlx.name, "x-dead-letter-routing-key": later})
    waiting = await channel.declare_queue(later, exclusive=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": work, "x-message-ttl": 50})
    await waiting.bind(dlx, later)
    last = await channel.declare_queue(parked, exclusive=True)
    rounds = []

    async def take(message):
        deaths = {death["queue"]: death for death in message.headers.get("x-death", [])}
        rounds.append(deaths[work]["count"] if deaths else 0)
        if rounds[-1] < 3:
            await message.reject(requeue=False)
        else:
            await channel.default_exchange.publish(
                Message(message.body, headers=message.headers, delivery_mode=DeliveryMode.PERSISTENT), parked)
            await message.ack()

    await queue.consume(take)
    await channel.default_exchange.publish(Message(b"task", expiration=60), work)
    await until(lambda: len(rounds) == 4)
    message = await last.get(timeout=DEADLINE)
    assert (rounds, message.body) == ([0, 1, 2, 3], b"task")
    deaths = [(death["queue"], death["reason"], death["count"]) for death in message.headers["x-death"]]
    assert deaths == [(later, "expired", 3), (work, "rejected", 3)], deaths
    assert message.headers["x-first-death-queue"] == work
    await message.ack()


@check
async def transaction(channel):
    """a transaction: rolled back by an exception, committed without"""
    own = await channel._connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(exclusive=True)
    try:
        async with own.transaction():
            await own.default_exchange.publish(Message(b"never"), queue.name)
            raise KeyError
    except KeyError:
        pass
    async with own.transaction():
        await own.default_exchange.publish(Message(b"once"), queue.name)
    message = await queue.get(timeout=DEADLINE)
    assert message.body == b"once"
    await message.ack()
    assert await queue.get(fail=False) is None


def robust():
    """a robust connection: cut three times, queue, binding and consumer are there again"""
    async def main():
        proxy = Proxy()
        port = await proxy.start()
        connection = await aio_pika.connect_robust(f"amqp://guest:guest@127.0.0.1:{port}/?reconnect_interval=0.05")
        channel = await connection.channel()
        exchange = await channel.declare_exchange(unique("robust"), ExchangeType.FANOUT, auto_delete=True)
        queue = await channel.declare_queue(unique("robust"), exclusive=True)
        await queue.bind(exchange)
        seen = []

        async def take(message):
            seen.append(message.body)
            await message.ack()

        await queue.consume(take)
        for number in range(3):
            back = asyncio.get_running_loop().create_future()
            connection.reconnect_callbacks.add(lambda *_, back=back: back.done() or back.set_result(None))
            proxy.cut()
            await back
            await exchange.publish(Message(str(number).encode()), "")
            await until(lambda: len(seen) == number + 1)
        assert seen == [b"0", b"1", b"2"], seen
        await connection.close()
    asyncio.run(asyncio.wait_for(main(), DEADLINE - 1))


checks.run(connect_with_credentials, rpc, rpc_expired, master, confirmed, iterated, retried, transaction, robust)
