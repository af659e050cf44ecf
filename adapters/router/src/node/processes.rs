//! The processes of a node. They end with it.

use crate::log::Log;
use crate::process::{HostLimits, HostedFunction, Supervisor};
use std::io;
use std::sync::Arc;

/// The processes of a node; dropped, all of them are ended.
#[derive(Debug, Default)]
pub(super) struct Processes(Vec<Supervisor>);

impl Processes {
    pub(super) fn start(functions: &[Arc<HostedFunction>], limits: HostLimits, log: &Arc<Log>) -> io::Result<Self> {
        let mut processes = Self::default();
        for function in functions {
            processes.0.push(function.start(limits, log.clone())?);
        }
        Ok(processes)
    }

    /// The node shuts down: what ends now is not started again.
    pub(super) fn settle(&self) {
        self.0.iter().for_each(Supervisor::settle);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // All at once: they have the same time to end.
        self.0.iter().for_each(Supervisor::stop);
    }
}
