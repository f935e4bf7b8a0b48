//! Alerts: what is made from their table, and when each fires.

mod alert_cases;
mod alert_promtool;
mod alerts;
mod dashboards;
mod programs;
