//! The blocking socket of a channel: reads and writes bytes until a deadline, and knows nothing of them.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::outbox::Outbox;

/// The size of the read buffer.
const READ_BYTES: usize = 64 * 1024;

/// The number of pieces of an outbox that one system call writes.
const SLICES: usize = 64;

/// The time for which a peer may take no bytes before what it has sent is read, since it may wait for that. It begins
/// with the first, and doubles up to the second.
const MIN_PATIENCE: Duration = Duration::from_millis(1);
const MAX_PATIENCE: Duration = Duration::from_millis(32);

/// A socket with its input and output.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    buffer: Box<[u8]>,
    patience: Duration,
    /// The octets that have come and that the engine has not read.
    pub(super) inbox: BytesMut,
    /// The output that is not written yet.
    pub(super) outbox: Outbox,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Bytes,
    /// Nothing came in time.
    Nothing,
    /// The peer has ended the stream.
    End,
}

impl Stream {
    /// Connects to the first address of the host that answers, until time is up.
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
        // Nagle's algorithm would add a delay to every latency that a test measures.
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

    /// Writes until the outbox is empty. False if the peer takes no more for now: read, and call again.
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

    /// Reads once, when something has come, and no later than `until`.
    pub(super) fn read(&mut self, until: Instant) -> io::Result<Received> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let result = if left.is_zero() {
                self.socket.set_nonblocking(true)?;
                let result = self.socket.read(&mut self.buffer);
                self.socket.set_nonblocking(false)?;
                result
            } else {
                // Not every system has timeouts below a millisecond.
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

/// Whether an error is a timeout, for which systems have two kinds.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
