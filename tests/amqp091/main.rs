//! AMQP 0-8, 0-9 and 0-9-1, by scripted peers, by recordings of real clients and by `lapin`.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support091/mod.rs"]
mod support091;

mod alternate_exchange;
mod blocked;
mod channel;
mod confirm;
mod connection;
mod consistent_hash;
mod consume;
mod consumer_arguments;
mod consumer_timeout;
mod copies;
mod dead_letters;
mod delayed_message;
mod direct_reply_to;
mod exchange;
mod exchange_from_1_0;
mod fixture;
mod get;
mod hostile;
mod meeting;
mod policies;
mod publish;
mod queue;
mod queue_arguments;
mod quorum;
mod recordings;
mod room;
mod stream;
mod transaction;
mod unmet;
mod versions;
mod vhosts;
