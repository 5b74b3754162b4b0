//! One of the workers that source what is stale.

use std::path::PathBuf;
use std::sync::Arc;

use sandbox::confinement::Confinement;

use super::entries;
use super::event::Event;
use super::generate::{EbuildError, Generated, Text, generate, read};
use super::memory::Remembered;
use super::run::{Mode, RegenError, Shared, Summary};
use super::survey::{Reason, Stale};
use crate::metadata::Entry;
use crate::pms::eapi::{Eapi, UnsupportedEapi};
use crate::processor::eclass::reads_itself;
use crate::processor::sourcer::{EclassStore, Exchange, Sourcer};
use crate::processor::{Processor, Settings};
use crate::util::causes::causes;

/// Sources ebuilds until there are none left, with `sourcer` first. A sourcer that failed is
/// replaced.
pub(super) async fn work(
    shared: Arc<Shared>,
    mut sourcer: Option<Sourcer>,
) -> Result<Summary, RegenError> {
    let mut summary = Summary::default();
    while let Some(stale) = shared.next() {
        let text = match read(&stale.ebuild.path) {
            Ok(text) => text,
            Err(error) => {
                refuse(&shared, &stale, &error, &mut summary)?;
                continue;
            }
        };
        let eapi = text.eapi;
        let mut current = match sourcer.take() {
            Some(sourcer) if sourcer.eapi() == eapi => sourcer,
            other => {
                if let Some(other) = other {
                    other.end().await;
                }
                match start(&shared, eapi, shared.store.clone()).await? {
                    Ok(sourcer) => sourcer,
                    Err(source) => {
                        let path = stale.ebuild.path.clone();
                        let error = EbuildError::Eapi { path, source };
                        refuse(&shared, &stale, &error, &mut summary)?;
                        continue;
                    }
                }
            }
        };
        let predicted =
            shared
                .prediction
                .eclasses(&shared.repositories, &shared.eclasses, &text.bytes);
        let mut result = attempt(&shared, &mut current, &stale, &text, &predicted).await;
        // Kept eclasses know no files and lines. Whole ones do, and theirs is the last word.
        let again = matches!(&result, Err(EbuildError::Sourcing(error))
            if error.may_be_anothers() || error.tells_a_place() && current.keeps_eclasses());
        if again {
            current.end().await;
            current = match start(&shared, eapi, None).await? {
                Ok(sourcer) => sourcer,
                Err(source) => {
                    let path = stale.ebuild.path.clone();
                    let error = EbuildError::Eapi { path, source };
                    refuse(&shared, &stale, &error, &mut summary)?;
                    continue;
                }
            };
            result = generate(&shared, &mut current, &stale, &text, true).await;
        }
        match result {
            Ok(generated) => {
                accept(&shared, &stale, generated, &mut summary)?;
                sourcer = Some(current);
            }
            Err(EbuildError::Sourcing(error)) if !error.is_the_ebuilds() => {
                current.end().await;
                return Err(RegenError::Sourcing(error));
            }
            Err(error) => {
                if matches!(error, EbuildError::Sourcing(_)) {
                    current.end().await;
                } else {
                    sourcer = Some(current);
                }
                refuse(&shared, &stale, &error, &mut summary)?;
            }
        }
    }
    if let Some(sourcer) = sourcer {
        sourcer.end().await;
    }
    Ok(summary)
}

/// Sources an ebuild, with eclasses kept as far as that makes no difference: at first those that it
/// seems to inherit.
async fn attempt(
    shared: &Shared,
    sourcer: &mut Sourcer,
    stale: &Stale,
    text: &Text,
    predicted: &[PathBuf],
) -> Result<Generated, EbuildError> {
    sourcer.keep(predicted).await?;
    if reads_itself(&text.bytes) || sourcer.wants_whole(predicted) {
        let generated = generate(shared, sourcer, stale, text, true).await?;
        sourcer.keep(&generated.eclasses).await?;
        return Ok(generated);
    }
    let mut generated = generate(shared, sourcer, stale, text, false).await?;
    sourcer.keep(&generated.eclasses).await?;
    if sourcer.wants_whole(&generated.eclasses) {
        return generate(shared, sourcer, stale, text, true).await;
    }
    // Some of its eclasses could not be foreseen. Sourced with these kept, it tells which of their
    // functions it calls, unless it is different each time.
    if generated.kept.len() < sourcer.kept(&generated.eclasses) {
        let again = generate(shared, sourcer, stale, text, false).await?;
        generated.kept = match again.entry == generated.entry {
            true => again.kept,
            false => Vec::new(),
        };
    }
    Ok(generated)
}

/// A new sourcer that keeps eclasses in `store`, if there is one; or why this bash is none for
/// ebuilds of that EAPI.
pub(super) async fn start(
    shared: &Shared,
    eapi: Eapi,
    store: Option<Arc<EclassStore>>,
) -> Result<Result<Sourcer, UnsupportedEapi>, RegenError> {
    let settings = match shared.options.processors.for_eapi(eapi) {
        Ok(settings) => settings,
        Err(error) => return Ok(Err(error)),
    };
    let (processor, exchange) = processor(shared, settings).await?;
    Sourcer::start(processor, exchange, eapi, &shared.eclass_dirs, store)
        .await
        .map(Ok)
        .map_err(RegenError::Sourcing)
}

/// A new processor, confined if it can be, and the folder into which it can write.
async fn processor(
    shared: &Shared,
    mut settings: Settings,
) -> Result<(Processor, Exchange), RegenError> {
    let exchange = Exchange::create().map_err(RegenError::Sourcing)?;
    settings.temporary = Some(exchange.path().to_owned());
    settings.confinement = shared.readable.as_ref().map(|folders| Confinement {
        read: folders.clone(),
        write: vec![exchange.path().to_owned()],
    });
    Ok((Processor::start(&settings).await?, exchange))
}

/// Writes, or compares, what sourcing an ebuild gave.
fn accept(
    shared: &Shared,
    stale: &Stale,
    generated: Generated,
    summary: &mut Summary,
) -> Result<(), RegenError> {
    let package = stale.ebuild.cpv.to_string();
    if !generated.output.is_empty() {
        shared.tell(Event::Printed {
            package: package.clone(),
            lines: generated.output,
        });
    }
    summary.generated += 1;
    let bytes = generated.entry.to_md5_dict().into_bytes();
    let same = stale.present.as_ref() == Some(&bytes);
    if shared.options.mode == Mode::Verify {
        if !same {
            summary.different += 1;
            tell_differences(shared, stale, &generated.entry);
        }
    } else if !same {
        summary.written += 1;
        entries::write(&shared.cache.join(&package), &bytes)?;
    }
    if same || shared.options.mode == Mode::Write {
        let remembered = Remembered::of(&bytes, generated.kept);
        shared.memory().set(&package, remembered);
    }
    let written = !same && shared.options.mode == Mode::Write;
    shared.tell(Event::Generated { package, written });
    Ok(())
}

/// Tells in which keys an entry differs from what sourcing gave.
fn tell_differences(shared: &Shared, stale: &Stale, sourced: &Entry) {
    let present = stale.present.as_deref().unwrap_or_default();
    let present = Entry::parse(&String::from_utf8_lossy(present)).unwrap_or_default();
    let mut keys: Vec<&str> = present
        .iter()
        .chain(sourced.iter())
        .map(|(key, _)| key)
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut told = false;
    for key in keys {
        let (cached, sourced) = (present.get(key), sourced.get(key));
        if cached != sourced {
            told = true;
            shared.tell(Event::Different {
                package: stale.ebuild.cpv.to_string(),
                key: key.to_owned(),
                cached: cached.unwrap_or_default().to_owned(),
                sourced: sourced.unwrap_or_default().to_owned(),
            });
        }
    }
    if !told {
        // The same values, but not the same bytes: another order, or empty lines.
        shared.tell(Event::Different {
            package: stale.ebuild.cpv.to_string(),
            key: String::new(),
            cached: String::new(),
            sourced: String::new(),
        });
    }
}

/// Removes the entry of an ebuild that cannot be sourced, and tells why it cannot.
fn refuse(
    shared: &Shared,
    stale: &Stale,
    error: &EbuildError,
    summary: &mut Summary,
) -> Result<(), RegenError> {
    summary.failed += 1;
    let cpv = stale.ebuild.cpv.as_str();
    // What another bash found out is right still.
    let stays = stale.reason == Reason::Everything && matches!(error, EbuildError::Eapi { .. });
    if !stays && shared.options.mode == Mode::Write {
        entries::remove(&shared.cache.join(cpv))?;
        shared.memory().remove(cpv);
    }
    shared.tell(Event::Failed {
        package: cpv.to_owned(),
        ebuild: stale.ebuild.path.clone(),
        causes: causes(error),
    });
    Ok(())
}
