//! Structured log lines: an event and its fields, as text or as JSON, one line each.
//!
//! What peers have chosen (names, texts) is escaped and cut: it can neither forge a line nor fill a disk by its length.
//! A log in the background never makes anybody wait: while whoever reads it does not, lines are dropped and counted.

mod writer;

use core::fmt::{self, Write as _};
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use wampd_core::time::UnixTime;
use writer::Writer;

/// Longest text of a field in bytes; what is longer is cut and ends with `…`.
const MAX_FIELD: usize = 512;

/// Most bytes of lines that wait for others, to be written at once.
const MAX_GATHERED: usize = 16 << 10;

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What the operator of a router wants to know.
    Info,
    /// What helps to find out why something does not work.
    Debug,
}

impl Level {
    /// All levels with their names, the gravest first.
    pub const ALL: [(&'static str, Self); 4] =
        [("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)];

    const fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-11-24T00:09:46.060Z info  session joined session=7 realm=realm1`
    Text,
    /// `{"time":"2026-11-24T00:09:46.060Z","level":"info","event":"session joined","session":7,"realm":"realm1"}`
    Json,
}

/// Most bytes of lines that wait to be written by a log in the background, if
/// [`set_max_waiting`](Log::set_max_waiting) says nothing else: 1 MiB.
pub const DEFAULT_MAX_WAITING: usize = writer::DEFAULT_MAX_WAITING;

/// Where lines go.
pub struct Log {
    level: Level,
    format: LogFormat,
    way: Way,
}

/// How lines get there.
enum Way {
    /// Whoever has a line writes it.
    Direct(Mutex<Out>),
    /// A thread does.
    Background(Writer),
}

struct Out {
    sink: Box<dyn Write + Send>,
    /// Lines that wait for others to be written with, oldest first.
    waiting: Vec<u8>,
}

impl Out {
    fn flush(&mut self) {
        if !self.waiting.is_empty() {
            // There is nowhere to say that nothing can be said.
            let _ = self.sink.write_all(&self.waiting).and_then(|()| self.sink.flush());
            self.waiting.clear();
        }
    }
}

impl Log {
    /// A log that writes to `out` what is at least as grave as `level`. Whoever has a line waits until it is written: `out`
    /// should not block.
    pub fn new(level: Level, format: LogFormat, out: Box<dyn Write + Send>) -> Self {
        let out = Out { sink: out, waiting: Vec::new() };
        Self { level, format, way: Way::Direct(Mutex::new(out)) }
    }

    /// A log whose lines are written to `out` by a thread of its own, for a pipe or terminal that may not be read. Lines
    /// that find [`DEFAULT_MAX_WAITING`] bytes waiting are dropped; how many is written once there is room again.
    ///
    /// # Errors
    /// The system has no thread.
    pub fn in_background(level: Level, format: LogFormat, out: Box<dyn Write + Send>) -> io::Result<Self> {
        let writer = Writer::start(out, move |count| dropped_line(format, count))?;
        Ok(Self { level, format, way: Way::Background(writer) })
    }

    /// Bounds the bytes of lines that wait to be written, of a log in the background.
    pub fn set_max_waiting(&self, bytes: usize) {
        if let Way::Background(writer) = &self.way {
            writer.set_max(bytes);
        }
    }

    /// Lines dropped so far since too many waited.
    pub fn dropped(&self) -> u64 {
        match &self.way {
            Way::Direct(_) => 0,
            Way::Background(writer) => writer.dropped(),
        }
    }

    /// Writes the lines that wait, or has them written.
    pub fn flush(&self) {
        match &self.way {
            Way::Direct(out) => out.lock().unwrap_or_else(PoisonError::into_inner).flush(),
            Way::Background(writer) => writer.flush(),
        }
    }

    /// Waits until all lines are written, no longer than `patience`. Returns whether they are.
    pub fn finish(&self, patience: Duration) -> bool {
        match &self.way {
            Way::Direct(out) => {
                out.lock().unwrap_or_else(PoisonError::into_inner).flush();
                true
            }
            Way::Background(writer) => writer.finish(patience),
        }
    }

    /// How lines are written.
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// Begins a line about something that does not work.
    pub fn error(&self, event: &'static str) -> Line<'_> {
        self.line(Level::Error, event)
    }

    /// Begins a line about something that is not as it should be.
    pub fn warn(&self, event: &'static str) -> Line<'_> {
        self.line(Level::Warn, event)
    }

    /// Begins a line that the operator wants to read.
    pub fn info(&self, event: &'static str) -> Line<'_> {
        self.line(Level::Info, event)
    }

    /// Begins a line for debugging.
    pub fn debug(&self, event: &'static str) -> Line<'_> {
        self.line(Level::Debug, event)
    }

    fn line(&self, level: Level, event: &'static str) -> Line<'_> {
        if level > self.level {
            return Line { log: None, text: String::new() };
        }
        Line { log: Some(self), text: begun(level, self.format, event) }
    }
}

/// The event of the line about lines that were dropped.
const LINES_DROPPED: &str = "log lines dropped: nobody reads them fast enough";

/// The whole line about so many lines that were dropped.
fn dropped_line(format: LogFormat, count: u64) -> String {
    let mut text = begun(Level::Warn, format, LINES_DROPPED);
    // Writing to a string does not fail.
    let _ = match format {
        LogFormat::Text => writeln!(text, " count={count}"),
        LogFormat::Json => writeln!(text, r#","count":{count}}}"#),
    };
    text
}

/// The beginning of a line: time, level and event.
fn begun(level: Level, format: LogFormat, event: &str) -> String {
    let time = now().to_iso8601();
    let level = level.name();
    let mut text = String::with_capacity(256);
    match format {
        LogFormat::Text => text.extend([&*time, " ", level, if level.len() == 4 { "  " } else { " " }, event]),
        LogFormat::Json => {
            text.extend([r#"{"time":""#, &*time, r#"","level":""#, level, r#"","event":""#, event, r#"""#]);
        }
    }
    text
}

/// The wall clock; what is before 1970 is as good as 1970.
pub(crate) fn now() -> UnixTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime(0).after(since_1970)
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).field("format", &self.format).finish_non_exhaustive()
    }
}

/// A line being written; [`Line::end`] writes it.
#[must_use = "a line is written by end()"]
#[derive(Debug)]
pub struct Line<'a> {
    /// `None`: not grave enough.
    log: Option<&'a Log>,
    text: String,
}

impl Line<'_> {
    /// Adds a text.
    pub fn text(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        let Some(log) = self.log else { return self };
        if log.format == LogFormat::Json {
            let value = serde_json::Value::from(cut(value.to_string())).to_string();
            self.json(key, &harmless_json(&value));
            return self;
        }
        self.text.extend([" ", key, "="]);
        let start = self.text.len();
        // Writing to a string does not fail.
        let _ = write!(self.text, "{value}");
        let written = &self.text[start..];
        if written.len() > MAX_FIELD || !is_plain(written) {
            let quoted = quoted(&cut(written.to_owned()));
            self.text.truncate(start);
            self.text.push_str(&quoted);
        }
        self
    }

    /// Adds a number.
    pub fn number(mut self, key: &'static str, value: u64) -> Self {
        match self.log.map(|log| log.format) {
            Some(LogFormat::Json) => self.json(key, &value),
            Some(LogFormat::Text) => self.plain(key, &value),
            None => {}
        }
        self
    }

    /// Writes the line, and those that wait before it.
    pub fn end(self) {
        self.add(true);
    }

    /// Leaves it to the next line, or to [`Log::flush`], to write the line: many are written at once then.
    pub fn end_later(self) {
        self.add(false);
    }

    fn add(mut self, at_once: bool) {
        let Some(log) = self.log else { return };
        self.text.push_str(if log.format == LogFormat::Json { "}\n" } else { "\n" });
        match &log.way {
            Way::Direct(out) => {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                out.waiting.extend_from_slice(self.text.as_bytes());
                if at_once || out.waiting.len() > MAX_GATHERED {
                    out.flush();
                }
            }
            Way::Background(writer) => writer.add(&self.text, at_once, MAX_GATHERED),
        }
    }

    fn json(&mut self, key: &str, value: &dyn fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.text, r#","{key}":{value}"#);
    }

    fn plain(&mut self, key: &str, value: &dyn fmt::Display) {
        let _ = write!(self.text, " {key}={value}");
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_FIELD {
        let end = (0..=MAX_FIELD).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether a text needs no quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'=' | b'\\'))
}

/// Whether terminals or viewers obey a character in place of showing it: separators of lines, and marks that turn the
/// direction of writing around.
fn steers(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || directs || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The same JSON without characters that steer, all of which have four hexadecimal digits.
fn harmless_json(json: &str) -> Cow<'_, str> {
    if !json.contains(steers) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if steers(c) {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// A text in quotes, without anything that ends the line or steers a terminal.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if steers(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;

    /// Somewhere to write that can be read.
    #[derive(Clone, Default)]
    pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(level: Level, format: LogFormat, write: impl FnOnce(&Log)) -> String {
        let memory = Memory::default();
        write(&Log::new(level, format, Box::new(memory.clone())));
        memory.text()
    }

    #[test]
    fn text_lines() {
        let text = written(Level::Info, LogFormat::Text, |log| {
            log.info("session joined").number("session", 7).text("realm", "realm1").text("authid", "").end();
            log.error("broken").text("why", "say \"no\"").text("path", "a=b").end();
        });
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
        let expected =
            [r#"info  session joined session=7 realm=realm1 authid="""#, r#"error broken why="say \"no\"" path="a=b""#];
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_lines() {
        let text = written(Level::Debug, LogFormat::Json, |log| {
            log.debug("session joined").number("session", 1 << 53).text("authid", "a\"\n\u{85}日本").end();
        });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).expect("JSON");
        assert_eq!((&line["level"], &line["event"]), (&"debug".into(), &"session joined".into()));
        assert_eq!((&line["session"], &line["authid"]), (&(1u64 << 53).into(), &"a\"\n\u{85}日本".into()));
        let time = line["time"].as_str().expect("text");
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }

    #[test]
    fn peers_can_not_forge_lines_or_steer_terminals() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = written(Level::Info, format, |log| {
                log.info("x").text("authid", "a\nb\r\u{1b}[2J\u{9b}\u{2028}\u{202e}\0").end();
            });
            assert_eq!(text.lines().count(), 1);
            let harmful = |c: char| c != '\n' && (c.is_ascii_control() || format == LogFormat::Text && !c.is_ascii());
            assert!(!text.contains(harmful), "{text:?}");
        }
    }

    #[test]
    fn what_steers_a_viewer_is_escaped_and_read_back() {
        let steering = (0..=0x1f).chain([0x7f]).chain(0x80..=0x9f);
        let steering =
            steering.chain([0x61c, 0x200e, 0x200f, 0x2028, 0x2029]).chain(0x202a..=0x202e).chain(0x2066..=0x2069);
        let steering: String = steering.filter_map(char::from_u32).collect();
        let shown = "日本 ß é \u{a0}";
        let value = format!("{steering}{shown}");
        let json = written(Level::Info, LogFormat::Json, |log| log.info("x").text("authid", &value).end());
        let line: serde_json::Value = serde_json::from_str(json.trim_end()).expect("JSON");
        assert_eq!(line["authid"], value.as_str());
        let text = written(Level::Info, LogFormat::Text, |log| log.info("x").text("authid", &value).end());
        for line in [json, text] {
            assert!(!line.trim_end().contains(|c| steering.contains(c)), "{line:?}");
            assert!(line.contains(shown), "{line:?}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let text = written(Level::Info, LogFormat::Text, |log| log.info("x").text("authid", "日".repeat(400)).end());
        assert!(text.contains('…') && text.len() < MAX_FIELD + 64, "{}", text.len());
    }

    #[test]
    fn lines_that_wait_are_written_in_order() {
        let memory = Memory::default();
        let log = Log::new(Level::Info, LogFormat::Text, Box::new(memory.clone()));
        let events = || -> Vec<String> {
            memory.text().lines().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned()).collect()
        };
        log.info("a").end_later();
        log.info("b").end_later();
        assert_eq!(memory.text(), "");
        log.info("c").end();
        assert_eq!(events(), ["a", "b", "c"].map(str::to_owned).to_vec());
        log.info("d").end_later();
        log.flush();
        assert_eq!(events(), ["a", "b", "c", "d"].map(str::to_owned).to_vec());
        (0..=MAX_GATHERED / 40).for_each(|n| log.info("many").number("number", n as u64).end_later());
        assert!(memory.text().contains("many"), "no more wait than fit");
    }

    #[test]
    fn lines_in_the_background_are_written_in_order_and_those_dropped_are_counted() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let memory = Memory::default();
            let log = Log::in_background(Level::Info, format, Box::new(memory.clone())).expect("a thread");
            log.info("a").end_later();
            log.info("b").end();
            assert!(log.finish(Duration::from_secs(60)));
            assert_eq!((memory.text().lines().count(), log.dropped()), (2, 0));
            log.set_max_waiting(0);
            log.info("c").end();
            assert!(log.finish(Duration::from_secs(60)));
            let text = memory.text();
            let lines: Vec<&str> = text.lines().collect();
            let count = if format == LogFormat::Json { r#","count":1}"# } else { " count=1" };
            assert!(lines[0].contains('a') && lines[1].contains('b') && lines[2].ends_with(count), "{text}");
            assert_eq!((lines.len(), log.dropped()), (3, 1));
        }
    }

    #[test]
    fn what_is_not_grave_enough_is_not_written() {
        let text = written(Level::Warn, LogFormat::Text, |log| {
            log.info("x").text("a", "b").number("n", 1).end();
            log.debug("x").end();
            log.warn("y").end();
        });
        assert!(text.ends_with(" warn  y\n") && text.lines().count() == 1, "{text}");
    }
}
