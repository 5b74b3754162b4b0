//! The loader's cache of libraries, `/etc/ld.so.cache`, in the form that glibc has written since 2.2
//! (magic `glibc-ld.so.cache1.1`).
//!
//! It is made anew whenever a library is installed. What a program that was loaded depends on is only
//! where the libraries of its own were said to be.

use sha2::{Digest, Sha256};

use super::facts::Sum;

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// The bytes before the entries.
const HEADER: usize = 48;

/// The bytes of an entry: flags, name, path, version of the system, and kinds of processors.
const ENTRY: usize = 24;

/// The sum of what the cache says about libraries of these names; none if it is in another form.
pub(super) fn part(cache: &[u8], names: &[Vec<u8>]) -> Option<Sum> {
    let number = |at: usize| -> Option<usize> {
        let bytes = cache.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_ne_bytes(bytes.try_into().ok()?)).ok()
    };
    let text = |at: usize| -> Option<&[u8]> {
        let rest = cache.get(at..)?;
        rest.get(..rest.iter().position(|byte| *byte == 0)?)
    };
    if !cache.starts_with(MAGIC) {
        return None;
    }
    let mut hash = Sha256::new();
    for entry in 0..number(MAGIC.len())? {
        let at = HEADER.checked_add(entry.checked_mul(ENTRY)?)?;
        let whole = cache.get(at..at.checked_add(ENTRY)?)?;
        let (name, path) = (text(number(at + 4)?)?, text(number(at + 8)?)?);
        if names.iter().any(|wanted| wanted == name) {
            // The order counts: the first that fits is taken.
            for field in [whole.get(..4)?, name, path, whole.get(12..)?] {
                hash.update(field.len().to_ne_bytes());
                hash.update(field);
            }
        }
    }
    Some(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache with these libraries.
    fn cache(libraries: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(libraries.len()).unwrap().to_ne_bytes());
        bytes.resize(HEADER, 0);
        let mut strings = Vec::new();
        let start = HEADER + libraries.len() * ENTRY;
        for (name, path) in libraries {
            let mut put = |text: &str| {
                let at = start + strings.len();
                strings.extend(text.as_bytes());
                strings.push(0);
                u32::try_from(at).unwrap().to_ne_bytes()
            };
            let (name, path) = (put(name), put(path));
            bytes.extend(3_i32.to_ne_bytes());
            bytes.extend(name);
            bytes.extend(path);
            bytes.extend([0; 12]);
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn only_what_leads_to_the_loaded_libraries_counts() {
        let names = [b"libz.so.1".to_vec()];
        let old = cache(&[("liba.so", "/lib/liba.so"), ("libz.so.1", "/lib/libz.so.1")]);
        let more = cache(&[
            ("liba.so", "/lib/liba.so"),
            ("libb.so", "/lib/libb.so"),
            ("libz.so.1", "/lib/libz.so.1"),
        ]);
        let moved = cache(&[
            ("libz.so.1", "/opt/libz.so.1"),
            ("libz.so.1", "/lib/libz.so.1"),
        ]);
        assert!(part(&old, &names).is_some());
        assert_eq!(part(&old, &names), part(&more, &names));
        assert_ne!(part(&old, &names), part(&moved, &names));
        assert_ne!(part(&old, &names), part(&cache(&[]), &names));
    }

    #[test]
    fn damage_is_seen() {
        let names = [b"libz.so.1".to_vec()];
        let whole = cache(&[("libz.so.1", "/lib/libz.so.1")]);
        for length in 0..whole.len() {
            assert_eq!(part(&whole[..length], &names), None, "{length}");
        }
        let mut lies = whole;
        lies[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(part(&lies, &names), None);
    }

    #[test]
    fn the_machines_own_can_be_read() {
        if let Ok(own) = std::fs::read("/etc/ld.so.cache") {
            let name = [b"libc.so.6".to_vec()];
            assert_ne!(part(&own, &name), None);
            assert_ne!(part(&own, &name), part(&own, &[]));
        }
    }
}
