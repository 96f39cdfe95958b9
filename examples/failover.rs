//! A client that knows two addresses and must go on at the other when one fails: with a connection refused, with one that
//! breaks, and, worse, with a broker that is there and says nothing.

use std::error::Error;
use std::time::Duration;

use fakebroker::{Broker, MessageRecord};
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Sender, Session};
use tokio::time::timeout;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// The program under test: a publisher that goes from address to address until an event is accepted.
struct Publisher {
    urls: Vec<String>,
    current: usize,
    /// The sender, and what keeps it attached.
    link: Option<(Sender, SessionHandle<()>, ConnectionHandle<()>)>,
}

impl Publisher {
    async fn publish(&mut self, event: &str) -> Fallible<()> {
        for _ in 0..=self.urls.len() {
            // Without this timeout, it would wait for a broker that hangs for as long as that likes.
            match timeout(Duration::from_secs(2), self.attempt(event)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => println!("publisher: {error} at {}", self.urls[self.current]),
                Err(_) => println!("publisher: no answer from {}", self.urls[self.current]),
            }
            self.link = None;
            self.current = (self.current + 1) % self.urls.len();
        }
        Err("no address is left".into())
    }

    async fn attempt(&mut self, event: &str) -> Fallible<()> {
        if self.link.is_none() {
            let mut connection = Connection::open("publisher", self.urls[self.current].as_str()).await?;
            let mut session = Session::begin(&mut connection).await?;
            let sender = Sender::attach(&mut session, "events", "queue.events").await?;
            self.link = Some((sender, session, connection));
        }
        let (sender, _, connection) = self.link.as_mut().ok_or("not connected")?;
        tokio::select! {
            sent = sender.send(event) => sent?.accepted_or("not accepted")?,
            lost = connection.on_close() => return Err(format!("connection lost ({lost:?})").into()),
        };
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    // Two ports that are known and taken; nobody listens there until a broker is started.
    let brokers = Broker::group(2)?;
    let mut publisher = Publisher { urls: brokers.urls(), current: 0, link: None };
    let texts =
        |seen: Vec<MessageRecord>| seen.iter().filter_map(|seen| seen.as_text().map(str::to_owned)).collect::<Vec<_>>();

    // The first refuses connections: the second it is.
    brokers.start(1)?;
    publisher.publish("one").await?;
    assert_eq!(texts(brokers[1].messages("queue.events")), ["one"]);

    // The second is gone without a word, and the first is up.
    brokers.start(0)?;
    brokers.crash(1)?;
    publisher.publish("two").await?;
    assert_eq!(texts(brokers[0].messages("queue.events")), ["two"]);

    // The first hangs: its socket is open, and nothing comes back.
    brokers.start(1)?;
    brokers.pause(0);
    publisher.publish("three").await?;
    assert_eq!(texts(brokers[1].messages("queue.events")), ["one", "three"]);

    // A broker that hung may have what it was sent all the same. Whoever fails over has to live with duplicates.
    brokers.resume(0);
    let late = brokers[0].wait_for_messages(Duration::from_secs(10), "queue.events", 2)?;
    late.iter().for_each(|seen| println!("the first broker has {seen}"));
    Ok(())
}
