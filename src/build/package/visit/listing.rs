//! What a shell shows: phases, image, environments.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::room::Room;
use crate::build::image::walk;
use crate::processor::environment::{Change, Difference, Environment};
use crate::util::printable::printable;

/// What can be done in the shell.
pub(super) const HELP: &str = "\
This shell is the build: the ebuild's functions, the eclasses', and every
command of its EAPI can be called, in the sandbox and as the user of the phase.

  phase NAME       run a whole phase with its hooks
  phases           list the phases and how far the build is
  reload           read the edited ebuild and eclasses; says what changed
  diff-env         what differs from the environment that the build has kept
  image            what is installed so far
  resume           leave, and go on with the build: with the phase that comes
                   next, from the kept environment and the files as they are now
  resume --keep    the same with the variables, functions and finished phases of
                   this shell
  resume --done    the same, and the phase of the prompt counts as finished
  resume --anew    leave, and build anew with the ebuild as it is now; what was
                   changed in the sources is lost
  exit             leave; ebd shell comes back, ebd build --resume goes on (and
                   unpacks the sources anew if src_prepare did not finish)

die ends what was typed, and no more. help NAME tells of bash's own commands.
";

impl Room<'_> {
    /// The phases and how far each is.
    pub(super) fn phases(&self) -> String {
        let build = self.build;
        let mut text = String::new();
        let mut with_done = self.progress.clone();
        let done = self.done.iter().map(|phase| phase.name().to_owned());
        with_done.finished.extend(done);
        let next = build.next(&with_done);
        for phase in super::super::PHASES {
            if !build.candidate.eapi.has_phase(*phase) {
                continue;
            }
            let state = if self.running == Some(*phase) || self.failed == Some(*phase) {
                "failed"
            } else if self.done.contains(phase) {
                "finished here"
            } else if self.progress.has(phase.name()) {
                "finished"
            } else if *phase == crate::pms::phase::Phase::Test && !build.tests() {
                "left out: FEATURES has no test, or RESTRICT has"
            } else if next == Some(*phase) {
                "next"
            } else {
                "to come"
            };
            let mark = if *phase == self.phase { '>' } else { ' ' };
            text.push_str(&format!("{mark} {:<10} {state}\n", phase.name()));
        }
        text
    }

    /// What is installed so far, a line each.
    pub(super) fn image(&self) -> String {
        let top = self.build.directories.image();
        let mut entries = match walk::walk(&top) {
            Ok(entries) => entries,
            Err(error) => return format!("image: {error}\n"),
        };
        if entries.is_empty() {
            return "image: nothing is installed yet\n".into();
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        let mut text = String::new();
        for entry in entries {
            let path = entry.path.strip_prefix(&top).unwrap_or(&entry.path);
            let metadata = &entry.metadata;
            let target = match metadata.is_symlink() {
                true => std::fs::read_link(&entry.path).map_or_else(
                    |_| String::new(),
                    |to| format!(" -> {}", printable(to.as_os_str())),
                ),
                false => String::new(),
            };
            text.push_str(&format!(
                "{} {:>5} {:>5} {:>9} /{}{target}\n",
                mode(metadata),
                metadata.uid(),
                metadata.gid(),
                metadata.size(),
                printable(path.as_os_str()),
            ));
        }
        text
    }
}

/// Kind and permissions as `ls -l` shows them.
fn mode(metadata: &Metadata) -> String {
    let kind = metadata.file_type();
    let letter = match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () if kind.is_block_device() => 'b',
        () if kind.is_char_device() => 'c',
        () => '-',
    };
    let bits = metadata.mode();
    let mut text = String::from(letter);
    for (at, letter) in "rwxrwxrwx".chars().enumerate() {
        let set = bits & (0o400 >> at) != 0;
        let special = match at {
            2 => (bits & 0o4000 != 0).then_some('s'),
            5 => (bits & 0o2000 != 0).then_some('s'),
            8 => (bits & 0o1000 != 0).then_some('t'),
            _ => None,
        };
        text.push(match (set, special) {
            (true, Some(special)) => special,
            (false, Some(special)) => special.to_ascii_uppercase(),
            (true, None) => letter,
            (false, None) => '-',
        });
    }
    text
}

/// What differs, for people: values of variables, names of functions.
pub(super) fn difference(old: &Environment, new: &Environment, difference: &Difference) -> String {
    let mut text = String::new();
    let value = |environment: &Environment, name: &str| {
        let variable = environment.variable(name)?;
        let value = variable.value().map(|value| value.text().to_vec());
        let value = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
        Some(printable(value.as_ref()))
    };
    for (name, change) in &difference.variables {
        if *change != Change::Added
            && let Some(value) = value(old, name)
        {
            text.push_str(&format!("- {name}={value}\n"));
        }
        if *change != Change::Removed
            && let Some(value) = value(new, name)
        {
            text.push_str(&format!("+ {name}={value}\n"));
        }
    }
    for (name, change) in &difference.functions {
        let mark = match change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        };
        let name = String::from_utf8_lossy(name);
        text.push_str(&format!("{mark} {}()\n", printable(name.as_ref().as_ref())));
    }
    text
}
