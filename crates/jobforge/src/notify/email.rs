//! Mail by SMTP.

use std::net::IpAddr;
use std::time::Duration;

use jobforge_core::alert::notice::email::Mail;
use jobforge_core::job::JobId;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use url::{Host, Url};

use crate::builtin::secrets::Secret;
use crate::job_error::JobError;

/// How long the mail server may take for each of its answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The mail server of a URL: `smtps://` speaks TLS from the start, `smtp://` by STARTTLS and never without it, but for
/// this very machine, where nobody else listens.
pub(super) fn transport(url: &Secret) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let bad =
        || "smtp_url must be like smtps://user:password@mail.example.org or smtp://localhost".to_owned();
    let url = Url::parse(url.reveal()).map_err(|_| bad())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(bad)?;
    let unusable = |error| format!("smtp_url: {error}");
    let (builder, port) = match url.scheme() {
        "smtps" => (AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(unusable)?, 465),
        "smtp" if is_this_machine(&url) => {
            (AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host), 25)
        }
        "smtp" => (AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(unusable)?, 587),
        _ => return Err(bad()),
    };
    let mut builder = builder.port(url.port().unwrap_or(port)).timeout(Some(ANSWER_WITHIN));
    if !url.username().is_empty() {
        let user = decoded(url.username()).ok_or_else(bad)?;
        let password = decoded(url.password().unwrap_or_default()).ok_or_else(bad)?;
        builder = builder.credentials(Credentials::new(user, password));
    }
    Ok(builder.build())
}

/// What `%40` and the like stand for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Sends a mail. Its id is the job's, the same in every attempt, so that a mail program shows one that came twice once.
pub(super) async fn send(
    smtp: &Secret,
    from: &Mailbox,
    to: &[Mailbox],
    mail: Mail,
    job: JobId,
) -> Result<(), JobError> {
    let unusable = |text: String| JobError::fatal("notify_email", text);
    let transport = transport(smtp).map_err(unusable)?;
    let mut message = Message::builder()
        .from(from.clone())
        .subject(mail.subject)
        .message_id(Some(format!("<{job}@jobforge>")))
        .references(format!("<{}@jobforge>", mail.thread))
        .header(ContentType::TEXT_PLAIN);
    for mailbox in to {
        message = message.to(mailbox.clone());
    }
    let message =
        message.body(mail.text).map_err(|error| unusable(format!("the mail cannot be written: {error}")))?;
    transport.send(message).await.map(|_| ()).map_err(|error| {
        // What the server said; it is not given our password to repeat.
        let text = format!("the mail server did not take the mail: {error}");
        if error.is_permanent() {
            JobError::fatal("notify_email", text)
        } else {
            JobError::retry("notify_email", text)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_encryption() {
        let is_local = |url: &str| is_this_machine(&Url::parse(url).expect("a URL"));
        for url in ["smtp://localhost", "smtp://127.0.0.1:2525", "smtp://[::1]:25"] {
            assert!(is_local(url), "{url}");
        }
        for url in ["smtp://mail.example.org", "smtp://10.0.0.1", "smtp://localhost.example.org"] {
            assert!(!is_local(url), "{url}");
        }
    }

    #[test]
    fn a_password_may_hold_any_character() {
        assert_eq!(decoded("a%40b%2Fc").as_deref(), Some("a@b/c"));
        assert_eq!(decoded("%zz"), None);
        assert_eq!(decoded("%4"), None);
    }
}
