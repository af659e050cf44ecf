//! Every message, with all of its options and with none. The CBOR and MsgPack columns were made by other
//! implementations (Python's cbor2 and msgpack) from the JSON column.

use super::*;
use crate::id::*;
use crate::message::*;
use crate::uri::{MatchPolicy, Uri};
use crate::value::{Dict, Value};
use std::sync::Arc;

#[test]
fn messages_have_these_bytes() {
    for (message, json, cbor, msgpack) in table() {
        assert_eq!(String::from_utf8(encoded(&message, Format::Json)).unwrap(), json);
        assert_eq!(hex(&encoded(&message, Format::Cbor)), cbor, "{json}");
        assert_eq!(hex(&encoded(&message, Format::MsgPack)), msgpack, "{json}");
        assert_eq!(decode_text(json), Ok(message.clone()), "{json}");
        assert_eq!(decode_hex(Format::Cbor, cbor), Ok(message.clone()), "{json}");
        assert_eq!(decode_hex(Format::MsgPack, msgpack), Ok(message), "{json}");
    }
}

#[test]
fn every_message_is_in_the_table() {
    let mut codes: Vec<_> = table().iter().map(|(message, ..)| message.code()).collect();
    codes.dedup();
    let all = [1, 2, 3, 4, 5, 6, 8, 16, 17, 32, 33, 34, 35, 36, 337, 48, 49, 50, 64, 65, 66, 67, 68, 69, 70];
    assert_eq!(codes, all);
}

/// A decoded message forwards its payload as it came, into any serializer.
#[test]
fn messages_transcode_to_these_bytes() {
    for (message, json, cbor, msgpack) in table() {
        for received in [decode_text(json), decode_hex(Format::Cbor, cbor), decode_hex(Format::MsgPack, msgpack)]
            .map(Result::unwrap)
        {
            assert_eq!(received, message);
            assert_eq!(String::from_utf8(encoded(&received, Format::Json)).unwrap(), json);
            assert_eq!(hex(&encoded(&received, Format::Cbor)), cbor, "{json}");
            assert_eq!(hex(&encoded(&received, Format::MsgPack)), msgpack, "{json}");
        }
    }
}

#[test]
fn parts_are_the_whole() {
    for (message, json, cbor, msgpack) in table() {
        for received in
            [Ok(message), decode_text(json), decode_hex(Format::Cbor, cbor), decode_hex(Format::MsgPack, msgpack)]
                .map(Result::unwrap)
        {
            for format in Format::ALL {
                let mut parts = b"before".to_vec();
                if let Some((payload, end)) = encode_parts(&received, format, &mut parts).unwrap() {
                    parts.extend_from_slice(payload);
                    parts.extend_from_slice(end);
                }
                assert_eq!(parts, [b"before", &*encoded(&received, format)].concat());
            }
        }
    }
}

fn uri(text: &'static str) -> Uri {
    Uri::from_static(text)
}

fn id<T: Id>(n: u64) -> T {
    T::of(n)
}

trait Id {
    fn of(n: u64) -> Self;
}

macro_rules! ids {
    ($($id:ty),*) => {$(
        impl Id for $id {
            fn of(n: u64) -> Self {
                Self::new(n).unwrap()
            }
        }
    )*};
}

ids!(SessionId, PublicationId, SubscriptionId, RegistrationId, RequestId);

fn dict(key: &str, value: Value) -> Dict {
    Dict::from([(key.to_owned(), value)])
}

fn hello(realm: Option<&'static str>, details: HelloDetails) -> Message {
    Hello { realm: realm.map(uri), details }.into()
}

fn disclosed() -> Arc<Disclosed> {
    Arc::new(Disclosed { session: id(70000), authid: Some("joe".into()), authrole: Some("r".into()) })
}

fn args_kwargs() -> Payload {
    Payload::from_values(vec![1.into()], dict("b", true.into()))
}

fn values() -> Payload {
    Payload::from_values(
        vec![
            Value::Null,
            Value::Bool(true),
            Value::Int(-1),
            Value::Int(-129),
            Value::UInt(u64::MAX),
            Value::Float(1.5),
            "ü\n".into(),
            Value::Binary(vec![1, 2, 255]),
            Value::List(vec![Value::List(vec![])]),
        ],
        dict("d", dict("e", Dict::new().into()).into()),
    )
}

/// Message, JSON, CBOR, MsgPack.
fn table() -> Vec<(Message, &'static str, &'static str, &'static str)> {
    vec![
        (
            hello(
                Some("realm1"),
                HelloDetails {
                    roles: ClientRoles {
                        publisher: Some(Features::PUBLISHER_EXCLUSION),
                        subscriber: Some(Features::NONE),
                        caller: Some(Features::CALL_CANCELING | Features::PROGRESSIVE_CALL_RESULTS),
                        callee: None,
                    },
                    authmethods: vec!["wampcra".into(), "ticket".into()],
                    authid: Some("client1".into()),
                    authrole: Some("frontend".into()),
                    authextra: Some(dict("k", Value::from(1)).into()),
                    agent: Some("test".into()),
                },
            ),
            r#"[1,"realm1",{"roles":{"publisher":{"features":{"publisher_exclusion":true}},"subscriber":{},"caller":{"features":{"progressive_call_results":true,"call_canceling":true}}},"authmethods":["wampcra","ticket"],"authid":"client1","authrole":"frontend","authextra":{"k":1},"agent":"test"}]"#,
            "8301667265616c6d31a665726f6c6573a3697075626c6973686572a1686665617475726573a1737075626c69736865725f65\
             78636c7573696f6ef56a73756273637269626572a06663616c6c6572a1686665617475726573a2781870726f677265737369\
             76655f63616c6c5f726573756c7473f56e63616c6c5f63616e63656c696e67f56b617574686d6574686f6473826777616d70\
             637261667469636b65746661757468696467636c69656e74316861757468726f6c656866726f6e74656e6469617574686578\
             747261a1616b01656167656e746474657374",
            "9301a67265616c6d3186a5726f6c657383a97075626c697368657281a8666561747572657381b37075626c69736865725f65\
             78636c7573696f6ec3aa7375627363726962657280a663616c6c657281a8666561747572657382b870726f67726573736976\
             655f63616c6c5f726573756c7473c3ae63616c6c5f63616e63656c696e67c3ab617574686d6574686f647392a777616d7063\
             7261a67469636b6574a6617574686964a7636c69656e7431a861757468726f6c65a866726f6e74656e64a961757468657874\
             726181a16b01a56167656e74a474657374",
        ),
        (
            hello(None, HelloDetails::default()),
            r#"[1,null,{"roles":{}}]"#,
            "8301f6a165726f6c6573a0",
            "9301c081a5726f6c657380",
        ),
        (
            Welcome {
                session: id(9007199254740992),
                details: WelcomeDetails {
                    realm: Some(uri("realm1")),
                    authid: Some("joe".into()),
                    authrole: Some("frontend".into()),
                    authmethod: Some("wampcra".into()),
                    authprovider: Some("static".into()),
                    authextra: Some(dict("x", Value::Null)),
                    agent: Some("wampd".into()),
                    roles: RouterRoles { broker: Some(Features::NONE), dealer: Some(Features::SHARED_REGISTRATION) },
                },
            }
            .into(),
            r#"[2,9007199254740992,{"realm":"realm1","authid":"joe","authrole":"frontend","authmethod":"wampcra","authprovider":"static","authextra":{"x":null},"agent":"wampd","roles":{"broker":{},"dealer":{"features":{"shared_registration":true}}}}]"#,
            "83021b0020000000000000a8657265616c6d667265616c6d3166617574686964636a6f656861757468726f6c656866726f6e\
             74656e646a617574686d6574686f646777616d706372616c6175746870726f76696465726673746174696369617574686578\
             747261a16178f6656167656e746577616d706465726f6c6573a26662726f6b6572a0666465616c6572a16866656174757265\
             73a1737368617265645f726567697374726174696f6ef5",
            "9302cf002000000000000088a57265616c6da67265616c6d31a6617574686964a36a6f65a861757468726f6c65a866726f6e\
             74656e64aa617574686d6574686f64a777616d70637261ac6175746870726f7669646572a6737461746963a9617574686578\
             74726181a178c0a56167656e74a577616d7064a5726f6c657382a662726f6b657280a66465616c657281a866656174757265\
             7381b37368617265645f726567697374726174696f6ec3",
        ),
        (
            Abort {
                details: dict("message", "no".into()).into(),
                reason: uri("wamp.error.no_such_realm"),
                payload: Payload::empty(),
            }
            .into(),
            r#"[3,{"message":"no"},"wamp.error.no_such_realm"]"#,
            "8303a1676d657373616765626e6f781877616d702e6572726f722e6e6f5f737563685f7265616c6d",
            "930381a76d657373616765a26e6fb877616d702e6572726f722e6e6f5f737563685f7265616c6d",
        ),
        (
            Abort { details: Default::default(), reason: uri("a.b"), payload: args_kwargs() }.into(),
            r#"[3,{},"a.b",[1],{"b":true}]"#,
            "8503a063612e628101a16162f5",
            "950380a3612e62910181a162c3",
        ),
        (
            ChallengeMessage { method: "ticket".into(), extra: Dict::new() }.into(),
            r#"[4,"ticket",{}]"#,
            "8304667469636b6574a0",
            "9304a67469636b657480",
        ),
        (
            ChallengeMessage { method: "wampcra".into(), extra: dict("challenge", "{\"a\": 1}".into()) }.into(),
            r#"[4,"wampcra",{"challenge":"{\"a\": 1}"}]"#,
            "83046777616d70637261a1696368616c6c656e6765687b2261223a20317d",
            "9304a777616d7063726181a96368616c6c656e6765a87b2261223a20317d",
        ),
        (
            Authenticate { signature: "gir1mSx+".into(), extra: Default::default() }.into(),
            r#"[5,"gir1mSx+",{}]"#,
            "830568676972316d53782ba0",
            "9305a8676972316d53782b80",
        ),
        (
            Goodbye { details: Default::default(), reason: uri("wamp.close.normal") }.into(),
            r#"[6,{},"wamp.close.normal"]"#,
            "8306a07177616d702e636c6f73652e6e6f726d616c",
            "930680b177616d702e636c6f73652e6e6f726d616c",
        ),
        (
            Error {
                request_type: RequestType::Call,
                request: id(7),
                pass_thru: None,
                details: RawDict::new(),
                error: uri("com.e"),
                payload: args_kwargs(),
            }
            .into(),
            r#"[8,48,7,{},"com.e",[1],{"b":true}]"#,
            "8708183007a065636f6d2e658101a16162f5",
            "9708300780a5636f6d2e65910181a162c3",
        ),
        (
            Error {
                request_type: RequestType::Invocation,
                request: id(7),
                pass_thru: Some(Box::new(PassThru { ppt_scheme: Some("wamp".into()), ..PassThru::default() })),
                details: RawDict::new(),
                error: uri("com.e"),
                payload: Payload::empty(),
            }
            .into(),
            r#"[8,68,7,{"ppt_scheme":"wamp"},"com.e"]"#,
            "8508184407a16a7070745f736368656d656477616d7065636f6d2e65",
            "9508440781aa7070745f736368656d65a477616d70a5636f6d2e65",
        ),
        (
            Publish {
                request: id(1),
                options: PublishOptions::default(),
                topic: uri("com.t"),
                payload: Payload::empty(),
            }
            .into(),
            r#"[16,1,{},"com.t"]"#,
            "841001a065636f6d2e74",
            "94100180a5636f6d2e74",
        ),
        (
            Publish {
                request: id(300),
                options: PublishOptions {
                    acknowledge: true,
                    exclude_me: Some(false),
                    disclose_me: true,
                    retain: true,
                    audience: Some(Box::new(Audience {
                        exclude: vec![id(5)],
                        exclude_authid: vec!["joe".into()],
                        exclude_authrole: vec!["r".into()],
                        eligible: Some(vec![]),
                        eligible_authid: Some(vec!["a".into(), "b".into()]),
                        eligible_authrole: Some(vec!["c".into()]),
                    })),
                    rkey: Some("k".into()),
                    pass_thru: Some(Box::new(PassThru {
                        ppt_scheme: Some("1".into()),
                        ppt_serializer: Some("2".into()),
                        ppt_cipher: Some("3".into()),
                        ppt_keyid: Some("4".into()),
                        enc_algo: Some("mqtt".into()),
                        enc_key: Some("6".into()),
                        enc_serializer: Some("cbor".into()),
                    })),
                },
                topic: uri("com.t"),
                payload: Payload::opaque(Bytes::from_static(b"\x01\x02\xff")),
            }
            .into(),
            r#"[16,300,{"acknowledge":true,"exclude_me":false,"disclose_me":true,"retain":true,"exclude":[5],"exclude_authid":["joe"],"exclude_authrole":["r"],"eligible":[],"eligible_authid":["a","b"],"eligible_authrole":["c"],"rkey":"k","ppt_scheme":"1","ppt_serializer":"2","ppt_cipher":"3","ppt_keyid":"4","enc_algo":"mqtt","enc_key":"6","enc_serializer":"cbor"},"com.t","\u0000AQL/"]"#,
            "851019012cb26b61636b6e6f776c65646765f56a6578636c7564655f6d65f46b646973636c6f73655f6d65f5667265746169\
             6ef5676578636c75646581056e6578636c7564655f61757468696481636a6f65706578636c7564655f61757468726f6c6581\
             617268656c696769626c65806f656c696769626c655f617574686964826161616271656c696769626c655f61757468726f6c\
             6581616364726b6579616b6a7070745f736368656d6561316e7070745f73657269616c697a657261326a7070745f63697068\
             65726133697070745f6b65796964613468656e635f616c676f646d71747467656e635f6b657961366e656e635f73657269616c697a\
             65726463626f7265636f6d2e74430102ff",
            "9510cd012cde0012ab61636b6e6f776c65646765c3aa6578636c7564655f6d65c2ab646973636c6f73655f6d65c3a6726574\
             61696ec3a76578636c7564659105ae6578636c7564655f61757468696491a36a6f65b06578636c7564655f61757468726f6c\
             6591a172a8656c696769626c6590af656c696769626c655f61757468696492a161a162b1656c696769626c655f6175746872\
             6f6c6591a163a4726b6579a16baa7070745f736368656d65a131ae7070745f73657269616c697a6572a132aa7070745f6369\
             70686572a133a97070745f6b65796964a134a8656e635f616c676fa46d717474a7656e635f6b6579a136ae656e635f73657269616c\
             697a6572a463626f72a5636f6d2e74c4030102ff",
        ),
        (
            Published { request: id(3), publication: id(6131699326867202) }.into(),
            r#"[17,3,6131699326867202]"#,
            "8311031b0015c8bf803f5702",
            "931103cf0015c8bf803f5702",
        ),
        (
            Subscribe { request: id(1), options: SubscribeOptions::default(), topic: uri("com.example.topic1") }.into(),
            r#"[32,1,{},"com.example.topic1"]"#,
            "84182001a072636f6d2e6578616d706c652e746f70696331",
            "94200180b2636f6d2e6578616d706c652e746f70696331",
        ),
        (
            Subscribe {
                request: id(1),
                options: SubscribeOptions {
                    matching: MatchPolicy::Wildcard,
                    get_retained: true,
                    nkey: Some("n".into()),
                },
                topic: uri("com..t"),
            }
            .into(),
            r#"[32,1,{"match":"wildcard","get_retained":true,"nkey":"n"},"com..t"]"#,
            "84182001a3656d617463686877696c64636172646c6765745f72657461696e6564f5646e6b6579616e66636f6d2e2e74",
            "94200183a56d61746368a877696c6463617264ac6765745f72657461696e6564c3a46e6b6579a16ea6636f6d2e2e74",
        ),
        (Subscribed { request: id(1), subscription: id(2) }.into(), r#"[33,1,2]"#, "8318210102", "93210102"),
        (Unsubscribe { request: id(1), subscription: id(2) }.into(), r#"[34,1,2]"#, "8318220102", "93220102"),
        (Unsubscribed { request: Some(id(1)), revocation: None }.into(), r#"[35,1]"#, "82182301", "922301"),
        (
            Unsubscribed {
                request: None,
                revocation: Some(Box::new(Revocation { id: id(2), reason: Some(uri("a.b")) })),
            }
            .into(),
            r#"[35,0,{"subscription":2,"reason":"a.b"}]"#,
            "83182300a26c737562736372697074696f6e0266726561736f6e63612e62",
            "93230082ac737562736372697074696f6e02a6726561736f6ea3612e62",
        ),
        (
            Event { subscription: id(1), publication: id(2), details: EventDetails::default(), payload: args_kwargs() }
                .into(),
            r#"[36,1,2,{},[1],{"b":true}]"#,
            "8618240102a08101a16162f5",
            "9624010280910181a162c3",
        ),
        (
            Event {
                subscription: id(1),
                publication: id(2),
                details: EventDetails {
                    publisher: Some(disclosed()),
                    topic: Some(uri("com.t")),
                    trustlevel: Some(2),
                    retained: true,
                    pass_thru: None,
                },
                payload: Payload::empty(),
            }
            .into(),
            r#"[36,1,2,{"publisher":70000,"publisher_authid":"joe","publisher_authrole":"r","topic":"com.t","trustlevel":2,"retained":true}]"#,
            "8418240102a6697075626c69736865721a00011170707075626c69736865725f617574686964636a6f65727075626c697368\
             65725f61757468726f6c65617265746f70696365636f6d2e746a74727573746c6576656c026872657461696e6564f5",
            "9424010286a97075626c6973686572ce00011170b07075626c69736865725f617574686964a36a6f65b27075626c69736865\
             725f61757468726f6c65a172a5746f706963a5636f6d2e74aa74727573746c6576656c02a872657461696e6564c3",
        ),
        (EventReceived { publication: id(2) }.into(), r#"[337,2]"#, "8219015102", "92cd015102"),
        (
            Call {
                request: id(1),
                options: CallOptions::default(),
                procedure: uri("com.example.add2"),
                payload: Payload::from_args([2.into(), 3.into()]),
            }
            .into(),
            r#"[48,1,{},"com.example.add2",[2,3]]"#,
            "85183001a070636f6d2e6578616d706c652e61646432820203",
            "95300180b0636f6d2e6578616d706c652e61646432920203",
        ),
        (
            Call {
                request: id(1),
                options: CallOptions {
                    receive_progress: true,
                    progress: true,
                    timeout: Some(10000),
                    disclose_me: true,
                    rkey: Some("k".into()),
                    partition: false,
                    pass_thru: None,
                },
                procedure: uri("p"),
                payload: values(),
            }
            .into(),
            r#"[48,1,{"receive_progress":true,"progress":true,"timeout":10000,"disclose_me":true,"rkey":"k"},"p",[null,true,-1,-129,18446744073709551615,1.5,"ü\n","\u0000AQL/",[[]]],{"d":{"e":{}}}]"#,
            "86183001a570726563656976655f70726f6772657373f56870726f6772657373f56774696d656f75741927106b646973636c\
             6f73655f6d65f564726b6579616b617089f6f52038801bfffffffffffffffffb3ff800000000000063c3bc0a430102ff8180\
             a16164a16165a0",
            "96300185b0726563656976655f70726f6772657373c3a870726f6772657373c3a774696d656f7574cd2710ab646973636c6f\
             73655f6d65c3a4726b6579a16ba17099c0c3ffd1ff7fcfffffffffffffffffcb3ff8000000000000a3c3bc0ac4030102ff91\
             9081a16481a16580",
        ),
        (
            Cancel { request: id(1), options: CancelOptions { mode: None } }.into(),
            r#"[49,1,{}]"#,
            "83183101a0",
            "93310180",
        ),
        (
            Cancel { request: id(1), options: CancelOptions { mode: Some(CancelMode::KillNoWait) } }.into(),
            r#"[49,1,{"mode":"killnowait"}]"#,
            "83183101a1646d6f64656a6b696c6c6e6f77616974",
            "93310181a46d6f6465aa6b696c6c6e6f77616974",
        ),
        (
            CallResult {
                request: id(1),
                details: ResultDetails { progress: true, callee: Some(disclosed()), pass_thru: None },
                payload: Payload::from_args([5.into()]),
            }
            .into(),
            r#"[50,1,{"progress":true,"callee":70000,"callee_authid":"joe","callee_authrole":"r"},[5]]"#,
            "84183201a46870726f6772657373f56663616c6c65651a000111706d63616c6c65655f617574686964636a6f656f63616c6c\
             65655f61757468726f6c6561728105",
            "94320184a870726f6772657373c3a663616c6c6565ce00011170ad63616c6c65655f617574686964a36a6f65af63616c6c65\
             655f61757468726f6c65a1729105",
        ),
        (
            Register { request: id(1), options: RegisterOptions::default(), procedure: uri("p") }.into(),
            r#"[64,1,{},"p"]"#,
            "84184001a06170",
            "94400180a170",
        ),
        (
            Register {
                request: id(1),
                options: RegisterOptions {
                    matching: MatchPolicy::Prefix,
                    invoke: InvocationPolicy::RoundRobin,
                    concurrency: Some(4294967295),
                    force_reregister: true,
                    disclose_caller: Some(false),
                    forward_timeout: true,
                    nkey: Some("n".to_owned()),
                },
                procedure: uri("p."),
            }
            .into(),
            r#"[64,1,{"match":"prefix","invoke":"roundrobin","concurrency":4294967295,"force_reregister":true,"disclose_caller":false,"forward_timeout":true,"nkey":"n"},"p."]"#,
            "84184001a7656d617463686670726566697866696e766f6b656a726f756e64726f62696e6b636f6e63757272656e63791aff\
             ffffff70666f7263655f72657265676973746572f56f646973636c6f73655f63616c6c6572f46f666f72776172645f74696d\
             656f7574f5646e6b6579616e62702e",
            "94400187a56d61746368a6707265666978a6696e766f6b65aa726f756e64726f62696eab636f6e63757272656e6379ceffff\
             ffffb0666f7263655f72657265676973746572c3af646973636c6f73655f63616c6c6572c2af666f72776172645f74696d65\
             6f7574c3a46e6b6579a16ea2702e",
        ),
        (Registered { request: id(1), registration: id(2) }.into(), r#"[65,1,2]"#, "8318410102", "93410102"),
        (Unregister { request: id(1), registration: id(2) }.into(), r#"[66,1,2]"#, "8318420102", "93420102"),
        (Unregistered { request: Some(id(1)), revocation: None }.into(), r#"[67,1]"#, "82184301", "924301"),
        (
            Unregistered { request: None, revocation: Some(Box::new(Revocation { id: id(2), reason: None })) }.into(),
            r#"[67,0,{"registration":2}]"#,
            "83184300a16c726567697374726174696f6e02",
            "93430081ac726567697374726174696f6e02",
        ),
        (
            Invocation {
                request: id(1),
                registration: id(2),
                details: InvocationDetails {
                    caller: Some(disclosed()),
                    procedure: Some(uri("p.q")),
                    trustlevel: Some(0),
                    timeout: Some(1000),
                    receive_progress: true,
                    progress: true,
                    pass_thru: None,
                },
                payload: args_kwargs(),
            }
            .into(),
            r#"[68,1,2,{"caller":70000,"caller_authid":"joe","caller_authrole":"r","procedure":"p.q","trustlevel":0,"timeout":1000,"receive_progress":true,"progress":true},[1],{"b":true}]"#,
            "8618440102a86663616c6c65721a000111706d63616c6c65725f617574686964636a6f656f63616c6c65725f61757468726f\
             6c6561726970726f63656475726563702e716a74727573746c6576656c006774696d656f75741903e870726563656976655f\
             70726f6772657373f56870726f6772657373f58101a16162f5",
            "9644010288a663616c6c6572ce00011170ad63616c6c65725f617574686964a36a6f65af63616c6c65725f61757468726f6c\
             65a172a970726f636564757265a3702e71aa74727573746c6576656c00a774696d656f7574cd03e8b0726563656976655f70\
             726f6772657373c3a870726f6772657373c3910181a162c3",
        ),
        (
            Interrupt {
                request: id(1),
                options: InterruptOptions { mode: Some(CancelMode::Kill), reason: Some(uri("wamp.error.timeout")) },
            }
            .into(),
            r#"[69,1,{"mode":"kill","reason":"wamp.error.timeout"}]"#,
            "83184501a2646d6f6465646b696c6c66726561736f6e7277616d702e6572726f722e74696d656f7574",
            "93450182a46d6f6465a46b696c6ca6726561736f6eb277616d702e6572726f722e74696d656f7574",
        ),
        (
            Yield {
                request: id(1),
                options: YieldOptions { progress: true, pass_thru: None },
                payload: Payload::from_args([5.into()]),
            }
            .into(),
            r#"[70,1,{"progress":true},[5]]"#,
            "84184601a16870726f6772657373f58105",
            "94460181a870726f6772657373c39105",
        ),
        (
            Yield {
                request: id(1),
                options: YieldOptions::default(),
                payload: Payload::from_values(vec![], dict("x", "y".into())),
            }
            .into(),
            r#"[70,1,{},[],{"x":"y"}]"#,
            "85184601a080a161786179",
            "954601809081a178a179",
        ),
    ]
}
