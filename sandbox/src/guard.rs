//! What a supervisor does with a sandbox that runs: says what is allowed, asks what was refused.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::monitor::{Monitor, Shared};
use crate::policy::{List, Policy};
use crate::trace::Trace;
use crate::violation::Violations;

/// A sandbox around running programs.
///
/// The trait is there so that what drives builds can be tried without a kernel that allows all of
/// it; [`Recorder`] is the double.
pub trait Guard: Debug + Send + Sync {
    /// From now on programs, those that run already too, may do what `policy` says. A program that
    /// knows the word `control` may add to it, by opening a path below [`CONTROL`](crate::CONTROL). The
    /// trace is such programs' to take then.
    fn set_policy(&self, policy: Policy, control: Option<String>);

    /// The policy as it is, with what was added.
    fn policy(&self) -> Policy;

    /// What was refused since the last call.
    fn take_violations(&self) -> Violations;

    /// What was looked at since the last call, if that is watched and not the programs' to take.
    fn take_trace(&self) -> Trace;
}

/// A sandbox with its monitor, which ends with the last of its programs. Dropping it has the warden
/// end them, if they are attached.
#[derive(Debug)]
pub struct Sandbox {
    monitor: Option<Monitor>,
    shared: Arc<Shared>,
    /// Open for as long as there is a supervisor.
    _alive: OwnedFd,
}

impl Sandbox {
    pub(crate) fn new(monitor: Option<Monitor>, shared: Arc<Shared>, alive: OwnedFd) -> Self {
        Self {
            monitor,
            shared,
            _alive: alive,
        }
    }

    /// Waits until all programs have ended, and gives what was refused and what was looked at.
    #[must_use]
    pub fn finish(mut self) -> (Violations, Trace) {
        if let Some(monitor) = self.monitor.take() {
            monitor.join();
        }
        (self.take_violations(), self.take_trace())
    }
}

impl Guard for Sandbox {
    fn set_policy(&self, policy: Policy, control: Option<String>) {
        self.shared.set_policy(policy, control);
    }

    fn policy(&self) -> Policy {
        self.shared.policy()
    }

    fn take_violations(&self) -> Violations {
        self.shared.take_violations()
    }

    fn take_trace(&self) -> Trace {
        self.shared.take_trace()
    }
}

/// A double that confines nothing: it keeps what it was told and gives what it was made with.
#[derive(Debug)]
pub struct Recorder {
    policies: Mutex<Vec<Policy>>,
    violations: Mutex<Violations>,
}

impl Recorder {
    /// A double that will tell these violations once.
    #[must_use]
    pub fn new(violations: Violations) -> Self {
        Self {
            policies: Mutex::default(),
            violations: Mutex::new(violations),
        }
    }

    /// The policies that were set, in order.
    #[must_use]
    pub fn policies(&self) -> Vec<Policy> {
        self.policies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A violation by a program that is not, for tests.
    #[must_use]
    pub fn violation(path: &str) -> Violations {
        let mut violations = Violations::default();
        violations.add(crate::violation::Violation {
            program: PathBuf::from("/usr/bin/double"),
            call: "openat",
            access: crate::policy::Access::Write,
            path: path.into(),
            command: vec!["double".into()],
        });
        violations
    }
}

impl Guard for Recorder {
    fn set_policy(&self, policy: Policy, _control: Option<String>) {
        self.policies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(policy);
    }

    fn policy(&self) -> Policy {
        self.policies()
            .pop()
            .unwrap_or_else(|| Policy::confined().with(List::Read, "/"))
    }

    fn take_violations(&self) -> Violations {
        std::mem::take(
            &mut self
                .violations
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn take_trace(&self) -> Trace {
        Trace::default()
    }
}
