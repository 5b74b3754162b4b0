//! Confinement and process supervision for `ebd`: the only place for system-call work.
//!
//! Today it holds what keeps a build's processes together: the [`warden`] that outlives a
//! killed supervisor just long enough to end everything below it, and the view of a
//! [`process`] tree that both use.

pub mod process;
pub mod warden;
