//! `cargo bench`: how far the broker is from a plain TCP relay and from a minimal broker, row by row, each a ratio of two
//! medians that were measured in turn in the same run. `-- --short` only shows that everything still runs; `-- --instructions`
//! counts instructions instead; words choose the rows whose names begin with them; `-- --markdown` prints tables as they
//! stand in `benches/README.md`.
//!
//! Broker, relay and minimal broker are processes of their own; what is measured of them is the time their threads were on a
//! processor, as the kernel counts it. The load comes from this process, in frames put together by hand (`load.rs`).

mod flood;
mod load;
mod load091;
mod minimal;
mod process;
mod relay;
mod rows;
mod stats;
mod wire;

use stats::{Format, Table};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // This program is its own helper processes.
    if let [helper, name, rest @ ..] = &args[..]
        && helper == process::HELPER
    {
        return match name.as_str() {
            "relay" => relay::run(),
            "minimal" => minimal::run(),
            "echo" => rows::latency::echo(rest),
            "flood" => flood::run(rest),
            _ => unreachable!("a helper of no name"),
        };
    }
    let asked = |option: &str| args.iter().any(|arg| arg == option);
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.starts_with(word.as_str()));
    let mut table = Table::new(if asked("--markdown") { Format::Markdown } else { Format::Columns });
    if asked("--instructions") {
        rows::instructions::print(wanted, &mut table);
    } else {
        let scale = if asked("--short") { rows::Scale::short() } else { rows::Scale::full() };
        for (name, row) in rows::ALL {
            if wanted(name) {
                row(&scale, &mut table);
            }
        }
    }
    table.finish();
}
