//! All integration tests of the crate as one program: each program is linked with everything, so one takes far less time
//! to build than many.

mod conversation;
mod killed_capture;
mod recovery;
mod session;
mod session_lines;
mod session_pictures;
mod support;
