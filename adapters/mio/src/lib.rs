//! The mio reactor.
