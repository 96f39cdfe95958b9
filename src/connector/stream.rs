//! One blocking socket: bytes in and out, none of it for longer than a deadline allows. What the bytes mean is not known here.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::outbox::Outbox;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Pieces of an outbox that go into one system call.
const SLICES: usize = 64;

/// How long a peer may take no bytes before we look whether that is because it waits for us to read: not long after something
/// moved, and longer each time that nothing did.
const MIN_PATIENCE: Duration = Duration::from_millis(1);
const MAX_PATIENCE: Duration = Duration::from_millis(32);

/// See the module.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    buffer: Box<[u8]>,
    patience: Duration,
    /// What has come and has not been understood yet.
    pub(super) inbox: BytesMut,
    /// What is to be written.
    pub(super) outbox: Outbox,
}

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Bytes,
    /// Nothing in time.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Stream {
    /// Tries every address of the host, until time is up.
    pub(super) fn connect(host: &str, port: u16, deadline: Instant) -> io::Result<Stream> {
        let mut result = Err(io::Error::new(ErrorKind::NotFound, format!("{host} has no address")));
        for addr in (host, port).to_socket_addrs()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            result = TcpStream::connect_timeout(&addr, left);
            if result.is_ok() {
                break;
            }
        }
        let socket = result?;
        // A delay here would be in every latency that a test sees.
        socket.set_nodelay(true)?;
        Ok(Stream {
            socket,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            patience: MIN_PATIENCE,
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
        })
    }

    pub(super) fn peer_name(&self) -> String {
        self.socket.peer_addr().map_or_else(|_| "the peer".into(), |addr| addr.to_string())
    }

    /// Writes until the outbox is empty. False if the peer takes no more for now: read, and come again.
    pub(super) fn write(&mut self, deadline: Instant) -> io::Result<bool> {
        if self.outbox.is_empty() {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.socket.set_write_timeout(Some(self.patience.min(left).max(MIN_PATIENCE)))?;
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.outbox.fill(&mut slices);
            match self.socket.write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.outbox.consume(count);
                    self.patience = MIN_PATIENCE;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    self.patience = (self.patience * 2).min(MAX_PATIENCE);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads once, as soon as there is something and no later than `until`.
    pub(super) fn read(&mut self, until: Instant) -> io::Result<Received> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let result = if left.is_zero() {
                self.socket.set_nonblocking(true)?;
                let result = self.socket.read(&mut self.buffer);
                self.socket.set_nonblocking(false)?;
                result
            } else {
                // No timeout is shorter than a millisecond everywhere.
                self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
                self.socket.read(&mut self.buffer)
            };
            match result {
                Ok(0) => return Ok(Received::End),
                Ok(count) => {
                    self.inbox.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
                    self.patience = MIN_PATIENCE;
                    return Ok(Received::Bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Ok(Received::Nothing),
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a socket says when its time is up differs between systems.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
