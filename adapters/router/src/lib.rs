//! wampd as a library: configuration and authenticators.
