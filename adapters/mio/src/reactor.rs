//! The server: one thread, one poll loop, one router.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    sync::mpsc,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use wampd_core::{
    router::{DecisionId, PeerKey, Router, RouterStats},
    time::Instant,
};
use wampd_wire::{CloseCode, ReadBuffer};

use crate::{
    clock::{Clock, SystemRng},
    config::{Endpoint, ListenerId, PeerAddress, ServerConfig, ServerLimits},
    connection::{Conn, Stage},
    frames::Frames,
    handle::{Command, ServerHandle},
    host::{CloseCause, ConnectionId, Host, LeaveCause, Observation, Verdict},
    listener::{Accepted, Listener},
    locals::{LocalId, Locals},
    out_queue::{ChunkPool, Flushed},
    stream::{Parting, Stream},
    timers::Timers,
};

const WAKER: Token = Token(usize::MAX);

/// Tokens from here on are listeners, below it connections.
const FIRST_LISTENER: usize = usize::MAX / 2;

/// Connections accepted per turn and listener.
const ACCEPTS_PER_TURN: usize = 64;

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
    listeners: Vec<Option<Listener>>,
    endpoints: Vec<Endpoint>,

    pub(crate) router: Router,
    pub(crate) conns: Slab<Conn>,
    /// Who is behind a peer of the router, by its index.
    pub(crate) owners: Vec<Option<(PeerKey, Owner)>>,
    pub(crate) locals: Locals,
    pub(crate) local_steps: usize,
    next_id: u64,
    /// Connections without a session, the longest waiting first.
    pub(crate) opening: BTreeMap<ConnectionId, usize>,

    /// Connections to be read from.
    run_queue: VecDeque<usize>,
    /// Connections to be flushed in this turn.
    dirty: Vec<usize>,
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
    pub(crate) stats: ServerStats,
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

/// Counters of a server beyond those of its router, and how much it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections now.
    pub connections: usize,
    /// Connections now without a session.
    pub opening: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed because of [`ServerLimits::max_connections`].
    pub refused: u64,
    /// Connections without a session dropped to make room: for [`ServerLimits::max_opening`],
    /// [`ServerLimits::max_connections`], or for want of file descriptors.
    pub opening_dropped: u64,
    /// Times that accepting was paused because the system had no resources.
    pub accept_pauses: u64,
    /// Connections closed because of [`ServerLimits::write_timeout`].
    pub write_timeouts: u64,
    /// The most bytes that ever waited for one connection, see [`ServerLimits::max_pending`].
    pub peak_pending: usize,
    /// Frames written into queues, each once per receiver.
    pub frames_queued: u64,
    /// WAMP messages received.
    pub messages_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
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
            match Listener::bind(listener, poll.registry(), Token(FIRST_LISTENER + number)) {
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
            next_id: 0,
            opening: BTreeMap::new(),
            run_queue: VecDeque::new(),
            dirty: Vec::new(),
            timers: Timers::default(),
            verdicts: VecDeque::new(),
            congested: Vec::new(),
            lost: Vec::new(),
            read_buffer: ReadBuffer::new(READ_BUFFER),
            pool: ChunkPool::default(),
            replies: Vec::new(),
            frames: Frames::default(),
            stats: ServerStats::default(),
            ending: None,
            stopped: false,
        })
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
        ServerStats { connections: self.conns.len(), opening: self.opening.len(), ..self.stats }
    }

    /// Serves until [`ServerHandle::shut_down`] or [`ServerHandle::stop`], and what follows, is done.
    ///
    /// # Errors
    /// The system's poll failed; that is not recoverable.
    pub fn run<H: Host + ?Sized>(mut self, host: &mut H) -> io::Result<()> {
        while self.turn(host, None)? {}
        Ok(())
    }

    /// Waits for something to do, for `timeout` at most, and does it. Returns whether there is more to come: false once the
    /// server is shut down.
    ///
    /// # Errors
    /// The system's poll failed; that is not recoverable.
    pub fn turn<H: Host + ?Sized>(&mut self, host: &mut H, timeout: Option<Duration>) -> io::Result<bool> {
        if !self.stopped {
            self.wait(timeout)?;
            self.take_events();
            self.local_steps = LOCAL_STEPS_PER_TURN;
            self.take_commands(host);
            self.drive(host);
            self.accept(host);
            self.serve(host);
            self.handle_timeouts(host);
            self.flush(host);
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
        !self.run_queue.is_empty() || self.locals.has_work() || self.listeners.iter().flatten().any(acceptable)
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
                    self.dirty.push(token);
                }
            }
        }
    }

    fn take_commands<H: Host + ?Sized>(&mut self, host: &mut H) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Decide(id, verdict) => self.verdicts.push_back((id, *verdict)),
                Command::Kill(session, reason, message) => {
                    self.router.kill(self.now, session, reason, message);
                    self.drive(host);
                }
                Command::ShutDown => self.shut_down(host),
                Command::Stop => self.ending = Some(self.now),
            }
        }
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

    // ---- accepting ----

    fn accept<H: Host + ?Sized>(&mut self, host: &mut H) {
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let Some(listener) = &mut self.listeners[number] else { break };
                if listener.paused_until.is_some_and(|until| until <= self.now) {
                    listener.paused_until = None;
                }
                if !listener.ready || listener.paused_until.is_some() {
                    break;
                }
                match listener.accept() {
                    Accepted::Nothing => listener.ready = false,
                    Accepted::Connection(stream, address) => self.accepted(number, stream, address, host),
                    Accepted::Exhausted(error) => self.exhausted(number, &error, host),
                }
            }
        }
    }

    /// The system is out of file descriptors or memory. The listener stays ready: no further event would come for it.
    fn exhausted<H: Host + ?Sized>(&mut self, number: usize, error: &io::Error, host: &mut H) {
        // Room is made at the cost of those that have no session, so that they cannot keep others out.
        if self.drop_longest_opening(host) {
            return;
        }
        let pause = self.limits.accept_pause;
        self.stats.accept_pauses += 1;
        if let Some(listener) = &mut self.listeners[number] {
            listener.paused_until = Some(self.now.after(pause));
        }
        host.observe(&Observation::AcceptPaused { listener: ListenerId(number), error, pause });
    }

    fn accepted<H: Host + ?Sized>(&mut self, number: usize, stream: Stream, peer: PeerAddress, host: &mut H) {
        let Some(options) = self.listeners[number].as_ref().map(|listener| listener.transport.clone()) else { return };
        let listener = ListenerId(number);
        if self.opening.len() >= self.limits.max_opening || self.conns.len() >= self.limits.max_connections {
            self.drop_longest_opening(host);
        }
        if self.conns.len() >= self.limits.max_connections {
            self.stats.refused += 1;
            host.observe(&Observation::TooManyConnections { listener, peer });
            return;
        }
        self.next_id += 1;
        let id = ConnectionId(self.next_id);
        let slot = self.conns.vacant_entry();
        let token = slot.key();
        let mut conn = Conn::new(id, stream, listener, peer, options, self.now);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut conn.stream, Token(token), interest) {
            return self.exhausted(number, &error, host);
        }
        if let Some(deadline) = conn.next_deadline() {
            self.timers.arm(token, &mut conn.armed, deadline);
        }
        slot.insert(conn);
        self.opening.insert(id, token);
        self.stats.accepted += 1;
        host.observe(&Observation::Accepted { connection: id, listener, peer });
    }

    /// Makes room for a new connection, if one has no session.
    fn drop_longest_opening<H: Host + ?Sized>(&mut self, host: &mut H) -> bool {
        let Some((_, &token)) = self.opening.first_key_value() else { return false };
        self.stats.opening_dropped += 1;
        self.detach(token, host);
        self.remove(token, CloseCause::Overload, host);
        self.drive(host);
        true
    }

    pub(crate) fn listener_tag(&self, ListenerId(number): ListenerId) -> u64 {
        self.listeners.get(number).and_then(Option::as_ref).map_or(0, |listener| listener.tag)
    }

    // ---- reading ----

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
                let Some(token) = self.run_queue.pop_front() else { return };
                if let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.queued) {
                    conn.queued = false;
                    self.read(token, host);
                }
            }
            let (messages, bytes) = (self.stats.messages_received - messages, self.stats.bytes_received - bytes);
            if self.run_queue.is_empty() || messages >= MESSAGES_PER_TURN || bytes >= BYTES_PER_TURN {
                return;
            }
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
        while let Some(token) = self.timers.pop_due(self.now) {
            if let Some(conn) = self.conns.get_mut(token) {
                conn.armed = None;
                self.handle_timeout(token, host);
            }
        }
    }

    fn handle_timeout<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(token) else { return };
        let cause = match conn.stage {
            Stage::Flushing(deadline) | Stage::Lingering(deadline) if deadline <= now => Some(None),
            _ if conn.stalled.is_some_and(|deadline| deadline <= now) => {
                self.stats.write_timeouts += 1;
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

    // ---- writing ----

    /// Queues what a transport has replied.
    pub(crate) fn queue_replies(&mut self, token: usize) {
        if self.replies.is_empty() {
            return;
        }
        if let Some(conn) = self.conns.get_mut(token) {
            conn.out.push_scratch(&mut self.replies, &mut self.pool);
            self.mark_dirty(token);
        }
        self.replies.clear();
    }

    pub(crate) fn mark_dirty(&mut self, token: usize) {
        if let Some(conn) = self.conns.get_mut(token).filter(|conn| !conn.dirty) {
            conn.dirty = true;
            self.dirty.push(token);
        }
    }

    fn flush<H: Host + ?Sized>(&mut self, host: &mut H) {
        // Lost connections may make the router send to others: until nothing is left to be flushed.
        while let Some(token) = self.dirty.pop() {
            if let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.dirty) {
                conn.dirty = false;
                self.flush_one(token);
                self.after_flush(token, host);
            }
            if self.dirty.is_empty() {
                self.drive(host);
            }
        }
    }

    /// Writes as much as the socket takes, and notes what follows from it for [`drive`](Self::drive).
    pub(crate) fn flush_one(&mut self, token: usize) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if conn.writable && conn.has_output() {
            let flushed = if conn.silenced && matches!(conn.stage, Stage::Flushing(_)) {
                conn.out.flush(&mut Parting(&mut conn.stream), &mut self.pool)
            } else {
                conn.out.flush(&mut conn.stream, &mut self.pool)
            };
            match flushed {
                Ok(Flushed::All) => conn.stalled = None,
                Ok(Flushed::Blocked { progress }) => {
                    conn.writable = false;
                    if let (Stage::Flushing(deadline), true) = (&mut conn.stage, progress) {
                        *deadline = self.now.after(self.limits.linger_timeout);
                    }
                    if progress || conn.stalled.is_none() {
                        let deadline = self.now.after(self.limits.write_timeout);
                        conn.stalled = Some(deadline);
                        self.timers.arm(token, &mut conn.armed, deadline);
                    }
                }
                Err(error) => {
                    // What cannot be written does not wait.
                    conn.out.clear(&mut self.pool);
                    conn.stalled = None;
                    conn.writable = false;
                    self.lost.push((token, conn.id, error));
                    return;
                }
            }
        }
        self.check_level(token);
    }

    /// Notes whether the queue has crossed a water mark.
    pub(crate) fn check_level(&mut self, token: usize) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let level = conn.level(self.limits.max_pending);
        if level != conn.congestion && conn.peer.is_some() {
            conn.congestion = level;
            self.congested.push(token);
        }
    }

    fn after_flush<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if !matches!(conn.stage, Stage::Flushing(_)) || conn.has_output() {
            return;
        }
        if conn.silenced {
            return self.remove(token, CloseCause::Peer, host);
        }
        if conn.stream.shut_down_writing().is_err() {
            return self.remove(token, CloseCause::Peer, host);
        }
        conn.stage = Stage::Lingering(self.now.after(self.limits.linger_timeout));
        conn.readable = true;
        self.enqueue(token);
    }

    // ---- closing ----

    /// Begins to close the transport from our side.
    pub(crate) fn close(&mut self, token: usize, code: CloseCode, reason: &str, cause: CloseCause) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.wire.close(self.now, code, reason, &mut self.replies);
        if conn.wire.is_closed() {
            self.queue_replies(token);
            return self.finish(token, cause);
        }
        conn.cause.get_or_insert(cause);
        // What the peer sends until it answers is read and thrown away.
        self.enqueue(token);
        self.queue_replies(token);
        self.rearm(token);
    }

    /// The transport is done with: what is queued is written, then the socket is closed.
    pub(crate) fn finish(&mut self, token: usize, cause: CloseCause) {
        let deadline = self.now.after(self.limits.linger_timeout);
        if let Some(conn) = self.conns.get_mut(token) {
            conn.cause.get_or_insert(cause);
            conn.stage = Stage::Flushing(deadline);
            self.mark_dirty(token);
            self.rearm(token);
        }
    }

    /// Takes a connection away from the router, which is to be driven then.
    pub(crate) fn detach<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Some(peer) = conn.peer.take() else { return };
        let (holder, session) = (crate::Holder::Connection(conn.id), conn.session.take());
        if let Some(owner) = self.owners.get_mut(peer.index()) {
            *owner = None;
        }
        if let Some(session) = session {
            host.observe(&Observation::Left { holder, session, cause: LeaveCause::Lost });
        }
        self.router.connection_lost(self.now, peer);
    }

    /// Closes the socket. The connection must be detached.
    pub(crate) fn remove<H: Host + ?Sized>(&mut self, token: usize, cause: CloseCause, host: &mut H) {
        let Some(mut conn) = self.conns.try_remove(token) else { return };
        self.timers.cancel(token, &mut conn.armed);
        self.opening.remove(&conn.id);
        conn.out.clear(&mut self.pool);
        // Closing the socket takes it off the poll: there is no other handle to it.
        let cause = conn.cause.take().unwrap_or(cause);
        host.observe(&Observation::Closed { connection: conn.id, cause: &cause });
    }
}
