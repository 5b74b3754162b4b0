//! Measures hashing a file with BLAKE2B and SHA512: both in one pass, and one after the other.
//!
//!     cargo bench --bench digest [-- MEGABYTES [TURNS]]
//!
//! One after the other means what it says: the file is read and hashed once for each function. The times are medians;
//! `at most` is what the ratio would be if both took no longer than the slower of the two.

#![allow(missing_docs)]

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use ebd::util::digest::{HashName, hash_file};

fn time(path: &Path, names: &[HashName]) -> Result<Duration, Box<dyn std::error::Error>> {
    let begin = Instant::now();
    std::hint::black_box(hash_file(path, names)?);
    Ok(begin.elapsed())
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(0.0, Duration::as_secs_f64)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().filter_map(|word| word.parse::<usize>().ok());
    let megabytes = numbers.next().unwrap_or(300);
    let turns = numbers.next().unwrap_or(7);
    let mut file = tempfile::NamedTempFile::new()?;
    let mut state = 1u64;
    for _ in 0..megabytes {
        let block: Vec<u8> = (0..1_000_000 / 8)
            .flat_map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state.to_le_bytes()
            })
            .collect();
        file.write_all(&block)?;
    }
    let path = file.path();
    let (mut together, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        together.push(time(path, &[HashName::Blake2b, HashName::Sha512])?);
        first.push(time(path, &[HashName::Blake2b])?);
        second.push(time(path, &[HashName::Sha512])?);
    }
    let (together, first, second) = (
        median(&mut together),
        median(&mut first),
        median(&mut second),
    );
    println!(
        "hashes BLAKE2B {first:.2} s   SHA512 {second:.2} s   both {together:.2} s   ratio {:.2}, at most {:.2}",
        (first + second) / together,
        (first + second) / first.max(second)
    );
    Ok(())
}
