//! The key of a node: by it clients of cryptosign know which router they talk to.
//!
//! Crossbar.io makes one when a node first starts, as `key.priv` beside the configuration: some text, an empty line, then
//! lines of `name: value`, among them `public-key-ed25519` and `private-key-ed25519` in hexadecimal.

use super::exposure;
use super::report::{Problem, Report, Severity};
use std::io;
use std::path::Path;
use wampd_core::auth::cryptosign::SecretKey;

/// The name of the file.
const FILE: &str = "key.priv";

/// What is in a file of this name.
#[derive(Debug)]
enum Content {
    Key(SecretKey),
    /// No key of a node: it may be there for something else.
    Other,
    /// A key that can not be used, and why.
    Broken(&'static str),
}

/// The key beside a configuration, if there is one.
pub(super) fn read(folder: &Path, report: &mut Report) -> Option<SecretKey> {
    let mut problem = |severity, message, hint: &str| {
        let hint = Some(hint.to_owned());
        report.push(Problem { severity, position: None, path: String::new(), message, hint });
    };
    let content = match std::fs::read_to_string(folder.join(FILE)) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Content::Other,
        Err(error) => {
            let message = format!("{FILE} beside this file can not be read: {error}");
            problem(Severity::Error, message, "make it readable, or move it away if it is not the key of this node");
            return None;
        }
    };
    match content {
        Content::Key(key) => {
            exposure::readable(report, &folder.join(FILE), "key.priv, the key of this node", "", None);
            Some(key)
        }
        Content::Other => {
            let message = format!("{FILE} beside this file is ignored: it is not the key of a node");
            problem(Severity::Warning, message, "that has a line private-key-ed25519");
            None
        }
        Content::Broken(why) => {
            let message = format!("{FILE} beside this file is broken: {why}");
            problem(Severity::Error, message, "put the key of this node back, or move the file away");
            None
        }
    }
}

fn parse(text: &str) -> Content {
    let value = |name: &str| {
        text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name).map(|(_, v)| v.trim())
    };
    let Some(private) = value("private-key-ed25519") else { return Content::Other };
    let Ok(key) = SecretKey::from_hex(private) else {
        return Content::Broken("private-key-ed25519 is not 64 hexadecimal digits");
    };
    match value("public-key-ed25519") {
        Some(public) if !public.eq_ignore_ascii_case(&key.public().to_hex()) => {
            Content::Broken("public-key-ed25519 is not that of private-key-ed25519")
        }
        _ => Content::Key(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 section 7.1, test 1.
    const PRIVATE: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn file(public: &str, private: &str) -> String {
        let before = "Crossbar.io node private key - KEEP THIS SAFE!\n\ncreator: joe@host\nmachine-id: 1\n";
        format!("{before}public-key-ed25519: {public}\nprivate-key-ed25519: {private}\nprivate-key-eth: 00\n")
    }

    #[test]
    fn the_key_of_a_node_of_crossbar() {
        let Content::Key(key) = parse(&file(PUBLIC, PRIVATE)) else { panic!("no key") };
        assert_eq!(key.public().to_hex(), PUBLIC);
        assert!(matches!(parse(&format!("private-key-ed25519: {PRIVATE}")), Content::Key(_)));
        let upper = file(&PUBLIC.to_uppercase(), &PRIVATE.to_uppercase());
        assert!(matches!(parse(&upper), Content::Key(_)));
    }

    #[test]
    fn what_is_no_key_or_a_broken_one() {
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
        for other in ["", private, &file(PUBLIC, PRIVATE).replace("private-key-ed25519", "private-key")] {
            assert!(matches!(parse(other), Content::Other), "{other}");
        }
        for broken in [file(PUBLIC, "12"), file(PUBLIC, ""), file(PRIVATE, PRIVATE), file(PUBLIC, PUBLIC)] {
            assert!(matches!(parse(&broken), Content::Broken(_)), "{broken}");
        }
    }
}
