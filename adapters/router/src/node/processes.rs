//! The processes of a node. They end with it.

use super::sockets::PrivateSockets;
use crate::config::{ComponentConfig, GuestConfig, Link};
use crate::log::Log;
use crate::process::guard::Keeper;
use crate::process::{HostLimits, HostedFunction, Next, Process, Role, Supervisor, python_input, to_json};
use serde_json::json;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use wampd_mio::ServerHandle;

/// The processes of a node; dropped, all of them are ended.
#[derive(Debug)]
pub(super) struct Processes {
    supervisors: Vec<Supervisor>,
    /// Ended when the processes are gone.
    keeper: Arc<Keeper>,
    /// Removed when the processes are gone.
    sockets: PrivateSockets,
    limits: HostLimits,
    log: Arc<Log>,
}

impl Processes {
    /// No processes yet. Those with a role are to connect to the sockets.
    pub(super) fn new(limits: HostLimits, sockets: PrivateSockets, keeper: Arc<Keeper>, log: Arc<Log>) -> Self {
        Self { supervisors: Vec::new(), keeper, sockets, limits, log }
    }

    pub(super) fn functions(&mut self, functions: &[Arc<HostedFunction>]) -> io::Result<()> {
        for function in functions {
            self.supervisors.push(function.start(self.limits, self.keeper.clone(), self.log.clone())?);
        }
        Ok(())
    }

    /// Starts components and guests. Components start one after the other, each when the one before is ready: a procedure
    /// that one registers is there for the next. Those with a role connect to the sockets, each to its own.
    ///
    /// With `listen` the components with a role come first; when the last of them is ready, the server listens, and the
    /// others and the guests are started, which connect to where it listens.
    pub(super) fn run(
        &mut self,
        mut components: Vec<ComponentConfig>,
        guests: Vec<GuestConfig>,
        listen: Option<ServerHandle>,
    ) -> io::Result<()> {
        let has_role = |component: &ComponentConfig| matches!(component.link, Link::Role(_));
        if listen.is_some() {
            components.sort_by_key(|component| !has_role(component));
        }
        let inside = components.iter().filter(|component| has_role(component)).count();
        let mut next = Vec::new();
        for GuestConfig { name, program, restart } in guests {
            let role = Role::Guest { restart };
            next.push(self.start(Process { name, program, role, waits: listen.is_some() })?);
        }
        let mut at_listening = listen.map(|server| (server, core::mem::take(&mut next)));
        next.clear();
        let mut paths = self.sockets.paths();
        let inputs: Vec<_> = components.iter().map(|component| component_input(component, || paths.next())).collect();
        drop(paths);
        for (number, (component, input)) in components.into_iter().zip(inputs).enumerate().rev() {
            if number + 1 == inside
                && let Some((server, guests)) = at_listening.take()
            {
                next.push(Next::Listen(server));
                next.extend(guests);
            }
            let role = Role::Component { input, restart: component.restart, next };
            let process = Process { name: component.name, program: component.program, role, waits: number > 0 };
            next = vec![self.start(process)?];
        }
        Ok(())
    }

    /// Returns what starts the process if it waits.
    fn start(&mut self, process: Process) -> io::Result<Next> {
        let supervisor = Supervisor::new(process, self.limits, self.keeper.clone(), self.log.clone())?;
        let next = Next::Start(supervisor.asker().clone());
        self.supervisors.push(supervisor);
        Ok(next)
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
