//! What led to a value, step by step.
//!
//! The computation of values notes its steps in a [`Trail`]. Usually that is off and nothing is kept; when somebody
//! asks why a value is what it is, the same computation runs once more with it on. So what is told cannot be anything
//! but what was done.

use std::collections::BTreeMap;

use super::shell_vars::{Origin, Setting};

/// What the steps are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The flags that are enabled, before masks and forces.
    Use,
    /// The flags that can never be enabled.
    UseMask,
    /// The flags that cannot be disabled.
    UseForce,
    /// KEYWORDS, which profiles can change.
    Keywords,
    /// The keywords that are accepted for the package.
    AcceptKeywords,
    /// The licenses that are accepted for the package.
    AcceptLicense,
    /// The PROPERTIES that are accepted for the package.
    AcceptProperties,
    /// The RESTRICT words that are accepted for the package.
    AcceptRestrict,
    /// package.mask and package.unmask.
    Mask,
    /// Any other variable, by its name.
    Variable(String),
}

/// What a word did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It put something into the value.
    On,
    /// It took something out of it.
    Off,
    /// It was the whole value, before a later one took its place.
    Set,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it was about: a flag or a word; with an asterisk at its end, all that begin so.
    pub name: String,
    /// What was written.
    pub text: String,
    /// Where.
    pub origin: Origin,
    /// What it did.
    pub effect: Effect,
}

impl Step {
    /// Whether the step is about this flag or word.
    pub fn concerns(&self, name: &str) -> bool {
        self.name == name
            || self
                .name
                .strip_suffix('*')
                .is_some_and(|start| name.starts_with(start))
    }
}

/// All steps, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    steps: BTreeMap<Subject, Vec<Step>>,
}

impl Steps {
    /// Those about one thing.
    pub fn about(&self, subject: &Subject) -> &[Step] {
        self.steps
            .get(subject)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Those that led to a variable's value. USE has those of its flags.
    pub fn of_variable(&self, name: &str) -> &[Step] {
        match name {
            "USE" => self.about(&Subject::Use),
            _ => self.about(&Subject::Variable(name.to_owned())),
        }
    }
}

/// Takes the steps, if somebody wants them.
#[derive(Debug)]
pub(super) enum Trail<'a> {
    /// Nobody does.
    Off,
    /// They are kept here.
    On(&'a mut Steps),
}

impl Trail<'_> {
    /// Notes a step. `name` is only made if steps are kept.
    pub(super) fn note(
        &mut self,
        subject: impl FnOnce() -> Subject,
        name: &str,
        text: &str,
        origin: &Origin,
        effect: Effect,
    ) {
        if let Trail::On(steps) = self {
            steps.steps.entry(subject()).or_default().push(Step {
                name: name.to_owned(),
                text: text.to_owned(),
                origin: origin.clone(),
                effect,
            });
        }
    }

    /// Notes a whole value.
    pub(super) fn note_value(&mut self, name: &str, setting: &Setting) {
        let subject = || Subject::Variable(name.to_owned());
        self.note(subject, name, &setting.value, &setting.origin, Effect::Set);
    }

    /// Forgets what was noted of a thing, since it is computed anew.
    pub(super) fn forget(&mut self, subject: &Subject) {
        if let Trail::On(steps) = self {
            steps.steps.remove(subject);
        }
    }
}
