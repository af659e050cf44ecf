//! Frames as a strict receiver reads them. Written without the codec, from the specifications of the serializers, so that
//! a mistake of the codec does not hide here too.

use wampd_core::codec::Format;

/// A value on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// null, `undefined`
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer of at most 64 bits, with or without a sign.
    Int(i128),
    /// Any other integer, as CBOR writes it: without leading zeros, the bytes of n, or of -1 - n if it is negative.
    Big {
        /// Whether it is below zero.
        negative: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A float, or a number of JSON with a fraction or an exponent.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes; in JSON the text that stands for them.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// A map, with keys of any type.
    Map(Vec<(Self, Self)>),
    /// A point in time: nanoseconds since 1970.
    Time(i128),
    /// A value of CBOR with another tag.
    Tagged(Box<Self>),
    /// A simple value of CBOR that means nothing.
    Simple,
    /// An extension type of MsgPack.
    Extension,
}

/// Reads the one value of a frame.
///
/// # Errors
/// Why a strict receiver refuses it.
pub fn read(format: Format, frame: &[u8]) -> Result<Item, String> {
    match format {
        Format::Json => {
            let mut json = Json { rest: std::str::from_utf8(frame).map_err(|why| why.to_string())? };
            let item = json.item()?;
            json.space();
            if json.rest.is_empty() { Ok(item) } else { Err("text after the message".to_owned()) }
        }
        Format::Cbor => whole(frame, cbor),
        Format::MsgPack => whole(frame, msgpack),
        other => Err(format!("unknown serializer {other:?}")),
    }
}

/// Reads JSON, with numbers as Python and JavaScript take them: integers exactly, an infinity beyond the range of doubles.
struct Json<'a> {
    rest: &'a str,
}

impl Json<'_> {
    fn item(&mut self) -> Result<Item, String> {
        self.space();
        let value = self.rest.chars().next().ok_or("truncated")?;
        Ok(match value {
            '{' => Item::Map(self.many('}', |json| {
                let key = Item::Text(json.text()?);
                json.expect(':')?;
                Ok((key, json.item()?))
            })?),
            '[' => Item::List(self.many(']', Self::item)?),
            '"' => {
                let text = self.text()?;
                match text.strip_prefix('\0') {
                    Some(base64) => Item::Bytes(from_base64(base64).ok_or("text of U+0000 that is not base64")?),
                    None => Item::Text(text),
                }
            }
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                match word {
                    "null" => Item::Null,
                    "true" | "false" => Item::Bool(word == "true"),
                    number => number_of_json(number)?,
                }
            }
        })
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn expect(&mut self, what: char) -> Result<(), String> {
        self.space();
        self.rest = self.rest.strip_prefix(what).ok_or_else(|| format!("no {what} at {:?}", self.rest))?;
        Ok(())
    }

    fn text(&mut self) -> Result<String, String> {
        self.space();
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let text = stream.next().ok_or("truncated")?.map_err(|why| why.to_string())?;
        self.rest = &self.rest[stream.byte_offset()..];
        Ok(text)
    }

    fn many<T>(&mut self, end: char, item: impl Fn(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        self.space();
        while !self.rest.starts_with(end) {
            if !items.is_empty() {
                self.expect(',')?;
            }
            items.push(item(self)?);
            self.space();
        }
        self.rest = &self.rest[1..];
        Ok(items)
    }
}

fn number_of_json(number: &str) -> Result<Item, String> {
    // The grammar.
    if !number.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        || serde_json::from_str::<serde::de::IgnoredAny>(number).is_err()
    {
        return Err(format!("no number: {number}"));
    }
    if number.contains(['.', 'e', 'E']) || number == "-0" {
        return number.parse().map(Item::Float).map_err(|_| format!("no number: {number}"));
    }
    if number.len() > 4_301 {
        return Err("an integer of more digits than Python takes".to_owned());
    }
    integer(number).ok_or_else(|| format!("no number: {number}"))
}

/// The integer of these digits.
pub(crate) fn integer(digits: &str) -> Option<Item> {
    if let Ok(n) = digits.parse::<i128>()
        && (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&n)
    {
        return Some(Item::Int(n));
    }
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let negative = unsigned.len() < digits.len();
    let mut bytes = vec![0_u8];
    for digit in unsigned.bytes() {
        let mut carry = u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.insert(0, carry as u8);
        }
    }
    if negative {
        for byte in bytes.iter_mut().rev() {
            let borrows = *byte == 0;
            *byte = byte.wrapping_sub(1);
            if !borrows {
                break;
            }
        }
    }
    Some(big(negative, &bytes))
}

/// The integer of these bytes, as CBOR has them.
fn big(negative: bool, bytes: &[u8]) -> Item {
    let bytes: Vec<u8> = bytes.iter().skip_while(|byte| **byte == 0).copied().collect();
    let number = || bytes.iter().fold(0, |number, byte| number << 8 | i128::from(*byte));
    match (bytes.len(), negative) {
        (..=8, false) => Item::Int(number()),
        (..=8, true) if number() <= i128::from(i64::MAX) => Item::Int(-1 - number()),
        _ => Item::Big { negative, bytes },
    }
}

/// Base64 of RFC 4648, padded.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let unpadded = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - unpadded.len() > 2 {
        return None;
    }
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for byte in unpadded.bytes() {
        bits = bits << 6 | ALPHABET.iter().position(|letter| *letter == byte)? as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

fn whole(frame: &[u8], read: fn(&mut &[u8]) -> Result<Item, String>) -> Result<Item, String> {
    let mut rest = frame;
    let item = read(&mut rest)?;
    if rest.is_empty() { Ok(item) } else { Err("bytes after the message".to_owned()) }
}

fn take<'a>(rest: &mut &'a [u8], count: u64) -> Result<&'a [u8], String> {
    let count = usize::try_from(count).map_err(|_| "too long")?;
    let (taken, left) = rest.split_at_checked(count).ok_or("truncated")?;
    *rest = left;
    Ok(taken)
}

fn unsigned(rest: &mut &[u8], size: u64) -> Result<u64, String> {
    Ok(take(rest, size)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn text(bytes: &[u8]) -> Result<Item, String> {
    String::from_utf8(bytes.to_vec()).map(Item::Text).map_err(|_| "text that is not UTF-8".to_owned())
}

fn many(rest: &mut &[u8], count: u64, read: fn(&mut &[u8]) -> Result<Item, String>) -> Result<Vec<Item>, String> {
    (0..count).map(|_| read(rest)).collect()
}

fn pairs(items: Vec<Item>) -> Item {
    let mut items = items.into_iter();
    Item::Map(core::iter::from_fn(|| Some((items.next()?, items.next()?))).collect())
}

fn cbor(rest: &mut &[u8]) -> Result<Item, String> {
    let first = take(rest, 1)?[0];
    let (major, info) = (first >> 5, first & 31);
    let argument = match info {
        0..24 => u64::from(info),
        24..28 => unsigned(rest, 1 << (info - 24))?,
        31 if (2..6).contains(&major) => return indefinite(rest, major),
        _ => return Err("a reserved code".to_owned()),
    };
    Ok(match major {
        0 => Item::Int(argument.into()),
        1 => big(true, &argument.to_be_bytes()),
        2 => Item::Bytes(take(rest, argument)?.to_vec()),
        3 => text(take(rest, argument)?)?,
        4 => Item::List(many(rest, argument, cbor)?),
        5 => pairs(many(rest, argument.checked_mul(2).ok_or("too long")?, cbor)?),
        6 => {
            let start = *rest;
            let content = cbor(rest)?;
            tagged(argument, content, start[0] >> 5 == 6)?
        }
        _ => match info {
            20 | 21 => Item::Bool(info == 21),
            22 | 23 => Item::Null,
            25 => Item::Float(half(argument as u16)),
            26 => Item::Float(f32::from_bits(argument as u32).into()),
            27 => Item::Float(f64::from_bits(argument)),
            0..20 => Item::Simple,
            24 if argument >= 32 => Item::Simple,
            _ => return Err("a simple value".to_owned()),
        },
    })
}

fn indefinite(rest: &mut &[u8], major: u8) -> Result<Item, String> {
    let mut items = Vec::new();
    while rest.first() != Some(&0xff) {
        if matches!(major, 2 | 3) && rest.first().is_none_or(|chunk| chunk >> 5 != major || chunk & 31 == 31) {
            return Err("a chunk of another type".to_owned());
        }
        items.push(cbor(rest)?);
    }
    take(rest, 1)?;
    Ok(match major {
        2 | 3 => {
            let bytes = items.iter().flat_map(|item| match item {
                Item::Bytes(bytes) => bytes.clone(),
                Item::Text(text) => text.clone().into_bytes(),
                _ => Vec::new(),
            });
            let bytes = bytes.collect::<Vec<u8>>();
            if major == 2 { Item::Bytes(bytes) } else { text(&bytes)? }
        }
        4 => Item::List(items),
        _ if items.len().is_multiple_of(2) => pairs(items),
        _ => return Err("a key without a value".to_owned()),
    })
}

/// A tagged value, if its content is what RFC 8949 says that it is; of other tags, if receivers could make sense of it
/// outside the message that it came in.
fn tagged(tag: u64, content: Item, is_tagged: bool) -> Result<Item, String> {
    let is_integer = |item: &Item| matches!(item, Item::Int(_) | Item::Big { .. });
    let right = match tag {
        0..=1 | 30 | 37 if is_tagged => false,
        0 => match &content {
            Item::Text(text) if is_time(text) => return time(text).map(Item::Time).ok_or_else(|| "no time".to_owned()),
            _ => false,
        },
        1 => match content {
            Item::Int(seconds) if (-62_135_596_800..253_402_300_800).contains(&seconds) => {
                return Ok(Item::Time(seconds * 1_000_000_000));
            }
            Item::Float(seconds) if (-62_135_596_800.0..253_402_300_800.0).contains(&seconds) => {
                let whole = seconds.floor();
                return Ok(Item::Time(whole as i128 * 1_000_000_000 + ((seconds - whole) * 1e9) as i128));
            }
            _ => false,
        },
        2 | 3 if is_tagged => false,
        2 | 3 => match content {
            Item::Bytes(bytes) => return Ok(big(tag == 3, &bytes)),
            _ => false,
        },
        4 | 5 => match &content {
            Item::List(parts) => {
                let mantissa = is_integer;
                matches!(&parts[..], [exponent, rest] if is_integer(exponent) && mantissa(rest))
            }
            _ => false,
        },
        // References to what stands elsewhere in the message.
        25 | 29 => false,
        // Regular expressions, of which only a receiver can tell whether they are any.
        35 => false,
        30 => matches!(&content, Item::List(parts) if matches!(parts[..], [Item::Int(_), Item::Int(1..)])),
        32..=34 | 36 => matches!(&content, Item::Text(_)),
        37 => matches!(&content, Item::Bytes(bytes) if bytes.len() == 16),
        258 => matches!(&content, Item::List(_)),
        _ => true,
    };
    if right { Ok(Item::Tagged(Box::new(content))) } else { Err(format!("tag {tag} around {content:?}")) }
}

/// Whether a text has the form of RFC 3339's date and time.
fn is_time(text: &str) -> bool {
    let form = |pattern: &str, text: &str| {
        text.len() == pattern.len()
            && pattern.bytes().zip(text.bytes()).all(|(want, have)| match want {
                b'9' => have.is_ascii_digit(),
                want => want == have,
            })
    };
    let Some((front, rest)) = text.split_at_checked(19) else { return false };
    let zone = rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    form("9999-99-99T99:99:99", front)
        && (zone == "Z" || form("+99:99", zone) || form("-99:99", zone))
        && front[5..7].parse().is_ok_and(|month: u8| (1..=12).contains(&month))
        && front[8..10].parse().is_ok_and(|day: u8| (1..=31).contains(&day))
        && front[11..13].parse().is_ok_and(|hour: u8| hour < 24)
}

fn msgpack(rest: &mut &[u8]) -> Result<Item, String> {
    let first = take(rest, 1)?[0];
    let length = |rest: &mut &[u8], log_size: u8| unsigned(rest, 1 << log_size);
    Ok(match first {
        0x00..=0x7f => Item::Int(first.into()),
        0x80..=0x8f => pairs(many(rest, u64::from(first & 15) * 2, msgpack)?),
        0x90..=0x9f => Item::List(many(rest, u64::from(first & 15), msgpack)?),
        0xa0..=0xbf => text(take(rest, u64::from(first & 31))?)?,
        0xc0 => Item::Null,
        0xc1 => return Err("a reserved code".to_owned()),
        0xc2 | 0xc3 => Item::Bool(first == 0xc3),
        0xc4..=0xc6 => {
            let length = length(rest, first - 0xc4)?;
            Item::Bytes(take(rest, length)?.to_vec())
        }
        0xc7..=0xc9 => {
            let length = length(rest, first - 0xc7)?;
            extension(rest, length)?
        }
        0xca => Item::Float(f32::from_bits(unsigned(rest, 4)? as u32).into()),
        0xcb => Item::Float(f64::from_bits(unsigned(rest, 8)?)),
        0xcc..=0xcf => Item::Int(length(rest, first - 0xcc)?.into()),
        0xd0..=0xd3 => {
            let bits = 8_u32 << (first - 0xd0);
            let number = i128::from(length(rest, first - 0xd0)?);
            Item::Int(if number >> (bits - 1) == 0 { number } else { number - (1 << bits) })
        }
        0xd4..=0xd8 => extension(rest, 1 << (first - 0xd4))?,
        0xd9..=0xdb => {
            let length = length(rest, first - 0xd9)?;
            text(take(rest, length)?)?
        }
        0xdc | 0xdd => {
            let count = length(rest, first - 0xdb)?;
            Item::List(many(rest, count, msgpack)?)
        }
        0xde | 0xdf => {
            let count = length(rest, first - 0xdd)?;
            pairs(many(rest, count * 2, msgpack)?)
        }
        0xe0..=0xff => Item::Int((first as i8).into()),
    })
}

fn extension(rest: &mut &[u8], length: u64) -> Result<Item, String> {
    let kind = take(rest, 1)?[0] as i8;
    let data = take(rest, length)?;
    let (nanoseconds, seconds) = match (kind, data.len()) {
        (-1, 4) => (0, unsigned(&mut &data[..], 4)? as i64),
        (-1, 8) => {
            let both = unsigned(&mut &data[..], 8)?;
            (both >> 34, (both & 0x3_ffff_ffff) as i64)
        }
        (-1, 12) => (unsigned(&mut &data[..], 4)?, unsigned(&mut &data[4..], 8)? as i64),
        (-1, other) => return Err(format!("a timestamp of {other} bytes")),
        (0, 1) if data == [0] => return Ok(Item::Null),
        _ => return Ok(Item::Extension),
    };
    if nanoseconds >= 1_000_000_000 {
        return Err("a timestamp of too many nanoseconds".to_owned());
    }
    Ok(Item::Time(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)))
}

/// Nanoseconds since 1970 of a time of RFC 3339, or of ISO 8601 with a year of more digits. Counted as calendars do.
pub(crate) fn time(text: &str) -> Option<i128> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (year, rest) = text.trim_start_matches(['+', '-']).split_once('-')?;
    let year: i128 = sign * year.parse::<i128>().ok()?;
    let field = |at: usize| rest.get(at..at + 2)?.parse::<i128>().ok();
    let (month, day, hour, minute, second) = (field(0)?, field(3)?, field(6)?, field(9)?, field(12)?);
    let rest = rest.get(14..)?;
    let digits = rest.strip_prefix('.').map_or("", |rest| rest.split(['Z', '+', '-']).next().unwrap_or_default());
    let nanoseconds: i128 = format!("{digits:0<9}")[..9].parse().ok()?;
    let zone = rest.trim_start_matches(['.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    let offset = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let seconds = hours.parse::<i128>().ok()? * 3_600 + minutes.parse::<i128>().ok()? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let is_leap = |year: i128| year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    // Leap days before a year.
    let leaps = |year: i128| {
        let last = year - 1;
        last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
    };
    let months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_year: i128 = months.iter().take(usize::try_from(month).ok()?.checked_sub(1)?).sum();
    let leap_day = i128::from(month > 2 && is_leap(year));
    let days = (year - 1970) * 365 + leaps(year) - leaps(1970) + in_year + leap_day + day - 1;
    Some(((days * 24 + hour) * 3_600 + minute * 60 + second - offset) * 1_000_000_000 + nanoseconds)
}

/// A half-precision float.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2_f64.powi(exponent - 15),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}
