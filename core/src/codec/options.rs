//! The dictionaries of the messages: what is read, and written, under which key.

use super::TranscodeError;
use super::decode::Head;
use super::error::DecodeError;
use super::reader::Reader;
use super::transcode::write_raw_dict;
use super::writer::{Mark, Writer};
use crate::id::SessionId;
use crate::message::*;
use crate::uri::{MatchPolicy, Uri};
use crate::value::{Dict, Value};
use std::sync::Arc;

const MATCH_POLICIES: [MatchPolicy; 3] = [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard];
/// The `runmode` of calls to one of the shards of a registration.
const PARTITION: &str = "partition";
const CANCEL_MODES: [CancelMode; 3] = [CancelMode::Skip, CancelMode::Kill, CancelMode::KillNoWait];
const INVOCATION_POLICIES: [InvocationPolicy; 5] = [
    InvocationPolicy::Single,
    InvocationPolicy::RoundRobin,
    InvocationPolicy::Random,
    InvocationPolicy::First,
    InvocationPolicy::Last,
];

// ---- reading ---------------------------------------------------------------------------------------------------

pub(super) fn hello_details<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<HelloDetails, DecodeError> {
    let mut details = HelloDetails::default();
    head.options("Details", |head, key| {
        match key {
            "roles" => drop(head.nested(key, |head, role| {
                let announced = &mut details.roles;
                match role {
                    "publisher" => announced.publisher = features(head, role)?,
                    "subscriber" => announced.subscriber = features(head, role)?,
                    "caller" => announced.caller = features(head, role)?,
                    "callee" => announced.callee = features(head, role)?,
                    _ => head.ignored()?,
                }
                Ok(())
            })?),
            "authmethods" => details.authmethods = head.strings(key)?.unwrap_or_default(),
            "authid" => details.authid = head.string(key)?,
            "authrole" => details.authrole = head.string(key)?,
            "authextra" => details.authextra = head.raw_dict_option(key)?,
            "agent" => details.agent = head.string(key)?,
            _ => head.ignored()?,
        }
        Ok(())
    })?;
    Ok(details)
}

pub(super) fn welcome_details<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<WelcomeDetails, DecodeError> {
    let mut details = WelcomeDetails::default();
    head.options("Details", |head, key| {
        match key {
            "realm" => details.realm = head.uri_option(key)?,
            "authid" => details.authid = head.string(key)?,
            "authrole" => details.authrole = head.string(key)?,
            "authmethod" => details.authmethod = head.string(key)?,
            "authprovider" => details.authprovider = head.string(key)?,
            "authextra" => details.authextra = head.dict_option(key)?,
            "agent" => details.agent = head.string(key)?,
            "roles" => drop(head.nested(key, |head, role| {
                match role {
                    "broker" => details.roles.broker = features(head, role)?,
                    "dealer" => details.roles.dealer = features(head, role)?,
                    _ => head.ignored()?,
                }
                Ok(())
            })?),
            _ => head.ignored()?,
        }
        Ok(())
    })?;
    Ok(details)
}

/// What follows a role's name: a dictionary with its features.
fn features<'a, R: Reader<'a>>(head: &mut Head<R>, role: &str) -> Result<Option<Features>, DecodeError> {
    let mut features = Features::NONE;
    let announced = head.nested(role, |head, key| {
        if key != "features" {
            return head.ignored();
        }
        head.nested(key, |head, name| {
            // What is not true or false is no feature that this side knows.
            if head.is_true()? {
                features |= Features::from_name(name).unwrap_or(Features::NONE);
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(announced.then_some(features))
}

/// The attributes of ERROR for its payload, and what an application says beyond.
type ErrorDetails = (Option<Box<PassThru>>, RawDict);

pub(super) fn error_details<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<ErrorDetails, DecodeError> {
    let mut pass_thru = None;
    let mut details = Dict::new();
    head.options("Details", |head, key| match key {
        // Who the callee is and which routers the error came by is not the callee's to say.
        "callee" | "callee_authid" | "callee_authrole" | "forward_for" => head.ignored(),
        _ if pass_thru_field(key).is_some() => other(head, key, &mut pass_thru),
        _ => {
            let value = head.kept(key, details.is_empty())?;
            details.insert(key.to_owned(), value);
            Ok(())
        }
    })?;
    Ok((pass_thru, details.into()))
}

pub(super) fn publish_options<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<PublishOptions, DecodeError> {
    let mut options = PublishOptions::default();
    head.options("Options", |head, key| {
        match key {
            "acknowledge" => options.acknowledge = head.flag(key)?.unwrap_or_default(),
            "exclude_me" => options.exclude_me = head.flag(key)?,
            "disclose_me" => options.disclose_me = head.flag(key)?.unwrap_or_default(),
            "retain" => options.retain = head.flag(key)?.unwrap_or_default(),
            "rkey" => options.rkey = head.string(key)?,
            "exclude" | "exclude_authid" | "exclude_authrole" | "eligible" | "eligible_authid"
            | "eligible_authrole" => {
                audience(head, key, &mut options.audience)?;
            }
            _ => other(head, key, &mut options.pass_thru)?,
        }
        Ok(())
    })?;
    Ok(options)
}

/// One of the keys of [`Audience`]. An empty black list is as good as none.
fn audience<'a, R: Reader<'a>>(
    head: &mut Head<R>,
    key: &str,
    audience: &mut Option<Box<Audience>>,
) -> Result<(), DecodeError> {
    let mut read = audience.take().unwrap_or_default();
    match key {
        "exclude" => read.exclude = head.ids(key, SessionId::new)?.unwrap_or_default(),
        "exclude_authid" => read.exclude_authid = head.strings(key)?.unwrap_or_default(),
        "exclude_authrole" => read.exclude_authrole = head.strings(key)?.unwrap_or_default(),
        "eligible" => read.eligible = head.ids(key, SessionId::new)?,
        "eligible_authid" => read.eligible_authid = head.strings(key)?,
        _ => read.eligible_authrole = head.strings(key)?,
    }
    *audience = Some(read).filter(|read| **read != Audience::default());
    Ok(())
}

pub(super) fn subscribe_options<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<SubscribeOptions, DecodeError> {
    let mut options = SubscribeOptions::default();
    head.options("Options", |head, key| {
        match key {
            "match" => options.matching = matching(head, key)?,
            "get_retained" => options.get_retained = head.flag(key)?.unwrap_or_default(),
            "nkey" => options.nkey = head.string(key)?,
            _ => head.ignored()?,
        }
        Ok(())
    })?;
    Ok(options)
}

fn matching<'a, R: Reader<'a>>(head: &mut Head<R>, key: &str) -> Result<MatchPolicy, DecodeError> {
    Ok(head.named(key, &MATCH_POLICIES, MatchPolicy::as_str)?.unwrap_or_default())
}

pub(super) fn revocation<'a, R: Reader<'a>, Id>(
    head: &mut Head<R>,
    id_key: &str,
    new: fn(u64) -> Option<Id>,
) -> Result<Option<Box<Revocation<Id>>>, DecodeError> {
    let (mut id, mut reason) = (None, None);
    head.trailing_options("Details", |head, key| {
        match key {
            "reason" => reason = head.uri_option(key)?,
            _ if key == id_key => id = head.id_option(key, new)?,
            _ => head.ignored()?,
        }
        Ok(())
    })?;
    Ok(id.map(|id| Box::new(Revocation { id, reason })))
}

pub(super) fn event_details<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<EventDetails, DecodeError> {
    let mut details = EventDetails::default();
    let mut publisher = Identity::default();
    head.options("Details", |head, key| {
        match key {
            "publisher" => publisher.session = head.id_option(key, SessionId::new)?,
            "publisher_authid" => publisher.authid = head.string(key)?,
            "publisher_authrole" => publisher.authrole = head.string(key)?,
            "topic" => details.topic = head.uri_option(key)?,
            "trustlevel" => details.trustlevel = head.number(key)?,
            "retained" => details.retained = head.flag(key)?.unwrap_or_default(),
            _ => other(head, key, &mut details.pass_thru)?,
        }
        Ok(())
    })?;
    details.publisher = publisher.disclosed();
    Ok(details)
}

pub(super) fn call_options<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<CallOptions, DecodeError> {
    let mut options = CallOptions::default();
    head.options("Options", |head, key| {
        match key {
            "receive_progress" => options.receive_progress = head.flag(key)?.unwrap_or_default(),
            "progress" => options.progress = head.flag(key)?.unwrap_or_default(),
            "timeout" => options.timeout = head.number(key)?,
            "disclose_me" => options.disclose_me = head.flag(key)?.unwrap_or_default(),
            "rkey" => options.rkey = head.string(key)?,
            "runmode" => options.partition = head.string(key)?.as_deref() == Some(PARTITION),
            _ => other(head, key, &mut options.pass_thru)?,
        }
        Ok(())
    })?;
    Ok(options)
}

pub(super) fn cancel_options<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<CancelOptions, DecodeError> {
    let mut options = CancelOptions::default();
    head.options("Options", |head, key| {
        match key {
            "mode" => options.mode = head.named(key, &CANCEL_MODES, CancelMode::as_str)?,
            _ => head.ignored()?,
        }
        Ok(())
    })?;
    Ok(options)
}

pub(super) fn result_details<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<ResultDetails, DecodeError> {
    let mut details = ResultDetails::default();
    let mut callee = Identity::default();
    head.options("Details", |head, key| {
        match key {
            "progress" => details.progress = head.flag(key)?.unwrap_or_default(),
            "callee" => callee.session = head.id_option(key, SessionId::new)?,
            "callee_authid" => callee.authid = head.string(key)?,
            "callee_authrole" => callee.authrole = head.string(key)?,
            _ => other(head, key, &mut details.pass_thru)?,
        }
        Ok(())
    })?;
    details.callee = callee.disclosed();
    Ok(details)
}

pub(super) fn register_options<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<RegisterOptions, DecodeError> {
    let mut options = RegisterOptions::default();
    head.options("Options", |head, key| {
        match key {
            "match" => options.matching = matching(head, key)?,
            "invoke" => {
                options.invoke = head.named(key, &INVOCATION_POLICIES, InvocationPolicy::as_str)?.unwrap_or_default();
            }
            "concurrency" => options.concurrency = head.count(key)?,
            "force_reregister" => options.force_reregister = head.flag(key)?.unwrap_or_default(),
            "disclose_caller" => options.disclose_caller = head.flag(key)?,
            "forward_timeout" => options.forward_timeout = head.flag(key)?.unwrap_or_default(),
            "nkey" => options.nkey = head.string(key)?,
            _ => head.ignored()?,
        }
        Ok(())
    })?;
    Ok(options)
}

pub(super) fn invocation_details<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<InvocationDetails, DecodeError> {
    let mut details = InvocationDetails::default();
    let mut caller = Identity::default();
    head.options("Details", |head, key| {
        match key {
            "caller" => caller.session = head.id_option(key, SessionId::new)?,
            "caller_authid" => caller.authid = head.string(key)?,
            "caller_authrole" => caller.authrole = head.string(key)?,
            "procedure" => details.procedure = head.uri_option(key)?,
            "trustlevel" => details.trustlevel = head.number(key)?,
            "timeout" => details.timeout = head.number(key)?,
            "receive_progress" => details.receive_progress = head.flag(key)?.unwrap_or_default(),
            "progress" => details.progress = head.flag(key)?.unwrap_or_default(),
            _ => other(head, key, &mut details.pass_thru)?,
        }
        Ok(())
    })?;
    details.caller = caller.disclosed();
    Ok(details)
}

pub(super) fn interrupt_options<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<InterruptOptions, DecodeError> {
    let mut options = InterruptOptions::default();
    head.options("Options", |head, key| {
        match key {
            "mode" => options.mode = head.named(key, &CANCEL_MODES, CancelMode::as_str)?,
            "reason" => options.reason = head.uri_option(key)?,
            _ => head.ignored()?,
        }
        Ok(())
    })?;
    Ok(options)
}

pub(super) fn yield_options<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<YieldOptions, DecodeError> {
    let mut options = YieldOptions::default();
    head.options("Options", |head, key| {
        match key {
            "progress" => options.progress = head.flag(key)?.unwrap_or_default(),
            _ => other(head, key, &mut options.pass_thru)?,
        }
        Ok(())
    })?;
    Ok(options)
}

/// The field of [`PassThru`] with this key.
fn pass_thru_field(key: &str) -> Option<fn(&mut PassThru) -> &mut Option<String>> {
    Some(match key {
        "ppt_scheme" => |read| &mut read.ppt_scheme,
        "ppt_serializer" => |read| &mut read.ppt_serializer,
        "ppt_cipher" => |read| &mut read.ppt_cipher,
        "ppt_keyid" => |read| &mut read.ppt_keyid,
        "enc_algo" => |read| &mut read.enc_algo,
        "enc_key" => |read| &mut read.enc_key,
        "enc_serializer" => |read| &mut read.enc_serializer,
        _ => return None,
    })
}

/// One of the keys of [`PassThru`], or one that is not known.
fn other<'a, R: Reader<'a>>(
    head: &mut Head<R>,
    key: &str,
    pass_thru: &mut Option<Box<PassThru>>,
) -> Result<(), DecodeError> {
    let Some(field) = pass_thru_field(key) else { return head.ignored() };
    let text = head.string(key)?;
    if let Some(name) = text.as_deref().filter(|name| !PassThru::takes(key, name)) {
        return Err(head.unknown_name(key, name));
    }
    let mut read = pass_thru.take().unwrap_or_default();
    *field(&mut read) = text;
    *pass_thru = Some(read).filter(|read| **read != PassThru::default());
    Ok(())
}

/// Parts of [`Disclosed`], which come under three keys.
#[derive(Default)]
struct Identity {
    session: Option<SessionId>,
    authid: Option<String>,
    authrole: Option<String>,
}

impl Identity {
    fn disclosed(self) -> Option<Arc<Disclosed>> {
        let Self { session, authid, authrole } = self;
        session.map(|session| Arc::new(Disclosed { session, authid, authrole }))
    }
}

// ---- writing ---------------------------------------------------------------------------------------------------

/// A dictionary that is being written. What has its default value is left out.
pub(super) struct Entries<'w, W> {
    writer: &'w mut W,
    mark: Mark,
    count: usize,
}

impl<'w, W: Writer> Entries<'w, W> {
    pub(super) fn new(writer: &'w mut W) -> Self {
        let mark = writer.open_dict();
        Self { writer, mark, count: 0 }
    }

    pub(super) fn close(self) -> Result<(), TranscodeError> {
        self.writer.close_dict(self.mark, self.count)
    }

    fn key(&mut self, key: &str) -> Result<&mut W, TranscodeError> {
        self.count += 1;
        self.writer.key(key)?;
        Ok(self.writer)
    }

    fn set(&mut self, key: &str, flag: bool) -> Result<(), TranscodeError> {
        self.flag(key, flag.then_some(true))
    }

    fn flag(&mut self, key: &str, flag: Option<bool>) -> Result<(), TranscodeError> {
        if let Some(flag) = flag {
            self.key(key)?.bool(flag);
        }
        Ok(())
    }

    fn number(&mut self, key: &str, number: Option<u64>) -> Result<(), TranscodeError> {
        if let Some(number) = number {
            self.key(key)?.uint(number);
        }
        Ok(())
    }

    fn string(&mut self, key: &str, text: Option<&str>) -> Result<(), TranscodeError> {
        match text {
            Some(text) => self.key(key)?.text(text),
            None => Ok(()),
        }
    }

    fn uri(&mut self, key: &str, uri: Option<&Uri>) -> Result<(), TranscodeError> {
        self.string(key, uri.map(Uri::as_str))
    }

    fn dict(&mut self, key: &str, dict: Option<&Dict>) -> Result<(), TranscodeError> {
        match dict {
            Some(dict) => self.key(key)?.dict(dict),
            None => Ok(()),
        }
    }

    fn value(&mut self, key: &str, value: &Value) -> Result<(), TranscodeError> {
        self.key(key)?.value(value)
    }

    fn raw_dict(&mut self, key: &str, dict: Option<&RawDict>) -> Result<(), TranscodeError> {
        match dict {
            Some(dict) => write_raw_dict(dict, self.key(key)?),
            None => Ok(()),
        }
    }

    fn strings(&mut self, key: &str, strings: Option<&[String]>) -> Result<(), TranscodeError> {
        let Some(strings) = strings else { return Ok(()) };
        let writer = self.key(key)?;
        let mark = writer.open_list();
        for text in strings {
            writer.text(text)?;
        }
        writer.close_list(mark, strings.len())
    }

    fn ids(&mut self, key: &str, ids: Option<&[SessionId]>) -> Result<(), TranscodeError> {
        let Some(ids) = ids else { return Ok(()) };
        let writer = self.key(key)?;
        let mark = writer.open_list();
        for id in ids {
            writer.uint(id.get());
        }
        writer.close_list(mark, ids.len())
    }

    fn disclosed(&mut self, keys: [&str; 3], disclosed: Option<&Disclosed>) -> Result<(), TranscodeError> {
        let Some(disclosed) = disclosed else { return Ok(()) };
        let [session, authid, authrole] = keys;
        self.number(session, Some(disclosed.session.get()))?;
        self.string(authid, disclosed.authid.as_deref())?;
        self.string(authrole, disclosed.authrole.as_deref())
    }

    fn pass_thru(&mut self, pass_thru: Option<&PassThru>) -> Result<(), TranscodeError> {
        let Some(pass_thru) = pass_thru else { return Ok(()) };
        pass_thru.entries().into_iter().try_for_each(|(key, text)| self.string(key, text))
    }

    fn roles(&mut self, roles: &[(&str, Option<Features>)]) -> Result<(), TranscodeError> {
        let mut written = Entries::new(self.key("roles")?);
        for (name, features) in roles {
            let Some(features) = features else { continue };
            let mut role = Entries::new(written.key(name)?);
            if *features != Features::NONE {
                let mut announced = Entries::new(role.key("features")?);
                for name in features.names() {
                    announced.set(name, true)?;
                }
                announced.close()?;
            }
            role.close()?;
        }
        written.close()
    }
}

/// The options or details of a message, as entries of a dictionary.
pub(super) trait WriteOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError>;
}

impl WriteOptions for HelloDetails {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        let ClientRoles { publisher, subscriber, caller, callee } = self.roles;
        entries.roles(&[
            ("publisher", publisher),
            ("subscriber", subscriber),
            ("caller", caller),
            ("callee", callee),
        ])?;
        entries.strings("authmethods", Some(&*self.authmethods).filter(|methods| !methods.is_empty()))?;
        entries.string("authid", self.authid.as_deref())?;
        entries.string("authrole", self.authrole.as_deref())?;
        entries.raw_dict("authextra", self.authextra.as_ref())?;
        entries.string("agent", self.agent.as_deref())
    }
}

impl WriteOptions for WelcomeDetails {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.uri("realm", self.realm.as_ref())?;
        entries.string("authid", self.authid.as_deref())?;
        entries.string("authrole", self.authrole.as_deref())?;
        entries.string("authmethod", self.authmethod.as_deref())?;
        entries.string("authprovider", self.authprovider.as_deref())?;
        entries.dict("authextra", self.authextra.as_ref())?;
        entries.string("agent", self.agent.as_deref())?;
        entries.roles(&[("broker", self.roles.broker), ("dealer", self.roles.dealer)])
    }
}

impl WriteOptions for Error {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.pass_thru(self.pass_thru.as_deref())?;
        if self.details.is_empty() {
            return Ok(());
        }
        self.details.to_dict().iter().try_for_each(|(key, value)| entries.value(key, value))
    }
}

impl WriteOptions for PublishOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.set("acknowledge", self.acknowledge)?;
        entries.flag("exclude_me", self.exclude_me)?;
        entries.set("disclose_me", self.disclose_me)?;
        entries.set("retain", self.retain)?;
        if let Some(audience) = &self.audience {
            entries.ids("exclude", Some(&*audience.exclude).filter(|ids| !ids.is_empty()))?;
            entries.strings("exclude_authid", Some(&*audience.exclude_authid).filter(|ids| !ids.is_empty()))?;
            entries.strings("exclude_authrole", Some(&*audience.exclude_authrole).filter(|roles| !roles.is_empty()))?;
            entries.ids("eligible", audience.eligible.as_deref())?;
            entries.strings("eligible_authid", audience.eligible_authid.as_deref())?;
            entries.strings("eligible_authrole", audience.eligible_authrole.as_deref())?;
        }
        entries.string("rkey", self.rkey.as_deref())?;
        entries.pass_thru(self.pass_thru.as_deref())
    }
}

impl WriteOptions for SubscribeOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.string("match", Some(self.matching.as_str()).filter(|_| self.matching != MatchPolicy::Exact))?;
        entries.set("get_retained", self.get_retained)?;
        entries.string("nkey", self.nkey.as_deref())
    }
}

impl WriteOptions for EventDetails {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        let keys = ["publisher", "publisher_authid", "publisher_authrole"];
        entries.disclosed(keys, self.publisher.as_deref())?;
        entries.uri("topic", self.topic.as_ref())?;
        entries.number("trustlevel", self.trustlevel)?;
        entries.set("retained", self.retained)?;
        entries.pass_thru(self.pass_thru.as_deref())
    }
}

impl WriteOptions for CallOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.set("receive_progress", self.receive_progress)?;
        entries.set("progress", self.progress)?;
        entries.number("timeout", self.timeout)?;
        entries.set("disclose_me", self.disclose_me)?;
        entries.string("rkey", self.rkey.as_deref())?;
        entries.string("runmode", Some(PARTITION).filter(|_| self.partition))?;
        entries.pass_thru(self.pass_thru.as_deref())
    }
}

impl WriteOptions for CancelOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.string("mode", self.mode.map(CancelMode::as_str))
    }
}

impl WriteOptions for ResultDetails {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.set("progress", self.progress)?;
        entries.disclosed(["callee", "callee_authid", "callee_authrole"], self.callee.as_deref())?;
        entries.pass_thru(self.pass_thru.as_deref())
    }
}

impl WriteOptions for RegisterOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.string("match", Some(self.matching.as_str()).filter(|_| self.matching != MatchPolicy::Exact))?;
        entries.string("invoke", Some(self.invoke.as_str()).filter(|_| self.invoke != InvocationPolicy::Single))?;
        entries.number("concurrency", self.concurrency.map(u64::from))?;
        entries.set("force_reregister", self.force_reregister)?;
        entries.flag("disclose_caller", self.disclose_caller)?;
        entries.set("forward_timeout", self.forward_timeout)?;
        entries.string("nkey", self.nkey.as_deref())
    }
}

impl WriteOptions for InvocationDetails {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.disclosed(["caller", "caller_authid", "caller_authrole"], self.caller.as_deref())?;
        entries.uri("procedure", self.procedure.as_ref())?;
        entries.number("trustlevel", self.trustlevel)?;
        entries.number("timeout", self.timeout)?;
        entries.set("receive_progress", self.receive_progress)?;
        entries.set("progress", self.progress)?;
        entries.pass_thru(self.pass_thru.as_deref())
    }
}

impl WriteOptions for InterruptOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.string("mode", self.mode.map(CancelMode::as_str))?;
        entries.uri("reason", self.reason.as_ref())
    }
}

impl WriteOptions for YieldOptions {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.set("progress", self.progress)?;
        entries.pass_thru(self.pass_thru.as_deref())
    }
}

/// The details of a revocation, with the key of its id.
pub(super) struct Revoked<'a>(pub(super) &'static str, pub(super) u64, pub(super) Option<&'a Uri>);

impl WriteOptions for Revoked<'_> {
    fn write<W: Writer>(&self, entries: &mut Entries<'_, W>) -> Result<(), TranscodeError> {
        entries.number(self.0, Some(self.1))?;
        entries.uri("reason", self.2)
    }
}
