//! A scripted server: accepts one connection and talks to it as a [`Peer`] does, from the other side.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use fakebroker::connector::{Channel, Connector};

use crate::support::*;

/// A server that runs a script on its own thread. [`Server::done`] fails if the script was not followed.
pub(crate) struct Server {
    addr: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn play(script: impl FnOnce(Peer) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || script(Peer::over(listener.accept().unwrap().0)));
        Server { addr, thread }
    }

    /// One that is there and has let the client in before the script begins.
    pub(crate) fn opened(script: impl FnOnce(Peer) + Send + 'static) -> Server {
        Server::play(|mut peer| {
            let_in(&mut peer);
            open_up(&mut peer);
            script(peer);
        })
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::new().host("127.0.0.1").port(self.addr.port()).timeout(patience())
    }

    pub(crate) fn open(&self) -> Channel {
        self.connector().open().unwrap()
    }

    #[track_caller]
    pub(crate) fn done(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

pub(crate) fn mechanisms(names: &[&str]) -> Performative {
    let names = names.iter().map(|name| symbol(name)).collect();
    Performative::new(SASL_MECHANISMS).with("sasl-server-mechanisms", Value::Array(names))
}

pub(crate) fn sasl_outcome(code: u8) -> Performative {
    Performative::new(SASL_OUTCOME).with("code", code)
}

/// Both headers and SASL in between.
#[track_caller]
pub(crate) fn let_in(peer: &mut Peer) {
    peer.expect_header(SASL_HEADER);
    peer.send(SASL_HEADER);
    peer.send(mechanisms(&["ANONYMOUS"]));
    peer.expect(SASL_INIT);
    peer.send(sasl_outcome(0));
    peer.expect_header(AMQP_HEADER);
    peer.send(AMQP_HEADER);
}

/// Answers open and begin.
#[track_caller]
pub(crate) fn open_up(peer: &mut Peer) {
    peer.expect_open();
    peer.send(open());
    answer_begin(peer);
}

/// Answers a begin on the same channel.
#[track_caller]
pub(crate) fn answer_begin(peer: &mut Peer) {
    let asked = peer.expect_begin();
    peer.send(begin().on_channel(asked.channel).with("remote-channel", Value::Ushort(asked.channel)));
}

/// Answers an attach as it was asked for, on handle 0; what was asked.
#[track_caller]
pub(crate) fn answer_attach(peer: &mut Peer) -> Performative {
    let asked = peer.expect_attach();
    peer.send(attach_back(&asked));
    asked
}

/// The answer to an attach: the other role, the same termini, the same handle.
pub(crate) fn attach_back(asked: &Performative) -> Performative {
    let role = !asked.flag("role");
    let answer = attach(&asked.text("name"), asked.number("handle") as u32, role)
        .with("source", asked.get("source"))
        .with("target", asked.get("target"));
    if role == SENDER { answer.with("initial-delivery-count", 0u32) } else { answer }
}

/// Answers the attach of a sender and gives it credit.
#[track_caller]
pub(crate) fn answer_sender(peer: &mut Peer, credit: u32) {
    let asked = answer_attach(peer);
    assert_eq!(asked.flag("role"), SENDER);
    peer.grant(asked.number("handle") as u32, 0, credit);
}

/// Answers the attach of a receiver and awaits its credit; that.
#[track_caller]
pub(crate) fn answer_receiver(peer: &mut Peer) -> u32 {
    let asked = answer_attach(peer);
    assert_eq!(asked.flag("role"), RECEIVER);
    peer.expect_credit()
}

/// Answers the close of the client.
#[track_caller]
pub(crate) fn answer_close(mut peer: Peer) {
    let asked = peer.expect_close();
    assert_eq!(asked.get("error"), Value::Null);
    peer.send(close());
    peer.expect_eof();
}
