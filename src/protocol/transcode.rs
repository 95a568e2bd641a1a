use bytes::BytesMut;

/// A stream of bytes that becomes another one, as it comes. Sans-IO.
///
/// The output does not depend on how the input is cut. What is owed to the reader at once is
/// written at once: nothing waits for a later push but what is not complete. Trouble is part of
/// the output, in the terms of its protocol, so nothing here fails.
///
/// ```
/// use bytes::BytesMut;
/// use tower_llm_gateway::protocol::Transcode;
///
/// /// Ends each stream with its length.
/// #[derive(Default)]
/// struct Length(usize);
///
/// impl Transcode for Length {
///     fn push(&mut self, input: &[u8], out: &mut BytesMut) {
///         self.0 += input.len();
///         out.extend_from_slice(input);
///     }
///     fn finish(&mut self, out: &mut BytesMut) {
///         out.extend_from_slice(format!(" ({})", self.0).as_bytes());
///     }
///     fn abort(&mut self, out: &mut BytesMut) {
///         out.extend_from_slice(b" (cut)");
///     }
///     fn is_done(&self) -> bool {
///         false
///     }
/// }
///
/// let (mut length, mut out) = (Length::default(), BytesMut::new());
/// length.push(b"hello", &mut out);
/// length.finish(&mut out);
/// assert_eq!(out, "hello (5)");
/// ```
pub trait Transcode {
    /// Takes the next bytes and writes what they complete.
    fn push(&mut self, input: &[u8], out: &mut BytesMut);

    /// The input has ended: writes what closes the output, or its error if the input was not
    /// complete. Called once at most, and last.
    fn finish(&mut self, out: &mut BytesMut);

    /// The input has failed: writes the output's error. Called once at most, and last.
    fn abort(&mut self, out: &mut BytesMut);

    /// Whether the output is closed, whatever more comes. Then nothing is called any more.
    fn is_done(&self) -> bool;

    /// Writes what shows that the output is still alive, where it has something for that. Default
    /// nothing.
    fn keep_alive(&mut self, _out: &mut BytesMut) {}
}
