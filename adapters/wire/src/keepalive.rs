//! Automatic pings: how a connection whose peer has vanished is found.

use std::time::Duration;

use wampd_core::time::Instant;

/// When to ping an idle peer, and when to give it up.
///
/// Any byte received counts as a sign of life, so a busy connection is never pinged, and a peer that sends a long message
/// over a slow line is not given up before it can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingOptions {
    /// Silence after which a ping is sent; `None`: never. Default 10 s for WebSocket, `None` for RawSocket.
    pub interval: Option<Duration>,
    /// Further silence after which the peer is given up. Default 10 s.
    pub timeout: Duration,
}

impl PingOptions {
    /// Ping after 10 s of silence, give up after 10 s more.
    pub const ON: Self = Self { interval: Some(Duration::from_secs(10)), timeout: Duration::from_secs(10) };
    /// Never ping.
    pub const OFF: Self = Self { interval: None, timeout: Duration::from_secs(10) };
}

/// The pinging of one connection.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    last_seen: Instant,
    /// When to look again. Not moved by what is received, so the adapter's timer need not be either.
    deadline: Option<Instant>,
    /// When the ping was sent that is not answered yet.
    pinged: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Alive,
    Ping,
    Dead,
}

impl KeepAlive {
    pub(crate) fn new(options: &PingOptions, now: Instant) -> Self {
        Self { last_seen: now, deadline: options.interval.map(|interval| now.after(interval)), pinged: None }
    }

    pub(crate) fn seen(&mut self, now: Instant) {
        self.last_seen = now;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// `reading`: whether the adapter reads this connection; if not, the peer cannot be blamed for silence.
    pub(crate) fn handle_timeout(&mut self, options: &PingOptions, now: Instant, reading: bool) -> Verdict {
        let (Some(interval), Some(deadline)) = (options.interval, self.deadline) else {
            return Verdict::Alive;
        };
        if now < deadline {
            return Verdict::Alive;
        }
        if let Some(pinged) = self.pinged {
            if self.last_seen < pinged {
                if !reading {
                    self.pinged = Some(now);
                } else if now >= pinged.after(options.timeout) {
                    return Verdict::Dead;
                }
                self.deadline = Some(self.next_look(options, interval, now));
                return Verdict::Alive;
            }
            self.pinged = None;
        }
        let idle_until = self.last_seen.after(interval);
        if now < idle_until {
            self.deadline = Some(idle_until);
            return Verdict::Alive;
        }
        self.pinged = Some(now);
        self.deadline = Some(self.next_look(options, interval, now));
        Verdict::Ping
    }

    /// After a ping: when the next one may be due, or when the peer is to be given up, whichever is first.
    fn next_look(&self, options: &PingOptions, interval: Duration, now: Instant) -> Instant {
        let give_up = self.pinged.unwrap_or(now).after(options.timeout);
        give_up.min(now.after(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn pings_when_idle_and_gives_up() {
        let mut alive = KeepAlive::new(&PingOptions::ON, at(0));
        assert_eq!(alive.deadline(), Some(at(10)));
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(9), true), Verdict::Alive);
        alive.seen(at(4));
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(10), true), Verdict::Alive);
        assert_eq!(alive.deadline(), Some(at(14)));
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(14), true), Verdict::Ping);
        assert_eq!(alive.deadline(), Some(at(24)));
        alive.seen(at(15));
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(24), true), Verdict::Alive);
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(25), true), Verdict::Ping);
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(35), true), Verdict::Dead);
    }

    #[test]
    fn silence_of_a_paused_peer_is_not_held_against_it() {
        let mut alive = KeepAlive::new(&PingOptions::ON, at(0));
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(10), false), Verdict::Ping);
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(20), false), Verdict::Alive);
        assert_eq!(alive.deadline(), Some(at(30)));
        alive.seen(at(29));
        assert_eq!(alive.handle_timeout(&PingOptions::ON, at(30), true), Verdict::Alive);
    }

    #[test]
    fn a_long_timeout_does_not_stretch_the_interval() {
        let options = PingOptions { interval: Some(Duration::from_secs(10)), timeout: Duration::from_secs(35) };
        let mut alive = KeepAlive::new(&options, at(0));
        assert_eq!(alive.handle_timeout(&options, at(10), true), Verdict::Ping);
        alive.seen(at(11));
        assert_eq!(alive.deadline(), Some(at(20)));
        assert_eq!(alive.handle_timeout(&options, at(20), true), Verdict::Alive);
        assert_eq!(alive.deadline(), Some(at(21)));
        assert_eq!(alive.handle_timeout(&options, at(21), true), Verdict::Ping);
        for look in [31, 41, 51] {
            assert_eq!(alive.deadline(), Some(at(look)));
            assert_eq!(alive.handle_timeout(&options, at(look), true), Verdict::Alive);
        }
        assert_eq!(alive.deadline(), Some(at(56)));
        assert_eq!(alive.handle_timeout(&options, at(56), true), Verdict::Dead);
    }

    #[test]
    fn off_means_no_deadline() {
        let mut alive = KeepAlive::new(&PingOptions::OFF, at(0));
        assert_eq!(alive.deadline(), None);
        assert_eq!(alive.handle_timeout(&PingOptions::OFF, at(1000), true), Verdict::Alive);
    }
}
