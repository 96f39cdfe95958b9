//! The rows of the table, in groups.

mod fairness;
pub(crate) mod instructions;
pub(crate) mod latency;
mod publish;
mod remembered;
mod scale;
mod start;
mod throughput;

use crate::stats::Table;

/// The amount of work in each row.
pub(crate) struct Scale {
    /// Number of repetitions of each pair.
    pub(crate) rounds: usize,
    /// Number of small messages in one repetition.
    pub(crate) messages: u32,
    /// Number of messages in a queue's backlog.
    pub(crate) backlog: u32,
    /// Maximum number of addresses, links and connections.
    pub(crate) addresses: u32,
    pub(crate) links: u32,
    pub(crate) connections: u32,
    /// Number of round trips.
    pub(crate) trips: usize,
    /// Number of starts and stops.
    pub(crate) starts: usize,
    /// Duration of a flood, in seconds.
    pub(crate) flood: u64,
}

impl Scale {
    pub(crate) fn full() -> Scale {
        Scale {
            rounds: 9,
            messages: 200_000,
            backlog: 1_000_000,
            addresses: 100_000,
            links: 10_000,
            connections: 10_000,
            trips: 5_000,
            starts: 200,
            flood: 10,
        }
    }

    pub(crate) fn short() -> Scale {
        Scale {
            rounds: 2,
            messages: 2_000,
            backlog: 5_000,
            addresses: 500,
            links: 100,
            connections: 50,
            trips: 50,
            starts: 5,
            flood: 1,
        }
    }
}

type Row = fn(&Scale, &mut Table);

pub(crate) const ALL: &[(&str, Row)] = &[
    ("settled", throughput::settled),
    ("unsettled", throughput::unsettled),
    ("large", throughput::large),
    ("multicast", throughput::multicast),
    ("latency", latency::row),
    ("queue", throughput::queue),
    ("0-9-1", publish::row),
    ("remembered", remembered::row),
    ("start", start::in_process),
    ("command", start::command),
    ("idle", scale::idle),
    ("addresses", scale::addresses),
    ("links", scale::links),
    ("connections", scale::connections),
    ("pairs", scale::pairs),
    ("flood", fairness::row),
];
