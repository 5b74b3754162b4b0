//! USE dependencies, the flags between an atom's brackets (PMS 8.3.4).

use std::fmt;

/// What is demanded of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UseRequirement {
    /// `[opt]`
    Enabled,
    /// `[-opt]`
    Disabled,
    /// `[opt=]`: the same as in the package that has the dependency.
    Equal,
    /// `[!opt=]`: the opposite.
    Opposite,
    /// `[opt?]`: enabled if it is enabled there.
    EnabledIf,
    /// `[!opt?]`: disabled if it is disabled there.
    DisabledUnless,
}

/// One flag between an atom's brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UseDep {
    /// The flag's name.
    pub flag: String,
    /// How the flag counts for packages that do not have it: `(+)` as enabled, `(-)` as disabled.
    pub default: Option<bool>,
    /// What is demanded.
    pub requirement: UseRequirement,
}

impl UseDep {
    /// Whether the requirement depends on the package that has the dependency.
    pub fn is_conditional(&self) -> bool {
        !matches!(
            self.requirement,
            UseRequirement::Enabled | UseRequirement::Disabled
        )
    }

    /// What is left of the requirement given the flags of the package that has the dependency;
    /// nothing if it then demands nothing.
    pub fn evaluate(&self, enabled: impl Fn(&str) -> bool) -> Option<UseDep> {
        let demanded = match self.requirement {
            UseRequirement::Enabled => true,
            UseRequirement::Disabled => false,
            UseRequirement::Equal => enabled(&self.flag),
            UseRequirement::Opposite => !enabled(&self.flag),
            UseRequirement::EnabledIf => enabled(&self.flag).then_some(true)?,
            UseRequirement::DisabledUnless => (!enabled(&self.flag)).then_some(false)?,
        };
        Some(UseDep {
            flag: self.flag.clone(),
            default: self.default,
            requirement: match demanded {
                true => UseRequirement::Enabled,
                false => UseRequirement::Disabled,
            },
        })
    }
}

impl fmt::Display for UseDep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, suffix) = match self.requirement {
            UseRequirement::Enabled => ("", ""),
            UseRequirement::Disabled => ("-", ""),
            UseRequirement::Equal => ("", "="),
            UseRequirement::Opposite => ("!", "="),
            UseRequirement::EnabledIf => ("", "?"),
            UseRequirement::DisabledUnless => ("!", "?"),
        };
        let default = match self.default {
            None => "",
            Some(true) => "(+)",
            Some(false) => "(-)",
        };
        write!(f, "{prefix}{}{default}{suffix}", self.flag)
    }
}
