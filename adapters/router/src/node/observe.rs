//! What a server observes, as log lines.

use crate::log::{Line, Log};
use wampd_mio::{Holder, LeaveCause, Observation};

pub(super) fn log(log: &Log, fact: &Observation<'_>) {
    match fact {
        Observation::AcceptPaused { listener, error, pause } => log
            .error("no resources for more connections")
            .number("listener", listener.0 as u64)
            .text("error", error)
            .number("pause_ms", pause.as_millis() as u64),
        Observation::ListenerClosed { endpoint, .. } => log.debug("listener closed").text("endpoint", endpoint),
        Observation::Accepted { connection, listener, peer } => log
            .debug("connection accepted")
            .number("connection", connection.0)
            .number("listener", listener.0 as u64)
            .text("peer", peer),
        Observation::TooManyConnections { listener, peer } => {
            log.debug("connection refused: too many").number("listener", listener.0 as u64).text("peer", peer)
        }
        Observation::Opened { connection, encoding } => log
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
        Observation::Joined { holder, session, realm, authid, authrole, authmethod, authprovider } => {
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
            log.debug("connection closed").number("connection", connection.0).text("cause", cause)
        }
        Observation::ShuttingDown => log.info("shutting down"),
        other => log.debug("observation").text("what", format_args!("{other:?}")),
    }
    .end();
}

fn held(line: Line<'_>, holder: Holder) -> Line<'_> {
    match holder {
        Holder::Connection(id) => line.number("connection", id.0),
        Holder::Local(_) => line.text("connection", "in-process"),
    }
}
