//! What the host's driver (`driver/`) sends, as bytes.

use crate::program::{Beats, Program};

/// A compiled program as `xnf_load_image` takes it: every packet of the program stream with its number of words of 32
/// bits before it, all little-endian.
pub fn program_image(program: &Program) -> Vec<u8> {
    let mut image = Vec::new();
    for packet in program.packets() {
        let words = packet.stream();
        let length = words.len() as u32;
        image.extend(length.to_le_bytes());
        image.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    image
}

/// The beats of a weight or input packet as `xnf_push` takes them: bit 0 of a beat in bit 0 of its first byte.
pub fn stream_bytes(beats: &Beats) -> Vec<u8> {
    let bytes = beats.bits().div_ceil(8) as usize;
    beats
        .iter()
        .flat_map(|beat| {
            let all = beat.iter().flat_map(|word| word.to_le_bytes());
            all.take(bytes).collect::<Vec<u8>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_of_any_width_are_whole_bytes() {
        for bits in [8, 16, 64, 128] {
            let mut beats = Beats::new(bits);
            beats.push_word(&[0x0807_0605_0403_0201, 0x0c0b_0a09], 96);
            let bytes = stream_bytes(&beats);
            assert_eq!(
                bytes.len(),
                96usize.div_ceil(bits as usize) * bits as usize / 8
            );
            let expected: Vec<u8> = (1..=12).collect();
            assert_eq!(bytes[..12], expected);
            assert!(bytes[12..].iter().all(|byte| *byte == 0));
        }
    }
}
