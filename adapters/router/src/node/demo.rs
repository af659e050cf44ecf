//! The founding scenario without any file: its realm, its users, and a backend inside the router.

use crate::config::{self, NodeConfig, PathService, Report, Surroundings, Syntax};
use crate::log::Log;
use crate::script::ScriptError;
use std::collections::BTreeMap;
use std::path::Path;
use wampd_core::client::ClientEvent;
use wampd_core::id::{RequestId, SubscriptionId};
use wampd_core::message::{Payload, RegisterOptions, SubscribeOptions, YieldOptions};
use wampd_core::router::Identity;
use wampd_core::uri::{Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_mio::{LocalId, Locals, Response};

const CONFIG: &str = include_str!("../../examples/wampcra-function/config.json");
const AUTHENTICATOR: &str = include_str!("../../examples/wampcra-function/authenticator.rhai");

const REALM: Uri = Uri::from_static("realm1");
const ADD2: Uri = Uri::from_static("com.example.add2");
const TOPICS: [Uri; 3] = [
    Uri::from_static("com.example.topic1"),
    Uri::from_static("com.foobar.topic1"),
    Uri::from_static("com.foobar.topic2"),
];

/// The example's page.
const PAGE: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", include_str!("../../examples/wampcra-function/web/index.html")),
    ("/page.js", JAVASCRIPT, include_str!("../../examples/wampcra-function/web/page.js")),
    ("/scenario.js", JAVASCRIPT, include_str!("../../examples/wampcra-function/web/scenario.js")),
    ("/wamp.js", JAVASCRIPT, include_str!("../../examples/wampcra-function/web/wamp.js")),
    ("/with-autobahn.js", JAVASCRIPT, include_str!("../../examples/wampcra-function/web/with-autobahn.js")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// What is served at a path beside the WebSocket.
pub(super) fn page(path: &str) -> Option<Response> {
    let (_, content_type, content) = PAGE.into_iter().find(|(known, ..)| *known == path)?;
    Some(Response { content_type: content_type.to_owned(), ..Response::text(200, content) })
}

/// The configuration of the example, with its WebSocket alone.
///
/// # Errors
/// None, unless this program was built wrongly.
pub fn config() -> Result<NodeConfig, Report> {
    let script = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
        Some("authenticator.rhai") => Ok(AUTHENTICATOR.to_owned()),
        _ => Err(ScriptError::Unreadable("it is not part of the demo".to_owned())),
    };
    let surroundings = Surroundings { folder: Path::new(""), variable: &|_| None, script: &script, tls: &|_| Ok(()) };
    let (mut node, _) = config::parse("demo", CONFIG, Syntax::Json, &surroundings)?;
    node.transports.truncate(1);
    for transport in &mut node.transports {
        transport.routes.routes.retain(|route| matches!(route.service, PathService::WebSocket(_)));
    }
    Ok(node)
}

/// The backend: a session in this process that serves `com.example.add2` and listens to the topics.
#[derive(Debug)]
pub(super) struct Backend {
    id: LocalId,
    subscribing: BTreeMap<RequestId, Uri>,
    topics: BTreeMap<SubscriptionId, Uri>,
}

impl Backend {
    pub(super) fn new(locals: &mut Locals) -> Self {
        let id = locals.add(Identity {
            realm: REALM,
            authid: "backend".to_owned(),
            authrole: "backend".to_owned(),
            authmethod: "internal".to_owned(),
            authprovider: "internal".to_owned(),
            authextra: Dict::new(),
        });
        Self { id, subscribing: BTreeMap::new(), topics: BTreeMap::new() }
    }

    pub(super) fn is(&self, id: LocalId) -> bool {
        self.id == id
    }

    pub(super) fn event(&mut self, event: ClientEvent, locals: &mut Locals, log: &Log) {
        let Some(mut peer) = locals.get(self.id) else { return };
        // Requests fail only once the session is over; an answer only when nobody waits for it.
        match event {
            ClientEvent::Joined(_) => {
                let _ = peer.register(ADD2, RegisterOptions::default());
                for topic in TOPICS {
                    if let Ok(request) = peer.subscribe(topic.clone(), SubscribeOptions::default()) {
                        self.subscribing.insert(request, topic);
                    }
                }
            }
            ClientEvent::Registered { .. } => log.info("demo backend: procedure registered").text("uri", ADD2).end(),
            ClientEvent::Subscribed { request, subscription } => {
                if let Some(topic) = self.subscribing.remove(&request) {
                    self.topics.insert(subscription, topic);
                }
            }
            ClientEvent::Event { subscription, payload, .. } => {
                let topic = self.topics.get(&subscription).map_or("", Uri::as_str);
                let args = payload.values().map(|(args, _)| args).unwrap_or_default();
                log.info("demo backend: event received").text("topic", topic).text("args", shown(args)).end();
            }
            ClientEvent::Invocation { request, payload, .. } => {
                let args = payload.values().map(|(args, _)| args).unwrap_or_default();
                log.info("demo backend: procedure called").text("args", shown(args.clone())).end();
                let _ = match add2(&args) {
                    Some(sum) => peer.yield_result(request, YieldOptions::default(), Payload::from_args([sum])),
                    None => {
                        let text = Payload::from_args(["com.example.add2 takes two numbers".into()]);
                        peer.yield_error(request, error::INVALID_ARGUMENT, text)
                    }
                };
            }
            _ => {}
        }
    }
}

fn add2(args: &[Value]) -> Option<Value> {
    match args {
        [Value::Int(a), Value::Int(b)] => a.checked_add(*b).map(Value::Int),
        [a, b] => Some(Value::Float(a.as_f64()? + b.as_f64()?)),
        _ => None,
    }
}

/// Arguments as JSON, for people.
fn shown(args: Vec<Value>) -> String {
    serde_json::to_string(&Value::List(args)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_serves_the_websocket_alone() {
        let node = config().unwrap_or_else(|report| panic!("{report}"));
        let [transport] = node.transports.as_slice() else { panic!("{:?}", node.transports) };
        assert!(transport.routes.find("/ws").is_some() && transport.routes.find("/").is_none());
        assert_eq!(format!("{:?}", transport.endpoint), "Tcp { address: 127.0.0.1:8080, backlog: 1024 }");
    }

    #[test]
    fn the_page_is_whole() {
        let web = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wampcra-function/web");
        for file in std::fs::read_dir(web).expect("a folder") {
            let name = file.expect("an entry").file_name().into_string().expect("UTF-8");
            let path = if name == "index.html" { "/".to_owned() } else { format!("/{name}") };
            assert!(name.ends_with(".min.js") || page(&path).is_some(), "{name}");
        }
        assert!(page("/ws").is_none() && page("/index").is_none());
    }

    #[test]
    fn sums() {
        assert_eq!(add2(&[2.into(), 3.into()]), Some(Value::Int(5)));
        assert_eq!(add2(&[2.5.into(), 3.into()]), Some(Value::Float(5.5)));
        for args in [vec![], vec![1.into()], vec!["1".into(), 2.into()], vec![i64::MAX.into(), 1.into()]] {
            assert_eq!(add2(&args), None, "{args:?}");
        }
    }
}
