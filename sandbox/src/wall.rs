//! The wall: Landlock rules that nothing widens once a program runs behind them.
//!
//! Where the monitor decides, it decides about a path that another process may change a moment
//! later. The kernel checks the wall's rules on the file itself, so behind the wall a lost race ends
//! with a refusal.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest set of rights that is asked for; older kernels enforce what they know.
const RIGHTS: ABI = ABI::V6;

/// The oldest set with which files can be moved between directories.
const ENOUGH: ABI = ABI::V2;

/// What stands before and what behind the wall.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wall {
    /// Where files may be changed, each with all below it.
    pub write: Vec<PathBuf>,
    /// Where files may be read, if not everywhere. What may be changed may be read.
    pub read: Option<Vec<PathBuf>>,
}

impl Wall {
    /// Whether a change of `path`, which must be free of links, is left to the wall.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        self.write.iter().any(|place| path.starts_with(place))
    }

    /// Goes behind the wall, for good. Gives `false` if this kernel has none that is good enough.
    ///
    /// # Errors
    /// The kernel refuses the rules.
    pub(crate) fn enter(&self) -> Result<bool, RulesetError> {
        // Devices' requests are no changes of files. And if truncating counted, the kernel would look
        // at the way to each file that is opened, for reading too: the monitor does it itself.
        let change = AccessFs::from_write(RIGHTS) & !(AccessFs::IoctlDev | AccessFs::Truncate);
        let look = AccessFs::ReadFile | AccessFs::ReadDir;
        let mut handled = change;
        if self.read.is_some() {
            handled |= look;
        }
        let needed = AccessFs::from_write(ENOUGH) & change;
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(needed);
        let Ok(rules) = rules else {
            return Ok(false);
        };
        let mut rules = rules
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(handled)?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?
            .create()?;
        for path in &self.write {
            rules = add(rules, path, handled)?;
        }
        for path in self.read.iter().flatten() {
            rules = add(rules, path, look)?;
        }
        Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
    }
}

/// Adds a rule; what does not exist needs none.
fn add(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(place) = PathFd::new(path) else {
        return Ok(rules);
    };
    let rights = match path.is_dir() {
        true => rights,
        false => rights & AccessFs::from_file(RIGHTS),
    };
    rules.add_rule(PathBeneath::new(place, rights))
}
