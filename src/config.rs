//! Gentoo's configuration files, read into one immutable [`Config`].
//!
//! A value can come from nine places; from the lowest rank to the highest: /etc/profile.env, the
//! make.defaults of a package's repository, FEATURES, an ebuild's IUSE, the built-in defaults,
//! the profile, make.conf, package.env, and the caller's environment. Everything is read once,
//! when the configuration is loaded. What holds for one package is computed on request and
//! touches no file but to see whether a bashrc exists, so that many packages can be asked about
//! side by side.
//!
//! Results equal those of Portage, quirks included where ebuilds or users can see them. What
//! Portage would skip with a message is in [`Config::warnings`]; what it would misread is an
//! error.

mod answer;
mod builtin;
mod compute;
mod config;
pub mod environment;
mod error;
mod features;
mod files;
mod ini;
mod keywords;
mod license;
mod load;
mod locations;
mod make_globals;
mod mask;
mod options;
mod package;
mod package_env;
mod profile;
mod profile_files;
mod repositories;
pub mod shell_vars;
mod stack;
mod state;
mod table;
mod use_expand;
mod use_files;

pub use config::Config;
pub use error::ConfigError;
pub use options::Options;
pub use package::{MaskReason, PackageConfig, PackageQuery};
pub use profile::ProfileNode;
pub use shell_vars::{Origin, Setting};
