//! The host protocol without processes: questions become lines, lines become answers.
//!
//! Few questions are with the host at a time; the others wait here, where the addresses they come from take turns, and
//! where they are dropped when nobody waits for their answers any more.

use super::HostLimits;
use super::json::{Json, from_json};
use crate::reply::Question;
use core::fmt;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use wampd_core::uri::{Uri, UriRule};
use wampd_core::value::Value;
use wampd_mio::FairQueue;

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
    /// It could not be asked, or its process ended, and it may answer later.
    Unavailable {
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

    fn unavailable(message: &'static str, detail: impl Into<String>) -> Self {
        Self::Unavailable { message, detail: detail.into() }
    }
}

/// What a host did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// A line goes on and on, or one longer than [`HostLimits::max_answer`] does not say what it answers.
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
    /// What the host has been sent, by id.
    sent: BTreeMap<u64, Waiting>,
    /// What it has not been sent yet.
    held: FairQueue<Held>,
    held_bytes: usize,
    phase: Phase,
    last_answer: Option<Instant>,
    /// A line that is not complete.
    line: Vec<u8>,
    /// The bytes of the line that follow its beginning and are passed over, if it is longer than an answer may be.
    passed_over: Option<usize>,
    late: u64,
}

/// Lines this many times as long as an answer may be are passed over; longer ones are a violation.
const MAX_PASSED_OVER: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    Creating { deadline: Instant },
    Ready { since: Instant },
}

struct Waiting {
    asked: Instant,
    deadline: Instant,
    answered: Answered,
}

struct Held {
    asked: Instant,
    question: Arc<Question>,
    /// The arguments in JSON.
    args: Vec<u8>,
    answered: Answered,
}

/// A member of an answer that is found whatever the others are.
#[derive(Deserialize)]
struct Id {
    id: u64,
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
            sent: BTreeMap::new(),
            held: FairQueue::default(),
            held_bytes: 0,
            phase: Phase::Down,
            last_answer: None,
            line: Vec::new(),
            passed_over: None,
            late: 0,
        }
    }

    /// A process was started, and the request that makes the function is on its way.
    pub(super) fn started(&mut self, now: Instant) {
        self.line.clear();
        self.passed_over = None;
        self.phase = Phase::Creating { deadline: now + self.limits.start_timeout };
    }

    /// Asks; `out` is what waits to be written to the host. What finds no room fails: this, or the last question of whoever
    /// has most that wait.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        args: &[Value],
        question: Arc<Question>,
        answered: Answered,
        out: &mut Vec<u8>,
    ) {
        let args: Vec<Json<'_>> = args.iter().map(Json).collect();
        let args = match serde_json::to_vec(&args) {
            Ok(args) => args,
            Err(error) => return answered(Err(HostError::failed("the authenticator failed", error.to_string()))),
        };
        if !self.has_room() || self.held_bytes + out.len() + args.len() > self.limits.max_question_bytes {
            let settled = self.held.take_if(|held| held.question.is_settled());
            self.held_bytes -= settled.iter().map(|held| held.args.len()).sum::<usize>();
        }
        if self.held_bytes + out.len() + args.len() > self.limits.max_question_bytes {
            return self.overloaded(answered);
        }
        if !self.has_room() {
            let Some(other) = self.held.make_room(question.lane) else { return self.overloaded(answered) };
            self.held_bytes -= other.args.len();
            self.overloaded(other.answered);
        }
        self.held_bytes += args.len();
        self.held.push(question.lane, Held { asked: now, question, args, answered });
        self.go_on(now, out);
    }

    fn has_room(&self) -> bool {
        self.sent.len() + self.held.len() < self.limits.max_questions
    }

    fn overloaded(&self, answered: Answered) {
        let HostLimits { max_questions, max_question_bytes, .. } = self.limits;
        let detail = format!("no more than {max_questions} questions or {max_question_bytes} bytes wait for it");
        answered(Err(HostError::unavailable("the authenticator is overloaded", detail)));
    }

    /// Sends what waits, as long as the host has few questions.
    pub(super) fn go_on(&mut self, now: Instant, out: &mut Vec<u8>) {
        let Phase::Ready { since } = self.phase else { return };
        while self.sent.len() < self.limits.max_questions_at_once {
            let Some(Held { asked, question, args, answered }) = self.held.pop() else { return };
            self.held_bytes -= args.len();
            if question.is_settled() {
                continue;
            }
            if asked.max(since) + self.limits.answer_timeout <= now {
                answered(Err(self.not_in_time()));
                continue;
            }
            let deadline = now + self.limits.answer_timeout;
            let id = self.next;
            self.next += 1;
            out.extend_from_slice(format!("{{\"id\":{id},\"args\":").as_bytes());
            out.extend_from_slice(&args);
            out.extend_from_slice(b"}\n");
            self.sent.insert(id, Waiting { asked: now, deadline, answered });
        }
    }

    /// What the host has written.
    pub(super) fn receive(&mut self, now: Instant, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.admit(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            let line = core::mem::take(&mut self.line);
            match self.passed_over.take() {
                None => self.answer(now, &line, out)?,
                Some(_) => {
                    let limit = self.limits.max_answer;
                    let why = format!("it answered with more than {limit} bytes");
                    self.fail(now, beginning_id(&line), why, Violation::TooLong(limit))?;
                }
            }
            self.go_on(now, out);
        }
        self.admit(bytes)
    }

    /// Adds to the line; of one that is too long only the beginning is kept.
    fn admit(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let limit = self.limits.max_answer;
        let room = limit - self.line.len().min(limit);
        let (kept, over) = bytes.split_at(room.min(bytes.len()));
        self.line.extend_from_slice(kept);
        if !over.is_empty() {
            *self.passed_over.get_or_insert(0) += over.len();
        }
        // A line that does not say at its beginning what it answers is no answer, whatever follows.
        let endless = self.passed_over.is_some_and(|over| over > limit.saturating_mul(MAX_PASSED_OVER));
        let nameless = self.passed_over.is_some() && beginning_id(&self.line).is_none();
        if endless || nameless { Err(Violation::TooLong(limit)) } else { Ok(()) }
    }

    fn answer(&mut self, now: Instant, line: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        let answer = match serde_json::from_slice::<Answer>(line).map_err(nonsense).and_then(Answer::result) {
            Ok(answer) => answer,
            // What is wrong with one answer harms no other, if it is known whose it is.
            Err(why) => {
                let id = serde_json::from_slice(line).ok().map(|Id { id }| id).or_else(|| beginning_id(line));
                return self.fail(now, id, format!("its answer is none: {why}"), Violation::NotAnAnswer(why));
            }
        };
        let (id, result) = answer;
        self.last_answer = Some(now);
        if let (CREATE, Phase::Creating { .. }) = (id, self.phase) {
            return match result {
                Ok(_) => {
                    self.phase = Phase::Ready { since: now };
                    self.go_on(now, out);
                    Ok(())
                }
                Err(HostError::Denied { uri, message }) => Err(Violation::NotCreated(format!("{uri}: {message}"))),
                Err(HostError::Failed { detail, .. } | HostError::Unavailable { detail, .. }) => {
                    Err(Violation::NotCreated(detail))
                }
            };
        }
        match self.sent.remove(&id) {
            Some(waiting) => (waiting.answered)(result),
            // Its time was up.
            None if id != CREATE && id < self.next => self.late += 1,
            None => return Err(Violation::UnknownId(id)),
        }
        Ok(())
    }

    /// Fails the question that an answer is for which cannot be used. Of one for nobody, or for all, the host is to blame.
    fn fail(&mut self, now: Instant, id: Option<u64>, why: String, otherwise: Violation) -> Result<(), Violation> {
        match id {
            Some(id) if id != CREATE && id < self.next => {
                self.last_answer = Some(now);
                match self.sent.remove(&id) {
                    Some(waiting) => (waiting.answered)(Err(HostError::failed("the authenticator failed", why))),
                    None => self.late += 1,
                }
                Ok(())
            }
            _ => Err(otherwise),
        }
    }

    /// Answers that came too late so far.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    fn not_in_time(&self) -> HostError {
        let detail = format!("no answer within {} ms", self.limits.answer_timeout.as_millis());
        HostError::unavailable("the authenticator did not answer in time", detail)
    }

    /// When [`Exchange::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let creating = match self.phase {
            Phase::Creating { deadline } => Some(deadline),
            Phase::Down | Phase::Ready { .. } => None,
        };
        // All have the same time, so the first that was sent is the first whose time is up, and so is the first of a lane.
        let sent = self.sent.values().next().map(|waiting| waiting.deadline);
        // Before the host is ready a question waits for as long as its peer does.
        let held = self.held.firsts().filter_map(|held| match self.phase {
            Phase::Ready { since } => Some(held.asked.max(since) + self.limits.answer_timeout),
            Phase::Down | Phase::Creating { .. } => None,
        });
        held.chain(sent).chain(creating).min()
    }

    /// Fails the questions whose time is up.
    pub(super) fn expire(&mut self, now: Instant) -> Result<(), Violation> {
        let mut hangs = false;
        while let Some(first) = self.sent.first_entry().filter(|first| first.get().deadline <= now) {
            let Waiting { asked, answered, .. } = first.remove();
            hangs |= self.last_answer.is_none_or(|last| last <= asked);
            answered(Err(self.not_in_time()));
        }
        if let Phase::Ready { since } = self.phase {
            let patience = self.limits.answer_timeout;
            let is_over = |held: &Held| held.asked.max(since) + patience <= now;
            if self.held.firsts().any(is_over) {
                for held in self.held.take_if(is_over) {
                    self.held_bytes -= held.args.len();
                    (held.answered)(Err(self.not_in_time()));
                }
            }
        }
        match self.phase {
            Phase::Creating { deadline } if deadline <= now => Err(Violation::NotReady),
            Phase::Ready { .. } if hangs => Err(Violation::Hangs),
            _ => Ok(()),
        }
    }

    /// The process is gone, and the next is started at `restart`, if at all. What it was asked has no answer; what waits
    /// goes on waiting, unless its peer does not wait for so long.
    pub(super) fn ended(&mut self, why: &str, restart: Option<Instant>) {
        self.phase = Phase::Down;
        self.line.clear();
        for (_, waiting) in core::mem::take(&mut self.sent) {
            (waiting.answered)(Err(HostError::unavailable("the authenticator failed", why)));
        }
        let patience = self.limits.answer_timeout;
        let hopeless = |held: &Held| {
            let until = held.question.expires.unwrap_or(held.asked + patience);
            restart.is_none_or(|restart| restart >= until)
        };
        for held in self.held.take_if(hopeless) {
            self.held_bytes -= held.args.len();
            (held.answered)(Err(HostError::unavailable("the authenticator failed", why)));
        }
    }
}

/// What is wrong with a line that is no answer. Its text is not told: it may hold secrets.
fn nonsense(error: serde_json::Error) -> String {
    let why = match error.classify() {
        serde_json::error::Category::Data => "it has not the members id, and result, error or failed",
        _ => "it is not JSON",
    };
    format!("{why}, at column {}", error.column())
}

/// The id at the beginning of a line, `{"id": 7,`, whatever follows.
fn beginning_id(line: &[u8]) -> Option<u64> {
    let rest = line.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"id\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ends = rest[digits..].trim_ascii_start().first().is_some_and(|byte| matches!(byte, b',' | b'}'));
    core::str::from_utf8(&rest[..digits]).ok().filter(|_| ends)?.parse().ok()
}

impl Answer {
    /// The id and what is said, or why it is not clear.
    fn result(self) -> Result<(u64, Result<Value, HostError>), String> {
        let result = match (self.result, self.error, self.failed) {
            (result, None, None) => Ok(from_json(result.unwrap_or_default())),
            (None, Some(uri), None) => match Uri::parse(&uri, UriRule::Loose) {
                Ok(uri) => Err(HostError::Denied { uri, message: self.message.unwrap_or_default() }),
                Err(_) => return Err("error is not a URI".to_owned()),
            },
            (None, None, Some(why)) => Err(HostError::failed("the authenticator failed", why)),
            _ => return Err("it has more than one of result, error and failed".to_owned()),
        };
        Ok((self.id, result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::sync::mpsc;
    use std::time::Duration;
    use wampd_core::router::Origin;

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
            self.exchange.ask(self.now, &[Value::from(text)], Question::new(None), answered, &mut self.out);
            receiver
        }

        /// Asks for a peer with this address.
        fn ask_for(&mut self, address: u8, text: &str) -> (Arc<Question>, Answers) {
            let question = Question::new(Some(Origin::from(IpAddr::from([10, 0, 0, address]))));
            let (sender, receiver) = mpsc::channel();
            let answered = Box::new(move |answer| sender.send(answer).expect("received"));
            self.exchange.ask(self.now, &[Value::from(text)], question.clone(), answered, &mut self.out);
            (question, receiver)
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
            Err(HostError::Failed { message, detail } | HostError::Unavailable { message, detail }) => {
                (message, detail)
            }
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
            ("{\"id\":7,\"result\":1,\"error\":\"com.a\"}", "more than one"),
            ("{\"id\":0,\"error\":\"secret 123\"}", "not a URI"),
            ("{\"idx\":1,\"result\":", "members"),
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
    fn an_answer_that_can_not_be_used_fails_its_question_alone() {
        let deep = format!("{{\"id\":1,\"result\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        for (line, part) in [
            ("{\"id\":1,\"result\":1,\"error\":\"com.a\"}", "more than one"),
            ("{\"error\":\"secret 123\",\"id\":1}", "not a URI"),
            ("{\"id\":1,\"result\":\"\\ud800 secret\"}", "not JSON"),
            ("{ \"id\" : 1 , secret", "not JSON"),
            ("{\"id\":1,\"secret\":1}", "members"),
            (&deep, "not JSON"),
        ] {
            let mut pair = Pair::ready();
            let (first, second) = (pair.ask("a"), pair.ask("b"));
            pair.receive(&format!("{line}\n")).expect("it harms nobody else");
            let (message, detail) = failed(&first);
            assert_eq!(message, "the authenticator failed");
            assert!(detail.contains(part) && !detail.contains("secret"), "{line}: {detail}");
            pair.receive("{\"id\":2}\n").expect("an answer");
            assert!(second.try_recv().expect("answered").is_ok());
        }
    }

    #[test]
    fn an_answer_that_is_too_long_fails_its_question_alone_and_is_not_held() {
        let limits = HostLimits { max_answer: 20, ..HostLimits::default() };
        for pieces in [1, 7, 1_000] {
            let mut pair = Pair::new(limits);
            pair.receive("{\"id\":0}\n").expect("ready");
            let (first, second) = (pair.ask("a"), pair.ask("b"));
            let text = format!("{{\"id\":1,\"error\":\"{}\"}}\n{{\"id\":2}}\n", "x".repeat(500));
            for piece in text.as_bytes().chunks(pieces) {
                pair.exchange.receive(pair.now, piece, &mut pair.out).expect("it harms nobody else");
                assert!(pair.exchange.line.len() <= 20);
            }
            assert_eq!(failed(&first).1, "it answered with more than 20 bytes");
            assert!(second.try_recv().expect("answered").is_ok());
        }
    }

    #[test]
    fn long_lines_of_nobody_and_endless_lines_are_a_violation() {
        let limits = HostLimits { max_answer: 10, ..HostLimits::default() };
        for text in ["12345678901", "12345678901\n"] {
            assert_eq!(Pair::new(limits).receive(text), Err(Violation::TooLong(10)));
        }
        let mut pair = Pair::new(limits);
        pair.receive("123456").expect("short");
        assert_eq!(pair.receive("78901"), Err(Violation::TooLong(10)));
        let endless = format!("{{\"id\":1,{}", "x".repeat(10 * MAX_PASSED_OVER + 10));
        assert_eq!(Pair::new(limits).receive(&endless), Err(Violation::TooLong(10)));
    }

    #[test]
    fn few_questions_are_with_the_host_and_the_others_wait_by_turns() {
        let mut pair = Pair::new(HostLimits { max_questions_at_once: 2, ..HostLimits::default() });
        pair.receive("{\"id\":0}\n").expect("ready");
        let mut asked: Vec<_> = (0..5).map(|n| pair.ask_for(1, &format!("a{n}"))).collect();
        asked.push(pair.ask_for(2, "b"));
        assert_eq!(pair.written(), "{\"id\":1,\"args\":[\"a0\"]}\n{\"id\":2,\"args\":[\"a1\"]}\n");
        asked[3].0.settle();
        pair.receive("{\"id\":1}\n").expect("an answer");
        assert_eq!(pair.written(), "{\"id\":3,\"args\":[\"a2\"]}\n");
        pair.receive("{\"id\":3}\n{\"id\":2}\n").expect("answers");
        let last = "{\"id\":4,\"args\":[\"b\"]}\n{\"id\":5,\"args\":[\"a4\"]}\n";
        assert_eq!(pair.written(), last, "what nobody waits for is not asked");
        assert_eq!(pair.exchange.held_bytes, 0);
    }

    #[test]
    fn a_full_queue_refuses_who_has_most() {
        let limits = HostLimits { max_questions: 4, max_questions_at_once: 1, ..HostLimits::default() };
        let mut pair = Pair::new(limits);
        pair.receive("{\"id\":0}\n").expect("ready");
        let asked: Vec<_> = (0..5).map(|n| pair.ask_for(1, &format!("a{n}"))).collect();
        let other = pair.ask_for(2, "b");
        assert_eq!(failed(&asked[4].1).0, "the authenticator is overloaded");
        assert_eq!(failed(&asked[3].1).0, "the authenticator is overloaded", "room is made for who has less");
        pair.receive("{\"id\":1}\n{\"id\":2}\n").expect("answers");
        assert!(pair.written().contains("\"b\"") && other.1.try_recv().is_err());
    }

    #[test]
    fn the_time_of_a_question_that_waited_begins_when_it_is_sent() {
        let limits = HostLimits { max_questions_at_once: 1, ..HostLimits::default() };
        let mut pair = Pair::new(limits);
        pair.receive("{\"id\":0}\n").expect("ready");
        let (first, second, start) = (pair.ask("a"), pair.ask("b"), pair.now);
        pair.now = start + Duration::from_secs(9);
        pair.receive("{\"id\":1}\n").expect("an answer");
        assert!(first.try_recv().expect("answered").is_ok());
        pair.now = start + Duration::from_secs(18);
        assert_eq!(pair.exchange.expire(pair.now), Ok(()));
        assert!(second.try_recv().is_err(), "it has a second left");
        pair.now = start + Duration::from_secs(19);
        assert_eq!(pair.exchange.expire(pair.now), Err(Violation::Hangs));
        assert_eq!(failed(&second).0, "the authenticator did not answer in time");
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
    fn questions_wait_for_a_host_that_is_not_ready_for_as_long_as_their_peers_do() {
        let mut pair = Pair::new(HostLimits::default());
        let answers = pair.ask("a");
        pair.now += Duration::from_secs(20);
        assert_eq!(pair.exchange.expire(pair.now), Ok(()));
        pair.exchange.ended("it broke", Some(pair.now + Duration::from_secs(1)));
        assert!(matches!(answers.try_recv(), Ok(Err(HostError::Unavailable { .. }))), "nobody knows for how long");

        let mut pair = Pair::new(HostLimits::default());
        let (sender, answers) = mpsc::channel();
        let question = Question::within(None, Duration::from_secs(40));
        let answered = Box::new(move |answer| sender.send(answer).expect("received"));
        pair.exchange.ask(pair.now, &[Value::from("a")], question, answered, &mut pair.out);
        pair.now += Duration::from_secs(20);
        assert_eq!((pair.exchange.deadline().is_some(), pair.exchange.expire(pair.now)), (true, Ok(())));
        pair.exchange.ended("it broke", Some(pair.now + Duration::from_secs(1)));
        pair.exchange.started(pair.now);
        pair.receive("{\"id\":0}\n").expect("ready");
        assert_eq!(pair.written(), "{\"id\":1,\"args\":[\"a\"]}\n", "asked long ago, and still of use");
        pair.receive("{\"id\":1,\"result\":1}\n").expect("an answer");
        assert_eq!(answers.try_recv(), Ok(Ok(Value::from(1))));
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
