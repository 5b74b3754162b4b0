//! One request for each distfile, where several packages want it.

use super::Wanted;
use crate::fetch::Request;

/// Joins the requests of all packages: who wants the same file gives its sources to the one request for it.
///
/// A request for another file of a name that an earlier package has is taken from its package, as DISTDIR has one file of
/// a name; why is told in one text for each.
pub(super) fn join(all: &mut [Wanted]) -> (Vec<Request>, Vec<String>) {
    let mut joined: Vec<(Request, String)> = Vec::new();
    let mut clashes = Vec::new();
    for wanted in all {
        let name = wanted.full_name();
        let joined = &mut joined;
        wanted.requests.retain(|request| {
            let file = &request.plan.file;
            let Some((known, first)) = joined.iter_mut().find(|(it, _)| it.plan.file == *file)
            else {
                joined.push((request.clone(), name.clone()));
                return true;
            };
            match known.join(request) {
                Ok(()) => true,
                Err(difference) => {
                    clashes.push(format!(
                        "{file} of {name} is another file than that of {first}: its {} is {} by {}, and {} by {}; \
                         mend the Manifest that is wrong, or fetch one of them into another DISTDIR (--distdir)",
                        difference.name,
                        difference.other,
                        request.manifest.display(),
                        difference.own,
                        known.manifest.display(),
                    ));
                    false
                }
            }
        });
    }
    let requests = joined.into_iter().map(|(request, _)| request);
    (requests.collect(), clashes)
}
