//! The client: joins with WAMP-CRA and tries what it may and what it may not do.

use super::{options, patient};
use std::time::SystemTime;
use wampd_core::auth::cra;
use wampd_core::client::{ClientConfig, Credential};
use wampd_core::message::{CallOptions, Payload, PublishOptions, RegisterOptions};
use wampd_core::time::UnixTime;
use wampd_core::uri::close;
use wampd_core::value::Value;
use wampd_mio::client::{Challenge, Client, ConnectError, End, Error, Failure, Proof, Url};
use wampd_wire::Framing;

/// Runs the client, printing what happens line by line. Returns the lines, without the time.
pub(super) fn run(url: &Url, user: &str, secret: &str) -> Vec<String> {
    let mut transcript = Transcript::default();
    println!("User '{user}' using secret '{secret}'");
    // `Credential::Cra(secret)` would do the same without showing the challenge.
    let credential = Credential::External { method: "wampcra".to_owned() };
    let config = patient(ClientConfig::with_credential("realm1".into(), user, credential));
    let mut challenged = String::new();
    let joined = Client::connect_with(url, &options(), config, |Challenge { method, extra }| {
        let opened =
            format!("Client session connected. Starting WAMP-CRA authentication on realm 'realm1' as user '{user}' ..");
        transcript.say(opened);
        let challenge = extra.get("challenge").and_then(Value::as_str)?;
        transcript.say(format!("WAMP-CRA challenge received: Challenge(method={method}, challenge='{challenge}')"));
        challenged = challenge.to_owned();
        Some(Proof { signature: cra::sign(secret.as_bytes(), challenge), ..Proof::default() })
    });
    match joined {
        Ok(client) => {
            if !challenged.contains(&format!("\"session\": {},", client.session().session)) {
                transcript.say("The challenge was for another session");
            }
            act(client, &mut transcript);
        }
        Err(ConnectError::Aborted(aborted)) => {
            let message = aborted.message().unwrap_or("None");
            transcript
                .say(format!("Client session left: CloseDetails(reason=<{}>, message='{message}')", aborted.reason));
            transcript.say("Client session disconnected.");
        }
        Err(error) => transcript.say(error),
    }
    transcript.lines
}

fn act(mut client: Client, transcript: &mut Transcript) {
    transcript.say("Client session joined:");
    session_details(&client, transcript);

    let arguments = Payload::from_args([Value::from(2), Value::from(3)]);
    match client.call("com.example.add2", CallOptions::default(), arguments) {
        Ok(result) => match result.payload.values().ok().and_then(|(args, _)| args.first()?.as_i64()) {
            Some(sum) => transcript.say(format!("call result: {sum}")),
            None => transcript.say("call result: not a number"),
        },
        Err(error) => transcript.say(format!("call failed: {error}")),
    }
    match client.register("com.example.mul2", RegisterOptions::default()) {
        Ok(_) => transcript.say("procedure com.example.mul2 was registered - this is not expected"),
        Err(Error::Failed(failure)) => {
            transcript.say(format!("registration failed - this is expected: {}", application_error(&failure)));
        }
        Err(error) => transcript.say(format!("registration failed: {error}")),
    }
    for (topic, allowed) in [
        ("com.example.topic1", true),
        ("com.foobar.topic1", true),
        ("com.example.topic2", false),
        ("com.foobar.topic2", false),
    ] {
        let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
        match client.publish(topic, options, Payload::from_args([Value::from("hello")])) {
            Ok(_) => transcript.say(format!("ok, event published to topic {topic}")),
            Err(Error::Failed(failure)) => {
                let expected = if allowed { "this is not expected" } else { "this is expected" };
                let failure = application_error(&failure);
                transcript.say(format!("publication to topic {topic} failed - {expected}: {failure}"));
            }
            Err(error) => transcript.say(format!("publication to topic {topic} failed: {error}")),
        }
    }
    match client.leave(close::NORMAL) {
        Ok(reason) => transcript.say(format!("Client session left: CloseDetails(reason=<{reason}>, message='None')")),
        Err(End::Lost(lost)) => transcript.say(format!("Client session lost: {lost}")),
        Err(end) => transcript.say(end),
    }
    transcript.say("Client session disconnected.");
}

fn session_details(client: &Client, transcript: &mut Transcript) {
    let details = &client.session().details;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let encoding = client.encoding();
    let batched = matches!(encoding.framing, Framing::WebSocketBatched | Framing::WebSocketBatchedCancel);
    let serializer = format!("{:?}", encoding.format).to_lowercase() + if batched { ".batched" } else { "" };
    let realm = details.realm.as_ref().map(|realm| realm.as_str()).unwrap_or_default();
    transcript.say(format!("SessionDetails(realm=\"{realm}\","));
    transcript.say(format!("               session={},", client.session().session));
    for (name, value) in [
        ("authid", text(&details.authid)),
        ("authrole", text(&details.authrole)),
        ("authmethod", text(&details.authmethod)),
        ("authprovider", text(&details.authprovider)),
        ("serializer", serializer),
    ] {
        transcript.say(format!("               {name}=\"{value}\","));
    }
    transcript.say("               transport=\"websocket\")");
}

/// The error as Autobahn shows it.
fn application_error(Failure { error, payload }: &Failure) -> String {
    let (args, _) = payload.values().unwrap_or_default();
    let args: Vec<String> =
        args.iter().map(|arg| arg.as_str().map_or_else(|| "?".to_owned(), |text| format!("'{text}'"))).collect();
    format!("ApplicationError(error=<{error}>, args=[{}])", args.join(", "))
}

#[derive(Default)]
struct Transcript {
    lines: Vec<String>,
}

impl Transcript {
    fn say(&mut self, line: impl ToString) {
        let line = line.to_string();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        println!("{} {line}", UnixTime(0).after(since_1970).to_iso8601());
        self.lines.push(line);
    }
}
