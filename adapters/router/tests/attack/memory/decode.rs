//! Messages of many small items, which take many times their size once they are decoded.

use super::super::harness::{Bystander, CBOR, JSON, MSGPACK, Raw, Router, config};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

/// The length of the longest message that the router takes.
const LONGEST: usize = 16 * MIB;

/// A transport that takes messages of 16 MiB, and lets nobody in before a procedure has been asked that never answers:
/// what HELLO holds is kept meanwhile.
fn dynamic() -> Value {
    let mut config = long_messages();
    let worker = &mut config["workers"][0];
    worker["transports"][1]["auth"] = json!({
        "anonymous": {"type": "static", "role": "user"},
        "ticket": {"type": "dynamic", "authenticator": "com.example.authenticate"}
    });
    config
}

/// Strangers may send messages of 16 MiB: this is not about how long messages are.
fn long_messages() -> Value {
    let mut config = config();
    config["wampd"]["limits"]["max_message_before_join"] = json!(LONGEST);
    config["wampd"]["limits"]["max_memory_before_join"] = json!(1 << 30);
    config
}

/// Lists of dictionaries of one entry with an empty key: the items that take most memory for their bytes.
fn tiny_items(serializer: u8, bytes: usize) -> Vec<u8> {
    match serializer {
        JSON => {
            let count = bytes / 7;
            format!("[{}{{\"\":0}}]", "{\"\":0},".repeat(count - 1)).into_bytes()
        }
        CBOR => {
            let count = u32::try_from(bytes / 3).expect("at most 16 MiB");
            [&[0x9a], &count.to_be_bytes()[..], &[0xa1, 0x60, 0x00].repeat(count as usize)].concat()
        }
        _ => {
            let count = u32::try_from(bytes / 3).expect("at most 16 MiB");
            [&[0xdd], &count.to_be_bytes()[..], &[0x81, 0xa0, 0x00].repeat(count as usize)].concat()
        }
    }
}

/// A message in JSON, in this serializer, with the bytes of `items` in the place of the text "ITEMS".
fn message(serializer: u8, message: &Value, items: &[u8]) -> Vec<u8> {
    let (bytes, mark) = match serializer {
        JSON => (message.to_string().into_bytes(), b"\"ITEMS\"".to_vec()),
        CBOR => (binary(serializer, message), b"\x65ITEMS".to_vec()),
        _ => (binary(serializer, message), b"\xa5ITEMS".to_vec()),
    };
    let at = bytes.windows(mark.len()).position(|window| window == mark).expect("a mark");
    [&bytes[..at], items, &bytes[at + mark.len()..]].concat()
}

/// Short texts, small numbers, lists and dictionaries in CBOR or MsgPack.
fn binary(serializer: u8, value: &Value) -> Vec<u8> {
    let [text, list, dict] = if serializer == CBOR { [0x60, 0x80, 0xa0] } else { [0xa0, 0x90, 0x80] };
    let head = |base: u8, limit: usize, len: usize| match u8::try_from(len).expect("short") {
        len if usize::from(len) < limit => vec![base | len],
        // Only of text, in both: 0x78 and 0xd9.
        len => vec![if serializer == CBOR { base | 24 } else { 0xd9 }, len],
    };
    let (short, few) = if serializer == CBOR { (24, 24) } else { (32, 16) };
    match value {
        Value::Number(number) => {
            let number = u8::try_from(number.as_u64().expect("small")).expect("small");
            if serializer == CBOR && number > 23 { vec![0x18, number] } else { vec![number] }
        }
        Value::String(string) => [head(text, short, string.len()), string.clone().into_bytes()].concat(),
        Value::Array(items) => {
            [head(list, few, items.len()), items.iter().flat_map(|item| binary(serializer, item)).collect()].concat()
        }
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, &Value)| [binary(serializer, &json!(key)), binary(serializer, value)].concat();
            [head(dict, few, entries.len()), entries.iter().flat_map(entry).collect()].concat()
        }
        other => panic!("{other} is not used here"),
    }
}

fn hello(methods: &[&str]) -> Value {
    json!([1, "realm1", {"roles": {"caller": {}}, "authmethods": methods, "authid": "joe",
        "authextra": {"x": "ITEMS"}}])
}

/// What the peak of the router grows by while this is sent, and its connection is closed or answered.
fn growth(router: &Router, serializer: u8, messages: &[Vec<u8>]) -> u64 {
    let before = router.memory().peak;
    let mut raw = Raw::open(router.port(1), serializer);
    for message in messages {
        // The router may have ended the connection before all of it was sent.
        if raw.try_send_bytes(message).is_err() {
            break;
        }
    }
    drop(raw.0.shutdown(std::net::Shutdown::Write));
    raw.receive_to_close();
    router.memory().peak - before
}

#[test]
fn one_hello_of_tiny_items_costs_a_small_factor_of_its_size() {
    for (serializer, sizes) in [(CBOR, &[MIB, 4 * MIB, LONGEST - 200][..]), (JSON, &[4 * MIB]), (MSGPACK, &[4 * MIB])] {
        for &size in sizes {
            let mut router = Router::start_with_address_limit(&dynamic(), 1 << 30);
            let bystander = Bystander::join(router.port(1));
            let hello = message(serializer, &hello(&["ticket"]), &tiny_items(serializer, size));
            let grown = growth(&router, serializer, &[hello]);
            // Twice for buffers, and what the allocator and the answers of the bystander add.
            let limit = 3 * size as u64 + (8 << 20);
            assert!(grown <= limit, "{serializer}: {size} bytes became {grown}");
            assert!(router.is_running());
            // However soon the attack was over.
            bystander.wait_for_answers(1);
        }
    }
}

#[test]
fn many_hellos_of_tiny_items_hold_no_more_than_their_bytes() {
    let router = Router::start_with_address_limit(&dynamic(), 1 << 30);
    let before = router.memory().peak;
    let hello = message(CBOR, &hello(&["ticket"]), &tiny_items(CBOR, 3_000));
    let peers: Vec<_> = (0..500)
        .map(|_| {
            let mut peer = Raw::open(router.port(1), CBOR);
            peer.send_bytes(&hello);
            // Challenged, so what HELLO said is kept.
            assert_eq!(peer.try_receive_bytes().expect("CHALLENGE")[1], 4);
            peer
        })
        .collect();
    let grown = router.memory().peak - before;
    assert!(grown < 500 * 24_000, "500 handshakes of 3 kB take {grown} bytes");
    drop(peers);
}

/// A router takes at most three times as much memory for messages with 1 MiB of tiny items, which `play` gives it, and serves
/// others meanwhile.
fn cost_a_small_factor_of_their_size(play: impl Fn(&Router, u8, &[u8]) -> u64) {
    for serializer in [CBOR, JSON, MSGPACK] {
        let mut router = Router::start_with_address_limit(&long_messages(), 1 << 30);
        let bystander = Bystander::join(router.port(1));
        let items = tiny_items(serializer, MIB);
        let (grown, noticed) = bystander.during(|| play(&router, serializer, &items));
        assert!(grown <= 3 * MIB as u64 + (8 << 20), "{serializer}: {MIB} bytes became {grown}");
        assert!(router.is_running());
        assert!(noticed.answers > 0, "{noticed:?}");
    }
}

fn join(serializer: u8) -> Vec<u8> {
    message(serializer, &json!([1, "realm1", {"roles": {"caller": {}}, "x": "ITEMS"}]), &[0x30])
}

#[test]
fn details_that_nobody_looks_at_cost_a_small_factor_of_their_size() {
    cost_a_small_factor_of_their_size(|router, serializer, items| {
        let farewells = [
            json!([3, {"x": "ITEMS"}, "wamp.close.normal"]),
            json!([6, {"x": "ITEMS"}, "wamp.close.normal"]),
            json!([5, "signature", {"x": "ITEMS"}]),
        ];
        let grown = farewells.iter().map(|farewell| {
            let farewell = message(serializer, farewell, items);
            let as_a_stranger = growth(router, serializer, std::slice::from_ref(&farewell));
            as_a_stranger.max(growth(router, serializer, &[join(serializer), farewell]))
        });
        grown.max().unwrap_or_default()
    });
}

#[test]
fn testaments_of_tiny_items_cost_a_small_factor_of_their_size() {
    cost_a_small_factor_of_their_size(|router, serializer, items| {
        let call = json!([48, 1, {}, "wamp.session.add_testament", ["com.example.topic", "ITEMS", {}]]);
        growth(router, serializer, &[join(serializer), message(serializer, &call, items)])
    });
}

/// A half float of CBOR has three bytes, and seven times as many in JSON.
#[test]
fn call_that_would_become_too_long_in_the_serializer_of_the_callee_gets_an_error() {
    let mut router = Router::start_with_address_limit(&config(), 1 << 30);
    let bystander = Bystander::join(router.port(1));
    let mut callee = Raw::join(router.port(1));
    callee.send(&json!([64, 1, {}, "com.example.procedure"]));
    assert_eq!(callee.receive()[0], 65);
    let before = router.memory().peak;
    let mut caller = Raw::open(router.port(1), CBOR);
    caller.send_bytes(&binary(CBOR, &json!([1, "realm1", {"roles": {"caller": {}}}])));
    assert_eq!(caller.try_receive_bytes().expect("WELCOME")[1], 2);
    let count = 15 * MIB as u32 / 3;
    let halves = [&[0x9a], &count.to_be_bytes()[..], &[0xf9, 0x00, 0x01].repeat(count as usize)].concat();
    let call = message(CBOR, &json!([48, 1, {}, "com.example.procedure", "ITEMS"]), &halves);
    let (answer, noticed) = bystander.during(|| {
        caller.send_bytes(&call);
        caller.try_receive_bytes().expect("an answer")
    });
    assert_eq!(answer[1], 8, "ERROR");
    assert!(answer.windows(8).any(|text| text == b"too long"), "{:?}", String::from_utf8_lossy(&answer));
    let grown = router.memory().peak - before;
    // The call, and what is written of it up to the limit of 32 MiB while its buffer grows.
    assert!(grown < 160 << 20, "15 MiB became {grown}");
    assert!(noticed.answers > 0, "{noticed:?}");
    assert!(router.is_running());
}

#[test]
fn long_lists_of_receivers_and_long_filters_are_refused() {
    let mut router = Router::start_with_address_limit(&config(), 1 << 30);
    let bystander = Bystander::join(router.port(1));
    let mut attacker = Raw::join(router.port(1));
    let (_, noticed) = bystander.during(|| {
        let names = vec![""; 5_000];
        attacker.send(&json!([16, 1, {"acknowledge": true, "exclude_authid": names}, "com.example.topic"]));
        let refused = attacker.receive();
        assert_eq!((&refused[0], &refused[4]), (&json!(8), &json!("wamp.error.resource_limit")), "{refused}");
        attacker.send(&json!([48, 2, {}, "wamp.session.count", [vec![""; 1_000_000]]]));
        let refused = attacker.receive();
        assert_eq!((&refused[0], &refused[4]), (&json!(8), &json!("wamp.error.resource_limit")), "{refused}");
        // So many that they are not even decoded: the session ends.
        attacker.send(&json!([16, 3, {"exclude_authid": vec![""; 1_000_000]}, "com.example.topic"]));
        let end = attacker.receive_to_close();
        assert!(String::from_utf8_lossy(&end[0]).contains("max_items (16384)"), "{end:?}");
    });
    assert!(noticed.answers > 0, "{noticed:?}");
    assert!(router.is_running());
    assert!(router.memory().peak < 64 << 20, "{:?}", router.memory());
}
