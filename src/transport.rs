//! Reads and writes of one socket: reads until a read would block, writes an outbox with few system calls. The meaning of the
//! bytes is not known here.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use crate::outbox::Outbox;

/// Maximum number of pieces in one system call.
const SLICES: usize = 64;

/// Whether a read that fills less than the buffer has emptied the socket, so that readiness will be reported for the next bytes
/// (Unix). Elsewhere only a read that would block says so.
const SHORT_READ_EMPTIES: bool = cfg!(unix);

/// A socket and its readiness. Readiness is edge-triggered: a socket stays readable until a read finds nothing.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: TcpStream,
    /// Whether bytes or the end of the stream may be there.
    pub(crate) readable: bool,
    /// Whether the end of the stream was reported. It has to be read then, even after a short read.
    pub(crate) end_announced: bool,
    writable: bool,
    /// Whether the write half has been shut down.
    shut: bool,
}

/// The result of a read.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(usize),
    /// No bytes now.
    Nothing,
    /// The end of the stream.
    End,
}

impl Transport {
    pub(crate) fn new(stream: TcpStream) -> Transport {
        Transport { stream, readable: true, end_announced: false, writable: true, shut: false }
    }

    pub(crate) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads once into `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    return Received::End;
                }
                Ok(count) => {
                    if count < buffer.len() && SHORT_READ_EMPTIES && !self.end_announced {
                        self.readable = false;
                    }
                    return Received::Bytes(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Received::Nothing;
                }
                // Mostly a reset. The caller can do nothing about any of these.
                Err(_) => {
                    self.readable = false;
                    return Received::End;
                }
            }
        }
    }

    /// Notes that the socket is writable again.
    pub(crate) fn now_writable(&mut self) {
        self.writable = true;
    }

    /// Writes until `outbox` is empty or the socket takes no more. Fails if the connection is broken.
    pub(crate) fn write(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        while self.writable && !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = outbox.fill(&mut slices);
            let result = self.stream.write_vectored(slices.get(..used).unwrap_or_default());
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => outbox.consume(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Shuts down the write half. The caller must go on reading what the peer sends: otherwise the kernel would answer with a
    /// reset, and the peer might lose our last bytes.
    pub(crate) fn shut_down(&mut self) {
        if !self.shut {
            self.shut = true;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}
