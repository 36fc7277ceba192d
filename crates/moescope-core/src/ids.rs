//! Small `Copy` numbers that cannot be mistaken for one another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number as an index into a slice.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A decoder layer in the model's own numbering, dense layers included.
    LayerId(u16)
}
id! {
    /// One routed expert of a layer; shared experts have no id.
    ExpertId(u16)
}
id! {
    /// An entry of the tokenizer's vocabulary.
    TokenId(u32)
}
id! {
    /// The number of a document within one trace, in input order.
    SampleId(u32)
}
id! {
    /// A token's place within its sample; 0 is the first token fed to the model.
    Position(u32)
}
