//! Integers of more than 64 bits, between binary and decimal.
//!
//! CBOR writes the integer n as the bytes of n, and as those of -1 - n if it is negative.

/// The longest integer that is converted, in bytes. Conversion takes time with the square of the length.
const MAX_BYTES: usize = 512;
/// No integer of so many bytes has more digits.
const MAX_DIGITS: usize = 1_234;
/// Decimal digits are converted nine at a time.
const BILLION: u64 = 1_000_000_000;

/// An integer as CBOR writes it, in decimal; `None` if it is longer than 4,096 bits.
pub(super) fn to_decimal(negative: bool, bytes: &[u8]) -> Option<String> {
    let bytes = without_zeros(bytes);
    if bytes.len() > MAX_BYTES {
        return None;
    }
    // Groups of nine digits, the least first.
    let mut groups: Vec<u32> = vec![0];
    let (first, words) = bytes.split_at(bytes.len() % 4);
    for word in core::iter::once(first).chain(words.chunks_exact(4)) {
        let mut carry = word.iter().fold(0, |word, &byte| (word << 8) | u64::from(byte));
        for group in &mut groups {
            carry += u64::from(*group) << 32;
            *group = (carry % BILLION) as u32;
            carry /= BILLION;
        }
        push_all(&mut groups, carry, BILLION);
    }
    if negative {
        let mut carry = 1;
        for group in &mut groups {
            carry += u64::from(*group);
            *group = (carry % BILLION) as u32;
            carry /= BILLION;
        }
        push_all(&mut groups, carry, BILLION);
    }
    let mut groups = groups.into_iter().rev();
    let mut text = String::from(if negative { "-" } else { "" });
    text.push_str(&groups.next().unwrap_or_default().to_string());
    for group in groups {
        text.push_str(&format!("{group:09}"));
    }
    Some(text)
}

/// The sign and the bytes, as CBOR writes it, of an integer in decimal that is not 0; `None` if it is longer than 4,096
/// bits.
pub(super) fn from_decimal(text: &str) -> Option<(bool, Vec<u8>)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    if digits.len() > MAX_DIGITS {
        return None;
    }
    // Words of 32 bits, the least first.
    let mut words: Vec<u32> = vec![0];
    let (first, groups) = digits.as_bytes().split_at(digits.len() % 9);
    for group in core::iter::once(first).chain(groups.chunks_exact(9)) {
        let mut carry = group.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        for word in &mut words {
            carry += u64::from(*word) * BILLION;
            *word = carry as u32;
            carry >>= 32;
        }
        push_all(&mut words, carry, 1 << 32);
    }
    if negative {
        for word in &mut words {
            let (less, borrowed) = word.overflowing_sub(1);
            *word = less;
            if !borrowed {
                break;
            }
        }
    }
    let bytes: Vec<u8> = words.iter().rev().flat_map(|word| word.to_be_bytes()).collect();
    let bytes = without_zeros(&bytes);
    (bytes.len() <= MAX_BYTES).then(|| (negative, bytes.to_vec()))
}

/// The double next to an integer as CBOR writes it; an infinity beyond the range of doubles.
pub(super) fn to_f64(negative: bool, bytes: &[u8]) -> f64 {
    let magnitude;
    let mut bytes = without_zeros(bytes);
    if negative {
        magnitude = plus_one(bytes);
        bytes = &magnitude;
    }
    let (first, rest) = bytes.split_at(bytes.len().min(8));
    let mut top = first.iter().fold(0_u64, |top, &byte| (top << 8) | u64::from(byte));
    // With eight bytes, the last bit is below those that a double keeps: it tells on which side of a half the rest is.
    top |= u64::from(rest.iter().any(|&byte| byte != 0));
    let scale = i32::try_from(rest.len()).ok().filter(|&length| length < 128).map(|length| 2_f64.powi(8 * length));
    let magnitude = scale.map_or(f64::INFINITY, |scale| top as f64 * scale);
    if negative { -magnitude } else { magnitude }
}

/// The integer of at most 64 bits, if it is one.
pub(super) fn to_u64(bytes: &[u8]) -> Option<u64> {
    let bytes = without_zeros(bytes);
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
}

pub(super) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn push_all(groups: &mut Vec<u32>, mut carry: u64, base: u64) {
    while carry > 0 {
        groups.push((carry % base) as u32);
        carry /= base;
    }
}

fn plus_one(bytes: &[u8]) -> Vec<u8> {
    let mut sum = [&[0], bytes].concat();
    for byte in sum.iter_mut().rev() {
        let (more, carried) = byte.overflowing_add(1);
        *byte = more;
        if !carried {
            break;
        }
    }
    let zeros = usize::from(sum.first() == Some(&0));
    sum.split_off(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(&str, bool, &[u8]); 7] = [
        ("18446744073709551616", false, &[1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("-18446744073709551617", true, &[1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("-18446744073709551616", true, &[255; 8]),
        ("1180591620717411303424", false, &[64, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("1000000000000000000000000000", false, &[3, 59, 46, 60, 159, 208, 128, 60, 232, 0, 0, 0]),
        ("-1000000000000000000", true, &[13, 224, 182, 179, 167, 99, 255, 255]),
        ("256", false, &[1, 0]),
    ];

    #[test]
    fn integers_of_any_size_are_the_same_in_decimal() {
        for (text, negative, bytes) in CASES {
            assert_eq!(to_decimal(negative, bytes).as_deref(), Some(text));
            assert_eq!(to_decimal(negative, &[&[0, 0], bytes].concat()).as_deref(), Some(text));
            assert_eq!(from_decimal(text), Some((negative, bytes.to_vec())), "{text}");
        }
        let digits = "123456789".repeat(137);
        for length in (1..=1_233).step_by(8) {
            let text = &digits[..length];
            let (negative, bytes) = from_decimal(text).unwrap();
            assert_eq!(to_decimal(negative, &bytes).as_deref(), Some(text));
        }
    }

    #[test]
    fn integers_of_more_than_4096_bits_are_not_converted() {
        let largest = to_decimal(false, &[255; 512]).unwrap();
        assert_eq!(from_decimal(&largest), Some((false, vec![255; 512])));
        assert_eq!(to_decimal(false, &[&[1][..], &[0; 512]].concat()), None);
        assert_eq!(from_decimal(&format!("{largest}0")), None);
        let next = format!("{}6", largest.strip_suffix('5').unwrap());
        assert_eq!(from_decimal(&next), None);
    }

    #[test]
    fn doubles_are_rounded_as_those_of_decimal_text() {
        for bytes in [
            &[1, 0, 0, 0, 0, 0, 4, 0, 0, 0][..],
            &[1, 0, 0, 0, 0, 0, 4, 0, 0, 1],
            &[1, 0, 0, 0, 0, 0, 12, 0, 0, 0],
            &[0x20, 0, 0, 0, 0, 0, 1],
            &[255; 8],
            &[255; 127],
            &[255; 128],
            &[255; 129],
            &[7; 128],
        ] {
            for negative in [false, true] {
                let expected: f64 = to_decimal(negative, bytes).unwrap().parse().unwrap();
                assert_eq!(to_f64(negative, bytes), expected, "{bytes:?}");
            }
        }
        assert_eq!(to_f64(false, &[1; 1_000]), f64::INFINITY);
        assert_eq!(to_f64(true, &[]), -1.0);
    }
}
