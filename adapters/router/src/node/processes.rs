//! The processes of a node. They end with it.

use crate::config::{ComponentConfig, GuestConfig, Link};
use crate::log::Log;
use crate::process::{Asker, HostLimits, HostedFunction, Process, Role, Supervisor, python_input, to_json};
use serde_json::json;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

/// The processes of a node; dropped, all of them are ended.
#[derive(Debug)]
pub(super) struct Processes {
    supervisors: Vec<Supervisor>,
    /// Removed when the processes are gone.
    sockets: Option<PrivateSockets>,
    limits: HostLimits,
    log: Arc<Log>,
}

impl Processes {
    pub(super) const fn new(limits: HostLimits, log: Arc<Log>) -> Self {
        Self { supervisors: Vec::new(), sockets: None, limits, log }
    }

    pub(super) fn functions(&mut self, functions: &[Arc<HostedFunction>]) -> io::Result<()> {
        for function in functions {
            self.supervisors.push(function.start(self.limits, self.log.clone())?);
        }
        Ok(())
    }

    /// Starts components, each when the one before is ready: a procedure that one registers is there for the next. Those
    /// with a role connect to the sockets, each to its own.
    pub(super) fn components(&mut self, components: Vec<ComponentConfig>, sockets: PrivateSockets) -> io::Result<()> {
        let mut paths = sockets.paths();
        let requests: Vec<_> = components.iter().map(|component| component_input(component, || paths.next())).collect();
        drop(paths);
        self.sockets = Some(sockets);
        let mut next = None;
        for (number, (component, input)) in components.into_iter().zip(requests).enumerate().rev() {
            let role = Role::Component { input, restart: component.restart, next: next.take() };
            let process = Process { name: component.name, program: component.program, role, waits: number > 0 };
            next = Some(self.start(process)?);
        }
        Ok(())
    }

    pub(super) fn guests(&mut self, guests: Vec<GuestConfig>) -> io::Result<()> {
        for GuestConfig { name, program, restart } in guests {
            self.start(Process { name, program, role: Role::Guest { restart }, waits: false })?;
        }
        Ok(())
    }

    fn start(&mut self, process: Process) -> io::Result<Asker> {
        let supervisor = Supervisor::new(process, self.limits, self.log.clone())?;
        let asker = supervisor.asker().clone();
        self.supervisors.push(supervisor);
        Ok(asker)
    }

    /// The node shuts down: what ends now is not started again.
    pub(super) fn settle(&self) {
        self.supervisors.iter().for_each(Supervisor::settle);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // All at once: they have the same time to end.
        self.supervisors.iter().for_each(Supervisor::stop);
        self.supervisors.clear();
    }
}

/// What the process of a component reads; one with a role gets the next socket.
fn component_input(component: &ComponentConfig, socket: impl FnOnce() -> Option<PathBuf>) -> Vec<u8> {
    let transport = match &component.link {
        Link::Transport(transport) => transport.clone(),
        Link::Role(_) => {
            let path = socket().map(|path| path.to_string_lossy().into_owned());
            json!({"type": "rawsocket", "endpoint": {"type": "unix", "path": path}, "serializers": []})
        }
    };
    python_input(&json!({
        "id": 0,
        "protocol": 1,
        "component": component.class,
        "realm": component.realm.as_str(),
        "extra": to_json(&component.extra),
        "transport": transport,
        "path": component.path,
    }))
}

/// Sockets that only this user can connect to, in a folder of their own. Dropped, they are removed.
#[derive(Debug)]
pub(super) struct PrivateSockets {
    folder: Option<PathBuf>,
    count: usize,
}

impl PrivateSockets {
    /// Room for so many; without any there is no folder.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        if count == 0 {
            return Ok(Self { folder: None, count });
        }
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let folder = std::env::temp_dir().join(format!("wampd-{}", data_encoding::HEXLOWER.encode(&name)));
        // Fails if there is such a folder already: nobody else can have made it.
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder: Some(folder), count })
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> + use<'_> {
        self.folder.iter().flat_map(|folder| (0..self.count).map(|number| folder.join(format!("{number}.sock"))))
    }
}

impl Drop for PrivateSockets {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
