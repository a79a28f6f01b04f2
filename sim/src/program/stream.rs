//! Words of streams: how memory words and packets travel to the accelerator.

use crate::packed::low_mask;

/// Words of one packet of a stream, `bits` wide each; TLAST comes with the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beats {
    bits: u32,
    words: Vec<u64>,
}

impl Beats {
    /// No words yet.
    pub fn new(bits: u32) -> Self {
        Beats {
            bits,
            words: Vec::new(),
        }
    }

    /// Adds a memory word of `width` bits as `ceil(width / bits)` beats, least significant first.
    pub fn push_word(&mut self, word: &[u64], width: u32) {
        let mut low = 0;
        while low < width {
            let count = self.bits.min(width - low);
            for part in (0..self.bits).step_by(64) {
                let bits = count.saturating_sub(part).min(64);
                self.words.push(extract(word, low + part, bits));
            }
            low += self.bits;
        }
    }

    /// Width of a beat in bits.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// 64-bit words that hold one beat.
    pub fn beat_words(&self) -> usize {
        self.bits.div_ceil(64) as usize
    }

    /// Beats.
    pub fn len(&self) -> usize {
        self.words.len() / self.beat_words()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// One beat, bit 0 in bit 0 of its first word.
    ///
    /// # Panics
    /// If there is no such beat.
    pub fn beat(&self, index: usize) -> &[u64] {
        &self.words[index * self.beat_words()..][..self.beat_words()]
    }

    /// All beats in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u64]> {
        self.words.chunks(self.beat_words())
    }

    /// Bytes on the stream.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * u64::from(self.bits).div_ceil(8)
    }
}

/// Bits `low .. low + count` of a long word; bits past its end are 0. `count` is at most 64.
pub fn extract(word: &[u64], low: u32, count: u32) -> u64 {
    let (index, shift) = ((low / 64) as usize, low % 64);
    let at = |index: usize| word.get(index).copied().unwrap_or(0);
    let mut bits = at(index) >> shift;
    if shift > 0 {
        bits |= at(index + 1) << (64 - shift);
    }
    bits & low_mask(count as usize)
}

/// Sets bits `low .. low + count` of a long word. `count` is at most 64, and `bits` has no others.
///
/// # Panics
/// If the word ends before.
pub fn insert(word: &mut [u64], low: u32, count: u32, bits: u64) {
    if count == 0 {
        return;
    }
    let (index, shift) = ((low / 64) as usize, low % 64);
    let mask = low_mask(count as usize);
    word[index] = word[index] & !(mask << shift) | bits << shift;
    if shift + count > 64 {
        word[index + 1] = word[index + 1] & !(mask >> (64 - shift)) | bits >> (64 - shift);
    }
}

/// Memories that the program stream loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Target {
    /// Program memory: words of 32 bits.
    Program = 0,
    /// Schedule memory.
    Schedule = 1,
    /// Column constants of a lane.
    Constants = 2,
    /// Thresholds of a level of a lane.
    Thresholds = 3,
    /// Affine parameters of a lane.
    Affine = 4,
    /// Residual table, of all lanes alike.
    Table = 5,
}

/// A packet of the program stream: words for consecutive addresses of one memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which memory.
    pub target: Target,
    /// Threshold level; 0 elsewhere.
    pub level: u32,
    /// Lane of the drain; 0 where all have it.
    pub lane: u32,
    /// First address, in words of that memory.
    pub address: u32,
    /// Width of a word in bits; at most 128.
    pub width: u32,
    /// The words, least significant bit in bit 0.
    pub words: Vec<u128>,
}

impl Packet {
    /// The packet on the stream: header, address, data; TLAST comes with the last word.
    pub fn stream(&self) -> Vec<u32> {
        let header = (self.target as u32) << 28 | self.level << 24 | self.lane << 16;
        let mut stream = vec![header, self.address];
        for word in &self.words {
            stream.extend((0..self.width).step_by(32).map(|low| (word >> low) as u32));
        }
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_travel_in_beats_of_any_width() {
        let word = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x1ff];
        for bits in [8, 16, 32, 64, 128, 256] {
            let mut beats = Beats::new(bits);
            beats.push_word(&word, 137);
            assert_eq!(beats.len(), 137usize.div_ceil(bits as usize));
            let mut found = [0; 5];
            for (i, beat) in beats.iter().enumerate() {
                for (j, part) in beat.iter().enumerate() {
                    let low = i as u32 * bits + 64 * j as u32;
                    insert(&mut found, low, bits.min(64), *part);
                }
            }
            assert_eq!(found[..3], word, "{bits}");
        }
    }

    #[test]
    fn a_packet_is_header_address_data() {
        let packet = Packet {
            target: Target::Thresholds,
            level: 2,
            lane: 1,
            address: 9,
            width: 33,
            words: vec![0x1_0000_0002, 3],
        };
        assert_eq!(packet.stream(), [0x3201_0000, 9, 2, 1, 3, 0]);
    }
}
