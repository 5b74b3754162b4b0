//! The variables of USE_EXPAND, as one package sees them.

use std::collections::{BTreeMap, BTreeSet};

use super::stack::{self, ExpandNames, Layers};

/// The USE_EXPAND variables as the package sees them; flags that a wildcard stood for are added.
pub(super) fn expand_variables(
    names: &ExpandNames,
    layers: &Layers<'_>,
    flags: &mut BTreeSet<String>,
    iuse_effective: &BTreeSet<String>,
    use_mask: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let prefixes: BTreeSet<String> = names
        .prefixed
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for flag in iuse_effective {
        // The shortest name counts where one is the beginning of another.
        let name = flag
            .match_indices('_')
            .map(|(at, _)| flag.get(..at).unwrap_or_default());
        if let Some(name) = name.into_iter().find(|name| prefixes.contains(*name)) {
            by_name.entry(name).or_default().push(flag);
        }
    }
    for (name, members) in &by_name {
        if flags.contains(&format!("{name}_*")) {
            flags.extend(
                members
                    .iter()
                    .filter(|flag| !use_mask.contains(**flag))
                    .map(|flag| (*flag).to_owned()),
            );
        }
    }
    let mut result = BTreeMap::new();
    for name in &names.prefixed {
        let prefix = stack::prefix(name);
        let enabled: BTreeSet<&str> = flags
            .iter()
            .filter_map(|flag| flag.strip_prefix(&prefix))
            .collect();
        let in_iuse: BTreeSet<&str> = iuse_effective
            .iter()
            .filter_map(|flag| flag.strip_prefix(&prefix))
            .collect();
        let wildcard = enabled.contains("*");
        // The order of the setting is kept, since it can matter (LINGUAS).
        let mut values: Vec<&str> = Vec::new();
        let set = layers
            .value(name)
            .split_whitespace()
            .filter(|value| enabled.contains(value));
        let mut add = |value: &'_ str| {
            if let Some(known) = in_iuse.get(value)
                && !values.contains(known)
            {
                values.push(known);
            }
        };
        set.for_each(&mut add);
        enabled.iter().for_each(|value| add(value));
        if wildcard {
            in_iuse
                .iter()
                .filter(|value| !use_mask.contains(&format!("{prefix}{value}")))
                .for_each(|value| add(value));
        }
        result.insert(name.to_uppercase(), values.join(" "));
    }
    for name in &names.unprefixed {
        let Some(setting) = layers.get(name) else {
            continue;
        };
        let values = setting
            .value
            .split_whitespace()
            .filter(|value| flags.contains(*value));
        result.insert(name.clone(), values.collect::<Vec<_>>().join(" "));
    }
    result
}
