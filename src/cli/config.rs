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
    let (variables, atoms): (Vec<&str>, Vec<&str>) = arguments
        .names
        .iter()
        .map(String::as_str)
        .partition(|name| is_variable(name));
    let paint = Paint::for_output(arguments.display.color);
    let mut output = String::new();
    let json = arguments.display.json;
    if atoms.is_empty() {
        let config = load(&arguments)?;
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

/// Whether the text is meant as a variable's name: packages have small letters or a slash.
fn is_variable(text: &str) -> bool {
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
    use super::is_variable;

    #[test]
    fn variables_are_told_from_packages() {
        for name in ["USE", "LIBDIR_amd64", "_X", "CFLAGS", "L10N"] {
            assert!(is_variable(name), "{name}");
        }
        for name in ["gzip", "app-arch/gzip", "=A/B-1", "7zip", "Xaw", ""] {
            assert!(!is_variable(name), "{name}");
        }
    }
}
