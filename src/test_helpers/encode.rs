//! Bodies in all encodings that can be undone.

use bytes::Bytes;
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{
    BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder,
};

/// The encodings by their names; `raw` is the other thing that servers call `deflate`.
pub(crate) const CODINGS: [&str; 5] = ["gzip", "deflate", "raw", "br", "zstd"];

/// What stands in `content-encoding` for one of [`CODINGS`].
pub(crate) fn header_of(coding: &str) -> &str {
    if coding == "raw" { "deflate" } else { coding }
}

/// `pieces` encoded in a row, as a server does that flushes after each.
pub(crate) fn encode<'p>(coding: &str, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Bytes> {
    let mut encoder: Box<dyn EncodeV2> = match coding {
        "gzip" => Box::new(GzipEncoder::new(Level::Default.into())),
        "deflate" => Box::new(ZlibEncoder::new(Level::Default.into())),
        "raw" => Box::new(DeflateEncoder::new(Level::Default.into())),
        "br" => Box::new(BrotliEncoder::new(EncoderParams::default().quality(Level::Fastest))),
        "zstd" => Box::new(ZstdEncoder::new(3)),
        other => panic!("unknown encoding {other}"),
    };
    let mut frames = Vec::new();
    let mut space = vec![0; 1 << 20];
    for piece in pieces {
        let mut input = PartialBuffer::new(piece);
        let mut output = WriteBuffer::new_initialized(&mut space);
        while !input.unwritten().is_empty() {
            encoder.encode(&mut input, &mut output).unwrap();
        }
        assert!(encoder.flush(&mut output).unwrap());
        frames.push(Bytes::copy_from_slice(output.written()));
    }
    let mut output = WriteBuffer::new_initialized(&mut space);
    assert!(encoder.finish(&mut output).unwrap());
    frames.push(Bytes::copy_from_slice(output.written()));
    frames
}
