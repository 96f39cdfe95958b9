//! A real Rust client, `fe2o3-amqp`, and the broker in one process: what a test author's first test does.
#![allow(clippy::panic, clippy::unwrap_used)]

mod connections;
mod links;
mod messages;

#[path = "../support/patience.rs"]
#[allow(unreachable_pub)]
mod patience;

use std::future::Future;

use fakebroker::{Broker, Builder};
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Delivery, Receiver, Sender, Session};

use patience::patience;

/// Runs a test against a broker on a runtime of its own. Whatever it waits for, it does not wait for ever.
fn with_broker<F: Future<Output = ()>>(builder: Builder, test: impl FnOnce(Broker) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let broker = builder.start().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(patience(), test(broker)).await.expect("the client has its answers in time");
    });
}

struct Client {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
}

impl Client {
    async fn connect(broker: &Broker) -> Client {
        let mut connection = Connection::open("fe2o3", broker.url().as_str()).await.unwrap();
        let session = Session::begin(&mut connection).await.unwrap();
        Client { connection, session }
    }

    async fn sender(&mut self, address: &str) -> Sender {
        Sender::attach(&mut self.session, format!("to {address}"), address).await.unwrap()
    }

    async fn receiver(&mut self, address: &str) -> Receiver {
        Receiver::attach(&mut self.session, format!("from {address}"), address).await.unwrap()
    }

    async fn close(mut self) {
        self.session.end().await.unwrap();
        self.connection.close().await.unwrap();
    }
}

async fn text(receiver: &mut Receiver) -> Delivery<String> {
    receiver.recv::<String>().await.unwrap()
}
