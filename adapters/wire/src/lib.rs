//! WAMP transports without sockets.
