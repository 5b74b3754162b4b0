//! `ebd binpkg serve`.

use serde_json::json;

use super::{Opened, line, tell_error};
use crate::binpkg::serve::Server;
use crate::cli::arguments::binpkg::Serve;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;
use crate::cli::signals;
use crate::util::causes::causes;

pub(super) fn run(arguments: &Serve) -> Result<Exit, Failure> {
    let opened = Opened::new(&arguments.store, false)?;
    let json = arguments.store.json;
    opened.index(json)?;
    let work = async {
        match Server::bind(arguments.listen, opened.pkgdir.clone()).await {
            Ok(server) => {
                let address = format!("http://{}/", server.address());
                let value = json!({ "event": "serving", "address": address });
                line(json.then_some(value), &address);
                match server.run().await {}
            }
            Err(error) => {
                tell_error(&causes(&error), json);
                Exit::Failed
            }
        }
    };
    Ok(signals::guard(work)?)
}
