//! What a store means: one scenario per promise, each run on every engine.
//!
//! An engine's test file hands over a function that makes an empty, migrated store; [`conformance!`](crate::conformance!)
//! turns every scenario into a test of its own, so that a failure names the engine and the promise. After each scenario the
//! store's own consistency check must find nothing.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Result;
use jobforge_core::rescue::RescuePolicy;
use jobforge_store::Store;

use crate::fixtures::{at, sweep};

pub mod admin;
pub mod alerts;
pub mod bounds;
pub mod bulk;
pub mod claim;
pub mod dead;
pub mod death;
pub mod enqueue;
pub mod fence;
pub mod heartbeat;
pub mod inspect;
pub mod operate;
pub mod poison;
pub mod presence;
pub mod progress;
pub mod renew;
pub mod rescue;
pub mod restart;
pub mod retention;
pub mod schedule_fire;
pub mod schedules;
pub mod search;
pub mod settle;
pub mod silence;
pub mod tenants;
pub mod upkeep;
pub mod wake;
pub mod watchdog;
pub mod workers;

/// After the end of every story, also of those on the present time: about the year 2080.
const AFTERWARDS_S: i64 = 20_000 * 86_400;

/// An empty, migrated store and what must outlive it.
pub struct Fresh {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Keeps the database until the test is over; may be `()`.
    pub guard: Box<dyn Any + Send>,
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").field("location", &self.store.location()).finish_non_exhaustive()
    }
}

/// What a scenario returns.
pub type Story<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Runs one scenario on a fresh store, then lets a watchdog finish what the scenario left, and checks the store.
pub async fn run(
    fresh: impl Future<Output = Result<Fresh>>,
    scenario: impl FnOnce(Arc<dyn Store>) -> Story<'static>,
) {
    let fresh = fresh.await.unwrap_or_else(|error| panic!("failed to make a store: {error:#}"));
    scenario(fresh.store.clone()).await.unwrap_or_else(|error| panic!("{error:#}"));
    tidy(&fresh.store).await.unwrap_or_else(|error| panic!("failed to check the store: {error:#}"));
}

/// Long after the story every worker is lost and every running job taken back; what then breaks a rule was wrong before.
async fn tidy(store: &Arc<dyn Store>) -> Result<()> {
    let afterwards = at(AFTERWARDS_S);
    while !sweep(store, &RescuePolicy::default(), afterwards).await?.moved.is_empty() {}
    let findings = store.check(afterwards).await?;
    anyhow::ensure!(findings.is_empty(), "the scenario left an inconsistent database: {findings:#?}");
    Ok(())
}

/// Makes one test of each scenario. Takes the path, from the crate's root, of an async function that makes a [`Fresh`].
#[macro_export]
macro_rules! conformance {
    ($fresh:path) => {
        $crate::scenarios! { $fresh;
            enqueue {
                a_new_job_is_queued_and_due_at_once,
                everything_a_job_carries_comes_back,
                the_extremes_of_numbers_are_kept,
                unusual_payloads_come_back_the_same,
                big_numbers_in_payloads_are_kept,
                a_delay_counts_from_the_stores_clock_and_run_at_is_taken_as_given,
                the_same_key_with_the_same_payload_is_the_same_job,
                a_key_stays_taken_after_its_job_has_ended,
                a_key_belongs_to_one_tenant_and_type,
                a_key_with_another_payload_is_refused_and_nothing_is_enqueued,
                a_key_repeated_within_a_batch_is_one_job,
                a_key_repeated_within_a_batch_with_another_payload_is_refused,
                a_repeated_id_with_the_same_content_is_the_same_job,
                an_id_that_another_job_has_is_refused_and_nothing_is_enqueued,
                a_repeated_id_and_key_with_another_payload_is_a_conflict_of_the_key,
                a_key_knows_a_stored_payload_again_by_what_was_stored,
                an_empty_batch_is_no_error,
            }
            bulk {
                a_bulk_batch_is_enqueued_whole_and_in_order,
                a_bulk_batch_on_the_databases_own_clock_keeps_every_field,
                a_bulk_batch_sent_again_on_the_databases_own_clock_creates_nothing,
                a_bulk_batch_with_one_conflict_enqueues_nothing,
            }
            claim {
                a_claimed_job_carries_all_that_its_handler_needs,
                a_claimed_job_is_running_under_its_worker,
                the_most_urgent_come_first_then_the_longest_due_then_the_oldest,
                a_more_urgent_job_that_comes_later_is_claimed_first,
                a_job_is_claimed_only_when_its_time_has_come,
                a_claim_of_one_tenant_takes_and_tells_of_only_its_jobs,
                a_claim_tells_when_the_next_job_becomes_due,
                a_full_claim_says_that_there_may_be_more,
                one_claim_takes_no_more_than_its_limit_whatever_is_asked,
                each_queue_gives_at_most_what_was_asked_of_it,
                a_worker_gets_only_the_types_it_asks_for,
                a_paused_queue_gives_nothing_until_it_is_resumed,
                a_worker_that_is_unknown_silent_draining_or_gone_gets_nothing,
                every_claim_raises_the_lease_by_one_and_counts_an_attempt,
                a_claimed_job_is_not_claimed_again,
                what_a_claim_has_passed_by_is_still_found_by_the_next_ones,
                each_job_is_claimed_once_by_many_claimers_at_the_same_time,
                each_job_is_claimed_once_on_the_databases_own_clock_too,
            }
            heartbeat {
                a_heartbeat_keeps_the_job_and_moves_its_deadline,
                a_report_is_stored_in_every_field,
                fields_that_are_not_reported_stay_as_they_are,
                each_attempt_begins_its_progress_anew_and_keeps_the_checkpoint,
                answers_come_in_the_order_of_the_beats,
                a_canceled_job_says_so_to_its_worker_even_after_it_runs_again,
                another_worker_and_an_older_lease_change_nothing,
                a_zombie_cannot_report_after_its_job_was_rescued,
            }
            tenants {
                tenants_are_told_with_what_waits_and_runs,
                tenants_are_found_by_how_their_names_begin,
                what_fell_of_a_tenant_is_counted_and_what_fell_lately,
                a_tenants_success_takes_nothing_with_it,
            }
            silence {
                a_long_silence_is_kept_and_a_punctual_heartbeat_is_only_counted,
                of_many_silences_the_longest_are_kept,
                a_silence_that_the_end_of_the_attempt_breaks_is_kept_with_it,
                a_claim_begins_the_record_anew_and_the_attempt_keeps_its_own,
                whatever_ends_an_attempt_keeps_what_was_heard_of_it,
                a_stale_fence_records_nothing,
                a_worker_that_does_not_say_how_often_it_beats_leaves_no_gaps,
                what_a_threshold_bears_on_is_found_and_nothing_else,
            }
            progress {
                what_a_handler_reports_is_kept_as_points_and_nothing_is_kept_twice,
                the_last_report_is_a_point_however_the_attempt_ends,
                each_attempt_has_points_of_its_own_whatever_ended_it,
                of_many_reports_the_store_keeps_what_the_core_keeps,
                reports_of_several_jobs_in_one_call_are_kept_apart,
                a_job_that_snoozes_for_ever_keeps_the_points_of_its_newest_fences,
            }
            settle {
                a_success_ends_the_job_and_keeps_its_result,
                a_success_without_a_result_has_none,
                a_first_try_success_and_a_running_attempt_are_shown_as_attempts,
                a_job_that_never_ran_has_no_attempts,
                a_failure_waits_and_runs_again_with_its_error_kept,
                the_last_failure_makes_the_job_dead,
                a_failure_for_good_ends_the_job_as_failed,
                a_snooze_waits_and_uses_no_attempt,
                a_release_gives_the_job_back_at_once_and_uses_no_attempt,
                the_last_report_is_stored_with_the_end,
                a_batch_of_every_kind_is_answered_in_order,
                a_long_story_is_told_attempt_by_attempt,
            }
            fence {
                a_settlement_sent_again_is_answered_as_replayed_and_changes_nothing,
                a_settlement_twice_in_one_batch_counts_once,
                of_two_different_ends_the_first_counts,
                of_two_different_ends_in_one_batch_the_first_counts,
                an_old_lease_in_the_same_batch_does_not_hide_the_present_one,
                a_replay_after_the_next_claim_is_fenced,
                another_worker_cannot_settle,
                a_lease_that_was_never_given_settles_nothing,
                a_zombie_cannot_settle_after_rescue,
                a_worker_whose_lease_ran_out_may_settle_what_nobody_took,
                a_canceled_or_deleted_job_cannot_be_settled,
                what_comes_too_late_is_counted_with_the_attempt_that_was_taken,
                a_handler_that_ignores_cancel_is_told_of,
            }
            rescue {
                healthy_jobs_are_no_suspects,
                a_job_of_a_silent_worker_is_taken_back_and_runs_elsewhere,
                an_expired_worker_is_found_before_anybody_marks_it,
                what_a_worker_held_when_it_left_is_found_at_once,
                policy_fail_ends_the_job_with_the_runbooks_exact_text,
                a_job_that_loses_too_many_leases_is_dead_with_the_evidence_of_each,
                a_heartbeat_between_scan_and_rescue_wins,
                an_end_a_cancel_and_a_deletion_between_scan_and_rescue_win,
                of_two_watchdogs_with_the_same_plan_the_second_is_too_late,
                two_watchdogs_at_the_same_time_move_each_job_once,
                a_silent_handler_on_a_living_worker_is_taken_back,
                a_job_far_past_its_deadline_is_taken_back_without_a_miss,
                a_worker_that_registers_anew_is_another_incarnation,
                a_self_fenced_worker_hands_its_job_over_without_a_miss,
                at_most_a_page_of_suspects_comes_and_nothing_starves,
                a_rescued_job_may_be_canceled_retried_and_deleted,
                an_empty_plan_and_a_quiet_tick_change_nothing,
            }
            death {
                a_proven_death_takes_the_jobs_back_at_once_with_its_certificate,
                the_dead_can_neither_renew_nor_claim_nor_settle,
                a_death_is_told_to_all_incarnations_of_its_process_and_to_no_other,
                a_death_reported_again_changes_nothing_more,
                who_left_in_good_order_is_not_dead_but_what_it_still_held_is_taken_back,
                silence_that_turns_out_to_be_death_gets_its_proof,
                the_policy_for_lost_jobs_holds_for_the_dead,
                a_process_of_more_jobs_than_a_page_loses_them_all,
                the_next_holder_of_a_slot_proves_the_last_one_dead,
                a_process_that_registers_anew_proves_nothing_against_itself,
                another_boot_proves_those_before_it_dead,
                who_was_heard_since_this_boot_is_another_machine,
                a_host_name_alone_proves_nothing,
                a_stopped_process_is_noted_until_it_goes_on_or_renews,
            }
            poison {
                jobs_that_died_beside_each_other_lose_neither_attempt_nor_miss,
                a_job_that_was_there_twice_comes_only_to_who_asks_for_it_alone,
                who_asks_for_a_job_to_run_alone_gets_one_of_all_its_queues,
                a_job_that_kills_alone_is_dead_with_the_proofs,
                an_operators_retry_forgets_the_deaths,
            }
            dead {
                the_dead_are_told_by_cause_the_most_frequent_first,
                a_filter_narrows_causes_and_jobs_alike,
                who_makes_a_job_dead_need_not_name_the_cause,
                a_person_may_say_once_that_a_job_stays_dead,
                only_a_dead_job_can_be_discarded,
                an_operators_retry_forgets_cause_and_discard,
                news_of_the_dead_are_the_latest_causes,
                news_of_the_dead_are_bounded,
                the_dead_are_listed_newest_first_page_by_page,
            }
            bounds {
                a_jobs_own_bounds_come_before_its_types_and_those_before_the_workers,
                without_any_bound_there_is_none,
                a_job_that_stands_still_is_taken_back_after_the_grace_without_a_miss,
                whatever_says_that_the_work_went_on_counts_as_progress,
            }
            workers {
                a_registered_worker_is_live_and_known_in_every_field,
                no_types_is_not_the_same_as_every_type,
                a_renewal_starts_the_lease_again,
                a_lease_that_may_grow_is_as_long_as_the_fleet_needs,
                a_lease_that_has_run_out_cannot_be_renewed,
                only_workers_whose_lease_ran_out_are_expired_and_each_once,
                a_draining_worker_renews_and_stays_draining,
                a_worker_that_left_says_why_and_cannot_come_back,
                ended_workers_are_listed_for_a_day,
            }
            renew {
                a_longer_lease_lasts_from_the_renewal_that_asks_for_it,
                a_shorter_lease_takes_nothing_from_the_one_that_was_given,
                a_lease_that_shrinks_with_the_fleet_takes_nothing_either,
                a_whole_lease_is_the_one_that_was_given_last,
                a_lease_lasts_no_longer_than_it_was_given_for_when_the_clock_is_set_back,
                whether_a_lease_may_grow_is_said_with_each_renewal,
            }
            restart {
                a_worker_that_is_told_to_restart_hears_of_it_and_gets_no_more_jobs,
                its_next_incarnation_was_told_nothing,
                who_cannot_restart_is_said_and_nobody_is_told_twice,
                every_order_is_told_of_once,
                the_worker_is_woken_to_hear_of_it,
            }
            watchdog {
                a_survey_counts_the_workers_and_tells_the_last_sign_of_any_watchdog,
                extending_gives_a_whole_lease_from_now_and_never_shortens_one,
                after_a_step_of_the_clock_all_times_count_anew_and_doing_it_twice_gives_no_more,
                after_a_step_of_the_clock_nothing_but_workers_and_running_jobs_changes,
                after_a_step_of_the_clock_whoever_gave_signs_is_still_there_and_nobody_else,
                no_more_workers_are_expired_than_asked_for_the_longest_overdue_first,
                watchdogs_are_listed_by_their_last_sign_and_forgotten_after_a_day,
                runs_are_kept_in_every_field_newest_first_for_a_week,
                what_holds_a_watchdog_back_is_told_to_who_asks_about_a_job,
                a_watchdog_that_is_held_back_holds_nothing_up_beside_a_free_one,
            }
            admin {
                what_an_operator_does_is_told_of_with_who_why_before_and_after,
                the_audit_log_is_searched_by_who_what_and_when,
                sealed_entries_form_a_chain_that_can_be_verified,
                many_writers_and_sealers_at_once_leave_one_chain,
                a_token_is_kept_until_it_expires_or_is_revoked,
                tokens_are_listed_newest_first_and_revoked_ones_last,
                settings_change_together_and_only_from_the_version_that_was_seen,
                of_two_changes_at_once_one_is_too_late,
                an_operation_goes_on_under_one_hand_at_a_time,
                an_operation_that_was_canceled_goes_no_further,
            }
            schedules {
                a_schedule_is_kept_in_every_field_and_runs_from_its_next_moment_on,
                a_name_is_taken_once_and_a_tenant_has_no_more_than_its_quota,
                a_change_counts_only_from_the_version_that_was_seen,
                schedules_are_listed_by_name_page_by_page,
                what_a_file_says_again_leaves_a_persons_change_alone,
                a_pause_says_who_why_and_until_when,
                a_removed_schedule_takes_its_history_along_and_leaves_its_jobs,
                every_change_of_a_schedule_is_told_of_with_before_and_after,
                one_scheduler_is_elected_at_a_time,
            }
            schedule_fire {
                a_due_schedule_makes_its_job_in_the_same_step_and_moves_on,
                a_job_of_a_schedule_is_counted_under_the_schedules_name,
                each_moment_fires_once_however_many_fire_at_once,
                a_moment_that_has_its_line_never_fires_again_after_the_clock_was_set_back,
                after_an_outage_the_policy_decides_and_every_moment_is_told_of,
                a_moment_is_skipped_while_the_job_before_has_not_ended_and_says_which,
                a_queued_moment_waits_for_the_end_of_the_job_before,
                the_old_job_is_canceled_where_the_policy_says_so,
                a_paused_schedule_skips_its_moments_until_its_pause_is_over,
                a_run_by_hand_has_its_line_and_keeps_to_the_overlap_policy,
                a_job_that_has_the_key_already_stands_for_the_moment,
                how_runs_ended_is_noted_with_success_and_failures_in_a_row,
                a_schedule_that_succeeds_no_more_is_found_among_others_once_its_own_limit_is_over,
                what_a_person_did_to_a_schedule_gives_it_time_to_succeed,
                the_history_keeps_its_length,
                who_is_not_elected_fires_only_what_is_left_undone,
            }
            alerts {
                samples_come_back_in_order_from_any_place_on,
                old_samples_are_forgotten,
                one_server_judges_at_a_time,
                what_fired_is_kept_when_it_is_over_and_what_only_waited_is_not,
                odd_numbers_are_kept,
                what_channels_were_told_is_kept_until_it_is_taken_back,
                a_silence_ends_by_itself_or_by_hand_and_is_told_of,
            }
            operate {
                a_canceled_queued_job_never_runs,
                canceling_a_running_job_fences_its_worker_and_keeps_the_attempt,
                a_repeated_cancel_is_done_already_and_an_ended_job_cannot_be_canceled,
                an_ended_job_runs_again_with_fresh_attempts,
                the_history_of_a_job_survives_its_retry,
                a_success_that_is_run_again_stays_in_the_history,
                retrying_a_running_job_takes_it_from_its_worker,
                retrying_a_waiting_job_pulls_it_forward,
                a_retry_may_wait_first,
                a_deleted_job_leaves_nothing_behind,
                a_running_job_is_not_deleted,
                answers_to_a_move_come_in_the_order_of_the_ids,
                pausing_says_whether_it_changed_anything,
                a_pause_stops_neither_running_jobs_nor_other_queues,
            }
            inspect {
                jobs_are_listed_newest_first,
                each_filter_finds_its_jobs_and_filters_combine,
                pages_show_every_job_once_also_while_jobs_come_and_go,
                lists_find_what_a_look_at_every_job_finds,
                a_search_in_vain_stops_early_and_goes_on_where_it_stopped,
                an_unknown_job_has_neither_row_nor_detail_nor_facts,
                known_jobs_are_those_that_are_there_whatever_became_of_them,
                queues_tell_what_is_in_them,
                gauges_tell_what_waits_runs_and_last_succeeded,
                a_name_that_has_not_succeeded_for_a_quarter_is_forgotten,
                gauges_tell_workers_by_how_they_are,
                a_queue_with_nothing_in_it_tells_zeros,
                counts_stop_where_they_shall_and_the_oldest_is_found_all_the_same,
                facts_count_the_workers_that_could_run_the_job,
                every_kind_of_waiting_is_told_apart,
                a_running_job_is_running_then_recovering_then_stuck,
                a_list_by_state_finds_what_is_so_and_nothing_else,
                every_end_is_told_apart,
                a_snoozed_and_a_retried_job_wait_for_their_time,
                a_job_lives_its_life_on_the_databases_own_clock,
                the_stores_own_clock_goes_forward,
                the_schema_is_complete_and_migrating_again_does_nothing,
            }
            search {
                a_payload_is_found_by_the_value_at_a_place,
                an_error_is_found_by_its_words,
                searches_by_payload_and_error_narrow_every_other_filter,
                errors_are_found_among_thousands_of_jobs_without_any,
            }
            presence {
                a_worker_that_has_lost_its_connection_is_suspect_until_it_renews,
                only_workers_that_are_active_become_suspect,
                only_jobs_of_fast_types_are_found_before_the_lease_of_a_suspect_worker_ends,
            }
            retention {
                each_status_is_kept_for_its_own_time,
                what_has_not_ended_is_never_purged,
                attempts_points_result_and_log_go_with_the_job,
                a_key_is_free_again_after_its_job_was_purged,
                a_purge_takes_a_batch_at_a_time_until_nothing_is_left,
                what_would_be_purged_is_counted_and_stays,
            }
            upkeep {
                workers_that_ended_are_forgotten_but_never_one_that_a_job_runs_under,
                forgetting_goes_a_batch_at_a_time_and_ends,
                a_server_tells_how_busy_it_is_and_a_file_has_none,
                asking_for_room_changes_nothing_where_there_is_some,
                operations_are_forgotten_a_month_after_their_end_and_deeds_never,
                a_token_that_ended_stays_but_not_when_it_was_last_used,
                a_restored_copy_voids_every_lease_and_takes_its_jobs_back_at_no_cost,
                a_copy_of_a_restored_copy_has_higher_fences_again,
                what_was_running_in_a_copy_goes_by_what_was_decided_for_every_loss,
                a_job_on_its_last_attempt_is_not_dead_because_of_a_restore,
                somebody_else_goes_on_at_once_with_what_was_going_on_in_a_copy,
                who_kept_house_last_is_known_and_when,
                a_worker_that_had_ended_before_the_copy_keeps_its_end,
            }
            wake {
                a_subscriber_hears_of_new_work,
                a_subscriber_hears_that_a_running_job_was_canceled,
                a_subscriber_hears_that_a_running_job_was_taken_away,
                a_subscriber_hears_of_work_that_comes_back,
            }
        }
    };
}

/// The part of [`conformance!`](crate::conformance!) that repeats.
#[doc(hidden)]
#[macro_export]
macro_rules! scenarios {
    ($fresh:path; $($area:ident { $($name:ident),* $(,)? })*) => {
        $(mod $area {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                use $crate::conformance::{$area, run};
                Box::pin(run($fresh(), |store| Box::pin($area::$name(store)))).await;
            })*
        })*
    };
}

#[cfg(test)]
mod tests {
    /// A scenario that is not listed in the macro would silently not run.
    #[test]
    fn every_scenario_is_listed() {
        let list = include_str!("mod.rs");
        let sources = [
            include_str!("admin.rs"),
            include_str!("alerts.rs"),
            include_str!("enqueue.rs"),
            include_str!("bulk.rs"),
            include_str!("claim.rs"),
            include_str!("heartbeat.rs"),
            include_str!("settle.rs"),
            include_str!("silence.rs"),
            include_str!("fence.rs"),
            include_str!("rescue.rs"),
            include_str!("workers.rs"),
            include_str!("operate.rs"),
            include_str!("inspect.rs"),
            include_str!("retention.rs"),
            include_str!("upkeep.rs"),
            include_str!("wake.rs"),
            include_str!("watchdog.rs"),
        ];
        for source in sources {
            for line in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let name = line.split('(').next().unwrap_or_default();
                assert!(
                    list.contains(&format!("    {name},\n")),
                    "{name} is not listed in conformance/mod.rs"
                );
            }
        }
    }
}
