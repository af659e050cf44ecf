//! Who gets the built-in role `trusted`, which may do everything: privileged peers whose identity says so, nobody else.

#[path = "../benches/rig/mod.rs"]
mod rig;

use wampd_core::id::RequestId;
use wampd_core::message::{
    Call, CallOptions, ClientRoles, Features, Hello, HelloDetails, Message, Payload, Register, RegisterOptions,
    Subscribe, SubscribeOptions,
};
use wampd_core::router::{
    AuthVerdict, Identity, LinkInfo, Output, PeerKey, Permissions, RealmConfig, RoleConfig, Router, RouterConfig,
};
use wampd_core::time::{Instant, UnixTime};
use wampd_core::uri::{Uri, error};

const NOW: Instant = Instant::ZERO;
const REALM: Uri = Uri::from_static("realm1");

/// A router with these roles, none of which may do anything, and a role `asked` whose every request is asked for.
fn router(roles: &[&str]) -> Router {
    let mut roles: Vec<_> = roles.iter().map(|role| RoleConfig::new(*role, Permissions::none())).collect();
    roles.push(RoleConfig::new("asked", Permissions::asked()));
    let config = RouterConfig { realms: vec![RealmConfig::new(REALM, roles)], ..RouterConfig::default() };
    Router::new(config, NOW, UnixTime(0), rig::rng())
}

fn identity(role: &str) -> Identity {
    Identity {
        realm: REALM,
        authid: "joe".to_owned(),
        authrole: role.to_owned(),
        authmethod: "ticket".to_owned(),
        authprovider: "static".to_owned(),
        ..Identity::default()
    }
}

/// Gives the router a message, lets whoever asks in with this role, and returns what it sends back last.
fn give(router: &mut Router, peer: PeerKey, message: impl Into<Message>, role: &str) -> Option<Message> {
    let mut last = None;
    router.receive(NOW, peer, message.into());
    while let Some(output) = router.poll_output() {
        match output {
            Output::Send { message, .. } => last = Some(message),
            Output::Authenticate(request) => {
                router.decide_auth(NOW, request.id, AuthVerdict::Welcome(identity(role))).expect("asked just now");
            }
            _ => {}
        }
    }
    last
}

/// Joins over a link of this kind with the role that is granted.
fn join(router: &mut Router, privileged: Option<Identity>, granted: &str) -> (PeerKey, Option<Message>) {
    let link = LinkInfo { privileged, ..LinkInfo::default() };
    let peer = router.open(NOW, link).expect("room");
    let features = Some(Features::default());
    let roles = ClientRoles { publisher: features, subscriber: features, caller: features, callee: features };
    // What the client asks to be is no reason to let it.
    let authrole = Some("trusted".to_owned());
    let details = HelloDetails { roles, authrole, ..HelloDetails::default() };
    let answer = give(router, peer, Hello { realm: Some(REALM), details }, granted);
    (peer, answer)
}

/// How many of three requests are answered by something else than `not_authorized`.
fn allowed(router: &mut Router, peer: PeerKey) -> usize {
    let uri = Uri::from_static("com.example.secret");
    let request = |n: u64| RequestId::new(n).expect("an id");
    let requests: [Message; 3] = [
        Register { request: request(1), options: RegisterOptions::default(), procedure: uri.clone() }.into(),
        Subscribe { request: request(2), options: SubscribeOptions::default(), topic: uri.clone() }.into(),
        Call { request: request(3), options: CallOptions::default(), procedure: uri, payload: Payload::default() }
            .into(),
    ];
    let denied =
        |answer: Option<Message>| matches!(answer, Some(Message::Error(it)) if it.error == error::NOT_AUTHORIZED);
    requests.into_iter().filter(|request| !denied(give(router, peer, request.clone(), ""))).count()
}

fn refusal(answer: Option<Message>) -> Uri {
    match answer {
        Some(Message::Abort(abort)) => abort.reason,
        other => panic!("let in: {other:?}"),
    }
}

#[test]
fn no_authenticator_can_make_a_client_trusted() {
    let mut router = router(&["user"]);
    for role in ["trusted", "Trusted", "TRUSTED", "trusted ", "", "admin"] {
        let (_, answer) = join(&mut router, None, role);
        assert_eq!(refusal(answer), error::NO_SUCH_ROLE, "{role:?}");
    }
    assert_eq!(router.stats().sessions, 0);
}

#[test]
fn clients_have_the_rules_of_their_role_whatever_they_ask_for() {
    let mut router = router(&["user"]);
    let (peer, answer) = join(&mut router, None, "user");
    assert!(matches!(answer, Some(Message::Welcome(welcome)) if welcome.details.authrole.as_deref() == Some("user")));
    assert_eq!(allowed(&mut router, peer), 0);
}

#[test]
fn a_configured_role_of_that_name_has_the_rules_of_the_configuration() {
    let mut router = router(&["trusted"]);
    let (client, answer) = join(&mut router, None, "trusted");
    assert!(matches!(answer, Some(Message::Welcome(_))));
    assert_eq!(allowed(&mut router, client), 0);
    let (service, _) = join(&mut router, Some(identity("trusted")), "");
    assert_eq!(allowed(&mut router, service), 0);
}

#[test]
fn privileged_peers_are_trusted_only_if_their_identity_says_so() {
    let mut router = router(&["user"]);
    let (service, _) = join(&mut router, Some(identity("trusted")), "user");
    assert_eq!(allowed(&mut router, service), 3);
    let (component, _) = join(&mut router, Some(identity("user")), "trusted");
    assert_eq!(allowed(&mut router, component), 0);
    let (_, answer) = join(&mut router, Some(identity("admin")), "trusted");
    assert_eq!(refusal(answer), error::NO_SUCH_ROLE);
}

#[test]
fn a_role_that_is_asked_for_may_do_nothing_before_the_answer() {
    let mut router = router(&[]);
    let (peer, answer) = join(&mut router, None, "asked");
    assert!(matches!(answer, Some(Message::Welcome(_))), "{answer:?}");
    let uri = Uri::from_static("com.example.secret");
    let message = Subscribe { request: RequestId::FIRST, options: SubscribeOptions::default(), topic: uri };
    router.receive(NOW, peer, message.into());
    let outputs: Vec<_> = std::iter::from_fn(|| router.poll_output()).collect();
    assert!(matches!(&outputs[..], [Output::Authorize(_)]), "{outputs:?}");
}
