// amqplib (Node) against fakebroker: one function a check. What the environment holds: ../../README.md
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const amqplib = require('amqplib');
const {
  MANY, models, refused, closes_channel, own_queue, new_exchange, bound, contents, take, fill, numbered, left,
  consume, receive_many, until_gone, works, body, redelivered, numbers, unique, next,
} = require('./support');

const OPEN = { hostname: process.env.OPEN_HOST, port: Number(process.env.OPEN_PORT) };
const AUTH = { hostname: process.env.AUTH_HOST, port: Number(process.env.AUTH_PORT) };
const CREDENTIALS = { username: process.env.AUTH_USER, password: process.env.AUTH_PASSWORD };
const DEADLINE = 20_000; // milliseconds, for a check

// ---- The checks. Each is given the means to connect; a connection that the broker ends, ends the check.

const checks = {
  async 'connect as guest'(connect) {
    await (await connect()).createChannel();
  },

  async 'connect with credentials'(connect) {
    await (await connect({ ...OPEN, username: 'anyone', password: 'anything' })).createChannel();
    await (await connect({ ...AUTH, ...CREDENTIALS })).createChannel();
  },

  async 'a wrong password is refused: 403'() {
    await refused(/ 403 /, { ...AUTH, ...CREDENTIALS, password: 'wrong' });
  },

  async 'an unknown virtual host is refused'() {
    await refused(/got <ConnectionClose/, { ...OPEN, vhost: unique('nowhere') }); // it does not keep the code
  },

  async 'a queue named by the server'(connect) {
    const channel = await (await connect()).createChannel();
    const one = await own_queue(channel);
    const two = await own_queue(channel);
    assert.ok(one && two && one !== two, `${one}, ${two}`);
    await fill(channel, one, 'hello');
    assert.equal(await take(channel, one), 'hello');
  },

  async 'no queue name is the queue that the channel declared last'(connect) {
    const channel = await (await connect()).createChannel();
    await own_queue(channel);
    await channel.bindQueue('', 'amq.fanout', '');
    channel.publish('amq.fanout', '', Buffer.from('one'));
    const arrived = await consume(channel, '');
    await arrived.reach(1);
    await channel.cancel(arrived[0].fields.consumerTag);
    channel.nack(arrived[0]);
    assert.equal(await take(channel, ''), 'one');
    await channel.unbindQueue('', 'amq.fanout', '');
    channel.publish('amq.fanout', '', Buffer.from('two'));
    assert.equal((await channel.purgeQueue('')).messageCount, 0);
    await channel.deleteQueue('');
  },

  async 'declare says how many messages and consumers'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const queue = unique('declare');
    assert.deepEqual(await channel.assertQueue(queue), { queue, messageCount: 0, consumerCount: 0 });
    await fill(channel, queue, '1', '2', '3');
    assert.deepEqual(await channel.checkQueue(queue), { queue, messageCount: 3, consumerCount: 0 });
    const other = await (await connect()).createChannel();
    await (await consume(other, queue, 1)).reach(1);
    assert.deepEqual(await channel.checkQueue(queue), { queue, messageCount: 2, consumerCount: 1 });
    await other.close();
    await channel.deleteQueue(queue);
  },

  async 'an exclusive queue is locked for other connections: 405'(connect) {
    const queue = unique('exclusive');
    const channel = await (await connect()).createChannel();
    await own_queue(channel, queue);
    const other = await connect();
    await closes_channel(other, 405, (it) => it.checkQueue(queue));
    await closes_channel(other, 405, (it) => own_queue(it, queue));
    await closes_channel(other, 405, (it) => it.consume(queue, () => {}));
    await closes_channel(other, 405, (it) => it.get(queue));
    await closes_channel(other, 405, (it) => it.purgeQueue(queue));
    await closes_channel(other, 405, (it) => it.deleteQueue(queue));
    await own_queue(channel, queue);
  },

  async 'an exclusive queue goes with its connection'(connect) {
    const queue = unique('exclusive');
    const connection = await connect();
    await own_queue(await connection.createChannel(), queue);
    await connection.close();
    await until_gone(await connect(), queue);
  },

  async 'an auto-delete queue goes with its last consumer'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue(unique('auto-delete'), { autoDelete: true });
    const tags = [];
    for (let number = 0; number < 2; number++) tags.push((await channel.consume(queue, () => {})).consumerTag);
    await channel.cancel(tags[0]);
    await channel.checkQueue(queue);
    await channel.cancel(tags[1]);
    await until_gone(connection, queue);
  },

  async 'names that begin with amq. are refused: 403'(connect) {
    const connection = await connect();
    await closes_channel(connection, 403, (it) => it.assertQueue(unique('amq.queue')));
    await closes_channel(connection, 403, (it) => it.assertExchange(unique('amq.exchange'), 'direct'));
  },

  async 'direct exchange: by the routing key; nothing once unbound'(connect) {
    const channel = await (await connect()).createChannel();
    for (const exchange of ['amq.direct', await new_exchange(channel, 'direct')]) {
      const queues = await bound(channel, exchange, ['red'], ['blue']);
      for (const queue of queues) await channel.bindQueue(queue, exchange, 'both');
      for (const key of ['red', 'blue', 'both', 'green']) channel.publish(exchange, key, Buffer.from(key));
      assert.deepEqual(await contents(channel, queues), [['red', 'both'], ['blue', 'both']]);
      await channel.unbindQueue(queues[0], exchange, 'both');
      channel.publish(exchange, 'both', Buffer.from('again'));
      assert.deepEqual(await contents(channel, queues), [[], ['again']]);
    }
  },

  async 'fanout exchange: a copy for every queue'(connect) {
    const channel = await (await connect()).createChannel();
    for (const exchange of ['amq.fanout', await new_exchange(channel, 'fanout')]) {
      const queues = await bound(channel, exchange, ['one'], ['two']);
      await channel.bindQueue(queues[0], exchange, 'twice'); // and still one copy
      channel.publish(exchange, 'twice', Buffer.from('hello'));
      assert.deepEqual(await contents(channel, queues), [['hello'], ['hello']]);
    }
  },

  async 'topic exchange: * is one word, # any number of them'(connect) {
    const channel = await (await connect()).createChannel();
    for (const exchange of ['amq.topic', await new_exchange(channel, 'topic')]) {
      const queues = await bound(channel, exchange, ['*.stock.#'], ['usd.*'], ['#'], ['usd.stock']);
      const keys = ['usd.stock', 'eur.stock.db', 'stock.nasdaq', 'usd', 'usd.stock.a.b', ''];
      for (const key of keys) channel.publish(exchange, key, Buffer.from(key));
      assert.deepEqual(await contents(channel, queues), [
        ['usd.stock', 'eur.stock.db', 'usd.stock.a.b'], ['usd.stock'], keys, ['usd.stock'],
      ]);
    }
  },

  async 'headers exchange: x-match all and any'(connect) {
    const channel = await (await connect()).createChannel();
    for (const exchange of ['amq.headers', await new_exchange(channel, 'headers')]) {
      const wanted = { colour: 'red', size: 5 };
      const queues = await bound(channel, exchange, ['', { 'x-match': 'all', ...wanted }],
        ['', { 'x-match': 'any', ...wanted }]);
      const messages = {
        both: { ...wanted, else: true },
        colour: { colour: 'red', size: 6 },
        size: { size: 5 },
        none: { colour: 'blue' },
        empty: {},
      };
      for (const [name, headers] of Object.entries(messages)) {
        channel.publish(exchange, '', Buffer.from(name), { headers });
      }
      assert.deepEqual(await contents(channel, queues), [['both'], ['both', 'colour', 'size']]);
    }
  },

  async 'an exchange bound to an exchange'(connect) {
    const channel = await (await connect()).createChannel();
    const source = await new_exchange(channel, 'direct');
    const destination = await new_exchange(channel, 'fanout');
    const queues = await bound(channel, destination, ['']);
    await channel.bindExchange(destination, source, 'through');
    channel.publish(source, 'through', Buffer.from('hello'));
    assert.deepEqual(await contents(channel, queues), [['hello']]);
    await channel.unbindExchange(destination, source, 'through');
    channel.publish(source, 'through', Buffer.from('hello'));
    assert.deepEqual(await contents(channel, queues), [[]]);
  },

  async 'a deleted exchange is gone: 404'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const exchange = await new_exchange(channel, 'fanout');
    await channel.checkExchange(exchange);
    await channel.deleteExchange(exchange);
    await closes_channel(connection, 404, (it) => it.checkExchange(exchange));
    await closes_channel(connection, 404, (it) => it.publish(exchange, '', Buffer.from('hello?')));
  },

  async 'an unknown exchange type closes the connection: 503'() {
    const connection = await amqplib.connect(OPEN);
    const channel = await connection.createChannel();
    const closed = next(connection, 'error');
    channel.assertExchange(unique('exchange'), 'no such type').catch(() => {}); // the connection says why
    assert.equal((await closed).code, 503);
  },

  async 'a publish is confirmed'(connect) {
    const channel = await (await connect()).createConfirmChannel();
    const queue = await own_queue(channel);
    for (let number = 1; number <= 3; number++) {
      channel.sendToQueue(queue, Buffer.from('hello'));
      await channel.waitForConfirms();
      assert.equal((await channel.checkQueue(queue)).messageCount, number);
    }
    channel.sendToQueue(unique('nobody'), Buffer.from('dropped, and confirmed all the same'));
    await channel.waitForConfirms();
  },

  async 'mandatory: an unroutable message is returned with 312'(connect) {
    const channel = await (await connect()).createConfirmChannel();
    const nobody = unique('nobody');
    const happened = [];
    channel.on('return', (message) => happened.push(message));
    channel.sendToQueue(await own_queue(channel), Buffer.from('routed'), { mandatory: true });
    channel.publish('amq.direct', nobody, Buffer.from('hello?'), { mandatory: true, appId: 'me' },
      (error) => happened.push(error));
    await channel.waitForConfirms();
    const [{ fields, properties, content }, confirm] = happened; // the return before the confirm
    const { replyCode, exchange, routingKey } = fields;
    assert.deepEqual({ replyCode, exchange, routingKey },
      { replyCode: 312, exchange: 'amq.direct', routingKey: nobody });
    assert.equal(properties.appId, 'me');
    assert.equal(content.toString(), 'hello?');
    assert.equal(confirm, null);
    assert.equal(happened.length, 2);
  },

  async 'prefetch: never more unacknowledged than asked for'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await numbered(channel, 10);
    const arrived = await consume(channel, queue, 3);
    for (let acknowledged = 0; acknowledged <= 7; acknowledged++) {
      await arrived.reach(acknowledged + 3);
      // An answer on the same channel comes after whatever else was on its way.
      assert.equal((await channel.checkQueue(queue)).messageCount, 7 - acknowledged);
      assert.equal(arrived.length, acknowledged + 3);
      channel.ack(arrived[acknowledged]);
    }
    assert.deepEqual(arrived.map(body), numbers(10));
  },

  async 'a consumer that need not acknowledge: all arrive, and are gone'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await numbered(channel, 10);
    const arrived = await consume(channel, queue, 3, { noAck: true });
    await arrived.reach(10);
    assert.deepEqual(arrived.map(body), numbers(10));
    assert.deepEqual(await left(channel, queue, arrived), []);
  },

  async 'ack with multiple'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await numbered(channel, 6);
    const arrived = await consume(channel, queue, 3);
    await arrived.reach(3);
    channel.ack(arrived[1], true);
    await arrived.reach(5);
    channel.ackAll();
    await arrived.reach(6);
    assert.deepEqual(await left(channel, queue, arrived), ['5']);
  },

  async 'nack with requeue: redelivered'(connect) {
    const channel = await (await connect()).createChannel();
    const arrived = await consume(channel, await numbered(channel, 3), 3);
    await arrived.reach(3);
    assert.ok(!arrived.some(redelivered));
    channel.nack(arrived[1], true, true);
    await arrived.reach(5);
    const again = arrived.slice(3);
    assert.deepEqual(again.map(body), numbers(2));
    assert.ok(again.every(redelivered));
  },

  async 'reject with requeue: redelivered'(connect) {
    const channel = await (await connect()).createChannel();
    const arrived = await consume(channel, await numbered(channel, 1), 1);
    await arrived.reach(1);
    channel.reject(arrived[0], true);
    await arrived.reach(2);
    assert.equal(body(arrived[1]), '0');
    assert.ok(redelivered(arrived[1]));
  },

  async 'nack and reject without requeue: gone'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await numbered(channel, 4);
    const arrived = await consume(channel, queue, 4);
    await arrived.reach(4);
    channel.nack(arrived[1], true, false);
    channel.reject(arrived[2], false);
    assert.deepEqual(await left(channel, queue, arrived), ['3']);
  },

  async 'recover: what is unacknowledged is redelivered'(connect) {
    const channel = await (await connect()).createChannel();
    const arrived = await consume(channel, await numbered(channel, 3), 3);
    await arrived.reach(3);
    channel.ack(arrived[0]);
    await channel.recover();
    await arrived.reach(5);
    const again = arrived.slice(3);
    assert.deepEqual(again.map(body), ['1', '2']);
    assert.ok(again.every(redelivered));
  },

  async 'a closed channel gives back what it had not acknowledged'(connect) {
    const connection = await connect();
    const first = await connection.createChannel();
    const queue = await numbered(first, 2);
    for (const number of numbers(2)) assert.equal(body(await first.get(queue)), number);
    await first.close();
    const second = await connection.createChannel();
    for (const number of numbers(2)) {
      const message = await second.get(queue);
      assert.equal(body(message), number);
      assert.ok(redelivered(message));
    }
  },

  async 'two consumers take turns'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const queue = await own_queue(channel);
    const one = await consume(channel, queue, 1);
    const two = await consume(await connection.createChannel(), queue, 1);
    await fill(channel, queue, ...numbers(2));
    await one.reach(1);
    await two.reach(1);
    assert.deepEqual([...one, ...two].map(body).sort(), numbers(2));
  },

  async 'an exclusive consumer keeps others out: 403'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const queue = await own_queue(channel);
    await channel.consume(queue, () => {}, { exclusive: true });
    await closes_channel(connection, 403, (it) => it.consume(queue, () => {}));
  },

  async 'a cancelled consumer gets nothing more'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await own_queue(channel);
    const arrived = await consume(channel, queue);
    await fill(channel, queue, 'before');
    await arrived.reach(1);
    await channel.cancel(arrived[0].fields.consumerTag);
    await fill(channel, queue, 'after');
    assert.deepEqual(await channel.checkQueue(queue), { queue, messageCount: 1, consumerCount: 0 });
    assert.deepEqual(arrived.map(body), ['before']);
    channel.ack(arrived[0]); // which it may still
  },

  async 'get, and get from an empty queue'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await numbered(channel, 3);
    for (const again of [false, true]) {
      const message = await channel.get(queue);
      assert.equal(body(message), '0');
      assert.equal(message.fields.messageCount, 2);
      assert.equal(redelivered(message), again);
      if (again) channel.ack(message);
      else channel.nack(message);
    }
    assert.equal(await take(channel, queue), '1');
    assert.equal(await take(channel, queue), '2');
    assert.equal(await channel.get(queue), false);
  },

  async 'purge and delete say how many messages'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const queue = await numbered(channel, 3, unique('deleted'));
    const held = await channel.get(queue);
    assert.equal((await channel.purgeQueue(queue)).messageCount, 2);
    channel.nack(held); // unacknowledged messages are not purged
    assert.equal((await channel.deleteQueue(queue)).messageCount, 1);
    await until_gone(connection, queue);
    await own_queue(channel, queue);
    assert.equal(await channel.get(queue), false);
  },

  async 'delete if unused, if empty: 406'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const queue = await numbered(channel, 1);
    await closes_channel(connection, 406, (it) => it.deleteQueue(queue, { ifEmpty: true }));
    const arrived = await consume(channel, queue);
    await arrived.reach(1);
    await closes_channel(connection, 406, (it) => it.deleteQueue(queue, { ifUnused: true }));
    channel.ack(arrived[0]);
    await channel.cancel(arrived[0].fields.consumerTag);
    await channel.deleteQueue(queue, { ifUnused: true, ifEmpty: true });
    await until_gone(connection, queue);
  },

  async 'a consumer is cancelled when its queue is deleted'(connect) {
    const channel = await (await connect()).createChannel();
    const other = await (await connect()).createChannel();
    const { queue } = await channel.assertQueue(unique('deleted'));
    const arrived = await consume(channel, queue);
    await other.deleteQueue(queue);
    await arrived.reach(1);
    assert.equal(arrived[0], null); // what amqplib makes of basic.cancel
    await own_queue(channel); // the channel lives on
  },

  async 'a missing queue closes the channel: 404; a new one works'(connect) {
    const connection = await connect();
    const queue = unique('missing');
    await closes_channel(connection, 404, (it) => it.checkQueue(queue));
    await closes_channel(connection, 404, (it) => it.consume(queue, () => {}));
    await closes_channel(connection, 404, (it) => it.get(queue));
    await closes_channel(connection, 404, (it) => it.bindQueue(queue, 'amq.direct', 'key'));
    await closes_channel(connection, 404, (it) => it.purgeQueue(queue));
    await works(await connection.createChannel());
  },

  async 'an unknown delivery tag closes the channel: 406; a new one works'(connect) {
    const connection = await connect();
    const unknown = { fields: { deliveryTag: 99 } };
    await closes_channel(connection, 406, (it) => it.ack(unknown));
    await closes_channel(connection, 406, (it) => it.reject(unknown));
    await closes_channel(connection, 406, (it) => it.nack(unknown));
    await closes_channel(connection, 406, async (it) => {
      const message = await it.get(await numbered(it, 1));
      it.ack(message);
      it.ack(message);
    });
    await works(await connection.createChannel());
  },

  async 'properties and headers arrive as they were sent'(connect) {
    const headers = {
      text: 'grüße', bytes: Buffer.from([0, 255]), true: true, false: false, null: null,
      byte: -5, short: 300, int: 70_000, long: 2 ** 40, double: 1.5, float: { '!': 'float', value: 0.5 },
      unsigned: [{ '!': 'uint8', value: 200 }, { '!': 'uint16', value: 60_000 }, { '!': 'uint32', value: 4e9 }],
      time: { '!': 'timestamp', value: 1_709_209_801 }, decimal: { '!': 'decimal', value: { places: 2, digits: 1225 } },
      empty: {}, table: { a: { b: [1, 'two', [false], { four: null }] } }, array: [],
    };
    const options = {
      contentType: 'text/plain', contentEncoding: 'gzip', headers, deliveryMode: 2, priority: 7,
      correlationId: 'correlation', replyTo: 'reply.to', expiration: '600000', messageId: 'id 1', timestamp: 2 ** 33,
      type: 'greeting', userId: 'guest', appId: 'interop',
    };
    const back = { ...headers, float: 0.5, unsigned: [200, 60_000, 4e9] };
    const channel = await (await connect()).createChannel();
    const queue = await own_queue(channel);
    const few = { priority: 0, headers: {} }; // which it always sends
    for (const [sent, received] of [[options, { ...options, headers: back }], [few, few], [{}, { headers: {} }]]) {
      channel.sendToQueue(queue, Buffer.from('hello'), sent);
      const { fields, properties, content } = await channel.get(queue, { noAck: true });
      assert.equal(content.toString(), 'hello');
      assert.equal(fields.exchange, '');
      assert.equal(fields.routingKey, queue);
      const there = Object.entries(properties).filter(([, value]) => value !== undefined);
      assert.deepEqual(Object.fromEntries(there), received);
    }
  },

  async 'an empty body'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await own_queue(channel);
    await fill(channel, queue, '', 'and then one that is not');
    assert.equal(await take(channel, queue), '');
    assert.equal(await take(channel, queue), 'and then one that is not');
  },

  async 'a body of 1 MB, whatever the size of frames'(connect) {
    const bytes = crypto.randomBytes(1_000_000);
    const small = await (await connect({ ...OPEN, frameMax: 4096 })).createChannel();
    const large = await (await connect()).createChannel();
    const { queue } = await small.assertQueue(unique('big'));
    for (const [sender, receiver] of [[small, large], [large, small]]) {
      await fill(sender, queue, bytes);
      const { content } = await receiver.get(queue, { noAck: true });
      assert.ok(bytes.equals(content), `other bytes arrived, ${content.length} of them`);
    }
    await small.deleteQueue(queue);
  },

  async '10,000 messages in order, stored and then received'(connect) {
    const channel = await (await connect()).createChannel();
    const queue = await numbered(channel, MANY);
    await receive_many(channel, queue);
  },

  async '10,000 messages in order, straight through'(connect) {
    const to = await (await connect()).createChannel();
    const queue = unique('many');
    await to.assertQueue(queue);
    const from = await (await connect()).createChannel();
    await Promise.all([receive_many(to, queue), fill(from, queue, ...numbers(MANY))]);
    await to.deleteQueue(queue);
  },

  async 'heartbeats keep an idle connection alive'(connect) {
    const connection = await connect({ ...OPEN, heartbeat: 1 });
    const channel = await connection.createChannel();
    const { stream } = connection.connection;
    const began = { bytes: stream.bytesRead, time: performance.now() };
    // Who sees nothing for two intervals may go, so: three heartbeats of 8 bytes, and more than two intervals.
    while (stream.bytesRead < began.bytes + 24 || performance.now() < began.time + 4000) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await works(channel);
  },

  async 'consumer, channel and connection close without an error'(connect) {
    const connection = await connect();
    const channel = await connection.createChannel();
    const { consumerTag } = await channel.consume(await own_queue(channel), () => {});
    await channel.cancel(consumerTag);
    const channel_closed = next(channel, 'close');
    await channel.close();
    await channel_closed;
    const closed = next(connection, 'close');
    await connection.close();
    assert.equal(await closed, undefined);
  },
};

// Makes one check, in time, and closes what it leaves open.
async function make(check) {
  const open = new Set();
  let fault;
  const faulty = new Promise((_, reject) => (fault = reject));
  const timer = setTimeout(() => fault(new Error(`not done within ${DEADLINE} ms`)), DEADLINE);
  const connect = async (options = OPEN) => {
    const model = await amqplib.connect({ heartbeat: 0, ...options });
    model.on('error', fault);
    model.on('close', (why) => (why ? fault(why) : open.delete(model)));
    models.set(model.connection, model);
    open.add(model);
    return model;
  };
  try {
    await Promise.race([check(connect), faulty]);
    for (const model of open) await Promise.race([model.close(), faulty]);
  } finally {
    clearTimeout(timer);
  }
}

async function main() {
  let failed = false;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await make(check);
      console.log(`ok - ${name}`);
    } catch (error) {
      failed = true;
      console.log(`not ok - ${name}: ${error.message.replaceAll('\n', ' ')}`);
    }
  }
  process.exit(failed ? 1 : 0);
}

main();
