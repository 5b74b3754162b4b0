use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::HelperError;
use crate::pms::eapi::Eapi;

/// Variables only the supervisor sets: an ebuild's own value never counts.
const STATE_ONLY: [&str; 6] = [
    "EAPI",
    "EBUILD_PHASE",
    "EBUILD_PHASE_FUNC",
    "FEATURES",
    "USE",
    "PORTAGE_BUILDDIR",
];

/// Everything a helper command knows of the build that called it.
///
/// It comes from two places: the *state*, which the supervisor writes once per phase, and the
/// process environment, which carries what the shell functions `into`, `insopts` and their kin have
/// set. A variable set in both is taken from the environment, so that `ED=… dodir x` does what it
/// does with other package managers.
#[derive(Debug)]
pub struct HelperEnv {
    eapi: Eapi,
    state: HashMap<OsString, OsString>,
    vars: Vars,
    directory: PathBuf,
    stdin: Stdin,
    capture: Option<Captured>,
}

#[derive(Debug)]
enum Vars {
    Process,
    Given(HashMap<OsString, OsString>),
}

/// What a helper reads when told to read standard input.
#[derive(Debug, Clone)]
pub enum Stdin {
    /// The standard input of this process.
    Process,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A terminal, which helpers refuse to read from.
    Terminal,
}

#[derive(Debug, Default)]
struct Captured {
    stdout: RefCell<Vec<u8>>,
    stderr: RefCell<Vec<u8>>,
}

impl HelperEnv {
    /// Reads the state file of the build this process was called from.
    ///
    /// # Errors
    ///
    /// `__EBD_BUILD` is not set, or its `state` file is unreadable or names no supported EAPI.
    pub fn from_process() -> Result<Self, HelperError> {
        let build = std::env::var_os("__EBD_BUILD").filter(|d| !d.is_empty());
        let path = Path::new(&build.ok_or(HelperError::NoBuild)?).join("state");
        let bytes = std::fs::read(&path).map_err(|source| HelperError::State {
            path: path.clone(),
            source,
        })?;
        let state = parse_state(&bytes);
        let eapi = read_eapi(&state, &path)?;
        Ok(Self {
            eapi,
            state,
            vars: Vars::Process,
            directory: PathBuf::new(),
            stdin: Stdin::Process,
            capture: None,
        })
    }

    /// Makes an environment of given variables, which writes nothing to this process's streams.
    ///
    /// `directory` is what relative paths start from. [`HelperEnv::stdout`] and
    /// [`HelperEnv::stderr`] give what was written.
    ///
    /// # Errors
    ///
    /// The state has no `EAPI`, or one that is not supported.
    pub fn from_maps(
        state: HashMap<OsString, OsString>,
        vars: HashMap<OsString, OsString>,
        directory: PathBuf,
        stdin: Stdin,
    ) -> Result<Self, HelperError> {
        let eapi = read_eapi(&state, Path::new("state"))?;
        let capture = Some(Captured::default());
        Ok(Self {
            eapi,
            state,
            vars: Vars::Given(vars),
            directory,
            stdin,
            capture,
        })
    }

    /// What has been written to standard output, if the environment was made of maps.
    #[must_use]
    pub fn stdout(&self) -> Vec<u8> {
        self.capture
            .as_ref()
            .map(|c| c.stdout.borrow().clone())
            .unwrap_or_default()
    }

    /// What has been written to standard error, if the environment was made of maps.
    #[must_use]
    pub fn stderr(&self) -> Vec<u8> {
        self.capture
            .as_ref()
            .map(|c| c.stderr.borrow().clone())
            .unwrap_or_default()
    }

    /// The EAPI of the ebuild.
    #[must_use]
    pub fn eapi(&self) -> Eapi {
        self.eapi
    }

    /// Whether the helper was called below `nonfatal`.
    #[must_use]
    pub fn nonfatal(&self) -> bool {
        let one = Some(OsString::from("1"));
        self.var("__EBD_NONFATAL") == one || self.var("PORTAGE_NONFATAL") == one
    }

    /// Whether this error has to end the build (PMS 11.3.3.1).
    #[must_use]
    pub fn is_fatal(&self, error: &HelperError) -> bool {
        if error.always_aborts() {
            return true;
        }
        let dies = self.eapi.helpers_die() || matches!(error, HelperError::Died { .. });
        dies && !self.nonfatal()
    }

    /// A variable of the ebuild environment, by the precedence said above.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<OsString> {
        let state = || self.state.get(OsStr::new(name)).cloned();
        if STATE_ONLY.contains(&name) {
            return state();
        }
        self.var(name).or_else(state)
    }

    /// A variable as text, empty if it is not set.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name)
            .map(|v| v.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// A variable of the process environment alone.
    pub(super) fn var(&self, name: &str) -> Option<OsString> {
        match &self.vars {
            Vars::Process => std::env::var_os(name),
            Vars::Given(map) => map.get(OsStr::new(name)).cloned(),
        }
    }

    /// A variable that must be there and not be empty.
    pub(super) fn require(&self, variable: &'static str) -> Result<OsString, HelperError> {
        let value = self.get(variable).filter(|v| !v.is_empty());
        value.ok_or(HelperError::Variable { variable })
    }

    /// Whether a word is in `FEATURES`.
    pub(super) fn has_feature(&self, feature: &str) -> bool {
        self.text("FEATURES")
            .split_ascii_whitespace()
            .any(|f| f == feature)
    }

    /// Makes sure that the image may be touched in this phase: PMS 11.1 gives `D` only to
    /// `src_install` and `pkg_preinst`.
    pub(super) fn require_image_phase(&self, helper: &str) -> Result<(), HelperError> {
        let phase = self.text("EBUILD_PHASE");
        if matches!(phase.as_str(), "install" | "preinst") {
            return Ok(());
        }
        let function = self.text("EBUILD_PHASE_FUNC");
        let phase = match (function.is_empty(), phase.is_empty()) {
            (false, _) => function,
            (true, false) => format!("phase {phase}"),
            (true, true) => "global scope".to_owned(),
        };
        Err(HelperError::WrongPhase {
            helper: helper.to_owned(),
            phase,
        })
    }

    /// The image directory, without a slash at its end: `ED`, or `D` before there were prefixes.
    pub(super) fn image(&self) -> Result<OsString, HelperError> {
        let name = if self.eapi.prefix() { "ED" } else { "D" };
        let mut bytes = self.require(name)?.into_vec();
        while bytes.last() == Some(&b'/') {
            bytes.pop();
        }
        if bytes.is_empty() {
            // The root directory itself is never an image; writing there would ruin the system.
            return Err(HelperError::Variable { variable: name });
        }
        Ok(OsString::from_vec(bytes))
    }

    /// A path below the image directory.
    pub(super) fn in_image(&self, path: &OsStr) -> Result<PathBuf, HelperError> {
        let mut full = self.image()?;
        if path.as_bytes().first() != Some(&b'/') {
            full.push("/");
        }
        full.push(path);
        Ok(PathBuf::from(full))
    }

    /// A path as the caller means it.
    pub(super) fn path(&self, path: &OsStr) -> PathBuf {
        if self.directory.as_os_str().is_empty() {
            return PathBuf::from(path);
        }
        self.directory.join(path)
    }

    /// A program to run in this environment.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Vars::Given(map) = &self.vars {
            command.env_clear().envs(map);
        }
        if !self.directory.as_os_str().is_empty() {
            command.current_dir(&self.directory);
        }
        command
    }

    /// Copies standard input to a writer; `None` if it is a terminal.
    pub(super) fn copy_stdin(&self, to: &mut impl Write) -> Option<io::Result<u64>> {
        match &self.stdin {
            Stdin::Terminal => None,
            Stdin::Bytes(bytes) => Some(io::copy(&mut bytes.as_slice(), to)),
            Stdin::Process => {
                let mut stdin = io::stdin().lock();
                if stdin.is_terminal() {
                    return None;
                }
                Some(io::copy(&mut Read::by_ref(&mut stdin), to))
            }
        }
    }

    /// Writes to standard output.
    pub(super) fn print(&self, bytes: &[u8]) -> io::Result<()> {
        match &self.capture {
            Some(captured) => captured.stdout.borrow_mut().write_all(bytes),
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
        }
    }

    /// Writes to standard error; nobody is left to tell if that fails.
    pub(super) fn print_error(&self, bytes: &[u8]) {
        let _ = match &self.capture {
            Some(captured) => captured.stderr.borrow_mut().write_all(bytes),
            None => io::stderr().lock().write_all(bytes),
        };
    }
}

fn parse_state(bytes: &[u8]) -> HashMap<OsString, OsString> {
    let mut state = HashMap::new();
    for entry in bytes.split(|b| *b == 0) {
        let mut halves = entry.splitn(2, |b| *b == b'=');
        if let (Some(key), Some(value)) = (halves.next(), halves.next()) {
            state.insert(
                OsStr::from_bytes(key).to_owned(),
                OsStr::from_bytes(value).to_owned(),
            );
        }
    }
    state
}

fn read_eapi(state: &HashMap<OsString, OsString>, path: &Path) -> Result<Eapi, HelperError> {
    let text = state
        .get(OsStr::new("EAPI"))
        .map(|v| v.to_string_lossy().into_owned());
    let text = text.ok_or(HelperError::Variable { variable: "EAPI" })?;
    Eapi::parse(&text).map_err(|_| HelperError::Eapi {
        path: path.to_owned(),
        eapi: text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_nul_terminated() {
        let state = parse_state(b"A=1\0B=x=y\nz\0C=\0broken\0\xff=\xfe\0");
        let get = |key: &str| state.get(OsStr::new(key)).map(|v| v.as_bytes().to_vec());
        assert_eq!(get("A"), Some(b"1".to_vec()));
        assert_eq!(get("B"), Some(b"x=y\nz".to_vec()));
        assert_eq!(get("C"), Some(Vec::new()));
        assert_eq!(state.len(), 4);
    }
}
