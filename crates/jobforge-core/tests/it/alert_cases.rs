//! When each alert fires, stays silent and resolves: one table for the built-in evaluator and for promtool.
//!
//! Series are written as in promtool's rule tests, one value a minute, beginning at 0: `0+60x10` goes on from 0 by 60
//! ten times, `5x20` stays at 5 for twenty more, `_x3` is nothing for three minutes.

/// The labels of a series that fires.
pub(crate) type Labels = &'static [(&'static str, &'static str)];

/// Series over time, and what fires at some minutes of it.
pub(crate) struct Case {
    /// The alert.
    pub(crate) rule: &'static str,
    /// What happens, in words.
    pub(crate) story: &'static str,
    /// Each series with its values.
    pub(crate) series: Vec<(&'static str, &'static str)>,
    /// At this minute these series fire, each given by its labels as `name=value`.
    pub(crate) fires: Vec<(i64, Vec<Labels>)>,
}

fn case(rule: &'static str, story: &'static str, series: &[(&'static str, &'static str)]) -> Case {
    Case { rule, story, series: series.to_vec(), fires: Vec::new() }
}

impl Case {
    /// Nothing fires at this minute.
    fn silent(mut self, minute: i64) -> Self {
        self.fires.push((minute, Vec::new()));
        self
    }

    /// One series fires at this minute.
    fn fires(self, minute: i64, labels: Labels) -> Self {
        self.fire(minute, &[labels])
    }

    fn fire(mut self, minute: i64, all: &[Labels]) -> Self {
        self.fires.push((minute, all.to_vec()));
        self
    }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    [liveness(), schedules(), durations(), queues(), platform()].into_iter().flatten().collect()
}

fn liveness() -> Vec<Case> {
    const HEARTBEAT_ON: (&str, &str) = (r#"jobforge_feature_enabled{flag="JOB_HEARTBEAT"}"#, "1x60");
    const CODEC: Labels = &[("type", "media.qc")];
    const MAIL: Labels = &[("queue", "mail")];
    vec![
        case("heartbeat_missed", "one heartbeat is missed", &[("job_heartbeat_missed", "0x10 1x30")])
            .silent(10)
            .fires(12, &[])
            .silent(20),
        case(
            "heartbeat_missed_high",
            "two processes see three each",
            &[
                (r#"job_heartbeat_missed{instance="a"}"#, "0x10 3x30"),
                (r#"job_heartbeat_missed{instance="b"}"#, "0x10 3x30"),
            ],
        )
        .silent(10)
        .fires(12, &[])
        .silent(20),
        case(
            "heartbeat_missed_high",
            "five are not more than five",
            &[("job_heartbeat_missed", "0x10 4x30")],
        )
        .silent(12),
        case(
            "watchdog_not_running",
            "it stops and comes back",
            &[("jobforge_watchdog_last_run_timestamp_seconds", "0+60x10 600x9 1200+60x10"), HEARTBEAT_ON],
        )
        .silent(15)
        .fires(16, &[])
        .silent(22),
        case("watchdog_not_running", "none ever ran", &[("other", "1x10"), HEARTBEAT_ON]).fires(3, &[]),
        case(
            "watchdog_not_running",
            "heartbeats are off on purpose",
            &[("other", "1x10"), (r#"jobforge_feature_enabled{flag="JOB_HEARTBEAT"}"#, "0x60")],
        )
        .silent(5),
        case(
            "dlq_from_watchdog_high",
            "twelve in a few minutes",
            &[("watchdog_jobs_moved_to_dlq", "0x5 0+4x3 12x90")],
        )
        .silent(5)
        .fires(10, &[])
        .silent(80),
        case(
            "dlq_from_watchdog_high",
            "eight in an hour",
            &[("watchdog_jobs_moved_to_dlq", "0x5 0+4x2 8x90")],
        )
        .silent(20),
        case(
            "CleanupDaemonDown",
            "it stops and comes back",
            &[("jobforge_cleanup_last_run_timestamp_seconds", "0+60x10 600x9 1200+60x10")],
        )
        .silent(13)
        .fires(15, &[])
        .silent(21),
        case(
            "WorkerFalselyDeclaredDead",
            "one comes back",
            &[("jobforge_workers_resurrected_total", "0x10 1x30")],
        )
        .silent(10)
        .fires(12, &[])
        .silent(30),
        case(
            "qc_job_stuck",
            "one hangs for some minutes",
            &[(r#"jobforge_jobs_stuck{type="media.qc"}"#, "0x5 1x5 0x10")],
        )
        .silent(5)
        .fires(8, CODEC)
        .silent(13),
        case(
            "qc_job_stuck",
            "recovery is quicker",
            &[(r#"jobforge_jobs_stuck{type="media.qc"}"#, "0x5 1 0x10")],
        )
        .silent(6)
        .silent(7),
        case(
            "WorkerDown",
            "two servers tell of one worker",
            &[
                (r#"jobforge_workers{queue="mail",state="down",instance="a"}"#, "0x5 1x10 0x10"),
                (r#"jobforge_workers{queue="mail",state="down",instance="b"}"#, "0x5 1x10 0x10"),
                (r#"jobforge_workers{queue="mail",state="live",instance="a"}"#, "3x40"),
            ],
        )
        .silent(5)
        .fires(10, MAIL)
        .silent(18),
        case(
            "NoLiveWorkersForQueue",
            "the last worker goes and another comes",
            &[
                (r#"jobforge_jobs_ready{queue="mail"}"#, "4x40"),
                (r#"jobforge_workers{queue="mail",state="live"}"#, "1x5 0x10 1x20"),
            ],
        )
        .silent(5)
        .fires(10, MAIL)
        .silent(18),
        case(
            "NoLiveWorkersForQueue",
            "there never was one",
            &[(r#"jobforge_jobs_ready{queue="mail"}"#, "4x40")],
        )
        .fires(4, MAIL),
        case("NoLiveWorkersForQueue", "nothing is due", &[(r#"jobforge_jobs_ready{queue="mail"}"#, "0x40")])
            .silent(10),
        case(
            "HeartbeatProtectionOff",
            "off for an hour",
            &[(r#"jobforge_feature_enabled{flag="JOB_HEARTBEAT"}"#, "1x5 0x60 1x10")],
        )
        .silent(30)
        .fires(40, &[])
        .silent(70),
    ]
}

fn schedules() -> Vec<Case> {
    const SYNC: Labels = &[("job_name", "clip_sync")];
    const REPUTATION: Labels = &[("job_name", "reputation_tasks")];
    vec![
        case(
            "BackgroundJobFailing",
            "twelve failures a minute on two workers",
            &[
                (
                    r#"job_execution_total{job_name="clip_sync",status="failed",instance="a"}"#,
                    "0x5 0+6x15 90x30",
                ),
                (
                    r#"job_execution_total{job_name="clip_sync",status="failed",instance="b"}"#,
                    "0x5 0+6x15 90x30",
                ),
                (r#"job_execution_total{job_name="clip_sync",status="success",instance="a"}"#, "0+60x60"),
            ],
        )
        .silent(8)
        .fires(16, SYNC)
        .silent(35),
        case(
            "BackgroundJobFailing",
            "one a minute is not enough",
            &[(r#"job_execution_total{job_name="clip_sync",status="failed"}"#, "0+1x60")],
        )
        .silent(40),
        case(
            "BackgroundJobFailingRepeatedly",
            "three in a row, then a success",
            &[(r#"jobforge_schedule_consecutive_failures{job_name="clip_sync"}"#, "0x5 1x5 2x5 3x5 0x5")],
        )
        .silent(15)
        .fires(20, SYNC)
        .silent(25),
        case(
            "BackgroundJobCriticalFailureRate",
            "three of four fail, for a while",
            &[
                (r#"job_execution_total{job_name="clip_sync",status="failed"}"#, "0x5 0+3x20 60x30"),
                (r#"job_execution_total{job_name="clip_sync",status="success"}"#, "0+1x60"),
            ],
        )
        .silent(6)
        .fires(20, SYNC)
        .silent(40),
        case(
            "BackgroundJobCriticalFailureRate",
            "one of four fails",
            &[
                (r#"job_execution_total{job_name="clip_sync",status="failed"}"#, "0+1x60"),
                (r#"job_execution_total{job_name="clip_sync",status="success"}"#, "0+3x60"),
            ],
        )
        .silent(30),
        case(
            "BackgroundJobNotRunning",
            "a job of every 15 minutes stops for two hours and succeeds again",
            &[
                (r#"jobforge_schedule_fresh_timestamp_seconds{job_name="clip_sync"}"#, "-7000x9 600x10"),
                (r#"jobforge_schedule_stale_after_seconds{job_name="clip_sync"}"#, "1800x20"),
                (r#"jobforge_schedule_paused{job_name="clip_sync"}"#, "0x20"),
            ],
        )
        .silent(2)
        .fires(6, SYNC)
        .silent(11),
        case(
            "BackgroundJobNotRunning",
            "a healthy job of every 6 hours",
            &[
                (r#"jobforge_schedule_fresh_timestamp_seconds{job_name="reputation_tasks"}"#, "-21000x10"),
                (r#"jobforge_schedule_stale_after_seconds{job_name="reputation_tasks"}"#, "43200x10"),
            ],
        )
        .silent(9),
        case(
            "BackgroundJobNotRunning",
            "one that never succeeded counts from when it was made",
            &[
                (r#"jobforge_schedule_fresh_timestamp_seconds{job_name="clip_sync"}"#, "-7000x20"),
                (r#"jobforge_schedule_stale_after_seconds{job_name="clip_sync"}"#, "1800x20"),
            ],
        )
        .silent(2)
        .fires(6, SYNC),
        case(
            "BackgroundJobCriticallyStale",
            "one that was paused for days has its limit from when it is resumed on, whenever it last succeeded",
            &[
                (r#"job_last_success_timestamp_seconds{job_name="clip_sync"}"#, "-300000x20"),
                (r#"jobforge_schedule_fresh_timestamp_seconds{job_name="clip_sync"}"#, "-300000x9 600x10"),
                (r#"jobforge_schedule_stale_after_seconds{job_name="clip_sync"}"#, "1800x20"),
                (r#"jobforge_schedule_paused{job_name="clip_sync"}"#, "1x9 0x10"),
            ],
        )
        .silent(8)
        .silent(15),
        case(
            "BackgroundJobNotRunning",
            "a paused one is left in peace",
            &[
                (r#"jobforge_schedule_fresh_timestamp_seconds{job_name="clip_sync"}"#, "-90000x20"),
                (r#"jobforge_schedule_stale_after_seconds{job_name="clip_sync"}"#, "1800x20"),
                (r#"jobforge_schedule_paused{job_name="clip_sync"}"#, "1x20"),
            ],
        )
        .silent(15),
        case(
            "BackgroundJobCriticallyStale",
            "a day goes by without success",
            &[
                (r#"jobforge_schedule_fresh_timestamp_seconds{job_name="reputation_tasks"}"#, "-86100x9 600x10"),
                (r#"jobforge_schedule_stale_after_seconds{job_name="reputation_tasks"}"#, "43200x20"),
            ],
        )
        .silent(4)
        .fires(7, REPUTATION)
        .silent(11),
        case(
            "BackgroundJobQueueGrowing",
            "from 90 to 180 and on, then less",
            &[(r#"job_queue_size{job_name="clip_sync"}"#, "90x15 180+20x10 380x20 50x10")],
        )
        .silent(15)
        .fires(20, SYNC)
        .silent(45)
        .silent(55),
        case(
            "BackgroundJobQueueGrowing",
            "large and steady",
            &[(r#"job_queue_size{job_name="clip_sync"}"#, "500x40")],
        )
        .silent(30),
        case(
            "BackgroundJobQueueGrowing",
            "growth from nothing",
            &[(r#"job_queue_size{job_name="clip_sync"}"#, "0x12 150x30")],
        )
        .fires(16, SYNC)
        .silent(30),
        case(
            "BackgroundJobCriticalQueueSize",
            "1500 for a quarter of an hour",
            &[(r#"job_queue_size{job_name="clip_sync"}"#, "0x5 1500x20 10x10")],
        )
        .silent(10)
        .fires(20, SYNC)
        .silent(30),
        case(
            "BackgroundJobHighItemFailureRate",
            "half of what is not skipped fails",
            &[
                (r#"job_items_processed_total{job_name="clip_sync",status="failed"}"#, "0+5x60 300x90"),
                (r#"job_items_processed_total{job_name="clip_sync",status="success"}"#, "0+5x150"),
                (r#"job_items_processed_total{job_name="clip_sync",status="skipped"}"#, "0+90x150"),
            ],
        )
        .silent(10)
        .fires(30, SYNC)
        .silent(149),
        case(
            "BackgroundJobHighItemFailureRate",
            "one in ten fails",
            &[
                (r#"job_items_processed_total{job_name="clip_sync",status="failed"}"#, "0+1x60"),
                (r#"job_items_processed_total{job_name="clip_sync",status="success"}"#, "0+9x60"),
            ],
        )
        .silent(40),
    ]
}

/// Runs that take too long, also of jobs that run once an hour.
fn durations() -> Vec<Case> {
    const SLOW: Labels = &[("job_name", "trending_score_refresh")];
    let hourly = |below_300, below_600, all| {
        vec![
            (
                r#"job_execution_duration_seconds_bucket{job_name="trending_score_refresh",le="300"}"#,
                below_300,
            ),
            (
                r#"job_execution_duration_seconds_bucket{job_name="trending_score_refresh",le="600"}"#,
                below_600,
            ),
            (r#"job_execution_duration_seconds_bucket{job_name="trending_score_refresh",le="900"}"#, all),
            (r#"job_execution_duration_seconds_bucket{job_name="trending_score_refresh",le="+Inf"}"#, all),
        ]
    };
    vec![
        case(
            "BackgroundJobHighDuration",
            "once an hour, 400 seconds",
            &hourly("0x250", "0x60 1x60 2x130", "0x60 1x60 2x130"),
        )
        .silent(60)
        .fires(80, SLOW)
        .fires(115, SLOW)
        .silent(249),
        case(
            "BackgroundJobHighDuration",
            "once an hour, quick",
            &hourly("0x60 1x60 2x60", "0x60 1x60 2x60", "0x60 1x60 2x60"),
        )
        .silent(100),
        case(
            "BackgroundJobCriticalDuration",
            "once an hour, 700 seconds",
            &hourly("0x250", "0x250", "0x60 1x60 2x130"),
        )
        .silent(60)
        .fires(80, SLOW)
        .silent(249),
        case(
            "BackgroundJobCriticalDuration",
            "once an hour, 400 seconds",
            &hourly("0x250", "0x60 1x60 2x130", "0x60 1x60 2x130"),
        )
        .silent(100),
    ]
}

fn queues() -> Vec<Case> {
    const QC: Labels = &[("type", "media.qc")];
    vec![
        case(
            "HighJobFailureRate",
            "one in five fails, on two workers, for an hour",
            &[
                (r#"jobforge_jobs_failed_total{queue="a",instance="1"}"#, "0+2x60 120x180"),
                (r#"jobforge_jobs_total{queue="a",instance="1"}"#, "0+5x240"),
                (r#"jobforge_jobs_failed_total{queue="b",instance="2"}"#, "0x240"),
                (r#"jobforge_jobs_total{queue="b",instance="2"}"#, "0+5x240"),
            ],
        )
        .silent(4)
        .fires(30, &[])
        .silent(150),
        case(
            "HighJobFailureRate",
            "one in twenty fails",
            &[("jobforge_jobs_failed_total", "0+1x60"), ("jobforge_jobs_total", "0+20x60")],
        )
        .silent(40),
        case(
            "QueueBacklog",
            "two queues together",
            &[
                (r#"jobforge_jobs_ready{queue="a",instance="1"}"#, "0x5 600x10 0x10"),
                (r#"jobforge_jobs_ready{queue="a",instance="2"}"#, "0x5 600x10 0x10"),
                (r#"jobforge_jobs_ready{queue="b",instance="1"}"#, "0x5 600x10 0x10"),
            ],
        )
        .silent(8)
        .fires(13, &[])
        .silent(20),
        case(
            "QueueBacklog",
            "one queue that two servers tell of",
            &[
                (r#"jobforge_jobs_ready{queue="a",instance="1"}"#, "600x30"),
                (r#"jobforge_jobs_ready{queue="a",instance="2"}"#, "600x30"),
            ],
        )
        .silent(20),
        case(
            "DeadLetterSpike",
            "150 die at once",
            &[(r#"jobforge_jobs_dead_total{queue="a",source="worker"}"#, "0x10 150x90")],
        )
        .silent(10)
        .fires(15, &[])
        .silent(80),
        case(
            "SlowJobs",
            "an hour and a half",
            &[(r#"jobforge_running_job_age_seconds_max{type="media.qc"}"#, "0+60x90 0x20")],
        )
        .silent(55)
        .fires(65, QC)
        .silent(95),
        case(
            "SlowJobs",
            "it may run for two hours",
            &[
                (r#"jobforge_running_job_age_seconds_max{type="media.qc"}"#, "0+60x130"),
                (r#"jobforge_running_job_timeout_seconds_max{type="media.qc"}"#, "7200x130"),
            ],
        )
        .silent(110)
        .fires(125, QC),
        case(
            "HeartbeatBudgetTenant",
            "one of two is over",
            &[
                (r#"jobforge_heartbeats_expected_per_minute{tenant="a"}"#, "10x5 50x10 10x10"),
                (r#"jobforge_heartbeat_budget_per_minute{tenant="a"}"#, "40x40"),
                (r#"jobforge_heartbeats_expected_per_minute{tenant="b"}"#, "10x40"),
                (r#"jobforge_heartbeat_budget_per_minute{tenant="b"}"#, "40x40"),
                ("jobforge_heartbeats_expected_per_minute_global", "900x40"),
                ("jobforge_heartbeat_budget_per_minute_global", "1000x40"),
            ],
        )
        .silent(8)
        .fires(13, &[("tenant", "a")])
        .silent(20),
        case(
            "HeartbeatBudgetGlobal",
            "all together are over",
            &[
                ("jobforge_heartbeats_expected_per_minute_global", "10x5 50x10 10x10"),
                ("jobforge_heartbeat_budget_per_minute_global", "40x40"),
                (r#"jobforge_heartbeats_expected_per_minute{tenant="a"}"#, "900x40"),
                (r#"jobforge_heartbeat_budget_per_minute{tenant="a"}"#, "1000x40"),
            ],
        )
        .silent(8)
        .fires(13, &[])
        .silent(20),
    ]
}

fn platform() -> Vec<Case> {
    vec![
        case(
            "JobForgeDown",
            "it goes and comes back",
            &[(r#"jobforge_build_info{version="1"}"#, "1x5 _x20 1x10"), ("other", "1x40")],
        )
        .silent(5)
        .fires(15, &[])
        .silent(30),
        case(
            "JobForgeDatabaseUnreachable",
            "for one of two servers",
            &[
                (r#"jobforge_database_up{instance="a"}"#, "1x5 0x5 1x10"),
                (r#"jobforge_database_up{instance="b"}"#, "1x30"),
            ],
        )
        .silent(5)
        .fires(9, &[("instance", "a")])
        .silent(12),
        case(
            "JobForgeSchedulerNotTicking",
            "it stops and comes back",
            &[("jobforge_scheduler_last_tick_timestamp_seconds", "0+60x10 600x9 1200+60x10")],
        )
        .silent(12)
        .fires(15, &[])
        .silent(21),
        case(
            "JobForgeScheduleMissed",
            "two runs",
            &[(r#"jobforge_schedule_missed_runs_total{job_name="clip_sync"}"#, "0x10 2x90")],
        )
        .silent(10)
        .fires(20, &[("job_name", "clip_sync")])
        .silent(80),
        case(
            "JobForgeNotificationsFailing",
            "one of two channels",
            &[
                (r#"jobforge_notifications_total{channel="slack",outcome="failed"}"#, "0x10 3x40"),
                (r#"jobforge_notifications_total{channel="slack",outcome="sent"}"#, "0+1x50"),
                (r#"jobforge_notifications_total{channel="mail",outcome="failed"}"#, "0x50"),
            ],
        )
        .silent(10)
        .fires(12, &[("channel", "slack")])
        .silent(35),
    ]
}
