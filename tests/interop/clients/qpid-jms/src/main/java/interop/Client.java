package interop;

import static jakarta.jms.Session.AUTO_ACKNOWLEDGE;
import static jakarta.jms.Session.CLIENT_ACKNOWLEDGE;
import static org.apache.qpid.jms.message.JmsMessageSupport.ACCEPTED;
import static org.apache.qpid.jms.message.JmsMessageSupport.JMS_AMQP_ACK_TYPE;
import static org.apache.qpid.jms.message.JmsMessageSupport.MODIFIED_FAILED;
import static org.apache.qpid.jms.message.JmsMessageSupport.REJECTED;
import static org.apache.qpid.jms.message.JmsMessageSupport.RELEASED;

import jakarta.jms.BytesMessage;
import jakarta.jms.CompletionListener;
import jakarta.jms.Connection;
import jakarta.jms.InvalidDestinationException;
import jakarta.jms.JMSException;
import jakarta.jms.JMSSecurityException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TextMessage;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.qpid.jms.JmsConnectionFactory;

/** Qpid JMS against fakebroker: one method a check. What the environment holds: ../../README.md */
public final class Client {
    private static final int DEADLINE = 20_000; // milliseconds, for every single wait
    private static final int MANY = 10_000;
    private static final int INDIVIDUAL_ACKNOWLEDGE = 101; // Qpid JMS' own
    private static final AtomicReference<JMSException> FAULT = new AtomicReference<>(); // of any connection

    private interface Check {
        void run() throws Exception;
    }

    private static final class Skip extends Exception {
        Skip(String why) {
            super(why);
        }
    }

    public static void main(String[] arguments) {
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("connect without a SASL layer", Client::connectWithoutSasl);
        checks.put("connect with SASL ANONYMOUS", Client::connectAnonymous);
        checks.put("connect with credentials", Client::connectWithCredentials);
        checks.put("a wrong password is refused", Client::wrongPassword);
        checks.put("no credentials are refused where there are users", Client::noCredentials);
        checks.put("accepted: the sender is told, the message is gone", () -> settleOne(ACCEPTED, -1));
        checks.put("accepted by CLIENT_ACKNOWLEDGE: both messages are gone", Client::clientAcknowledge);
        checks.put("rejected: the message is gone", () -> settleOne(REJECTED, -1));
        checks.put("released: delivered again, delivery-count unchanged", () -> settleOne(RELEASED, 0));
        checks.put("modified: delivered again, delivery-count unchanged", Client::modified);
        checks.put("modified with delivery-failed: delivered again, delivery-count raised",
                () -> settleOne(MODIFIED_FAILED, 1));
        checks.put("routed: accepted", Client::routed);
        checks.put("unroutable: rejected with amqp:not-found", Client::unroutable);
        checks.put("a drain is answered", Client::drain);
        checks.put("a request and its reply: temporary queue, producer without a destination",
                Client::requestAndReply);
        checks.put("a message of 10 MB arrives byte for byte", Client::bigMessage);
        checks.put("10,000 messages in order, stored and then received", Client::manyStored);
        checks.put("10,000 messages in order, straight through", Client::manyStraight);
        checks.put("links, session and connection close without an error", Client::closeCleanly);

        boolean failed = false;
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            FAULT.set(null);
            try {
                check.getValue().run();
                if (FAULT.get() != null) {
                    throw FAULT.get();
                }
                System.out.println("ok - " + check.getKey());
            } catch (Skip skip) {
                System.out.println("skip - " + check.getKey() + ": " + skip.getMessage());
            } catch (Exception | AssertionError fault) {
                failed = true;
                System.out.println("not ok - " + check.getKey() + ": " + fault.toString().replace('\n', ' '));
            }
        }
        System.exit(failed ? 1 : 0);
    }

    private static void connectWithoutSasl() throws JMSException {
        connect("OPEN", null, null, "&amqp.saslLayer=false").close();
    }

    private static void connectAnonymous() throws JMSException {
        connect().close();
    }

    private static void connectWithCredentials() throws JMSException {
        connect("AUTH", System.getenv("AUTH_USER"), System.getenv("AUTH_PASSWORD"), "").close();
        connect("OPEN", "anyone", "anything", "").close();
    }

    private static void wrongPassword() throws JMSException {
        refused(System.getenv("AUTH_USER"), "wrong");
    }

    private static void noCredentials() throws JMSException {
        refused(null, null);
    }

    private static void refused(String user, String password) throws JMSException {
        try {
            connect("AUTH", user, password, "").close();
        } catch (JMSSecurityException expected) {
            return;
        }
        throw new AssertionError("the connection was opened");
    }

    private static void clientAcknowledge() throws JMSException {
        try (Connection connection = connect(); Session session = connection.createSession(CLIENT_ACKNOWLEDGE)) {
            Queue queue = unique(session, "queue");
            send(session, queue, "one");
            send(session, queue, "two");
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                equal("body", "one", text(consumer.receive(DEADLINE)));
                Message two = consumer.receive(DEADLINE);
                equal("body", "two", text(two));
                two.acknowledge(); // and with it the first
            }
            expectEmpty(session, queue);
        }
    }

    private static void modified() throws Skip {
        throw new Skip("JMS_AMQP_ACK_TYPE has no modified without delivery-failed");
    }

    /**
     * A queue's message is settled by its first receiver; with a delivery-count given (not -1) it must then come
     * again with that count, and is accepted. In the end nothing of it may be left.
     */
    private static void settleOne(int acknowledgement, int deliveryCountAgain) throws JMSException {
        try (Connection connection = connect(); Session session = connection.createSession(INDIVIDUAL_ACKNOWLEDGE)) {
            Queue queue = unique(session, "queue");
            send(session, queue, "work");
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                Message first = consumer.receive(DEADLINE);
                equal("body", "work", text(first));
                equal("delivery-count at first", 0, deliveryCount(first));
                first.setIntProperty(JMS_AMQP_ACK_TYPE, acknowledgement);
                first.acknowledge();
                if (deliveryCountAgain != -1) {
                    Message again = consumer.receive(DEADLINE);
                    equal("body of the second delivery", "work", text(again));
                    equal("delivery-count of the second delivery", deliveryCountAgain, deliveryCount(again));
                    again.acknowledge();
                }
            } // whatever the broker still holds for this link goes back to the queue
            expectEmpty(session, queue);
        }
    }

    /** A marker sent now must be the next to arrive. */
    private static void expectEmpty(Session session, Queue queue) throws JMSException {
        send(session, queue, "marker");
        try (MessageConsumer consumer = session.createConsumer(queue)) {
            Message message = consumer.receive(DEADLINE);
            equal("what the queue holds", "marker", text(message));
            message.acknowledge();
        }
    }

    private static int deliveryCount(Message message) throws JMSException {
        return message.getIntProperty("JMSXDeliveryCount") - 1;
    }

    private static void routed() throws JMSException {
        try (Connection connection = connect(); Session session = connection.createSession(AUTO_ACKNOWLEDGE)) {
            Queue queue = unique(session, "direct");
            MessageConsumer consumer = session.createConsumer(queue);
            send(session, queue, "hello");
            equal("body", "hello", text(consumer.receive(DEADLINE)));
        }
    }

    private static void unroutable() throws JMSException {
        try (Connection connection = connect(); Session session = connection.createSession(AUTO_ACKNOWLEDGE)) {
            Queue queue = unique(session, "nobody");
            for (MessageProducer producer : Arrays.asList(session.createProducer(queue), session.createProducer(null))) {
                Message message = session.createTextMessage("hello?");
                try {
                    if (producer.getDestination() == null) {
                        producer.send(queue, message);
                    } else {
                        producer.send(message);
                    }
                } catch (InvalidDestinationException expected) { // what Qpid JMS makes of amqp:not-found
                    equal("the description names the address: " + expected.getMessage(), true,
                            expected.getMessage().contains(queue.getQueueName()));
                    continue;
                }
                throw new AssertionError("the message was accepted");
            }
        }
    }

    /** receiveNoWait() drains, and waits for the answer. */
    private static void drain() throws JMSException {
        for (int prefetch : new int[] {0, 10}) {
            try (Connection connection = connect("OPEN", null, null, "&jms.prefetchPolicy.all=" + prefetch);
                    Session session = connection.createSession(AUTO_ACKNOWLEDGE)) {
                Queue queue = unique(session, "queue");
                MessageConsumer consumer = session.createConsumer(queue);
                equal("from an empty queue", null, consumer.receiveNoWait());
                send(session, queue, "one");
                equal("body", "one", text(consumer.receiveNoWait()));
                equal("from an empty queue again", null, consumer.receiveNoWait());
                send(session, queue, "two");
                equal("body", "two", text(consumer.receive(DEADLINE)));
            }
        }
    }

    private static void requestAndReply() throws JMSException {
        try (Connection server = connect(); Session serverSession = server.createSession(AUTO_ACKNOWLEDGE);
                Connection client = connect(); Session clientSession = client.createSession(AUTO_ACKNOWLEDGE)) {
            Queue service = unique(serverSession, "service");
            MessageConsumer requests = serverSession.createConsumer(service);
            TemporaryQueue replyTo = clientSession.createTemporaryQueue();
            MessageConsumer replies = clientSession.createConsumer(replyTo);

            TextMessage request = clientSession.createTextMessage("ping");
            request.setJMSReplyTo(replyTo);
            clientSession.createProducer(service).send(request);

            Message asked = requests.receive(DEADLINE);
            TextMessage answer = serverSession.createTextMessage(text(asked).toUpperCase());
            answer.setJMSCorrelationID(asked.getJMSMessageID());
            serverSession.createProducer(null).send(asked.getJMSReplyTo(), answer);

            Message reply = replies.receive(DEADLINE);
            equal("body", "PING", text(reply));
            equal("correlation-id", request.getJMSMessageID(), reply.getJMSCorrelationID());
            replies.close();
            replyTo.delete();
        }
    }

    private static void bigMessage() throws JMSException {
        byte[] content = new byte[10_000_000];
        new Random().nextBytes(content);
        try (Connection connection = connect(); Session session = connection.createSession(AUTO_ACKNOWLEDGE)) {
            Queue queue = unique(session, "queue");
            BytesMessage sent = session.createBytesMessage();
            sent.writeBytes(content);
            session.createProducer(queue).send(sent);
            Message received = session.createConsumer(queue).receive(DEADLINE);
            equal("something arrived", true, received != null);
            equal("the same bytes", true, Arrays.equals(content, received.getBody(byte[].class)));
        }
    }

    private static void manyStored() throws Exception {
        try (Connection connection = connect(); Session session = connection.createSession(AUTO_ACKNOWLEDGE)) {
            Queue queue = unique(session, "queue");
            sendMany(session, queue);
            receiveMany(session.createConsumer(queue));
        }
    }

    private static void manyStraight() throws Exception {
        try (Connection to = connect(); Session toSession = to.createSession(AUTO_ACKNOWLEDGE);
                Connection from = connect(); Session fromSession = from.createSession(AUTO_ACKNOWLEDGE)) {
            Queue queue = unique(toSession, "direct");
            MessageConsumer consumer = toSession.createConsumer(queue);
            CompletableFuture<Void> sent = CompletableFuture.runAsync(() -> {
                try {
                    sendMany(fromSession, queue);
                } catch (Exception fault) {
                    throw new CompletionException(fault);
                }
            });
            receiveMany(consumer);
            sent.get(DEADLINE, TimeUnit.MILLISECONDS);
        }
    }

    /** Sends without waiting for each outcome, and then waits until all are accepted. */
    private static void sendMany(Session session, Queue queue) throws Exception {
        CountDownLatch outcomes = new CountDownLatch(MANY);
        AtomicReference<Exception> refused = new AtomicReference<>();
        CompletionListener listener = new CompletionListener() {
            @Override
            public void onCompletion(Message message) {
                outcomes.countDown();
            }

            @Override
            public void onException(Message message, Exception why) {
                refused.compareAndSet(null, why);
                outcomes.countDown();
            }
        };
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < MANY; number++) {
            producer.send(session.createTextMessage(Integer.toString(number)), listener);
        }
        equal("all have an outcome", true, outcomes.await(DEADLINE, TimeUnit.MILLISECONDS));
        if (refused.get() != null) {
            throw refused.get();
        }
    }

    private static void receiveMany(MessageConsumer consumer) throws JMSException {
        for (int number = 0; number < MANY; number++) {
            equal("body", Integer.toString(number), text(consumer.receive(DEADLINE)));
        }
    }

    private static void closeCleanly() throws JMSException {
        Connection connection = connect();
        Session session = connection.createSession(AUTO_ACKNOWLEDGE);
        Queue queue = unique(session, "queue");
        MessageProducer producer = session.createProducer(queue);
        MessageConsumer consumer = session.createConsumer(queue);
        producer.close();
        consumer.close();
        session.close();
        connection.close();
    }

    private static Connection connect() throws JMSException {
        return connect("OPEN", null, null, "");
    }

    private static Connection connect(String broker, String user, String password, String options)
            throws JMSException {
        StringBuilder uri = new StringBuilder("amqp://" + System.getenv(broker + "_HOST") + ":"
                + System.getenv(broker + "_PORT") + "?amqp.traceFrames=true" + options);
        for (String wait : new String[] {"jms.connect", "jms.request", "jms.send", "jms.close", "amqp.drain"}) {
            uri.append("&").append(wait).append("Timeout=").append(DEADLINE);
        }
        Connection connection = new JmsConnectionFactory(user, password, uri.toString()).createConnection();
        connection.setExceptionListener(FAULT::set);
        connection.start();
        return connection;
    }

    private static Queue unique(Session session, String prefix) throws JMSException {
        return session.createQueue(prefix + "." + UUID.randomUUID());
    }

    /** Throws unless the message was accepted. */
    private static void send(Session session, Queue queue, String text) throws JMSException {
        try (MessageProducer producer = session.createProducer(queue)) {
            producer.send(session.createTextMessage(text));
        }
    }

    private static String text(Message message) throws JMSException {
        return message == null ? "no message" : message.getBody(String.class);
    }

    private static void equal(String what, Object expected, Object got) {
        if (expected == null ? got != null : !expected.equals(got)) {
            throw new AssertionError(what + ": " + got + ", not " + expected);
        }
    }
}
