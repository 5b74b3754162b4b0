//! What `/etc/sandbox.conf` and `/etc/sandbox.d` say programs of builds may do: the settings of
//! Gentoo's sandbox, by the values that it ships where there are none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sandbox::List;

use super::error::ConfigError;
use super::shell_vars::{self, Dialect, Variables};

/// The paths in each list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxConf {
    lists: HashMap<List, Vec<PathBuf>>,
}

/// Where the packages' own tests of the C library's folders may write, as Gentoo's sandbox has it.
const TESTED: [&str; 4] = ["tmp", "lib", "lib32", "lib64"];

impl SandboxConf {
    /// Reads the files below `config_root`. `home` is what stands for `${HOME}` in them; a list for
    /// which `configured` has a variable loses the defaults of `sandbox.d`.
    ///
    /// # Errors
    /// A file cannot be read, or a line is malformed.
    pub fn read(
        config_root: &Path,
        home: &Path,
        configured: impl Fn(&str) -> bool,
    ) -> Result<Self, ConfigError> {
        let mut known = HashMap::from([
            ("HOME".to_owned(), home.to_string_lossy().into_owned()),
            ("SANDBOX_WORKDIR".to_owned(), String::new()),
        ]);
        let main = config_root.join("etc/sandbox.conf");
        let more = config_root.join("etc/sandbox.d");
        let main = shell_vars::assignments(&main, Dialect::PROFILE, false, &mut known)?;
        let more = shell_vars::read(&more, Dialect::PROFILE, true, &mut known)?;
        let mut conf = Self::default();
        match main {
            // Each line adds to its list.
            Some(lines) => {
                for line in lines {
                    conf.add(&line.name, &line.setting.value);
                }
            }
            None => {
                for path in sandbox::DEVICES {
                    conf.push(List::Write, path);
                }
                for path in ["/tmp", "/var/tmp", "/usr/tmp"] {
                    conf.push(List::Write, path);
                }
            }
        }
        let more = more.unwrap_or_else(|| defaults(home));
        for (name, setting) in more {
            if !configured(&name) {
                conf.add(&name, &setting.value);
            }
        }
        Ok(conf)
    }

    /// Adds the paths of a list's variable.
    fn add(&mut self, name: &str, value: &str) {
        if let Some(list) = List::ALL.into_iter().find(|list| list.variable() == name) {
            for path in sandbox::split(value.as_bytes()) {
                self.push(list, path);
            }
        }
    }

    fn push(&mut self, list: List, path: impl Into<PathBuf>) {
        self.lists.entry(list).or_default().push(path.into());
    }

    /// The paths in a list.
    #[must_use]
    pub fn paths(&self, list: List) -> &[PathBuf] {
        self.lists.get(&list).map_or(&[], Vec::as_slice)
    }
}

/// What stands in `sandbox.d` as it is shipped.
fn defaults(home: &Path) -> Variables {
    let tested = TESTED
        .iter()
        .flat_map(|folder| ["conftest", "cf"].map(|file| format!("/usr/{folder}/{file}")));
    let write = tested.collect::<Vec<_>>().join(":");
    let home = home.to_string_lossy().into_owned();
    [
        (List::Read, "/".to_owned()),
        (List::Write, write),
        (List::Predict, home),
    ]
    .into_iter()
    .map(|(list, value)| {
        let setting = shell_vars::Setting::at("<built in>", value);
        (list.variable(), setting)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_say_what_may_be_written() {
        let root = tempfile::tempdir().unwrap();
        let read = |configured: fn(&str) -> bool| {
            SandboxConf::read(root.path(), Path::new("/home/x"), configured).unwrap()
        };
        let built_in = read(|_| false);
        assert!(built_in.paths(List::Write).contains(&"/dev/null".into()));
        assert!(built_in.paths(List::Write).contains(&"/tmp".into()));
        assert!(
            built_in
                .paths(List::Write)
                .contains(&"/usr/lib64/cf".into())
        );
        assert_eq!(built_in.paths(List::Read), [Path::new("/")]);
        assert_eq!(built_in.paths(List::Predict), [Path::new("/home/x")]);
        fs::create_dir_all(root.path().join("etc/sandbox.d")).unwrap();
        let conf = "# said twice\nSANDBOX_WRITE=\"/dev/null\"\nSANDBOX_WRITE=\"/srv:${HOME}/x\"\n";
        fs::write(root.path().join("etc/sandbox.conf"), conf).unwrap();
        let more = "SANDBOX_PREDICT=\"/p\"\nSANDBOX_DENY=\"/d\"\n";
        fs::write(root.path().join("etc/sandbox.d/10x"), more).unwrap();
        let own = read(|name| name == "SANDBOX_DENY");
        let write = ["/dev/null", "/srv", "/home/x/x"].map(PathBuf::from);
        assert_eq!(own.paths(List::Write), write);
        assert_eq!(own.paths(List::Predict), [Path::new("/p")]);
        assert_eq!(own.paths(List::Deny), [] as [PathBuf; 0]);
        fs::write(root.path().join("etc/sandbox.conf"), "SANDBOX_WRITE=\"/x\n").unwrap();
        let wrong = SandboxConf::read(root.path(), Path::new("/"), |_| false);
        assert!(wrong.unwrap_err().to_string().contains("sandbox.conf"));
    }
}
