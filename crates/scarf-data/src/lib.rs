//! Detection data sets on disk.
