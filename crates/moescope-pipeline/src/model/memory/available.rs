//! How much memory this process may still take.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use sysinfo::{MemoryRefreshKind, System};

/// Bytes that the system can give without swapping, within the limits of the job or container that this process is in;
/// `None` where the system does not say.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let free = Some(system.available_memory()).filter(|bytes| *bytes > 0);
    let limit = if cfg!(target_os = "linux") {
        fs::read_to_string("/proc/self/cgroup")
            .ok()
            .and_then(|own| within_groups(Path::new("/sys/fs/cgroup"), &own))
    } else {
        None
    };
    match (free, limit) {
        (Some(free), Some(limit)) => Some(free.min(limit)),
        (free, limit) => free.or(limit),
    }
}

/// The least that any control group around the process leaves: Slurm's jobs and containers are such groups.
///
/// `own` is `/proc/self/cgroup`: lines `0::/path` (version 2) or `5:memory:/path` (version 1).
fn within_groups(root: &Path, own: &str) -> Option<u64> {
    own.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            if number == "0" && controllers.is_empty() {
                return least(root, path, &VERSION_2);
            }
            controllers
                .split(',')
                .any(|name| name == "memory")
                .then(|| least(&root.join("memory"), path, &VERSION_1))?
        })
        .min()
}

/// The names of a control group's files.
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat`: file content that can be dropped at once.
    droppable: [&'static str; 2],
}

const VERSION_2: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    droppable: ["inactive_file", "active_file"],
};
const VERSION_1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: ["total_inactive_file", "total_active_file"],
};

/// The least that a group or one above it leaves. Inside a container the path may be the host's and not be there; the
/// root is looked at in any case.
fn least(root: &Path, path: &str, names: &Names) -> Option<u64> {
    let inner: PathBuf = Path::new(path)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let folder = root.join(inner);
    folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| left(folder, names))
        .min()
}

/// Limit − (usage − file content that can be dropped); `None` without a limit.
fn left(folder: &Path, names: &Names) -> Option<u64> {
    let number = |name: &str| {
        fs::read_to_string(folder.join(name))
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    // `max`, or in version 1 a number beyond any memory, is no limit.
    let limit = number(names.limit).filter(|limit| *limit < 1 << 60)?;
    let usage = number(names.usage)?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let droppable: u64 = stat
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| names.droppable.contains(name))
        .filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok())
        .fold(0, u64::saturating_add);
    Some(limit.saturating_sub(usage.saturating_sub(droppable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_group_of_version_2_counts() {
        let root = tempfile::tempdir().unwrap();
        let stat = "anon 300\nfile 500\ninactive_file 400\nactive_file 50\n";
        group(
            &root.path().join("slurm/job_7"),
            &[
                ("memory.max", "1000\n"),
                ("memory.current", "800\n"),
                ("memory.stat", stat),
            ],
        );
        group(
            &root.path().join("slurm/job_7/step_0"),
            &[("memory.max", "max\n"), ("memory.current", "800\n")],
        );
        // 1000 − (800 − 450): what files fill can be dropped.
        assert_eq!(
            within_groups(root.path(), "0::/slurm/job_7/step_0\n"),
            Some(650)
        );
        assert_eq!(within_groups(root.path(), "0::/elsewhere\n"), None);
        assert_eq!(within_groups(root.path(), "0::/../../slurm\n"), None);
    }

    #[test]
    fn version_1_has_other_names_and_no_word_for_no_limit() {
        let root = tempfile::tempdir().unwrap();
        let memory = root.path().join("memory");
        group(
            &memory.join("job"),
            &[
                ("memory.limit_in_bytes", "1000"),
                ("memory.usage_in_bytes", "200"),
                ("memory.stat", "total_inactive_file 100\n"),
            ],
        );
        group(
            &memory,
            &[
                ("memory.limit_in_bytes", "9223372036854771712"),
                ("memory.usage_in_bytes", "5"),
            ],
        );
        let own = "7:cpu,cpuacct:/job\n5:memory:/job\n";
        assert_eq!(within_groups(root.path(), own), Some(900));
    }

    #[test]
    fn this_system_says_what_it_has() {
        let bytes = available_memory().unwrap();
        assert!(bytes > 1 << 20, "{bytes}");
    }
}
