//! `ebd shell`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::arguments;
use super::build::{self, Failure, absolute, complain};
use super::exit::Exit;
use super::show::telling;
use super::{signals, terminal};
use crate::build::candidate::Candidate;
use crate::build::console::Console;
use crate::build::directories::Directories;
use crate::build::event::{Event, Events};
use crate::build::failure;
use crate::build::package::{Left, Manner, Outcome, Settings, Until, Visit, Wish, visit};
use crate::build::plan;
use crate::build::session::Session;
use crate::pms::phase::Phase;
use crate::util::causes::causes;

/// Runs `ebd shell`.
pub(super) fn main(arguments: arguments::Shell) -> Exit {
    let display = arguments.around.display.clone();
    if display.json {
        complain(
            &display,
            &["--json: what a shell prints is what its commands print; ebd env has --json".into()],
        );
        return Exit::Usage;
    }
    let done = signals::run(&display, work(arguments));
    build::tell_end(&display, done);
    done
}

async fn work(arguments: arguments::Shell) -> Result<Exit, Failure> {
    let display = arguments.around.display.clone();
    telling(display, |events, console| {
        execute(arguments, events, console)
    })
    .await
}

async fn execute(
    arguments: arguments::Shell,
    events: Events,
    console: Console,
) -> Result<Exit, Failure> {
    let wanted = Visit {
        wish: wish(&arguments),
        fresh: arguments.fresh,
        manner: manner(&arguments, console),
        rcfile: arguments.rcfile.as_deref().map(absolute),
        history: history(),
        broken: None,
        resumable: !arguments.no_package,
    };
    if arguments.no_package {
        return nowhere(&arguments, events, wanted).await;
    }
    let mut arguments = arguments;
    let mut text = arguments.atom.clone();
    if arguments.failed {
        let tmpdir = session_for(&arguments, deaf())?.config.tmpdir();
        let failed = failure::Failure::last(&tmpdir, |failure| {
            text.as_deref().is_none_or(|text| names(text, failure))
        });
        match failed {
            Some(failure) => {
                text = Some(format!("={}::{}", failure.package, failure.repository));
                // As it was called, where that is not said anew.
                let (origin, places) = (failure.origin, &mut arguments.around.places);
                if places.repos.is_empty() {
                    places.repos = origin.repos;
                }
                let stores = &mut arguments.around.stores;
                for (own, then) in [
                    (&mut places.config_root, origin.config_root),
                    (&mut places.config, origin.config),
                    (&mut places.root, origin.root),
                    (&mut stores.pkgdir, origin.pkgdir),
                    (&mut stores.distdir, origin.distdir),
                ] {
                    *own = own.take().or(then);
                }
            }
            None if text.is_none() => {
                return Err(Failure(vec![format!(
                    "{}: no build failed there in a phase; if it was built with --tmpdir, say that again",
                    tmpdir.join("portage").display()
                )]));
            }
            None => {}
        }
    }
    let session = session_for(&arguments, events)?;
    let settings = settings(&arguments)?;
    let text = text.unwrap_or_default();
    let (candidate, broken) = plan::choose_to_visit(&session, &text).await?;
    enter(&session, &candidate, &settings, &Visit { broken, ..wanted }).await
}

/// What builds share.
fn session_for(arguments: &arguments::Shell, events: Events) -> Result<Session, Failure> {
    build::session(
        &arguments.around.places,
        &arguments.around.stores,
        build::processors(&arguments.around.places)?,
        events,
        &arguments.degrade.features,
        &[],
    )
}

/// How the build goes on, if it is resumed.
fn settings(arguments: &arguments::Shell) -> std::io::Result<Settings> {
    Ok(Settings {
        resume: false,
        until: Until::Package,
        keep: arguments.keep,
        verbose: arguments.around.display.verbose,
        phase_limit: None,
        format: None,
        origin: build::origin(&arguments.around.places, &arguments.around.stores),
        on_failure: None,
    })
}

/// Events that nobody hears, where the same will be told again.
fn deaf() -> Events {
    Events::new().0
}

/// Lets the user in, and gives how that ended.
async fn enter(
    session: &Session,
    candidate: &Candidate,
    settings: &Settings,
    wanted: &Visit,
) -> Result<Exit, Failure> {
    let result = visit(session, candidate, settings, wanted).await;
    session.pool.end().await;
    Ok(match result? {
        Left::Ended(status) => Exit::Status(u8::try_from(status).unwrap_or(255)),
        Left::Resumed(Outcome::Failed(_)) => Exit::Failed,
        Left::Resumed(_) => Exit::Done,
    })
}

/// Where the user wants to come in.
fn wish(arguments: &arguments::Shell) -> Wish {
    match arguments.phase {
        _ if arguments.failed => Wish::Failed,
        None => Wish::AsItStands,
        Some(phase) if arguments.after => Wish::After(phase),
        Some(phase) => Wish::Before(phase),
    }
}

/// What the shell reads.
fn manner(arguments: &arguments::Shell, console: Console) -> Manner {
    match &arguments.command {
        Some(text) if terminal::is_there() && std::io::stdout().is_terminal() => {
            Manner::Commands(text.clone(), Some(console))
        }
        Some(text) => Manner::Commands(text.clone(), None),
        None if terminal::is_there() => Manner::Terminal(console),
        None => Manner::Script,
    }
}

/// Where the histories of packages are kept: a folder of the user's.
pub(super) fn history() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    folder("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(folder("HOME")?).join(".local/state")))
        .map(|state| state.join("ebd/history"))
}

/// Whether what the user typed names the package of a failure.
fn names(text: &str, failure: &failure::Failure) -> bool {
    let package = failure.package.as_str();
    let (text, repository) = match text.split_once("::") {
        Some((text, repository)) => (text, Some(repository)),
        None => (text, None),
    };
    if repository.is_some_and(|name| name != failure.repository) {
        return false;
    }
    if text.strip_prefix('=').unwrap_or(text) == package {
        return true;
    }
    crate::pms::cpv::Cpv::parse(package).is_ok_and(|cpv| {
        let cp = cpv.cp().to_string();
        text == cp || cp.split_once('/').is_some_and(|(_, pn)| pn == text)
    })
}

/// The folder of the repository that stands for no package.
struct Nowhere {
    folder: tempfile::TempDir,
}

/// The package that stands for none.
const NO_PACKAGE: &str = "ebd-shell/none";

impl Nowhere {
    /// Makes it, with the masters of all other repositories that there are.
    fn make(masters: &[&str]) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ebd-shell-").tempdir()?;
        let file = |name: &str, text: &str| -> std::io::Result<()> {
            let path = folder.path().join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, text)
        };
        let masters = masters.join(" ");
        file(
            "metadata/layout.conf",
            &format!("masters = {masters}\nthin-manifests = true\n"),
        )?;
        file("profiles/repo_name", "ebd-shell\n")?;
        file("profiles/categories", "ebd-shell\n")?;
        // The version keeps shells apart that are open at once.
        let name = format!("{NO_PACKAGE}/none-{}.ebuild", std::process::id());
        file(
            &name,
            "EAPI=8\nDESCRIPTION=\"no package\"\nSLOT=\"0\"\nS=${WORKDIR}\n",
        )?;
        Ok(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A shell without a package: the functions alone.
async fn nowhere(
    arguments: &arguments::Shell,
    events: Events,
    wanted: Visit,
) -> Result<Exit, Failure> {
    let others = session_for(arguments, deaf())?;
    let masters: Vec<&str> = others
        .config
        .repositories()
        .repositories()
        .map(|it| it.name())
        .collect();
    let nowhere = Nowhere::make(&masters)?;
    let mut arguments = arguments.clone();
    arguments
        .around
        .places
        .repos
        .push(nowhere.path().to_owned());
    let session = session_for(&arguments, events)?;
    let settings = settings(&arguments)?;
    let ebuilds = session.config.repositories().ebuilds(NO_PACKAGE)?;
    let Some(ebuild) = ebuilds.into_iter().next() else {
        return Err(Failure(vec![format!("{NO_PACKAGE}: was not made")]));
    };
    let candidate = Candidate::unsourced(&session, ebuild)?;
    let cpv = &candidate.ebuild.cpv;
    let directories = Directories::new(&session.config.tmpdir(), cpv.category(), cpv.pf());
    let phase = match wanted.wish {
        Wish::Before(phase) | Wish::After(phase) => phase,
        _ => Phase::Unpack,
    };
    let wanted = Visit {
        wish: Wish::Before(phase),
        fresh: true,
        history: None,
        ..wanted
    };
    let exit = enter(&session, &candidate, &settings, &wanted).await;
    if let Err(error) = directories.remove() {
        session.events.tell(Event::Notice {
            text: causes(&error).join(": "),
        });
    }
    directories.remove_category();
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_named_as_people_name_packages() {
        let failure = failure::Failure {
            package: "app-misc/foo-bar-1.2-r1".into(),
            repository: "gentoo".into(),
            phase: "compile".into(),
            causes: Vec::new(),
            place: None,
            time: 0,
            origin: failure::Origin::default(),
        };
        for text in [
            "foo-bar",
            "app-misc/foo-bar",
            "=app-misc/foo-bar-1.2-r1",
            "app-misc/foo-bar-1.2-r1",
            "app-misc/foo-bar::gentoo",
        ] {
            assert!(names(text, &failure), "{text}");
        }
        for text in [
            "foo",
            "dev-util/foo-bar",
            "=app-misc/foo-bar-1.2",
            "foo-bar::other",
        ] {
            assert!(!names(text, &failure), "{text}");
        }
    }
}
