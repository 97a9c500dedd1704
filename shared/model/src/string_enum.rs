//! Enums whose variants each have one text: this macro adds parsing, display and a list of all.
//!
//! Guarantees: `as_str` and `FromStr` are inverse. `FromStr` ignores case, and its error lists the
//! known texts; `parse` reads stored words exactly.

/// `string_enum! { Name { Variant = "text", … } }`; `serde Name` also reads and writes the text with
/// serde.
#[macro_export]
macro_rules! string_enum {
    ($(#[$doc:meta])* serde $name:ident { $($variants:tt)* }) => {
        $crate::string_enum! { $(#[$doc])* $name { $($variants)* } }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl ::std::str::FromStr for $name {
            type Err = ::std::string::String;

            fn from_str(text: &str) -> ::std::result::Result<Self, ::std::string::String> {
                let known = |known: &Self| known.as_str().eq_ignore_ascii_case(text);
                Self::ALL.into_iter().find(known).ok_or_else(|| {
                    ::std::format!("{text:?} is not one of {}", Self::NAMES.join(", "))
                })
            }
        }

        impl $name {
            pub const NAMES: [&'static str; [$($text),*].len()] = [$($text),*];
            pub const ALL: [Self; Self::NAMES.len()] = [$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                Self::NAMES[self as usize]
            }

            /// For stored words: `None` unless the text is exactly one of [`Self::NAMES`].
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|known| known.as_str() == text)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
