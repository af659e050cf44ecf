//! What an application may send that is not arguments (spec: "Payload Passthru Mode"; Crossbar.io's payload
//! transparency).

use super::output::{AnswerError, RequestError};
use crate::message::{Features, PassThru, Payload, Shape};

/// Why a payload can not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    NotAnnounced(Features),
    Mismatch,
}

impl From<Unfit> for RequestError {
    fn from(why: Unfit) -> Self {
        match why {
            Unfit::NotAnnounced(features) => Self::FeatureNotAnnounced(features),
            Unfit::Mismatch => Self::PayloadMismatch,
        }
    }
}

impl From<Unfit> for AnswerError {
    fn from(why: Unfit) -> Self {
        match why {
            Unfit::NotAnnounced(features) => Self::FeatureNotAnnounced(features),
            Unfit::Mismatch => Self::PayloadMismatch,
        }
    }
}

/// Whether a payload with these attributes can be sent in a role for which the client announced `announced`, to a router
/// that announced `router` for its part in it.
pub(super) fn check(
    announced: Option<Features>,
    router: Option<Features>,
    pass_thru: Option<&PassThru>,
    payload: &Payload,
) -> Result<(), Unfit> {
    let opaque = payload.as_opaque().is_some();
    let named = pass_thru.is_some_and(|pass_thru| pass_thru.enc_algo.is_some());
    if opaque != named && payload.shape() != Shape::Nothing {
        return Err(Unfit::Mismatch);
    }
    let check = |needed: bool, feature: Features| {
        let both = [announced, router].iter().all(|has| has.is_some_and(|has| has.contains(feature)));
        if needed && !both { Err(Unfit::NotAnnounced(feature)) } else { Ok(()) }
    };
    check(pass_thru.is_some_and(PassThru::is_passthru), Features::PAYLOAD_PASSTHRU_MODE)?;
    check(opaque, Features::PAYLOAD_TRANSPARENCY)
}
