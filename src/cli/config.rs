//! `ebd config`.

mod json;
mod text;

use std::io::Write;

use super::arguments;
use super::build::{self, Failure};
use super::exit::Exit;
use super::paint::Paint;
use super::show::telling;
use super::signals;
use super::stdout;
use crate::build::candidate::Candidate;
use crate::build::event::Events;
use crate::build::plan;
use crate::config::{Config, Options, Steps};
use crate::pms::suggest::closest;
use crate::repo::PackageName;

/// Runs `ebd config`.
pub(super) fn main(arguments: arguments::Config) -> Exit {
    let display = arguments.display.clone();
    signals::run(&display, work(arguments))
}

/// A package, and what led to what is said of it if that was asked for.
struct Package {
    candidate: Candidate,
    steps: Option<Steps>,
}

async fn work(arguments: arguments::Config) -> Result<Exit, Failure> {
    let names = &arguments.names;
    // Nothing but packages has a slash; the configuration tells what all else is.
    let config = match names.is_empty() || names.iter().any(|name| !name.contains('/')) {
        true => Some(load(&arguments)?),
        false => None,
    };
    let (variables, atoms) = sorted(names, config.as_ref())?;
    let paint = Paint::for_output(arguments.display.color);
    let mut output = String::new();
    let json = arguments.display.json;
    if let Some(config) = config.filter(|_| atoms.is_empty()) {
        if !arguments.display.quiet && !json {
            let notices = config.assumptions().iter().chain(config.warnings());
            for notice in notices {
                let _ = writeln!(std::io::stderr(), "ebd: {notice}");
            }
        }
        check(&config, &variables)?;
        let steps = arguments.why.then(|| config.explain());
        output = match json {
            true => json::whole(&config, &variables, steps.as_ref()).to_string() + "\n",
            false => text::whole(&config, &variables, steps.as_ref(), paint),
        };
    } else {
        let (config, packages) = packages(&arguments, &atoms).await?;
        for package in &packages {
            if !variables.is_empty() {
                check_package(package, &variables)?;
            }
            output.push_str(&match json {
                true => json::package(package, &variables).to_string() + "\n",
                false => text::package(package, &config, &variables, paint),
            });
        }
    }
    stdout::write(output.as_bytes());
    Ok(Exit::Done)
}

/// The names of variables, and those of packages. A name without a slash is that of a variable if there is one; what
/// looks like one is one unless it is that of a package.
fn sorted<'a>(
    names: &'a [String],
    config: Option<&Config>,
) -> Result<(Vec<&'a str>, Vec<&'a str>), Failure> {
    let (mut variables, mut atoms) = (Vec::new(), Vec::new());
    for name in names {
        let variable = match config.filter(|_| !name.contains('/')) {
            None => false,
            Some(config) if config.sets(name) => true,
            Some(config) => {
                let package = || config.repositories().package_named(name);
                looks_like_variable(name) && package()? == PackageName::Unknown
            }
        };
        match variable {
            true => variables.push(name.as_str()),
            false => atoms.push(name.as_str()),
        }
    }
    Ok((variables, atoms))
}

/// Whether the text looks like a variable's name: most packages have small letters.
fn looks_like_variable(text: &str) -> bool {
    let (start, rest) = text.split_at_checked(1).unwrap_or_default();
    let named = start.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // LIBDIR_amd64 is one too.
    let head = text.split('_').next().unwrap_or_default();
    named && !head.contains(|c: char| c.is_ascii_lowercase())
}

fn load(arguments: &arguments::Config) -> Result<Config, Failure> {
    let places = &arguments.places;
    Ok(Config::load(&Options {
        config_root: places.config_root.clone(),
        config_file: places.config.clone(),
        root: places.root.clone(),
        extra_repos: places.repos.clone(),
        ..Options::from_process()
    })?)
}

/// Whether the variables are set.
fn check(config: &Config, variables: &[&str]) -> Result<(), Failure> {
    let Some(name) = variables.iter().find(|name| config.get(name).is_none()) else {
        return Ok(());
    };
    if config.sets(name) {
        let told = format!("{name}: is set for some packages only; name one of them, too");
        return Err(Failure(vec![told]));
    }
    let all = config.all_settings();
    Err(unset(name, all.iter().map(|(name, _)| *name)))
}

fn check_package(package: &Package, variables: &[&str]) -> Result<(), Failure> {
    let known = &package.candidate.config.variables;
    match variables.iter().find(|name| !known.contains_key(**name)) {
        Some(name) => Err(unset(name, known.keys().map(String::as_str))),
        None => Ok(()),
    }
}

fn unset<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Failure {
    let near = closest(name, all);
    let near = match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", near.join(" or ")),
    };
    Failure(vec![format!("{name}: nothing sets this variable{near}")])
}

/// The packages that the atoms mean.
async fn packages(
    arguments: &arguments::Config,
    atoms: &[&str],
) -> Result<(Config, Vec<Package>), Failure> {
    // What is printed is the configuration, in JSON too.
    let display = arguments.display.aside();
    telling(display, |events, _| chosen(arguments, atoms, events)).await
}

async fn chosen(
    arguments: &arguments::Config,
    atoms: &[&str],
    events: Events,
) -> Result<(Config, Vec<Package>), Failure> {
    let stores = arguments::Stores::default();
    let processors = build::processors(&arguments.places)?;
    let session = build::session(&arguments.places, &stores, processors, events, &[], &[])?;
    let mut packages = Vec::new();
    for atom in atoms {
        let candidate = plan::choose_to_look(&session, atom).await?;
        let steps = arguments.why.then(|| candidate.explain(&session.config));
        packages.push(Package { candidate, steps });
    }
    session.pool.end().await;
    Ok((session.config, packages))
}

#[cfg(test)]
mod tests {
    use super::looks_like_variable;

    #[test]
    fn variables_are_told_from_packages() {
        for name in ["USE", "LIBDIR_amd64", "_X", "CFLAGS", "L10N"] {
            assert!(looks_like_variable(name), "{name}");
        }
        for name in ["gzip", "app-arch/gzip", "=A/B-1", "7zip", "Xaw", ""] {
            assert!(!looks_like_variable(name), "{name}");
        }
    }
}
