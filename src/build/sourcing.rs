//! Sourcing one ebuild for its metadata.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::log::last_lines;
use super::variables::Variables;
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;
use crate::processor::frame::{Death, Message};
use crate::processor::{Event, Pool, ProcessorError, Shell, ShellError, ShellSetup, library};

/// How long sourcing one ebuild may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How many lines of what an ebuild printed an error shows.
const SHOWN_LINES: usize = 10;

/// Why an ebuild could not be sourced.
#[derive(Debug, thiserror::Error)]
pub enum SourcingError {
    /// The ebuild, or an eclass, called `die` or is no valid shell text.
    #[error("{}: cannot be sourced: {}{}", ebuild.display(), death.message, printed(output))]
    Died {
        /// The ebuild.
        ebuild: PathBuf,
        /// Where and why.
        death: Box<Death>,
        /// What was printed.
        output: Vec<String>,
    },
    /// The shell ended without metadata.
    #[error("{}: ends the shell that sources it (status {status}); nothing in global scope may `exit` or `exec`{}", ebuild.display(), printed(output))]
    Ended {
        /// The ebuild.
        ebuild: PathBuf,
        /// The status.
        status: i32,
        /// What was printed.
        output: Vec<String>,
    },
    /// Sourcing took too long.
    #[error("{}: takes longer than {} seconds to source", ebuild.display(), LIMIT.as_secs())]
    Slow {
        /// The ebuild.
        ebuild: PathBuf,
    },
    /// A message came that has no place here.
    #[error("{}: the shell that sources it said {message:?}", ebuild.display())]
    Unexpected {
        /// The ebuild.
        ebuild: PathBuf,
        /// The message.
        message: Box<Message>,
    },
    /// The folder for the exchange with the shell cannot be used.
    #[error("{}: cannot be used", path.display())]
    Exchange {
        /// The folder or a file in it.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// No processor could be started.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// The conversation broke.
    #[error(transparent)]
    Shell(#[from] ShellError),
}

/// Lines as the end of a message.
fn printed(output: &[String]) -> String {
    output.iter().map(|line| format!("\n  | {line}")).collect()
}

/// What is to be sourced.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The package.
    pub cpv: &'a Cpv,
    /// The ebuild.
    pub ebuild: &'a Path,
    /// The EAPI that its first lines name.
    pub eapi: Eapi,
    /// Where eclasses are looked for, the first directory first.
    pub eclass_dirs: &'a [PathBuf],
}

/// Sources the ebuild in a fork of one of `pool`'s processors and gives its metadata keys as bash
/// had them (PMS 7; `INHERITED` and `INHERIT` besides).
///
/// # Errors
/// A [`SourcingError`] that names the ebuild.
pub async fn source(
    pool: &Pool,
    subject: &Subject<'_>,
) -> Result<Vec<(String, Vec<u8>)>, SourcingError> {
    let exchange = |path: &Path| {
        let path = path.to_owned();
        move |source| SourcingError::Exchange { path, source }
    };
    let folder = tempfile::Builder::new()
        .prefix("ebd-source-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(exchange(&std::env::temp_dir()))?;
    let initial = folder.path().join("initial.env");
    fs::write(&initial, variables(subject).to_bash()).map_err(exchange(&initial))?;
    let log = folder.path().join("log");
    let setup = ShellSetup {
        directory: folder.path().to_owned(),
        log: log.clone(),
        eclass_dirs: subject.eclass_dirs.to_vec(),
        eapi: subject.eapi.to_bash(),
        restore: None,
        script: library::METADATA,
    };
    let mut shell = Shell::start(pool.take().await?, &setup, &super::token::fresh()).await?;
    let result = converse(&mut shell, subject, &log).await;
    if let Err(error) = result {
        shell.end().await;
        return Err(error);
    }
    if let Some(processor) = shell.into_processor() {
        pool.put_back(processor);
    }
    let path = folder.path().join("metadata");
    match fs::read(&path) {
        // The shell ended well, but before it came to the metadata.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SourcingError::Ended {
            ebuild: subject.ebuild.to_owned(),
            status: 0,
            output: last_lines(&log, SHOWN_LINES),
        }),
        result => Ok(pairs(&result.map_err(exchange(&path))?)),
    }
}

/// Follows the shell to its end.
async fn converse(
    shell: &mut Shell,
    subject: &Subject<'_>,
    log: &Path,
) -> Result<(), SourcingError> {
    let ebuild = || subject.ebuild.to_owned();
    let output = || last_lines(log, SHOWN_LINES);
    let deadline = Instant::now() + LIMIT;
    let mut death: Option<Death> = None;
    loop {
        let event = timeout_at(deadline, shell.next())
            .await
            .map_err(|_| SourcingError::Slow { ebuild: ebuild() })??;
        match event {
            Event::Message(Message::Hello(_) | Message::Elog { .. }) => {}
            Event::Message(Message::Died(told)) => {
                death.get_or_insert(told);
            }
            Event::Message(message) => {
                return Err(SourcingError::Unexpected {
                    ebuild: ebuild(),
                    message: Box::new(message),
                });
            }
            Event::Ended(status) => {
                return match (death, status) {
                    (Some(death), _) => Err(SourcingError::Died {
                        ebuild: ebuild(),
                        death: Box::new(death),
                        output: output(),
                    }),
                    (None, 0) => Ok(()),
                    (None, status) => Err(SourcingError::Ended {
                        ebuild: ebuild(),
                        status,
                        output: output(),
                    }),
                };
            }
        }
    }
}

/// What an ebuild may rely on in global scope (PMS 11.1).
fn variables(subject: &Subject<'_>) -> Variables {
    let cpv = subject.cpv;
    let mut all = Variables::default();
    for (name, value) in [
        ("P", cpv.p()),
        ("PF", cpv.pf()),
        ("PN", cpv.pn()),
        ("CATEGORY", cpv.category()),
        ("PV", cpv.pv()),
        ("PR", cpv.pr()),
        ("PVR", cpv.pvr()),
        ("EBUILD_PHASE", "depend"),
    ] {
        all.set(name, value, false);
    }
    all.path("EBUILD", subject.ebuild, false);
    all
}

/// The NUL-terminated KEY=VALUE entries of `text`.
#[must_use]
pub fn pairs(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    text.split(|&byte| byte == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|&byte| byte == b'=')?;
            let (key, value) = entry.split_at(at);
            Some((
                String::from_utf8_lossy(key).into_owned(),
                value.get(1..)?.to_vec(),
            ))
        })
        .collect()
}
