//! TLS 1.2 and 1.3 by rustls, between the socket and the transport.
//!
//! * [`ServerTls`] is what a listener shows its peers, from PEM; a [`TlsAcceptor`] holds it and can be given another one
//!   while the server runs: connections that are open keep the one they began with.
//! * [`ClientTls`] is what a client trusts, and shows if the router asks for a certificate.

mod certificate;
mod stream;

pub(crate) use stream::TlsStream;

use std::{
    fmt, io,
    ops::RangeInclusive,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use wampd_core::time::UnixTime;

/// A certificate with those that lead to an authority, and its private key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From PEM: the certificate first, then those that lead to an authority; and the key, in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// [`TlsError::BadPem`], [`TlsError::NoCertificate`] or [`TlsError::NoKey`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = read_certificates(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => TlsError::NoKey,
            error => TlsError::BadPem(error.to_string()),
        })?;
        Ok(Self { chain, key })
    }

    /// From when to when the certificate is good; `None` if that can not be read.
    pub fn validity(&self) -> Option<RangeInclusive<UnixTime>> {
        certificate::validity(self.chain.first()?)
    }
}

/// Nothing of the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Why certificates and keys can not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// It is not PEM.
    BadPem(String),
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it, or an encrypted one.
    NoKey,
    /// Certificate and key do not go together, or are of a kind that is not supported.
    Unusable(String),
    /// The system's certificates of authorities can not be found.
    NoAuthorities(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPem(why) => write!(f, "not PEM: {why}"),
            Self::NoCertificate => f.write_str("no certificate in it"),
            Self::NoKey => f.write_str("no private key in it that is not encrypted"),
            Self::Unusable(why) => write!(f, "certificate or key can not be used: {why}"),
            Self::NoAuthorities(why) => write!(f, "the system's certificate authorities are not there: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// What a listener shows its peers, and whom it takes.
#[derive(Clone)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

impl ServerTls {
    /// Shows `identity`. Clients that come back within twelve hours resume their session, which costs no signature; their
    /// certificate is not asked for again then. With `authorities`, certificates in PEM, peers must show a certificate that one of them has
    /// signed; others are refused.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(identity: Identity, authorities: Option<&[u8]>) -> Result<Self, TlsError> {
        let builder = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let roots = roots(authorities)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                let verifier = verifier.build().map_err(|error| TlsError::Unusable(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(identity.chain, identity.key).map_err(unusable)?;
        // A client that comes back needs no signature. Tickets hold all that is needed, so strangers cannot fill a store.
        config.ticketer = ring::Ticketer::new().map_err(unusable)?;
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

/// What a listener shows its peers now. All clones are the same one.
#[derive(Clone, Debug)]
pub struct TlsAcceptor(Arc<RwLock<ServerTls>>);

impl TlsAcceptor {
    /// Begins with `tls`.
    pub fn new(tls: ServerTls) -> Self {
        Self(Arc::new(RwLock::new(tls)))
    }

    /// From now on `tls` is for new connections.
    pub fn replace(&self, tls: ServerTls) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tls;
    }

    pub(crate) fn accept(&self, socket: crate::stream::Stream, max_handshake: usize) -> io::Result<TlsStream> {
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone();
        let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(TlsStream::new(socket, connection.into()).with_stranger(max_handshake))
    }
}

/// Whom a client trusts.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Authorities {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those of these certificates alone, in PEM.
    Pem(Vec<u8>),
}

/// What a client trusts and shows.
#[derive(Clone)]
pub struct ClientTls(Arc<rustls::ClientConfig>);

impl ClientTls {
    /// Trusts routers with a certificate for their name that one of `authorities` has signed; shows `identity` if it is
    /// asked for a certificate.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(authorities: Authorities, identity: Option<Identity>) -> Result<Self, TlsError> {
        let roots = match authorities {
            Authorities::System => system_roots()?,
            Authorities::Pem(pem) => roots(&pem)?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = verifier.build().map_err(|error| TlsError::Unusable(error.to_string()))?;
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_webpki_verifier(verifier);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(unusable)?,
        };
        Ok(Self(Arc::new(config)))
    }

    /// `host` is the name or address that the router's certificate must be for.
    pub(crate) fn connect(&self, host: &str, socket: crate::stream::Stream) -> io::Result<TlsStream> {
        let name = host.to_owned().try_into().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connection = rustls::ClientConnection::new(self.0.clone(), name).map_err(io::Error::other)?;
        Ok(TlsStream::new(socket, connection.into()))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// The same one, or a clone of it.
impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ClientTls {}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn unusable(error: rustls::Error) -> TlsError {
    TlsError::Unusable(match error {
        // Of a key: too short ones are not told from nonsense.
        rustls::Error::General(why) => {
            format!("{why}; keys are RSA of 2048 to 4096 bits, ECDSA of P-256 or P-384, or Ed25519")
        }
        error => error.to_string(),
    })
}

fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| TlsError::BadPem(error.to_string()))?;
    if certificates.is_empty() { Err(TlsError::NoCertificate) } else { Ok(certificates) }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(pem)? {
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores of systems contain certificates that nothing can be done with.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TlsError::NoAuthorities(why.join("; ")));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
