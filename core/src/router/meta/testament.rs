//! `wamp.session.add_testament` and `flush_testaments` (spec: "Session Testament").

use super::arguments::{Arguments, invalid};
use super::{Answer, Caller, Effect, Procedure, Refusal};
use crate::codec::publish_options;
use crate::message::{Call, Features, PassThru, Payload, Publish, PublishOptions};
use crate::router::permission::Action;
use crate::router::testament::{Scope, Testament};
use crate::router::{PeerKey, Router, audience, passthru};
use crate::uri::{MatchPolicy, Uri, error};
use crate::value::Dict;

/// What a testament is made of.
struct Left {
    topic: Uri,
    options: PublishOptions,
    payload: Payload,
    scope: Scope,
}

impl Router {
    pub(super) fn session_add_testament(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let Left { topic, options, payload, scope } = self.read_testament(caller.key, args)?;
        let session = self.session(caller.key).ok_or((error::NO_SUCH_SESSION, String::new()))?;
        if !caller.publication.allow {
            return Err((error::NOT_AUTHORIZED, self.denial(caller.key, Action::Publish, &topic)));
        }
        let publisher = self.disclosure(session, caller.publication, options.disclose_me)?;
        let testament = Testament { topic, payload, options, publisher };
        self.check_testament(session, &testament).map_err(|text| (error::RESOURCE_LIMIT, text))?;
        Ok(Answer::effect(Effect::AddTestament { session: caller.key, scope, testament: Box::new(testament) }))
    }

    pub(super) fn session_flush_testaments(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let scope = scope(&mut args)?;
        args.finish()?;
        Ok(Answer::effect(Effect::FlushTestaments { session: caller.key, scope }))
    }

    /// The publication that a call leaves with the router, but for its payload: `None` if it leaves none, or one that
    /// will be refused whatever the session may do. Whether the session may publish it is to be decided now.
    pub(crate) fn testament_of(&self, key: PeerKey, call: &Call) -> Option<Publish> {
        if Procedure::from_uri(call.procedure.as_str()) != Some(Procedure::SessionAddTestament) {
            return None;
        }
        let Left { topic, options, .. } = self.read_testament(key, self.arguments(call).ok()?).ok()?;
        Some(Publish { request: call.request, options, topic, payload: Payload::empty() })
    }

    fn arguments(&self, call: &Call) -> Result<Arguments, Refusal> {
        Arguments::of(&call.payload, self.config.limits.max_meta_items)
    }

    fn read_testament(&self, key: PeerKey, mut args: Arguments) -> Result<Left, Refusal> {
        let topic: String = args.required("topic")?;
        // They travel as they came.
        let payload = args.payload("args", "kwargs")?;
        let options: Dict = args.keyword("publish_options")?.unwrap_or_default();
        let scope = scope(&mut args)?;
        args.finish()?;
        let mut options = publish_options(&options).map_err(|why| invalid(format!("publish_options: {why}")))?;
        self.check_audience(&options).map_err(|text| (error::RESOURCE_LIMIT, text))?;
        if let Some(audience) = &mut options.audience {
            audience::sort(audience);
        }
        let pass_thru = options.pass_thru.as_deref();
        if pass_thru.is_some_and(PassThru::is_transparent) {
            let text =
                "a testament's payload is args and kwargs: enc_algo, enc_key and enc_serializer are not possible";
            return Err(invalid(text.to_owned()));
        }
        if let Some(Err(why)) = pass_thru.map(|pass_thru| passthru::check("PUBLISH", pass_thru)) {
            return Err(invalid(format!("publish_options: {why}")));
        }
        let Some(publisher) = self.session(key).and_then(|session| session.roles.publisher) else {
            let text = "a testament needs the role publisher, which the session did not announce in HELLO".to_owned();
            return Err((error::FEATURE_NOT_SUPPORTED, text));
        };
        if pass_thru.is_some_and(PassThru::is_passthru) && !publisher.contains(Features::PAYLOAD_PASSTHRU_MODE) {
            let text = "payload_passthru_mode was not announced for the role publisher".to_owned();
            return Err((error::FEATURE_NOT_SUPPORTED, text));
        }
        let topic = Uri::from(topic);
        self.check_target(key, Action::Publish, &topic, MatchPolicy::Exact)?;
        Ok(Left { topic, options, payload, scope })
    }
}

fn scope(args: &mut Arguments) -> Result<Scope, Refusal> {
    let scope: Option<String> = args.keyword("scope")?;
    match scope.as_deref() {
        None | Some("destroyed") => Ok(Scope::Destroyed),
        Some("detached") => Ok(Scope::Detached),
        Some(_) => Err(invalid("scope must be \"detached\" or \"destroyed\"".to_owned())),
    }
}
