//! The server: one thread, one poll loop, one router.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    sync::mpsc,
    time::Duration,
};

use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use wampd_core::{
    router::{DecisionId, PeerKey, Router, RouterStats},
    time::Instant,
};
use wampd_wire::ReadBuffer;

use crate::{
    addresses::Addresses,
    clock::{Clock, SystemRng},
    config::{Endpoint, ListenerId, ServerConfig, ServerLimits},
    connection::{Conn, Stage},
    frames::Frames,
    handle::{Command, ServerHandle},
    handshakes::Handshakes,
    host::{CloseCause, ConnectionId, GiveUpCause, Host, Observation, Verdict},
    listener::Listener,
    locals::{LocalId, Locals},
    memory::Memory,
    out_queue::ChunkPool,
    stats::ServerStats,
    timers::Timers,
};

const WAKER: Token = Token(usize::MAX);

/// Tokens from here on are listeners, below it connections.
const FIRST_LISTENER: usize = usize::MAX / 2;

/// Steps of in-process peers per turn.
const LOCAL_STEPS_PER_TURN: usize = 4096;

/// No connection is read again in a turn once as much was read as this.
const MESSAGES_PER_TURN: u64 = 1024;
const BYTES_PER_TURN: u64 = 1 << 20;

/// How often a connection is read from in a turn. Each round takes something from each, so more would not be of use.
const ROUNDS_PER_TURN: usize = 16;

/// Messages read in a turn in which in-process peers had more to do than [`LOCAL_STEPS_PER_TURN`]: few enough for them to catch up,
/// yet some, for they must not starve the sockets.
const MESSAGES_BESIDE_BUSY_LOCALS: u64 = 512;

/// Deadlines of connections looked at in a turn, however much the router has worked in it.
const TIMEOUTS_PER_TURN: usize = 64;

/// Connections written to at the end of a turn: each is a system call or more.
pub(crate) const FLUSHES_PER_TURN: usize = 1024;

/// The size of the read buffer that all connections share.
const READ_BUFFER: usize = 64 << 10;

/// A WAMP router with its sockets.
///
/// ```no_run
/// # struct MyHost;
/// # impl wampd_mio::Host for MyHost {
/// #     fn authenticate(
/// #         &mut self,
/// #         _: &wampd_core::router::AuthRequest,
/// #         _: &mut wampd_mio::Context<'_>,
/// #     ) -> Option<wampd_core::router::AuthVerdict> { None }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = wampd_mio::Server::bind(wampd_mio::ServerConfig::default())?;
/// let handle = server.handle(); // for another thread, to shut the server down
/// server.run(&mut MyHost)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    pub(crate) poll: Poll,
    events: Events,
    clock: Clock,
    /// The time of this turn.
    pub(crate) now: Instant,
    pub(crate) limits: ServerLimits,
    pub(crate) handle: ServerHandle,
    commands: mpsc::Receiver<Command>,
    pub(crate) listeners: Vec<Option<Listener>>,
    endpoints: Vec<Endpoint>,

    pub(crate) router: Router,
    pub(crate) conns: Slab<Conn>,
    /// Who is behind a peer of the router, by its index.
    pub(crate) owners: Vec<Option<(PeerKey, Owner)>>,
    pub(crate) locals: Locals,
    pub(crate) local_steps: usize,
    /// Units of work of a turn, and of the router when this turn is to end.
    slice: u64,
    turn_until: u64,
    pub(crate) next_id: u64,
    /// Connections without a session, the longest waiting first.
    pub(crate) opening: BTreeMap<ConnectionId, usize>,

    /// Connections to be read from.
    run_queue: VecDeque<usize>,
    /// Connections to be flushed, the longest waiting first.
    pub(crate) dirty: VecDeque<usize>,
    pub(crate) timers: Timers,
    /// Answers that the router has not been given yet.
    pub(crate) verdicts: VecDeque<(DecisionId, Verdict)>,
    /// Connections whose queue has crossed a water mark.
    pub(crate) congested: Vec<usize>,
    /// Connections whose socket has failed.
    pub(crate) lost: Vec<(usize, ConnectionId, io::Error)>,

    pub(crate) read_buffer: ReadBuffer,
    pub(crate) pool: ChunkPool,
    /// What the transports reply, before it is queued.
    pub(crate) replies: Vec<u8>,
    pub(crate) frames: Frames,
    pub(crate) memory: Memory,
    pub(crate) addresses: Addresses,
    pub(crate) handshakes: Handshakes,
    pub(crate) stats: ServerStats,
    #[cfg(debug_assertions)]
    pub(crate) recording: Option<crate::recording::Recording>,
    /// When a shutdown must be over.
    ending: Option<Instant>,
    stopped: bool,
}

/// Who is behind a peer of the router.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner {
    Connection(usize),
    Local(LocalId),
}

/// Why a server could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The listener that failed; `None`: it was none of them.
    pub listener: Option<ListenerId>,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listener {
            Some(ListenerId(number)) => write!(f, "listener {number}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Server {
    /// Opens all listeners. Connections wait until the first [`turn`](Self::turn).
    ///
    /// # Errors
    /// What could not be opened; nothing is left open then.
    pub fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let general = |error| BindError { listener: None, error };
        let poll = Poll::new().map_err(general)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(general)?;
        let (handle, commands) = ServerHandle::new(waker);
        let mut listeners: Vec<Option<Listener>> = Vec::new();
        for (number, listener) in config.listeners.into_iter().enumerate() {
            match Listener::bind(listener, &config.limits, poll.registry(), Token(FIRST_LISTENER + number)) {
                Ok(listener) => listeners.push(Some(listener)),
                Err(error) => {
                    listeners.into_iter().flatten().for_each(|listener| listener.close(poll.registry()));
                    return Err(BindError { listener: Some(ListenerId(number)), error });
                }
            }
        }
        let endpoints = listeners.iter().flatten().map(|listener| listener.endpoint.clone()).collect();
        let clock = Clock::new();
        let now = clock.now();
        let slice = config.router.limits.work_slice;
        let router = Router::new(config.router, now, Clock::wall(), Box::new(SystemRng::new()));
        let mut locals = Locals::default();
        locals.set_now(now);
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            clock,
            now,
            limits: config.limits,
            handle,
            commands,
            listeners,
            endpoints,
            router,
            conns: Slab::new(),
            owners: Vec::new(),
            locals,
            local_steps: LOCAL_STEPS_PER_TURN,
            slice,
            turn_until: slice,
            next_id: 0,
            opening: BTreeMap::new(),
            run_queue: VecDeque::new(),
            dirty: VecDeque::new(),
            timers: Timers::default(),
            verdicts: VecDeque::new(),
            congested: Vec::new(),
            lost: Vec::new(),
            read_buffer: ReadBuffer::new(READ_BUFFER),
            pool: ChunkPool::default(),
            replies: Vec::new(),
            frames: Frames::new(config.limits.max_transcoded),
            memory: Memory::default(),
            addresses: Addresses::default(),
            handshakes: Handshakes::default(),
            stats: ServerStats::default(),
            #[cfg(debug_assertions)]
            recording: None,
            ending: None,
            stopped: false,
        })
    }

    /// Records what each connection is sent, and the HELLO before it, for a program that validates it
    /// (`check-recording` of the package `wampd-tests`). Debug builds only.
    ///
    /// # Panics
    /// The server does, later, if the file cannot be written.
    #[cfg(debug_assertions)]
    pub fn record_to(&mut self, file: std::fs::File) {
        self.recording = Some(crate::recording::Recording::new(file));
    }

    /// Where each listener listens, with the ports that the system chose.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// For other threads.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// The in-process peers.
    pub const fn locals(&mut self) -> &mut Locals {
        &mut self.locals
    }

    /// Counters of the router.
    pub fn router_stats(&self) -> RouterStats {
        self.router.stats()
    }

    /// Counters of the sockets.
    pub fn stats(&self) -> ServerStats {
        ServerStats {
            connections: self.conns.len(),
            opening: self.opening.len(),
            memory_before_join: self.memory.before_join,
            receive_memory: self.memory.receiving,
            ..self.stats
        }
    }

    /// Serves until [`ServerHandle::shut_down`] or [`ServerHandle::stop`], and what follows, is done.
    ///
    /// # Errors
    /// The system's poll failed, or a listener that was told to wait could not listen; that is not recoverable.
    pub fn run<H: Host + ?Sized>(mut self, host: &mut H) -> io::Result<()> {
        while self.turn(host, None)? {}
        Ok(())
    }

    /// Waits for something to do, for `timeout` at most, and does it. Returns whether there is more to come: false once the
    /// server is shut down.
    ///
    /// # Errors
    /// The system's poll failed, or a listener that was told to wait could not listen; that is not recoverable.
    pub fn turn<H: Host + ?Sized>(&mut self, host: &mut H, timeout: Option<Duration>) -> io::Result<bool> {
        if !self.stopped {
            self.wait(timeout)?;
            self.take_events();
            self.local_steps = LOCAL_STEPS_PER_TURN;
            self.take_commands(host)?;
            self.drive(host);
            // What in-process peers do is bounded by their steps; it is not taken off the others' turn.
            self.turn_until = self.router.work().saturating_add(self.slice);
            self.accept(host);
            self.handshakes.begin_turn(self.limits.max_tls_handshakes_per_turn);
            self.resume_handshakes();
            self.serve(host);
            self.stats.tls_handshakes_deferred += u64::from(!self.handshakes.is_empty());
            self.handle_timeouts(host);
            self.flush(host);
            self.relieve(host);
            self.finish_ending(host);
        }
        Ok(!self.stopped)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.is_busy() {
            Some(Duration::ZERO)
        } else {
            let until_deadline = self.next_deadline().map(|deadline| deadline.since(self.clock.now()));
            until_deadline.into_iter().chain(timeout).min()
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            // Interrupted: there may be events of the turn before.
            Err(_) => self.events.clear(),
            Ok(()) => {}
        }
        self.now = self.clock.now();
        self.locals.set_now(self.now);
        Ok(())
    }

    fn is_busy(&self) -> bool {
        let acceptable = |listener: &Listener| listener.ready && listener.paused_until.is_none();
        let unread = !self.run_queue.is_empty() || !self.handshakes.is_empty() || self.locals.has_work();
        unread || !self.dirty.is_empty() || self.listeners.iter().flatten().any(acceptable)
    }

    /// Whether the router has worked as much in this turn as it may.
    fn turn_is_over(&self) -> bool {
        self.router.work() >= self.turn_until
    }

    /// Units of work that a connection may cause in a round. One that has caused more sits out rounds for it.
    pub(crate) const fn share(&self) -> u64 {
        self.slice / ROUNDS_PER_TURN as u64
    }

    fn next_deadline(&self) -> Option<Instant> {
        let pauses = self.listeners.iter().flatten().filter_map(|listener| listener.paused_until);
        let others = [self.router.next_deadline(), self.timers.next(), self.locals.next_deadline(), self.ending];
        pauses.chain(others.into_iter().flatten()).min()
    }

    fn take_events(&mut self) {
        for event in &self.events {
            let token = event.token().0;
            if token == WAKER.0 {
                continue; // commands are looked for in each turn
            }
            if token >= FIRST_LISTENER {
                if let Some(Some(listener)) = self.listeners.get_mut(token - FIRST_LISTENER) {
                    listener.ready = true;
                }
                continue;
            }
            // An event may be meant for a connection that is gone; for the one now in its place it is merely spurious.
            let Some(conn) = self.conns.get_mut(token) else { continue };
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                conn.readable = true;
                conn.read_closed |= event.is_read_closed() || event.is_error();
                if !conn.queued {
                    conn.queued = true;
                    self.run_queue.push_back(token);
                }
            }
            if event.is_writable() {
                conn.writable = true;
                if conn.has_output() && !conn.dirty {
                    conn.dirty = true;
                    self.dirty.push_back(token);
                }
            }
        }
    }

    fn take_commands<H: Host + ?Sized>(&mut self, host: &mut H) -> io::Result<()> {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Decide(id, verdict) => self.verdicts.push_back((id, *verdict)),
                Command::Respond(connection, response) => self.respond_later(connection, *response, host),
                Command::Kill(session, reason, message) => {
                    self.router.kill(self.now, session, reason, message);
                    self.drive(host);
                }
                Command::Listen => self.listen(host)?,
                Command::ShutDown => self.shut_down(host),
                Command::Stop => self.ending = Some(self.now),
            }
        }
        Ok(())
    }

    /// Has the listeners listen that were told to wait.
    fn listen<H: Host + ?Sized>(&mut self, host: &mut H) -> io::Result<()> {
        for (number, slot) in self.listeners.iter_mut().enumerate() {
            let (Some(listener), Some(endpoint)) = (slot, self.endpoints.get(number)) else { continue };
            match listener.listen(self.poll.registry(), Token(FIRST_LISTENER + number)) {
                Ok(true) => host.observe(&Observation::Listening { listener: ListenerId(number), endpoint }),
                Ok(false) => {}
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("cannot listen on {endpoint}: {error}")));
                }
            }
        }
        Ok(())
    }

    fn shut_down<H: Host + ?Sized>(&mut self, host: &mut H) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(self.now.after(self.limits.shutdown_timeout));
        self.close_listeners(host);
        self.router.shut_down(self.now);
        self.drive(host);
        let unopened: Vec<usize> = self.opening.values().copied().collect();
        for token in unopened {
            if self.conns.get(token).is_some_and(|conn| conn.peer.is_none() && conn.cause.is_none()) {
                self.remove(token, CloseCause::ShutDown, host);
            }
        }
        host.observe(&Observation::ShuttingDown);
    }

    fn close_listeners<H: Host + ?Sized>(&mut self, host: &mut H) {
        for (number, slot) in self.listeners.iter_mut().enumerate() {
            let Some(listener) = slot.take() else { continue };
            listener.close(self.poll.registry());
            let endpoint = &self.endpoints[number];
            host.observe(&Observation::ListenerClosed { listener: ListenerId(number), endpoint });
        }
    }

    /// Ends the server when a shutdown is done with, or has taken too long.
    fn finish_ending<H: Host + ?Sized>(&mut self, host: &mut H) {
        let Some(deadline) = self.ending else { return };
        if self.now < deadline && !(self.conns.is_empty() && self.locals.is_empty()) {
            return;
        }
        self.close_listeners(host);
        let left: Vec<usize> = self.conns.iter().map(|(token, _)| token).collect();
        for token in left {
            self.detach(token, host);
            self.remove(token, CloseCause::ShutDown, host);
            self.drive(host);
        }
        self.stopped = true;
    }

    pub(crate) fn enqueue(&mut self, token: usize) {
        if let Some(conn) = self.conns.get_mut(token).filter(|conn| !conn.queued) {
            conn.queued = true;
            self.run_queue.push_back(token);
        }
    }

    /// Reads from the connections in the run queue, in rounds, until it is empty or enough is read for this turn.
    ///
    /// What several rounds made is written at once: a turn that ended after one would cost a system call for nearly each
    /// answer of a busy callee.
    fn serve<H: Host + ?Sized>(&mut self, host: &mut H) {
        let (messages, bytes) = (self.stats.messages_received, self.stats.bytes_received);
        for _ in 0..ROUNDS_PER_TURN {
            for _ in 0..self.run_queue.len() {
                // In-process peers that have used up their share of this turn: what is read now piles up before them.
                let read = self.stats.messages_received - messages;
                if self.locals.has_work() && read >= MESSAGES_BESIDE_BUSY_LOCALS {
                    return;
                }
                if self.turn_is_over() {
                    self.stats.turns_cut += 1;
                    return;
                }
                let Some(token) = self.run_queue.pop_front() else { return };
                self.serve_one(token, host);
            }
            let (messages, bytes) = (self.stats.messages_received - messages, self.stats.bytes_received - bytes);
            self.resume_handshakes();
            if self.run_queue.is_empty() || messages >= MESSAGES_PER_TURN || bytes >= BYTES_PER_TURN {
                return;
            }
        }
    }

    /// Reads from a connection, unless it has still to make up for work of the rounds before.
    fn serve_one<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let share = self.share();
        let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.queued) else { return };
        if let Some(debt) = conn.debt.checked_sub(share) {
            conn.debt = debt;
            return self.run_queue.push_back(token);
        }
        conn.queued = false;
        let (id, before) = (conn.id, self.router.work());
        self.read(token, host);
        self.account(token);
        self.relieve(host);
        let used = self.router.work() - before;
        if let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.id == id) {
            conn.debt = (conn.debt + used).saturating_sub(share);
        }
    }

    fn handle_timeouts<H: Host + ?Sized>(&mut self, host: &mut H) {
        if self.router.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.router.handle_timeout(self.now);
            self.drive(host);
        }
        if self.locals.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.locals.handle_timeout(self.now);
            self.drive(host);
        }
        for handled in 0.. {
            if handled >= TIMEOUTS_PER_TURN && self.turn_is_over() {
                return;
            }
            let Some(token) = self.timers.pop_due(self.now) else { return };
            if let Some(conn) = self.conns.get_mut(token) {
                conn.armed = None;
                self.handle_timeout(token, host);
            }
        }
    }

    fn handle_timeout<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let now = self.now;
        self.ask_socket(token, host);
        let Some(conn) = self.conns.get_mut(token) else { return };
        let cause = match conn.stage {
            Stage::Flushing(deadline) | Stage::Lingering(deadline) if deadline <= now => Some(None),
            _ if conn.stalled.is_some_and(|deadline| deadline <= now) => {
                self.stats.write_timeouts += 1;
                host.observe(&conn.given_up(now, self.limits.max_pending, GiveUpCause::WriteTimeout));
                Some(Some(CloseCause::Io(io::ErrorKind::TimedOut.into())))
            }
            Stage::Live => {
                let reading = conn.peer.is_none_or(|peer| self.router.wants_input(peer));
                match conn.wire.handle_timeout(now, reading, &mut self.replies) {
                    Ok(()) => None,
                    Err(error) => {
                        self.queue_replies(token);
                        self.detach(token, host);
                        self.finish(token, CloseCause::Transport(error));
                        return self.drive(host);
                    }
                }
            }
            Stage::Flushing(_) | Stage::Lingering(_) => None,
        };
        match cause {
            Some(cause) => {
                self.detach(token, host);
                self.remove(token, cause.unwrap_or(CloseCause::Peer), host);
                self.drive(host);
            }
            None => {
                self.queue_replies(token);
                self.rearm(token);
            }
        }
    }

    pub(crate) fn rearm(&mut self, token: usize) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if let Some(deadline) = conn.next_deadline() {
            self.timers.arm(token, &mut conn.armed, deadline);
        }
    }
}
