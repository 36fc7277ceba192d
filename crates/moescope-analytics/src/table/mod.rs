//! Measurements as tables: long ones for programs, aligned ones for people.

mod long_table;
mod text;

pub use long_table::{LongTable, long_table};
pub use text::table;
