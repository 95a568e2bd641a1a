use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use memchr::memrchr;

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// The lines of a file from the last to the first, without their ends. One block and one line are
/// in memory, whatever the size of the file.
pub(super) struct Backwards<R = File> {
    source: R,
    max_line: usize,
    /// Where `block` begins in the source.
    at: u64,
    /// What is read of the lines before `tail`.
    block: Vec<u8>,
    /// The line's end, if its beginning is not read yet.
    tail: Vec<u8>,
    too_long: bool,
    ended: bool,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Longer than what may be in memory.
    TooLong,
}

impl<R: Read + Seek> Backwards<R> {
    /// What is appended later is not seen.
    pub(super) fn new(mut source: R, max_line: usize) -> io::Result<Self> {
        let at = source.seek(SeekFrom::End(0))?;
        Ok(Self {
            source,
            max_line,
            at,
            block: Vec::new(),
            tail: Vec::new(),
            too_long: false,
            ended: false,
        })
    }

    /// The line before; what stands behind the last line end is a line too, if only an empty one.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        while !self.ended {
            if let Some(end) = memrchr(b'\n', &self.block) {
                self.move_to_tail(end + 1);
                self.block.truncate(end);
                return Ok(Some(self.line()));
            }
            self.move_to_tail(0);
            if self.at == 0 {
                self.ended = true;
                return Ok(Some(self.line()));
            }
            self.read_block()?;
        }
        Ok(None)
    }

    /// What the block has from `from` on stands before the tail.
    fn move_to_tail(&mut self, from: usize) {
        let part = self.block.split_off(from);
        self.too_long |= part.len() + self.tail.len() > self.max_line;
        if self.too_long {
            self.tail.clear();
        } else {
            self.tail.splice(0..0, part);
        }
    }

    fn line(&mut self) -> Line {
        let line = std::mem::take(&mut self.tail);
        if std::mem::take(&mut self.too_long) { Line::TooLong } else { Line::Whole(line) }
    }

    fn read_block(&mut self) -> io::Result<()> {
        let size = self.at.min(BLOCK as u64);
        self.at -= size;
        self.source.seek(SeekFrom::Start(self.at))?;
        self.block.resize(size as usize, 0);
        self.source.read_exact(&mut self.block)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn lines(text: &[u8], max_line: usize) -> Vec<Line> {
        let mut lines = Backwards::new(Cursor::new(text), max_line).unwrap();
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn the_last_line_comes_first() {
        assert_eq!(lines(b"", 9), [whole("")]);
        assert_eq!(lines(b"a\n\nbc\n", 9), [whole(""), whole("bc"), whole(""), whole("a")]);
        assert_eq!(lines(b"a\nb", 9), [whole("b"), whole("a")]);
    }

    #[test]
    fn lines_reach_over_blocks() {
        for length in [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let long = "x".repeat(length);
            let text = format!("first\n{long}\nlast\n");
            let expected = [whole(""), whole("last"), whole(&long), whole("first")];
            assert_eq!(lines(text.as_bytes(), length), expected);
            let expected = [whole(""), whole("last"), Line::TooLong, whole("first")];
            assert_eq!(lines(text.as_bytes(), length - 1), expected);
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept_in_memory() {
        let text = vec![b'x'; 4 * BLOCK];
        let mut lines = Backwards::new(Cursor::new(&text), BLOCK).unwrap();
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong));
        assert!(lines.tail.capacity() + lines.block.capacity() <= 4 * BLOCK);
        assert_eq!(lines.next().unwrap(), None);
    }
}
