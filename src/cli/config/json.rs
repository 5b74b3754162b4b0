//! The configuration for scripts.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::Package;
use crate::config::{Config, Effect, MaskReason, Origin, PackageConfig, Step, Steps, Subject};
use crate::pms::atom::PackageFacts;

/// A place.
fn place(origin: &Origin) -> Json {
    match origin.line {
        0 => json!({ "file": origin.file }),
        line => json!({ "file": origin.file, "line": line }),
    }
}

fn steps(list: &[Step]) -> Json {
    let step = |step: &Step| {
        json!({
            "name": step.name,
            "text": step.text,
            "origin": place(&step.origin),
            "effect": match step.effect {
                Effect::On => "on",
                Effect::Off => "off",
                Effect::Set => "set",
            },
        })
    };
    list.iter().map(step).collect()
}

/// What holds without a package.
pub(super) fn whole(config: &Config, names: &[&str], why: Option<&Steps>) -> Json {
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    let settings = config.all_settings();
    let settings = settings.iter().filter(|(name, _)| wanted(name));
    let mut object = json!({
        "variables": settings.clone().copied().collect::<BTreeMap<_, _>>(),
    });
    let Some(map) = object.as_object_mut() else {
        return object;
    };
    if names.is_empty() {
        let set = config.repositories();
        let repositories = set.repositories().map(|repository| {
            let name = repository.name();
            let masters = set.masters(name).unwrap_or_default();
            json!({
                "name": name,
                "location": repository.location(),
                "priority": set.priority(name),
                "aliases": set.aliases(name),
                "masters": masters.iter().map(|it| it.name()).collect::<Vec<_>>(),
            })
        });
        let nodes = config.profile_nodes().iter();
        map.insert("config_root".into(), json!(config.config_root()));
        map.insert("profile".into(), json!(config.profile()));
        map.insert(
            "profiles".into(),
            nodes.map(|node| json!(node.path)).collect(),
        );
        map.insert("repositories".into(), repositories.collect());
        map.insert("warnings".into(), json!(config.warnings()));
        map.insert("assumptions".into(), json!(config.assumptions()));
    }
    if let Some(why) = why {
        let told = settings.map(|(name, _)| ((*name).to_owned(), steps(why.of_variable(name))));
        map.insert("why".into(), Json::Object(told.collect()));
        if wanted("USE") {
            map.insert("use_mask_why".into(), steps(why.about(&Subject::UseMask)));
            map.insert("use_force_why".into(), steps(why.about(&Subject::UseForce)));
        }
    }
    object
}

fn mask(reason: &MaskReason) -> Json {
    let mut object = match reason {
        MaskReason::PackageMask {
            atom,
            origin,
            comment,
        } => {
            json!({ "kind": "package.mask", "atom": atom, "origin": place(origin), "comment": comment })
        }
        MaskReason::Keyword { keywords, needed } => {
            json!({ "kind": "keyword", "keywords": keywords, "needed": needed })
        }
        MaskReason::License { missing } => json!({ "kind": "license", "missing": missing }),
        MaskReason::Properties { missing } => json!({ "kind": "properties", "missing": missing }),
        MaskReason::Restrict { missing } => json!({ "kind": "restrict", "missing": missing }),
        MaskReason::Invalid { variable, problem } => {
            json!({ "kind": "invalid", "variable": variable, "problem": problem })
        }
        MaskReason::NoUpdate {
            repository,
            installed_from,
            only,
        } => {
            json!({ "kind": "no update", "repository": repository, "installed_from": installed_from, "only": only })
        }
    };
    if let Some(map) = object.as_object_mut() {
        map.insert("text".into(), json!(reason.to_string()));
    }
    object
}

/// What holds for a package.
pub(super) fn package(package: &Package, names: &[&str]) -> Json {
    let candidate = &package.candidate;
    let PackageConfig {
        use_flags,
        iuse_effective,
        iuse_prefixes,
        use_mask,
        use_force,
        variables,
        masks,
        bashrcs,
        features,
        stable,
        tests_restricted,
    } = &candidate.config;
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    let variables = variables.iter().filter(|(name, _)| wanted(name));
    let mut object = json!({
        "package": candidate.cpv().as_str(),
        "repository": &*candidate.ebuild.repository,
        "variables": variables.clone().collect::<BTreeMap<_, _>>(),
    });
    let Some(map) = object.as_object_mut() else {
        return object;
    };
    if names.is_empty() {
        for (key, value) in [
            ("eapi", json!(candidate.eapi.name())),
            ("slot", json!(candidate.value("SLOT"))),
            ("iuse", json!(super::text::iuse(candidate))),
            ("use", json!(use_flags)),
            ("iuse_effective", json!(iuse_effective)),
            ("iuse_effective_prefixes", json!(iuse_prefixes)),
            ("use_mask", json!(use_mask)),
            ("use_force", json!(use_force)),
            ("keywords", json!(candidate.value("KEYWORDS"))),
            ("license", json!(candidate.value("LICENSE"))),
            ("stable", json!(stable)),
            ("visible", json!(masks.is_empty())),
            ("masks", masks.iter().map(mask).collect()),
            ("features", json!(features)),
            ("tests_restricted", json!(tests_restricted)),
            ("bashrcs", json!(bashrcs)),
        ] {
            map.insert(key.into(), value);
        }
    }
    if let Some(why) = &package.steps {
        let told = variables.map(|(name, _)| (name.clone(), steps(why.of_variable(name))));
        map.insert("why".into(), Json::Object(told.collect()));
        let more = [
            ("use_mask_why", Subject::UseMask, "USE"),
            ("use_force_why", Subject::UseForce, "USE"),
            ("keywords_why", Subject::Keywords, ""),
            ("accept_keywords_why", Subject::AcceptKeywords, ""),
            ("accept_license_why", Subject::AcceptLicense, ""),
            ("accept_properties_why", Subject::AcceptProperties, ""),
            ("accept_restrict_why", Subject::AcceptRestrict, ""),
            ("mask_why", Subject::Mask, ""),
        ];
        for (key, subject, variable) in more {
            if names.is_empty() || names.contains(&variable) {
                map.insert(key.into(), steps(why.about(&subject)));
            }
        }
    }
    object
}
