package interop;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.Method;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What a check opens, and what it does there. Each connection must be alive in the end, unless the check closed it. */
final class Session implements AutoCloseable {
    static final int DEADLINE = 20_000; // milliseconds, for every single wait

    private final List<Connection> connections = new ArrayList<>();

    /** For the wire, what is left out is the client's default. */
    static ConnectionFactory factory(String broker, String user, String password) {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(System.getenv(broker + "_HOST"));
        factory.setPort(Integer.parseInt(System.getenv(broker + "_PORT")));
        factory.setUsername(user);
        factory.setPassword(password);
        factory.setAutomaticRecoveryEnabled(false);
        factory.setConnectionTimeout(DEADLINE);
        factory.setHandshakeTimeout(DEADLINE);
        factory.setChannelRpcTimeout(DEADLINE);
        return factory;
    }

    static ConnectionFactory guest() {
        return factory("OPEN", "guest", "guest");
    }

    Connection connect(ConnectionFactory factory) throws Exception {
        Connection connection = factory.newConnection();
        connections.add(connection);
        return connection;
    }

    Connection connect() throws Exception {
        return connect(guest());
    }

    /** One on a connection of its own. */
    Channel channel() throws Exception {
        return connect().createChannel();
    }

    @Override
    public void close() throws IOException {
        for (Connection connection : connections) {
            ShutdownSignalException closed = connection.getCloseReason();
            if (closed == null) {
                connection.close(DEADLINE);
            } else if (!closed.isInitiatedByApplication()) {
                throw closed;
            }
        }
    }

    interface Use {
        void of(Channel channel) throws Exception;
    }

    /** Uses a channel that the broker must close with this code. */
    static void closesChannel(Connection connection, int code, Use use) throws Exception {
        Channel channel = connection.createChannel();
        CompletableFuture<ShutdownSignalException> closed = new CompletableFuture<>();
        channel.addShutdownListener(closed::complete);
        try {
            use.of(channel);
        } catch (IOException | ShutdownSignalException expected) {
            // The listener is told why.
        }
        equal("channel.close", code, code(closed.get(DEADLINE, TimeUnit.MILLISECONDS)));
    }

    /** The reply code with which the broker closed a channel or connection; -1 if something else happened. */
    static int code(Throwable error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof ShutdownSignalException) {
                Method reason = ((ShutdownSignalException) cause).getReason();
                if (reason instanceof AMQP.Channel.Close) {
                    return ((AMQP.Channel.Close) reason).getReplyCode();
                } else if (reason instanceof AMQP.Connection.Close) {
                    return ((AMQP.Connection.Close) reason).getReplyCode();
                }
            }
        }
        return -1;
    }

    static void untilGone(Connection connection, String queue) throws Exception {
        while (true) {
            Channel channel = connection.createChannel();
            try {
                channel.queueDeclarePassive(queue);
                channel.close();
            } catch (IOException closed) {
                if (code(closed) == 404) {
                    return;
                }
                equal("channel.close", 405, code(closed));
            }
        }
    }

    /** A queue that the connection has to itself, named by the server. */
    static String own(Channel channel) throws IOException {
        return own(channel, "");
    }

    static String own(Channel channel, String name) throws IOException {
        return channel.queueDeclare(name, false, true, false, null).getQueue();
    }

    static String shared(Channel channel, String name) throws IOException {
        return channel.queueDeclare(name, false, false, false, null).getQueue();
    }

    static List<Integer> counts(AMQP.Queue.DeclareOk declared) {
        return Arrays.asList(declared.getMessageCount(), declared.getConsumerCount());
    }

    static String newExchange(Channel channel, BuiltinExchangeType type) throws IOException {
        String name = unique(type.getType());
        channel.exchangeDeclare(name, type);
        return name;
    }

    static String bound(Channel channel, String exchange, String key, Map<String, Object> arguments)
            throws IOException {
        String queue = own(channel);
        channel.queueBind(queue, exchange, key, arguments);
        return queue;
    }

    /** A queue for each key. */
    static List<String> bound(Channel channel, String exchange, String... keys) throws IOException {
        List<String> queues = new ArrayList<>();
        for (String key : keys) {
            queues.add(bound(channel, exchange, key, Collections.emptyMap()));
        }
        return queues;
    }

    static void publish(Channel channel, String exchange, String key, String body) throws IOException {
        channel.basicPublish(exchange, key, null, body.getBytes());
    }

    /** Waits for the confirms: only then is it certain that the messages count. */
    static void fill(Channel channel, String queue, List<String> bodies) throws Exception {
        Channel publisher = channel.getConnection().createChannel();
        publisher.confirmSelect();
        for (String body : bodies) {
            publisher.basicPublish("", queue, true, null, body.getBytes());
        }
        publisher.waitForConfirmsOrDie(DEADLINE);
        publisher.close();
    }

    /** A queue of the connection that holds the numbers up to count. */
    static String numbered(Channel channel, int count) throws Exception {
        String queue = own(channel);
        fill(channel, queue, numbers(count));
        return queue;
    }

    static String take(Channel channel, String queue) throws IOException {
        return text(channel.basicGet(queue, true));
    }

    /** Takes what is in the queue. Channels keep order, so what was published on this one has been routed. */
    static List<String> contents(Channel channel, String queue) throws IOException {
        List<String> bodies = new ArrayList<>();
        for (String body = take(channel, queue); body != null; body = take(channel, queue)) {
            bodies.add(body);
        }
        return bodies;
    }

    static List<List<String>> contents(Channel channel, List<String> queues) throws IOException {
        List<List<String>> all = new ArrayList<>();
        for (String queue : queues) {
            all.add(contents(channel, queue));
        }
        return all;
    }

    /** What the queue still holds once its consumer is gone and what that holds is given back. */
    static List<String> left(Channel channel, String queue, Arriving arriving) throws IOException {
        channel.basicCancel(arriving.tag);
        channel.basicRecover(true);
        return contents(channel, queue);
    }

    /** What comes to a consumer. */
    static final class Arriving {
        String tag;
        final BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
        final CompletableFuture<String> cancelled = new CompletableFuture<>();

        Delivery next() throws InterruptedException {
            Delivery delivery = deliveries.poll(DEADLINE, TimeUnit.MILLISECONDS);
            if (delivery == null) {
                throw new AssertionError("nothing arrived");
            }
            return delivery;
        }

        List<Delivery> next(int count) throws InterruptedException {
            List<Delivery> all = new ArrayList<>();
            while (all.size() < count) {
                all.add(next());
            }
            return all;
        }
    }

    static Arriving consume(Channel channel, String queue, int prefetch) throws IOException {
        return consume(channel, queue, prefetch, false);
    }

    static Arriving consume(Channel channel, String queue, int prefetch, boolean noAck) throws IOException {
        Arriving arriving = new Arriving();
        channel.basicQos(prefetch);
        arriving.tag = channel.basicConsume(queue, noAck, (tag, delivery) -> arriving.deliveries.add(delivery),
                arriving.cancelled::complete);
        return arriving;
    }

    static void works(Channel channel) throws Exception {
        equal("body", "0", take(channel, numbered(channel, 1)));
    }

    static long tag(Delivery delivery) {
        return delivery.getEnvelope().getDeliveryTag();
    }

    static String text(Delivery delivery) {
        return new String(delivery.getBody());
    }

    static String text(GetResponse got) {
        return got == null ? null : new String(got.getBody());
    }

    /** The bodies of deliveries that all must be redelivered, or none. */
    static List<String> texts(List<Delivery> deliveries, boolean redelivered) {
        List<String> all = new ArrayList<>();
        for (Delivery delivery : deliveries) {
            equal("redelivered", redelivered, delivery.getEnvelope().isRedeliver());
            all.add(text(delivery));
        }
        return all;
    }

    static List<String> numbers(int count) {
        List<String> all = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            all.add(Integer.toString(number));
        }
        return all;
    }

    static String unique(String prefix) {
        return prefix + "." + UUID.randomUUID();
    }

    static void equal(String what, Object expected, Object got) {
        if (expected == null ? got != null : !expected.equals(got)) {
            throw new AssertionError(what + ": " + got + ", not " + expected);
        }
    }
}
