// amqp091-go against fakebroker: one function a check. What the environment holds: ../../README.md
package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const many = 10_000

var checks = []struct {
	name string
	run  func(*session)
}{
	{"connect as guest", connectAsGuest},
	{"connect with credentials", connectWithCredentials},
	{"a wrong password is refused: 403", wrongPassword},
	{"an unknown virtual host is refused", unknownVirtualHost},
	{"a queue named by the server", namedByTheServer},
	{"no queue name is the queue that the channel declared last", theLastQueue},
	{"declare says how many messages and consumers", declareCounts},
	{"an exclusive queue is locked for other connections: 405", exclusiveQueue},
	{"an exclusive queue goes with its connection", exclusiveQueueGoes},
	{"an auto-delete queue goes with its last consumer", autoDeleteQueueGoes},
	{"names that begin with amq. are refused: 403", reservedNames},
	{"direct exchange: by the routing key; nothing once unbound", directExchange},
	{"fanout exchange: a copy for every queue", fanoutExchange},
	{"topic exchange: * is one word, # any number of them", topicExchange},
	{"headers exchange: x-match all and any", headersExchange},
	{"an exchange bound to an exchange", exchangeToExchange},
	{"a deleted exchange is gone: 404", exchangeDeleted},
	{"an unknown exchange type closes the connection: 503", unknownExchangeType},
	{"a publish is confirmed", confirmed},
	{"mandatory: an unroutable message is returned with 312", mandatory},
	{"immediate: returned with 313, or closes the connection: 540", immediate},
	{"prefetch: never more unacknowledged than asked for", prefetch},
	{"a consumer that need not acknowledge: all arrive, and are gone", noAck},
	{"ack with multiple", ackMultiple},
	{"nack with requeue: redelivered", nackRequeue},
	{"reject with requeue: redelivered", rejectRequeue},
	{"nack and reject without requeue: gone", noRequeue},
	{"recover: what is unacknowledged is redelivered", recovers},
	{"a closed channel gives back what it had not acknowledged", closedChannelGivesBack},
	{"two consumers take turns", takeTurns},
	{"an exclusive consumer keeps others out: 403", exclusiveConsumer},
	{"a cancelled consumer gets nothing more", cancelledConsumer},
	{"get, and get from an empty queue", get},
	{"purge and delete say how many messages", purgeAndDelete},
	{"delete if unused, if empty: 406", deleteConditions},
	{"a consumer is cancelled when its queue is deleted", cancelledByTheBroker},
	{"a missing queue closes the channel: 404; a new one works", missingQueue},
	{"an unknown delivery tag closes the channel: 406; a new one works", unknownDeliveryTag},
	{"properties and headers arrive as they were sent", properties},
	{"an empty body", emptyBody},
	{"a body of 1 MB, whatever the size of frames", bigBody},
	{"10,000 messages in order, stored and then received", manyStored},
	{"10,000 messages in order, straight through", manyStraight},
	{"heartbeats keep an idle connection alive", heartbeats},
	{"consumer, channel and connection close without an error", closeCleanly},
}

func connectAsGuest(s *session) {
	s.channel()
}

func connectWithCredentials(s *session) {
	s.dial("AUTH", os.Getenv("AUTH_USER"), os.Getenv("AUTH_PASSWORD"), amqp.Config{}).channel()
	s.dial("OPEN", "anyone", "anything", amqp.Config{}).channel()
}

func wrongPassword(s *session) {
	_, err := dial("AUTH", os.Getenv("AUTH_USER"), "wrong", amqp.Config{})
	code("answer", amqp.AccessRefused, err)
}

// amqp091-go says 403, whatever the broker said.
func unknownVirtualHost(*session) {
	if _, err := dial("OPEN", "guest", "guest", amqp.Config{Vhost: unique("nowhere")}); err == nil {
		fail("it was let in")
	}
}

func namedByTheServer(s *session) {
	c := s.channel()
	one, two := c.own(""), c.own("")
	equal("the queues have names", true, one != "" && two != "" && one != two)
	c.fill(one, "hello")
	equal("body", "hello", c.take(one))
}

func theLastQueue(s *session) {
	c := s.channel()
	c.own("")
	must0(c.QueueBind("", "", "amq.fanout", false, nil))
	c.publish("amq.fanout", "", "one")
	arriving := c.consume("", 0)
	first := next(arriving)
	must0(c.Cancel(first.ConsumerTag, false))
	must0(first.Nack(false, true))
	equal("body", "one", c.take(""))
	must0(c.QueueUnbind("", "", "amq.fanout", nil))
	c.publish("amq.fanout", "", "two")
	equal("purged", 0, must(c.QueuePurge("", false)))
	must(c.QueueDelete("", false, false, false))
}

func declareCounts(s *session) {
	c, queue := s.channel(), unique("declare")
	equal("declared", amqp.Queue{Name: queue}, must(c.QueueDeclare(queue, false, false, false, false, nil)))
	c.fill(queue, "1", "2", "3")
	equal("filled", amqp.Queue{Name: queue, Messages: 3}, c.inspect(queue))
	next(s.channel().consume(queue, 1))
	equal("consumed", amqp.Queue{Name: queue, Messages: 2, Consumers: 1}, c.inspect(queue))
	must(c.QueueDelete(queue, false, false, false))
}

func exclusiveQueue(s *session) {
	c, other := s.channel(), s.connect()
	queue := c.own(unique("exclusive"))
	other.closesChannel(405, func(c channel) { c.QueueDeclarePassive(queue, false, false, false, false, nil) })
	other.closesChannel(405, func(c channel) { c.QueueDeclare(queue, false, false, true, false, nil) })
	other.closesChannel(405, func(c channel) { c.Consume(queue, "", false, false, false, false, nil) })
	other.closesChannel(405, func(c channel) { c.Get(queue, false) })
	other.closesChannel(405, func(c channel) { c.QueuePurge(queue, false) })
	other.closesChannel(405, func(c channel) { c.QueueDelete(queue, false, false, false) })
	c.own(queue)
}

func exclusiveQueueGoes(s *session) {
	conn := s.connect()
	queue := conn.channel().own(unique("exclusive"))
	must0(conn.Close())
	s.connect().untilGone(queue)
}

func autoDeleteQueueGoes(s *session) {
	conn := s.connect()
	c, queue := conn.channel(), unique("auto-delete")
	must(c.QueueDeclare(queue, false, true, false, false, nil))
	for _, tag := range []string{"one", "two"} {
		must(c.Consume(queue, tag, false, false, false, false, nil))
	}
	must0(c.Cancel("one", false))
	c.inspect(queue)
	must0(c.Cancel("two", false))
	conn.untilGone(queue)
}

func reservedNames(s *session) {
	conn := s.connect()
	conn.closesChannel(403, func(c channel) { c.QueueDeclare(unique("amq.queue"), false, false, false, false, nil) })
	conn.closesChannel(403, func(c channel) {
		c.ExchangeDeclare(unique("amq.exchange"), "direct", false, false, false, false, nil)
	})
}

func directExchange(s *session) {
	c := s.channel()
	for _, exchange := range []string{"amq.direct", c.newExchange("direct")} {
		queues := c.bound(exchange, binding{key: "red"}, binding{key: "blue"})
		for _, queue := range queues {
			must0(c.QueueBind(queue, "both", exchange, false, nil))
		}
		for _, key := range []string{"red", "blue", "both", "green"} {
			c.publish(exchange, key, key)
		}
		equal("contents", [][]string{{"red", "both"}, {"blue", "both"}}, c.contents(queues))
		must0(c.QueueUnbind(queues[0], "both", exchange, nil))
		c.publish(exchange, "both", "again")
		equal("contents", [][]string{nil, {"again"}}, c.contents(queues))
	}
}

func fanoutExchange(s *session) {
	c := s.channel()
	for _, exchange := range []string{"amq.fanout", c.newExchange("fanout")} {
		queues := c.bound(exchange, binding{key: "one"}, binding{key: "two"})
		must0(c.QueueBind(queues[0], "twice", exchange, false, nil)) // and still one copy
		c.publish(exchange, "twice", "hello")
		equal("contents", [][]string{{"hello"}, {"hello"}}, c.contents(queues))
	}
}

func topicExchange(s *session) {
	c := s.channel()
	for _, exchange := range []string{"amq.topic", c.newExchange("topic")} {
		queues := c.bound(exchange, binding{key: "*.stock.#"}, binding{key: "usd.*"}, binding{key: "#"},
			binding{key: "usd.stock"})
		keys := []string{"usd.stock", "eur.stock.db", "stock.nasdaq", "usd", "usd.stock.a.b", ""}
		for _, key := range keys {
			c.publish(exchange, key, key)
		}
		equal("contents", [][]string{
			{"usd.stock", "eur.stock.db", "usd.stock.a.b"}, {"usd.stock"}, keys, {"usd.stock"},
		}, c.contents(queues))
	}
}

func headersExchange(s *session) {
	c := s.channel()
	for _, exchange := range []string{"amq.headers", c.newExchange("headers")} {
		queues := c.bound(exchange,
			binding{arguments: amqp.Table{"x-match": "all", "colour": "red", "size": 5}},
			binding{arguments: amqp.Table{"x-match": "any", "colour": "red", "size": 5}})
		for _, message := range []amqp.Publishing{
			{Body: []byte("both"), Headers: amqp.Table{"colour": "red", "size": 5, "else": true}},
			{Body: []byte("colour"), Headers: amqp.Table{"colour": "red", "size": 6}},
			{Body: []byte("size"), Headers: amqp.Table{"size": 5}},
			{Body: []byte("none"), Headers: amqp.Table{"colour": "blue"}},
			{Body: []byte("no headers")},
		} {
			must0(c.Publish(exchange, "", false, false, message))
		}
		equal("contents", [][]string{{"both"}, {"both", "colour", "size"}}, c.contents(queues))
	}
}

func exchangeToExchange(s *session) {
	c := s.channel()
	source, destination := c.newExchange("direct"), c.newExchange("fanout")
	queues := c.bound(destination, binding{})
	must0(c.ExchangeBind(destination, "through", source, false, nil))
	c.publish(source, "through", "hello")
	equal("contents", [][]string{{"hello"}}, c.contents(queues))
	must0(c.ExchangeUnbind(destination, "through", source, false, nil))
	c.publish(source, "through", "hello")
	equal("contents", [][]string{nil}, c.contents(queues))
}

func exchangeDeleted(s *session) {
	conn := s.connect()
	c := conn.channel()
	exchange := c.newExchange("fanout")
	must0(c.ExchangeDeclarePassive(exchange, "fanout", false, false, false, false, nil))
	must0(c.ExchangeDelete(exchange, false, false))
	conn.closesChannel(404, func(c channel) {
		c.ExchangeDeclarePassive(exchange, "fanout", false, false, false, false, nil)
	})
	conn.closesChannel(404, func(c channel) { c.publish(exchange, "", "hello?") })
}

func unknownExchangeType(s *session) {
	conn := must(dial("OPEN", "guest", "guest", amqp.Config{}))
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	must(conn.Channel()).ExchangeDeclare(unique("exchange"), "no such type", false, false, false, false, nil)
	code("connection.close", 503, next(closed))
}

func confirmed(s *session) {
	c := s.channel()
	queue := c.own("")
	must0(c.Confirm(false))
	for number := range 3 {
		c.confirmed("", queue, amqp.Publishing{Body: []byte("hello")})
		equal("messages", number+1, c.inspect(queue).Messages)
	}
	c.confirmed("", unique("nobody"), amqp.Publishing{Body: []byte("dropped, and confirmed all the same")})
}

func mandatory(s *session) {
	c, nobody := s.channel(), unique("nobody")
	queue := c.own("")
	must0(c.Confirm(false))
	returned := c.NotifyReturn(make(chan amqp.Return, 2))
	c.confirmed("", queue, amqp.Publishing{Body: []byte("routed")})
	c.confirmed("amq.direct", nobody, amqp.Publishing{Body: []byte("hello?"), AppId: "me"})
	equal("returned before the confirm", 1, len(returned))
	it := <-returned
	equal("reply code", 312, it.ReplyCode)
	equal("exchange, routing key", "amq.direct "+nobody, it.Exchange+" "+it.RoutingKey)
	equal("app-id, body", "me hello?", it.AppId+" "+string(it.Body))
}

// immediate is in 0-9-1; RabbitMQ has it no more.
func immediate(s *session) {
	conn := must(dial("OPEN", "guest", "guest", amqp.Config{}))
	defer conn.Close()
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	c := channel{conn: connection{conn}, Channel: must(conn.Channel())}
	returned := c.NotifyReturn(make(chan amqp.Return, 1))
	queue := c.own("")
	must0(c.Publish("", queue, false, true, amqp.Publishing{Body: []byte("now?")}))
	select {
	case it := <-returned:
		equal("reply code", 313, it.ReplyCode)
	case err := <-closed:
		code("connection.close", 540, err)
	}
}

func prefetch(s *session) {
	c := s.channel()
	queue := c.numbered("", 10)
	arriving := c.consume(queue, 3)
	var arrived []amqp.Delivery
	for acknowledged := range 8 {
		for len(arrived) < acknowledged+3 {
			arrived = append(arrived, next(arriving))
		}
		// An answer on the same channel comes after whatever else was on its way.
		equal("ready", 7-acknowledged, c.inspect(queue).Messages)
		equal("arrived", 0, len(arriving))
		must0(arrived[acknowledged].Ack(false))
	}
	equal("bodies", numbers(10), bodies(arrived))
}

func noAck(s *session) {
	c := s.channel()
	queue := c.numbered("", 10)
	must0(c.Qos(3, 0, false))
	arrived := collect(must(c.Consume(queue, "", true, false, false, false, nil)), 10)
	equal("bodies", numbers(10), bodies(arrived))
	equal("left", nil, c.left(queue, arrived[9]))
}

func ackMultiple(s *session) {
	c := s.channel()
	queue := c.numbered("", 6)
	arriving := c.consume(queue, 3)
	arrived := collect(arriving, 3)
	must0(arrived[1].Ack(true))
	collect(arriving, 2)
	must0(c.Ack(0, true)) // all there are
	equal("left", []string{"5"}, c.left(queue, next(arriving)))
}

func nackRequeue(s *session) {
	c := s.channel()
	arriving := c.consume(c.numbered("", 3), 3)
	arrived := collect(arriving, 3)
	equal("redelivered at first", false, slices.ContainsFunc(arrived, redelivered))
	must0(arrived[1].Nack(true, true))
	again := collect(arriving, 2)
	equal("again", numbers(2), bodies(again))
	equal("redelivered", []bool{true, true}, []bool{again[0].Redelivered, again[1].Redelivered})
}

func rejectRequeue(s *session) {
	c := s.channel()
	arriving := c.consume(c.numbered("", 1), 1)
	must0(next(arriving).Reject(true))
	again := next(arriving)
	equal("again", "0", string(again.Body))
	equal("redelivered", true, again.Redelivered)
}

func noRequeue(s *session) {
	c := s.channel()
	queue := c.numbered("", 4)
	arrived := collect(c.consume(queue, 4), 4)
	must0(arrived[1].Nack(true, false))
	must0(arrived[2].Reject(false))
	equal("left", []string{"3"}, c.left(queue, arrived[3]))
}

func recovers(s *session) {
	c := s.channel()
	arriving := c.consume(c.numbered("", 3), 3)
	must0(collect(arriving, 3)[0].Ack(false))
	must0(c.Recover(true))
	again := collect(arriving, 2)
	equal("again", []string{"1", "2"}, bodies(again))
	equal("redelivered", []bool{true, true}, []bool{again[0].Redelivered, again[1].Redelivered})
}

func closedChannelGivesBack(s *session) {
	conn := s.connect()
	first := conn.channel()
	queue := first.numbered("", 2)
	for _, number := range numbers(2) {
		equal("body", number, string(first.get(queue).Body))
	}
	must0(first.Close())
	second := conn.channel()
	for _, number := range numbers(2) {
		again := second.get(queue)
		equal("again", number, string(again.Body))
		equal("redelivered", true, again.Redelivered)
	}
}

func takeTurns(s *session) {
	conn := s.connect()
	c := conn.channel()
	queue := c.own("")
	one, two := c.consume(queue, 1), conn.channel().consume(queue, 1)
	c.fill(queue, numbers(2)...)
	got := bodies([]amqp.Delivery{next(one), next(two)})
	slices.Sort(got)
	equal("bodies", numbers(2), got)
}

func exclusiveConsumer(s *session) {
	conn := s.connect()
	c := conn.channel()
	queue := c.own("")
	must(c.Consume(queue, "", false, true, false, false, nil))
	conn.closesChannel(403, func(c channel) { c.Consume(queue, "", false, false, false, false, nil) })
}

func cancelledConsumer(s *session) {
	c := s.channel()
	queue := c.own("")
	arriving := c.consume(queue, 0)
	c.fill(queue, "before")
	before := next(arriving)
	must0(c.Cancel(before.ConsumerTag, false))
	c.fill(queue, "after")
	equal("queue", amqp.Queue{Name: queue, Messages: 1}, c.inspect(queue))
	if after, more := <-arriving; more {
		fail("%s arrived", after.Body)
	}
	must0(before.Ack(false)) // which it may still
}

func get(s *session) {
	c := s.channel()
	queue := c.numbered("", 3)
	for _, again := range []bool{false, true} {
		message := c.get(queue)
		equal("body", "0", string(message.Body))
		equal("how many more", uint32(2), message.MessageCount)
		equal("redelivered", again, message.Redelivered)
		if again {
			must0(message.Ack(false))
		} else {
			must0(message.Nack(false, true))
		}
	}
	equal("contents", [][]string{{"1", "2"}}, c.contents([]string{queue}))
}

func purgeAndDelete(s *session) {
	conn := s.connect()
	c := conn.channel()
	queue := c.numbered(unique("deleted"), 3)
	held := c.get(queue)
	equal("purged", 2, must(c.QueuePurge(queue, false)))
	must0(held.Nack(false, true)) // unacknowledged messages are not purged
	equal("deleted", 1, must(c.QueueDelete(queue, false, false, false)))
	conn.untilGone(queue)
	c.own(queue)
	equal("contents", [][]string{nil}, c.contents([]string{queue}))
}

func deleteConditions(s *session) {
	conn := s.connect()
	c := conn.channel()
	queue := c.numbered("", 1)
	conn.closesChannel(406, func(c channel) { c.QueueDelete(queue, false, true, false) })
	held := next(c.consume(queue, 0))
	conn.closesChannel(406, func(c channel) { c.QueueDelete(queue, true, false, false) })
	must0(held.Ack(false))
	must0(c.Cancel(held.ConsumerTag, false))
	must(c.QueueDelete(queue, true, true, false))
	conn.untilGone(queue)
}

func cancelledByTheBroker(s *session) {
	c, queue := s.channel(), unique("deleted")
	must(c.QueueDeclare(queue, false, false, false, false, nil))
	cancelled := c.NotifyCancel(make(chan string, 1))
	arriving := must(c.Consume(queue, "the consumer", false, false, false, false, nil))
	must(s.channel().QueueDelete(queue, false, false, false))
	equal("cancelled", "the consumer", next(cancelled))
	if after, more := <-arriving; more {
		fail("%s arrived", after.Body)
	}
	c.own("") // the channel lives on
}

func missingQueue(s *session) {
	conn, queue := s.connect(), unique("missing")
	conn.closesChannel(404, func(c channel) { c.QueueDeclarePassive(queue, false, false, false, false, nil) })
	conn.closesChannel(404, func(c channel) { c.Consume(queue, "", false, false, false, false, nil) })
	conn.closesChannel(404, func(c channel) { c.Get(queue, false) })
	conn.closesChannel(404, func(c channel) { c.QueueBind(queue, "key", "amq.direct", false, nil) })
	conn.closesChannel(404, func(c channel) { c.QueuePurge(queue, false) })
	conn.channel().works()
}

func unknownDeliveryTag(s *session) {
	conn := s.connect()
	conn.closesChannel(406, func(c channel) { c.Ack(99, false) })
	conn.closesChannel(406, func(c channel) { c.Reject(99, true) })
	conn.closesChannel(406, func(c channel) { c.Nack(99, false, true) })
	conn.closesChannel(406, func(c channel) {
		held := c.get(c.numbered("", 1))
		held.Ack(false)
		held.Ack(false)
	})
	conn.channel().works()
}

func properties(s *session) {
	moment := time.Unix(1_709_209_801, 0)
	sent := amqp.Publishing{
		ContentType: "text/plain", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 7, CorrelationId: "correlation",
		ReplyTo: "reply.to", Expiration: "600000", MessageId: "id 1", Timestamp: time.Unix(1<<33, 0), Type: "greeting",
		UserId: "guest", AppId: "interop", Body: []byte("hello"),
		Headers: amqp.Table{
			"text": "grüße", "bytes": []byte{0, 255}, "true": true, "false": false, "nil": nil, "int8": int8(-5),
			"uint8": byte(200), "int16": int16(-300), "uint16": uint16(60_000), "int32": int32(-70_000),
			"uint32": uint32(4e9), "int64": int64(-1 << 40), "float32": float32(0.5), "float64": 1.5,
			"decimal": amqp.Decimal{Scale: 2, Value: -1225}, "time": moment, "empty": amqp.Table{}, "array": []any(nil),
			"table": amqp.Table{"a": amqp.Table{"b": []any{int32(1), "two", []any{false}, amqp.Table{"four": nil}}}},
		},
	}
	c := s.channel()
	queue := c.own("")
	for _, sent := range []amqp.Publishing{sent, {Body: []byte("hello")}, {Headers: amqp.Table{}, Body: []byte("hello")}} {
		must0(c.Publish("", queue, false, false, sent))
		got := must2(c.Get(queue, true))
		equal("exchange, routing key", " "+queue, got.Exchange+" "+got.RoutingKey)
		received := amqp.Publishing{
			Headers: got.Headers, ContentType: got.ContentType, ContentEncoding: got.ContentEncoding,
			DeliveryMode: got.DeliveryMode, Priority: got.Priority, CorrelationId: got.CorrelationId,
			ReplyTo: got.ReplyTo, Expiration: got.Expiration, MessageId: got.MessageId, Timestamp: got.Timestamp,
			Type: got.Type, UserId: got.UserId, AppId: got.AppId, Body: got.Body,
		}
		if len(sent.Headers) == 0 {
			received.Headers = sent.Headers // it does not send an empty table
		}
		equal("message", sent, received)
	}
}

func emptyBody(s *session) {
	c := s.channel()
	queue := c.own("")
	c.fill(queue, "", "and then one that is not")
	equal("contents", [][]string{{"", "and then one that is not"}}, c.contents([]string{queue}))
}

func bigBody(s *session) {
	content := make([]byte, 1_000_000)
	must(rand.Read(content))
	small := s.dial("OPEN", "guest", "guest", amqp.Config{FrameSize: 4096}).channel()
	large := s.channel()
	queue := must(small.QueueDeclare(unique("big"), false, false, false, false, nil)).Name
	for _, way := range [][]channel{{small, large}, {large, small}} {
		way[0].fill(queue, string(content))
		got := must2(way[1].Get(queue, true)).Body
		equal("length", len(content), len(got))
		equal("the same bytes", true, bytes.Equal(content, got))
	}
	must(small.QueueDelete(queue, false, false, false))
}

func manyStored(s *session) {
	c := s.channel()
	receiveMany(c, c.numbered("", many))
}

func manyStraight(s *session) {
	to, from, queue := s.channel(), s.channel(), unique("many")
	must(to.QueueDeclare(queue, false, false, false, false, nil))
	sent := make(chan failure, 1)
	go func() { sent <- attempt(func() { from.fill(queue, numbers(many)...) }) }()
	receiveMany(to, queue)
	equal("what failed with sending", failure(""), next(sent))
	must(to.QueueDelete(queue, false, false, false))
}

func receiveMany(c channel, queue string) {
	arriving := c.consume(queue, 100)
	for number, expected := range numbers(many) {
		message := next(arriving)
		equal("body", expected, string(message.Body))
		if number%50 == 49 {
			must0(message.Ack(true))
		}
	}
}

func heartbeats(s *session) {
	reads := make(chan int, 1000)
	c := s.dial("OPEN", "guest", "guest", amqp.Config{Heartbeat: time.Second, Dial: watched(reads)}).channel()
	for len(reads) > 0 {
		<-reads
	}
	// Who sees nothing for two intervals may go, so: three heartbeats of 8 bytes, and more than two intervals.
	began := time.Now()
	for octets := 0; octets < 24 || time.Since(began) < 4*time.Second; {
		octets += next(reads)
	}
	c.works()
}

func closeCleanly(s *session) {
	conn := s.connect()
	c := conn.channel()
	closed := []chan *amqp.Error{c.NotifyClose(make(chan *amqp.Error, 1)), conn.NotifyClose(make(chan *amqp.Error, 1))}
	must(c.Consume(c.own(""), "tag", false, false, false, false, nil))
	must0(c.Cancel("tag", false))
	must0(c.Close())
	must0(conn.Close())
	for _, closed := range closed {
		if err := <-closed; err != nil {
			fail("%v", err)
		}
	}
}
