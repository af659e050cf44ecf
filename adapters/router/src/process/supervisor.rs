//! The thread of one process: starts it, writes to it, reads from it, and sees to its end.

use super::backoff::Backoff;
use super::child::{Running, read};
use super::exchange::{Answered, Exchange, HostError, Violation};
use super::guard::Keeper;
use super::{HostLimits, Program, Restart};
use crate::log::Log;
use crate::reply::Question;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wampd_core::value::Value;
use wampd_mio::ServerHandle;

/// How often a process is looked at whose pipes say nothing of its end, since others hold them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest line of a process's output that is kept to be logged in one piece.
const MAX_LINE: usize = 4_096;

/// A process that is to run.
pub(crate) struct Process {
    /// Names it in the log.
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) role: Role,
    /// It is not started before another process is ready, whose `next` has this one's asker.
    pub(crate) waits: bool,
}

/// What a process is for.
pub(crate) enum Role {
    /// It answers questions, after it has read this.
    Host { input: Vec<u8> },
    /// It does what it does, after it has read this. Once it is ready it writes something, and what is `next` happens; also if
    /// it ends instead, or takes longer than [`HostLimits::start_timeout`].
    Component { input: Vec<u8>, restart: Restart, next: Vec<Next> },
    /// It does what it does.
    Guest { restart: Restart },
}

/// What happens when a component is ready.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// A process is started that waits.
    Start(Asker),
    /// The listeners listen that wait.
    Listen(ServerHandle),
}

/// A process being seen to. Dropped, the process is ended.
#[derive(Debug)]
pub(crate) struct Supervisor {
    asker: Asker,
    thread: Option<JoinHandle<()>>,
}

/// A way to ask a host.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    commands: mpsc::Sender<Command>,
    waker: Arc<UnixStream>,
}

enum Command {
    Ask(Vec<Value>, Arc<Question>, Answered),
    /// What this one waited for is ready.
    Start,
    /// What ends now is not started again.
    Settle,
    Stop,
}

impl Asker {
    /// Asks; whoever is asked, an answer comes.
    pub(super) fn ask(&self, args: Vec<Value>, question: Arc<Question>, answered: Answered) {
        let sent = self.commands.send(Command::Ask(args, question, answered));
        if let Err(mpsc::SendError(Command::Ask(_, _, answered))) = sent {
            let detail = "its process is not watched any more".to_owned();
            return answered(Err(HostError::Failed { message: "the authenticator failed", detail }));
        }
        self.wake();
    }

    fn send(&self, command: Command) {
        // Fails only if the thread is gone, and with it the process.
        if self.commands.send(command).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        // A full pipe wakes as well.
        let _ = (&*self.waker).write(&[0]);
    }
}

impl Supervisor {
    /// Starts a process and sees to it. That it can not be started is logged, and tried again.
    pub(crate) fn new(process: Process, limits: HostLimits, keeper: Arc<Keeper>, log: Arc<Log>) -> io::Result<Self> {
        let (commands, receiver) = mpsc::channel();
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let exchange = matches!(process.role, Role::Host { .. }).then(|| Exchange::new(limits));
        let watch = Watch {
            exchange,
            limits,
            keeper,
            log,
            commands: receiver,
            woken,
            running: None,
            since: Instant::now(),
            start_at: (!process.waits).then(Instant::now),
            backoff: Backoff::new(limits.restart_backoff, limits.max_restart_backoff),
            settled: false,
            stop_at: None,
            output: Lines::default(),
            errors: Lines::default(),
            process,
        };
        let thread = std::thread::Builder::new().name("wampd-process".to_owned()).spawn(move || watch.run())?;
        Ok(Self { asker: Asker { commands, waker: Arc::new(waker) }, thread: Some(thread) })
    }

    pub(crate) const fn asker(&self) -> &Asker {
        &self.asker
    }

    /// The node shuts down: when the process ends now, it is not started again.
    pub(crate) fn settle(&self) {
        self.asker.send(Command::Settle);
    }

    /// Begins to end the process; dropping waits for it.
    pub(crate) fn stop(&self) {
        self.asker.send(Command::Stop);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watch {
    process: Process,
    limits: HostLimits,
    keeper: Arc<Keeper>,
    log: Arc<Log>,
    exchange: Option<Exchange>,
    commands: mpsc::Receiver<Command>,
    woken: UnixStream,
    running: Option<Running>,
    /// When the process was started.
    since: Instant,
    /// When it is to be started.
    start_at: Option<Instant>,
    backoff: Backoff,
    settled: bool,
    /// When a process that was told to end is killed.
    stop_at: Option<Instant>,
    output: Lines,
    errors: Lines,
}

impl Watch {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            let stopped = self.obey(now);
            if self.start_at.is_some_and(|at| at <= now) {
                self.start(now);
            }
            self.expire(now);
            self.keeper.look(now);
            if stopped && self.running.is_none() {
                return;
            }
            self.wait();
            self.transfer(Instant::now());
        }
    }

    /// Does what others want. Returns whether this is to end.
    fn obey(&mut self, now: Instant) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Ask(args, question, answered)) => self.ask(now, &args, question, answered),
                Ok(Command::Start) => self.start_at = (!self.settled).then_some(now),
                Ok(Command::Settle) => {
                    self.settled = true;
                    self.start_at = None;
                }
                Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => {
                    if self.stop_at.is_none() {
                        (self.settled, self.start_at) = (true, None);
                        self.stop_at = Some(now + self.limits.stop_timeout);
                        if let Some(running) = &mut self.running {
                            running.terminate();
                        }
                    }
                    return true;
                }
                Err(mpsc::TryRecvError::Empty) => return self.stop_at.is_some(),
            }
        }
    }

    fn ask(&mut self, now: Instant, args: &[Value], question: Arc<Question>, answered: Answered) {
        let Some(exchange) = &mut self.exchange else { return };
        match &mut self.running {
            Some(running) => exchange.ask(now, args, question, answered, &mut running.out),
            None => {
                exchange.ask(now, args, question, answered, &mut Vec::new());
                exchange.ended("its process does not run", self.start_at);
            }
        }
    }

    fn start(&mut self, now: Instant) {
        self.start_at = None;
        self.since = now;
        let input = match &self.process.role {
            Role::Host { input } | Role::Component { input, .. } => Some(input.as_slice()),
            Role::Guest { .. } => None,
        };
        match Running::start(&self.process.program, input, &self.keeper) {
            Ok(running) => {
                self.log
                    .info("process started")
                    .text("process", &self.process.name)
                    .number("pid", u64::from(running.id()))
                    .end();
                self.running = Some(running);
                if let Some(exchange) = &mut self.exchange {
                    exchange.started(now);
                }
            }
            Err(error) => {
                let program = self.process.program.executable.display().to_string();
                self.ended(now, &format!("{program} can not be started: {error}"), false);
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let expired = self.exchange.as_mut().map_or(Ok(()), |exchange| exchange.expire(now));
        if let Err(violation) = expired {
            self.end(now, Some(violation));
        } else if let (Some(exchange), Some(running)) = (&mut self.exchange, &mut self.running) {
            exchange.go_on(now, &mut running.out);
        }
        if self.stop_at.is_some_and(|at| at <= now) {
            self.end(now, None);
        }
        if self.patience_for_ready().is_some_and(|at| at <= now) {
            self.log
                .warn("component is not ready in time: others do not wait for it any more")
                .text("process", &self.process.name)
                .text("limit", "wampd.host_limits.start_timeout_ms")
                .number("start_timeout_ms", self.limits.start_timeout.as_millis() as u64)
                .end();
            self.ready();
        }
    }

    /// Until when others wait for this process.
    fn patience_for_ready(&self) -> Option<Instant> {
        let awaited = matches!(&self.process.role, Role::Component { next, .. } if !next.is_empty());
        (awaited && self.running.is_some()).then(|| self.since + self.limits.start_timeout)
    }

    /// Who has waited for this process need not any more.
    fn ready(&mut self) {
        let Role::Component { next, .. } = &mut self.process.role else { return };
        for next in next.drain(..) {
            match next {
                Next::Start(asker) => asker.send(Command::Start),
                Next::Listen(server) => server.listen(),
            }
        }
    }

    /// Waits for something to do.
    fn wait(&self) {
        let exchange = self.exchange.as_ref().and_then(Exchange::deadline);
        let stop_at = self.stop_at.filter(|_| self.running.is_some());
        let look_at = self.running.as_ref().map(|_| Instant::now() + LOOK_EVERY);
        let next = [exchange, self.start_at, stop_at, look_at, self.patience_for_ready()].into_iter().flatten().min();
        // Rounded up, lest it be too early and in vain.
        let patience = next.map(|next| next.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        let mut fds = vec![PollFd::new(&self.woken, PollFlags::IN)];
        if let Some(running) = &self.running {
            fds.extend(running.stdout.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            fds.extend(running.stderr.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            let writing = running.stdin.as_ref().filter(|_| !running.out.is_empty());
            fds.extend(writing.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        }
        // What is there is found out by reading; an interruption only makes this look again.
        let _ = poll(&mut fds, patience.as_ref());
    }

    fn transfer(&mut self, now: Instant) {
        let mut buffer = [0; 8_192];
        while matches!((&self.woken).read(&mut buffer), Ok(n) if n > 0) {}
        let Some(running) = &mut self.running else { return };
        running.write();
        let ended = running.has_ended();
        self.read_errors();
        match self.read_output(now) {
            // A host that is about to end may take its time.
            Ok(closed) if ended || closed && self.exchange.is_some() && self.stop_at.is_none() => self.end(now, None),
            Ok(_) => {}
            Err(violation) => self.end(now, Some(violation)),
        }
    }

    fn read_errors(&mut self) {
        let Some(running) = &mut self.running else { return };
        let mut buffer = [0; 8_192];
        while let Some(n) = running.stderr.as_mut().and_then(|pipe| read(pipe, &mut buffer)) {
            if n == 0 {
                running.stderr = None;
            }
            self.errors.add(&buffer[..n], &self.log, &self.process.name);
        }
    }

    /// Returns whether the end of the pipe is reached.
    fn read_output(&mut self, now: Instant) -> Result<bool, Violation> {
        let Some(running) = &mut self.running else { return Ok(true) };
        let (mut buffer, mut ready) = ([0; 8_192], false);
        while let Some(n) = running.stdout.as_mut().and_then(|pipe| read(pipe, &mut buffer)) {
            if n == 0 {
                running.stdout = None;
            }
            match &mut self.exchange {
                Some(exchange) => exchange.receive(now, &buffer[..n], &mut running.out)?,
                None if matches!(self.process.role, Role::Guest { .. }) => {
                    self.output.add(&buffer[..n], &self.log, &self.process.name);
                }
                None => ready |= n > 0,
            }
        }
        let closed = running.stdout.is_none();
        if ready {
            self.ready();
        }
        Ok(closed)
    }

    /// Ends the process, if it has not ended by itself, and those it has started.
    fn end(&mut self, now: Instant, violation: Option<Violation>) {
        let Some(mut running) = self.running.take() else { return };
        let forced = self.stop_at.is_some_and(|at| at <= now) && !running.has_ended();
        let status = running.kill();
        self.running = Some(running);
        self.read_errors();
        self.running = None;
        for lines in [&mut self.output, &mut self.errors] {
            lines.finish(&self.log, &self.process.name);
        }
        let success = violation.is_none() && status.as_ref().is_ok_and(std::process::ExitStatus::success);
        let why = match (violation, status) {
            (Some(violation), _) => format!("killed, since {violation}"),
            (None, _) if forced => "killed, since it did not end in time".to_owned(),
            (None, Ok(status)) => format!("it ended with {status}"),
            (None, Err(error)) => format!("its end is not known: {error}"),
        };
        self.ended(now, &why, success);
    }

    /// There is no process any more: when is the next?
    fn ended(&mut self, now: Instant, why: &str, success: bool) {
        self.ready();
        let again = match self.process.role {
            Role::Host { .. } => true,
            Role::Component { restart, .. } | Role::Guest { restart } => match restart {
                Restart::Always => true,
                Restart::OnFailure => !success,
                Restart::Never => false,
            },
        };
        let pause = self.backoff.pause(self.since, now);
        let pause = (again && !self.settled).then_some(pause);
        self.start_at = pause.map(|pause| now + pause);
        let line =
            if success || self.settled { self.log.info("process ended") } else { self.log.error("process ended") };
        let line = line.text("process", &self.process.name).text("why", why);
        let late = self.exchange.as_ref().map_or(0, Exchange::late);
        let line = if late > 0 { line.number("late_answers", late) } else { line };
        match pause {
            Some(pause) => line.number("restart_in_ms", pause.as_millis() as u64).end(),
            None => line.end(),
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.ended(why, self.start_at);
        }
    }
}

/// Output that becomes lines of the log.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, bytes: &[u8], log: &Log, process: &str) {
        for byte in bytes {
            if *byte == b'\n' || self.0.len() == MAX_LINE {
                self.finish(log, process);
            }
            if *byte != b'\n' {
                self.0.push(*byte);
            }
        }
    }

    fn finish(&mut self, log: &Log, process: &str) {
        let line = core::mem::take(&mut self.0);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() {
            log.info("process output").text("process", process).text("line", text).end();
        }
    }
}
