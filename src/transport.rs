//! Bytes to and from one socket: reads until a read would block, writes an outbox with few system calls. What the bytes mean
//! is not known here.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use crate::outbox::Outbox;

/// Pieces of an outbox that go into one system call.
const SLICES: usize = 64;

/// On Unix a read that fills less than the buffer has emptied the socket, and the next bytes will be announced; elsewhere
/// only a read that would block makes sure of that.
const SHORT_READ_EMPTIES: bool = cfg!(unix);

/// A socket, and what is known of its readiness. Readiness is edge-triggered: a socket stays readable until a read finds
/// nothing.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: TcpStream,
    /// Whether bytes, or their end, may be there.
    pub(crate) readable: bool,
    /// Whether the end has been announced. It has to be read then, however short the reads before it are.
    pub(crate) end_announced: bool,
    writable: bool,
    /// Whether our end has been shut down.
    shut: bool,
}

/// What a read found.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(usize),
    /// No bytes for now.
    Nothing,
    /// The end: no bytes ever again.
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
                // Reset, most of the time. There is nothing to be done about any of them.
                Err(_) => {
                    self.readable = false;
                    return Received::End;
                }
            }
        }
    }

    /// Notes that the socket takes bytes again.
    pub(crate) fn now_writable(&mut self) {
        self.writable = true;
    }

    /// Writes until `outbox` is empty or the socket takes no more. Fails when the peer is gone.
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

    /// Tells the peer that nothing more comes. What the peer still sends has to be read: otherwise the kernel would answer with
    /// a reset, and the peer might lose our last bytes.
    pub(crate) fn shut_down(&mut self) {
        if !self.shut {
            self.shut = true;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}
