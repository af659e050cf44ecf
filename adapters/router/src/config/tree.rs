//! The document as read: values with their places, before anything is known about their meaning.

use core::fmt;
use wampd_core::value::{Dict, Value};

/// Deepest nesting of lists and mappings in a configuration file.
pub(super) const MAX_DEPTH: usize = 64;

/// Most values in a configuration file, those repeated by YAML aliases included.
pub(super) const MAX_VALUES: usize = 200_000;

/// A place in the file: line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A value and where it starts.
#[derive(Clone)]
pub(super) struct Node {
    /// Where the value starts.
    pub position: Position,
    /// The value.
    pub kind: Kind,
}

/// What a [`Node`] is.
#[derive(Clone)]
pub(super) enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits `i64`.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// A number with a fraction or an exponent, or too large for an integer.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// One key and its value in a mapping.
#[derive(Clone)]
pub(super) struct Entry {
    /// The key.
    pub key: String,
    /// Where the key starts.
    pub position: Position,
    /// The value.
    pub value: Node,
}

/// Why a document cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Where.
    pub position: Position,
    /// What is wrong there.
    pub message: String,
    /// What to do about it, when that is not obvious.
    pub hint: Option<&'static str>,
}

impl Node {
    /// What the value is, in the words of error messages.
    pub(super) const fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::UInt(_) => "an integer",
            Kind::Float(_) => "a number with a fraction",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The value without its places.
    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Int(n) => Value::Int(*n),
            Kind::UInt(n) => Value::UInt(*n),
            Kind::Float(n) => Value::Float(*n),
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => {
                Value::Dict(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect::<Dict>())
            }
        }
    }

    /// How many values this is, itself included.
    pub(super) fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::List(items) => items.iter().map(Self::count).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
            _ => 0,
        }
    }

    /// How many levels of lists and mappings this is, none for a scalar.
    pub(super) fn depth(&self) -> usize {
        match &self.kind {
            Kind::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Shows kinds and places only: a document holds secrets.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.kind_name(), self.position.line, self.position.column)
    }
}
