//! Small tools that every floor uses: atomic files, locks, digests.

pub mod atomic;
pub mod digest;
pub mod lock;
pub mod tail;
pub mod token;
