//! `dosed`, gone since EAPI 4: `sed -i` on files of the image.

use std::ffi::OsString;

use super::dodir::start;
use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done};
use super::install::status_code;

/// An argument that names a file of the image is edited; any other is the expression for the files
/// after it. Before one is given, the image's own path is removed.
pub(super) fn run(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    if args.is_empty() {
        return Err(HelperError::NoArgument {
            helper: helper.to_owned(),
        });
    }
    let image = env.require(if env.eapi().prefix() { "ED" } else { "D" })?;
    let mut expression = OsString::from("s:");
    expression.push(image);
    expression.push("::g");
    let mut failures = Vec::new();
    let mut found = false;
    let mut last = None;
    for arg in args {
        let path = env.in_image(arg)?;
        if path.is_file() {
            found = true;
            let status = env
                .command("sed")
                .arg("-i")
                .arg("-e")
                .arg(&expression)
                .arg(&path)
                .status();
            match status_code(status.map_err(|source| start(helper, "sed", source))?) {
                0 => {}
                status => {
                    let (helper, program) = (helper.to_owned(), "sed".to_owned());
                    return Err(HelperError::Program {
                        helper,
                        program,
                        status,
                    });
                }
            }
        } else if path.exists() {
            failures.push(FileError::Special(path.clone()));
        } else {
            expression.clone_from(arg);
        }
        last = Some(path);
    }
    if !found && failures.is_empty() {
        failures.extend(last.map(FileError::Missing));
    }
    all_done(helper, failures)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Build;

    #[test]
    fn files_of_the_image_are_edited() {
        let build = Build::new("3");
        let image = build.image().to_str().unwrap().to_owned();
        build.file("a", &format!("{image}/etc\n")).file("b", "x\n");
        build.call(&["doins", "a", "b"]).ok();
        build.call(&["dosed", "/a", "s/x/y/", "b"]).ok();
        assert_eq!(
            (build.read("a"), build.read("b")),
            ("/etc\n".into(), "y\n".into())
        );
        assert!(
            build
                .call(&["dosed", "s/a/b/", "/no"])
                .error()
                .ends_with("no: does not exist")
        );
        assert!(
            build
                .call(&["dosed", "bad", "/a"])
                .error()
                .contains("sed failed")
        );
    }
}
