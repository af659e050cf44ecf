//! A strict validator of what a router sends: types, URIs, ids, names, and features that the receiver announced.
//!
//! It stands for every receiver that takes the specification at its word. Such a receiver ends its connection when it is
//! sent what is not valid, so whatever a router forwards unchecked lets one session end another. The validator is
//! independent of the codec: it reads the bytes on the wire ([`read`]).

mod read;

pub use read::{Item, read};
pub(crate) use read::{integer, time};

use wampd_core::codec::{Format, encode};
use wampd_core::message::{ClientRoles, Features, Message};

/// Checks a message that a router sends to a client which announced these roles, in every serializer that can carry it.
///
/// # Panics
/// A strict receiver would refuse it.
pub fn check_message(message: &Message, roles: &ClientRoles, formats: &[Format]) {
    for &format in formats {
        let mut frame = Vec::new();
        if encode(message, format, &mut frame).is_ok()
            && let Err(why) = check(format, &frame, roles)
        {
            panic!("not valid in {format:?}: {why}: {message:?}, that is {}", String::from_utf8_lossy(&frame));
        }
    }
}

/// Checks a frame that a router sends to a client which announced these roles.
///
/// # Errors
/// Why a strict receiver refuses it.
pub fn check(format: Format, frame: &[u8], roles: &ClientRoles) -> Result<(), String> {
    let message = read(format, frame)?;
    check_content(format, &message)?;
    let Item::List(elements) = message else { return Err("no list".to_owned()) };
    let mut elements = Elements { rest: elements.into_iter(), index: 0 };
    let Item::Int(code) = elements.next()? else { return Err("no message type".to_owned()) };
    let ClientRoles { publisher, subscriber, caller, callee } = *roles;
    match code {
        2 => {
            elements.id()?;
            welcome(elements.map()?)?;
        }
        3 => {
            elements.details(&[], None)?;
            elements.uri()?;
            elements.payload(false)?;
        }
        4 => {
            elements.text()?;
            elements.map()?;
        }
        6 => {
            elements.details(&["message:text"], None)?;
            elements.uri()?;
        }
        8 => {
            let Item::Int(kind) = elements.next()? else { return Err("REQUEST.Type is no integer".to_owned()) };
            let role = match kind {
                16 => publisher,
                32 | 34 => subscriber,
                48 => caller,
                64 | 66 => callee,
                other => return Err(format!("ERROR for a message of type {other}")),
            };
            elements.id()?;
            let opaque = elements.open_details(role)?;
            elements.uri()?;
            elements.payload(opaque)?;
        }
        17 | 33 | 65 => {
            elements.id()?;
            elements.id()?;
        }
        35 => elements.revoked("subscription", subscriber, Features::SUBSCRIPTION_REVOCATION)?,
        67 => elements.revoked("registration", callee, Features::REGISTRATION_REVOCATION)?,
        36 => {
            elements.id()?;
            elements.id()?;
            let role = Some(subscriber.ok_or("EVENT without the role subscriber")?);
            let known = ["publisher:id", "publisher_authid:text", "publisher_authrole:text", "topic:uri"];
            let opaque = elements.details(&[&known[..], &["trustlevel:number", "retained:bool"]].concat(), role)?;
            elements.payload(opaque)?;
        }
        50 => {
            elements.id()?;
            let role = Some(caller.ok_or("RESULT without the role caller")?);
            let known = ["progress:bool", "callee:id", "callee_authid:text", "callee_authrole:text"];
            let opaque = elements.details(&known, role)?;
            elements.payload(opaque)?;
        }
        68 => {
            elements.id()?;
            elements.id()?;
            let features = callee.ok_or("INVOCATION without the role callee")?;
            let known = ["caller:id", "caller_authid:text", "caller_authrole:text", "procedure:uri"];
            let more = ["trustlevel:number", "timeout:number", "receive_progress:bool"];
            let progress: &[_] =
                if features.contains(Features::PROGRESSIVE_CALL_INVOCATIONS) { &["progress:bool"] } else { &[] };
            let opaque = elements.details(&[&known[..], &more, progress].concat(), Some(features))?;
            elements.payload(opaque)?;
        }
        69 => {
            if !callee.is_some_and(|features| features.contains(Features::CALL_CANCELING)) {
                return Err("INTERRUPT without call_canceling".to_owned());
            }
            elements.id()?;
            elements.details(&["mode:mode", "reason:uri"], None)?;
        }
        other => return Err(format!("a message of type {other} is not for a client")),
    }
    elements.end()
}

/// Checks what well-formed messages may hold and some clients refuse: Autobahn|Python other keys than text in MsgPack;
/// wampy keys of CBOR that are no scalars, and simple values; Autobahn|JS and wampy extension types.
fn check_content(format: Format, item: &Item) -> Result<(), String> {
    match item {
        Item::List(items) => items.iter().try_for_each(|item| check_content(format, item)),
        Item::Tagged(content) => check_content(format, content),
        Item::Map(entries) => entries.iter().try_for_each(|(key, value)| {
            let is_scalar =
                matches!(key, Item::Null | Item::Bool(_) | Item::Int(_) | Item::Big { .. } | Item::Float(_));
            if matches!(key, Item::Text(_)) || (format == Format::Cbor && is_scalar) {
                check_content(format, value)
            } else {
                Err(format!("a key that is {key:?}"))
            }
        }),
        Item::Simple | Item::Extension => Err(format!("{item:?}")),
        _ => Ok(()),
    }
}

struct Elements {
    rest: std::vec::IntoIter<Item>,
    index: usize,
}

impl Elements {
    fn next(&mut self) -> Result<Item, String> {
        self.index += 1;
        self.rest.next().ok_or_else(|| format!("element {} is missing", self.index))
    }

    fn end(mut self) -> Result<(), String> {
        self.rest.next().map_or(Ok(()), |item| Err(format!("an element too many: {item:?}")))
    }

    fn id(&mut self) -> Result<(), String> {
        check_kind("id", &self.next()?)
    }

    fn text(&mut self) -> Result<(), String> {
        check_kind("text", &self.next()?)
    }

    fn uri(&mut self) -> Result<(), String> {
        check_kind("uri", &self.next()?)
    }

    /// A dictionary: all its keys are text.
    fn map(&mut self) -> Result<Vec<(String, Item)>, String> {
        entries(self.next()?)
    }

    /// Details of which all keys are known, given with the kind of each. Returns whether the payload is opaque.
    fn details(&mut self, known: &[&str], role: Option<Features>) -> Result<bool, String> {
        let mut opaque = false;
        for (key, value) in self.map()? {
            match passed_thru(&key, &value, role)? {
                Some(algorithm) => opaque |= algorithm,
                None => {
                    let kind = known.iter().find_map(|known| known.strip_prefix(key.as_str())?.strip_prefix(':'));
                    match kind {
                        Some(kind) => check_kind(kind, &value).map_err(|why| format!("{key}: {why}"))?,
                        // A human-readable message, and what authentication methods add.
                        None if known.is_empty() => {}
                        None => return Err(format!("unknown or not announced: {key}")),
                    }
                }
            }
        }
        Ok(opaque)
    }

    /// Details to which an application may have added something.
    fn open_details(&mut self, role: Option<Features>) -> Result<bool, String> {
        self.details(&[], role)
    }

    fn payload(&mut self, opaque: bool) -> Result<(), String> {
        match (self.rest.next(), opaque) {
            (None, _) | (Some(Item::Bytes(_)), true) => return Ok(()),
            (Some(Item::List(_)), false) => {}
            (Some(other), _) => return Err(format!("arguments that are {other:?}")),
        }
        match self.rest.next() {
            None => Ok(()),
            Some(kwargs) => entries(kwargs).map(drop),
        }
    }

    fn revoked(&mut self, key: &str, role: Option<Features>, feature: Features) -> Result<(), String> {
        if self.rest.len() == 1 {
            return self.id();
        }
        if !role.is_some_and(|announced| announced.contains(feature)) {
            return Err(format!("{feature:?} was not announced"));
        }
        if self.next()? != Item::Int(0) {
            return Err("a revocation with a request".to_owned());
        }
        self.details(&[&format!("{key}:id"), "reason:uri"], None).map(drop)
    }
}

fn entries(map: Item) -> Result<Vec<(String, Item)>, String> {
    let Item::Map(entries) = map else { return Err(format!("no dictionary: {map:?}")) };
    let entries = entries.into_iter().map(|(key, value)| match key {
        Item::Text(key) => Ok((key, value)),
        other => Err(format!("a key that is not text: {other:?}")),
    });
    entries.collect()
}

fn welcome(details: Vec<(String, Item)>) -> Result<(), String> {
    for (key, value) in details {
        match key.as_str() {
            "realm" => check_kind("uri", &value)?,
            "authid" | "authrole" | "authmethod" | "authprovider" | "agent" => check_kind("text", &value)?,
            "authextra" => drop(entries(value)?),
            "roles" => {
                for (role, details) in entries(value)? {
                    if !matches!(role.as_str(), "broker" | "dealer") {
                        return Err(format!("a role {role} of a router"));
                    }
                    for (key, value) in entries(details)? {
                        if key != "features" {
                            return Err(format!("{key} in a role"));
                        }
                        for (feature, value) in entries(value)? {
                            check_kind("bool", &value).map_err(|why| format!("{feature}: {why}"))?;
                        }
                    }
                }
            }
            other => return Err(format!("unknown: {other}")),
        }
    }
    Ok(())
}

/// An attribute of a payload that is passed on without being looked at: `None` if it is none, else whether it makes the
/// payload opaque.
fn passed_thru(key: &str, value: &Item, role: Option<Features>) -> Result<Option<bool>, String> {
    const ALGORITHMS: [&str; 3] = ["cryptobox", "mqtt", "xbr"];
    const SERIALIZERS: [&str; 5] = ["json", "msgpack", "cbor", "ubjson", "flatbuffers"];
    let names: &[&str] = match key {
        "ppt_scheme" | "ppt_serializer" | "ppt_cipher" | "ppt_keyid" => {
            return check_kind("text", value).map(|()| Some(false)).map_err(|why| format!("{key}: {why}"));
        }
        "enc_algo" => &ALGORITHMS,
        "enc_serializer" => &SERIALIZERS,
        "enc_key" => &[],
        _ => return Ok(None),
    };
    if !role.is_some_and(|announced| announced.contains(Features::PAYLOAD_TRANSPARENCY)) {
        return Err(format!("{key} without payload_transparency"));
    }
    let Item::Text(name) = value else { return Err(format!("{key} is {value:?}")) };
    if key != "enc_key" && !names.contains(&name.as_str()) && !is_custom(name) {
        return Err(format!("{key} is {name:?}"));
    }
    Ok(Some(key == "enc_algo"))
}

/// The name of an attribute that no specification knows: `x_`, and something of `[a-z][0-9a-z_]+`.
fn is_custom(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.strip_prefix("x_").is_some_and(|rest| {
        rest.is_empty()
            || rest.len() >= 2 && rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.chars().all(inner)
    })
}

/// Whether a text is a URI by the loose rule, `^([^\s\.#]+\.)*([^\s\.#]+)$`, whatever language's `\s` that is.
pub fn is_uri(text: &str) -> bool {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c) || c == '\u{feff}';
    text.split('.').all(|component| !component.is_empty() && !component.contains(|c| c == '#' || is_space(c)))
}

fn check_kind(kind: &str, value: &Item) -> Result<(), String> {
    const LARGEST: i128 = 1 << 53;
    let right = match kind {
        "id" => matches!(value, Item::Int(1..=LARGEST)),
        "number" => matches!(value, Item::Int(0..=LARGEST)),
        "bool" => matches!(value, Item::Bool(_)),
        "text" => matches!(value, Item::Text(_)),
        "uri" => matches!(value, Item::Text(text) if is_uri(text)),
        "mode" => matches!(value, Item::Text(text) if matches!(text.as_str(), "skip" | "kill" | "killnowait")),
        _ => false,
    };
    if right { Ok(()) } else { Err(format!("no {kind}: {value:?}")) }
}
