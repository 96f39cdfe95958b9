//! The steps up to a channel, one type each, so that the order of the calls is checked by the compiler.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Instant;

use super::channel::{Channel, Peer};
use super::error::{Error, ErrorKind, Step};
use super::stream::{Received, Stream};
use super::{Connector, FAR, after};
use crate::amqp10::Initiator;
use crate::config::{Config, EngineConfig};

/// A connection after the protocol headers, before SASL. Dropping it closes the socket.
#[derive(Debug)]
pub struct Connected {
    connector: Connector,
    stream: Stream,
    initiator: Initiator,
}

/// A connection after SASL, before open. Dropping it closes the socket.
#[derive(Debug)]
pub struct Authenticated {
    connector: Connector,
    stream: Stream,
    mechanisms: Vec<String>,
}

pub(super) fn connect(connector: &Connector) -> Result<Connected, Error> {
    let deadline = after(Instant::now(), connector.timeout_for(Step::Connect));
    let mut stream = Stream::connect(&connector.host, connector.port, deadline).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::TimedOut => ErrorKind::TimedOut(connector.timeout_for(Step::Connect)),
            kind => {
                let (host, port) = (&connector.host, connector.port);
                ErrorKind::Io(std::io::Error::new(kind, format!("{host} port {port}: {error}")))
            }
        };
        Error::new(Step::Connect, kind)
    })?;
    let initiator = Initiator::new(connector.sasl, &mut stream.outbox);
    let mut connected = Connected { connector: connector.clone(), stream, initiator };
    connected.wait(Step::Connect, deadline, Initiator::is_answered)?;
    Ok(connected)
}

impl Connected {
    /// Takes the second step: SASL. Sends user and password where PLAIN is offered, else ANONYMOUS.
    ///
    /// # Errors
    /// When the peer does not let us in ([`ErrorKind::Refused`]: `sasl:auth` where user or password is wrong) or offers
    /// neither of the two (`sasl:mechanisms`).
    pub fn authenticate(mut self) -> Result<Authenticated, Error> {
        let step = Step::Authenticate;
        let deadline = after(Instant::now(), self.connector.timeout_for(step));
        self.wait(step, deadline, |initiator| initiator.offered().is_some() || initiator.is_agreed())?;
        let mut mechanisms = Vec::new();
        if let Some(offered) = self.initiator.offered() {
            mechanisms.extend(offered.iter().map(|mechanism| mechanism.as_str().to_owned()));
            let Connector { user, password, .. } = &self.connector;
            self.initiator
                .authenticate(user, password, self.connector.hostname(), &mut self.stream.outbox)
                .map_err(|denied| Error::new(step, denied.into()))?;
            self.wait(step, deadline, Initiator::is_agreed)?;
        }
        Ok(Authenticated { connector: self.connector, stream: self.stream, mechanisms })
    }

    fn wait(&mut self, step: Step, deadline: Instant, done: impl Fn(&Initiator) -> bool) -> Result<(), Error> {
        let Connected { connector, stream, initiator } = self;
        let mut work = || -> Result<(), ErrorKind> {
            let mut ended = false;
            loop {
                // Octets after the end of a step belong to the next step.
                while !done(initiator) {
                    if !initiator.receive(&mut stream.inbox, &mut stream.outbox)? {
                        break;
                    }
                }
                if done(initiator) {
                    return Ok(());
                }
                // All that the peer sent before the end of the stream has been read.
                if ended {
                    return Err(ErrorKind::hung_up());
                }
                if !stream.write(deadline).map_err(ErrorKind::Io)? {
                    // The peer does not take even these few bytes.
                    return Err(ErrorKind::TimedOut(connector.timeout_for(step)));
                }
                match stream.read(deadline).map_err(ErrorKind::Io)? {
                    Received::Bytes => {}
                    Received::Nothing => return Err(ErrorKind::TimedOut(connector.timeout_for(step))),
                    Received::End => ended = true,
                }
            }
        };
        work().map_err(|kind| Error::new(step, kind))
    }
}

impl Authenticated {
    /// Takes the third step: `open`, and a session.
    ///
    /// # Errors
    /// When the peer closes or ends it again, with its condition ([`ErrorKind::Refused`]).
    pub fn open_channel(self) -> Result<Channel, Error> {
        let Authenticated { connector, stream, mechanisms } = self;
        let config = Arc::new(engine_config(&connector));
        let peer = Peer { mechanisms, ..Peer::default() };
        Channel::open(&connector, config, stream, peer)
    }
}

impl Connector {
    /// The hostname that `open` names.
    pub(super) fn hostname(&self) -> &str {
        self.virtual_host.as_deref().unwrap_or(&self.host)
    }
}

/// The settings of the engine: those of the broker, where there is no reason to differ.
fn engine_config(connector: &Connector) -> EngineConfig {
    let container_id = connector.container_id.clone().unwrap_or_else(|| {
        let salt = RandomState::new().build_hasher().finish();
        format!("fakebroker-connector-{salt:016x}")
    });
    EngineConfig {
        container_id,
        idle_timeout: connector.idle_timeout,
        handshake_timeout: connector.timeout_for(Step::OpenChannel).min(FAR),
        linger: connector.timeout_for(Step::Disconnect).min(FAR),
        ..Config::default().engine
    }
}
