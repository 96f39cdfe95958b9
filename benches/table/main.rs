//! `cargo bench`: how far the broker is from a plain TCP relay, row by row, each a ratio of two medians that were measured in
//! turn in the same run. `cargo bench -- --short` only shows that everything still runs; `-- --instructions` counts
//! instructions instead; words choose the rows whose names begin with them.
//!
//! Broker and relay are processes of their own; what is measured of them is the time their threads were on a processor, as
//! the kernel counts it. The load comes from this process, in frames put together by hand (`load.rs`).

mod load;
mod load091;
mod process;
mod relay;
mod rows;
mod stats;
mod wire;

use stats::Table;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        // This program is its own helper process.
        Some("relay") => return relay::run(),
        Some("echo") => return rows::latency::echo(&args[1..]),
        _ => {}
    }
    let only: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    if args.iter().any(|arg| arg == "--instructions") {
        return rows::instructions::print(&only);
    }
    let short = args.iter().any(|arg| arg == "--short");
    let scale = if short { rows::Scale::short() } else { rows::Scale::full() };
    let mut table = Table::new();
    for (name, row) in rows::ALL {
        if only.is_empty() || only.iter().any(|wanted| name.starts_with(wanted.as_str())) {
            row(&scale, &mut table);
        }
    }
    table.finish();
}
