//! A small gzip file that becomes large: spaces, then a text (RFC 1951 §3.2.6, RFC 1952).

/// The spaces are one literal and this many repetitions of 258 bytes: about 16 MiB.
const REPETITIONS: usize = 65_000;

/// Compresses about 16 MiB of spaces followed by `text` into about 100 KiB.
pub(super) fn compress(text: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.number(1, 1); // The last block,
    bits.number(1, 2); // with fixed Huffman codes.
    bits.literal(b' ');
    for _ in 0..REPETITIONS {
        bits.code(0b1100_0101, 8); // Length 258 ...
        bits.code(0, 5); // ... from distance 1.
    }
    for byte in text {
        bits.literal(*byte);
    }
    bits.code(0, 7); // End of block.

    let mut plain = vec![b' '; 1 + REPETITIONS * 258];
    plain.extend_from_slice(text);
    let length = u32::try_from(plain.len()).expect("a few MiB");
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    file.extend(bits.finish());
    file.extend(crc32fast::hash(&plain).to_le_bytes());
    file.extend(length.to_le_bytes());
    file
}

/// Bits in the order of DEFLATE: bytes fill from their lowest bit (RFC 1951 §3.1.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (bit, self.bytes.last_mut()) {
            *last |= 1 << self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    /// Plain numbers start with their lowest bit.
    fn number(&mut self, value: u32, width: u32) {
        (0..width).for_each(|place| self.bit(value >> place & 1 == 1));
    }

    /// Huffman codes start with their highest bit.
    fn code(&mut self, value: u32, width: u32) {
        (0..width).rev().for_each(|place| self.bit(value >> place & 1 == 1));
    }

    fn literal(&mut self, byte: u8) {
        match u32::from(byte) {
            low @ 0..144 => self.code(0x30 + low, 8),
            high => self.code(0x190 + high - 144, 9),
        }
    }

    fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
