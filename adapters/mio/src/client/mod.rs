//! A WAMP client that waits: for programs that have a thread to spare and no event loop of their own.
//!
//! [`Client::connect`] connects, opens the transport and joins. Then there are two ways to use it, which go together:
//!
//! * Methods that wait for the answer: [`call`](Client::call), [`publish`](Client::publish),
//!   [`subscribe`](Client::subscribe), [`register`](Client::register) and so on. What else arrives meanwhile waits to be
//!   taken.
//! * A loop over [`next_event`](Client::next_event), which gives whatever arrives: events, invocations, and the answers to
//!   requests that were made with the `send_` methods, which do not wait. Invocations are answered there, with
//!   [`yield_result`](Client::yield_result) or [`yield_error`](Client::yield_error).
//!
//! There are no threads inside, so nothing happens while no method is called: pings of the router are not answered, and
//! a router that pings gives the client up after a while. A program that works for long between two calls should call
//! `next_event` with a timeout of zero now and then, or give the client a thread of its own (below). For the same reason a
//! client that calls a procedure which it has registered itself must not wait for the answer in [`call`](Client::call).
//!
//! ```no_run
//! use wampd_core::{
//!     client::{ClientConfig, ClientEvent, Credential},
//!     message::{CallOptions, Payload, SubscribeOptions},
//!     value::Value,
//! };
//! use wampd_mio::client::{Client, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ClientConfig::with_credential("realm1".into(), "client1", Credential::Cra("secret123".to_owned()));
//! let mut client = Client::connect(&"ws://127.0.0.1:8080/ws".parse()?, &Options::default(), config)?;
//!
//! let arguments = Payload::from_args([Value::from(2), Value::from(3)]);
//! let result = client.call("com.example.add2", CallOptions::default(), arguments)?;
//! let ((sum,), _): ((u64,), std::collections::BTreeMap<String, Value>) = result.payload.to_serde()?;
//! println!("2 + 3 = {sum}");
//!
//! client.subscribe("com.example.topic1", SubscribeOptions::default())?;
//! while let Some(event) = client.next_event(None)? {
//!     if let ClientEvent::Event { payload, .. } = event {
//!         println!("{:?}", payload.values()?);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # In a thread of its own
//! A [`Client`] can be sent to another thread. To give it work from outside, send that through a channel and call
//! [`ClientWaker::wake`]: [`next_event`](Client::next_event) then gives `None`.
//!
//! ```no_run
//! # use std::{sync::mpsc, thread};
//! # use wampd_core::{client::ClientEvent, message::{Payload, PublishOptions}, value::Value};
//! # use wampd_mio::client::{Client, End};
//! # fn example(mut client: Client) {
//! let waker = client.waker();
//! let (news, inbox) = mpsc::channel::<String>();
//! let thread = thread::spawn(move || -> Result<(), End> {
//!     loop {
//!         match client.next_event(None)? {
//!             Some(ClientEvent::Event { .. }) => { /* ... */ }
//!             Some(_) => {}
//!             None => {
//!                 for text in inbox.try_iter() {
//!                     let payload = Payload::from_args([Value::from(text)]);
//!                     let _ = client.send_publish("com.example.news", PublishOptions::default(), payload);
//!                 }
//!             }
//!         }
//!     }
//! });
//! if news.send("hello".to_owned()).is_ok() {
//!     waker.wake();
//! }
//! # drop(thread);
//! # }
//! ```

mod driver;
mod error;
mod link;
mod options;
mod requests;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use driver::Driver;
pub use error::{Aborted, ConnectError, End, Error, Failure, Lost, Stage};
use link::Link;
pub use options::Options;
pub use url::{InvalidUrl, Protocol, Socket, Url};
use wampd_core::{
    client::{ClientConfig, ClientEvent, ClientStats, Side},
    message::Welcome,
    uri::{self, Uri},
    value::Dict,
};
use wampd_wire::Encoding;

/// A client's session over a connection of its own: see the [module's documentation](self).
///
/// Dropping it closes the socket without a farewell; [`leave`](Self::leave) is better.
pub struct Client {
    driver: Driver,
    welcome: Box<Welcome>,
    linger_timeout: Duration,
}

/// A challenge of a method that the application answers:
/// [`Credential::External`](wampd_core::client::Credential::External).
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// The method that the router has chosen.
    pub method: &'a str,
    /// What to prove knowledge for.
    pub extra: &'a Dict,
}

/// The answer to a [`Challenge`]: the contents of AUTHENTICATE.
#[derive(Clone, Default, PartialEq)]
pub struct Proof {
    /// The signature, as the method defines it.
    pub signature: String,
    /// Further data.
    pub extra: Dict,
}

/// No contents: some methods send a secret as it is.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl Client {
    /// Connects, opens the transport and joins.
    ///
    /// # Errors
    /// See [`ConnectError`]. A challenge of a [`Credential::External`](wampd_core::client::Credential::External) is not
    /// answered; for that see [`connect_with`](Self::connect_with).
    pub fn connect(url: &Url, options: &Options, config: ClientConfig) -> Result<Self, ConnectError> {
        Self::connect_with(url, options, config, |_| None)
    }

    /// As [`connect`](Self::connect). `prove` answers each challenge of a
    /// [`Credential::External`](wampd_core::client::Credential::External); with `None` the client breaks off.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect_with(
        url: &Url,
        options: &Options,
        config: ClientConfig,
        mut prove: impl FnMut(Challenge<'_>) -> Option<Proof>,
    ) -> Result<Self, ConnectError> {
        let (link, encoding) = Link::open(url, options)?;
        let mut driver = Driver::new(link, encoding, config, options);
        let welcome = loop {
            match driver.next_event(None) {
                Ok(Some(ClientEvent::Joined(welcome))) => break welcome,
                Ok(Some(ClientEvent::Challenged { method, extra })) => {
                    match prove(Challenge { method: &method, extra: &extra }) {
                        Some(Proof { signature, extra }) => driver.authenticate(signature, extra),
                        None => driver.leave(uri::error::AUTHENTICATION_FAILED),
                    }
                }
                // The event of the end; the end itself follows.
                Ok(_) => {}
                Err(End::Aborted(aborted)) if aborted.by == Side::Client && aborted.reason == uri::error::TIMEOUT => {
                    return Err(ConnectError::Timeout(Stage::Join));
                }
                Err(End::Aborted(aborted)) => {
                    driver.finish(options.linger_timeout);
                    return Err(ConnectError::Aborted(aborted));
                }
                Err(End::Lost(lost)) => return Err(ConnectError::Lost(lost)),
                // A core that was never let in does not leave in good order.
                Err(End::Left(_)) => return Err(ConnectError::Lost(Lost::NoGoodbye)),
            }
        };
        Ok(Self { driver, welcome, linger_timeout: options.linger_timeout })
    }

    /// What the router said in WELCOME: who the client is, and what the router can do.
    pub fn session(&self) -> &Welcome {
        &self.welcome
    }

    /// Serializer and framing of the connection.
    pub fn encoding(&self) -> Encoding {
        self.driver.encoding()
    }

    /// Whether requests can be made.
    pub fn is_joined(&self) -> bool {
        self.driver.core.is_joined()
    }

    /// How the session ended, if it has. Events that arrived before may still wait to be taken.
    pub const fn end(&self) -> Option<&End> {
        self.driver.end()
    }

    /// What was tolerated or refused so far.
    pub const fn stats(&self) -> ClientStats {
        self.driver.core.stats()
    }

    /// For other threads, to make [`next_event`](Self::next_event) return.
    pub fn waker(&self) -> ClientWaker {
        self.driver.waker()
    }

    /// The next thing that happens, in the order in which it arrived; waits for `timeout`, or for ever.
    ///
    /// `None`: nothing has happened in this time, or [`ClientWaker::wake`] was called. With a timeout of zero whatever has
    /// arrived is taken in, without waiting.
    ///
    /// # Errors
    /// The session is over, and its last event was taken.
    pub fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<ClientEvent>, End> {
        self.driver.next_event(timeout)
    }

    /// Leaves: says GOODBYE, waits for the router's, and closes the transport. Returns the reason that the router gave.
    ///
    /// What arrived before can still be taken with [`next_event`](Self::next_event); answers to open requests too.
    ///
    /// # Errors
    /// The session ended in another way, or had ended before.
    pub fn leave(&mut self, reason: impl Into<Uri>) -> Result<Uri, End> {
        if let Some(end) = self.end() {
            return Err(end.clone());
        }
        self.driver.leave(reason.into());
        let end = self.driver.wait_for_end();
        self.driver.finish(self.linger_timeout);
        match end {
            End::Left(reason) => Ok(reason),
            end => Err(end),
        }
    }
}

/// Without messages, which may hold secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.welcome.session)
            .field("encoding", &self.encoding())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

/// Reaches the thread that waits in [`Client::next_event`]. Clones are cheap.
#[derive(Clone, Debug)]
pub struct ClientWaker(Arc<mio::Waker>);

impl ClientWaker {
    /// Makes [`Client::next_event`] return `None`, once it has no event to give: now if it waits, else the next time.
    /// Methods that wait for an answer are not disturbed.
    pub fn wake(&self) {
        // Fails only when the client is gone.
        let _ = self.0.wake();
    }
}
