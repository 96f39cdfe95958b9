// go-amqp against fakebroker: one function a check. What the environment holds: ../../README.md
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/go-amqp"
)

const (
	deadline = 20 * time.Second // for every single wait
	many     = 10_000
)

var checks = []struct {
	name string
	run  func()
}{
	{"connect without a SASL layer", connectWithoutSASL},
	{"connect with SASL ANONYMOUS", connectAnonymous},
	{"connect with credentials", connectWithCredentials},
	{"a wrong password is refused", wrongPassword},
	{"no credentials are refused where there are users", noCredentials},
	{"accepted: the sender is told, the message is gone", accepted},
	{"rejected: the message is gone", rejected},
	{"released: delivered again, delivery-count unchanged", released},
	{"modified: delivered again, delivery-count unchanged", modified},
	{"modified with delivery-failed: delivered again, delivery-count raised", modifiedFailed},
	{"routed: accepted", routed},
	{"unroutable: rejected with amqp:not-found", unroutable},
	{"a drain is answered", drain},
	{"a request and its reply: dynamic address, anonymous terminus", requestAndReply},
	{"a message of 10 MB arrives byte for byte", bigMessage},
	{"10,000 messages in order, stored and then received", manyStored},
	{"10,000 messages in order, straight through", manyStraight},
	{"links, session and connection close without an error", closeCleanly},
}

func connectWithoutSASL() {
	closeConn(connect("OPEN", nil))
}

func connectAnonymous() {
	closeConn(connect("OPEN", amqp.SASLTypeAnonymous()))
}

func connectWithCredentials() {
	closeConn(connect("AUTH", amqp.SASLTypePlain(os.Getenv("AUTH_USER"), os.Getenv("AUTH_PASSWORD"))))
	closeConn(connect("OPEN", amqp.SASLTypePlain("anyone", "anything")))
}

func wrongPassword() {
	_, err := dial("AUTH", amqp.SASLTypePlain(os.Getenv("AUTH_USER"), "wrong"))
	if err == nil || !strings.Contains(err.Error(), "auth failed with code 0x1") {
		fail("answered with %v", err)
	}
}

func noCredentials() {
	if _, err := dial("AUTH", nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		fail("answered with %v", err)
	}
}

func accepted() {
	settleOne(func(r *amqp.Receiver, m *amqp.Message) error { return r.AcceptMessage(soon(), m) }, -1)
}

func rejected() {
	settleOne(func(r *amqp.Receiver, m *amqp.Message) error {
		return r.RejectMessage(soon(), m, &amqp.Error{Condition: "app:no", Description: "not wanted"})
	}, -1)
}

func released() {
	settleOne(func(r *amqp.Receiver, m *amqp.Message) error { return r.ReleaseMessage(soon(), m) }, 0)
}

func modified() {
	settleOne(func(r *amqp.Receiver, m *amqp.Message) error {
		return r.ModifyMessage(soon(), m, &amqp.ModifyMessageOptions{})
	}, 0)
}

func modifiedFailed() {
	settleOne(func(r *amqp.Receiver, m *amqp.Message) error {
		return r.ModifyMessage(soon(), m, &amqp.ModifyMessageOptions{DeliveryFailed: true})
	}, 1)
}

func routed() {
	address := unique("direct")
	conn := connect("OPEN", nil)
	session := newSession(conn)
	receiver := newReceiver(session, address, amqp.ReceiverOptions{Credit: 1})
	must0(newSender(session, address).Send(soon(), amqp.NewMessage([]byte("hello")), nil)) // an error unless accepted
	message := must(receiver.Receive(soon(), nil))
	equal("body", "hello", string(message.GetData()))
	must0(receiver.AcceptMessage(soon(), message))
	closeConn(conn)
}

func unroutable() {
	address := unique("nobody")
	conn := connect("OPEN", nil)
	session := newSession(conn)
	for _, target := range []string{address, ""} {
		message := amqp.NewMessage([]byte("hello?"))
		message.Properties = &amqp.MessageProperties{To: &address}
		err := newSender(session, target).Send(soon(), message, nil)
		var amqpError *amqp.Error
		if !errors.As(err, &amqpError) {
			fail("answered with %v", err)
		}
		equal("condition", amqp.ErrCondNotFound, amqpError.Condition)
		equal("the description names the address", true, strings.Contains(amqpError.Description, address))
	}
	closeConn(conn)
}

// drain: go-amqp asks with link-credit 0 and drain, and waits for a flow with drain.
func drain() {
	address := unique("queue")
	conn := connect("OPEN", nil)
	session := newSession(conn)
	sender := newSender(session, address)
	receiver := newReceiver(session, address, amqp.ReceiverOptions{Credit: -1})
	for _, body := range []string{"before", "after"} {
		must0(receiver.IssueCredit(10))
		must0(sender.Send(soon(), amqp.NewMessage([]byte(body)), nil))
		message := must(receiver.Receive(soon(), nil))
		equal("body", body, string(message.GetData()))
		must0(receiver.AcceptMessage(soon(), message))
		must0(receiver.DrainCredit(soon(), nil))
		equal("something else arrived", false, receiver.Prefetched() != nil)
	}
	closeConn(conn)
}

func requestAndReply() {
	service := unique("service")
	server := connect("OPEN", nil)
	serverSession := newSession(server)
	requests := newReceiver(serverSession, service, amqp.ReceiverOptions{})
	replier := newSender(serverSession, "")

	client := connect("OPEN", nil)
	clientSession := newSession(client)
	replies := newReceiver(clientSession, "", amqp.ReceiverOptions{DynamicAddress: true})
	replyTo := replies.Address()
	equal("the dynamic source has an address", true, replyTo != "")
	request := amqp.NewMessage([]byte("ping"))
	request.Properties = &amqp.MessageProperties{MessageID: "question 1", ReplyTo: &replyTo}
	must0(newSender(clientSession, service).Send(soon(), request, nil))

	asked := must(requests.Receive(soon(), nil))
	answer := amqp.NewMessage(bytes.ToUpper(asked.GetData()))
	answer.Properties = &amqp.MessageProperties{
		To:            asked.Properties.ReplyTo,
		CorrelationID: asked.Properties.MessageID,
	}
	must0(requests.AcceptMessage(soon(), asked))
	must0(replier.Send(soon(), answer, nil))

	reply := must(replies.Receive(soon(), nil))
	equal("body", "PING", string(reply.GetData()))
	equal("correlation-id", "question 1", reply.Properties.CorrelationID)
	must0(replies.AcceptMessage(soon(), reply))
	closeConn(client)
	closeConn(server)
}

func bigMessage() {
	address := unique("queue")
	conn := connect("OPEN", nil)
	session := newSession(conn)
	content := make([]byte, 10_000_000)
	must(rand.Read(content))
	must0(newSender(session, address).Send(soon(), amqp.NewMessage(content), nil))
	receiver := newReceiver(session, address, amqp.ReceiverOptions{})
	message := must(receiver.Receive(soon(), nil))
	equal("length", len(content), len(message.GetData()))
	equal("the same bytes", true, bytes.Equal(content, message.GetData()))
	must0(receiver.AcceptMessage(soon(), message))
	closeConn(conn)
}

func manyStored() {
	address := unique("queue")
	conn := connect("OPEN", nil)
	session := newSession(conn)
	must0(sendMany(newSender(session, address)))
	receiveMany(newReceiver(session, address, amqp.ReceiverOptions{Credit: 100}))
	closeConn(conn)
}

func manyStraight() {
	address := unique("direct")
	to, from := connect("OPEN", nil), connect("OPEN", nil)
	receiver := newReceiver(newSession(to), address, amqp.ReceiverOptions{Credit: 100})
	sender := newSender(newSession(from), address)
	sent := make(chan error, 1)
	go func() { sent <- sendMany(sender) }()
	receiveMany(receiver)
	must0(<-sent)
	closeConn(from)
	closeConn(to)
}

func closeCleanly() {
	conn := connect("OPEN", nil)
	session := newSession(conn)
	must0(newSender(session, unique("queue")).Close(soon()))
	must0(newReceiver(session, unique("queue"), amqp.ReceiverOptions{}).Close(soon()))
	must0(session.Close(soon()))
	closeConn(conn)
}

// settleOne has a queue's message settled by its first receiver; with a delivery-count given (not -1) it must then
// come again with that count, and is accepted. In the end nothing of it may be left.
func settleOne(settle func(*amqp.Receiver, *amqp.Message) error, deliveryCountAgain int) {
	address := unique("queue")
	conn := connect("OPEN", nil)
	session := newSession(conn)
	must0(newSender(session, address).Send(soon(), amqp.NewMessage([]byte("work")), nil)) // an error unless accepted
	receiver := newReceiver(session, address, amqp.ReceiverOptions{})
	first := must(receiver.Receive(soon(), nil))
	equal("body", "work", string(first.GetData()))
	equal("delivery-count at first", 0, deliveryCount(first))
	must0(settle(receiver, first))
	if deliveryCountAgain != -1 {
		again := must(receiver.Receive(soon(), nil))
		equal("body of the second delivery", "work", string(again.GetData()))
		equal("delivery-count of the second delivery", deliveryCountAgain, deliveryCount(again))
		must0(receiver.AcceptMessage(soon(), again))
	}
	must0(receiver.Close(soon())) // whatever the broker still holds for this link goes back to the queue
	expectEmpty(session, address)
	closeConn(conn)
}

func deliveryCount(message *amqp.Message) int {
	if message.Header == nil {
		return 0
	}
	return int(message.Header.DeliveryCount)
}

// expectEmpty sends a marker, which must then be the next to arrive.
func expectEmpty(session *amqp.Session, address string) {
	must0(newSender(session, address).Send(soon(), amqp.NewMessage([]byte("marker")), nil))
	receiver := newReceiver(session, address, amqp.ReceiverOptions{})
	message := must(receiver.Receive(soon(), nil))
	equal("what the queue holds", "marker", string(message.GetData()))
	must0(receiver.AcceptMessage(soon(), message))
}

func sendMany(sender *amqp.Sender) error {
	receipts := make([]amqp.SendReceipt, many)
	for number := range receipts {
		var err error
		message := amqp.NewMessage([]byte(strconv.Itoa(number)))
		if receipts[number], err = sender.SendWithReceipt(soon(), message, nil); err != nil {
			return err
		}
	}
	for _, receipt := range receipts {
		state, err := receipt.Wait(soon())
		if err != nil {
			return err
		}
		if _, ok := state.(*amqp.StateAccepted); !ok {
			return fmt.Errorf("a message was answered with %T", state)
		}
	}
	return nil
}

func receiveMany(receiver *amqp.Receiver) {
	for number := range many {
		message := must(receiver.Receive(soon(), nil))
		equal("body", strconv.Itoa(number), string(message.GetData()))
		must0(receiver.AcceptMessage(soon(), message))
	}
}

func dial(broker string, sasl amqp.SASLType) (*amqp.Conn, error) {
	address := net.JoinHostPort(os.Getenv(broker+"_HOST"), os.Getenv(broker+"_PORT"))
	return amqp.Dial(soon(), "amqp://"+address, &amqp.ConnOptions{SASLType: sasl})
}

func connect(broker string, sasl amqp.SASLType) *amqp.Conn {
	return must(dial(broker, sasl))
}

func closeConn(conn *amqp.Conn) {
	must0(conn.Err())
	must0(conn.Close())
}

func newSession(conn *amqp.Conn) *amqp.Session {
	return must(conn.NewSession(soon(), nil))
}

// newSender attaches to an address, or with none to the anonymous terminus.
func newSender(session *amqp.Session, address string) *amqp.Sender {
	return must(session.NewSender(soon(), address, nil))
}

func newReceiver(session *amqp.Session, address string, options amqp.ReceiverOptions) *amqp.Receiver {
	return must(session.NewReceiver(soon(), address, &options))
}

func unique(prefix string) string {
	return prefix + "." + rand.Text()
}

// soon is the context of one wait.
func soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// failure is what a check panics with.
type failure string

func fail(format string, args ...any) {
	panic(failure(fmt.Sprintf(format, args...)))
}

func equal[T comparable](what string, expected, got T) {
	if expected != got {
		fail("%s: %v, not %v", what, got, expected)
	}
}

func must[T any](value T, err error) T {
	must0(err)
	return value
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

func main() {
	status := 0
	for _, check := range checks {
		if why := attempt(check.run); why != "" {
			status = 1
			fmt.Printf("not ok - %s: %s\n", check.name, strings.ReplaceAll(string(why), "\n", " "))
		} else {
			fmt.Printf("ok - %s\n", check.name)
		}
	}
	os.Exit(status)
}
