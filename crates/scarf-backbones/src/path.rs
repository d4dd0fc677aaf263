//! Names of parameters.

/// The way from a module to one of its parameters: `features.0.conv.weight`.
///
/// The variant of an enum is no step of the way: whichever there is, its parameters have the
/// names that they would have in its place.
#[derive(Debug, Default)]
pub(crate) struct ParameterPath(Vec<Option<String>>);

impl ParameterPath {
    /// Goes down, as burn's visitors and mappers report it.
    pub(crate) fn enter(&mut self, name: &str, container_type: &str) {
        self.0.push((!container_type.starts_with("Enum:")).then(|| name.to_owned()));
    }

    /// Goes up.
    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    /// The name of the parameter here.
    pub(crate) fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}
