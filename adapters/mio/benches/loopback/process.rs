//! The process that is measured: this program again, as a router or as a relay.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts this program with these arguments; it prints its address.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child =
            Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("the program can be started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("the program prints its address");
        let address =
            line.split_whitespace().find_map(|word| word.trim_matches(',').trim_start_matches("tcp4:").parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }

    /// Processor time used so far, in microseconds.
    pub(crate) fn cpu(&self) -> f64 {
        let schedstat = self.read("schedstat");
        let nanoseconds: f64 = schedstat.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number");
        nanoseconds / 1000.0
    }

    /// Resident memory, in KiB.
    pub(crate) fn rss(&self) -> f64 {
        let status = self.read("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    }

    fn read(&self, what: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{what}", self.child.id())).expect("this benchmark needs Linux")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is this program's own child, and has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
