package interop;

import static com.rabbitmq.client.BuiltinExchangeType.DIRECT;
import static com.rabbitmq.client.BuiltinExchangeType.FANOUT;
import static com.rabbitmq.client.BuiltinExchangeType.HEADERS;
import static com.rabbitmq.client.BuiltinExchangeType.TOPIC;
import static interop.Session.DEADLINE;
import static interop.Session.bound;
import static interop.Session.closesChannel;
import static interop.Session.code;
import static interop.Session.consume;
import static interop.Session.contents;
import static interop.Session.counts;
import static interop.Session.equal;
import static interop.Session.factory;
import static interop.Session.fill;
import static interop.Session.guest;
import static interop.Session.newExchange;
import static interop.Session.numbered;
import static interop.Session.numbers;
import static interop.Session.own;
import static interop.Session.publish;
import static interop.Session.shared;
import static interop.Session.tag;
import static interop.Session.take;
import static interop.Session.unique;
import static interop.Session.untilGone;
import static interop.Session.works;
import static java.util.Arrays.asList;
import static java.util.Collections.emptyList;
import static java.util.Collections.emptyMap;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.ShutdownSignalException;
import interop.Session.Arriving;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** RabbitMQ's Java client against fakebroker: one method a check. What the environment holds: ../../README.md */
public final class Client {
    private interface Check {
        void run(Session session) throws Exception;
    }

    public static void main(String[] arguments) {
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("connect as guest", Session::channel);
        checks.put("connect with credentials", Client::connectWithCredentials);
        checks.put("a wrong password is refused: 403", Client::wrongPassword);
        checks.put("an unknown virtual host is refused: 530", Client::unknownVirtualHost);
        checks.put("a queue named by the server", Client::namedByTheServer);
        checks.put("no queue name is the queue that the channel declared last", Client::theLastQueue);
        checks.put("declare says how many messages and consumers", Client::declareCounts);
        checks.put("an exclusive queue is locked for other connections: 405", Client::exclusiveQueue);
        checks.put("an exclusive queue goes with its connection", Client::exclusiveQueueGoes);
        checks.put("an auto-delete queue goes with its last consumer", Client::autoDeleteQueueGoes);
        checks.put("names that begin with amq. are refused: 403", Client::reservedNames);
        checks.put("direct exchange: by the routing key; nothing once unbound", Client::directExchange);
        checks.put("fanout exchange: a copy for every queue", Client::fanoutExchange);
        checks.put("topic exchange: * is one word, # any number of them", Client::topicExchange);
        checks.put("headers exchange: x-match all and any", Client::headersExchange);
        checks.put("an exchange bound to an exchange", Client::exchangeToExchange);
        checks.put("a deleted exchange is gone: 404", Client::exchangeDeleted);
        checks.put("an unknown exchange type closes the connection: 503", Client::unknownExchangeType);
        checks.put("a publish is confirmed", Messages::confirmed);
        checks.put("mandatory: an unroutable message is returned with 312", Messages::mandatory);
        checks.put("immediate: returned with 313, or closes the connection: 540", Messages::immediate);
        checks.put("prefetch: never more unacknowledged than asked for", Messages::prefetch);
        checks.put("a consumer that need not acknowledge: all arrive, and are gone", Messages::noAck);
        checks.put("ack with multiple", Messages::ackMultiple);
        checks.put("nack with requeue: redelivered", Messages::nackRequeue);
        checks.put("reject with requeue: redelivered", Messages::rejectRequeue);
        checks.put("nack and reject without requeue: gone", Messages::noRequeue);
        checks.put("recover: what is unacknowledged is redelivered", Messages::recover);
        checks.put("a closed channel gives back what it had not acknowledged", Messages::closedChannelGivesBack);
        checks.put("two consumers take turns", Messages::takeTurns);
        checks.put("an exclusive consumer keeps others out: 403", Messages::exclusiveConsumer);
        checks.put("a cancelled consumer gets nothing more", Messages::cancelledConsumer);
        checks.put("get, and get from an empty queue", Messages::get);
        checks.put("purge and delete say how many messages", Client::purgeAndDelete);
        checks.put("delete if unused, if empty: 406", Client::deleteConditions);
        checks.put("a consumer is cancelled when its queue is deleted", Client::cancelledByTheBroker);
        checks.put("a missing queue closes the channel: 404; a new one works", Client::missingQueue);
        checks.put("an unknown delivery tag closes the channel: 406; a new one works", Client::unknownDeliveryTag);
        checks.put("properties and headers arrive as they were sent", Messages::properties);
        checks.put("an empty body", Messages::emptyBody);
        checks.put("a body of 1 MB, whatever the size of frames", Messages::bigBody);
        checks.put("10,000 messages in order, stored and then received", Messages::manyStored);
        checks.put("10,000 messages in order, straight through", Messages::manyStraight);
        checks.put("heartbeats keep an idle connection alive", Client::heartbeats);
        checks.put("consumer, channel and connection close without an error", Client::closeCleanly);

        boolean failed = false;
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            try (Session session = new Session()) {
                check.getValue().run(session);
            } catch (Exception | AssertionError fault) {
                failed = true;
                Throwable cause = fault.getCause() == null ? fault : fault.getCause();
                System.out.println("not ok - " + check.getKey() + ": " + cause.toString().replace('\n', ' '));
                continue;
            }
            System.out.println("ok - " + check.getKey());
        }
        System.exit(failed ? 1 : 0);
    }

    private static void connectWithCredentials(Session session) throws Exception {
        session.connect(factory("AUTH", System.getenv("AUTH_USER"), System.getenv("AUTH_PASSWORD"))).createChannel();
        session.connect(factory("OPEN", "anyone", "anything")).createChannel();
    }

    private static void wrongPassword(Session session) throws Exception {
        try {
            session.connect(factory("AUTH", System.getenv("AUTH_USER"), "wrong"));
        } catch (AuthenticationFailureException expected) { // what it makes of 403
            return;
        }
        throw new AssertionError("it was let in");
    }

    private static void unknownVirtualHost(Session session) throws Exception {
        ConnectionFactory factory = guest();
        factory.setVirtualHost(unique("nowhere"));
        try {
            session.connect(factory);
        } catch (IOException refused) {
            equal("connection.close", 530, code(refused));
            return;
        }
        throw new AssertionError("it was let in");
    }

    private static void namedByTheServer(Session session) throws Exception {
        Channel channel = session.channel();
        String one = own(channel);
        String two = own(channel);
        equal("they have names", false, one.isEmpty() || two.isEmpty() || one.equals(two));
        fill(channel, one, asList("hello"));
        equal("body", "hello", take(channel, one));
    }

    private static void theLastQueue(Session session) throws Exception {
        Channel channel = session.channel();
        own(channel);
        channel.queueBind("", "amq.fanout", "");
        publish(channel, "amq.fanout", "", "one");
        Arriving arriving = consume(channel, "", 0);
        Delivery first = arriving.next();
        channel.basicCancel(arriving.tag);
        channel.basicNack(tag(first), false, true);
        equal("body", "one", take(channel, ""));
        channel.queueUnbind("", "amq.fanout", "");
        publish(channel, "amq.fanout", "", "two");
        equal("purged", 0, channel.queuePurge("").getMessageCount());
        channel.queueDelete("");
    }

    private static void declareCounts(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = shared(channel, unique("declare"));
        equal("at first", asList(0, 0), counts(channel.queueDeclarePassive(queue)));
        fill(channel, queue, numbers(3));
        equal("filled", asList(3, 0), counts(channel.queueDeclarePassive(queue)));
        consume(session.channel(), queue, 1).next();
        equal("consumed", asList(2, 1), counts(channel.queueDeclarePassive(queue)));
        channel.queueDelete(queue);
    }

    private static void exclusiveQueue(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = own(channel, unique("exclusive"));
        Connection other = session.connect();
        closesChannel(other, 405, it -> it.queueDeclarePassive(queue));
        closesChannel(other, 405, it -> own(it, queue));
        closesChannel(other, 405, it -> consume(it, queue, 0));
        closesChannel(other, 405, it -> it.basicGet(queue, false));
        closesChannel(other, 405, it -> it.queuePurge(queue));
        closesChannel(other, 405, it -> it.queueDelete(queue));
        own(channel, queue);
    }

    private static void exclusiveQueueGoes(Session session) throws Exception {
        Connection connection = session.connect();
        String queue = own(connection.createChannel(), unique("exclusive"));
        connection.close();
        untilGone(session.connect(), queue);
    }

    private static void autoDeleteQueueGoes(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = channel.queueDeclare(unique("auto-delete"), false, false, true, null).getQueue();
        Arriving one = consume(channel, queue, 0);
        Arriving two = consume(channel, queue, 0);
        channel.basicCancel(one.tag);
        channel.queueDeclarePassive(queue);
        channel.basicCancel(two.tag);
        untilGone(channel.getConnection(), queue);
    }

    private static void reservedNames(Session session) throws Exception {
        Connection connection = session.connect();
        closesChannel(connection, 403, it -> shared(it, unique("amq.queue")));
        closesChannel(connection, 403, it -> it.exchangeDeclare(unique("amq.exchange"), DIRECT));
    }

    private static void directExchange(Session session) throws Exception {
        Channel channel = session.channel();
        for (String exchange : asList("amq.direct", newExchange(channel, DIRECT))) {
            List<String> queues = bound(channel, exchange, "red", "blue");
            for (String queue : queues) {
                channel.queueBind(queue, exchange, "both");
            }
            for (String key : asList("red", "blue", "both", "green")) {
                publish(channel, exchange, key, key);
            }
            equal("contents", asList(asList("red", "both"), asList("blue", "both")), contents(channel, queues));
            channel.queueUnbind(queues.get(0), exchange, "both");
            publish(channel, exchange, "both", "again");
            equal("contents", asList(emptyList(), asList("again")), contents(channel, queues));
        }
    }

    private static void fanoutExchange(Session session) throws Exception {
        Channel channel = session.channel();
        for (String exchange : asList("amq.fanout", newExchange(channel, FANOUT))) {
            List<String> queues = bound(channel, exchange, "one", "two");
            channel.queueBind(queues.get(0), exchange, "twice"); // and still one copy
            publish(channel, exchange, "twice", "hello");
            equal("contents", asList(asList("hello"), asList("hello")), contents(channel, queues));
        }
    }

    private static void topicExchange(Session session) throws Exception {
        Channel channel = session.channel();
        for (String exchange : asList("amq.topic", newExchange(channel, TOPIC))) {
            List<String> queues = bound(channel, exchange, "*.stock.#", "usd.*", "#", "usd.stock");
            List<String> keys = asList("usd.stock", "eur.stock.db", "stock.nasdaq", "usd", "usd.stock.a.b", "");
            for (String key : keys) {
                publish(channel, exchange, key, key);
            }
            equal("contents", asList(asList("usd.stock", "eur.stock.db", "usd.stock.a.b"), asList("usd.stock"), keys,
                    asList("usd.stock")), contents(channel, queues));
        }
    }

    private static void headersExchange(Session session) throws Exception {
        Channel channel = session.channel();
        for (String exchange : asList("amq.headers", newExchange(channel, HEADERS))) {
            String all = bound(channel, exchange, "", Map.of("x-match", "all", "colour", "red", "size", 5));
            String any = bound(channel, exchange, "", Map.of("x-match", "any", "colour", "red", "size", 5));
            Map<String, Map<String, Object>> messages = new LinkedHashMap<>();
            messages.put("both", Map.of("colour", "red", "size", 5, "else", true));
            messages.put("colour", Map.of("colour", "red", "size", 6));
            messages.put("size", Map.of("size", 5));
            messages.put("none", Map.of("colour", "blue"));
            messages.put("no headers", null);
            for (Map.Entry<String, Map<String, Object>> message : messages.entrySet()) {
                channel.basicPublish(exchange, "",
                        new AMQP.BasicProperties.Builder().headers(message.getValue()).build(),
                        message.getKey().getBytes());
            }
            equal("all", asList("both"), contents(channel, all));
            equal("any", asList("both", "colour", "size"), contents(channel, any));
        }
    }

    private static void exchangeToExchange(Session session) throws Exception {
        Channel channel = session.channel();
        String source = newExchange(channel, DIRECT);
        String destination = newExchange(channel, FANOUT);
        String queue = bound(channel, destination, "", emptyMap());
        channel.exchangeBind(destination, source, "through");
        publish(channel, source, "through", "hello");
        equal("contents", asList("hello"), contents(channel, queue));
        channel.exchangeUnbind(destination, source, "through");
        publish(channel, source, "through", "hello");
        equal("contents", emptyList(), contents(channel, queue));
    }

    private static void exchangeDeleted(Session session) throws Exception {
        Channel channel = session.channel();
        String exchange = newExchange(channel, FANOUT);
        channel.exchangeDeclarePassive(exchange);
        channel.exchangeDelete(exchange);
        closesChannel(channel.getConnection(), 404, it -> it.exchangeDeclarePassive(exchange));
        closesChannel(channel.getConnection(), 404, it -> publish(it, exchange, "", "hello?"));
    }

    private static void unknownExchangeType(Session session) throws Exception {
        Connection connection = guest().newConnection();
        try {
            connection.createChannel().exchangeDeclare(unique("exchange"), "no such type");
        } catch (IOException closed) {
            equal("connection.close", 503, code(closed));
            equal("the connection is open", false, connection.isOpen());
            return;
        }
        throw new AssertionError("it was declared");
    }

    private static void purgeAndDelete(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = own(channel, unique("deleted"));
        fill(channel, queue, numbers(3));
        GetResponse held = channel.basicGet(queue, false);
        equal("purged", 2, channel.queuePurge(queue).getMessageCount());
        channel.basicNack(held.getEnvelope().getDeliveryTag(), false, true); // unacknowledged messages are not purged
        equal("deleted", 1, channel.queueDelete(queue).getMessageCount());
        untilGone(channel.getConnection(), queue);
        own(channel, queue);
        equal("contents", emptyList(), contents(channel, queue));
    }

    private static void deleteConditions(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = numbered(channel, 1);
        closesChannel(channel.getConnection(), 406, it -> it.queueDelete(queue, false, true));
        Arriving arriving = consume(channel, queue, 0);
        Delivery held = arriving.next();
        closesChannel(channel.getConnection(), 406, it -> it.queueDelete(queue, true, false));
        channel.basicAck(tag(held), false);
        channel.basicCancel(arriving.tag);
        channel.queueDelete(queue, true, true);
        untilGone(channel.getConnection(), queue);
    }

    private static void cancelledByTheBroker(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = shared(channel, unique("deleted"));
        Arriving arriving = consume(channel, queue, 0);
        session.channel().queueDelete(queue);
        equal("cancelled", arriving.tag, arriving.cancelled.get(DEADLINE, TimeUnit.MILLISECONDS));
        own(channel); // the channel lives on
    }

    private static void missingQueue(Session session) throws Exception {
        Connection connection = session.connect();
        String queue = unique("missing");
        closesChannel(connection, 404, it -> it.queueDeclarePassive(queue));
        closesChannel(connection, 404, it -> consume(it, queue, 0));
        closesChannel(connection, 404, it -> it.basicGet(queue, false));
        closesChannel(connection, 404, it -> it.queueBind(queue, "amq.direct", "key"));
        closesChannel(connection, 404, it -> it.queuePurge(queue));
        works(connection.createChannel());
    }

    private static void unknownDeliveryTag(Session session) throws Exception {
        Connection connection = session.connect();
        closesChannel(connection, 406, it -> it.basicAck(99, false));
        closesChannel(connection, 406, it -> it.basicReject(99, true));
        closesChannel(connection, 406, it -> it.basicNack(99, false, true));
        closesChannel(connection, 406, it -> {
            long tag = it.basicGet(numbered(it, 1), false).getEnvelope().getDeliveryTag();
            it.basicAck(tag, false);
            it.basicAck(tag, false);
        });
        works(connection.createChannel());
    }

    private static void heartbeats(Session session) throws Exception {
        BlockingQueue<Integer> reads = new LinkedBlockingQueue<>();
        ConnectionFactory factory = guest();
        factory.setRequestedHeartbeat(1);
        factory.setSocketFactory(new WatchedSockets(reads));
        Channel channel = session.connect(factory).createChannel();
        reads.clear();
        // Who sees nothing for two intervals may go, so: three heartbeats of 8 bytes, and more than two intervals.
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(4);
        for (int octets = 0; octets < 24 || System.nanoTime() < until;) {
            Integer read = reads.poll(DEADLINE, TimeUnit.MILLISECONDS);
            equal("a heartbeat came", true, read != null);
            octets += read;
        }
        works(channel);
    }

    private static void closeCleanly(Session session) throws Exception {
        Connection connection = session.connect();
        Channel channel = connection.createChannel();
        List<CompletableFuture<ShutdownSignalException>> closed =
                asList(new CompletableFuture<>(), new CompletableFuture<>());
        channel.addShutdownListener(closed.get(0)::complete);
        connection.addShutdownListener(closed.get(1)::complete);
        channel.basicCancel(consume(channel, own(channel), 0).tag);
        channel.close();
        connection.close(DEADLINE);
        for (CompletableFuture<ShutdownSignalException> each : closed) {
            ShutdownSignalException why = each.get(DEADLINE, TimeUnit.MILLISECONDS);
            equal(why.toString(), true, why.isInitiatedByApplication());
        }
    }
}
