//! The socket of a scripted peer of either protocol: writes bytes, reads units, and records the conversation. The peer brings
//! the parser; frames are not known here.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fakebroker::{Bound, Broker};

use super::patience::patience;
use super::rows::row;

/// Limits on what a failure prints: lines of the conversation, and characters of each line.
const REMEMBERED: usize = 60;
const LINE: usize = 1000;

/// The address to connect to.
pub trait At {
    fn at(&self) -> SocketAddr;
}

impl At for Broker {
    fn at(&self) -> SocketAddr {
        self.addr()
    }
}

impl At for Bound {
    fn at(&self) -> SocketAddr {
        self.addr()
    }
}

impl At for SocketAddr {
    fn at(&self) -> SocketAddr {
        *self
    }
}

/// The result of a read with a deadline.
pub enum Came<T> {
    /// A whole unit, with its number of bytes.
    Whole(T, usize),
    /// The end of the stream, by FIN or RST.
    Eof,
    /// The deadline has passed.
    Nothing,
}

/// A blocking socket to the broker.
pub struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
    ended: bool,
    conversation: Vec<String>,
}

impl Socket {
    #[track_caller]
    pub fn connect(broker: &impl At) -> Socket {
        let stream = TcpStream::connect_timeout(&broker.at(), patience())
            .unwrap_or_else(|error| panic!("{}cannot connect to {}: {error}", row(), broker.at()));
        Socket::over(stream)
    }

    pub fn over(stream: TcpStream) -> Socket {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(patience())).unwrap();
        Socket { stream, unread: Vec::new(), ended: false, conversation: Vec::new() }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes bytes in one segment. `shown` is recorded in the conversation.
    pub fn write(&mut self, bytes: &[u8], shown: &str) -> std::io::Result<()> {
        self.note("->", shown);
        self.stream.write_all(bytes)
    }

    /// Writes each byte in a segment of its own, as far as the kernel allows it.
    #[track_caller]
    pub fn write_byte_by_byte(&mut self, bytes: &[u8], shown: &str) {
        self.note("->", &format!("byte by byte: {shown}"));
        for byte in bytes {
            if let Err(error) = self.stream.write_all(&[*byte]) {
                self.fail(&format!("cannot send: {error}"));
            }
        }
    }

    /// Writes what fits into the kernel's buffers without waiting for the broker to read. Returns the number of bytes: 0 if the
    /// connection has ended.
    pub fn write_what_fits(&mut self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).unwrap();
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false).unwrap();
        self.note("->", &format!("{written} of {} bytes", bytes.len()));
        written
    }

    /// Writes `bytes` repeatedly until the broker stops reading or `limit` bytes have been written. Returns their number. The
    /// broker has stopped reading if nothing fits through ten calls of `turn`, each of which must make it take a turn.
    pub fn write_until_unread(&mut self, bytes: &[u8], limit: usize, mut turn: impl FnMut()) -> usize {
        let mut written = 0;
        let mut in_vain = 0;
        while written < limit && in_vain < 10 {
            match self.write_what_fits(&bytes[written % bytes.len()..]) {
                0 => {
                    in_vain += 1;
                    turn();
                }
                count => {
                    written += count;
                    in_vain = 0;
                }
            }
        }
        written
    }

    /// Waits until the kernel has transferred everything that either side has written, which takes the loopback a while on a
    /// busy machine.
    #[track_caller]
    pub fn until_carried_over(&self) {
        let deadline = Instant::now() + patience();
        while cfg!(target_os = "linux") && self.stream.local_addr().is_ok_and(is_under_way) {
            assert!(Instant::now() < deadline, "{}the loopback does not carry over what was written", row());
            std::thread::yield_now();
        }
    }

    /// Sends FIN. Answers can still be read.
    pub fn hang_up(&mut self) {
        self.note("->", "FIN");
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends RST.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits for a unit until the deadline; after the deadline, looks at what has arrived. `parse` returns a unit at the front
    /// of the bytes with its length, or None if bytes are missing.
    #[track_caller]
    pub fn read<T>(
        &mut self,
        deadline: Instant,
        parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, String>,
    ) -> Came<T> {
        loop {
            match parse(&self.unread) {
                Ok(Some((unit, size))) => {
                    self.unread.drain(..size);
                    return Came::Whole(unit, size);
                }
                Ok(None) if self.ended && self.unread.is_empty() => return Came::Eof,
                Ok(None) if self.ended => {
                    self.fail(&format!("the stream ended in mid-frame, after {}", hex(&self.unread)))
                }
                Ok(None) => {}
                Err(reason) => self.fail(&format!("cannot decode {}: {reason}", hex(&self.unread))),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.read_more(left) && left.is_zero() {
                return Came::Nothing;
            }
        }
    }

    /// Waits for bytes or the end of the stream for this time at most. With no time, reads what has arrived. Returns whether
    /// there was anything.
    fn read_more(&mut self, at_most: Duration) -> bool {
        let mut buffer = [0; 65536];
        let read = if at_most.is_zero() {
            self.stream.set_nonblocking(true).unwrap();
            let read = self.stream.read(&mut buffer);
            self.stream.set_nonblocking(false).unwrap();
            read
        } else {
            self.stream.set_read_timeout(Some(at_most)).unwrap();
            self.stream.read(&mut buffer)
        };
        match read {
            Ok(0) => {
                self.ended = true;
                self.note("<-", "FIN");
                // As a client does that sees the end; the broker need not wait for it.
                let _ = self.stream.shutdown(Shutdown::Write);
            }
            Ok(n) => self.unread.extend(&buffer[..n]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => return false,
                // The rest of a frame that a reset cut off will never come.
                _ => {
                    self.ended = true;
                    self.unread.clear();
                    self.note("<-", &format!("reset ({error})"));
                }
            },
        }
        true
    }

    /// Records a line of the conversation.
    pub fn note(&mut self, direction: &str, what: &str) {
        if self.conversation.len() == REMEMBERED {
            self.conversation.remove(0);
            self.conversation[0] = "(what was said before is forgotten)".into();
        }
        let shown: String = what.chars().take(LINE).collect();
        self.conversation.push(format!("{direction} {shown}"));
    }

    /// Fails the test and prints the conversation.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        panic!("{}{what}\nthe conversation:\n  {}\n", row(), self.conversation.join("\n  "));
    }
}

/// Whether bytes from or to this end of a connection are unacknowledged: the fifth field of proc(5)'s /proc/net/tcp.
fn is_under_way(addr: SocketAddr) -> bool {
    let SocketAddr::V4(addr) = addr else { return false };
    let end = format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port());
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    connections.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|fields| match fields[..] {
        [_, local, remote, "01", queues, ..] => (local == end || remote == end) && !queues.starts_with("00000000:"),
        _ => false,
    })
}

/// Returns the hexadecimal form of bytes, for a failure message.
pub fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 200;
    let mut text: String = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > SHOWN {
        text += &format!("... ({} bytes)", bytes.len());
    }
    text
}
