package interop;

import static interop.Session.DEADLINE;
import static interop.Session.closesChannel;
import static interop.Session.code;
import static interop.Session.consume;
import static interop.Session.contents;
import static interop.Session.counts;
import static interop.Session.equal;
import static interop.Session.factory;
import static interop.Session.fill;
import static interop.Session.guest;
import static interop.Session.left;
import static interop.Session.numbered;
import static interop.Session.numbers;
import static interop.Session.own;
import static interop.Session.publish;
import static interop.Session.shared;
import static interop.Session.tag;
import static interop.Session.text;
import static interop.Session.texts;
import static interop.Session.unique;
import static java.util.Arrays.asList;
import static java.util.Collections.emptyList;
import static java.util.Collections.emptyMap;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.LongString;
import com.rabbitmq.client.Return;
import interop.Session.Arriving;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The checks of publishing, delivering and settling. */
final class Messages {
    private static final int MANY = 10_000;

    private Messages() {
    }

    static void confirmed(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = own(channel);
        channel.confirmSelect();
        for (int number = 1; number <= 3; number++) {
            publish(channel, "", queue, "hello");
            channel.waitForConfirmsOrDie(DEADLINE);
            equal("messages", (long) number, channel.messageCount(queue));
        }
        publish(channel, "", unique("nobody"), "dropped, and confirmed all the same");
        channel.waitForConfirmsOrDie(DEADLINE);
    }

    static void mandatory(Session session) throws Exception {
        Channel channel = session.channel();
        String nobody = unique("nobody");
        List<Return> returned = new ArrayList<>(); // added to by the thread that also counts the confirms
        channel.addReturnListener(returned::add);
        channel.confirmSelect();
        channel.basicPublish("", own(channel), true, null, "routed".getBytes());
        channel.basicPublish("amq.direct", nobody, true, new AMQP.BasicProperties.Builder().appId("me").build(),
                "hello?".getBytes());
        channel.waitForConfirmsOrDie(DEADLINE);
        equal("returned before the confirm", 1, returned.size());
        Return it = returned.get(0);
        equal("reply code", 312, it.getReplyCode());
        equal("exchange, routing key", "amq.direct " + nobody, it.getExchange() + " " + it.getRoutingKey());
        equal("app-id, body", "me hello?", it.getProperties().getAppId() + " " + new String(it.getBody()));
    }

    /** 0-9-1 has it, RabbitMQ has it no more. */
    static void immediate(Session session) throws Exception {
        Connection connection = guest().newConnection();
        BlockingQueue<Integer> said = new LinkedBlockingQueue<>();
        connection.addShutdownListener(closed -> said.add(code(closed)));
        Channel channel = connection.createChannel();
        channel.addReturnListener(returned -> said.add(returned.getReplyCode()));
        channel.basicPublish("", own(channel), false, true, null, "now?".getBytes());
        Integer code = said.poll(DEADLINE, TimeUnit.MILLISECONDS);
        equal("313 or 540, " + code, true, asList(313, 540).contains(code));
        connection.abort();
    }

    static void prefetch(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = numbered(channel, 10);
        Arriving arriving = consume(channel, queue, 3);
        List<Delivery> arrived = new ArrayList<>();
        for (int acknowledged = 0; acknowledged <= 7; acknowledged++) {
            arrived.addAll(arriving.next(acknowledged + 3 - arrived.size()));
            // An answer on the same channel comes after whatever else was on its way.
            equal("ready", 7L - acknowledged, channel.messageCount(queue));
            equal("arrived", 0, arriving.deliveries.size());
            channel.basicAck(tag(arrived.get(acknowledged)), false);
        }
        equal("bodies", numbers(10), texts(arrived, false));
    }

    static void noAck(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = numbered(channel, 10);
        Arriving arriving = consume(channel, queue, 3, true);
        equal("bodies", numbers(10), texts(arriving.next(10), false));
        equal("left", emptyList(), left(channel, queue, arriving));
    }

    static void ackMultiple(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = numbered(channel, 6);
        Arriving arriving = consume(channel, queue, 3);
        channel.basicAck(tag(arriving.next(3).get(1)), true);
        arriving.next(2);
        channel.basicAck(0, true); // all there are
        arriving.next();
        equal("left", asList("5"), left(channel, queue, arriving));
    }

    static void nackRequeue(Session session) throws Exception {
        Channel channel = session.channel();
        Arriving arriving = consume(channel, numbered(channel, 3), 3);
        List<Delivery> arrived = arriving.next(3);
        equal("at first", numbers(3), texts(arrived, false));
        channel.basicNack(tag(arrived.get(1)), true, true);
        equal("again", numbers(2), texts(arriving.next(2), true));
    }

    static void rejectRequeue(Session session) throws Exception {
        Channel channel = session.channel();
        Arriving arriving = consume(channel, numbered(channel, 1), 1);
        channel.basicReject(tag(arriving.next()), true);
        equal("again", numbers(1), texts(arriving.next(1), true));
    }

    static void noRequeue(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = numbered(channel, 4);
        Arriving arriving = consume(channel, queue, 4);
        List<Delivery> arrived = arriving.next(4);
        channel.basicNack(tag(arrived.get(1)), true, false);
        channel.basicReject(tag(arrived.get(2)), false);
        equal("left", asList("3"), left(channel, queue, arriving));
    }

    static void recover(Session session) throws Exception {
        Channel channel = session.channel();
        Arriving arriving = consume(channel, numbered(channel, 3), 3);
        channel.basicAck(tag(arriving.next(3).get(0)), false);
        channel.basicRecover(true);
        equal("again", asList("1", "2"), texts(arriving.next(2), true));
    }

    static void closedChannelGivesBack(Session session) throws Exception {
        Connection connection = session.connect();
        Channel first = connection.createChannel();
        String queue = numbered(first, 2);
        for (String number : numbers(2)) {
            equal("body", number, text(first.basicGet(queue, false)));
        }
        first.close();
        Channel second = connection.createChannel();
        for (String number : numbers(2)) {
            GetResponse again = second.basicGet(queue, false);
            equal("again", number, text(again));
            equal("redelivered", true, again.getEnvelope().isRedeliver());
        }
    }

    static void takeTurns(Session session) throws Exception {
        Connection connection = session.connect();
        Channel channel = connection.createChannel();
        String queue = own(channel);
        Arriving one = consume(channel, queue, 1);
        Arriving two = consume(connection.createChannel(), queue, 1);
        fill(channel, queue, numbers(2));
        List<String> bodies = asList(text(one.next()), text(two.next()));
        bodies.sort(null);
        equal("bodies", numbers(2), bodies);
    }

    static void exclusiveConsumer(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = own(channel);
        channel.basicConsume(queue, false, "", false, true, null, (tag, delivery) -> { }, tag -> { });
        closesChannel(channel.getConnection(), 403, it -> consume(it, queue, 0));
    }

    static void cancelledConsumer(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = own(channel);
        Arriving arriving = consume(channel, queue, 0);
        fill(channel, queue, asList("before"));
        Delivery before = arriving.next();
        channel.basicCancel(arriving.tag);
        fill(channel, queue, asList("after"));
        equal("queue", asList(1, 0), counts(channel.queueDeclarePassive(queue)));
        equal("arrived", 0, arriving.deliveries.size());
        channel.basicAck(tag(before), false); // which it may still
    }

    static void get(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = numbered(channel, 3);
        for (boolean again : new boolean[] {false, true}) {
            GetResponse got = channel.basicGet(queue, false);
            equal("body", "0", text(got));
            equal("how many more", 2, got.getMessageCount());
            equal("redelivered", again, got.getEnvelope().isRedeliver());
            if (again) {
                channel.basicAck(got.getEnvelope().getDeliveryTag(), false);
            } else {
                channel.basicNack(got.getEnvelope().getDeliveryTag(), false, true);
            }
        }
        equal("contents", asList("1", "2"), contents(channel, queue));
    }

    static void properties(Session session) throws Exception {
        Map<String, Object> headers = new TreeMap<>();
        headers.put("text", "grüße");
        headers.put("bytes", new byte[] {0, -1});
        headers.put("true", true);
        headers.put("null", null);
        headers.put("byte", (byte) -5);
        headers.put("short", (short) -300);
        headers.put("int", -70_000);
        headers.put("long", -1L << 40);
        headers.put("float", 0.5f);
        headers.put("double", 1.5);
        headers.put("decimal", new BigDecimal("-12.25"));
        headers.put("time", new Date(1_709_209_801_000L));
        headers.put("empty", emptyMap());
        headers.put("array", emptyList());
        headers.put("table", Map.of("a", Map.of("b", asList(1, "two", asList(false), Map.of("four", 4L)))));
        AMQP.BasicProperties all = new AMQP.BasicProperties.Builder().contentType("text/plain").contentEncoding("gzip")
                .headers(headers).deliveryMode(2).priority(7).correlationId("correlation").replyTo("reply.to")
                .expiration("600000").messageId("id 1").timestamp(new Date(1000L << 33)).type("greeting")
                .userId("guest").appId("interop").clusterId("cluster").build();
        Channel channel = session.channel();
        String queue = own(channel);
        for (AMQP.BasicProperties sent : asList(all, new AMQP.BasicProperties(),
                new AMQP.BasicProperties.Builder().headers(emptyMap()).priority(0).build())) {
            channel.basicPublish("", queue, sent, "hello".getBytes());
            GetResponse got = channel.basicGet(queue, true);
            equal("exchange, routing key", " " + queue,
                    got.getEnvelope().getExchange() + " " + got.getEnvelope().getRoutingKey());
            AMQP.BasicProperties received = got.getProps();
            equal("headers", plain(sent.getHeaders()), plain(received.getHeaders()));
            equal("properties", sent.builder().headers(null).build(), received.builder().headers(null).build());
        }
    }

    /** Something that can be compared. */
    private static Object plain(Object value) {
        if (value instanceof LongString) {
            return value.toString();
        } else if (value instanceof byte[]) {
            return Arrays.toString((byte[]) value);
        } else if (value instanceof List) {
            List<Object> list = new ArrayList<>();
            ((List<?>) value).forEach(item -> list.add(plain(item)));
            return list;
        } else if (value instanceof Map) {
            Map<Object, Object> map = new TreeMap<>();
            ((Map<?, ?>) value).forEach((key, item) -> map.put(key, plain(item)));
            return map;
        }
        return value;
    }

    static void emptyBody(Session session) throws Exception {
        Channel channel = session.channel();
        String queue = own(channel);
        List<String> bodies = asList("", "and then one that is not");
        fill(channel, queue, bodies);
        equal("contents", bodies, contents(channel, queue));
    }

    static void bigBody(Session session) throws Exception {
        byte[] bytes = new byte[1_000_000];
        new Random().nextBytes(bytes);
        ConnectionFactory factory = guest();
        factory.setRequestedFrameMax(4096);
        Channel small = session.connect(factory).createChannel();
        Channel large = session.channel();
        String queue = shared(small, unique("big"));
        for (Channel[] way : new Channel[][] {{small, large}, {large, small}}) {
            way[0].confirmSelect();
            way[0].basicPublish("", queue, true, null, bytes);
            way[0].waitForConfirmsOrDie(DEADLINE);
            GetResponse got = way[1].basicGet(queue, true);
            equal("length", bytes.length, got.getBody().length);
            equal("the same bytes", true, Arrays.equals(bytes, got.getBody()));
        }
        small.queueDelete(queue);
    }

    static void manyStored(Session session) throws Exception {
        Channel channel = session.channel();
        receiveMany(channel, numbered(channel, MANY));
    }

    static void manyStraight(Session session) throws Exception {
        Channel to = session.channel();
        Channel from = session.channel();
        String queue = shared(to, unique("many"));
        CompletableFuture<Void> sent = CompletableFuture.runAsync(() -> {
            try {
                fill(from, queue, numbers(MANY));
            } catch (Exception fault) {
                throw new CompletionException(fault);
            }
        });
        receiveMany(to, queue);
        sent.get(DEADLINE, TimeUnit.MILLISECONDS);
        to.queueDelete(queue);
    }

    private static void receiveMany(Channel channel, String queue) throws Exception {
        Arriving arriving = consume(channel, queue, 100);
        for (int number = 0; number < MANY; number++) {
            Delivery delivery = arriving.next();
            equal("body", Integer.toString(number), text(delivery));
            if (number % 50 == 49) {
                channel.basicAck(tag(delivery), true);
            }
        }
    }
}
