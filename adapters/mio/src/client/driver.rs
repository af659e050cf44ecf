//! Drives the sans-IO client over its link, one message at a time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use wampd_core::{
    client::{AnswerError, Client, ClientConfig, ClientEvent, ClientOutput, RequestError},
    codec::{DecodeLimits, decode},
    id::RequestId,
    message::{Payload, ResultDetails},
    router::Undeliverable,
    time::Instant,
    uri::Uri,
    value::Dict,
};
use wampd_wire::{Encoding, Incoming};

use super::{Aborted, ClientWaker, End, Error, Failure, Lost, Options, link::Link};
use crate::clock::SystemRng;

/// The protocol, the socket, and what waits between them and the application.
pub(super) struct Driver {
    pub(super) core: Client,
    link: Link,
    encoding: Encoding,
    decode: DecodeLimits,
    max_pending: usize,
    max_events: usize,
    max_event_bytes: usize,
    /// What the application has not taken yet, and how many bytes of payload that is.
    events: VecDeque<ClientEvent>,
    event_bytes: usize,
    awaited: Awaited,
    /// The last message could not be sent: why, until whoever asked for it is told.
    unsent: Option<Undeliverable>,
    /// Why the connection is lost, until the application is told.
    lost: Option<Lost>,
    end: Option<End>,
}

/// The request whose answer a method waits for, if one does.
#[derive(Default)]
struct Awaited {
    request: Option<RequestId>,
    progress: VecDeque<(ResultDetails, Payload)>,
    answer: Option<ClientEvent>,
    /// The answer is the client's own: none came in time.
    timed_out: bool,
}

/// What has made the core speak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Deadline,
    Other,
}

/// How a round of driving went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There may be more to do at once.
    Busy,
    /// Nothing was there to be done, up to the end of the time given.
    Idle,
}

impl Driver {
    /// Over an open link; begins to join.
    pub(super) fn new(link: Link, encoding: Encoding, config: ClientConfig, options: &Options) -> Self {
        let mut driver = Self {
            core: Client::with_rng(config, Box::new(SystemRng::new())),
            link,
            encoding,
            decode: options.decode,
            max_pending: options.max_pending,
            max_events: options.max_events,
            max_event_bytes: options.max_event_bytes,
            events: VecDeque::new(),
            event_bytes: 0,
            awaited: Awaited::default(),
            unsent: None,
            lost: None,
            end: None,
        };
        driver.core.connected_over(driver.link.now(), driver.link.channel_binding());
        driver.drain();
        driver
    }

    pub(super) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(super) const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(super) fn waker(&self) -> ClientWaker {
        ClientWaker(Arc::clone(self.link.waker()))
    }

    // ---- what the application does ----

    pub(super) fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<ClientEvent>, End> {
        let until = timeout.map(|timeout| self.link.now().after(timeout));
        let mut turn = Turn::Busy;
        loop {
            if let Some(event) = self.events.pop_front() {
                self.event_bytes -= payload_len(&event);
                return Ok(Some(event));
            }
            if let Some(end) = &self.end {
                return Err(end.clone());
            }
            if self.link.take_woken() || (turn == Turn::Idle && until.is_some_and(|until| until <= self.link.now())) {
                return Ok(None);
            }
            turn = self.turn(until);
        }
    }

    pub(super) fn authenticate(&mut self, signature: String, extra: Dict) {
        // Fails only when the handshake is over, of which there is an event.
        let _ = self.core.authenticate(signature, extra);
        self.drain();
    }

    pub(super) fn leave(&mut self, reason: Uri) {
        self.core.leave(self.link.now(), reason);
        self.drain();
    }

    /// Makes a request, which is written as far as the socket takes it.
    pub(super) fn request(
        &mut self,
        make: impl FnOnce(&mut Client, Instant) -> Result<RequestId, RequestError>,
    ) -> Result<RequestId, Error> {
        self.make_room()?;
        let request = make(&mut self.core, self.link.now()).map_err(Error::Request)?;
        self.sent()?;
        Ok(request)
    }

    /// Answers an invocation, or cancels a call.
    pub(super) fn answer(&mut self, give: impl FnOnce(&mut Client) -> Result<(), AnswerError>) -> Result<(), Error> {
        self.make_room()?;
        give(&mut self.core).map_err(Error::Answer)?;
        self.sent()
    }

    /// Sends what the core was just asked to send.
    fn sent(&mut self) -> Result<(), Error> {
        self.drain();
        match self.unsent.take() {
            None => Ok(()),
            Some(why) => Err(Error::Undeliverable(why)),
        }
    }

    /// Waits until the router has taken enough of what was sent before.
    fn make_room(&mut self) -> Result<(), Error> {
        loop {
            if let Some(end) = &self.end {
                return Err(Error::Ended(end.clone()));
            }
            if self.link.pending() <= self.max_pending {
                return Ok(());
            }
            if self.events_are_full() {
                return Err(Error::EventsFull { request: None });
            }
            self.turn(None);
        }
    }

    /// Waits for the answer to a request. Whatever else arrives is kept for [`next_event`](Self::next_event).
    pub(super) fn wait_for_answer(
        &mut self,
        request: RequestId,
        mut progress: impl FnMut(ResultDetails, Payload),
    ) -> Result<ClientEvent, Error> {
        self.awaited = Awaited { request: Some(request), ..Awaited::default() };
        let result = loop {
            while let Some((details, payload)) = self.awaited.progress.pop_front() {
                progress(details, payload);
            }
            if let Some(end) = &self.end {
                break Err(Error::Ended(end.clone()));
            }
            match self.awaited.answer.take() {
                Some(ClientEvent::Failed { .. }) if self.awaited.timed_out => break Err(Error::Timeout),
                Some(ClientEvent::Failed { error, payload, .. }) => {
                    break Err(Error::Failed(Failure { error, payload }));
                }
                Some(answer) => break Ok(answer),
                None => {}
            }
            if self.events_are_full() {
                break Err(Error::EventsFull { request: Some(request) });
            }
            self.turn(None);
        };
        self.awaited = Awaited::default();
        result
    }

    /// Waits until the session is over, after [`leave`](Self::leave).
    pub(super) fn wait_for_end(&mut self) -> End {
        loop {
            if let Some(end) = &self.end {
                return end.clone();
            }
            self.turn(None);
        }
    }

    /// Waits until the transport is closed.
    pub(super) fn finish(&mut self, timeout: Duration) {
        self.link.finish(timeout);
    }

    // ---- how it works ----

    fn events_are_full(&self) -> bool {
        self.events.len() >= self.max_events || self.event_bytes >= self.max_event_bytes
    }

    /// Takes in one thing that has arrived, or waits for one until `until` at most.
    fn turn(&mut self, until: Option<Instant>) -> Turn {
        match self.step(until) {
            Ok(turn) => turn,
            Err(lost) => {
                self.lose(lost);
                Turn::Busy
            }
        }
    }

    fn step(&mut self, until: Option<Instant>) -> Result<Turn, Lost> {
        let now = self.link.now();
        if self.core.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.core.handle_timeout(now);
            self.drain_after(Cause::Deadline);
            // The session may be over.
            return Ok(Turn::Busy);
        }
        self.link.work()?;
        match self.link.receive()? {
            Some(Incoming::Message(frame)) => self.receive(frame),
            Some(Incoming::Closed { code, reason }) => return Err(Lost::Closed { code, reason }),
            Some(_) => {}
            None => {
                self.link.flush()?;
                let until = until.into_iter().chain(self.core.next_deadline()).min();
                return Ok(if self.link.wait(until)? { Turn::Busy } else { Turn::Idle });
            }
        }
        Ok(Turn::Busy)
    }

    fn receive(&mut self, frame: Bytes) {
        let now = self.link.now();
        match decode(self.encoding.format, frame, &self.decode) {
            Ok(message) => self.core.receive(now, message),
            Err(error) => self.core.receive_invalid(now, error),
        }
        self.drain();
    }

    fn drain(&mut self) {
        self.drain_after(Cause::Other);
    }

    /// Does what the core wants done.
    fn drain_after(&mut self, cause: Cause) {
        while let Some(output) = self.core.poll_output() {
            match output {
                ClientOutput::Send(message) => {
                    if let Err(why) = self.link.send(&message) {
                        self.core.undeliverable(self.link.now(), message, &why);
                        self.unsent = Some(why);
                    }
                }
                ClientOutput::Event(event) => self.take(event, cause),
                ClientOutput::Close => self.link.close(),
            }
        }
        if let Err(lost) = self.link.flush() {
            self.lose(lost);
        }
    }

    fn take(&mut self, mut event: ClientEvent, cause: Cause) {
        let end = match &event {
            ClientEvent::Aborted { by, reason, details } => {
                Some(End::Aborted(Aborted { by: *by, reason: reason.clone(), details: details.clone() }))
            }
            ClientEvent::Left { reason } => Some(End::Left(reason.clone())),
            // Without a reason of our own it is the core that gave the router up.
            ClientEvent::Lost => Some(End::Lost(self.lost.take().unwrap_or(Lost::NoGoodbye))),
            _ => None,
        };
        if end.is_some() {
            self.end = end;
        }
        if let Some(awaited) = self.awaited.request {
            if event.answers() == Some(awaited) {
                self.awaited.timed_out = cause == Cause::Deadline;
                self.awaited.answer = Some(event);
                return;
            }
            match event {
                ClientEvent::Result { request, details, payload } if request == awaited => {
                    return self.awaited.progress.push_back((details, payload));
                }
                other => event = other,
            }
            if let Some(payload) = payload_mut(&mut event) {
                // It may wait for long, and should not keep a whole read buffer.
                payload.detach();
            }
        }
        self.event_bytes += payload_len(&event);
        self.events.push_back(event);
    }

    /// The connection is gone.
    fn lose(&mut self, lost: Lost) {
        if !self.core.is_closed() {
            self.lost = Some(lost);
            self.core.connection_lost(self.link.now());
            self.drain();
        }
    }
}

const fn payload(event: &ClientEvent) -> Option<&Payload> {
    match event {
        ClientEvent::Event { payload, .. }
        | ClientEvent::Result { payload, .. }
        | ClientEvent::Invocation { payload, .. }
        | ClientEvent::Failed { payload, .. } => Some(payload),
        _ => None,
    }
}

const fn payload_mut(event: &mut ClientEvent) -> Option<&mut Payload> {
    match event {
        ClientEvent::Event { payload, .. }
        | ClientEvent::Result { payload, .. }
        | ClientEvent::Invocation { payload, .. }
        | ClientEvent::Failed { payload, .. } => Some(payload),
        _ => None,
    }
}

fn payload_len(event: &ClientEvent) -> usize {
    payload(event).map_or(0, Payload::raw_len)
}
