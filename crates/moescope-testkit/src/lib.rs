//! What the tests of several crates share: tiny models that are written on the spot, the places of fixtures, and a driver
//! that feeds readers with broken files.
//!
//! This crate is a development dependency only; nothing that is shipped uses it.
//!
//! ```
//! use moescope_testkit::TinyModel;
//!
//! let folder = tempfile::tempdir().unwrap();
//! TinyModel::default().write(folder.path()).unwrap();
//! assert!(folder.path().join("model.safetensors").is_file());
//! ```

mod content_token;
mod fixtures;
pub mod fuzz;
mod hub_repository;
mod hub_server;
mod model_spec;
mod safetensors_file;
mod tiny_model;
mod word_tokenizer;

pub use content_token::content_token;
pub use fixtures::{golden_case, golden_cases, repository_root, scidfm_mini};
pub use hub_repository::{HubRepository, ranged, sha256};
pub use hub_server::{HubAnswer, HubRequest, HubServer};
pub use model_spec::model_spec;
pub use safetensors_file::SafetensorsFile;
pub use tiny_model::TinyModel;
pub use word_tokenizer::{WORDS, write_word_tokenizer};
