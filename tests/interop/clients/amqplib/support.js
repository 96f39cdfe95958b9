// What the checks are made with: channels, queues with something in them, and waiting.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const amqplib = require('amqplib');

const MANY = 10_000;

const models = new WeakMap(); // amqplib's channels know their connection, but not the model that opens channels

async function refused(reason, options) {
  await assert.rejects(amqplib.connect(options), reason);
}

// The broker must close the channel with this code: that is what a call fails with, or what the channel says later.
async function closes_channel(connection, code, use) {
  const channel = await connection.createChannel();
  const closed = next(channel, 'error');
  const why = await Promise.race([closed, Promise.resolve(use(channel)).then(() => closed, (error) => error)]);
  assert.equal(why.code, code, why.message);
  await closed;
}

// The queues that the connection has to itself. Without a name the server finds one.
async function own_queue(channel, name = '') {
  return (await channel.assertQueue(name, { exclusive: true })).queue;
}

async function new_exchange(channel, type) {
  return (await channel.assertExchange(unique(type), type)).exchange;
}

// A queue for each [routing key, arguments].
async function bound(channel, exchange, ...bindings) {
  const queues = [];
  for (const [key, args] of bindings) {
    const queue = await own_queue(channel);
    await channel.bindQueue(queue, exchange, key, args);
    queues.push(queue);
  }
  return queues;
}

// Takes what is in the queues. Channels keep order, so what was published on this one has been routed.
async function contents(channel, queues) {
  const all = [];
  for (const queue of queues) {
    const bodies = [];
    for (let next_body; (next_body = await take(channel, queue)) !== undefined; ) bodies.push(next_body);
    all.push(bodies);
  }
  return all;
}

async function take(channel, queue) {
  return body(await channel.get(queue, { noAck: true }));
}

// Waits for the confirms: only then is it certain that the messages count.
async function fill(channel, queue, ...bodies) {
  const publisher = await models.get(channel.connection).createConfirmChannel();
  for (const each of bodies) {
    if (!publisher.sendToQueue(queue, Buffer.from(each))) await next(publisher, 'drain');
  }
  await publisher.waitForConfirms();
  await publisher.close();
}

async function numbered(channel, count, name) {
  const queue = await own_queue(channel, name);
  await fill(channel, queue, ...numbers(count));
  return queue;
}

// What the queue still holds once its consumer is gone and what it holds is given back.
async function left(channel, queue, arrived) {
  await channel.cancel(arrived[0].fields.consumerTag);
  await channel.recover();
  return (await contents(channel, [queue]))[0];
}

// An array that grows, with a promise of some length.
class Arrived extends Array {
  #waiting = [];

  arrive(message) {
    this.push(message);
    for (const waiting of this.#waiting) waiting();
  }

  reach(length) {
    return new Promise((resolve) => {
      const look = () => this.length >= length && resolve();
      this.#waiting.push(look);
      look();
    });
  }

  static get [Symbol.species]() {
    return Array;
  }
}

async function consume(channel, queue, prefetch = 0, options = {}) {
  const arrived = new Arrived();
  await channel.prefetch(prefetch);
  await channel.consume(queue, (message) => arrived.arrive(message), options);
  return arrived;
}

async function receive_many(channel, queue) {
  const arrived = new Arrived();
  await channel.prefetch(100);
  await channel.consume(queue, (message) => {
    arrived.arrive(body(message));
    if (arrived.length % 50 === 0) channel.ack(message, true);
  });
  await arrived.reach(MANY);
  assert.deepEqual([...arrived], numbers(MANY));
}

async function until_gone(connection, queue) {
  for (;;) {
    const channel = await connection.createChannel();
    channel.on('error', () => {}); // the call fails as well
    try {
      await channel.checkQueue(queue);
      await channel.close();
    } catch (error) {
      if (error.code === 404) return;
      assert.equal(error.code, 405, error.message);
    }
  }
}

async function works(channel) {
  const queue = await own_queue(channel);
  await fill(channel, queue, 'hello');
  assert.equal(await take(channel, queue), 'hello');
}

function body(message) {
  return message ? message.content.toString() : undefined;
}

function redelivered(message) {
  return message.fields.redelivered;
}

function numbers(count) {
  return Array.from({ length: count }, (_, number) => String(number));
}

function unique(prefix) {
  return `${prefix}.${crypto.randomUUID()}`;
}

function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

module.exports = {
  MANY, models, refused, closes_channel, own_queue, new_exchange, bound, contents, take, fill, numbered, left,
  consume, receive_many, until_gone, works, body, redelivered, numbers, unique, next,
};
