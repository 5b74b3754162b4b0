//! Finding entries that are right although an eclass changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::memory::Remembered;
use super::run::{RegenError, Shared};
use super::survey::{Reason, Stale};
use super::worker;
use crate::metadata::{Entry, StaleReason};
use crate::pms::eapi::Eapi;
use crate::processor::sourcer::{EclassStore, KeptEclass, KeptUse, Sourcer};

/// Looks at eclasses as they are now. Bash is started for the first of them.
pub(super) struct Unaffected<'a> {
    shared: &'a Shared,
    store: Arc<EclassStore>,
    sourcer: Option<Sourcer>,
    /// What is known of eclasses by their files; nothing for those that must be sourced whole.
    now: HashMap<PathBuf, Option<Arc<KeptEclass>>>,
}

impl<'a> Unaffected<'a> {
    /// Begins to look.
    pub(super) fn new(shared: &'a Shared, store: Arc<EclassStore>) -> Self {
        Self {
            shared,
            store,
            sourcer: None,
            now: HashMap::new(),
        }
    }

    /// The text of the entry as it would be after sourcing, with what there is to remember of it, if
    /// it is known that nothing else can have changed than checksums of eclasses.
    ///
    /// # Errors
    /// A [`RegenError`] if there is no bash.
    pub(super) async fn renewed(
        &mut self,
        stale: &Stale,
    ) -> Result<Option<(Vec<u8>, Remembered)>, RegenError> {
        let (Reason::Outdated(StaleReason::EclassChanged(_)), Some(present)) =
            (&stale.reason, &stale.present)
        else {
            return Ok(None);
        };
        let cpv = stale.ebuild.cpv.as_str();
        let Some(remembered) = self.shared.memory().get(cpv, present).cloned() else {
            return Ok(None);
        };
        let Some(mut entry) = std::str::from_utf8(present)
            .ok()
            .and_then(|text| Entry::parse(text).ok())
        else {
            return Ok(None);
        };
        let mut eclasses = Vec::new();
        let mut kept = Vec::new();
        for (name, old) in entry.eclasses().unwrap_or_default() {
            let Ok(file) = self.shared.eclasses.get(&self.shared.repositories, name) else {
                return Ok(None);
            };
            let uses = remembered.uses(name, old);
            if file.md5 == old {
                kept.extend(uses.cloned());
            } else {
                let Some(new) = self.now(stale, &file.path, &file.md5).await? else {
                    return Ok(None);
                };
                if !remembered.is_unaffected(name, old, &new) {
                    return Ok(None);
                }
                kept.extend(uses.map(|used| KeptUse {
                    name: used.name.clone(),
                    eclass: new.clone(),
                    entered: used.entered.clone(),
                }));
            }
            eclasses.push((name.to_owned(), file.md5));
        }
        entry.set_eclasses(&eclasses);
        let text = entry.to_md5_dict().into_bytes();
        let remembered = Remembered::of(&text, kept);
        Ok(Some((text, remembered)))
    }

    /// The eclass as it is now, if bash says that it may be kept, and if that has this MD5 sum.
    async fn now(
        &mut self,
        stale: &Stale,
        path: &Path,
        md5: &str,
    ) -> Result<Option<Arc<KeptEclass>>, RegenError> {
        if !self.now.contains_key(path) {
            let mut sourcer = match (self.sourcer.take(), Eapi::parse(&stale.eapi)) {
                (Some(sourcer), _) => sourcer,
                (None, Err(_)) => return Ok(None),
                (None, Ok(eapi)) => {
                    match worker::start(self.shared, eapi, Some(self.store.clone())).await? {
                        Ok(sourcer) => sourcer,
                        Err(_) => return Ok(None),
                    }
                }
            };
            let found = match sourcer.examine(&self.store, path).await {
                Ok(found) => {
                    self.sourcer = Some(sourcer);
                    found
                }
                // An eclass that ends its examiner is none to be kept.
                Err(_) => {
                    sourcer.end().await;
                    None
                }
            };
            self.now.insert(path.to_owned(), found);
        }
        let found = self.now.get(path).cloned().flatten();
        Ok(found.filter(|eclass| eclass.md5 == md5))
    }

    /// The sourcer, for further work, if there is one.
    pub(super) fn into_sourcer(self) -> Option<Sourcer> {
        self.sourcer
    }
}
