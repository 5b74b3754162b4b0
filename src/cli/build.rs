//! `ebd build`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use sandbox::Feature;

use super::arguments::{self, Display, Places, Stores};
use super::exit::Exit;
use super::paint::Paint;
use super::plan;
use super::progress::{Progress, Verbosity};
use super::signals;
use crate::binpkg::pkgdir::Format;
use crate::build::event::{Event, Events};
use crate::build::host::Host;
use crate::build::package::Settings;
use crate::build::run;
use crate::build::session::Session;
use crate::build::unsupported;
use crate::config::{Config, Options};
use crate::fetch::{FetchOptions, Fetcher};
use crate::processor::{Pool, Processor, Settings as ProcessorSettings};
use crate::util::causes::causes;

/// Runs `ebd build`.
pub(super) fn main(arguments: arguments::Build) -> Exit {
    let display = arguments.display.clone();
    let done = signals::guard(work(arguments)).unwrap_or_else(|error| {
        complain(&display, &[format!("cannot start: {error}")]);
        Exit::Failed
    });
    if let Exit::Signal(number) = done {
        let signal = Signal::try_from(i32::from(number)).map_or("a signal", Signal::as_str);
        complain(
            &display,
            &[format!(
                "ended by {signal}; builds that were at work can be taken up with --resume"
            )],
        );
    }
    done
}

/// An error of this subcommand before there are events.
pub(super) struct Failure(pub(super) Vec<String>);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(causes(&error))
    }
}

async fn work(arguments: arguments::Build) -> Exit {
    let display = arguments.display.clone();
    let (events, mut told) = Events::new();
    let shown = display.clone();
    let printer = tokio::spawn(async move {
        if shown.json {
            while let Some(event) = told.recv().await {
                print_json(&event);
            }
        } else {
            let verbosity = match (shown.quiet, shown.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            };
            let mut progress = Progress::new(verbosity, Paint::new(shown.color));
            while let Some(event) = told.recv().await {
                progress.show(&event);
            }
        }
    });
    let result = execute(arguments, events).await;
    // All senders are gone with the work, so the printer comes to its end.
    let _ = printer.await;
    match result {
        Ok(exit) => exit,
        Err(Failure(causes)) => {
            complain(&display, &causes);
            Exit::Failed
        }
    }
}

/// Plans and builds.
async fn execute(arguments: arguments::Build, events: Events) -> Result<Exit, Failure> {
    let format = match arguments.format {
        Some(arguments::Format::Gpkg) => Format::Gpkg,
        _ => Format::Xpak,
    };
    if format == Format::Gpkg && !arguments.pretend {
        return Err(Failure(vec![
            "gpkg is not written yet; use --format xpak".to_owned(),
        ]));
    }
    let processors = ProcessorSettings {
        bash: arguments.places.bash.clone(),
        program: std::env::current_exe()?,
        confinement: None,
        sandbox: sandbox::launch::Settings::default(),
        temporary: None,
    };
    // Bash starts while the configuration is read.
    let starting = processors.clone();
    let first = tokio::spawn(async move { Processor::start(&starting).await });
    let mut session = session(&arguments.places, &arguments.stores, processors, events)?;
    session.degrade.extend(&arguments.degrade);
    let session = Arc::new(session);
    if let Ok(Ok(processor)) = first.await {
        session.pool.put_back(processor);
    }
    let plan = run::plan(&session, &arguments.atoms, !arguments.nodeps).await?;
    if arguments.pretend {
        plan::show(&plan, &session.config, arguments.display.json);
        session.pool.end().await;
        return Ok(Exit::Done);
    }
    let settings = Settings {
        resume: arguments.resume,
        stop_after: arguments.stop_after,
        keep: arguments.keep,
        verbose: arguments.display.verbose,
        phase_limit: arguments.phase_timeout.map(Duration::from_secs),
        format,
        bash: arguments.places.bash.clone(),
    };
    let all = run::build(
        session.clone(),
        plan,
        &settings,
        usize::from(arguments.jobs),
    )
    .await;
    session.pool.end().await;
    Ok(if all { Exit::Done } else { Exit::Failed })
}

/// What all builds share, from the command line and the configuration.
fn session(
    places: &Places,
    stores: &Stores,
    processors: ProcessorSettings,
    events: Events,
) -> Result<Session, Failure> {
    let options = Options {
        config_root: places.config_root.clone(),
        root: places.root.clone(),
        extra_repos: places.repos.clone(),
        pkgdir: stores.pkgdir.as_deref().map(absolute),
        distdir: stores.distdir.as_deref().map(absolute),
        tmpdir: stores.tmpdir.as_deref().map(absolute),
        ..Options::from_process()
    };
    let config = Config::load(&options)?;
    let unsupported = unsupported::notices(&config)?;
    let notices = config.assumptions().iter().chain(config.warnings());
    for text in notices.chain(&unsupported) {
        events.tell(Event::Notice { text: text.clone() });
    }
    let mut fetch = FetchOptions::new(config.distdir());
    fetch.ro_distdirs = config
        .get("PORTAGE_RO_DISTDIRS")
        .unwrap_or_default()
        .split_whitespace()
        .map(PathBuf::from)
        .collect();
    fetch.locks = config.features().contains("distlocks");
    let mut degrade = Vec::new();
    for word in config
        .get("EBD_DEGRADE")
        .unwrap_or_default()
        .split_whitespace()
    {
        match Feature::named(word) {
            Some(feature) => degrade.push(feature),
            None => {
                let known = Feature::ALL.map(Feature::name).join(", ");
                return Err(Failure(vec![
                    format!("EBD_DEGRADE: there is nothing called {word:?}"),
                    format!("it takes words from: {known}"),
                ]));
            }
        }
    }
    let installed = Host::open(config.eroot(), config.provided())?;
    Ok(Session {
        program: processors.program.clone(),
        pool: Pool::new(processors),
        events,
        fetcher: Fetcher::new(fetch),
        installed: Arc::new(installed),
        degrade,
        missing: Mutex::default(),
        metadata_cache: metadata_cache(&config),
        config,
    })
}

/// Where metadata is kept that repositories do not ship: beside Portage's for root with this system's
/// own configuration, else in the user's cache.
fn metadata_cache(config: &Config) -> PathBuf {
    let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let own = config.profile().is_some() && config.config_root() == Path::new("/");
    if own && nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/cache/ebd/metadata");
    }
    home("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| home("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("ebd/metadata")
}

/// A path as it is from the root on; one that does not exist yet is fine.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Prints an event as one line of JSON.
fn print_json(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// Prints why nothing was done.
pub(super) fn complain(display: &Display, causes: &[String]) {
    if display.json {
        let line = serde_json::json!({ "event": "error", "causes": causes });
        let _ = writeln!(std::io::stdout(), "{line}");
        return;
    }
    let paint = Paint::new(display.color);
    let mut causes = causes.iter();
    let mut text = format!(
        "{} {}",
        paint.bad("error:"),
        causes.next().map_or("", String::as_str)
    );
    for cause in causes {
        text.push_str(&format!("\n  because: {}", cause.replace('\n', "\n    ")));
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}
