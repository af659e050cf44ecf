//! A WebSocket by hand, of which all headers are seen.

#![allow(dead_code, unreachable_pub, reason = "a module of several tests, each of which uses a part of it")]

use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A WebSocket that speaks WAMP in JSON.
pub struct WebSocket {
    stream: TcpStream,
    /// The head of the response to the upgrade.
    pub response: String,
}

impl WebSocket {
    /// Connects to the path `/ws` with further header lines, each ended by CR LF, and reads the response.
    pub fn open(port: u16, headers: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.set_nodelay(true).expect("set");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: wamp.2.json\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let (mut response, mut byte) = (Vec::new(), [0]);
        while !response.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a response");
            response.push(byte[0]);
        }
        Self { stream, response: String::from_utf8(response).expect("text") }
    }

    /// Connects with this cookie.
    pub fn with_cookie(port: u16, cookie: &str) -> Self {
        Self::open(port, &format!("Cookie: {cookie}\r\n"))
    }

    /// The status of the response.
    pub fn status(&self) -> &str {
        self.response.split(' ').nth(1).unwrap_or_default()
    }

    /// The cookie that the response sets, with its attributes.
    pub fn set_cookie(&self) -> Option<&str> {
        self.response.lines().find_map(|line| line.strip_prefix("Set-Cookie: "))
    }

    /// The cookie that the response sets, as a browser sends it back.
    pub fn cookie(&self) -> Option<String> {
        self.set_cookie().and_then(|cookie| Some(cookie.split(';').next()?.to_owned()))
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Sends text as it is.
    pub fn send_text(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match text.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len => {
                frame.push(0x80 | 126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        // A key of zeros masks nothing.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.stream.write_all(&frame).expect("sent");
    }

    /// The next message.
    pub fn try_receive(&mut self) -> io::Result<Value> {
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head)?;
            let len = match head[1] {
                126 => {
                    let mut len = [0; 2];
                    self.stream.read_exact(&mut len)?;
                    usize::from(u16::from_be_bytes(len))
                }
                len => usize::from(len),
            };
            let mut payload = vec![0; len];
            self.stream.read_exact(&mut payload)?;
            match head[0] & 15 {
                1 => return Ok(serde_json::from_slice(&payload).expect("JSON")),
                8 => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
    }

    /// The next message, which must come.
    pub fn receive(&mut self) -> Value {
        self.try_receive().expect("a message")
    }

    /// Says HELLO and answers a challenge with a ticket. Returns WELCOME or ABORT.
    pub fn join(&mut self, realm: &str, authmethods: &[&str], authid: Option<&str>, ticket: &str) -> Value {
        let roles = json!({"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}});
        self.send(&json!([1, realm, {"roles": roles, "authmethods": authmethods, "authid": authid}]));
        let answer = self.receive();
        if answer[0] != 4 {
            return answer;
        }
        self.send(&json!([5, ticket, {}]));
        self.receive()
    }

    /// Leaves and waits for the answer; the WebSocket stays open.
    pub fn leave(&mut self, reason: &str) {
        self.send(&json!([6, {}, reason]));
        while self.receive()[0] != 6 {}
    }
}

/// Who a WELCOME or ABORT says one is: authid, role and provider, or the reason.
pub fn outcome(answer: &Value) -> String {
    if answer[0] != 2 {
        return answer[2].as_str().expect("a reason").to_owned();
    }
    let text = |key: &str| answer[2][key].as_str().expect("a text");
    format!("{} with role {} by {}", text("authid"), text("authrole"), text("authprovider"))
}
