//! Masking of client-to-server WebSocket frames (RFC 6455 section 5.3).

/// XORs `bytes` with the repeated masking key. Applying it twice restores the bytes.
pub(crate) fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_byte_by_byte() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..70 {
            let plain: Vec<u8> = (0..len).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, mask);
            for (i, (a, b)) in plain.iter().zip(&masked).enumerate() {
                assert_eq!(a ^ mask[i % 4], *b);
            }
            apply_mask(&mut masked, mask);
            assert_eq!(masked, plain);
        }
        // RFC 6455 section 5.7: a masked "Hello".
        let mut hello = *b"Hello";
        apply_mask(&mut hello, mask);
        assert_eq!(hello, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
