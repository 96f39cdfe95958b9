//! The `fakebroker` command: the broker for everyone who is not a Rust test. See `src/cli/`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
