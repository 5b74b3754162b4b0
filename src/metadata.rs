//! Metadata cache entries and their formats on disk.
