//! A consumer that must survive the loss of its connection, and must lose no job by it.
//!
//! The test takes the broker away at the worst moment, when a job is being worked on and is not settled, and brings it back
//! on the same port. Then it cuts the connection while nothing happens.

use std::error::Error;
use std::time::Duration;

use fakebroker::{Broker, Ending, Message, Queues};
use fe2o3_amqp::{Connection, Receiver, Session};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

type Fallible = Result<(), Box<dyn Error + Send + Sync>>;

/// What to do, and whom to tell when it is done.
type Job = (String, oneshot::Sender<()>);

/// The program under test: gives the jobs of a queue to a worker, over as many connections as it takes.
async fn consume(url: String, worker: mpsc::Sender<Job>) {
    while let Err(error) = consume_on_one_connection(&url, &worker).await {
        println!("consumer: {error}");
        // The consumer's own pause, so that it does not spin; the test waits for what happens, not for this.
        sleep(Duration::from_millis(10)).await;
    }
}

/// Returns when there is no worker any more.
async fn consume_on_one_connection(url: &str, worker: &mpsc::Sender<Job>) -> Fallible {
    let mut connection = Connection::open("consumer", url).await?;
    let mut session = Session::begin(&mut connection).await?;
    let mut receiver = Receiver::attach(&mut session, "jobs", "queue.jobs").await?;
    loop {
        let job = tokio::select! {
            job = receiver.recv::<String>() => job?,
            () = worker.closed() => break,
        };
        let (done, is_done) = oneshot::channel();
        worker.send((job.body().clone(), done)).await?;
        is_done.await?;
        // Not before it is done: what is accepted does not come again.
        receiver.accept(&job).await?;
    }
    connection.close().await?;
    Ok(())
}

const SOON: Duration = Duration::from_secs(10);

fn main() -> Fallible {
    let broker = Broker::start()?;
    let runtime = Runtime::new()?; // the consumer's threads; this one is the test's, and it plays the worker
    let (sender, mut jobs) = mpsc::channel(1);
    let consumer = runtime.spawn(consume(broker.url(), sender));
    let mut next_job = || {
        let job = runtime.block_on(async { timeout(SOON, jobs.recv()).await });
        job.ok().flatten().ok_or("no job came")
    };

    broker.inject("queue.jobs", Message::text("first"));
    let (job, done) = next_job()?;
    assert_eq!(job, "first");
    // While it is worked on, the broker crashes, as far as clients can tell. Its queues keep what was not settled.
    broker.restart(Ending::Crash, Queues::Keep)?;
    let _ = done.send(());
    // So the consumer, which could not say that it was done, gets it again: that is what "at least once" means.
    let (job, done) = next_job()?;
    assert_eq!(job, "first");
    let _ = done.send(());
    broker.wait_for(SOON, |counts| counts.accepted == 1)?;
    println!("{}", broker.messages("queue.jobs")[0]);

    // This time the connection alone is lost, as by a broken network, and nothing is on its way.
    assert_eq!(broker.disconnect_all(), 1);
    broker.inject("queue.jobs", Message::text("second"));
    let (job, done) = next_job()?;
    assert_eq!(job, "second");
    let _ = done.send(());
    broker.wait_for_settled(SOON)?;
    println!("{}", broker.messages("queue.jobs")[1]);

    drop(jobs);
    runtime.block_on(consumer)?;
    broker.wait_for_connections(SOON, 0)?;
    broker.verify()?; // connections that the test itself cut are not held against the client
    Ok(())
}
