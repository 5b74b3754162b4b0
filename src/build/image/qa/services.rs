//! Checks of what init systems and udev read.

use std::fs;
use std::path::Path;

use super::{Settings, refuse, tell};
use crate::build::image::{Image, ImageError, Notice, program, walk};

/// 60openrc: init and conf files must parse as bash.
pub(super) fn openrc(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let ed = image.ed();
    let mut runscript = Vec::new();
    for (directory, init) in [("etc/conf.d", false), ("etc/init.d", true)] {
        for path in walk::list(&ed.join(directory))? {
            if path.is_symlink() || path.is_dir() {
                continue;
            }
            if init && path.extension().is_none_or(|extension| extension != "sh") {
                match interpreter(&path)? {
                    Some(Interpreter::Runscript) => runscript.push(image.shown(&path)),
                    Some(Interpreter::Shell) => {}
                    None => continue,
                }
            }
            let output = program::output(
                &settings.bash,
                ["-n".into(), path.clone().into_os_string()],
                &image.temp,
                &image.search_path,
            )?;
            if !output.status.success() {
                return Err(refuse(
                    "60openrc",
                    format!(
                        "{} has syntax errors: {}",
                        image.shown(&path),
                        program::complaint(&output)
                    ),
                ));
            }
        }
    }
    tell(
        notices,
        "#!/sbin/runscript is deprecated, use #!/sbin/openrc-run instead:",
        &runscript,
    );
    Ok(())
}

enum Interpreter {
    /// `#!/sbin/runscript`.
    Runscript,
    /// Any other that reads shell.
    Shell,
}

/// Which interpreter the first line names, when it is one whose scripts are shell.
fn interpreter(path: &Path) -> Result<Option<Interpreter>, ImageError> {
    let content = fs::read(path).map_err(ImageError::io("read", path))?;
    let Some(end) = content.iter().position(|&byte| byte == b'\n') else {
        return Ok(None);
    };
    let line = String::from_utf8_lossy(&content[..end]).into_owned();
    let line = line.trim();
    let Some(command) = line.strip_prefix("#!") else {
        return Ok(None);
    };
    let name = command.rsplit(['/', ' ', '\t']).next().unwrap_or_default();
    // The name has to follow a slash or a blank.
    if name.len() == command.len() || !["openrc-run", "runscript", "sh"].contains(&name) {
        return Ok(None);
    }
    Ok(Some(if line == "#!/sbin/runscript" {
        Interpreter::Runscript
    } else {
        Interpreter::Shell
    }))
}

/// 60systemd: units that read files of OpenRC.
pub(super) fn systemd(image: &Image, notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let mut lines = Vec::new();
    for path in walk::list(&image.ed().join("usr/lib/systemd/system"))? {
        if path
            .extension()
            .is_none_or(|extension| extension != "service")
            || !path.is_file()
        {
            continue;
        }
        let text = fs::read(&path).map_err(ImageError::io("read", &path))?;
        for line in String::from_utf8_lossy(&text).lines() {
            if line
                .strip_prefix("EnvironmentFile")
                .and_then(|rest| rest.split_once('='))
                .is_some_and(|(_, value)| value.contains("/etc/conf.d"))
            {
                lines.push(format!("{}:{line}", image.shown(&path)));
            }
        }
    }
    tell(notices, "systemd units using /etc/conf.d detected:", &lines);
    Ok(())
}

/// 60udev: rules in other places than `/lib/udev/rules.d`.
pub(super) fn udev(image: &Image, notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let ed = image.ed();
    let mut places = vec![ed.join("etc/udev/rules.d")];
    for path in walk::list(&ed)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("lib") && name != "lib" {
            places.push(path.join("udev/rules.d"));
        }
    }
    let mut lines = Vec::new();
    for place in places {
        lines.extend(walk::list(&place)?.iter().map(|path| image.shown(path)));
    }
    tell(
        notices,
        "udev rules should be installed in /lib/udev/rules.d:",
        &lines,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::image::testing::TestImage;

    fn settings() -> Settings {
        Settings {
            bash: "bash".into(),
            ..Settings::default()
        }
    }

    #[test]
    fn init_scripts_must_parse() {
        let test = TestImage::new();
        test.file("etc/init.d/good", "#!/sbin/openrc-run\nstart() { :; }\n");
        test.file("etc/init.d/perl", "#!/usr/bin/perl\nif (x {\n");
        test.file("etc/init.d/old", "#!/sbin/runscript\n:\n");
        let mut notices = Vec::new();
        openrc(&test.image, &settings(), &mut notices).unwrap();
        assert!(notices[0].text.ends_with("\n  /etc/init.d/old"));
        test.file("etc/conf.d/bad", "if true; do\n");
        let error = openrc(&test.image, &settings(), &mut notices).unwrap_err();
        assert!(
            error.to_string().starts_with("60openrc: /etc/conf.d/bad"),
            "{error}"
        );
    }

    #[test]
    fn units_and_rules() {
        let test = TestImage::new();
        test.file(
            "usr/lib/systemd/system/a.service",
            "[Service]\nEnvironmentFile=-/etc/conf.d/a\n",
        );
        test.file("lib/udev/rules.d/ok.rules", "");
        test.file("lib64/udev/rules.d/no.rules", "");
        let mut notices = Vec::new();
        systemd(&test.image, &mut notices).unwrap();
        udev(&test.image, &mut notices).unwrap();
        assert!(notices[0].text.ends_with("EnvironmentFile=-/etc/conf.d/a"));
        assert!(
            notices[1]
                .text
                .ends_with(":\n  /lib64/udev/rules.d/no.rules")
        );
    }
}
