//! What a server observes, as log lines.

use crate::log::{Line, Log};
use std::time::{Duration, Instant};
use wampd_mio::{Holder, LeaveCause, Observation};

/// How often a state of emergency is told while it lasts.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// Logs facts. What a flood of connections brings about is told now and then, with how often it happened.
#[derive(Debug, Default)]
pub(super) struct Observer {
    refused: Throttle,
    paused: Throttle,
    undecided: Throttle,
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
            fact => self::log(log, fact),
        }
    }

    /// A login or an action was refused because too many wait for a decision.
    pub(super) fn too_many_decisions(&mut self, log: &Log) {
        if let Some(times) = self.undecided.pass(Instant::now()) {
            log.warn("refused: too many decisions wait").number("times", times).end();
        }
    }
}

/// Lets through the first of many in a time.
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
        Observation::ListenerClosed { endpoint, .. } => log.debug("listener closed").text("endpoint", endpoint),
        Observation::Accepted { connection, listener, peer } => log
            .debug("connection accepted")
            .number("connection", connection.0)
            .number("listener", listener.0 as u64)
            .text("peer", peer),
        Observation::Opened { connection, encoding, .. } => log
            .debug("transport open")
            .number("connection", connection.0)
            .text("serializer", format_args!("{:?}", encoding.format))
            .text("framing", format_args!("{:?}", encoding.framing)),
        // What follows the path may be a secret.
        Observation::Responded { connection, request, status } => log
            .info("http response")
            .number("connection", connection.0)
            .text("path", request.path())
            .number("status", u64::from(*status)),
        Observation::Joined { holder, session, realm, authid, authrole, authmethod, authprovider, .. } => {
            held(log.info("session joined"), *holder)
                .number("session", session.get())
                .text("realm", realm)
                .text("authid", authid)
                .text("authrole", authrole)
                .text("authmethod", authmethod)
                .text("authprovider", authprovider)
        }
        Observation::Aborted { holder, reason, message } => {
            held(log.info("session aborted"), *holder).text("reason", reason).text("message", message)
        }
        Observation::Left { holder, session, cause } => {
            let line = held(log.info("session left"), *holder).number("session", session.get());
            match cause {
                LeaveCause::Goodbye(reason) => line.text("reason", reason),
                LeaveCause::Aborted => line.text("cause", "aborted"),
                LeaveCause::Lost => line.text("cause", "connection lost"),
                other => line.text("cause", format_args!("{other:?}")),
            }
        }
        Observation::Undeliverable { connection, message, why } => log
            .warn("message undeliverable")
            .number("connection", connection.0)
            .text("message", message)
            .text("why", format_args!("{why:?}")),
        Observation::Closed { connection, cause } => {
            let name = "connection closed";
            // Without a session nothing else would tell of it.
            let line = if cause.is_certificate_refused() { log.info(name) } else { log.debug(name) };
            line.number("connection", connection.0).text("cause", cause)
        }
        Observation::ShuttingDown => log.info("shutting down"),
        other => log.debug("observation").text("what", format_args!("{other:?}")),
    }
    .end_later();
}

fn held(line: Line<'_>, holder: Holder) -> Line<'_> {
    match holder {
        Holder::Connection(id) => line.number("connection", id.0),
        Holder::Local(_) => line.text("connection", "in-process"),
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
}
