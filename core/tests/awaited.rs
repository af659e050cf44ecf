//! Procedures whose registration is waited for.

#[path = "../benches/rig/mod.rs"]
mod rig;

use wampd_core::id::{RegistrationId, RequestId};
use wampd_core::message::{
    ClientRoles, Features, Hello, HelloDetails, InvocationPolicy, Message, Register, RegisterOptions, Unregister,
};
use wampd_core::router::{
    Identity, LinkInfo, Output, PeerKey, Permissions, RealmConfig, RoleConfig, Router, RouterConfig,
};
use wampd_core::time::{Instant, UnixTime};
use wampd_core::uri::{MatchPolicy, Uri};

const NOW: Instant = Instant::ZERO;
const REALM: Uri = Uri::from_static("realm1");
const OTHER_REALM: Uri = Uri::from_static("realm2");
const PROCEDURE: Uri = Uri::from_static("com.example.authenticate");

struct Pair {
    router: Router,
    callee: PeerKey,
    requests: u64,
}

impl Pair {
    /// A router whose realms have a role that may do everything, and a callee of the first realm.
    fn new() -> Self {
        let realm = |name| RealmConfig::new(name, vec![RoleConfig::new("user", Permissions::all())]);
        let config = RouterConfig { realms: vec![realm(REALM), realm(OTHER_REALM)], ..RouterConfig::default() };
        let mut router = Router::new(config, NOW, UnixTime(0), rig::rng());
        let callee = Self::join(&mut router);
        Self { router, callee, requests: 0 }
    }

    fn join(router: &mut Router) -> PeerKey {
        let identity = Identity { realm: REALM, authid: "joe".into(), authrole: "user".into(), ..Identity::default() };
        let callee = router.open(NOW, LinkInfo { privileged: Some(identity), ..LinkInfo::default() }).expect("room");
        let roles = ClientRoles { callee: Some(Features::default()), ..ClientRoles::default() };
        let details = HelloDetails { roles, ..HelloDetails::default() };
        router.receive(NOW, callee, Hello { realm: Some(REALM), details }.into());
        while router.poll_output().is_some() {}
        callee
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::new(self.requests).expect("an id")
    }

    /// Registers a procedure; returns the registration, and the awaited procedures reported after it.
    fn register(&mut self, uri: &'static str, matching: MatchPolicy) -> (RegistrationId, Vec<Uri>) {
        let options = RegisterOptions { matching, invoke: InvocationPolicy::First, ..RegisterOptions::default() };
        let register = Register { request: self.request(), options, procedure: Uri::from_static(uri) };
        self.router.receive(NOW, self.callee, register.into());
        let (mut registration, mut told) = (None, Vec::new());
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { message: Message::Registered(registered), .. } => {
                    assert!(told.is_empty(), "told before the callee knows");
                    registration = Some(registered.registration);
                }
                Output::ProcedureRegistered { realm, procedure } => {
                    assert_eq!(realm, REALM);
                    told.push(procedure);
                }
                other => panic!("{other:?}"),
            }
        }
        self.router.check_invariants();
        (registration.expect("registered"), told)
    }

    fn unregister(&mut self, registration: RegistrationId) {
        let request = self.request();
        self.router.receive(NOW, self.callee, Unregister { request, registration }.into());
        while self.router.poll_output().is_some() {}
    }
}

#[test]
fn a_registration_that_matches_is_told_once() {
    for (uri, matching) in [
        ("com.example.authenticate", MatchPolicy::Exact),
        ("com.example.", MatchPolicy::Prefix),
        ("com..authenticate", MatchPolicy::Wildcard),
    ] {
        let mut pair = Pair::new();
        assert!(!pair.router.await_procedure(&REALM, &PROCEDURE) && !pair.router.await_procedure(&REALM, &PROCEDURE));
        assert_eq!(pair.register("com.example.other", MatchPolicy::Exact).1, [], "another procedure");
        assert_eq!(pair.register("com.example", MatchPolicy::Wildcard).1, [], "another pattern");
        let (registration, told) = pair.register(uri, matching);
        assert_eq!(told, [PROCEDURE], "{matching:?}");
        assert!(pair.router.await_procedure(&REALM, &PROCEDURE), "it is there");
        pair.unregister(registration);
        assert_eq!(pair.register(uri, matching).1, [], "nobody has asked again");
    }
}

#[test]
fn a_procedure_is_awaited_in_its_realm_until_somebody_is_there() {
    let mut pair = Pair::new();
    assert!(!pair.router.await_procedure(&OTHER_REALM, &PROCEDURE));
    let (registration, told) = pair.register("com.example.authenticate", MatchPolicy::Exact);
    assert_eq!(told, [], "it is registered in another realm");
    assert!(pair.router.await_procedure(&REALM, &PROCEDURE) && !pair.router.await_procedure(&OTHER_REALM, &PROCEDURE));
    pair.unregister(registration);
    assert!(!pair.router.await_procedure(&REALM, &PROCEDURE));
    pair.router.connection_lost(NOW, pair.callee);
    pair.callee = Pair::join(&mut pair.router);
    pair.requests = 0;
    assert_eq!(pair.register("com.example.authenticate", MatchPolicy::Exact).1, [PROCEDURE]);
    let nowhere = Uri::from_static("no such realm");
    assert!(pair.router.await_procedure(&nowhere, &PROCEDURE), "nothing to wait for");
}
