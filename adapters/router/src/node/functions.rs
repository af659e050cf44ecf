//! The thread for what takes time: asking function authenticators, deriving keys. The router never waits for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Work to be done before a deadline.
type Job = (Instant, Box<dyn FnOnce() + Send>);

/// Does one piece of work after the other. There are never more than questions of the router.
#[derive(Debug)]
pub(super) struct Functions {
    jobs: mpsc::Sender<Job>,
}

impl Functions {
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, receiver) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("wampd-functions".to_owned()).spawn(move || {
            for (deadline, work) in receiver {
                // Nobody waits for the answer any more: those behind it must not wait for it either.
                if Instant::now() < deadline {
                    // A panic of an embedder's code drops its reply, which answers; the thread goes on.
                    let _ = catch_unwind(AssertUnwindSafe(work));
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Does this within `patience`, or not at all.
    pub(super) fn run(&self, patience: Duration, work: impl FnOnce() + Send + 'static) {
        // Fails only if the thread is gone; the router's own deadline covers that.
        let _ = self.jobs.send((Instant::now() + patience, Box::new(work)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_late_work_do_not_stop_it() {
        let functions = Functions::new().expect("a thread");
        let (sender, receiver) = mpsc::channel();
        let (late, again) = (sender.clone(), sender);
        functions.run(Duration::from_secs(60), || panic!("on purpose"));
        functions.run(Duration::ZERO, move || late.send("late").expect("received"));
        functions.run(Duration::from_secs(60), move || again.send("in time").expect("received"));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["in time"]);
    }
}
