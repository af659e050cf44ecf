//! The host protocol without processes: questions become lines, lines become answers.

use super::HostLimits;
use super::json::{Json, from_json};
use core::fmt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;
use wampd_core::uri::{Uri, UriRule};
use wampd_core::value::Value;

/// Id of the request that makes the function.
const CREATE: u64 = 0;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// The function said no.
    Denied { uri: Uri, message: String },
    /// It did not work.
    Failed {
        /// For the client: tells nothing of the inside.
        message: &'static str,
        /// For the log.
        detail: String,
    },
}

impl HostError {
    fn failed(message: &'static str, detail: impl Into<String>) -> Self {
        Self::Failed { message, detail: detail.into() }
    }
}

/// What a host did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// A line is longer than [`HostLimits::max_answer`].
    TooLong(usize),
    /// A line is no answer.
    NotAnAnswer(String),
    /// An answer to what was never asked.
    UnknownId(u64),
    /// The function could not be made.
    NotCreated(String),
    /// It is not ready within [`HostLimits::start_timeout`].
    NotReady,
    /// It has answered nothing within [`HostLimits::answer_timeout`].
    Hangs,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "it wrote a line of more than {limit} bytes"),
            Self::NotAnAnswer(why) => write!(f, "it wrote a line that is no answer: {why}"),
            Self::UnknownId(id) => write!(f, "it answered {id}, which was never asked"),
            Self::NotCreated(why) => write!(f, "the function could not be made: {why}"),
            Self::NotReady => f.write_str("it was not ready in time"),
            Self::Hangs => f.write_str("it answered nothing in time"),
        }
    }
}

/// Where an answer goes.
pub(super) type Answered = Box<dyn FnOnce(Result<Value, HostError>) + Send>;

/// The state of one host's questions. It outlives the process: what was not sent yet is sent to the next.
pub(super) struct Exchange {
    limits: HostLimits,
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// What was asked before the host was ready.
    held: VecDeque<(u64, Vec<u8>)>,
    held_bytes: usize,
    phase: Phase,
    last_answer: Option<Instant>,
    /// A line that is not complete.
    line: Vec<u8>,
    late: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    Creating { deadline: Instant },
    Ready,
}

struct Waiting {
    asked: Instant,
    deadline: Instant,
    sent: bool,
    answered: Answered,
}

#[derive(Serialize)]
struct Question<'a> {
    id: u64,
    args: Vec<Json<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: u64,
    result: Option<serde_json::Value>,
    error: Option<String>,
    message: Option<String>,
    failed: Option<String>,
}

impl Exchange {
    pub(super) fn new(limits: HostLimits) -> Self {
        Self {
            limits,
            next: CREATE + 1,
            waiting: BTreeMap::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            phase: Phase::Down,
            last_answer: None,
            line: Vec::new(),
            late: 0,
        }
    }

    /// A process was started, and the request that makes the function is on its way.
    pub(super) fn started(&mut self, now: Instant) {
        self.line.clear();
        self.phase = Phase::Creating { deadline: now + self.limits.start_timeout };
    }

    /// Asks; `out` is what waits to be written to the host.
    pub(super) fn ask(&mut self, now: Instant, args: &[Value], answered: Answered, out: &mut Vec<u8>) {
        if self.waiting.len() >= self.limits.max_questions {
            let detail = format!("{} questions wait already", self.waiting.len());
            return answered(Err(HostError::failed("the authenticator is overloaded", detail)));
        }
        let id = self.next;
        let question = Question { id, args: args.iter().map(Json).collect() };
        let line = match serde_json::to_vec(&question) {
            Ok(mut line) => {
                line.push(b'\n');
                line
            }
            Err(error) => return answered(Err(HostError::failed("the authenticator failed", error.to_string()))),
        };
        if self.held_bytes + out.len() + line.len() > self.limits.max_question_bytes {
            let detail = format!("more than {} bytes wait to be read by it", self.limits.max_question_bytes);
            return answered(Err(HostError::failed("the authenticator is overloaded", detail)));
        }
        self.next += 1;
        let sent = self.phase == Phase::Ready;
        let deadline = now + self.limits.answer_timeout;
        self.waiting.insert(id, Waiting { asked: now, deadline, sent, answered });
        if sent {
            out.extend_from_slice(&line);
        } else {
            self.held_bytes += line.len();
            self.held.push_back((id, line));
        }
    }

    /// What the host has written.
    pub(super) fn receive(&mut self, now: Instant, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.admit(end)?;
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = core::mem::take(&mut self.line);
            self.answer(now, &line, out)?;
        }
        self.admit(bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn admit(&self, more: usize) -> Result<(), Violation> {
        let limit = self.limits.max_answer;
        if self.line.len() + more > limit { Err(Violation::TooLong(limit)) } else { Ok(()) }
    }

    fn answer(&mut self, now: Instant, line: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        // The text of the line is not told: it may hold secrets.
        let answer: Answer = serde_json::from_slice(line).map_err(|error| {
            let why = match error.classify() {
                serde_json::error::Category::Data => "it has not the members id, and result, error or failed",
                _ => "it is not JSON",
            };
            Violation::NotAnAnswer(format!("{why}, at column {}", error.column()))
        })?;
        let id = answer.id;
        let result = answer.result()?;
        self.last_answer = Some(now);
        if let (CREATE, Phase::Creating { .. }) = (id, self.phase) {
            return match result {
                Ok(_) => {
                    self.ready(out);
                    Ok(())
                }
                Err(HostError::Denied { uri, message }) => Err(Violation::NotCreated(format!("{uri}: {message}"))),
                Err(HostError::Failed { detail, .. }) => Err(Violation::NotCreated(detail)),
            };
        }
        match self.waiting.remove(&id) {
            Some(waiting) if waiting.sent => (waiting.answered)(result),
            Some(waiting) => {
                self.waiting.insert(id, waiting);
                return Err(Violation::UnknownId(id));
            }
            // Its time was up.
            None if id != CREATE && id < self.next => self.late += 1,
            None => return Err(Violation::UnknownId(id)),
        }
        Ok(())
    }

    fn ready(&mut self, out: &mut Vec<u8>) {
        self.phase = Phase::Ready;
        self.held_bytes = 0;
        for (id, line) in self.held.drain(..) {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.sent = true;
                out.extend_from_slice(&line);
            }
        }
    }

    /// Answers that came too late so far.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    /// When [`Exchange::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let creating = match self.phase {
            Phase::Creating { deadline } => Some(deadline),
            Phase::Down | Phase::Ready => None,
        };
        // All questions have the same time, so the first asked is the first whose time is up.
        self.waiting.values().next().map(|waiting| waiting.deadline).into_iter().chain(creating).min()
    }

    /// Fails the questions whose time is up.
    pub(super) fn expire(&mut self, now: Instant) -> Result<(), Violation> {
        let mut hangs = false;
        while let Some(first) = self.waiting.first_entry().filter(|first| first.get().deadline <= now) {
            let Waiting { asked, sent, answered, .. } = first.remove();
            hangs |= sent && self.last_answer.is_none_or(|last| last < asked);
            let detail = format!("no answer within {} ms", self.limits.answer_timeout.as_millis());
            answered(Err(HostError::failed("the authenticator did not answer in time", detail)));
        }
        self.forget_held();
        match self.phase {
            Phase::Creating { deadline } if deadline <= now => Err(Violation::NotReady),
            Phase::Ready if hangs => Err(Violation::Hangs),
            _ => Ok(()),
        }
    }

    /// The process is gone, and the next is started at `restart`, if at all: what it was asked has no answer.
    pub(super) fn ended(&mut self, why: &str, restart: Option<Instant>) {
        self.phase = Phase::Down;
        self.line.clear();
        let hopeless = |waiting: &Waiting| waiting.sent || restart.is_none_or(|restart| restart >= waiting.deadline);
        let ids: Vec<u64> = self.waiting.iter().filter(|(_, waiting)| hopeless(waiting)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(waiting) = self.waiting.remove(&id) {
                (waiting.answered)(Err(HostError::failed("the authenticator failed", why)));
            }
        }
        self.forget_held();
    }

    fn forget_held(&mut self) {
        self.held.retain(|(id, _)| self.waiting.contains_key(id));
        self.held_bytes = self.held.iter().map(|(_, line)| line.len()).sum();
    }
}

impl Answer {
    fn result(self) -> Result<Result<Value, HostError>, Violation> {
        let nonsense = |why: &str| Violation::NotAnAnswer(why.to_owned());
        match (self.result, self.error, self.failed) {
            (result, None, None) => Ok(Ok(from_json(result.unwrap_or_default()))),
            (None, Some(uri), None) => match Uri::parse(&uri, UriRule::Loose) {
                Ok(uri) => Ok(Err(HostError::Denied { uri, message: self.message.unwrap_or_default() })),
                Err(_) => Err(nonsense("error is not a URI")),
            },
            (None, None, Some(why)) => Ok(Err(HostError::failed("the authenticator failed", why))),
            _ => Err(nonsense("it has more than one of result, error and failed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    type Answers = mpsc::Receiver<Result<Value, HostError>>;

    struct Pair {
        exchange: Exchange,
        now: Instant,
        out: Vec<u8>,
    }

    impl Pair {
        fn new(limits: HostLimits) -> Self {
            let (mut exchange, now) = (Exchange::new(limits), Instant::now());
            exchange.started(now);
            Self { exchange, now, out: Vec::new() }
        }

        fn ready() -> Self {
            let mut pair = Self::new(HostLimits::default());
            pair.receive("{\"id\":0}\n").expect("ready");
            pair
        }

        fn ask(&mut self, text: &str) -> Answers {
            let (sender, receiver) = mpsc::channel();
            let answered = Box::new(move |answer| sender.send(answer).expect("received"));
            self.exchange.ask(self.now, &[Value::from(text)], answered, &mut self.out);
            receiver
        }

        fn receive(&mut self, text: &str) -> Result<(), Violation> {
            self.exchange.receive(self.now, text.as_bytes(), &mut self.out)
        }

        fn written(&mut self) -> String {
            String::from_utf8(core::mem::take(&mut self.out)).expect("text")
        }
    }

    fn failed(answers: &Answers) -> (&'static str, String) {
        match answers.try_recv().expect("answered") {
            Err(HostError::Failed { message, detail }) => (message, detail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn questions_wait_until_the_host_is_ready() {
        let mut pair = Pair::new(HostLimits::default());
        let first = pair.ask("a");
        assert_eq!(pair.written(), "");
        pair.receive("{\"id\":0,\"result\":null}\n").expect("ready");
        let second = pair.ask("b");
        assert_eq!(pair.written(), "{\"id\":1,\"args\":[\"a\"]}\n{\"id\":2,\"args\":[\"b\"]}\n");
        pair.receive("{\"id\":2,\"result\":").expect("a part");
        pair.receive("\"B\"}\n{\"id\":1,\"error\":\"com.no\",\"message\":\"no\"}\n").expect("answers");
        let denied = HostError::Denied { uri: Uri::from("com.no"), message: "no".to_owned() };
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(Err(denied)), Ok(Ok(Value::from("B")))));
    }

    #[test]
    fn nonsense_is_a_violation_and_shows_nothing() {
        for (line, part) in [
            ("secret123", "not JSON"),
            ("{\"secret123\":1}", "members"),
            ("{\"id\":1,\"result\":1,\"error\":\"com.a\"}", "more than one"),
            ("{\"id\":1,\"error\":\"secret 123\"}", "not a URI"),
            ("{\"id\":-1}", "members"),
            ("[]", "members"),
            ("", "not JSON"),
            ("{\"id\":7}", "never asked"),
            ("{\"id\":0}", "never asked"),
            ("\u{0}", "not JSON"),
        ] {
            let mut pair = Pair::ready();
            let answers = pair.ask("a");
            let violation = pair.receive(&format!("{line}\n")).expect_err(line).to_string();
            assert!(violation.contains(part) && !violation.contains("secret"), "{line}: {violation}");
            pair.exchange.ended("x", Some(pair.now));
            assert_eq!(failed(&answers).0, "the authenticator failed");
        }
    }

    #[test]
    fn long_lines_are_cut_off_before_they_are_held() {
        let limits = HostLimits { max_answer: 10, ..HostLimits::default() };
        for text in ["12345678901", "12345678901\n"] {
            assert_eq!(Pair::new(limits).receive(text), Err(Violation::TooLong(10)));
        }
        let mut pair = Pair::new(limits);
        pair.receive("123456").expect("short");
        assert_eq!(pair.receive("78901"), Err(Violation::TooLong(10)));
    }

    #[test]
    fn a_slow_answer_fails_alone_and_a_silent_host_hangs() {
        let mut pair = Pair::ready();
        let (slow, start) = (pair.ask("slow"), pair.now);
        pair.now += Duration::from_secs(1);
        let quick = pair.ask("quick");
        pair.receive("{\"id\":2}\n").expect("answer");
        assert!(quick.try_recv().expect("answered").is_ok());
        assert_eq!(pair.exchange.deadline(), Some(start + Duration::from_secs(10)));
        pair.now = start + Duration::from_secs(10);
        assert_eq!(pair.exchange.expire(pair.now), Ok(()));
        assert_eq!(failed(&slow).0, "the authenticator did not answer in time");
        pair.receive("{\"id\":1}\n").expect("late answers are no harm");
        assert_eq!(pair.exchange.late(), 1);
        pair.now += Duration::from_secs(1);
        let silent = pair.ask("silent");
        pair.now += Duration::from_secs(10);
        assert_eq!(pair.exchange.expire(pair.now), Err(Violation::Hangs));
        assert_eq!(failed(&silent).0, "the authenticator did not answer in time");
    }

    #[test]
    fn what_was_not_sent_is_asked_of_the_next_process() {
        let mut pair = Pair::new(HostLimits::default());
        let answers = pair.ask("a");
        pair.exchange.ended("it broke", Some(pair.now + Duration::from_secs(1)));
        assert!(answers.try_recv().is_err(), "there is hope");
        pair.exchange.started(pair.now);
        pair.receive("{\"id\":0}\n").expect("ready");
        assert_eq!(pair.written(), "{\"id\":1,\"args\":[\"a\"]}\n");
        pair.exchange.ended("it broke", Some(pair.now));
        assert_eq!(failed(&answers), ("the authenticator failed", "it broke".to_owned()));
        let (hopeless, in_a_minute) = (pair.ask("b"), pair.now + Duration::from_secs(60));
        pair.exchange.ended("it broke", Some(in_a_minute));
        assert_eq!(failed(&hopeless).1, "it broke");
    }

    #[test]
    fn not_ready_in_time() {
        let mut pair = Pair::new(HostLimits::default());
        pair.now += Duration::from_secs(30);
        assert_eq!(pair.exchange.expire(pair.now), Err(Violation::NotReady));
        let mut pair = Pair::new(HostLimits::default());
        let violation = pair.receive("{\"id\":0,\"failed\":\"ImportError\"}\n");
        assert_eq!(violation, Err(Violation::NotCreated("ImportError".to_owned())));
    }

    #[test]
    fn questions_are_bounded_in_number_and_bytes() {
        let mut pair = Pair::new(HostLimits { max_questions: 2, ..HostLimits::default() });
        let _waiting = (pair.ask("a"), pair.ask("b"));
        assert_eq!(failed(&pair.ask("c")).0, "the authenticator is overloaded");
        let mut pair = Pair::new(HostLimits { max_question_bytes: 64, ..HostLimits::default() });
        let _waiting = pair.ask(&"a".repeat(30));
        let (message, detail) = failed(&pair.ask(&"b".repeat(30)));
        assert!(message.contains("overloaded") && detail.contains("64 bytes"), "{detail}");
    }
}
