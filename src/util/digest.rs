//! Checksums as the Manifest names them.
