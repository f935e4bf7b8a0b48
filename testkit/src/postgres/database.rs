//! A database of a test's own.

use anyhow::Result;
use uuid::Uuid;

use super::server::{Server, psql};
use super::shared::shared;

/// A fresh database, dropped together with the connections that are still open when the handle goes.
#[derive(Debug)]
pub struct TestDatabase {
    server: Server,
    name: String,
}

impl TestDatabase {
    /// Creates an empty database on the server that this test run shares.
    pub fn create() -> Result<Self> {
        Self::create_on(shared()?, None)
    }

    /// Creates a copy of a template, which came from [`Server::template`], on the server that this test run shares.
    pub fn create_from(template: &str) -> Result<Self> {
        Self::create_on(shared()?, Some(template))
    }

    /// Creates a database on a server of the caller's choice: empty, or a copy of a template.
    pub fn create_on(server: &Server, template: Option<&str>) -> Result<Self> {
        let name = format!("jf_test_{}", Uuid::new_v4().simple());
        // template0 rather than the default: nobody can be connected to it, which would make the copy fail.
        let template = template.unwrap_or("template0");
        server.ask(&format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(Self { server: server.clone(), name })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the server on which the database is.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the database's URL over TCP.
    pub fn url(&self) -> String {
        self.server.url_of(&self.name)
    }

    /// Returns the database's URL over the server's unix socket.
    pub fn socket_url(&self) -> Result<String> {
        self.server.socket_url_of(&self.name)
    }

    /// Runs statements on this database, as [`super::psql`] does.
    pub fn psql(&self, sql: &str) -> Result<String> {
        psql(&self.url(), sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // The server may be stopped, on purpose or because the test failed. It takes the database with it then.
        let _ = self.server.ask(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}
