//! Child processes under measurement: start, processor time, memory, stop.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

/// The broker's binary.
pub(crate) const BROKER: &str = env!("CARGO_BIN_EXE_fakebroker");

/// Returns the command that runs the broker.
pub(crate) fn broker(args: &[&str]) -> Command {
    let mut command = Command::new(BROKER);
    command.args(["--listen", "127.0.0.1:0"]).args(args);
    command
}

/// The first argument of a helper process. No row's name begins with it.
pub(crate) const HELPER: &str = "--helper";

/// Returns the command that runs this program as a helper process.
pub(crate) fn helper(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([HELPER, name]);
    command
}

/// A server in a process of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// Starts the broker's command.
    pub(crate) fn broker(args: &[&str]) -> Server {
        Server::start(broker(args))
    }

    /// Starts the broker's command with a control channel, and with logs of this many messages and lines of the trace.
    pub(crate) fn remembering(messages: u32, lines: u32) -> Server {
        Server::broker(&["--control", "--message-log", &messages.to_string(), "--trace-log", &lines.to_string()])
    }

    /// Starts the relay: see `relay.rs`.
    pub(crate) fn relay() -> Server {
        Server::start(helper("relay"))
    }

    /// Starts the minimal broker: see `minimal.rs`.
    pub(crate) fn minimal() -> Server {
        Server::start(helper("minimal"))
    }

    /// Starts `counted` under callgrind. [`Server::terminate`] returns callgrind's log.
    pub(crate) fn counted(counted: &Command) -> Server {
        let mut command = Command::new("valgrind");
        command
            // Without this, each byte that `rep movsb` copies would count as an instruction.
            .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(counted.get_program())
            .args(counted.get_args());
        let command = command.stdout(Stdio::piped()).stdin(Stdio::piped()).stderr(Stdio::piped());
        Server::ready(command.spawn().expect("valgrind is installed"))
    }

    fn start(mut command: Command) -> Server {
        Server::ready(command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().expect("start"))
    }

    /// Terminates the process in order. Returns its standard error.
    pub(crate) fn terminate(mut self) -> String {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill");
        let mut log = String::new();
        self.child.stderr.take().expect("kept").read_to_string(&mut log).expect("its log");
        log
    }

    fn ready(mut child: Child) -> Server {
        let out = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("ready line");
        let addr = line.trim().rsplit('/').next().and_then(|addr| addr.trim_end_matches("\"}").parse().ok());
        let addr = addr.expect("an address");
        Server { child, addr }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream
    }

    /// Returns the processor time of all threads, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("tasks");
        let nanoseconds: u64 = tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
            .sum();
        nanoseconds as f64 / 1e9
    }

    /// Returns the resident memory, in bytes.
    pub(crate) fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") * 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
