//! The program as a child process, with all its streams in the test's hands.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::support::*;

/// The command `wait` for a condition, with the tests' patience as its timeout.
pub(crate) fn patient(mut condition: Json) -> Json {
    let members = condition.as_object_mut().unwrap();
    members.insert("cmd".into(), json!("wait"));
    members.insert("timeout".into(), json!(patience().as_secs()));
    condition
}

/// The program with all its streams in the test's hands.
pub(crate) struct Program {
    child: Child,
    /// None when it has been closed.
    pub(crate) input: Option<ChildStdin>,
    pub(crate) lines: Receiver<String>,
    errors: Receiver<String>,
    /// What has been read of `errors`.
    said: Vec<String>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Program {
        Program::start_with(arguments, &[])
    }

    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fakebroker"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let errors = lines_of(child.stderr.take().unwrap());
        Program { input: child.stdin.take(), child, lines, errors, said: Vec::new() }
    }

    /// One that listens on a free port, with its address.
    #[track_caller]
    pub(crate) fn listening(arguments: &[&str]) -> (Program, SocketAddr) {
        let program = Program::start(&[&["--listen", "127.0.0.1:0"], arguments].concat());
        let line = program.line();
        let addr = line.strip_prefix("listening on amqp://").unwrap_or_else(|| panic!("its first line is {line:?}"));
        (program, addr.parse().unwrap())
    }

    /// One with a control channel, with its address.
    #[track_caller]
    pub(crate) fn controlled(arguments: &[&str]) -> (Program, SocketAddr) {
        let program = Program::start(&[&["--control"], arguments].concat());
        let event = program.json();
        let addr = addr_of(&event);
        assert_eq!(event, json!({"event": "listening", "url": format!("amqp://{addr}")}));
        (program, addr)
    }

    /// The next line on standard output, while it still runs: it was flushed.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(patience()).expect("a line on standard output")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    #[track_caller]
    pub(crate) fn tell(&mut self, bytes: impl AsRef<[u8]>) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes.as_ref()).and_then(|()| input.flush()).expect("it reads its standard input");
    }

    /// A line for the control channel, and the one line that comes back.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: impl AsRef<[u8]>) -> Json {
        self.tell([line.as_ref(), b"\n"].concat());
        self.json()
    }

    /// A command that is carried out, and its answer without `ok`.
    #[track_caller]
    pub(crate) fn obeys(&mut self, command: Json) -> Json {
        let mut answer = self.ask(command.to_string());
        let ok = answer.as_object_mut().unwrap().remove("ok");
        assert_eq!(ok, Some(json!(true)), "to {command}: {answer}");
        answer
    }

    /// A `wait` for what must come about, and its answer. Its timeout is the tests' patience.
    #[track_caller]
    pub(crate) fn waits_for(&mut self, condition: Json) -> Json {
        self.obeys(patient(condition))
    }

    /// A command that is not carried out, and why.
    #[track_caller]
    pub(crate) fn refuses(&mut self, command: Json) -> String {
        let answer = self.ask(command.to_string());
        assert_eq!(answer["ok"], json!(false), "to {command}: {answer}");
        expect_error(&answer)
    }

    #[track_caller]
    pub(crate) fn expect_no_more_output(&self) {
        match self.lines.recv_timeout(patience()) {
            Err(RecvTimeoutError::Disconnected) => {}
            other => panic!("on standard output: {other:?}"),
        }
    }

    /// Everything on standard error, once it has ended.
    pub(crate) fn errors(&self) -> &[String] {
        &self.said
    }

    /// `kill` of the shell: the library has no unsafe code, and its tests need none.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, which is seen as that of its standard error.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let give_up = Instant::now() + patience();
        loop {
            match self.errors.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; on standard error: {:?}", self.said),
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect_exit(&mut self, code: i32) {
        let status = self.wait();
        assert_eq!(status.code(), Some(code), "{status}, and on standard error: {:?}", self.errors());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

#[track_caller]
pub(crate) fn addr_of(json: &Json) -> SocketAddr {
    let url = json["url"].as_str().unwrap_or_else(|| panic!("no url in {json}"));
    url.strip_prefix("amqp://").unwrap().parse().unwrap()
}

/// Runs it to its end: the exit code, standard output and standard error.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> (i32, Vec<String>, Vec<String>) {
    let mut program = Program::start(arguments);
    program.input = None;
    let code = program.wait().code().expect("no signal ended it");
    (code, program.lines.iter().collect(), program.errors().to_vec())
}

#[track_caller]
pub(crate) fn expect_works(addr: SocketAddr) {
    Bystander::new(&addr).undisturbed();
}

#[track_caller]
pub(crate) fn expect_error(answer: &Json) -> String {
    let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    assert_eq!(answer, &json!({"ok": false, "error": error}));
    assert!(!error.is_empty());
    error
}
