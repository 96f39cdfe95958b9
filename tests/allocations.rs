//! What a message costs in allocations once everything has grown to its size: none. A process of its own, since it counts
//! those of every thread; the peers here make all their frames beforehand.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../benches/table/wire.rs"]
#[allow(dead_code)]
mod wire;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;

use fakebroker::Broker;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCH: u32 = 500;

struct Pair {
    sender: TcpStream,
    receiver: TcpStream,
    buffer: Vec<u8>,
}

impl Pair {
    fn new(broker: &Broker, address: &str) -> Pair {
        let mut receiver = TcpStream::connect(broker.addr()).unwrap();
        let attach = [wire::hello(), wire::attach_receiver(0, address), wire::credit(0, 0, 2_000_000_000)].concat();
        receiver.write_all(&attach).unwrap();
        let mut sender = TcpStream::connect(broker.addr()).unwrap();
        let mut pair = Pair { sender: sender.try_clone().unwrap(), receiver, buffer: vec![0; 64 * 1024] };
        pair.receive(0x12, 1);
        sender.write_all(&[wire::hello(), wire::attach_sender(0, address)].concat()).unwrap();
        pair
    }

    /// Reads until so many frames with this performative have come to the receiver.
    fn receive(&mut self, code: u8, mut count: u32) {
        let mut filled = 0;
        while count > 0 {
            let read = self.receiver.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "closed");
            filled += read;
            let mut start = 0;
            while let Some(head) = self.buffer[start..filled].first_chunk::<8>() {
                let size = if head.starts_with(b"AMQP") {
                    8
                } else {
                    u32::from_be_bytes([head[0], head[1], head[2], head[3]])
                };
                let end = start + size as usize;
                if end > filled {
                    break;
                }
                count -= u32::from(self.buffer[start..end].get(10) == Some(&code));
                start = end;
            }
            self.buffer.copy_within(start..filled, 0);
            filled -= start;
        }
    }
}

/// Allocations that a message costs, `batches` of them sent and received one after the other.
fn allocations_a_message(batches: u32, first: u32, pair: &mut Pair, settled: bool) -> f64 {
    let message = wire::transfer(100, settled);
    let frames: Vec<Vec<u8>> = (0..batches)
        .map(|batch| {
            let mut bytes = Vec::new();
            (0..BATCH).for_each(|n| message.put(first + batch * BATCH + n, &mut bytes));
            bytes
        })
        .collect();
    let accepts: Vec<Vec<u8>> =
        (0..batches).map(|batch| wire::accept(first + batch * BATCH, first + (batch + 1) * BATCH - 1)).collect();
    let before = ALLOCATOR.stats();
    for (frames, accept) in frames.iter().zip(&accepts) {
        pair.sender.write_all(frames).unwrap();
        pair.receive(0x14, BATCH);
        if !settled {
            pair.receiver.write_all(accept).unwrap();
        }
    }
    let after = ALLOCATOR.stats();
    let count = (after.allocations - before.allocations) + (after.reallocations - before.reallocations);
    count as f64 / f64::from(batches * BATCH)
}

#[test]
fn a_message_costs_no_allocation() {
    // Remembered, in the log and in the trace, as is the default, or not.
    for remembered in [1000, 0] {
        let broker = Broker::builder().message_log(remembered).trace_log(remembered).start().unwrap();
        for (address, settled) in [("settled", true), ("unsettled", false), ("broadcast.settled", true)] {
            let mut pair = Pair::new(&broker, address);
            allocations_a_message(40, 0, &mut pair, settled);
            // A read of many messages may make a buffer; a message never does.
            let each = allocations_a_message(100, 40 * BATCH, &mut pair, settled);
            assert!(each < 0.1, "{address}, {remembered} remembered: {each} allocations a message");
        }
        assert_eq!(broker.messages("settled").len(), 0, "others have come since");
        assert_eq!(broker.messages("broadcast.settled").len(), remembered);
    }
}
