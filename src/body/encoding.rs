//! Which encodings of a body can be undone, and how.

use std::fmt;

use http::HeaderMap;
use http::header;

/// How a body is encoded, where this build can undo it.
///
/// ```
/// use http::HeaderMap;
/// use tower_llm_gateway::body::ContentEncoding;
///
/// let mut headers = HeaderMap::new();
/// assert!(ContentEncoding::of(&headers).unwrap().is_identity());
/// headers.insert("content-encoding", "gzip, br".parse().unwrap());
/// assert!(ContentEncoding::of(&headers).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentEncoding(Coding);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    #[cfg(feature = "decompress")]
    Gzip,
    #[cfg(feature = "decompress")]
    Deflate,
    #[cfg(feature = "decompress")]
    Brotli,
    #[cfg(feature = "decompress")]
    Zstd,
}

/// A body's encoding is none that this build can undo: unknown, or several on top of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadableEncoding;

impl fmt::Display for UnreadableEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if cfg!(feature = "decompress") {
            "the body is encoded other than by one of gzip, deflate, br and zstd"
        } else {
            "the body is encoded"
        })
    }
}

impl std::error::Error for UnreadableEncoding {}

impl ContentEncoding {
    /// What `content-encoding` says: the one place that decides what is read.
    ///
    /// With feature `decompress` one of `gzip` (`x-gzip`), `deflate`, `br` and `zstd` is readable,
    /// without it none is.
    ///
    /// # Errors
    /// When the body cannot be read.
    pub fn of(headers: &HeaderMap) -> Result<Self, UnreadableEncoding> {
        let lists = headers.get_all(header::CONTENT_ENCODING).iter();
        let mut codings = lists
            .flat_map(|list| list.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        match (codings.next(), codings.next()) {
            (None, _) => Ok(Self(Coding::Identity)),
            (Some(name), None) => Coding::named(name).map(Self).ok_or(UnreadableEncoding),
            // Each one multiplies what a few bytes may become, and nobody sends two.
            (Some(_), Some(_)) => Err(UnreadableEncoding),
        }
    }

    /// Whether the body is readable as it is.
    #[must_use]
    pub fn is_identity(self) -> bool {
        self.0 == Coding::Identity
    }
}

#[cfg(not(feature = "decompress"))]
impl Coding {
    fn named(_: &[u8]) -> Option<Self> {
        None
    }
}

#[cfg(not(feature = "decompress"))]
pub(super) use off::Decoder;

#[cfg(not(feature = "decompress"))]
mod off {
    use std::convert::Infallible;
    use std::io;

    use bytes::Bytes;

    use super::ContentEncoding;

    /// There is none.
    #[derive(Debug)]
    pub(crate) struct Decoder(Infallible);

    impl Decoder {
        pub(crate) fn new(_: ContentEncoding) -> Option<Self> {
            None
        }

        pub(crate) fn push(&mut self, _: Bytes) {
            match self.0 {}
        }

        pub(crate) fn pull(&mut self) -> io::Result<Option<Bytes>> {
            match self.0 {}
        }

        pub(crate) fn is_complete(&self) -> bool {
            match self.0 {}
        }
    }
}

#[cfg(feature = "decompress")]
pub(super) use on::Decoder;

#[cfg(feature = "decompress")]
mod on {
    use std::{fmt, io};

    use bytes::{Buf, Bytes, BytesMut};
    use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
    use compression_codecs::zstd::params::DParameter;
    use compression_codecs::{
        BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
    };

    use super::{Coding, ContentEncoding};

    /// Most decoded bytes that come at once, however few bytes they are made of.
    pub(crate) const MAX_DECODED_FRAME: usize = 16 << 10;

    /// The most that a decoder of `zstd` looks back, as a power of two: 8 MiB, which is what
    /// RFC 9659 lets a sender use.
    const MAX_ZSTD_WINDOW_LOG: u32 = 23;

    impl Coding {
        pub(super) fn named(name: &[u8]) -> Option<Self> {
            let names: [(&[u8], Self); 5] = [
                (b"gzip", Self::Gzip),
                (b"x-gzip", Self::Gzip),
                (b"deflate", Self::Deflate),
                (b"br", Self::Brotli),
                (b"zstd", Self::Zstd),
            ];
            let found = names.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
            found.map(|(_, coding)| coding)
        }

        /// A decoder for a body that begins with `first`.
        fn decoder(self, first: u8) -> Option<Box<dyn DecodeV2 + Send + Sync>> {
            // Servers send both as `deflate`. Bits of a header of zlib would be padding in the raw
            // form, which is zero.
            const ZLIB: u8 = 8;
            Some(match self {
                Self::Identity => return None,
                Self::Gzip => Box::new(GzipDecoder::new()),
                Self::Deflate if first & 0x0f == ZLIB => Box::new(ZlibDecoder::new()),
                Self::Deflate => Box::new(DeflateDecoder::new()),
                Self::Brotli => Box::new(BrotliDecoder::new()),
                Self::Zstd => {
                    let window = DParameter::window_log_max(MAX_ZSTD_WINDOW_LOG);
                    Box::new(ZstdDecoder::new_with_params(&[window]))
                }
            })
        }

        /// Whether bodies may be several encoded ones in a row.
        fn has_members(self) -> bool {
            matches!(self, Self::Gzip | Self::Zstd)
        }
    }

    /// Encoded bytes in, decoded bytes out. Sans-IO.
    ///
    /// Memory: a frame in, a frame out, and the window of the encoding (32 KiB, `br` 16 MiB, `zstd`
    /// 8 MiB at most).
    pub(crate) struct Decoder {
        coding: Coding,
        /// None before the first byte.
        machine: Option<Box<dyn DecodeV2 + Send + Sync>>,
        input: Bytes,
        space: BytesMut,
        /// The last call filled its space: there may be more without further input.
        holds_more: bool,
        /// At the end of what was encoded.
        ended: bool,
    }

    impl Decoder {
        /// None where there is nothing to decode.
        pub(crate) fn new(encoding: ContentEncoding) -> Option<Self> {
            (!encoding.is_identity()).then(|| Self {
                coding: encoding.0,
                machine: None,
                input: Bytes::new(),
                space: BytesMut::new(),
                holds_more: false,
                ended: false,
            })
        }

        /// Takes more input, once [`pull`](Self::pull) has given all of the last.
        pub(crate) fn push(&mut self, input: Bytes) {
            debug_assert!(self.input.is_empty());
            self.input = input;
        }

        /// The next of what the input so far says, at most [`MAX_DECODED_FRAME`] bytes; `None`
        /// where that was all.
        pub(crate) fn pull(&mut self) -> io::Result<Option<Bytes>> {
            while self.holds_more || !self.input.is_empty() {
                let decoded = self.step()?;
                if !decoded.is_empty() {
                    return Ok(Some(decoded));
                }
            }
            Ok(None)
        }

        /// Whether the input may end here. A body without a byte is empty in any encoding.
        pub(crate) fn is_complete(&self) -> bool {
            self.ended || self.machine.is_none()
        }

        fn step(&mut self) -> io::Result<Bytes> {
            let machine = match (&mut self.machine, self.input.first()) {
                (Some(machine), _) => machine,
                (machine, Some(first)) => match self.coding.decoder(*first) {
                    Some(new) => machine.insert(new),
                    None => return Ok(std::mem::take(&mut self.input)),
                },
                (None, None) => return Ok(Bytes::new()),
            };
            if self.ended {
                if !self.coding.has_members() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes after the end"));
                }
                machine.reinit()?;
                self.ended = false;
            }
            if self.space.is_empty() {
                self.space = BytesMut::zeroed(MAX_DECODED_FRAME);
            }
            let drains = self.input.is_empty();
            let mut input = PartialBuffer::new(&self.input[..]);
            let mut output = WriteBuffer::new_initialized(&mut self.space);
            let result = machine.decode(&mut input, &mut output);
            let (read, written) = (input.written_len(), output.written_len());
            self.holds_more = output.has_no_spare_space();
            self.input.advance(read);
            match result {
                Ok(ended) => self.ended = ended,
                // Some machines complain when they have neither input nor anything left to say.
                // What is truly wrong they say again, or do not end.
                Err(_) if drains && written == 0 => self.holds_more = false,
                Err(error) => return Err(error),
            }
            if self.ended {
                self.holds_more = false;
            } else if read == 0 && written == 0 && !drains {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no progress"));
            }
            Ok(self.space.split_to(written).freeze())
        }
    }

    impl fmt::Debug for Decoder {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Decoder").field("coding", &self.coding).finish_non_exhaustive()
        }
    }
}
