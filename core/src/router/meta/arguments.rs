//! The arguments of a call to the router itself, read one by one.

use super::Refusal;
use crate::codec::{Budget, DecodeError, LazyArguments, LazyValue, payload_of};
use crate::id::{MAX_ID, PublicationId, RegistrationId, SessionId, SubscriptionId};
use crate::message::Payload;
use crate::time::UnixTime;
use crate::uri::error;
use crate::value::{Dict, Value};
use core::num::NonZeroU64;

/// The arguments of a call that have not been read yet. Each is decoded when it is, and all of them together hold a
/// limited number of values.
#[derive(Debug)]
pub(super) struct Arguments {
    positional: std::vec::IntoIter<LazyValue>,
    /// How many more positional arguments there are.
    surplus: usize,
    /// How many positional arguments have been asked for.
    asked: usize,
    keywords: Vec<(String, LazyValue)>,
    budget: Budget,
    max_items: u32,
}

/// Arguments of each kind that are kept: more than any procedure has.
const MAX_ARGUMENTS: usize = 16;

/// Bytes of memory for each value that the arguments may hold.
const BYTES_PER_ITEM: u32 = 256;

/// A type that an argument can have.
pub(super) trait Argument: Sized {
    /// What is expected, for messages to people.
    const EXPECTED: &'static str;

    fn from_value(value: Value) -> Option<Self>;
}

impl Arguments {
    /// The arguments in a payload, which may hold `max_items` values.
    pub(super) fn of(payload: &Payload, max_items: u32) -> Result<Self, Refusal> {
        let found = LazyArguments::of(payload, MAX_ARGUMENTS).map_err(|why| unusable(&why))?;
        Ok(Self {
            positional: found.args.into_iter(),
            surplus: found.surplus,
            asked: 0,
            keywords: found.kwargs,
            budget: Budget::new(max_items, max_items.saturating_mul(BYTES_PER_ITEM)),
            max_items,
        })
    }

    /// The next positional argument.
    pub(super) fn required<T: Argument>(&mut self, name: &str) -> Result<T, Refusal> {
        let value = self.optional(name)?;
        value.ok_or_else(|| invalid(format!("argument {} ({name}) is missing: {}", self.asked, T::EXPECTED)))
    }

    /// The next positional argument, which may be left out or null.
    pub(super) fn optional<T: Argument>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        self.asked += 1;
        let value = self.positional.next();
        let asked = self.asked;
        self.read(value, || format!("argument {asked} ({name})"))
    }

    /// The next two positional arguments, which may be left out or null, as a payload. They are not decoded.
    pub(super) fn payload(&mut self, args: &str, kwargs: &str) -> Result<Payload, Refusal> {
        let args = self.undecoded(args, "list", Vec::<Value>::EXPECTED)?;
        let kwargs = self.undecoded(kwargs, "dict", Dict::EXPECTED)?;
        payload_of(args, kwargs).map_err(|why| unusable(&why))
    }

    /// The next positional argument, of this kind; `None` if it is left out, null or empty.
    fn undecoded(&mut self, name: &str, kind: &str, expected: &str) -> Result<Option<LazyValue>, Refusal> {
        self.asked += 1;
        let Some(value) = self.positional.next() else { return Ok(None) };
        match value.kind().map_err(|why| unusable(&why))? {
            ("null", _) => Ok(None),
            (found, is_empty) if found == kind => Ok((!is_empty).then_some(value)),
            (found, _) => {
                Err(invalid(format!("argument {} ({name}) must be {expected}, not this {found}", self.asked)))
            }
        }
    }

    /// A keyword argument, which may be left out or null.
    pub(super) fn keyword<T: Argument>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let at = self.keywords.iter().position(|(key, _)| key == name);
        let value = at.map(|at| self.keywords.swap_remove(at).1);
        self.read(value, || format!("keyword argument {name}"))
    }

    fn read<T: Argument>(&mut self, value: Option<LazyValue>, what: impl Fn() -> String) -> Result<Option<T>, Refusal> {
        let Some(value) = value else { return Ok(None) };
        let value = value.into_value(&mut self.budget).map_err(|why| match why {
            DecodeError::OverLimit { .. } => {
                let limit = self.max_items;
                (error::RESOURCE_LIMIT, format!("{}: limit max_meta_items ({limit}) on values exceeded", what()))
            }
            why => unusable(&why),
        })?;
        if value == Value::Null {
            return Ok(None);
        }
        let kind = value.kind();
        let read = T::from_value(value);
        read.map(Some).ok_or_else(|| invalid(format!("{} must be {}, not this {kind}", what(), T::EXPECTED)))
    }

    /// Refuses arguments that nobody asked for: whoever gave them expects an effect.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        if let Some((name, _)) = self.keywords.first() {
            return Err(invalid(format!("there is no keyword argument {name:?}")));
        }
        match self.positional.len() + self.surplus {
            0 => Ok(()),
            surplus => {
                let (at_most, given) = (self.asked, self.asked + surplus);
                Err(invalid(format!("expected at most {at_most} positional arguments, got {given}")))
            }
        }
    }
}

/// Arguments that are no values, or hold too many of them.
fn unusable(why: &DecodeError) -> Refusal {
    invalid(format!("unusable arguments: {why}"))
}

pub(super) const fn invalid(text: String) -> Refusal {
    (error::INVALID_ARGUMENT, text)
}

impl Argument for String {
    const EXPECTED: &'static str = "a string";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Argument for Vec<String> {
    const EXPECTED: &'static str = "a list of strings";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::List(items) => items.into_iter().map(String::from_value).collect(),
            _ => None,
        }
    }
}

impl Argument for Vec<Value> {
    const EXPECTED: &'static str = "a list";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }
}

impl Argument for Dict {
    const EXPECTED: &'static str = "a dictionary";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    }
}

impl Argument for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_value(value: Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Argument for NonZeroU64 {
    const EXPECTED: &'static str = "a positive integer";

    fn from_value(value: Value) -> Option<Self> {
        unsigned(&value).and_then(Self::new)
    }
}

/// A moment, as RFC 3339 writes it.
impl Argument for UnixTime {
    const EXPECTED: &'static str = "a timestamp such as 2026-11-24T00:09:46.060Z";

    fn from_value(value: Value) -> Option<Self> {
        value.as_str().and_then(Self::parse_rfc3339)
    }
}

/// Any value, for arguments whose errors are not those of a wrong type.
impl Argument for Value {
    const EXPECTED: &'static str = "any value";

    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

/// An integer in 0..2^64, or a float without a fraction: serializers of JavaScript write integers of more than 32 bits
/// that way.
fn unsigned(value: &Value) -> Option<u64> {
    match *value {
        Value::Float(n) if n.fract() == 0.0 && (0.0..=MAX_ID as f64).contains(&n) => Some(n as u64),
        _ => value.as_u64(),
    }
}

macro_rules! ids {
    ($($id:ty = $expected:literal)*) => {$(
        impl Argument for $id {
            const EXPECTED: &'static str = concat!($expected, ", an integer from 1 to 2^53");

            fn from_value(value: Value) -> Option<Self> {
                unsigned(&value).and_then(Self::new)
            }
        }
    )*};
}

ids! {
    SessionId = "a session id"
    RegistrationId = "a registration id"
    SubscriptionId = "a subscription id"
    PublicationId = "a publication id"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(args: Vec<Value>, kwargs: Dict) -> Arguments {
        Arguments::of(&Payload::from_values(args, kwargs), 100).unwrap()
    }

    fn text<T>(result: Result<T, Refusal>) -> String {
        let (uri, text) = result.err().unwrap();
        assert_eq!(uri, error::INVALID_ARGUMENT);
        text
    }

    #[test]
    fn missing_and_wrong_arguments_are_named() {
        let mut none = arguments(vec![], Dict::new());
        assert_eq!(none.optional::<String>("a"), Ok(None));
        assert_eq!(text(none.required::<String>("b")), "argument 2 (b) is missing: a string");
        let mut wrong = arguments(vec![Value::Null, Value::from("x")], Dict::from([("k".to_owned(), 1.into())]));
        assert_eq!(wrong.optional::<Dict>("a"), Ok(None));
        let expected = "argument 2 (b) must be a session id, an integer from 1 to 2^53, not this string";
        assert_eq!(text(wrong.required::<SessionId>("b")), expected);
        assert_eq!(text(wrong.keyword::<String>("k")), "keyword argument k must be a string, not this integer");
        assert_eq!(wrong.finish(), Ok(()), "each is refused once");
    }

    #[test]
    fn surplus_arguments_are_refused() {
        let mut two = arguments(vec![1.into(), 2.into()], Dict::new());
        two.required::<SessionId>("a").unwrap();
        assert_eq!(text(two.finish()), "expected at most 1 positional arguments, got 2");
        let keyword = arguments(vec![], Dict::from([("mesage".to_owned(), Value::Null)]));
        assert_eq!(text(keyword.finish()), "there is no keyword argument \"mesage\"");
    }

    #[test]
    fn ids_may_be_whole_floats() {
        let id = |value: Value| SessionId::from_value(value).map(SessionId::get);
        assert_eq!((id(7.into()), id(7.0.into())), (Some(7), Some(7)));
        assert_eq!(id((MAX_ID as f64).into()), Some(MAX_ID));
        for wrong in [0.into(), (-1).into(), 0.5.into(), f64::NAN.into(), 1e300.into(), (MAX_ID + 1).into()] {
            assert_eq!(id(wrong), None);
        }
    }
}
