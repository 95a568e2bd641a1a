use super::*;

use std::io::Read;

use flate2::read::GzDecoder;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_767_268_800_250)
}

fn rotation(dir: &TempDir) -> Rotation {
    Rotation {
        path: dir.path().join("logs/app.log"),
        max_size: 100,
        max_backups: 0,
        max_age: Duration::ZERO,
        compress: true,
    }
}

/// Without a keeper: what is kept is told by the test.
fn log_file(rotation: &Rotation) -> LogFile {
    make_dir(rotation.path.parent().unwrap()).unwrap();
    let file = open(OpenOptions::new().append(true), &rotation.path).unwrap();
    let size = file.metadata().unwrap().len();
    let (rotated, _) = mpsc::sync_channel(1);
    LogFile {
        rotation: rotation.clone(),
        file,
        size,
        rotated_at: UNIX_EPOCH,
        failures: Arc::default(),
        rotated,
    }
}

fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text
}

fn ages(rotation: &Rotation) -> Vec<u128> {
    let age = |backup: Backup| now().duration_since(backup.since).unwrap().as_secs() / 86_400;
    backups(&rotation.path).unwrap().into_iter().map(|backup| age(backup).into()).collect()
}

fn rotated(rotation: &Rotation, days: u32) -> PathBuf {
    make_dir(rotation.path.parent().unwrap()).unwrap();
    let path = backup_path(&rotation.path, now() - DAY * days);
    fs::write(&path, format!("{days}\n")).unwrap();
    path
}

#[test]
fn a_file_is_rotated_before_it_grows_too_large() {
    let dir = TempDir::new().unwrap();
    let rotation = rotation(&dir);
    let mut log = log_file(&rotation);
    let lines: Vec<String> = (0..10).map(|n| format!("{n}{}\n", "x".repeat(38))).collect();
    for line in &lines {
        log.write_all(line.as_bytes()).unwrap();
    }
    drop(log);
    // A new process goes on where this one ended.
    let mut log = log_file(&rotation);
    log.write_all(b"next\n").unwrap();
    log.write_all(&[b'y'; 300]).unwrap();
    log.write_all(b"last\n").unwrap();
    let mut files = backups(&rotation.path).unwrap();
    files.reverse();
    let texts: Vec<_> = files.iter().map(|backup| text(&backup.path)).collect();
    let mut expected: Vec<_> = lines.chunks(2).map(<[String]>::concat).collect();
    expected[4].push_str("next\n");
    // A line that is longer than a file has one of its own.
    expected.push("y".repeat(300));
    assert_eq!(texts, expected);
    assert_eq!(text(&rotation.path), "last\n");
    assert_eq!(log.failures.load(Ordering::Relaxed), 0);
}

#[test]
fn rotated_files_are_named_by_time() {
    let path = Path::new("logs/app.log");
    let name = backup_path(path, now());
    assert_eq!(name, Path::new("logs/app.log.2026-01-01T12-00-00.250Z"));
    assert_eq!(parse(path, "app.log.2026-01-01T12-00-00.250Z"), Some((now(), false)));
    assert_eq!(parse(path, "app.log.2026-01-01T12-00-00.250Z.gz"), Some((now(), true)));
    for other in ["app.log", "app.log.1", "app.log.2026-01-01T12-00-00.250Z.gz.tmp", "app.log.gz"] {
        assert_eq!(parse(path, other), None, "{other}");
    }
}

#[test]
fn old_files_and_too_many_go() {
    let dir = TempDir::new().unwrap();
    let all = rotation(&dir);
    let other = dir.path().join("logs/other.log");
    for days in [1, 2, 3, 40] {
        rotated(&all, days);
    }
    fs::write(&other, "").unwrap();
    keep(&all, now()).unwrap();
    assert_eq!(ages(&all), [1, 2, 3, 40], "no limit");
    keep(&Rotation { max_age: DAY * 30, ..all.clone() }, now()).unwrap();
    assert_eq!(ages(&all), [1, 2, 3]);
    keep(&Rotation { max_backups: 2, ..all.clone() }, now()).unwrap();
    assert_eq!(ages(&all), [1, 2]);
    assert!(other.exists());
}

#[test]
fn what_is_rotated_is_compressed_whole() {
    let dir = TempDir::new().unwrap();
    let rotation = rotation(&dir);
    let path = rotated(&rotation, 1);
    // Left by a process that ended within.
    fs::write(with_suffix(&path, UNFINISHED), "half of it, and longer than the whole").unwrap();
    keep(&rotation, now()).unwrap();
    let [backup] = &*backups(&rotation.path).unwrap() else { panic!("one file") };
    assert!(backup.is_compressed && !path.exists());
    assert_eq!(text(&backup.path), "1\n");
    assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 1);
    // And again: there is nothing to do.
    keep(&rotation, now()).unwrap();
    assert_eq!(text(&backup.path), "1\n");
}

#[test]
fn a_file_that_cannot_be_compressed_stays() {
    let dir = TempDir::new().unwrap();
    let rotation = rotation(&dir);
    let path = rotated(&rotation, 1);
    fs::create_dir(with_suffix(&path, UNFINISHED)).unwrap();
    keep(&rotation, now()).unwrap_err();
    assert_eq!(text(&path), "1\n");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let rotation = rotation(&dir);
    let mut log = log_file(&rotation);
    log.write_all(&[b'x'; 100]).unwrap();
    log.write_all(b"y").unwrap();
    keep(&rotation, SystemTime::now()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let [backup] = &*backups(&rotation.path).unwrap() else { panic!("one file") };
    assert_eq!((mode(&rotation.path), mode(&backup.path)), (0o600, 0o600));
    assert_eq!(mode(rotation.path.parent().unwrap()), 0o700);
}

#[test]
fn a_folder_that_is_taken_away_is_made_again() {
    let dir = TempDir::new().unwrap();
    let rotation = rotation(&dir);
    let mut log = log_file(&rotation);
    log.write_all(&[b'x'; 100]).unwrap();
    fs::remove_dir_all(dir.path().join("logs")).unwrap();
    log.write_all(b"new\n").unwrap();
    assert_eq!(text(&rotation.path), "new\n");
    assert_eq!(log.failures.load(Ordering::Relaxed), 0);
}

#[test]
fn what_fails_is_counted() {
    let dir = TempDir::new().unwrap();
    let rotation = rotation(&dir);
    let mut log = log_file(&rotation);
    log.write_all(&[b'x'; 100]).unwrap();
    // A file stands where the folder was.
    fs::remove_dir_all(dir.path().join("logs")).unwrap();
    fs::write(dir.path().join("logs"), "").unwrap();
    log.write_all(b"new\n").unwrap();
    assert_eq!(log.failures.load(Ordering::Relaxed), 1);
}

#[test]
fn the_keeper_works_beside_the_writer() {
    let dir = TempDir::new().unwrap();
    let rotation = Rotation { max_backups: 3, ..rotation(&dir) };
    let path = rotated(&rotation, 1);
    let mut log = LogFile::open(rotation.clone(), Arc::default()).unwrap();
    for _ in 0..50 {
        log.write_all(&[b'x'; 60]).unwrap();
    }
    // It ends in its own time; what it does is what `keep` does.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let is_done = || {
        let backups = backups(&rotation.path).unwrap_or_default();
        backups.len() == 3 && backups.iter().all(|backup| backup.is_compressed)
    };
    while !is_done() && std::time::Instant::now() < deadline {
        thread::yield_now();
    }
    assert!(is_done() && !path.exists());
}
