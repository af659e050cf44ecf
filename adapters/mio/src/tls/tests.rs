use super::*;
use wampd_core::value::Value;

fn made(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn server(certificate: &str, key: &str, authorities: Option<&[u8]>) -> Result<ServerTls, TlsError> {
    ServerTls::new(Identity::from_pem(certificate.as_bytes(), key.as_bytes())?, authorities)
}

#[test]
fn certificate_and_key_must_go_together() {
    let ((certificate, key), (other, other_key)) = (made(&["localhost"]), made(&["localhost"]));
    assert!(server(&certificate, &key, None).is_ok());
    assert!(server(&certificate, &key, Some(other.as_bytes())).is_ok());
    assert!(matches!(server(&certificate, &other_key, None), Err(TlsError::Unusable(_))));
}

#[test]
fn the_time_of_a_certificate_can_be_read() {
    let (certificate, key) = made(&["localhost"]);
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("usable");
    // What rcgen says if it is not told.
    let validity = identity.validity().expect("a certificate");
    assert_eq!(validity.start().to_iso8601(), "1975-01-01T00:00:00.000Z");
    assert_eq!(validity.end().to_iso8601(), "4096-01-01T00:00:00.000Z");
}

#[test]
fn what_is_missing_or_broken_is_told() {
    let (certificate, key) = made(&["localhost"]);
    assert_eq!(server("", &key, None).err(), Some(TlsError::NoCertificate));
    assert_eq!(server(&key, &key, None).err(), Some(TlsError::NoCertificate));
    assert_eq!(server(&certificate, "", None).err(), Some(TlsError::NoKey));
    assert_eq!(server(&certificate, &certificate, None).err(), Some(TlsError::NoKey));
    let broken = certificate.replace("-----END", "-----");
    assert!(matches!(server(&broken, &key, None), Err(TlsError::BadPem(_))));
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(server(nonsense, &key, None), Err(TlsError::Unusable(_))));
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let error = server(&certificate, nonsense, None).expect_err("no key").to_string();
    assert!(error.contains("keys are RSA of 2048 to 4096 bits"), "{error}");
    assert_eq!(server(&certificate, &key, Some(b"")).err(), Some(TlsError::NoCertificate));
    assert!(ClientTls::new(Authorities::Pem(Vec::new()), None).is_err());
}

#[test]
fn keys_are_not_printed() {
    let (certificate, key) = made(&["localhost"]);
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(format!("{identity:?}"), "Identity { certificates: 1, .. }");
}

/// A certificate made with openssl 3.0.19, and what that says of it.
#[test]
fn certificates_are_told_as_openssl_tells_them() {
    let pem = include_bytes!("client.pem");
    let details = certificate::details(&read_certificates(pem).unwrap()[0]);
    let text = |key: &str| details[key].as_str().unwrap().to_owned();
    assert_eq!(text("sha1"), "1D:99:1E:45:66:F6:42:A4:9E:3C:96:FD:63:BE:87:C4:DC:5E:3A:89");
    assert_eq!(
        text("sha256"),
        "E8:4D:1D:A0:4B:9A:77:72:E6:D2:7D:46:6A:EB:AD:CE:BA:EB:B7:BF:D6:31:A8:E4:57:2C:9E:84:4A:C5:EA:52"
    );
    assert_eq!(details["subject"].as_dict().unwrap()["cn"], Value::from("client_0"));
    assert_eq!(details["subject"].as_dict().unwrap()["o"], Value::from("Example"));
    assert_eq!(details["issuer"].as_dict().unwrap()["c"], Value::from("DE"));
    assert_eq!(certificate::details(b"nonsense").keys().collect::<Vec<_>>(), ["sha1", "sha256"]);
}
