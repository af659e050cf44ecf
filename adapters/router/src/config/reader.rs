//! Reading typed values out of the tree: every finding is recorded and reading goes on.

use super::lint::Sources;
use super::python::Python;
use super::report::{Problem, Report, Severity};
use super::secret::Secret;
use super::tls::TlsConfig;
use super::tree::{Entry, Kind, Node, Position};
use crate::node::certificates::CertificateError;
use crate::process::HostedFunction;
use crate::script::{ScriptError, ScriptLimits};
use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wampd_core::uri::Uri;

/// What a configuration refers to outside of it.
pub struct Surroundings<'a> {
    /// The folder of the configuration file: relative paths in the file start here.
    pub folder: &'a Path,
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a script.
    pub script: &'a dyn Fn(&Path) -> Result<String, ScriptError>,
    /// Whether the files of an endpoint's TLS can be used. Where they are not looked at, `&|_| Ok(())`.
    pub tls: &'a dyn Fn(&TlsConfig) -> Result<(), CertificateError>,
}

/// The findings so far and what the file may refer to.
pub(super) struct Context<'a> {
    pub(super) report: Report,
    pub(super) surroundings: &'a Surroundings<'a>,
    pub(super) script_limits: ScriptLimits,
    /// How Python is run in the worker being read.
    pub(super) python: Python,
    /// Functions that processes answer for.
    pub(super) functions: Vec<Arc<HostedFunction>>,
    /// What is checked at the end.
    pub(super) sources: Sources,
    /// The longest time for the opening handshake that the services of the transport being read ask for.
    pub(super) open_timeout: Option<Duration>,
    /// Whether the transport being read has TLS.
    pub(super) tls: bool,
    /// Environment variables that secrets come from.
    pub(super) secret_variables: BTreeSet<String>,
    /// Where the first secret is that stands in the file itself.
    pub(super) written_secret: Option<Place>,
    /// Realms whose `leave_event_details` is in the file.
    pub(super) leave_event_details: BTreeSet<Uri>,
}

impl<'a> Context<'a> {
    pub(super) fn new(file: &str, surroundings: &'a Surroundings<'a>) -> Self {
        let (report, script_limits) = (Report::new(file), ScriptLimits::default());
        Self {
            report,
            surroundings,
            script_limits,
            python: Python::new(surroundings.folder),
            functions: Vec::new(),
            sources: Sources::default(),
            open_timeout: None,
            tls: false,
            secret_variables: BTreeSet::new(),
            written_secret: None,
            leave_event_details: BTreeSet::new(),
        }
    }

    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.surroundings.folder.join(path)
    }

    fn push(&mut self, severity: Severity, place: &Place, message: String, hint: String) {
        let hint = (!hint.is_empty()).then_some(hint);
        let position = Some(place.position);
        self.report.push(Problem { severity, position, path: place.path.clone(), message, hint });
    }

    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, place, message.into(), hint.into());
    }

    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, place, message.into(), hint.into());
    }
}

/// Which value of the configuration something came from.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) position: Position,
}

impl Place {
    pub(super) fn key(&self, key: &str, position: Position) -> Self {
        let simple = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@'));
        let path = match (simple, self.path.is_empty()) {
            (true, true) => key.to_owned(),
            (true, false) => format!("{}.{key}", self.path),
            (false, _) => format!("{}[{key:?}]", self.path),
        };
        Self { path, position }
    }

    fn index(&self, index: usize, position: Position) -> Self {
        Self { path: format!("{}[{index}]", self.path), position }
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Item<'t> {
    pub(super) node: &'t Node,
    pub(super) place: Place,
}

impl<'t> Item<'t> {
    pub(super) fn root(node: &'t Node) -> Self {
        Self { node, place: Place { path: String::new(), position: node.position } }
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self.node.kind, Kind::Null)
    }

    fn mismatch(&self, cx: &mut Context<'_>, wanted: &str) {
        let hint = match (&self.node.kind, wanted) {
            (Kind::Text(text), "a boolean") if ["yes", "on", "y"].contains(&text.to_lowercase().as_str()) => {
                "write true"
            }
            (Kind::Text(text), "a boolean") if ["no", "off", "n"].contains(&text.to_lowercase().as_str()) => {
                "write false"
            }
            (Kind::Bool(_) | Kind::Int(_) | Kind::UInt(_) | Kind::Float(_), "a string") => "put it in quotes",
            _ => "",
        };
        cx.error(&self.place, format!("expected {wanted}, found {}", self.node.kind_name()), hint);
    }

    pub(super) fn map(&self, cx: &mut Context<'_>) -> Option<Section<'t>> {
        match &self.node.kind {
            Kind::Map(entries) => Some(Section { entries, place: self.place.clone(), known: BTreeSet::new() }),
            _ => {
                self.mismatch(cx, "a mapping");
                None
            }
        }
    }

    pub(super) fn list(&self, cx: &mut Context<'_>) -> Option<Vec<Self>> {
        match &self.node.kind {
            Kind::List(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| Self { node, place: self.place.index(index, node.position) })
                    .collect(),
            ),
            _ => {
                self.mismatch(cx, "a list");
                None
            }
        }
    }

    pub(super) fn str(&self, cx: &mut Context<'_>) -> Option<&'t str> {
        match &self.node.kind {
            Kind::Text(text) => Some(text),
            _ => {
                self.mismatch(cx, "a string");
                None
            }
        }
    }

    /// A string that says something.
    pub(super) fn name(&self, cx: &mut Context<'_>) -> Option<String> {
        let text = self.str(cx)?;
        if text.is_empty() {
            cx.error(&self.place, "must not be empty", "");
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn bool(&self, cx: &mut Context<'_>) -> Option<bool> {
        match self.node.kind {
            Kind::Bool(b) => Some(b),
            _ => {
                self.mismatch(cx, "a boolean");
                None
            }
        }
    }

    pub(super) fn integer(&self, cx: &mut Context<'_>, range: RangeInclusive<u64>, unit: &str) -> Option<u64> {
        let found = match self.node.kind {
            Kind::Int(n) => u64::try_from(n).ok(),
            Kind::UInt(n) => Some(n),
            // PyYAML and JSON writers turn 1e3 or 5.0 into floats; whole numbers are welcome.
            Kind::Float(n) if n >= 0.0 && n.fract() == 0.0 && n < 9e15 => Some(n as u64),
            _ => {
                self.mismatch(cx, "an integer");
                return None;
            }
        };
        if let Some(n) = found.filter(|n| range.contains(n)) {
            return Some(n);
        }
        let shown = match self.node.kind {
            Kind::Int(n) => n.to_string(),
            Kind::UInt(n) => n.to_string(),
            _ => found.map(|n| n.to_string()).unwrap_or_default(),
        };
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        cx.error(
            &self.place,
            format!("{shown} is out of range"),
            format!("{} to {}{unit}", range.start(), range.end()),
        );
        None
    }

    pub(super) fn one_of<T: Copy>(&self, cx: &mut Context<'_>, choices: &[(&str, T)]) -> Option<T> {
        let text = self.str(cx)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            cx.error(&self.place, format!("unknown value {text:?}"), format!("one of: {}", names.join(", ")));
        }
        found
    }

    /// A secret: the text itself, or `${VAR}` for the value of an environment variable.
    pub(super) fn secret(&self, cx: &mut Context<'_>) -> Option<Secret> {
        let text = self.str(cx)?;
        let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            cx.written_secret.get_or_insert_with(|| self.place.clone());
            return self.nonempty_secret(cx, text.to_owned());
        };
        cx.secret_variables.insert(name.to_owned());
        match (cx.surroundings.variable)(name) {
            Some(value) => self.nonempty_secret(cx, value),
            None => {
                let hint = format!("set {name} before starting, or write the value here");
                cx.error(&self.place, format!("environment variable {name} is not set"), hint);
                None
            }
        }
    }

    fn nonempty_secret(&self, cx: &mut Context<'_>, text: String) -> Option<Secret> {
        if text.is_empty() {
            cx.error(&self.place, "must not be empty", "");
            return None;
        }
        Some(Secret::new(text))
    }
}

/// A mapping being read. Each key is asked for by name; [`Section::finish`] reports the keys nobody asked for.
pub(super) struct Section<'t> {
    entries: &'t [Entry],
    pub(super) place: Place,
    known: BTreeSet<&'static str>,
}

impl<'t> Section<'t> {
    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.known.insert(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Item { node: &entry.value, place: self.place.key(key, entry.position) })
    }

    pub(super) fn require(&mut self, cx: &mut Context<'_>, key: &'static str, hint: &str) -> Option<Item<'t>> {
        let item = self.get(key);
        if item.is_none() {
            cx.error(&self.place, format!("the key {key:?} is missing"), hint);
        }
        item
    }

    /// All entries, for mappings whose keys are chosen by the user.
    pub(super) fn items(&self) -> impl Iterator<Item = (&'t str, Item<'t>)> + use<'t> {
        let place = self.place.clone();
        self.entries.iter().map(move |entry| {
            (entry.key.as_str(), Item { node: &entry.value, place: place.key(&entry.key, entry.position) })
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub(super) fn bool(&mut self, cx: &mut Context<'_>, key: &'static str, default: bool) -> bool {
        self.get(key).and_then(|item| item.bool(cx)).unwrap_or(default)
    }

    pub(super) fn integer(
        &mut self,
        cx: &mut Context<'_>,
        key: &'static str,
        range: RangeInclusive<u64>,
        unit: &str,
        default: u64,
    ) -> u64 {
        self.get(key).and_then(|item| item.integer(cx, range, unit)).unwrap_or(default)
    }

    pub(super) fn name(&mut self, cx: &mut Context<'_>, key: &'static str) -> Option<String> {
        self.get(key).and_then(|item| item.name(cx))
    }

    /// Keys that this router cannot honour: an error for each that is present, with what to do instead.
    pub(super) fn refuse(&mut self, cx: &mut Context<'_>, keys: &[(&'static str, &str)]) {
        for (key, hint) in keys {
            if let Some(item) = self.get(key) {
                cx.error(&item.place, "not supported", *hint);
            }
        }
    }

    /// Keys that change nothing here: a warning for each that is present.
    pub(super) fn ignore(&mut self, cx: &mut Context<'_>, keys: &[(&'static str, &str)]) {
        for (key, reason) in keys {
            if let Some(item) = self.get(key) {
                cx.warn(&item.place, "ignored", *reason);
            }
        }
    }

    /// Switches whose only supported position is `value`.
    pub(super) fn fixed(&mut self, cx: &mut Context<'_>, key: &'static str, value: bool, reason: &str) {
        if let Some(item) = self.get(key)
            && item.bool(cx).is_some_and(|found| found != value)
        {
            cx.error(&item.place, format!("{} is not supported", !value), reason);
        }
    }

    /// Reports every key that was never asked for.
    pub(super) fn finish(self, cx: &mut Context<'_>) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(entry.key.as_str())) {
            let near = self.known.iter().min_by_key(|known| distance(known, &entry.key));
            let hint = match near {
                Some(near) if distance(near, &entry.key) <= 2.max(entry.key.chars().count() / 3) => {
                    format!("did you mean {near:?}?")
                }
                _ if self.known.is_empty() => "remove it".to_owned(),
                _ => {
                    let known: Vec<_> = self.known.iter().copied().collect();
                    format!("known keys: {}", known.join(", "))
                }
            };
            cx.error(&self.place.key(&entry.key, entry.position), "unknown key", hint);
        }
    }
}

/// Levenshtein distance of two short texts; long ones count as far apart.
fn distance(a: &str, b: &str) -> usize {
    const LONG: usize = 64;
    let b: Vec<char> = b.chars().take(LONG).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(LONG).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
