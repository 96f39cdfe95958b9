// rhea (Node) against fakebroker: one function a check. What the environment holds: ../../README.md
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const rhea = require('rhea');

const OPEN = { host: process.env.OPEN_HOST, port: Number(process.env.OPEN_PORT) };
const AUTH = { host: process.env.AUTH_HOST, port: Number(process.env.AUTH_PORT) };
const USER = process.env.AUTH_USER;
const PASSWORD = process.env.AUTH_PASSWORD;
const DEADLINE = 20_000; // milliseconds, for every single wait
const MANY = 10_000;

// ---- The checks. Each has a container of its own, and a fault that none of its waits is for ends it at once.

const checks = {
  async 'connect without a SASL layer'(container) {
    await close(await connect(container, OPEN));
  },

  async 'connect with SASL ANONYMOUS'(container) {
    await close(await connect(container, { ...OPEN, username: 'anyone' }));
  },

  async 'connect with credentials'(container) {
    await close(await connect(container, { ...AUTH, username: USER, password: PASSWORD }));
    await close(await connect(container, { ...OPEN, username: 'anyone', password: 'anything' }));
  },

  async 'a wrong password is refused'(container) {
    const connection = container.connect({ ...AUTH, username: USER, password: 'wrong' });
    connection.on('disconnected', () => {}); // no fault here
    const { error } = await next(connection, 'connection_error');
    assert.equal(error.condition, 'amqp:unauthorized-access');
  },

  async 'no credentials are refused where there are users'(container) {
    const connection = container.connect(AUTH);
    await next(connection, 'disconnected');
    assert.ok(!connection.is_remote_open(), 'the connection was opened');
  },

  async 'accepted: the sender is told, the message is gone'(container) {
    await settle_one(container, (delivery) => delivery.accept());
  },

  async 'rejected: the message is gone'(container) {
    await settle_one(container, (delivery) => delivery.reject({ condition: 'app:no', description: 'not wanted' }));
  },

  async 'released: delivered again, delivery-count unchanged'(container) {
    await settle_one(container, (delivery) => delivery.release(), 0);
  },

  async 'modified: delivered again, delivery-count unchanged'(container) {
    await settle_one(container, (delivery) => delivery.modified({}), 0);
  },

  async 'modified with delivery-failed: delivered again, delivery-count raised'(container) {
    await settle_one(container, (delivery) => delivery.modified({ delivery_failed: true }), 1);
  },

  async 'routed: accepted'(container) {
    const address = unique('direct');
    const connection = await connect(container, OPEN);
    const receiver = await open_receiver(connection, address);
    const sender = await open_sender(connection, address);
    const arrives = receive(receiver);
    assert.equal((await send(sender, { body: 'hello' })).outcome, 'accepted');
    const { message, delivery } = await arrives;
    assert.equal(message.body, 'hello');
    delivery.accept();
    await close(connection);
  },

  async 'unroutable: rejected with amqp:not-found'(container) {
    const address = unique('nobody');
    const connection = await connect(container, OPEN);
    for (const sender of [await open_sender(connection, address), await open_sender(connection, undefined)]) {
      const { outcome, error } = await send(sender, { to: address, body: 'hello?' });
      assert.equal(outcome, 'rejected');
      assert.equal(error.condition, 'amqp:not-found');
      assert.ok(error.description.includes(address), `the description does not name the address: ${error.description}`);
    }
    await close(connection);
  },

  async 'a drain is answered'(container) {
    const address = unique('queue');
    const connection = await connect(container, OPEN);
    const sender = await open_sender(connection, address);
    await send(sender, { body: 'only one' });
    const receiver = await open_receiver(connection, address);
    let arrived = 0;
    receiver.on('message', ({ delivery }) => {
      arrived++;
      delivery.accept();
    });
    const drained = next(receiver, 'receiver_drained');
    receiver.add_credit(10);
    receiver.drain_credit();
    await drained;
    assert.equal(arrived, 1, 'messages before the answer');
    await close(connection);
  },

  async 'a request and its reply: dynamic address, anonymous terminus'(container) {
    const service = unique('service');
    const server = await connect(container, OPEN);
    const replier = await open_sender(server, undefined);
    const requests = await open_receiver(server, service);
    requests.on('message', ({ message, delivery }) => {
      delivery.accept();
      replier.send({ to: message.reply_to, correlation_id: message.message_id, body: message.body.toUpperCase() });
    });
    requests.add_credit(10);

    const client = await connect(container, OPEN);
    const replies = await open_receiver(client, { dynamic: true });
    const reply_to = replies.source.address;
    assert.ok(reply_to, 'the dynamic source has no address');
    const arrives = receive(replies);
    await send(await open_sender(client, service), { message_id: 'question 1', reply_to, body: 'ping' });
    const { message, delivery } = await arrives;
    assert.equal(message.body, 'PING');
    assert.equal(message.correlation_id, 'question 1');
    delivery.accept();
    await close(client);
    await close(server);
  },

  async 'a message of 10 MB arrives byte for byte'(container) {
    const address = unique('queue');
    const connection = await connect(container, OPEN);
    const bytes = crypto.randomBytes(10_000_000);
    const sender = await open_sender(connection, address);
    assert.equal((await send(sender, { body: rhea.message.data_section(bytes) })).outcome, 'accepted');
    const { message, delivery } = await receive(await open_receiver(connection, address));
    assert.ok(bytes.equals(message.body.content), `other bytes arrived, ${message.body.content.length} of them`);
    delivery.accept();
    await close(connection);
  },

  async '10,000 messages in order, stored and then received'(container) {
    const address = unique('queue');
    const connection = await connect(container, OPEN);
    await send_many(await open_sender(connection, address));
    await receive_many(await open_receiver(connection, address, { credit_window: 100 }));
    await close(connection);
  },

  async '10,000 messages in order, straight through'(container) {
    const address = unique('direct');
    const to = await connect(container, OPEN);
    const from = await connect(container, OPEN);
    const receiver = await open_receiver(to, address, { credit_window: 100 });
    await Promise.all([receive_many(receiver), send_many(await open_sender(from, address))]);
    await close(from);
    await close(to);
  },

  async 'links, session and connection close without an error'(container) {
    const connection = await connect(container, OPEN);
    const session = connection.create_session();
    session.open();
    await close_link(await open_sender(session, unique('queue')));
    await close_link(await open_receiver(session, unique('queue')));
    const ended = next(session, 'session_close');
    session.close();
    await ended;
    await close(connection);
  },
};

// A queue's message is settled by its first receiver; with a delivery-count given it must then come again with that
// count (and is accepted). In the end nothing of it may be left.
async function settle_one(container, settle, delivery_count_again) {
  const address = unique('queue');
  const connection = await connect(container, OPEN);
  assert.equal((await send(await open_sender(connection, address), { body: 'work' })).outcome, 'accepted');
  const receiver = await open_receiver(connection, address);
  const first = await receive(receiver);
  assert.equal(first.message.body, 'work');
  assert.equal(first.message.delivery_count ?? 0, 0, 'delivery-count at first');
  settle(first.delivery);
  if (delivery_count_again !== undefined) {
    const again = await receive(receiver);
    assert.equal(again.message.body, 'work');
    assert.equal(again.message.delivery_count ?? 0, delivery_count_again, 'delivery-count of the second delivery');
    again.delivery.accept();
  }
  await close_link(receiver); // whatever the broker still holds for this link goes back to the queue
  await expect_empty(connection, address);
  await close(connection);
}

// A marker sent now must be the next to arrive.
async function expect_empty(connection, address) {
  await send(await open_sender(connection, address), { body: 'marker' });
  const { message, delivery } = await receive(await open_receiver(connection, address));
  assert.equal(message.body, 'marker', 'what the queue holds');
  delivery.accept();
}

async function send_many(sender) {
  let settled = 0;
  const all = next(sender, 'accepted', () => ++settled === MANY);
  for (let number = 0; number < MANY; number++) {
    while (!sender.sendable()) await next(sender, 'sendable');
    sender.send({ body: number });
  }
  await all;
}

async function receive_many(receiver) {
  let expected = 0;
  await next(receiver, 'message', ({ message, delivery }) => {
    assert.equal(message.body, expected++);
    delivery.accept();
    return expected === MANY;
  });
}

// ---- rhea's events as promises.

// The next such event that passes the test.
function next(emitter, event, passes = () => true) {
  return new Promise((resolve, reject) => {
    const end = (how, value) => {
      clearTimeout(timer);
      emitter.removeListener(event, listener);
      how(value);
    };
    const timer = setTimeout(end, DEADLINE, reject, new Error(`no ${event} within ${DEADLINE} ms`));
    const listener = (context) => {
      try {
        if (passes(context)) end(resolve, context);
      } catch (error) {
        end(reject, error);
      }
    };
    emitter.on(event, listener);
  });
}

async function connect(container, options) {
  const connection = container.connect(options);
  await next(connection, 'connection_open');
  return connection;
}

async function close(connection) {
  const closed = next(connection, 'connection_close');
  connection.close();
  assert.equal((await closed).error, undefined);
}

async function open_sender(parent, address) {
  const sender = parent.open_sender({ target: { address } });
  await next(sender, 'sendable');
  return sender;
}

async function open_receiver(parent, source, options = { credit_window: 0 }) {
  const receiver = parent.open_receiver({ source, autoaccept: false, ...options });
  await next(receiver, 'receiver_open');
  return receiver;
}

async function close_link(link) {
  const closed = next(link, link.is_sender() ? 'sender_close' : 'receiver_close');
  link.close();
  await closed;
}

async function send(sender, message) {
  const delivery = sender.send(message);
  await next(sender, 'settled', (context) => context.delivery === delivery);
  return { outcome: delivery.remote_state?.constructor.composite_type, error: delivery.remote_state?.error };
}

function receive(receiver) {
  const arrives = next(receiver, 'message');
  receiver.add_credit(1);
  return arrives;
}

function unique(prefix) {
  return `${prefix}.${crypto.randomUUID()}`;
}

// An event reaches the container when nothing nearer listens for it.
function first_fault(container) {
  return new Promise((_, reject) => {
    for (const event of ['error', 'connection_error', 'session_error', 'sender_error', 'receiver_error', 'disconnected']) {
      container.on(event, (context) => {
        const by = context.sender ?? context.receiver ?? context.session ?? context.connection;
        const error = context.error ?? by?.error ?? context;
        reject(new Error(`${event}: ${error.condition ?? ''} ${error.description ?? error.message ?? ''}`));
      });
    }
  });
}

async function main() {
  let failed = false;
  for (const [name, check] of Object.entries(checks)) {
    const container = rhea.create_container();
    container.options.reconnect = false;
    try {
      await Promise.race([check(container), first_fault(container)]);
      console.log(`ok - ${name}`);
    } catch (error) {
      failed = true;
      console.log(`not ok - ${name}: ${error.message.replaceAll('\n', ' ')}`);
    }
  }
  process.exit(failed ? 1 : 0);
}

main();
