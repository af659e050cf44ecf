//! What outlives this process for a moment: a process that ends the others when this one was killed.
//!
//! The guard is this program again, with the command `guard`. It reads from a pipe which groups of processes there are;
//! the pipe ends with this process, however that ends, and then the guard ends the groups and removes the folder of private
//! sockets. A guard that is gone itself is replaced.

use crate::log::Log;
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, RawPid, Signal, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The hidden command by which this program is a guard.
pub(crate) const COMMAND: &str = "guard";

/// How long processes may take to end when they are told to; then they are killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often the guard looks whether they have ended: they are not its children.
const PACE: Duration = Duration::from_millis(10);

/// How often it is looked whether the guard is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the processes of a node have in common. Dropped when all of them have ended.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Environment variables that hold secrets: processes get them only if their `env` names them.
    pub(super) hidden: BTreeSet<String>,
    guard: Option<Mutex<Guard>>,
}

impl Keeper {
    /// With a program to be the guard, of which `folder` is removed as well.
    pub(crate) fn new(
        program: Option<PathBuf>,
        folder: Option<&Path>,
        hidden: BTreeSet<String>,
        log: &Arc<Log>,
    ) -> Arc<Self> {
        let guard = program.map(|program| {
            let folder = folder.map(Path::to_owned);
            let (groups, log) = (BTreeSet::new(), log.clone());
            let mut guard = Guard { program, groups, folder, log, running: None, look_at: Instant::now() };
            guard.start();
            Mutex::new(guard)
        });
        Arc::new(Self { hidden, guard })
    }

    /// A group was started.
    pub(super) fn add(&self, group: Pid) {
        self.with(|guard| {
            let group = group.as_raw_pid();
            guard.groups.insert(group);
            guard.tell(&format!("+{group}\n"));
        });
    }

    /// A group was ended. Called before the system may give its number to others.
    pub(super) fn remove(&self, group: Pid) {
        self.with(|guard| {
            let group = group.as_raw_pid();
            guard.groups.remove(&group);
            guard.tell(&format!("-{group}\n"));
        });
    }

    /// Replaces a guard that is gone, now and then.
    pub(super) fn look(&self, now: Instant) {
        self.with(|guard| {
            if guard.look_at <= now {
                guard.look_at = now + LOOK_EVERY;
                if guard.running.as_mut().is_none_or(|(child, _)| !matches!(child.try_wait(), Ok(None))) {
                    guard.start();
                }
            }
        });
    }

    fn with(&self, act: impl FnOnce(&mut Guard)) {
        if let Some(guard) = &self.guard {
            act(&mut guard.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[derive(Debug)]
struct Guard {
    program: PathBuf,
    groups: BTreeSet<RawPid>,
    folder: Option<PathBuf>,
    log: Arc<Log>,
    running: Option<(Child, ChildStdin)>,
    look_at: Instant,
}

impl Guard {
    /// Starts the guard, and tells it what there is.
    fn start(&mut self) {
        self.end();
        match self.spawn() {
            Ok((child, stdin)) => {
                let pid = u64::from(child.id());
                self.running = Some((child, stdin));
                let groups = self.groups.iter().map(|group| format!("+{group}\n"));
                let folder = self.folder.iter().filter_map(|folder| Some(format!("/{}\n", folder.to_str()?)));
                let text: String = groups.chain(folder).collect();
                self.tell(&text);
                // Whoever reads this may rely on what the guard has been told.
                self.log.info("guard started").number("pid", pid).end();
            }
            Err(error) => {
                let line = self.log.warn("no guard: processes go on if this one is killed");
                line.text("program", self.program.display()).text("error", error).end();
            }
        }
    }

    fn spawn(&self) -> io::Result<(Child, ChildStdin)> {
        let mut command = Command::new(&self.program);
        // In a group of its own: what a terminal sends to this process does not reach it.
        command.arg0("wampd").arg(COMMAND).env_clear().current_dir("/").process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        ioctl_fionbio(&stdin, true)?;
        Ok((child, stdin))
    }

    /// One that does not take it is replaced the next time it is looked after.
    fn tell(&mut self, text: &str) {
        if self.running.as_mut().is_some_and(|(_, stdin)| stdin.write_all(text.as_bytes()).is_err()) {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some((mut child, stdin)) = self.running.take() {
            // Not by the end of the pipe: it would end the processes.
            let _ = child.kill();
            drop(stdin);
            let _ = child.wait();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

/// Is a guard: reads what there is, and ends it when there is nothing more to read.
///
/// # Errors
/// What is read is not what [`Keeper`] writes, or the system has no signals.
pub(crate) fn run(input: &mut dyn BufRead) -> io::Result<()> {
    // What ends a service ends this process too early.
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let (mut groups, mut folder) = (BTreeSet::new(), None);
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        // The last line may be cut off.
        let Some(told) = line.strip_suffix('\n') else { break };
        // Group 1 is everybody, to the system.
        let group =
            |text: &str| text.parse().ok().filter(|group: &RawPid| *group > 1).ok_or(io::ErrorKind::InvalidData);
        match told.split_at_checked(1) {
            Some(("+", number)) => drop(groups.insert(group(number)?)),
            Some(("-", number)) => drop(groups.remove(&group(number)?)),
            Some(("/", path)) => folder = Some(PathBuf::from(path)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        line.clear();
    }
    end(groups.into_iter().filter_map(Pid::from_raw).collect());
    if let Some(folder) = folder {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn end(mut groups: Vec<Pid>) {
    groups.retain(|group| kill_process_group(*group, Signal::TERM).is_ok());
    let deadline = Instant::now() + FAREWELL;
    while !groups.is_empty() && Instant::now() < deadline {
        std::thread::sleep(PACE);
        groups.retain(|group| test_kill_process_group(*group).is_ok());
    }
    for group in groups {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_ends_the_groups_that_are_left() {
        let start = |script: &str| Command::new("sh").args(["-c", script]).process_group(0).spawn().expect("started");
        let (mut left, mut stubborn, mut ended) =
            (start("sleep 600 & wait"), start("trap '' TERM; sleep 600 & wait"), start("exec sleep 600"));
        let folder = std::env::temp_dir().join(format!("wampd-guard-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let text =
            format!("+{}\n+{}\n+{}\n-{}\n/{}\n+1", left.id(), stubborn.id(), ended.id(), ended.id(), folder.display());
        // Zombies are there until somebody waits for them.
        let waits = std::thread::spawn(move || (left.wait().expect("ended"), stubborn.wait().expect("ended")));
        run(&mut text.as_bytes()).expect("done");
        let (left, stubborn) = waits.join().expect("no panic");
        assert!(!left.success() && !stubborn.success());
        assert!(ended.try_wait().expect("waited for").is_none() && !folder.exists());
        ended.kill().expect("killed");
        ended.wait().expect("ended");
        assert!(run(&mut "nonsense\n".as_bytes()).is_err());
        assert!(["+0\n", "+1\n", "+-1\n", "+\n", "\n"].iter().all(|text| run(&mut text.as_bytes()).is_err()));
    }
}
