use crate::codec::{self, Format};
use crate::value::{Dict, Value};
use bytes::Bytes;
use core::fmt;
use std::sync::Arc;

/// A dictionary of a message that only travels, kept as the bytes it came in until somebody asks for its content.
///
/// Small items take many times their size in memory once they are decoded, so a peer that sends them must not decide
/// when that happens. The codec has checked the content against
/// [`DecodeLimits::max_items`](crate::codec::DecodeLimits::max_items) and
/// [`DecodeLimits::max_weight`](crate::codec::DecodeLimits::max_weight), so decoding it cannot fail, and takes no more
/// memory than these allow.
///
/// Two are equal if they hold equal values, whatever the serializer.
#[derive(Clone, Default)]
pub struct RawDict(pub(crate) RawDictRepr);

#[derive(Clone, Default)]
pub(crate) enum RawDictRepr {
    #[default]
    Empty,
    /// As received. The codec has checked that it is a dictionary with text keys, of values that [`Value`] can hold,
    /// within the limits on depth, items and weight.
    Raw { format: Format, bytes: Bytes },
    /// Built in this process; not empty.
    Values(Arc<Dict>),
}

impl RawDict {
    /// An empty dictionary.
    pub const fn new() -> Self {
        Self(RawDictRepr::Empty)
    }

    /// The dictionary as bytes, for what is kept long and looked at seldom.
    pub(crate) fn packed(dict: Dict) -> Self {
        if dict.is_empty() { Self::new() } else { codec::packed_dict(&dict).unwrap_or_else(|| dict.into()) }
    }

    /// Whether the dictionary has no entries.
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, RawDictRepr::Empty)
    }

    /// The whole dictionary, decoded anew at each call.
    pub fn to_dict(&self) -> Dict {
        match &self.0 {
            RawDictRepr::Empty => Dict::new(),
            RawDictRepr::Raw { format, bytes } => codec::raw_dict_entries(*format, bytes, |_| true),
            RawDictRepr::Values(dict) => (**dict).clone(),
        }
    }

    /// The value of this key, decoded anew at each call. Nothing else is decoded.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.pick(&[key]).remove(key)
    }

    /// The entries with these keys, decoded anew at each call. Nothing else is decoded.
    pub fn pick(&self, keys: &[&str]) -> Dict {
        match &self.0 {
            RawDictRepr::Empty => Dict::new(),
            RawDictRepr::Raw { format, bytes } => codec::raw_dict_entries(*format, bytes, |key| keys.contains(&key)),
            RawDictRepr::Values(dict) => {
                keys.iter().filter_map(|&key| Some((key.to_owned(), dict.get(key)?.clone()))).collect()
            }
        }
    }

    /// Copies the bytes out of the frame they share, so that keeping the dictionary does not keep a whole read buffer.
    pub fn detach(&mut self) {
        if let RawDictRepr::Raw { bytes, .. } = &mut self.0 {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }
}

impl From<Dict> for RawDict {
    fn from(dict: Dict) -> Self {
        if dict.is_empty() { Self::new() } else { Self(RawDictRepr::Values(Arc::new(dict))) }
    }
}

impl PartialEq for RawDict {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (RawDictRepr::Raw { format, bytes }, RawDictRepr::Raw { format: other_format, bytes: other_bytes })
                if format == other_format && bytes == other_bytes =>
            {
                true
            }
            (RawDictRepr::Values(dict), RawDictRepr::Values(other)) => dict == other,
            _ => self.to_dict() == other.to_dict(),
        }
    }
}

/// As the dictionary prints, whatever it is kept as.
impl fmt::Debug for RawDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_dict().fmt(f)
    }
}

impl FromIterator<(String, Value)> for RawDict {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        entries.into_iter().collect::<Dict>().into()
    }
}
