//! What user code may do with the public types besides calling their methods: share them between threads, compare and print
//! them, hand errors on with `?`. It holds if it compiles.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use fakebroker::connector::{self, Channel, Connector, Delivery};
use fakebroker::*;

trait Shared: Send + Sync + Debug + 'static {}
impl<T: Send + Sync + Debug + 'static> Shared for T {}

/// The traits of types that a test compares.
trait Plain: Shared + Clone + PartialEq {}
impl<T: Shared + Clone + PartialEq> Plain for T {}

/// A choice out of few.
trait Choice: Plain + Copy + Eq + Hash {}
impl<T: Plain + Copy + Eq + Hash> Choice for T {}

fn shared<T: Shared>() {}
fn cloned<T: Shared + Clone>() {}
fn plain<T: Plain>() {}
fn choice<T: Choice>() {}
fn printed<T: Display>() {}
fn failed<T: Error + Shared>() {}

#[test]
fn what_stands_for_a_broker_is_shared_between_threads() {
    shared::<Broker>();
    shared::<Group>();
    shared::<Bound>();
    cloned::<Handle>();
    cloned::<Builder>();
    cloned::<Connector>();
    shared::<Channel>();
}

#[test]
fn what_is_looked_at_is_compared_and_printed() {
    plain::<(MessageRecord, Receipt, LinkName, Outcome, MessageState)>();
    plain::<PublishRecord>();
    printed::<PublishRecord>();
    plain::<(Message, Header, Properties, Body, Value)>();
    plain::<(Connection, ConnectionId, Link, AddressInfo, UnmetRequest, Violation)>();
    plain::<(Queue, Exchange, Binding, BoundTo, QueueInfo, ExchangeInfo, BindingInfo)>();
    plain::<(Policy, ApplyTo, PolicyInfo)>();
    plain::<(Counts, TraceEvent, TraceKind, Verdict, Admission)>();
    printed::<MessageRecord>();
    printed::<LinkName>();
    printed::<Outcome>();
    printed::<Message>();
    printed::<Body>();
    printed::<Value>();
    printed::<Connection>();
    printed::<ConnectionId>();
    printed::<Link>();
    printed::<AddressInfo>();
    printed::<UnmetRequest>();
    printed::<Violation>();
    printed::<TraceEvent>();
    printed::<QueueInfo>();
    printed::<ExchangeInfo>();
    printed::<PolicyInfo>();
    printed::<BindingInfo>();
    failed::<TopologyError>();
    shared::<Delivery>();
}

#[test]
fn choices_are_small() {
    choice::<(Distribution, Settlement, Unroutable)>();
    choice::<(Ending, Queues, Role, TraceFormat)>();
    choice::<ConnectionId>();
}

#[test]
fn errors_can_be_handed_on() {
    fn handed_on() -> Result<(), Box<dyn Error + Send + Sync>> {
        let broker = Broker::start()?;
        broker.wait_for(std::time::Duration::ZERO, |counts| counts.dropped == 0)?;
        broker.verify()?;
        Ok(())
    }
    failed::<WaitError>();
    failed::<Report>();
    failed::<connector::Error>();
    plain::<(WaitError, Report)>();
    assert!(handed_on().is_ok());
}
