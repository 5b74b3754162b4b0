//! `ebd regen`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc::unbounded_channel;

use super::arguments;
use super::build::{Failure, absolute};
use super::exit::Exit;
use super::paint::Paint;
use super::signals;
use super::stdout;
use crate::config::{Options, cache_directory, repositories};
use crate::pms::names::NameKind;
use crate::processor::Settings;
use crate::regen::event::Event;
use crate::regen::lists::Lists;
use crate::regen::run::{self, Mode, regen};
use crate::repo::{LeftOut, RepoError, RepoSet, Repository};
use crate::util::output::Output;

/// Runs `ebd regen`.
pub(super) fn main(arguments: arguments::Regen) -> Exit {
    let display = arguments.display.clone();
    signals::run(&display, execute(arguments))
}

async fn execute(arguments: arguments::Regen) -> Result<Exit, Failure> {
    let options = Options {
        config_root: arguments.places.config_root.clone(),
        config_file: arguments.places.config.clone(),
        root: arguments.places.root.clone(),
        extra_repos: arguments.places.repos.clone(),
        ..Options::from_process()
    };
    let mode = match (arguments.check, arguments.verify) {
        (true, _) => Mode::Check,
        (_, true) => Mode::Verify,
        _ => Mode::Write,
    };
    let mut view = View::new(&arguments.display, mode);
    let (set, warnings) = repositories(&options)?;
    // Whatever goes wrong from here on, they may tell why.
    for text in warnings {
        view.show(&Event::Notice { text });
    }
    let set = Arc::new(set);
    let memory = cache_directory(&options)?.map(|folder| folder.join("regen"));
    let (packages, names) = named(&arguments.names, &set)?;
    let whole = names.iter().filter(|_| packages.is_empty());
    for repository in whole.filter_map(|name| set.repository(name)) {
        for left_out in left_out(&set, repository)? {
            let text = left_out.to_string();
            view.show(&Event::Notice { text });
        }
    }
    let lists = lists(&arguments, names.len())?;
    let options = run::Options {
        jobs: arguments.jobs.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        ),
        processors: Settings {
            bashes: super::build::bashes(&arguments.places),
            program: std::env::current_exe()?,
            confinement: None,
            sandbox: sandbox::launch::Settings::default(),
            temporary: None,
        },
        cache: arguments.cache.as_deref().map(absolute),
        memory: arguments.memory.as_deref().map(absolute).or(memory),
        packages,
        mode,
        lists,
        everything: arguments.all,
        whole_eclasses: arguments.whole_eclasses,
        limit: Duration::from_secs(arguments.timeout),
        unconfined: arguments.unconfined,
    };
    let (events, mut told) = unbounded_channel();
    let printer = tokio::spawn(async move {
        while let Some(event) = told.recv().await {
            view.show(&event);
        }
    });
    let mut failed = false;
    let mut error = None;
    for name in names {
        match regen(set.clone(), &name, options.clone(), events.clone()).await {
            Ok(summary) => {
                let unclean = summary.stale > 0 || summary.removed > 0 || summary.different > 0;
                failed |= summary.failed > 0 || (mode != Mode::Write && unclean);
            }
            Err(problem) => {
                error = Some(problem);
                break;
            }
        }
    }
    drop(events);
    let _ = printer.await;
    match error {
        Some(error) => Err(error.into()),
        None if failed => Ok(Exit::Failed),
        None => Ok(Exit::Done),
    }
}

/// The packages among what was named, which must be there, and the repositories: all if none is named.
fn named(texts: &[String], set: &RepoSet) -> Result<(Vec<String>, Vec<String>), Failure> {
    // As a shell completes the names of folders.
    let bare = |text: &String| {
        let mut bare = text.trim_end_matches('/');
        while let Some(rest) = bare.strip_prefix("./") {
            bare = rest.trim_start_matches('/');
        }
        bare.to_owned()
    };
    let (packages, mut names): (Vec<String>, Vec<String>) = texts
        .iter()
        .map(|text| match bare(text) {
            bare if bare.is_empty() || bare == "." => text.clone(),
            bare => bare,
        })
        .partition(|name| name.contains('/'));
    if let Some(text) = packages.iter().find(|text| !is_package(text)) {
        return Err(Failure(vec![format!(
            "{text}: is no package; name one as category/name, and a repository by its name or \
             with --repo PATH"
        )]));
    }
    if names.is_empty() {
        let all = set.repositories();
        names = all.map(|repository| repository.name().to_owned()).collect();
    }
    if names.is_empty() {
        return Err(Failure(vec![
            "no repository is configured; name one with --repo PATH".to_owned(),
        ]));
    }
    // A repository that is unknown is told of by whoever works on it.
    let Some(repositories) = names
        .iter()
        .map(|name| set.repository(name))
        .collect::<Option<Vec<_>>>()
    else {
        return Ok((packages, names));
    };
    for package in &packages {
        let mut known = false;
        for repository in &repositories {
            let found = repository.ebuilds(package)?;
            known |= !found.ebuilds.is_empty() || !found.invalid.is_empty();
        }
        if !known {
            return Err(Failure(vec![format!(
                "{package}: there is no such package in {}",
                names.join(", ")
            )]));
        }
    }
    Ok((packages, names))
}

/// The folders of a repository whose ebuilds nobody looks at.
fn left_out(set: &RepoSet, repository: &Repository) -> Result<Vec<LeftOut>, RepoError> {
    let categories = set.categories()?;
    let mut found = repository.unlisted_categories(&categories)?;
    for category in &categories {
        // One that cannot be read is told of by the survey.
        found.extend(repository.misnamed_packages(category).unwrap_or_default());
    }
    Ok(found)
}

/// Whether a text is the name of a package with its category.
fn is_package(text: &str) -> bool {
    text.split_once('/').is_some_and(|(category, name)| {
        NameKind::Category.is_valid(category) && NameKind::Package.is_valid(name)
    })
}

/// What else is to be made of `repositories` repositories.
fn lists(arguments: &arguments::Regen, repositories: usize) -> Result<Lists, Failure> {
    let place = |option: &str, wanted: &Option<Option<PathBuf>>| {
        let problem = match wanted {
            Some(None) if arguments.cache.is_some() => format!(
                "--{option}: with --cache the repository stays as it is; say which file to write, \
                 --{option}=FILE"
            ),
            Some(Some(_)) if repositories > 1 => format!(
                "--{option}=FILE: {repositories} repositories cannot be written to one file; name \
                 one of them"
            ),
            Some(Some(file)) => {
                let output = Output::find(file)?;
                if output.file().is_some() || !(arguments.check || arguments.verify) {
                    return Ok(Some(Some(absolute(file))));
                }
                format!(
                    "--{option}={}: is no regular file, so there is nothing to compare",
                    file.display()
                )
            }
            _ => return Ok(wanted.as_ref().map(|_| None)),
        };
        Err(Failure(vec![problem]))
    };
    if arguments.timestamp && arguments.cache.is_some() {
        return Err(Failure(vec![
            "--timestamp: with --cache the repository stays as it is".to_owned(),
        ]));
    }
    Ok(Lists {
        use_local_desc: place("use-local-desc", &arguments.use_local_desc)?,
        pkg_desc_index: place("pkg-desc-index", &arguments.pkg_desc_index)?,
        timestamp: arguments.timestamp,
    })
}

/// Events as a person sees them, or as lines of JSON.
struct View {
    mode: Mode,
    json: bool,
    quiet: bool,
    verbose: bool,
    paint: Paint,
    bar: Option<ProgressBar>,
}

impl View {
    fn new(display: &arguments::Display, mode: Mode) -> Self {
        Self {
            mode,
            json: display.json,
            quiet: display.quiet,
            verbose: display.verbose,
            paint: Paint::new(display.color),
            bar: None,
        }
    }

    fn show(&mut self, event: &Event) {
        if self.json {
            if let Ok(line) = serde_json::to_string(event) {
                stdout::line(line);
            }
            return;
        }
        match event {
            Event::Surveyed { stale, .. } => {
                if *stale > 0 && !self.quiet && std::io::stderr().is_terminal() {
                    let bar = ProgressBar::new(*stale as u64);
                    if let Ok(style) =
                        ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta} {msg}")
                    {
                        bar.set_style(style);
                    }
                    self.bar = Some(bar);
                }
            }
            Event::Generated { package, written } => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                    bar.set_message(package.clone());
                }
                if self.verbose {
                    let what = if *written { "written" } else { "the same" };
                    self.print(&format!("{package}: {what}"));
                }
            }
            Event::Kept { package } => {
                if self.verbose {
                    self.print(&format!("{package}: unaffected by changed eclasses"));
                }
            }
            Event::Different {
                package,
                key,
                cached,
                sourced,
            } => {
                let bad = self.paint.bad("different:");
                self.complain(&match key.as_str() {
                    "" => format!("{bad} {package}: the same values, but not the same text"),
                    _ => format!(
                        "{bad} {package}: {key}\n  in the cache: {cached}\n  sourced:      {sourced}"
                    ),
                });
            }
            Event::Copied {
                path,
                format,
                written,
                unchanged,
                removed,
            } => self.print(&format!(
                "{} ({format}): {written} written, {unchanged} unchanged, {removed} removed",
                path.display()
            )),
            Event::Listed { path, changed } => {
                let what = match (self.mode, changed) {
                    (Mode::Write, true) => "written",
                    (_, true) => "stale",
                    (_, false) => "the same",
                };
                if *changed || self.verbose {
                    self.print(&format!("{}: {what}", path.display()));
                }
            }
            Event::Changed { path } => {
                self.complain(&format!(
                    "{} {}: changed meanwhile; entries that inherit it are stale, call ebd regen \
                     again",
                    self.paint.warn("warning:"),
                    path.display()
                ));
            }
            Event::Notice { text } => {
                self.complain(&format!("{} {text}", self.paint.warn("note:")));
            }
            Event::Printed { package, lines } => {
                for line in lines {
                    self.complain(&format!(
                        "{} {package} prints in global scope: {line}",
                        self.paint.warn("note:")
                    ));
                }
            }
            Event::Failed { causes, .. } => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
                let mut causes = causes.iter();
                let mut text = format!(
                    "{} {}",
                    self.paint.bad("error:"),
                    causes.next().map_or("", String::as_str)
                );
                for cause in causes {
                    text.push_str(&format!("\n  because: {cause}"));
                }
                self.complain(&text);
            }
            Event::Stale { package, reason } => self.print(&format!("{package}: {reason}")),
            Event::Removed { path } => {
                if self.verbose {
                    self.print(&format!("{}: has no ebuild", path.display()));
                }
            }
            Event::Finished { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                self.print(&self.summary(event));
            }
        }
    }

    /// What a finished repository is summed up as.
    fn summary(&self, event: &Event) -> String {
        let Event::Finished {
            repository,
            generated,
            written,
            valid,
            kept,
            removed,
            failed,
            stale,
            different,
            seconds,
        } = event
        else {
            return String::new();
        };
        let done = match self.mode {
            Mode::Write => {
                let kept = match kept {
                    0 => String::new(),
                    _ => format!("{kept} unaffected by changed eclasses, "),
                };
                format!(
                    "{generated} generated ({written} written), {kept}{valid} still valid, \
                     {removed} removed, {failed} failed"
                )
            }
            Mode::Check => format!(
                "{stale} stale, {removed} without an ebuild, {valid} valid, {failed} failed"
            ),
            Mode::Verify => format!(
                "{generated} verified, {different} different, {stale} stale, {removed} without an \
                 ebuild, {failed} failed"
            ),
        };
        format!("{repository}: {done}, in {seconds:.2} s")
    }

    fn print(&self, line: &str) {
        if !self.quiet {
            self.complain(line);
        }
    }

    fn complain(&self, line: &str) {
        let print = || {
            let _ = writeln!(std::io::stderr(), "{line}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}
