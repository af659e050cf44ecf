//! Being told to stop.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use wampd_mio::client::ClientWaker;

/// Notes SIGINT and SIGTERM and wakes a client, until it is dropped.
pub(super) struct Interrupt {
    told: Arc<AtomicBool>,
    signals: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Interrupt {
    pub(super) fn watch(waker: ClientWaker) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let (told, handle) = (Arc::new(AtomicBool::new(false)), signals.handle());
        let thread = std::thread::Builder::new().name("wampd-signals".to_owned()).spawn({
            let told = Arc::clone(&told);
            move || {
                for _ in &mut signals {
                    told.store(true, Ordering::Release);
                    waker.wake();
                }
            }
        })?;
        Ok(Self { told, signals: handle, thread: Some(thread) })
    }

    /// Whether a signal has come.
    pub(super) fn told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}
