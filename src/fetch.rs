//! Distfiles: where they come from, how they are verified.
