//! YAML 1.2 with places: one document, the core schema, string keys, anchors and aliases, no merge keys, no tags.

use super::tree::{Entry, Kind, MAX_DEPTH, MAX_VALUES, Node, Position, SyntaxError};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, SpannedEventReceiver, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Reads a YAML document.
///
/// # Errors
/// The first place where the text is not YAML, and every duplicate key or unsupported construct before it.
pub(super) fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.on_event(event, span),
            Err(error) => {
                let position = place(error.marker());
                match indented_by_tab(text, position, error.info()) {
                    Some(position) => {
                        builder.error(position, "a tab in the indentation".to_owned(), Some("indent with spaces"));
                    }
                    None => builder.error(position, error.info().to_owned(), None),
                }
                break;
            }
        }
        if builder.broken {
            break;
        }
    }
    let end = Position { line: text.lines().count().max(1), column: 1 };
    match builder.root {
        _ if !builder.errors.is_empty() => Err(builder.errors),
        Some(node) => Ok(node),
        None => Err(vec![SyntaxError { position: end, message: "the document is empty".to_owned(), hint: None }]),
    }
}

/// Where the tab is that the parser complains of. It reports the end of the line before, if a value could go on.
fn indented_by_tab(text: &str, reported: Position, info: &str) -> Option<Position> {
    if !info.contains("tab") {
        return None;
    }
    let tab = |line: &str| line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).position(|byte| byte == b'\t');
    let mut lines = text.lines().enumerate().skip(reported.line.saturating_sub(1));
    let (number, column) = match lines.next() {
        Some((number, line)) if tab(line).is_some() => (number, tab(line)?),
        _ => lines.find(|(_, line)| !line.trim().is_empty()).and_then(|(number, line)| Some((number, tab(line)?)))?,
    };
    Some(Position { line: number + 1, column: column + 1 })
}

/// A list or mapping that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// In a mapping: the key whose value comes next.
    key: Option<(String, Position)>,
    places: BTreeMap<String, Position>,
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
    documents: usize,
    errors: Vec<SyntaxError>,
    /// A bound was exceeded: reading on could cost too much.
    broken: bool,
}

impl<'t> SpannedEventReceiver<'t> for Builder {
    fn on_event(&mut self, event: Event<'t>, span: Span) {
        let position = place(&span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let hint = Some("keep one document in the file");
                    self.fatal(position, "a second document starts here".to_owned(), hint);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let kind = self.scalar(text, style, tag, position);
                self.add(Node { position, kind }, anchor, style == ScalarStyle::Plain);
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) if self.open.len() + node.depth() > MAX_DEPTH => {
                    self.fatal(position, format!("nested deeper than {MAX_DEPTH} levels"), None);
                }
                Some(node) => {
                    self.values = self.values.saturating_add(node.count());
                    self.add(node, 0, false);
                }
                None => self.fatal(position, "an alias inside the value it stands for".to_owned(), None),
            },
            Event::SequenceStart(anchor, tag) => self.start(position, Kind::List(Vec::new()), anchor, tag),
            Event::MappingStart(anchor, tag) => self.start(position, Kind::Map(Vec::new()), anchor, tag),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.add(open.node, open.anchor, false);
                }
            }
        }
    }
}

impl Builder {
    fn start(&mut self, position: Position, kind: Kind, anchor: usize, tag: Option<Cow<'_, Tag>>) {
        if let Some(tag) = tag {
            self.refuse_tag(position, &tag);
        }
        if self.open.len() > MAX_DEPTH {
            self.fatal(position, format!("nested deeper than {MAX_DEPTH} levels"), None);
        }
        self.open.push(Open { node: Node { position, kind }, anchor, key: None, places: BTreeMap::new() });
    }

    /// Puts a finished value where it belongs: it is a key, a value, an item or the whole document.
    fn add(&mut self, node: Node, anchor: usize, plain: bool) {
        self.values = self.values.saturating_add(1);
        if self.values > MAX_VALUES {
            self.fatal(node.position, format!("more than {MAX_VALUES} values, aliases included"), None);
            return;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match open.key.take() {
                None => {
                    let position = node.position;
                    let key = self.key(node, plain);
                    if let Some(open) = self.open.last_mut() {
                        open.key = Some((key, position));
                    }
                }
                Some((key, position)) => {
                    if let Some(first) = open.places.get(&key) {
                        let message = format!("duplicate key {key:?}, first given at line {}", first.line);
                        self.error(position, message, Some("remove one of the two"));
                    } else {
                        open.places.insert(key.clone(), position);
                        entries.push(Entry { key, position, value: node });
                    }
                }
            },
            _ => {}
        }
    }

    /// The text of a key. Numbers and words stand for themselves, as a user id may look like one.
    fn key(&mut self, node: Node, plain: bool) -> String {
        let position = node.position;
        match node.kind {
            Kind::Text(text) if plain && text == "<<" => {
                let hint = Some("repeat the keys, or alias the whole mapping");
                self.error(position, "merge keys are not supported".to_owned(), hint);
                text
            }
            Kind::Text(text) => text,
            Kind::Bool(b) => b.to_string(),
            Kind::Int(n) => n.to_string(),
            Kind::UInt(n) => n.to_string(),
            _ => {
                let message = format!("{} cannot be a key", node.kind_name());
                self.error(position, message, Some("keys are strings"));
                String::new()
            }
        }
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<Cow<'_, Tag>>, at: Position) -> Kind {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => return Kind::Text(text.into_owned()),
            Some(tag) => self.refuse_tag(at, &tag),
            None => {}
        }
        if style == ScalarStyle::Plain { plain(&text) } else { Kind::Text(text.into_owned()) }
    }

    fn refuse_tag(&mut self, position: Position, tag: &Tag) {
        self.error(position, format!("the tag {tag} is not supported"), Some("remove the tag"));
    }

    fn error(&mut self, position: Position, message: String, hint: Option<&'static str>) {
        self.errors.push(SyntaxError { position, message, hint });
    }

    fn fatal(&mut self, position: Position, message: String, hint: Option<&'static str>) {
        self.error(position, message, hint);
        self.broken = true;
    }
}

/// What an unquoted scalar means (YAML 1.2.2 section 10.3.2, core schema).
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'));
    if let Some(n) = text.strip_prefix("0x").and_then(|digits| radix(digits, 16)) {
        return integer(n);
    }
    if let Some(n) = text.strip_prefix("0o").and_then(|digits| radix(digits, 8)) {
        return integer(n);
    }
    let number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
    if number {
        if let Ok(n) = text.parse::<i64>() {
            return Kind::Int(n);
        }
        if let Ok(n) = text.parse::<u64>() {
            return integer(n);
        }
        if let Some(n) = text.parse::<f64>().ok().filter(|n| n.is_finite()) {
            return Kind::Float(n);
        }
    }
    Kind::Text(text.to_owned())
}

fn integer(n: u64) -> Kind {
    i64::try_from(n).map_or(Kind::UInt(n), Kind::Int)
}

/// The parser counts lines from 1 and columns from 0.
fn place(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::json;

    fn errors(text: &str) -> Vec<(usize, usize, String)> {
        let errors = parse(text).expect_err("must not parse");
        errors.into_iter().map(|e| (e.position.line, e.position.column, e.message)).collect()
    }

    #[test]
    fn the_same_values_as_in_json() {
        let yaml =
            "a: [1, -2, 0x10, 2.5, ~, yes, 'no', \"x\"]\nb:\n  c: |\n    text\n  8080: true\nd: &x {e: 1}\nf: *x\n";
        let json = r#"{"a": [1, -2, 16, 2.5, null, "yes", "no", "x"], "b": {"c": "text\n", "8080": true}, "d": {"e": 1}, "f": {"e": 1}}"#;
        assert_eq!(parse(yaml).expect("YAML").to_value(), json::parse(json).expect("JSON").to_value());
    }

    #[test]
    fn json_is_yaml() {
        let json = r#"{"a": [1, {"b": "c\u00e9"}], "d": -1.5e3, "e": "~"}"#;
        assert_eq!(parse(json).expect("YAML").to_value(), json::parse(json).expect("JSON").to_value());
    }

    #[test]
    fn places_are_exact() {
        let node = parse("a: 1\nb:\n  - x\n  - k: 2\n").expect("valid");
        let Kind::Map(entries) = &node.kind else { panic!("a mapping") };
        assert_eq!((entries[1].position.line, entries[1].position.column), (2, 1));
        let Kind::List(items) = &entries[1].value.kind else { panic!("a list") };
        assert_eq!((items[0].position.line, items[0].position.column), (3, 5));
        let Kind::Map(inner) = &items[1].kind else { panic!("a mapping") };
        assert_eq!((inner[0].value.position.line, inner[0].value.position.column), (4, 8));
    }

    #[test]
    fn errors_have_places() {
        assert_eq!(errors("a: 1\na: 2\n"), [(2, 1, "duplicate key \"a\", first given at line 1".to_owned())]);
        assert_eq!(errors("<<: 2\n")[0].2, "merge keys are not supported");
        assert_eq!(errors("a: 1\n---\nb: 1\n")[0].2, "a second document starts here");
        assert_eq!(errors("")[0].2, "the document is empty");
        assert_eq!(errors("a: !!python/object x\n")[0].2, "the tag tag:yaml.org,2002:!python/object is not supported");
        assert_eq!((errors("a: [1\nb: 2\n")[0].0), 2);
    }

    #[test]
    fn a_tab_is_reported_where_it_stands() {
        for (text, line, column) in [
            ("a:\n\tb: 1\n", 2, 1),
            ("a: 1\n\tb: 1\n", 2, 1),
            ("a:\n  b: 1\n \tc: 2\n", 3, 2),
            ("a:\n- b: 1\n\n\t- c\n", 4, 1),
            ("a:\n  - x: 1\n\n# c\n\t  y: 2\n", 5, 1),
            ("a: {\n\tb: 1\n}\n", 2, 1),
            ("a: |\n\tb\n", 2, 1),
        ] {
            assert_eq!(errors(text), [(line, column, "a tab in the indentation".to_owned())], "{text:?}");
        }
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for i in 1..12 {
            text += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(","));
        }
        assert_eq!(errors(&text).last().expect("one").2, format!("more than {MAX_VALUES} values, aliases included"));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(&"[".repeat(50_000)).is_err());
    }
}
