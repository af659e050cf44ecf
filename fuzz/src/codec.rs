//! The codec. The first byte chooses the serializer, the rest is a frame.

use bytes::Bytes;
use wampd_core::codec::{DecodeLimits, Format, decode as decode_frame};
use wampd_core::message::Message;
use wampd_tests::codec::{WIDE, check_round_trip, check_transcoding, payload};

/// Any frame is a message or an error that can be told; whatever narrow limits admit, wide ones admit too.
pub fn decode(data: &[u8]) {
    let Some((format, frame)) = split(data) else { return };
    let narrow = decode_frame(format, frame.clone(), &DecodeLimits::default());
    let wide = decode_frame(format, frame, &WIDE);
    match (narrow, wide) {
        (Ok(narrow), Ok(wide)) => {
            assert_eq!(format!("{narrow:?}"), format!("{wide:?}"));
            if let Some(payload) = payload(&wide) {
                // Not every payload has values, but asking must be safe.
                let _ = payload.values();
            }
        }
        (Ok(message), Err(error)) => panic!("wide limits refuse it: {error}: {message:?}"),
        (Err(error), _) => assert!(!error.to_string().is_empty()),
    }
}

/// See [`check_round_trip`].
pub fn roundtrip(data: &[u8]) {
    if let Some((message, format, _)) = message(data) {
        check_round_trip(&message, format);
    }
}

/// See [`check_transcoding`].
pub fn transcode(data: &[u8]) {
    if let Some((message, format, frame)) = message(data) {
        check_transcoding(&message, format, &frame);
    }
}

fn message(data: &[u8]) -> Option<(Message, Format, Bytes)> {
    let (format, frame) = split(data)?;
    Some((decode_frame(format, frame.clone(), &WIDE).ok()?, format, frame))
}

fn split(data: &[u8]) -> Option<(Format, Bytes)> {
    let (&format, frame) = data.split_first()?;
    Some((Format::ALL[usize::from(format) % Format::ALL.len()], Bytes::copy_from_slice(frame)))
}
