//! Confinement and process supervision for `ebd`: the only place for system-call work.
//!
//! Today it holds what keeps a build's processes together: the [`warden`] that outlives a
//! killed supervisor just long enough to end everything below it, and the view of a
//! [`process`] tree that both use; and the [`confinement`] of a program that needs next to
//! nothing, such as the shell that sources ebuilds for their metadata.

pub mod confinement;
pub mod process;
pub mod warden;
