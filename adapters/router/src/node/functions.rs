//! The thread for what takes time: asking function authenticators, deriving keys. The router never waits for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Work to be done before a deadline.
type Job = (Instant, Box<dyn FnOnce() + Send>);

/// Does one piece of work after the other. Peers that come and go can leave more of it than there are peers.
#[derive(Debug)]
pub(super) struct Functions {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
}

impl Functions {
    pub(super) fn new(max_waiting: usize) -> io::Result<Self> {
        let (jobs, receiver) = mpsc::channel::<Job>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = waiting.clone();
        std::thread::Builder::new().name("wampd-functions".to_owned()).spawn(move || {
            for (deadline, work) in receiver {
                taken.fetch_sub(1, Ordering::Relaxed);
                // Nobody waits for the answer any more: those behind it must not wait for it either.
                if Instant::now() < deadline {
                    // A panic of an embedder's code drops its reply, which answers; the thread goes on.
                    let _ = catch_unwind(AssertUnwindSafe(work));
                }
            }
        })?;
        Ok(Self { jobs, waiting, max_waiting })
    }

    /// Does this within `patience`, or not at all. False: too much waits already, and this is not going to be done.
    #[must_use]
    pub(super) fn run(&self, patience: Duration, work: impl FnOnce() + Send + 'static) -> bool {
        // Only this side adds, and it has one thread: the bound holds.
        if self.waiting.load(Ordering::Relaxed) >= self.max_waiting {
            return false;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Fails only if the thread is gone; the router's own deadline covers that.
        let _ = self.jobs.send((Instant::now() + patience, Box::new(work)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_late_work_do_not_stop_it() {
        let functions = Functions::new(16).expect("a thread");
        let (sender, receiver) = mpsc::channel();
        let (late, again) = (sender.clone(), sender);
        assert!(functions.run(Duration::from_secs(60), || panic!("on purpose")));
        assert!(functions.run(Duration::ZERO, move || late.send("late").expect("received")));
        assert!(functions.run(Duration::from_secs(60), move || again.send("in time").expect("received")));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["in time"]);
    }

    #[test]
    fn it_takes_no_more_than_may_wait() {
        let functions = Functions::new(2).expect("a thread");
        let patience = Duration::from_secs(60);
        let (started, has_started) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        assert!(functions.run(patience, move || {
            started.send(()).expect("received");
            let _ = may_go_on.recv();
        }));
        has_started.recv().expect("it runs, and no longer waits");
        for n in 0..3 {
            let done = done.clone();
            assert_eq!(functions.run(patience, move || done.send(n).expect("received")), n < 2);
        }
        drop((done, go_on));
        assert_eq!(is_done.iter().collect::<Vec<_>>(), [0, 1]);
        assert!(functions.run(patience, || {}), "there is room again");
    }
}
