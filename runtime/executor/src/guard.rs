//! Keeps a panic in tract from ending the process.

use crate::ModelError;

/// Makes an error of a panic in tract, which some damaged files and some huge values cause.
/// What `work` had half done is not used again: a model that is loading is dropped, and one
/// that runs keeps no state from frame to frame.
pub(crate) fn without_panic<T>(
    name: &str,
    what: &'static str,
    work: impl FnOnce() -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    sanderling_compiler::guard::without_panic(work).unwrap_or_else(|why| {
        Err(ModelError::Tract {
            name: name.to_owned(),
            what,
            why: format!("it gave up: {why}"),
        })
    })
}
