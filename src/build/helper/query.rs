use std::ffi::OsString;

use super::env::HelperEnv;
use super::error::{HelperError, usage};

pub(super) fn has_version(_: &HelperEnv, helper: &str, _: &[OsString]) -> Result<u8, HelperError> {
    Err(usage(helper, "installed packages cannot be queried yet"))
}
pub(super) fn best_version(_: &HelperEnv, helper: &str, _: &[OsString]) -> Result<u8, HelperError> {
    Err(usage(helper, "installed packages cannot be queried yet"))
}
