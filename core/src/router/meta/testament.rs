//! `wamp.session.add_testament` and `flush_testaments` (spec: "Session Testament").

use super::arguments::{Arguments, invalid};
use super::{Answer, Caller, Effect, Refusal};
use crate::codec::publish_options;
use crate::message::{Features, PassThru, Payload, PublishOptions};
use crate::router::Router;
use crate::router::audience;
use crate::router::permission::{Action, Decision};
use crate::router::realm::Role;
use crate::router::session::Session;
use crate::router::testament::{Scope, Testament};
use crate::uri::{MatchPolicy, Uri, error};
use crate::value::{Dict, Value};

impl Router {
    pub(super) fn session_add_testament(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let topic: String = args.required("topic")?;
        let positional: Vec<Value> = args.optional("args")?.unwrap_or_default();
        let keywords: Dict = args.optional("kwargs")?.unwrap_or_default();
        let options: Dict = args.keyword("publish_options")?.unwrap_or_default();
        let scope = scope(&mut args)?;
        args.finish()?;
        let options = publish_options(&options).map_err(|why| invalid(format!("publish_options: {why}")))?;
        let session = self.session(caller.key).ok_or((error::NO_SUCH_SESSION, String::new()))?;
        let topic = Uri::from(topic);
        let decision = self.may_leave(caller, session, &topic, &options)?;
        let publisher = self.disclosure(session, decision, options.disclose_me)?;
        let payload = Payload::from_values(positional, keywords);
        let mut testament = Testament { topic, payload, options, publisher };
        if let Some(audience) = &mut testament.options.audience {
            audience::sort(audience);
        }
        self.check_testament(session, &testament).map_err(|text| (error::RESOURCE_LIMIT, text))?;
        Ok(Answer::effect(Effect::AddTestament { session: caller.key, scope, testament: Box::new(testament) }))
    }

    pub(super) fn session_flush_testaments(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let scope = scope(&mut args)?;
        args.finish()?;
        Ok(Answer::effect(Effect::FlushTestaments { session: caller.key, scope }))
    }

    /// Whether the session may publish this, now and so also later.
    fn may_leave(
        &self,
        caller: Caller,
        session: &Session,
        topic: &Uri,
        options: &PublishOptions,
    ) -> Result<Decision, Refusal> {
        self.check_target(caller.key, Action::Publish, topic, MatchPolicy::Exact)?;
        let pass_thru = options.pass_thru.as_deref();
        if pass_thru.is_some_and(|pass_thru| pass_thru.enc_algo.is_some()) {
            return Err(invalid("a testament's payload is args and kwargs: enc_algo is not possible".to_owned()));
        }
        let announced = session.roles.publisher.unwrap_or_default();
        if pass_thru.is_some_and(PassThru::is_passthru) && !announced.contains(Features::PAYLOAD_PASSTHRU_MODE) {
            let text = "payload_passthru_mode was not announced for the role publisher".to_owned();
            return Err((error::FEATURE_NOT_SUPPORTED, text));
        }
        if session.role == Role::Trusted {
            return Ok(Decision { allow: true, disclose: true });
        }
        let Some(permissions) = self.realms.get(caller.realm).permissions(session.role) else {
            let text = "whether the session may publish can not be asked about in advance".to_owned();
            return Err((error::NOT_AUTHORIZED, text));
        };
        let decision = permissions.decide(Action::Publish, topic.as_str(), MatchPolicy::Exact);
        if !decision.allow {
            return Err((error::NOT_AUTHORIZED, self.denial(caller.key, Action::Publish, topic)));
        }
        Ok(decision)
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
