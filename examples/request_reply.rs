//! A service, tested end to end: it takes requests from a queue and sends each answer where the request wants it.
//!
//! The test is an ordinary function. It talks to the broker alone: it puts a request in, waits for the answer to pass, and
//! looks at what the service did with the request. There is no second client to write.

use std::error::Error;
use std::time::Duration;

use fakebroker::{Broker, Message, Outcome};
use fe2o3_amqp::types::definitions::{self, AmqpError};
use fe2o3_amqp::types::messaging::{self, Properties, Target};
use fe2o3_amqp::{Connection, Receiver, Sender, Session};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

type Fallible = Result<(), Box<dyn Error + Send + Sync>>;

/// The program under test: it says the price of what it is asked for, until it is told to stop.
async fn serve(url: String, mut stop: oneshot::Receiver<()>) -> Fallible {
    let mut connection = Connection::open("price-service", url.as_str()).await?;
    let mut session = Session::begin(&mut connection).await?;
    let mut requests = Receiver::attach(&mut session, "requests", "queue.prices").await?;
    // A link without an address: each answer says itself where it goes.
    let nowhere = Target::builder().build();
    let mut answers = Sender::builder().name("answers").target(nowhere).attach(&mut session).await?;
    loop {
        let request = tokio::select! {
            request = requests.recv::<String>() => request?,
            _ = &mut stop => break,
        };
        let asked = request.message().properties.clone().unwrap_or_default();
        let ("coffee", Some(reply_to)) = (request.body().as_str(), asked.reply_to) else {
            let error = definitions::Error::new(AmqpError::NotFound, "no such thing".to_owned(), None);
            requests.reject(&request, error).await?;
            continue;
        };
        let mut properties = Properties::builder().to(reply_to).build();
        properties.correlation_id = asked.correlation_id;
        let answer = messaging::Message::builder().properties(properties).value("2.50").build();
        // The answer first: a request is not done before it is on its way.
        answers.send(answer).await?.accepted_or("the answer was not accepted")?;
        requests.accept(&request).await?;
    }
    connection.close().await?;
    Ok(())
}

const SOON: Duration = Duration::from_secs(10);

fn main() -> Fallible {
    let broker = Broker::start()?;
    let runtime = Runtime::new()?; // the service's threads; this one is the test's
    let (stop, stopped) = oneshot::channel();
    let service = runtime.spawn(serve(broker.url(), stopped));

    // Nothing has to be attached yet: a queue keeps what it is sent.
    let request = Message::text("coffee").reply_to("queue.answers").correlation_id("order-1");
    broker.inject("queue.prices", request);

    // It returns when the answer is there, not a moment later; if none comes, the error says what happened instead.
    let answers = broker.wait_for_messages(SOON, "queue.answers", 1)?;
    println!("{}", answers[0]);
    assert_eq!(answers[0].as_text(), Some("2.50"));
    assert_eq!(answers[0].properties.correlation_id, Some("order-1".into()));

    // What it cannot answer it must reject, so that nobody tries it again.
    broker.inject("queue.prices", Message::text("tea").reply_to("queue.answers"));
    broker.wait_for(SOON, |counts| counts.accepted + counts.rejected == 2)?;
    let requests = broker.messages("queue.prices");
    requests.iter().for_each(|request| println!("{request}"));
    assert_eq!(requests[0].receivers[0].outcome, Some(Outcome::Accepted));
    let told = requests[1].receivers[0].outcome.as_ref().map(Outcome::to_string);
    assert_eq!(told.as_deref(), Some("rejected, amqp:not-found: no such thing"));

    // A service must end well, too: everything settled, everything closed, no rule of the protocol broken.
    let _ = stop.send(());
    runtime.block_on(service)??;
    broker.wait_for_connections(SOON, 0)?;
    broker.verify()?;
    Ok(())
}
