//! A router in your own program: one realm, everybody may do everything, WebSocket and RawSocket on one port.
//!
//! ```text
//! cargo run --release -p wampd-mio --example serve -- [ADDRESS] [AUTHID SECRET]
//! ```
//!
//! It listens on ADDRESS (default `127.0.0.1:8080`), WebSockets at any path. With AUTHID and SECRET that user may join by
//! WAMP-CRA; anonymous clients may in any case. It is also what the benchmarks of this crate load.

use std::{env, process::ExitCode, sync::Arc};

use wampd_core::{
    auth::CraSecret,
    router::{
        AuthRequest, AuthStep, AuthVerdict, Challenge, Identity, Permissions, RealmConfig, RoleConfig, RouterConfig,
    },
    uri::{Uri, error},
};
use wampd_mio::{Context, Endpoint, Host, HttpAction, HttpPeer, ListenerConfig, Server, ServerConfig};
use wampd_wire::{HttpRequest, ServerOptions, UpgradeOptions};

struct Program {
    realm: Uri,
    upgrade: Arc<UpgradeOptions>,
    user: Option<(String, String)>,
}

impl Program {
    fn identity(&self, authid: &str, authmethod: &str) -> Identity {
        Identity {
            realm: self.realm.clone(),
            authid: authid.to_owned(),
            authrole: "everybody".to_owned(),
            authmethod: authmethod.to_owned(),
            authprovider: "static".to_owned(),
            ..Identity::default()
        }
    }
}

impl Host for Program {
    fn authenticate(&mut self, request: &AuthRequest, _: &mut Context<'_>) -> Option<AuthVerdict> {
        let deny = |reason, message: &str| Some(AuthVerdict::Deny { reason, message: message.to_owned() });
        let AuthStep::Hello { methods, authid, .. } = &request.step else {
            return deny(error::AUTHENTICATION_FAILED, "no such step");
        };
        for method in methods {
            match (method.as_str(), &self.user, authid) {
                ("anonymous", ..) => {
                    let name = format!("anonymous-{}", request.session);
                    return Some(AuthVerdict::Welcome(self.identity(&name, "anonymous")));
                }
                ("wampcra", Some((user, secret)), Some(authid)) if user == authid => {
                    let secret = CraSecret::Plain(secret.clone());
                    let grant = self.identity(authid, "wampcra");
                    return Some(AuthVerdict::Challenge(Challenge::Cra { secret, grant }));
                }
                ("wampcra", Some(_), _) => return deny(error::NO_SUCH_PRINCIPAL, "no such user"),
                _ => {}
            }
        }
        deny(error::NO_MATCHING_AUTH_METHOD, "none of these methods is served")
    }

    fn http(&mut self, _: &HttpRequest, _: &HttpPeer) -> HttpAction {
        HttpAction::websocket(Arc::clone(&self.upgrade), 0)
    }
}

fn main() -> ExitCode {
    match serve(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn serve(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let (address, user) = match arguments {
        [] => ("127.0.0.1:8080", None),
        [address] => (address.as_str(), None),
        [address, authid, secret] => (address.as_str(), Some((authid.clone(), secret.clone()))),
        _ => return Err("usage: serve [ADDRESS] [AUTHID SECRET]".into()),
    };
    let realm = Uri::from("realm1");
    let role = RoleConfig::new("everybody", Permissions::all());
    let listener = ListenerConfig {
        endpoint: Endpoint::Tcp(address.parse()?),
        backlog: ListenerConfig::BACKLOG,
        tls: None,
        transport: Arc::new(ServerOptions::default()),
        tag: 0,
        waits: false,
        proxies: None,
    };
    let server = Server::bind(ServerConfig {
        router: RouterConfig { realms: vec![RealmConfig::new(realm.clone(), vec![role])], ..RouterConfig::default() },
        listeners: vec![listener],
        ..ServerConfig::default()
    })?;
    for endpoint in server.endpoints() {
        println!("listening on {endpoint}, realm {realm}");
    }
    server.run(&mut Program { realm, upgrade: Arc::default(), user })?;
    Ok(())
}
