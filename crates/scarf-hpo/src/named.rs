//! Enums of things that files write by name, or as a table of one name with its options.

/// Lists the variants once: the enum, its names in files, its defaults and its dispatch follow.
macro_rules! named {
    (
        $(#[$doc:meta])* $any:ident: $kind:ident, $noun:literal,
        $($name:literal $variant:ident $text:literal),+ $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[non_exhaustive]
        pub enum $any {
            $(#[doc = $text] #[serde(rename = $name)] $variant($variant),)+
        }

        $(impl From<$variant> for $any {
            fn from(variant: $variant) -> Self {
                $any::$variant(variant)
            }
        })+

        impl $any {
            /// All names, as files write them.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The one called `name` with its defaults; `None` where there is none.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some($any::$variant($variant::default())),)+
                    _ => None,
                }
            }

            fn inner(&self) -> &dyn $kind {
                match self {
                    $($any::$variant(variant) => variant,)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $any {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                enum Written {
                    $(#[serde(rename = $name)] $variant($variant),)+
                }

                struct NameOrTable;

                impl<'de> serde::de::Visitor<'de> for NameOrTable {
                    type Value = $any;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        let names = $any::NAMES.join(", ");
                        write!(f, "{}: one of {names}, or a table {{ name = {{ options }} }}", $noun)
                    }
                    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<$any, E> {
                        $any::from_name(name).ok_or_else(|| E::unknown_variant(name, $any::NAMES))
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$any, A::Error> {
                        let written = serde::de::value::MapAccessDeserializer::new(map);
                        Ok(match <Written as serde::Deserialize>::deserialize(written)? {
                            $(Written::$variant(variant) => $any::$variant(variant),)+
                        })
                    }
                }
                deserializer.deserialize_any(NameOrTable)
            }
        }
    };
}

pub(crate) use named;
