//! One GET with limits, retries and a classified failure.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use tokio::sync::Notify;
use url::Url;

use bulkhead_schema::index::Validators;

use crate::client::RedirectRefused;
use crate::{ClientOptions, ErrorKind, Progress, SourceError, url_rules};

/// What to ask.
pub(crate) struct Get<'a> {
    pub(crate) url: &'a Url,
    /// Sent so that the server can answer "not modified".
    pub(crate) validators: Validators,
    /// The token, where the server is one that may see it. It does not travel on to another server by a redirect.
    pub(crate) authorization: Option<&'a HeaderValue>,
    /// Whether the answer may travel compressed.
    pub(crate) compressed: bool,
    /// Largest decoded body.
    pub(crate) limit: u64,
    /// Longest time for one attempt.
    pub(crate) deadline: Duration,
    /// Where arriving bytes are counted.
    pub(crate) progress: Option<&'a Progress>,
    /// Told when the server has begun to answer, or has failed to.
    pub(crate) begun: Option<&'a Notify>,
}

/// What came back.
pub(crate) enum Answer {
    /// 200.
    Body { bytes: Vec<u8>, validators: Validators },
    /// 304.
    NotModified,
    /// 404, 410, 451.
    NotFound,
}

/// A failure, and whether trying again may help.
struct Attempt {
    error: SourceError,
    passing: bool,
    wait: Option<Duration>,
}

impl Attempt {
    fn last(error: SourceError) -> Self {
        Self { error, passing: false, wait: None }
    }
}

/// Asks until there is an answer, a failure that will not pass, or `retries` are used up.
pub(crate) async fn get(http: &reqwest::Client, options: &ClientOptions, get: Get<'_>) -> Result<Answer, SourceError> {
    options.https_pins.check(get.url)?;
    let mut tried = 0;
    loop {
        let attempt = tokio::time::timeout(get.deadline, attempt(http, options, &get)).await;
        let failure = match attempt {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure,
            Err(_) => {
                let message = format!("no complete answer within {} seconds", get.deadline.as_secs());
                Attempt::last(SourceError::new(ErrorKind::Network, url_rules::printable(get.url), message))
            }
        };
        if !failure.passing || tried >= options.retries {
            let mut error = failure.error;
            if tried > 0 {
                error.message.push_str(&format!(" (tried {} times)", tried + 1));
            }
            return Err(error);
        }
        tokio::time::sleep(failure.wait.unwrap_or_else(|| back_off(options.retry_delay, tried))).await;
        tried += 1;
    }
}

/// The first delay, doubled each time up to 10 seconds, plus up to half of that at random, so that many clients do not
/// come back in step.
fn back_off(first: Duration, tried: u32) -> Duration {
    let base = first.saturating_mul(1 << tried.min(5)).min(Duration::from_secs(10));
    let random = std::hash::RandomState::new().build_hasher().finish() % 512;
    base + base.mul_f64(random as f64 / 1024.0)
}

async fn attempt(http: &reqwest::Client, options: &ClientOptions, get: &Get<'_>) -> Result<Answer, Attempt> {
    let url = || url_rules::printable(get.url);
    let sent = http.get(get.url.clone()).headers(headers(get)).send().await;
    if let Some(begun) = get.begun {
        begun.notify_one();
    }
    let response = sent.map_err(|error| send_failure(&error, url()))?;
    options.https_pins.saw(response.url());
    let status = response.status();
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if get.validators != Validators::default() => return Ok(Answer::NotModified),
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            return Ok(Answer::NotFound);
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            let error = SourceError::new(ErrorKind::Unauthorized, url(), format!("the server answered {status}"));
            return Err(Attempt::last(SourceError { challenge: challenge(response.headers()), ..error }));
        }
        _ if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
            return Err(Attempt::last(SourceError::new(
                ErrorKind::RefusedRedirect,
                url(),
                refused_location(&response, options),
            )));
        }
        _ => return Err(status_failure(status, response.headers(), url())),
    }
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let validators = Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) };
    let gzip = match text(CONTENT_ENCODING).as_deref() {
        None | Some("identity" | "") => false,
        Some("gzip") if get.compressed => true,
        Some(other) => {
            let message = format!("the answer has an encoding that was not asked for: {other:?}");
            return Err(Attempt::last(SourceError::new(ErrorKind::Protocol, url(), message)));
        }
    };
    let received = body(response, options, get).await?;
    let bytes = if gzip {
        inflate(&received, get.limit).map_err(|(kind, text)| Attempt::last(SourceError::new(kind, url(), text)))?
    } else {
        received
    };
    Ok(Answer::Body { bytes, validators })
}

/// What the server says about how to tell who asks: a few lines at most.
fn challenge(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    values.filter(|value| value.len() <= 1000).take(4).map(|value| format!("www-authenticate: {value}")).collect()
}

fn headers(get: &Get<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(authorization) = get.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    let encoding = if get.compressed { "gzip" } else { "identity" };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    // Both came as header values; if one no longer is, asking without it is right.
    if let Some(etag) = get.validators.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
        headers.insert(IF_NONE_MATCH, etag);
    } else if let Some(date) = get.validators.last_modified.as_deref().and_then(|date| HeaderValue::from_str(date).ok())
    {
        headers.insert(IF_MODIFIED_SINCE, date);
    }
    headers
}

/// Why a redirect came back instead of being followed: the HTTP library does not even look at addresses that are not
/// of HTTP.
fn refused_location(response: &reqwest::Response, options: &ClientOptions) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let shown: String = location.chars().take(300).collect();
    match url_rules::check(location, options.allow_http_loopback) {
        Err(refused) => format!("redirect to {shown:?}: {}", refused.message),
        Ok(_) => format!("redirect to {shown:?} with {}", response.status()),
    }
}

fn status_failure(status: StatusCode, headers: &HeaderMap, url: String) -> Attempt {
    let passing =
        status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    let asked =
        headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<u64>().ok());
    let kind = if passing { ErrorKind::Network } else { ErrorKind::Protocol };
    Attempt {
        error: SourceError::new(kind, url, format!("the server answered {status}")),
        passing,
        wait: asked.map(|seconds| Duration::from_secs(seconds.min(30))),
    }
}

fn send_failure(error: &reqwest::Error, url: String) -> Attempt {
    if error.is_redirect() {
        return Attempt::last(SourceError::new(ErrorKind::RefusedRedirect, url, describe(error)));
    }
    if let Some(reason) = certificate_problem(error) {
        return Attempt::last(SourceError::new(ErrorKind::Certificate, url, reason));
    }
    Attempt { error: SourceError::new(ErrorKind::Network, url, describe(error)), passing: true, wait: None }
}

/// What is wrong with the server's certificate, if that is why nothing was asked.
fn certificate_problem(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let problem = loop {
        let here = cause?;
        match here.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(problem)) => break problem,
            Some(_) => return None,
            None => {}
        }
        // The source of an error of input or output is not the one that it carries, but what is behind that.
        cause = match here.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(carried) => Some(carried),
            None => here.source(),
        };
    };
    use rustls::CertificateError as Problem;
    Some(match problem {
        Problem::UnknownIssuer => "its certificate is signed by nobody whom this machine trusts".to_owned(),
        Problem::NotValidForName | Problem::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        Problem::Expired | Problem::ExpiredContext { .. } => {
            "its certificate has expired, unless the clock of this machine is wrong".to_owned()
        }
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => {
            "its certificate is not valid yet, unless the clock of this machine is wrong".to_owned()
        }
        Problem::Revoked => "its certificate was revoked".to_owned(),
        Problem::Other(other) => format!("its certificate cannot be one of a server: {:?}", other.0),
        other => format!("its certificate is not accepted: {other}"),
    })
}

/// The innermost reason, which is the one that says something, and the library's own summary before it.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
        if let Some(refused) = cause.downcast_ref::<RedirectRefused>() {
            return refused.0.clone();
        }
    }
    let what = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the transfer failed"
    };
    let cause: String = cause.to_string().chars().take(300).collect();
    format!("{what}: {cause}")
}

/// Receives the body, and gives up as soon as it is too large or too slow.
async fn body(mut response: reqwest::Response, options: &ClientOptions, get: &Get<'_>) -> Result<Vec<u8>, Attempt> {
    let url = || url_rules::printable(get.url);
    let too_large = || {
        Attempt::last(SourceError::new(
            ErrorKind::TooLarge,
            url(),
            format!("the answer is larger than {} bytes", get.limit),
        ))
    };
    let announced = response.content_length();
    if announced.is_some_and(|length| length > get.limit) {
        return Err(too_large());
    }
    if let (Some(progress), Some(length)) = (get.progress, announced) {
        progress.expected.fetch_add(length, Ordering::Relaxed);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced.unwrap_or(0).min(1 << 20)).unwrap_or(0));
    let mut window = (Instant::now(), 0u64);
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(bytes),
            Err(error) => {
                if let Some(progress) = get.progress {
                    progress.received.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                    progress.expected.fetch_sub(announced.unwrap_or(0), Ordering::Relaxed);
                }
                let error = SourceError::new(ErrorKind::Network, url(), describe(&error));
                return Err(Attempt { error, passing: true, wait: None });
            }
        };
        if (bytes.len() + chunk.len()) as u64 > get.limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
        if let Some(progress) = get.progress {
            progress.received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        window.1 += chunk.len() as u64;
        let elapsed = window.0.elapsed();
        if elapsed >= options.timeout {
            if window.1 < options.low_speed_limit.saturating_mul(elapsed.as_secs().max(1)) {
                let message = format!("the transfer is slower than {} bytes per second", options.low_speed_limit);
                return Err(Attempt {
                    error: SourceError::new(ErrorKind::Network, url(), message),
                    passing: true,
                    wait: None,
                });
            }
            window = (Instant::now(), 0);
        }
    }
}

/// Inflates a compressed answer, never beyond `limit`.
fn inflate(compressed: &[u8], limit: u64) -> Result<Vec<u8>, (ErrorKind, String)> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(compressed)
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| (ErrorKind::Protocol, format!("the compressed answer is damaged: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err((ErrorKind::TooLarge, format!("the answer is larger than {limit} bytes")));
    }
    Ok(bytes)
}
