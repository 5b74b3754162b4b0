//! Starting a program below a warden, in a sandbox if there is to be one.

use std::ffi::OsString;
use std::sync::Arc;

use sandbox::launch::{Settings, Starting};
use sandbox::{Guard, Policy};
use tokio::process::{Child, Command};

use super::frame::FrameError;
use super::process::ProcessorError;

/// What was started.
pub(super) struct Started {
    /// The warden.
    pub(super) warden: Child,
    /// The sandbox; none if there is to be none.
    pub(super) guard: Option<Arc<dyn Guard>>,
}

/// Has `command`, which becomes the warden, run the program and arguments of `words`, which may do
/// what `policy` says.
///
/// # Errors
/// It cannot be started, or not so.
pub(super) async fn start(
    mut command: std::process::Command,
    settings: &Settings,
    policy: Policy,
    words: Vec<OsString>,
) -> Result<Started, ProcessorError> {
    let starting = match settings.is_empty() {
        true => None,
        false => Some(Starting::new(settings.clone())?),
    };
    if let Some(starting) = &starting {
        command.args(starting.arguments());
        starting.prepare(&mut command);
    }
    let program = command.get_program().to_owned();
    let warden = Command::from(command)
        .args(words)
        .spawn()
        .map_err(|source| ProcessorError::Start {
            program: program.into(),
            source,
        })?;
    let guard: Option<Arc<dyn Guard>> = match starting {
        None => None,
        Some(starting) => {
            let begun = tokio::task::spawn_blocking(|| starting.finish(policy));
            match begun.await {
                Ok(sandbox) => Some(Arc::new(sandbox?)),
                Err(_) => return Err(ProcessorError::Frame(FrameError::Closed)),
            }
        }
    };
    Ok(Started { warden, guard })
}
