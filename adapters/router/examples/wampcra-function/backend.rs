//! The backend: offers `com.example.add2` and listens to the topics, in a thread of its own.

use super::{options, patient};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::{RequestId, SubscriptionId};
use wampd_core::message::{Payload, RegisterOptions, SubscribeOptions, YieldOptions};
use wampd_core::uri::{close, error};
use wampd_core::value::{Dict, Value};
use wampd_mio::client::{Client, ClientWaker, Error as ClientError, Url};

const TOPICS: [&str; 4] = ["com.example.topic1", "com.foobar.topic1", "com.foobar.topic2", "com.example.topic2"];

pub(super) struct Backend {
    waker: ClientWaker,
    told_to_stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Backend {
    /// Joins, subscribes, registers; then serves in a thread.
    pub(super) fn start(url: &Url) -> Result<Self, Box<dyn Error>> {
        let config = patient(ClientConfig::anonymous("realm1".into()));
        let mut client = Client::connect(url, &options(), config)?;
        let mut lines = Vec::new();
        let mut topics = Vec::new();
        for topic in TOPICS {
            match client.subscribe(topic, SubscribeOptions::default()) {
                Ok(subscription) => {
                    topics.push((subscription, topic));
                    lines.push(format!("ok, subscribed to topic {topic}"));
                }
                Err(ClientError::Failed(failure)) => {
                    lines.push(format!("subscription to topic {topic} failed - this is expected: {failure}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        client.register("com.example.add2", RegisterOptions::default())?;
        lines.push("ok, procedure com.example.add2 registered".to_owned());

        let (waker, told_to_stop) = (client.waker(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&told_to_stop);
        let thread = thread::spawn(move || {
            let mut backend = Serving { client, topics, lines };
            backend.serve(&stop);
            backend.lines
        });
        Ok(Self { waker, told_to_stop, thread })
    }

    /// Lets it leave. Returns what it saw.
    pub(super) fn stop(self) -> Vec<String> {
        self.told_to_stop.store(true, Ordering::Release);
        self.waker.wake();
        self.thread.join().unwrap_or_else(|_| vec!["the backend has panicked".to_owned()])
    }
}

struct Serving {
    client: Client,
    topics: Vec<(SubscriptionId, &'static str)>,
    lines: Vec<String>,
}

impl Serving {
    /// Until the session ends: when it is told to stop, or by the router's doing.
    fn serve(&mut self, stop: &AtomicBool) {
        loop {
            let stopping = stop.load(Ordering::Acquire);
            match self.client.next_event(stopping.then_some(Duration::ZERO)) {
                Ok(Some(ClientEvent::Event { subscription, payload, .. })) => self.event(subscription, &payload),
                Ok(Some(ClientEvent::Invocation { request, payload, .. })) => self.add2(request, &payload),
                // Whatever had arrived was taken in.
                Ok(None) if stopping => {
                    let end = self.client.leave(close::NORMAL);
                    let end = end.map_or_else(|end| end.to_string(), |reason| format!("backend left: {reason}"));
                    return self.lines.push(end);
                }
                Ok(_) => {}
                Err(end) => return self.lines.push(end.to_string()),
            }
        }
    }

    fn event(&mut self, subscription: SubscriptionId, payload: &Payload) {
        let topic = self.topics.iter().find(|(id, _)| *id == subscription).map_or("?", |(_, topic)| topic);
        let (args, _) = payload.values().unwrap_or_default();
        let text = args.first().and_then(Value::as_str).unwrap_or("?");
        self.lines.push(format!("event received on topic {topic}: {text}"));
    }

    fn add2(&mut self, request: RequestId, payload: &Payload) {
        let answered = match payload.to_serde::<(i64, i64), Dict>() {
            Ok(((x, y), _)) => {
                self.lines.push(format!("com.example.add2 called with {x} and {y}"));
                let sum = Payload::from_args([Value::from(x.saturating_add(y))]);
                self.client.yield_result(request, YieldOptions::default(), sum)
            }
            Err(_) => self.client.yield_error(request, error::INVALID_ARGUMENT, Payload::empty()),
        };
        self.lines.extend(answered.err().map(|error| format!("no answer to com.example.add2: {error}")));
    }
}
