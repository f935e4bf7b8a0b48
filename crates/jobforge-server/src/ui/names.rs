//! `/ui/names`: what the palette of the pages offers beside the menu. Without scripts nobody asks for it, and nothing is lost.

use axum::Json;
use jobforge::core::tenant::MOST_NAMES;
use jobforge::store::rows::ScheduleFilter;
use serde::Serialize;
use url::form_urlencoded;

use super::pulse;
use super::visit::Visit;
use crate::api_error::ApiError;

/// Somewhere to go.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    name: String,
    path: String,
}

/// `GET /ui/names`
pub(super) async fn list(visit: Visit) -> Result<Json<Vec<Place>>, ApiError> {
    if !visit.sees_all() {
        return Ok(Json(Vec::new()));
    }
    let store = visit.app.client.store();
    let some = ScheduleFilter { tenant_id: None, after: None, limit: MOST_NAMES };
    let (types, schedules) = tokio::try_join!(store.job_types(), store.schedules(&some))?;
    let whole = pulse::look(&visit.ui).await;
    let queues = whole.iter().flat_map(|whole| &whole.facts.queues).take(MOST_NAMES);
    let place = |what: &str, name: &str, to: &str| {
        let part: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        Place { name: format!("{what} {name}"), path: format!("{to}{part}") }
    };
    let queues = queues.map(|queue| place("Queue", &queue.name, "/ui/jobs?queue="));
    let types = types.iter().map(|name| place("Type", name, "/ui/jobs?type="));
    let schedules = schedules.iter().map(|row| place("Schedule", &row.definition.name, "/ui/schedules/"));
    Ok(Json(queues.chain(types).chain(schedules).collect()))
}
