use super::*;
use crate::authn::function::{Login, Reply};
use crate::script::read_script;
use proptest::prelude::*;
use std::time::Duration;
use wampd_core::auth::{CraSecret, TicketDigest};
use wampd_core::router::{Action, EventHistory, ForceReregister, Permissions, RequestIdCheck, SlowSubscribers};
use wampd_core::uri::{MatchPolicy, Uri, UriRule};
use wampd_wire::{Preference, Subprotocol};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wampcra-function/config.json");

pub(super) type Parsed = Result<(NodeConfig, Report), Report>;

/// Parses with the example's folder around and two environment variables set.
fn read(text: &str, syntax: Syntax) -> Parsed {
    let variable = |name: &str| match name {
        "PORT" => Some("9090".to_owned()),
        "JOES_SECRET" => Some("secret2".to_owned()),
        _ => None,
    };
    let folder = Path::new(EXAMPLE).parent().expect("a folder");
    parse("node", text, syntax, &Surroundings { folder, variable: &variable, script: &read_script, tls: &|_| Ok(()) })
}

pub(super) fn json(text: &str) -> Parsed {
    read(text, Syntax::Json)
}

pub(super) fn valid(parsed: Parsed) -> NodeConfig {
    let (node, report) = parsed.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(report.to_string(), "", "no warnings expected");
    node
}

pub(super) fn lines(report: &Report) -> Vec<String> {
    report.to_string().lines().map(str::to_owned).collect()
}

pub(super) fn errors(text: &str) -> Vec<String> {
    lines(&json(text).expect_err("must be refused"))
}

pub(super) fn warnings(text: &str) -> Vec<String> {
    lines(&json(text).unwrap_or_else(|report| panic!("{report}")).1)
}

/// A node with one realm with these roles, and one RawSocket transport with this `auth` if any.
pub(super) fn node_with(roles: &str, auth: &str) -> String {
    let auth = if auth.is_empty() { String::new() } else { format!(", \"auth\": {auth}") };
    format!(
        r#"{{"version": 2, "workers": [{{"type": "router", "realms": [{{"name": "realm1", "roles": {roles}}}],
        "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", "port": 8080}}{auth}}}]}}]}}"#
    )
}

/// A node whose transports are these; the realm has the role `anonymous`.
pub(super) fn transports(list: &str) -> String {
    format!(
        r#"{{"version": 2, "workers": [{{"type": "router",
        "realms": [{{"name": "realm1", "roles": [{{"name": "anonymous"}}]}}],
        "transports": {list}}}]}}"#
    )
}

pub(super) const ANONYMOUS: &str = r#"[{"name": "anonymous"}]"#;

#[test]
fn the_example_is_served_as_it_is() {
    let (node, _) = load(Path::new(EXAMPLE)).unwrap_or_else(|report| panic!("{report}"));
    let realm = &node.router.realms[0];
    assert_eq!(realm.name.as_str(), "realm1");
    assert_eq!((realm.uri_rule, realm.request_ids), (UriRule::Loose, RequestIdCheck::Warn));
    let role = |name: &str| &realm.roles.iter().find(|role| role.name == name).expect("the role").permissions;
    let may = |role: &Permissions, action, uri| role.decide(action, uri, MatchPolicy::Exact).allow;
    for action in [Action::Call, Action::Register, Action::Publish, Action::Subscribe] {
        assert!(may(role("backend"), action, "com.example.topic1"));
        assert!(!may(role("backend"), action, "com.example.topic2"));
    }
    assert!(may(role("frontend"), Action::Call, "com.example.add2"));
    assert!(may(role("frontend"), Action::Publish, "com.example.topic1"));
    assert!(!may(role("frontend"), Action::Publish, "com.example.topic2"));
    assert!(!may(role("frontend"), Action::Register, "com.example.mul2"));

    let web = &node.transports[0];
    assert_eq!(web.endpoint, Endpoint::Tcp { address: ([127, 0, 0, 1], 8080).into(), backlog: 1024 });
    assert!(web.server.http.is_some() && web.server.rawsocket.is_none());
    let Some((Route { service: PathService::WebSocket(ws), .. }, "")) = web.routes.find("/ws") else {
        panic!("{web:?}")
    };
    let Some(Provider::Function(function)) = &ws.auth.wampcra else { panic!("{ws:?}") };
    let (sender, answer) = std::sync::mpsc::channel();
    let login = Login { realm: None, authid: Some("joe".to_owned()), details: Default::default() };
    function.authenticator.authenticate(login, Reply::new(move |grant| sender.send(grant).expect("received")));
    let grant = answer.recv().expect("an answer").expect("known");
    assert_eq!(grant.cra, Some(CraSecret::Plain("secret2".to_owned())));
    assert_eq!(grant.role.as_deref(), Some("frontend"));
}

/// The configuration of the founding scenario in its original form.
#[test]
fn a_crossbar_file_of_the_founding_scenario() {
    let text = r#"{
    "version": 2,
    "controller": {},
    "workers": [
        {
            "type": "router",
            "options": {"pythonpath": [".."]},
            "realms": [
                {
                    "name": "realm1",
                    "roles": [
                        {
                            "name": "frontend",
                            "permissions": [
                                {
                                    "uri": "com.example.add2",
                                    "match": "exact",
                                    "allow": {"call": true, "register": false, "publish": false, "subscribe": false},
                                    "disclose": {"caller": false, "publisher": false},
                                    "cache": true
                                }
                            ]
                        }
                    ]
                }
            ],
            "transports": [
                {
                    "type": "web",
                    "endpoint": {"type": "tcp", "port": 8080},
                    "paths": {
                        "/": {"type": "static", "directory": "../web"},
                        "ws": {
                            "type": "websocket",
                            "auth": {
                                "wampcra": {
                                    "type": "function",
                                    "create": "authenticator.create_authenticator",
                                    "expose_controller": true,
                                    "config": {"dbname": "foo"}
                                }
                            }
                        }
                    }
                }
            ],
            "components": [
                {"type": "class", "classname": "backend.BackendSession", "realm": "realm1", "role": "backend"}
            ]
        }
    ]
}"#;
    let found: Vec<_> = warnings(text).into_iter().filter(|line| !line.contains("there is no folder")).collect();
    let ws = "workers[0].transports[0].paths.ws.auth.wampcra";
    assert_eq!(
        found,
        [
            format!(
                "node:39:37: warning: {ws}.expose_controller: the function may look for what is not there (there is \
                 no controller: what the function gets has no members)"
            ),
            "node:48:93: warning: workers[0].components[0].role: component \"backend.BackendSession\" has role \"backend\", \
             which no realm defines (add the role to a realm: no client can join without one)"
                .to_owned(),
        ]
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = r#"{
  "version": 3,
  "extra": 1,
  "workers": [
    {"type": "hostmonitor"},
    {
      "type": "router",
      "realms": [
        {"name": "r", "roles": [{"name": "a", "permissions": [{"uri": 1}, {"uri": "x", "match": "fuzzy"}]}, {"name": "a"}]},
        {"name": "r"}
      ],
      "transports": [
        {"type": "mqtt"},
        {
          "type": "web",
          "endpoint": {"type": "tcp", "port": 65536, "tls": {}},
          "paths": {
            "ws": {"type": "websocket", "auth": {"cryptosign-proxy": {}}, "serializers": ["ubjson"], "optionz": {}},
            "lp": {"type": "longpoll"},
            "a/b": {"type": "static", "directory": "."}
          }
        }
      ]
    }
  ]
}"#;
    let web = "workers[1].transports[1]";
    assert_eq!(
        errors(text),
        [
            "node:2:3: error: version: not supported (this router reads version 2)".to_owned(),
            "node:3:3: error: extra: unknown key (known keys: $schema, controller, version, wampd, workers)".to_owned(),
            "node:5:6: error: workers[0].type: workers of type hostmonitor are not supported (use a monitoring agent \
             of the system)"
                .to_owned(),
            "node:9:64: error: workers[1].realms[0].roles[0].permissions[0].uri: expected a string, found an integer \
             (put it in quotes)"
                .to_owned(),
            "node:9:88: error: workers[1].realms[0].roles[0].permissions[1].match: unknown value \"fuzzy\" (one of: \
             exact, prefix, wildcard)"
                .to_owned(),
            "node:9:110: error: workers[1].realms[0].roles[1].name: the realm already has a role \"a\" (merge the two, \
             or rename one)"
                .to_owned(),
            "node:10:10: error: workers[1].realms[1].name: there is already a realm \"r\" (merge the two, or rename one)"
                .to_owned(),
            "node:13:10: error: workers[1].transports[0].type: transports of type mqtt are not supported (connect MQTT \
             devices through a bridge of your own)"
                .to_owned(),
            format!("node:16:39: error: {web}.endpoint.port: 65536 is out of range (0 to 65535)"),
            format!(
                "node:16:54: error: {web}.endpoint.tls: the key \"certificate\" is missing (a file in PEM)"
            ),
            format!(
                "node:16:54: error: {web}.endpoint.tls: the key \"key\" is missing (a file in PEM)"
            ),
            format!(
                "node:18:50: warning: {web}.paths.ws.auth.cryptosign-proxy: ignored (there are no proxies: nobody can \
                 join by it)"
            ),
            format!(
                "node:18:91: error: {web}.paths.ws.serializers[0]: serializer ubjson is not supported (remove it: \
                 clients also offer cbor, msgpack or json)"
            ),
            format!("node:18:102: error: {web}.paths.ws.optionz: unknown key (did you mean \"options\"?)"),
            format!(
                "node:19:20: error: {web}.paths.lp.type: path services of type longpoll are not supported (let the \
                 client use WebSocket; long-poll is future work)"
            ),
            format!(
                "node:20:13: error: {web}.paths[\"a/b\"]: \"a/b\" is not a path (/ or one component of letters, digits, \
                 _, - and .; nest them with a path service)"
            ),
        ]
    );
}

#[test]
fn syntax_errors_name_the_place() {
    assert_eq!(
        errors("{\n  \"version\": 2,\n}"),
        ["node:3:1: error: expected a key, found '}' (remove the comma before it)"]
    );
    let yaml = read("version: 2\nworkers: [\n", Syntax::Yaml).expect_err("must be refused");
    assert!(lines(&yaml)[0].starts_with("node:"), "{yaml}");
}

#[test]
fn a_directory_that_is_a_file_is_an_error_and_a_default_file_that_is_missing_a_warning() {
    let root = env!("CARGO_MANIFEST_DIR");
    let static_path = |directory: &str, options: &str| {
        transports(&format!(
            r#"[{{"type": "web", "endpoint": {{"type": "tcp", "port": 8080}}, "paths":
            {{"/": {{"type": "static", "directory": "{directory}"{options}}}, "ws": {{"type": "websocket"}}}}}}]"#
        ))
    };
    let refused = errors(&static_path(&format!("{root}/Cargo.toml"), ""));
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert!(
        refused.contains("paths[\"/\"].directory: ") && refused.contains("Cargo.toml is not a folder"),
        "{refused}"
    );
    assert!(refused.starts_with("node:"), "{refused}");
    let warned = |file: &str| warnings(&static_path(root, &format!(r#", "options": {{"default_file": "{file}"}}"#)));
    let missing = warned("missing.html").join("\n");
    assert!(missing.contains("default_file: there is no file") && missing.contains("missing.html"), "{missing}");
    assert!(!warned("Cargo.toml").join("\n").contains("default_file"));
}

#[test]
fn yaml_and_json_mean_the_same() {
    let json_text = transports(
        r#"[{"type": "universal", "id": "main", "endpoint": {"type": "unix", "path": "sock", "backlog": 7},
            "rawsocket": {"serializers": ["cbor"], "max_message_size": 65536},
            "websocket": {"ws": {"type": "websocket", "options": {"allowed_origins": ["http://localhost:*"]}}},
            "web": {"paths": {"/": {"type": "static", "directory": "."}}}}]"#,
    );
    let yaml_text = "
version: 2
workers:
  - type: router
    realms:
      - name: realm1
        roles: [{name: anonymous}]
    transports:
      - type: universal
        id: main
        endpoint: {type: unix, path: sock, backlog: 7}
        rawsocket:
          serializers: [cbor]
          max_message_size: 0x10000
        websocket:
          ws:
            type: websocket
            options:
              allowed_origins:
                - http://localhost:*
        web:
          paths:
            /: {type: static, directory: .}
";
    let from_json = valid(json(&json_text));
    let from_yaml = valid(read(yaml_text, Syntax::Yaml));
    assert_eq!(format!("{from_json:?}"), format!("{from_yaml:?}"));
    let transport = &from_json.transports[0];
    assert!(transport.server.http.is_some() && transport.rawsocket_auth.is_some());
    assert_eq!(transport.server.rawsocket.as_ref().expect("served").max_message.bytes(), 65536);
    assert!(matches!(transport.routes.find("/ws"), Some((Route { service: PathService::WebSocket(_), .. }, ""))));
    assert!(matches!(transport.routes.find("/wsa"), Some((Route { service: PathService::Static(_), .. }, "/wsa"))));
}

#[test]
fn syntax_is_told_by_extension_or_first_character() {
    assert_eq!(Syntax::of(Path::new("a.JSON"), "a: 1"), Syntax::Json);
    assert_eq!(Syntax::of(Path::new("a.yml"), "{}"), Syntax::Yaml);
    assert_eq!(Syntax::of(Path::new("config"), "\u{feff}\n  {}"), Syntax::Json);
    assert_eq!(Syntax::of(Path::new("config"), "a: 1"), Syntax::Yaml);
}

#[test]
fn websocket_options_arrive() {
    let node = valid(json(&transports(
        r#"[{"type": "web", "endpoint": {"type": "tcp", "port": "${PORT}", "interface": "::1"},
            "options": {"max_head_size": 2048},
            "paths": {"ws": {"type": "path", "paths": {"deep": {"type": "websocket",
                "serializers": ["json", "cbor"],
                "options": {"max_frame_size": 1000, "max_message_size": 2000, "auto_ping_interval": 0,
                    "auto_ping_timeout": 300, "open_handshake_timeout": 2500, "close_handshake_timeout": 1000,
                    "allow_null_origin": false, "allowed_origins": ["https://*.example.com"],
                    "require_websocket_subprotocol": false, "subprotocol_order": "server",
                    "validate_utf8": true, "mask_server_frames": false}}}}}}]"#,
    )));
    let transport = &node.transports[0];
    assert_eq!(transport.endpoint, Endpoint::Tcp { address: "[::1]:9090".parse().expect("valid"), backlog: 1024 });
    assert_eq!(transport.server.open_timeout, Duration::from_millis(2500));
    assert_eq!(transport.server.http.as_ref().expect("served").max_head, 2048);
    let (route, rest) = transport.routes.find("/ws/deep/x").expect("served");
    assert_eq!((route.path.as_str(), rest), ("/ws/deep", "/x"));
    assert!(transport.routes.find("/").is_none());
    let PathService::WebSocket(ws) = &route.service else { panic!("{route:?}") };
    let upgrade = &ws.upgrade;
    assert_eq!(
        upgrade.subprotocols,
        [Subprotocol::JsonBatched, Subprotocol::Json, Subprotocol::CborBatched, Subprotocol::Cbor]
    );
    assert_eq!(upgrade.preference, Preference::Server);
    assert!(!upgrade.require_subprotocol && !upgrade.origins.allow_null);
    assert!(upgrade.origins.allows("https://a.example.com") && !upgrade.origins.allows("https://example.org"));
    assert_eq!((upgrade.websocket.max_frame, upgrade.websocket.max_message), (1000, 2000));
    assert_eq!(upgrade.websocket.ping.interval, None);
    assert_eq!(upgrade.websocket.ping.timeout, Duration::from_millis(300));
    assert_eq!(upgrade.websocket.close_timeout, Duration::from_secs(1));
}

#[test]
fn options_that_cannot_be_honoured_are_refused() {
    let found = errors(&transports(
        r#"[{"type": "websocket", "endpoint": {"type": "unix", "path": "sock"}, "options": {
            "compression": {}, "mask_server_frames": true, "max_message_size": 0, "allowed_origins": [":"]}}]"#,
    ));
    let expect = [
        "options.compression: ignored",
        "options.mask_server_frames: true is not supported",
        "options.max_message_size: 0 (unlimited) is not supported",
        "options.allowed_origins[0]: \":\" is not a pattern of origins",
    ];
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (line, part) in found.iter().zip(expect) {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn a_transport_without_auth_takes_anonymous_clients() {
    let node = valid(json(&node_with(ANONYMOUS, "")));
    let auth = node.transports[0].rawsocket_auth.as_ref().expect("served");
    let Some(Provider::Static(principal)) = &auth.anonymous else { panic!("{auth:?}") };
    assert_eq!((principal.role.as_str(), &principal.authid), ("anonymous", &None));
    assert!(auth.ticket.is_none() && auth.wampcra.is_none());
}

#[test]
fn static_users() {
    let (node, report) = json(&node_with(
        r#"[{"name": "user"}, {"name": "guest"}]"#,
        r#"{"anonymous": {"role": "guest"},
            "ticket": {"type": "static", "principals": {"eve": {"ticket": "open sesame", "role": "user"}}},
            "wampcra": {"type": "static", "default-role": "guest", "users": {
                "joe": {"secret": "${JOES_SECRET}", "role": "user"},
                "peter": {"secret": "prq7+YkJ1/KlW1X0YczMHw==", "salt": "salt123", "iterations": 100, "keylen": 16},
                "paul": {"password": "secret1", "salt": "salt123", "iterations": 100, "keylen": 16}}}}"#,
    ))
    .expect("valid");
    let salts = |line: &String| line.contains(".salt: ");
    assert!(lines(&report).iter().all(salts), "{report}");
    let auth = node.transports[0].rawsocket_auth.as_ref().expect("served");
    let Some(Provider::Static(principals)) = &auth.ticket else { panic!("{auth:?}") };
    assert_eq!(principals["eve"].ticket, TicketDigest::of("open sesame"));
    let Some(Provider::Static(users)) = &auth.wampcra else { panic!("{auth:?}") };
    assert_eq!(users["joe"].secret, CraSecret::Plain("secret2".to_owned()));
    assert_eq!((users["joe"].role.as_str(), users["peter"].role.as_str()), ("user", "guest"));
    assert_eq!(users["peter"].secret, users["paul"].secret, "a password is derived when loaded");
}

#[test]
fn scram_and_cryptosign_are_checked() {
    let found = |auth: &str| errors(&node_with(r#"[{"name": "a"}]"#, auth));
    let scram = |user: &str| {
        let auth = format!(r#"{{"scram": {{"type": "static", "default-role": "a", "principals": {{"u": {user}}}}}}}"#);
        found(&auth)
    };
    let salt = r#""salt": "00112233445566778899aabbccddeeff""#;
    for (user, says) in [
        ("{}", "the key \"kdf\" is missing"),
        (r#"{"kdf": "bcrypt", "iterations": 1, "salt": "00"}"#, "argon2id-13 or pbkdf2"),
        (r#"{"kdf": "pbkdf2", "iterations": 0, "salt": "00"}"#, "iterations: 0 is out of range"),
        (r#"{"kdf": "pbkdf2", "iterations": 1, "salt": "salt123", "password": "x"}"#, "salt is not what it should be"),
        (&format!(r#"{{"kdf": "pbkdf2", "iterations": 1, {salt}, "stored-key": "00"}}"#), "64 hexadecimal digits"),
        (&format!(r#"{{"kdf": "argon2id-13", "iterations": 1, {salt}, "password": "x"}}"#), "impossible cost"),
    ] {
        let found = scram(user);
        assert!(found.len() == 1 && found[0].contains(says), "{found:#?}");
    }
    let cryptosign = |principals: &str| {
        let auth = format!(r#"{{"cryptosign": {{"type": "static", "principals": {principals}}}}}"#);
        found(&auth)
    };
    for (principals, says) in [
        (r#"{"u": {"role": "a", "authorized_keys": []}}"#, "no key, so nobody could join"),
        (r#"{"u": {"role": "a"}}"#, "the key \"authorized_keys\" is missing"),
    ] {
        let found = cryptosign(principals);
        assert!(found.len() == 1 && found[0].contains(says), "{found:#?}");
    }
    let weak = r#"{"u": {"role": "a", "authorized_keys": ["0100000000000000000000000000000000000000000000000000000000000000"]}}"#;
    assert!(cryptosign(weak).iter().any(|line| line.contains("not a usable Ed25519 key")));
    let trustroots = r#"{"cryptosign": {"type": "static", "trustroots": {}}}"#;
    let told = found(trustroots);
    assert!(told.len() == 1 && told[0].contains("certificates of WAMP are not read"), "{told:#?}");
}

#[test]
fn cookies_are_checked() {
    let found = |service: &str| {
        let node = node_with(r#"[{"name": "a"}]"#, r#"{"anonymous": {"role": "a"}}"#);
        let web = format!(
            r#""transports": [{{"type": "web", "endpoint": {{"type": "tcp", "port": 1}},
                "paths": {{"ws": {{"type": "websocket", {service}}}}}}}, "#
        );
        match read(&node.replacen(r#""transports": ["#, &web, 1), Syntax::Json) {
            Ok((_, report)) | Err(report) => lines(&report),
        }
    };
    let auth = r#""auth": {"cookie": {}, "anonymous": {"role": "a"}}"#;
    let origins = r#""options": {"allowed_origins": ["http://localhost"]}"#;
    assert_eq!(found(&format!(r#""cookie": {{}}, {auth}, {origins}"#)), Vec::<String>::new());
    for (service, says) in [
        (auth.to_owned(), "auth.cookie without cookies"),
        (format!(r#""cookie": {{}}, {auth}"#), "any web page may connect as the user who visits it"),
        (r#""cookie": {"name": "a b"}"#.to_owned(), "is not the name of a cookie"),
        (r#""cookie": {"length": 6}"#.to_owned(), "6 is out of range"),
        (r#""cookie": {"store": {"type": "database", "path": "x"}}"#.to_owned(), "users log in once more"),
        (r#""cookie": {"store": {"type": "database", "path": "x", "readonly": true}}"#.to_owned(), "not supported"),
        (r#""cookie": {"store": {"type": "file"}}"#.to_owned(), "the key \"filename\" is missing"),
        (r#""cookie": {"same_site": "None"}"#.to_owned(), "browsers refuse"),
    ] {
        let found = found(&service);
        assert!(found.iter().any(|line| line.contains(says)), "{service}: {found:#?}");
    }
}

#[test]
fn cookies_are_secure_with_tls_unless_told_otherwise() {
    let node = |tls: &str, cookie: &str| {
        let auth = r#""auth": {"cookie": {}, "anonymous": {"role": "a"}}"#;
        let origins = r#""options": {"allowed_origins": ["http://localhost"]}"#;
        let text = format!(
            r#"{{"version": 2, "workers": [{{"type": "router", "realms": [{{"name": "realm1", "roles": [{{"name": "a"}}]}}],
                "transports": [{{"type": "websocket", "endpoint": {{"type": "tcp", "port": 1{tls}}},
                    "cookie": {cookie}, {auth}, {origins}}}]}}]}}"#
        );
        let (node, report) = read(&text, Syntax::Json).expect("valid");
        let PathService::WebSocket(service) = &node.transports[0].routes.routes[0].service else { panic!("{node:?}") };
        (service.cookie.as_ref().map(|cookie| cookie.secure), lines(&report))
    };
    let tls = r#", "tls": {"certificate": "c.pem", "key": "k.pem"}"#;
    for (tls, cookie, secure) in
        [(tls, "{}", true), ("", "{}", false), ("", r#"{"secure": true}"#, true), (tls, r#"{"secure": true}"#, true)]
    {
        assert_eq!(node(tls, cookie), (Some(secure), Vec::new()), "{tls}{cookie}");
    }
    let (secure, found) = node(tls, r#"{"secure": false}"#);
    assert_eq!(secure, Some(false));
    assert!(
        found.len() == 1 && found[0].contains("cookie.secure: browsers send this cookie without TLS"),
        "{found:#?}"
    );
}

#[test]
fn a_salted_secret_that_is_no_derived_key_is_the_password() {
    let auth = r#"{"wampcra": {"type": "static", "users": {"u":
        {"role": "a", "secret": "secret1", "salt": "salt123", "iterations": 100, "keylen": 16}}}}"#;
    let (node, report) = read(&node_with(r#"[{"name": "a"}]"#, auth), Syntax::Json).expect("valid");
    let [warning, salt] = &lines(&report)[..] else { panic!("{report}") };
    assert!(salt.contains("u.salt: a salt of 7 characters"), "{salt}");
    assert!(warning.contains("u.secret: taken for the password"), "{warning}");
    let auth = node.transports[0].rawsocket_auth.as_ref().expect("served");
    let Some(Provider::Static(users)) = &auth.wampcra else { panic!("{auth:?}") };
    assert_eq!(users["u"].secret.key(), b"prq7+YkJ1/KlW1X0YczMHw==".as_slice());
}

#[test]
fn secrets_that_contradict_themselves() {
    let user = |members: &str| {
        let auth = format!(r#"{{"wampcra": {{"type": "static", "users": {{"u": {{"role": "a", {members}}}}}}}}}"#);
        let found = errors(&node_with(r#"[{"name": "a"}]"#, &auth));
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].clone()
    };
    let salt = r#""salt": "salt123", "iterations": 100, "keylen": 16"#;
    for (members, part) in [
        (format!(r#""secret": "prq7+YkJ1/KlW1X0", {salt}"#), "base64 of 12 bytes where keylen says 16"),
        (
            format!(r#""secret": "prq7+YkJ1/KlW1X0YczMHw==", "password": "secret1", {salt}"#),
            "u.password: both secret and password are given (with a salt, secret is the derived key and password is what the user types",
        ),
        (r#""secret": "x", "salt": "s", "keylen": 16"#.to_owned(), "u: salted, but without iterations"),
        (salt.to_owned(), "u: neither secret nor password"),
        (r#""secret": """#.to_owned(), "u.secret: must not be empty"),
        (
            r#""secret": "${UNSET}""#.to_owned(),
            "u.secret: environment variable UNSET is not set (set UNSET before starting",
        ),
        (r#""secret": 5, "salt": "s""#.to_owned(), "u.secret: expected a string, found an integer"),
        (r#""secret": "x", "authid": "y""#.to_owned(), "u.authid: unknown key"),
    ] {
        let line = user(&members);
        assert!(line.contains(part), "{line}\n{part}");
    }
}

#[test]
fn functions_and_procedures() {
    let caller =
        r#"[{"name": "anonymous", "permissions": [{"uri": "com.example.authenticate", "allow": {"call": true}}]}]"#;
    let node = valid(json(&node_with(
        caller,
        r#"{"ticket": {"type": "dynamic", "authenticator": "com.example.authenticate", "authenticator_realm": "realm1",
            "authenticator-role": "anonymous", "default_role": "anonymous"}}"#,
    )));
    let auth = node.transports[0].rawsocket_auth.as_ref().expect("served");
    let Some(Provider::Dynamic(dynamic)) = &auth.ticket else { panic!("{auth:?}") };
    assert_eq!(dynamic.authenticator.as_str(), "com.example.authenticate");
    assert_eq!(dynamic.realm.as_ref().map(|uri| uri.as_str()), Some("realm1"));
    assert_eq!((dynamic.role.as_deref(), dynamic.default_role.as_deref()), (Some("anonymous"), Some("anonymous")));

    let function = |members: &str| errors(&node_with(ANONYMOUS, &format!(r#"{{"ticket": {{{members}}}}}"#)));
    for (members, part) in [
        (r#""type": "function", "create": "c", "script": "none.rhai""#, "script: cannot read the script"),
        (
            r#""type": "function", "create": "c", "script": "authenticator.rhai""#,
            "create: the script has no function c(config)",
        ),
        (r#""type": "function", "script": "authenticator.rhai""#, "ticket: the key \"create\" is missing"),
        (r#""type": "dynamic""#, "ticket: the key \"authenticator\" is missing"),
        (r#""type": "dynamic", "authenticator": "a b""#, "authenticator: \"a b\" is not a URI"),
        (
            r#""type": "dynamic", "authenticator": "a.b", "authenticator-realm": "x""#,
            "authenticator-realm: there is no realm \"x\"",
        ),
        (
            r#""type": "dynamic", "authenticator": "a.b", "authenticator-realm": "realm1", "authenticator-role": "anonymous""#,
            "ticket: role \"anonymous\" may not call \"a.b\" in realm \"realm1\"",
        ),
        (r#""type": "dynamic", "authenticator": "a.b", "default-role": "x", "default_role": "y""#, "given twice"),
        (r#""authenticator": "a.b""#, "ticket: the key \"type\" is missing"),
        (r#""type": "static", "users": {}"#, "ticket: the key \"principals\" is missing"),
    ] {
        let found = function(members);
        assert!(found.iter().any(|line| line.contains(part)), "{found:#?}\n{part}");
    }
}

#[test]
fn rules_that_never_match_are_told() {
    let rules = r#"[{"name": "anonymous", "permissions": [
        {"uri": "com.Example topic", "allow": {"call": true}},
        {"uri": "com.example.*", "match": "prefix"},
        {"uri": "", "match": "exact"},
        {"uri": "wamp.session.count", "allow": {"call": true, "register": true}},
        {"uri": "com.*.topic"},
        {"uri": "com..topic", "match": "wildcard"}]}]"#;
    let found = warnings(&node_with(rules, ""));
    let expect = [
        "permissions[0].uri: this rule can never match: forbidden character ' ' (correct the URI)",
        "permissions[1].uri: this rule matches only URIs with a star (with match given, * is an ordinary",
        "permissions[2].uri: this rule can never match: empty component",
        "permissions[3].uri: register and publish have no effect here",
        "permissions[5]: the wildcard rule for \"com..topic\" is given twice",
    ];
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (line, part) in found.iter().zip(expect) {
        assert!(line.contains(part), "{line}\n{part}");
    }
}

#[test]
fn uris_are_loose_unless_the_realm_says_otherwise() {
    let rules = r#"[{"name": "anonymous", "permissions": [
        {"uri": "com.company.camelCase", "allow": {"call": true}},
        {"uri": "de.abc-de.test", "allow": {"call": true}},
        {"uri": "BTC_XMR", "allow": {"subscribe": true}}]}]"#;
    let node = node_with(rules, "");
    assert_eq!(warnings(&node), Vec::<String>::new());
    assert_eq!(valid(json(&node)).router.realms[0].uri_rule, UriRule::Loose);
    let strict = node.replace(r#""name": "realm1","#, r#""name": "realm1", "options": {"uri_check": "strict"},"#);
    assert_eq!(json(&strict).expect("valid").0.router.realms[0].uri_rule, UriRule::Strict);
    let found = warnings(&strict);
    assert_eq!(found.len(), 3, "{found:#?}");
    let part = "permissions[0].uri: this rule can never match: forbidden character 'C' (options.uri_check is strict";
    assert!(found[0].contains(part), "{found:#?}");
}

#[test]
fn rules_of_version_1_are_refused() {
    let found = errors(&node_with(r#"[{"name": "anonymous", "permissions": [{"uri": "*", "call": true}]}]"#, ""));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("permissions[0].call: not supported (this is how version 1 was written"), "{found:#?}");
}

#[test]
fn of_contradicting_rules_the_last_counts() {
    let rules = r#"[{"name": "anonymous", "permissions": [
        {"uri": "com.a.*", "allow": {"call": true}},
        {"uri": "com.a.", "match": "prefix", "allow": {"publish": true}}]}]"#;
    let (node, report) = json(&node_with(rules, "")).expect("valid");
    assert_eq!(
        lines(&report),
        [
            "node:3:9: warning: workers[0].realms[0].roles[0].permissions[1]: the prefix rule for \"com.a.\" contradicts \
          the one at line 2, which does not count (keep the one you mean)"
        ]
    );
    let permissions = &node.router.realms[0].roles[0].permissions;
    let may = |action| permissions.decide(action, "com.a.b", MatchPolicy::Exact).allow;
    assert!(may(Action::Publish) && !may(Action::Call));
}

#[test]
fn workers_are_merged_and_places_taken_once() {
    let worker = |port: u16, name: &str| {
        format!(
            r#"{{"type": "router", "realms": [{{"name": "{name}", "roles": {ANONYMOUS}}}],
            "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", "port": {port}}}}}]}}"#
        )
    };
    let both = |a: &str, b: &str| format!(r#"{{"version": 2, "workers": [{a}, {b}]}}"#);
    let text = both(&worker(1, "one"), &worker(2, "two"));
    let (node, report) = json(&text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((node.router.realms.len(), node.transports.len()), (2, 2));
    assert!(report.to_string().contains("warning: workers[1]: router workers are merged into one process"), "{report}");
    let found = errors(&both(&worker(1, "one"), &worker(1, "two")));
    assert!(found.iter().any(|line| line.contains("another transport listens there already")), "{found:#?}");
}

#[test]
fn limits_are_set_by_their_keys() {
    let text = format!(
        r#"{{"version": 2, "$schema": "x", "wampd": {{
            "limits": {{"max_peers": 7, "handshake_timeout_ms": 2500, "max_pending": 65536}},
            "script_limits": {{"max_operations": 5000}}}},
        "workers": [{{"type": "router", "realms": [{{"name": "realm1", "roles": {ANONYMOUS},
            "options": {{"uri_check": "strict", "enable_meta_api": false}}, "wampd": {{"request_ids": "off"}}}}],
            "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", "port": 0}}}}]}}]}}"#
    );
    let node = valid(json(&text));
    assert_eq!(node.router.limits.max_peers, 7);
    assert_eq!(node.router.limits.handshake_timeout, Duration::from_millis(2500));
    assert_eq!(node.limits.server.max_pending, 65536);
    let realm = &node.router.realms[0];
    assert_eq!((realm.uri_rule, realm.request_ids, realm.meta_api), (UriRule::Strict, RequestIdCheck::Off, false));
    let wrong = text.replace("\"max_peers\": 7", "\"max_peers\": 0, \"max_peer\": 1");
    let found = errors(&wrong);
    assert!(found[0].contains("wampd.limits.max_peers: 0 is out of range (1 to 10000000)"), "{found:#?}");
    assert!(found[1].contains("wampd.limits.max_peer: unknown key (did you mean \"max_peers\"?)"), "{found:#?}");
}

#[test]
fn no_secret_is_ever_shown() {
    let members = [
        r#""wampcra": {"type": "static", "users": {"u": {"role": "a", "secret": "TOPSECRET"}}}"#,
        r#""wampcra": {"type": "static", "users": {"u": {"role": "a", "secret": "TOPSECRET", "password": "TOPSECRET"}}}"#,
        r#""wampcra": {"type": "static", "users": {"u": {"role": "a", "secret": "TOPSECRET", "salt": "s", "keylen": 16, "iterations": 1}}}"#,
        r#""ticket": {"type": "static", "principals": {"u": {"role": "a", "ticket": "TOPSECRET"}}}"#,
    ];
    for auth in members {
        let shown = format!("{:?}", json(&node_with(r#"[{"name": "a"}]"#, &format!("{{{auth}}}"))));
        assert!(!shown.contains("TOPSECRET"), "{shown}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let report = load(Path::new("/nonexistent/config.json")).expect_err("must be refused");
    assert!(report.to_string().starts_with("/nonexistent/config.json: error: cannot read the file"), "{report}");
}

/// Texts made of pieces of configurations, so that many of them get past the syntax.
fn soup() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "version",
        "workers",
        "type",
        "router",
        "realms",
        "name",
        "roles",
        "permissions",
        "uri",
        "match",
        "allow",
        "transports",
        "web",
        "websocket",
        "rawsocket",
        "universal",
        "endpoint",
        "tcp",
        "port",
        "paths",
        "static",
        "auth",
        "wampcra",
        "ticket",
        "users",
        "secret",
        "salt",
        "options",
        "wampd",
        "limits",
        "${X}",
        "$schema",
        "ws",
        "/",
        "*",
    ]);
    let scalar = prop_oneof![
        word.clone().prop_map(|word| format!("{word:?}")),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("2".to_owned()),
    ];
    scalar.prop_recursive(8, 128, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map(word.clone(), inner, 0..6).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key:?}: {value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_gives_a_node_or_errors(text in "\\PC{0,200}|[\\[\\]{}:,\"'&*!|>#\\- \n\ta-c0-9]{0,120}") {
        for syntax in [Syntax::Json, Syntax::Yaml] {
            if let Err(report) = read(&text, syntax) {
                prop_assert!(report.has_errors());
            }
        }
    }

    #[test]
    fn any_document_gives_the_same_findings_in_both_syntaxes(text in soup()) {
        let shown = |parsed: Parsed| match parsed {
            Ok((node, report)) => format!("{node:?} {report}"),
            Err(report) => report.to_string(),
        };
        prop_assert_eq!(shown(read(&text, Syntax::Json)), shown(read(&text, Syntax::Yaml)));
    }

    #[test]
    fn cut_examples_never_panic(cut in 0usize..3000, syntax in prop::sample::select(vec![Syntax::Json, Syntax::Yaml])) {
        let text = include_str!("../../examples/wampcra-function/config.json");
        let cut = text.floor_char_boundary(cut.min(text.len()));
        if cut < text.trim_end().len() {
            prop_assert!(read(&text[..cut], syntax).is_err());
        }
    }
}

#[test]
fn event_history() {
    let with = |store: &str| node_with(&format!(r#"[{{"name": "anonymous"}}], "store": {store}"#), "");
    let read = |store: &str| valid(json(&with(store))).router.realms[0].event_history.clone();
    let history = |uri: &str, matching, limit| EventHistory { uri: Uri::from(uri.to_owned()), matching, limit };
    let store = r#"{"type": "memory", "event-history": [
        {"uri": "com.example.oncounter", "limit": 10000},
        {"uri": "com.example.", "match": "prefix"},
        {"uri": "com..log", "match": "wildcard", "limit": 5}]}"#;
    assert_eq!(
        read(store),
        [
            history("com.example.oncounter", MatchPolicy::Exact, 10_000),
            history("com.example.", MatchPolicy::Prefix, 100),
            history("com..log", MatchPolicy::Wildcard, 5),
        ]
    );
    assert_eq!(read(r#"{"type": "memory"}"#), []);
    let default = r#"{"type": "memory", "limit": 7, "event-history": [{"uri": "com.x"}]}"#;
    assert_eq!(read(default), [history("com.x", MatchPolicy::Exact, 7)]);
    for (store, told) in [
        (r#"{"type": "cblmdb"}"#, "only the store \"memory\" is supported"),
        (r#"{}"#, "the key \"type\" is missing"),
        (r#"{"type": "memory", "event-history": [{"uri": "com..x"}]}"#, "can not be matched exact"),
        (r#"{"type": "memory", "event-history": [{"uri": "wamp.session.on_join"}]}"#, "the router's own topics"),
        (r#"{"type": "memory", "event-history": [{"uri": "com.x", "limit": 0}]}"#, "limit"),
        (r#"{"type": "memory", "event-history": [{"uri": "com.x"}, {"uri": "com.x"}]}"#, "already a history"),
        (r#"{"type": "memory", "call-queue": []}"#, "not supported"),
        (r#"{"type": "memory", "event_history": []}"#, "event-history"),
    ] {
        let errors = errors(&with(store));
        assert!(errors.len() == 1 && errors[0].contains(told), "{store}: {errors:?}");
    }
}

#[test]
fn disclosure_and_trust() {
    let text = node_with(ANONYMOUS, "");
    let realm = &valid(json(&text)).router.realms[0];
    assert_eq!((realm.disclose_me, realm.roles[0].trustlevel), (true, None));
    let text = node_with(r#"[{"name": "anonymous", "wampd": {"trustlevel": 3}}], "wampd": {"disclose_me": false}"#, "");
    let realm = &valid(json(&text)).router.realms[0];
    assert_eq!((realm.disclose_me, realm.roles[0].trustlevel), (false, Some(3)));
    let text = node_with(r#"[{"name": "anonymous", "wampd": {"trustlevel": -1}}]"#, "");
    let [error] = &errors(&text)[..] else { panic!("one error") };
    assert!(error.contains("trustlevel"), "{error}");
}

#[test]
fn publishers_of_a_realm() {
    let with = |wampd: &str| node_with(&format!(r#"{ANONYMOUS}, "wampd": {wampd}"#), "");
    assert_eq!(valid(json(&with("{}"))).router.realms[0].throttle_publishers, None);
    let realm = valid(json(&with(r#"{"throttle_publishers_ms": 5}"#))).router.realms[0].clone();
    assert_eq!(realm.throttle_publishers, Some(Duration::from_millis(5)));
    let errors = errors(&with(r#"{"throttle_publishers_ms": 0}"#));
    assert!(errors[0].contains("throttle_publishers_ms: 0 is out of range (1 to 60000 ms)"), "{errors:?}");
}

#[test]
fn slow_subscribers_of_a_realm() {
    let read = |wampd: &str| {
        let realm = valid(json(&node_with(&format!(r#"{ANONYMOUS}, "wampd": {wampd}"#), ""))).router.realms[0].clone();
        (realm.slow_subscribers, realm.throttle_publishers.map(|time| time.as_millis()))
    };
    assert_eq!(read("{}"), (SlowSubscribers::Drop, None));
    assert_eq!(read(r#"{"slow_subscribers": "drop"}"#), (SlowSubscribers::Drop, None));
    assert_eq!(read(r#"{"slow_subscribers": "close"}"#), (SlowSubscribers::Close, None));
    assert_eq!(read(r#"{"slow_subscribers": "wait"}"#), (SlowSubscribers::Drop, Some(100)));
    assert_eq!(read(r#"{"slow_subscribers": "wait", "throttle_publishers_ms": 5}"#), (SlowSubscribers::Drop, Some(5)));
    assert_eq!(
        read(r#"{"throttle_publishers_ms": 5, "slow_subscribers": "close"}"#),
        (SlowSubscribers::Close, Some(5))
    );
}

#[test]
fn calls_of_a_realm() {
    let default = valid(json(&node_with(ANONYMOUS, ""))).router.realms[0].clone();
    assert_eq!((default.call_timeout, default.max_call_timeout), (None, None));
    assert_eq!((default.force_reregister, default.progress_needs_canceling), (ForceReregister::SamePrincipal, false));
    let with = |wampd: &str| node_with(&format!(r#"{ANONYMOUS}, "wampd": {wampd}"#), "");
    let text = with(
        r#"{"call_timeout_ms": 30000, "max_call_timeout_ms": 600000, "progress_needs_canceling": true, "progress_needs_feature": true,
        "force_reregister": "nobody", "leave_event_details": false}"#,
    );
    let realm = valid(json(&text)).router.realms[0].clone();
    assert_eq!(realm.call_timeout, Some(Duration::from_secs(30)));
    assert_eq!(realm.max_call_timeout, Some(Duration::from_secs(600)));
    assert_eq!((realm.force_reregister, realm.progress_needs_canceling), (ForceReregister::Nobody, true));
    assert_eq!((default.progress_needs_feature, realm.progress_needs_feature), (false, true));
    assert!(default.leave_event_details && !realm.leave_event_details);
    for (wampd, told) in [
        (r#"{"call_timeout_ms": 0}"#, "call_timeout_ms: 0 is out of range (1 to 604800000 ms)"),
        (r#"{"force_reregister": true}"#, "force_reregister"),
        (r#"{"force_reregister": "all"}"#, "one of: nobody, same_principal, anybody"),
        (r#"{"call_timeout": 1}"#, "did you mean \"call_timeout_ms\"?"),
    ] {
        let errors = errors(&with(wampd));
        assert!(errors.len() == 1 && errors[0].contains(told), "{wampd}: {errors:?}");
    }
}
