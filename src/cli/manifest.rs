//! `ebd manifest`.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::arguments;
use super::build::{self, Failure};
use super::exit::Exit;
use super::fetch::bring;
use super::show::telling;
use super::signals;
use super::stdout;
use crate::build::event::{Event, Events};
use crate::build::manifest::{self, Made, Making};
use crate::build::session::Session;
use crate::fetch::Request;
use crate::repo::{PackageName, Repository};
use crate::util::causes::causes;

/// Runs `ebd manifest`.
pub(super) fn main(arguments: arguments::Manifest) -> Exit {
    let display = arguments.around.display.clone();
    signals::run(&display, work(arguments))
}

async fn work(arguments: arguments::Manifest) -> Result<Exit, Failure> {
    let display = arguments.around.display.clone();
    telling(display, |events, _| execute(arguments, events)).await
}

/// A package that was named.
enum Named {
    /// By its folder: the repository's, and `category/package`.
    Folder(PathBuf, String),
    /// By its name.
    Name(String),
}

/// The package in a folder.
fn in_folder(folder: &Path) -> Result<Named, Failure> {
    let none = |why: &str| Failure(vec![format!("{}: {why}", folder.display())]);
    let path = std::fs::canonicalize(folder)
        .map_err(|error| Failure(vec![format!("{}: {error}", folder.display())]))?;
    let mut parts = path.components().rev().map(|part| part.as_os_str());
    let (Some(package), Some(category)) = (
        parts.next().and_then(|part| part.to_str()),
        parts.next().and_then(|part| part.to_str()),
    ) else {
        return Err(none("is not the folder of a package"));
    };
    let cp = format!("{category}/{package}");
    let Some(repository) = path.ancestors().nth(2) else {
        return Err(none("is not the folder of a package"));
    };
    let is_repository = ["profiles/repo_name", "metadata/layout.conf"]
        .iter()
        .any(|file| repository.join(file).exists());
    if !is_repository {
        return Err(none(
            "is not the folder of a package: two levels above there is no repository",
        ));
    }
    Ok(Named::Folder(repository.to_owned(), cp))
}

fn named(text: &str) -> Result<Named, Failure> {
    let is_path = text.starts_with(['.', '/']) || text.ends_with('/');
    let path = Path::new(text);
    // What is a name wherever one is must not mean something else in some folder.
    if is_path || (text.matches('/').count() != 1 && path.is_dir()) {
        return in_folder(path);
    }
    Ok(Named::Name(text.to_owned()))
}

/// The repository and `category/package` of a name, which may end with `::repository`.
fn look_up<'a>(session: &'a Session, text: &str) -> Result<(&'a Repository, String), Failure> {
    let fail = |why: String| Failure(vec![format!("{text}: {why}")]);
    let repositories = session.config.repositories();
    let (name, wanted) = match text.split_once("::") {
        Some((name, repository)) => (name, Some(repositories.named(repository)?)),
        None => (text, None),
    };
    let cp = if name.contains('/') {
        name.to_owned()
    } else {
        match repositories.package_named(name)? {
            PackageName::One(cp) => cp,
            PackageName::Several(all) => {
                let all = all.join(", ");
                return Err(fail(format!("is in several categories; name one of {all}")));
            }
            PackageName::Unknown => return Err(fail("no such package".into())),
        }
    };
    let mut found = Vec::new();
    for repository in repositories.repositories() {
        let meant = wanted.is_none_or(|wanted| wanted.name() == repository.name());
        if meant && !repository.ebuilds(&cp)?.ebuilds.is_empty() {
            found.push(repository);
        }
    }
    match found.as_slice() {
        [repository] => Ok((repository, cp)),
        [] => Err(fail("no such package".into())),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|repository| format!("{cp}::{}", repository.name()))
                .collect();
            Err(fail(format!(
                "is in several repositories; name one of {}",
                names.join(", ")
            )))
        }
    }
}

async fn execute(mut arguments: arguments::Manifest, events: Events) -> Result<Exit, Failure> {
    let texts = match arguments.packages.as_slice() {
        [] => vec![".".to_owned()],
        packages => packages.to_vec(),
    };
    let all: Vec<Named> = texts
        .iter()
        .map(|text| named(text))
        .collect::<Result<_, _>>()?;
    for package in &all {
        if let Named::Folder(repository, _) = package
            && !arguments.around.places.repos.contains(repository)
        {
            arguments.around.places.repos.push(repository.clone());
        }
    }
    let session = build::session(
        &arguments.around.places,
        &arguments.around.stores,
        build::processors(&arguments.around.places)?,
        events,
        &[],
        &[],
    )?;
    let mut makings = Vec::new();
    let mut wants_signatures = false;
    for package in &all {
        let (repository, cp) = match package {
            Named::Name(text) => look_up(&session, text)?,
            Named::Folder(path, cp) => {
                let mut repositories = session.config.repositories().repositories();
                let repository =
                    repositories
                        .find(|it| it.location() == path)
                        .ok_or_else(|| {
                            Failure(vec![format!(
                                "{}: is hidden by another repository of the same name",
                                path.display()
                            )])
                        })?;
                (repository, cp.clone())
            }
        };
        wants_signatures |= repository.layout().sign_manifests;
        let making = manifest::prepare(&session, repository, &cp, arguments.force).await?;
        makings.push(making);
    }
    session.pool.end().await;
    if wants_signatures && session.config.features().contains("sign") {
        session.events.tell(Event::Notice {
            text: "FEATURES=sign: ebd signs no Manifests; sign them with gpg --clear-sign".into(),
        });
    }
    make(&arguments, &session, makings).await
}

/// Fetches, and writes every Manifest whose files are there.
async fn make(
    arguments: &arguments::Manifest,
    session: &Session,
    makings: Vec<Making>,
) -> Result<Exit, Failure> {
    let mut requests: Vec<Request> = Vec::new();
    for request in makings.iter().flat_map(|making| &making.requests) {
        // One file of several packages is verified by whichever knows something of it.
        match requests
            .iter_mut()
            .find(|it| it.plan.file == request.plan.file)
        {
            Some(known) => {
                known.plan.join(request.plan.clone());
                if known.expected.is_none() {
                    known.expected.clone_from(&request.expected);
                }
            }
            None => requests.push(request.clone()),
        }
    }
    let display = &arguments.around.display;
    let mut exit = Exit::Done;
    let mut fetched = Vec::new();
    if !requests.is_empty() {
        let brought = bring(display, &manifest::fetcher(session), &requests).await?;
        exit = brought.sum_up(display, |file| {
            let wants = |making: &&Making| making.requests.iter().any(|it| it.plan.file == file);
            makings
                .iter()
                .filter(wants)
                .map(|it| it.cp.clone())
                .collect()
        });
        fetched = brought.fetched().cloned().collect();
    }
    for making in makings {
        let path = making.directory.join("Manifest");
        let mut files = Vec::new();
        for request in &making.requests {
            files.extend(
                fetched
                    .iter()
                    .find(|it| it.file == request.plan.file)
                    .cloned(),
            );
        }
        let cp = making.cp.clone();
        let result = if files.len() < making.requests.len() {
            Err(vec![format!(
                "{cp}: its Manifest stays as it is: distfiles are missing"
            )])
        } else {
            making.write(&files).map_err(|error| causes(&error))
        };
        match result {
            Ok(made) => tell(display, &cp, &path, made),
            Err(causes) => {
                build::complain(display, &causes);
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

fn tell(display: &arguments::Display, cp: &str, path: &Path, made: Made) {
    let word = match made {
        Made::Unchanged => "unchanged",
        Made::Written { .. } => "written",
        Made::Removed => "removed",
    };
    if display.json {
        let unsigned = made == Made::Written { unsigned: true };
        let line = json!({
            "event": "manifest", "package": cp, "path": path, "how": word, "unsigned": unsigned
        });
        stdout::line(line);
    } else if !display.quiet {
        let text = match made {
            Made::Unchanged => "is as it should be",
            Made::Written { unsigned: false } => "was written",
            Made::Written { unsigned: true } => {
                "was written, and the signature of what was there is gone; sign it again"
            }
            Made::Removed => "was removed, as there is nothing to list",
        };
        let _ = writeln!(std::io::stderr(), "{}: {text}", path.display());
    }
}
