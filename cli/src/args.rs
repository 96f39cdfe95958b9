//! The command line of the broker: every option of [`Builder`], and those of a program.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use fakebroker::{Binding, Broker, Builder, Distribution, Exchange, Policy, Queue, Settlement, Unroutable};

use crate::control::definitions;
use crate::declarations;
use crate::parse::{address, pair, seconds, user};
use crate::trace::{self, TraceFormatArg};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen here; port 0 takes a free one. Can be given several times. [default: 127.0.0.1:5672; with --control 127.0.0.1:0]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    listen: Vec<String>,

    /// Let this user in, and nobody who is none. Can be given several times. [default: everybody]
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = user)]
    user: Vec<(String, String)>,

    /// A virtual host beside /, with its own exchanges, queues and addresses. Can be given several times
    #[arg(long, value_name = "NAME")]
    vhost: Vec<String>,

    /// Let clients in that say no name, also where there are users
    #[arg(long)]
    allow_anonymous: bool,

    /// Take commands as JSON lines on standard input, answer each with one line, and stop when the input ends
    #[arg(long)]
    control: bool,

    /// With --control: take the address and refuse connections until the command `start`
    #[arg(long, requires = "control")]
    hold: bool,

    /// With --control: time stands still, but for the command `advance`
    #[arg(long, requires = "control")]
    manual_clock: bool,

    /// Refuse what clients ask for and do not get here; otherwise it is only noted
    #[arg(long)]
    strict: bool,

    /// Say more on standard error; twice or three times: still more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(flatten)]
    addresses: Addresses,

    #[command(flatten)]
    topology: Topology,

    #[command(flatten)]
    messages: Messages,

    #[command(flatten)]
    connections: Connections,

    #[command(flatten)]
    memory: Memory,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What an address means")]
struct Addresses {
    /// What is done with the messages of addresses whose prefix says nothing
    #[arg(long, value_name = "DISTRIBUTION", value_enum, default_value = "direct")]
    default_distribution: DistributionArg,

    /// What is done with the messages of one address. Can be given several times
    #[arg(long, value_name = "ADDRESS=DISTRIBUTION", value_parser = distribution)]
    distribution: Vec<(String, DistributionArg)>,

    /// Addresses that begin with this and the separator are multicast; empty: none are
    #[arg(long, value_name = "PREFIX", default_value = "broadcast")]
    multicast_prefix: String,

    /// Addresses that begin with this and the separator are anycast; empty: none are
    #[arg(long, value_name = "PREFIX", default_value = "unicast")]
    anycast_prefix: String,

    /// Addresses that begin with this and the separator are queues; empty: none are
    #[arg(long, value_name = "PREFIX", default_value = "queue")]
    queue_prefix: String,

    /// What stands between a prefix and the rest of an address
    #[arg(long, value_name = "TEXT", default_value = ".")]
    separator: String,

    /// What the addresses begin with that are made for dynamic sources and targets
    #[arg(long, value_name = "PREFIX", default_value = "dynamic")]
    generated_prefix: String,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is declared at the start")]
struct Topology {
    /// A durable queue. Arguments as in x-max-length=5; durable= and auto_delete= too. Can be given several times
    #[arg(long, value_name = "NAME[,ARGUMENT=VALUE...]", value_parser = declarations::queue)]
    queue: Vec<Queue>,

    /// A durable exchange: direct, fanout, topic or headers. Arguments, durable=, auto_delete= and internal= as above. Can be
    /// given several times
    #[arg(long, value_name = "NAME:TYPE[,ARGUMENT=VALUE...]", value_parser = declarations::exchange)]
    exchange: Vec<Exchange>,

    /// A binding of a queue to an exchange; EXCHANGE:KEY:,to_exchange=NAME is one of an exchange. Can be given several times
    #[arg(long, value_name = "EXCHANGE:KEY:QUEUE[,ARGUMENT=VALUE...]", value_parser = declarations::binding)]
    binding: Vec<Binding>,

    /// A policy that the broker has from its start, as a control line sets it: '{"name":"ttl","pattern":"^log","definition":
    /// {"message-ttl":1000}}'. Can be given several times
    #[arg(long, value_name = "JSON", value_parser = declarations::policy)]
    policy: Vec<Policy>,

    /// Declare the queues, exchanges, bindings and policies of this file, which RabbitMQ has exported. What else is in it is listed in the
    /// log; with --strict it is an error. Can be given several times
    #[arg(long, value_name = "FILE")]
    definitions: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What becomes of a message")]
struct Messages {
    /// What the sender of a message is told that nobody can receive
    #[arg(long, value_name = "OUTCOME", value_enum, default_value = "rejected")]
    unroutable: UnroutableArg,

    /// When the sender of a message learns its outcome: at once, or when the receiver has answered
    #[arg(long, value_name = "WHEN", value_enum, default_value = "immediate")]
    settlement: SettlementArg,

    /// Route every message by its own `to`, even on links with an address
    #[arg(long)]
    route_by_to: bool,

    /// Deliver every message unsettled, also one that arrived settled, except to receivers that asked for settled ones
    #[arg(long)]
    deliver_unsettled: bool,

    /// Credit that senders get, in messages; 0 withholds it
    #[arg(long, value_name = "MESSAGES", default_value_t = 1000)]
    credit_window: u32,

    /// Messages that may wait for a slow receiver before senders get no more credit
    #[arg(long, value_name = "MESSAGES", default_value_t = 1000)]
    backlog_limit: usize,

    /// Bytes that all waiting and stored messages may take
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    storage_limit: usize,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What a connection is told and may do")]
struct Connections {
    /// The broker's container-id [default: unique]
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    container_id: String,

    /// A property in the broker's open and in connection.start (product=RabbitMQ). Can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = property)]
    open_property: Vec<(String, String)>,

    /// Bytes of the largest frame; below 512, it is 512 [default: 65536; for 0-9-1 131072]
    #[arg(long, value_name = "BYTES")]
    max_frame_size: Option<u32>,

    /// Bytes of the largest message; 0 is no limit
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20)]
    max_message_size: u64,

    /// The highest channel number [default: 1023; for 0-9-1 2047]
    #[arg(long, value_name = "NUMBER")]
    channel_max: Option<u16>,

    /// The highest handle of a session
    #[arg(long, value_name = "NUMBER", default_value_t = 65535)]
    handle_max: u32,

    /// Links of a connection, all its sessions together
    #[arg(long, value_name = "LINKS", default_value_t = 65536)]
    max_links: usize,

    /// Clients must send something within this time (0-9-1: the heartbeat that is suggested); 0 is off
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    idle_timeout: Duration,

    /// A 0-9-1 client must acknowledge each delivery within this time, or its channel is closed; 0 is off
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    consumer_timeout: Duration,

    /// From its connect to its open a client may take this long
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    handshake_timeout: Duration,

    /// A client may take this long to answer a close before its socket is dropped
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    linger: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is remembered and written down")]
struct Memory {
    /// With --control: messages that can be asked for [default: 1000]
    #[arg(long, value_name = "MESSAGES", requires = "control")]
    message_log: Option<usize>,

    /// With --control: lines of the trace that can be asked for [default: 1000]
    #[arg(long, value_name = "LINES", requires = "control")]
    trace_log: Option<usize>,

    /// With --control: keep the frames in the trace whole, for a capture with every byte; otherwise large ones are cut
    #[arg(long, requires = "control")]
    trace_whole_frames: bool,

    /// Write what is on the wire and what is decided to this file as it happens; - is standard error
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// How that is written [default: by the file's ending: .json and .jsonl, .pcap, else text]
    #[arg(long, value_name = "FORMAT", value_enum, requires = "trace")]
    trace_format: Option<TraceFormatArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DistributionArg {
    Direct,
    Anycast,
    Multicast,
    Queue,
}

impl From<DistributionArg> for Distribution {
    fn from(arg: DistributionArg) -> Self {
        match arg {
            DistributionArg::Direct => Distribution::Direct,
            DistributionArg::Anycast => Distribution::Anycast,
            DistributionArg::Multicast => Distribution::Multicast,
            DistributionArg::Queue => Distribution::Queue,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnroutableArg {
    Rejected,
    Released,
    Modified,
    Silent,
}

impl From<UnroutableArg> for Unroutable {
    fn from(arg: UnroutableArg) -> Self {
        match arg {
            UnroutableArg::Rejected => Unroutable::Rejected,
            UnroutableArg::Released => Unroutable::Released,
            UnroutableArg::Modified => Unroutable::Modified,
            UnroutableArg::Silent => Unroutable::Silent,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SettlementArg {
    Immediate,
    EndToEnd,
}

impl From<SettlementArg> for Settlement {
    fn from(arg: SettlementArg) -> Self {
        match arg {
            SettlementArg::Immediate => Settlement::Immediate,
            SettlementArg::EndToEnd => Settlement::EndToEnd,
        }
    }
}

fn distribution(text: &str) -> Result<(String, DistributionArg), String> {
    let (address, name) = text.rsplit_once('=').ok_or("ADDRESS=DISTRIBUTION expected")?;
    Ok((address.into(), DistributionArg::from_str(name, false)?))
}

/// 2.7.1: the keys of open's properties are symbols, so they are ASCII.
fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(text)?;
    if key.is_ascii() { Ok((key, value)) } else { Err(format!("{key:?} is not ASCII")) }
}

impl Args {
    pub(crate) fn control(&self) -> bool {
        self.control
    }

    pub(crate) fn hold(&self) -> bool {
        self.hold
    }

    pub(crate) fn verbosity(&self) -> log::LevelFilter {
        match self.verbose {
            0 => log::LevelFilter::Warn,
            1 => log::LevelFilter::Info,
            2 => log::LevelFilter::Debug,
            _ => log::LevelFilter::Trace,
        }
    }

    pub(crate) fn builder(&self) -> io::Result<Builder> {
        let mut builder = Broker::builder();
        for address in &self.listen {
            builder = builder.listen(address);
        }
        if self.listen.is_empty() {
            builder = builder.listen(if self.control { "127.0.0.1:0" } else { "127.0.0.1:5672" });
        }
        for (name, password) in &self.user {
            builder = builder.user(name, password);
        }
        for name in &self.vhost {
            builder = builder.vhost(name);
        }
        if self.allow_anonymous {
            builder = builder.allow_anonymous();
        }
        if self.manual_clock {
            builder = builder.manual_clock();
        }
        builder = builder.strict(self.strict);
        builder = self.addresses.apply(builder);
        builder = self.topology.apply(builder, self.strict)?;
        builder = self.messages.apply(builder);
        builder = self.connections.apply(builder);
        // Without a control channel nobody can ask for them.
        self.memory.apply(builder, if self.control { 1000 } else { 0 })
    }
}

impl Addresses {
    fn apply(&self, builder: Builder) -> Builder {
        let mut builder = builder
            .default_distribution(self.default_distribution.into())
            .multicast_prefix(&self.multicast_prefix)
            .anycast_prefix(&self.anycast_prefix)
            .queue_prefix(&self.queue_prefix)
            .separator(&self.separator)
            .generated_prefix(&self.generated_prefix);
        for (address, distribution) in &self.distribution {
            builder = builder.distribution(address, (*distribution).into());
        }
        builder
    }
}

impl Topology {
    /// With `strict` what a file has and the broker does not honour is an error.
    fn apply(&self, builder: Builder, strict: bool) -> io::Result<Builder> {
        let mut builder = builder;
        for path in &self.definitions {
            let found = definitions::read_file(path).map_err(io::Error::other)?;
            match found.left_out.first() {
                Some(first) if strict => return Err(io::Error::other(format!("{}: {first}", path.display()))),
                _ => found.left_out.iter().for_each(|left_out| log::warn!("{}: {left_out}", path.display())),
            }
            builder = found.apply(builder);
        }
        let builder = self.queue.iter().cloned().fold(builder, Builder::queue);
        let builder = self.exchange.iter().cloned().fold(builder, Builder::exchange);
        let builder = self.policy.iter().cloned().fold(builder, Builder::policy);
        Ok(self.binding.iter().cloned().fold(builder, Builder::binding))
    }
}

impl Messages {
    fn apply(&self, builder: Builder) -> Builder {
        builder
            .unroutable(self.unroutable.into())
            .settlement(self.settlement.into())
            .route_by_to(self.route_by_to)
            .deliver_unsettled(self.deliver_unsettled)
            .credit_window(self.credit_window)
            .backlog_limit(self.backlog_limit)
            .storage_limit(self.storage_limit)
    }
}

impl Connections {
    fn apply(&self, builder: Builder) -> Builder {
        let mut builder = builder
            .container_id(&self.container_id)
            .max_message_size(self.max_message_size)
            .handle_max(self.handle_max)
            .max_links(self.max_links)
            .idle_timeout(self.idle_timeout)
            .consumer_timeout(self.consumer_timeout)
            .handshake_timeout(self.handshake_timeout)
            .linger(self.linger);
        if let Some(bytes) = self.max_frame_size {
            builder = builder.max_frame_size(bytes);
        }
        if let Some(channel) = self.channel_max {
            builder = builder.channel_max(channel);
        }
        for (key, value) in &self.open_property {
            builder = builder.open_property(key, value);
        }
        builder
    }
}

impl Memory {
    /// `remembered`: how many messages and lines, where nothing is said.
    fn apply(&self, builder: Builder, remembered: usize) -> io::Result<Builder> {
        let builder =
            builder.message_log(self.message_log.unwrap_or(remembered)).trace_log(self.trace_log.unwrap_or(remembered));
        let builder = builder.trace_whole_frames(self.trace_whole_frames);
        match &self.trace {
            Some(file) => trace::to(builder, file, self.trace_format),
            None => Ok(builder),
        }
    }
}
