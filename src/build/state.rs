//! What a build remembers on disk, so that it can be taken up again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::util::anew::write_anew;

/// The file's name in the build's private directory.
const FILE: &str = "progress.json";

/// Variables of the caller's environment that are another's in another terminal or session, and say
/// nothing about what is built.
const SESSION: &[&str] = &[
    "COLORTERM",
    "COLUMNS",
    "DESKTOP_SESSION",
    "DISPLAY",
    "EDITOR",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LESS",
    "LESSOPEN",
    "LINES",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "NO_COLOR",
    "OLDPWD",
    "PAGER",
    "PS1",
    "PS2",
    "PWD",
    "SESSION_MANAGER",
    "SHELL",
    "SHLVL",
    "STY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "USER",
    "VISUAL",
    "VTE_VERSION",
    "WAYLAND_DISPLAY",
    "WINDOW",
    "WINDOWID",
    "WINDOWPATH",
    "XAUTHORITY",
    "_",
];

/// What the names of further such variables begin with.
const SESSION_PREFIXES: &[&str] = &[
    "ALACRITTY_",
    "DBUS_",
    "DIRENV_",
    "EBD_",
    "GNOME_",
    "GPG_",
    "HIST",
    "ITERM_",
    "KDE_",
    "KITTY_",
    "KONSOLE_",
    "LC_TERMINAL",
    "PROMPT_",
    "SSH_",
    "SUDO_",
    "TERM_",
    "TMUX",
    "VSCODE_",
    "WEZTERM_",
    "WT_",
    "XDG_",
];

/// Settings of what is done before and behind the phases: who has no room left in PKGDIR names
/// another one and goes on.
const AROUND: &[&str] = &["GENTOO_MIRRORS", "PKGDIR"];

/// Whether the phases do not depend on a variable of the configuration, so that a build may be taken
/// up whatever it is now.
#[must_use]
pub fn is_indifferent(name: &str) -> bool {
    SESSION.contains(&name)
        || AROUND.contains(&name)
        || SESSION_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// How far a build has come, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// A checksum of everything that the build was started with: ebuild, eclasses, USE and
    /// variables. A build of something else is not taken up.
    pub input: String,
    /// Short names of the finished phases, in order.
    pub finished: Vec<String>,
    /// Whether everything was done to the image that is done to it behind `src_install`: only
    /// packing is left.
    #[serde(default)]
    pub image_finished: bool,
}

/// Why the progress could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no build to take up.
    #[error("{}: there is no build to resume; build without --resume", path.display())]
    Nothing {
        /// The build's directory.
        path: PathBuf,
    },
    /// The build was started with other input.
    #[error("{}: the build there was started with another ebuild, eclass, USE or configuration; build without --resume", path.display())]
    OtherInput {
        /// The build's directory.
        path: PathBuf,
    },
    /// The file is not what this program writes.
    #[error("{}: is damaged; build without --resume", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// The file could not be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The file could not be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl Progress {
    /// Reads the progress of the build whose private directory is `private`, if it was started
    /// with `input`.
    ///
    /// # Errors
    /// A [`StateError`] if there is none, or none of this input.
    pub fn load(private: &Path, input: &str) -> Result<Self, StateError> {
        let progress = Self::read(private)?;
        if progress.input == input {
            Ok(progress)
        } else {
            let path = private.parent().unwrap_or(private).to_owned();
            Err(StateError::OtherInput { path })
        }
    }

    /// Reads the progress of the build whose private directory is `private`, whatever it was
    /// started with.
    ///
    /// # Errors
    /// A [`StateError`] if there is none.
    pub fn read(private: &Path) -> Result<Self, StateError> {
        let path = private.join(FILE);
        let build = || private.parent().unwrap_or(private).to_owned();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StateError::Nothing { path: build() });
            }
            Err(source) => return Err(StateError::Read { path, source }),
            Ok(text) => text,
        };
        serde_json::from_slice(&text).map_err(|source| StateError::Damaged { path, source })
    }

    /// Writes the progress, at once.
    ///
    /// # Errors
    /// [`StateError::Write`].
    pub fn store(&self, private: &Path) -> Result<(), StateError> {
        let path = private.join(FILE);
        let failed = |source| StateError::Write {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        // No sync: after a crash of the machine a build starts anew, after one of ours it does not.
        let beside = private.join(format!("{FILE}.new"));
        write_anew(&beside, &text, 0o644).map_err(failed)?;
        fs::rename(&beside, &path).map_err(failed)
    }

    /// Forgets the progress, so that nobody takes up what is about to be removed piece by piece.
    ///
    /// # Errors
    /// [`StateError::Write`].
    pub fn forget(private: &Path) -> Result<(), StateError> {
        let path = private.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::Write {
                path,
                source: error,
            }),
            _ => Ok(()),
        }
    }

    /// Whether the phase is finished.
    #[must_use]
    pub fn has(&self, phase: &str) -> bool {
        self.finished.iter().any(|p| p == phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_build_of_the_same_input_is_taken_up() {
        let tmp = tempfile::tempdir().unwrap();
        let progress = Progress {
            input: "abc".into(),
            finished: vec!["setup".into()],
            image_finished: false,
        };
        assert!(matches!(
            Progress::load(tmp.path(), "abc"),
            Err(StateError::Nothing { .. })
        ));
        progress.store(tmp.path()).unwrap();
        assert_eq!(Progress::load(tmp.path(), "abc").unwrap(), progress);
        Progress::forget(tmp.path()).unwrap();
        assert!(matches!(
            Progress::load(tmp.path(), "abc"),
            Err(StateError::Nothing { .. })
        ));
        Progress::forget(tmp.path()).unwrap();
        progress.store(tmp.path()).unwrap();
        assert!(matches!(
            Progress::load(tmp.path(), "abd"),
            Err(StateError::OtherInput { .. })
        ));
        fs::write(tmp.path().join(FILE), "{").unwrap();
        assert!(matches!(
            Progress::load(tmp.path(), "abc"),
            Err(StateError::Damaged { .. })
        ));
    }
}
