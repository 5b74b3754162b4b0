//! What all sourcers of one call know about eclasses.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::processor::eclass::{Fingerprint, SplitEclass};
use crate::util::digest::HashName;

/// After how many ebuilds it is looked at which functions of an eclass are called often.
const HEAT_CHECKS: [u32; 4] = [4, 16, 64, 256];

/// How an ebuild used an eclass that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptUse {
    /// The eclass's name.
    pub name: String,
    /// What can be compared of the eclass.
    pub eclass: Arc<KeptEclass>,
    /// The positions of the functions that were called, in ascending order.
    pub entered: Vec<usize>,
}

/// An eclass that was taken apart, as others can compare it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptEclass {
    /// The MD5 sum of the file's text.
    pub md5: String,
    /// What can be compared of it.
    pub fingerprint: Fingerprint,
}

/// An eclass that was taken apart, if bash says that it may be used so.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) split: SplitEclass,
    pub(super) kept: Arc<KeptEclass>,
    usage: Mutex<Usage>,
}

/// How an eclass was used so far.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// By how many ebuilds.
    ebuilds: u32,
    /// How often each function was entered.
    entered: HashMap<usize, u32>,
    /// The functions that are worth parsing once instead of at each call.
    pub(super) hot: Arc<BTreeSet<usize>>,
}

impl Prepared {
    /// An eclass with this text that bash has found to be sound.
    pub(super) fn new(text: &[u8], split: SplitEclass) -> Self {
        Self {
            kept: Arc::new(KeptEclass {
                md5: HashName::Md5.hex(text),
                fingerprint: split.fingerprint(),
            }),
            usage: Mutex::default(),
            split,
        }
    }

    pub(super) fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that an ebuild inherited it and entered these functions, each as often as it
    /// stands here.
    pub(super) fn note(&self, functions: &[usize]) {
        let mut usage = self.usage();
        usage.ebuilds += 1;
        for &function in functions {
            *usage.entered.entry(function).or_default() += 1;
        }
        if !HEAT_CHECKS.contains(&usage.ebuilds) {
            return;
        }
        let limit = usage.ebuilds / 4;
        let entered = usage.entered.iter();
        let hot: BTreeSet<usize> = entered
            .filter(|&(_, &times)| times >= limit)
            .map(|(&function, _)| function)
            .collect();
        if hot != *usage.hot {
            usage.hot = Arc::new(hot);
        }
    }
}

/// What was found out about an eclass.
#[derive(Debug, Clone)]
pub(super) enum Finding {
    /// It may be kept.
    Keep(Arc<Prepared>),
    /// It must be sourced whole.
    Whole,
    /// It must be sourced whole, and so must all that are inherited beside it, see
    /// [`eclass::reads_itself`].
    AllWhole,
}

/// Eclasses that were looked at, for all sourcers of one call.
#[derive(Debug, Default)]
pub struct EclassStore {
    findings: Mutex<HashMap<PathBuf, Finding>>,
}

impl EclassStore {
    /// What was found out about an eclass, if anybody has looked.
    pub(super) fn get(&self, eclass: &Path) -> Option<Finding> {
        self.lock().get(eclass).cloned()
    }

    /// Remembers what was found out.
    pub(super) fn set(&self, eclass: &Path, finding: Finding) {
        self.lock().insert(eclass.to_owned(), finding);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Finding>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
