use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

const NOW: i64 = 1_000_000;

/// The defaults: 30 s, 60 s at the longest, late after 120 s, swept for every 60 s.
fn asked(threshold: u64) -> Question {
    let rhythm = BeatPolicy {
        enabled: true,
        interval: s(30),
        max_interval: s(60),
        multiplier: 2.0,
        threshold: s(120),
    };
    Question {
        look_back: LOOK_BACK,
        threshold: s(threshold),
        rhythm,
        check_interval: s(60),
        kept: LOOK_BACK * 2,
    }
}

/// An attempt that succeeded.
fn healthy(silences: &[(i64, u64)]) -> Trace {
    let silence = |(ended, lasted): &(i64, u64)| SilentGap {
        ended_at: at(*ended),
        ms: lasted * 1000,
        interval_ms: Some(30_000),
    };
    Trace {
        job: JobId::new(),
        tenant_id: "default".to_owned(),
        job_type: "report.build".to_owned(),
        queue: "default".to_owned(),
        attempt: 1,
        lease: Lease(1),
        worker: None,
        outcome: "succeeded".to_owned(),
        cause: None,
        finished_at: Some(at(NOW - 100)),
        heartbeat_at: Some(at(NOW - 101)),
        refused: 0,
        heard: Heard { beats: 3, interval: Some(s(30)), gaps: silences.iter().map(silence).collect() },
    }
}

/// An attempt that fell silent and was taken back after so long.
fn hung(after: u64) -> Trace {
    let finished = at(NOW - 100);
    Trace {
        outcome: "lost".to_owned(),
        cause: Some(LATE.to_owned()),
        finished_at: Some(finished),
        heartbeat_at: Some(sub(finished, s(after))),
        ..healthy(&[])
    }
}

fn ask(traces: Vec<Trace>, threshold: u64) -> WhatIf {
    what_if(&Record { as_of: at(NOW), traces, cut: false }, &asked(threshold))
}

fn found(was: u64, threshold: u64) -> u64 {
    ask(vec![hung(was)], threshold).caught[0].would_be_ms / 1000
}

#[test]
fn under_the_threshold_that_goes_everything_is_found_when_it_was() {
    for was in [121, 150, 180] {
        assert_eq!(found(was, 120), was);
    }
}

#[test]
fn a_hung_attempt_is_found_by_the_first_sweep_after_its_silence_is_too_long() {
    // Sweeps came at 150, 90 and 30 seconds of silence.
    assert_eq!(found(150, 60), 90);
    assert_eq!(found(150, 89), 90);
    assert_eq!(found(150, 90), 150, "overdue, not only due");
    assert_eq!(found(150, 45), 90, "no job is late before two of its intervals");
    assert_eq!(found(150, 200), 210, "a longer threshold finds it later");
    assert_eq!(ask(vec![hung(150)], 200).caught[0].sooner_ms, -60_000);
}

#[test]
fn a_sweep_that_was_held_back_is_taken_to_have_been_held_back_for_as_long() {
    // Due at 120, found at 300: something held the verdict for 180 seconds.
    assert_eq!(found(300, 60), 240);
}

#[test]
fn a_healthy_job_is_hit_by_a_threshold_below_its_longest_silence_and_by_no_other() {
    let job = healthy(&[(NOW - 900, 70), (NOW - 500, 95)]);
    let answer = ask(vec![job.clone()], 80);
    assert_eq!(answer.hit.len(), 1);
    let hit = &answer.hit[0];
    assert_eq!((hit.silence_ms, hit.allowed_ms, hit.silences, hit.also_now), (95_000, 80_000, 1, false));
    assert_eq!((hit.silent_from, hit.silent_until), (at(NOW - 595), at(NOW - 500)));
    assert_eq!(ask(vec![job.clone()], 60).hit[0].silences, 2);
    assert!(ask(vec![job], 95).hit.is_empty(), "as long as allowed is not too long");
    let slow = SilentGap { interval_ms: Some(60_000), ..healthy(&[(NOW - 500, 119)]).heard.gaps[0].clone() };
    let job = Trace { heard: Heard { gaps: vec![slow], ..Heard::default() }, ..healthy(&[]) };
    assert!(ask(vec![job], 45).hit.is_empty(), "two of its own intervals are allowed");
}

#[test]
fn the_smallest_threshold_that_hits_nobody_is_recommended_with_its_command() {
    let traces = vec![healthy(&[(NOW - 500, 95)]), healthy(&[(NOW - 400, 65)]), hung(150)];
    let answer = ask(traces.clone(), 60);
    assert_eq!(answer.recommended.heartbeat_threshold_ms, 95_000);
    let command = "jobforge config set heartbeat_threshold_ms=95000";
    assert_eq!(answer.recommended.command.as_deref(), Some(command));
    assert!(ask(traces.clone(), 95).hit.is_empty() && !ask(traces, 94).hit.is_empty());
    let none = ask(vec![hung(150)], 60).recommended;
    assert_eq!(none.heartbeat_threshold_ms, 60_000, "two intervals: less is refused as a setting");
    let back = Trace { refused: 1, ..hung(170) };
    let answer = ask(vec![back], 60);
    assert!(answer.caught[0].came_back);
    assert_eq!(answer.recommended.heartbeat_threshold_ms, 170_000, "what came back was healthy");
}

#[test]
fn a_running_job_that_is_silent_is_neither_hit_nor_healthy_yet() {
    let running = |silent: u64| Trace {
        outcome: "running".to_owned(),
        finished_at: None,
        heartbeat_at: Some(sub(at(NOW), s(silent))),
        ..healthy(&[])
    };
    let answer = ask(vec![running(70), running(50)], 60);
    assert!(answer.hit.is_empty());
    assert_eq!(answer.silent_now.iter().map(|line| line.silence_ms).collect::<Vec<_>>(), [70_000]);
}

#[test]
fn the_answer_reads_like_speech() {
    let one = healthy(&[(NOW - 500, 95)]);
    let told = |traces: Vec<Trace>, threshold| ask(traces, threshold).conclusion;
    assert_eq!(
        told(vec![hung(150)], 60),
        "Under a threshold of 60 s, the one hung attempt would have been found after 90 s instead of 2 min 30 s. No healthy job would have been hit in 14 d."
    );
    assert_eq!(
        told(vec![hung(150), hung(130), hung(170)], 60),
        "Under a threshold of 60 s, half of the 3 hung attempts would have been found within 90 s instead of 2 min 30 s (the longest after 110 s instead of 2 min 50 s). No healthy job would have been hit in 14 d."
    );
    assert_eq!(
        told(vec![one.clone()], 80),
        "Under a threshold of 80 s a hung job may be silent for 80 s instead of 2 min at first; none was hung in 14 d. One healthy job would have been hit in 14 d."
    );
    assert_eq!(
        told(vec![], 120),
        "Under the present threshold of 2 min a hung job may be silent for 2 min at first; none was hung in 14 d. No healthy job would have been hit in 14 d."
    );
    assert_eq!(
        told(vec![one, healthy(&[(NOW - 500, 200)])], 80),
        "Under a threshold of 80 s a hung job may be silent for 80 s instead of 2 min at first; none was hung in 14 d. 2 healthy jobs would have been hit in 14 d."
    );
}

#[test]
fn what_it_does_not_see_it_says() {
    let says = |record: &Record, question: &Question, word: &str| {
        what_if(record, question).limits.iter().any(|limit| limit.contains(word))
    };
    let empty = Record { as_of: at(NOW), traces: Vec::new(), cut: false };
    assert!(says(&empty, &asked(45), "would be refused") && !says(&empty, &asked(60), "would be refused"));
    assert!(
        says(&empty, &asked(60), "HEARTBEAT_MAX_INTERVAL_MS")
            && !says(&empty, &asked(120), "HEARTBEAT_MAX_INTERVAL_MS")
    );
    assert!(says(&Record { cut: true, ..empty.clone() }, &asked(60), "newest attempts"));
    assert!(says(&empty, &Question { kept: s(86_400), ..asked(60) }, "kept for"));
    let old = Trace { heard: Heard::default(), ..hung(150) };
    assert!(says(&Record { traces: vec![old], ..empty.clone() }, &asked(60), "not recorded"));
    let off = BeatPolicy { enabled: false, ..asked(60).rhythm };
    assert!(says(&empty, &Question { rhythm: off, ..asked(60) }, "switched off"));
}

#[test]
fn a_threshold_that_cannot_be_set_is_refused_with_what_can() {
    let settings = Settings::defaults();
    let ask = |threshold, look_back| {
        Question::new(&settings, threshold, look_back).map_err(|fault| fault.to_string())
    };
    let fine = ask(Some(45_000), LOOK_BACK).expect("fine");
    assert_eq!((fine.threshold, fine.check_interval, fine.kept), (s(45), s(60), s(30 * 86_400)));
    assert_eq!(ask(None, LOOK_BACK).map(|question| question.threshold), Ok(s(120)), "the one that goes");
    assert_eq!(
        ask(Some(5), LOOK_BACK),
        Err("heartbeat_threshold_ms is 5; it must be from 1000 to 86400000".to_owned())
    );
}
