//! The jobs that a sourcer gives its processor.

use std::collections::BTreeSet;
use std::path::Path;

use super::Subject;
use crate::processor::eclass::SplitEclass;
use crate::processor::library::quote;

/// The job that keeps the top level of an eclass in the processor.
pub(super) fn top_level(id: usize, split: &SplitEclass, hot: &BTreeSet<usize>) -> Vec<u8> {
    let mut job = format!("#resident\n__ebd_eclass_{id}() {{\n").into_bytes();
    job.extend(split.top_level(&format!("e{id}"), hot));
    job.extend_from_slice(b"\n}\n");
    job
}

/// What tells the processor of an eclass that it keeps, and of the bodies of its functions.
pub(super) fn tables(name: &str, id: usize, split: &SplitEclass) -> Vec<u8> {
    let mut job = b"__EBD_ECLASSES[".to_vec();
    job.extend(quote(name.as_bytes()));
    job.extend_from_slice(format!("]=__ebd_eclass_{id}\n__EBD_BODIES+=(").as_bytes());
    for (number, function) in split.functions.iter().enumerate() {
        job.extend_from_slice(format!("[e{id}.{number}]=").as_bytes());
        job.extend(quote(&function.definition));
        job.push(b' ');
    }
    job.extend_from_slice(b")\n");
    job
}

pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

pub(super) fn assign(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend(quote(value));
    text.push(b'\n');
}

/// The job that sources an ebuild: what it may rely on in global scope (PMS 11.1), then the script.
pub(super) fn job(subject: &Subject<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in subject.cpv.variables() {
        assign(&mut text, name, value.as_bytes());
    }
    assign(&mut text, "EBUILD_PHASE", b"depend");
    assign(&mut text, "EBUILD", bytes(subject.ebuild));
    if subject.whole_eclasses {
        text.extend_from_slice(b"__EBD_ECLASSES=()\n");
    }
    text.extend_from_slice(b"eval \"${__EBD_METADATA}\"\n");
    text
}
