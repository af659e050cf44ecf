//! Reading and writing one message: `cargo bench -p wampd-core --bench codec`.

mod rig;

use bytes::Bytes;
use divan::{Bencher, black_box, counter::BytesCount};
use wampd_core::codec::{DecodeLimits, Format, decode, encode};

const LENGTHS: [usize; 3] = [16, 4096, 1 << 20];

fn main() {
    divan::main();
}

fn call(format: Format, len: usize) -> Bytes {
    rig::calls(format, 1..=1, len).pop_front().expect("one was made")
}

fn decode_call(bencher: Bencher<'_, '_>, format: Format, len: usize) {
    let frame = call(format, len);
    bencher
        .counter(BytesCount::new(frame.len()))
        .bench_local(|| decode(format, black_box(&frame).clone(), &DecodeLimits::default()).expect("a message"));
}

fn encode_call(bencher: Bencher<'_, '_>, format: Format, len: usize) {
    let frame = call(format, len);
    let mut out = Vec::with_capacity(2 * frame.len());
    let message = decode(format, frame, &DecodeLimits::default()).expect("a message");
    bencher.bench_local(|| {
        out.clear();
        encode(black_box(&message), format, &mut out).expect("the same format");
        out.len()
    });
}

/// Written for a receiver of another serializer.
fn transcode_call(bencher: Bencher<'_, '_>, from: Format, to: Format) {
    let mut out = Vec::with_capacity(8192);
    let message = decode(from, call(from, 4096), &DecodeLimits::default()).expect("a message");
    bencher.bench_local(|| {
        out.clear();
        encode(black_box(&message), to, &mut out).expect("text and numbers");
        out.len()
    });
}

macro_rules! formats {
    ($($name:ident $format:ident;)*) => {$(
        mod $name {
            use super::*;

            #[divan::bench(args = LENGTHS)]
            fn decode(bencher: Bencher<'_, '_>, len: usize) {
                decode_call(bencher, Format::$format, len);
            }

            #[divan::bench(args = LENGTHS)]
            fn encode(bencher: Bencher<'_, '_>, len: usize) {
                encode_call(bencher, Format::$format, len);
            }

            #[divan::bench(args = Format::ALL)]
            fn transcode_to(bencher: Bencher<'_, '_>, to: Format) {
                transcode_call(bencher, Format::$format, to);
            }
        }
    )*};
}

formats! {
    json Json;
    cbor Cbor;
    msgpack MsgPack;
}
