//! A producer that must handle what a broker may answer: some orders are refused for good, some are to be tried again.
//!
//! A real broker has to be brought into such a state; this one is told, message by message, by a hook.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use fakebroker::{Broker, Verdict};
use fe2o3_amqp::types::messaging::Outcome;
use fe2o3_amqp::{Connection, Sender, Session};

/// What the program under test knows of an order in the end.
#[derive(Debug, PartialEq)]
enum Placed {
    Yes,
    Refused(String),
    GaveUp,
}

/// The program under test: places an order, in three attempts at most.
async fn place(sender: &mut Sender, order: &str) -> Result<Placed, Box<dyn Error>> {
    for _ in 0..3 {
        match sender.send(order).await? {
            Outcome::Accepted(_) => return Ok(Placed::Yes),
            // For good: to try it again would be wrong.
            Outcome::Rejected(rejected) => {
                let why = rejected.error.and_then(|error| error.description).unwrap_or_default();
                return Ok(Placed::Refused(why));
            }
            // Not now, or not there.
            Outcome::Released(_) | Outcome::Modified(_) => {}
        }
    }
    Ok(Placed::GaveUp)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::start()?;

    // Called on the broker's thread for each message, before it is routed. It may keep what it likes between calls.
    let mut seen = HashSet::new();
    broker.on_message(move |message| match message.as_text() {
        Some("a unicorn") => Verdict::reject("amqp:precondition-failed", "out of stock"),
        Some("tomorrow's paper") => Verdict::Release,
        // Each other order is fine, but only when it comes for the second time.
        Some(order) if seen.insert(order.to_owned()) => Verdict::modify(),
        _ => Verdict::Forward,
    });

    let mut connection = Connection::open("shop", broker.url().as_str()).await?;
    let mut session = Session::begin(&mut connection).await?;
    let mut sender = Sender::attach(&mut session, "orders", "queue.orders").await?;
    assert_eq!(place(&mut sender, "one coffee").await?, Placed::Yes);
    assert_eq!(place(&mut sender, "a unicorn").await?, Placed::Refused("out of stock".into()));
    assert_eq!(place(&mut sender, "tomorrow's paper").await?, Placed::GaveUp);
    sender.close().await?;
    connection.close().await?;

    // The log has every attempt, with what its sender was told.
    let attempts = broker.messages("queue.orders");
    attempts.iter().for_each(|attempt| println!("{attempt}"));
    let of = |order| attempts.iter().filter(|attempt| attempt.as_text() == Some(order)).count();
    assert_eq!((of("one coffee"), of("a unicorn"), of("tomorrow's paper")), (2, 1, 3));
    // And of all those one alone is in the queue.
    assert_eq!(broker.queue_depth("queue.orders"), 1);

    broker.wait_for_connections(Duration::from_secs(10), 0)?;
    broker.verify()?;
    Ok(())
}
