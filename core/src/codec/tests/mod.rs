//! The exact bytes of every message in every serializer, what is refused, and how values change between serializers.

mod accepted;
mod conversions;
mod refused;
mod wire;

use super::*;
use crate::message::Message;
use bytes::Bytes;

fn decode_text(text: &str) -> Result<Message, DecodeError> {
    decode(Format::Json, Bytes::copy_from_slice(text.as_bytes()), &DecodeLimits::default())
}

fn decode_hex(format: Format, hex: &str) -> Result<Message, DecodeError> {
    decode(format, Bytes::from(bytes(hex)), &DecodeLimits::default())
}

fn encoded(message: &Message, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, format, &mut out).unwrap();
    out
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
