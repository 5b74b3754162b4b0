//! An ebuild repository on disk, and the database of installed packages.
