//! A session that decides who may join.

use std::sync::mpsc;
use std::thread::JoinHandle;
use wampd_core::client::ClientEvent;
use wampd_core::message::{Payload, RegisterOptions, YieldOptions};
use wampd_core::uri::{Uri, close};
use wampd_core::value::{Dict, Value};
use wampd_mio::client::{Client, ClientWaker};

/// What the procedure answers: a value, or an error.
pub type Answer = Result<Value, (Uri, Payload)>;

/// A session that serves the authenticator.
pub struct Authenticator {
    thread: Option<JoinHandle<Vec<Vec<Value>>>>,
    stop: mpsc::Sender<()>,
    waker: ClientWaker,
}

impl Authenticator {
    /// `None` from `answer`: it never answers.
    pub fn new(mut client: Client, mut answer: impl FnMut(&str, &Dict) -> Option<Answer> + Send + 'static) -> Self {
        client.register("com.example.authenticate", RegisterOptions::default()).expect("registered");
        let (waker, (stop, stopped)) = (client.waker(), mpsc::channel());
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            while stopped.try_recv().is_err() {
                let Ok(event) = client.next_event(None) else { break };
                let Some(ClientEvent::Invocation { request, payload, .. }) = event else { continue };
                let (args, _) = payload.values().expect("values");
                let answer = answer(args[1].as_str().unwrap_or_default(), args[2].as_dict().expect("details"));
                asked.push(args);
                match answer {
                    Some(Ok(value)) => {
                        client.yield_result(request, YieldOptions::default(), Payload::from_args([value]))
                    }
                    Some(Err((uri, payload))) => client.yield_error(request, uri, payload),
                    None => continue,
                }
                .expect("answered");
            }
            let _ = client.leave(close::NORMAL);
            asked
        });
        Self { thread: Some(thread), stop, waker }
    }

    /// Leaves; returns what it was asked.
    pub fn stop(mut self) -> Vec<Vec<Value>> {
        self.stop.send(()).expect("it runs");
        self.waker.wake();
        self.thread.take().expect("once").join().expect("no panic")
    }
}
