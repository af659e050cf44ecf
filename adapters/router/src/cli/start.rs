//! `wampd start`: serves a configuration until it is told to stop.

use super::args::{Args, ArgsError, Known};
use super::folder::{Claim, ClaimError, Given};
use super::{Outcome, Streams};
use crate::config::{self, Report, Severity};
use crate::log::{Level, Log, LogFormat};
use crate::node::certificates::Reloader;
use crate::node::{Node, demo};
use core::fmt::Display;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wampd_mio::ServerHandle;

/// How to use the command.
pub const USAGE: &str = "\
usage: wampd start [--config FILE] [--cbdir DIR] [--log-level LEVEL] [--log-format FORMAT]

Runs the router until SIGINT or SIGTERM, at which it says GOODBYE to every session; a
second signal stops it at once. SIGHUP loads the certificates of TLS again, which also
happens when their files change. Without a configuration it serves the folder .crossbar,
or runs a demo on 127.0.0.1:8080 if there is none.

  --config FILE        the configuration, JSON or YAML; with --cbdir, a file of that folder;
                       if there is no such file, that of the folder .crossbar
  --cbdir DIR          the folder of the configuration, config.json or config.yaml; wampd
                       stop finds the router by it
  --log-level LEVEL    error, warn, info or debug; default info
  --log-format FORMAT  text or json; default text. Log lines go to the standard error

Crossbar.io's --loglevel and --logformat are understood, too.

Ends with 0 after a shutdown in good order, 1 if the router could not be started or was
stopped at once, 2 if it was called wrongly.";

/// How long the end of the program waits for whoever reads its log.
const FAREWELL: Duration = Duration::from_secs(1);

const KNOWN: &[Known] = &[
    Known { name: "--config", takes_value: true },
    Known { name: "--cbdir", takes_value: true },
    Known { name: "--log-level", takes_value: true },
    Known { name: "--log-format", takes_value: true },
    Known { name: "--loglevel", takes_value: true },
    Known { name: "--logformat", takes_value: true },
    Known { name: "--help", takes_value: false },
];

/// Runs the command with what follows its name.
///
/// # Errors
/// If writing fails, or the system's poll or signals.
pub fn run(args: Vec<String>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let (args, level, format) = match parse(args) {
        Ok(parsed) => parsed,
        Err(message) => return usage(streams, &message),
    };
    if args.has("--help") {
        writeln!(streams.out, "{USAGE}")?;
        return Ok(Outcome::Success);
    }
    if let Some(other) = args.rest.first() {
        return usage(streams, &format!("what is {other:?}? Give a configuration as --config"));
    }
    let log = Arc::new(Log::in_background(level, format, Box::new(io::stderr()))?);
    let outcome = start(&args, &log, streams);
    log.finish(FAREWELL);
    outcome
}

fn start(args: &Args, log: &Arc<Log>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let Some(given) = Given::of(args) else { return demo(log, streams) };
    let (mut config, warnings) = match given.file().and_then(|file| config::load(&file)) {
        Ok(loaded) => loaded,
        Err(report) => return refuse(&report, log, streams),
    };
    tell(&warnings, log, streams)?;
    let claim = match given.folder().map(Claim::new).transpose() {
        Ok(claim) => claim,
        Err(ClaimError::Taken(pid)) => {
            let pid = pid.map_or_else(String::new, |pid| format!(" as process {}", pid.as_raw_nonzero()));
            return not_started(&format!("a node runs from this folder already{pid}"), log, streams);
        }
        Err(ClaimError::Io(file, error)) => {
            log.warn("wampd stop will not find this node").text("file", file.display()).text("error", error).end();
            None
        }
    };
    if let Some(key) = &config.router.cryptosign_key {
        log.info("clients of cryptosign may know this node by its key").text("public_key", key.public().to_hex()).end();
    }
    config.guard = own_program();
    if given.folder().is_some() {
        config = config.for_node_folder();
    }
    let connections = config.limits.server.max_connections;
    let outcome = match Node::bind(config, log.clone()) {
        Ok(node) => {
            allow_files(connections, log);
            serve(node, log)
        }
        Err(error) => not_started(&error, log, streams),
    };
    drop(claim);
    outcome
}

/// The program that runs here: on Linux even when its file was replaced meanwhile.
fn own_program() -> Option<PathBuf> {
    let here = PathBuf::from("/proc/self/exe");
    if here.exists() { Some(here) } else { std::env::current_exe().ok() }
}

/// Takes as many file descriptors as the system lets this process have, and tells if that limits the connections.
fn allow_files(connections: usize, log: &Log) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    if let Some(files) = current.filter(|files| *files < connections as u64) {
        let event = "fewer file descriptors than connections: raise the limit of the process, or lower max_connections";
        log.info(event).number("files", files).number("max_connections", connections as u64).end();
    }
}

/// What the demo says of itself. The secrets are those of the example, and known to everybody.
const DEMO: &str = "\
wampd runs a DEMO, since no configuration was given. Its secrets are known to everybody
who has this program: do not let others reach it. See wampd start --help.

  WebSocket    ws://127.0.0.1:8080/ws, realm realm1, authentication WAMP-CRA
  users        client1 with secret123, joe with secret2, hans with 123456, peter with secret1
  procedure    com.example.add2: adds two numbers
  topics       com.example.topic1, com.foobar.topic1

Try, in another terminal:

  wampd call --auth wampcra --authid client1 --secret secret123 com.example.add2 2 3
  wampd publish --auth wampcra --authid client1 --secret secret123 com.example.topic1 hello

or open http://127.0.0.1:8080/ in a browser, or connect with any WAMP client. Ctrl-C stops
the router.
";

fn demo(log: &Arc<Log>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let config = match demo::config() {
        Ok(config) => config,
        Err(report) => return refuse(&report, log, streams),
    };
    match Node::bind(config, log.clone()) {
        Ok(node) => {
            writeln!(streams.out, "{DEMO}")?;
            streams.out.flush()?;
            serve(node.with_demo(), log)
        }
        Err(error) => not_started(&error, log, streams),
    }
}

fn parse(args: Vec<String>) -> Result<(Args, Level, LogFormat), String> {
    let args = Args::parse(args, KNOWN).map_err(|error: ArgsError| error.to_string())?;
    let level = match args.get("--log-level").or_else(|| args.get("--loglevel")) {
        None => Level::Info,
        // The most and the least that there is.
        Some("trace") => Level::Debug,
        Some("none") => Level::Error,
        Some(name) => {
            let level = Level::ALL.into_iter().find(|(known, _)| *known == name);
            level.ok_or("--log-level must be error, warn, info or debug")?.1
        }
    };
    let format = match args.get("--log-format").or_else(|| args.get("--logformat")) {
        None | Some("text" | "standard" | "syslogd" | "nocolor" | "colour" | "color") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(_) => return Err("--log-format must be text or json".to_owned()),
    };
    Ok((args, level, format))
}

fn usage(streams: &mut Streams<'_>, message: &str) -> io::Result<Outcome> {
    writeln!(streams.err, "wampd start: {message}\n\n{USAGE}")?;
    Ok(Outcome::Usage)
}

/// Says what was found in a configuration: as the other lines of the log, where programs read them.
fn tell(report: &Report, log: &Log, streams: &mut Streams<'_>) -> io::Result<()> {
    if log.format() == LogFormat::Text {
        return write!(streams.err, "{report}");
    }
    for problem in report.problems() {
        let line = match problem.severity {
            Severity::Error => log.error("configuration"),
            Severity::Warning => log.warn("configuration"),
        };
        let line = line.text("path", &problem.path).text("message", &problem.message);
        let line = match &problem.position {
            Some(at) => line.number("line", at.line as u64).number("column", at.column as u64),
            None => line,
        };
        match &problem.hint {
            Some(hint) => line.text("hint", hint).end(),
            None => line.end(),
        }
    }
    Ok(())
}

fn refuse(report: &Report, log: &Log, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    tell(report, log, streams)?;
    not_started(&"the configuration has errors", log, streams)
}

fn not_started(why: &dyn Display, log: &Log, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    match log.format() {
        LogFormat::Text => {
            log.finish(FAREWELL);
            writeln!(streams.err, "wampd: not started: {why}")?;
        }
        LogFormat::Json => log.error("not started").text("why", why).end(),
    }
    Ok(Outcome::Failure)
}

fn serve(node: Node, log: &Arc<Log>) -> io::Result<Outcome> {
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    if node.listens() {
        for endpoint in node.endpoints() {
            log.info("listening").text("endpoint", endpoint).end();
        }
    } else {
        log.info("waiting for components to be ready before listening").end();
    }
    let (handle, reloader) = (node.handle(), node.reloader());
    let (stop, stopper) = (signals.handle(), std::thread::Builder::new().name("wampd-signals".to_owned()));
    let stopper = stopper.spawn({
        let log = log.clone();
        move || obey_signals(signals, &handle, &reloader, &log)
    })?;
    let ran = node.run();
    stop.close();
    let forced = stopper.join().unwrap_or_default();
    ran?;
    log.info("stopped").end();
    Ok(if forced { Outcome::Failure } else { Outcome::Success })
}

/// SIGHUP loads certificates again. Of the others the first asks for a shutdown, the second for an end. Returns whether
/// there was a second.
fn obey_signals(mut signals: Signals, server: &ServerHandle, certificates: &Reloader, log: &Log) -> bool {
    let mut shutting_down = false;
    for signal in signals.forever() {
        let number = signal.unsigned_abs().into();
        if signal == SIGHUP {
            log.info("signal received: loading certificates again").number("signal", number).end();
            certificates.ask();
        } else if shutting_down {
            log.warn("signal received again: stopping at once").number("signal", number).end();
            server.stop();
            return true;
        } else {
            log.info("signal received: shutting down").number("signal", number).end();
            server.shut_down();
            shutting_down = true;
        }
    }
    false
}
