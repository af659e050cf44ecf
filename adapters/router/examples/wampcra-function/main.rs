//! The whole example in one process: the router with `config.json` on free ports, a backend, and a client that runs twice,
//! with the right secret and with a wrong one.
//!
//!     cargo run --release -p wampd --example wampcra-function
//!
//! Prints what backend and client see, and ends with 0 only if that is what it should be, line by line.

mod backend;
mod client;
mod expected;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};
use wampd::config::{self, Endpoint as ConfigEndpoint};
use wampd::log::{Level, Log, LogFormat};
use wampd::node::Node;
use wampd_core::client::{ClientConfig, ClientLimits};
use wampd_mio::Endpoint;
use wampd_mio::client::{Options, Url};

/// How long any single step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where router and example are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wampcra-function");

fn main() -> ExitCode {
    match play() {
        Ok(problems) if problems.is_empty() => {
            println!("\nEverything happened as expected.");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            eprintln!("\n{}", problems.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the scenario and prints it. Returns what was not as it should be.
pub(crate) fn play() -> Result<Vec<String>, Box<dyn Error>> {
    let router = Router::start()?;
    let backend = backend::Backend::start(&router.backend)?;

    let mut problems = Vec::new();
    for (secret, expected) in [("secret123", expected::WELCOME), ("wrongpassword", expected::REFUSED)] {
        println!("\n--- client, as client1 with the secret {secret:?}");
        let lines = client::run(&router.clients, "client1", secret);
        problems.extend(expected::compare("client", &lines, expected));
    }

    println!("\n--- what the backend saw");
    let lines = backend.stop();
    lines.iter().for_each(|line| println!("{line}"));
    problems.extend(expected::compare("backend", &lines, expected::BACKEND));
    router.stop()?;
    Ok(problems)
}

/// The router in a thread of its own.
struct Router {
    clients: Url,
    backend: Url,
    handle: wampd_mio::ServerHandle,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Router {
    fn start() -> Result<Self, Box<dyn Error>> {
        let file = config::find(Path::new(FOLDER)).map_err(|report| report.to_string())?;
        let (mut node, _) = config::load(&file).map_err(|report| report.to_string())?;
        for transport in &mut node.transports {
            if let ConfigEndpoint::Tcp { address, .. } = &mut transport.endpoint {
                address.set_port(0); // any that is free
            }
        }
        let log = Log::new(Level::Warn, LogFormat::Text, Box::new(io::stderr()));
        let node = Node::bind(node, Arc::new(log))?;
        let [Endpoint::Tcp(clients), Endpoint::Tcp(backend)] = node.endpoints() else {
            return Err("config.json has other transports than this program expects".into());
        };
        let (clients, backend) = (format!("ws://{clients}/ws").parse()?, format!("ws://{backend}/").parse()?);
        println!("--- the router listens on {clients} for clients and on {backend} for the backend");
        let handle = node.handle();
        Ok(Self { clients, backend, handle, thread: thread::spawn(move || node.run()) })
    }

    fn stop(self) -> Result<(), Box<dyn Error>> {
        self.handle.shut_down();
        Ok(self.thread.join().map_err(|_| "the router has panicked")??)
    }
}

fn options() -> Options {
    Options { open_timeout: PATIENCE, ..Options::default() }
}

/// The same bounds for whoever joins.
fn patient(config: ClientConfig) -> ClientConfig {
    let limits =
        ClientLimits { handshake_timeout: PATIENCE, request_timeout: Some(PATIENCE), ..ClientLimits::default() };
    ClientConfig { limits, ..config }
}
