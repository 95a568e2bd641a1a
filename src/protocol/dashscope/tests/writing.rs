//! The writer of streams.

use bytes::BytesMut;

use crate::protocol::Answer;
use crate::protocol::dashscope::stream::{Reader, Writer};
use crate::sse::{Decoder, Event};

/// Reads a stream of bytes and writes it again.
pub(super) fn rewrite(answer: Answer, bytes: &[u8]) -> BytesMut {
    let (mut reader, mut writer) = (Reader::new(), Writer::new(answer));
    let mut out = BytesMut::new();
    let mut decoder = Decoder::new();
    let mut read = |event: Event<'_>| {
        reader.event(&event, &mut |event| writer.write(event, &mut out));
    };
    decoder.push(bytes, &mut read).unwrap();
    decoder.finish(&mut read).unwrap();
    reader.finish(&mut |event| writer.write(event, &mut out));
    assert!(writer.is_done());
    out
}
