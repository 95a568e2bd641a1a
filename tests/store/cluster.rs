//! A PostgreSQL for the time of the tests that use it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

/// Where Debian puts the programs, one directory for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Who runs it where the tests run as root, whom `initdb` refuses.
const USER: &str = "postgres";

pub(crate) struct Cluster {
    pub(crate) url: String,
    started: Option<Started>,
}

/// Stopped with the last test that uses it.
struct Started {
    programs: PathBuf,
    home: TempDir,
    root: bool,
}

/// The one that is running, or a new one; `None` where there is none to be had.
pub(crate) fn cluster() -> Option<Arc<Cluster>> {
    static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = running.upgrade() {
        return Some(cluster);
    }
    let cluster = Arc::new(Cluster::find()?);
    *running = Arc::downgrade(&cluster);
    Some(cluster)
}

impl Cluster {
    fn find() -> Option<Self> {
        if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
            return Some(Self { url, started: None });
        }
        if let Some(programs) = programs() {
            return Some(Self::start(programs));
        }
        assert!(std::env::var("CI").is_err(), "CI needs Debian's postgresql");
        eprintln!("skipped: neither TEST_POSTGRES_URL nor {VERSIONS} is there");
        None
    }

    fn start(programs: PathBuf) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = fs::metadata(home.path()).unwrap().uid() == 0;
        if root {
            chown(home.path(), Some(id("-u")), Some(id("-g"))).unwrap();
        }
        let url = format!("postgres://{USER}@localhost/postgres?host={}", home.path().display());
        let started = Started { programs, home, root };
        started.run("initdb", &["--auth=trust", "--no-sync", "-U", USER]);
        let socket = started.home.path().display();
        let options = format!("-c listen_addresses='' -c fsync=off -k {socket}");
        let log = format!("{socket}/log");
        started.run("pg_ctl", &["start", "--wait", "--log", &log, "-o", &options]);
        Self { url, started: Some(started) }
    }
}

impl Started {
    fn run(&self, program: &str, arguments: &[&str]) {
        let done = self.output(program, arguments);
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = if self.root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let data = self.home.path().join("data");
        command.arg("-D").arg(data).args(arguments).current_dir("/").output().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(started) = &self.started {
            started.output("pg_ctl", &["stop", "-m", "immediate"]);
        }
    }
}

/// The newest version's.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.flatten();
    let mut all: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    all.retain(|programs| programs.join("initdb").exists() && programs.join("pg_ctl").exists());
    all.sort_by_key(|programs| version(programs));
    all.pop()
}

fn version(programs: &Path) -> Option<u32> {
    programs.parent()?.file_name()?.to_str()?.parse().ok()
}

fn id(what: &str) -> u32 {
    let id = Command::new("id").args([what, USER]).output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().parse().unwrap()
}
