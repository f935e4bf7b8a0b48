//! Log lines as JSON, with the same names for the same things everywhere: `ts`, `level`, `msg`, `target`, and what else is
//! known: `request_id`, `trace_id`, `job_id`, `job_name`, `tenant_id`, `queue`, `worker_id`, `attempt`, `fence`,
//! `duration_ms`, `error`.

use std::fmt;

use jobforge::clock;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// One object a line.
pub(super) struct Lines;

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        // What is around it first: the event itself knows best.
        for span in ctx.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let Some(told) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            if let Ok(Value::Object(around)) = serde_json::from_str(told) {
                around.into_iter().for_each(|(name, value)| fields.put(&name, value));
            }
        }
        event.record(&mut fields);
        let meta = event.metadata();
        let first = json!(clock::wall().to_string());
        let (level, message) = (json!(meta.level().as_str()), json!(fields.message));
        write!(
            writer,
            "{{\"ts\":{first},\"level\":{level},\"msg\":{message},\"target\":{}",
            json!(meta.target())
        )?;
        for (name, value) in fields.others {
            write!(writer, ",{}:{value}", json!(name))?;
        }
        writeln!(writer, "}}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        match (name, value) {
            ("message", Value::String(message)) => self.message = message,
            ("error", Value::String(message)) => {
                self.others.insert("error".to_owned(), json!({ "message": message }));
            }
            (name, value) => {
                self.others.insert(renamed(name), value);
            }
        }
    }
}

/// The name under which a field is told.
fn renamed(name: &str) -> String {
    match name {
        "ms" => "duration_ms".to_owned(),
        "lease" => "fence".to_owned(),
        other => other.replace('.', "_"),
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field.name(), value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_with_the_names_that_are_promised() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(Lines)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("attempt", job.id = "j-1", job_name = "mail.send", lease = 7);
            let _in_it = span.enter();
            tracing::warn!(worker.id = %"w-1", ms = 12, error = "it broke", "[QCWorker] a \"line\"\nof two");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert!(text.starts_with("{\"ts\":\""), "{text}");
        for (name, value) in [
            ("level", json!("WARN")),
            ("msg", json!("[QCWorker] a \"line\"\nof two")),
            ("job_id", json!("j-1")),
            ("job_name", json!("mail.send")),
            ("fence", json!(7)),
            ("worker_id", json!("w-1")),
            ("duration_ms", json!(12)),
            ("error", json!({ "message": "it broke" })),
        ] {
            assert_eq!(line[name], value, "{text}");
        }
    }
}
