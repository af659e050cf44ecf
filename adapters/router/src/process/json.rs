//! Values as JSON, as WAMP has it: binary is a string of `\0` and base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use wampd_core::value::Value;

/// A value, to be written. What JSON has no number for (NaN, infinity) becomes null.
pub(super) struct Json<'a>(pub(super) &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Int(n) => serializer.serialize_i64(*n),
            Value::UInt(n) => serializer.serialize_u64(*n),
            Value::Float(n) => serializer.serialize_f64(*n),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Binary(bytes) => serializer.serialize_str(&format!("\0{}", STANDARD.encode(bytes))),
            Value::List(items) => serializer.collect_seq(items.iter().map(Json)),
            Value::Dict(dict) => serializer.collect_map(dict.iter().map(|(key, value)| (key, Json(value)))),
        }
    }
}

/// A value that was read.
pub(super) fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(n)) => Value::UInt(n),
            (None, None) => Value::Float(n.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => {
            match text.strip_prefix('\0').and_then(|encoded| STANDARD.decode(encoded).ok()) {
                Some(bytes) => Value::Binary(bytes),
                None => Value::Text(text),
            }
        }
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => {
            Value::Dict(entries.into_iter().map(|(key, value)| (key, from_json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wampd_core::value::Dict;

    #[test]
    fn there_and_back() {
        let value = Value::from(Dict::from([
            ("text".to_owned(), Value::from("a\"\n日本")),
            ("binary".to_owned(), Value::Binary(vec![0, 255])),
            ("numbers".to_owned(), Value::List(vec![Value::Int(-1), Value::UInt(u64::MAX), Value::Float(1.5)])),
            ("nothing".to_owned(), Value::List(vec![Value::Null, Value::Bool(true)])),
        ]));
        let text = serde_json::to_string(&Json(&value)).expect("JSON");
        assert_eq!(from_json(serde_json::from_str(&text).expect("JSON")), value);
        assert!(text.contains(r#""binary":"\u0000AP8=""#), "{text}");
    }

    #[test]
    fn what_is_no_base64_is_text() {
        assert_eq!(from_json("\0?".into()), Value::from("\0?"));
    }
}
