//! The `fakebroker` program as a child process, held by its control channel.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use crate::support::{At, cpu_time_of};

/// A running `fakebroker --control`; dropping it ends it.
pub(crate) struct Command {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    addr: SocketAddr,
}

impl At for Command {
    fn at(&self) -> SocketAddr {
        self.addr
    }
}

impl Command {
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fakebroker"));
        command.args(["--listen", "127.0.0.1:0", "--control"]).args(arguments);
        Command::spawn(command)
    }

    /// The same under `ulimit -n`.
    #[track_caller]
    pub(crate) fn start_with_open_files(limit: u32) -> Command {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", r#"ulimit -n "$1" && exec "$0" --listen 127.0.0.1:0 --control"#]);
        command.args([env!("CARGO_BIN_EXE_fakebroker"), &limit.to_string()]);
        Command::spawn(command)
    }

    #[track_caller]
    fn spawn(mut command: std::process::Command) -> Command {
        let mut child = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the fakebroker program starts");
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let url = line.split("amqp://").nth(1).and_then(|rest| rest.split('"').next());
        let addr = url.and_then(|url| url.parse().ok()).unwrap_or_else(|| panic!("no url in {line:?}"));
        Command { child, input, output, addr }
    }

    /// One line of the control channel and the line that answers it.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").expect("the fakebroker program reads its input");
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer
    }

    /// One of the counts.
    #[track_caller]
    pub(crate) fn count(&mut self, name: &str) -> u64 {
        let answer = self.ask(r#"{"cmd":"counts"}"#);
        let number = answer.split(&format!("\"{name}\":")).nth(1);
        let digits = number.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no {name} in {answer}"))
    }

    /// Processor time that all threads of the process have used.
    pub(crate) fn cpu_time(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.map(|task| cpu_time_of(&task.unwrap().path())).sum()
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Memory in bytes that is reserved, touched or not.
    pub(crate) fn reserved_memory(&self) -> u64 {
        self.status("VmSize:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// How many files it holds open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
