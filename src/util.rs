//! Small tools that every floor uses: atomic files, bzip2, locks, digests.

pub mod anew;
pub mod atomic;
pub mod bzip2;
pub mod causes;
pub mod date;
pub mod digest;
pub mod lock;
pub mod output;
pub mod printable;
pub mod regular;
pub mod tail;
pub mod token;
