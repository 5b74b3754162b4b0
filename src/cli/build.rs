//! `ebd build`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use sandbox::Feature;

use super::arguments::{self, Compared, Display, Places, Stores};
use super::exit::Exit;
use super::paint::Paint;
use super::plan;
use super::show::telling;
use super::{shell, signals, stdout, terminal};
use crate::binpkg::pkgdir::{Format, Pkgdir};
use crate::build::ahead::Ahead;
use crate::build::binaries::{self, Binaries, BinariesError};
use crate::build::console::Console;
use crate::build::event::{Event, Events};
use crate::build::failure::Origin;
use crate::build::fetch_options::fetch_options;
use crate::build::host::Host;
use crate::build::package::{Manner, Settings, Until, Visit, Wish};
use crate::build::packaging::{package_format, package_signer};
use crate::build::run;
use crate::build::session::Session;
use crate::build::unsupported;
use crate::config::{Config, Options, cache_directory};
use crate::fetch::Fetcher;
use crate::processor::{Bashes, Pool, Processor, Settings as ProcessorSettings};
use crate::util::causes::causes;

/// Runs `ebd build`.
pub(super) fn main(arguments: arguments::Build) -> Exit {
    let display = arguments.around.display.clone();
    let done = signals::run(&display, work(arguments));
    tell_end(&display, done);
    done
}

/// Tells that a signal has ended the work, and what can be done then.
pub(super) fn tell_end(display: &Display, done: Exit) {
    if let Exit::Signal(number) = done {
        let signal = Signal::try_from(i32::from(number)).map_or("a signal", Signal::as_str);
        complain(
            display,
            &[format!(
                "ended by {signal}; builds that were at work can be taken up with --resume"
            )],
        );
    }
}

/// An error of this subcommand before there are events.
pub(super) struct Failure(pub(super) Vec<String>);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(causes(&error))
    }
}

async fn work(arguments: arguments::Build) -> Result<Exit, Failure> {
    let display = arguments.around.display.clone();
    telling(display, |events, console| {
        execute(arguments, events, console)
    })
    .await
}

/// Plans and builds.
async fn execute(
    arguments: arguments::Build,
    events: Events,
    console: Console,
) -> Result<Exit, Failure> {
    let format = arguments.format.map(|format| match format {
        arguments::Format::Gpkg => Format::Gpkg,
        arguments::Format::Xpak => Format::Xpak,
    });
    let processors = processors(&arguments.around.places)?;
    if arguments.shell_on_failure && !terminal::is_there() {
        return Err(Failure(vec![
            "--shell-on-failure: there is no terminal to work at; ebd shell --failed -c takes commands"
                .to_owned(),
        ]));
    }
    // Bash starts while the configuration is read.
    let starting = processors.clone();
    let first = tokio::spawn(async move { Processor::start(&starting).await });
    let session = Arc::new(session(
        &arguments.around.places,
        &arguments.around.stores,
        processors,
        events,
        &arguments.degrade.features,
        if arguments.confcache {
            &["confcache"]
        } else {
            &[]
        },
    )?);
    if let Ok(Ok(processor)) = first.await {
        session.pool.put_back(processor);
    }
    // What can be known to fail at the end must not fail there.
    let value = |name: &str| session.config.get(name).map(str::to_owned);
    let signing = session.config.features().contains("binpkg-signing");
    package_signer(package_format(format, &value)?, signing, &value)?;
    let jobs = usize::from(arguments.jobs);
    let binaries = match binary_options(&arguments, &session)? {
        Some(options) => {
            let asked = &arguments.binaries;
            let explicit = asked.getbinpkgonly || asked.getbinpkg == Some(true);
            let opened = match Binaries::open(&session, options).await {
                // Only FEATURES ask for hosts: those packages that are here do.
                Err(error @ BinariesError::NoHost) if !explicit => {
                    session.events.tell(Event::Notice {
                        text: format!("FEATURES=getbinpkg: {error}"),
                    });
                    let local = binaries::Options {
                        remote: false,
                        ..options
                    };
                    Binaries::open(&session, local).await?
                }
                opened => opened?,
            };
            Some((options, opened))
        }
        None => None,
    };
    if let Some((options, binaries)) = &binaries
        && options.packages_only
    {
        let chosen = binaries.only(&session, &arguments.atoms, jobs).await?;
        if arguments.pretend {
            chosen
                .iter()
                .flatten()
                .for_each(|it| plan::show_binary(it, arguments.around.display.json));
        }
        session.pool.end().await;
        return Ok(match chosen.iter().all(Option::is_some) {
            true => Exit::Done,
            false => Exit::Failed,
        });
    }
    let mut candidates = run::choose(&session, &arguments.atoms).await?;
    if let Some((_, binaries)) = &binaries {
        let (used, left) = binaries.instead_of(&session, candidates, jobs).await;
        if arguments.pretend {
            used.iter()
                .for_each(|it| plan::show_binary(it, arguments.around.display.json));
        }
        candidates = left;
    }
    if arguments.stop_after.is_none() {
        unsupported::check(&candidates)?;
    }
    let plan = run::plan(&session, candidates, !arguments.nodeps)?;
    if arguments.pretend {
        plan::show(&plan, &session.config, arguments.around.display.json);
        session.pool.end().await;
        return Ok(Exit::Done);
    }
    if arguments.stop_after.is_none() {
        Pkgdir::probe(&session.config.pkgdir())?;
    }
    let settings = Settings {
        resume: arguments.resume,
        until: arguments.stop_after.map_or(Until::Package, Until::After),
        keep: arguments.keep,
        verbose: arguments.around.display.verbose,
        phase_limit: arguments.phase_timeout.map(Duration::from_secs),
        format,
        origin: origin(&arguments.around.places, &arguments.around.stores),
        on_failure: arguments.shell_on_failure.then(|| Visit {
            wish: Wish::Failed,
            fresh: false,
            manner: Manner::Terminal(console),
            rcfile: None,
            history: shell::history(),
            broken: None,
            resumable: true,
        }),
    };
    let all = run::build(session.clone(), plan, &settings, jobs).await;
    session.pool.end().await;
    Ok(if all { Exit::Done } else { Exit::Failed })
}

/// Which binary packages are to be used, if any.
fn binary_options(
    arguments: &arguments::Build,
    session: &Session,
) -> Result<Option<binaries::Options>, Failure> {
    let asked = &arguments.binaries;
    let whole = !arguments.resume && arguments.stop_after.is_none();
    let configured = whole && session.config.features().contains("getbinpkg");
    let remote = asked.getbinpkgonly || asked.getbinpkg.unwrap_or(configured);
    if !(remote || asked.usepkg || asked.usepkgonly) {
        return match (asked.binpkg_respect_use, asked.binpkg_changed_deps) {
            (None, None) => Ok(None),
            _ => Err(Failure(vec![
                "--binpkg-respect-use and --binpkg-changed-deps are for --usepkg, --getbinpkg and their kin"
                    .to_owned(),
            ])),
        };
    }
    Ok(Some(binaries::Options {
        packages_only: asked.usepkgonly || asked.getbinpkgonly,
        remote,
        respect_use: asked.binpkg_respect_use,
        unchanged_deps: asked.binpkg_changed_deps,
        input: match asked.binpkg_input {
            Compared::Ignore => binaries::Compared::Ignore,
            Compared::Sources => binaries::Compared::Sources,
            Compared::All => binaries::Compared::All,
        },
        pretend: arguments.pretend,
    }))
}

/// How builds were called, to find their ebuilds again.
pub(super) fn origin(places: &Places, stores: &Stores) -> Origin {
    Origin {
        repos: places.repos.iter().map(|path| absolute(path)).collect(),
        config_root: places.config_root.as_deref().map(absolute),
        config: places.config.as_deref().map(absolute),
        root: places.root.as_deref().map(absolute),
        pkgdir: stores.pkgdir.as_deref().map(absolute),
        distdir: stores.distdir.as_deref().map(absolute),
    }
}

/// The bashes that may be used: the one that was named, and those in PATH.
pub(super) fn bashes(places: &Places) -> Bashes {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Bashes::find(places.bash.as_deref(), &path)
}

/// How processors are started.
pub(super) fn processors(places: &Places) -> std::io::Result<ProcessorSettings> {
    Ok(ProcessorSettings {
        bashes: bashes(places),
        program: std::env::current_exe()?,
        confinement: None,
        sandbox: sandbox::launch::Settings::default(),
        temporary: None,
    })
}

/// What all builds share, from the command line and the configuration; `features` are added to FEATURES.
pub(super) fn session(
    places: &Places,
    stores: &Stores,
    processors: ProcessorSettings,
    events: Events,
    degrade: &[Feature],
    features: &[&str],
) -> Result<Session, Failure> {
    let mut options = Options {
        config_root: places.config_root.clone(),
        config_file: places.config.clone(),
        root: places.root.clone(),
        extra_repos: places.repos.clone(),
        pkgdir: stores.pkgdir.as_deref().map(absolute),
        distdir: stores.distdir.as_deref().map(absolute),
        tmpdir: stores.tmpdir.as_deref().map(absolute),
        ..Options::from_process()
    };
    for feature in features {
        let own = options.env.entry("FEATURES".to_owned()).or_default();
        *own = format!("{own} {feature}");
    }
    let config = Config::load(&options)?;
    let unsupported = unsupported::notices(&config)?;
    let notices = config.assumptions().iter().chain(config.warnings());
    for text in notices.chain(&unsupported) {
        events.tell(Event::Notice { text: text.clone() });
    }
    let cache = cache(&config);
    let fetch = fetch_options(&config, &cache)?;
    let mut degrade = degrade.to_vec();
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
    let installed = Host::open(config.eroot(), config.esysroot(), config.provided())?;
    Ok(Session {
        program: processors.program.clone(),
        pool: Pool::new(processors),
        events,
        fetcher: Fetcher::new(fetch),
        ahead: Ahead::default(),
        installed: Arc::new(installed),
        degrade,
        missing: Mutex::default(),
        metadata_cache: cache.join("metadata"),
        binhost_cache: cache.join("binhosts"),
        confcache: std::env::var_os("EBD_CONFCACHE")
            .filter(|value| !value.is_empty())
            .map(|value| absolute(Path::new(&value)))
            .or_else(|| Some(cache_directory(&options).ok()??.join("confcache"))),
        config,
    })
}

/// Where things are kept that can be had again, such as metadata that repositories do not ship: beside Portage's for
/// root with this system's own configuration, else in the user's cache.
pub(super) fn cache(config: &Config) -> PathBuf {
    cache_folder(config.profile().is_some() && config.config_root() == Path::new("/"))
}

/// The same; `own` tells whether this system's own configuration is used.
pub(super) fn cache_folder(own: bool) -> PathBuf {
    let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if own && nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/cache/ebd");
    }
    home("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| home("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("ebd")
}

/// A path as it is from the root on; one that does not exist yet is fine.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Prints why nothing was done.
pub(super) fn complain(display: &Display, causes: &[String]) {
    if display.json {
        let line = serde_json::json!({ "event": "error", "causes": causes });
        stdout::line(line);
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
