package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const deadline = 20 * time.Second // for every check, and for what it waits for

// session is what a check opens. All of it must be alive in the end, but for what the check closed itself.
type session struct {
	connections []connection
	closed      []chan *amqp.Error
}

type connection struct{ *amqp.Connection }

type channel struct {
	*amqp.Channel
	conn connection
}

type binding struct {
	key       string
	arguments amqp.Table
}

func dial(broker, user, password string, config amqp.Config) (*amqp.Connection, error) {
	address := net.JoinHostPort(os.Getenv(broker+"_HOST"), os.Getenv(broker+"_PORT"))
	config.SASL = []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}}
	config.Locale = "en_US"
	return amqp.DialConfig("amqp://"+address+"/", config)
}

func (s *session) dial(broker, user, password string, config amqp.Config) connection {
	conn := connection{must(dial(broker, user, password, config))}
	s.connections = append(s.connections, conn)
	s.closed = append(s.closed, conn.NotifyClose(make(chan *amqp.Error, 1)))
	return conn
}

func (s *session) connect() connection {
	return s.dial("OPEN", "guest", "guest", amqp.Config{})
}

// channel is one on a connection of its own.
func (s *session) channel() channel {
	return s.connect().channel()
}

func (s *session) end() {
	for at, conn := range s.connections {
		if !conn.IsClosed() {
			must0(conn.Close())
		}
		if err := <-s.closed[at]; err != nil {
			fail("a connection was closed: %v", err)
		}
	}
}

func (c connection) channel() channel {
	return channel{must(c.Channel()), c}
}

// closesChannel uses a channel that the broker must close with this code.
func (c connection) closesChannel(expected int, use func(channel)) {
	it := c.channel()
	closed := it.NotifyClose(make(chan *amqp.Error, 1))
	use(it)
	code("channel.close", expected, next(closed))
}

func (c connection) untilGone(queue string) {
	for {
		it := c.channel()
		_, err := it.QueueDeclarePassive(queue, false, false, false, false, nil)
		var closed *amqp.Error
		switch {
		case err == nil:
			must0(it.Close())
		case errors.As(err, &closed) && closed.Code == 404:
			return
		default:
			code("channel.close", 405, err)
		}
	}
}

// own declares a queue that the connection has to itself. Without a name the server finds one.
func (c channel) own(name string) string {
	return must(c.QueueDeclare(name, false, false, true, false, nil)).Name
}

func (c channel) inspect(queue string) amqp.Queue {
	return must(c.QueueDeclarePassive(queue, false, false, false, false, nil))
}

func (c channel) newExchange(kind string) string {
	name := unique(kind)
	must0(c.ExchangeDeclare(name, kind, false, false, false, false, nil))
	return name
}

// bound is a queue for each binding.
func (c channel) bound(exchange string, bindings ...binding) (queues []string) {
	for _, each := range bindings {
		queue := c.own("")
		must0(c.QueueBind(queue, each.key, exchange, false, each.arguments))
		queues = append(queues, queue)
	}
	return queues
}

func (c channel) publish(exchange, key, body string) {
	must0(c.Publish(exchange, key, false, false, amqp.Publishing{Body: []byte(body)}))
}

// confirmed publishes with mandatory on a channel in confirm mode.
func (c channel) confirmed(exchange, key string, message amqp.Publishing) {
	equal("confirmed", true, must(c.PublishWithDeferredConfirm(exchange, key, true, false, message)).Wait())
}

// fill waits for the confirms: only then is it certain that the messages count.
func (c channel) fill(queue string, bodies ...string) {
	publisher := c.conn.channel()
	must0(publisher.Confirm(false))
	var confirms []*amqp.DeferredConfirmation
	for _, body := range bodies {
		message := amqp.Publishing{Body: []byte(body)}
		confirms = append(confirms, must(publisher.PublishWithDeferredConfirm("", queue, true, false, message)))
	}
	for _, confirm := range confirms {
		equal("confirmed", true, confirm.Wait())
	}
	must0(publisher.Close())
}

// numbered is a queue that holds the numbers up to count.
func (c channel) numbered(name string, count int) string {
	queue := c.own(name)
	c.fill(queue, numbers(count)...)
	return queue
}

func (c channel) get(queue string) amqp.Delivery {
	return must2(c.Get(queue, false))
}

func (c channel) take(queue string) string {
	return string(must2(c.Get(queue, true)).Body)
}

// contents takes what is in the queues. Channels keep order, so what was published on this one has been routed.
func (c channel) contents(queues []string) (all [][]string) {
	for _, queue := range queues {
		var taken []string
		for {
			message, there, err := c.Get(queue, true)
			must0(err)
			if !there {
				break
			}
			taken = append(taken, string(message.Body))
		}
		all = append(all, taken)
	}
	return all
}

// left is what the queue still holds once its consumer is gone and what that holds is given back.
func (c channel) left(queue string, last amqp.Delivery) []string {
	must0(c.Cancel(last.ConsumerTag, false))
	must0(c.Recover(true))
	return c.contents([]string{queue})[0]
}

func (c channel) consume(queue string, prefetch int) <-chan amqp.Delivery {
	must0(c.Qos(prefetch, 0, false))
	return must(c.Consume(queue, "", false, false, false, false, nil))
}

func (c channel) works() {
	queue := c.own("")
	c.fill(queue, "hello")
	equal("body", "hello", c.take(queue))
}

// next waits for what a channel, of Go's kind, has next.
func next[T any](from <-chan T) T {
	select {
	case value, open := <-from:
		if !open {
			fail("nothing more will arrive")
		}
		return value
	case <-time.After(deadline):
		fail("nothing arrived")
		panic("unreachable")
	}
}

func collect(from <-chan amqp.Delivery, count int) (deliveries []amqp.Delivery) {
	for range count {
		deliveries = append(deliveries, next(from))
	}
	return deliveries
}

func bodies(deliveries []amqp.Delivery) (all []string) {
	for _, each := range deliveries {
		all = append(all, string(each.Body))
	}
	return all
}

func redelivered(delivery amqp.Delivery) bool {
	return delivery.Redelivered
}

func numbers(count int) (all []string) {
	for number := range count {
		all = append(all, strconv.Itoa(number))
	}
	return all
}

func unique(prefix string) string {
	return prefix + "." + rand.Text()
}

// watched dials connections that tell how many octets each read brought.
func watched(reads chan<- int) func(network, address string) (net.Conn, error) {
	return func(network, address string) (net.Conn, error) {
		conn, err := net.DialTimeout(network, address, deadline)
		return watchedConn{conn, reads}, err
	}
}

type watchedConn struct {
	net.Conn
	reads chan<- int
}

func (c watchedConn) Read(into []byte) (int, error) {
	read, err := c.Conn.Read(into)
	c.reads <- read
	return read, err
}

// failure is what a check panics with.
type failure string

func fail(format string, args ...any) {
	panic(failure(fmt.Sprintf(format, args...)))
}

func equal[T any](what string, expected, got T) {
	if !reflect.DeepEqual(expected, got) {
		fail("%s: %v, not %v", what, got, expected)
	}
}

// code fails unless the error is the broker's, with this reply code.
func code(what string, expected int, err error) {
	var said *amqp.Error
	if !errors.As(err, &said) || said == nil || said.Code != expected {
		fail("%s: %v, not %d", what, err, expected)
	}
}

func must[T any](value T, err error) T {
	must0(err)
	return value
}

func must2(message amqp.Delivery, there bool, err error) amqp.Delivery {
	must0(err)
	if !there {
		fail("the queue is empty")
	}
	return message
}

func must0(err error) {
	if err != nil {
		fail("%v", err)
	}
}

// attempt runs a check and returns what it failed with, or "".
func attempt(run func()) (why failure) {
	defer func() {
		switch caught := recover().(type) {
		case nil:
		case failure:
			why = caught
		default:
			panic(caught)
		}
	}()
	run()
	return ""
}

// inTime is attempt, given up after the deadline.
func inTime(run func()) failure {
	done := make(chan failure, 1)
	go func() { done <- attempt(run) }()
	select {
	case why := <-done:
		return why
	case <-time.After(deadline):
		return "not done in time"
	}
}

func main() {
	status := 0
	for _, check := range checks {
		why := inTime(func() {
			var s session
			check.run(&s)
			s.end()
		})
		if why != "" {
			status = 1
			fmt.Printf("not ok - %s: %s\n", check.name, strings.ReplaceAll(string(why), "\n", " "))
		} else {
			fmt.Printf("ok - %s\n", check.name)
		}
	}
	os.Exit(status)
}
