//! A reading list kept in SQLite.
//!
//! Without arguments it fills a list in memory and shows it; with `--database FILE` it keeps one. One task owns the
//! database; importing reads all files at once and sends what it finds to that task.

use clap::{Parser, Subcommand};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot};

/// Keep a list of what to read.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to keep the list; in memory, with some books to begin with, when not given.
    #[arg(short, long)]
    database: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Add a book.
    Add {
        title: String,
        author: String,
        /// How much there is to read.
        #[arg(long, default_value_t = 200)]
        pages: u32,
    },
    /// Mark a book as read, by a part of its title.
    Read { title: String },
    /// Show the list (what happens without a command).
    List,
    /// Print the list as JSON.
    Export,
    /// Add the books of JSON files that `export` wrote.
    Import { files: Vec<PathBuf> },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Book {
    title: String,
    author: String,
    pages: u32,
    #[serde(default)]
    read: bool,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the database says: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a list of books: {source}")]
    Format { path: PathBuf, source: serde_json::Error },
    #[error("no unread book has `{0}` in its title")]
    NotFound(String),
    #[error("the database task has ended")]
    Ended,
}

/// What the task that owns the database can be asked.
enum Request {
    Insert(Vec<Book>, oneshot::Sender<Result<usize, Error>>),
    MarkRead(String, oneshot::Sender<Result<(), Error>>),
    All(oneshot::Sender<Result<Vec<Book>, Error>>),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let books = open(arguments.database.as_deref())?;
    match arguments.command.unwrap_or(Command::List) {
        Command::Add { title, author, pages } => {
            insert(&books, vec![Book { title, author, pages, read: false }]).await?;
        }
        Command::Read { title } => ask(&books, |answer| Request::MarkRead(title, answer)).await?,
        Command::List => print!("{}", table(&ask(&books, Request::All).await?)),
        Command::Export => {
            let list = ask(&books, Request::All).await?;
            println!("{}", serde_json::to_string_pretty(&list).unwrap_or_default());
        }
        Command::Import { files } => {
            let readers: Vec<_> = files.into_iter().map(|path| tokio::spawn(read_books(path))).collect();
            let mut count = 0;
            for reader in readers {
                count += insert(&books, reader.await.map_err(|_| Error::Ended)??).await?;
            }
            println!("{count} new books");
        }
    }
    Ok(())
}

async fn read_books(path: PathBuf) -> Result<Vec<Book>, Error> {
    match tokio::fs::read(&path).await {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Format { path, source }),
        Err(source) => Err(Error::File { path, source }),
    }
}

async fn insert(books: &mpsc::Sender<Request>, new: Vec<Book>) -> Result<usize, Error> {
    ask(books, |answer| Request::Insert(new, answer)).await
}

async fn ask<T>(
    books: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
) -> Result<T, Error> {
    let (answer, received) = oneshot::channel();
    books.send(request(answer)).await.map_err(|_| Error::Ended)?;
    received.await.map_err(|_| Error::Ended)?
}

/// Opens the database and starts the task that owns it.
fn open(path: Option<&Path>) -> Result<mpsc::Sender<Request>, Error> {
    let mut connection = match path {
        Some(path) => Connection::open(path)?,
        None => Connection::open_in_memory()?,
    };
    connection.execute_batch(
        "create table if not exists book (
            title text not null, author text not null, pages integer not null, read integer not null default 0,
            unique (title, author)
        )",
    )?;
    if path.is_none() {
        store(&mut connection, &some_books())?;
        mark_read(&connection, "Compiling")?;
    }
    let (sender, mut requests) = mpsc::channel(16);
    tokio::task::spawn_blocking(move || {
        while let Some(request) = requests.blocking_recv() {
            // Whoever asked may have stopped waiting.
            let _ = match request {
                Request::Insert(books, answer) => answer.send(store(&mut connection, &books)).is_ok(),
                Request::MarkRead(title, answer) => answer.send(mark_read(&connection, &title)).is_ok(),
                Request::All(answer) => answer.send(all(&connection)).is_ok(),
            };
        }
    });
    Ok(sender)
}

fn store(connection: &mut Connection, books: &[Book]) -> Result<usize, Error> {
    let transaction = connection.transaction()?;
    let mut count = 0;
    for book in books {
        count += transaction.execute(
            "insert or ignore into book (title, author, pages, read) values (?1, ?2, ?3, ?4)",
            params![book.title, book.author, book.pages, book.read],
        )?;
    }
    transaction.commit()?;
    Ok(count)
}

fn mark_read(connection: &Connection, title: &str) -> Result<(), Error> {
    let changed = connection
        .execute("update book set read = 1 where read = 0 and title like '%' || ?1 || '%'", params![title])?;
    if changed == 0 { Err(Error::NotFound(title.to_owned())) } else { Ok(()) }
}

fn all(connection: &Connection) -> Result<Vec<Book>, Error> {
    let mut statement = connection.prepare("select title, author, pages, read from book order by read, title")?;
    let book =
        |row: &Row<'_>| Ok(Book { title: row.get(0)?, author: row.get(1)?, pages: row.get(2)?, read: row.get(3)? });
    let books = statement.query_map([], book)?.collect::<Result<Vec<Book>, _>>()?;
    Ok(books)
}

fn some_books() -> Vec<Book> {
    let book = |title: &str, author: &str, pages| Book {
        title: title.to_owned(),
        author: author.to_owned(),
        pages,
        read: false,
    };
    vec![
        book("The Cuckoo's Egg", "Clifford Stoll", 326),
        book("Reflections on Trusting Trust", "Ken Thompson", 3),
        book("Compiling with Continuations", "Andrew W. Appel", 272),
        book("The Art of Unix Programming", "Eric S. Raymond", 560),
    ]
}

/// The list as aligned lines, with a sum below.
fn table(books: &[Book]) -> String {
    let width = books.iter().map(|book| book.title.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for book in books {
        let mark = if book.read { 'x' } else { ' ' };
        text += &format!("[{mark}] {:width$}  {:>4} pages  {}\n", book.title, book.pages, book.author);
    }
    let left: u32 = books.iter().filter(|book| !book.read).map(|book| book.pages).sum();
    text + &format!("{} books, {left} pages to go\n", books.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_exported_can_be_imported_once() {
        let books = open(None).unwrap();
        let list = ask(&books, Request::All).await.unwrap();
        assert_eq!(list.len(), 4);
        assert!(list[3].read && list[3].title.starts_with("Compiling"));

        let json = serde_json::to_string(&list).unwrap();
        let again: Vec<Book> = serde_json::from_str(&json).unwrap();
        assert_eq!(insert(&books, again).await.unwrap(), 0);
        assert!(table(&list).ends_with("4 books, 889 pages to go\n"));
    }
}
