//! The configuration for people.

use std::fmt::Write;

use super::Package;
use crate::build::candidate::Candidate;
use crate::cli::paint::Paint;
use crate::config::{Config, Effect, Step, Steps, Subject};
use crate::pms::atom::PackageFacts;
use crate::util::printable::printable;

/// A value as make.conf would have it, on one line.
fn assignment(name: &str, value: &str, paint: Paint) -> String {
    let value = printable(value.as_ref());
    format!("{}=\"{value}\"\n", paint.bold(name))
}

/// What holds without a package.
pub(super) fn whole(config: &Config, names: &[&str], why: Option<&Steps>, paint: Paint) -> String {
    let mut text = String::new();
    if let Some(why) = why {
        for (name, value) in selected(config, names) {
            variable(&mut text, name, value, why, paint);
        }
        return text;
    }
    if let [name] = names {
        return config.get(name).unwrap_or_default().to_owned() + "\n";
    }
    for (name, value) in selected(config, names) {
        text.push_str(&assignment(name, value, paint));
    }
    text
}

fn selected<'a>(config: &'a Config, names: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    match names {
        [] => config.all_settings(),
        _ => {
            let value = |name: &&'a str| (*name, config.get(name).unwrap_or_default());
            names.iter().map(value).collect()
        }
    }
}

/// One value and the places that led to it.
fn variable(text: &mut String, name: &str, value: &str, why: &Steps, paint: Paint) {
    if name == "USE" {
        let flags = value.split_whitespace();
        return flags_of(text, flags.map(|flag| (flag, true)), why, paint);
    }
    text.push_str(&assignment(name, value, paint));
    let steps = why.of_variable(name);
    if steps.iter().all(|step| step.effect == Effect::Set) {
        // The last one counts.
        for (at, step) in steps.iter().enumerate() {
            let counts = at + 1 == steps.len();
            let told = match counts {
                true => String::new(),
                false => format!("  gave {:?}, which does not count", step.text),
            };
            let _ = writeln!(text, "    {}{told}", step.origin);
        }
        return;
    }
    // Word by word, those that are in the value first; what was taken away again counts too.
    let mut names: Vec<&str> = value.split_whitespace().collect();
    for step in steps {
        if step.name != "*" && !names.contains(&step.name.as_str()) {
            names.push(&step.name);
        }
    }
    for word in names {
        let steps: Vec<&Step> = steps.iter().filter(|step| step.concerns(word)).collect();
        if !steps.is_empty() {
            let _ = writeln!(text, "    {word}  {}", history(&steps));
        }
    }
}

/// The steps about one word, the one that counts first.
fn history(steps: &[&Step]) -> String {
    let mut parts = Vec::new();
    for (at, step) in steps.iter().rev().enumerate() {
        let what = format!("`{}` in {}", step.text, step.origin);
        parts.push(match at {
            0 => what,
            _ => format!("over {what}"),
        });
    }
    parts.join(", ")
}

/// Flags, one a line, with what turned each on or off.
fn flags_of<'a>(
    text: &mut String,
    flags: impl Iterator<Item = (&'a str, bool)>,
    why: &Steps,
    paint: Paint,
) {
    let about = |subject: &Subject, flag: &str| -> Option<String> {
        let steps = why.about(subject).iter();
        let steps: Vec<&Step> = steps.filter(|step| step.concerns(flag)).collect();
        (!steps.is_empty()).then(|| history(&steps))
    };
    let last_on = |subject: &Subject, flag: &str| {
        let mut steps = why.about(subject).iter().rev();
        steps
            .find(|step| step.concerns(flag))
            .is_some_and(|step| step.effect == Effect::On)
    };
    for (flag, on) in flags {
        let masked = last_on(&Subject::UseMask, flag);
        let forced = last_on(&Subject::UseForce, flag);
        let shown = match on {
            true => paint.good(flag),
            false => paint.bad(&format!("-{flag}")),
        };
        let mut told = Vec::new();
        if let Some(history) = about(&Subject::UseMask, flag) {
            told.push(format!(
                "{}: {history}",
                if masked { "masked" } else { "not masked" }
            ));
        }
        if let Some(history) = about(&Subject::UseForce, flag) {
            told.push(format!(
                "{}: {history}",
                if forced { "forced" } else { "not forced" }
            ));
        }
        if let Some(history) = about(&Subject::Use, flag) {
            told.push(history);
        }
        if told.is_empty() {
            told.push(if on { "ARCH" } else { "nothing sets it" }.to_owned());
        }
        let _ = writeln!(text, "{shown}  {}", told.join("; "));
    }
}

/// The flags of a package's IUSE, sorted, without signs.
pub(super) fn iuse(candidate: &Candidate) -> Vec<&str> {
    let words = candidate.value("IUSE").split_whitespace();
    let mut flags: Vec<&str> = words
        .map(|word| word.trim_start_matches(['+', '-']))
        .collect();
    flags.sort_unstable();
    flags.dedup();
    flags
}

/// What holds for a package.
pub(super) fn package(package: &Package, config: &Config, names: &[&str], paint: Paint) -> String {
    let candidate = &package.candidate;
    let own = &candidate.config;
    let mut text = String::new();
    let value = |name: &str| {
        own.variables
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    };
    if let ([name], None) = (names, &package.steps) {
        return value(name).to_owned() + "\n";
    }
    let title = format!("{}::{}", candidate.cpv(), candidate.ebuild.repository);
    let _ = writeln!(text, "{}", paint.bold(&title));
    let none = Steps::default();
    let why = package.steps.as_ref();
    if !names.is_empty() {
        for name in names {
            match why {
                Some(why) if *name == "USE" => package_flags(&mut text, candidate, why, paint),
                Some(why) => variable(&mut text, name, value(name), why, paint),
                None => text.push_str(&assignment(name, value(name), paint)),
            }
        }
        return text;
    }
    let line = |text: &mut String, name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    let tell = |text: &mut String, subject: &Subject| {
        for step in why.unwrap_or(&none).about(subject) {
            let _ = writeln!(text, "              `{}` in {}", step.text, step.origin);
        }
    };
    line(
        &mut text,
        "visible",
        if own.masks.is_empty() { "yes" } else { "no" },
    );
    for reason in &own.masks {
        let reason = reason.to_string().replace('\n', "\n          ");
        let _ = writeln!(text, "              {}", paint.warn(&reason));
    }
    tell(&mut text, &Subject::Mask);
    line(&mut text, "EAPI", candidate.eapi.name());
    line(&mut text, "SLOT", candidate.value("SLOT"));
    let stable = if own.stable { "  (stable)" } else { "" };
    line(
        &mut text,
        "KEYWORDS",
        &format!("{}{stable}", candidate.value("KEYWORDS")),
    );
    tell(&mut text, &Subject::Keywords);
    line(
        &mut text,
        "accepted",
        config.get("ACCEPT_KEYWORDS").unwrap_or_default(),
    );
    tell(&mut text, &Subject::AcceptKeywords);
    line(&mut text, "LICENSE", candidate.value("LICENSE"));
    tell(&mut text, &Subject::AcceptLicense);
    let flags: Vec<String> = iuse(candidate)
        .into_iter()
        .map(|flag| {
            let on = candidate.has_use(flag);
            let shown = match on {
                true => paint.good(flag),
                false => paint.bad(&format!("-{flag}")),
            };
            match own.use_mask.contains(flag) || own.use_force.contains(flag) {
                true => format!("({shown})"),
                false => shown,
            }
        })
        .collect();
    line(&mut text, "USE", &flags.join(" "));
    if let Some(why) = why {
        let mut inner = String::new();
        package_flags(&mut inner, candidate, why, paint);
        inner.lines().for_each(|line| {
            let _ = writeln!(text, "              {line}");
        });
    }
    let known = iuse(candidate);
    let implicit = own
        .iuse_effective
        .iter()
        .filter(|flag| !known.contains(&flag.as_str()));
    let implicit: Vec<&str> = implicit
        .map(String::as_str)
        .filter(|flag| own.use_flags.contains(*flag))
        .collect();
    line(&mut text, "implicit", &implicit.join(" "));
    for (name, here) in &own.variables {
        let everywhere = config.get(name);
        let follows = matches!(
            name.as_str(),
            "USE"
                | "IUSE_EFFECTIVE"
                | "FEATURES"
                | "PORTAGE_FEATURES"
                | "ACCEPT_LICENSE"
                | "PKGUSE"
        ) || config.is_use_expand(name);
        if !follows && everywhere.is_some_and(|it| it != here) {
            line(
                &mut text,
                "differs",
                &format!("{name}=\"{}\"", printable(here.as_ref())),
            );
            for step in why.unwrap_or(&none).of_variable(name) {
                let _ = writeln!(text, "              {:?} in {}", step.text, step.origin);
            }
        }
    }
    let difference = |a: &std::collections::BTreeSet<String>, b, sign: &str| {
        let gone = a.difference(b).map(|word| format!("{sign}{word}"));
        gone.collect::<Vec<_>>()
    };
    let mut features = difference(&own.features, config.features(), "");
    features.extend(difference(config.features(), &own.features, "-"));
    if !features.is_empty() {
        line(&mut text, "FEATURES", &features.join(" "));
    }
    for path in &own.bashrcs {
        line(&mut text, "bashrc", &path.display().to_string());
    }
    text
}

/// The flags of a package's IUSE, and why each is as it is.
fn package_flags(text: &mut String, candidate: &Candidate, why: &Steps, paint: Paint) {
    let flags = iuse(candidate)
        .into_iter()
        .map(|flag| (flag, candidate.has_use(flag)));
    flags_of(text, flags, why, paint);
}
