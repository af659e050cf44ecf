//! What is known of a peer's transport, for as long as the peer is attached.

use super::Origin;
use super::output::{Identity, LinkInfo};
use crate::auth::ChannelBinding;
use crate::codec::packed_dict;
use crate::message::RawDict;
use crate::value::Dict;
use std::sync::Arc;

/// A peer's [`LinkInfo`], most of which is needed for its handshake only and must not take much memory after that.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) tag: u64,
    pub(crate) origin: Option<Origin>,
    pub(crate) channel_binding: Option<Box<ChannelBinding>>,
    pub(crate) privileged: Option<Box<Identity>>,
    pub(crate) cuttable: bool,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Open(Arc<Dict>),
    /// A dictionary with the headers of an HTTP request takes kilobytes, its bytes some hundred.
    Packed(RawDict),
}

impl Link {
    pub(crate) fn new(info: LinkInfo) -> Self {
        let LinkInfo { tag, transport, origin, channel_binding, privileged, cuttable } = info;
        Self {
            tag,
            origin,
            channel_binding: channel_binding.map(Box::new),
            privileged: privileged.map(Box::new),
            cuttable,
            transport: Transport::Open(transport),
        }
    }

    /// What authenticators and authorizers may know of the transport.
    pub(crate) fn transport(&self) -> Arc<Dict> {
        match &self.transport {
            Transport::Open(dict) => Arc::clone(dict),
            Transport::Packed(packed) => Arc::new(packed.to_dict()),
        }
    }

    /// Keeps the details of the transport in a smaller form.
    pub(crate) fn pack(&mut self) {
        if let Transport::Open(dict) = &self.transport
            && let Some(packed) = packed_dict(dict)
        {
            self.transport = Transport::Packed(packed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn packing_keeps_every_value() {
        let headers = Dict::from([("user-agent".to_owned(), Value::from("x".repeat(300)))]);
        let values = [
            ("channel_type", Value::from("tcp")),
            ("is_secure", Value::from(false)),
            ("headers", Value::from(headers)),
            ("list", Value::List(vec![Value::Null, Value::from(-7), Value::Float(0.5), Value::Binary(vec![0, 255])])),
        ];
        let dict: Dict = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for dict in [dict, Dict::new()] {
            let mut link = Link::new(LinkInfo { transport: Arc::new(dict.clone()), ..LinkInfo::default() });
            assert_eq!(*link.transport(), dict);
            link.pack();
            assert!(matches!(link.transport, Transport::Packed(_)));
            assert_eq!(*link.transport(), dict);
        }
    }
}
