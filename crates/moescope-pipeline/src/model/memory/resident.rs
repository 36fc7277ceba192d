//! How much memory this process holds.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Bytes of this process that are in memory; `None` where the system does not say.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let own = sysinfo::get_current_pid().ok()?;
    let mut system = System::new();
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[own]),
        false,
        ProcessRefreshKind::nothing().with_memory(),
    );
    system
        .process(own)
        .map(sysinfo::Process::memory)
        .filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted() {
        let before = resident_memory().unwrap();
        let held = vec![1u8; 64 << 20];
        let after = resident_memory().unwrap();
        assert!(after >= before + (32 << 20), "{before} {after}");
        assert_eq!(held.iter().map(|b| u64::from(*b)).sum::<u64>(), 64 << 20);
    }
}
