use super::cbor::CborWriter;
use super::json::JsonWriter;
use super::msgpack::MsgPackWriter;
use super::options::{Entries, Revoked, WriteOptions};
use super::transcode::write_raw_dict;
use super::writer::Writer;
use super::{Format, TranscodeError, transcode};
use crate::id::RequestId;
use crate::message::*;
use crate::uri::Uri;
use bytes::Bytes;

/// Appends a message to `out`.
///
/// # Errors
/// The message cannot be written in this serializer; `out` is as before.
pub fn encode(message: &Message, format: Format, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
    if let Some((payload, end)) = encode_parts(message, format, out)? {
        out.extend_from_slice(payload);
        out.extend_from_slice(end);
    }
    Ok(())
}

/// Appends a message to `head`, without its payload where that can be used as it is: the message then is `head`, the
/// payload returned, and the few bytes returned with it. So a large payload need not be copied.
///
/// # Errors
/// The message cannot be written in this serializer; `head` is as before.
pub fn encode_parts<'m>(
    message: &'m Message,
    format: Format,
    head: &mut Vec<u8>,
) -> Result<Option<(&'m Bytes, &'static [u8])>, TranscodeError> {
    encode_parts_within(message, format, usize::MAX, head)
}

/// As [`encode_parts`], of a message that may take `max_len` bytes without a payload that can be used as it is. A
/// payload of another serializer can become many times as long: a CBOR float of three bytes is a JSON number of twenty.
/// Not much more than the limit is ever written, whatever the payload would become.
///
/// # Errors
/// As there; [`TranscodeError::TooLarge`] if the message would be longer.
pub fn encode_parts_within<'m>(
    message: &'m Message,
    format: Format,
    max_len: usize,
    head: &mut Vec<u8>,
) -> Result<Option<(&'m Bytes, &'static [u8])>, TranscodeError> {
    let start = head.len();
    let end = start.saturating_add(max_len);
    let written = match format {
        Format::Json => write_message(message, &mut JsonWriter::within(end, head)),
        Format::Cbor => write_message(message, &mut CborWriter::within(end, head)),
        Format::MsgPack => write_message(message, &mut MsgPackWriter::within(end, head)),
    };
    let written = if head.len() > end { Err(TranscodeError::TooLarge) } else { written };
    if written.is_err() {
        head.truncate(start);
    }
    written
}

/// The end of a message that is not written: its payload, and what follows that.
type Rest<'m> = Option<(&'m Bytes, &'static [u8])>;

fn write_message<'m, W: Writer>(message: &'m Message, writer: &mut W) -> Result<Rest<'m>, TranscodeError> {
    let mut head = Head { writer, code: message.code() };
    match message {
        Message::Hello(m) => {
            head.begin(2);
            match &m.realm {
                Some(realm) => head.uri(realm)?,
                None => head.writer.null(),
            }
            head.options(&m.details)?;
        }
        Message::Welcome(m) => {
            head.begin(2);
            head.id(m.session.get());
            head.options(&m.details)?;
        }
        Message::Abort(m) => {
            head.begin_with(2, &m.payload);
            write_raw_dict(&m.details, head.writer)?;
            head.uri(&m.reason)?;
            return head.payload(&m.payload);
        }
        Message::Challenge(m) => {
            head.begin(2);
            head.writer.text(&m.method)?;
            head.writer.dict(&m.extra)?;
        }
        Message::Authenticate(m) => {
            head.begin(2);
            head.writer.text(&m.signature)?;
            write_raw_dict(&m.extra, head.writer)?;
        }
        Message::Goodbye(m) => {
            head.begin(2);
            write_raw_dict(&m.details, head.writer)?;
            head.uri(&m.reason)?;
        }
        Message::Error(m) => {
            head.begin_with(4, &m.payload);
            head.id(u64::from(m.request_type.code()));
            head.id(m.request.get());
            head.options(m)?;
            head.uri(&m.error)?;
            return head.payload(&m.payload);
        }
        Message::Publish(m) => {
            head.begin_with(3, &m.payload);
            head.id(m.request.get());
            head.options(&m.options)?;
            head.uri(&m.topic)?;
            return head.payload(&m.payload);
        }
        Message::Published(m) => head.ids(m.request, m.publication.get()),
        Message::Subscribe(m) => {
            head.begin(3);
            head.id(m.request.get());
            head.options(&m.options)?;
            head.uri(&m.topic)?;
        }
        Message::Subscribed(m) => head.ids(m.request, m.subscription.get()),
        Message::Unsubscribe(m) => head.ids(m.request, m.subscription.get()),
        Message::Unsubscribed(m) => {
            let revoked = m.revocation.as_ref().map(|r| Revoked("subscription", r.id.get(), r.reason.as_ref()));
            head.revoked(m.request, revoked)?;
        }
        Message::Event(m) => {
            head.begin_with(3, &m.payload);
            head.id(m.subscription.get());
            head.id(m.publication.get());
            head.options(&m.details)?;
            return head.payload(&m.payload);
        }
        Message::EventReceived(m) => {
            head.begin(1);
            head.id(m.publication.get());
        }
        Message::Call(m) => {
            head.begin_with(3, &m.payload);
            head.id(m.request.get());
            head.options(&m.options)?;
            head.uri(&m.procedure)?;
            return head.payload(&m.payload);
        }
        Message::Cancel(m) => {
            head.begin(2);
            head.id(m.request.get());
            head.options(&m.options)?;
        }
        Message::Result(m) => {
            head.begin_with(2, &m.payload);
            head.id(m.request.get());
            head.options(&m.details)?;
            return head.payload(&m.payload);
        }
        Message::Register(m) => {
            head.begin(3);
            head.id(m.request.get());
            head.options(&m.options)?;
            head.uri(&m.procedure)?;
        }
        Message::Registered(m) => head.ids(m.request, m.registration.get()),
        Message::Unregister(m) => head.ids(m.request, m.registration.get()),
        Message::Unregistered(m) => {
            let revoked = m.revocation.as_ref().map(|r| Revoked("registration", r.id.get(), r.reason.as_ref()));
            head.revoked(m.request, revoked)?;
        }
        Message::Invocation(m) => {
            head.begin_with(3, &m.payload);
            head.id(m.request.get());
            head.id(m.registration.get());
            head.options(&m.details)?;
            return head.payload(&m.payload);
        }
        Message::Interrupt(m) => {
            head.begin(2);
            head.id(m.request.get());
            head.options(&m.options)?;
        }
        Message::Yield(m) => {
            head.begin_with(2, &m.payload);
            head.id(m.request.get());
            head.options(&m.options)?;
            return head.payload(&m.payload);
        }
    }
    head.end();
    Ok(None)
}

/// A message whose elements are written one after the other.
struct Head<'w, W> {
    writer: &'w mut W,
    code: u16,
}

impl<W: Writer> Head<'_, W> {
    /// Begins a message that has `elements` after its code.
    fn begin(&mut self, elements: u8) {
        self.writer.message(1 + elements);
        self.writer.uint(u64::from(self.code));
    }

    /// Begins a message that has `elements` between its code and its payload.
    fn begin_with(&mut self, elements: u8, payload: &Payload) {
        self.begin(
            elements
                + match payload.shape() {
                    Shape::Nothing => 0,
                    Shape::Args | Shape::Opaque => 1,
                    Shape::ArgsKwargs => 2,
                },
        );
    }

    fn id(&mut self, id: u64) {
        self.writer.uint(id);
    }

    /// All of a message that has a request and the id it is about.
    fn ids(&mut self, request: RequestId, id: u64) {
        self.begin(2);
        self.id(request.get());
        self.id(id);
    }

    fn uri(&mut self, uri: &Uri) -> Result<(), TranscodeError> {
        self.writer.text(uri.as_str())
    }

    fn options(&mut self, options: &impl WriteOptions) -> Result<(), TranscodeError> {
        let mut entries = Entries::new(self.writer);
        options.write(&mut entries)?;
        entries.close()
    }

    /// All of UNSUBSCRIBED or UNREGISTERED.
    fn revoked(&mut self, request: Option<RequestId>, revoked: Option<Revoked<'_>>) -> Result<(), TranscodeError> {
        let revoked = revoked.filter(|_| request.is_none());
        self.begin(if revoked.is_some() { 2 } else { 1 });
        self.id(request.map_or(0, RequestId::get));
        match &revoked {
            Some(revoked) => self.options(revoked),
            None => Ok(()),
        }
    }

    fn payload<'m>(&mut self, payload: &'m Payload) -> Result<Rest<'m>, TranscodeError> {
        match &payload.0 {
            Repr::Raw { format, tail, peculiar: false, .. } if *format == W::FORMAT => {
                self.writer.comma();
                return Ok(Some((tail, W::END)));
            }
            Repr::Opaque(bytes) if W::FORMAT != Format::Json => {
                self.writer.binary_head(bytes.len())?;
                return Ok(Some((bytes, W::END)));
            }
            _ => {}
        }
        write_tail(payload, self.writer)?;
        self.end();
        Ok(None)
    }

    fn end(&mut self) {
        self.writer.out().extend_from_slice(W::END);
    }
}

/// Writes the arguments of a payload, copying or transcoding them.
pub(super) fn write_tail<W: Writer>(payload: &Payload, writer: &mut W) -> Result<(), TranscodeError> {
    match &payload.0 {
        Repr::Empty => Ok(()),
        Repr::Raw { format, shape, tail, .. } => transcode::transcode(*format, tail, *shape, writer),
        Repr::Opaque(bytes) => writer.binary(bytes),
        Repr::Values(values) => {
            writer.list(&values.0)?;
            if values.1.is_empty() { Ok(()) } else { writer.dict(&values.1) }
        }
    }
}
