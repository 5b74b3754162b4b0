//! What to leave out of an environment.

use std::collections::HashSet;

use super::special::{
    BASH_VARIABLES, BUILD_HOST_VARIABLES, CURRENT_SETTINGS, IDENTITY_VARIABLES, INTERNAL_PREFIXES,
    SESSION_PREFIXES, SESSION_VARIABLES, STATE_VARIABLES,
};

/// Variables and functions to drop from an [`Environment`](super::Environment), by name or
/// prefix, and whether readonly survives.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    variables: HashSet<String>,
    variable_prefixes: Vec<String>,
    functions: HashSet<Vec<u8>>,
    function_prefixes: Vec<Vec<u8>>,
    drop_readonly: bool,
}

impl Filter {
    /// A filter that drops nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What no saved environment holds: what bash itself declares, the package manager's
    /// internals and state, and the user's session.
    fn common() -> Self {
        let mut filter = Self::new();
        filter
            .drop_variables(BASH_VARIABLES)
            .drop_variables(STATE_VARIABLES)
            .drop_variables(SESSION_VARIABLES);
        for prefix in SESSION_PREFIXES {
            filter.drop_variable_prefix(prefix);
        }
        for prefix in INTERNAL_PREFIXES {
            filter
                .drop_variable_prefix(prefix)
                .drop_function_prefix(prefix);
        }
        filter
    }

    /// For the environment between two phases: drops what bash itself declares, the package
    /// manager's internals, what it sets anew for each phase, and the user's session. `PATH`,
    /// `SHELL`, `TZ`, `MAKEOPTS` and readonly variables of the ebuild persist.
    pub fn for_save() -> Self {
        let mut filter = Self::common();
        filter.drop_variables(IDENTITY_VARIABLES).drop_variables([
            "A",
            "AA",
            "FEATURES",
            "PORTAGE_FEATURES",
        ]);
        filter
    }

    /// For the environment that enters a package: drops what [`for_save`](Self::for_save) does,
    /// but keeps the package's name, its distfiles and `FEATURES`, as records of the build. Also
    /// drops what describes the machine of the build, and the readonly attribute, which would
    /// stop whoever loads the package from setting the variable anew.
    pub fn for_package() -> Self {
        let mut filter = Self::common();
        filter
            .drop_variables(BUILD_HOST_VARIABLES)
            .drop_variable_prefix("__E_")
            .drop_variable_prefix("SANDBOX_")
            .drop_readonly(true);
        filter
    }

    /// For an environment that comes from a package, whoever built it: drops everything that
    /// the package manager sets anew, the package's name included, because it may have been
    /// renamed, and all settings of the system that override the build's.
    pub fn for_load() -> Self {
        let mut filter = Self::common();
        filter
            .drop_variables(IDENTITY_VARIABLES)
            .drop_variables(CURRENT_SETTINGS)
            .drop_variable_prefix("__E_")
            .drop_variable_prefix("SANDBOX_")
            .drop_readonly(true);
        filter
    }

    /// Drops the variables of these names.
    pub fn drop_variables<I>(&mut self, names: I) -> &mut Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.variables
            .extend(names.into_iter().map(|name| name.as_ref().to_owned()));
        self
    }

    /// Keeps the variables of these names, if only their names and no prefix would drop them.
    pub fn keep_variables<I>(&mut self, names: I) -> &mut Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        for name in names {
            self.variables.remove(name.as_ref());
        }
        self
    }

    /// Drops the variables whose names begin so.
    pub fn drop_variable_prefix(&mut self, prefix: &str) -> &mut Self {
        self.variable_prefixes.push(prefix.to_owned());
        self
    }

    /// Drops the functions of these names.
    pub fn drop_functions<I>(&mut self, names: I) -> &mut Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.functions
            .extend(names.into_iter().map(|name| name.as_ref().to_vec()));
        self
    }

    /// Drops the functions whose names begin so.
    pub fn drop_function_prefix(&mut self, prefix: impl AsRef<[u8]>) -> &mut Self {
        self.function_prefixes.push(prefix.as_ref().to_vec());
        self
    }

    /// Whether what is kept loses its readonly attribute.
    pub fn drop_readonly(&mut self, drop: bool) -> &mut Self {
        self.drop_readonly = drop;
        self
    }

    /// True when the filter drops the variable of this name.
    pub fn drops_variable(&self, name: &str) -> bool {
        self.variables.contains(name)
            || self
                .variable_prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// True when the filter drops the function of this name.
    pub fn drops_function(&self, name: &[u8]) -> bool {
        self.functions.contains(name)
            || self
                .function_prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix))
    }

    /// True when what is kept loses its readonly attribute.
    pub fn drops_readonly(&self) -> bool {
        self.drop_readonly
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_filtering_stays_undone() {
        let filter = Filter::for_save();
        for kept in [
            "PATH", "SHELL", "TZ", "EMACS", "MAKEOPTS", "USE", "S", "LANG",
        ] {
            assert!(!filter.drops_variable(kept), "{kept}");
        }
        for dropped in [
            "EUID",
            "BASH_TRAPSIG",
            "ROOT",
            "___x",
            "__ebd_x",
            "IFS",
            "_",
            "TERM",
        ] {
            assert!(filter.drops_variable(dropped), "{dropped}");
        }
        assert!(filter.drops_function(b"___eapi_has_x"));
        assert!(!filter.drops_function(b"__do_sed_fix"));
    }

    #[test]
    fn packages_carry_no_build_host() {
        let filter = Filter::for_package();
        for dropped in [
            "MAKEOPTS",
            "NINJAOPTS",
            "PATH",
            "SANDBOX_WRITE",
            "SSH_AUTH_SOCK",
        ] {
            assert!(filter.drops_variable(dropped), "{dropped}");
        }
        for kept in ["PF", "A", "FEATURES", "SHELL", "LANG"] {
            assert!(!filter.drops_variable(kept), "{kept}");
        }
        assert!(Filter::for_save().drops_variable("PF"));
        assert!(Filter::for_load().drops_variable("PF"));
        assert!(filter.drops_readonly());
    }

    #[test]
    fn covers_what_an_empty_bash_declares() {
        let out = std::process::Command::new("bash")
            .env_clear()
            .args(["--norc", "--noprofile", "-c", "declare -p"])
            .output()
            .unwrap();
        let filter = Filter::for_save();
        let environment = super::super::Environment::parse(&out.stdout).unwrap();
        assert!(environment.variables().count() > 30);
        for variable in environment.variables() {
            let name = variable.name();
            let kept = matches!(name, "PATH" | "SHELL");
            assert_eq!(filter.drops_variable(name), !kept, "{name}");
        }
    }
}
