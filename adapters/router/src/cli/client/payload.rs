//! Arguments as JSON, both ways. Binary is a string of `\0` and base64, as in WAMP's JSON serialization.

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use wampd_core::codec::{DecodeLimits, Format, TranscodeError, decode, encode};
use wampd_core::id::RequestId;
use wampd_core::message::{Message, Payload, Yield, YieldOptions};
use wampd_core::value::Value;

/// What a message carries, value by value as JSON.
#[derive(Debug, Default, Serialize)]
pub(super) struct Content {
    /// Why it can not be shown, e.g. because JSON has no NaN.
    #[serde(skip_serializing_if = "Option::is_none")]
    unprintable: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) args: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) kwargs: BTreeMap<String, Box<RawValue>>,
}

/// The arguments of a command line: each is JSON if it can be read as such, otherwise text.
pub(super) fn from_arguments(args: &[String], kwargs: Option<&str>) -> Result<Payload, String> {
    let mut json = String::new();
    for arg in args {
        if !json.is_empty() {
            json.push(',');
        }
        if serde_json::from_str::<IgnoredAny>(arg).is_ok() {
            json += arg;
        } else {
            json += &quoted(arg);
        }
    }
    from_json(&json, kwargs.unwrap_or("{}"))
}

/// A payload of the items of a list and of a dictionary, both as JSON.
fn from_json(items: &str, kwargs: &str) -> Result<Payload, String> {
    let kwargs: BTreeMap<String, &RawValue> =
        serde_json::from_str(kwargs).map_err(|error| format!("the keyword arguments are no JSON object: {error}"))?;
    if items.is_empty() && kwargs.is_empty() {
        return Ok(Payload::empty());
    }
    let rest = if kwargs.is_empty() { String::new() } else { format!(",{}", to_json(&kwargs)) };
    // The codec knows the JSON of WAMP, and what of it other serializers can carry.
    let message = format!("[70,1,{{}},[{items}]{rest}]");
    match decode(Format::Json, message.into(), &DecodeLimits::default()) {
        Ok(Message::Yield(message)) => Ok(message.payload),
        Ok(_) => Err("the arguments are not understood".to_owned()),
        Err(error) => Err(format!("the arguments can not be sent: {error}")),
    }
}

/// What someone has written as an answer: nothing, an object of `args` and `kwargs`, or one value.
pub(super) fn from_value(output: &str) -> Result<Payload, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Whole<'a> {
        #[serde(borrow)]
        args: Option<Vec<&'a RawValue>>,
        #[serde(borrow)]
        kwargs: Option<&'a RawValue>,
    }
    let output = output.trim();
    if output.is_empty() {
        return Ok(Payload::empty());
    }
    if output.starts_with('{')
        && let Ok(Whole { args, kwargs }) = serde_json::from_str(output)
        && (args.is_some() || kwargs.is_some())
    {
        let items: Vec<&str> = args.iter().flatten().map(|arg| arg.get()).collect();
        return from_json(&items.join(","), kwargs.map_or("{}", RawValue::get));
    }
    let value: &RawValue = serde_json::from_str(output).map_err(|error| error.to_string())?;
    from_json(value.get(), "{}")
}

impl Content {
    pub(super) fn of(payload: &Payload) -> Self {
        Self::try_of(payload).unwrap_or_else(|why| Self { unprintable: Some(why.to_string()), ..Self::default() })
    }

    fn try_of(payload: &Payload) -> Result<Self, TranscodeError> {
        let payload = match payload.as_opaque() {
            Some(bytes) => Payload::from_args([Value::Binary(bytes.to_vec())]),
            None => payload.clone(),
        };
        let message = Yield { request: RequestId::FIRST, options: YieldOptions::default(), payload };
        let mut json = Vec::new();
        encode(&Message::Yield(message), Format::Json, &mut json)?;
        // The codec's own JSON can be read: [70, 1, {}, args, kwargs].
        let parts: Vec<&RawValue> = serde_json::from_slice(&json).unwrap_or_default();
        let mut rest = parts.into_iter().skip(3).map(RawValue::get);
        let args = rest.next().and_then(|args| serde_json::from_str(args).ok()).unwrap_or_default();
        let kwargs = rest.next().and_then(|kwargs| serde_json::from_str(kwargs).ok()).unwrap_or_default();
        Ok(Self { unprintable: None, args, kwargs })
    }

    /// What a program is given for a call; `None` if JSON can not show it.
    pub(super) fn for_program(&self, procedure: &str) -> Option<String> {
        #[derive(Serialize)]
        struct Input<'a> {
            procedure: &'a str,
            args: &'a [Box<RawValue>],
            kwargs: &'a BTreeMap<String, Box<RawValue>>,
        }
        let Self { unprintable, args, kwargs } = self;
        unprintable.is_none().then(|| to_json(&Input { procedure, args, kwargs }))
    }

    /// For people, one value a line: text as it is, everything else as JSON.
    pub(super) fn lines(&self) -> String {
        let mut lines = self.unprintable.as_ref().map_or(String::new(), |why| format!("({why})\n"));
        for arg in &self.args {
            lines += &bare(arg);
            lines.push('\n');
        }
        for (key, value) in &self.kwargs {
            // Writing to a string does not fail.
            let _ = writeln!(lines, "{key}={value}");
        }
        lines
    }
}

/// For people, all values on one line, as JSON.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.unprintable {
            return write!(f, "({why})");
        }
        let mut separator = "";
        for arg in &self.args {
            write!(f, "{separator}{arg}")?;
            separator = " ";
        }
        for (key, value) in &self.kwargs {
            write!(f, "{separator}{key}={value}")?;
            separator = " ";
        }
        Ok(())
    }
}

/// A JSON string as the text it is, anything else as JSON.
fn bare(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

/// What can be written as JSON whatever it holds: texts, numbers, and dictionaries with texts as keys.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Text of a peer for a terminal: control characters are escaped, so that it can not command the terminal.
pub(super) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn quoted(text: &str) -> String {
    to_json(&text)
}
