//! The command as a client: `send`, `receive`, `ping`.

mod peer;
mod ping;
mod receive;
mod send;

use clap::Subcommand;

use peer::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    Send(send::Send),
    Receive(receive::Receive),
    Ping(ping::Ping),
}

impl Client {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Client::Send(send) => send.run(),
            Client::Receive(receive) => receive.run(),
            Client::Ping(ping) => ping.run(),
        }
    }
}
