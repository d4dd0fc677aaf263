//! A study as data.
