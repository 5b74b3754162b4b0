//! bzip2 as the command makes it, at less cost where there is little to compress.
//!
//! A level is the length of a block in 100,000 bytes and nothing else, and memory is taken for a
//! whole block: 7 MB at level 9, for a page of documentation too. What fits into one block of a
//! lower level comes out the same there but for the digit of the level in the header.

use std::io::{self, Read, Write};

use bzip2::Compression;
use bzip2::read::BzEncoder;

/// What one level adds to the length of a block.
const STEP: usize = 100_000;

/// The level's place in the header, behind `BZh`.
const LEVEL_AT: usize = 3;

/// Compresses `from` into `to`, byte for byte as `bzip2 -LEVEL` does (1 to 9).
///
/// # Errors
/// What reading or writing gives.
pub fn compress(mut from: impl Read, to: &mut impl Write, level: u32) -> io::Result<()> {
    let mut head = Vec::new();
    let longest = shortest_block(level as usize);
    (&mut from)
        .take(longest as u64 + 1)
        .read_to_end(&mut head)?;
    let Some(enough) = (1..level).find(|level| head.len() <= shortest_block(*level as usize))
    else {
        let mut encoder = BzEncoder::new(head.as_slice().chain(from), Compression::new(level));
        return io::copy(&mut encoder, to).map(drop);
    };
    let mut packed = Vec::new();
    BzEncoder::new(head.as_slice(), Compression::new(enough)).read_to_end(&mut packed)?;
    if let Some(digit) = packed.get_mut(LEVEL_AT) {
        *digit = b'0' + level as u8;
    }
    to.write_all(&packed)
}

/// How many bytes surely fit into one block: 19 of it are reserved, and before it is sorted, runs
/// of four equal bytes are followed by a count, which makes them a quarter longer at worst.
fn shortest_block(level: usize) -> usize {
    (level * STEP - 19) / 5 * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut out = Vec::new();
        compress(bytes, &mut out, level).unwrap();
        out
    }

    fn plain(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut out = Vec::new();
        BzEncoder::new(bytes, Compression::new(level))
            .read_to_end(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn every_length_gives_the_bytes_of_its_level() {
        let text: Vec<u8> = (0_u32..1_000_000)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 27) as u8)
            .collect();
        // Runs of four are the worst case for the first step of the algorithm.
        let runs: Vec<u8> = (0_u32..1_000_000).map(|at| (at / 4 % 251) as u8).collect();
        for bytes in [text, runs] {
            for length in [
                0, 1, 79_984, 79_985, 100_000, 160_000, 719_984, 719_985, 1_000_000,
            ] {
                for level in [1, 2, 9] {
                    let part = &bytes[..length];
                    assert!(ours(part, level) == plain(part, level), "{length} {level}");
                }
            }
        }
    }
}
