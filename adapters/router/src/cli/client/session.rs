//! A session of a command: joining, waiting in a way that a signal can end, and saying what went wrong.

use super::super::{Outcome, Streams};
use super::connect::Target;
use super::payload::{Content, tame, to_json};
use super::signals::Interrupt;
use serde::Serialize;
use std::io;
use std::time::Duration;
use wampd_core::client::ClientEvent;
use wampd_core::id::RequestId;
use wampd_core::message::{Disclosed, Payload};
use wampd_core::uri::{Uri, close, error};
use wampd_mio::client::{Client, ConnectError, End, Error, Failure};

/// Why a command can not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The request was answered with an error.
    Failed(Failure),
    /// There is no session.
    Connect(ConnectError),
    /// The session is over.
    Ended(End),
    /// A request was not possible, or not answered in time.
    Request(Error),
    /// The router took the subscription or registration back.
    Revoked(Option<Uri>),
    /// By SIGINT or SIGTERM.
    Interrupted,
    /// Reading or writing failed.
    Io(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Failed(failure) => Self::Failed(failure),
            Error::Ended(end) => Self::Ended(end),
            other => Self::Request(other),
        }
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) struct Session {
    pub(super) client: Client,
    interrupt: Interrupt,
}

impl Session {
    pub(super) fn open(target: Target) -> Result<Self, Stop> {
        let Target { url, options, config } = target;
        let client = Client::connect(&url, &options, config).map_err(Stop::Connect)?;
        let interrupt = Interrupt::watch(client.waker())?;
        Ok(Self { client, interrupt })
    }

    /// The next event; `None` if there was none in this time, or something else has woken the client.
    pub(super) fn next(&mut self, timeout: Option<Duration>) -> Result<Option<ClientEvent>, Stop> {
        if self.interrupt.told() {
            return Err(Stop::Interrupted);
        }
        let event = self.client.next_event(timeout)?;
        Ok(event)
    }

    /// Waits for the answer to a request; `others` gets what comes before it.
    pub(super) fn answer(
        &mut self,
        request: RequestId,
        mut others: impl FnMut(ClientEvent) -> io::Result<()>,
    ) -> Result<ClientEvent, Stop> {
        let given_up = self.client.stats().timed_out_requests;
        loop {
            match self.next(None)? {
                Some(ClientEvent::Failed { request: failed, error, payload, .. }) if failed == request => {
                    return Err(match self.client.end() {
                        Some(end) if error == error::TRANSPORT_LOST => Stop::Ended(end.clone()),
                        // Not the router's error of this name.
                        _ if self.client.stats().timed_out_requests > given_up => Stop::Request(Error::Timeout),
                        _ => Stop::Failed(Failure { error, payload }),
                    });
                }
                Some(event) if event.answers() == Some(request) => return Ok(event),
                Some(event) => others(event)?,
                None => {}
            }
        }
    }

    /// Says GOODBYE. A router that does not answer it is no reason to fail: everything was done before.
    pub(super) fn leave(mut self) {
        let _ = self.client.leave(close::NORMAL);
    }
}

/// Who published or called, as far as it is disclosed.
#[derive(Serialize)]
pub(super) struct Who<'a> {
    session: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    authid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authrole: Option<&'a str>,
}

impl<'a> From<&'a Disclosed> for Who<'a> {
    fn from(disclosed: &'a Disclosed) -> Self {
        Self {
            session: disclosed.session.get(),
            authid: disclosed.authid.as_deref(),
            authrole: disclosed.authrole.as_deref(),
        }
    }
}

/// Says why a command could not go on, and what it ends with.
pub(super) fn report(name: &str, stop: Stop, json: bool, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let (outcome, message) = match stop {
        Stop::Io(error) => return Err(error),
        Stop::Failed(Failure { error, payload }) => {
            let message = failure(&error, &payload, json);
            if json {
                writeln!(streams.err, "{message}")?;
                return Ok(Outcome::ErrorReply);
            }
            (Outcome::ErrorReply, message)
        }
        Stop::Connect(ConnectError::Aborted(aborted)) => (Outcome::Refused, aborted.to_string()),
        Stop::Connect(error) => (Outcome::NoConnection, error.to_string()),
        Stop::Ended(end) => (Outcome::NoConnection, end.to_string()),
        Stop::Request(error) => (Outcome::Failure, error.to_string()),
        Stop::Revoked(reason) => {
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            (Outcome::Failure, format!("the router took it back{reason}"))
        }
        Stop::Interrupted => (Outcome::Failure, "interrupted".to_owned()),
    };
    writeln!(streams.err, "{name}: {}", tame(&message))?;
    Ok(outcome)
}

/// An error reply: its URI and what it carries.
fn failure(error: &Uri, payload: &Payload, json: bool) -> String {
    #[derive(Serialize)]
    struct Reply<'a> {
        error: &'a str,
        #[serde(flatten)]
        content: Content,
    }
    let content = Content::of(payload);
    if json {
        return to_json(&Reply { error: error.as_str(), content });
    }
    // The first argument is a text for people, by convention. All on one line.
    let mut message = error.to_string();
    for (n, line) in content.lines().lines().enumerate() {
        message += if n == 0 { ": " } else { " " };
        message += line;
    }
    message
}
