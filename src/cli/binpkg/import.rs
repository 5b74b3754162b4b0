//! `ebd binpkg import`.

use serde_json::json;

use super::{Opened, line, tell};
use crate::binpkg::import::{Imported, import, packages_of};
use crate::cli::arguments::binpkg::Import;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;

pub(super) fn run(arguments: &Import) -> Result<Exit, Failure> {
    let opened = Opened::new(&arguments.store, true)?;
    let header = opened.header();
    let json = arguments.store.json;
    let mut done = Exit::Done;
    for source in &arguments.sources {
        let (packages, unread) = packages_of(source)?;
        for unread in &unread {
            tell(unread, json);
            done = Exit::Failed;
        }
        for path in packages {
            let (event, target) = match import(&opened.pkgdir, &path, &header) {
                Ok(Imported::Taken(written)) => ("imported", written.relative_path),
                Ok(Imported::Renumbered(written)) => ("renumbered", written.relative_path),
                Ok(Imported::There(path)) => ("already there", path.into()),
                Err(error) => {
                    tell(&error, json);
                    done = Exit::Failed;
                    continue;
                }
            };
            let value = json!({ "event": event, "source": path, "path": target });
            line(
                json.then_some(value),
                &format!("{event}: {}", target.display()),
            );
        }
    }
    Ok(done)
}
