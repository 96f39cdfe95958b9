//! Captures as pcap files, for Wireshark and tshark. The IPv4 and TCP headers around the bytes are made up, and so are
//! the segments that open and close a connection. Knows nothing of the bytes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use crate::live::live;

/// The server's port, by which Wireshark knows AMQP.
const SERVER_PORT: u16 = 5672;

/// The first port of clients. Clients' ports are above the server's, since Wireshark takes the protocol from the lower
/// one.
const FIRST_CLIENT_PORT: u16 = 10_000;

/// The number of clients' ports at each address.
const CLIENT_PORTS: u64 = 50_000;

/// The most bytes in a segment: with its headers it has to fit the 65,535 of an IPv4 packet.
const MAX_SEGMENT: usize = 60_000;

/// The header of the file: byte order and microseconds, version 2.4, UTC, packets of any length, no layer below IP.
const FILE_HEADER: [u32; 6] = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0x0004_0000, 101];

/// RFC 9293, 3.1: control bits.
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// RFC 7323: a window scale of 14, so that no window is ever full, after a no-operation.
const WINDOW_SCALE: [u8; 4] = [1, 3, 3, 14];

/// Writes a capture. The caller names connections by any numbers.
#[derive(Debug)]
pub(crate) struct Pcap<W: Write> {
    out: W,
    connections: HashMap<u64, Connection>,
    /// The number of connections so far.
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    client: Endpoint,
    server: Endpoint,
}

#[derive(Clone, Copy, Debug)]
struct Endpoint {
    address: [u8; 4],
    port: u16,
    /// RFC 9293, 3.4: the sequence number of the next byte that this end sends.
    next: u32,
}

impl<W: Write> Pcap<W> {
    /// Creates a capture and writes its header.
    pub(crate) fn new(mut out: W) -> io::Result<Pcap<W>> {
        let header: Vec<u8> = FILE_HEADER.iter().flat_map(|field| field.to_be_bytes()).collect();
        out.write_all(&header)?;
        Ok(Pcap { out, connections: HashMap::new(), count: 0 })
    }

    /// Writes the opening of a connection. `at` is the time since the Unix epoch, here as elsewhere.
    pub(crate) fn connect(&mut self, id: u64, at: Duration) -> io::Result<()> {
        self.close(id, at)?;
        let port = u16::try_from(self.count % CLIENT_PORTS).unwrap_or_default() + FIRST_CLIENT_PORT;
        let [.., high, low] = (self.count / CLIENT_PORTS + 1).to_be_bytes();
        self.count += 1;
        let client = Endpoint { address: [127, 0, high, low], port, next: 0 };
        let server = Endpoint { address: [127, 0, 0, 1], port: SERVER_PORT, next: 0 };
        self.connections.insert(id, Connection { client, server });
        self.control(id, true, SYN, at)?;
        self.control(id, false, SYN | ACK, at)?;
        self.control(id, true, ACK, at)
    }

    /// Writes `len` bytes from one side, of which `bytes` are the first. A connection that is not known is opened
    /// first.
    pub(crate) fn bytes(
        &mut self,
        id: u64,
        from_client: bool,
        at: Duration,
        bytes: &[u8],
        len: usize,
    ) -> io::Result<()> {
        if !self.connections.contains_key(&id) {
            self.connect(id, at)?;
        }
        (0..len).step_by(MAX_SEGMENT).try_for_each(|start| {
            let size = MAX_SEGMENT.min(len - start);
            let kept = bytes.get(start..).unwrap_or_default();
            let kept = kept.get(..size).unwrap_or(kept);
            self.segment(id, from_client, PSH | ACK, at, kept, size)
        })
    }

    /// Flushes the writer.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes the end of a connection, if it is known.
    pub(crate) fn close(&mut self, id: u64, at: Duration) -> io::Result<()> {
        if !self.connections.contains_key(&id) {
            return Ok(());
        }
        self.control(id, true, FIN | ACK, at)?;
        self.control(id, false, FIN | ACK, at)?;
        self.control(id, true, ACK, at)?;
        self.connections.remove(&id);
        Ok(())
    }

    /// Writes a segment without bytes.
    fn control(&mut self, id: u64, from_client: bool, flags: u8, at: Duration) -> io::Result<()> {
        self.segment(id, from_client, flags, at, &[], 0)
    }

    /// Writes a segment with `size` bytes, of which `payload` are the first. The file says how many bytes of a packet
    /// are missing.
    fn segment(
        &mut self,
        id: u64,
        from_client: bool,
        flags: u8,
        at: Duration,
        payload: &[u8],
        size: usize,
    ) -> io::Result<()> {
        let found = live(self.connections.get_mut(&id), "a connection of a capture");
        let Some(Connection { client, server }) = found else { return Ok(()) };
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        let packet = packet(from, to, flags, payload, size);
        // RFC 9293, 3.4: a SYN and a FIN count like a byte.
        let counted = saturated(size) + u32::from(flags & (SYN | FIN) != 0);
        from.next = from.next.wrapping_add(counted);

        let missing = size - payload.len();
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        let header = [seconds, at.subsec_micros(), saturated(packet.len()), saturated(packet.len() + missing)];
        let record: Vec<u8> = header.iter().flat_map(|field| field.to_be_bytes()).chain(packet).collect();
        self.out.write_all(&record)
    }
}

fn saturated(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// RFC 791 and RFC 9293: encodes a packet of `size` bytes, of which `payload` are there.
fn packet(from: &Endpoint, to: &Endpoint, flags: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let options: &[u8] = if flags & SYN != 0 { &WINDOW_SCALE } else { &[] };
    let acknowledged = if flags & ACK != 0 { to.next } else { 0 };
    let mut segment = Vec::with_capacity(24 + payload.len());
    segment.extend(from.port.to_be_bytes());
    segment.extend(to.port.to_be_bytes());
    segment.extend(from.next.to_be_bytes());
    segment.extend(acknowledged.to_be_bytes());
    // The header's length in words, the control bits, the window, the checksum, no urgent pointer.
    let words = if options.is_empty() { 5 } else { 6 };
    segment.extend([words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    // MAX_SEGMENT lets it fit.
    let missing = size - payload.len();
    let size = u16::try_from(segment.len() + missing).unwrap_or_default();
    // The checksum of missing bytes is not known; a dissector does not check that of such a packet.
    if missing == 0 {
        let pseudo_header = [&from.address[..], &to.address, &[0, TCP], &size.to_be_bytes()].concat();
        let sum = checksum(pseudo_header.iter().chain(&segment));
        put(&mut segment, 16, sum);
    }

    // Version 4 and five words, no service, the length, no identification, not fragmented, 64 hops, TCP, the checksum.
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, TCP, 0, 0];
    packet.extend(from.address);
    packet.extend(to.address);
    put(&mut packet, 2, size + 20);
    let sum = checksum(packet.iter());
    put(&mut packet, 10, sum);
    packet.extend(segment);
    packet
}

/// The number of TCP among the protocols of IPv4.
const TCP: u8 = 6;

fn put(header: &mut [u8], at: usize, field: u16) {
    let place = header.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
    if let Some(place) = live(place, "the place of a header's field") {
        *place = field.to_be_bytes();
    }
}

/// RFC 1071: the Internet checksum.
fn checksum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u16 {
    let sum: u32 = bytes.enumerate().map(|(index, byte)| u32::from(*byte) << if index % 2 == 0 { 8 } else { 0 }).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp10;
    use crate::recordings::{self, Said};

    /// A record of the file, taken apart by hand; its checksums have been checked.
    #[derive(Debug, PartialEq)]
    struct Packet {
        at: (u32, u32),
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        sequence: u32,
        acknowledged: u32,
        flags: u8,
        payload: Vec<u8>,
    }

    fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
        let (taken, rest) = bytes.split_first_chunk().expect("bytes of a record");
        *bytes = rest;
        *taken
    }

    fn number(bytes: &mut &[u8]) -> u32 {
        u32::from_be_bytes(take(bytes))
    }

    /// RFC 1071: with its checksum in it, a sum is all ones.
    fn is_all_ones(bytes: &[u8]) -> bool {
        let words = bytes.chunks(2).map(|word| u64::from(word[0]) * 256 + u64::from(*word.get(1).unwrap_or(&0)));
        words.sum::<u64>() % 0xffff == 0
    }

    fn read(mut file: &[u8]) -> Vec<Packet> {
        assert_eq!(take::<24>(&mut file), *b"\xa1\xb2\xc3\xd4\0\x02\0\x04\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\x65");
        let mut packets = Vec::new();
        while !file.is_empty() {
            let at = (number(&mut file), number(&mut file));
            let size = number(&mut file);
            assert_eq!(number(&mut file), size);
            let (record, rest) = file.split_at(size as usize);
            file = rest;
            let (ip, tcp) = record.split_at(20);
            assert_eq!(ip[..2], [0x45, 0]);
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), record.len());
            assert!(is_all_ones(ip), "the checksum of {ip:?}");
            let length = u16::try_from(tcp.len()).unwrap().to_be_bytes();
            assert!(is_all_ones(&[&ip[12..], &[0, 6], &length, tcp].concat()), "the checksum of a segment");
            let (mut ip, mut tcp) = (&ip[12..], tcp);
            let (from, to) = (take(&mut ip), take(&mut ip));
            let (from_port, to_port) = (u16::from_be_bytes(take(&mut tcp)), u16::from_be_bytes(take(&mut tcp)));
            let (sequence, acknowledged) = (number(&mut tcp), number(&mut tcp));
            let [words, flags] = take(&mut tcp);
            let payload = tcp[usize::from(words >> 4) * 4 - 14..].to_vec();
            let (from, to) = ((from, from_port), (to, to_port));
            packets.push(Packet { at, from, to, sequence, acknowledged, flags, payload });
        }
        packets
    }

    const CLIENT: ([u8; 4], u16) = ([127, 0, 0, 1], 10_000);
    const SERVER: ([u8; 4], u16) = ([127, 0, 0, 1], 5672);

    /// Writes bytes of which none are missing.
    fn say<W: Write>(pcap: &mut Pcap<W>, id: u64, from_client: bool, at: Duration, bytes: &[u8]) -> io::Result<()> {
        pcap.bytes(id, from_client, at, bytes, bytes.len())
    }

    #[test]
    fn a_connection_from_beginning_to_end() {
        let mut file = Vec::new();
        let mut pcap = Pcap::new(&mut file).unwrap();
        pcap.connect(7, Duration::from_micros(1_000_002)).unwrap();
        say(&mut pcap, 7, true, Duration::from_secs(2), b"hello").unwrap();
        say(&mut pcap, 7, false, Duration::from_secs(3), b"you").unwrap();
        say(&mut pcap, 7, false, Duration::from_secs(3), b"").unwrap();
        pcap.close(7, Duration::from_secs(4)).unwrap();
        pcap.close(7, Duration::from_secs(5)).unwrap();

        type Row = ((u32, u32), bool, u8, u32, u32, &'static [u8]);
        let rows: [Row; 8] = [
            ((1, 2), true, SYN, 0, 0, b""),
            ((1, 2), false, SYN | ACK, 0, 1, b""),
            ((1, 2), true, ACK, 1, 1, b""),
            ((2, 0), true, PSH | ACK, 1, 1, b"hello"),
            ((3, 0), false, PSH | ACK, 1, 6, b"you"),
            ((4, 0), true, FIN | ACK, 6, 4, b""),
            ((4, 0), false, FIN | ACK, 4, 7, b""),
            ((4, 0), true, ACK, 7, 5, b""),
        ];
        let expected = rows.map(|(at, from_client, flags, sequence, acknowledged, payload)| {
            let (from, to) = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
            Packet { at, from, to, sequence, acknowledged, flags, payload: payload.to_vec() }
        });
        assert_eq!(read(&file), expected);
    }

    #[test]
    fn what_is_long_is_cut() {
        let mut file = Vec::new();
        let mut pcap = Pcap::new(&mut file).unwrap();
        let said: Vec<u8> = (0..150_001_u32).map(|index| (index % 251) as u8).collect();
        say(&mut pcap, 1, false, Duration::ZERO, &said).unwrap();
        let packets: Vec<Packet> = read(&file).into_iter().filter(|packet| !packet.payload.is_empty()).collect();
        let places: Vec<(u32, usize)> = packets.iter().map(|packet| (packet.sequence, packet.payload.len())).collect();
        assert_eq!(places, [(1, 60_000), (60_001, 60_000), (120_001, 30_001)]);
        assert_eq!(packets.iter().flat_map(|packet| packet.payload.clone()).collect::<Vec<u8>>(), said);
    }

    #[test]
    fn what_is_missing_is_counted() {
        let mut file = Vec::new();
        let mut pcap = Pcap::new(&mut file).unwrap();
        pcap.bytes(1, true, Duration::ZERO, b"abc", 60_002).unwrap();
        say(&mut pcap, 1, true, Duration::ZERO, b"d").unwrap();
        // Sizes of the packet in the file and on the wire, and the sequence number.
        let mut packets = Vec::new();
        let mut rest = &file[24..];
        while !rest.is_empty() {
            let [_, _, kept, size] = [(); 4].map(|()| number(&mut rest));
            let (packet, others) = rest.split_at(kept as usize);
            assert_eq!(u32::from(u16::from_be_bytes([packet[2], packet[3]])), size);
            packets.push((kept, size, u32::from_be_bytes(*packet[24..].first_chunk().unwrap())));
            rest = others;
        }
        assert_eq!(packets[3..], [(43, 60_040, 1), (40, 42, 60_001), (41, 41, 60_003)]);
    }

    #[test]
    fn connections_do_not_mix() {
        let mut file = Vec::new();
        let mut pcap = Pcap::new(&mut file).unwrap();
        for id in [5, 3] {
            pcap.connect(id, Duration::ZERO).unwrap();
        }
        // A number that is opened again is another connection; one that is not known is opened by its bytes.
        pcap.connect(5, Duration::ZERO).unwrap();
        for id in [3, 5, 9] {
            say(&mut pcap, id, true, Duration::ZERO, &[u8::try_from(id).unwrap()]).unwrap();
        }
        let packets = read(&file);
        let said = packets.iter().filter(|packet| !packet.payload.is_empty());
        let said: Vec<(u16, u8, u32)> =
            said.map(|packet| (packet.from.1, packet.payload[0], packet.sequence)).collect();
        assert_eq!(said, [(10_001, 3, 1), (10_002, 5, 1), (10_003, 9, 1)]);
        assert_eq!(packets.iter().filter(|packet| packet.flags & FIN != 0).count(), 2);
    }

    #[test]
    fn more_connections_than_ports() {
        let mut file = Vec::new();
        let mut pcap = Pcap::new(&mut file).unwrap();
        pcap.count = CLIENT_PORTS - 1;
        pcap.connect(1, Duration::ZERO).unwrap();
        pcap.connect(2, Duration::ZERO).unwrap();
        let clients: Vec<_> =
            read(&file).iter().filter(|packet| packet.flags == SYN).map(|packet| packet.from).collect();
        assert_eq!(clients, [([127, 0, 0, 1], 59_999), ([127, 0, 0, 2], 10_000)]);
    }

    #[test]
    fn sequence_numbers_go_round() {
        let mut file = Vec::new();
        let mut pcap = Pcap::new(&mut file).unwrap();
        pcap.connect(1, Duration::ZERO).unwrap();
        pcap.connections.get_mut(&1).unwrap().client.next = u32::MAX;
        say(&mut pcap, 1, true, Duration::ZERO, b"abc").unwrap();
        pcap.close(1, Duration::MAX).unwrap();
        let packets = read(&file);
        assert_eq!((packets[3].sequence, packets[4].sequence), (u32::MAX, 2));
    }

    /// Runs tshark and returns, for each field, its values in all packets.
    fn dissected<const N: usize>(file: &std::path::Path, fields: [&str; N]) -> [Vec<String>; N] {
        let mut tshark = std::process::Command::new("tshark");
        tshark.args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-r"]).arg(file);
        tshark.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = tshark.output().expect("tshark is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found = [const { Vec::new() }; N];
        for packet in String::from_utf8(output.stdout).unwrap().lines() {
            for (values, found) in packet.split('\t').zip(&mut found) {
                found.extend(values.split(',').filter(|value| !value.is_empty()).map(str::to_owned));
            }
        }
        found
    }

    #[test]
    #[ignore = "needs tshark"]
    fn tshark_finds_every_frame() {
        let file = std::env::temp_dir().join(format!("fakebroker-{}.pcap", std::process::id()));
        for recording in recordings::files() {
            let mut pcap = Pcap::new(std::fs::File::create(&file).unwrap()).unwrap();
            let said = recordings::read(&recording);
            let mut at = Duration::from_secs(1_795_250_096);
            for Said { connection, from_client, bytes } in &said {
                at += Duration::from_millis(1);
                say(&mut pcap, *connection, *from_client, at, bytes).unwrap();
            }
            said.iter().for_each(|said| pcap.close(said.connection, at).unwrap());
            let [tcp, ip] = dissected(&file, ["tcp.checksum.status", "ip.checksum.status"]);
            // 1 is good.
            assert!(!tcp.is_empty() && tcp.iter().chain(&ip).all(|status| status == "1"), "{recording:?}");
            all_is_found(&file, &said, &recording);
        }
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    #[ignore = "needs tshark"]
    fn tshark_finds_every_frame_of_which_the_end_is_missing() {
        let file = std::env::temp_dir().join(format!("fakebroker-cut-{}.pcap", std::process::id()));
        for recording in recordings::files() {
            let mut pcap = Pcap::new(std::fs::File::create(&file).unwrap()).unwrap();
            let said = recordings::read(&recording);
            let mut streams: HashMap<(u64, bool), Vec<u8>> = HashMap::new();
            for Said { connection, from_client, bytes } in &said {
                let stream = streams.entry((*connection, *from_client)).or_default();
                stream.extend(bytes);
                while let Some(size) = (amqp10::FRAMES.extent)(stream).filter(|size| *size <= stream.len()) {
                    let frame: Vec<u8> = stream.drain(..size).collect();
                    let head = (amqp10::FRAMES.head)(&frame).unwrap();
                    let kept = head.payload_at.map_or(size, |start| size.min(start + 16));
                    pcap.bytes(*connection, *from_client, Duration::ZERO, &frame[..kept], size).unwrap();
                }
            }
            said.iter().for_each(|said| pcap.close(said.connection, Duration::ZERO).unwrap());
            all_is_found(&file, &said, &recording);
        }
        std::fs::remove_file(file).unwrap();
    }

    /// Checks that tshark finds all headers and frames in the file, and nothing malformed.
    fn all_is_found(file: &std::path::Path, said: &[Said], recording: &std::path::Path) {
        let (mut headers, mut sasl_frames, mut frames) = (0, 0, 0);
        for stream in recordings::streams(said).values() {
            let mut rest = &stream[..];
            while let Some(size) = (amqp10::FRAMES.extent)(rest) {
                match (amqp10::FRAMES.describe)(&rest[..size], size).name.split(['-', ' ']).next() {
                    Some("header") => headers += 1,
                    Some("sasl") => sasl_frames += 1,
                    Some("heartbeat") => {}
                    _ => frames += 1,
                }
                rest = &rest[size..];
            }
        }
        let [performatives, sasl, protocols, malformed, doubtful] = dissected(
            file,
            ["amqp.performative", "amqp.sasl.method", "amqp.init.protocol", "_ws.malformed", "tcp.analysis.flags"],
        );
        assert_eq!((performatives.len(), sasl.len(), protocols.len()), (frames, sasl_frames, headers), "{recording:?}");
        assert!(malformed.is_empty() && doubtful.is_empty(), "{recording:?}: {malformed:?} {doubtful:?}");
    }
}
