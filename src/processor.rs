//! The supervised bash: processors that live long, and the shells that build in forks of them.
//!
//! A [`Processor`] is one external bash with the library loaded, started once below a warden. It
//! runs one job at a time, each in a fork of itself, so nothing bleeds from one ebuild into the
//! next and no job pays for starting bash and parsing the library. The [`Pool`] keeps idle
//! processors and forgets any that was part of a failure.
//!
//! Everything that comes back from bash is hostile input: [`frame`] bounds it and knows a fixed
//! set of verbs.

mod bash;
pub mod eclass;
pub mod environment;
pub mod frame;
mod interactive;
mod launch;
pub mod library;
mod pipes;
mod pool;
mod process;
mod scan;
mod shell;
pub mod sourcer;

pub use bash::Bashes;
pub use interactive::{Input, Interactive, InteractiveSetup};
pub use pipes::PipeError;
pub use pool::Pool;
pub use process::{Processor, ProcessorError, Settings};
pub use shell::{Event, Shell, ShellError, ShellSetup};
