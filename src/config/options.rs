//! What the caller decides before any file is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The outside of a configuration: paths from the command line, the caller's environment and
/// what kind of machine this is. [`Options::from_process`] asks the running process; tests fill
/// the fields themselves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where `etc/portage` is found; otherwise PORTAGE_CONFIGROOT, otherwise `/`.
    pub config_root: Option<PathBuf>,
    /// The file that is read instead of `etc/portage/ebd.toml`; otherwise EBD_CONFIG.
    pub config_file: Option<PathBuf>,
    /// ROOT; otherwise that of the environment or make.conf, otherwise `/`.
    pub root: Option<PathBuf>,
    /// Repositories to add by their path.
    pub extra_repos: Vec<PathBuf>,
    /// PKGDIR, before every other setting of it.
    pub pkgdir: Option<PathBuf>,
    /// DISTDIR, before every other setting of it.
    pub distdir: Option<PathBuf>,
    /// PORTAGE_TMPDIR, before every other setting of it.
    pub tmpdir: Option<PathBuf>,
    /// The caller's environment.
    pub env: BTreeMap<String, String>,
    /// The machine as `uname -m` names it, for the defaults without a profile.
    pub machine: String,
    /// The effective user. For others than root, and without a Gentoo configuration, state is
    /// kept below the user's home directory.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The user's name.
    pub user: String,
    /// The group's name.
    pub group: String,
}

impl Options {
    /// Options of the running process: its environment, its rights, its machine. Variables that
    /// are not UTF-8 are left out, as are those that bash could not take.
    pub fn from_process() -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let machine = nix::sys::utsname::uname()
            .map(|name| name.machine().to_string_lossy().into_owned())
            .unwrap_or_else(|_| std::env::consts::ARCH.to_owned());
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let user = nix::unistd::User::from_uid(uid)
            .ok()
            .flatten()
            .map(|user| user.name);
        let group = nix::unistd::Group::from_gid(gid)
            .ok()
            .flatten()
            .map(|group| group.name);
        Options {
            env,
            machine,
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            user: user.unwrap_or_else(|| uid.to_string()),
            group: group.unwrap_or_else(|| gid.to_string()),
            ..Options::default()
        }
    }

    /// A variable of the caller's environment that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}
