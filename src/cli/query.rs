//! `ebd query` and `ebd search`.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::arguments::{self, Display, Places};
use super::build::{self, Failure, complain};
use super::exit::Exit;
use super::paint::Paint;
use super::show::telling;
use super::signals;
use super::stdout;
use crate::build::candidate::Candidate;
use crate::build::event::{Event, Events};
use crate::config::{Config, Options, has_own_configuration, repositories};
use crate::pms::atom::PackageFacts;
use crate::query::{
    Attribute, Found, Index, IndexError, Pattern, QueryError, Restriction, Row, Subject, Template,
    Unknown, search,
};
use crate::repo::installed::{Installed, InstalledError};
use crate::repo::{RepoSet, Repository};
use crate::util::causes::causes;

/// Runs `ebd query`.
pub(super) fn query(arguments: arguments::Query) -> Exit {
    let display = arguments.display.clone();
    match parse(&arguments) {
        Ok((restriction, template)) => {
            signals::run(&display, list(arguments, restriction, template))
        }
        Err(error) => usage(&display, &error),
    }
}

/// Runs `ebd search`.
pub(super) fn find(arguments: arguments::Search) -> Exit {
    let display = arguments.display.clone();
    let pattern = match arguments.regex {
        true => Pattern::regex,
        false => Pattern::word,
    };
    let patterns: Result<Vec<Pattern>, QueryError> =
        arguments.words.iter().map(|word| pattern(word)).collect();
    match patterns {
        Ok(patterns) => signals::run(&display, look_for(arguments, patterns)),
        Err(error) => usage(&display, &error),
    }
}

fn usage(display: &Display, error: &QueryError) -> Exit {
    complain(display, &causes(error));
    Exit::Usage
}

fn parse(arguments: &arguments::Query) -> Result<(Restriction, Option<Template>), QueryError> {
    let parts: Result<Vec<Restriction>, QueryError> =
        arguments.queries.iter().map(|text| text.parse()).collect();
    let mut parts = parts?;
    if arguments.visible {
        parts.insert(0, "visible".parse()?);
        // Cheap tests first.
        parts.rotate_left(1);
    }
    let template = arguments
        .format
        .as_deref()
        .map(Template::parse)
        .transpose()?;
    Ok((Restriction::All(parts), template))
}

fn options(places: &Places) -> Options {
    Options {
        config_root: places.config_root.clone(),
        config_file: places.config.clone(),
        root: places.root.clone(),
        extra_repos: places.repos.clone(),
        ..Options::from_process()
    }
}

/// The folder of what can be had again.
fn cache(options: &Options) -> Result<PathBuf, Failure> {
    Ok(build::cache_folder(has_own_configuration(options)?))
}

/// Opens an index of a repository; the folders are that of indexes and that of the writable cache.
trait Open: Fn(&RepoSet, &Repository, &Path, &Path) -> Result<Index, IndexError> {}

impl<F: Fn(&RepoSet, &Repository, &Path, &Path) -> Result<Index, IndexError>> Open for F {}

/// The indexes of all repositories, lowest priority first.
fn indexes(set: &RepoSet, cache: &Path, open: &impl Open) -> Result<Vec<Index>, IndexError> {
    let (folder, metadata) = (cache.join("query"), cache.join("metadata"));
    set.repositories()
        .map(|repository| open(set, repository, &folder, &metadata))
        .collect()
}

/// The indexes, with everything that has no metadata sourced. Those ebuilds that cannot be, and folders that cannot be
/// read, are told, and whether there are any.
async fn complete(
    set: &RepoSet,
    places: &Places,
    display: &Display,
    open: impl Open,
) -> Result<(Vec<Index>, bool), Failure> {
    if set.repositories().next().is_none() {
        return Err(Failure(vec![
            "no repository is configured; name one with --repo PATH".to_owned(),
        ]));
    }
    let cache = cache(&options(places))?;
    let found = indexes(set, &cache, &open)?;
    let unknown: Vec<Unknown> = found.iter().flat_map(Index::unknown).cloned().collect();
    if unknown.is_empty() {
        let faulty = tell_faults(&found, display);
        return Ok((found, faulty));
    }
    let failed = telling(display.aside(), |events, _| source(places, unknown, events)).await?;
    for (unknown, reasons) in &failed {
        let ebuild = &unknown.ebuild;
        let mut causes = vec![format!(
            "{}::{}: has no metadata, and is left out",
            ebuild.cpv, ebuild.repository
        )];
        causes.extend(reasons.iter().cloned());
        complain(display, &causes);
    }
    let found = indexes(set, &cache, &open)?;
    let faulty = tell_faults(&found, display);
    Ok((found, faulty || !failed.is_empty()))
}

/// Tells of folders that cannot be read, and whether there are any.
fn tell_faults(indexes: &[Index], display: &Display) -> bool {
    let mut any = false;
    for error in indexes.iter().flat_map(Index::faults) {
        any = true;
        let mut causes = causes(error);
        if let Some(first) = causes.first_mut() {
            first.push_str(", and is left out");
        }
        complain(display, &causes);
    }
    any
}

/// Tells of folders with ebuilds that are no categories.
fn tell_unlisted(set: &RepoSet, display: &Display) -> Result<(), Failure> {
    if display.quiet {
        return Ok(());
    }
    let categories = set.categories()?;
    for repository in set.repositories() {
        for left_out in repository.unlisted_categories(&categories)? {
            let _ = writeln!(std::io::stderr(), "ebd: {left_out}");
        }
    }
    Ok(())
}

/// Sources ebuilds, which leaves their entries in the writable cache. Gives those that could not be, with the reasons.
async fn source(
    places: &Places,
    unknown: Vec<Unknown>,
    events: Events,
) -> Result<Vec<(Unknown, Vec<String>)>, Failure> {
    let processors = build::processors(places)?;
    let stores = arguments::Stores::default();
    if unknown.len() > 20 {
        events.tell(Event::Notice {
            text: format!(
                "{} ebuilds have no valid metadata and are sourced; ebd regen does that for good",
                unknown.len()
            ),
        });
    }
    // What the configuration gives rise to is told once, and nothing is built here.
    let (unheard, _) = Events::new();
    let session = build::session(places, &stores, processors, unheard, &[], &[])?;
    let mut failed = Vec::new();
    for unknown in unknown {
        if let Err(error) = Candidate::load(&session, unknown.ebuild.clone()).await {
            failed.push((unknown, causes(&error)));
        }
    }
    session.pool.end().await;
    Ok(failed)
}

async fn list(
    arguments: arguments::Query,
    restriction: Restriction,
    template: Option<Template>,
) -> Result<Exit, Failure> {
    let options = options(&arguments.places);
    let needs_configuration = restriction.needs_configuration()
        || match &template {
            Some(template) => template.needs_configuration(),
            None => arguments.display.json,
        };
    let config = match needs_configuration {
        true => Some(Config::load(&options)?),
        false => None,
    };
    let (own, found);
    let (set, warnings) = match &config {
        Some(config) => (config.repositories(), config.warnings()),
        None => {
            (own, found) = repositories(&options)?;
            (&own, found.as_slice())
        }
    };
    if !arguments.display.quiet {
        for warning in warnings {
            let _ = writeln!(std::io::stderr(), "ebd: {warning}");
        }
    }
    let restriction = restriction.resolved(set)?;
    // Where atoms name the packages, only those are looked at.
    let packages = restriction.packages();
    if packages.is_none() {
        tell_unlisted(set, &arguments.display)?;
    }
    let (indexes, incomplete) = complete(
        set,
        &arguments.places,
        &arguments.display,
        |set: &RepoSet, repository: &Repository, folder: &Path, metadata: &Path| match &packages {
            Some(all) => Index::of_packages(set, repository, all, Some(metadata)),
            None => Index::entries(set, repository, Some(folder), Some(metadata)),
        },
    )
    .await?;
    let rows = indexes
        .iter()
        .flat_map(|index| -> Box<dyn Iterator<Item = Row<'_>>> {
            match &packages {
                None => Box::new(index.rows(None)),
                Some(all) => Box::new(all.iter().flat_map(move |cp| index.rows(Some(cp)))),
            }
        });
    let installed = installed_from(config.as_ref())?;
    // In the order of the repositories, so that of equal versions the better one comes later.
    let mut found = Vec::new();
    for row in rows {
        if restriction.matches(&subject(&row, config.as_ref(), &installed)) {
            found.push(row);
        }
    }
    found.sort_by(|a, b| a.cpv.cmp(&b.cpv));
    if arguments.best {
        let mut best: Vec<Row<'_>> = Vec::new();
        for row in found {
            if best
                .last()
                .is_some_and(|last| last.cpv.cp() == row.cpv.cp())
            {
                best.pop();
            }
            best.push(row);
        }
        found = best;
    }
    let paint = Paint::for_output(arguments.display.color);
    stdout::lines(found.iter().map(|row| {
        let subject = subject(row, config.as_ref(), &installed);
        match &template {
            Some(template) => template.fill(&subject),
            None if arguments.display.json => json(&subject),
            None => format!("{}::{}", paint.bold(row.cpv.as_str()), row.repository),
        }
    }));
    Ok(match found.is_empty() || incomplete {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

fn subject<'a>(
    row: &'a Row<'a>,
    config: Option<&'a Config>,
    installed: &'a HashMap<String, BTreeSet<String>>,
) -> Subject<'a> {
    Subject::new(&row.cpv, row.repository, row.entry, config)
        .installed_from(installed.get(row.cpv.cp()))
}

/// The repositories that each package, category/name, is installed from, if the configuration makes that matter.
fn installed_from(
    config: Option<&Config>,
) -> Result<HashMap<String, BTreeSet<String>>, InstalledError> {
    let mut from: HashMap<String, BTreeSet<String>> = HashMap::new();
    let Some(config) = config.filter(|config| config.has_update_options()) else {
        return Ok(from);
    };
    let Some(installed) = Installed::open(config.eroot())? else {
        return Ok(from);
    };
    for package in installed.all()? {
        if let Some(repository) = package.repository() {
            let all = from.entry(package.cpv().cp().to_owned()).or_default();
            all.insert(repository.to_owned());
        }
    }
    Ok(from)
}

/// Everything that is known of an ebuild.
fn json(subject: &Subject<'_>) -> String {
    let values = Attribute::all().iter().map(|attribute| {
        let value = match attribute.name {
            "visible" => serde_json::json!(subject.is_visible()),
            "live" => serde_json::json!(subject.is_live()),
            _ => serde_json::json!(attribute.text(subject)),
        };
        (attribute.name.to_owned(), value)
    });
    serde_json::Value::Object(values.collect()).to_string()
}

async fn look_for(arguments: arguments::Search, patterns: Vec<Pattern>) -> Result<Exit, Failure> {
    let (set, warnings) = repositories(&options(&arguments.places))?;
    if !arguments.display.quiet {
        for warning in warnings {
            let _ = writeln!(std::io::stderr(), "ebd: {warning}");
        }
    }
    tell_unlisted(&set, &arguments.display)?;
    let (indexes, incomplete) = complete(
        &set,
        &arguments.places,
        &arguments.display,
        |set: &RepoSet, repository: &Repository, folder: &Path, metadata: &Path| {
            Index::descriptions(set, repository, Some(folder), Some(metadata))
        },
    )
    .await?;
    let found = search(&indexes, &patterns);
    let paint = Paint::for_output(arguments.display.color);
    stdout::lines(found.iter().map(|one| {
        match arguments.display.json {
            true => serde_json::json!({
                "package": one.cp,
                "version": one.version,
                "description": one.description,
                "repositories": one.repositories,
            })
            .to_string(),
            false => shown(one, &patterns, paint),
        }
    }));
    Ok(match found.is_empty() || incomplete {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

fn shown(found: &Found, patterns: &[Pattern], paint: Paint) -> String {
    format!(
        "{} {} ({})\n    {}",
        marked(&found.cp, patterns, paint),
        found.version,
        found.repositories.join(", "),
        marked(&found.description, patterns, paint),
    )
}

/// The text with what was found in it painted.
fn marked(text: &str, patterns: &[Pattern], paint: Paint) -> String {
    let mut hits = vec![false; text.len()];
    for range in patterns.iter().flat_map(|pattern| pattern.places(text)) {
        if let Some(part) = hits.get_mut(range) {
            part.fill(true);
        }
    }
    let mut result = String::new();
    let mut part = String::new();
    let mut inside = false;
    for (at, c) in text.char_indices() {
        let hit = hits.get(at).copied().unwrap_or_default();
        if hit != inside {
            result.push_str(&if inside {
                paint.good(&part)
            } else {
                part.clone()
            });
            part.clear();
            inside = hit;
        }
        part.push(c);
    }
    result.push_str(&if inside { paint.good(&part) } else { part });
    result
}
