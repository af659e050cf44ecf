//! The thread that writes lines: nobody else waits for whoever reads them.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most bytes of lines that wait, if nothing else is configured.
pub(super) const DEFAULT_MAX_WAITING: usize = 1 << 20;

/// Capacity that a buffer keeps once its lines are written.
const KEPT_CAPACITY: usize = 64 << 10;

/// A bounded queue of lines, and the thread that writes them. The thread ends when this is dropped and all is written.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// The thread has something to do.
    wanted: Condvar,
    /// The thread has nothing to do.
    idle: Condvar,
}

#[derive(Debug)]
struct Queue {
    /// Lines that wait, oldest first.
    waiting: Vec<u8>,
    /// Bytes that are being written.
    writing: usize,
    /// Most bytes that wait or are being written.
    max: usize,
    /// Lines dropped since the last one that was counted in the log.
    untold: u64,
    dropped: u64,
    wanted: bool,
    closed: bool,
}

impl Writer {
    /// Starts the thread. `dropped_line` makes the line about so many lines that were dropped.
    pub(super) fn start(
        out: Box<dyn Write + Send>,
        dropped_line: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Queue {
            waiting: Vec::new(),
            writing: 0,
            max: DEFAULT_MAX_WAITING,
            untold: 0,
            dropped: 0,
            wanted: false,
            closed: false,
        };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), wanted: Condvar::new(), idle: Condvar::new() });
        let thread = std::thread::Builder::new().name("wampd-log".to_owned());
        thread.spawn({
            let shared = shared.clone();
            move || shared.write(out, dropped_line)
        })?;
        Ok(Self(shared))
    }

    /// Queues a line; one that finds no room is dropped and counted. The thread is woken at once, or once more than
    /// `gather` bytes wait.
    pub(super) fn add(&self, line: &str, at_once: bool, gather: usize) {
        let mut queue = self.0.lock();
        if queue.waiting.len() + queue.writing + line.len() > queue.max {
            queue.untold += 1;
            queue.dropped += 1;
            return;
        }
        queue.waiting.extend_from_slice(line.as_bytes());
        if at_once || queue.waiting.len() > gather {
            self.0.wake(&mut queue);
        }
    }

    /// Wakes the thread if lines wait.
    pub(super) fn flush(&self) {
        let mut queue = self.0.lock();
        if !queue.waiting.is_empty() {
            self.0.wake(&mut queue);
        }
    }

    /// Waits until all is written, no longer than `patience`. Returns whether it is.
    pub(super) fn finish(&self, patience: Duration) -> bool {
        let mut queue = self.0.lock();
        self.0.wake(&mut queue);
        let busy = |queue: &mut Queue| queue.writing > 0 || !queue.waiting.is_empty() || queue.untold > 0;
        let waited = self.0.idle.wait_timeout_while(queue, patience, busy);
        let (_queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    pub(super) fn set_max(&self, bytes: usize) {
        self.0.lock().max = bytes;
    }

    /// Lines dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        self.0.wake(&mut queue);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, queue: &mut Queue) {
        // A thread that writes looks again when it is done.
        if !queue.wanted && queue.writing == 0 {
            queue.wanted = true;
            self.wanted.notify_one();
        }
    }

    fn write(&self, mut out: Box<dyn Write + Send>, dropped_line: impl Fn(u64) -> String) {
        let mut lines = Vec::new();
        let mut queue = self.lock();
        loop {
            while !queue.wanted {
                self.idle.notify_all();
                queue = self.wanted.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut queue.waiting, &mut lines);
            // What was dropped came after what waited.
            match std::mem::take(&mut queue.untold) {
                0 => {}
                count => lines.extend_from_slice(dropped_line(count).as_bytes()),
            }
            queue.writing = lines.len();
            let closed = queue.closed;
            drop(queue);
            // There is nowhere to say that nothing can be said.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            lines.shrink_to(KEPT_CAPACITY);
            if closed {
                return;
            }
            queue = self.lock();
            queue.writing = 0;
            queue.wanted = queue.closed || queue.untold > 0 || !queue.waiting.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Somewhere to write where each write waits until the test takes it.
    struct Gate {
        written: mpsc::SyncSender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            self.written.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Writer, mpsc::Receiver<String>) {
        let (written, receiver) = mpsc::sync_channel(0);
        let writer = Writer::start(Box::new(Gate { written }), |count| format!("dropped {count}\n"));
        (writer.expect("a thread"), receiver)
    }

    #[test]
    fn lines_that_find_no_room_are_dropped_and_counted() {
        let (writer, written) = gated();
        writer.set_max(10);
        for line in ["12345678\n", "9\n", "a\n", "b\n"] {
            writer.add(line, true, 0);
        }
        assert_eq!(writer.dropped(), 3);
        assert!(!writer.finish(Duration::ZERO), "nobody reads");
        let mut text = written.recv().expect("written");
        // The count may be written with the lines or after them.
        while !text.contains("dropped") {
            text += &written.recv().expect("written");
        }
        assert_eq!(text, "12345678\ndropped 3\n");
        assert!(writer.finish(Duration::from_secs(60)), "there is room again");
        writer.add("c\n", true, 0);
        assert_eq!(written.recv().expect("written"), "c\n");
        assert_eq!(writer.dropped(), 3);
    }

    #[test]
    fn lines_are_gathered_until_they_are_flushed_or_many() {
        let (writer, written) = gated();
        writer.add("a\n", false, 4);
        writer.add("b\n", false, 4);
        assert!(written.try_recv().is_err());
        writer.flush();
        assert_eq!(written.recv().expect("written"), "a\nb\n");
        assert!(writer.finish(Duration::from_secs(60)));
        for line in ["c\n", "d\n", "e\n"] {
            writer.add(line, false, 4);
        }
        assert_eq!(written.recv().expect("written"), "c\nd\ne\n");
    }

    #[test]
    fn what_waits_is_written_after_the_log_is_dropped() {
        let (writer, written) = gated();
        writer.add("a\n", false, 100);
        drop(writer);
        assert_eq!(written.iter().collect::<String>(), "a\n");
    }
}
