//! The flood: 200 peers that send as much useless traffic as they can, ten of each of the kinds in `kinds.rs`.
//!
//! A process of its own: `flood SERVER SECONDS`. Says `flooding` when every peer has been connected, goes on for so many seconds,
//! then says how many bytes each kind has written, and ends. It connects to nothing but SERVER.

mod kinds;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::load::{FLOW, Frames};
use crate::wire::{self, Template};
use kinds::{CHANNEL_OPEN_OK, Family, KINDS, Kind, Manner};

const EACH: usize = 10;
pub(crate) const PEERS: usize = EACH * KINDS.len();
const THREADS: usize = 4;

/// Bytes that a peer writes or reads before the next peer's turn.
const SHARE: usize = 256 * 1024;

/// Pause of a peer before it connects again, because the number of local ports is limited.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &[String]) {
    let addr: SocketAddr = args[0].parse().expect("an address");
    let time = Duration::from_secs(args[1].parse().expect("seconds"));
    let mut peers: Vec<Peer> = (0..PEERS).map(|n| Peer::new(n, addr)).collect();
    println!("flooding");
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for peers in peers.chunks_mut(PEERS.div_ceil(THREADS)) {
            scope.spawn(move || {
                while Instant::now() < end {
                    let busy = peers.iter_mut().fold(false, |busy, peer| peer.turn() | busy);
                    if !busy {
                        // All sockets are full; the server needs the processor.
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            });
        }
    });
    for (index, kind) in KINDS.iter().enumerate() {
        let those = || peers.iter().filter(|peer| peer.n % KINDS.len() == index);
        let bytes: u64 = those().map(|peer| peer.written).sum();
        let connects: u32 = those().map(|peer| peer.connects).sum();
        println!("{bytes} {connects} {}", kind.name);
    }
}

struct Peer {
    n: usize,
    kind: &'static Kind,
    addr: SocketAddr,
    connection: Option<Connection>,
    /// Earliest time of the next connection.
    connect_at: Instant,
    written: u64,
    connects: u32,
}

impl Peer {
    fn new(n: usize, addr: SocketAddr) -> Peer {
        let kind = &KINDS[n % KINDS.len()];
        let mut peer = Peer { n, kind, addr, connection: None, connect_at: Instant::now(), written: 0, connects: 0 };
        peer.connect();
        peer
    }

    fn connect(&mut self) {
        self.connection = Connection::new(self.addr, self.kind, self.n).ok();
        self.connects += 1;
        self.connect_at = Instant::now() + PAUSE;
    }

    /// Reads and writes what is possible without waiting. Returns whether that was anything.
    fn turn(&mut self) -> bool {
        let Some(connection) = &mut self.connection else {
            let due = Instant::now() >= self.connect_at;
            if due {
                self.connect();
            }
            return due;
        };
        let busy = connection.read().and_then(|busy| Ok(connection.write(&mut self.written)? || busy));
        if busy.is_err() {
            self.connection = None;
        }
        busy.unwrap_or(true)
    }
}

/// The use of incoming bytes.
enum Input {
    /// 1.0: parsed for credit.
    Frames(Frames),
    /// 0-9-1, before open-ok: the client has to wait for it.
    Unanswered(Vec<u8>),
    /// 0-9-1 after that: discarded.
    Nowhere,
}

struct Connection {
    stream: TcpStream,
    manner: Manner,
    n: usize,
    input: Input,
    out: Vec<u8>,
    /// Number of bytes of `out` that have been written.
    written: usize,
    batches: u32,
    message: Template,
    sent: u32,
    /// The delivery-count up to which the peer has credit.
    limit: u32,
}

impl Connection {
    fn new(addr: SocketAddr, kind: &Kind, n: usize) -> io::Result<Connection> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        // Avoids TIME-WAIT, because other programs need ports too.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        let input = match kind.family {
            Family::Amqp10 => Input::Frames(Frames::new(stream.try_clone()?)),
            Family::Amqp091 => Input::Unanswered(Vec::new()),
        };
        Ok(Connection {
            stream,
            manner: kind.manner,
            n,
            input,
            out: (kind.setup)(n),
            written: 0,
            batches: 0,
            message: wire::transfer(100, !matches!(kind.manner, Manner::SendUnsettled)),
            sent: 0,
            limit: 0,
        })
    }

    /// Reads its share. Returns whether there was anything. The end of the stream is an error.
    fn read(&mut self) -> io::Result<bool> {
        let Connection { stream, input, limit, .. } = self;
        let mut buffer = [0; 16 * 1024];
        for round in 0..SHARE / buffer.len() {
            let result = match input {
                Input::Frames(frames) => frames.try_read(|frame| {
                    if let (FLOW, [_, _, _, _, Some(_), Some(count), Some(credit)]) = (frame.code, frame.numbers::<7>())
                    {
                        *limit = count.wrapping_add(credit);
                    }
                }),
                Input::Unanswered(_) | Input::Nowhere => stream.read(&mut buffer).map(|count| {
                    if let Input::Unanswered(answers) = input {
                        answers.extend_from_slice(&buffer[..count]);
                        if answers.windows(CHANNEL_OPEN_OK.len()).any(|bytes| bytes == CHANNEL_OPEN_OK) {
                            *input = Input::Nowhere;
                        }
                    }
                    count > 0
                }),
            };
            match result {
                Ok(true) => {}
                Ok(false) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(round > 0),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes its share and adds to `written`. Returns whether that was anything.
    fn write(&mut self, written: &mut u64) -> io::Result<bool> {
        let mut total = 0;
        while total < SHARE {
            if self.written == self.out.len() && !self.next_batch()? {
                break;
            }
            let trickles = self.batches > 0 && matches!(self.manner, Manner::Trickle(_));
            let end = if trickles { self.written + 1 } else { self.out.len() };
            match self.stream.write(&self.out[self.written..end]) {
                Ok(count) => {
                    self.written += count;
                    total += count;
                    *written += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            if trickles {
                break;
            }
        }
        Ok(total > 0)
    }

    /// Puts the next batch into `out`. Returns whether there is one.
    fn next_batch(&mut self) -> io::Result<bool> {
        if matches!(self.input, Input::Unanswered(_)) {
            return Ok(false);
        }
        match self.manner {
            Manner::Once(_) if self.batches > 0 => return Err(ErrorKind::ConnectionAborted.into()),
            Manner::Send | Manner::SendUnsettled => {
                self.out.clear();
                for _ in 0..self.limit.wrapping_sub(self.sent).min(500) {
                    self.message.put(self.sent, &mut self.out);
                    self.sent += 1;
                }
            }
            Manner::Repeat(batch) | Manner::Trickle(batch) | Manner::Once(batch) => {
                if self.batches == 0 {
                    self.out = batch(self.n);
                }
            }
        }
        self.written = 0;
        self.batches += 1;
        Ok(!self.out.is_empty())
    }
}
