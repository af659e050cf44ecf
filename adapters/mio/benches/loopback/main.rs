//! What a router costs over loopback sockets, beside the floor: a relay that moves the same bytes and knows nothing.
//!
//! ```text
//! taskset -c 1 cargo bench -p wampd-mio --bench loopback -- [--seconds S] [--repeat N] [NAME...]
//! cargo bench -p wampd-mio --bench loopback -- --smoke
//! ```
//!
//! Processor time of the measured process per message, in microseconds. NAME selects lines that contain it. `--smoke` does a
//! little of everything and checks all answers.

#[path = "../../examples/serve.rs"]
#[allow(dead_code)] // its `main`
mod serve;

#[path = "../../tests/support/rng.rs"]
#[allow(unreachable_pub)] // a module of the tests
mod rng;

mod load;
mod process;
mod relay;
mod sockets;

use std::time::{Duration, Instant};

use load::Transport;
use process::Process;
use wampd_core::codec::Format;

const USER: &str = "load";
const SECRET: &str = "secret";

/// Publications on their way at a time.
const WINDOW: u64 = 16;

/// How long is measured, and after what.
pub(crate) struct Meter {
    warm_up: Duration,
    window: Duration,
}

impl Meter {
    /// Runs steps, which count what is done; returns the microseconds of the process for each.
    fn run(&self, process: &Process, mut step: impl FnMut(&mut u64)) -> f64 {
        let mut run = |time: Duration| {
            let (began, cpu, mut done) = (Instant::now(), process.cpu(), 0);
            while began.elapsed() < time || done == 0 {
                step(&mut done);
            }
            (process.cpu() - cpu) / done as f64
        };
        run(self.warm_up);
        run(self.window)
    }
}

type Measurement = Box<dyn Fn(&Meter) -> f64>;

/// A line of the report.
struct Line {
    name: String,
    unit: &'static str,
    router: Measurement,
    floor: Option<Measurement>,
}

fn lines(smoke: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let json = Transport::WebSocket(Format::Json);
    let mut rpc = |transport: Transport, callers: usize, inflight: usize, len: usize| {
        lines.push(Line {
            name: format!("rpc {callers} x {inflight}, {len} bytes, {transport:?}"),
            unit: "us/call",
            router: Box::new(move |meter| load::rpc(transport, callers, inflight, len, meter)),
            floor: Some(Box::new(move |meter| relay::rpc(callers, inflight, len + 60, meter))),
        });
    };
    for transport in Format::ALL.into_iter().flat_map(|f| [Transport::WebSocket(f), Transport::RawSocket(f)]) {
        rpc(transport, 1, 1, 16);
        rpc(transport, 16, 4, 16);
    }
    rpc(json, 16, 4, 4096);
    rpc(Transport::RawSocket(Format::Cbor), 16, 4, 4096);
    rpc(json, 16, 64, 16);
    rpc(json, 64, 64, 16);
    let large = if smoke { 1 << 16 } else { 1 << 20 };
    rpc(json, 1, 1, large);
    rpc(Transport::RawSocket(Format::Cbor), 1, 1, large);
    let mut pubsub = |subscribers: usize, len: usize| {
        lines.push(Line {
            name: format!("pubsub {subscribers} subscribers, {len} bytes, {json:?}"),
            unit: "us/event",
            router: Box::new(move |meter| load::pubsub(json, subscribers, len, WINDOW, meter)),
            floor: Some(Box::new(move |meter| relay::pubsub(subscribers, len + 60, WINDOW, meter))),
        });
    };
    pubsub(100, 16);
    pubsub(if smoke { 200 } else { 1000 }, 16);
    pubsub(100, 4096);
    for (how, authenticated) in [("anonymous", false), ("WAMP-CRA", true)] {
        lines.push(Line {
            name: format!("join {how}, {json:?}"),
            unit: "us/join",
            router: Box::new(move |meter| load::join(json, authenticated, 16, meter)),
            floor: Some(Box::new(|meter| relay::join(16, meter))),
        });
    }
    let sessions = if smoke { 100 } else { 10_000 };
    for burst in [None, Some(64 << 10)] {
        lines.push(Line {
            name: format!(
                "idle {sessions} sessions{}, {json:?}",
                if burst.is_some() { " after 64 KiB each" } else { "" }
            ),
            unit: "KiB/session",
            router: Box::new(move |_| load::idle(json, sessions, burst)),
            floor: None,
        });
    }
    lines
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("--router") => return serve::serve(&["127.0.0.1:0", USER, SECRET].map(str::to_owned)).expect("serve"),
        Some("--relay") => return relay::run(),
        _ => {}
    }
    let (mut smoke, mut seconds, mut repeat, mut names) = (false, 2.0, 3, Vec::new());
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|n| n.parse::<f64>().ok()).expect("a number follows");
        match argument.as_str() {
            "--smoke" => (smoke, seconds, repeat) = (true, 0.02, 1),
            "--seconds" => seconds = number(),
            "--repeat" => repeat = number() as usize,
            _ => names.push(argument),
        }
    }
    let window = Duration::from_secs_f64(seconds);
    let meter = Meter { warm_up: window / 4, window };
    println!("| what | unit | wampd | floor | ratio |\n| --- | --- | ---: | ---: | ---: |");
    for line in lines(smoke) {
        if !names.is_empty() && !names.iter().any(|name| line.name.contains(name)) {
            continue;
        }
        // Both in turn, so that what else the machine does disturbs both.
        let (mut router, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..repeat.max(1) {
            floor.extend(line.floor.as_ref().map(|floor| floor(&meter)));
            router.push((line.router)(&meter));
        }
        let router = median(&mut router);
        let (floor, ratio) = match floor.as_mut_slice() {
            [] => ("-".to_owned(), "-".to_owned()),
            floor => {
                let floor = median(floor);
                (format!("{floor:.2}"), format!("{:.2}", router / floor))
            }
        };
        println!("| {} | {} | {router:.2} | {floor} | {ratio} |", line.name, line.unit);
    }
}
