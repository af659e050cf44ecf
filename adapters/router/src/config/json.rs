//! JSON with places (RFC 8259, strict): no comments, no trailing commas, no duplicate keys.

use super::tree::{Entry, Kind, MAX_DEPTH, MAX_VALUES, Node, Position, SyntaxError};
use std::collections::BTreeMap;

const NO_COMMENTS: &str = "JSON has no comments: remove it, or write the file as YAML";
const NO_TRAILING_COMMA: &str = "remove the comma before it";
const REMOVE_DUPLICATE: &str = "remove one of the two";

/// Reads a JSON document.
///
/// # Errors
/// The first place where the text is not JSON, and every duplicate key before it.
pub(super) fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let mut parser = Parser {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        position: Position { line: 1, column: 1 },
        values: 0,
        duplicates: Vec::new(),
    };
    let result = parser.document();
    let mut errors = parser.duplicates;
    match result {
        Ok(node) if errors.is_empty() => Ok(node),
        Ok(_) => Err(errors),
        Err(error) => {
            errors.push(error);
            Err(errors)
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
    position: Position,
    values: usize,
    duplicates: Vec<SyntaxError>,
}

impl<'t> Parser<'t> {
    fn document(&mut self) -> Result<Node, SyntaxError> {
        let node = self.value(0)?;
        self.space();
        match self.peek() {
            None => Ok(node),
            Some(c) => Err(self.unexpected(c, "the end of the file")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.space();
        let position = self.position;
        self.values += 1;
        if depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        if self.values > MAX_VALUES {
            return Err(self.error(format!("more than {MAX_VALUES} values")));
        }
        let kind = match self.peek() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Kind::Text(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z' | 'A'..='Z') => self.word()?,
            Some(c) => return Err(self.unexpected(c, "a value")),
            None => return Err(self.error("the file ends where a value is expected".to_owned())),
        };
        Ok(Node { position, kind })
    }

    fn map(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        self.take();
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: BTreeMap<String, Position> = BTreeMap::new();
        self.space();
        if self.eat('}') {
            return Ok(Kind::Map(entries));
        }
        loop {
            self.space();
            let position = self.position;
            match self.peek() {
                Some('"') => {}
                Some('}') => return Err(self.error_with("expected a key, found '}'", NO_TRAILING_COMMA)),
                Some(c) => return Err(self.unexpected(c, "a key in double quotes")),
                None => return Err(self.error("the file ends inside a mapping".to_owned())),
            }
            let key = self.string()?;
            self.space();
            if !self.eat(':') {
                return Err(self.expected("':' after the key"));
            }
            let value = self.value(depth + 1)?;
            if let Some(first) = places.get(&key) {
                let message = format!("duplicate key {key:?}, first given at line {}", first.line);
                self.duplicates.push(SyntaxError { position, message, hint: Some(REMOVE_DUPLICATE) });
            } else {
                places.insert(key.clone(), position);
                entries.push(Entry { key, position, value });
            }
            self.space();
            if self.eat('}') {
                return Ok(Kind::Map(entries));
            }
            if !self.eat(',') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        self.take();
        let mut items = Vec::new();
        self.space();
        if self.eat(']') {
            return Ok(Kind::List(items));
        }
        loop {
            self.space();
            if self.peek() == Some(']') {
                return Err(self.error_with("expected a value, found ']'", NO_TRAILING_COMMA));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(']') {
                return Ok(Kind::List(items));
            }
            if !self.eat(',') {
                return Err(self.expected("',' or ']'"));
            }
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.position;
        self.take();
        let mut text = String::new();
        loop {
            let position = self.position;
            match self.take() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(position)?),
                Some(c) if (c as u32) < 0x20 => {
                    let message = format!("control character U+{:04X} inside a string", c as u32);
                    return Err(SyntaxError { position, message, hint: Some("write it as an escape, like \\n") });
                }
                Some(c) => text.push(c),
                None => {
                    let message = "the string that starts here does not end".to_owned();
                    return Err(SyntaxError { position: start, message, hint: None });
                }
            }
        }
    }

    fn escape(&mut self, position: Position) -> Result<char, SyntaxError> {
        Ok(match self.take() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode_escape(position),
            _ => return Err(SyntaxError { position, message: "unknown escape in a string".to_owned(), hint: None }),
        })
    }

    fn unicode_escape(&mut self, position: Position) -> Result<char, SyntaxError> {
        let bad = || SyntaxError { position, message: "invalid \\u escape in a string".to_owned(), hint: None };
        let unit = self.four_hex().ok_or_else(bad)?;
        if !(0xd800..0xe000).contains(&unit) {
            return char::from_u32(unit).ok_or_else(bad);
        }
        if unit >= 0xdc00 || self.take() != Some('\\') || self.take() != Some('u') {
            return Err(bad());
        }
        let low = self.four_hex().filter(|low| (0xdc00..0xe000).contains(low)).ok_or_else(bad)?;
        char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(bad)
    }

    fn four_hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |sum, _| Some(sum * 16 + self.take()?.to_digit(16)?))
    }

    fn number(&mut self) -> Result<Kind, SyntaxError> {
        let position = self.position;
        let start = self.rest;
        while matches!(self.peek(), Some('-' | '+' | '.' | 'e' | 'E' | '0'..='9')) {
            self.take();
        }
        let text = &start[..start.len() - self.rest.len()];
        let bad = || SyntaxError { position, message: format!("{text:?} is not a JSON number"), hint: None };
        match serde_json::from_str::<serde_json::Number>(text) {
            Err(_) => Err(bad()),
            Ok(number) => Ok(if let Some(n) = number.as_i64() {
                Kind::Int(n)
            } else if let Some(n) = number.as_u64() {
                Kind::UInt(n)
            } else {
                Kind::Float(number.as_f64().ok_or_else(bad)?)
            }),
        }
    }

    fn word(&mut self) -> Result<Kind, SyntaxError> {
        let position = self.position;
        let start = self.rest;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.take();
        }
        match &start[..start.len() - self.rest.len()] {
            "null" => Ok(Kind::Null),
            "true" => Ok(Kind::Bool(true)),
            "false" => Ok(Kind::Bool(false)),
            other => {
                let message = format!("{other:?} is not a JSON value");
                Err(SyntaxError { position, message, hint: Some("strings need double quotes") })
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.position = Position { line: self.position.line + 1, column: 1 };
        } else {
            self.position.column += 1;
        }
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.take();
        }
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.take();
        }
    }

    fn expected(&self, wanted: &str) -> SyntaxError {
        match self.peek() {
            Some(c) => self.unexpected(c, wanted),
            None => self.error(format!("the file ends where {wanted} is expected")),
        }
    }

    fn unexpected(&self, found: char, wanted: &str) -> SyntaxError {
        let hint = (found == '/' || found == '#').then_some(NO_COMMENTS);
        SyntaxError { position: self.position, message: format!("expected {wanted}, found {found:?}"), hint }
    }

    fn error_with(&self, message: &str, hint: &'static str) -> SyntaxError {
        SyntaxError { position: self.position, message: message.to_owned(), hint: Some(hint) }
    }

    const fn error(&self, message: String) -> SyntaxError {
        SyntaxError { position: self.position, message, hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(usize, usize, String)> {
        let errors = parse(text).expect_err("must not parse");
        errors.into_iter().map(|e| (e.position.line, e.position.column, e.message)).collect()
    }

    #[test]
    fn values_agree_with_serde_json() {
        let text =
            r#"{"a": [1, -2.5e3, 18446744073709551615, "x\u00e9\ud83d\ude00\n\/"], "b": {"c": null, "d": true}}"#;
        let ours = serde_json::to_value(parse(text).expect("valid").to_value()).expect("JSON");
        assert_eq!(ours, serde_json::from_str::<serde_json::Value>(text).expect("valid"));
    }

    #[test]
    fn places_are_exact() {
        let node = parse("{\n  \"é\": [1,\n   {\"k\": 2}]}").expect("valid");
        let Kind::Map(entries) = &node.kind else { panic!("a mapping") };
        assert_eq!((entries[0].position.line, entries[0].position.column), (2, 3));
        let Kind::List(items) = &entries[0].value.kind else { panic!("a list") };
        assert_eq!((items[0].position.line, items[0].position.column), (2, 9));
        assert_eq!((items[1].position.line, items[1].position.column), (3, 4));
    }

    #[test]
    fn every_duplicate_key_is_reported() {
        assert_eq!(
            errors("{\"a\": 1,\n \"a\": 2, \"b\": {\"c\": 1, \"c\": 2}}"),
            [
                (2, 2, "duplicate key \"a\", first given at line 1".to_owned()),
                (2, 24, "duplicate key \"c\", first given at line 2".to_owned()),
            ]
        );
    }

    #[test]
    fn syntax_errors_have_places() {
        for (text, line, column) in [
            ("", 1, 1),
            ("{\"a\": 1,}", 1, 9),
            ("[1,]", 1, 4),
            ("{\n // no\n}", 2, 2),
            ("{\"a\" 1}", 1, 6),
            ("\"open", 1, 1),
            ("[01]", 1, 2),
            ("[1] x", 1, 5),
            ("{a: 1}", 1, 2),
            ("[tru]", 1, 2),
            ("[\"\\ud800x\"]", 1, 3),
        ] {
            let found = errors(text);
            assert_eq!((found[0].0, found[0].1), (line, column), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        let deep = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
        assert!(parse(&deep(MAX_DEPTH)).is_ok());
        assert!(parse(&deep(MAX_DEPTH + 2)).is_err());
    }
}
