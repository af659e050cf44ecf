//! Threads for what takes time: asking function authenticators, deriving keys, reading files. The router never waits for
//! them.

use crate::reply::Question;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use wampd_mio::FairQueue;

/// What happens to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is its turn.
    Run,
    /// Too much waits, and this is not going to be done.
    Refused,
}

/// Work for a peer. It is dropped if the question is settled before its turn.
struct Job {
    question: Arc<Question>,
    work: Box<dyn FnOnce(Fate) + Send>,
}

/// Threads and the queue of what they are to do, in which the peers' addresses take turns. Clones are the same threads;
/// they end with the last of them.
#[derive(Clone, Debug)]
pub(super) struct Functions(Arc<Handle>);

#[derive(Debug)]
struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    wanted: Condvar,
    max_waiting: usize,
}

#[derive(Default)]
struct State {
    queue: FairQueue<Job>,
    /// Jobs in the queue that nobody waits for any more, at most.
    settled: usize,
    closed: bool,
}

impl Functions {
    /// Threads of this name, and room for so many jobs that wait for them.
    pub(super) fn new(name: &str, threads: usize, max_waiting: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), wanted: Condvar::new(), max_waiting });
        // If one thread cannot be had, those before it end.
        let this = Self(Arc::new(Handle(shared.clone())));
        for _ in 0..threads.max(1) {
            let shared = shared.clone();
            std::thread::Builder::new().name(name.to_owned()).spawn(move || shared.work())?;
        }
        Ok(this)
    }

    /// Does this when it is the turn of the question's peer, unless the question is settled before. If too much waits, the
    /// last job of whoever has most is refused, or this one.
    pub(super) fn run(&self, question: &Arc<Question>, work: impl FnOnce(Fate) + Send + 'static) {
        let shared = &self.0.0;
        let job = Job { question: question.clone(), work: Box::new(work) };
        let mut state = shared.lock();
        let mut dropped = Vec::new();
        if state.queue.len() >= shared.max_waiting && state.settled > 0 {
            dropped = state.forget_settled();
        }
        let mut refused = None;
        if state.queue.len() >= shared.max_waiting {
            refused = state.queue.make_room(question.lane);
        }
        if state.queue.len() < shared.max_waiting {
            state.queue.push(question.lane, job);
            shared.wanted.notify_one();
        } else {
            refused = Some(job);
        }
        drop(state);
        drop(dropped);
        if let Some(Job { work, .. }) = refused {
            work(Fate::Refused);
        }
    }

    /// A question that a job may wait for is settled.
    pub(super) fn settled(&self) {
        let mut state = self.0.0.lock();
        state.settled += 1;
        // Most of it is forgotten together: each job is looked at once or twice.
        if state.settled * 2 > state.queue.len() && state.queue.len() >= 32 {
            let dropped = state.forget_settled();
            drop(state);
            drop(dropped);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wanted.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some(Job { question, work }) = state.queue.pop() else {
                state.settled = 0;
                state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            if !question.is_settled() {
                // A panic of an embedder's code drops its reply, which answers; the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(|| work(Fate::Run)));
            }
            state = self.lock();
        }
    }
}

impl State {
    fn forget_settled(&mut self) -> Vec<Job> {
        self.settled = 0;
        self.queue.take_if(|job| job.question.is_settled())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("max_waiting", &self.max_waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::sync::mpsc;
    use wampd_core::router::Origin;

    /// One thread that is kept busy until the sender is dropped, and what happens to jobs.
    struct Busy {
        functions: Functions,
        go_on: Option<mpsc::Sender<()>>,
        fates: mpsc::Sender<(u8, Fate)>,
        seen: mpsc::Receiver<(u8, Fate)>,
    }

    impl Busy {
        fn new(max_waiting: usize) -> Self {
            let functions = Functions::new("test", 1, max_waiting).expect("a thread");
            let (started, has_started) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            functions.run(&Question::new(None), move |_| {
                started.send(()).expect("received");
                let _ = may_go_on.recv();
            });
            has_started.recv().expect("it runs, and no longer waits");
            let (fates, seen) = mpsc::channel();
            Self { functions, go_on: Some(go_on), fates, seen }
        }

        fn run(&self, address: u8, n: u8) -> Arc<Question> {
            let question = Question::new(Some(Origin::from(IpAddr::from([10, 0, 0, address]))));
            let fates = self.fates.clone();
            self.functions.run(&question, move |fate| fates.send((n, fate)).expect("received"));
            question
        }

        /// What has happened when all is done.
        fn end(self) -> Vec<(u8, Fate)> {
            let Self { go_on, fates, seen, functions } = self;
            drop(go_on);
            drop(fates);
            let seen = seen.iter().collect();
            drop(functions);
            seen
        }
    }

    #[test]
    fn a_panic_does_not_stop_it() {
        let functions = Functions::new("test", 1, 16).expect("a thread");
        let (sender, receiver) = mpsc::channel();
        let question = Question::new(None);
        functions.run(&question, |_| panic!("on purpose"));
        functions.run(&question, move |fate| sender.send(fate).expect("received"));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [Fate::Run]);
    }

    #[test]
    fn addresses_take_turns_and_settled_questions_are_not_worked_on() {
        let busy = Busy::new(16);
        let questions: Vec<_> = [(1, 10), (1, 11), (1, 12), (1, 13), (2, 20)].map(|(a, n)| busy.run(a, n)).into();
        questions[1].settle();
        busy.functions.settled();
        let order: Vec<u8> = busy.end().into_iter().map(|(n, _)| n).collect();
        assert_eq!(order, [10, 20, 12, 13]);
    }

    #[test]
    fn who_has_most_makes_room_and_settled_questions_do_first() {
        let busy = Busy::new(3);
        let questions: Vec<_> = (10..13).map(|n| busy.run(1, n)).collect();
        busy.run(1, 13);
        questions[0].settle();
        busy.functions.settled();
        busy.run(1, 14);
        busy.run(2, 20);
        let refused = |(n, fate): &(u8, Fate)| (*fate == Fate::Refused).then_some(*n);
        let seen = busy.end();
        assert_eq!(seen.iter().filter_map(refused).collect::<Vec<_>>(), [13, 14]);
        let run: Vec<u8> = seen.into_iter().filter(|(_, fate)| *fate == Fate::Run).map(|(n, _)| n).collect();
        assert_eq!(run, [11, 20, 12]);
    }

    #[test]
    fn several_threads_work_at_once() {
        let functions = Functions::new("test", 2, 16).expect("threads");
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let (sender, receiver) = mpsc::channel();
        for _ in 0..2 {
            let (barrier, sender) = (barrier.clone(), sender.clone());
            functions.run(&Question::new(None), move |_| {
                barrier.wait();
                sender.send(()).expect("received");
            });
        }
        drop(sender);
        assert_eq!(receiver.iter().count(), 2);
    }
}
