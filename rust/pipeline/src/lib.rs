//! From a request to a result: stage order, cache, report. The one public Rust API.
