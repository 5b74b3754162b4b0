//! Gentoo's configuration files, read into one immutable `Config`.
