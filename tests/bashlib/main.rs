//! The bash library's commands, run in a real bash.
//!
//! What the processor brings (`die`, `nonfatal`, messages to the supervisor) and the helper
//! programs are small stand-ins that tell what was asked of them.

// The lint's exception for tests does not reach the functions tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod availability;
mod configure;
mod install;
mod messages;
mod phases;
mod sources;
mod stage;
mod useflags;
mod versions;
