//! Open-file-description locks, which exclude the `lockf` of Portage.
