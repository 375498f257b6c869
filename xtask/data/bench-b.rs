//! A small service that uses what its manifest names, so that building it is the work that building a service is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use clap::Parser;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tower_http::trace::TraceLayer;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

/// Keeps notes.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The database.
    #[arg(long, env = "DATABASE", default_value = "sqlite::memory:")]
    database: String,
    /// A file of settings.
    #[arg(long, default_value = "notes")]
    settings: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Settings {
    upstream: Option<String>,
    timeout_in_seconds: u64,
}

#[derive(Deserialize, Serialize)]
struct Note {
    id: Option<Uuid>,
    text: String,
    written: Option<DateTime<Utc>>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is no such note")]
    Missing,
    #[error("the database does not answer")]
    Database(#[from] sqlx::Error),
    #[error("upstream does not answer")]
    Upstream(#[from] reqwest::Error),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::warn!(error = %self, "refused");
        let status = match self {
            Failure::Missing => axum::http::StatusCode::NOT_FOUND,
            Failure::Database(_) | Failure::Upstream(_) => axum::http::StatusCode::BAD_GATEWAY,
        };
        (status, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}

#[derive(Clone)]
struct Service {
    pool: SqlitePool,
    client: reqwest::Client,
    upstream: Option<String>,
}

async fn write_note(State(service): State<Service>, Json(note): Json<Note>) -> Result<Json<Note>, Failure> {
    let (id, written) = (Uuid::new_v4(), Utc::now());
    sqlx::query("INSERT INTO notes (id, text, written) VALUES (?, ?, ?)")
        .bind(id)
        .bind(&note.text)
        .bind(written)
        .execute(&service.pool)
        .await?;
    if let Some(upstream) = &service.upstream {
        service.client.post(upstream).json(&note).send().await?.error_for_status()?;
    }
    Ok(Json(Note { id: Some(id), written: Some(written), ..note }))
}

async fn read_note(State(service): State<Service>, Path(id): Path<Uuid>) -> Result<Json<Note>, Failure> {
    let row = sqlx::query("SELECT text, written FROM notes WHERE id = ?").bind(id).fetch_optional(&service.pool).await?;
    let row = row.ok_or(Failure::Missing)?;
    Ok(Json(Note { id: Some(id), text: row.get("text"), written: row.get("written") }))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().json().with_env_filter(EnvFilter::from_default_env()).init();
    let arguments = Arguments::parse();
    let file = config::File::with_name(&arguments.settings).required(false);
    let settings: Settings = config::Config::builder().add_source(file).build()?.try_deserialize()?;
    let pool = SqlitePoolOptions::new().max_connections(4).connect(&arguments.database).await.context("database")?;
    sqlx::query("CREATE TABLE IF NOT EXISTS notes (id BLOB, text TEXT, written TEXT)").execute(&pool).await?;
    let timeout = Duration::from_secs(settings.timeout_in_seconds.max(1));
    let client = reqwest::Client::builder().timeout(timeout).build()?;
    let router = Router::new()
        .route("/notes", post(write_note))
        .route("/notes/{id}", get(read_note))
        .layer(tower::ServiceBuilder::new().layer(TraceLayer::new_for_http()))
        .with_state(Service { pool, client, upstream: settings.upstream });
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.context("listening")?;
    tracing::info!(address = %listener.local_addr()?, "ready");
    axum::serve(listener, router).await?;
    Ok(())
}
