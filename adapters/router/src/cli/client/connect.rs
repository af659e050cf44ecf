//! Where to connect to and as whom.

use super::super::args::Args;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::time::Duration;
use wampd_core::auth::TLS;
use wampd_core::auth::cryptosign::SecretKey;
use wampd_core::auth::scram::Dialect;
use wampd_core::client::{ClientConfig, ClientLimits, Credential};
use wampd_core::uri::Uri;
use wampd_mio::client::{Options, Protocol, Socket, Url};
use wampd_mio::tls::{Authorities, ClientTls, Identity};
use wampd_wire::Subprotocol;

const DEFAULT_URL: &str = "ws://127.0.0.1:8080/ws";
const DEFAULT_REALM: &str = "realm1";
const DEFAULT_TIMEOUT: u64 = 30;
const MAX_TIMEOUT: u64 = 86_400;

/// Longest secret read from a file, in bytes.
const MAX_SECRET: u64 = 4_096;

/// Invocations that may wait for their turn; further ones are answered with `wamp.error.unavailable`.
const MAX_INVOCATIONS: usize = 1_024;

/// What the options of a connection say.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) options: Options,
    pub(super) config: ClientConfig,
}

impl Target {
    /// Reads the options, and warns of what is possible and not wise.
    pub(super) fn from_args(args: &Args) -> Result<(Self, Vec<String>), String> {
        let mut warnings = Vec::new();
        let text = args.get("--url").unwrap_or(DEFAULT_URL);
        let url: Url = text.parse().map_err(|error| format!("--url {text:?}: {error}"))?;
        let seconds = args.number("--timeout", 1, MAX_TIMEOUT, DEFAULT_TIMEOUT).map_err(|error| error.to_string())?;
        let timeout = Duration::from_secs(seconds);
        let options = match args.get("--serializer") {
            Some(name) => serializer(name, &url)?,
            None => Options::default(),
        };
        let options = Options { tls: tls(args, &url)?, ..options };
        let credential = credential(args, &mut warnings)?;
        if let (Credential::Ticket(_), Socket::Tcp { host, .. }) = (&credential, &url.socket)
            && !is_loopback(host)
        {
            warnings.push(format!("the ticket is sent in clear to {host}"));
        }
        let config = ClientConfig {
            authid: args.get("--authid").map(str::to_owned),
            credentials: vec![credential],
            agent: Some(concat!("wampd-", env!("CARGO_PKG_VERSION")).to_owned()),
            limits: ClientLimits {
                handshake_timeout: timeout,
                request_timeout: Some(timeout),
                max_invocations: MAX_INVOCATIONS,
                ..ClientLimits::default()
            },
            ..ClientConfig::anonymous(Uri::from(args.get("--realm").unwrap_or(DEFAULT_REALM).to_owned()))
        };
        Ok((Self { url, options: Options { open_timeout: timeout, ..options }, config }, warnings))
    }
}

fn serializer(name: &str, url: &Url) -> Result<Options, String> {
    let subprotocol = Subprotocol::from_token(&format!("wamp.2.{name}"))
        .ok_or("--serializer must be json, cbor or msgpack, or one of them with .batched")?;
    if subprotocol.is_batched() && url.protocol == Protocol::RawSocket {
        return Err("--serializer: RawSocket has no batched serializers".to_owned());
    }
    Ok(Options { subprotocols: vec![subprotocol], ..Options::with_serializer(subprotocol.format()) })
}

/// Whom to trust and what to show.
fn tls(args: &Args, url: &Url) -> Result<Option<ClientTls>, String> {
    let given = [args.get("--tls-ca"), args.get("--tls-cert"), args.get("--tls-key")];
    if given.iter().all(Option::is_none) {
        return Ok(None);
    }
    if !matches!(url.socket, Socket::Tls { .. }) {
        return Err("--tls-ca, --tls-cert and --tls-key are of use only with wss and rss".to_owned());
    }
    let read = |option: &str, file: &str| std::fs::read(file).map_err(|error| format!("{option} {file}: {error}"));
    let authorities = match given[0] {
        Some(file) => Authorities::Pem(read("--tls-ca", file)?),
        None => Authorities::System,
    };
    let identity = match (given[1], given[2]) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let (chain, key) = (read("--tls-cert", certificate)?, read("--tls-key", key)?);
            let identity = Identity::from_pem(&chain, &key);
            Some(identity.map_err(|error| format!("--tls-cert and --tls-key: {error}"))?)
        }
        _ => return Err("--tls-cert and --tls-key go together".to_owned()),
    };
    ClientTls::new(authorities, identity).map(Some).map_err(|error| format!("no TLS: {error}"))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn credential(args: &Args, warnings: &mut Vec<String>) -> Result<Credential, String> {
    let secret = secret(args, warnings)?;
    let credential = match (args.get("--auth").unwrap_or("anonymous"), secret) {
        ("anonymous", None) => return Ok(Credential::Anonymous),
        ("tls", None) => return Ok(Credential::External { method: TLS.to_owned() }),
        (method @ ("anonymous" | "tls"), Some(_)) => return Err(format!("--auth {method} has no secret")),
        (method @ ("ticket" | "wampcra" | "scram" | "wamp-scram" | "cryptosign"), None) => {
            return Err(format!("--auth {method} needs --secret-env, --secret-file or --secret"));
        }
        ("ticket", Some(secret)) => Credential::Ticket(secret),
        ("wampcra", Some(secret)) => Credential::Cra(secret),
        ("scram", Some(password)) => Credential::Scram { dialect: Dialect::Crossbar, password },
        ("wamp-scram", Some(password)) => Credential::Scram { dialect: Dialect::WampScram, password },
        ("cryptosign", Some(key)) => {
            let key = SecretKey::from_hex(&key).map_err(|error| format!("the private key is {error}"))?;
            return Ok(Credential::Cryptosign { key, router: None });
        }
        _ => {
            let methods = "anonymous, ticket, wampcra, scram, wamp-scram, cryptosign or tls";
            return Err(format!("--auth must be {methods}"));
        }
    };
    if !args.has("--authid") {
        return Err(format!("--auth {} needs --authid", credential.method()));
    }
    Ok(credential)
}

fn secret(args: &Args, warnings: &mut Vec<String>) -> Result<Option<String>, String> {
    let secret = match (args.get("--secret-env"), args.get("--secret-file"), args.get("--secret")) {
        (None, None, None) => return Ok(None),
        (Some(name), None, None) => match std::env::var(name) {
            Ok(secret) => secret,
            Err(error) => return Err(format!("--secret-env {name}: {error}")),
        },
        (None, Some(file), None) => first_line(file).map_err(|error| format!("--secret-file {file}: {error}"))?,
        (None, None, Some(secret)) => {
            warnings.push(
                "--secret can be seen in the list of processes and in the history of the shell; better are --secret-env \
                 and --secret-file"
                    .to_owned(),
            );
            secret.to_owned()
        }
        _ => return Err("give the secret in one way only".to_owned()),
    };
    if secret.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(Some(secret)) }
}

fn first_line(file: &str) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(std::fs::File::open(file)?.take(MAX_SECRET)).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
