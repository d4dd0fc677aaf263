use serde::{Deserialize, Serialize};

/// The ordered, distinct names of the classes. A class is its index here, from 0; no background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Classes(Vec<String>);

/// Why a list of names is not a list of classes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClassesError {
    /// No name at all.
    #[error("no class is named; at least one is needed")]
    Empty,
    /// The same name twice.
    #[error("the class `{0}` is named twice; every class needs a name of its own")]
    Twice(String),
    /// A name without a visible character.
    #[error("class {0} (from 0) has an empty name")]
    Blank(usize),
}

impl Classes {
    /// The classes of these names, in this order.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, ClassesError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(ClassesError::Empty);
        }
        for (index, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(ClassesError::Blank(index));
            }
            if names[..index].contains(name) {
                return Err(ClassesError::Twice(name.clone()));
            }
        }
        Ok(Self(names))
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a class, if there is such a class.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str)
    }

    /// The class of a name, if there is such a name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// The names in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Classes {
    type Error = ClassesError;
    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        Self::new(names)
    }
}

impl From<Classes> for Vec<String> {
    fn from(classes: Classes) -> Self {
        classes.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_agree() {
        let classes = Classes::new(["crazing", "inclusion"]).unwrap();
        assert_eq!(
            (classes.len(), classes.index("inclusion"), classes.name(0)),
            (2, Some(1), Some("crazing"))
        );
        assert_eq!((classes.index("rust"), classes.name(2)), (None, None));
    }

    #[test]
    fn lists_that_name_no_classes() {
        assert_eq!(Classes::new(Vec::<String>::new()), Err(ClassesError::Empty));
        assert_eq!(Classes::new(["a", "a"]), Err(ClassesError::Twice("a".into())));
        assert_eq!(Classes::new(["a", " "]), Err(ClassesError::Blank(1)));
    }
}
