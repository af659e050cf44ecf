//! What a router costs over loopback sockets, beside the floor: a relay that moves the same bytes and knows nothing.
//!
//! ```text
//! taskset -c 1 cargo bench -p wampd-mio --bench loopback -- [--scale] [--seconds S] [--repeat N] [NAME...]
//! cargo bench -p wampd-mio --bench loopback -- --smoke
//! ```
//!
//! Processor time of the measured process per message, in microseconds. NAME selects lines that contain it. `--scale` shows
//! how it grows with payloads, subscribers and sessions instead. `--smoke` does a little of everything and checks all answers.

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

use load::{Rpc, Transport};
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

const JSON: Transport = Transport::WebSocket(Format::Json);

fn rpc(rpc: Rpc) -> Line {
    let Rpc { transport, callers, inflight, len, idle } = rpc;
    let beside = if idle == 0 { String::new() } else { format!(", beside {idle} idle sessions") };
    Line {
        name: format!("rpc {callers} x {inflight}, {len} bytes{beside}, {transport:?}"),
        unit: "us/call",
        router: Box::new(move |meter| load::rpc(rpc, meter)),
        floor: Some(Box::new(move |meter| relay::rpc(callers, inflight, len + 60, meter))),
    }
}

fn pubsub(subscribers: usize, len: usize) -> Line {
    Line {
        name: format!("pubsub {subscribers} subscribers, {len} bytes, {JSON:?}"),
        unit: "us/event",
        router: Box::new(move |meter| load::pubsub(JSON, subscribers, len, WINDOW, meter)),
        floor: Some(Box::new(move |meter| relay::pubsub(subscribers, len + 60, WINDOW, meter))),
    }
}

fn lines(smoke: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |transport, callers, inflight, len| {
        lines.push(rpc(Rpc { transport, callers, inflight, len, idle: 0 }));
    };
    for transport in Format::ALL.into_iter().flat_map(|f| [Transport::WebSocket(f), Transport::RawSocket(f)]) {
        add(transport, 1, 1, 16);
        add(transport, 16, 4, 16);
    }
    add(JSON, 16, 4, 4096);
    add(Transport::RawSocket(Format::Cbor), 16, 4, 4096);
    add(JSON, 16, 64, 16);
    add(JSON, 64, 64, 16);
    let large = if smoke { 1 << 16 } else { 1 << 20 };
    add(JSON, 1, 1, large);
    add(Transport::RawSocket(Format::Cbor), 1, 1, large);
    lines.extend([pubsub(100, 16), pubsub(if smoke { 200 } else { 1000 }, 16), pubsub(100, 4096)]);
    for (how, authenticated) in [("anonymous", false), ("WAMP-CRA", true)] {
        lines.push(Line {
            name: format!("join {how}, {JSON:?}"),
            unit: "us/join",
            router: Box::new(move |meter| load::join(JSON, authenticated, 16, meter)),
            floor: Some(Box::new(|meter| relay::join(16, meter))),
        });
    }
    let sessions = if smoke { 100 } else { 10_000 };
    for burst in [None, Some(64 << 10)] {
        lines.push(Line {
            name: format!(
                "idle {sessions} sessions{}, {JSON:?}",
                if burst.is_some() { " after 64 KiB each" } else { "" }
            ),
            unit: "KiB/session",
            router: Box::new(move |_| load::idle(JSON, sessions, burst)),
            floor: None,
        });
    }
    lines
}

/// How the figures grow: with the payload, with the subscribers, with the sessions that are there.
fn scale() -> Vec<Line> {
    let call = |len, idle| rpc(Rpc { transport: JSON, callers: 16, inflight: 4, len, idle });
    let payloads = [16, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10].map(|len| call(len, 0));
    let subscribers = [1, 10, 100, 1_000, 5_000].map(|subscribers| pubsub(subscribers, 16));
    let sessions = [100, 1_000, 9_000].map(|idle| call(16, idle));
    payloads.into_iter().chain(subscribers).chain(sessions).collect()
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
    let (mut smoke, mut scaled, mut seconds, mut repeat, mut names) = (false, false, 2.0, 3, Vec::new());
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|n| n.parse::<f64>().ok()).expect("a number follows");
        match argument.as_str() {
            "--smoke" => (smoke, seconds, repeat) = (true, 0.02, 1),
            "--scale" => scaled = true,
            "--seconds" => seconds = number(),
            "--repeat" => repeat = number() as usize,
            _ => names.push(argument),
        }
    }
    let window = Duration::from_secs_f64(seconds);
    let meter = Meter { warm_up: window / 4, window };
    println!("| what | unit | wampd | floor | ratio |\n| --- | --- | ---: | ---: | ---: |");
    for line in if scaled { scale() } else { lines(smoke) } {
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
