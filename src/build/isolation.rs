//! Which sandbox each phase of a package runs in, as Portage has it: by FEATURES, RESTRICT,
//! PROPERTIES and the phase.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sandbox::launch::Settings;
use sandbox::{Identity, List, Namespaces, Network, Policy, Wall, Watch};

use super::candidate::Candidate;
use crate::config::{Config, ConfigError, SandboxConf};
use crate::pms::phase::Phase;

/// What decides on the sandboxes of one package.
#[derive(Debug)]
pub struct Isolation {
    features: BTreeSet<String>,
    restrict: Vec<String>,
    properties: Vec<String>,
    /// Who src_ phases run as if not as root.
    user: Option<Identity>,
    is_root: bool,
    /// Whether the ebuild or its eclasses may deny reading.
    denies: bool,
    /// The lists as a phase finds them.
    lists: Vec<(List, PathBuf)>,
}

impl Isolation {
    /// What holds for `candidate`, whose RESTRICT and PROPERTIES have come to these words. `home` is
    /// HOME in its phases.
    ///
    /// # Errors
    /// The configuration of Gentoo's sandbox cannot be read.
    pub fn new(
        config: &Config,
        candidate: &Candidate,
        restrict: &[String],
        properties: &[String],
        eclass_dirs: &[PathBuf],
        home: &Path,
    ) -> Result<Self, ConfigError> {
        let variable = |name: &str| candidate.config.variables.get(name);
        let conf = SandboxConf::read(config.config_root(), home, |name| variable(name).is_some())?;
        let mut lists = Vec::new();
        for list in List::ALL {
            let own = variable(&list.variable())
                .into_iter()
                .flat_map(|value| sandbox::split(value.as_bytes()));
            let all = conf.paths(list).iter().cloned().chain(own);
            lists.extend(all.map(|path| (list, path)));
        }
        lists.push((List::Read, "/".into()));
        lists.push((List::Write, config.tmpdir().join("portage")));
        let features = candidate.config.features.clone();
        let is_root = nix::unistd::geteuid().is_root();
        let drops = is_root
            && features.contains("userpriv")
            && !restrict.iter().any(|word| word == "userpriv");
        let denied = lists.iter().any(|(list, _)| *list == List::Deny);
        Ok(Self {
            user: drops.then(|| user(config)).flatten(),
            features,
            restrict: restrict.to_vec(),
            properties: properties.to_vec(),
            is_root,
            denies: denied || mentions(candidate, eclass_dirs, "adddeny"),
            lists,
        })
    }

    fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }

    fn is_restricted(&self, word: &str) -> bool {
        self.restrict.iter().any(|other| other == word)
    }

    fn is_a(&self, property: &str) -> bool {
        self.properties.iter().any(|other| other == property)
    }

    /// Whether the phase works on the system rather than on the build.
    fn is_free(phase: Phase) -> bool {
        matches!(
            phase,
            Phase::Pretend
                | Phase::Setup
                | Phase::Config
                | Phase::Info
                | Phase::Preinst
                | Phase::Postinst
                | Phase::Prerm
                | Phase::Postrm
        )
    }

    /// Who the phase runs as, if not as this process's user.
    #[must_use]
    pub fn user(&self, phase: Phase) -> Option<&Identity> {
        let drops = match phase {
            Phase::Unpack | Phase::Prepare | Phase::Configure | Phase::Compile => true,
            Phase::Test => !self.is_a("test_privileged"),
            _ => false,
        };
        self.user.as_ref().filter(|_| drops)
    }

    /// Whether what the phase changes is watched.
    #[must_use]
    pub fn is_watched(&self, phase: Phase) -> bool {
        if Self::is_free(phase) {
            return false;
        }
        if self.user(phase).is_some() {
            return self.has("usersandbox");
        }
        // For these Portage looks at usersandbox alone where there could be userpriv.
        let user_phase = matches!(phase, Phase::Configure | Phase::Compile | Phase::Test);
        let given_up = user_phase
            && !self.is_root
            && self.has("userpriv")
            && !self.has("usersandbox")
            && !self.is_restricted("userpriv");
        !given_up && (self.has("sandbox") || self.has("usersandbox"))
    }

    /// Whether configure runs of the phase are looked up in the confcache, for which all that they
    /// look at is traced.
    #[must_use]
    pub fn traces(&self, phase: Phase) -> bool {
        phase == Phase::Configure && self.has("confcache") && !self.is_restricted("confcache")
    }

    /// How the shell of the phase is confined from its start.
    #[must_use]
    pub fn settings(&self, phase: Phase) -> Settings {
        let free = Self::is_free(phase);
        // Any phase of the same shell may need it: what is free is made free by the policy.
        let watched = self.has_sandbox();
        let networked = free
            || self.is_restricted("network-sandbox")
            || (phase == Phase::Unpack && self.is_a("live"))
            || (phase == Phase::Test && self.is_a("test_network"));
        let watch = match (self.traces(phase), self.denies) {
            (true, _) => Some(Watch::Everything),
            (false, true) => Some(Watch::Reads).filter(|_| watched),
            (false, false) => Some(Watch::Changes).filter(|_| watched),
        };
        let wall = || Wall {
            write: match watched {
                true => self
                    .paths(List::Write)
                    .filter_map(|path| path.canonicalize().ok())
                    .collect(),
                false => vec!["/".into()],
            },
            read: None,
        };
        Settings {
            watch,
            wall: watch.map(|_| wall()),
            namespaces: Namespaces {
                network: match self.has("network-sandbox") && !networked {
                    true => Network::Loopback,
                    false => Network::Host,
                },
                ipc: self.has("ipc-sandbox") && !free,
                pid: self.has("pid-sandbox"),
                mount: self.has("mount-sandbox"),
            },
            identity: self.user(phase).cloned(),
            attached: false,
        }
    }

    fn paths(&self, wanted: List) -> impl Iterator<Item = &PathBuf> {
        let of_list = self.lists.iter().filter(move |(list, _)| *list == wanted);
        of_list.map(|(_, path)| path)
    }

    /// What the phase may do, what the ebuild adds apart.
    #[must_use]
    pub fn policy(&self, phase: Phase) -> Policy {
        if !self.is_watched(phase) {
            return Policy::free();
        }
        let mut policy = Policy::confined().minding_environment();
        for (list, path) in &self.lists {
            policy.add(*list, path);
        }
        if phase == Phase::Test {
            // Tests that try the system are refused, which is no fault of theirs.
            policy.add(List::Predict, Path::new("/"));
        }
        policy
    }

    /// Whether any phase is watched.
    #[must_use]
    pub fn has_sandbox(&self) -> bool {
        self.has("sandbox") || self.has("usersandbox")
    }

    /// The variables of Gentoo's sandbox that ebuilds look at, with their values before the first
    /// phase; none if nothing is ever watched.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, Vec<u8>)> {
        if !self.has_sandbox() {
            return Vec::new();
        }
        let lists = List::ALL.map(|list| {
            let paths: Vec<Vec<u8>> = self.paths(list).map(|path| sandbox::escape(path)).collect();
            (list.variable(), paths.join(&b':'))
        });
        let switches = [("SANDBOX_ON", "1"), ("SANDBOX_ACTIVE", "armedandready")]
            .map(|(name, value)| (name.to_owned(), value.into()));
        lists.into_iter().chain(switches).collect()
    }
}

/// The user that builds run as when they need not be root: PORTAGE_USERNAME and PORTAGE_GRPNAME; none
/// if this system has no such user, or it is root.
fn user(config: &Config) -> Option<Identity> {
    let name = config.get("PORTAGE_USERNAME").unwrap_or("portage");
    let group = config.get("PORTAGE_GRPNAME").unwrap_or("portage");
    let user = nix::unistd::User::from_name(name).ok().flatten()?;
    let group = nix::unistd::Group::from_name(group).ok().flatten()?;
    if user.uid.is_root() {
        return None;
    }
    let name = std::ffi::CString::new(name).ok()?;
    let groups = nix::unistd::getgrouplist(&name, group.gid).ok()?;
    Some(Identity {
        uid: user.uid.as_raw(),
        gid: group.gid.as_raw(),
        // Root's group is nothing that a build needs.
        groups: groups
            .into_iter()
            .map(nix::unistd::Gid::as_raw)
            .filter(|gid| *gid != 0)
            .collect(),
    })
}

/// Whether the ebuild or one of its eclasses has this word.
fn mentions(candidate: &Candidate, eclass_dirs: &[PathBuf], word: &str) -> bool {
    let has = |path: &Path| {
        std::fs::read(path).is_ok_and(|text| {
            text.windows(word.len())
                .any(|window| window == word.as_bytes())
        })
    };
    let eclass = |name: &str| {
        let file = format!("{name}.eclass");
        let mut places = eclass_dirs.iter().map(|dir| dir.join(&file));
        places.find(|path| path.exists())
    };
    let inherited = candidate.entry.eclasses().unwrap_or_default();
    has(&candidate.ebuild.path)
        || inherited
            .iter()
            .filter_map(|(name, _)| eclass(name))
            .any(|path| has(&path))
}
