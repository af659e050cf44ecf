//! Reaching a server from other threads.

use std::{
    fmt,
    sync::{Arc, mpsc},
};

use mio::Waker;
use wampd_core::{
    id::SessionId,
    router::{ActionVerdict, AuthVerdict, DecisionId},
    uri::Uri,
};

use crate::host::{ConnectionId, Response, Verdict};

/// A server's ear for other threads. Clones are cheap; all of them reach the same server.
///
/// What is sent to a server that is gone has no effect.
#[derive(Clone)]
pub struct ServerHandle {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

/// What another thread wants.
pub(crate) enum Command {
    Decide(DecisionId, Box<Verdict>),
    Respond(ConnectionId, Box<Response>),
    Kill(SessionId, Uri, &'static str),
    Listen,
    ShutDown,
    Stop,
}

impl ServerHandle {
    pub(crate) fn new(waker: Waker) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel();
        (Self { commands, waker: Arc::new(waker) }, receiver)
    }

    /// Answers an [`AuthRequest`](wampd_core::router::AuthRequest) that [`Host::authenticate`](crate::Host::authenticate) left open.
    /// An answer that comes too late has no effect.
    pub fn decide(&self, id: DecisionId, verdict: AuthVerdict) {
        self.send(Command::Decide(id, Verdict::Auth(verdict).into()));
    }

    /// Answers an [`ActionRequest`](wampd_core::router::ActionRequest) that [`Host::authorize`](crate::Host::authorize) left open.
    /// An answer that comes too late has no effect.
    pub fn decide_action(&self, id: DecisionId, verdict: ActionVerdict) {
        self.send(Command::Decide(id, Verdict::Action(verdict).into()));
    }

    /// Answers an HTTP request that [`Host::http`](crate::Host::http) left for [later](crate::HttpAction::Later). The
    /// answer to a connection that is gone, or to one that has been answered, has no effect.
    pub fn respond(&self, connection: ConnectionId, response: Response) {
        self.send(Command::Respond(connection, response.into()));
    }

    /// Ends a session: GOODBYE with this reason and message. One that is gone is not missed.
    pub fn kill(&self, session: SessionId, reason: Uri, message: &'static str) {
        self.send(Command::Kill(session, reason, message));
    }

    /// Has the listeners listen that were told to wait ([`ListenerConfig::waits`](crate::ListenerConfig::waits)).
    pub fn listen(&self) {
        self.send(Command::Listen);
    }

    /// Shuts the server down in good order: no new connections, GOODBYE to every session, then the end, at the latest after
    /// [`ServerLimits::shutdown_timeout`](crate::ServerLimits::shutdown_timeout).
    pub fn shut_down(&self) {
        self.send(Command::ShutDown);
    }

    /// Ends the server now: all connections are dropped.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    fn send(&self, command: Command) {
        // Both fail only when the server is gone.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerHandle")
    }
}
