//! Tar to root file system and back.
