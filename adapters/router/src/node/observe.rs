//! What a server observes, as log lines.

use crate::log::{Line, Log};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use wampd_core::id::SessionId;
use wampd_mio::{CloseCause, GiveUpCause, Holder, LeaveCause, Observation, PeerAddress};

/// How often a state of emergency is told while it lasts.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// Logs facts. What a flood of connections brings about is told now and then, with how often it happened.
#[derive(Debug, Default)]
pub(super) struct Observer {
    refused: Throttle,
    from_address: Throttle,
    no_proxy: Throttle,
    proxy_header: Throttle,
    memory: Throttle,
    paused: Throttle,
    behind: Few,
    left_out: Throttle,
}

/// Tells now and then, with how often, that something is refused because of a limit. For all threads.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    decisions: Mutex<Throttle>,
    logins: Mutex<Throttle>,
    authextra: Mutex<Throttle>,
    files: Mutex<Throttle>,
    held: Mutex<Throttle>,
}

impl Refusals {
    /// A login or an action was refused because too many wait for a decision.
    pub(super) fn decision(&self, log: &Log) {
        refused(&self.decisions, log, "refused: too many decisions wait", None);
    }

    /// A login was refused because too many from its address are being decided.
    pub(super) fn login(&self, log: &Log, address: &str) {
        refused(&self.logins, log, "login refused: limit max_questions_per_address reached", Some(address));
    }

    /// A login or an action was refused because too many wait for procedures that nobody has registered.
    pub(super) fn held(&self, log: &Log) {
        refused(&self.held, log, "refused: limit max_held_decisions reached", None);
    }

    /// A login was refused for the size of its `authextra`.
    pub(super) fn authextra(&self, log: &Log, address: &str) {
        refused(&self.authextra, log, "login refused: limit max_authextra_bytes reached", Some(address));
    }

    /// A request was refused because too many wait for files.
    pub(super) fn file(&self, log: &Log) {
        refused(&self.files, log, "request refused: limit max_waiting_files reached", None);
    }
}

/// Warns of a refusal, of the peer at `address` if it is known, unless a warning of the same kind was just written.
fn refused(throttle: &Mutex<Throttle>, log: &Log, event: &'static str, address: Option<&str>) {
    let times = throttle.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now());
    if let Some(times) = times {
        let line = log.warn(event);
        let line = match address {
            Some(address) => line.text("peer", address),
            None => line,
        };
        line.number("times", times).end();
    }
}

impl Observer {
    pub(super) fn observe(&mut self, log: &Log, fact: &Observation<'_>) {
        match fact {
            Observation::AcceptPaused { listener, error, pause } => {
                if let Some(times) = self.paused.pass(Instant::now()) {
                    log.error("no resources for more connections")
                        .number("listener", listener.0 as u64)
                        .text("error", error)
                        .number("pause_ms", pause.as_millis() as u64)
                        .number("times", times)
                        .end();
                }
            }
            Observation::TooManyConnections { listener, peer } => {
                if let Some(times) = self.refused.pass(Instant::now()) {
                    log.warn("connection refused: too many")
                        .number("listener", listener.0 as u64)
                        .text("peer", peer)
                        .number("times", times)
                        .end();
                }
            }
            Observation::TooManyFromAddress { listener, peer, limit } => {
                if let Some(times) = self.from_address.pass(Instant::now()) {
                    log.warn("connection refused: too many from its address")
                        .number("listener", listener.0 as u64)
                        .text("peer", peer)
                        .text("limit", limit)
                        .number("times", times)
                        .end();
                }
            }
            Observation::NoTrustedProxy { listener, peer } => {
                if let Some(times) = self.no_proxy.pass(Instant::now()) {
                    log.warn("connection refused: it does not come from a trusted proxy")
                        .number("listener", listener.0 as u64)
                        .text("peer", peer)
                        .number("times", times)
                        .end();
                }
            }
            Observation::MalformedProxyHeader { connection, listener, proxy, error } => {
                if let Some(times) = self.proxy_header.pass(Instant::now()) {
                    log.warn("proxy does not tell the address of its client as configured")
                        .number("connection", connection.0)
                        .number("listener", listener.0 as u64)
                        .text("proxy", proxy)
                        .text("why", error)
                        .number("times", times)
                        .end();
                }
            }
            Observation::Closed {
                connection,
                cause: cause @ (CloseCause::MemoryBeforeJoin | CloseCause::ReceiveMemory),
            } => {
                if let Some(times) = self.memory.pass(Instant::now()) {
                    log.warn("connection dropped for its memory")
                        .number("connection", connection.0)
                        .text("cause", cause)
                        .number("times", times)
                        .end();
                }
                self::log(log, fact);
            }
            Observation::FallsBehind { .. } if !self.behind.pass(Instant::now()) => {}
            Observation::CaughtUp { connection, session, lasted, left_out } => {
                // Every loss is logged; success needs no line of its own.
                if *left_out > 0
                    && let Some(times) = self.left_out.pass(Instant::now())
                {
                    session_of(log.info("messages left out for a peer that did not keep up"), *session)
                        .number("connection", connection.0)
                        .number("left_out", *left_out)
                        .number("behind_ms", lasted.as_millis() as u64)
                        .number("times", times)
                        .end();
                }
            }
            fact => self::log(log, fact),
        }
    }
}

/// How many peers that fall behind are logged in each period.
const A_FEW: u32 = 20;

/// Lets a few through in each period.
#[derive(Debug, Default)]
struct Few {
    /// When others are let through.
    next: Option<Instant>,
    passed: u32,
}

impl Few {
    fn pass(&mut self, now: Instant) -> bool {
        if self.next.is_none_or(|next| now >= next) {
            *self = Self { next: Some(now + AT_MOST_EVERY), passed: 0 };
        }
        self.passed += 1;
        self.passed <= A_FEW
    }
}

/// Lets the first through in each period.
#[derive(Debug, Default)]
struct Throttle {
    /// When the next one is let through.
    next: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// How many there were, this one included, since one was let through; `None`: this one is held back.
    fn pass(&mut self, now: Instant) -> Option<u64> {
        self.held_back += 1;
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + AT_MOST_EVERY);
        Some(core::mem::take(&mut self.held_back))
    }
}

/// Lines of what a turn of the server brings are written at its end.
fn log(log: &Log, fact: &Observation<'_>) {
    match fact {
        Observation::Listening { endpoint, .. } => log.info("listening").text("endpoint", endpoint),
        Observation::ListenerClosed { endpoint, .. } => log.debug("listener closed").text("endpoint", endpoint),
        Observation::Accepted { connection, listener, peer } => log
            .debug("connection accepted")
            .number("connection", connection.0)
            .number("listener", listener.0 as u64)
            .text("peer", peer),
        Observation::BehindProxy { connection, peer, proxy } => {
            log.debug("client of a proxy").number("connection", connection.0).text("peer", peer).text("proxy", proxy)
        }
        Observation::Opened { connection, encoding, .. } => log
            .debug("transport open")
            .number("connection", connection.0)
            .text("serializer", format_args!("{:?}", encoding.format))
            .text("framing", format_args!("{:?}", encoding.framing)),
        // What follows the path may be a secret.
        Observation::Responded { connection, path, status } => log
            .info("http response")
            .number("connection", connection.0)
            .text("path", path)
            .number("status", u64::from(*status)),
        Observation::Joined { holder, peer, session, realm, authid, authrole, authmethod, authprovider, .. } => {
            from(held(log.info("session joined"), *holder), *peer)
                .number("session", session.get())
                .text("realm", realm)
                .text("authid", authid)
                .text("authrole", authrole)
                .text("authmethod", authmethod)
                .text("authprovider", authprovider)
        }
        Observation::Aborted { holder, peer, reason, message } => {
            from(held(log.info("session aborted"), *holder), *peer).text("reason", reason).text("message", message)
        }
        Observation::Left { holder, session, cause } => {
            let line = held(log.info("session left"), *holder).number("session", session.get());
            match cause {
                LeaveCause::Goodbye(reason) => line.text("reason", reason),
                LeaveCause::Aborted => line.text("cause", "aborted"),
                LeaveCause::Lost => line.text("cause", "connection lost"),
                LeaveCause::ShutDown => line.text("cause", "the router shuts down"),
                other => line.text("cause", format_args!("{other:?}")),
            }
        }
        Observation::Undeliverable { connection, message, uri, why } => {
            let line = log.warn("message undeliverable").number("connection", connection.0).text("message", message);
            let line = match uri {
                Some(uri) => line.text("uri", uri),
                None => line,
            };
            line.text("why", why)
        }
        Observation::Closed { connection, cause } => {
            let name = "connection closed";
            // Without a session nothing else would tell of it.
            let told = cause.is_certificate_refused() || cause.is_refused_for_now();
            let line = if told { log.info(name) } else { log.debug(name) };
            line.number("connection", connection.0).text("cause", cause)
        }
        Observation::SurrogatesReplaced { connection, session } => {
            session_of(log.debug("halves of surrogate pairs replaced by U+FFFD"), *session)
                .number("connection", connection.0)
        }
        Observation::ProgressUnannounced { holder, session } => {
            let event = "callee is asked for progressive results without having announced progressive_call_results";
            held(log.warn(event), *holder).number("session", session.get())
        }
        Observation::FallsBehind { connection, session, waiting, limit } => {
            session_of(log.info("peer does not keep up"), *session)
                .number("connection", connection.0)
                .number("waiting", *waiting as u64)
                .number("limit", *limit as u64)
        }
        Observation::GivenUp { connection, session, cause, waiting, limit, behind, left_out } => {
            let cause = match cause {
                GiveUpCause::WriteTimeout => "it reads nothing",
                _ => "no room for what it must be sent",
            };
            session_of(log.info("peer given up"), *session)
                .number("connection", connection.0)
                .text("cause", cause)
                .number("waiting", *waiting as u64)
                .number("limit", *limit as u64)
                .number("behind_ms", behind.unwrap_or_default().as_millis() as u64)
                .number("left_out", *left_out)
        }
        Observation::ShuttingDown => log.info("shutting down"),
        other => log.debug("observation").text("what", format_args!("{other:?}")),
    }
    .end_later();
}

fn session_of(line: Line<'_>, session: Option<SessionId>) -> Line<'_> {
    match session {
        Some(session) => line.number("session", session.get()),
        None => line,
    }
}

fn held(line: Line<'_>, holder: Holder) -> Line<'_> {
    match holder {
        Holder::Connection(id) => line.number("connection", id.0),
        Holder::Local(_) => line.text("connection", "in-process"),
    }
}

fn from(line: Line<'_>, peer: Option<PeerAddress>) -> Line<'_> {
    match peer {
        Some(peer) => line.text("peer", peer),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_now_and_then() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let passed: Vec<Option<u64>> =
            [0, 1, 9, 10, 11, 30].into_iter().map(|s| throttle.pass(start + Duration::from_secs(s))).collect();
        assert_eq!(passed, [Some(1), None, None, Some(3), None, Some(2)]);
    }

    #[test]
    fn a_few_are_told_of_in_a_time() {
        let (mut few, start) = (Few::default(), Instant::now());
        let passed = |few: &mut Few, s| (0..30).filter(|_| few.pass(start + Duration::from_secs(s))).count();
        assert_eq!([0, 9, 10].map(|s| passed(&mut few, s)), [20, 0, 20]);
    }
}
