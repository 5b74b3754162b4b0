//! What a build's private directory holds for the processes of the build: the helpers' names, the
//! variables they read, and the way in which a failed helper tells so.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::helper;
use super::variables::Variables;
use crate::pms::eapi::Eapi;
use crate::processor::frame::encode_helper_failed;
use crate::util::anew::write_anew;

/// The variable by which helpers find the private directory.
pub const BUILD_VARIABLE: &str = "__EBD_BUILD";

/// The variable that tells the pid of the shell that runs the phases.
const SHELL_VARIABLE: &str = "__EBD_SHELL_PID";

/// A file of the private directory could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written", path.display())]
pub struct RuntimeError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub source: io::Error,
}

/// The folder below the private directory that is in `PATH` before all others.
#[must_use]
pub fn helper_folder(private: &Path) -> PathBuf {
    private.join("bin")
}

/// Makes the folder of helpers: every name that the EAPI has, as a link to `program`.
///
/// # Errors
/// A [`RuntimeError`] that names the link.
pub fn link_helpers(private: &Path, eapi: Eapi, program: &Path) -> Result<(), RuntimeError> {
    let folder = helper_folder(private);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RuntimeError { path, source }
    };
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&folder)(error));
        }
        _ => {}
    }
    fs::create_dir(&folder).map_err(failed(&folder))?;
    // One symbolic link with many names, where the filesystem can: making a file for each takes it
    // ten times as long, for every package.
    let mut first: Option<PathBuf> = None;
    for name in helper::names(eapi) {
        let link = folder.join(name);
        if let Some(first) = &first
            && fs::hard_link(first, &link).is_ok()
        {
            continue;
        }
        std::os::unix::fs::symlink(program, &link).map_err(failed(&link))?;
        first.get_or_insert(link);
    }
    Ok(())
}

/// Writes what a phase starts with: `phase.env` for the shell and `state` for the helpers.
///
/// # Errors
/// A [`RuntimeError`] that names the file.
pub fn write_phase(
    private: &Path,
    token: &str,
    variables: &Variables,
    absent: &[&str],
    helpers: &Variables,
) -> Result<(), RuntimeError> {
    let mut text = variables.to_bash();
    if !absent.is_empty() {
        text.extend_from_slice(format!("unset -v {}\n", absent.join(" ")).as_bytes());
    }
    write(&private.join("phase.env"), &text)?;
    let mut state = helpers.to_state();
    state.extend_from_slice(format!("{TOKEN}={token}\0").as_bytes());
    write(&private.join("state"), &state)
}

/// The name of the token among the helpers' variables.
const TOKEN: &str = "__EBD_TOKEN";

/// Writes the variables that the shell starts with.
///
/// # Errors
/// A [`RuntimeError`] that names the file.
pub fn write_initial(private: &Path, variables: &Variables) -> Result<(), RuntimeError> {
    write(&private.join("initial.env"), &variables.to_bash())
}

/// Writes a file that only this user reads.
///
/// # Errors
/// A [`RuntimeError`] that names the file.
pub fn write(path: &Path, content: &[u8]) -> Result<(), RuntimeError> {
    write_anew(path, content, 0o600).map_err(|source| RuntimeError {
        path: path.to_owned(),
        source,
    })
}

/// In the process of a failed helper: has the build end.
///
/// The message is left for the shell's trap, the supervisor is told in case there is no trap any
/// more, and the shell gets its signal; so does the subshell that called the helper, if there is
/// one, whose end keeps it from going on. Nothing of it can fail in a way that matters: who is
/// told in none of the ways is no process of a build.
pub fn report_failure(message: &str) {
    let Some(private) = std::env::var_os(BUILD_VARIABLE).map(PathBuf::from) else {
        return;
    };
    // The first failure is the cause; the file is made once.
    let first = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(private.join("helper-failed"));
    if let Ok(mut file) = first {
        let _ = file.write_all(message.as_bytes());
    }
    if let Some(token) = token(&private) {
        let pipe = fs::OpenOptions::new().write(true).open(private.join("up"));
        if let Ok(mut pipe) = pipe {
            let _ = pipe.write_all(&encode_helper_failed(&token, message));
        }
    }
    let shell = std::env::var(SHELL_VARIABLE)
        .ok()
        .and_then(|pid| pid.parse().ok())
        .map(Pid::from_raw);
    if let Some(shell) = shell.filter(|pid| pid.as_raw() > 1) {
        let parent = Pid::parent();
        if parent != shell && is_fork_of(parent, shell) {
            // The one signal whose victim bash does not report.
            let _ = kill(parent, Signal::SIGPIPE);
        }
        let _ = kill(shell, Signal::SIGPWR);
    }
}

/// Whether `pid` is a subshell of `shell`: bash that was forked but runs no other program.
fn is_fork_of(pid: Pid, shell: Pid) -> bool {
    let line = |pid: Pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let own = line(shell);
    !own.is_empty() && line(pid) == own
}

/// The build's token, from the helpers' variables.
fn token(private: &Path) -> Option<String> {
    let state = fs::read(private.join("state")).ok()?;
    state.split(|&byte| byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(TOKEN.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}
