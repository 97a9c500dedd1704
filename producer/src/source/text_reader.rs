//! The bytes of a file as UTF-8 text, with the position and the hash of the bytes in the file.
//!
//! UTF-8 passes through as it is, valid or not. UTF-16 is decoded piece by piece; half of a
//! surrogate pair becomes U+FFFD, which rejects its row.
//! Guarantees: after any character, [`TextReader::offset`] is the number of bytes of the file that
//! were consumed, and the hash is of exactly these. So another process can continue there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const READ_BYTES: usize = 64 << 10;

/// The order of the two bytes of UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByteOrder {
    Little,
    Big,
}

#[derive(Debug)]
pub struct TextReader {
    input: Input,
    offset: u64,
    hash: Sha256,
}

#[derive(Debug)]
enum Input {
    Utf8(BufReader<File>),
    Utf16(Utf16),
}

/// Bytes of the file, the text that is decoded from them, and how much of both is consumed.
#[derive(Debug)]
struct Utf16 {
    file: File,
    order: ByteOrder,
    raw: Vec<u8>,
    raw_used: usize,
    /// The end of the bytes that `text` was decoded from.
    decoded: usize,
    text: Vec<u8>,
    used: usize,
}

impl TextReader {
    /// Starts at `offset`, the start of a character; `hash` is of all bytes before it.
    pub fn at(
        mut file: File,
        utf16: Option<ByteOrder>,
        offset: u64,
        hash: Sha256,
    ) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        let input = match utf16 {
            None => Input::Utf8(BufReader::with_capacity(READ_BYTES, file)),
            Some(order) => Input::Utf16(Utf16::new(file, order)),
        };
        Ok(Self { input, offset, hash })
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn hash(&self) -> &Sha256 {
        &self.hash
    }

    /// Text that is not yet consumed; empty at the end.
    pub fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.input {
            Input::Utf8(reader) => reader.fill_buf(),
            Input::Utf16(reader) => reader.fill_buf(),
        }
    }

    /// Marks as read the first bytes of the text that [`fill_buf`](Self::fill_buf) gave.
    pub fn consume(&mut self, bytes: usize) {
        match &mut self.input {
            Input::Utf8(reader) => {
                self.hash.update(&reader.buffer()[..bytes]);
                reader.consume(bytes);
                self.offset += bytes as u64;
            }
            Input::Utf16(reader) => {
                let raw = reader.consume(bytes);
                self.hash.update(raw);
                self.offset += raw.len() as u64;
            }
        }
    }

    /// Returns to a position where the reader was before.
    pub fn seek(&mut self, offset: u64, hash: Sha256) -> io::Result<()> {
        match &mut self.input {
            Input::Utf8(reader) => drop(reader.seek(SeekFrom::Start(offset))?),
            Input::Utf16(reader) => {
                reader.file.seek(SeekFrom::Start(offset))?;
                reader.clear();
            }
        }
        (self.offset, self.hash) = (offset, hash);
        Ok(())
    }
}

impl Utf16 {
    fn new(file: File, order: ByteOrder) -> Self {
        let (raw, text) = (Vec::new(), Vec::new());
        Self { file, order, raw, raw_used: 0, decoded: 0, text, used: 0 }
    }

    fn clear(&mut self) {
        self.raw.clear();
        self.text.clear();
        (self.raw_used, self.decoded, self.used) = (0, 0, 0);
    }

    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.used == self.text.len() {
            self.raw.drain(..self.decoded);
            (self.raw_used, self.decoded, self.used) = (0, 0, 0);
            self.text.clear();
            let read = self.file.by_ref().take(READ_BYTES as u64).read_to_end(&mut self.raw)?;
            let at_end = read < READ_BYTES;
            self.decode(at_end);
            if at_end {
                break;
            }
        }
        Ok(&self.text[self.used..])
    }

    /// Decodes all whole characters; at the end of the file also a part of one.
    fn decode(&mut self, at_end: bool) {
        let mut end = self.raw.len() & !1;
        let unit = |pair: &[u8]| match self.order {
            ByteOrder::Little => u16::from_le_bytes([pair[0], pair[1]]),
            ByteOrder::Big => u16::from_be_bytes([pair[0], pair[1]]),
        };
        let is_first_half = |unit: u16| (0xd800..0xdc00).contains(&unit);
        if !at_end && end > 0 && is_first_half(unit(&self.raw[end - 2..end])) {
            end -= 2;
        }
        let units = self.raw[..end].chunks_exact(2).map(unit);
        let mut utf8 = [0; 4];
        for c in char::decode_utf16(units) {
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.text.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
        }
        self.decoded = end;
        if at_end && end < self.raw.len() {
            let lost = char::REPLACEMENT_CHARACTER.encode_utf8(&mut utf8);
            self.text.extend_from_slice(lost.as_bytes());
            self.decoded = self.raw.len();
        }
    }

    /// The bytes of the file that this text came from.
    fn consume(&mut self, bytes: usize) -> &[u8] {
        let text = &self.text[self.used..self.used + bytes];
        self.used += bytes;
        let start = self.raw_used;
        // The last character may be a single byte.
        let end = (start + utf16_bytes(text)).min(self.decoded);
        self.raw_used = end;
        &self.raw[start..end]
    }
}

/// The length in UTF-16 of text in UTF-8, counted where each character starts.
pub fn utf16_bytes(text: &[u8]) -> usize {
    let units = |byte: &u8| match byte {
        0x80..0xc0 => 0,
        0xf0.. => 2,
        _ => 1,
    };
    2 * text.iter().map(units).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::records::{hash_prefix, hex};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("writes");
        file
    }

    fn utf16(text: &str, order: ByteOrder) -> Vec<u8> {
        let bytes = |unit: u16| match order {
            ByteOrder::Little => unit.to_le_bytes(),
            ByteOrder::Big => unit.to_be_bytes(),
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// All text, consumed in pieces of this length, with a check of each position.
    fn text(raw: &[u8], order: ByteOrder, piece: usize) -> String {
        let mut reader = TextReader::at(file(raw), Some(order), 0, Sha256::new()).expect("opens");
        let mut text = Vec::new();
        loop {
            let some = reader.fill_buf().expect("reads");
            if some.is_empty() {
                break;
            }
            let length = some.len().min(piece);
            text.extend_from_slice(&some[..length]);
            reader.consume(length);
            let offset = reader.offset();
            let prefix = hash_prefix(&mut file(raw), offset).expect("reads").expect("there");
            assert_eq!(hex(prefix), hex(reader.hash().clone()));
        }
        assert_eq!(reader.offset(), raw.len() as u64);
        String::from_utf8(text).expect("valid")
    }

    #[test]
    fn both_orders_of_utf16_are_decoded() {
        let wanted = "city\tTromsø\r\n東京 🌍\n";
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for piece in [1, 3, 1000] {
                assert_eq!(text(&utf16(wanted, order), order, piece), wanted);
            }
        }
    }

    #[test]
    fn pairs_are_whole_at_any_read_boundary() {
        // The second half of a pair is in the next read.
        let wanted = format!("{}🌍🌍", "x".repeat(READ_BYTES / 2 - 1));
        let raw = utf16(&wanted, ByteOrder::Little);
        assert_eq!(text(&raw, ByteOrder::Little, 50_000), wanted);
    }

    #[test]
    fn halves_of_characters_are_replaced() {
        let mut raw = utf16("a", ByteOrder::Little);
        raw.extend_from_slice(&0xd83c_u16.to_le_bytes());
        raw.extend_from_slice(&utf16("b", ByteOrder::Little));
        raw.push(b'c');
        assert_eq!(text(&raw, ByteOrder::Little, 2), "a\u{fffd}b\u{fffd}");
    }
}
