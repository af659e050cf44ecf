//! A running process and its pipes, none of which block.

use super::guard::Keeper;
use super::{Inherit, Program};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;

/// A process in a group of its own: a signal from the terminal does not reach it, and with it end those it has started.
pub(super) struct Running {
    child: Child,
    group: Option<Pid>,
    keeper: Arc<Keeper>,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    /// What waits to be written to `stdin`.
    pub(super) out: Vec<u8>,
}

impl Running {
    /// Starts a process; `input` is what it reads first, and `None` if it has nothing to read.
    pub(super) fn start(program: &Program, input: Option<&[u8]>, keeper: &Arc<Keeper>) -> io::Result<Self> {
        let mut command = Command::new(&program.executable);
        command.args(&program.arguments).current_dir(&program.folder).process_group(0);
        match &program.inherit {
            Inherit::All => {
                for name in &keeper.hidden {
                    command.env_remove(name);
                }
            }
            Inherit::Only(names) => {
                command.env_clear();
                command.envs(names.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
            }
        }
        command.envs(&program.variables).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            keeper.add(group);
        }
        let out = input.map(<[u8]>::to_vec).unwrap_or_default();
        let mut running = Self { child, group, keeper: keeper.clone(), stdin, stdout, stderr, out };
        match running.unblock() {
            Ok(()) => Ok(running),
            Err(error) => {
                running.kill()?;
                Err(error)
            }
        }
    }

    fn unblock(&self) -> io::Result<()> {
        self.stdin.as_ref().map_or(Ok(()), |pipe| ioctl_fionbio(pipe, true))?;
        self.stdout.as_ref().map_or(Ok(()), |pipe| ioctl_fionbio(pipe, true))?;
        Ok(self.stderr.as_ref().map_or(Ok(()), |pipe| ioctl_fionbio(pipe, true))?)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes what can be written now. What a process does not read any more is lost with it.
    pub(super) fn write(&mut self) {
        let Some(stdin) = self.stdin.as_mut().filter(|_| !self.out.is_empty()) else { return };
        let mut written = 0;
        while written < self.out.len() {
            match stdin.write(&self.out[written..]) {
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock {
                        self.stdin = None;
                    }
                    break;
                }
            }
        }
        self.out.drain(..written);
    }

    /// Whether the process has ended. It is not forgotten: its number is nobody else's yet.
    pub(super) fn has_ended(&self) -> bool {
        let Some(pid) = self.group else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    }

    /// Asks the process to end.
    pub(super) fn terminate(&mut self) {
        self.stdin = None;
        self.signal(Signal::TERM);
    }

    /// Ends the process and those it has started, whatever they do.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        if let Some(group) = self.group {
            self.keeper.remove(group);
        }
        self.child.wait()
    }

    fn signal(&self, signal: Signal) {
        // Fails only if all of them are gone.
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }
}

/// What can be read now: how much, 0 at the end of the pipe, or `None` if there is nothing yet.
pub(super) fn read(pipe: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match pipe.read(buffer) {
            Ok(n) => return Some(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(_) => return Some(0),
        }
    }
}
