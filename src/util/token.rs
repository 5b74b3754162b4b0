//! Words that nobody else can guess.

use std::hash::{BuildHasher, RandomState};

/// A new word of 32 hexadecimal digits. Its randomness is that of the standard library's hash
/// keys, which come from the system.
#[must_use]
pub fn fresh() -> String {
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_differ() {
        assert_ne!(super::fresh(), super::fresh());
        assert_eq!(super::fresh().len(), 32);
    }
}
