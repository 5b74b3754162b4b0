//! What a check looked at, and who did.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use sandbox::Trace;

use super::super::super::facts::{Asked as Facet, Fact};
use super::super::super::questions::{Looker, interpreter_of};
use super::super::found::Looked;
use super::super::{Server, names_in};
use super::Learning;
use super::documents::{compiles_nothing, makes_up_names};
use super::lying::is_of_checks;

impl Server<'_> {
    /// What the check found: elsewhere, and in the folder and around it; and whether it had another name for that.
    pub(super) fn found(
        &mut self,
        learning: &Learning,
        looker: &mut Looker<'_>,
    ) -> Result<(Vec<Fact>, Vec<Fact>, bool), String> {
        let Looked {
            mut found,
            mut local,
            inside,
            by_another_name,
        } = self.looked(&learning.trace, &learning.path, looker)?;
        found.extend(self.at.shell_facts.iter().cloned());
        for (name, (question, changed)) in inside {
            let path = self.at.directory.join(&name);
            let first = name.components().next();
            let Some(Component::Normal(first)) = first else {
                // Where names are looked for by what they begin with, only those of checks are.
                if question.asked.names && (learning.globs || self.may_be_listed(&learning.trace)) {
                    let same = names_in(&self.at.directory) == learning.present;
                    if !same || self.is_listed_by_programs(&learning.trace) {
                        return Err("it listed the folder".to_owned());
                    }
                    let asked = Facet {
                        names: true,
                        ..Facet::default()
                    };
                    local.push(self.near(Path::new("."), asked, looker));
                }
                continue;
            };
            if first == "config.log" || (first == "confdefs.h" && !changed) {
                continue;
            }
            // What was there is known, and what is there now.
            if is_of_checks(first.as_bytes()) {
                continue;
            }
            let changed = changed || learning.made.contains(&name);
            let was_there = learning.present.contains(first);
            let is_there = path.symlink_metadata().is_ok();
            match (changed, was_there, is_there) {
                // It came and went: that nothing was there before is what it found.
                (true, false, false) => local.push(self.near(&name, Facet::default(), looker)),
                (true, ..) => return Err(format!("it changed {}", name.display())),
                (false, ..) => local.push(self.near(&name, question.asked, looker)),
            }
        }
        for name in &learning.made {
            if is_of_checks(name.as_os_str().as_bytes()) {
                continue;
            }
            let first = name.components().next();
            let was_there = first.is_none_or(|first| learning.present.contains(first.as_os_str()));
            let is_there = self.at.directory.join(name).symlink_metadata().is_ok();
            if was_there || is_there {
                return Err(format!("it changed {}", name.display()));
            }
            local.push(self.near(name, Facet::default(), looker));
        }
        // What a program that was compiled found near it, but for what the check had made.
        for fact in &learning.local {
            let first = fact.path().components().next();
            let made = first.is_some_and(|first| is_of_checks(first.as_os_str().as_bytes()));
            if !made && !local.contains(fact) {
                local.push(fact.clone());
            }
        }
        Ok((found, local, by_another_name))
    }

    /// Whether a check may have had a program compiled with names in it that it has made up. What the script's compilers
    /// were given, which are asked for, was looked at.
    pub(super) fn may_make_up_names(&self, learning: &Learning) -> bool {
        let compiles = |program: &Path| {
            let name = program.file_name().unwrap_or_default();
            !is_of_checks(name.as_bytes()) && !compiles_nothing(name) && !is_shell(program)
        };
        let check = self.at.script.checks.get(learning.number);
        learning.trace.programs().any(compiles)
            && check.is_none_or(|check| {
                let text = |part: &Range<usize>| self.at.text.get(part.clone()).unwrap_or_default();
                makes_up_names(check.texts.iter().map(text))
            })
    }

    /// Whether another shell, or something else than a shell, may have listed the folder.
    fn may_be_listed(&self, trace: &Trace) -> bool {
        let mut programs = trace.programs();
        self.is_listed_by(trace, |program| !is_shell(program))
            || programs.any(|program| is_shell(&interpreter_of(program)))
    }

    /// Whether a program has listed the folder that may have looked at more than names, or at their order.
    fn is_listed_by_programs(&self, trace: &Trace) -> bool {
        self.is_listed_by(trace, |program| !is_shell(program) && !is_make(program))
    }

    fn is_listed_by(&self, trace: &Trace, wanted: impl Fn(&Path) -> bool) -> bool {
        let mut listers = trace.listers();
        listers.any(|(folder, program)| folder == self.at.directory && wanted(program))
    }
}

/// Whether a program is a shell and nothing else besides.
fn is_shell(program: &Path) -> bool {
    let name = program.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| matches!(name, "sh" | "bash" | "dash" | "ksh" | "zsh"))
}

/// Whether a program is a `make`, which lists folders to know which names are there.
fn is_make(program: &Path) -> bool {
    let name = program.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| matches!(name, "make" | "gmake"))
}
