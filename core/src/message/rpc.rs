use super::{
    CallOptions, CancelOptions, InterruptOptions, InvocationDetails, PassThru, Payload, RawDict, RegisterOptions,
    ResultDetails, Revocation, YieldOptions,
};
use crate::id::{RegistrationId, RequestId};
use crate::uri::Uri;

/// The kind of request that an ERROR answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RequestType {
    /// PUBLISH
    Publish = 16,
    /// SUBSCRIBE
    Subscribe = 32,
    /// UNSUBSCRIBE
    Unsubscribe = 34,
    /// CALL
    Call = 48,
    /// REGISTER
    Register = 64,
    /// UNREGISTER
    Unregister = 66,
    /// INVOCATION
    Invocation = 68,
}

impl RequestType {
    /// The request type with this message code.
    pub const fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            16 => Self::Publish,
            32 => Self::Subscribe,
            34 => Self::Unsubscribe,
            48 => Self::Call,
            64 => Self::Register,
            66 => Self::Unregister,
            68 => Self::Invocation,
            _ => return None,
        })
    }

    /// The message code on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// `[ERROR, REQUEST.Type|int, REQUEST.Request|id, Details|dict, Error|uri (, Arguments|list (, ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The kind of request that failed.
    pub request_type: RequestType,
    /// The request that failed.
    pub request: RequestId,
    /// Payload passthru attributes of an application's error, if any.
    pub pass_thru: Option<Box<PassThru>>,
    /// Further details of an application's error. Not those that say who the callee is, which are the router's to tell.
    pub details: RawDict,
    /// What went wrong.
    pub error: Uri,
    /// Arguments of the error.
    pub payload: Payload,
}

/// `[CALL, Request|id, Options|dict, Procedure|uri (, Arguments|list (, ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Chosen by the caller.
    pub request: RequestId,
    /// How to call.
    pub options: CallOptions,
    /// The procedure.
    pub procedure: Uri,
    /// The arguments.
    pub payload: Payload,
}

/// `[CANCEL, CALL.Request|id, Options|dict]`
#[derive(Clone, Debug, PartialEq)]
pub struct Cancel {
    /// The call to cancel.
    pub request: RequestId,
    /// How.
    pub options: CancelOptions,
}

/// `[RESULT, CALL.Request|id, Details|dict (, YIELD.Arguments|list (, YIELD.ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    /// The call answered.
    pub request: RequestId,
    /// About the result.
    pub details: ResultDetails,
    /// The result.
    pub payload: Payload,
}

/// `[REGISTER, Request|id, Options|dict, Procedure|uri]`
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// Chosen by the callee.
    pub request: RequestId,
    /// How to match and invoke.
    pub options: RegisterOptions,
    /// The procedure or procedure pattern.
    pub procedure: Uri,
}

/// `[REGISTERED, REGISTER.Request|id, Registration|id]`
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// The request answered.
    pub request: RequestId,
    /// The registration, shared by all callees of this procedure and match policy.
    pub registration: RegistrationId,
}

/// `[UNREGISTER, Request|id, REGISTERED.Registration|id]`
#[derive(Clone, Debug, PartialEq)]
pub struct Unregister {
    /// Chosen by the callee.
    pub request: RequestId,
    /// The registration to leave.
    pub registration: RegistrationId,
}

/// `[UNREGISTERED, UNREGISTER.Request|id (, Details|dict)]`
#[derive(Clone, Debug, PartialEq)]
pub struct Unregistered {
    /// The request answered; `None` (0 on the wire) when the router revokes a registration.
    pub request: Option<RequestId>,
    /// What was revoked; only without a request.
    pub revocation: Option<Box<Revocation<RegistrationId>>>,
}

/// `[INVOCATION, Request|id, REGISTERED.Registration|id, Details|dict (, CALL.Arguments|list (, CALL.ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// Chosen by the router, sequential for each callee.
    pub request: RequestId,
    /// The registration that matched.
    pub registration: RegistrationId,
    /// About the call.
    pub details: InvocationDetails,
    /// The arguments.
    pub payload: Payload,
}

/// `[INTERRUPT, INVOCATION.Request|id, Options|dict]`
#[derive(Clone, Debug, PartialEq)]
pub struct Interrupt {
    /// The invocation to stop.
    pub request: RequestId,
    /// How and why.
    pub options: InterruptOptions,
}

/// `[YIELD, INVOCATION.Request|id, Options|dict (, Arguments|list (, ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq)]
pub struct Yield {
    /// The invocation answered.
    pub request: RequestId,
    /// About the result.
    pub options: YieldOptions,
    /// The result.
    pub payload: Payload,
}
