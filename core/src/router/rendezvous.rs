//! Rendezvous hashing: which node a resource key belongs to, of those that are there. The scores depend on nothing but
//! the two keys, so a resource key belongs to the same node in every run and on every router, for events and for calls;
//! and a node that comes or goes moves only the resource keys that are to be, or were, its own.

/// The hash of a node key or resource key: 64-bit FNV-1a of its UTF-8, finalized.
pub(crate) fn hash(key: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(key.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// How much the resource key of one hash belongs to the node key of the other; the highest score has it.
pub(crate) const fn score(rkey: u64, nkey: u64) -> u64 {
    mix(rkey ^ nkey.rotate_left(32))
}

/// The finalizer of SplitMix64: each bit of the result depends on each bit of `n`.
const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
