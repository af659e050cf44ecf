//! The WAMP messages as values: one struct each, with typed options and details
//! (spec: "Messages" in the Basic Profile).

mod features;
mod options;
mod payload;
mod pubsub;
mod raw_dict;
mod rpc;
mod session;

pub use features::{ClientRoles, Features, RouterRoles};
pub use options::{
    Audience, CallOptions, CancelMode, CancelOptions, Disclosed, EventDetails, InterruptOptions, InvocationDetails,
    InvocationPolicy, PassThru, PublishOptions, RegisterOptions, ResultDetails, Revocation, SubscribeOptions,
    YieldOptions,
};
pub(crate) use payload::Repr;
pub use payload::{Payload, Shape};
pub use pubsub::{Event, EventReceived, Publish, Published, Subscribe, Subscribed, Unsubscribe, Unsubscribed};
pub use raw_dict::RawDict;
pub(crate) use raw_dict::RawDictRepr;
pub use rpc::{
    Call, CallResult, Cancel, Error, Interrupt, Invocation, Register, Registered, RequestType, Unregister,
    Unregistered, Yield,
};
pub use session::{Abort, Authenticate, ChallengeMessage, Goodbye, Hello, HelloDetails, Welcome, WelcomeDetails};

impl Message {
    /// Whether a router may leave the message out for a receiver that does not keep up, without breaking its session:
    /// an EVENT, an INVOCATION, an INTERRUPT or a progressive RESULT.
    pub const fn may_be_left_out(&self) -> bool {
        match self {
            Self::Event(_) | Self::Invocation(_) | Self::Interrupt(_) => true,
            Self::Result(result) => result.details.progress,
            _ => false,
        }
    }
}

macro_rules! messages {
    ($($(#[$doc:meta])* $variant:ident($body:ty) = $code:literal, $name:literal;)*) => {
        /// A WAMP message. Exhaustive on purpose: a `match` names every message it does not expect.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Message {
            $($(#[$doc])* $variant($body),)*
        }

        impl Message {
            /// The message's type code, its first element on the wire.
            pub const fn code(&self) -> u16 {
                match self { $(Self::$variant(_) => $code,)* }
            }

            /// The message's name in the specification, e.g. `HELLO`.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }
        }

        $(impl From<$body> for Message {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

messages! {
    /// Client to router: opens a session.
    Hello(Hello) = 1, "HELLO";
    /// Router to client: the session is open.
    Welcome(Welcome) = 2, "WELCOME";
    /// Either way: the session is not opened, or broken off. Never answered.
    Abort(Abort) = 3, "ABORT";
    /// Router to client: prove who you are.
    Challenge(ChallengeMessage) = 4, "CHALLENGE";
    /// Client to router: the proof.
    Authenticate(Authenticate) = 5, "AUTHENTICATE";
    /// Either way: closes the session; answered by GOODBYE.
    Goodbye(Goodbye) = 6, "GOODBYE";
    /// Either way: a request failed.
    Error(Error) = 8, "ERROR";
    /// Client to router: publishes an event.
    Publish(Publish) = 16, "PUBLISH";
    /// Router to client: the event was published.
    Published(Published) = 17, "PUBLISHED";
    /// Client to router: subscribes to a topic.
    Subscribe(Subscribe) = 32, "SUBSCRIBE";
    /// Router to client: subscribed.
    Subscribed(Subscribed) = 33, "SUBSCRIBED";
    /// Client to router: ends a subscription.
    Unsubscribe(Unsubscribe) = 34, "UNSUBSCRIBE";
    /// Router to client: unsubscribed, on request or by revocation.
    Unsubscribed(Unsubscribed) = 35, "UNSUBSCRIBED";
    /// Router to client: an event.
    Event(Event) = 36, "EVENT";
    /// Client to router: an event has arrived. Autobahn's extension, accepted and without effect.
    EventReceived(EventReceived) = 337, "EVENT_RECEIVED";
    /// Client to router: calls a procedure.
    Call(Call) = 48, "CALL";
    /// Client to router: cancels a call.
    Cancel(Cancel) = 49, "CANCEL";
    /// Router to client: the result of a call.
    Result(CallResult) = 50, "RESULT";
    /// Client to router: registers a procedure.
    Register(Register) = 64, "REGISTER";
    /// Router to client: registered.
    Registered(Registered) = 65, "REGISTERED";
    /// Client to router: ends a registration.
    Unregister(Unregister) = 66, "UNREGISTER";
    /// Router to client: unregistered, on request or by revocation.
    Unregistered(Unregistered) = 67, "UNREGISTERED";
    /// Router to client: run a procedure.
    Invocation(Invocation) = 68, "INVOCATION";
    /// Router to client: stop running a procedure.
    Interrupt(Interrupt) = 69, "INTERRUPT";
    /// Client to router: the result of an invocation.
    Yield(Yield) = 70, "YIELD";
}
