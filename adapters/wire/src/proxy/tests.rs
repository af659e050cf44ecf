use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn proxies(trusted: &[&str], protocol: ProxyProtocol) -> Proxies {
    Proxies { trusted: trusted.iter().map(|text| text.parse().unwrap()).collect(), protocol }
}

/// What lines of `X-Forwarded-For` or `Forwarded` tell, with `10.0.0.0/8` and `fd00::/8` trusted.
fn told(protocol: ProxyProtocol, lines: &[&str]) -> Result<String, ProxyError> {
    let name = if protocol == ProxyProtocol::Forwarded { "forwarded" } else { "x-forwarded-for" };
    let lines_of = |asked| lines.iter().filter(move |_| asked == name).map(|line| line.as_bytes());
    let client = proxies(&["10.0.0.0/8", "fd00::/8"], protocol).client_in(lines_of)?;
    Ok(client.map_or_else(|| "nothing".to_owned(), |address| address.to_string()))
}

#[track_caller]
fn tells(protocol: ProxyProtocol, lines: &[&str], expected: &str) {
    assert_eq!(told(protocol, lines).as_deref(), Ok(expected), "{lines:?}");
}

#[test]
fn networks_addresses_and_unix_sockets_are_trusted_as_written() {
    let proxies = proxies(&["10.1.2.3/8", "192.0.2.1", "2001:db8::/32", "::1", "unix"], ProxyProtocol::Proxy);
    let shown: Vec<String> = proxies.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128", "unix"]);
    let trusts = |address: &str| proxies.trusts(Some(address.parse().unwrap()));
    for address in ["10.255.0.1", "192.0.2.1", "2001:db8:1::1", "::1", "::ffff:10.0.0.1"] {
        assert!(trusts(address), "{address}");
    }
    for address in ["11.0.0.1", "192.0.2.2", "2001:db9::1", "::2", "::ffff:11.0.0.1", "127.0.0.1"] {
        assert!(!trusts(address), "{address}");
    }
    assert!(proxies.trusts(None));
    let tcp_only = Proxies { trusted: vec!["0.0.0.0/0".parse().unwrap()], ..proxies };
    assert!(!tcp_only.trusts(None) && !tcp_only.trusts(Some("2001:db8::1".parse().unwrap())));
    for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "Unix", "10.0.0.1:80", "fe80::1%eth0"] {
        assert_eq!(text.parse::<TrustedProxy>(), Err(InvalidTrustedProxy), "{text:?}");
    }
}

#[test]
fn networks_of_everybody_are_known() {
    let everybody = |text: &str| text.parse::<TrustedProxy>().unwrap().is_everybody();
    assert!(everybody("0.0.0.0/0") && everybody("::/0") && everybody("1.2.3.4/0"));
    assert!(!everybody("0.0.0.0/1") && !everybody("0.0.0.0") && !everybody("unix"));
}

#[test]
fn the_rightmost_address_that_is_not_trusted_counts() {
    use ProxyProtocol::XForwardedFor as X;
    tells(X, &["192.0.2.1"], "192.0.2.1:0");
    tells(X, &["198.51.100.7, 192.0.2.1, 10.0.0.1,10.2.0.9"], "192.0.2.1:0");
    tells(X, &["198.51.100.7", "192.0.2.1", "10.0.0.1"], "192.0.2.1:0");
    tells(X, &["198.51.100.7, 192.0.2.1", "10.0.0.1 , fd00::1"], "192.0.2.1:0");
    tells(X, &["10.0.0.3, 10.0.0.2, 10.0.0.1"], "10.0.0.3:0");
    tells(X, &[], "nothing");
    // What the client may have made up is not looked at.
    tells(X, &["not an address", "\"', ;;, 192.0.2.1"], "192.0.2.1:0");
}

#[test]
fn all_forms_of_addresses_are_read() {
    use ProxyProtocol::{Forwarded as F, XForwardedFor as X};
    for (text, expected) in [
        ("192.0.2.1", "192.0.2.1:0"),
        ("192.0.2.1:4711", "192.0.2.1:4711"),
        ("192.0.2.1:_hidden", "192.0.2.1:0"),
        ("2001:db8::17", "[2001:db8::17]:0"),
        ("[2001:db8::17]", "[2001:db8::17]:0"),
        ("[2001:db8::17]:4711", "[2001:db8::17]:4711"),
        ("::ffff:192.0.2.1", "192.0.2.1:0"),
        ("unknown", "nothing"),
        ("Unknown:80", "nothing"),
        ("_SEVKISEK", "nothing"),
        ("_a.b-c_d:_e", "nothing"),
    ] {
        tells(X, &[text], expected);
        tells(X, &[&format!("\"{text}\"")], expected);
        tells(F, &[&format!("for={text}")], expected);
        tells(F, &[&format!("for=\"{text}\"")], expected);
    }
    for text in [
        "example.com",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:123456",
        "192.0.2.1:+1",
        "192.0.2.1:70000",
        "192.0.2.1:1:1",
        "[192.0.2.1]",
        "[::1",
        "[::1]80",
        "[::1]:",
        "::1]",
        "_",
        "_ä",
        "_a b",
        "192.0.2.01",
        "unknowns",
        "\u{e9}",
    ] {
        assert_eq!(told(X, &[text]), Err(ProxyError::XForwardedFor), "{text:?}");
        assert_eq!(told(F, &[&format!("for=\"{text}\"")]), Err(ProxyError::Forwarded), "{text:?}");
    }
}

#[test]
fn what_a_proxy_does_not_tell_is_not_taken_from_further_left() {
    use ProxyProtocol::{Forwarded as F, XForwardedFor as X};
    for hidden in ["unknown", "_hidden", ""] {
        tells(X, &[&format!("192.0.2.1, {hidden}")], "nothing");
        tells(X, &[&format!("192.0.2.1, {hidden}, 10.0.0.1")], "10.0.0.1:0");
    }
    for hidden in ["for=unknown", "for=\"_hidden\"", "", "proto=https", ";", "by=192.0.2.9;host=example.com"] {
        tells(F, &[&format!("for=192.0.2.1, {hidden}")], "nothing");
        tells(F, &["for=192.0.2.1", hidden, "for=10.0.0.1"], "10.0.0.1:0");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_says_and_as_it_is_written() {
    use ProxyProtocol::Forwarded as F;
    tells(F, &["for=\"_gazonk\", For=\"[2001:db8:cafe::17]:4711\""], "[2001:db8:cafe::17]:4711");
    tells(F, &["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60:0");
    tells(F, &["host=\"a,b;for=198.51.100.1\\\"\" ; FOR=192.0.2.60 ;proto=http"], "192.0.2.60:0");
    tells(F, &["for=192.0.2.43, for=10.1.1.1;host=example.com:8080"], "192.0.2.43:0");
    tells(F, &["for=\"192.0.2\\.1\""], "192.0.2.1:0");
    // Quotation marks that the client has left open do not swallow what the proxy has added.
    tells(F, &["for=198.51.100.1;x=\", for=192.0.2.1;proto=\"https\""], "192.0.2.1:0");
    tells(F, &["for=\"198.51.100.1\\\", for=\"192.0.2.1\""], "192.0.2.1:0");
    for malformed in [
        "192.0.2.1",
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for=192.0.2.1;for=192.0.2.1",
        "for=\"192.0.2.1",
        "for=192.0.2.1\"",
        "for=192.0.2.1 proto=http",
        "for=\"192.0.2.1\"x",
        "f@r=192.0.2.1",
        "for=192.0.2.1;x=\"\u{1}\"",
        "for=192.0.2.1;x",
        "for=192.0.2.1;x=a@b",
    ] {
        assert_eq!(told(F, &[malformed]), Err(ProxyError::Forwarded), "{malformed:?}");
    }
}

#[test]
fn only_the_header_that_is_configured_counts() {
    let lines_of =
        |name| if name == "forwarded" { Some(&b"for=192.0.2.1"[..]) } else { Some(&b"192.0.2.2"[..]) }.into_iter();
    let told = |protocol| proxies(&["10.0.0.0/8"], protocol).client_in(lines_of).unwrap().map(|told| told.to_string());
    assert_eq!(told(ProxyProtocol::Forwarded).as_deref(), Some("192.0.2.1:0"));
    assert_eq!(told(ProxyProtocol::XForwardedFor).as_deref(), Some("192.0.2.2:0"));
    assert_eq!(told(ProxyProtocol::Proxy), None);
}

/// A header of version 1 as HAProxy writes it.
fn v1(source: SocketAddr) -> Vec<u8> {
    let destination = if source.is_ipv4() { "192.0.2.200" } else { "2001:db8::200" };
    let family = if source.is_ipv4() { 4 } else { 6 };
    format!("PROXY TCP{family} {} {destination} {} 443\r\n", source.ip(), source.port()).into_bytes()
}

/// A header of version 2, with these octets instead of that of the command and that of the family.
fn v2_with(command: u8, family: u8, addresses: &[u8], further: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len() + further.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, addresses, further].concat()
}

/// A header of version 2 as HAProxy writes it, with what follows the addresses.
fn v2(source: SocketAddr, further: &[u8]) -> Vec<u8> {
    let (port, other) = (source.port().to_be_bytes(), 443_u16.to_be_bytes());
    match source.ip() {
        IpAddr::V4(address) => {
            v2_with(0x21, 0x11, &[&address.octets()[..], &[192, 0, 2, 200], &port, &other].concat(), further)
        }
        IpAddr::V6(address) => v2_with(
            0x21,
            0x21,
            &[&address.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &port, &other].concat(),
            further,
        ),
    }
}

fn parsed(bytes: &[u8]) -> Result<Option<(usize, Option<String>)>, ProxyError> {
    let header = ProxyHeader::parse(bytes)?;
    Ok(header.map(|header| (header.length, header.source.map(|source| source.to_string()))))
}

#[test]
fn a_proxy_that_speaks_for_itself_or_does_not_tell_leaves_the_address_as_it_is() {
    let lines: [&[u8]; 3] =
        [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN whatever \xff 1 2\r\n", b"PROXY UNKNOWN ffff:f ::1 65535 65535\r\n"];
    for line in lines {
        assert_eq!(parsed(line), Ok(Some((line.len(), None))));
    }
    for header in [
        v2_with(0x20, 0x00, b"", b""),
        v2_with(0x20, 0xff, b"whatever", b""),
        v2_with(0x21, 0x00, b"", b"tlv"),
        v2_with(0x21, 0x12, &[0; 12], b""),
        v2_with(0x21, 0x22, &[0; 36], b""),
        v2_with(0x21, 0x31, &[0; 216], b"tlv"),
        v2_with(0x21, 0x32, &[0; 216], b""),
    ] {
        assert_eq!(parsed(&header), Ok(Some((header.len(), None))), "{header:?}");
    }
}

#[test]
fn malformed_headers_of_the_proxy_protocol_are_refused() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 x 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "\r\n\r\n\0\r\nQUIX\n",
        "\x7f\u{1}",
    ] {
        assert!(parsed(line.as_bytes()).is_err(), "{line:?}");
    }
    let endless = [b"PROXY TCP4 ", &[b'1'; 200][..]].concat();
    assert_eq!(parsed(&endless[..ProxyHeader::HEAD - 1]), Ok(None));
    assert!(parsed(&endless).is_err());
    for header in [
        v2_with(0x11, 0x11, &[0; 12], b""),
        v2_with(0x31, 0x11, &[0; 12], b""),
        v2_with(0x22, 0x11, &[0; 12], b""),
        v2_with(0x21, 0x01, &[0; 12], b""),
        v2_with(0x21, 0x10, &[0; 12], b""),
        v2_with(0x21, 0x13, &[0; 12], b""),
        v2_with(0x21, 0x41, &[0; 216], b""),
        v2_with(0x21, 0x11, &[0; 11], b""),
        v2_with(0x21, 0x21, &[0; 35], b""),
        v2_with(0x21, 0x31, &[0; 215], b""),
    ] {
        assert!(parsed(&header).is_err(), "{header:?}");
    }
}

fn source() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    let v6 = any::<[u8; 16]>().prop_map(|octets| IpAddr::from(Ipv6Addr::from(octets)).to_canonical());
    (prop_oneof![v4, v6], any::<u16>()).prop_map(|(address, port)| SocketAddr::new(address, port))
}

/// A list as client and proxies might write it, with parts that begin or end quoted strings where they should not.
fn list() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(
        &["192.0.2.1", "10.0.0.1", "for=", "for=10.0.0.1", "\"", "\\", ",", ";", " ", "unknown", "[::1]", ":1", "x"][..],
    );
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn headers_are_read_as_they_were_written(source in source(), further in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (header, behind) in [(v1(source), &further[..]), (v2(source, b""), &further[..]), (v2(source, &further), b"")] {
            let stream = [&header[..], behind].concat();
            let expected = Some((header.len(), Some(source.to_string())));
            prop_assert_eq!(parsed(&stream), Ok(expected.clone()));
            // Less of it tells the same, or nothing yet.
            for end in 0..header.len().min(ProxyHeader::HEAD) {
                let early = parsed(&stream[..end]);
                prop_assert!(early == Ok(None) || early == Ok(expected.clone()), "{:?} of {} bytes", early, end);
            }
        }
    }

    #[test]
    fn addresses_in_lists_are_read_as_they_were_written(source in source(), others in list()) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let quoted = format!("for=\"{source}\"");
        for (protocol, element) in [(ProxyProtocol::XForwardedFor, source.to_string()), (ProxyProtocol::Forwarded, quoted)] {
            let proxies = Proxies { trusted: trusted.to_vec(), protocol };
            prop_assert_eq!(proxies.client_in(|_| [element.as_bytes()].into_iter()), Ok(Some(source)));
            if !proxies.trusts(Some(source.ip())) {
                let chain = format!("{others},{element}");
                prop_assert_eq!(proxies.client_in(|_| [chain.as_bytes()].into_iter()), Ok(Some(source)));
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzz::proxy(&data);
    }

    #[test]
    fn any_lists_are_survived(choice in 0..4_u8, one in list(), two in list()) {
        crate::fuzz::proxy(&[&[choice][..], one.as_bytes(), b"\n", two.as_bytes()].concat());
    }
}
