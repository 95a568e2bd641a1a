//! The shape that dashboards read, by a clock that begins a minute after the epoch.

use super::*;
use crate::layer::channel::snapshot::snapshot;
use crate::test_helpers::golden;

/// Ends requests of a channel so, all at once.
fn end(scene: &mut Scene, id: &str, outcomes: &[Outcome]) {
    let (policy, now) = (scene.state.policy.clone(), scene.now);
    assert!(scene.state.change(&ChannelId::new(id), now, |entry| {
        for outcome in outcomes {
            entry.ended(KIND, (0, None), *outcome, &policy, now);
        }
    }));
}

#[test]
fn metrics_of_channels() {
    let mut scene = Scene::new([channel("busy"), channel("broken"), channel("new")]);
    // What ended so many minutes before, one more each time; who left counts neither way.
    let mut before = 23 * 60 + 30;
    for (minutes, outcomes) in [
        (before, &[Outcome::Success, Outcome::Success, Outcome::Nothing][..]),
        (5 * 60, &[Outcome::Success, BROKEN][..]),
        (45, &[Outcome::Success][..]),
        (10, &[Outcome::Success, Outcome::Nothing, BROKEN][..]),
        (0, &[Outcome::Success][..]),
    ] {
        scene.now += MINUTE * (before - minutes);
        before = minutes;
        end(&mut scene, "busy", outcomes);
    }
    end(&mut scene, "broken", &[BROKEN; 5]);
    let choice = scene.take(&ask_after(&[], None));
    scene.now += Duration::from_millis(1500);
    scene.state.answered(&choice, true, scene.now);
    let all: Vec<_> = ["busy", "broken", "new"]
        .map(|id| snapshot(scene.state.entry(&ChannelId::new(id)).unwrap(), KIND, scene.now))
        .into();
    golden("channels", &all);
    scene.end(&choice, Outcome::Success);
}
