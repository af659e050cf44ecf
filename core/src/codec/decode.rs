use super::budget::Budget;
use super::cbor::CborReader;
use super::error::{DecodeError, Problem};
use super::json::{JsonReader, replace_surrogates};
use super::msgpack::MsgPackReader;
use super::options;
use super::reader::{Binary, Open, Reader, Text, Token};
use super::{Format, TranscodeError, raw_dict_entries};
use crate::id::{MAX_ID, RequestId};
use crate::message::*;
use crate::uri::Uri;
use crate::value::{Dict, Value};
use bytes::Bytes;
use bytestring::ByteString;

/// The largest useful [`DecodeLimits::max_depth`]: decoding recurses as deep as the lists and dictionaries nest.
pub const MAX_DEPTH: u8 = 128;

/// Limits on what a peer may send. The size of a frame is the transport's to limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// How deep lists and dictionaries may nest; the message itself is 1. Default 64, at most [`MAX_DEPTH`]; a larger
    /// number counts as that.
    pub max_depth: u8,
    /// The longest URI, in bytes. Default 1,024.
    pub max_uri: u16,
    /// How many values one message may hold that are decoded: those of its details and extras, at any depth, and what
    /// its options list. Arguments and unknown options do not count. Default 16,384.
    pub max_items: u32,
    /// Memory that the decoded values of one message may take, in bytes, with the texts of its options. It is counted
    /// before anything is decoded, as the most that the values can take. Default 1 MiB.
    pub max_weight: u32,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_depth: 64, max_uri: 1024, max_items: 16_384, max_weight: 1 << 20 }
    }
}

/// Reads the one message in a frame. URIs and payload share the frame's memory.
///
/// In JSON, halves of surrogate pairs that stand alone are read as U+FFFD: browsers write them for text that was cut
/// inside a character.
///
/// # Errors
/// What is wrong with the frame; the peer that sent it broke the protocol.
pub fn decode(format: Format, frame: Bytes, limits: &DecodeLimits) -> Result<Message, DecodeError> {
    decode_mending(format, frame, limits, &mut false)
}

/// As [`decode`]; sets `mended` if surrogates were replaced by U+FFFD.
///
/// # Errors
/// As [`decode`].
pub fn decode_mending(
    format: Format,
    frame: Bytes,
    limits: &DecodeLimits,
    mended: &mut bool,
) -> Result<Message, DecodeError> {
    match format {
        Format::Json => {
            let text = JsonReader::check(frame)?;
            message(JsonReader::new(&text), limits, |error| mend(error, &text, limits, mended))
        }
        Format::Cbor => message(CborReader::new(&frame), limits, Err),
        Format::MsgPack => message(MsgPackReader::new(&frame), limits, Err),
    }
}

/// Reads a message again in which there is half a surrogate pair.
#[cold]
fn mend(
    error: DecodeError,
    text: &ByteString,
    limits: &DecodeLimits,
    mended: &mut bool,
) -> Result<Message, DecodeError> {
    if !matches!(error, DecodeError::Malformed { problem: Problem::LoneSurrogate, .. }) {
        return Err(error);
    }
    *mended = true;
    message(JsonReader::new(&replace_surrogates(text)), limits, Err)
}

/// Reads a message; in the place of an error comes what `mend` makes of it, so that a message need not be looked at, and
/// copied, once more.
fn message<'a, R: Reader<'a>>(
    reader: R,
    limits: &DecodeLimits,
    mend: impl FnOnce(DecodeError) -> Result<Message, DecodeError>,
) -> Result<Message, DecodeError> {
    let (code, mut head) = match Head::begin(reader, limits) {
        Ok(begun) => begun,
        Err(error) => return mend(error),
    };
    let head = &mut head;
    match code {
        1 => whole(head, hello, mend),
        2 => whole(head, welcome, mend),
        3 => whole(head, abort, mend),
        4 => whole(head, challenge, mend),
        5 => whole(head, authenticate, mend),
        6 => whole(head, goodbye, mend),
        8 => whole(head, error, mend),
        16 => whole(head, publish, mend),
        17 => whole(head, published, mend),
        32 => whole(head, subscribe, mend),
        33 => whole(head, subscribed, mend),
        34 => whole(head, unsubscribe, mend),
        35 => whole(head, unsubscribed, mend),
        36 => whole(head, event, mend),
        337 => whole(head, event_received, mend),
        48 => whole(head, call, mend),
        49 => whole(head, cancel, mend),
        50 => whole(head, result, mend),
        64 => whole(head, register, mend),
        65 => whole(head, registered, mend),
        66 => whole(head, unregister, mend),
        67 => whole(head, unregistered, mend),
        68 => whole(head, invocation, mend),
        69 => whole(head, interrupt, mend),
        70 => whole(head, yield_, mend),
        code => mend(DecodeError::UnknownMessage { code }),
    }
}

/// Reads the elements of a message after its code, behind which it ends.
#[inline]
fn whole<'a, R: Reader<'a>, M: Into<Message>>(
    head: &mut Head<R>,
    elements: impl FnOnce(&mut Head<R>) -> Result<M, DecodeError>,
    mend: impl FnOnce(DecodeError) -> Result<Message, DecodeError>,
) -> Result<Message, DecodeError> {
    let message = match elements(head) {
        Ok(message) => message,
        Err(error) => return mend(error),
    };
    match head.end() {
        Ok(()) => Ok(message.into()),
        Err(error) => mend(error),
    }
}

fn hello<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Hello, DecodeError> {
    head.message = "HELLO";
    Ok(Hello { realm: head.uri_or_null("Realm")?, details: options::hello_details(head)? })
}

fn welcome<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Welcome, DecodeError> {
    head.message = "WELCOME";
    Ok(Welcome { session: head.id("Session", crate::id::SessionId::new)?, details: options::welcome_details(head)? })
}

fn abort<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Abort, DecodeError> {
    head.message = "ABORT";
    Ok(Abort { details: head.raw_dict("Details")?, reason: head.uri("Reason")?, payload: head.payload(None)? })
}

fn challenge<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<ChallengeMessage, DecodeError> {
    head.message = "CHALLENGE";
    Ok(ChallengeMessage { method: head.text("AuthMethod")?, extra: head.values("Extra")? })
}

fn authenticate<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Authenticate, DecodeError> {
    head.message = "AUTHENTICATE";
    Ok(Authenticate { signature: head.text("Signature")?, extra: head.raw_dict("Extra")? })
}

fn goodbye<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Goodbye, DecodeError> {
    head.message = "GOODBYE";
    Ok(Goodbye { details: head.raw_dict("Details")?, reason: head.uri("Reason")? })
}

fn error<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Error, DecodeError> {
    head.message = "ERROR";
    let expected = "the type of a request";
    let request_type = head.unsigned("REQUEST.Type", expected)?;
    let request_type = RequestType::from_code(request_type).ok_or_else(|| head.wrong("REQUEST.Type", expected))?;
    let request = head.request("REQUEST.Request")?;
    let (pass_thru, details) = options::error_details(head)?;
    let error = head.uri("Error")?;
    let payload = head.payload(pass_thru.as_deref())?;
    Ok(Error { request_type, request, pass_thru, details, error, payload })
}

fn publish<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Publish, DecodeError> {
    head.message = "PUBLISH";
    let request = head.request("Request")?;
    let options = options::publish_options(head)?;
    let topic = head.uri("Topic")?;
    let payload = head.payload(options.pass_thru.as_deref())?;
    Ok(Publish { request, options, topic, payload })
}

fn published<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Published, DecodeError> {
    head.message = "PUBLISHED";
    Ok(Published {
        request: head.request("PUBLISH.Request")?,
        publication: head.id("Publication", crate::id::PublicationId::new)?,
    })
}

fn subscribe<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Subscribe, DecodeError> {
    head.message = "SUBSCRIBE";
    Ok(Subscribe {
        request: head.request("Request")?,
        options: options::subscribe_options(head)?,
        topic: head.uri("Topic")?,
    })
}

fn subscribed<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Subscribed, DecodeError> {
    head.message = "SUBSCRIBED";
    Ok(Subscribed {
        request: head.request("SUBSCRIBE.Request")?,
        subscription: head.id("Subscription", crate::id::SubscriptionId::new)?,
    })
}

fn unsubscribe<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Unsubscribe, DecodeError> {
    head.message = "UNSUBSCRIBE";
    Ok(Unsubscribe {
        request: head.request("Request")?,
        subscription: head.id("SUBSCRIBED.Subscription", crate::id::SubscriptionId::new)?,
    })
}

fn unsubscribed<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Unsubscribed, DecodeError> {
    head.message = "UNSUBSCRIBED";
    let request = head.request_or_zero("UNSUBSCRIBE.Request")?;
    let revocation = options::revocation(head, "subscription", crate::id::SubscriptionId::new)?;
    Ok(Unsubscribed { request, revocation: revocation.filter(|_| request.is_none()) })
}

fn event<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Event, DecodeError> {
    head.message = "EVENT";
    let subscription = head.id("SUBSCRIBED.Subscription", crate::id::SubscriptionId::new)?;
    let publication = head.id("PUBLISHED.Publication", crate::id::PublicationId::new)?;
    let details = options::event_details(head)?;
    let payload = head.payload(details.pass_thru.as_deref())?;
    Ok(Event { subscription, publication, details, payload })
}

fn event_received<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<EventReceived, DecodeError> {
    head.message = "EVENT_RECEIVED";
    Ok(EventReceived { publication: head.id("EVENT.Publication", crate::id::PublicationId::new)? })
}

fn call<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Call, DecodeError> {
    head.message = "CALL";
    let request = head.request("Request")?;
    let options = options::call_options(head)?;
    let procedure = head.uri("Procedure")?;
    let payload = head.payload(options.pass_thru.as_deref())?;
    Ok(Call { request, options, procedure, payload })
}

fn cancel<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Cancel, DecodeError> {
    head.message = "CANCEL";
    Ok(Cancel { request: head.request("CALL.Request")?, options: options::cancel_options(head)? })
}

fn result<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<CallResult, DecodeError> {
    head.message = "RESULT";
    let request = head.request("CALL.Request")?;
    let details = options::result_details(head)?;
    let payload = head.payload(details.pass_thru.as_deref())?;
    Ok(CallResult { request, details, payload })
}

fn register<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Register, DecodeError> {
    head.message = "REGISTER";
    Ok(Register {
        request: head.request("Request")?,
        options: options::register_options(head)?,
        procedure: head.uri("Procedure")?,
    })
}

fn registered<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Registered, DecodeError> {
    head.message = "REGISTERED";
    Ok(Registered {
        request: head.request("REGISTER.Request")?,
        registration: head.id("Registration", crate::id::RegistrationId::new)?,
    })
}

fn unregister<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Unregister, DecodeError> {
    head.message = "UNREGISTER";
    Ok(Unregister {
        request: head.request("Request")?,
        registration: head.id("REGISTERED.Registration", crate::id::RegistrationId::new)?,
    })
}

fn unregistered<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Unregistered, DecodeError> {
    head.message = "UNREGISTERED";
    let request = head.request_or_zero("UNREGISTER.Request")?;
    let revocation = options::revocation(head, "registration", crate::id::RegistrationId::new)?;
    Ok(Unregistered { request, revocation: revocation.filter(|_| request.is_none()) })
}

fn invocation<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Invocation, DecodeError> {
    head.message = "INVOCATION";
    let request = head.request("Request")?;
    let registration = head.id("REGISTERED.Registration", crate::id::RegistrationId::new)?;
    let details = options::invocation_details(head)?;
    let payload = head.payload(details.pass_thru.as_deref())?;
    Ok(Invocation { request, registration, details, payload })
}

fn interrupt<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Interrupt, DecodeError> {
    head.message = "INTERRUPT";
    Ok(Interrupt { request: head.request("INVOCATION.Request")?, options: options::interrupt_options(head)? })
}

fn yield_<'a, R: Reader<'a>>(head: &mut Head<R>) -> Result<Yield, DecodeError> {
    head.message = "YIELD";
    let request = head.request("INVOCATION.Request")?;
    let options = options::yield_options(head)?;
    let payload = head.payload(options.pass_thru.as_deref())?;
    Ok(Yield { request, options, payload })
}

/// A message whose elements are read one after the other.
///
/// Methods that take an `element` read the next element of the message; those that take a `key` read the value of an
/// option. Options that are null are as good as absent.
pub(super) struct Head<R> {
    reader: R,
    list: Open,
    /// The last element has been read.
    ended: bool,
    message: &'static str,
    /// How deep an element may nest.
    depth: u8,
    max_uri: usize,
    budget: Budget,
}

const ID: &str = "an integer in 1..=2^53";
const URI: &str = "a URI within the limit on its length";

impl<'a, R: Reader<'a>> Head<R> {
    /// Reads a message up to its code.
    fn begin(mut reader: R, limits: &DecodeLimits) -> Result<(u64, Self), DecodeError> {
        let Token::List(mut list) = reader.token()? else { return Err(DecodeError::NotAMessage) };
        if !reader.next_item(&mut list)? {
            return Err(DecodeError::NotAMessage);
        }
        let code = match reader.token()? {
            Token::Int(code) => code.try_into().map_err(|_| DecodeError::NotAMessage)?,
            Token::UInt(code) => code,
            _ => return Err(DecodeError::NotAMessage),
        };
        // Elements are one list deep.
        let depth = limits.max_depth.min(MAX_DEPTH).saturating_sub(1);
        let max_uri = usize::from(limits.max_uri);
        let budget = Budget::new(limits.max_items, limits.max_weight);
        Ok((code, Self { reader, list, ended: false, message: "", depth, max_uri, budget }))
    }

    fn goes_on(&mut self) -> Result<bool, DecodeError> {
        self.ended = self.ended || !self.reader.next_item(&mut self.list)?;
        Ok(!self.ended)
    }

    fn next(&mut self, element: &'static str) -> Result<Token<'a>, DecodeError> {
        if !self.goes_on()? {
            return Err(DecodeError::Missing { message: self.message, element });
        }
        Ok(self.reader.token()?)
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        if self.goes_on()? {
            return Err(DecodeError::Surplus { message: self.message });
        }
        Ok(self.reader.end()?)
    }

    #[cold]
    fn wrong(&self, element: &'static str, expected: &'static str) -> DecodeError {
        DecodeError::Element { message: self.message, element, expected }
    }

    #[cold]
    fn wrong_option(&self, key: &str, expected: &'static str) -> DecodeError {
        // Names of features are the peer's.
        DecodeError::Option { message: self.message, key: key.chars().take(64).collect(), expected }
    }

    fn unsigned(&mut self, element: &'static str, expected: &'static str) -> Result<u64, DecodeError> {
        let token = self.next(element)?;
        unsigned(token).ok_or_else(|| self.wrong(element, expected))
    }

    fn id<T>(&mut self, element: &'static str, new: fn(u64) -> Option<T>) -> Result<T, DecodeError> {
        new(self.unsigned(element, ID)?).ok_or_else(|| self.wrong(element, ID))
    }

    fn request(&mut self, element: &'static str) -> Result<RequestId, DecodeError> {
        self.id(element, RequestId::new)
    }

    fn request_or_zero(&mut self, element: &'static str) -> Result<Option<RequestId>, DecodeError> {
        match self.unsigned(element, ID)? {
            0 => Ok(None),
            id => RequestId::new(id).map(Some).ok_or_else(|| self.wrong(element, ID)),
        }
    }

    fn text(&mut self, element: &'static str) -> Result<String, DecodeError> {
        match self.next(element)? {
            Token::Text(text) => self.owned(text),
            _ => Err(self.wrong(element, "text")),
        }
    }

    fn owned(&mut self, text: Text<'a>) -> Result<String, DecodeError> {
        self.budget.text(text)?;
        Ok(text.to_str().into_owned())
    }

    fn uri(&mut self, element: &'static str) -> Result<Uri, DecodeError> {
        let token = self.next(element)?;
        self.to_uri(token).ok_or_else(|| self.wrong(element, URI))
    }

    fn uri_or_null(&mut self, element: &'static str) -> Result<Option<Uri>, DecodeError> {
        match self.next(element)? {
            Token::Null => Ok(None),
            token => self.to_uri(token).map(Some).ok_or_else(|| self.wrong(element, URI)),
        }
    }

    fn to_uri(&self, token: Token<'a>) -> Option<Uri> {
        let Token::Text(text) = token else { return None };
        match text {
            Text::Plain(text) if text.len() > self.max_uri => None,
            Text::Plain(text) => Some(Uri::from_peer(self.reader.share(text))),
            text => {
                let text = text.to_str().into_owned();
                (text.len() <= self.max_uri).then(|| Uri::from(text))
            }
        }
    }

    /// A dictionary of any content.
    fn values(&mut self, element: &'static str) -> Result<Dict, DecodeError> {
        match self.next(element)? {
            Token::Dict(open) => self.reader.dict_rest(open, self.depth, &mut self.budget),
            _ => Err(self.wrong(element, "a dictionary")),
        }
    }

    /// A dictionary of any content, which is checked but not decoded.
    fn raw_dict(&mut self, element: &'static str) -> Result<RawDict, DecodeError> {
        if !self.goes_on()? {
            return Err(DecodeError::Missing { message: self.message, element });
        }
        self.reader.align();
        let start = self.reader.position();
        match self.reader.token()? {
            Token::Dict(open) => self.raw_dict_rest(start, open, self.depth),
            _ => Err(self.wrong(element, "a dictionary")),
        }
    }

    /// The dictionary that began at `start`.
    fn raw_dict_rest(&mut self, start: usize, open: Open, depth: u8) -> Result<RawDict, DecodeError> {
        if !self.reader.weigh_dict(open, depth, &mut self.budget)? {
            return Ok(RawDict::new());
        }
        let bytes = self.reader.slice(start, self.reader.position());
        if self.reader.is_peculiar() {
            return Ok(raw_dict_entries(R::FORMAT, &bytes, |_| true).into());
        }
        Ok(RawDict(RawDictRepr::Raw { format: R::FORMAT, bytes }))
    }

    /// A dictionary of options, each given to `option`, which reads the value of this key.
    pub(super) fn options(
        &mut self,
        element: &'static str,
        option: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        match self.next(element)? {
            Token::Dict(open) => self.entries(open, option),
            _ => Err(self.wrong(element, "a dictionary")),
        }
    }

    /// As [`Head::options`], if there is another element.
    pub(super) fn trailing_options(
        &mut self,
        element: &'static str,
        option: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.goes_on()? {
            return Ok(());
        }
        match self.reader.token()? {
            Token::Dict(open) => self.entries(open, option),
            _ => Err(self.wrong(element, "a dictionary")),
        }
    }

    fn entries(
        &mut self,
        mut open: Open,
        mut option: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        while let Some(key) = self.reader.next_key(&mut open)? {
            match key {
                Token::Text(Text::Plain(key)) => option(self, key)?,
                Token::Text(key) => option(self, &key.to_str())?,
                _ => return Err(TranscodeError::KeyNotText.into()),
            }
        }
        Ok(())
    }

    /// The dictionary in an option.
    pub(super) fn nested(
        &mut self,
        key: &str,
        option: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<bool, DecodeError> {
        match self.reader.token()? {
            Token::Dict(open) => self.entries(open, option).map(|()| true),
            Token::Null => Ok(false),
            _ => Err(self.wrong_option(key, "a dictionary")),
        }
    }

    /// The value of an entry that is kept, whatever it is; `is_first` of those that are.
    pub(super) fn kept(&mut self, key: &str, is_first: bool) -> Result<Value, DecodeError> {
        self.budget.entry(is_first, Text::Plain(key))?;
        self.reader.value(self.depth.saturating_sub(1), &mut self.budget)
    }

    /// An option that is not known.
    pub(super) fn ignored(&mut self) -> Result<(), DecodeError> {
        Ok(self.reader.skip(self.depth.saturating_sub(1))?)
    }

    /// Whether a value, which may be of any type, is true.
    pub(super) fn is_true(&mut self) -> Result<bool, DecodeError> {
        match self.reader.token()? {
            Token::Bool(b) => Ok(b),
            token => {
                self.reader.skip_rest(token, self.depth.saturating_sub(1)).map(|()| false).map_err(DecodeError::from)
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, DecodeError> {
        match self.reader.token()? {
            Token::Bool(b) => Ok(Some(b)),
            Token::Null => Ok(None),
            _ => Err(self.wrong_option(key, "true or false")),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<u64>, DecodeError> {
        self.unsigned_option(key, "an integer, zero or more", Some)
    }

    pub(super) fn id_option<T>(&mut self, key: &str, new: fn(u64) -> Option<T>) -> Result<Option<T>, DecodeError> {
        self.unsigned_option(key, ID, new)
    }

    pub(super) fn count(&mut self, key: &str) -> Result<Option<u32>, DecodeError> {
        let count = |n| u32::try_from(n).ok().filter(|&n| n > 0);
        self.unsigned_option(key, "an integer in 1..2^32", count)
    }

    fn unsigned_option<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        new: impl Fn(u64) -> Option<T>,
    ) -> Result<Option<T>, DecodeError> {
        match self.reader.token()? {
            Token::Null => Ok(None),
            token => unsigned(token).and_then(new).map(Some).ok_or_else(|| self.wrong_option(key, expected)),
        }
    }

    pub(super) fn string(&mut self, key: &str) -> Result<Option<String>, DecodeError> {
        match self.reader.token()? {
            Token::Text(text) => self.owned(text).map(Some),
            Token::Null => Ok(None),
            _ => Err(self.wrong_option(key, "text")),
        }
    }

    pub(super) fn uri_option(&mut self, key: &str) -> Result<Option<Uri>, DecodeError> {
        match self.reader.token()? {
            Token::Null => Ok(None),
            token => self.to_uri(token).map(Some).ok_or_else(|| self.wrong_option(key, URI)),
        }
    }

    pub(super) fn dict_option(&mut self, key: &str) -> Result<Option<Dict>, DecodeError> {
        match self.reader.token()? {
            Token::Dict(open) => {
                let depth = self.depth.saturating_sub(1);
                self.reader.dict_rest(open, depth, &mut self.budget).map(Some)
            }
            Token::Null => Ok(None),
            _ => Err(self.wrong_option(key, "a dictionary")),
        }
    }

    /// As [`Head::dict_option`], of a dictionary which is checked but not decoded.
    pub(super) fn raw_dict_option(&mut self, key: &str) -> Result<Option<RawDict>, DecodeError> {
        self.reader.align();
        let start = self.reader.position();
        match self.reader.token()? {
            Token::Dict(open) => self.raw_dict_rest(start, open, self.depth.saturating_sub(1)).map(Some),
            Token::Null => Ok(None),
            _ => Err(self.wrong_option(key, "a dictionary")),
        }
    }

    /// The policy or mode that an option names.
    pub(super) fn named<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, DecodeError> {
        let text = match self.reader.token()? {
            Token::Text(text) => text.to_str(),
            Token::Null => return Ok(None),
            _ => return Err(self.wrong_option(key, "text")),
        };
        match all.iter().find(|&&item| name(item) == text) {
            Some(item) => Ok(Some(*item)),
            None => Err(self.unknown_name(key, &text)),
        }
    }

    pub(super) fn unknown_name(&self, key: &str, name: &str) -> DecodeError {
        DecodeError::unknown_name(self.message, key, name)
    }

    /// A list, each item of which `item` makes of its beginning.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        item: impl Fn(Token<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let mut open = match self.reader.token()? {
            Token::List(open) => open,
            Token::Null => return Ok(None),
            _ => return Err(self.wrong_option(key, expected)),
        };
        let mut items = Vec::new();
        while self.reader.next_item(&mut open)? {
            let token = self.reader.token()?;
            self.budget.plain_item(size_of::<T>())?;
            self.budget.token(token)?;
            items.push(item(token).ok_or_else(|| self.wrong_option(key, expected))?);
        }
        Ok(Some(items))
    }

    pub(super) fn strings(&mut self, key: &str) -> Result<Option<Vec<String>>, DecodeError> {
        self.list(key, "a list of text", |token| match token {
            Token::Text(text) => Some(text.to_str().into_owned()),
            _ => None,
        })
    }

    pub(super) fn ids<T>(&mut self, key: &str, new: fn(u64) -> Option<T>) -> Result<Option<Vec<T>>, DecodeError> {
        self.list(key, "a list of ids", |token| unsigned(token).and_then(new))
    }

    /// The rest of the message, which is its payload: opaque bytes if `pass_thru` names their encryption, else args and
    /// kwargs.
    fn payload(&mut self, pass_thru: Option<&PassThru>) -> Result<Payload, DecodeError> {
        if !self.goes_on()? {
            return Ok(Payload::empty());
        }
        if pass_thru.is_some_and(|pass_thru| pass_thru.enc_algo.is_some()) {
            return self.opaque();
        }
        self.reader.align();
        let start = self.reader.position();
        // No arguments before keyword arguments may be written as null.
        let has_args = match self.reader.token()? {
            list @ Token::List(_) if !self.reader.is_tagged(start) => {
                self.reader.skip_rest(list, self.depth)?;
                true
            }
            Token::Null => false,
            _ => return Err(self.wrong("Arguments", "a list")),
        };
        let mut end = self.reader.position();
        let mut shape = Shape::Args;
        if self.goes_on()? {
            self.reader.align();
            let keywords = self.reader.position();
            match self.reader.token()? {
                Token::Dict(open) if !self.reader.is_tagged(keywords) => {
                    self.keywords(open)?;
                    end = self.reader.position();
                    shape = Shape::ArgsKwargs;
                }
                Token::Null => {}
                _ => return Err(self.wrong("ArgumentsKw", "a dictionary")),
            }
            if !has_args && shape == Shape::ArgsKwargs {
                let keywords = self.reader.slice(keywords, end);
                let tail = [R::EMPTY_LIST, &keywords].concat().into();
                return Ok(self.raw_payload(shape, tail));
            }
        }
        if !has_args {
            return Ok(Payload::empty());
        }
        Ok(self.raw_payload(shape, self.reader.slice(start, end)))
    }

    fn raw_payload(&self, shape: Shape, tail: Bytes) -> Payload {
        Payload(Repr::Raw { format: R::FORMAT, shape, tail, peculiar: self.reader.is_peculiar() })
    }

    /// Checks the rest of the keyword arguments, whose keys are text.
    fn keywords(&mut self, mut open: Open) -> Result<(), DecodeError> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| self.reader.too_deep())?;
        while let Some(key) = self.reader.next_key(&mut open)? {
            let Token::Text(_) = key else { return Err(self.wrong("ArgumentsKw", "a dictionary with keys of text")) };
            self.reader.skip(depth)?;
        }
        Ok(())
    }

    fn opaque(&mut self) -> Result<Payload, DecodeError> {
        let token = self.reader.token()?;
        let end = self.reader.position();
        let bytes = match token {
            Token::Binary(Binary::Plain(bytes)) => Some(self.reader.slice(end - bytes.len(), end)),
            Token::Binary(bytes) => Some(Bytes::from(bytes.to_bytes().into_owned())),
            Token::Text(text) => text.as_binary().map(Bytes::from),
            _ => None,
        };
        bytes.map(Payload::opaque).ok_or_else(|| self.wrong("Arguments", "binary, because of enc_algo"))
    }
}

/// A number in 0..2^64. In CBOR and MsgPack a float without a fraction is one too, up to 2^53: serializers of
/// JavaScript write integers of more than 32 bits that way.
fn unsigned(token: Token<'_>) -> Option<u64> {
    match token {
        Token::Int(n) => u64::try_from(n).ok(),
        Token::UInt(n) => Some(n),
        Token::Float(n) if n.fract() == 0.0 && (0.0..=MAX_ID as f64).contains(&n) => Some(n as u64),
        _ => None,
    }
}
